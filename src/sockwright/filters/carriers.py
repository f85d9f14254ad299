"""Which protocol a packet carries: how the header of each link type tells it.

A protocol is a number: above 1500 an Ethernet type, below a service access point of LLC (IEEE
802.2), as in the type-or-length field of Ethernet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.filters.condition import All, Condition, Either, Not, always, never, some
from sockwright.filters.failure import Refusal
from sockwright.filters.instruction import BYTE, HALF, WORD
from sockwright.filters.layers import above, equal
from sockwright.filters.link_types import (
    ETHERNET,
    IPV4,
    IPV6,
    LINUX_SLL,
    LOOP,
    NULL,
    PPP,
    PPP_SERIAL,
    RAW,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sockwright.filters.layers import Layers

__all__ = ["ETHER_TYPES", "LLC_SAPS", "carries", "is_802_3"]

ETHER_TYPES: Mapping[str, int] = {
    "ip": 0x0800, "arp": 0x0806, "rarp": 0x8035, "ip6": 0x86DD, "atalk": 0x809B, "aarp": 0x80F3,
    "decnet": 0x6003, "lat": 0x6004, "sca": 0x6007, "moprc": 0x6002, "mopdl": 0x6001,
    "loopback": 0x9000,
}  # fmt: skip
LLC_SAPS: Mapping[str, int] = {"iso": 0xFE, "stp": 0x42, "ipx": 0xE0, "netbeui": 0xF0}

VLAN_TYPES = (0x8100, 0x88A8, 0x9100)
MPLS, PPPOE_DISCOVERY, PPPOE_SESSION = 0x8847, 0x8863, 0x8864
IP, IP6 = ETHER_TYPES["ip"], ETHER_TYPES["ip6"]

_LARGEST_LENGTH = 1500
_IPX_TYPE = 0x8137
_LLC_IP = 0x06
_BOTH_SAPS = (0xFE, _LLC_IP, 0xF0)  # told by both access points, not by one
_APPLE = 0x080007
_RAW_IPX = 0xFFFF  # NetWare before it had a header: both access points are 0xFF

# Protocol numbers of PPP (IANA) for the Ethernet types and access points that have one.
_PPP_NUMBERS: Mapping[int, int] = {
    IP: 0x0021, IP6: 0x0057, ETHER_TYPES["decnet"]: 0x0027, ETHER_TYPES["atalk"]: 0x0029,
    0x0600: 0x0025, LLC_SAPS["iso"]: 0x0023, LLC_SAPS["stp"]: 0x0031, LLC_SAPS["ipx"]: 0x002B,
}  # fmt: skip
PPP_MPLS = 0x0281

# Linux's numbers for frames without an Ethernet type (if_ether.h), and its address families.
_LINUX_802_3, _LINUX_802_2 = 0x0001, 0x0004
_FAMILIES = {IP: (2,), IP6: (10,)}
# The systems that write files of these link types have three numbers for IPv6: macOS, the other
# BSDs, FreeBSD.
_FAMILIES_OF_FILES = {IP: (2,), IP6: (30, 24, 28)}


def carries(layers: Layers, number: int) -> Condition:
    """Return the condition that the innermost link header carries the protocol `number`.

    Raises: Refusal where the link type cannot tell.
    """
    if layers.labels:
        return _under_labels(layers, number)
    link = layers.link
    if link is ETHERNET:
        return _ethernet(layers, number)
    if link is LINUX_SLL:
        return _cooked(layers, number)
    if link in {PPP, PPP_SERIAL}:
        return equal(layers.from_type(), _PPP_NUMBERS.get(number, number))
    if link in {NULL, LOOP}:
        return _loopback(layers, number)
    if link is RAW:
        version = {IP: 0x40, IP6: 0x60}.get(number)
        return never() if version is None else equal(layers.from_header(0, BYTE), version, 0xF0)
    if link in {IPV4, IPV6}:
        return always() if number == (IP if link is IPV4 else IP6) else never()
    if layers.type is None:
        raise Refusal(
            f"protocols cannot be told on {link.description}",
            "len, less, greater and link[offset] work for every link type",
        )
    return equal(layers.from_type(), number)


def is_802_3(layers: Layers) -> Condition:
    """Return the condition that an Ethernet frame has a length where others have a type."""
    return Not(above(layers.from_type(), _LARGEST_LENGTH))


def _ethernet(layers: Layers, number: int) -> Condition:
    if number in _BOTH_SAPS:
        return All(is_802_3(layers), _saps(layers, number << 8 | number))
    if number == LLC_SAPS["ipx"]:
        # Four ways: a type, a SNAP header, an access point, NetWare's own frame.
        ways = Either(
            _snap(layers, 0, _IPX_TYPE), Either(_sap(layers, number), _saps(layers, _RAW_IPX))
        )
        return Either(_type(layers, _IPX_TYPE), All(is_802_3(layers), ways))
    if number in {ETHER_TYPES["atalk"], ETHER_TYPES["aarp"]}:
        snap = _apple_snap(layers, number)
        return Either(_type(layers, number), All(is_802_3(layers), snap))
    if number <= _LARGEST_LENGTH:
        # Behind the type, as in libpcap: in Geneve without Ethernet that is not the payload.
        return All(is_802_3(layers), equal(layers.from_type(2, BYTE), number))
    return _type(layers, number)


def _cooked(layers: Layers, number: int) -> Condition:
    is_802_2 = _type(layers, _LINUX_802_2)
    if number in _BOTH_SAPS:
        return All(is_802_2, _saps(layers, number << 8 | number))
    if number == LLC_SAPS["ipx"]:
        ways = Either(_sap(layers, number), _snap(layers, 0, _IPX_TYPE))
        framed = Either(_type(layers, _LINUX_802_3), All(is_802_2, ways))
        return Either(_type(layers, _IPX_TYPE), framed)
    if number in {ETHER_TYPES["atalk"], ETHER_TYPES["aarp"]}:
        return Either(_type(layers, number), All(is_802_2, _apple_snap(layers, number)))
    if number <= _LARGEST_LENGTH:
        return All(is_802_2, _sap(layers, number))
    return _type(layers, number)


def _loopback(layers: Layers, number: int) -> Condition:
    families = (_FAMILIES if layers.live else _FAMILIES_OF_FILES).get(number, ())
    if layers.link is NULL:
        # The order is that of the machine that captured. Which one, a program cannot know: in files
        # both are taken, on a socket that of nearly all machines that run Linux.
        swapped = tuple(int.from_bytes(family.to_bytes(4, "little"), "big") for family in families)
        families = swapped if layers.live else (*swapped, *families)
    tests = [equal(layers.from_header(0, WORD), family) for family in families]
    return some(*tests) if tests else never()


def _under_labels(layers: Layers, number: int) -> Condition:
    """Tell IPv4 and IPv6 by their version, below a label that is the last of its stack."""
    version = {IP: 0x40, 0x0021: 0x40, IP6: 0x60, 0x0057: 0x60}.get(number)
    if version is None:
        raise Refusal(
            "of what MPLS carries only IPv4 and IPv6 can be told",
            "put this term before mpls, which moves the offsets of all behind it",
        )
    bottom = equal(layers.from_network(-2, BYTE), 0x01, 0x01)
    return All(bottom, equal(layers.from_network(0, BYTE), version, 0xF0))


def _type(layers: Layers, number: int) -> Condition:
    return equal(layers.from_type(), number)


def _sap(layers: Layers, number: int) -> Condition:
    return equal(layers.from_payload(0, BYTE), number)


def _saps(layers: Layers, both: int) -> Condition:
    return equal(layers.from_payload(0, HALF), both)


def _apple_snap(layers: Layers, number: int) -> Condition:
    return _snap(layers, _APPLE if number == ETHER_TYPES["atalk"] else 0, number)


def _snap(layers: Layers, organisation: int, number: int) -> Condition:
    """Return the test of a whole SNAP header, its second half first."""
    low = (organisation & 0xFFFF) << 16 | number
    high = 0xAAAA0300 | organisation >> 16
    return All(equal(layers.from_payload(4, WORD), low), equal(layers.from_payload(0, WORD), high))

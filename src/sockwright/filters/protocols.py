"""Terms on protocols: names alone, proto, protochain, and LLC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.filters import names, tree
from sockwright.filters.carriers import ETHER_TYPES, IP, IP6, LLC_SAPS, carries, is_802_3
from sockwright.filters.condition import Condition, Not, Test, every, some
from sockwright.filters.failure import Refusal
from sockwright.filters.instruction import (
    ADD,
    BYTE,
    HALF,
    IND,
    JA,
    JEQ,
    LD_B_ABS,
    LD_MEM,
    LDX_IMM,
    LDX_MSH,
    MUL,
    ST,
    TAX,
    TXA,
    Instruction,
    X,
)  # fmt: skip
from sockwright.filters.layers import bit_set, equal, plain
from sockwright.filters.link_types import ETHERNET
from sockwright.filters.words import near

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sockwright.filters.layers import Layers

__all__ = ["IP_NUMBERS", "llc_term", "protocol_alone", "protocol_term"]

# Names of the language for IP protocols: the number, and the IP versions that a name means.
IP_NUMBERS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "icmp": (1, ("ip",)), "igmp": (2, ("ip",)), "tcp": (6, ("ip", "ip6")), "igrp": (9, ("ip",)),
    "udp": (17, ("ip", "ip6")), "esp": (50, ("ip", "ip6")), "ah": (51, ("ip", "ip6")),
    "icmp6": (58, ("ip6",)), "pim": (103, ("ip", "ip6")), "vrrp": (112, ("ip",)),
    "carp": (112, ("ip",)), "sctp": (132, ("ip", "ip6")),
}  # fmt: skip
_OSI: Mapping[str, int] = {"clnp": 0x81, "esis": 0x82, "isis": 0x83}

# PDU types of IS-IS (ISO 10589), in the order in which each name tests them.
_L1_HELLO, _L2_HELLO, _POINT_TO_POINT_HELLO = 15, 16, 17
_L1_LSP, _L2_LSP, _L1_CSNP, _L2_CSNP, _L1_PSNP, _L2_PSNP = 18, 20, 24, 25, 26, 27
_ISIS_PDUS: Mapping[str, tuple[int, ...]] = {
    "l1": (_L1_PSNP, _L1_CSNP, _L1_LSP, _L1_HELLO, _POINT_TO_POINT_HELLO),
    "l2": (_L2_PSNP, _L2_CSNP, _L2_LSP, _L2_HELLO, _POINT_TO_POINT_HELLO),
    "iih": (_POINT_TO_POINT_HELLO, _L1_HELLO, _L2_HELLO),
    "lsp": (_L1_LSP, _L2_LSP),
    "snp": (_L2_PSNP, _L1_PSNP, _L1_CSNP, _L2_CSNP),
    "csnp": (_L1_CSNP, _L2_CSNP),
    "psnp": (_L1_PSNP, _L2_PSNP),
}

# Control octets of LLC (IEEE 802.2): value and mask.
_LLC_TYPES: Mapping[str, tuple[int, int]] = {
    "s": (0x01, 0x03), "u": (0x03, 0x03),
    "rr": (0x01, 0x0F), "rnr": (0x05, 0x0F), "rej": (0x09, 0x0F),
    "ui": (0x03, 0xEF), "ua": (0x63, 0xEF), "disc": (0x43, 0xEF), "sabme": (0x6F, 0xEF),
    "test": (0xE3, 0xEF), "xid": (0xAF, 0xEF), "frmr": (0x87, 0xEF),
}  # fmt: skip

_FRAGMENT, _AUTHENTICATION, _NO_NEXT = 44, 51, 59
_EXTENSIONS = (0, 60, 43, _FRAGMENT)  # hop-by-hop, destination options, routing


def protocol_alone(name: str, layers: Layers) -> Condition:
    """Compile a protocol that stands alone. Raises: Refusal where it cannot."""
    if name in IP_NUMBERS:
        number, versions = IP_NUMBERS[name]
        return some(*(_ip_protocol(number, version, layers) for version in versions))
    if name in ETHER_TYPES:
        return carries(layers, ETHER_TYPES[name])
    if name in LLC_SAPS:
        return carries(layers, LLC_SAPS[name])
    if name in _OSI:
        return _osi(_OSI[name], layers)
    if name in _ISIS_PDUS:
        return some(*(_isis(pdu, layers) for pdu in _ISIS_PDUS[name]))
    if name == "radio":
        raise Refusal("'radio' is for captures of 802.11 alone")
    raise Refusal("the link layer alone is no term", "ether host …, ether proto … or ether[…] fits")


def protocol_term(match: tree.Match, layers: Layers) -> Condition:
    """Compile ``[proto] proto|protochain id``.

    Raises: Refusal where the protocol is not known, or the head carries no other protocol.
    """
    head, value = match.head, match.value
    number = _number(value, head.protocol)
    if head.kind == "protochain":
        if layers.live:
            raise Refusal(
                "protochain jumps backward, which the kernel refuses",
                "read from a file, or use proto, which looks at the first header alone",
            )
        if head.protocol not in {None, "ip", "ip6"}:
            raise Refusal(f"{head.protocol} has no chain of headers", "ip or ip6 fits, or none")
        return _chain(number, head.protocol, layers)
    match head.protocol:
        case None:
            return some(_ip_protocol(number, "ip", layers), _ip_protocol(number, "ip6", layers))
        case "ip" | "ip6":
            return _ip_protocol(number, head.protocol, layers)
        case "link":
            return carries(layers, number)
        case "iso":
            return _osi(number, layers)
        case "isis":
            return _isis(number, layers)
    raise Refusal(f"what {head.protocol} carries cannot be told", "ether, ip, ip6 or iso fits")


def llc_term(term: tree.Llc, layers: Layers) -> Condition:
    """Compile ``llc [type]``. Raises: Refusal on other link types than Ethernet."""
    if layers.link is not ETHERNET:
        raise Refusal(f"llc is not told apart on {layers.link.description}")
    # NetWare's frames have a length but no LLC header: two octets of ones instead.
    is_llc = every(is_802_3(layers), Not(equal(layers.from_payload(0, HALF), 0xFFFF)))
    if term.type is None:
        return is_llc
    name = term.type.lower()
    if name == "i":
        return every(is_llc, Not(bit_set(layers.from_payload(2, BYTE), 0x01)))
    if name not in _LLC_TYPES:
        guess = near(name, _LLC_TYPES)
        known = ", ".join(("i", *_LLC_TYPES))
        raise Refusal(f"{name!r} is no type of LLC",
                      f"did you mean {guess}?" if guess else f"known are {known}")  # fmt: skip
    value, mask = _LLC_TYPES[name]
    return every(is_llc, equal(layers.from_payload(2, BYTE), value, mask))


def _number(value: tree.Value, protocol: str | None) -> int:
    match value:
        case tree.Number(number):
            return number
        case tree.Name(text):
            if protocol == "link":
                return names.ether_number(text)
            if protocol == "iso":
                if text not in _OSI:
                    raise Refusal(f"the OSI protocol {text!r} is not known",
                                  f"known are {', '.join(_OSI)}")  # fmt: skip
                return _OSI[text]
            if protocol in {None, "ip", "ip6"}:
                return names.ip_protocol(text)
            raise Refusal(f"what {protocol} carries has no names", "a number fits")
        case tree.LinkText(text) | tree.IPv4Text(text) | tree.IPv6Text(text):
            raise Refusal(f"{text} is an address, no protocol", f"write host {text}")


def _ip_protocol(number: int, version: str, layers: Layers) -> Condition:
    if version == "ip":
        return every(carries(layers, IP), equal(layers.from_network(9, BYTE), number))
    # A fragment header is looked through, other extension headers are not.
    behind_fragment = every(
        equal(layers.from_network(6, BYTE), _FRAGMENT),
        equal(layers.from_network(40, BYTE), number),
    )
    first = equal(layers.from_network(6, BYTE), number)
    return every(carries(layers, IP6), some(first, behind_fragment))


def _osi(number: int, layers: Layers) -> Condition:
    at = layers.network_without_snap
    return every(carries(layers, LLC_SAPS["iso"]), equal(layers.from_payload(at, BYTE), number))


def _isis(pdu: int, layers: Layers) -> Condition:
    at = layers.network_without_snap + 4
    return every(_osi(_OSI["isis"], layers), equal(layers.from_payload(at, BYTE), pdu))


def _chain(number: int, version: str | None, layers: Layers) -> Condition:
    register = layers.registers.take()
    if version is None:
        # The word taken here stays taken, as in libpcap.
        return some(_chain(number, "ip", layers), _chain(number, "ip6", layers))
    payload = layers.known_payload()
    if payload.register is not None:
        raise Refusal("protochain needs headers of fixed length before it", "put it before geneve")
    base = payload.constant + layers.network
    walk = _walk(number, version, base, register)
    layers.registers.free(register)
    return every(carries(layers, IP if version == "ip" else IP6), Test(walk, JEQ, number))


def _walk(number: int, version: str, base: int, register: int) -> tuple[Instruction, ...]:
    """Return the loop that ends with A being `number`, or the last header's number.

    A is the number of a header, X where it starts, from `base` on. It keeps what libpcap does: of
    an authentication header (RFC 4302) it takes the start to be its own length from the IP header
    on.
    """
    if version == "ip":
        start = [plain(LD_B_ABS, base + 9), plain(LDX_MSH, base)]
        extension = [plain(ADD, 0)]
    else:
        start = [plain(LD_B_ABS, base + 6), plain(LDX_IMM, 40)]
        step = [
            plain(BYTE + IND, base), plain(ST, register), plain(BYTE + IND, base + 1),
            plain(ADD, 1), plain(MUL, 8), plain(ADD | X), plain(TAX), plain(LD_MEM, register),
        ]  # fmt: skip
        last = len(_EXTENSIONS) - 1
        tests = [
            # All but the last test go on to the next; the last leaves for the authentication
            # header.
            Instruction(JEQ, last - place, 0 if place < last else len(step) + 1, extension_number)
            for place, extension_number in enumerate(_EXTENSIONS)
        ]
        again = -(2 + len(tests) + len(step) + 1)
        extension = [*tests, *step, plain(JA, again)]
    authentication = [
        plain(TXA), plain(BYTE + IND, base), plain(ST, register), plain(TXA), plain(ADD, 1),
        plain(TAX), plain(BYTE + IND, base), plain(ADD, 2), plain(MUL, 4), plain(TAX),
        plain(LD_MEM, register),
    ]  # fmt: skip
    loop = 2 + len(extension) + 1 + len(authentication) + 1
    return (
        *start,
        Instruction(JEQ, loop - 1, 0, number),
        Instruction(JEQ, loop - 2, 0, _NO_NEXT),
        *extension,
        Instruction(JEQ, 0, len(authentication) + 1, _AUTHENTICATION),
        *authentication,
        plain(JA, -loop),
        plain(ADD, 0),
    )

"""Address Resolution Protocol, RFC 826; Reverse ARP, RFC 903; rules for hosts: RFC 5227."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.field import Field, IPv4Value, MACValue, UInt, ipv4, mac, uint, variable
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import ETHER_TYPES
from sockwright.wire.core.walk import Choice, Walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["ARP", "GenericARP"]

ETHERNET, IPV4 = 1, 0x0800
ETHER_TYPES_OF_ARP = (0x0806, 0x8035)
OPERATIONS: Mapping[int, str] = {
    1: "request",
    2: "reply",
    3: "reverse request",
    4: "reverse reply",
    8: "inverse request",
    9: "inverse reply",
    10: "NAK",
}
HARDWARE: Mapping[int, str] = {
    1: "Ethernet",
    6: "IEEE 802",
    15: "frame relay",
    24: "IEEE 1394",
    32: "InfiniBand",
}


def _choose(octets: bytes, offset: int, end: int) -> type[Header]:
    """Choose by the two address lengths: 6 and 4 octets, or any others."""
    if end - offset >= 8 and octets[offset + 4 : offset + 6] != b"\x06\x04":
        return GenericARP
    return ARP


_FORMS = Choice(
    at=4, width=2, needs=8, short="ARP", cases=((0xFFFF, 0x0604, "ARP"),), otherwise="GenericARP"
)


class ARP(Header, layer="arp", carried_by={"ether_type": ETHER_TYPES_OF_ARP}):
    """An ARP message that resolves IPv4 addresses to MAC addresses, 28 octets."""

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = Walk(closes=True, forms=_FORMS)

    hardware_type: UInt = uint(16, "kind of hardware address", default=ETHERNET, values=HARDWARE)
    protocol_type: UInt = uint(
        16, "kind of protocol address, an EtherType", default=IPV4, values=ETHER_TYPES
    )
    hardware_length: UInt = uint(8, "octets of a hardware address", default=6)
    protocol_length: UInt = uint(8, "octets of a protocol address", default=4)
    operation: UInt = uint(16, "what is asked or answered", default=1, values=OPERATIONS)
    sender_mac: MACValue = mac("hardware address of the sender")
    sender_ip: IPv4Value = ipv4("protocol address of the sender")
    target_mac: MACValue = mac("hardware address asked for, 0 in a request")
    target_ip: IPv4Value = ipv4("protocol address asked for")

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Stop: what lies behind is the padding of the frame."""
        return offset + 28, offset + 28, None

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on types, lengths, operation and addresses."""
        yield from _form_findings(self, self.hardware_type, self.protocol_type)
        lengths = (self.hardware_length, self.protocol_length)
        if lengths != (6, 4):
            yield self.finding(
                "lengths",
                "error",
                "hardware_length" if lengths[0] != 6 else "protocol_length",
                f"{lengths[0]} and {lengths[1]}",
                "6 and 4",
                "RFC 826",
                "the lengths do not fit the MAC and IPv4 addresses that follow",
            )
        yield from _operation_findings(self, self.operation)
        if self.sender_mac.is_multicast:
            yield self.finding(
                "sender-mac",
                "error",
                "sender_mac",
                self.sender_mac,
                "a unicast address",
                "RFC 5227 section 1.1",
                "the sender says that a group address is its own",
            )
        frame = place.packet.layers[0]
        source = getattr(frame, "src", self.sender_mac) if frame.layer == "ethernet" else None
        if source is not None and source != self.sender_mac:
            yield self.finding(
                "sender-differs",
                "note",
                "sender_mac",
                self.sender_mac,
                source,
                "RFC 5227 section 1.1",
                "the frame comes from another address than the message: a proxy, or a forgery",
            )


def _split(header: Header) -> tuple[bytes, ...]:
    """Return the four addresses by their lengths; what lacks is short."""
    hardware, protocol = header._values[2] >> 8, header._values[2] & 0xFF
    tail = header._tail
    found, start = [], 0
    for length in (hardware, protocol, hardware, protocol):
        found.append(tail[start : start + length])
        start += length
    return tuple(found)


class _AddressCodec:
    """The four addresses one behind the other; the lengths are in the fixed part."""

    def decode(self, octets: bytes) -> tuple[bytes, ...]:
        return (octets,)

    def encode(self, items: tuple[bytes, ...]) -> bytes:
        return b"".join(items)


class GenericARP(Header, layer="arp", carried_by={"ether_type": ETHER_TYPES_OF_ARP}):
    """An ARP message with addresses of other lengths than 6 and 4 octets.

    `addresses` are those of the sender (hardware, protocol) and of the target (hardware, protocol);
    `hardware_length` and `protocol_length` have to be set with them.
    """

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = Walk(
        size=("hardware_length", "protocol_length"), unit=2, more=8, closes=True, forms=_FORMS
    )

    hardware_type: UInt = uint(16, "kind of hardware address", default=ETHERNET, values=HARDWARE)
    protocol_type: UInt = uint(
        16, "kind of protocol address, an EtherType", default=IPV4, values=ETHER_TYPES
    )
    hardware_length: UInt = uint(8, "octets of a hardware address")
    protocol_length: UInt = uint(8, "octets of a protocol address")
    operation: UInt = uint(16, "what is asked or answered", default=1, values=OPERATIONS)
    addresses: Field[tuple[bytes, ...], Iterable[bytes]] = variable(
        _AddressCodec(), "hardware and protocol address of sender and target", split=_split
    )

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the addresses and stop: what lies behind is the padding of the frame."""
        lengths = self._values[2]
        size = 8 + 2 * ((lengths >> 8) + (lengths & 0xFF))
        stop = self.take_tail(octets, offset, size, end, packet)
        return stop, stop, None

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on types, lengths and operation."""
        yield from _operation_findings(self, self.operation)
        needed = 2 * (self.hardware_length + self.protocol_length)
        if len(self._tail) != needed and not place.truncated:
            yield self.finding(
                "lengths",
                "error",
                "addresses",
                f"{len(self._tail)} octets",
                f"{needed} octets",
                "RFC 826",
                "the addresses do not have the lengths that the message claims",
            )
        if self.protocol_type == IPV4 and self.protocol_length not in (0, 4):
            yield self.finding(
                "lengths",
                "error",
                "protocol_length",
                self.protocol_length,
                4,
                "RFC 826",
                "an IPv4 address has 4 octets",
            )
        if self.hardware_type == ETHERNET and self.hardware_length != 6:
            yield self.finding(
                "lengths",
                "error",
                "hardware_length",
                self.hardware_length,
                6,
                "RFC 826",
                "an Ethernet address has 6 octets",
            )


def _form_findings(header: Header, hardware: int, protocol: int) -> Iterator[Finding]:
    if hardware not in (ETHERNET, 6, 15):  # RFC 5342: IEEE 802 networks share the form
        yield header.finding(
            "hardware-type",
            "warning",
            "hardware_type",
            hardware,
            ETHERNET,
            "RFC 826",
            "the hardware addresses have 6 octets, as those of Ethernet, which is type 1",
        )
    if protocol != IPV4:
        yield header.finding(
            "protocol-type",
            "error",
            "protocol_type",
            f"{protocol:#06x}",
            f"{IPV4:#06x}",
            "RFC 826",
            "the protocol addresses have 4 octets, as those of IPv4, which is 0x0800",
        )


def _operation_findings(header: Header, operation: int) -> Iterator[Finding]:
    if operation in (0, 0xFFFF):
        yield header.finding(
            "operation",
            "error",
            "operation",
            operation,
            "1 (request) or 2 (reply)",
            "RFC 5494 section 2",
            "this operation is reserved",
        )
    elif operation & 0xFF == 0 and operation >> 8 in OPERATIONS:
        yield header.finding(
            "operation",
            "error",
            "operation",
            operation,
            operation >> 8,
            "RFC 826",
            f"the two octets of {OPERATIONS[operation >> 8]} are swapped",
        )

"""Internet Protocol version 6, RFC 8200 section 3; jumbo payloads by RFC 2675."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sockwright.wire.core.announced import protocol_findings
from sockwright.wire.core.field import Derived, IPv6Value, UInt, derived, following, ipv6, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.martian import ipv6_martians
from sockwright.wire.core.names import IP_PROTOCOLS
from sockwright.wire.core.walk import Walk
from sockwright.wire.ipv6_options import jumbo_length

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["IPv6"]

EXPERIMENT = 253  # RFC 3692: for experimentation and testing
HOP_BY_HOP, NO_NEXT_HEADER = 0, 59


class IPv6(
    Header,
    layer="ipv6",
    carried_by={
        "ether_type": 0x86DD,
        "ip_protocol": 41,
        "link_type": 229,
        "raw_ip": 6,
        "ppp_protocol": 0x0057,
        "chdlc_protocol": 0x86DD,
        "bsd_family": (30, 24, 28, 10),
    },
):
    """An IPv6 header, 40 octets.

    `payload_length` counts the octets behind it, extension headers included; it is 0 where a
    hop-by-hop header with a `JumboPayload` option follows that holds a length over 65535.
    """

    __slots__ = ()
    is_network: ClassVar[bool] = True
    walk = Walk(end="payload_length", behind=True, least=1, step="ipv6")

    version: UInt = uint(4, "6", default=6)
    traffic_class: UInt = uint(8, "DSCP in the upper six bits, ECN in the lower two")
    flow_label: UInt = uint(20, "common to the packets of a flow")
    payload_length: Derived = derived(16, "octets behind this header")
    next_header: Derived = following(
        8, "ip_protocol", "what follows", default=EXPERIMENT, values=IP_PROTOCOLS
    )
    hop_limit: UInt = uint(8, "hops this packet may still take", default=64)
    src: IPv6Value = ipv6("address of the sender")
    dst: IPv6Value = ipv6("address of the receiver")

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write payload length and next header."""
        first, payload_length, follow, src, dst = self._values
        auto = self._auto
        if upper is not None and auto & _NEXT_HEADER:
            numbers = upper.carried_by.get("ip_protocol")
            if numbers is not None and follow >> 8 not in numbers:
                follow = follow & 0xFF | numbers[0] << 8
        if auto & _PAYLOAD_LENGTH:
            payload_length = len(body)
            if payload_length > 0xFFFF:
                payload_length = 0
                if follow >> 8 or jumbo_length(body, 0, len(body)) != len(body):
                    raise ValueError(
                        f"ipv6.payload_length: {len(body)} octets do not fit 16 bits; put "
                        f"HopByHop(options=(JumboPayload({len(body)}),)) behind the header"
                    )
        return _pack(first, payload_length, follow, src, dst) + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Stop at the payload length, go on by next header."""
        values = self._values
        follow = values[2] >> 8
        offset += 40
        stop = offset + values[1]
        if stop != end:
            if stop == offset:
                stop = self._stop_of_none(octets, offset, end, packet)
            elif stop > end:
                packet.note("ipv6", offset - 40, values[1], end - offset, "the payload length")
                stop = end
        return offset, stop, tables["ip_protocol"].get(follow)

    def _stop_of_none(self, octets: bytes, offset: int, end: int, packet: Packet) -> int:
        """Return the end of a packet with a payload length of 0."""
        follow = self._values[2] >> 8
        if follow == NO_NEXT_HEADER:
            return offset
        length = jumbo_length(octets, offset, end) if follow == HOP_BY_HOP else None
        if length is None:
            # What a sender leaves to its card (TSO), as in IPv4.
            self._auto &= ~_PAYLOAD_LENGTH
            return end
        if offset + length > end:
            packet.note("ipv6", offset - 40, length, end - offset, "the jumbo payload length")
            return end
        return offset + length

    def pseudo_sum(self, headers: Sequence[Header], index: int) -> int:
        """Return the word sum of both addresses."""
        return int.from_bytes(self._values[3] + self._values[4], "big")

    @property
    def dscp(self) -> int:
        """Differentiated services code point, RFC 2474."""
        return self.traffic_class >> 2

    @property
    def ecn(self) -> int:
        """Explicit congestion notification, RFC 3168."""
        return self.traffic_class & 3

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on version, length, next header, hop limit and addresses."""
        if self.version != 6:
            yield self.finding(
                "version",
                "error",
                "version",
                self.version,
                6,
                "RFC 8200 section 3",
                "this is no IPv6 header"
                + (", but an IPv4 header behind the number of IPv6" if self.version == 4 else ""),
            )
            return
        yield from self._length_findings(place)
        if not self.hop_limit:
            yield self.finding(
                "hop-limit",
                "error",
                "hop_limit",
                0,
                "1 to 255",
                "RFC 8200 section 3",
                "the hop limit is 0: no router may forward this",
            )
        yield from ipv6_martians(self, place, self.src, self.dst)
        yield from protocol_findings(self, place, "next_header", self.next_header)

    def _length_findings(self, place: Place) -> Iterator[Finding]:
        if place.fragment:
            return
        there = place.end - place.body_start
        claimed = self.payload_length
        jumbo = None
        if claimed == 0 and self.next_header == HOP_BY_HOP:
            jumbo = jumbo_length(place.octets, place.body_start, place.end)
        if jumbo is not None:
            claimed = jumbo
        if claimed == there or (claimed > there and place.truncated):
            return
        if claimed == 0:
            message = "the length is 0, as a sender leaves it whose card cuts segments (TSO)"
        elif claimed > there:
            message = "the payload length goes beyond the octets that are there"
        else:
            message = "the payload length leaves out octets that belong to the packet"
        yield self.finding(
            "payload-length",
            "error" if claimed else "warning",
            "payload_length",
            claimed,
            there,
            "RFC 8200 section 3" if jumbo is None else "RFC 2675 section 3",
            message,
        )


_pack = IPv6._layout.pack
_PAYLOAD_LENGTH, _NEXT_HEADER = IPv6.payload_length.mask, IPv6.next_header.mask

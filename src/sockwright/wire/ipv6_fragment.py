"""IPv6 fragment header, RFC 8200 section 4.5; atomic fragments: RFC 6946."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.announced import protocol_findings
from sockwright.wire.core.field import Derived, UInt, following, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import IP_PROTOCOLS
from sockwright.wire.core.walk import Walk
from sockwright.wire.hop_by_hop import EXPERIMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["IPv6Fragment"]


class IPv6Fragment(Header, layer="ipv6_fragment", carried_by={"ip_protocol": 44}):
    """A fragment header, 8 octets. `fragment_offset` counts units of 8 octets.

    `next_header` is that of the first header of the datagram, in every fragment alike.
    """

    __slots__ = ()
    walk = Walk(offset="fragment_offset", more_fragments=("more", 1))

    next_header: Derived = following(
        8, "ip_protocol", "first header of the datagram", default=EXPERIMENT, values=IP_PROTOCOLS
    )
    reserved: UInt = uint(8, "0")
    fragment_offset: UInt = uint(13, "place of this fragment, in units of 8 octets")
    reserved2: UInt = uint(2, "0")
    more: UInt = uint(1, "1 if more fragments follow")
    identification: UInt = uint(32, "common to the fragments of a datagram")

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Go on by next header in a first fragment; what a later one carries stays raw."""
        place = self._values[1]
        if place & 0xFFF9:
            packet.begin_piece()
            if place & 0xFFF8:
                return offset + 8, end, None
        return offset + 8, end, tables["ip_protocol"].get(self._values[0] >> 8)

    @property
    def carries_fragment(self) -> bool:
        """Whether this is a fragment: an offset, or more fragments to come."""
        return bool(self._values[1] & 0xFFF9)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on reserved bits, length and place of the fragment."""
        if self.reserved or self.reserved2:
            yield self.finding(
                "reserved",
                "warning",
                "reserved" if self.reserved else "reserved2",
                self.reserved or self.reserved2,
                0,
                "RFC 8200 section 4.5",
                "the reserved bits are not zero",
            )
        size = place.end - place.body_start
        if self.more and size % 8 and not place.truncated:
            yield self.finding(
                "fragment-length",
                "error",
                "more",
                f"{size} octets",
                "a multiple of 8 octets",
                "RFC 8200 section 4.5",
                "a fragment that is not the last carries a multiple of 8 octets",
            )
        if 8 * self.fragment_offset + size > 0xFFFF:
            yield self.finding(
                "fragment-offset",
                "error",
                "fragment_offset",
                self.fragment_offset,
                f"up to {(0xFFFF - size) // 8}",
                "RFC 8200 section 4.5",
                "the datagram would be longer than 65535 octets (ping of death)",
            )
        if not self.carries_fragment:
            yield self.finding(
                "atomic",
                "note",
                "",
                "offset 0, no more fragments",
                "no fragment header",
                "RFC 8021",
                "an atomic fragment: the whole datagram is here; nobody sends these any more",
            )
            yield from protocol_findings(self, place, "next_header", self.next_header)

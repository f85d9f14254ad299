"""IPv6 routing headers, RFC 8200 section 4.4.

Type 0 (source route, forbidden by RFC 5095), type 2 (mobility, RFC 6275 section 6.4) and type 4
(segment routing, RFC 8754) have classes that know their addresses; any other is `Routing`, with its
data as octets. While segments are left, the destination in the IPv6 header is not the last one, and
checksums of transports cover the last (RFC 8200 section 8.1).
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from sockwright.wire.core.announced import protocol_findings
from sockwright.wire.core.field import Derived, Field, Octets, UInt, derived, following, uint
from sockwright.wire.core.field import variable as variable_part
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import IP_PROTOCOLS
from sockwright.wire.core.walk import Choice, Walk
from sockwright.wire.hop_by_hop import EXPERIMENT, emit_extension

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["Routing", "SegmentRouting", "SourceRouting"]

SOURCE_ROUTE, MOBILITY, RPL, SEGMENT_ROUTING = 0, 2, 3, 4
TYPES: Mapping[int, str] = {
    0: "source route (deprecated)",
    1: "Nimrod (deprecated)",
    2: "mobility",
    3: "RPL source route",
    4: "segment routing",
    253: "experiment 1",
    254: "experiment 2",
}
_NUMBER = {"ip_protocol": 43}
_WALK = Walk(
    size=("hdr_ext_len",),
    unit=8,
    more=8,
    forms=Choice(
        at=2,
        width=1,
        needs=8,
        short="Routing",
        cases=(
            (0xFF, SEGMENT_ROUTING, "SegmentRouting"),
            (0xFF, SOURCE_ROUTE, "SourceRouting"),
            (0xFF, MOBILITY, "SourceRouting"),
        ),
        otherwise="Routing",
    ),
)


def _choose(octets: bytes, offset: int, end: int) -> type[Header]:
    """Choose by the routing type, the third octet; types 0, 2 and 4 take 8 octets at least."""
    kind = octets[offset + 2] if end - offset >= 8 else -1
    if kind == SEGMENT_ROUTING:
        return SegmentRouting
    return SourceRouting if kind in (SOURCE_ROUTE, MOBILITY) else Routing


def _advance(  # noqa: PLR0917  # the parameters of `advance`
    header: Header, octets: bytes, offset: int, end: int, tables: Tables, packet: Packet
) -> tuple[int, int, Form | None]:
    """Take what follows the fixed part, go on by next header.

    How many segments are left is not for this packet to tell once it is under way.
    """
    header._auto &= _NEXT_HEADER | _HDR_EXT_LEN
    first = header._values[0]
    stop = header.take_tail(octets, offset, 8 + 8 * (first & 0xFF), end, packet)
    return stop, end, tables["ip_protocol"].get(first >> 8)


def _pseudo_sum(headers: Sequence[Header], index: int, last: IPv6Address | None) -> int | None:
    """Return the word sum of the source and `last`, the destination behind the route."""
    total = headers[index - 1].pseudo_sum(headers, index - 1) if index else None
    if total is None or last is None:
        return total
    for header in reversed(headers[:index]):
        if header.layer == "ipv6":
            return total - int.from_bytes(header._values[4], "big") + int(last)
        if header.is_network:
            break
    return total


def _arrived(header: Header) -> bool:
    """Whether no segments are left; a number still to be computed counts as left."""
    mask = Routing.segments_left.mask
    return not header._auto & mask and not header._values[1] & 0xFF


class _AddressCodec:
    """Addresses, and octets where they do not fill one."""

    def decode(self, octets: bytes) -> tuple[IPv6Address | bytes, ...]:
        return _split_addresses(octets, len(octets) // 16)

    def encode(self, items: tuple[IPv6Address | str | bytes, ...]) -> bytes:
        octets = b"".join(
            [item if isinstance(item, bytes) else IPv6Address(item).packed for item in items]
        )
        return octets + bytes(-len(octets) % 8)


def _split_addresses(octets: bytes, count: int) -> tuple[IPv6Address | bytes, ...]:
    stop = min(16 * count, len(octets) // 16 * 16)
    found: list[IPv6Address | bytes] = [
        IPv6Address(octets[at : at + 16]) for at in range(0, stop, 16)
    ]
    if octets[stop:]:
        found.append(octets[stop:])
    return tuple(found)


class _DataCodec:
    """Octets, padded so that the whole header is a multiple of 8."""

    def decode(self, octets: bytes) -> bytes:
        return octets

    def encode(self, items: tuple[int, ...]) -> bytes:
        octets = bytes(items)
        return octets + bytes(-(4 + len(octets)) % 8)


class Routing(Header, layer="routing", carried_by=_NUMBER):
    """A routing header of any type, 4 octets and its data; `Routing.decode` chooses the class.

    `hdr_ext_len` counts units of 8 octets behind the first 8.
    """

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = _WALK

    next_header: Derived = following(
        8, "ip_protocol", "what follows", default=EXPERIMENT, values=IP_PROTOCOLS
    )
    hdr_ext_len: Derived = derived(8, "length in units of 8 octets behind the first")
    routing_type: UInt = uint(8, "kind of route", default=253, values=TYPES)
    segments_left: Derived = derived(8, "nodes still to be visited")
    data: Octets = Field(
        "variable",
        0,
        "what the type defines",
        default=b"",
        codec=_DataCodec(),  # type: ignore[arg-type]
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write next header and length; without a known type no segments are left."""
        return emit_extension(self, body, upper, _NEXT_HEADER, _HDR_EXT_LEN)

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the data, go on by next header."""
        return _advance(self, octets, offset, end, tables, packet)

    def pseudo_sum(self, headers: Sequence[Header], index: int) -> int | None:
        """Return the word sum of the source and the last destination; type 3 is known for that."""
        last = None
        if self._values[1] >> 8 == RPL and not _arrived(self):
            last = self._last_of_rpl(headers[:index])
        return _pseudo_sum(headers, index, last)

    def _last_of_rpl(self, before: Sequence[Header]) -> IPv6Address | None:
        """Return the last address, whose prefix is that of the destination (RFC 6554)."""
        data = self._tail
        elided = data[0] & 15 if data else 0
        padding = data[1] >> 4 if len(data) > 1 else 0
        address = data[4 : len(data) - padding][elided - 16 :]
        networks = [header for header in before if header.layer == "ipv6"]
        if len(address) < 16 - elided or not networks:
            return None
        return IPv6Address(networks[-1]._values[4][:elided] + address)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on the length and the next header."""
        yield from _length_findings(self, place, self.hdr_ext_len)
        yield from protocol_findings(self, place, "next_header", self.next_header)


class SourceRouting(Header, layer="routing", carried_by=_NUMBER):
    """Routing type 0, or type 2 with its one home address: 8 octets and the addresses."""

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = _WALK

    next_header: Derived = following(
        8, "ip_protocol", "what follows", default=EXPERIMENT, values=IP_PROTOCOLS
    )
    hdr_ext_len: Derived = derived(8, "length in units of 8 octets behind the first")
    routing_type: UInt = uint(8, "kind of route", default=SOURCE_ROUTE, values=TYPES)
    segments_left: Derived = derived(8, "nodes still to be visited")
    reserved: UInt = uint(32, "0")
    addresses: Field[tuple[IPv6Address | bytes, ...], Iterable[IPv6Address | str | bytes]] = (
        variable_part(_AddressCodec(), "the nodes to visit, in their order")  # type: ignore[assignment]
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write next header and length; of a new header all segments are left."""
        header = self.copy()
        if self._auto & _SEGMENTS_LEFT:
            header._values = list(header._values)
            header._values[1] = header._values[1] & 0xFF00 | len(self._tail) // 16
        return emit_extension(header, body, upper, _NEXT_HEADER, _HDR_EXT_LEN)

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the addresses, go on by next header."""
        return _advance(self, octets, offset, end, tables, packet)

    def pseudo_sum(self, headers: Sequence[Header], index: int) -> int | None:
        """Return the word sum of the source and the last destination."""
        count = len(self._tail) // 16
        last = None
        if count and not _arrived(self):
            last = IPv6Address(self._tail[16 * count - 16 : 16 * count])
        return _pseudo_sum(headers, index, last)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on type, length, segments, reserved octets and next header."""
        yield from _length_findings(self, place, self.hdr_ext_len)
        count = len(self._tail) // 16
        if self.routing_type == SOURCE_ROUTE:
            yield self.finding(
                "deprecated",
                "warning",
                "routing_type",
                SOURCE_ROUTE,
                "another type",
                "RFC 5095 section 3",
                "routing type 0 is forbidden: nodes drop it, or answer with an ICMPv6 error",
            )
        elif count != 1:
            yield self.finding(
                "addresses",
                "error",
                "addresses",
                count,
                1,
                "RFC 6275 section 6.4.1",
                "routing type 2 carries exactly one address, the home address",
            )
        if len(self._tail) % 16:
            yield self.finding(
                "hdr-ext-len",
                "error",
                "hdr_ext_len",
                self.hdr_ext_len,
                "an even number",
                "RFC 8200 section 4.4",
                "the length does not fit whole addresses",
            )
        yield from _segments_findings(self, self.segments_left, count)
        yield from protocol_findings(self, place, "next_header", self.next_header)


def _split_segments(header: Header) -> tuple[IPv6Address | bytes, ...]:
    """Return as many addresses as `last_entry` tells, and the octets of the TLVs behind them."""
    count = len(header._tail) // 16
    if not header._auto & _LAST_ENTRY:
        count = (header._values[2] >> 8) + 1
    return _split_addresses(header._tail, count)


class SegmentRouting(Header, layer="routing", carried_by=_NUMBER):
    """Routing type 4, RFC 8754 section 2: 8 octets, the segments and TLVs.

    `segments` are in reverse order: the first one is the last node to visit. TLVs behind them are
    octets; where they take 16 or more, set `last_entry` by hand. Of a new header the last segment,
    the first to visit, is under way.
    """

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = _WALK

    next_header: Derived = following(
        8, "ip_protocol", "what follows", default=EXPERIMENT, values=IP_PROTOCOLS
    )
    hdr_ext_len: Derived = derived(8, "length in units of 8 octets behind the first")
    routing_type: UInt = uint(8, "kind of route", default=SEGMENT_ROUTING, values=TYPES)
    segments_left: Derived = derived(8, "index of the segment under way")
    last_entry: Derived = derived(8, "index of the last element of the segment list")
    flags: UInt = uint(8, "0")
    tag: UInt = uint(16, "common to packets of a class")
    segments: Field[tuple[IPv6Address | bytes, ...], Iterable[IPv6Address | str | bytes]] = (
        variable_part(  # type: ignore[assignment]
            _AddressCodec(), "nodes to visit, the last one first; TLVs", split=_split_segments
        )
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write next header and length; of a new header the last segment is under way."""
        header = self.copy()
        header._values = list(header._values)
        if self._auto & _LAST_ENTRY:
            count = min(256, max(1, len(self._tail) // 16))
            header._values[2] = header._values[2] & 0x00FF | (count - 1) << 8
        if self._auto & _SEGMENTS_LEFT:
            left = header._values[2] >> 8
            header._values[1] = header._values[1] & 0xFF00 | left
        return emit_extension(header, body, upper, _NEXT_HEADER, _HDR_EXT_LEN)

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the segments and TLVs, go on by next header."""
        return _advance(self, octets, offset, end, tables, packet)

    def pseudo_sum(self, headers: Sequence[Header], index: int) -> int | None:
        """Return the word sum of the source and the last destination."""
        last = None
        if len(self._tail) >= 16 and not _arrived(self):
            last = IPv6Address(self._tail[:16])
        return _pseudo_sum(headers, index, last)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on length, segments and next header."""
        yield from _length_findings(self, place, self.hdr_ext_len)
        count = len(self._tail) // 16
        if self.last_entry >= count and not place.truncated:
            yield self.finding(
                "last-entry",
                "error",
                "last_entry",
                self.last_entry,
                f"up to {count - 1}" if count else "an address",
                "RFC 8754 section 2",
                "the last entry lies behind the end of the header",
            )
        yield from _segments_findings(self, self.segments_left, self.last_entry + 1)
        yield from protocol_findings(self, place, "next_header", self.next_header)


def _length_findings(header: Header, place: Place, claimed: int) -> Iterator[Finding]:
    needed = 8 + 8 * claimed
    if needed != header.size and not place.truncated and not place.fragment:
        yield header.finding(
            "hdr-ext-len",
            "error",
            "hdr_ext_len",
            claimed,
            (header.size + 7) // 8 - 1,
            "RFC 8200 section 4.4",
            f"the length claims {needed} octets, the header has {header.size}",
        )


def _segments_findings(header: Header, left: int, count: int) -> Iterator[Finding]:
    if left > count:
        yield header.finding(
            "segments-left",
            "error",
            "segments_left",
            left,
            f"up to {count}",
            "RFC 8200 section 4.4",
            "more segments are left than the header lists",
        )


_NEXT_HEADER, _HDR_EXT_LEN = Routing.next_header.mask, Routing.hdr_ext_len.mask
_SEGMENTS_LEFT, _LAST_ENTRY = Routing.segments_left.mask, SegmentRouting.last_entry.mask

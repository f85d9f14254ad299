"""Cutting IP datagrams into fragments and putting them together: RFC 791 and RFC 8200 section 4.5.

Rules of reassembly
    1. A datagram is known by source, destination, identification and, in IPv4, protocol.
    2. What ends beyond 65535 octets, is not a multiple of 8 octets without being last, was cut by
       the capture, or contradicts the end that another fragment set, is left out and reported.
    3. A fragment seen before, octet for octet, is reported and changes nothing.
    4. Any other overlap spoils the datagram, as RFC 5722 wants it for IPv6 and Linux does for both;
       fragments of it that come later are dropped with it. For IPv4, `overlap` can say "first" or
       "last" instead: the octets that came first, or last, are kept, as other systems do.
    5. What is incomplete at the end, or must go because a limit is reached (oldest first), is given
       back with its gaps.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from zlib import crc32

from sockwright.wire.core.field import AUTO, Auto
from sockwright.wire.core.finding import Finding
from sockwright.wire.core.option import EndOfOptions, NoOperation, UnknownOption
from sockwright.wire.core.packet import Packet
from sockwright.wire.ipv4 import DONT_FRAGMENT, MORE_FRAGMENTS, IPv4
from sockwright.wire.ipv4_options import COPIED
from sockwright.wire.ipv6 import IPv6
from sockwright.wire.ipv6_fragment import IPv6Fragment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sockwright.wire.core.header import Header
    from sockwright.wire.core.option import Option

__all__ = ["Datagram", "fragment", "reassemble"]

LONGEST = 65535
Overlap = Literal["discard", "first", "last"]


# Fragmenting


def fragment(packet: Packet, mtu: int, *, identification: int | None = None) -> list[Packet]:
    """Return `packet` as fragments whose outermost IP datagrams take at most `mtu` octets.

    Headers around IP come before each fragment. A packet that fits is returned alone, as a copy.
    In IPv4, options that are not to be copied are in the first fragment only, and a fragment can be
    cut again. In IPv6 a fragment header is put in; its `identification` is, unless given, the
    CRC-32 of the datagram, so that different datagrams have different ones. Link-layer trailers are
    dropped.

    Raises: ValueError for an IPv4 datagram with DF, an IPv6 packet that is a fragment already or a
    jumbogram, an MTU that leaves no room for 8 octets, and a packet without an IP header.
    """
    index = _network_index(packet)
    octets = bytes(packet)
    packet._settle()
    header = packet.layers[index]
    start = packet.offset_of(header)
    end = packet._extents(len(octets))[index]
    if end - start <= mtu:
        return [packet.copy()]
    if isinstance(header, IPv4):
        return _fragment_ipv4(packet, index, octets[start + header.size : end], mtu)
    assert isinstance(header, IPv6)
    return _fragment_ipv6(packet, index, octets[:end], mtu, identification)


def _network_index(packet: Packet) -> int:
    for index, header in enumerate(packet.layers):
        if isinstance(header, (IPv4, IPv6)):
            return index
    raise ValueError("there is no IPv4 or IPv6 header in this packet")


def _fragment_ipv4(packet: Packet, index: int, data: bytes, mtu: int) -> list[Packet]:
    *below, last = packet.layers[: index + 1]
    assert isinstance(last, IPv4)
    if last.flags & DONT_FRAGMENT:
        raise ValueError(
            f"ipv4.flags: the datagram takes {last.size + len(data)} octets, more than the MTU "
            f"{mtu}, and DF forbids to fragment it"
        )
    header = _free(last)
    later = _free(last)
    later.options = tuple([option for option in last.options if _is_copied(option)])
    pieces = []
    at = 0
    while at < len(data):
        room = mtu - header.size
        more = len(data) - at > room
        size = room // 8 * 8 if more else len(data) - at
        if size <= 0:
            raise ValueError(f"an MTU of {mtu} leaves no room for data behind the IPv4 header")
        header.fragment_offset = last.fragment_offset + at // 8
        more = more or bool(last.flags & MORE_FRAGMENTS)
        header.flags = int(last.flags) & ~MORE_FRAGMENTS | (MORE_FRAGMENTS if more else 0)
        pieces.append(_rebuilt([*below, header], data[at : at + size]))
        header = later
        at += size
    return pieces


def _free(header: IPv4) -> IPv4:
    """Return a copy whose lengths and checksum follow; its protocol stays, whatever follows."""
    new = header.copy()
    new.protocol = header.protocol
    new.ihl = new.total_length = new.checksum = AUTO
    return new


def _is_copied(option: Option) -> bool:
    kind = option.number if isinstance(option, UnknownOption) else option.kind
    return not isinstance(option, (NoOperation, EndOfOptions)) and bool(kind & COPIED)


def _fragment_ipv6(
    packet: Packet, index: int, octets: bytes, mtu: int, identification: int | None
) -> list[Packet]:
    layers = packet.layers
    header = layers[index]
    assert isinstance(header, IPv6)
    if not header.payload_length:
        raise ValueError("ipv6.payload_length: a jumbogram cannot be fragmented (RFC 2675)")
    count = index + 1
    for position in range(index + 1, len(layers)):
        layer = layers[position].layer
        if layer == "ipv6_fragment":
            raise ValueError("only its source fragments an IPv6 packet, and this is a fragment")
        if layer not in ("hop_by_hop", "destination_options", "routing"):
            break
        # Every node on the way reads these, so they come before the fragment header.
        if layer == "routing" or (layer == "hop_by_hop" and position == index + 1):
            count = position + 1
    before = [own.copy() for own in layers[:count]]
    cut = packet.offset_of(layers[count - 1]) + layers[count - 1].size
    data = octets[cut:]
    room = (mtu - (cut - packet.offset_of(header)) - 8) // 8 * 8
    if room <= 0:
        raise ValueError(f"an MTU of {mtu} leaves no room for data behind the headers of IPv6")
    if identification is None:
        identification = crc32(octets[packet.offset_of(header) :])
    _unpin(before)
    first = _next_header(before[-1])
    pieces = []
    for at in range(0, len(data), room):
        part = IPv6Fragment(
            next_header=first,
            fragment_offset=at // 8,
            more=int(at + room < len(data)),
            identification=identification,
        )
        pieces.append(_rebuilt([*before, part], data[at : at + room]))
    return pieces


def _unpin(headers: list[Header]) -> None:
    """Let the length of an IPv6 packet and the number of what follows be computed."""
    for header in headers:
        if isinstance(header, IPv6):
            header.payload_length = AUTO
    _set_next_header(headers[-1], AUTO)


def _next_header(header: Header) -> int:
    found = getattr(header, "next_header")  # noqa: B009  # extension headers share the name only
    return int(found)


def _set_next_header(header: Header, number: int | Auto) -> None:
    setattr(header, "next_header", number)  # noqa: B010  # as above


def _rebuilt(headers: list[Header], data: bytes) -> Packet:
    """Return the packet of these headers and data, decoded from its octets."""
    return headers[0].decode(bytes(Packet(headers, data)))


# Putting together


@dataclass(frozen=True, slots=True)
class Datagram:
    """What `reassemble` gives back: a packet, or what is there of one.

    `packet` is None where a datagram is incomplete or spoilt; `fragments` counts what was used of
    it (0 for a packet that was no fragment); `findings` report duplicates, overlaps and what was
    left out; `gaps` are the missing octets, as first and one behind the last, the latter None where
    the end is not known.
    """

    packet: Packet | None
    fragments: int = 0
    findings: tuple[Finding, ...] = ()
    gaps: tuple[tuple[int, int | None], ...] = ()


@dataclass(slots=True)
class _Pending:
    """The fragments of one datagram."""

    version: int
    first: Packet | None = None
    parts: list[tuple[int, bytes]] = field(default_factory=list)  # in order of arrival
    covered: list[tuple[int, int]] = field(default_factory=list)  # sorted, apart from each other
    total: int | None = None
    stored: int = 0
    spoilt: bool = False
    findings: list[Finding] = field(default_factory=list)

    def gaps(self) -> tuple[tuple[int, int | None], ...]:
        found: list[tuple[int, int | None]] = []
        at = 0
        for start, stop in self.covered:
            if start > at:
                found.append((at, start))
            at = stop
        if self.total is None or at < self.total:
            found.append((at, self.total))
        return tuple(found)

    def report(self, code: str, found: str, expected: str, message: str) -> None:
        layer = "ipv4" if self.version == 4 else "ipv6_fragment"
        reference = "RFC 791 section 3.2" if self.version == 4 else "RFC 8200 section 4.5"
        if code == "overlap" and self.version == 6:
            reference = "RFC 5722 section 4"
        self.findings.append(
            Finding(
                f"fragment-{code}",
                "note" if code == "duplicate" else "error",
                layer,
                "fragment_offset",
                found,
                expected,
                reference,
                message,
            )
        )

    def add(self, start: int, data: bytes, overlap: Overlap) -> None:
        """Take a fragment in, by rules 3 and 4."""
        stop = start + len(data)
        at = bisect_left(self.covered, (start, stop))
        near = self.covered[max(0, at - 1) : at + 1]
        if any(low < stop and start < high for low, high in near):
            if (start, data) in self.parts:
                self.report("duplicate", f"octets {start} to {stop}", "once", "this came before")
                return
            self.report(
                "overlap",
                f"octets {start} to {stop}",
                "octets that no other fragment has",
                "a fragment overlaps another"
                + ("; the datagram is dropped" if overlap == "discard" else ""),
            )
            if overlap == "discard":
                self.spoil()
                return
        self.parts.append((start, data))
        self.stored += len(data)
        self._cover(start, stop)

    def spoil(self) -> None:
        self.spoilt = True
        self.parts.clear()
        self.covered.clear()
        self.stored = 0
        self.first = None

    def _cover(self, start: int, stop: int) -> None:
        low = bisect_left(self.covered, (start, start))
        if low and self.covered[low - 1][1] >= start:
            low -= 1
        high = low
        while high < len(self.covered) and self.covered[high][0] <= stop:
            start = min(start, self.covered[high][0])
            stop = max(stop, self.covered[high][1])
            high += 1
        self.covered[low:high] = [(start, stop)]

    def is_whole(self) -> bool:
        return self.total is not None and self.covered == [(0, self.total)]

    def octets(self, overlap: Overlap) -> bytes:
        whole = bytearray(self.total or 0)
        # What is written last stays.
        for start, data in self.parts if overlap == "last" else reversed(self.parts):
            whole[start : start + len(data)] = data
        return bytes(whole)


def reassemble(
    packets: Iterable[Packet],
    *,
    overlap: Overlap = "discard",
    max_datagrams: int = 1024,
    max_octets: int = 4 << 20,
) -> Iterator[Datagram]:
    """Yield each packet that is no fragment, and each datagram when its last piece has come.

    At most `max_datagrams` incomplete datagrams with `max_octets` octets are kept. `overlap` is the
    rule for IPv4; with IPv6 an overlap always spoils the datagram. See the rules above.
    """
    pending: dict[tuple[object, ...], _Pending] = {}
    stored = 0
    for packet in packets:
        found = _fragment_of(packet)
        if found is None:
            yield Datagram(packet)
            continue
        key, piece = found
        entry = pending.get(key)
        if entry is None:
            entry = pending[key] = _Pending(piece.version)
        if entry.spoilt:
            continue
        before = entry.stored
        rule: Overlap = overlap if entry.version == 4 else "discard"
        now_spoilt = _take(entry, packet, piece, rule)
        stored += entry.stored - before
        if now_spoilt:
            # The mark stays, for the fragments to come; the report goes out now.
            yield Datagram(None, 0, tuple(entry.findings))
        elif entry.is_whole():
            del pending[key]
            stored -= entry.stored
            yield _finished(entry, rule)
        while len(pending) > max_datagrams or stored > max_octets:
            oldest = pending.pop(next(iter(pending)))
            stored -= oldest.stored
            if not oldest.spoilt:
                oldest.report(
                    "evicted", f"{oldest.stored} octets", "a whole datagram", "a limit was reached"
                )
                yield _unfinished(oldest)
    for entry in pending.values():
        if not entry.spoilt:
            yield _unfinished(entry)


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one fragment says: `start` and the octets, whether more follow, what the wire held."""

    version: int
    start: int
    data: bytes
    more: bool
    claimed: int


def _fragment_of(packet: Packet) -> tuple[tuple[object, ...], _Piece] | None:
    """Return the key of the datagram and the piece of it in a packet, None for no fragment."""
    layers = packet.layers
    for index, header in enumerate(layers):
        if not header.carries_fragment:
            continue
        octets = bytes(packet)
        packet._settle()
        start = packet.offset_of(header) + header.size
        data = octets[start : packet._extents(len(octets))[index]]
        if isinstance(header, IPv4):
            key = (4, header.src, header.dst, header.identification, header.protocol)
            claimed = header.total_length - header.size
            more = bool(header.flags & MORE_FRAGMENTS)
            return key, _Piece(4, 8 * header.fragment_offset, data, more, claimed)
        if isinstance(header, IPv6Fragment):
            network = next(own for own in reversed(layers[:index]) if own.is_network)
            if isinstance(network, IPv6):
                key6 = (6, network.src, network.dst, header.identification)
                claimed = packet.offset_of(network) + 40 + network.payload_length - start
                piece = _Piece(6, 8 * header.fragment_offset, data, bool(header.more), claimed)
                return key6, piece
    return None


def _take(entry: _Pending, packet: Packet, piece: _Piece, overlap: Overlap) -> bool:
    """Add a piece unless rule 2 leaves it out; return whether it spoilt the datagram."""
    stop = piece.start + len(piece.data)
    where = f"octets {piece.start} to {stop}"
    if piece.claimed > len(piece.data):
        entry.report("truncated", where, f"{piece.claimed} octets", "the capture cut this fragment")
    elif piece.more and len(piece.data) % 8:
        entry.report("length", where, "a multiple of 8", "a fragment in the middle ends unevenly")
    elif not piece.data and piece.more:
        entry.report("length", where, "some octets", "a fragment in the middle is empty")
    elif stop > LONGEST:
        entry.report("offset", where, f"up to {LONGEST}", "the datagram would be too long")
    elif entry.total is not None and (
        stop > entry.total or (not piece.more and stop != entry.total)
    ):
        entry.report("end", where, f"up to {entry.total}", "two fragments disagree about the end")
    elif not piece.more and entry.covered and entry.covered[-1][1] > stop:
        entry.report(
            "end", where, f"from {entry.covered[-1][1]} on", "two fragments disagree about the end"
        )
    else:
        if not piece.more:
            entry.total = stop
        if piece.start == 0 and (entry.first is None or overlap == "last"):
            entry.first = packet
        entry.add(piece.start, piece.data, overlap)
    return entry.spoilt


def _finished(entry: _Pending, overlap: Overlap) -> Datagram:
    first = entry.first
    assert first is not None
    data = entry.octets(overlap)
    headers: list[Header] = []
    for header in first.layers:
        own = header.copy()
        if header.carries_fragment:
            if isinstance(own, IPv4):
                own = _free(own)
                own.flags = int(own.flags) & ~MORE_FRAGMENTS
                own.fragment_offset = 0
                headers.append(own)
            else:
                _unpin(headers)
                _set_next_header(headers[-1], _next_header(header))
            break
        headers.append(own)
    try:
        packet = _rebuilt(headers, data)
    except ValueError:
        entry.report(
            "offset", f"{len(data)} octets", f"up to {LONGEST}", "the datagram is too long"
        )
        return Datagram(None, len(entry.parts), tuple(entry.findings))
    return Datagram(packet, len(entry.parts), tuple(entry.findings))


def _unfinished(entry: _Pending) -> Datagram:
    return Datagram(None, len(entry.parts), tuple(entry.findings), entry.gaps())

"""Reassembly of TCP streams from captured segments, RFC 9293 section 3.4 and 3.10.7.4.

Segments go in as they were captured; octets come out in order, each once, and what is missing comes
out as a `Gap`. This looks on from outside, so it takes more than a receiver would: a capture may
begin in the middle, lack segments that did arrive, and hold octets that never did.

Rules
    1. An octet that was seen first stays: a segment that overlaps what was delivered or is held
       back adds only octets that are new. Hosts differ in this, so a sender who wants to can show
       an onlooker something else than the receiver; no policy is right for all of them.
    2. Octets behind a hole are held back until the hole is filled. It is given up, and becomes a
       `Gap`, when the peer acknowledges octets behind it (they arrived, but were not captured),
       when more than a limit is held back, or at `flush`.
    3. The stream begins behind the SYN, or without one at the first segment with octets. Octets
       before the beginning are dropped as old.
    4. A SYN with another number starts a new connection: the old one ends with an `End`.
    5. FIN ends the stream where it stands; octets behind it are not the stream's. RST ends it at
       once; its own octets, if any, are a diagnosis and no data (section 3.5.3). Segments after an
       RST are still taken, since anybody may forge one.
    6. A segment more than 1 GiB ahead is outside every window that TCP can have (RFC 7323 section
       2.3) and is ignored.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Data", "End", "Event", "Gap", "Segment", "StreamHalf", "TcpStream", "TcpStreams"]

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

MAX_PENDING = 16 << 20  # octets held back in one direction: more than most windows
MAX_PENDING_IN_ALL = 256 << 20
MAX_STREAMS = 1 << 20

_MASK = 0xFFFF_FFFF
_HALF = 1 << 31
_MAX_WINDOW = 1 << 30
# What a piece that is held back costs beside its octets; without it a flood of segments of one
# octet would cost a hundred times the limit.
_PIECE_COST = 256

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment as it was captured.

    `octets` is what was captured of its data, `length` how many there were on the wire. `ack`
    counts only where `flags` has ACK.
    """

    seq: int
    flags: int
    octets: bytes = b""
    time_ns: int | None = None
    ack: int = 0
    length: int = -1

    def __post_init__(self) -> None:
        """Take the octets as all there were, unless there were more."""
        if self.length < len(self.octets):
            object.__setattr__(self, "length", len(self.octets))


@dataclass(frozen=True, slots=True)
class Data:
    """Octets in order. `seq` is the number of the first, `time_ns` when they were captured."""

    direction: int
    time_ns: int | None
    seq: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """`length` octets from `seq` on are missing; `time_ns` is when that was found."""

    direction: int
    time_ns: int | None
    seq: int
    length: int


@dataclass(frozen=True, slots=True)
class End:
    """The direction ended at `seq`: by FIN, by RST (`reset`), or for a new connection."""

    direction: int
    time_ns: int | None
    seq: int
    reset: bool = False


Event = Data | Gap | End


@dataclass(frozen=True, slots=True)
class _Piece:
    """Octets from `start` to before `end` that are held back; the last may not be captured."""

    start: int
    end: int
    octets: bytes
    time_ns: int | None

    def part(self, start: int, end: int) -> _Piece:
        octets = self.octets[start - self.start : end - self.start]
        return _Piece(start, end, octets, self.time_ns)


class StreamHalf:
    """One direction of a connection.

    Positions inside are sequence numbers that do not wrap: 2**32 is added with every turn.
    """

    __slots__ = (
        "_end",
        "_ended",
        "_first",
        "_next",
        "_pieces",
        "_start",
        "_starts",
        "direction",
        "max_pending",
        "pending",
    )

    def __init__(self, direction: int = 0, *, max_pending: int = MAX_PENDING) -> None:
        self.direction = direction
        self.max_pending = max_pending
        self.pending = 0
        """What is held back costs this many octets."""
        self._first: int | None = None  # the number of the SYN
        self._start = -1  # position of the first octet
        self._next = -1  # position of the octet that is waited for; -1 before the beginning
        self._end = -1  # position of the FIN
        self._ended = False
        self._starts: list[int] = []
        self._pieces: list[_Piece] = []

    def receive(self, segment: Segment) -> list[Event]:
        """Take a segment; return what can be delivered now."""
        events: list[Event] = []
        seq, flags, time_ns = segment.seq, segment.flags, segment.time_ns
        if flags & SYN:
            self._open(seq, time_ns, events)
            seq += 1
        if flags & RST:
            if self._next >= 0 and not self._ended:
                self._give_up(self._last(), time_ns, events)
                self._finish(time_ns, events, reset=True)
            return events
        if self._next < 0:
            if not segment.length and not flags & FIN:
                # The number in a bare ACK may be one short: a keep-alive (RFC 9293 section 3.8.4).
                return events
            self._begin(seq)
        start = self._position(seq)
        if start - self._next > _MAX_WINDOW:
            return events
        end = start + segment.length
        if flags & FIN and self._end < 0 and end >= self._next:
            self._end = end
        if self._end >= 0:
            end = min(end, self._end)
        if end > self._next:
            self._hold(_Piece(start, end, segment.octets, time_ns))
        self._deliver(time_ns, events)
        while self.pending > self.max_pending:
            self._give_up(self._starts[0], time_ns, events)
        return events

    def acknowledge(self, ack: int, time_ns: int | None) -> list[Event]:
        """Take an acknowledgement by the peer: what it says was there is waited for no more."""
        events: list[Event] = []
        if self._next < 0:
            return events
        position = self._position(ack)
        while self._starts and self._starts[0] < position:
            self._give_up(self._starts[0], time_ns, events)
        if not self._starts and self._next < self._end < position:
            self._give_up(self._end, time_ns, events)
        return events

    def flush(self, time_ns: int | None) -> list[Event]:
        """Deliver what is held back, with its gaps: nothing more will come."""
        events: list[Event] = []
        if self._next >= 0:
            self._give_up(self._last(), time_ns, events)
        return events

    def _open(self, seq: int, time_ns: int | None, events: list[Event]) -> None:
        if self._first == seq:
            return  # the SYN once more
        if self._next >= 0:
            if self._first is None and self._position(seq + 1) == self._start:
                self._first = seq  # captured behind the first segment that it makes way for
                return
            self._give_up(self._last(), time_ns, events)
            if not self._ended:
                self._finish(time_ns, events)
        self._first = seq
        self._begin(seq + 1)

    def _begin(self, seq: int) -> None:
        self._start = self._next = (seq & _MASK) + (1 << 32)
        self._end = -1
        self._ended = False

    def _position(self, seq: int) -> int:
        """Return the position of `seq` that is nearest to the one that is waited for."""
        ahead = (seq - self._next) & _MASK
        return self._next + (ahead - (1 << 32) if ahead >= _HALF else ahead)

    def _hold(self, piece: _Piece) -> None:
        """Add those octets of `piece` that are neither delivered nor held yet."""
        if not self._starts and piece.start <= self._next:
            self._insert(0, piece.part(self._next, piece.end))
            return
        start = max(piece.start, self._next)
        at = bisect_right(self._starts, start)
        if at and self._pieces[at - 1].end > start:
            start = self._pieces[at - 1].end
        while start < piece.end:
            until = self._starts[at] if at < len(self._starts) else piece.end
            end = min(until, piece.end)
            if start < end:
                self._insert(at, piece.part(start, end))
                at += 1
            if at == len(self._starts):
                return
            start = max(end, self._pieces[at].end)
            at += 1

    def _insert(self, at: int, piece: _Piece) -> None:
        self._starts.insert(at, piece.start)
        self._pieces.insert(at, piece)
        self.pending += len(piece.octets) + _PIECE_COST

    def _deliver(self, time_ns: int | None, events: list[Event]) -> None:
        """Deliver what is in order now."""
        done = 0
        for piece in self._pieces:
            if piece.start > self._next:
                break
            done += 1
            self.pending -= len(piece.octets) + _PIECE_COST
            if piece.octets:
                seq = piece.start & _MASK
                events.append(Data(self.direction, piece.time_ns, seq, piece.octets))
            captured = piece.start + len(piece.octets)
            if captured < piece.end:
                missing = piece.end - captured
                events.append(Gap(self.direction, piece.time_ns, captured & _MASK, missing))
            self._next = piece.end
        del self._starts[:done], self._pieces[:done]
        if self._next == self._end and not self._ended:
            self._finish(time_ns, events)

    def _give_up(self, until: int, time_ns: int | None, events: list[Event]) -> None:
        """Turn the holes before `until` into gaps, and deliver what is between them."""
        while self._next < until:
            end = min(self._starts[0], until) if self._starts else until
            events.append(Gap(self.direction, time_ns, self._next & _MASK, end - self._next))
            self._next = end
            self._deliver(time_ns, events)

    def _last(self) -> int:
        """Return the position up to which anything is known."""
        return max(self._next, self._end, self._starts[-1] if self._starts else -1)

    def _finish(self, time_ns: int | None, events: list[Event], *, reset: bool = False) -> None:
        self._ended = True
        events.append(End(self.direction, time_ns, self._next & _MASK, reset))


class TcpStream:
    """Both directions of a connection: direction 0 and direction 1."""

    __slots__ = ("halves",)

    def __init__(self, *, max_pending: int = MAX_PENDING) -> None:
        self.halves = (
            StreamHalf(0, max_pending=max_pending),
            StreamHalf(1, max_pending=max_pending),
        )

    @property
    def pending(self) -> int:
        """How many octets are held back."""
        return self.halves[0].pending + self.halves[1].pending

    def receive(self, direction: int, segment: Segment) -> list[Event]:
        """Take a segment; return what can be delivered now, of the other direction first."""
        events: list[Event] = []
        if segment.flags & ACK:
            events = self.halves[1 - direction].acknowledge(segment.ack, segment.time_ns)
        return events + self.halves[direction].receive(segment)

    def flush(self, time_ns: int | None) -> list[Event]:
        """Deliver what is held back, with its gaps: nothing more will come."""
        return self.halves[0].flush(time_ns) + self.halves[1].flush(time_ns)


class TcpStreams(Generic[Key]):
    """Many connections under one limit of memory, each by a key of the caller's.

    Rules
        1. When all together hold back more than `max_pending_in_all` octets, the connection that
           has held back longest gives up its holes.
        2. When there are more than `max_streams`, the connection that was quiet longest is flushed
           and forgotten; a later segment of it begins one in the middle.
    """

    def __init__(
        self,
        *,
        max_pending: int = MAX_PENDING,
        max_pending_in_all: int = MAX_PENDING_IN_ALL,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self.max_pending = max_pending
        self.max_pending_in_all = max_pending_in_all
        self.max_streams = max_streams
        self.pending = 0
        """What is held back in all costs this many octets."""
        self._streams: dict[Key, TcpStream] = {}  # the one that was quiet longest first
        self._waiting: dict[Key, None] = {}  # those that hold back, the longest waiting first

    def __len__(self) -> int:
        """Return how many connections are known."""
        return len(self._streams)

    def receive(self, key: Key, direction: int, segment: Segment) -> list[tuple[Key, Event]]:
        """Take a segment; return what can be delivered now, of other connections too."""
        stream = self._streams.pop(key, None) or TcpStream(max_pending=self.max_pending)
        self._streams[key] = stream
        before = stream.pending
        events = [(key, event) for event in stream.receive(direction, segment)]
        self._account(key, stream.pending - before, stream)
        while self.pending > self.max_pending_in_all:
            events += self._flush(next(iter(self._waiting)), segment.time_ns)
        while len(self._streams) > self.max_streams:
            oldest = next(iter(self._streams))
            events += self._flush(oldest, segment.time_ns)
            del self._streams[oldest]
        return events

    def flush(self, time_ns: int | None) -> list[tuple[Key, Event]]:
        """Deliver what any connection holds back, with its gaps: nothing more will come."""
        events = []
        for key in list(self._waiting):
            events += self._flush(key, time_ns)
        for key, stream in self._streams.items():
            events += [(key, event) for event in stream.flush(time_ns)]
        return events

    def _flush(self, key: Key, time_ns: int | None) -> list[tuple[Key, Event]]:
        stream = self._streams[key]
        before = stream.pending
        events = [(key, event) for event in stream.flush(time_ns)]
        self._account(key, stream.pending - before, stream)
        return events

    def _account(self, key: Key, change: int, stream: TcpStream) -> None:
        self.pending += change
        if stream.pending:
            self._waiting.setdefault(key)
        else:
            self._waiting.pop(key, None)

"""What happened to TCP segments: sent again, lost, late, waited for; round trips.

The verdicts are those of Wireshark's ``tcp.analysis`` fields, judged by ``kernels/tcp.py``;
``docs/analysis.md`` says what each means and where the two differ. A connection is one opening of a
flow: a SYN with another number on the same ports begins the next. Looked at are segments directly
behind the outermost IP header.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from sockwright.columns.gathering import (
    MAX_FLOWS,
    Batches,
    Gathering,
    for_compiled,
    grown,
    kernel,
    numbers,
)
from sockwright.columns.kernels import tcp as kernels
from sockwright.columns.kernels.tcp import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.columns.batch import Batch
    from sockwright.columns.capture_file import CaptureFile
    from sockwright.columns.gathering import Accept

__all__ = [
    "VERDICTS",
    "Judged",
    "TcpAnalysis",
    "TcpFlow",
    "tcp_flows",
    "tcp_verdicts",
    "verdict_names",
]

MAX_CONNECTIONS = 1 << 18
_FIRST_CONNECTIONS = 64
_MAX_NODES = 1 << 20  # segments that wait for their acknowledgment, of all connections
_MILLISECOND = 1_000_000

State = Literal["syn", "syn-ack", "established", "closing", "closed", "reset", "middle"]


@dataclass(frozen=True, slots=True)
class TcpFlow:
    """One connection: `src` sent its first segment. What is ``…_back`` came from `dst`.

    `state` is how far it was seen to go: "syn" and "syn-ack" while it opens, "established",
    "closing" after one FIN, "closed" after both, "reset"; "middle" for one whose opening was not
    captured and which did not end. `octets` counts data on the wire, what was sent again included.
    `handshake_rtt_ns` is from the SYN to the first ACK behind it; the others are from a segment to
    the ACK that covers it, and so of data that was sent by `src` (`rtt_…`) or `dst` (`rtt_back_…`).
    `verdicts` and `verdicts_back` count segments by verdict, those that occur.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "flow",
        "src",
        "src_port",
        "dst",
        "dst_port",
        "state",
        "packets",
        "octets",
        "packets_back",
        "octets_back",
        "handshake",
        "rtt",
        "found",
    )

    connection: int
    flow: int
    src: str
    src_port: int
    dst: str
    dst_port: int
    state: State
    packets: int
    octets: int
    packets_back: int
    octets_back: int
    start_ns: int
    duration_ns: int
    handshake_rtt_ns: int | None
    rtt_min_ns: int | None
    rtt_mean_ns: int | None
    rtt_max_ns: int | None
    rtt_back_min_ns: int | None
    rtt_back_mean_ns: int | None
    rtt_back_max_ns: int | None
    verdicts: dict[str, int]
    verdicts_back: dict[str, int]

    @property
    def handshake(self) -> str | None:
        """The round trip of the handshake, for people."""
        return _milliseconds(self.handshake_rtt_ns)

    @property
    def rtt(self) -> str | None:
        """The mean round trip of the data of the side that sent more, for people."""
        more = self.octets >= self.octets_back
        return _milliseconds(self.rtt_mean_ns if more else self.rtt_back_mean_ns)

    @property
    def found(self) -> str:
        """What was found in both directions together, for people."""
        both = {
            name: self.verdicts.get(name, 0) + self.verdicts_back.get(name, 0) for name in VERDICTS
        }
        return ", ".join(f"{name} {count}" for name, count in both.items() if count)


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdicts on one batch, as arrays with a place for each packet.

    `connection` is -1 for what is no TCP, `verdicts` are bits in the order of `VERDICTS`, `rtt_ns`
    is the time since the segment that this one acknowledges, -1 for none.
    """

    number: int
    connection: Any
    verdicts: Any
    rtt_ns: Any


class TcpAnalysis:
    """Judges the segments of one batch after the other.

    Up to `max_connections` are followed; segments of further ones have no verdict, and `untracked`
    counts them.
    """

    def __init__(
        self,
        *,
        accept: Accept | None = None,
        max_flows: int = MAX_FLOWS,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._gathering = Gathering(segments=True, accept=accept, max_flows=max_flows)
        self._current = numbers(0)
        self._state = numbers(kernels.WHOLE * _FIRST_CONNECTIONS)
        self._pool = numbers(0)
        self._control = numbers(kernels.CONTROL)
        self._control[kernels.MOST_CONNECTIONS] = max_connections
        self._control[kernels.FREE] = -1
        self._compiled = False

    @property
    def untracked(self) -> int:
        """How many segments belong to connections that there was no room for."""
        return int(self._control[kernels.UNTRACKED])

    def add(self, batch: Batch) -> Judged:
        """Judge the segments of `batch`."""
        found = self._gathering.add(batch)
        self._make_room(batch)
        size = len(batch)
        connection, verdicts, rtt = (numbers(size, compiled=batch.compiled) for _ in range(3))
        begin = 0
        while True:
            begin = kernel(kernels.judge, compiled=self._compiled)(
                begin,
                found.ids,
                found.present,
                found.back,
                found.accepted,
                batch.time_ns,
                found.segments,
                self._current,
                self._state,
                self._pool,
                self._control,
                connection,
                verdicts,
                rtt,
            )
            if begin == size:
                return Judged(batch.number, connection, verdicts, rtt)
            self._state = grown(self._state, 2 * len(self._state))

    def connections(self) -> Iterator[TcpFlow]:
        """Yield the connections so far, in the order of their first segments."""
        for number in range(int(self._control[kernels.CONNECTIONS])):
            start = kernels.WHOLE * number
            yield self._row(number, [int(n) for n in self._state[start : start + kernels.WHOLE]])

    def _make_room(self, batch: Batch) -> None:
        if batch.compiled and not self._compiled:
            self._compiled = True
            self._current, self._state, self._pool, self._control = map(
                for_compiled, (self._current, self._state, self._pool, self._control)
            )
        flows = self._gathering.flows
        if flows > len(self._current):
            before = len(self._current)
            self._current = grown(self._current, 2 * flows)
            for flow in range(before, 2 * flows):
                self._current[flow] = -1
        used = int(self._control[kernels.NODES])
        nodes = min(used + len(batch), _MAX_NODES)
        if nodes * kernels.NODE > len(self._pool):
            self._pool = grown(self._pool, kernels.NODE * min(2 * nodes, _MAX_NODES))
        self._control[kernels.MOST_NODES] = len(self._pool) // kernels.NODE

    def _row(self, number: int, state: list[int]) -> TcpFlow:
        flow = self._gathering.flow(state[kernels.FLOW])
        halves = [
            state[kernels.CONNECTION : kernels.CONNECTION + kernels.HALF],
            state[kernels.CONNECTION + kernels.HALF :],
        ]
        ends = [(flow.src, flow.src_port), (flow.dst, flow.dst_port)]
        if state[kernels.FIRST_WAY]:
            halves.reverse()
            ends.reverse()
        there, back = halves
        handshake = state[kernels.HANDSHAKE_RTT]
        return TcpFlow(
            number,
            flow.number,
            *ends[0],
            *ends[1],
            _state(state[kernels.SEEN]),
            there[kernels.PACKETS],
            there[kernels.OCTETS],
            back[kernels.PACKETS],
            back[kernels.OCTETS],
            state[kernels.FIRST_TIME],
            max(0, state[kernels.LAST_TIME] - state[kernels.FIRST_TIME]),
            handshake if handshake >= 0 else None,
            *_round_trips(there),
            *_round_trips(back),
            _counts(there),
            _counts(back),
        )


def tcp_flows(
    capture: CaptureFile,
    accept: Accept | None = None,
    *,
    max_flows: int = MAX_FLOWS,
    max_connections: int = MAX_CONNECTIONS,
) -> Iterator[TcpFlow]:
    """Yield the TCP connections of a capture, in the order of their first segments.

    With `accept`, segments that it does not accept are as if they were not in the capture.

    Raises: TruncatedError or DecodeError behind the last row, where the capture ends in the middle.
    """
    analysis = TcpAnalysis(accept=accept, max_flows=max_flows, max_connections=max_connections)
    batches = Batches(capture)
    for batch in batches:
        analysis.add(batch)
    yield from analysis.connections()
    batches.finish()


def tcp_verdicts(capture: CaptureFile) -> Iterator[Judged]:
    """Yield the verdicts on the segments of a capture, batch by batch.

    Raises: as `tcp_flows`.
    """
    analysis = TcpAnalysis()
    batches = Batches(capture)
    for batch in batches:
        yield analysis.add(batch)
    batches.finish()


def verdict_names(bits: int) -> tuple[str, ...]:
    """Return the names of verdicts that are given as bits."""
    return tuple([name for place, name in enumerate(VERDICTS) if bits >> place & 1])


def _state(seen: int) -> State:
    if seen & kernels.SAW_RST:
        return "reset"
    if seen & kernels.SAW_BOTH_FINS:
        return "closed"
    if seen & kernels.SAW_FIN:
        return "closing"
    opened = seen & (kernels.SAW_SYN | kernels.SAW_SYN_ACK)
    if not opened:
        return "middle"
    if seen & (kernels.SAW_ACK | kernels.SAW_DATA):
        return "established"
    return "syn-ack" if seen & kernels.SAW_SYN_ACK else "syn"


def _round_trips(half: list[int]) -> tuple[int | None, int | None, int | None]:
    count = half[kernels.RTT_COUNT]
    if not count:
        return None, None, None
    return half[kernels.RTT_MIN], half[kernels.RTT_SUM] // count, half[kernels.RTT_MAX]


def _counts(half: list[int]) -> dict[str, int]:
    counts = half[kernels.COUNTS :]
    return {name: count for name, count in zip(VERDICTS, counts, strict=True) if count}


def _milliseconds(nanoseconds: int | None) -> str | None:
    return None if nanoseconds is None else f"{nanoseconds / _MILLISECOND:.3f} ms"

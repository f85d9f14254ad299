"""Who speaks with whom, how much, and for how long: conversations and endpoints.

A conversation is a flow (``flow.id``): IP packets between the same two addresses, of the same
protocol, between the same ports, in both directions. Packets without IP have none. Octets are those
on the wire, frames included, as in ``frame.length``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sockwright.columns.batch import NO_TIME
from sockwright.columns.gathering import MAX_FLOWS, Batches, Gathering, grown, kernel, numbers
from sockwright.columns.kernels.groups import TOTALS, tally
from sockwright.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.columns.capture_file import CaptureFile
    from sockwright.columns.gathering import Accept, Flow

__all__ = ["Conversation", "EndpointTotals", "conversations", "endpoints"]

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Conversation:
    """A flow: `src` sent its first packet. Packets and octets from there, and those back.

    `start_ns` is None in captures without times, `octets_per_s` where all came in one moment.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "flow",
        "protocol",
        "src",
        "src_port",
        "dst",
        "dst_port",
        "packets",
        "octets",
        "packets_back",
        "octets_back",
        "duration",
    )

    flow: int
    protocol: str
    src: str
    src_port: int
    dst: str
    dst_port: int
    packets: int
    octets: int
    packets_back: int
    octets_back: int
    start_ns: int | None
    duration_ns: int
    octets_per_s: float | None

    @property
    def duration(self) -> str:
        """The duration in seconds, for people."""
        return f"{self.duration_ns / _SECOND:.6f} s"


@dataclass(frozen=True, slots=True)
class EndpointTotals:
    """What an address sent and received."""

    address: str
    packets: int
    octets: int
    packets_sent: int
    octets_sent: int
    packets_received: int
    octets_received: int


def conversations(
    capture: CaptureFile, accept: Accept | None = None, *, max_flows: int = MAX_FLOWS
) -> Iterator[Conversation]:
    """Yield the conversations of a capture, in the order in which they appear.

    With `accept`, only the packets that it accepts count; flows keep their numbers.

    Raises: TruncatedError or DecodeError behind the last row, where the capture ends in the middle.
    """
    for flow, (packets, octets, packets_back, octets_back, start, end) in _totals(
        capture, accept, max_flows
    ):
        timed = start != NO_TIME
        duration = end - start if timed and end != NO_TIME else 0
        rate = (octets + octets_back) * _SECOND / duration if duration > 0 else None
        yield Conversation(
            flow.number,
            flow.protocol,
            flow.src,
            flow.src_port,
            flow.dst,
            flow.dst_port,
            packets,
            octets,
            packets_back,
            octets_back,
            start if timed else None,
            duration,
            rate,
        )


def endpoints(
    capture: CaptureFile, accept: Accept | None = None, *, max_flows: int = MAX_FLOWS
) -> Iterator[EndpointTotals]:
    """Yield the IP addresses of a capture with what they sent and received, the busiest first.

    Raises: as `conversations`.
    """
    sums: dict[str, list[int]] = {}
    flows = _totals(capture, accept, max_flows)
    error = None
    try:
        for flow, (packets, octets, packets_back, octets_back, _, _) in flows:
            there = sums.setdefault(flow.src, [0, 0, 0, 0])
            back = sums.setdefault(flow.dst, [0, 0, 0, 0])
            for place, number in enumerate((packets, octets, packets_back, octets_back)):
                there[place] += number
                if flow.src != flow.dst:
                    back[place ^ 2] += number
    except DecodeError as cut:
        error = cut
    for address, (sent, sent_octets, got, got_octets) in sorted(
        sums.items(), key=lambda item: -item[1][1] - item[1][3]
    ):
        yield EndpointTotals(
            address, sent + got, sent_octets + got_octets, sent, sent_octets, got, got_octets
        )
    if error is not None:
        raise error


def _totals(
    capture: CaptureFile, accept: Accept | None, max_flows: int
) -> Iterator[tuple[Flow, tuple[int, ...]]]:
    """Yield the flows with their sums; raise what ended the capture early behind them."""
    gathering = Gathering(flows=True, accept=accept, max_flows=max_flows)
    totals = numbers(0)
    batches = Batches(capture)
    for batch in batches:
        found = gathering.add(batch)
        needed = TOTALS * gathering.flows
        if len(totals) < needed or batch.compiled == hasattr(totals, "typecode"):
            totals = grown(totals, max(needed, 2 * len(totals)), compiled=gathering.compiled)
        kernel(tally, compiled=gathering.compiled)(
            found.ids,
            found.present,
            found.back,
            batch.original,
            batch.time_ns,
            found.accepted,
            totals,
        )
    for number in range(gathering.flows):
        sums = tuple(int(n) for n in totals[TOTALS * number : TOTALS * (number + 1)])
        if sums[0] + sums[2]:
            yield gathering.flow(number), sums
    batches.finish()

"""The data of one flow, in order: TCP as a stream with its gaps, UDP datagram by datagram.

TCP is put together by `machines.tcp_stream`, whose rules say what becomes of overlaps, holes and
resets. Memory is bounded by what it holds back, and by one batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sockwright.columns.batch import NO_TIME
from sockwright.columns.gathering import MAX_FLOWS, Batches, Gathering
from sockwright.columns.kernels.groups import IS_TCP, IS_UDP, PROTOCOL, SEGMENT
from sockwright.columns.kernels.segments import ACK, CAPTURED, DATA, FLAGS, LENGTH, SEQ
from sockwright.machines import Data, Gap, Segment, TcpStream
from sockwright.machines.tcp_stream import MAX_PENDING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.columns.batch import Batch
    from sockwright.columns.capture_file import CaptureFile
    from sockwright.columns.gathering import Gathered
    from sockwright.machines.tcp_stream import Event

__all__ = ["Piece", "follow"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Octets that one side of a flow sent, or `gap` octets that are missing, or its end.

    `direction` is "there" for the side that sent the flow's first packet, "back" for the other.
    `ended` is "closed" (FIN), "reset" (RST), or "" where the stream goes on.
    """

    direction: Literal["there", "back"]
    time_ns: int | None
    octets: bytes
    gap: int = 0
    ended: Literal["", "closed", "reset"] = ""


def follow(
    capture: CaptureFile,
    flow_id: int,
    *,
    max_pending: int = MAX_PENDING,
    max_flows: int = MAX_FLOWS,
) -> Iterator[Piece]:
    """Yield what was sent in the flow `flow_id` (``flow.id``), TCP or UDP.

    At most `max_pending` octets are held back in each direction until a hole is filled.

    Raises: ValueError where there is no such flow, or it carries neither TCP nor UDP;
    TruncatedError or DecodeError behind the last piece, where the capture ends in the middle.
    """
    gathering = Gathering(segments=True, max_flows=max_flows)
    stream = TcpStream(max_pending=max_pending)
    batches = Batches(capture)
    followed = False
    time_ns = None
    for batch in batches:
        found = gathering.add(batch)
        for row in _rows(found, flow_id):
            at = SEGMENT * row
            protocol = int(found.segments[at + PROTOCOL])
            way = int(found.back[row])
            time_ns = _time(batch, row)
            if protocol == IS_TCP:
                followed = True
                for event in stream.receive(way, _segment(batch, found, row, time_ns)):
                    yield _piece(event)
            elif protocol == IS_UDP:
                followed = True
                octets = _octets(batch, found, row)
                missing = int(found.segments[at + LENGTH]) - len(octets)
                yield Piece(_DIRECTIONS[way], time_ns, octets)
                if missing > 0:
                    yield Piece(_DIRECTIONS[way], time_ns, b"", missing)
    for event in stream.flush(time_ns):
        yield _piece(event)
    if batches.error is None and not followed:
        raise ValueError(_why_not(gathering, flow_id))
    batches.finish()


_DIRECTIONS: tuple[Literal["there"], Literal["back"]] = ("there", "back")


def _rows(found: Gathered, flow_id: int) -> Iterator[int]:
    """Yield the rows of a flow."""
    if hasattr(found.ids, "nonzero"):
        yield from ((found.ids == flow_id) & (found.present != 0)).nonzero()[0].tolist()
        return
    for row, flow in enumerate(found.ids):
        if flow == flow_id and found.present[row]:
            yield row


def _time(batch: Batch, row: int) -> int | None:
    time_ns = int(batch.time_ns[row])
    return None if time_ns == NO_TIME else time_ns


def _octets(batch: Batch, found: Gathered, row: int) -> bytes:
    at = SEGMENT * row
    start = int(found.segments[at + DATA])
    return bytes(batch.octets[start : start + int(found.segments[at + CAPTURED])])


def _segment(batch: Batch, found: Gathered, row: int, time_ns: int | None) -> Segment:
    numbers = found.segments[SEGMENT * row : SEGMENT * (row + 1)]
    return Segment(
        seq=int(numbers[SEQ]),
        flags=int(numbers[FLAGS]),
        octets=_octets(batch, found, row),
        time_ns=time_ns,
        ack=int(numbers[ACK]),
        length=int(numbers[LENGTH]),
    )


def _piece(event: Event) -> Piece:
    direction = _DIRECTIONS[event.direction]
    if isinstance(event, Data):
        return Piece(direction, event.time_ns, event.octets)
    if isinstance(event, Gap):
        return Piece(direction, event.time_ns, b"", event.length)
    return Piece(direction, event.time_ns, b"", ended="reset" if event.reset else "closed")


def _why_not(gathering: Gathering, flow_id: int) -> str:
    if 0 <= flow_id < gathering.flows:
        flow = gathering.flow(flow_id)
        return f"flow {flow_id} is {flow.protocol} from {flow.src} to {flow.dst}, without a stream"
    if not gathering.flows:
        return f"there is no flow {flow_id}: the capture holds no IP packet"
    return f"there is no flow {flow_id}: the capture has 0 to {gathering.flows - 1}"

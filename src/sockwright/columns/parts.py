"""Walk through a capture in several places at once, and let nothing come of a wrong guess.

A regular file is split where records seem to start (`kernels/resync.py`). Each part is walked
through and worked on by one thread. Then the joins are checked: the walk through a part must have
come to the octet where the next part was taken to start, knowing the same byte order and
interfaces. Where that is not so, the guess was wrong: what came of it is thrown away, and the walk
before goes on over that part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from sockwright.columns.compiling import compiled, cores, in_parallel
from sockwright.columns.indexing import MOST, Walk
from sockwright.columns.kernels.resync import find_pcap, find_pcapng
from sockwright.columns.supply import PIECE, Regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.columns.batch import Batch
    from sockwright.columns.indexing import State
    from sockwright.errors import DecodeError

R = TypeVar("R")

__all__ = ["Part", "error_of", "parts_of", "walk_parts"]

_LEAST = 8 << 20  # octets of a part: less is not worth a thread
_EACH = 4  # parts for each thread, so that all end at about the same time
_SEEN = 256 << 10  # octets that are searched for a start; then the part joins the one before


@dataclass(slots=True)
class Part(Generic[R]):
    """What came of one part: the walk that went through it, and what `work` made of its batches.

    `first` counts the records before it, `records` those in it. The walk started at the octet
    `start`, and `base` records are before that.
    """

    walk: Walk
    result: R
    first: int
    records: int
    start: int
    base: int


def walk_parts(
    supply: Regular,
    max_captured: int,
    work: Callable[[Iterator[Batch]], R],
    threads: int | None = None,
) -> list[Part[R]]:
    """Return what `work` makes of the batches of each part of a file, in order.

    `work` has to go through all batches; their numbers count from 1 in each part.
    """
    threads = threads or cores()

    def run(piece: tuple[int, int | None]) -> tuple[Walk, State, R]:
        start, stop = piece
        walk = Walk(supply.again(), max_captured)
        if start:
            walk.skip_to(start)
        known = walk.state
        return walk, known, work(walk.batches(MOST, compiled=True, stop=stop))

    starts = _starts(supply, max_captured, threads) if threads > 1 else []
    pieces = list(zip([0, *starts], [*starts, None], strict=True))
    found: list[Part[R]] = []
    for (start, stop), (walk, known, result) in zip(
        pieces, in_parallel(run, pieces, threads), strict=True
    ):
        if not found:
            found.append(Part(walk, result, 0, walk.records, start=0, base=0))
            continue
        last = found[-1]
        first = last.first + last.records
        before = last.walk
        if before.ended or (stop is not None and before.at >= stop):
            continue
        if (before.at, before.state) == (start, known):
            found.append(Part(walk, result, first, walk.records, start=start, base=first))
            continue
        counted = before.records
        again = work(before.batches(MOST, compiled=True, stop=stop))
        records = before.records - counted
        found.append(Part(before, again, first, records, start=last.start, base=last.base))
    return found


def error_of(found: list[Part[R]], supply: Regular, max_captured: int) -> DecodeError | None:
    """Return what ended the walk before the end of the file, None for nothing.

    A walk that began in the middle counts records from there, so it is walked once more to tell the
    right number.
    """
    last = found[-1]
    if last.walk.error is None or not last.base:
        return last.walk.error
    walk = Walk(supply.again(), max_captured)
    walk.skip_to(last.start)
    walk.records = last.base
    for _ in walk.batches(MOST, compiled=True):
        pass
    return walk.error


def parts_of(size: int, threads: int | None = None) -> int:
    """Return into how many parts at most a file of `size` octets is split; 0 if it is not."""
    threads = threads or cores()
    return min(threads * _EACH, size // _LEAST) if threads > 1 else 0


def _starts(supply: Regular, max_captured: int, threads: int) -> list[int]:
    """Return where parts seem to start, but for the first."""
    size = supply.size or 0
    count = parts_of(size, threads)
    if count < 2:
        return []
    walk = Walk(supply.again(), max_captured)
    walk.skip_to(walk.at)
    found: list[int] = []
    for number in range(1, count):
        place = (size * number // count) & ~3
        window = supply.window(place, PIECE)
        start = _find(walk, window.octets)
        if 0 <= start <= _SEEN:
            found.append(place + start)
    return found


def _find(walk: Walk, octets: memoryview) -> int:
    import numpy as np

    array = np.frombuffer(octets, np.uint8)
    if walk.format == "pcapng":
        return compiled(find_pcapng)(array, 0, walk.state[0])
    if walk.format == "pcap":
        big, unit_ns, header_size, minor = walk.variant
        ticks = 1_000_000_000 // unit_ns
        return compiled(find_pcap)(array, 0, big, ticks, header_size, int(minor < 3))
    return -1

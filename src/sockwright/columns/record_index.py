"""Where each record of a capture starts, to take records out of the middle.

8 octets a record are kept; all else is read from the record again, which the walk has found whole.
The file is mapped for that: whoever truncates it meanwhile ends this process when a page that is
gone is touched (SIGBUS), which Python cannot catch.
"""

from __future__ import annotations

import mmap
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from sockwright.columns.indexing import Rows, Walk
from sockwright.columns.kernels.octets import u32
from sockwright.columns.parts import Part, error_of, walk_parts
from sockwright.columns.supply import InMemory, Regular
from sockwright.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.columns.batch import Batch
    from sockwright.columns.indexing import State
    from sockwright.columns.supply import Supply

__all__ = ["RecordIndex"]


class RecordIndex:
    """The starts of all records of a capture that is at rest.

    `error` is what ended the walk before the end of the capture, `interfaces` are all there are.
    """

    def __init__(self, supply: Supply, max_captured: int, *, compiled: bool) -> None:
        parts: list[Part[Any]]
        if compiled and isinstance(supply, Regular):
            parts = walk_parts(supply, max_captured, _starts_in)
            self.error = error_of(parts, supply, max_captured)
        else:
            walk = Walk(supply, max_captured)
            found = _starts_in(walk.batches(compiled=compiled))
            parts = [Part(walk, found, 0, walk.records, start=0, base=0)]
            self.error = walk.error
        self._walk = max((part.walk for part in parts), key=lambda walk: walk.state[2])
        self.interfaces = self._walk.interfaces
        self._starts: Any = _joined([part.result for part in parts])
        self._segments: list[tuple[int, State]] = []
        self._odd: dict[int, tuple[int, ...]] = {}
        for walk, base in {id(part.walk): (part.walk, part.base) for part in parts}.values():
            self._segments += [(base + number, state) for number, state in walk.segments]
            self._odd |= {base + number: values for number, values in walk.odd.items()}
        self._octets = _mapped(supply)

    def __len__(self) -> int:
        return len(self._starts)

    def batches(self, first: int, stop: int, most: int, *, compiled: bool) -> Iterator[Batch]:
        """Yield the records from `first` to before `stop`, counted from 0."""
        octets: Any = self._octets
        if compiled:
            import numpy as np

            octets = np.frombuffer(octets, np.uint8)
        while first < stop:
            batch = self._batch(octets, first, min(first + most, stop), compiled=compiled)
            yield batch
            first += len(batch)

    def _batch(self, octets: Any, first: int, stop: int, *, compiled: bool) -> Batch:
        rows = stop - first
        columns = Rows.of(rows, compiled=compiled)
        end = len(octets)
        segment = bisect_right(self._segments, first, key=lambda item: item[0]) - 1
        row = 0
        at = int(self._starts[first])
        while row < rows:
            at = int(self._starts[first + row])
            while segment + 1 < len(self._segments) and (
                self._segments[segment + 1][0] <= first + row
            ):
                segment += 1
            odd = self._odd.get(first + row)
            if odd is not None:
                base, start, begin, *rest = odd
                columns.put(row, (base + start, base + begin, *rest))
                row += 1
                at += u32(self._octets, at + 4, self._segments[segment][1][0])
                continue
            until = rows
            if segment + 1 < len(self._segments):
                until = min(rows, self._segments[segment + 1][0] - first)
            state = self._segments[segment][1]
            filled, at, _ = self._walk.fill((octets, at, end, end), (row, until), columns, state)
            if filled == row:
                raise DecodeError(self._walk.format, at, "the file was changed after it was opened")
            row = filled
        return columns.batch(
            rows, first + 1, octets, self.interfaces, record_end=at, format=self._walk.format
        )


def _starts_in(batches: Iterator[Batch]) -> Any:
    """Return the offsets of the records of `batches`."""
    found = []
    for batch in batches:
        if batch.compiled:
            found.append(batch.record_start + batch.base)
        else:
            found.append(array("q", [batch.base + start for start in batch.record_start]))
    return _joined(found)


def _joined(parts: list[Any]) -> Any:
    if parts and not isinstance(parts[0], array):
        import numpy as np

        return np.concatenate(parts)
    joined = array("q")
    for part in parts:
        joined.extend(part)
    return joined


def _mapped(supply: Supply) -> memoryview:
    """Return all octets of a capture that is at rest."""
    if isinstance(supply, Regular):
        if not supply.size:
            return memoryview(b"")
        mapping = mmap.mmap(supply.descriptor, supply.size, access=mmap.ACCESS_READ)
        return memoryview(mapping)
    if isinstance(supply, InMemory):
        return supply.window(0, 0).octets
    raise AssertionError("a stream is spooled first")

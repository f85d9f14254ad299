"""Fill columns: batch by batch, part by part, and put the parts together.

Each part of a capture is gone through by one thread: batch by batch the kernel fills an arena, and
flows and stacks of layers get numbers that count within the part. Then the parts are put in their
order, and the numbers are turned into those of the whole capture. The arenas stay as they are: a
column that lies in one of them is a view of it, one that lies in several is put together when it is
first asked for.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sockwright.columns.columns import Columns, Held, Table, as_shown
from sockwright.columns.fields import FieldInfo, checksum_ok
from sockwright.columns.kernels import fill as kernel
from sockwright.columns.kernels.checksum import ASK, NULL, RIGHT, WRONG
from sockwright.columns.kernels.flow import KEY, flow_ids, place_flows
from sockwright.columns.kernels.index import NO_TIME
from sockwright.columns.layout import layout
from sockwright.columns.parts import parts_of
from sockwright.columns.plan import STANDARD, Arena, Column, Plan, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from sockwright.columns.batch import Batch
    from sockwright.columns.capture_file import CaptureFile, CaptureSlice
    from sockwright.records import Interface

    Array = NDArray[Any]
    Mask = NDArray[np.bool_]

__all__ = ["STANDARD", "Columns", "columns_of", "fill_batch"]

_MOST_ROWS = 1 << 20  # of an arena
_FLOWS = 4096  # places that a table of flows starts with


def columns_of(capture: CaptureFile | CaptureSlice, names: Sequence[str] = ()) -> Columns:
    """Return the columns called `names` of a capture; without names, those in `STANDARD`.

    Raises: ValueError for a name that is not known, or has no column; TypeError for no name at all.
    """
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"columns are named one by one: columns(*names), not {name!r}")
    plan = Plan(names or STANDARD)
    size = capture.size or 0
    share = size // (parts_of(size) or 1)

    spare: list[Workspace] = []  # left by parts that are done; fresh memory takes its time

    def work(batches: Iterator[Batch]) -> Part:
        part = Part(plan, share, spare)
        for batch in batches:
            part.add(batch)
        part.close()
        return part

    parts = capture.in_parts(work)
    return joined(plan, parts, capture, capture.interfaces)


class Filler:
    """Makes columns of one batch after the other; numbers of flows go on from batch to batch.

    For one thread at a time. Raises: ValueError as `columns_of`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.plan = Plan(names)
        self._part = Part(self.plan)

    def fill(self, batch: Batch) -> Columns:
        """Return the columns of a batch. They stay, whatever is filled next."""
        self._part.segments.clear()
        self._part.add(batch)
        return joined(self.plan, [self._part], None, batch.interfaces)


def fill_batch(batch: Batch, plan: Plan) -> Columns:
    """Return the columns of a plan for one batch; numbers of flows count within it."""
    part = Part(plan)
    part.add(batch)
    return joined(plan, [part], None, batch.interfaces)


@dataclass(slots=True)
class _Segment:
    """An arena, and how many of its rows are in use."""

    arena: Arena
    compiled: bool
    rows: int = 0


class _Flows:
    """The flows met so far, as `kernels/flow.py` keeps them."""

    def __init__(self) -> None:
        self.count = 0
        self.known = array("q")
        self._slots = array("q")
        self._grow(_FLOWS)

    def number(
        self,
        keys: Any,
        size: int,
        arrays: tuple[Any, ...],
        row: int,
        *,
        compiled: bool,
    ) -> None:
        """Give numbers to the flows of `size` packets; `arrays` are ids, presence and direction."""
        begin = 0
        while True:
            begin, self.count = _kernel(flow_ids, compiled)(
                _array_of(keys, compiled),
                0,
                begin,
                size,
                *arrays,
                row,
                _array_of(self._slots, compiled),
                _array_of(self.known, compiled),
                self.count,
            )
            if begin == size:
                return
            self._grow(2 * len(self._slots), compiled=compiled)

    def _grow(self, slots: int, *, compiled: bool = False) -> None:
        self._slots = array("q", bytes(8 * slots))
        self.known.extend(array("q", bytes(8 * (KEY * slots // 2 - len(self.known)))))
        _kernel(place_flows, compiled)(
            _array_of(self.known, compiled), self.count, _array_of(self._slots, compiled)
        )


def _kernel(function: Any, compiled: bool) -> Any:  # any kernel
    """Return a kernel, as it is or compiled."""
    if not compiled:
        return function
    from sockwright.columns import compiling

    return compiling.compiled(function)


def _array_of(numbers: Any, compiled: bool) -> Any:
    """Return an array.array of 64 bits as the kernel wants it."""
    if not compiled or not isinstance(numbers, array):
        return numbers
    import numpy as np

    return np.frombuffer(numbers, np.int64)


class Part:
    """Columns of consecutive batches, filled by one thread."""

    def __init__(self, plan: Plan, size: int = 0, spare: list[Workspace] | None = None) -> None:
        self.plan = plan
        self._size = size  # octets of the capture that may still come
        self.segments: list[_Segment] = []
        self.number = 1  # of the first packet, in the capture
        self.interfaces: tuple[Interface, ...] = ()
        self.flows = _Flows() if plan.has_flows else None
        # Stacks of layers by their number in this part.
        self.stacks: dict[tuple[int, ...], int] = {}
        self._workspace: Workspace | None = None
        self._spare = spare if spare is not None else []

    def add(self, batch: Batch) -> None:
        """Fill the next rows with a batch."""
        compiled = batch.compiled
        segment = self.segments[-1] if self.segments else None
        if segment is None:
            self.number = batch.number
        if (
            segment is None
            or segment.compiled != compiled
            or segment.rows + len(batch) > segment.arena.rows
        ):
            arena = Arena(self.plan, self._rows_to_come(batch), compiled=compiled)
            segment = _Segment(arena, compiled)
            self.segments.append(segment)
        workspace = self._workspace_for(compiled=compiled)
        self.interfaces = batch.interfaces
        chains = workspace.run(batch, segment.arena, segment.rows)
        self._finish(batch, segment, workspace, chains)
        segment.rows += len(batch)
        self._size -= _octets_of(batch)

    def close(self) -> None:
        """Leave the working memory to the next part."""
        if self._workspace is not None:
            self._spare.append(self._workspace)
            self._workspace = None

    def _workspace_for(self, *, compiled: bool) -> Workspace:
        """Return working memory of the kind wanted, one that another part has left if there is."""
        found = self._workspace
        if found is None and self._spare:
            found = self._spare.pop()
        if found is None or found.compiled != compiled:
            found = Workspace(self.plan, compiled=compiled)
        self._workspace = found
        return found

    def _rows_to_come(self, batch: Batch) -> int:
        """Guess how many rows there will be, from those of `batch` on, for one arena.

        Too many are memory that is never touched, but for the large pages that columns share.
        """
        rows = self._size * len(batch) // max(_octets_of(batch), 1)
        return max(len(batch), min(rows + rows // 16, _MOST_ROWS))

    def _finish(
        self,
        batch: Batch,
        segment: _Segment,
        workspace: Workspace,
        chains: list[tuple[int, ...]],
    ) -> None:
        """Fill what does not come out of the kernel by itself."""
        import numpy as np

        first, end = segment.rows, segment.rows + len(batch)

        def rows_of(column: Column) -> Array:
            return _array(segment.arena, column, end)[first:]

        for column in self.plan.columns:
            info = column.info
            if info.layer == "frame" and info.field:
                target = rows_of(column)
                if info.field == "protocols":
                    numbers = [self.stacks.setdefault(chain, len(self.stacks)) for chain in chains]
                    np.take(np.array(numbers, np.uint32), target, out=target)
                else:
                    _copy_frame(batch, info.field, target)
                    if column.present is not None:
                        rows_of(column.present)[:] = target != NO_TIME
            elif info.field == "checksum_ok" and column.present is not None:
                found = rows_of(column)
                for row in np.flatnonzero(found == ASK):
                    found[row] = _asked(batch, int(row), info)
                rows_of(column.present)[:] = found != NULL
                found[:] = found == RIGHT
        if self.flows is not None:
            there, ids, back = self.plan.flows
            arrays = [_array(segment.arena, column, end) for column in (ids, there, back)]
            self.flows.number(
                workspace.keys, len(batch), tuple(arrays), first, compiled=segment.compiled
            )


def _renumber(there: Array, flows: Array, back: Array, ids: Array, turned: Array) -> None:
    """Turn numbers of flows within a part into those of the whole, and directions with them."""
    import numpy as np

    if len(ids) and (ids[-1] != len(ids) - 1 or turned.any()):
        back ^= turned[flows] & there
        np.multiply(ids[flows], there, out=flows)  # 0 where there is no flow


def _octets_of(batch: Batch) -> int:
    """Return the octets of the records of a batch."""
    return int(batch.record_end) - int(batch.record_start[0]) if len(batch) else 0


def _array(arena: Arena, column: Column, rows: int) -> Array:
    """Return the first rows of a column as the kernel writes it."""
    import numpy as np

    kind = (np.uint8, np.uint16, np.uint32, np.int64, np.uint8)[column.width]
    found = np.frombuffer(
        arena.whole, kind, rows * column.size // column.element, arena.starts[column.index]
    )
    return found.reshape(rows, column.size) if column.width == kernel.OCTETS else found


def _copy_frame(batch: Batch, name: str, target: Array) -> None:
    import numpy as np

    source = {
        "time_ns": batch.time_ns,
        "length": batch.original,
        "captured_length": batch.captured,
        "interface": batch.interface,
        "link_type": batch.interface,
    }[name]
    numbers: Any = np.asarray(source)
    if name == "link_type":
        known = np.asarray(batch.link_types)
        numbers = known[numbers] if len(known) > 1 else known
    target[:] = numbers


def _asked(batch: Batch, row: int, info: FieldInfo) -> int:
    """Judge a checksum by the scalar decode, which knows about source routes."""
    packet = batch.packet(row)
    nth = -1
    for index, header in enumerate(packet.layers):
        nth += header.layer == info.layer
        if nth == info.nth and header.layer == info.layer:
            verdict = checksum_ok(packet, header, index)
            return NULL if verdict is None else RIGHT if verdict else WRONG
    return NULL


def joined(
    plan: Plan,
    parts: list[Part],
    capture: CaptureFile | CaptureSlice | None,
    interfaces: tuple[Interface, ...],
) -> Columns:
    """Put parts in a row, and turn their numbers of flows and stacks into those of the whole."""
    import numpy as np

    flows = _Flows() if plan.has_flows and len(parts) > 1 else None
    stacks: dict[tuple[int, ...], int] = {}
    for part in parts:
        numbers = [stacks.setdefault(chain, len(stacks)) for chain in part.stacks]
        if flows is not None and part.flows is not None:
            count = part.flows.count
            ids, spare, turned = (np.zeros(count, kind) for kind in (np.uint32, np.uint8, np.uint8))
            compiled = any(segment.compiled for segment in part.segments)
            flows.number(part.flows.known, count, (ids, spare, turned), 0, compiled=compiled)
        for segment in part.segments:
            protocols = plan.named.get("frame.protocols")
            if protocols is not None:
                found = _array(segment.arena, protocols, segment.rows)
                np.take(np.array(numbers, np.uint32), found, out=found)
            if flows is not None:
                there, local, back = (
                    _array(segment.arena, column, segment.rows) for column in plan.flows
                )
                _renumber(there, local, back, ids, turned)
    layers = layout().classes
    texts = tuple([":".join([layers[cls].layer for cls in chain]) for chain in stacks])
    segments = [segment for part in parts for segment in part.segments if segment.rows]
    held = {
        column.index: Held(
            [as_shown(_array(one.arena, column, one.rows), column) for one in segments]
        )
        for column in plan.columns
    }
    rows = sum([segment.rows for segment in segments])
    first = parts[0].number if parts else 1
    return Columns(Table(plan, held, rows, texts, interfaces, first), capture, None)

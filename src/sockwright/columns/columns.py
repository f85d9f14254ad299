"""Columns of a capture: one array a field, one element a packet.

How they come about
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

from sockwright.columns.fields import FieldInfo, checksum_ok
from sockwright.columns.fields import field as field_named
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
    from sockwright.errors import DecodeError
    from sockwright.filters import Filter
    from sockwright.records import Interface

    Array = NDArray[Any]
    Mask = NDArray[np.bool_]

__all__ = ["STANDARD", "Columns", "columns_of", "fill_batch"]

_MOST_ROWS = 1 << 20  # of an arena
_SHOWN = 8  # rows of a repr
_FEW = 10_000  # flows up to which a kernel that is not compiled will do


def columns_of(capture: CaptureFile | CaptureSlice, names: Sequence[str] = ()) -> Columns:
    """Return the columns called `names` of a capture; without names, those in `STANDARD`.

    Raises: ValueError for a name that is not known, or has no column.
    """
    plan = Plan(names or STANDARD)
    size = capture.size or 0
    share = size // (parts_of(size) or 1)

    def work(batches: Iterator[Batch]) -> _Part:
        part = _Part(plan, share)
        for batch in batches:
            part.add(batch)
        return part

    parts = capture.in_parts(work)
    return _joined(plan, parts, capture, capture.interfaces)


class Filler:
    """Makes columns of one batch after the other; numbers of flows go on from batch to batch.

    For one thread at a time. Raises: ValueError as `columns_of`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.plan = Plan(names)
        self._part = _Part(self.plan)

    def fill(self, batch: Batch) -> Columns:
        """Return the columns of a batch. They stay, whatever is filled next."""
        self._part.segments.clear()
        self._part.add(batch)
        return _joined(self.plan, [self._part], None, batch.interfaces)


def fill_batch(batch: Batch, plan: Plan) -> Columns:
    """Return the columns of a plan for one batch; numbers of flows count within it."""
    part = _Part(plan)
    part.add(batch)
    return _joined(plan, [part], None, batch.interfaces)


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
        self._grow(1024)

    def number(
        self,
        keys: Any,
        size: int,
        arrays: tuple[Any, ...],
        row: int,
        *,
        compiled: bool,  # noqa: ANN401
    ) -> None:
        """Number the flows of `size` packets, into the arrays `ids`, `present` and `back`."""
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


def _kernel(function: Any, compiled: bool) -> Any:  # noqa: ANN401, FBT001  # any kernel
    """Return a kernel, as it is or compiled."""
    if not compiled:
        return function
    from sockwright.columns import compiling

    return compiling.compiled(function)


def _array_of(numbers: Any, compiled: bool) -> Any:  # noqa: ANN401, FBT001
    """Return an array.array of 64 bits as the kernel wants it."""
    if not compiled or not isinstance(numbers, array):
        return numbers
    import numpy as np

    return np.frombuffer(numbers, np.int64)


class _Part:
    """Columns of consecutive batches, filled by one thread."""

    def __init__(self, plan: Plan, size: int = 0) -> None:
        self.plan = plan
        self._size = size  # octets of the capture that may still come
        self.segments: list[_Segment] = []
        self.interfaces: tuple[Interface, ...] = ()
        self.flows = _Flows() if plan.has_flows else None
        # Stacks of layers by their number in this part.
        self.stacks: dict[tuple[int, ...], int] = {}
        self._workspaces: dict[bool, Workspace] = {}

    def add(self, batch: Batch) -> None:
        """Fill the next rows with a batch."""
        compiled = batch.compiled
        segment = self.segments[-1] if self.segments else None
        if (
            segment is None
            or segment.compiled != compiled
            or segment.rows + len(batch) > segment.arena.rows
        ):
            arena = Arena(self.plan, self._rows_to_come(batch), compiled=compiled)
            segment = _Segment(arena, compiled)
            self.segments.append(segment)
        workspace = self._workspaces.get(compiled)
        if workspace is None:
            workspace = self._workspaces[compiled] = Workspace(self.plan, compiled=compiled)
        self.interfaces = batch.interfaces
        chains = workspace.run(batch, segment.arena, segment.rows)
        self._finish(batch, segment, workspace, chains)
        segment.rows += len(batch)
        self._size -= _octets_of(batch)

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
    numbers = np.asarray(source)
    target[:] = np.asarray(batch.link_types)[numbers] if name == "link_type" else numbers


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


def _joined(
    plan: Plan,
    parts: list[_Part],
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
            flows.number(part.flows.known, count, (ids, spare, turned), 0, compiled=count > _FEW)
        for segment in part.segments:
            protocols = plan.named.get("frame.protocols")
            if protocols is not None:
                found = _array(segment.arena, protocols, segment.rows)
                np.take(np.array(numbers, np.uint32), found, out=found)
            if flows is not None:
                there, local, back = (
                    _array(segment.arena, column, segment.rows) for column in plan.flows
                )
                met = there != 0
                back[met] ^= turned[local[met]]
                local[met] = ids[local[met]]
    layers = layout().classes
    texts = tuple([":".join([layers[cls].layer for cls in chain]) for chain in stacks])
    segments = [segment for part in parts for segment in part.segments if segment.rows]
    held = {
        column.index: _Held(
            [_shown(_array(one.arena, column, one.rows), column) for one in segments]
        )
        for column in plan.columns
    }
    rows = sum([segment.rows for segment in segments])
    return Columns(_Table(plan, held, rows, texts, interfaces), capture, None)


def _shown(values: Array, column: Column) -> Array:
    """Return the values of a column in the type that they are shown in."""
    if column.info.type == "mac":
        return values.view("uint64")
    return values.view(bool) if column.info.type == "bool" else values


@dataclass(slots=True)
class _Held:
    """An array that may still lie in pieces."""

    pieces: list[Any]

    def whole(self) -> Array:
        import numpy as np

        if len(self.pieces) > 1:
            self.pieces = [np.concatenate(self.pieces)]
        found: Array = self.pieces[0]
        return found


@dataclass(slots=True)
class _Table:
    """What `Columns` hold."""

    plan: Plan
    held: dict[int, _Held]
    rows: int
    stacks: tuple[str, ...]
    interfaces: tuple[Interface, ...]


class Columns:
    """Columns by their names: ``columns["tcp.dst_port"]`` is a numpy array with a row a packet.

    Their types, by `FieldInfo.type`: numbers and flags are the narrowest unsigned integers, ``time``
    is int64, ``ipv4`` uint32, ``mac`` uint64, ``ipv6`` uint8 in rows of 16, ``octets`` uint8 in rows
    of their length, ``bool`` bool. ``frame.interface`` is an index into `interfaces`,
    ``frame.protocols`` one into `stacks`. Where a packet lacks a field stands 0; `present` tells.
    """

    def __init__(
        self, table: _Table, capture: CaptureFile | CaptureSlice | None, rows: Array | None
    ) -> None:
        self._table = table
        self._capture = capture
        self._rows = rows  # of the capture, where these are some of them

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in the order in which they were asked for."""
        return tuple(self._table.plan.named)

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The interfaces of the capture."""
        return self._table.interfaces

    @property
    def stacks(self) -> tuple[str, ...]:
        """What the numbers in ``frame.protocols`` stand for: ``ethernet:ipv4:tcp``."""
        return self._table.stacks

    @property
    def error(self) -> DecodeError | None:
        """What is wrong with the capture behind the last of these packets."""
        return self._capture.error if self._capture is not None else None

    def __len__(self) -> int:
        return self._table.rows

    def __contains__(self, name: str) -> bool:
        return name in self._table.plan.named

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def info(self, name: str) -> FieldInfo:
        """Return the type and the meaning of a column. Raises: ValueError as `__getitem__`."""
        self._column(name)
        return field_named(name)

    def __getitem__(self, name: str) -> Array:
        """Return a column: a view of the memory that was filled, not to be written to.

        Raises: ValueError where there is no such name, or it was not asked for.
        """
        column = self._column(name)
        if column is None:
            import numpy as np

            numbers = np.arange(1, len(self) + 1, dtype=np.uint64)
            return numbers if self._rows is None else (self._rows + 1).astype(np.uint64)
        return self._whole(column)

    def pieces(self, name: str) -> list[Array]:
        """Return a column in the pieces that it lies in; those of all columns are equally long."""
        column = self._column(name)
        return [self[name]] if column is None else self._table.held[column.index].pieces

    def present(self, name: str) -> Mask:
        """Return where packets have a field (``tcp.dst_port``) or a layer (``tcp``, ``inner.ipv4``).

        Layers can be asked for of which there is a column.

        Raises: ValueError for any other name.
        """
        import numpy as np

        layer = self._table.plan.layers.get(name)
        column = layer or self._column(name)
        if column is not None and column is not layer:
            column = column.present
        if column is None:
            return np.ones(len(self), bool)
        return self._whole(column)

    def mask(self, expression: str | Filter) -> Mask:
        """Return which packets a capture filter accepts (pcap-filter(7)), by its program.

        The capture is read again, so it has to be open, and no pipe.

        Raises: FilterError for a wrong expression; NotPossibleError where the capture is not to be had.
        """
        from sockwright.columns.selecting import accepted
        from sockwright.errors import NotPossibleError

        if self._capture is None:
            raise NotPossibleError("these columns are of packets that are gone", "open the capture")
        found = accepted(self._capture, expression)
        return found if self._rows is None else found[self._rows]

    def select(self, mask: Array) -> Columns:
        """Return the columns of some packets: a bool a packet, or the places of those wanted."""
        import numpy as np

        chosen = np.asarray(mask)
        rows = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        held = {index: _Held([column.whole()[rows]]) for index, column in self._table.held.items()}
        table = _Table(
            self._table.plan, held, len(rows), self._table.stacks, self._table.interfaces
        )
        return Columns(table, self._capture, rows if self._rows is None else self._rows[rows])

    def to_dict(self) -> dict[str, Array]:
        """Return all columns by their names; what is absent is masked (`numpy.ma`)."""
        import numpy as np

        found: dict[str, Array] = {}
        for name in self.names:
            values, there = self[name], self.present(name)
            absent = ~there if values.ndim == 1 else np.repeat(~there[:, None], values.shape[1], 1)
            found[name] = values if there.all() else np.ma.array(values, mask=absent)
        return found

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the columns over to whatever speaks Arrow: `polars.DataFrame(columns)`.

        Raises: NotPossibleError without pyarrow.
        """
        from sockwright.columns.arrow import table_of

        stream: object = table_of(self).__arrow_c_stream__(requested_schema)
        return stream

    def texts(self, name: str) -> list[str]:
        """Return a column as `fields.text` writes its values; empty where there is none."""
        from sockwright.columns.column_text import texts

        return texts(self, name)

    def __repr__(self) -> str:
        names = self.names[:6]
        head = self.select(_first(len(self)))
        lines = [[name, *head.texts(name)] for name in names]
        widths = [max(map(len, column)) for column in lines]
        rows = [
            "  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=True)]).rstrip()
            for row in zip(*lines, strict=True)
        ]
        more = f", {len(self.names) - 6} more columns" if len(self.names) > 6 else ""
        return "\n".join([f"{len(self)} packets{more}", *rows])

    def _column(self, name: str) -> Column | None:
        named = self._table.plan.named
        if name in named:
            return named[name]
        field_named(name)
        raise ValueError(f"{name} was not asked for: capture.columns({name!r}, …) gives it")

    def _whole(self, column: Column) -> Array:
        import numpy as np

        held = self._table.held[column.index]
        if not held.pieces:
            kind = {kernel.BITS16: np.uint16, kernel.BITS32: np.uint32, kernel.BITS64: np.int64}
            empty: Array = np.zeros(0, kind.get(column.width, np.uint8))
            if column.width == kernel.OCTETS:
                empty = empty.reshape(0, column.size)
            held.pieces = [_shown(empty, column)]
        return held.whole()


def _first(rows: int) -> Array:
    import numpy as np

    return np.arange(min(rows, _SHOWN))

"""Columns of a capture: one array a field, one element a packet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sockwright.columns.fields import FieldInfo
from sockwright.columns.fields import field as field_named
from sockwright.columns.kernels import fill as kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from sockwright.columns.capture_file import CaptureFile, CaptureSlice
    from sockwright.columns.plan import Column, Plan
    from sockwright.errors import DecodeError
    from sockwright.filters import Filter
    from sockwright.records import Interface

    Array = NDArray[Any]
    Mask = NDArray[np.bool_]

__all__ = ["Columns", "Held", "Table", "as_shown"]

_SHOWN = 8  # rows of a repr


def as_shown(values: Array, column: Column) -> Array:
    """Return the values of a column in the type that they are shown in."""
    kind = {"mac": "uint64", "bool": "bool"}.get(column.info.type, values.dtype)
    found: Array = values.view(kind)
    found.flags.writeable = False
    return found


@dataclass(slots=True)
class Held:
    """An array that may still lie in pieces."""

    pieces: list[Any]

    def whole(self) -> Array:
        """Return it in one piece."""
        import numpy as np

        if len(self.pieces) > 1:
            self.pieces = [np.concatenate(self.pieces)]
        found: Array = self.pieces[0]
        return found


@dataclass(slots=True)
class Table:
    """What `Columns` hold."""

    plan: Plan
    held: dict[int, Held]
    rows: int
    stacks: tuple[str, ...]
    interfaces: tuple[Interface, ...]
    number: int  # of the first packet, before any were selected


class Columns:
    """Columns by their names: ``columns["tcp.dst_port"]`` is a numpy array with a row a packet.

    Their types, by `FieldInfo.type`: numbers and flags are the narrowest unsigned integers,
    ``time`` is int64, ``ipv4`` uint32, ``mac`` uint64, ``ipv6`` uint8 in rows of 16, ``octets``
    uint8 in rows of their length, ``bool`` bool. ``frame.interface`` is an index into `interfaces`,
    ``frame.protocols`` one into `stacks`. Where a packet lacks a field stands 0; `present` tells.
    """

    def __init__(
        self, table: Table, capture: CaptureFile | CaptureSlice | None, rows: Array | None
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

            rows = np.arange(len(self)) if self._rows is None else self._rows
            return (rows + self._table.number).astype(np.uint64)
        return self._whole(column)

    def pieces(self, name: str) -> list[Array]:
        """Return a column in the pieces that it lies in; those of all columns are equally long."""
        column = self._column(name)
        return [self[name]] if column is None else self._table.held[column.index].pieces

    def present(self, name: str) -> Mask:
        """Return where packets have a field (``tcp.ack``) or a layer (``tcp``, ``inner.ipv4``).

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

        Raises: FilterError for a wrong expression; NotPossibleError where the capture is not to be
        had.
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
        held = {index: Held([column.whole()[rows]]) for index, column in self._table.held.items()}
        table = replace(self._table, held=held, rows=len(rows))
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
        if not isinstance(name, str):
            raise TypeError(f"a column is chosen by its name, not by {name!r}; rows by select()")
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
            held.pieces = [as_shown(empty, column)]
        return held.whole()


def _first(rows: int) -> Array:
    import numpy as np

    return np.arange(min(rows, _SHOWN))

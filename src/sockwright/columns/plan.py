"""What columns a batch is to fill, and the numbers that tell `kernels/fill.py` how.

A plan is made once of the names that are asked for. It knows the columns, each of one width, and
where the kernel finds what they hold. An `Arena` is the memory for some rows of all of them.
"""

from __future__ import annotations

import contextlib
import mmap
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sockwright.columns.fields import FieldInfo, field
from sockwright.columns.kernels import fill as kernel
from sockwright.columns.kernels.dissect import SLOTS
from sockwright.columns.kernels.groups import CLASS, NODE, PARENT
from sockwright.columns.layout import KINDS, layout, reader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sockwright.columns.batch import Batch

__all__ = ["KINDS", "STANDARD", "Arena", "Column", "Plan", "Workspace"]

STANDARD = (
    "frame.time_ns",
    "frame.length",
    "frame.captured_length",
    "frame.interface",
    "frame.link_type",
    "ethernet.src",
    "ethernet.dst",
    "ethernet.ether_type",
    "vlan.vid",
    "ip.version",
    "ipv4.src",
    "ipv4.dst",
    "ipv4.protocol",
    "ipv4.ttl",
    "ipv4.flags",
    "ipv4.fragment_offset",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.next_header",
    "ipv6.hop_limit",
    "tcp.src_port",
    "tcp.dst_port",
    "tcp.seq",
    "tcp.ack",
    "tcp.flags",
    "tcp.window",
    "udp.src_port",
    "udp.dst_port",
    "icmp.type",
    "icmp.code",
    "icmpv6.type",
    "icmpv6.code",
    "payload.offset",
    "payload.length",
    "flow.id",
    "inner.vlan.vid",
    "inner.ip.version",
    "inner.ipv4.src",
    "inner.ipv4.dst",
    "inner.ipv4.protocol",
    "inner.ipv6.src",
    "inner.ipv6.dst",
    "inner.ipv6.next_header",
    "inner.tcp.src_port",
    "inner.tcp.dst_port",
    "inner.udp.src_port",
    "inner.udp.dst_port",
)
"""The columns that are filled when no others are asked for; verdicts on checksums are asked for.

Those that few captures fill come last: the memory of an arena that is never touched is then in one
place.
"""

_WIDTHS = {"uint8": kernel.BITS8, "uint16": kernel.BITS16, "uint32": kernel.BITS32}
_SIZES = (1, 2, 4, 8)  # octets of an element, by width
_LARGE = 4 << 20  # octets of an arena from which on large pages are worth it
_PAGE = 2 << 20  # octets of a large page
_FRAME = {  # columns that come of the batch itself, not of the kernel
    "time_ns": kernel.BITS64,
    "length": kernel.BITS32,
    "captured_length": kernel.BITS32,
    "interface": kernel.BITS32,
    "link_type": kernel.BITS16,
}


@dataclass(slots=True)
class Column:
    """One column of a plan.

    `width` is one of the kernel's; `size` the octets of a row, `element` those of an element.
    `present` is the column that says where there is a value, None where there always is one.
    """

    info: FieldInfo
    width: int
    element: int
    size: int
    present: Column | None = None
    index: int = -1


class Plan:
    """The columns for some names, and what the kernel is told.

    `columns` are all that need memory, `named` those asked for by name; `layers` those that say
    whether a packet has the first or second header of a layer, by name (``inner.ipv4``); `flows`
    are presence, number and direction of flows. ``frame.number`` needs no column.

    Raises: ValueError for a name that there is not, or that has no column (options).
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.columns: list[Column] = []
        self.named: dict[str, Column | None] = {}
        self.layers: dict[str, Column] = {}
        self._special: dict[int, Column] = {}
        self._entries: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
        self._conditions: dict[tuple[int, ...], int] = {}
        self.flows: tuple[Column, ...] = ()
        for name in names:
            if name not in self.named:
                self.named[name] = self._column(field(name))

    def add_many(self) -> Column:
        """Add the column that is 1 where a layer stands in a packet more than twice; return it."""
        many = self._put(_helper("many", "frame"), kernel.BITS8)
        self._special[kernel.MANY] = many
        return many

    def _put(
        self, info: FieldInfo, width: int, size: int = 0, present: Column | None = None
    ) -> Column:
        element = 1 if width == kernel.OCTETS else _SIZES[width]
        column = Column(info, width, element, size or element, present, len(self.columns))
        self.columns.append(column)
        return column

    def _column(self, info: FieldInfo) -> Column | None:
        if info.layer == "frame":
            if info.field == "number":
                return None
            if info.field == "protocols":
                column = self._put(info, kernel.BITS32)
                self._special[kernel.STACK] = column
                return column
            present = None
            if info.field == "time_ns":
                present = self._put(_helper(info.name, "frame"), kernel.BITS8)
            return self._put(info, _FRAME[info.field], 0, present)
        if info.layer == "payload":
            column = self._put(info, kernel.BITS32)
            place = kernel.PAYLOAD_OFFSET if info.field == "offset" else kernel.PAYLOAD_LENGTH
            self._special[place] = column
            return column
        if info.layer == "ip":
            present = self._put(_helper(info.name, "ip"), kernel.BITS8)
            self.layers["inner.ip" if info.nth else "ip"] = present
            column = self._put(info, kernel.BITS8, 0, present)
            self._special[kernel.IP_VERSION + 2 * info.nth] = column
            self._special[kernel.IP_VERSION + 2 * info.nth + 1] = present
            return column
        if info.layer == "flow":
            if not self.flows:
                present = self.layers["flow"] = self._put(_helper("flow", "flow"), kernel.BITS8)
                ids = self._put(field("flow.id"), kernel.BITS32, 0, present)
                self.flows = present, ids, self._put(field("flow.back"), kernel.BITS8, 0, present)
            return self.flows[1 if info.field == "id" else 2]
        if info.field == "checksum_ok":
            present = self._put(_helper(info.name, info.layer), kernel.BITS8)
            column = self._put(info, kernel.BITS8, 0, present)
            self._special[kernel.CHECKSUMS + 2 * KINDS[info.layer] - 2 + info.nth] = column
            return column
        return self._of_headers(info)

    def layer(self, name: str) -> Column:
        """Return the column that says where the header `name` is (``tcp``, ``inner.ipv4``)."""
        if name not in self.layers:
            plain = name.removeprefix("inner.")
            if plain not in layout().layers:
                raise ValueError(f"there is no layer {plain!r}")
            column = self._put(_helper(name, plain), kernel.BITS8)
            self.layers[name] = column
            for cls in layout().classes_of(plain):
                self._entries.setdefault((layout().index[cls], int(name != plain)), [])
        return self.layers[name]

    def _of_headers(self, info: FieldInfo) -> Column:
        if info.type == "options" or (info.type == "octets" and not _fixed(info)):
            raise ValueError(f"{info.name} has no column: it is of any length")
        layer = self.layer(("inner." if info.nth else "") + info.layer)
        forms = layout().classes_of(info.layer)
        found = [(cls, {item.name: item for item in cls.fields}.get(info.field)) for cls in forms]
        items = [item for _, item in found if item is not None]
        always = len(items) == len(forms) and all(item.when is None for item in items)
        present = layer if always else self._put(_helper(info.name, info.layer), kernel.BITS8)
        widest = max(item.width for item in items)
        kind = items[0].kind
        if kind in ("octets", "ipv6"):
            column = self._put(info, kernel.OCTETS, widest // 8, present)
        elif kind == "mac":
            column = self._put(info, kernel.BITS64, 0, present)
        else:
            width = next(width for width in range(4) if widest <= 8 * _SIZES[width])
            column = self._put(info, width, 0, present)
        for cls, item in found:
            if item is None:
                continue
            condition = 0
            if item.when is not None:
                asked, numbers = item.when
                at = next(one for one in cls.fields if one.name == asked).bit_offset // 8
                condition = self._conditions.setdefault(
                    (at, len(numbers), *numbers), len(self._conditions) + 1
                )
            little = int(item.kind == "uint" and item.from_raw is not None)
            # What is copied as octets needs no mask, which would not fit 64 bits.
            place = reader(item, 0 if column.width == kernel.OCTETS else None)
            entry = (*place, little, column, None if always else present, condition)
            self._entries.setdefault((layout().index[cls], info.nth), []).append(entry)
        return column

    def numbers(self, bases: list[int]) -> array[int]:
        """Return the plan for the kernel; `bases` say where each column starts, in its elements."""
        known = layout()
        plan = array("q", [-1]) * (kernel.LISTS + kernel.CLASS * len(known.classes))
        for cls, layer in enumerate(known.layer_of):
            about = kernel.LISTS + kernel.CLASS * cls
            plan[about + kernel.KIND] = KINDS.get(known.layers[layer], 0)
            plan[about + kernel.LAYER] = layer
        for place, column in self._special.items():
            plan[place] = bases[column.index]
        plan[kernel.FLOW] = 0 if self.flows else -1
        plan[kernel.WANTS] = len(self._entries)
        plan[kernel.FIRST_WANT] = len(plan)
        plan.extend(array("q", bytes(8 * kernel.WANT * len(self._entries))))
        conditions = {}
        for condition, number in self._conditions.items():
            conditions[number] = len(plan)
            plan.extend(condition)
        for want, ((cls, nth), entries) in enumerate(self._entries.items()):
            plan[kernel.LISTS + kernel.CLASS * cls + nth] = want
            about = plan[kernel.FIRST_WANT] + kernel.WANT * want
            name = ("inner." if nth else "") + known.classes[cls].layer
            plan[about] = bases[self.layers[name].index]
            plan[about + 1] = len(plan)
            plan[about + 2] = len(entries)
            for *read, little, column, own, condition in entries:
                plan.extend(read)
                plan.extend([little, column.width, bases[column.index]])
                plan.append(-1 if own is None else bases[own.index])
                plan.append(conditions.get(condition, 0))
        return plan

    @property
    def has_flows(self) -> bool:
        """Whether flows are to be numbered."""
        return bool(self.flows)

    @property
    def has_stacks(self) -> bool:
        """Whether stacks of layers are to be numbered."""
        return kernel.STACK in self._special

    @property
    def wants(self) -> int:
        """How many lists of headers the kernel keeps."""
        return len(self._entries)


def _fixed(info: FieldInfo) -> bool:
    """Whether an octets field is of fixed length."""
    forms = layout().classes_of(info.layer)
    return all(
        item.kind != "variable" for cls in forms for item in cls.fields if item.name == info.field
    )


def _helper(name: str, layer: str) -> FieldInfo:
    return FieldInfo(f"{name} present", "bool", "", layer, "")


class Arena:
    """Zeroed memory for `rows` rows of all columns of a plan, one column behind the other.

    Of a compiled one `whole` is a numpy array, else a bytearray. Memory that is never written to is
    never taken from the system.
    """

    def __init__(self, plan: Plan, rows: int, *, compiled: bool) -> None:
        self.rows = rows
        starts = []
        end = 0
        for column in plan.columns:
            starts.append(end)
            end += (column.size * rows + 63) & ~63
        self.starts = starts
        self.whole: Any
        views: list[Any] = []
        if compiled:
            import numpy as np

            self.whole = _fresh(end + 64)
            views = [self.whole.view(kind) for kind in (np.uint8, np.uint16, np.uint32, np.int64)]
        else:
            self.whole = bytearray(end + 64)
            views = [memoryview(self.whole).cast(code) for code in "BHIq"]  # type: ignore[call-overload]
        self.views = tuple(views)
        bases = [
            start // column.element for start, column in zip(starts, plan.columns, strict=True)
        ]
        self.plan: Any = plan.numbers(bases)
        if compiled:
            self.plan = np.frombuffer(self.plan, np.int64)

    def column(self, column: Column, rows: int) -> Any:  # numpy array or memoryview
        """Return the first `rows` rows of a column; of one of octets, one row behind the other."""
        start = self.starts[column.index] // column.element
        view = self.views[0 if column.width == kernel.OCTETS else column.width]
        return view[start : start + rows * column.size // column.element]


def _fresh(size: int) -> Any:
    """Return zeroed octets that the system hands out where they are touched: a numpy array.

    What `calloc` returns may have been in use before, and is then zeroed by touching all of it.
    """
    import numpy as np

    if size < _LARGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.zeros(size, np.uint8)
    memory = mmap.mmap(-1, size + _PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    # Faults for small pages take longer than the kernel does. Not every system has large ones.
    with contextlib.suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(memory, np.uint8)
    start = -whole.ctypes.data % _PAGE
    return whole[start : start + size]


class Workspace:
    """Working memory of the kernel, for one thread at a time."""

    def __init__(self, plan: Plan, *, compiled: bool) -> None:
        known = layout()
        self.compiled = compiled
        lists = max(1, plan.wants) * kernel.CHUNK
        sizes = (SLOTS, SLOTS, SLOTS, len(known.layers), max(1, plan.wants), lists, lists)
        self.arrays = [self._zeros(size) for size in sizes]
        self.tables: Any = known.tables
        if compiled:
            import numpy as np

            self.tables = np.frombuffer(known.tables, np.int64)
        self.stacks = 256
        self.has_stacks = plan.has_stacks
        self.keys: Any = self._zeros(6)
        self.has_flows = plan.has_flows

    def _zeros(self, size: int) -> Any:  # numpy array or array
        if self.compiled:
            import numpy as np

            return np.zeros(size, np.int64)
        return array("q", bytes(8 * size))

    def run(self, batch: Batch, arena: Arena, row: int) -> list[tuple[int, ...]]:
        """Fill the rows of `arena` from `row` on; return the stacks of layers met, by number.

        The keys of flows are in `keys`, six a row of the batch.
        """
        filler: Any = kernel.fill
        if self.compiled:
            from sockwright.columns.compiling import compiled

            filler = compiled(kernel.fill)
        if self.has_flows and len(self.keys) < 6 * len(batch):
            self.keys = self._zeros(6 * len(batch))
        while True:
            tree = self._zeros(1 + NODE * (self.stacks if self.has_stacks else 1))
            tree[0] = 1
            full = filler(
                self.tables,
                arena.plan,
                batch.octets,
                batch.start,
                batch.captured,
                batch.interface,
                batch.link_types,
                row,
                *arena.views,
                self.keys,
                *self.arrays,
                tree,
            )
            if not full:
                break
            self.stacks *= 4
        chains: list[tuple[int, ...]] = [()]
        for at in range(1 + NODE, 1 + NODE * int(tree[0]), NODE):
            chains.append((*chains[tree[at + PARENT]], int(tree[at + CLASS])))
        return chains

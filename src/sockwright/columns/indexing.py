"""Walk through a capture of any format by the kernels, in the hands of the readers of `records`.

Rules
    1. Kernels walk over what is a whole and ordinary packet, and stop at all else.
    2. There the reader of the format takes over: it reads up to the next packet, or raises what is
       to be said of the file. So a walk finds what `read_records` finds, and says it in its words.
    3. What the reader learns of interfaces and byte order, the kernel is told.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sockwright.columns.batch import Batch
from sockwright.columns.kernels.index import (
    CLOCK_SIZE,
    DONE,
    FULL,
    LOOK,
    NO_TIME,
    index_pcap,
    index_pcapng,
    index_snoop,
)
from sockwright.columns.kernels.octets import u16, u32
from sockwright.errors import DecodeError
from sockwright.records import identify, read_records
from sockwright.records.pcap import MAGICS as PCAP_MAGICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.columns.supply import Supply, Window
    from sockwright.records import Interface, Record

__all__ = ["MOST", "Rows", "State", "Walk", "clock"]

State = tuple[int, int, int]
"""Whether numbers are big-endian, interfaces of earlier sections, interfaces in all."""

MOST = 65_536
"""Records of a batch, if nobody asks for another number."""

_CODES = "qqIIqI"  # of array.array, for the six columns of a batch
_TIME_END = 1 << 63
_SECOND = 1_000_000_000
_SIMPLE = 3  # the type of a pcapng block
_MAX_BLOCK = 16 << 20
_LEAST_RECORD = 16  # octets, in any format
_USUAL_RECORD = 64  # octets; where records are smaller, there are more batches


def clock(interface: Interface) -> tuple[int, ...]:
    """Return what `index_pcapng` wants to know of an interface, see there."""
    rate = interface.ticks_per_second
    factor = _SECOND // rate if _SECOND % rate == 0 else 0
    divisor = rate // _SECOND if rate % _SECOND == 0 and rate < _TIME_END else 0
    offset = interface.offset_ns
    limit = 0  # no time of this interface is for the kernel
    if -_TIME_END < offset < _TIME_END:
        room = _TIME_END - 1 - max(offset, 0)
        if factor:
            limit = min(room // factor + 1, _TIME_END - 1)
        elif divisor:
            limit = min(room * divisor + divisor, _TIME_END - 1)
        elif rate * _SECOND < _TIME_END:
            limit = min(room // _SECOND * rate, _TIME_END - 1)
    else:
        offset = 0
    rate = rate if rate * _SECOND < _TIME_END else 0
    return factor, divisor, rate, limit, offset, interface.snaplen


class _Cursor:
    """What the reader of a format reads: a window from where a kernel left off, and on."""

    def __init__(self, supply: Supply, window: Window) -> None:
        self._supply = supply
        self.window = window
        self.at = 0

    def read(self, size: int, /) -> bytes:
        window = self.window
        if self.at + size > len(window.octets) and not window.last:
            kept = min(self.at, _MAX_BLOCK)  # the block at hand stays within sight
            base = window.base + self.at - kept
            self.window = window = self._supply.window(base, kept + max(size, _MAX_BLOCK))
            self.at = kept
        octets = bytes(window.octets[self.at : self.at + size])
        self.at += len(octets)
        if not octets and size and window.error is not None:
            raise window.error
        return octets


@dataclass(slots=True)
class Rows:
    """The arrays that a kernel fills, in the order in which it takes them: those of a `Batch`."""

    arrays: tuple[Any, ...]
    compiled: bool

    @classmethod
    def of(cls, rows: int, *, compiled: bool) -> Rows:
        """Make them, `rows` long."""
        if compiled:
            import numpy as np

            kinds = (np.int64, np.int64, np.uint32, np.uint32, np.int64, np.uint32)
            return cls(tuple([np.empty(rows, kind) for kind in kinds]), compiled=True)
        sizes = {"q": 8, "I": 4}
        return cls(tuple([array(c, bytes(rows * sizes[c])) for c in _CODES]), compiled=False)

    def batch(
        self,
        rows: int,
        number: int,
        octets: object,
        interfaces: tuple[Interface, ...],
        **more: Any,
    ) -> Batch:
        """Return the first `rows` as a batch, of which the first is record `number`."""
        link_types: Any = array("q", [interface.link_type for interface in interfaces])
        if self.compiled:
            import numpy as np

            link_types = np.array(link_types, np.int64)
        record_start, start, captured, original, time_ns, interface = [
            column[:rows] for column in self.arrays
        ]
        return Batch(
            number,
            octets,
            record_start,
            start,
            captured,
            original,
            time_ns,
            interface,
            interfaces,
            link_types,
            compiled=self.compiled,
            **more,
        )

    def put(self, row: int, values: tuple[int, ...]) -> None:
        """Fill one row by hand."""
        for column, value in zip(self.arrays, values, strict=True):
            column[row] = value


class Walk:
    """A walk through a capture, from its file header on.

    `at` is the offset of the record that comes next, `records` counts those before it; `error` is
    what ended the walk before the end of the capture. `segments` says from which record on which
    state holds; `odd` is what the columns hold, after the offset that positions count from, of
    records that are beyond the kernel.

    Raises, when made: DecodeError for a file of no known format or a broken file header.
    """

    def __init__(self, supply: Supply, max_captured: int) -> None:
        self._supply = supply
        self._max_captured = max_captured
        self._cursor = _Cursor(supply, supply.window(0, 4))
        magic = bytes(self._cursor.window.octets[:4])
        if supply.compression and identify(magic).compression:
            message = f"no known format of captures starts with {magic.hex(' ')}"
            raise DecodeError("capture", 0, message)
        self._reader = read_records(self._cursor, max_captured=max_captured)
        self._source = self._reader._source  # noqa: SLF001  # it is told where kernels have gone
        if supply.compression:
            self._source.tell_records()
        self.format = self._reader.format
        self.at = self._cursor.at
        self.records = 0
        self.error: DecodeError | None = None
        self.ended = False
        self._window = self._cursor.window
        self._needed = 0
        self.variant = _variant(bytes(self._window.octets[:8]))
        self.segments: list[tuple[int, State]] = []
        self.odd: dict[int, tuple[int, ...]] = {}
        self._big = 0
        self._sections = 0
        self._before = 0  # interfaces of earlier sections
        self._clocks = array("q")
        self._learn(0)

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The interfaces so far."""
        return self._reader.interfaces

    @property
    def state(self) -> State:
        """What the kernel goes by beside its place."""
        return self._big, self._before, len(self._clocks) // CLOCK_SIZE

    @property
    def seen_whole(self) -> float:
        """How many octets the capture has, infinity where its end is not yet in sight."""
        window = self._window
        return window.base + len(window.octets) if window.last else float("inf")

    def batches(
        self, most: int = MOST, *, compiled: bool, stop: int | None = None
    ) -> Iterator[Batch]:
        """Yield what the walk comes along, up to the record that starts at `stop` or behind it.

        Raises nothing: `error` tells why it ended.
        """
        while not self.ended and (stop is None or self.at < stop):
            batch = self.batch(most, compiled=compiled, stop=stop)
            if len(batch):
                yield batch

    def batch(self, most: int, *, compiled: bool, stop: int | None = None) -> Batch:
        """Return up to `most` records from here on; fewer, even none, say nothing of the end."""
        if self._needed:
            self._window = self._supply.window(self.at, self._needed)
        window = self._window
        base = window.base
        octets: Any = window.octets
        if compiled:
            import numpy as np

            octets = np.frombuffer(octets, np.uint8)
        end = len(octets)
        limit = end if stop is None else min(stop - base, end)
        least = _USUAL_RECORD if compiled else _LEAST_RECORD
        most = min(most, (end - self.at + base) // least + 1)
        columns = Rows.of(most, compiled=compiled)
        row, at, needed = 0, self.at - base, 0
        while True:
            row, at, why = self.fill((octets, at, limit, end), (row, most), columns, self.state)
            if why == FULL or (why == DONE and limit < end):
                break
            if not window.last and why != LOOK:
                needed = max(2 * (end - at), 1)
                break
            if why == DONE and window.error is None:
                self.ended = True
                break
            if row and not window.last:
                break  # the reader might have to wait for what comes next
            self._cursor.window, self._cursor.at = window, at
            record = self._look(base + at, self.records + row)
            if record is None or self._cursor.window is not window:
                at = self.at - base
                break
            if self.at == base + at:  # the packet itself is beyond the kernel
                values = self._row(window, at, record)
                self.odd[self.records + row] = (base, *values)
                columns.put(row, values)
                row += 1
                self.at = self._source.offset
            at = self.at - base
        self.at = base + at
        batch = columns.batch(
            row,
            self.records + 1,
            octets,
            self.interfaces,
            record_end=at,
            base=base,
            format=self.format,
        )
        self.records += row
        self._needed = needed  # fetched when it is asked for: a pipe may let us wait
        if not needed and self._cursor.window.base > base:
            self._window = self._cursor.window
        return batch

    def skip_to(self, offset: int) -> None:
        """Go to the record that is said to start at `offset`, which counts as the first.

        Of what a pcapng file tells beside packets, only that before its first packet is known then.
        """
        if self.format == "pcapng":
            self.batch(1, compiled=False)
        self.at = offset
        self.records = 0
        self.ended = False
        self.error = None
        self.segments = [(0, self.state)]
        self.odd = {}
        self._needed = 1

    def fill(
        self,
        place: tuple[Any, int, int, int],
        rows: tuple[int, int],
        columns: Rows,
        state: State,
    ) -> tuple[int, int, int]:
        """Let the kernel of the format fill `rows`, from the first to before the second.

        `place` is the octets, where to start, where to stop and where they end. See `kernels.index`
        for what is returned.
        """
        rest = (self._max_captured, *rows, *columns.arrays)
        if self.format == "pcap":
            walker: Any = index_pcap
            said: tuple[Any, ...] = self.variant
        elif self.format == "pcapng":
            walker = index_pcapng
            clocks: Any = self._clocks
            if columns.compiled:
                import numpy as np

                clocks = np.frombuffer(clocks, np.int64) if clocks else np.empty(0, np.int64)
            big, before, known = state
            said = (big, before, known - before, clocks)
        else:
            walker, said = index_snoop, ()
        if columns.compiled:
            from sockwright.columns.compiling import compiled

            walker = compiled(walker)
        found: tuple[int, int, int] = walker(*place, *said, *rest)
        return found

    def _look(self, offset: int, records: int) -> Record | None:
        """Let the reader go on from `offset` to the next packet; None where it found none.

        `self.at` is then where that packet's record starts, or where the walk ended.
        """
        self._source.offset, self._source.records = offset, records
        try:
            record = next(self._reader, None)
        except DecodeError as error:
            self.error = error
            self.ended = True
            self.at = offset
            return None
        self._learn(records)
        self.at = self._source.offset
        if record is None:
            self.ended = True
        elif self.format == "pcapng":
            # A block tells its length once more at its end.
            window = self._cursor.window
            self.at -= u32(window.octets, self.at - window.base - 4, self._big)
        return record

    def _row(self, window: Window, at: int, record: Record) -> tuple[int, ...]:
        """Return what the columns are to hold of a pcapng record that starts at `at`."""
        start = at + (12 if u32(window.octets, at, self._big) == _SIMPLE else 28)
        time_ns = record.time_ns
        if time_ns is None or not -_TIME_END < time_ns < _TIME_END:
            time_ns = NO_TIME
        number = record.interface_number
        return at, start, len(record.octets), record.original_length, time_ns, number

    def _learn(self, records: int) -> None:
        """Take over what the reader has learnt of interfaces and byte order, behind `records`."""
        if self.format == "pcapng":
            told = self._reader.contents
            known = len(self._clocks) // CLOCK_SIZE
            if len(told.sections) != self._sections:
                self._sections = len(told.sections)
                self._big = int(told.sections[-1].byte_order == "big")
                section = self._sections - 1
                inside = [one for one in told.interfaces[known:] if one.section == section]
                self._before = len(told.interfaces) - len(inside)
            for interface in told.interfaces[known:]:
                self._clocks.extend(clock(interface))
        if not self.segments or self.segments[-1][1] != self.state:
            self.segments.append((records, self.state))


def _variant(header: bytes) -> tuple[int, int, int, int]:
    """Return what `index_pcap` wants to know: byte order, unit, size of a header, minor version."""
    variant = PCAP_MAGICS.get(header[:4])
    if variant is None:  # another format
        return 0, 0, 0, 0
    order, unit_ns, more = variant
    big = int(order == ">")
    return big, unit_ns, 16 + more, u16(header, 6, big)

"""Packets of a live capture as lines of text, or as rows for programs."""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING, Any

from sockwright.columns.batch import Batch
from sockwright.columns.lines import LinePrinter
from sockwright.records.contents import Interface
from sockwright.records.ring import FOREVER, PCAP, interpreted
from sockwright.sockets.block_queue import BlockQueue
from sockwright.sockets.ring import BLOCK_SIZE
from sockwright.tools._rows import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.columns.lines import LineOptions
    from sockwright.sockets.live_capture import LiveCapture
    from sockwright.sockets.ring import Block

__all__ = ["LiveBatches", "LiveLines"]

_RECORD = struct.Struct("=IIII")
_NANOSECONDS = 1_000_000_000


class LiveBatches:
    """Makes batches of blocks; packets of "any" know the interface that they are of."""

    def __init__(self, live: LiveCapture) -> None:
        self._live = live
        self._number = 1
        self._places: dict[int, int] = {}  # number of an interface -> its place in `_interfaces`
        self._interfaces: tuple[Interface, ...] = ()
        if not live.cooked:
            self._add(live.interface)

    def batch(self, octets: memoryview | bytearray, at: int, frames: int) -> Batch:
        """Take the packets out of a block, which may be released after that."""
        records = bytearray(BLOCK_SIZE)
        live = self._live
        _, _, end = interpreted(
            octets, at, frames, records, 0, BLOCK_SIZE, PCAP, live.cooked, live.snaplen, FOREVER
        )
        starts, times = array("q"), array("q")
        captured, original, places = array("I"), array("I"), array("I")
        position = place = 0
        while position < end:
            second, nanosecond, kept, length = _RECORD.unpack_from(records, position)
            position += _RECORD.size
            if live.cooked:
                place = self._place(int.from_bytes(records[position + 4 : position + 8], "big"))
            starts.append(position)
            times.append(second * _NANOSECONDS + nanosecond)
            captured.append(kept)
            original.append(length)
            places.append(place)
            position += kept
        batch = Batch(
            number=self._number,
            octets=memoryview(records).toreadonly()[:end],
            record_start=array("q", [start - _RECORD.size for start in starts]),
            start=starts,
            captured=captured,
            original=original,
            time_ns=times,
            interface=places,
            interfaces=self._interfaces,
            link_types=array("q", [live.link_type] * len(self._interfaces)),
            record_end=end,
        )
        self._number += len(starts)
        return batch

    def _place(self, index: int) -> int:
        place = self._places.get(index)
        if place is None:
            place = self._places[index] = len(self._interfaces)
            self._add(self._live.interface_name(index))
        return place

    def _add(self, name: str) -> None:
        new = Interface(
            number=len(self._interfaces),
            link_type=self._live.link_type,
            name=name,
            ticks_per_second=_NANOSECONDS,
        )
        self._interfaces = (*self._interfaces, new)


class LiveLines:
    """What `sw capture` shows of blocks: lines, or what `row` makes of each packet of a batch.

    At most `most` packets are shown; `done` tells that they are.
    """

    def __init__(
        self,
        live: LiveCapture,
        options: LineOptions,
        *,
        most: int | None = None,
        row: Callable[[Batch, int], object] | None = None,
    ) -> None:
        self.shown = 0
        self._batches = LiveBatches(live)
        self._options = options
        self._printer = LinePrinter(options)
        self._most = most
        self._row = row
        self._compiled = False
        self._made: list[object] = []
        # Rows for programs are made one by one, whatever is compiled.
        self._queue = BlockQueue(self._work, None if row is not None else self._load)

    @property
    def done(self) -> bool:
        """Whether all packets that were asked for have been shown."""
        return self._most is not None and self.shown >= self._most

    def take(self, block: Block) -> Iterator[object]:
        """Yield what is to be shown by now; the block may be released after that."""
        self._queue.take(block)
        return self._given()

    def rest(self) -> Iterator[object]:
        """Yield what is to be shown of blocks that waited."""
        self._queue.empty()
        return self._given()

    def _given(self) -> Iterator[object]:
        made, self._made = self._made, []
        return iter(made)

    def _load(self) -> None:
        # A printer of its own: what is compiled is shared, what a printer keeps is not.
        for _ in LinePrinter(self._options).blocks(_one_packet()):
            self._compiled = True

    def _work(self, octets: memoryview | bytearray, at: int, frames: int) -> None:
        left = frames if self._most is None else min(frames, self._most - self.shown)
        if left <= 0:
            return
        batch = self._batches.batch(octets, at, left)
        self.shown += len(batch)
        if self._row is not None:
            self._made += [self._row(batch, row) for row in range(len(batch))]
            return
        if self._compiled:
            _as_arrays(batch)
        self._made += [Text(lines) for lines in self._printer.blocks(batch)]


def _one_packet() -> Batch:
    """Make a batch for which everything is compiled that packets take."""
    batch = Batch(
        number=1,
        octets=memoryview(bytes(64)),
        record_start=array("q", [0]),
        start=array("q", [0]),
        captured=array("I", [60]),
        original=array("I", [60]),
        time_ns=array("q", [0]),
        interface=array("I", [0]),
        interfaces=(Interface(),),
        link_types=array("q", [1]),
        record_end=60,
    )
    _as_arrays(batch)
    return batch


def _as_arrays(batch: Batch) -> None:
    """Make numpy arrays of the columns of `batch`, which compiled kernels take."""
    import numpy as np

    kinds: dict[str, Any] = {"q": np.int64, "I": np.uint32}
    batch.octets = np.frombuffer(batch.octets, np.uint8)
    for name in (
        "record_start", "start", "captured", "original", "time_ns", "interface", "link_types",
    ):  # fmt: skip
        column = getattr(batch, name)
        setattr(batch, name, np.frombuffer(column, kinds[column.typecode]))
    batch.compiled = True

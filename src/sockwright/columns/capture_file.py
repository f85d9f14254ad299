"""A capture as batches of records, as packets, and as columns: `open_capture`.

Opening reads the file header only. Where the records are is found when somebody asks for their
number or for one in the middle; going through them from the first to the last needs no index.
"""

from __future__ import annotations

import io
import os
import stat
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, overload

from sockwright.columns.indexing import MOST, Walk
from sockwright.columns.supply import InMemory, Regular, Streamed, standard_input
from sockwright.errors import NotPossibleError
from sockwright.records import identify
from sockwright.records.record import MAX_CAPTURED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from sockwright.columns.batch import Batch
    from sockwright.columns.columns import Columns
    from sockwright.columns.record_index import RecordIndex
    from sockwright.columns.supply import Supply
    from sockwright.errors import DecodeError
    from sockwright.records import CapturedPacket, Interface, Readable

R = TypeVar("R")

__all__ = ["CaptureFile", "CaptureSlice", "open_capture"]

SMALL = 1 << 20
"""Octets of a capture up to which no kernel is compiled or loaded: loading takes half a second."""


def open_capture(
    source: str | bytes | os.PathLike[str] | BinaryIO, *, max_captured: int = MAX_CAPTURED
) -> CaptureFile:
    """Open a capture of any format, compressed or not; "-" is standard input.

    The format is told by content. Opening costs the same for 1 MB and 10 GB. Of a regular file, the
    capture ends where it ends now. Compressed files and pipes are read as a stream; to take records
    out of the middle of one, or to ask for their number, it is first written to a temporary file of
    no name, which takes room for all its octets in $TMPDIR. A record of more than `max_captured`
    octets is taken for a lie.

    Raises: OSError as opening does, EBADF where standard input is closed; DecodeError for a file of
    no known format, TruncatedError for one that ends within its file header.
    """
    return CaptureFile(source, max_captured)


class CaptureFile:
    """An open capture: a sequence of packets. Close it, or use it as a context manager.

    ``len(capture)`` and ``capture[i]`` count whole records and never raise for what is wrong behind
    them, which `error` tells; iteration does, after the last whole record. Once it is closed, all
    that would read it raises ValueError.
    """

    def __init__(
        self, source: str | bytes | os.PathLike[str] | BinaryIO, max_captured: int
    ) -> None:
        self._max_captured = max_captured
        self._closed = False
        self._file: Any = source
        self._own = False
        if source == "-":
            self._file = standard_input()
        elif isinstance(source, str | bytes | os.PathLike):
            self._own = True
            self._file = Path(os.fsdecode(source)).open("rb")  # noqa: SIM115  # closed by close
        elif not hasattr(source, "read"):
            raise TypeError(f"a capture is opened by its path or as a binary file, not {source!r}")
        self._spool: BinaryIO | None = None
        self._index: RecordIndex | None = None
        self._walk: Walk | None = None
        try:
            self._supply: Supply = _at_rest(self._file) or Streamed(self._file)
            self._walk = walk = Walk(self._supply, max_captured)
        except BaseException:
            self.close()
            raise
        self.format = walk.format
        """ "pcap", "pcapng" or "snoop"."""
        self.compression = self._supply.compression
        """ "gzip", "zstd", "xz", "lz4", or "" for none."""
        self.error: DecodeError | None = None
        """What is wrong with the capture behind its last whole record, as far as is known yet."""
        self._interfaces = walk.interfaces
        self._position = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, if it was opened here. What batches and columns hold stays."""
        self._closed = True
        self._index = self._walk = None  # the index has mapped the file
        if self._own:
            self._file.close()
        if self._spool is not None:
            self._spool.close()

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The interfaces met so far; behind the last record all of them."""
        return self._interfaces

    @property
    def progress(self) -> float | None:
        """How much of the file `batches` has gone through, 0 to 1; None for a pipe."""
        if self._supply.size is not None:
            return self._position / max(self._supply.size, 1)
        try:
            return float(self._file.tell() / max(os.fstat(self._file.fileno()).st_size, 1))
        except (AttributeError, OSError, ValueError):  # no real file, or a closed one
            return None

    def __repr__(self) -> str:
        octets = "" if self.size is None else f", {self.size} octets"
        name = getattr(self._file, "name", "")
        where = f" {name!r}" if name else ""
        return f"<{'closed ' * self._closed}capture{where}: {self.format}{octets}>"

    # From the first record to the last

    def batches(self, *, most: int = MOST, compiled: bool | None = None) -> Iterator[Batch]:
        """Yield the records in batches of up to `most`, in memory that does not grow.

        With `compiled` None, small captures are walked through without numba, and streams until
        they turn out not to be small. A pipe can be walked through once.

        Raises: TruncatedError where the capture ends in the middle of a record, DecodeError where a
        length or a number lies: what `read_records` raises, behind the last whole record.
        NotPossibleError for a pipe that was walked through before.
        """
        walk = self._begin()
        size = self._supply.size
        small = size is None or size <= SMALL
        while not walk.ended:
            self._check_open()
            fast = compiled if compiled is not None else not small or walk.at > SMALL
            batch = walk.batch(most, compiled=fast)
            self._interfaces = batch.interfaces
            self._position = walk.at
            if len(batch):
                yield batch
        if walk.error is not None:
            self.error = walk.error
            raise walk.error

    def in_parts(
        self, work: Callable[[Iterator[Batch]], R], *, threads: int | None = None
    ) -> list[R]:
        """Return what `work` makes of the batches of each part of the capture, in order.

        A large regular file is split into parts, and `threads` threads (all cores) work on them at
        once; any other capture is one part. `work` is called in those threads, with an iterator of
        batches that it has to go through to the end. The numbers of batches count from 1 in each
        part. It may be called for parts whose result is thrown away, so it should do nothing but
        return it. Small captures come in batches that are not compiled, all others compiled.

        `error` then tells what is wrong with the capture behind its last whole record.
        """
        self._check_open()
        supply = self._supply
        if isinstance(supply, Regular) and not self._is_small():
            from sockwright.columns.parts import error_of, walk_parts

            found = walk_parts(supply, self._max_captured, work, threads)
            self.error = error_of(found, supply, self._max_captured)
            self._interfaces = found[-1].walk.interfaces
            return [part.result for part in found]
        walk = self._begin()
        result = work(walk.batches(MOST, compiled=not self._is_small(walk)))
        self.error = walk.error
        self._interfaces = walk.interfaces
        return [result]

    def columns(self, *names: str) -> Columns:
        """Return the columns of these names, of all records; without names the standard ones.

        See `sockwright.columns.columns.Columns`. `error` tells what is wrong behind the last.
        """
        from sockwright.columns.filling import columns_of

        return columns_of(self, names)

    @property
    def size(self) -> int | None:
        """Octets of the capture, None where that is not known: of a stream."""
        return self._supply.size

    def __iter__(self) -> Iterator[CapturedPacket]:
        for batch in self.batches():
            for row in range(len(batch)):
                yield batch.packet(row)

    # Out of the middle

    def __len__(self) -> int:
        return len(self._records())

    def __bool__(self) -> bool:
        return True

    @overload
    def __getitem__(self, place: int) -> CapturedPacket: ...

    @overload
    def __getitem__(self, place: slice) -> CaptureSlice: ...

    def __getitem__(self, place: int | slice) -> CapturedPacket | CaptureSlice:
        places = _chosen(range(len(self)), place)
        if isinstance(places, range):
            return CaptureSlice(self, places)
        return next(self._records().batches(places, places + 1, 1, compiled=False)).packet(0)

    def _records(self) -> RecordIndex:
        self._check_open()
        if self._index is None:
            from sockwright.columns.record_index import RecordIndex

            self._settle()
            compiled = not self._is_small()
            self._index = RecordIndex(self._supply, self._max_captured, compiled=compiled)
            self.error = self._index.error
            self._interfaces = self._index.interfaces
        return self._index

    def _settle(self) -> None:
        """Write a stream to a temporary file, and read that from now on."""
        if self._supply.size is None:
            stream = self._supply if self._walk is not None else self._anew()
            assert isinstance(stream, Streamed)
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close
            self._supply = stream.spool(self._spool)
            self._walk = None

    # How it is read

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the capture is closed")

    def _is_small(self, walk: Walk | None = None) -> bool:
        if self._supply.size is not None:
            return self._supply.size <= SMALL
        return walk is not None and walk.seen_whole <= SMALL

    def _begin(self) -> Walk:
        """Return a walk from the first record on."""
        self._check_open()
        walk, self._walk = self._walk, None
        if walk is not None:
            return walk
        if self._supply.size is None:
            self._supply = self._anew()
        return Walk(self._supply, self._max_captured)

    def _anew(self) -> Streamed:
        """Return the stream from its start."""
        if not self._file.seekable():
            raise NotPossibleError(
                "a pipe can be gone through once", "its len() before that keeps it in a file"
            )
        self._file.seek(0)
        return Streamed(self._file)


class CaptureSlice:
    """Some records of a capture, as lazy as the capture: a sequence of packets with its numbers."""

    def __init__(self, capture: CaptureFile, places: range) -> None:
        self._capture = capture
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> CapturedPacket: ...

    @overload
    def __getitem__(self, place: slice) -> CaptureSlice: ...

    def __getitem__(self, place: int | slice) -> CapturedPacket | CaptureSlice:
        found = _chosen(self._places, place)
        if isinstance(found, range):
            return CaptureSlice(self._capture, found)
        return self._capture[found]

    def __repr__(self) -> str:
        count = len(self)
        if not count:
            return f"<no packets of {self._capture!r}>"
        ends = f"[{self._places[0]}] to [{self._places[-1]}]"
        step = "" if self._places.step == 1 else f" in steps of {self._places.step}"
        return f"<{count} packet{'s' * (count > 1)}, {ends}{step}, of {self._capture!r}>"

    def __iter__(self) -> Iterator[CapturedPacket]:
        if self._places.step != 1:
            for place in self._places:
                yield self._capture[place]
            return
        for batch in self.batches():
            for row in range(len(batch)):
                yield batch.packet(row)

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The interfaces of the capture."""
        return self._capture.interfaces

    @property
    def size(self) -> int | None:
        """None: the octets of a slice are not counted."""
        return None

    @property
    def format(self) -> str:
        """The format of the capture."""
        return self._capture.format

    @property
    def compression(self) -> str:
        """The compression of the capture, "" for none."""
        return self._capture.compression

    @property
    def error(self) -> DecodeError | None:
        """What is wrong with the capture: nothing that is in the slice."""
        return self._capture.error

    def batches(self, *, most: int = MOST, compiled: bool | None = None) -> Iterator[Batch]:
        """Yield the records in batches of up to `most`; see `CaptureFile.batches`.

        Raises: ValueError for a slice with a step.
        """
        if self._places.step != 1:
            raise ValueError("a slice with a step has no batches: take a slice without, then rows")
        places = self._places
        records = self._capture._records()  # noqa: SLF001  # the two are one
        if compiled is None:
            compiled = not self._capture._is_small()  # noqa: SLF001
        yield from records.batches(places.start, places.stop, most, compiled=compiled)

    def in_parts(
        self, work: Callable[[Iterator[Batch]], R], *, threads: int | None = None
    ) -> list[R]:
        """Return what `work` makes of the batches; see `CaptureFile.in_parts`."""
        from sockwright.columns.compiling import cores, in_parallel

        count = (threads or cores()) if len(self) > MOST else 1
        ends = [len(self) * number // count for number in range(count + 1)]
        slices = [self[first:stop] for first, stop in pairwise(ends)]
        return list(in_parallel(lambda part: work(part.batches()), slices, count))

    def columns(self, *names: str) -> Columns:
        """Return the columns of these names of the records in the slice."""
        from sockwright.columns.filling import columns_of

        return columns_of(self, names)


def _chosen(places: range, place: int | slice) -> int | range:
    """Return what an index or a slice chooses among `places`. Raises: IndexError, TypeError."""
    try:
        return places[place]
    except IndexError:
        raise IndexError(f"there is no packet [{place}]: {len(places)} are there") from None
    except TypeError:
        if isinstance(place, slice):
            raise
        text = f"packets are chosen by a whole number or a slice, not by {place!r}"
        raise TypeError(text) from None


def _at_rest(file: Readable) -> Supply | None:
    """Return the octets of a regular file or of one in memory, None of a stream."""
    if isinstance(file, io.BytesIO):
        # Its octets, without a copy. Of its getbuffer() the collector of Python 3.12.1 crashes, and
        # the file could not be closed meanwhile.
        view = memoryview(file.getvalue())
        return None if identify(bytes(view[:4])).compression else InMemory(view)
    try:
        descriptor = file.fileno()  # type: ignore[attr-defined]
        status = os.fstat(descriptor)
    except (AttributeError, OSError):
        return None
    if not stat.S_ISREG(status.st_mode) or identify(os.pread(descriptor, 4, 0)).compression:
        return None
    return Regular(descriptor, status.st_size)

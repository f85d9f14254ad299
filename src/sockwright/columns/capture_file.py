"""A capture as batches of records, as packets, and as columns: `open_capture`.

Opening reads the file header only. Where records are is found when it is first asked for.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from sockwright.columns.indexing import MOST, Walk
from sockwright.columns.supply import InMemory, Regular, Streamed
from sockwright.records import identify
from sockwright.records.record import MAX_CAPTURED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from sockwright.columns.batch import Batch
    from sockwright.columns.supply import Supply
    from sockwright.errors import DecodeError
    from sockwright.records import CapturedPacket, Interface, Readable

__all__ = ["CaptureFile", "open_capture"]

SMALL = 1 << 20
"""Octets of a capture up to which no kernel is compiled or loaded: loading takes half a second."""


def open_capture(
    source: str | os.PathLike[str] | BinaryIO, *, max_captured: int = MAX_CAPTURED
) -> CaptureFile:
    """Open a capture of any format, compressed or not; "-" is standard input.

    The format is told by content. A plain file is mapped: that costs the same for 1 MB and 10 GB,
    and the capture ends where the file ends now. Compressed files and pipes are read as a stream.
    A record of more than `max_captured` octets is taken for a lie.

    Raises: OSError as opening does; DecodeError for a file of no known format, TruncatedError for
    one that ends within its file header.
    """
    return CaptureFile(source, max_captured)


class CaptureFile:
    """An open capture. Close it, or use it as a context manager."""

    def __init__(self, source: str | os.PathLike[str] | BinaryIO, max_captured: int) -> None:
        self._max_captured = max_captured
        self._own = not hasattr(source, "read") and source != "-"
        self._file: Any = source
        if source == "-":
            self._file = sys.stdin.buffer
        elif self._own:
            self._file = Path(source).open("rb")  # type: ignore[arg-type]  # noqa: SIM115  # closed by close
        try:
            self._supply: Supply = _at_rest(self._file) or Streamed(self._file)
            self._walk: Walk | None = Walk(self._supply, max_captured)
        except BaseException:
            self.close()
            raise
        self.format = self._walk.format
        """ "pcap", "pcapng" or "snoop"."""
        self.compression = self._supply.compression
        """ "gzip", "zstd", "xz", "lz4", or "" for none."""
        self.error: DecodeError | None = None
        """What is wrong with the capture behind its last whole record, as far as is known yet."""
        self._interfaces = self._walk.interfaces

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
        if self._own:
            self._file.close()

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The interfaces met so far; behind the last record all of them."""
        return self._interfaces

    def batches(self, *, most: int = MOST, compiled: bool | None = None) -> Iterator[Batch]:
        """Yield the records in batches of up to `most`, in memory that does not grow.

        With `compiled` None, small captures are walked through without numba, and streams until
        they turn out not to be small. A stream can be walked through once.

        Raises: TruncatedError where the capture ends in the middle of a record, DecodeError where a
        length or a number lies: what `read_records` raises, behind the last whole record.
        """
        walk = self._begin()
        size = self._supply.size
        small = size is None or size <= SMALL
        while not walk.ended:
            fast = compiled if compiled is not None else not small or walk.at > SMALL
            batch = walk.batch(most, compiled=fast)
            self._interfaces = batch.interfaces
            if len(batch):
                yield batch
        if walk.error is not None:
            self.error = walk.error
            raise walk.error

    def __iter__(self) -> Iterator[CapturedPacket]:
        for batch in self.batches():
            for row in range(len(batch)):
                yield batch.packet(row)

    def _begin(self) -> Walk:
        """Return a walk from the first record on."""
        walk, self._walk = self._walk, None
        if walk is not None:
            return walk
        if self._supply.size is None:
            self._file.seek(0)
            self._supply = Streamed(self._file)
        return Walk(self._supply, self._max_captured)


def _at_rest(file: Readable) -> Supply | None:
    """Return the octets of a regular file or of one in memory, None of a stream."""
    buffer = getattr(file, "getbuffer", None)
    if buffer is not None:
        view: memoryview = buffer()
        return None if identify(bytes(view[:4])).compression else InMemory(view)
    try:
        descriptor = file.fileno()  # type: ignore[attr-defined]
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except (AttributeError, OSError):
        return None
    if not regular or identify(os.pread(descriptor, 4, 0)).compression:
        return None
    return Regular(descriptor)

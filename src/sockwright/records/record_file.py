"""A file of records that stays readable, however its writer ends.

Rules
    1. Only whole records come in; what waits to be written is at most 64 KiB, or what came within a
       second, or one single call's octets.
    2. Records reach the kernel in order and by whole calls of `write`, so a writer that is killed
       leaves all but what waited. The last record may be cut where the kernel was in the middle.
    3. When the disk is full (or the file reaches a limit, or its quota) the file is cut back to its
       last whole record, and that is told once: from then on the file counts as closed.
"""

from __future__ import annotations

import errno
import os
import stat
from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    Octets = bytes | bytearray | memoryview
    # Octets and records (1 or 0) of what starts at an offset.
    Measure = Callable[[Octets, int], tuple[int, int]]

__all__ = ["RawFile", "RecordFile"]

_BUFFER = 64 << 10
_SECOND = 1.0


class RawFile(Protocol):
    """An unbuffered binary file, as ``open(path, "wb", buffering=0)`` returns."""

    def write(self, octets: Octets, /) -> int | None:
        """Write the first of `octets` and return how many."""

    def fileno(self) -> int:
        """Return the file descriptor."""

    def close(self) -> None:
        """Close the file."""


def _name_of(file: RawFile) -> str:
    name = getattr(file, "name", "")
    return "the output" if isinstance(name, int) else str(name)  # `os.fdopen` names it by number


class RecordFile:
    """Writes whole records to an unbuffered file or pipe, soon enough and never halves of them.

    Give it to a `PcapWriter` or `PcapngWriter` as their file, which writes the file header at once.
    Records come from the writer one by one or, many in one call, by `write_records`. `name` stands
    in errors; `clock` gives seconds.

    Every method that writes raises OSError once, with the file's name and the number of its whole
    records, when the file could not take all: the file was then cut back to the last whole record.
    A pipe or a device cannot be cut back; a pipe whose reader is gone is a plain BrokenPipeError.
    After that the file counts as closed: `close` raises nothing, writing raises ValueError.
    """

    def __init__(
        self, file: RawFile, name: str = "", *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._file = file
        self._name = name or _name_of(file)
        self._clock = clock
        status = os.fstat(file.fileno())
        self._cuttable = stat.S_ISREG(status.st_mode)
        self._start = status.st_size if self._cuttable else 0
        self._measure: Measure | None = None
        self._waiting: list[Octets] = []
        self._waiting_octets = 0
        self._waiting_records = 0
        self._since = 0.0  # when the oldest of what waits came
        self._written_octets = 0
        self._written_records = 0
        self._closed = False

    @property
    def size(self) -> int:
        """Octets given to this file so far, whether written or waiting."""
        return self._written_octets + self._waiting_octets

    @property
    def records(self) -> int:
        """Records given to this file so far, whether written or waiting."""
        return self._written_records + self._waiting_records

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._closed

    def begin(self, header: bytes, measure: Measure) -> None:
        """Write a file header at once; `measure` tells how long what starts at an offset is."""
        self.write_records(header, 0)
        self.flush()
        self._measure = measure

    def write_record(self, octets: bytes) -> None:
        """Write the octets of one whole record. Raises: OSError, see above."""
        self.write_records(octets, 1)

    def write_records(self, octets: Octets, count: int) -> None:
        """Write octets that hold `count` whole records, made elsewhere.

        What is 64 KiB or longer has been written when this returns, so that its memory can be used
        again; anything shorter is copied where it could change. Raises: OSError, see above.
        """
        if self._closed:
            raise ValueError(f"write to a closed file: {self._name}")
        size = len(octets)
        if size >= _BUFFER:
            self.flush()
            self._put(octets, count)
            return
        if not self._waiting:
            self._since = self._clock()
        self._waiting.append(octets if type(octets) is bytes else bytes(octets))
        self._waiting_octets += size
        self._waiting_records += count
        if self._waiting_octets >= _BUFFER or self._clock() - self._since >= _SECOND:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Raises: OSError, see above."""
        if self._waiting:
            octets = b"".join(self._waiting)
            count = self._waiting_records
            self._drop()
            self._put(octets, count)

    def flush_due(self) -> float | None:
        """Write what has waited for a second; to be called in loops that may stay idle.

        Returns: seconds until it has to be called again, None while nothing waits. Raises: OSError,
        see above.
        """
        if not self._waiting:
            return None
        left = self._since + _SECOND - self._clock()
        if left > 0:
            return left
        self.flush()
        return None

    def close(self) -> None:
        """Write what waits and close the file. Raises: OSError, unless it was raised before."""
        if self._closed:
            self._file.close()
            return
        try:
            self.flush()
        finally:
            self._closed = True
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _drop(self) -> None:
        self._waiting = []
        self._waiting_octets = self._waiting_records = 0

    def _put(self, octets: Octets, count: int) -> None:
        """Write `octets`, which start and end with a record."""
        rest = memoryview(octets)
        done = 0
        try:
            while done < len(rest):
                written = self._file.write(rest[done:])
                if written is None:
                    raise BlockingIOError(errno.EAGAIN, "the file is not ready to be written to")
                done += written
        except OSError as error:
            self._drop()
            self._closed = True
            if isinstance(error, BrokenPipeError):
                raise
            raise self._ended(octets, done, error) from None
        self._written_octets += done
        self._written_records += count

    def _ended(self, octets: Octets, done: int, error: OSError) -> OSError:
        """Cut the file to its last whole record, where it can be; return what to tell."""
        whole, count = self._whole(octets, done)
        self._written_octets += whole
        self._written_records += count
        reason = error.strerror or str(error)
        told = f"{reason}; it has {self._written_records} whole records"
        if self._cuttable:
            os.ftruncate(self._file.fileno(), self._start + self._written_octets)
            told = f"{reason}; it ends behind its last whole record, number {self._written_records}"
        return OSError(error.errno, told, self._name)

    def _whole(self, octets: Octets, done: int) -> tuple[int, int]:
        """Return octets and number of the records that are whole within the first `done` octets."""
        end = records = 0
        while self._measure is not None and end < done:
            size, count = self._measure(octets, end)
            if end + size > done:
                break
            end += size
            records += count
        return end, records

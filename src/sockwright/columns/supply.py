"""Octets of a capture, mapped or streamed, as windows that kernels walk through.

A file that can be mapped is one window. All else (a pipe, a compressed file) comes in windows of
some MiB; the record that the end of a window cuts is carried over into the next.

When another program truncates a file that is mapped, the system ends this process by SIGBUS where
it touches a page that is gone. Python cannot catch that, so the size is looked at again before each
batch, and what was cut off is then the end of the capture. Between that look and the reading of the
batch the harm can still be done.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sockwright.errors import DecodeError
from sockwright.records import Readable, decompressed, identify

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Mapped", "Streamed", "Supply", "Window"]

PIECE = 4 << 20
"""Octets that a stream is read by, and after which the pages of a mapped file are given back."""


@dataclass(slots=True)
class Window:
    """Octets in a row: `octets[0]` is the octet `base` of the capture.

    If `last`, the capture ends with them, by `error` where they come of a broken stream.
    """

    octets: memoryview
    base: int
    last: bool
    error: DecodeError | None = None


class Supply(Protocol):
    """Where octets come from."""

    compression: str

    def window(self, offset: int, needed: int) -> Window:
        """Return the octets from `offset` on, `needed` of them or more but at the end.

        Offsets never go back but in a mapped file.
        """

    def done(self, offset: int) -> None:
        """Hear that the octets before `offset` were walked through."""


class Mapped:
    """A regular file, mapped, or octets in memory. What is written to it later is not seen."""

    def __init__(self, octets: mmap.mmap | memoryview, descriptor: int | None = None) -> None:
        self.compression = ""
        self._map = octets if isinstance(octets, mmap.mmap) else None
        self._descriptor = descriptor
        self._view = memoryview(octets).toreadonly()
        self.size = len(self._view)
        self._given_back = 0

    def window(self, offset: int, needed: int) -> Window:  # noqa: ARG002  # see `Supply`
        """Return the whole capture, less what was cut off meanwhile."""
        size = self.size
        if self._descriptor is not None:
            size = min(size, os.fstat(self._descriptor).st_size)
        return Window(self._view if size == self.size else self._view[:size], 0, last=True)

    def done(self, offset: int) -> None:
        """Give the pages before `offset` back; touched again, they are read again."""
        start = self._given_back
        if self._map is None or (0 <= offset - start < 8 * PIECE):
            return
        end = offset - offset % PIECE
        if end > start and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED, start, end - start)
        self._given_back = end


class Streamed:
    """A file that is read once, from its start to its end, and decompressed."""

    def __init__(self, file: Readable) -> None:
        head = b""
        while len(head) < 4 and (octets := file.read(4 - len(head))):
            head += octets
        self.compression = identify(head).compression
        self._read: Callable[[int], bytes | None]
        if self.compression:
            self._read = decompressed(_Behind(head, file))[0].read
            head = b""
        else:
            # A pipe gives what it has: packets that come live are not held back.
            self._read = getattr(file, "read1", file.read)
        self._octets = head
        self._base = 0
        self._error: DecodeError | None = None
        self._ended = False

    def window(self, offset: int, needed: int) -> Window:
        """Return what is left from `offset` on and a piece more, of `needed` octets at least."""
        parts = [self._octets[offset - self._base :]]
        there = len(parts[0])
        self._base = offset
        size = max(needed, there + 1)
        while there < size and not self._ended:
            try:
                octets = self._read(max(PIECE, size - there))
            except DecodeError as error:
                self._error = error
                octets = b""
            if not octets:
                self._ended = True
                break
            parts.append(octets)
            there += len(octets)
        self._octets = b"".join(parts)
        return Window(memoryview(self._octets), offset, self._ended, self._error)

    def done(self, offset: int) -> None:
        """Do nothing: `window` leaves behind what was walked through."""


class _Behind:
    """A file whose first octets were read already."""

    __slots__ = ("_file", "_head")

    def __init__(self, head: bytes, file: Readable) -> None:
        self._head = head
        self._file = file

    def read(self, size: int, /) -> bytes | None:
        if self._head:
            octets, self._head = self._head[:size], self._head[size:]
            return octets
        return self._file.read(size)

"""Octets of a capture as windows that kernels walk through.

A regular file is read by pieces that fit into the caches of a core: measured, reading and walking
such pieces takes a third of the time of walking through the file mapped, where every record misses
the caches. It also survives that another program truncates the file, which a mapping does not.
Pipes and compressed files are read once; the record that the end of a window cuts is carried over.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from sockwright.errors import DecodeError
from sockwright.records import Readable, decompressed, identify

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PIECE", "InMemory", "Regular", "Streamed", "Supply", "Window", "standard_input"]

PIECE = 2 << 20
"""Octets that a file is read by."""

_PIPE = 1 << 20  # octets: what Linux grants every user

_SPARE = 4


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
    """Where octets come from.

    `size` is that of the capture, None where only its end can tell. `compression` is "" for none.
    """

    size: int | None
    compression: str

    def window(self, offset: int, needed: int) -> Window:
        """Return the octets from `offset` on, `needed` of them or more but at the end.

        Offsets of a stream never go back.
        """


class InMemory:
    """Octets that are all there."""

    def __init__(self, octets: memoryview) -> None:
        self.compression = ""
        self._octets = octets.toreadonly()
        self.size: int | None = len(octets)

    def window(self, offset: int, needed: int) -> Window:  # noqa: ARG002  # see `Supply`
        """Return all octets."""
        return Window(self._octets, 0, last=True)


class Regular:
    """A regular file of `size` octets; what is added to it is not seen.

    It is what came out of a stream if it has a `compression`, and that stream was broken if it has
    an `error`.
    """

    def __init__(
        self,
        descriptor: int,
        size: int,
        compression: str = "",
        error: DecodeError | None = None,
    ) -> None:
        self.descriptor = descriptor
        self.size: int | None = size
        self.compression = compression
        self.error = error
        self._size = size
        self._buffers: list[bytearray] = []

    def window(self, offset: int, needed: int) -> Window:
        """Return a piece, or `needed` octets, whichever is more."""
        wanted = min(max(needed, PIECE), self._size - offset)
        buffer = self._buffer(wanted)
        octets = memoryview(buffer)[:wanted]
        there = 0
        while there < wanted:
            got = os.preadv(self.descriptor, [octets[there:]], offset + there)
            if not got:  # somebody has cut the file
                break
            there += got
        last = there < wanted or offset + wanted == self._size
        error = self.error if last else None
        return Window(octets[:there].toreadonly(), offset, last, error)

    def again(self) -> Regular:
        """Return another supply of the same file, for another thread."""
        return Regular(self.descriptor, self._size, self.compression, self.error)

    def _buffer(self, size: int) -> bytearray:
        """Return a buffer that nobody looks at: one that was used before, whose pages are there."""
        for buffer in self._buffers:
            try:
                buffer.pop()  # a bytearray that somebody looks at keeps its size
            except BufferError:
                continue
            buffer.append(0)
            if size <= len(buffer):
                return buffer
        buffer = bytearray(max(size, PIECE))
        self._buffers = [buffer, *self._buffers[: _SPARE - 1]]
        return buffer


class Streamed:
    """A file that is read once, from its start to its end, and decompressed."""

    def __init__(self, file: Readable) -> None:
        self.size: int | None = None
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
            _widen(file)
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

    def spool(self, file: BinaryIO) -> Regular:
        """Write all of the stream to `file`, and return a supply of that.

        Raises: OSError as writing does.
        """
        size = 0
        window = self.window(self._base, 1)
        while True:
            size += file.write(window.octets)
            if window.last:
                break
            window = self.window(window.base + len(window.octets), 1)
        file.flush()
        return Regular(file.fileno(), size, self.compression, window.error)


def standard_input() -> BinaryIO:
    """Return the octets of standard input. Raises: OSError (EBADF) where this process has none."""
    if sys.stdin is None:  # it was started with `<&-`
        raise OSError(errno.EBADF, "standard input is closed")
    return sys.stdin.buffer


def _widen(file: Readable) -> None:
    """Let a pipe hold as much as is read at once, where that can be had."""
    if sys.platform == "linux":
        import fcntl

        with suppress(AttributeError, OSError):
            fcntl.fcntl(file.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)  # type: ignore[attr-defined]


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

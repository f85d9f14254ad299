"""A binary file that is read from its start to its end, and how far that has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sockwright.errors import DecodeError, TruncatedError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Readable", "Source"]

_CHUNK = 1 << 16


class Readable(Protocol):
    """A binary file object. It need not be able to seek: a pipe will do."""

    def read(self, size: int, /) -> bytes | None:
        """Return up to `size` octets, none at the end of the file."""


class Source:
    """Takes octets off a file; `offset` counts those taken, `layer` names the format in errors.

    `records` counts the whole records that were delivered. Readers of formats keep it up to date,
    so that an error of the file itself (a compressed stream, cut or corrupt) can tell it.
    """

    __slots__ = ("_file", "layer", "offset", "read", "records")

    def __init__(self, file: Readable, layer: str = "capture") -> None:
        self._file = file
        self.read: Callable[[int], bytes | None] = file.read
        """Read of the file itself, for loops that count `offset` themselves."""
        self.layer = layer
        self.offset = 0
        self.records = 0

    def tell_records(self) -> None:
        """From now on say in errors of the file how many records are whole before them."""
        self.read = self._read_telling

    def _read_telling(self, size: int) -> bytes | None:
        try:
            return self._file.read(size)
        except DecodeError as error:
            error.message += f", after {self.records} records"
            error.args = (f"{error.layer} at octet {error.offset}: {error.message}",)
            raise

    def take(self, size: int) -> bytes:
        """Return `size` octets, fewer only where the file ends."""
        octets = self.read(size) or b""
        self.offset += len(octets)
        return self.rest(octets, size) if 0 < len(octets) < size else octets

    def rest(self, octets: bytes, size: int) -> bytes:
        """Return `octets` made longer up to `size`: a pipe or unbuffered file gives what it has."""
        parts = [octets]
        missing = size - len(octets)
        while missing and (octets := self.read(missing) or b""):
            parts.append(octets)
            missing -= len(octets)
            self.offset += len(octets)
        return b"".join(parts)

    def need(self, size: int, what: str, already: int = 0) -> bytes:
        """Return `size` octets; `already` octets of the same thing have been taken before.

        Raises: TruncatedError where the file ends before.
        """
        octets = self.take(size)
        if len(octets) < size:
            available = already + len(octets)
            start = self.offset - available
            raise TruncatedError(self.layer, start, already + size, available, what)
        return octets

    def skip(self, size: int, what: str, already: int = 0) -> None:
        """Take `size` octets and keep none of them. Raises: TruncatedError as `need` does."""
        left = size
        while left:
            taken = len(self.take(min(left, _CHUNK)))
            if not taken:
                available = already + size - left
                start = self.offset - available
                raise TruncatedError(self.layer, start, already + size, available, what)
            left -= taken

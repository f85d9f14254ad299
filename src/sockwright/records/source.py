"""A binary file that is read from its start to its end, and how far that has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sockwright.errors import TruncatedError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Readable", "Source"]

_CHUNK = 1 << 16


class Readable(Protocol):
    """A binary file object. It need not be able to seek: a pipe will do."""

    def read(self, size: int, /) -> bytes | None:
        """Return up to `size` octets, none at the end of the file."""


class Source:
    """Takes octets off a file; `offset` counts those taken, `layer` names the format in errors."""

    __slots__ = ("_read", "layer", "offset")

    def __init__(self, file: Readable) -> None:
        self._read: Callable[[int], bytes | None] = file.read
        self.layer = "capture"
        self.offset = 0

    def take(self, size: int) -> bytes:
        """Return `size` octets, fewer only where the file ends."""
        octets = self._read(size) or b""
        if 0 < len(octets) < size:  # pipes and unbuffered files give what they have
            parts = [octets]
            missing = size - len(octets)
            while missing and (octets := self._read(missing) or b""):
                parts.append(octets)
                missing -= len(octets)
            octets = b"".join(parts)
        self.offset += len(octets)
        return octets

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

"""The file that is sent: opened without waiting, its size taken once."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from sockwright.errors import FileRefusedError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["SourceFile", "kind_of"]

# A FIFO without a writer would keep open(2) waiting.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class SourceFile:
    """A regular file or a block device, open for reading at any offset.

    `size` is its size in octets when it was opened. Several transfers may use it at once.

    Raises:
        FileRefusedError: it is a directory, a FIFO or the like.
        OSError: the kernel does not open it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._digest: tuple[tuple[int, int], str] | None = None  # of which state, and the digest
        if stat.S_ISSOCK(mode := os.stat(path).st_mode):  # it cannot even be opened
            raise FileRefusedError(_no_size(path, mode))
        self.descriptor = os.open(path, _FLAGS)
        try:
            self.size = self._size()
        except BaseException:
            os.close(self.descriptor)
            raise

    def goes_on(self) -> bool:
        """Whether there are octets now behind the size that it had; so it is with /proc, too."""
        return bool(os.pread(self.descriptor, 1, self.size))

    @property
    def digest(self) -> str | None:
        """The SHA-256 that was set, unless the file has changed since."""
        known = self._digest
        return known[1] if known is not None and known[0] == self._state() else None

    @digest.setter
    def digest(self, digest: str) -> None:
        self._digest = self._state(), digest

    def close(self) -> None:
        """Close it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _size(self) -> int:
        status = os.fstat(self.descriptor)
        if stat.S_ISREG(status.st_mode):
            return status.st_size
        if stat.S_ISBLK(status.st_mode):
            return os.lseek(self.descriptor, 0, os.SEEK_END)
        if stat.S_ISDIR(status.st_mode):
            raise FileRefusedError(f"{self.path} is a directory; name a file")
        raise FileRefusedError(_no_size(self.path, status.st_mode))

    def _state(self) -> tuple[int, int]:
        status = os.fstat(self.descriptor)
        return status.st_size, status.st_mtime_ns


def _no_size(path: str, mode: int) -> str:
    return (
        f"{path} is {kind_of(mode)}, which has no size; without --send standard input is sent, "
        f"so '< {path}' sends it"
    )


def kind_of(mode: int) -> str:
    """Return what a file is in words, from its `st_mode`."""
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFREG: "a regular file",
    }
    return kinds.get(stat.S_IFMT(mode), "no file")

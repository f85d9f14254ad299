"""The file that is being received: FILE.part until it is whole, FILE from then on.

Rules
    1. FILE never holds half a transfer: octets go to FILE.part, which gets its name at the end.
    2. Nothing that is there is lost by accident: an existing FILE or FILE.part is refused, and a
       FILE that appears meanwhile stays. `force` replaces both, `resume` goes on with FILE.part.
    3. FILE.part is made with O_EXCL and mode 0600, is no symbolic link and belongs to this user. It
       has no second name (a hard link): another file would change with it. A lock (flock) keeps a
       second receiver away from it.
    4. What has arrived is kept however the transfer ends, unless that is nothing at all.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from typing import TYPE_CHECKING

from sockwright.errors import FileRefusedError
from sockwright.nc.files.source_file import kind_of

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["PartFile"]

_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
# What file systems without hard links say to link(2).
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


class PartFile:
    """FILE.part, open for reading and writing; `descriptor` is the caller's to write to.

    Raises:
        FileRefusedError: FILE or FILE.part is there already, or is nothing to write to.
        OSError: the kernel does not make it.
    """

    def __init__(self, path: str, *, resume: bool = False, force: bool = False) -> None:
        if not path:
            raise FileRefusedError("a file to receive needs a name")
        self.path = path
        self.part = f"{path}.part"
        self._force = force
        self._refuse_target()
        self.descriptor = self._open(resume=resume)
        try:
            self._lock()
            if force and not resume:
                os.ftruncate(self.descriptor, 0)
        except BaseException:
            os.close(self.descriptor)
            raise

    @property
    def octets(self) -> int:
        """How many octets FILE.part has now."""
        return os.fstat(self.descriptor).st_size

    def clear(self) -> None:
        """Begin anew: FILE.part has no octets from now on."""
        os.ftruncate(self.descriptor, 0)
        os.lseek(self.descriptor, 0, os.SEEK_SET)

    def finish(self) -> None:
        """Give FILE.part the name FILE.

        Raises:
            FileRefusedError: FILE has appeared meanwhile and was not to be replaced.
            OSError: the kernel does not rename it.
        """
        if self._force:
            os.replace(self.part, self.path)
            return
        try:
            os.link(self.part, self.path)  # unlike rename(2), it does not replace
        except FileExistsError:
            raise FileRefusedError(
                f"{self.path} has appeared meanwhile; what was received stays in {self.part}"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LINKS or os.path.lexists(self.path):
                raise
            os.replace(self.part, self.path)
        else:
            os.unlink(self.part)

    def close(self) -> None:
        """Close it; an empty FILE.part is removed."""
        if self.descriptor < 0:
            return
        with suppress(OSError):
            if not self.octets and self._is_mine():
                os.unlink(self.part)
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

    def _refuse_target(self) -> None:
        """Refuse a FILE that is there, unless it is to be replaced and can be."""
        try:
            mode = os.lstat(self.path).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(mode):
            raise FileRefusedError(f"{self.path} is a directory; name the file to write")
        if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            raise FileRefusedError(
                f"{self.path} is {kind_of(mode)}; without --receive octets go to standard output, "
                f"so '> {self.path}' writes to it"
            )
        if not self._force:
            raise FileRefusedError(f"{self.path} exists already; --force replaces it")

    def _open(self, *, resume: bool) -> int:
        try:
            return os.open(self.part, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if not resume and not self._force:
                raise FileRefusedError(
                    f"{self.part} is there already, from a transfer that did not end or still "
                    "runs; --resume on both sides goes on with it, --force begins anew"
                ) from None
        try:
            return os.open(self.part, _FLAGS | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ELOOP:  # O_NOFOLLOW
                raise FileRefusedError(f"{self.part} is a symbolic link; remove it") from None
            raise

    def _lock(self) -> None:
        status = os.fstat(self.descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileRefusedError(f"{self.part} is {kind_of(status.st_mode)}; remove it")
        if status.st_uid != os.geteuid():
            raise FileRefusedError(f"{self.part} belongs to another user; remove it")
        if status.st_nlink > 1:
            raise FileRefusedError(
                f"{self.part} is another file, too, under a second name (a hard link); remove it"
            )
        try:
            flock(self.descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise FileRefusedError(f"{self.part} is being written by another process") from None
        if not self._is_mine():  # it was renamed between opening and locking
            raise FileRefusedError(f"{self.part} is being written by another process")

    def _is_mine(self) -> bool:
        """Whether FILE.part still names the open file."""
        try:
            return os.path.samestat(os.lstat(self.part), os.fstat(self.descriptor))
        except FileNotFoundError:
            return False

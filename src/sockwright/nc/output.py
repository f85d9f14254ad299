"""Open a file that is to hold what went over a connection: nobody else's, and nothing is lost."""

from __future__ import annotations

import errno
import os
import stat
from io import FileIO

__all__ = ["open_output"]


def open_output(path: str, *, force: bool = False, append: bool = False) -> FileIO:
    """Open `path` for writing, unbuffered; only its owner may read what is created.

    A file that is there is refused, but `append` goes on behind its end and `force` begins it anew.
    A device or a FIFO (and with it ``>(program)`` of a shell) is written to as it is, since nothing
    in it gets lost.

    Raises: FileExistsError with what to do; OSError as open(2).
    """
    how = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
    if append:
        how |= os.O_APPEND
    else:
        how |= os.O_TRUNC if force else os.O_EXCL
    try:
        descriptor = os.open(path, how, 0o600)
    except FileExistsError:
        descriptor = _existing(path)
    return FileIO(descriptor, "wb")


def _existing(path: str) -> int:
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # pathlib takes 5 ms to import
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
        # Looked at again, since it may be another file by now.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    raise FileExistsError(errno.EEXIST, "it is there already; --force writes over it", path)

"""Open a file that is to hold what went over a connection: nobody else's, and nothing is lost."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from io import FileIO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.taps.tap import Octets
    from sockwright.records.record_file import RawFile

__all__ = ["Output", "open_output", "refuse_existing"]


def open_output(
    path: str, *, force: bool = False, append: bool = False, waits: bool = True
) -> FileIO:
    """Open `path` for writing, unbuffered; only its owner may read what is created.

    A file that is there is refused, but `append` goes on behind its end and `force` begins it anew.
    A device or a FIFO (and with it ``>(program)`` of a shell) is written to as it is, since nothing
    in it gets lost. Opening a FIFO that nobody reads `waits` for that, or is ENXIO.

    Raises: FileExistsError with what to do; OSError as open(2).
    """
    now = 0 if waits else os.O_NONBLOCK
    how = now | os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
    if append:
        how |= os.O_APPEND
    else:
        how |= os.O_TRUNC if force else os.O_EXCL
    try:
        descriptor = os.open(path, how, 0o600)
    except FileExistsError:
        descriptor = _existing(path, now)
    return FileIO(descriptor, "wb")


def refuse_existing(path: str) -> None:
    """Look whether `open_output` would refuse a file because it is there; nothing is opened.

    Raises: FileExistsError, as there.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:  # it is not there, or opening it will tell
        return
    if stat.S_ISREG(mode):
        raise _refusal(path)


def _refusal(path: str) -> FileExistsError:
    return FileExistsError(errno.EEXIST, "it is there already; --force writes over it", path)


def _existing(path: str, now: int) -> int:
    if not stat.S_ISREG(os.stat(path).st_mode):
        descriptor = os.open(path, now | os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
        # Looked at again, since it may be another file by now.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    raise _refusal(path)


class Output:
    """A file or terminal that dumps go to; see rule 2 of `sockwright.nc.taps.tap`.

    When it takes no more, `report` is called once with one line that calls it `name`, and nothing
    is written from then on. The file belongs to this object.
    """

    def __init__(self, file: RawFile, report: Callable[[str], object], *, name: str) -> None:
        self._file: RawFile | None = file
        self._report = report
        self._name = name

    def write(self, octets: Octets) -> None:
        """Write all of it; raises nothing."""
        if self._file is None:
            return
        rest = memoryview(octets)
        try:
            while rest:
                written = self._file.write(rest)
                if written is None:
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                rest = rest[written:]
        except OSError as error:
            self.close()
            reason = error.strerror or str(error)
            self._report(f"the dump ends here, the conversation goes on: {self._name}: {reason}")

    def close(self) -> None:
        """Close the file; may be called twice, raises nothing."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()

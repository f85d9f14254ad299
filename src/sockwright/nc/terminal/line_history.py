"""The lines that were typed before, in a file of the user's own.

``$XDG_STATE_HOME/sockwright/nc_history``, where the variable is unset ``~/.local/state/…`` (XDG
Base Directory Specification): one line each, the oldest first, readable for nobody else. When it
holds more than twice the lines that are kept, whoever opens it drops the oldest. Where it cannot
be used, the lines of this run are remembered and no others.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from prompt_toolkit.history import History

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LineHistory", "history_path"]

_MOST_LINES = 1000
_MOST_OCTETS = 4096  # of a line that is worth keeping
_MOST_READ = 1 << 20
_HOW = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def history_path() -> str | None:
    """Return where the lines are kept; None: nowhere, the user has no home."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # the specification has relative paths ignored
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            return None
        state = os.path.join(home, ".local", "state")
    return os.path.join(state, "sockwright", "nc_history")


class LineHistory(History):
    """Lines kept in the file at `path`, or in memory where that is None or cannot be used.

    While `keeps` is False, lines are remembered for this run only, and so is one that begins with a
    blank, as shells have it.
    """

    def __init__(self, path: str | None) -> None:
        super().__init__()
        self._path = path
        self.keeps = True

    def load_history_strings(self) -> Iterable[str]:
        """Return the lines that were kept, the newest first."""
        if self._path is None:
            return []
        try:
            lines, whole = _read(self._path)
            if len(lines) > 2 * _MOST_LINES or not whole:
                _replace(self._path, lines[-_MOST_LINES:])
        except OSError:
            return []
        return [line.decode(errors="surrogateescape") for line in reversed(lines[-_MOST_LINES:])]

    def store_string(self, string: str) -> None:
        """Keep a line."""
        octets = string.encode(errors="surrogateescape")
        if self._path is None or not self.keeps or string.startswith(" "):
            return
        if len(octets) > _MOST_OCTETS or b"\n" in octets:
            return
        with suppress(OSError):
            os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
            how = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _HOW
            _write(os.open(self._path, how, 0o600), octets + b"\n")


def _read(path: str) -> tuple[list[bytes], bool]:
    """Read the last lines of a file of the user's; tell whether those are all."""
    descriptor = os.open(path, os.O_RDONLY | _HOW)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return [], True
        begin = max(0, status.st_size - _MOST_READ)
        octets = os.pread(descriptor, _MOST_READ, begin)
    finally:
        os.close(descriptor)
    lines = octets.split(b"\n")
    return lines[1 if begin else 0 : -1], not begin


def _replace(path: str, lines: list[bytes]) -> None:
    """Write a shorter file in place of the one that is there, whole or not at all."""
    beside = f"{path}.{os.getpid()}"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _HOW, 0o600)
    try:
        _write(descriptor, b"".join(line + b"\n" for line in lines))
        os.rename(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _write(descriptor: int, octets: bytes) -> None:
    with open(descriptor, "wb", buffering=0) as file:
        file.write(octets)

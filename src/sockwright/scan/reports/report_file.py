"""A text file that is written host by host, and that never looks whole when it is not.

Rules
    1. The file is the user's alone (mode 0600), and one that is there is not written over unless
       `force` says so. ``-`` is standard output, a device or FIFO is written to as it is.
    2. Only whole entries reach it (`RecordFile`): what waits is at most 64 KiB, or a second old.
    3. When the disk is full, the file is cut back to a whole entry and ends with `cut_ending`,
       which says that it is not whole. That is told once by `complain`; then nothing is written.
    4. Only where nobody reads standard output any more (``| head -1``) BrokenPipeError is raised:
       whoever prints there has nothing left to do.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from io import FileIO
from os import strerror
from typing import TYPE_CHECKING

from sockwright.nc.taps.output import open_output
from sockwright.records.record_file import RecordFile

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ReportFile"]

_BLOCK = 4096  # what file systems give and take
_KEPT = 256 << 10  # octets before the end within which ends of entries are remembered


class ReportFile:
    """Writes a header, entries and an ending to `path`.

    `entry_ends` are the octets that an entry, and nothing inside one, ends with.

    Raises:
        FileExistsError: the file is there; OSError as open(2). BrokenPipeError later, see rule 4.
    """

    def __init__(
        self,
        path: str,
        *,
        entry_ends: bytes,
        complain: Callable[[str], object],
        force: bool = False,
    ) -> None:
        self._is_output = path == "-"
        if self._is_output:
            self._raw = FileIO(1, "wb", closefd=False)
            self.name = "standard output"
        else:
            self._raw = open_output(path, force=force)
            self.name = path
        self._entry_ends = entry_ends
        self._complain = complain
        self._file: RecordFile | None = RecordFile(self._raw, self.name)
        self._ends: deque[int] = deque()

    @property
    def active(self) -> bool:
        """Whether what is written still reaches the file."""
        return self._file is not None

    def header(self, text: str) -> None:
        """Write what stands before the entries, at once."""
        if self._file is not None:
            try:
                self._file.begin(_encoded(text), self._measure)
            except OSError as error:
                self._give_up(error, "")
            else:
                self._note_end()

    def entry(self, text: str, cut_ending: str) -> None:
        """Write one entry; `cut_ending` is what the file ends with if this is one too many."""
        if self._file is not None:
            try:
                self._file.write_record(_encoded(text))
            except OSError as error:
                self._give_up(error, cut_ending)
            else:
                self._note_end()

    def ending(self, text: str, cut_ending: str) -> None:
        """Write what stands behind the entries, and close the file."""
        if self._file is not None:
            try:
                self._file.flush()
                self._file.write_records(_encoded(text), 0)
                self._file.close()
            except OSError as error:
                self._give_up(error, cut_ending)
            self._file = None

    def _note_end(self) -> None:
        if self._file is not None:
            size = self._file.size
            self._ends.append(size)
            while size - self._ends[0] > _KEPT:
                self._ends.popleft()

    def _measure(self, octets: bytes | bytearray | memoryview, offset: int) -> tuple[int, int]:
        found = bytes(octets).find(self._entry_ends, offset)
        if found < 0:
            return len(octets) - offset + 1, 0  # longer than what is there: not whole
        return found + len(self._entry_ends) - offset, 1

    def _give_up(self, error: OSError, cut_ending: str) -> None:
        """End the file where there is room for its ending, and say so."""
        file, self._file = self._file, None
        if file is None:
            return
        if isinstance(error, BrokenPipeError) and self._is_output:
            raise error
        ended = self._end_short(file.size, _encoded(cut_ending))
        with suppress(OSError):
            file.close()
        reason = strerror(error.errno) if error.errno else str(error)
        how = "it ends where there was room, and says so" if ended else "it is not whole"
        self._complain(f"{self.name}: {reason}: nothing more is written to it; {how}")

    def _end_short(self, whole: int, ending: bytes) -> bool:
        """Write `ending` behind as many of the first `whole` octets as leave room for it."""
        at = whole
        for end in reversed(self._ends):
            if not ending or end > at:
                continue
            try:
                self._raw.seek(end)
                self._raw.truncate()
                if self._raw.write(ending) == len(ending):
                    return True
                self._raw.truncate(end)
            except OSError:
                with suppress(OSError):
                    self._raw.truncate(end)
            at = end - _BLOCK  # the disk is given room back by whole blocks
        return False


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")

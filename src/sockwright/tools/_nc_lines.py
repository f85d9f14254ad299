"""Lines on standard error, which hold up nobody: while it takes none they are counted instead.

A pager, a terminal that was stopped with Ctrl-S, a program that does not read: writing to these
waits, and with it everybody who is served. poll(2) says when there is room for PIPE_BUF octets,
which is more than a line.
"""

from __future__ import annotations

import select

from sockwright.tools._rows import Remark

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Lines"]

_STANDARD_ERROR = 2


class Lines:
    """Passes lines on while there is room for them; `missed` counts those that there was not."""

    def __init__(self) -> None:
        self.missed = 0
        self._room = select.poll()
        self._room.register(_STANDARD_ERROR, select.POLLOUT)

    def given(self, line: object) -> Iterator[object]:
        """Yield what is to be shown now: the line, or nothing, and how many are missing before."""
        if self.missed and self._room.poll(0):
            yield Remark(f"{self.missed} lines are missing here: standard error took none")
            self.missed = 0
        if self._room.poll(0):
            yield line
        else:
            self.missed += 1

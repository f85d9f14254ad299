"""A bar on standard error that tells how far a verb has come."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Bar"]

_PATIENCE_S = 1.0
_EVERY_S = 0.2
_SHORTEST_BAR, _LONGEST_BAR = 10, 40  # columns of a terminal


class Bar:
    """Shows `part` (0 to 1, None where nobody knows) after a second, until it is stopped.

    With `octets` (done, and how many there are or None) it shows those, their rate and the time
    that is left, instead.

    It is shown by a thread, since the verb is busy meanwhile; rich is imported there, and only
    where a second has passed.
    """

    def __init__(
        self,
        part: Callable[[], float | None],
        octets: Callable[[], tuple[int, int | None]] | None = None,
    ) -> None:
        self._part = part
        self._octets = octets
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take the bar away."""
        self._ended.set()
        self._thread.join()

    def _show(self) -> None:
        if self._ended.wait(_PATIENCE_S):
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            ProgressColumn,
            TaskProgressColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        console = Console(file=sys.stderr)
        # What tells most first, with the columns of a terminal that it takes; shown is what fits,
        # since a line that is folded cannot be taken away again.
        fields: list[tuple[int, ProgressColumn]] = [(4, TaskProgressColumn())]
        if self._octets is not None:
            fields += [(15, DownloadColumn()), (10, TransferSpeedColumn())]
        fields.append((7, TimeRemainingColumn()))
        room = console.width - 1  # a full line would be folded by some terminals
        columns = []
        for width, column in fields:
            if width > room:
                break
            room -= width + 1
            columns.append(column)
        if room >= _SHORTEST_BAR:
            columns.insert(0, BarColumn(min(room, _LONGEST_BAR)))
        # Left to itself, rich takes over standard output too, and rows would miss the file or the
        # pipe that they are meant for.
        with Progress(
            *columns,
            console=console,
            transient=True,
            refresh_per_second=5,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as bar:
            task = bar.add_task("", total=None)
            while not self._ended.wait(_EVERY_S):
                if self._octets is not None:
                    done, total = self._octets()
                    bar.update(task, completed=done, total=total)
                elif part := self._part():
                    bar.update(task, completed=part, total=1)

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


class Bar:
    """Shows `part` (0 to 1, None where nobody knows) after a second, until it is stopped.

    It is shown by a thread, since the verb is busy meanwhile; rich is imported there, and only
    where a second has passed.
    """

    def __init__(self, part: Callable[[], float | None]) -> None:
        self._part = part
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
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

        columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        console = Console(file=sys.stderr)
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
                part = self._part()
                if part:
                    bar.update(task, completed=part, total=1)

"""A bar or a line on standard error that tells how far a verb has come."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Bar", "StatusLine"]

_PATIENCE_S = 1.0
_EVERY_S = 0.2
_PATIENCE_OF_A_LINE_S, _LEAST_BETWEEN_S = 0.5, 0.1
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
        import threading

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


class StatusLine:
    """One line on a terminal's standard error, drawn over again whenever there is news.

    For a verb that tells by itself how far it is: no thread, and nothing is loaded. It is first
    drawn once the verb has taken half a second.
    """

    def __init__(self) -> None:
        from time import monotonic

        self._now = monotonic
        self._begin = self._last = monotonic()
        self._first = ""
        self._is_drawn = False

    def show(self, pieces: Sequence[str]) -> None:
        """Draw as many of `pieces`, the most telling first, as one line holds."""
        now = self._now()
        is_same = pieces[0] == self._first  # else it may be what stands there for long
        if now - self._begin < _PATIENCE_OF_A_LINE_S or (
            is_same and now - self._last < _LEAST_BETWEEN_S
        ):
            return
        self._last, self._first = now, pieces[0]
        from sockwright.cli.clean import clean

        room = _width() - 1  # behind a full line some terminals begin the next one
        text = ""
        for piece in map(clean, pieces):
            longer = f"{text}, {piece}" if text else piece[:room]
            if len(longer) > room:
                break
            text = longer
        self._is_drawn = True
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away, for something else to be written there."""
        if self._is_drawn:
            self._is_drawn = False
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _width() -> int:
    import os

    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80

"""`sw ss --graph` for people: four charts on a terminal, a line a sample into a pipe.

The charts begin with a column of dots for each sample; when the terminal is full, the time that
they show doubles, a minute at most, and from then on they move. Several samples that share a column
are drawn from the lowest to the highest. What is older than can be shown is forgotten.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque

from sockwright.cli.chart import Chart, ranges, scale_end
from sockwright.cli.clean import clean
from sockwright.cli.live import Live, speaks_unicode
from sockwright.cli.pages._ss_cells import processes_text
from sockwright.cli.pages._ss_traffic import traffic_text
from sockwright.cli.units import bit_rate, duration
from sockwright.cli.width import text_width
from sockwright.tools._ss_graph import Connection, Ended, Sample

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sockwright.cli.live import Line
    from sockwright.cli.screen import Screen
    from sockwright.sockets.diag.inet import TCPSocket

__all__ = ["Graph", "show_graph"]

_MOST_S = 60.0  # shown at once, unless each sample has a column of its own
_MOST_COLUMNS = 1200
_MOST_ROWS = 10
_LEAST_ROWS = 2
_LEAST_WIDTH = 40  # of a terminal, for charts with an axis
_SECOND = 1_000_000_000


def show_graph(connection: Connection, rows: Iterable[object], screen: Screen) -> None:
    """Draw the connection over time; `rows` are those that follow `connection`."""
    print(f"sw ss: {clean(str(connection))}", file=sys.stderr, flush=True)
    if not screen.terminal or os.environ.get("TERM", "") in {"", "dumb"}:
        _show_lines(rows, screen)
        return
    graph = Graph(connection, plain=not speaks_unicode(screen.stream))
    with Live(screen.stream, graph.picture) as live:
        graph.ending = live.ending
        live.show()
        for row in rows:
            with live.changing():
                if isinstance(row, Sample):
                    graph.take(row)
                elif isinstance(row, Ended):
                    graph.end(row)
    # The last picture stays on the screen.
    width, height = live.size
    for line in graph.picture(width, height - 1, last=True):
        screen.line(*line)


# -- charts ----------------------------------------------------------------------------------------


class _Point:
    """What the charts keep of a sample; `at` is seconds since the first one."""

    __slots__ = ("at", "rate", "retransmitted", "rtt", "window")

    def __init__(self, at: float, sample: Sample, retransmitted: int) -> None:
        info = sample.info
        self.at = at
        self.rtt: float | None = info.rtt or None  # 0 until the first was measured
        self.rate: float | None = info.delivery_rate
        self.window: float | None = info.snd_cwnd
        self.retransmitted = retransmitted  # segments since the sample before


class _Panel:
    """One chart: its name, its colour, its values, how they are written, and what they count."""

    __slots__ = ("bars", "colour", "name", "unit", "value", "written")

    def __init__(
        self,
        name: str,
        colour: str,
        value: Callable[[_Point], float | None],
        written: Callable[[float], str],
        unit: str = "",
        *,
        bars: bool = False,
    ) -> None:
        self.unit = unit
        self.name = name
        self.colour = colour
        self.value = value
        self.written = written
        self.bars = bars


def _panels() -> tuple[_Panel, ...]:
    """Return the charts, the one that can be done without last."""
    return (
        _Panel("round-trip time", "cyan", lambda point: point.rtt, duration),
        _Panel("delivery rate", "green", lambda point: point.rate, bit_rate),
        _Panel("congestion window", "yellow", lambda point: point.window, _whole, "segments"),
        _Panel("retransmissions", "red", lambda point: point.retransmitted, _whole, bars=True),
    )


class Graph:
    """The samples by now, and their picture."""

    def __init__(self, connection: Connection, *, plain: bool) -> None:
        self.ending = "Ctrl-C"  # what ends it
        self._plain = plain
        self._interval = connection.interval
        self._row: TCPSocket = connection.row
        self._process = processes_text(connection.row.processes or ())
        self._points: deque[_Point] = deque(
            maxlen=max(int(_MOST_S / connection.interval), _MOST_COLUMNS) + 1
        )
        self._begun_ns = 0
        self._last: Sample | None = None
        self._end: Ended | None = None

    @property
    def kept(self) -> int:
        """How many samples are remembered."""
        return len(self._points)

    def take(self, sample: Sample) -> None:
        """Add a sample."""
        self._begun_ns = self._begun_ns or sample.time_ns
        before = sample if self._last is None else self._last
        fresh = sample.info.total_retrans - before.info.total_retrans
        at = (sample.time_ns - self._begun_ns) / _SECOND
        self._points.append(_Point(at, sample, fresh))
        self._row, self._last = sample.row, sample

    def end(self, ended: Ended) -> None:
        """Take how the connection was at last."""
        self._end = ended

    def picture(self, width: int, height: int, *, last: bool = False) -> list[Line]:
        """Return the lines of a screen; of the last one, to be read at leisure, none is cut."""
        head, below = self._head(), self._below(last=last)
        if last:
            head = [line for one in head for line in _folded(one, width)]
        if last or self._end is not None:
            below = [line for one in below for line in _folded(one, width)]
        panels = _panels()
        room = height - len(head) - len(below) - 1  # the axis of time
        while len(panels) > 1 and room // len(panels) - 1 < _LEAST_ROWS:
            panels = panels[:-1]
        rows = max(1, min(_MOST_ROWS, room // len(panels) - 1))
        tops = [self._top(panel) for panel in panels]
        labels = [panel.written(top) for panel, top in zip(panels, tops, strict=True)]
        margin = max(map(len, labels)) + 2 if width >= _LEAST_WIDTH else 0
        chart = Chart(width - margin, rows, plain=self._plain)
        start, span = self._window(chart.columns)
        lines = head
        for panel, top, label in zip(panels, tops, labels, strict=True):
            lines.append(self._title(panel, width))
            lines += self._drawn(panel, chart, (start, span, top), label, margin)
        lines.append([(_time_axis(start, span, margin, chart.width), "dim")])
        return [*lines, *below]

    # -- parts of the picture ----------------------------------------------------------------------

    def _head(self) -> list[Line]:
        arrow = "->" if self._plain else "→"
        row = self._row
        title = f"{row.local} {arrow} {row.peer}"
        facts = [row.state, row.congestion or "", self._process]
        known = ", ".join(fact for fact in facts if fact)
        return [
            [(title, "bold"), f"  {known}"],
            [(traffic_text(row), "dim")],
        ]

    def _below(self, *, last: bool) -> list[Line]:
        if self._end is None:
            seconds = self._points[-1].at if self._points else 0.0
            how = "" if last else f"; {self.ending} ends it"
            return [[(f"followed for {seconds:.1f} s{how}", "dim")]]
        seconds = max(0.0, (self._end.time_ns - self._begun_ns) / _SECOND)
        carried = traffic_text(self._end.row, self._row.state)
        text = f"the connection ended after {seconds:.1f} s: {carried}"
        return [[(text, "bold")]]

    def _title(self, panel: _Panel, width: int) -> Line:
        """Return what stands above a chart: less where there is little room."""
        values = [value for point in self._points if (value := panel.value(point)) is not None]
        if not values:
            return [(panel.name, f"bold {panel.colour}")]
        if panel.bars:
            info = self._row.info
            total = info.total_retrans if info is not None else 0
            now = f"{total} in all"
            shown = f"{sum(values):.0f} shown here, {total} since the connection opened"
        else:
            written = panel.written
            least, most = written(min(values)), written(max(values))
            now = f"{written(values[-1])} {panel.unit}".rstrip()
            shown = f"{now}  (least {least}, most {most})"
        if len(panel.name) + 2 + len(shown) > width:
            shown = now
        return [(panel.name, f"bold {panel.colour}"), f"  {shown}"]

    def _top(self, panel: _Panel) -> float:
        values = (panel.value(point) or 0 for point in self._points)
        return scale_end(max(values, default=0))

    def _drawn(
        self,
        panel: _Panel,
        chart: Chart,
        scale: tuple[float, float, float],
        label: str,
        margin: int,
    ) -> list[Line]:
        """Return the lines of one chart, with its axis at the left."""
        start, span, top = scale
        if panel.bars:
            lines = chart.draw_bars(self._sums(panel, start, span, chart.columns), top)
        else:
            values = ((point.at, panel.value(point)) for point in self._points)
            lines = chart.draw(ranges(values, start, start + span, chart.columns), top)
        line, tick = ("|", "+") if self._plain else ("│", "┤")
        drawn: list[Line] = []
        for number, text in enumerate(lines):
            words = label if number == 0 else "0" if number == len(lines) - 1 else ""
            axis = f"{words:>{margin - 2}} {tick if words else line}" if margin else ""
            drawn.append([(axis, "dim"), (text, panel.colour)])
        return drawn

    def _sums(
        self, panel: _Panel, start: float, span: float, columns: int
    ) -> list[tuple[float, float] | None]:
        """Return how many there were in each column."""
        sums = [0.0] * columns
        for point in self._points:
            if start <= point.at <= start + span:
                place = min(columns - 1, int((point.at - start) / span * columns))
                sums[place] += panel.value(point) or 0
        return [(0.0, one) for one in sums]

    def _window(self, columns: int) -> tuple[float, float]:
        """Return the time that is shown: seconds since the first sample, and how many."""
        now = self._points[-1].at if self._points else 0.0
        least = columns * self._interval
        most = max(_MOST_S, least)
        span = least
        while span < now and span < most:
            span = min(2 * span, most)
        return max(0.0, now - span), span


def _folded(line: Line, width: int) -> list[Line]:
    """Return a line as several where it is too wide; then all of it has the first style."""
    from textwrap import wrap

    texts = [clean(part if isinstance(part, str) else part[0]) for part in line]
    text, style = "".join(texts), "" if isinstance(line[0], str) else line[0][1]
    if text_width(text) <= width:
        return [line]
    return [[(piece, style)] for piece in wrap(text, max(1, width), break_on_hyphens=False)]


def _time_axis(start: float, span: float, margin: int, width: int) -> str:
    """Return the seconds at the left, in the middle and at the right."""
    left, middle, right = (f"{at:.0f} s" for at in (start, start + span / 2, start + span))
    half = width // 2
    line = left.ljust(half) + middle
    return " " * margin + line.ljust(width - len(right)) + right


def _whole(number: float) -> str:
    return f"{number:.0f}"


# -- lines -----------------------------------------------------------------------------------------

_COLUMNS = (
    ("time", 12), ("state", 10), ("rtt", 8), ("least rtt", 9), ("window", 6), ("delivery rate", 13),
    ("retransmitted", 13), ("lost", 4), ("in flight", 9), ("send queue", 10),
)  # fmt: skip


def _show_lines(rows: Iterable[object], screen: Screen) -> None:
    """Write a line a sample."""
    _show_line([head for head, _ in _COLUMNS], screen)
    state = ""
    for row in rows:
        if isinstance(row, Sample):
            info, state = row.info, row.row.state
            rate = "" if info.delivery_rate is None else bit_rate(info.delivery_rate)
            least = "" if info.min_rtt is None else duration(info.min_rtt)
            numbers = (info.total_retrans, info.lost, info.unacked, row.row.send_queue)
            texts = [duration(info.rtt), least, str(info.snd_cwnd), rate, *map(str, numbers)]
            _show_line([_clock(row.time_ns), row.row.state, *texts], screen)
        elif isinstance(row, Ended):
            screen.line(
                f"{_clock(row.time_ns)}  the connection ended: {traffic_text(row.row, state)}"
            )


def _show_line(texts: Sequence[str], screen: Screen) -> None:
    pairs = zip(texts, _COLUMNS, strict=True)
    screen.line("  ".join(text.ljust(width) for text, (_, width) in pairs))


def _clock(time_ns: int) -> str:
    second, rest = divmod(time_ns, _SECOND)
    return f"{time.strftime('%H:%M:%S', time.localtime(second))}.{rest // 1_000_000:03}"

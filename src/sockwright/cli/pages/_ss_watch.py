"""`sw ss --watch` for people: a live table on a terminal, a line an event into a pipe.

In the table new sockets are marked ``+``, changed ones ``~`` with the cells that changed standing
out, and closed ones ``-``; those stay for some seconds. Where all sockets have room they keep their
places; else those with a mark come first, the latest at the top, and the rest is counted.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from itertools import islice

from sockwright.cli.clean import clean
from sockwright.cli.live import Live, cut, speaks_unicode
from sockwright.cli.pages._ss_cells import endpoint, processes_text
from sockwright.cli.pages._ss_traffic import traffic_text
from sockwright.cli.units import counted
from sockwright.cli.width import text_width
from sockwright.sockets.diag.inet import TCPSocket
from sockwright.tools._ss_watch import Begun, Frame, Said

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sockwright.cli.live import Line
    from sockwright.cli.pages._ss_names import Names
    from sockwright.cli.screen import Part, Screen
    from sockwright.sockets.diag.changes import Event
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["show_watch"]

_MARKS = {"opened": ("+", "green"), "changed": ("~", "yellow"), "closed": ("-", "red")}
_CHANGED = "bold yellow"
_SHOWN_S = {"opened": 3.0, "changed": 1.5, "closed": 5.0}  # how long a mark stays
_GAP = "  "
_LEAST_ADDRESS = 10
_CLOSED = "closed"  # the state of a socket that was never seen open


def show_watch(
    begun: Begun,
    rows: Iterable[object],
    screen: Screen,
    names: Names | None,
    devices: Mapping[int, str],
    *,
    netid: bool,
) -> None:
    """Show what happens; `rows` are those that follow `begun`.

    `names` puts names in the place of ports, `devices` names interfaces, `netid` asks for the
    column of the kinds.
    """
    plain = not speaks_unicode(screen.stream)
    columns = _Columns(names, devices, netid=netid, processes=begun.processes, plain=plain)
    if not begun.frames:
        _show_events(begun, rows, screen, columns)
        return
    table = _Table(begun, columns, plain=plain)
    said: list[str] = []
    try:
        with Live(screen.stream, table.picture) as live:
            live.show()
            for row in rows:
                with live.changing():
                    if isinstance(row, Frame):
                        table.take(row.events)
                    elif isinstance(row, Said):
                        said.append(row.text)
                        table.notice = row.text
    finally:
        for text in said:
            print(f"sw ss: {clean(text)}", file=sys.stderr)
    screen.line(table.summary())


# -- a live table ----------------------------------------------------------------------------------


class _Columns:
    """The cells of a socket, and how wide the columns are by now.

    The last column has no width: it is cut where the terminal ends. Where the others are too wide,
    their heads get shorter, then the middle of the addresses is left out, then the queues, then the
    kind.
    """

    def __init__(
        self,
        names: Names | None,
        devices: Mapping[int, str],
        *,
        netid: bool,
        processes: bool,
        plain: bool,
    ) -> None:
        self._names = names
        self._devices = devices
        self._netid = netid
        self._processes = processes
        self._dots = "..." if plain else "…"
        self._local = 4 if netid else 3  # the place of the column
        self._peer = self._local + 2
        self._right = {self._local - 2, self._local - 1, self._local, self._peer}
        self._widths = [0] * (self._peer + 3)  # of the cells that were seen
        self._terminal = 0

    def cells(self, row: SocketRow, state: str) -> list[str]:
        """Return the text of each column, safe to show."""
        ends = [
            *endpoint(row, "local", self._names, self._devices),
            *endpoint(row, "peer", self._names, self._devices),
        ]
        limit = "of " if state == "LISTEN" else ""
        queues = [str(row.receive_queue), f"{limit}{row.send_queue}"]
        last = processes_text(row.processes or ()) if self._processes else ""
        first = [row.netid] if self._netid else []
        return [clean(text) for text in (*first, state, *queues, *ends, last)]

    def lay_out(
        self, table: Sequence[Sequence[str]], terminal: int
    ) -> tuple[list[str], list[list[str]]]:
        """Return the heads and the rows of `table`, each text padded, for so many columns.

        A column is never narrower than it was, so that the picture stays calm.
        """
        if terminal != self._terminal:
            self._terminal, self._widths = terminal, [0] * len(self._widths)
        for row in table:
            self._widths[:] = map(max, self._widths, map(text_width, row))
        queues = {self._local - 2, self._local - 1}
        for word, without in (
            (" Address:", set[int]()),
            (":", set[int]()),
            (":", queues),
            (":", queues | set(range(self._local - 3))),
        ):
            heads = self._heads(word)
            widths = list(map(max, self._widths, map(len, heads)))
            shown = [place for place in range(len(widths) - 1) if place not in without]
            # Two spaces behind each but the addresses, which their ports follow.
            wanted = sum(widths[place] for place in shown) + len(_GAP) * (len(shown) - 2)
            if self._squeeze(widths, wanted - terminal):
                break
        return (
            self._padded(heads, widths, shown),
            [self._padded(row, widths, shown) for row in table],
        )

    def _heads(self, address: str) -> list[str]:
        first = ["Netid"] if self._netid else []
        ends = [f"Local{address}", "Port", f"Peer{address}", "Port"]
        last = "Process" if self._processes else ""
        return [*first, "State", "Recv-Q", "Send-Q", *ends, last]

    def _squeeze(self, widths: list[int], excess: int) -> bool:
        """Take `excess` columns from the addresses; False is that they have not so many to give."""
        local, peer = widths[self._local], widths[self._peer]
        room = local + peer - max(0, excess)
        enough = room >= 2 * _LEAST_ADDRESS or excess <= 0
        room = max(room, 2 * _LEAST_ADDRESS)
        widths[self._local] = min(local, max(room // 2, room - peer))
        widths[self._peer] = min(peer, room - widths[self._local])
        return enough

    def _padded(
        self, cells: Sequence[str], widths: Sequence[int], shown: Sequence[int]
    ) -> list[str]:
        """Return each text with what stands behind it; nothing for columns that are not shown."""
        padded = [""] * len(cells)
        for place in shown:
            text = self._shortened(cells[place], widths[place])
            spaces = " " * (widths[place] - text_width(text))
            gap = "" if place in {self._local, self._peer} else _GAP
            padded[place] = (spaces + text if place in self._right else text + spaces) + gap
        padded[-1] = cells[-1]
        return padded

    def _shortened(self, text: str, width: int) -> str:
        """Return `text` without its middle where it is wider than the column."""
        if text_width(text) <= width:
            return text
        room = width - len(self._dots)
        end = room // 2
        return cut(text, room - end) + self._dots + text[len(text) - end :]


class _Entry:
    """One line of the table: a socket, and what has happened to it lately."""

    __slots__ = ("changed", "kind", "note", "row", "state", "until")

    def __init__(self, row: SocketRow) -> None:
        self.row = row
        self.state = row.state
        self.kind = ""
        self.until = 0.0
        self.changed: frozenset[int] = frozenset()  # places of cells
        self.note = ""


class _Table:
    """The sockets by now, and their picture."""

    def __init__(self, begun: Begun, columns: _Columns, *, plain: bool) -> None:
        self.notice = "" if begun.sees_ends else begun.text.split("; ")[1]
        self._columns = columns
        self._title = begun.title
        self._dots = "..." if plain else "…"
        self._begun = time.monotonic()
        self._counts = Counter[str]()
        self._entries = {(row, False): _Entry(row) for row in begun.rows}
        # Those with a mark, the latest last.
        self._marked: dict[tuple[SocketRow, bool], _Entry] = {}

    def take(self, events: Sequence[Event]) -> None:
        """Take what has happened."""
        now = time.monotonic()
        for event in events:
            self._counts[event.kind] += 1
            key = (event.row, False)
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry(event.before or event.row)
                if event.kind == "closed" and event.before is None:
                    entry.state = _CLOSED
            if event.kind == "closed" or not event.listed:
                # Its place is kept for a while; a TIME-WAIT may follow it under the same key.
                del self._entries[key]
                key = (event.row, True)
                self._entries.pop(key, None)
                self._entries[key] = entry
            self._marked.pop((event.row, False), None)
            self._marked[key] = entry
            self._mark(entry, event, now)

    def _mark(self, entry: _Entry, event: Event, now: float) -> None:
        entry.kind = event.kind if event.listed else "closed"
        entry.until = now + _SHOWN_S[entry.kind]
        if event.kind == "closed":
            entry.note, entry.changed = _last_words(event), frozenset()
            return
        cells = self._columns.cells
        before = cells(entry.row, entry.state)
        entry.row, entry.state = event.row, event.row.state
        after = cells(entry.row, entry.state)
        if event.kind == "changed":
            pairs = zip(before, after, strict=True)
            entry.changed = frozenset(at for at, (old, new) in enumerate(pairs) if old != new)

    def summary(self) -> str:
        """Return what has happened in all, in one line."""
        seconds = time.monotonic() - self._begun
        told = ", ".join(f"{self._counts[kind]} {kind}" for kind in _MARKS)
        return f"watched for {seconds:.0f} s: {told}"

    def picture(self, width: int, height: int) -> list[Line]:
        """Return the lines of a screen."""
        self._expire(time.monotonic())
        lines = self._header(width)
        room = max(1, height - len(lines) - 1)  # below the heads
        entries = list(self._entries.values())
        if len(entries) > room:
            room -= 1
            marked = list(reversed(self._marked.values()))[:room]
            others = (entry for entry in entries if not entry.kind)
            shown = [*marked, *islice(others, room - len(marked))]
        else:
            shown = entries
        lines += self._rows(shown, width)
        if more := len(entries) - len(shown):
            lines.append([(f"{self._dots} and {more} more", "dim")])
        return lines

    def _expire(self, now: float) -> None:
        for key in [key for key, entry in self._marked.items() if entry.until <= now]:
            entry = self._marked.pop(key)
            if entry.kind == "closed":
                del self._entries[key]
            entry.kind, entry.changed = "", frozenset()

    def _header(self, width: int) -> list[Line]:
        states = Counter(entry.state for entry in self._entries.values() if entry.kind != "closed")
        by_state = ", ".join(f"{state} {count}" for state, count in states.most_common())
        total = counted(states.total(), "socket")
        title = f"sw ss --watch  {self._title}".rstrip()
        clock = time.strftime("%H:%M:%S")
        space = " " * max(2, width - text_width(clean(title)) - len(clock))
        happened = ", ".join(f"{self._counts[kind]} {kind}" for kind in _MARKS)
        lines: list[Line] = [
            [(title, "bold"), space, clock],
            [f"{total}: {by_state}" if by_state else total, _GAP, (f"({happened})", "dim")],
        ]
        if self.notice:
            lines.append([(self.notice, "yellow")])
        return [*lines, []]

    def _rows(self, entries: Sequence[_Entry], width: int) -> list[Line]:
        """Return the line of heads, and one for each socket."""
        texts = [self._columns.cells(entry.row, entry.state) for entry in entries]
        for entry, cells in zip(entries, texts, strict=True):
            if entry.note:
                cells[-1] = f"{cells[-1]}{_GAP}{entry.note}".lstrip()
        heads, rows = self._columns.lay_out(texts, width - 2)
        lines: list[Line] = [["  ", ("".join(heads), "bold")]]
        for entry, cells in zip(entries, rows, strict=True):
            mark, style = _MARKS.get(entry.kind, (" ", ""))
            if not entry.changed:
                lines.append([(f"{mark} {''.join(cells)}", style)])
                continue
            line: list[Part] = [(f"{mark} ", style)]
            for place, cell in enumerate(cells):
                line.append((cell, _CHANGED if place in entry.changed else ""))
            lines.append(line)
        return lines


def _last_words(event: Event) -> str:
    """Return what a TCP connection has carried; nothing for a listener."""
    row = event.row
    if not isinstance(row, TCPSocket) or row.info is None or not row.peer_port:
        return ""
    return traffic_text(row, "" if event.before is None else event.before.state)


# -- lines -----------------------------------------------------------------------------------------


def _show_events(begun: Begun, rows: Iterable[object], screen: Screen, columns: _Columns) -> None:
    """Write a line an event."""
    print(f"sw ss: {clean(begun.text)}", file=sys.stderr, flush=True)
    for row in rows:
        if isinstance(row, Said):
            print(f"sw ss: {clean(row.text)}", file=sys.stderr, flush=True)
        else:
            screen.line(_event_line(row, columns))  # type: ignore[arg-type]  # what is left


def _event_line(event: Event, columns: _Columns) -> str:
    """Return time, what happened, and the cells of the row."""
    second, rest = divmod(event.time_ns, 1_000_000_000)
    at = f"{time.strftime('%H:%M:%S', time.localtime(second))}.{rest // 1_000_000:03}"
    row = event.row
    state = row.state
    if event.kind == "closed":
        row = event.before or row
        state = row.state if event.before is not None else _CLOSED
    elif event.before is not None and event.before.state != state:
        state = f"{event.before.state}>{state}"
    *front, local, local_port, peer, peer_port, last = columns.cells(row, state)
    note = _last_words(event) if event.kind == "closed" else ""
    words = [at, f"{event.kind:7}", *front, local + local_port, peer + peer_port, last, note]
    return _GAP.join(word for word in words if word)

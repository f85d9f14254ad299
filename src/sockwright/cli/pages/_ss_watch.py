"""`sw ss --watch` for people: a live table on a terminal, a line an event into a pipe.

In the table new sockets are marked ``+``, changed ones ``~`` with the cells that changed standing
out, and closed ones ``-``; those stay for some seconds. Where all sockets have room they keep their
places; else those with a mark come first, the latest at the top, and the rest is counted. What has
closed, and the records that the kernel keeps of it, then get a third of the room, and what the
others leave.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from sockwright.cli.clean import clean
from sockwright.cli.live import Live, cut, speaks_unicode
from sockwright.cli.pages._ss_traffic import traffic_texts
from sockwright.cli.pages._ss_watch_columns import GAP, Columns, was_disconnected
from sockwright.cli.units import counted
from sockwright.cli.width import text_width
from sockwright.sockets.diag.inet import TCPSocket
from sockwright.tools._rows import Remark
from sockwright.tools._ss_watch import Begun, Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sockwright.cli.live import Line
    from sockwright.cli.pages._ss_names import Names
    from sockwright.cli.pages._ss_watch_columns import Lines
    from sockwright.cli.screen import Part, Screen
    from sockwright.sockets.diag.changes import Event
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["show_watch"]

_MARKS = {"opened": ("+", "green"), "changed": ("~", "yellow"), "closed": ("-", "red")}
_CHANGED = "bold yellow"
_SHOWN_S = {"opened": 3.0, "changed": 1.5, "closed": 5.0}  # how long a mark stays
_UNSEEN = "closed"  # the state of a socket that was never seen open
_ROOMY, _TIGHT = 10, 6  # lines of a terminal


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
    columns = Columns(names, devices, netid=netid, processes=begun.processes, plain=plain)
    if not begun.frames:
        _show_events(begun, rows, screen, columns)
        return
    table = _Table(begun, columns, plain=plain)
    said: list[str] = []
    try:
        with Live(screen.stream, table.picture) as live:
            table.ending = live.ending
            live.show()
            for row in rows:
                with live.changing():
                    if isinstance(row, Frame):
                        table.take(row.events)
                    elif isinstance(row, Remark):
                        said.append(row.text)
                        table.notice = row.text
    finally:
        for text in said:
            print(f"sw ss: {clean(text)}", file=sys.stderr)
    screen.line(table.summary())


# -- a live table ----------------------------------------------------------------------------------


class _Entry:
    """One line of the table: a socket, and what has happened to it lately."""

    __slots__ = ("changed", "kind", "notes", "row", "state", "until")

    def __init__(self, row: SocketRow) -> None:
        self.row = row
        self.state = row.state
        self.kind = ""
        self.until = 0.0
        self.changed: frozenset[int] = frozenset()  # places of cells
        self.notes: tuple[str, ...] = ()  # what is said behind it, the longest first

    @property
    def is_over(self) -> bool:
        """Whether the socket has closed, or is what the kernel keeps of it for a while."""
        return self.kind == "closed" or self.state == "TIME-WAIT"


class _Table:
    """The sockets by now, and their picture."""

    def __init__(self, begun: Begun, columns: Columns, *, plain: bool) -> None:
        self.notice = "" if begun.sees_ends else begun.text.split("; ")[1]
        self.ending = "Ctrl-C"  # what ends it
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
                    entry.state = _UNSEEN
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
            entry.notes, entry.changed = _last_words(event), frozenset()
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
        now = time.monotonic()
        self._expire(now)
        lines = self._header(width, height)
        has_heads = height >= _TIGHT
        room = height - len(lines) - has_heads
        for each in 1, 2, 3:
            shown = self._chosen(room, each)
            texts = [self._columns.cells(entry.row, entry.state) for entry in shown]
            notes = [entry.notes for entry in shown]
            laid = self._columns.lay_out(texts, notes, width - 2, now, lines=each)
            if laid is not None:
                break
        assert laid is not None  # in three lines there is always room
        heads, rows = laid
        if has_heads:
            lines.append(["  ", ("".join(text for text, _ in heads), "bold")])
        for entry, row in zip(shown, rows, strict=True):
            lines += self._drawn(entry, row)
        if len(shown) < len(self._entries):
            lines.append([(self._rest(shown), "dim")])
        return lines

    def _chosen(self, room: int, each: int) -> list[_Entry]:
        """Return the sockets to be shown in so many lines, if each takes so many."""
        entries = list(self._entries.values())
        if len(entries) * each <= room:
            return entries
        count = max(0, room - 1) // each  # a line says how many more there are
        alive = sum(not entry.is_over for entry in entries)
        left = {False: count, True: max(count // 3, count - alive)}  # by whether it is over
        unmarked = sorted(
            (entry for entry in entries if not entry.kind), key=lambda entry: entry.is_over
        )
        chosen: list[_Entry] = []
        for entry in (*reversed(self._marked.values()), *unmarked):
            if left[entry.is_over] > 0 and len(chosen) < count:
                left[entry.is_over] -= 1
                chosen.append(entry)
        return chosen

    def _rest(self, shown: Sequence[_Entry]) -> str:
        """Return how many sockets there are beside those that are shown."""
        closed = Counter(entry.kind == "closed" for entry in self._entries.values())
        closed.subtract(entry.kind == "closed" for entry in shown)
        told = [f"{closed[False]} more"] * (closed[False] > 0)
        told += [f"{closed[True]} more closed"] * (closed[True] > 0)
        return f"{self._dots} and {', '.join(told)}"

    def _expire(self, now: float) -> None:
        for key in [key for key, entry in self._marked.items() if entry.until <= now]:
            entry = self._marked.pop(key)
            if entry.kind == "closed":
                del self._entries[key]
            entry.kind, entry.changed = "", frozenset()

    def _header(self, width: int, height: int) -> list[Line]:
        """Return what stands above the heads: less where there is little room."""
        right = f"{self.ending} ends it  {time.strftime('%H:%M:%S')}"
        title = clean(f"sw ss --watch  {self._title}".rstrip())
        room = width - len(GAP) - len(right)
        if text_width(title) > room:
            title = cut(title, max(0, room - len(self._dots))) + self._dots
        space = " " * (width - len(right) - text_width(title))
        lines: list[Line] = [[(title, "bold"), space, right]]
        if height < _TIGHT:
            return lines
        states = Counter(entry.state for entry in self._entries.values() if entry.kind != "closed")
        total = counted(states.total(), "socket")
        if states:
            by_state = (f"{state} {count}" for state, count in states.most_common())
            total = f"{total}: {', '.join(by_state)}"
        happened = ", ".join(f"{self._counts[kind]} {kind}" for kind in _MARKS)
        if len(total) + len(GAP) + len(happened) + 2 > width:
            happened = " ".join(f"{mark}{self._counts[kind]}" for kind, (mark, _) in _MARKS.items())
        lines.append([total, GAP, (f"({happened})", "dim")])
        if self.notice:
            lines.append([(self.notice, "yellow")])
        return [*lines, []] if height >= _ROOMY else lines

    def _drawn(self, entry: _Entry, row: Lines) -> Iterator[Line]:
        """Yield the lines of one socket."""
        mark, style = _MARKS.get(entry.kind, (" ", ""))
        for number, cells in enumerate(row):
            line: list[Part] = [(" " * 2 if number else f"{mark} ", style)]
            for text, place in cells:
                changed = _CHANGED if place in entry.changed else ""
                line.append((text, changed if entry.changed else style))
            yield line


def _last_words(event: Event) -> tuple[str, ...]:
    """Return what a TCP connection has carried, the longest text first; none for a listener."""
    row = event.row
    before = "" if event.before is None else event.before.state
    if was_disconnected(row):  # it has forgotten what it carried
        known = before not in {"", "SYN-SENT"}
        return ("aborted",) if known else ("aborted, or never connected", "aborted or refused")
    if not isinstance(row, TCPSocket) or row.info is None or not row.peer_port:
        return ()
    return traffic_texts(row, before)


# -- lines -----------------------------------------------------------------------------------------


# What most need; that of other columns is the width of their heads.
_WIDTHS = {"Time": 12, "Event": 7, "State": 11, "Local:Port": 21, "Peer:Port": 21, "Process": 16}


def _show_events(begun: Begun, rows: Iterable[object], screen: Screen, columns: Columns) -> None:
    """Write a line an event, below a line of heads."""
    print(f"sw ss: {clean(begun.text)}", file=sys.stderr, flush=True)
    heads = ["Time", "Event", *_joined(columns.heads(":"))]
    screen.line(_padded(heads, heads))
    for row in rows:
        if isinstance(row, Remark):
            print(f"sw ss: {clean(row.text)}", file=sys.stderr, flush=True)
        else:
            cells, note = _told(row, columns)  # type: ignore[arg-type]  # what is left
            screen.line(f"{_padded(cells, heads)}{GAP}{note}".rstrip())


def _told(event: Event, columns: Columns) -> tuple[list[str], str]:
    """Return time, what happened, and the cells of the row; what the connection carried."""
    second, rest = divmod(event.time_ns, 1_000_000_000)
    at = f"{time.strftime('%H:%M:%S', time.localtime(second))}.{rest // 1_000_000:03}"
    row = event.row
    state = row.state
    if event.kind == "closed":
        row = event.before or row
        state = row.state if event.before is not None else "-"
    elif event.before is not None and event.before.state != state:
        state = f"{event.before.state}>{state}"
    cells = [at, event.kind, *_joined(columns.cells(row, state, limit=""))]
    note = next(iter(_last_words(event)), "") if event.kind == "closed" else ""
    return cells, note


def _padded(cells: Sequence[str], heads: Sequence[str]) -> str:
    pairs = zip(cells, heads, strict=True)
    return GAP.join(cell.ljust(_WIDTHS.get(head, len(head))) for cell, head in pairs if head)


def _joined(cells: Sequence[str]) -> list[str]:
    """Return the cells with each port behind its address."""
    *front, local, local_port, peer, peer_port, process = cells
    return [*front, local + local_port, peer + peer_port, process]

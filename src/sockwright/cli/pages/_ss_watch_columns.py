"""The columns of the live table: what a socket's cells say, and where they have room.

A table has a line for each socket as long as there is room, else two, or three. In this order,
until it fits: heads get shorter, and addresses of more than 15 characters lose their middle; the
processes stand below; so does the peer; the queues are left out, then the kind; then addresses lose
what they must; the processes get a line of their own. State and ports are never cut. What a closed
connection has carried is told where there is room behind it.
"""

from __future__ import annotations

from sockwright.cli.clean import clean
from sockwright.cli.live import cut
from sockwright.cli.pages._ss_cells import endpoint, processes_text
from sockwright.cli.width import text_width
from sockwright.sockets.diag.inet import TCPSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sockwright.cli.pages._ss_names import Names
    from sockwright.sockets.diag.row import SocketRow

    Cell = tuple[str, int]
    """A text, and its place among the cells of a row; -1 for none."""
    Lines = list[list[Cell]]
    """What stands in the line, or lines, of a socket."""

__all__ = ["GAP", "Columns", "was_disconnected"]

GAP = "  "
_WHOLE_ADDRESS = 16  # of IPv4, with the colon
_WHOLE_PROCESS = 20  # and its first descriptors
_CALM_S = 5.0  # how long a column stays as wide as it was
_INDENT = "    "
_TWO = 2  # lines a socket
_WILDCARDS = {"0.0.0.0", "::"}
_NOWHERE = {"*", "* 0", "*:*", "0.0.0.0:*", "[::]:*"}


class _Form:
    """Which columns stand in the first line, and which in the second."""

    __slots__ = ("below", "first", "least", "word")

    def __init__(
        self, first: Sequence[int], below: Sequence[int], word: str, least: int = _WHOLE_ADDRESS
    ) -> None:
        self.first = first
        self.below = below
        self.word = word
        self.least = least  # columns of an address


class Columns:
    """The cells of a socket, and how wide the columns are by now."""

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
        self._process = self._peer + 2
        self._right = {self._local - 2, self._local - 1, self._local, self._peer}
        # How wide each was, and when it last had to be.
        self._widths = [(0, 0.0)] * (self._process + 1)
        self._terminal = 0

    def cells(self, row: SocketRow, state: str, *, limit: str = "of ") -> list[str]:
        """Return the text of each column, safe to show; `limit` stands before a listener's."""
        ends = [
            *endpoint(row, "local", self._names, self._devices),
            *endpoint(row, "peer", self._names, self._devices),
        ]
        if was_disconnected(row) and row.local_address in _WILDCARDS:  # type: ignore[attr-defined]
            ends[0] = "*:"  # it had an address, which nobody knows any more
        queues = [str(row.receive_queue), f"{limit if state == 'LISTEN' else ''}{row.send_queue}"]
        last = processes_text(row.processes or ()) if self._processes else ""
        first = [row.netid] if self._netid else []
        return [clean(text) for text in (*first, state, *queues, *ends, last)]

    def heads(self, address: str = " Address:") -> list[str]:
        """Return the head of each column."""
        first = ["Netid"] if self._netid else []
        ends = [f"Local{address}", "Port", f"Peer{address}", "Port"]
        return [*first, "State", "Recv-Q", "Send-Q", *ends, "Process" if self._processes else ""]

    def lay_out(
        self,
        table: Sequence[Sequence[str]],
        notes: Sequence[Sequence[str]],
        terminal: int,
        now: float,
        *,
        lines: int,
    ) -> tuple[list[Cell], list[Lines]] | None:
        """Return the heads and the lines of each row, for so many columns; None: no room.

        `notes` are what is to be said behind a row, the longest first, none where none has room.
        A row may have so many `lines`; in three there is always room. A column gets narrower only
        after it could have been for some seconds, so that the picture stays calm.
        """
        seen = self._seen(table, terminal, now)
        below = lines > 1
        forms = list(self._forms_below() if below else self._forms())
        for form in forms:
            heads = self.heads(form.word)
            widths = [
                max(width, len(heads[place])) if place in form.first else width
                for place, width in enumerate(seen)
            ]
            if self._squeeze(widths, form, terminal) or (below and form is forms[-1]):
                break
        else:
            return None
        if lines == _TWO and any(self._is_cut_below(row, form, terminal) for row in table):
            return None
        return self._first_line(heads, form, widths), [
            self._lines(row, note, form, widths, terminal, at_most=lines)
            for row, note in zip(table, notes, strict=True)
        ]

    # -- what stands where -------------------------------------------------------------------------

    def _forms(self) -> Iterator[_Form]:
        places = range(self._process + self._processes)
        yield _Form(places, (), " Address:")
        yield _Form(places, (), ":")

    def _forms_below(self) -> Iterator[_Form]:
        process = (self._process,) if self._processes else ()
        ends = range(self._local, self._peer)
        queues = range(self._local - 2, self._local)
        kind = range(self._local - 3)
        state = (self._local - 3,)
        if process:
            yield _Form(range(self._process), process, ":")
        below = (self._peer, self._peer + 1, *process)
        yield _Form([*kind, *state, *queues, *ends], below, ":")
        yield _Form([*kind, *state, *ends], below, ":")
        yield _Form([*state, *ends], below, ":")
        yield _Form([*state, *ends], below, ":", least=1)

    def _seen(self, table: Sequence[Sequence[str]], terminal: int, now: float) -> list[int]:
        """Return how wide each column has to be, or was a moment ago."""
        if terminal != self._terminal:
            self._terminal, self._widths = terminal, [(0, now)] * len(self._widths)
        for place, (width, at) in enumerate(self._widths):
            needed = max((text_width(row[place]) for row in table), default=0)
            if needed >= width or now - at > _CALM_S:
                self._widths[place] = needed, now
        return [width for width, _ in self._widths]

    def _squeeze(self, widths: list[int], form: _Form, terminal: int) -> bool:
        """Make the addresses narrower until the first line fits; False is that it does not."""
        addresses = [place for place in form.first if place in {self._local, self._peer}]
        others = sum(widths[place] for place in form.first if place not in addresses)
        if self._process in form.first:
            others -= max(0, widths[self._process] - _WHOLE_PROCESS)
        # Two spaces behind each but the addresses, which their ports follow, and the last.
        room = terminal - others - len(GAP) * (len(form.first) - len(addresses) - 1)
        wanted = sum(widths[place] for place in addresses)
        fits = wanted <= room or room >= form.least * len(addresses)
        room = max(room, form.least * len(addresses))
        if len(addresses) == 1:
            widths[self._local] = min(widths[self._local], room)
        else:
            local, peer = widths[self._local], widths[self._peer]
            widths[self._local] = min(local, max(room // 2, room - peer))
            widths[self._peer] = min(peer, room - widths[self._local])
        if self._process in form.first:
            rest = terminal - sum(widths[place] for place in form.first[:-1])
            rest -= len(GAP) * (len(form.first) - len(addresses) - 1)
            widths[self._process] = max(1, min(widths[self._process], rest))
        return fits

    # -- the text ----------------------------------------------------------------------------------

    def _first_line(self, cells: Sequence[str], form: _Form, widths: Sequence[int]) -> list[Cell]:
        line = []
        for place in form.first:
            text = self._shortened(cells[place], widths[place], ends=place == self._process)
            spaces = " " * (widths[place] - text_width(text))
            gap = "" if place in {self._local, self._peer} else GAP
            line.append(((spaces + text if place in self._right else text + spaces) + gap, place))
        return line

    def _lines(
        self,
        cells: Sequence[str],
        notes: Sequence[str],
        form: _Form,
        widths: Sequence[int],
        terminal: int,
        *,
        at_most: int,
    ) -> Lines:
        line = self._first_line(cells, form, widths)
        if not form.below:
            if self._processes and not cells[self._process]:
                # Nobody holds it: there is room, and brackets tell that this is no name.
                del line[-1]
                notes = [f"({note})" for note in notes]
            return [line + self._note(notes, "", terminal - _width(line))]
        peer = self._peer_below(cells, form, terminal)
        process = self._process_below(cells, form, GAP if peer and at_most == _TWO else _INDENT)
        below = [peer + process] if at_most == _TWO else [peer, process]
        below = [one for one in below if one] or [[]]
        lead = GAP if below[-1] else _INDENT
        below[-1] += self._note(notes, lead, terminal - _width(below[-1]))
        return [line, *below] if below[-1] else [line]

    def _note(self, notes: Sequence[str], lead: str, room: int) -> list[Cell]:
        """Return the longest of `notes` that has room."""
        room -= len(lead)
        return [(lead + note, -1) for note in notes if text_width(note) <= room][:1]

    def _peer_below(self, cells: Sequence[str], form: _Form, terminal: int) -> list[Cell]:
        peer, port = cells[self._peer : self._process]
        if self._peer not in form.below or peer + port in _NOWHERE:
            return []
        words = f"{_INDENT}peer "
        room = max(1, terminal - len(words) - text_width(port))
        return [(words, -1), (self._shortened(peer, room), self._peer), (port, self._peer + 1)]

    def _process_below(self, cells: Sequence[str], form: _Form, lead: str) -> list[Cell]:
        text = cells[self._process]
        if self._process not in form.below or not text:
            return []
        return [(lead if lead == GAP else f"{lead}held by ", -1), (text, self._process)]

    def _is_cut_below(self, cells: Sequence[str], form: _Form, terminal: int) -> bool:
        """Tell whether peer and process have no room in one line."""
        peer = self._peer_below(cells, form, terminal)
        process = min(text_width(cells[self._process]), _WHOLE_PROCESS)
        return bool(peer and process) and _width(peer) + len(GAP) + process > terminal

    def _shortened(self, text: str, width: int, *, ends: bool = False) -> str:
        """Return `text` without its middle, or its end, where it is wider than the column."""
        if text_width(text) <= width:
            return text
        dots = cut(self._dots, width)
        room = width - len(dots)
        end = 0 if ends else room // 2
        return cut(text, room - end) + dots + text[len(text) - end :]


def _width(line: Sequence[Cell]) -> int:
    return sum(text_width(text) for text, _ in line)


def was_disconnected(row: SocketRow) -> bool:
    """Tell whether this is a TCP socket whose program aborted it, or never got a connection."""
    return isinstance(row, TCPSocket) and not row.peer_port and row.peer_address not in _WILDCARDS

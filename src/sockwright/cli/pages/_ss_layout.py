"""The table of `sw ss`: how its columns fit.

Into a pipe, and with -O, each socket is one line, the columns as wide as their widest text. On a
terminal that is too narrow for that, columns give way in this order, until the rest fits:

1. of the processes the first is named and the others are counted ("nginx:81 fd 6 +3");
2. the heads of the addresses get shorter, and a queue that is 0 for every socket goes;
3. the processes move to a line below their socket, as many as fit there, the others are counted;
4. a socket whose addresses are longer than there is room for has its peer on a line below, and if
   it must be its own address too, while the others stay on one line. No peer, no line.

Two spaces at least stand between columns, whatever they hold.
"""

from __future__ import annotations

from itertools import islice, repeat

from sockwright.cli.clean import clean
from sockwright.cli.pages._ss_cells import Texts, first_process, holders, processes_text
from sockwright.cli.width import folded, text_width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from sockwright.cli.pages._ss_cells import Cells
    from sockwright.cli.screen import Screen

    Line: TypeAlias = str | list[str]
    """Prose, which is folded between words, or items, which are not broken."""

__all__ = [
    "GAP",
    "PROCESS",
    "Column",
    "colour_of_state",
    "show_fields",
    "show_table",
    "write_blocks",
    "write_table",
]

GAP = "  "
PROCESS = "Process:PID fd"
"""The head of the column of processes."""
_BELOW = "    "
_BLOCK = 1000  # lines that are written at once
_HELD = "held by "
_NOBODY = {"*", "*:*", "0.0.0.0:*", "[::]:*", "* 0"}  # peers that are none
_USUAL_PORT = 7  # columns for a port, or the inode of a Unix socket

# SGR of a terminal (ECMA-48 section 8.3.117), written here: rich takes longer to load than all of
# this takes to run.
_OFF, _BOLD, _DIM = "\x1b[0m", "\x1b[1m", "\x1b[2m"
_RED, _GREEN, _YELLOW, _CYAN = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m"
_COLOURS = {
    "ESTAB": _GREEN,
    "LISTEN": _CYAN,
    "CLOSE-WAIT": _RED,
    "TIME-WAIT": _DIM,
    "UNCONN": "",
}
_COLOUR_OF_OTHERS = _YELLOW  # a connection that is about to open or to close


def show_table(
    cells: Cells,
    screen: Screen,
    *,
    header: bool = True,
    one_line: bool = False,
    below: Iterable[Sequence[Line]] | None = None,
) -> None:
    """Write the table; `below` has for each socket the lines that stand under it.

    With `one_line` they stand behind it, and nothing is folded.
    """
    folds = screen.terminal and not one_line
    table = _Table(cells, colour=screen.colour, for_people=folds)
    if folds:
        table.fit(screen.width)
    if table.has_more:
        below = map(_and, table.more(), below or repeat(()))
    head = table.head()[: screen.width if folds else None].rstrip()
    write_table(head if header else "", table.lines(), screen, one_line=one_line, below=below)


def write_table(
    head: str,
    lines: Iterable[str],
    screen: Screen,
    *,
    one_line: bool = False,
    below: Iterable[Sequence[Line]] | None = None,
) -> None:
    """Write `lines` under their head, "" for none, each with what stands below or behind it."""
    if below is not None:
        width = screen.width if screen.terminal and not one_line else 0
        lines = (
            GAP.join((line, *map(_whole, texts))) if one_line else _over(line, texts, width)
            for line, texts in zip(lines, below, strict=False)
        )
    ended = (f"{line.rstrip()}\n" for line in lines)
    write_blocks(head, iter(lambda: "".join(islice(ended, _BLOCK)), ""), screen)


def write_blocks(head: str, blocks: Iterable[str], screen: Screen) -> None:
    """Write `blocks` of lines, each with its line end, under their head, "" for none."""
    if head:
        screen.verbatim(f"{_BOLD}{head}{_OFF}\n" if screen.colour else head + "\n")
    for block in blocks:
        screen.verbatim(block)


def show_fields(
    heads: Sequence[str], columns: Sequence[list[str]], screen: Screen, *, header: bool = True
) -> None:
    """Write columns of texts, numbers to the right.

    Where a terminal is too narrow for them, each row is a block of lines, "name value".
    """
    made = [
        Column(head, Texts(texts), right=bool(texts) and all(map(_is_number, texts)))
        for head, texts in zip(heads, columns, strict=True)
    ]
    title = "".join(column.title() for column in made).rstrip()
    if not screen.terminal or len(title) <= screen.width >= _line_width(made):
        if header:
            screen.verbatim((f"{_BOLD}{title}{_OFF}" if screen.colour else title) + "\n")
        lines = map("".join, zip(*(column.padded() for column in made), strict=True))
        screen.verbatim("".join(f"{line.rstrip()}\n" for line in lines))
        return
    indent = max(map(len, heads)) + len(GAP)
    for row in zip(*(column.bare() for column in made), strict=True):
        for head, text in zip(heads, row, strict=True):
            parts = screen.fold(text, screen.width - indent) or [""]
            screen.line((head.ljust(indent), "bold"), parts[0])
            for part in parts[1:]:
                screen.line(" " * indent, part)
        screen.line()


def _is_number(text: str) -> bool:
    return not text or text.isdecimal()


def _line_width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)


def _and(one: list[str], other: Sequence[Line]) -> list[Line]:
    return [*one, *other]


def _whole(line: Line) -> str:
    return clean(line if isinstance(line, str) else ", ".join(line))


def _over(line: str, below: Sequence[Line], width: int) -> str:
    """Return `line` with the others under it, folded to `width` columns unless that is 0."""
    lines = [line.rstrip()]
    for one in below:
        text = _BELOW + _whole(one)
        if not width or text_width(text) <= width:
            lines.append(text)
        elif isinstance(one, str):
            lines += _wrapped(text, width)
        else:
            for part in _filled(list(map(clean, one)), width):
                lines += _wrapped(part, width) if text_width(part) > width else [part]
    return "\n".join(lines)


def _filled(items: list[str], width: int) -> Iterator[str]:
    """Yield lines that are as full of items as can be; none is broken."""
    filled = _BELOW + items[0]
    for item in items[1:]:
        if text_width(filled) + len(", ") + text_width(item) + len(",") <= width:
            filled += ", " + item
        else:
            yield filled + ","
            filled = _BELOW + GAP + item
    yield filled


def _wrapped(text: str, width: int) -> list[str]:
    """Return `text`, which is indented, folded between words."""
    indent = " " * (len(text) - len(text.lstrip(" ")))
    return folded(text.strip(), width, indent, indent + GAP)


def _as_many(texts: list[str], width: int) -> str:
    """Return as many of `texts` as fit into `width` columns, and how many are left out: "a, b +3".

    The first is always there.
    """
    told = texts[0]
    for place, text in enumerate(texts[1:], 1):
        left = len(texts) - place - 1
        longer = f"{told}, {text}"
        if _width(f"{longer} +{left}" if left else longer) > width:
            return f"{told} +{left + 1}"
        told = longer
    return told


class Column:
    """Texts below each other, made safe to show; `width` is that of the widest, head included."""

    __slots__ = ("_colour", "_distinct", "_gap", "_plain", "_right", "head", "texts", "width")

    def __init__(
        self,
        head: str,
        texts: Texts,
        *,
        right: bool = False,
        gap: str = GAP,
        colour: Callable[[str], str] | None = None,
    ) -> None:
        self.head = head
        self.texts = texts
        self._right = right
        self._gap = gap
        self._colour = colour
        self._distinct = distinct = texts.distinct
        everything = "".join(distinct)
        self._plain = everything.isascii() and everything.isprintable()
        width = max(map(len if self._plain else _width, distinct), default=0)
        self.width = max(width, len(head))

    def narrow(self, width: int) -> None:
        """Make the column `width` wide, or less if every text that fits there does."""
        widths = map(_width, self._distinct)
        self.width = max((one for one in widths if one <= width), default=0)
        self.width = max(self.width, len(self.head))

    def overflow(self) -> set[str]:
        """Return the texts that are wider than the column."""
        return {text for text in self._distinct if _width(text) > self.width}

    def title(self) -> str:
        """Return the head, padded like the texts."""
        width = self.width
        return (self.head.rjust(width) if self._right else self.head.ljust(width)) + self._gap

    def padded(self) -> Iterator[str]:
        """Yield each text, padded to the width and coloured, with the gap behind it."""
        return map(self.paddings().__getitem__, self.texts.rows)

    def bare(self) -> Iterator[str]:
        """Yield each text as it is shown, without padding."""
        return map(clean, self.texts)

    def paddings(self) -> dict[str, str]:
        """Return each text, padded to the width and coloured, with the gap behind it."""
        texts, gap = self._distinct, self._gap
        if not self._plain or self._colour is not None:
            return {text: self._pad_one(clean(text)) + gap for text in texts}
        if self._right:
            return {text: text.rjust(self.width) + gap for text in texts}
        return dict(zip(texts, map(str.ljust, texts, repeat(self.width + len(gap))), strict=False))

    def _pad_one(self, text: str) -> str:
        spaces = " " * (self.width - text_width(text))
        colour = self._colour(text) if self._colour is not None else ""
        if colour:
            text = colour + text + _OFF
        return spaces + text if self._right else text + spaces


def _width(text: str) -> int:
    return text_width(clean(text))


class _Endpoint:
    """An address and a port: two columns that meet at the colon."""

    __slots__ = ("address", "port")

    def __init__(self, head: str, addresses: Texts, ports: Texts) -> None:
        self.address = Column(f"{head} Address:", addresses, right=True, gap="")
        self.port = Column("Port", ports)

    @property
    def columns(self) -> tuple[Column, Column]:
        return self.address, self.port

    def shorten_head(self, head: str) -> None:
        self.address.head = f"{head}:"
        self.address.narrow(self.address.width)

    def texts(self) -> list[str]:
        """Return each address with its port, without padding."""
        return list(map("".join, zip(self.address.bare(), self.port.bare(), strict=True)))


class _Table:
    """The columns of the table, and what of it stands below the lines."""

    __slots__ = (
        "_all_long",
        "_front",
        "_has_local",
        "_local",
        "_long",
        "_longer",
        "_peer",
        "_process",
        "_processes",
        "_room_below",
        "_unaligned",
    )

    def __init__(self, cells: Cells, *, colour: bool, for_people: bool) -> None:
        sent = cells.send_queue
        if for_people and "LISTEN" in cells.state.distinct:
            # Of a listener the queue holds connections, and the other number is their limit.
            pairs = zip(cells.state, sent, strict=True)
            sent = Texts(f"of {limit}" if state == "LISTEN" else limit for state, limit in pairs)
        self._front = [
            Column("State", cells.state, colour=colour_of_state if colour else None),
            Column("Recv-Q", cells.receive_queue, right=True),
            Column("Send-Q", sent, right=True),
        ]
        if cells.netid is not None:
            self._front.insert(0, Column("Netid", cells.netid))
        self._local = _Endpoint("Local", cells.local, cells.local_port)
        self._peer = _Endpoint("Peer", cells.peer, cells.peer_port)
        self._processes = cells.processes
        self._process: Column | None = None
        if cells.processes is not None:
            self._process = Column(PROCESS, Texts(map(processes_text, cells.processes)))
        self._room_below = 0  # columns for processes, where they stand below
        self._long: set[int] = set()  # the rows that have their peer below
        self._all_long = False
        self._has_local = True  # whether there is room for the columns of the own address
        self._unaligned: set[int] = set()  # those of them whose own address leaves its columns
        self._longer: set[int] = set()  # those of them that have that below too

    @property
    def has_more(self) -> bool:
        """Whether something stands below some of the lines."""
        return bool(self._room_below or self._long)

    def fit(self, width: int) -> None:
        """Make columns give way until no line is wider than `width`, as far as that can be."""
        if self._width() > width and self._processes is not None:
            self._process = Column(PROCESS, Texts(map(first_process, self._processes)))
        if self._width() > width:
            self._local.shorten_head("Local")
            self._peer.shorten_head("Peer")
            self._front = [column for column in self._front if not _is_idle(column)]
        if self._width() > width and self._process is not None:
            self._process = None
            self._room_below = width - len(_BELOW) - len(_HELD)
        if self._width() > width:
            self._fold(width)

    def head(self) -> str:
        """Return the line of heads."""
        return "".join(column.title() for column in self._columns())

    def lines(self) -> Iterator[str]:
        """Yield the line of each socket."""
        texts = [column.padded() for column in self._columns()]
        lines = map("".join, zip(*texts, strict=True))
        if not self._long:
            return lines
        fronts = map("".join, zip(*(column.padded() for column in self._front), strict=True))
        rows = zip(lines, fronts, self._local.texts(), strict=True)
        return (
            front if row in self._longer else front + local if row in self._unaligned else line
            for row, (line, front, local) in enumerate(rows)
        )

    def more(self) -> Iterator[list[str]]:
        """Yield what of each socket stands below its line."""
        locals_ = self._local.texts() if self._longer else []
        peers = self._peer.texts() if self._long else []
        for row, _ in enumerate(self._local.address.texts):
            more = [f"local {locals_[row]}"] if row in self._longer else []
            if row in self._long and peers[row] not in _NOBODY:
                more.append(f"peer {peers[row]}")
            if self._room_below and self._processes is not None and self._processes[row]:
                held = _as_many(holders(self._processes[row]), self._room_below)
                more.append(_HELD + held)
            yield more

    def _columns(self) -> list[Column]:
        if not self._has_local:
            return self._front
        if self._all_long:
            return [*self._front, *self._local.columns]
        last = [self._process] if self._process is not None else []
        return [*self._front, *self._local.columns, *self._peer.columns, *last]

    def _width(self) -> int:
        return len(self.head().removesuffix(GAP))

    def _fold(self, width: int) -> None:
        """Give local and peer what room there is; rows that are longer get their peer below."""
        local, peer = self._local, self._peer
        for port in (local.port, peer.port):
            port.narrow(_USUAL_PORT)
        room = width - (self._width() - local.address.width - peer.address.width)
        local.address.narrow(max(room // 2, room - peer.address.width))
        peer.address.narrow(room - local.address.width)
        local.address.narrow(room - peer.address.width)
        self._long = _overflowing([*local.columns, *peer.columns])
        rows = range(len(local.texts()))
        room = width - sum(column.width + len(GAP) for column in self._front)
        if self._width() > width or len(self._long) == len(rows):
            self._all_long = True
            self._long = set(rows)
            local.address.narrow(room - local.port.width)
        self._unaligned = self._long
        self._has_local = local.address.width + local.port.width <= room
        if self._all_long and self._has_local:
            self._unaligned = _overflowing(local.columns)
        wholes = local.texts()
        self._longer = {row for row in self._unaligned if text_width(wholes[row]) > room}


def _overflowing(columns: Iterable[Column]) -> set[int]:
    """Return the rows whose text is wider than its column in one of `columns`."""
    found: set[int] = set()
    for column in columns:
        wide = column.overflow()
        if wide:
            found.update(row for row, text in enumerate(column.texts) if text in wide)
    return found


def _is_idle(column: Column) -> bool:
    return column.head.endswith("-Q") and column.texts.distinct <= {"0"}


def colour_of_state(state: str) -> str:
    return _COLOURS.get(state, _COLOUR_OF_OTHERS)

"""`dump`: the sockets of this machine as typed rows.

Rules: the rows of one request are held until it is whole, so that a dump that was interrupted can
be repeated, three times at most. A socket that the kernel told of twice (a dump is no snapshot) is
one row. What could not be listed is not silently empty: `Dump.remarks` says it.
"""

from __future__ import annotations

import errno
from itertools import chain, repeat

from sockwright.sockets.diag.netlink import DumpInterrupted, SockDiag, message_offsets
from sockwright.sockets.diag.states import ALL
from sockwright.sockets.diag.tables import TABLES, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sockwright.sockets.diag.filter import Condition, SocketFilter
    from sockwright.sockets.diag.row import SocketRow
    from sockwright.sockets.diag.tables import Table

__all__ = ["Dump", "Remark", "dump", "lookup"]

_TRIES = 3


class Remark:
    """Something that a listing has to say beside its rows.

    `kind` is "unlisted" (the kernel cannot list these), "fallback" (read from /proc instead),
    "interrupted" (the tables changed under every try) or "hidden" (processes of other users);
    `table` the table it is about, or "".
    """

    __slots__ = ("kind", "table", "text")

    def __init__(self, kind: str, table: str, text: str) -> None:
        self.kind = kind
        self.table = table
        self.text = text

    def __str__(self) -> str:
        return self.text


class Dump:
    """The rows of a listing, each once; an iterator. `remarks` is whole when it has ended."""

    __slots__ = ("_rows", "remarks")

    def __init__(self, rows: Iterator[SocketRow], remarks: list[Remark]) -> None:
        self.remarks = remarks
        self._rows = rows

    def __iter__(self) -> Iterator[SocketRow]:
        """Return the iterator itself, which goes through the rows once."""
        return self._rows

    def __next__(self) -> SocketRow:
        """Return the next row."""
        return next(self._rows)


def dump(
    *tables: str,
    where: str | Condition | SocketFilter = "",
    states: str | Iterable[str] | None = None,
    family: str | None = None,
    info: bool = False,
    memory: bool = False,
    options: bool = False,
    processes: bool = False,
    namespace: int | str | None = None,
) -> Dump:
    """List sockets.

    Raises:
        UsageError: there is no such table.
        OSError: as the kernel says.
    """
    chosen = tuple(table(name) for name in tables) or tuple(TABLES.values())
    extensions = 0
    remarks: list[Remark] = []
    return Dump(chain.from_iterable(_lists(chosen, ALL, extensions, remarks)), remarks)


def _lists(
    tables: tuple[Table, ...], states: int, extensions: int, remarks: list[Remark]
) -> Iterator[list[SocketRow]]:
    with SockDiag() as diag:
        for one in tables:
            for family in one.families:
                request = one.request(family, states, extensions, b"")
                try:
                    yield _whole(diag, one, request, remarks)
                except OSError as error:
                    if error.errno != errno.ENOENT:
                        raise
                    remarks.append(Remark("unlisted", one.name, one.name))
                    break


def _whole(diag: SockDiag, of: Table, request: bytes, remarks: list[Remark]) -> list[SocketRow]:
    """Return the rows that answer one request. Raises: OSError."""
    rows: list[SocketRow] = []
    for _ in range(_TRIES):
        rows = []
        try:
            for datagram in diag.dump(request):
                rows.extend(map(of.row, repeat(datagram), message_offsets(datagram)))
            break
        except DumpInterrupted:
            continue
    else:
        text = f"the {of.name} sockets changed while they were listed, {_TRIES} times"
        remarks.append(Remark("interrupted", of.name, text))
    return rows


def lookup(
    row: SocketRow, *, info: bool = False, memory: bool = False, options: bool = False
) -> SocketRow | None:
    """Return the row of the same socket as it is now; None where it is gone."""
    raise NotImplementedError

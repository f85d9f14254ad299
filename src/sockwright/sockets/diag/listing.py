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
    from collections.abc import Iterator

    from sockwright.sockets.diag.row import SocketRow
    from sockwright.sockets.diag.tables import Table

__all__ = ["Dump", "Remark", "dump"]

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

    def __init__(self, tables: tuple[Table, ...], states: int, extensions: int) -> None:
        self.remarks: list[Remark] = []
        self._rows = chain.from_iterable(self._lists(tables, states, extensions))

    def __iter__(self) -> Iterator[SocketRow]:
        """Return the iterator itself, which goes through the rows once."""
        return self._rows

    def __next__(self) -> SocketRow:
        """Return the next row."""
        return next(self._rows)

    def _lists(
        self, tables: tuple[Table, ...], states: int, extensions: int
    ) -> Iterator[list[SocketRow]]:
        with SockDiag() as diag:
            for one in tables:
                for family in one.families:
                    request = one.request(family, states, extensions, b"")
                    try:
                        yield self._whole(diag, one, request)
                    except OSError as error:
                        if error.errno != errno.ENOENT:
                            raise
                        self.remarks.append(Remark("unlisted", one.name, one.name))
                        break

    def _whole(self, diag: SockDiag, of: Table, request: bytes) -> list[SocketRow]:
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
            self.remarks.append(Remark("interrupted", of.name, text))
        return rows


def dump(*tables: str) -> Dump:
    """List sockets.

    Raises:
        UsageError: there is no such table.
        OSError: as the kernel says.
    """
    chosen = tuple(table(name) for name in tables) or tuple(TABLES.values())
    return Dump(chosen, ALL, 0)

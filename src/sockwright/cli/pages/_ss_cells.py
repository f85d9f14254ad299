"""The texts of a listing of sockets, column by column.

Rules: a column is made for all rows at once, and what many rows share (an address, a state) is made
into text once. Of 20 000 TCP sockets that is a third of the time of asking each row for each text;
the texts are those of `SocketRow.local` and `SocketRow.peer` all the same, since one row of each
kind is asked.
"""

from __future__ import annotations

from itertools import groupby

from sockwright.sockets.diag.inet import InetSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.cli.pages._ss_names import Names
    from sockwright.sockets.diag.processes import Process
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["Cells", "cells_of", "first_process", "processes_text"]


class Cells:
    """The columns of a table of sockets, each a list with one text a row.

    An endpoint is two columns: the address with the colon (or space) behind it, and the port.
    """

    __slots__ = (
        "local",
        "local_port",
        "netid",
        "peer",
        "peer_port",
        "processes",
        "queues",
        "state",
    )

    def __init__(self) -> None:
        self.netid: list[str] = []
        self.state: list[str] = []
        self.queues: tuple[list[int], list[int]] = ([], [])
        self.local: list[str] = []
        self.local_port: list[str] = []
        self.peer: list[str] = []
        self.peer_port: list[str] = []
        self.processes: list[tuple[Process, ...]] | None = None


def cells_of(
    rows: Sequence[SocketRow], names: Names | None, *, netid: bool, processes: bool
) -> Cells:
    """Return the texts of `rows`; `names` replaces numbers, None leaves them."""
    cells = Cells()
    for kind, group in groupby(rows, type):
        run = list(group)
        fill = _fill_inet if issubclass(kind, InetSocket) else _fill
        fill(cells, run, names)
    if not netid:
        cells.netid = []
    if processes:
        cells.processes = [row.processes or () for row in rows]
    return cells


def _fill(cells: Cells, rows: list[SocketRow], names: Names | None) -> None:
    """Add the texts of rows of one class, asking each for each."""
    for row in rows:
        cells.netid.append(row.netid)
        cells.state.append(row.state)
        cells.queues[0].append(row.receive_queue)
        cells.queues[1].append(row.send_queue)
        for side, addresses, ports in (
            ("local", cells.local, cells.local_port),
            ("peer", cells.peer, cells.peer_port),
        ):
            address, port = endpoint(row, side, names)
            addresses.append(address)
            ports.append(port)


def endpoint(row: SocketRow, side: str, names: Names | None) -> tuple[str, str]:
    """Return address and port of one `side` of `row`, "local" or "peer"."""
    text: str = getattr(row, side)
    if names is not None:
        text = getattr(row, f"{side}_named", text)
    mark = " " if row.family == "unix" else ":"
    address, found, port = text.rpartition(mark)
    if not found:  # a wildcard for both
        return port, ""
    if names is not None and port.isdecimal():
        port = names.port(row.protocol, int(port))
        address = names.address(address)
    return address + found, port


_fill_inet = _fill


def processes_text(processes: Sequence[Process]) -> str:
    """Return who holds a socket: "nginx:81 fd 6,7, nginx:82 fd 6"."""
    if len(processes) == 1:
        one = processes[0]
        return f"{one.name}:{one.pid} fd {one.descriptor}"
    holders: dict[tuple[str, int], list[str]] = {}
    for one in processes:
        holders.setdefault((one.name, one.pid), []).append(str(one.descriptor))
    return ", ".join(
        f"{name}:{pid} fd {','.join(descriptors)}" for (name, pid), descriptors in holders.items()
    )


def first_process(processes: Sequence[Process]) -> str:
    """Return the first that holds a socket, and how many others do: "nginx:81 fd 6 +3"."""
    if not processes:
        return ""
    first = processes_text([one for one in processes if one.pid == processes[0].pid])
    others = len({one.pid for one in processes}) - 1
    return f"{first} +{others}" if others else first

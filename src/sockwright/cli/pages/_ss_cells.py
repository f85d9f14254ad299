"""The texts of a listing of sockets, column by column.

Rules: a column is made for all rows at once, and what many rows share (an address, a port, a state)
is made into text, measured and padded once: a row has a key, and the text stands with the key. Of
20 000 TCP sockets that takes a fifth of the time of asking each row for each of its texts, which is
how the sockets of other families are done; both ways give the same.
"""

from __future__ import annotations

from itertools import groupby

from sockwright.sockets.diag.inet import InetSocket, SCTPSocket, endpoint_text
from sockwright.sockets.diag.states import state_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence
    from typing import Any, TypeGuard

    from sockwright.cli.pages._ss_names import Names
    from sockwright.sockets.diag.processes import Process
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["Cells", "Texts", "cells_of", "endpoint", "first_process", "processes_text"]

_ANY_HOST, _NO_PORT = bytes(16), bytes(2)


class Texts:
    """One column: a text for each row.

    `parts` are runs of rows, each the keys of its rows and the text of each key.
    """

    __slots__ = ("parts",)

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self.parts: list[tuple[Sequence[Any], dict[Any, str]]] = []
        if texts:
            self.add(texts, {text: text for text in set(texts)})

    def __iter__(self) -> Iterator[str]:
        """Yield the text of each row."""
        for keys, texts in self.parts:
            yield from map(texts.__getitem__, keys)

    def add(self, keys: Sequence[Hashable], texts: Mapping[Any, str]) -> None:
        """Add rows: their keys, and the text of each key."""
        self.parts.append((keys, dict(texts)))

    def distinct(self) -> set[str]:
        """Return the texts that there are."""
        return {text for _, texts in self.parts for text in texts.values()}


class Cells:
    """The columns of a table of sockets.

    An endpoint is two columns: the address with the colon (or space) behind it, and the port.
    `netid` is None where the table does without; so are `processes`, an entry a row.
    """

    __slots__ = (
        "local",
        "local_port",
        "netid",
        "peer",
        "peer_port",
        "processes",
        "receive_queue",
        "send_queue",
        "state",
    )

    def __init__(self) -> None:
        self.netid: Texts | None = Texts()
        self.state = Texts()
        self.receive_queue = Texts()
        self.send_queue = Texts()
        self.local = Texts()
        self.local_port = Texts()
        self.peer = Texts()
        self.peer_port = Texts()
        self.processes: list[tuple[Process, ...]] | None = None


def cells_of(
    rows: Sequence[SocketRow],
    names: Names | None,
    devices: Mapping[int, str],
    *,
    netid: bool,
    processes: bool,
) -> Cells:
    """Return the texts of `rows`.

    `names` puts names in the place of ports and protocols, None leaves the numbers; `devices` are
    the names of interfaces by their indexes.
    """
    cells = Cells()
    if not netid:
        cells.netid = None
    for _, group in groupby(rows, type):
        run = list(group)
        if _is_inet(run):
            _add_inet(cells, run, names, devices)
        else:
            _add(cells, run, names, devices)
    if processes:
        cells.processes = [row.processes or () for row in rows]
    return cells


def _is_inet(rows: list[SocketRow]) -> TypeGuard[list[InetSocket]]:
    """Tell whether rows of one class are of IP, and in the states that all of it share."""
    return isinstance(rows[0], InetSocket) and not isinstance(rows[0], SCTPSocket)


def endpoint(
    row: SocketRow, side: str, names: Names | None, devices: Mapping[int, str]
) -> tuple[str, str]:
    """Return address and port of one `side` of `row`, "local" or "peer"."""
    text: str = getattr(row, side)
    index = getattr(row, "interface", 0) if side == "local" else 0
    if index:
        text = row.local_on(devices.get(index, ""))  # type: ignore[attr-defined]
    if names is not None and not isinstance(row, InetSocket):
        text = _named(row, side, devices) or text
    address, mark, port = text.rpartition(" " if row.family == "unix" else ":")
    if not mark:  # one wildcard for both
        return port, ""
    if names is not None and isinstance(row, InetSocket):
        return names.host(address) + mark, names.ports(row.protocol).get(port, port)
    return address + mark, port


def _named(row: SocketRow, side: str, devices: Mapping[int, str]) -> str:
    """Return an endpoint of another family with names for numbers, "" where it has none."""
    if row.family == "netlink" and side == "local":
        return row.local_named  # type: ignore[attr-defined,no-any-return]
    if row.family == "link" and side == "local":
        device = devices.get(row.interface, "")  # type: ignore[attr-defined]
        return row.local_on(device, numeric=False)  # type: ignore[attr-defined,no-any-return]
    return ""


def _add(
    cells: Cells, rows: list[SocketRow], names: Names | None, devices: Mapping[int, str]
) -> None:
    """Add the texts of rows of one class, asking each of them."""
    if cells.netid is not None:
        _add_texts(cells.netid, [row.netid for row in rows])
    _add_texts(cells.state, [row.state for row in rows])
    _add_texts(cells.receive_queue, [str(row.receive_queue) for row in rows])
    _add_texts(cells.send_queue, [str(row.send_queue) for row in rows])
    for side, addresses, ports in (
        ("local", cells.local, cells.local_port),
        ("peer", cells.peer, cells.peer_port),
    ):
        ends = [endpoint(row, side, names, devices) for row in rows]
        _add_texts(addresses, [address for address, _ in ends])
        _add_texts(ports, [port for _, port in ends])


def _add_texts(column: Texts, texts: list[str]) -> None:
    column.add(texts, {text: text for text in set(texts)})


def _add_inet(
    cells: Cells, rows: list[InetSocket], names: Names | None, devices: Mapping[int, str]
) -> None:
    """Add the texts of rows of one class, making each of them once."""
    kind = type(rows[0])
    (
        families, states, _, _, own_ports, peer_ports, own, peers, interfaces, _, received, sent,
        _, _,
    ) = zip(*map(kind.essentials, rows), strict=True)  # fmt: skip
    if cells.netid is not None:
        cells.netid.add([0] * len(rows), {0: rows[0].netid})
    cells.state.add(states, {number: state_name(number) for number in set(states)})
    cells.receive_queue.add(received, {number: str(number) for number in set(received)})
    cells.send_queue.add(sent, {number: str(number) for number in set(sent)})
    ports = {octets: str(int.from_bytes(octets, "big")) for octets in {*own_ports, *peer_ports}}
    if names is not None:
        called = names.ports(kind.protocol)
        ports = {octets: called.get(text, text) for octets, text in ports.items()}
    ports[_NO_PORT] = "*"
    cells.local_port.add(own_ports, ports)
    cells.peer_port.add(peer_ports, ports)
    alike = len(set(families)) == 1 and not any(interfaces)
    for side, addresses, column in (("local", own, cells.local), ("peer", peers, cells.peer)):
        keys: list[Any] = list(
            addresses if alike else zip(families, addresses, interfaces, strict=True)
        )
        texts: dict[Any, str] = {}
        for key in set(keys):
            family, address, interface = (families[0], key, 0) if alike else key
            device = devices.get(interface, "") if side == "local" else ""
            text = endpoint_text(family, address, 0, device).removesuffix(":*")
            texts[key] = (text if names is None else names.host(text)) + ":"
        if _ANY_HOST in addresses:  # whether that is IPv6 alone, or both, each socket tells
            for at in _places(addresses, _ANY_HOST):
                keys[at] = text = endpoint(rows[at], side, names, devices)[0]
                texts[text] = text
        column.add(keys, texts)


def _places(values: tuple[bytes, ...], wanted: bytes) -> Iterator[int]:
    """Yield the places of one value; few of many, so that a step for each value is too many."""
    at = -1
    try:
        while True:
            at = values.index(wanted, at + 1)
            yield at
    except ValueError:
        return


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
    """Return the first that holds a socket, and how many others do: "nginx:81 +3"."""
    if not processes:
        return ""
    first = processes[0]
    others = len({one.pid for one in processes}) - 1
    return f"{first.name}:{first.pid}" + (f" +{others}" if others else "")

"""The texts of a listing of sockets, column by column.

Rules: what many rows share (an address, a port, a state) is made into text once, and later measured
and padded once. Of 20 000 TCP sockets that takes a fifth of the time of asking each row for each of
its texts, which is how the sockets of other families are done; both ways give the same.
"""

from __future__ import annotations

from itertools import groupby, repeat
from struct import unpack

from sockwright.sockets.diag.inet import FAMILIES, InetSocket, SCTPSocket, endpoint_text
from sockwright.sockets.diag.states import state_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any, TypeAlias, TypeGuard

    from sockwright.cli.pages._ss_names import Names
    from sockwright.sockets.diag.processes import Process
    from sockwright.sockets.diag.row import SocketRow

    _Host: TypeAlias = bytes | tuple[int, bytes, int]
    """An address of IPv4, or family, address and interface."""

__all__ = ["Cells", "Texts", "cells_of", "endpoint", "first_process", "processes_text"]

_INET = FAMILIES["inet"]
_ANY_HOST, _NO_PORT = bytes(16), bytes(2)
_STEP = 1000  # rows


class Texts:
    """One column: the text of each row."""

    __slots__ = ("rows",)

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.rows = list(texts)

    def __iter__(self) -> Iterator[str]:
        """Yield the text of each row."""
        return iter(self.rows)

    @property
    def distinct(self) -> set[str]:
        """The texts that there are."""
        return set(self.rows)

    def add(self, texts: Iterable[str]) -> None:
        """Add rows."""
        self.rows += texts


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
        cells.netid.add(row.netid for row in rows)
    cells.state.add(row.state for row in rows)
    cells.receive_queue.add(str(row.receive_queue) for row in rows)
    cells.send_queue.add(str(row.send_queue) for row in rows)
    for side, addresses, ports in (
        ("local", cells.local, cells.local_port),
        ("peer", cells.peer, cells.peer_port),
    ):
        ends = [endpoint(row, side, names, devices) for row in rows]
        addresses.add(address for address, _ in ends)
        ports.add(port for _, port in ends)


def _add_inet(
    cells: Cells, rows: list[InetSocket], names: Names | None, devices: Mapping[int, str]
) -> None:
    """Add the texts of rows of one class, making each of them once."""
    kind = type(rows[0])
    if cells.netid is not None:
        cells.netid.add([rows[0].netid] * len(rows))
    called = {} if names is None else names.ports(kind.protocol)

    def ports(keys: Iterable[bytes]) -> dict[bytes, str]:
        octets = list(keys)
        numbers = unpack(f">{len(octets)}H", b"".join(octets))
        texts = dict(zip(octets, map(str, numbers), strict=True))
        if called:
            texts = {key: called.get(text, text) for key, text in texts.items()}
        if _NO_PORT in texts:
            texts[_NO_PORT] = "*"
        return texts

    def hosts(keys: Iterable[_Host]) -> dict[_Host, str]:
        texts = {}
        for key in keys:
            family, address, interface = (_INET, key, 0) if isinstance(key, bytes) else key
            device = devices.get(interface, "")
            text = endpoint_text(family, address, 0, device).removesuffix(":*")
            texts[key] = (names.host(text) if names else text) + ":"
        return texts

    state = _Shared(lambda keys: {key: state_name(key) for key in keys})
    queue = _Shared(lambda keys: {key: str(key) for key in keys})
    port, host = _Shared(ports), _Shared(hosts)
    for begin in range(0, len(rows), _STEP):  # memory that is used again need not be given anew
        run = rows[begin : begin + _STEP]
        told = zip(*map(kind.essentials, run), strict=True)
        families, states, _, _, sports, dports, here, there, bound, _, rq, wq, *_ = told
        cells.state.add(state(states))
        cells.receive_queue.add(queue(rq))
        cells.send_queue.add(queue(wq))
        cells.local_port.add(port(sports))
        cells.peer_port.add(port(dports))
        alike = set(families) == {_INET} and not any(bound)
        cells.local.add(host(here if alike else list(zip(families, here, bound, strict=True))))
        cells.peer.add(host(there if alike else list(zip(families, there, repeat(0)))))
        if alike:
            continue
        for side, addresses, column in (("local", here, cells.local), ("peer", there, cells.peer)):
            for at in _places(addresses, _ANY_HOST):
                # Whether that is IPv6 alone, or IPv4 too, each socket tells.
                text = endpoint(run[at], side, names, devices)[0]
                column.rows[at - len(run)] = text


class _Shared:
    """Texts by keys that many rows share: each key is made into text once."""

    __slots__ = ("_by_key", "_make")

    def __init__(self, make: Callable[[Iterable[Any]], dict[Any, str]]) -> None:
        self._by_key: dict[Any, str] = {}
        self._make = make

    def __call__(self, keys: Sequence[Any]) -> Iterator[str]:
        """Return an iterator over the texts of `keys`."""
        new = set(keys).difference(self._by_key)
        if new:
            self._by_key.update(self._make(new))
        return map(self._by_key.__getitem__, keys)


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

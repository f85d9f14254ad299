"""The texts of a listing of sockets, column by column: each row is asked for each of its texts.

Where there may be thousands, `_ss_many` makes the same texts in a tenth of the time.
"""

from __future__ import annotations

from sockwright.sockets.diag.inet import InetSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sockwright.cli.pages._ss_names import Names
    from sockwright.sockets.diag.processes import Process
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["Cells", "Texts", "endpoint", "first_process", "holders", "processes_text"]


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

    def __init__(
        self,
        rows: Sequence[SocketRow],
        names: Names | None,
        devices: Mapping[int, str],
        *,
        netid: bool,
        processes: bool,
    ) -> None:
        """Make the texts of `rows`.

        `names` puts names in the place of ports and protocols, None leaves the numbers; `devices`
        are the names of interfaces by their indexes.
        """
        self.netid = Texts(row.netid for row in rows) if netid else None
        self.state = Texts(row.state for row in rows)
        self.receive_queue = Texts(str(row.receive_queue) for row in rows)
        self.send_queue = Texts(str(row.send_queue) for row in rows)
        local = [endpoint(row, "local", names, devices) for row in rows]
        peer = [endpoint(row, "peer", names, devices) for row in rows]
        self.local, self.local_port = (Texts(end[part] for end in local) for part in (0, 1))
        self.peer, self.peer_port = (Texts(end[part] for end in peer) for part in (0, 1))
        self.processes: list[tuple[Process, ...]] | None = None
        if processes:
            self.processes = [row.processes or () for row in rows]


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


def processes_text(processes: Sequence[Process]) -> str:
    """Return who holds a socket: "nginx:81 fd 6,7, nginx:82 fd 6"."""
    if len(processes) == 1:
        one = processes[0]
        return f"{one.name}:{one.pid} fd {one.descriptor}"
    return ", ".join(holders(processes))


def holders(processes: Sequence[Process]) -> list[str]:
    """Return each process that holds a socket, with its descriptors: "nginx:81 fd 6,7"."""
    found: dict[tuple[str, int], list[str]] = {}
    for one in processes:
        found.setdefault((one.name, one.pid), []).append(str(one.descriptor))
    return [
        f"{name}:{pid} fd {','.join(descriptors)}" for (name, pid), descriptors in found.items()
    ]


def first_process(processes: Sequence[Process]) -> str:
    """Return the first that holds a socket, and how many others do: "nginx:81 fd 6,7 +3"."""
    first, *others = holders(processes) or [""]
    return f"{first} +{len(others)}" if others else first

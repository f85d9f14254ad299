"""The table of sockets of IP where all its columns fit: made fast, for there may be thousands.

Two walks through the messages: one finds how wide each column is, the other writes. Nothing is kept
of a row in between, for that is where the time goes: to touch fresh memory for the texts of 20 000
sockets takes longer than to unpack their messages twice. What rows share (an address; the state
with the queues) is made into text once. The text is that of `_ss_layout`, which knows what to do
where columns do not fit.
"""

from __future__ import annotations

from itertools import compress, groupby
from struct import unpack

from sockwright.cli.clean import clean
from sockwright.cli.pages._ss_cells import Texts, endpoint, processes_text
from sockwright.cli.pages._ss_layout import GAP, PROCESS, Column, colour_of_state
from sockwright.sockets.diag.inet import FAMILIES, InetSocket, SCTPSocket, endpoint_text
from sockwright.sockets.diag.states import state_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias, TypeGuard

    from sockwright.cli.pages._ss_names import Names
    from sockwright.sockets.diag.row import SocketRow

    Host: TypeAlias = bytes | str
    """An address in 16 octets, or the text itself."""
    Port: TypeAlias = int | str
    Front: TypeAlias = tuple[int, bytes]
    """State, both queues."""
    Step: TypeAlias = tuple[
        Iterator[Front], Sequence[Host], Sequence[Port], Sequence[Host], Sequence[Port]
    ]

__all__ = ["ManySockets", "are_of_ip"]

_INET, _INET6 = FAMILIES["inet"], FAMILIES["inet6"]
_FILLING = bytes(12)  # behind the four octets of an IPv4 address
_STEP = 500  # rows; the memory of a step is used again by the next
_LISTEN = 10


def are_of_ip(rows: Sequence[SocketRow]) -> TypeGuard[Sequence[InetSocket]]:
    """Tell whether all rows are of IP, and in the states that all of it share."""
    kinds = set(map(type, rows))
    return all(issubclass(kind, InetSocket) and kind is not SCTPSocket for kind in kinds)


class ManySockets:
    """The table of `rows`; `head` is its first line, `width` how wide it is.

    `names` puts names in the place of ports and hosts, None leaves the numbers; `devices` are the
    names of interfaces by their indexes. `for_people` says of a listener "of 128" for its limit.
    """

    __slots__ = ("_devices", "_form", "_fronts", "_hosts", "_names", "_port", "_processes", "_runs",
                 "head", "width")  # fmt: skip

    def __init__(
        self,
        rows: Sequence[InetSocket],
        names: Names | None,
        devices: Mapping[int, str],
        *,
        netid: bool,
        processes: bool,
        colour: bool,
        for_people: bool,
    ) -> None:
        self._runs = [(kind, list(run)) for kind, run in groupby(rows, type)]
        self._names = names
        self._devices = devices
        self._processes = processes
        fronts: dict[type[InetSocket], set[Front]] = {}
        sides: tuple[set[Host], set[Host]] = set(), set()
        ports: tuple[set[Port], set[Port]] = set(), set()
        for kind, run in self._runs:
            for front, local, local_ports, peer, peer_ports in self._steps(run):
                fronts.setdefault(kind, set()).update(front)
                sides[0].update(local)
                sides[1].update(peer)
                ports[0].update(_widest(local_ports))
                ports[1].update(_widest(peer_ports))
        self._hosts: list[dict[Host, str]] = []
        self._fronts: dict[type[InetSocket], dict[Front, str]] = {}
        columns = self._front(fronts, netid=netid, colour=colour, for_people=for_people)
        for name, met, numbers in zip(("Local", "Peer"), sides, ports, strict=True):
            texts = {host: self._text(host) for host in met}
            column = Column(f"{name} Address:", Texts(texts.values()), right=True, gap="")
            padded = column.paddings()
            self._hosts.append({host: padded[text] for host, text in texts.items()})
            columns += column, Column("Port", Texts(map(str, numbers)))
        wide = [columns[-3].width, columns[-1].width]
        self._form = f"%s%s%-{wide[0]}s{GAP}%s%s\n"
        self._port = wide[1]
        if processes:
            texts_ = map(_processes, rows) if for_people else ()
            columns.append(Column(PROCESS, Texts(texts_)))
        self.head = "".join(column.title() for column in columns).rstrip()
        self.width = sum(column.width for column in columns) + len(GAP) * (len(columns) - 3)

    def blocks(self) -> Iterator[str]:
        """Yield the lines of some hundred sockets at a time, each with its line end."""
        here, there = (hosts.__getitem__ for hosts in self._hosts)
        for kind, run in self._runs:
            beginning = self._fronts[kind].__getitem__
            at = 0
            for front, local, local_ports, peer, peer_ports in self._steps(run):
                last: Iterable[Port] = peer_ports
                if self._processes:
                    last = map(self._with_processes, peer_ports, run[at : at + _STEP])
                    at += _STEP
                parts = (
                    map(beginning, front), map(here, local), local_ports, map(there, peer), last,
                )  # fmt: skip
                # One step for all of them: to format each line takes twice as long.
                texts: list[Port] = [""] * (len(parts) * len(local))
                for place, part in enumerate(parts):
                    texts[place :: len(parts)] = part
                yield self._form * len(local) % tuple(texts)

    def lines(self) -> Iterator[str]:
        """Yield the line of each socket."""
        return (line for block in self.blocks() for line in block[:-1].split("\n"))

    def _with_processes(self, port: Port, row: InetSocket) -> str:
        text = _processes(row)
        return f"{port:<{self._port}}{GAP}{text}" if text else str(port)

    def _steps(self, rows: list[InetSocket]) -> Iterator[Step]:
        """Yield what rows of one class hold, some hundred of them at a time, column by column."""
        called = {} if self._names is None else self._names.ports(rows[0].protocol)
        for begin in range(0, len(rows), _STEP):
            run = rows[begin : begin + _STEP]
            told = zip(*InetSocket.columns_of(run), strict=True)
            families, states, sports, dports, here, there, bound, queues = told
            if any(bound):
                local = self._with_devices(families, here, bound, run, "local")
            else:
                local = self._told_apart(families, here, run, "local")
            peer = self._told_apart(families, there, run, "peer")
            fronts = zip(states, queues, strict=True)
            yield fronts, local, _ports(sports, called), peer, _ports(dports, called)

    def _told_apart(
        self, families: Sequence[int], addresses: Sequence[bytes], run: list[InetSocket], side: str
    ) -> Sequence[Host]:
        """Return addresses; texts for those of IPv6 that end in the zeros that IPv4 is filled with.

        Among them is any address: whether it is of IPv6 alone, or of IPv4 too, each socket tells.
        """
        of_ipv6 = set(compress(addresses, map(_INET.__ne__, families)))
        odd = [address for address in of_ipv6 if address.endswith(_FILLING)]
        if not odd:
            return addresses
        hosts: list[Host] = list(addresses)
        for address in odd:
            for at in _places(addresses, address):
                if families[at] != _INET:
                    hosts[at] = endpoint(run[at], side, self._names, self._devices)[0]
        return hosts

    def _with_devices(
        self,
        families: Sequence[int],
        addresses: Sequence[bytes],
        bound: Sequence[int],
        run: list[InetSocket],
        side: str,
    ) -> Sequence[Host]:
        """Return addresses, texts for those of sockets that are bound to an interface."""
        hosts = list(self._told_apart(families, addresses, run, side))
        for at, interface in enumerate(bound):
            if interface:
                hosts[at] = endpoint(run[at], side, self._names, self._devices)[0]
        return hosts

    def _text(self, host: Host) -> str:
        """Return the text of a host, with the colon behind it."""
        if isinstance(host, str):
            return host
        family = _INET if host.endswith(_FILLING) else _INET6
        text = endpoint_text(family, host, 0).removesuffix(":*")
        return (self._names.host(text) if self._names else text) + ":"

    def _front(
        self,
        fronts: dict[type[InetSocket], set[Front]],
        *,
        netid: bool,
        colour: bool,
        for_people: bool,
    ) -> list[Column]:
        """Make the texts of what stands before the addresses; return their columns."""

        def texts(kind: type[InetSocket], front: Front) -> list[str]:
            state, queues = front
            received, sent = unpack("=II", queues)
            limit = "of " if for_people and state == _LISTEN else ""
            told = [state_name(state), str(received), f"{limit}{sent}"]
            return [kind.protocol, *told] if netid else told

        made = {(kind, one): texts(kind, one) for kind, some in fronts.items() for one in some}
        several = list(zip(*made.values(), strict=True)) or [()] * (4 if netid else 3)
        columns = [
            Column("State", Texts(several[-3]), colour=colour_of_state if colour else None),
            Column("Recv-Q", Texts(several[-2]), right=True),
            Column("Send-Q", Texts(several[-1]), right=True),
        ]
        if netid:
            columns.insert(0, Column("Netid", Texts(several[0])))
        padded = [column.paddings() for column in columns]
        for (kind, one), told in made.items():
            whole = "".join(pads[text] for pads, text in zip(padded, told, strict=True))
            self._fronts.setdefault(kind, {})[one] = whole
        return columns


def _ports(ports: Sequence[int], called: Mapping[str, str]) -> Sequence[Port]:
    """Return ports by their names, or else by their numbers; "*" for any."""
    if called:
        return [called.get(str(port), port) if port else "*" for port in ports]
    return [port or "*" for port in ports] if 0 in ports else ports


def _places(values: Sequence[bytes], wanted: bytes) -> Iterator[int]:
    """Yield the places of one value; few of many, so that a step for each value is too many."""
    at = -1
    for _ in range(values.count(wanted)):
        at = values.index(wanted, at + 1)
        yield at


def _widest(ports: Sequence[Port]) -> set[Port]:
    """Return some of `ports`, the widest among them."""
    if isinstance(ports, tuple):  # numbers alone
        return {max(ports)}
    found: set[Port] = {port for port in ports if isinstance(port, str)}
    found.add(max((port for port in ports if isinstance(port, int)), default=0))
    return found


def _processes(row: SocketRow) -> str:
    return clean(processes_text(row.processes or ()))

"""How many sockets there are: what ``ss -s`` sums up, and what it leaves out.

The counters are those of /proc/net/sockstat, sockstat6 and snmp (proc(5)), which the kernel keeps
by the way; the sockets by state are counted in a listing. Between the two sockets come and go.
"""

from __future__ import annotations

import os

from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.namespace import open_table
from sockwright.sockets.diag.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.sockets.diag.listing import Remark

__all__ = ["MemoryUse", "Summary", "TCPCounters", "Transport", "summarize"]

_LIMITS = "/proc/sys/net/ipv4"
# By the names of sockstat; those of sockstat6 end with "6". FRAG counts datagrams in reassembly.
_TRANSPORTS = ("RAW", "UDP", "UDPLITE", "TCP", "FRAG")

_Counters = dict[str, dict[str, int]]


class Transport(Value):
    """How many sockets of a transport protocol there are; of "frag", datagrams in reassembly."""

    __slots__ = ("inet", "inet6", "name")

    def __init__(self, name: str, inet: int, inet6: int) -> None:
        self.name = name
        """Which: "raw", "udp", "udplite", "tcp" or "frag"."""
        self.inet = inet
        """Sockets of IPv4."""
        self.inet6 = inet6
        """Sockets of IPv6, those that speak IPv4 too among them."""

    @property
    def total(self) -> int:
        """Sockets of both."""
        return self.inet + self.inet6

    def as_dict(self) -> dict[str, object]:
        """Return the numbers by their names."""
        return {"total": self.total, "inet": self.inet, "inet6": self.inet6}


class TCPCounters(Value):
    """What the kernel counts of TCP, by /proc/net/sockstat and snmp."""

    __slots__ = ("allocated", "established", "in_use", "orphaned", "time_wait")

    def __init__(self, sockstat: _Counters, in_use: int, established: int) -> None:
        tcp = sockstat.get("TCP", {})
        self.established = established
        """Connections in ESTAB or CLOSE-WAIT (tcpCurrEstab of RFC 4022)."""
        self.orphaned = tcp.get("orphan", 0)
        """Connections that no process holds any more and that are not yet closed.

        Those of all network namespaces of the machine: the kernel counts them together.
        """
        self.time_wait = tcp.get("tw", 0)
        """Connections in TIME-WAIT."""
        self.in_use = in_use
        """Sockets that listen or have a peer, but for SYN-RECV and TIME-WAIT."""
        self.allocated = tcp.get("alloc", 0)
        """Sockets in the memory of the machine, of all its network namespaces."""

    @property
    def total(self) -> int:
        """What ``ss -s`` calls the total: `allocated` and `time_wait`."""
        return self.allocated + self.time_wait

    @property
    def closed(self) -> int:
        """What ``ss -s`` calls closed: `allocated` without those in use here.

        Sockets of other network namespaces are among them, and TIME-WAIT twice.
        """
        return self.allocated - (self.in_use - self.time_wait)

    def as_dict(self) -> dict[str, object]:
        """Return the numbers by their names."""
        return {
            "established": self.established,
            "time_wait": self.time_wait,
            "in_use": self.in_use,
            "orphaned_on_machine": self.orphaned,
            "allocated_on_machine": self.allocated,
        }


class MemoryUse(Value):
    """Kernel memory that the sockets of a protocol take, in octets.

    Of TCP and UDP on the whole machine, of fragments in this network namespace. Above `pressure`
    the kernel gives sockets less, above `limit` none; both are None where it does not say (they are
    the sysctls tcp_mem and udp_mem of tcp(7), which stand in the first namespace only).
    """

    __slots__ = ("limit", "name", "pressure", "used")

    def __init__(self, name: str, used: int, pressure: int | None, limit: int | None) -> None:
        self.name = name
        self.used = used
        self.pressure = pressure
        self.limit = limit

    def as_dict(self) -> dict[str, object]:
        """Return the numbers by their names; those that there are."""
        numbers = {"used": self.used, "pressure": self.pressure, "limit": self.limit}
        return {name: number for name, number in numbers.items() if number is not None}


class Summary(Value):
    """The sockets of a network namespace, summed up."""

    __slots__ = ("memory", "remarks", "sockets", "states", "tcp", "transports")

    def __init__(
        self,
        *,
        sockets: int,
        transports: tuple[Transport, ...],
        tcp: TCPCounters,
        memory: tuple[MemoryUse, ...],
        states: dict[str, dict[str, int]],
        remarks: list[Remark],
    ) -> None:
        self.sockets = sockets
        """Sockets of every family that programs made, whether one still holds them or not.

        TIME-WAIT and the kernel's own sockets are not among them; they are among `states`.
        """
        self.transports = transports
        """The sockets of each transport protocol, and datagrams in reassembly, by IP version."""
        self.tcp = tcp
        """What the kernel counts of TCP."""
        self.memory = memory
        """What TCP and UDP take of the machine's memory, and what fragments take here."""
        self.states = states
        """Listed sockets: protocol ("tcp", "u_str" ...) -> state ("ESTAB" ...) -> how many."""
        self.remarks = remarks
        """What could not be listed, see `sockwright.sockets.diag.listing.Remark`."""

    def transport(self, name: str) -> Transport:
        """Return the sockets of one transport protocol. Raises: KeyError."""
        for transport in self.transports:
            if transport.name == name:
                return transport
        raise KeyError(name)

    @property
    def internet(self) -> Transport:
        """RAW, UDP and TCP together, as ``ss -s`` has it: without UDP-Lite."""
        counted = [self.transport(name) for name in ("raw", "udp", "tcp")]
        inet = sum(transport.inet for transport in counted)
        return Transport("inet", inet, sum(transport.inet6 for transport in counted))

    def as_dict(self) -> dict[str, object]:
        """Return everything by its name."""
        return {
            "sockets": self.sockets,
            "transports": {one.name: one.as_dict() for one in self.transports},
            "tcp": self.tcp.as_dict(),
            "memory_octets": {one.name: one.as_dict() for one in self.memory},
            "states": self.states,
        }


def summarize(namespace: int | str | None = None) -> Summary:
    """Sum up the sockets of a network namespace; `namespace` as for `dump`.

    Raises:
        UsageError: there is no such namespace.
        NotPossibleError: it belongs to another user.
        OSError: as the kernel says.
    """
    # The limits are the machine's, and stand in /proc of its first namespace only.
    limits = {name: _limits(f"{name}_mem") for name in ("tcp", "udp")}
    sockstat = _counters(namespace, "sockstat") | _counters(namespace, "sockstat6")
    established = _snmp(namespace, "Tcp", "CurrEstab")
    transports = tuple(
        Transport(
            name.lower(), *(sockstat.get(one, {}).get("inuse", 0) for one in (name, f"{name}6"))
        )
        for name in _TRANSPORTS
    )
    in_use = sum(one.total for one in transports if one.name == "tcp")
    page = os.sysconf("SC_PAGE_SIZE")
    memory = [
        MemoryUse(name, sockstat.get(name.upper(), {}).get("mem", 0) * page, *limits[name])
        for name in ("tcp", "udp")
    ]
    fragments = sum(sockstat.get(name, {}).get("memory", 0) for name in ("FRAG", "FRAG6"))
    memory.append(MemoryUse("frag", fragments, None, None))
    states, remarks = _states(namespace)
    used = sockstat.get("sockets", {}).get("used", 0)
    return Summary(
        sockets=used,
        transports=transports,
        tcp=TCPCounters(sockstat, in_use, established),
        memory=tuple(memory),
        states=states,
        remarks=remarks,
    )


def _states(namespace: int | str | None) -> tuple[dict[str, dict[str, int]], list[Remark]]:
    listing = dump(namespace=namespace)
    counts: dict[tuple[str, str], int] = {}
    for row in listing:
        key = row.netid, row.state
        counts[key] = counts.get(key, 0) + 1
    states: dict[str, dict[str, int]] = {}
    for (netid, state), count in counts.items():
        states.setdefault(netid, {})[state] = count
    return states, listing.remarks


def _counters(namespace: int | str | None, name: str) -> _Counters:
    """Read lines such as "TCP: inuse 1 orphan 0"; nothing where there is no such file."""
    found = {}
    for line in _lines(namespace, name):
        subject, _, rest = line.partition(":")
        words = rest.split()
        found[subject] = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    return found


def _snmp(namespace: int | str | None, protocol: str, name: str) -> int:
    """Read a counter of /proc/net/snmp, where a line of names stands above one of numbers."""
    told = [line.split() for line in _lines(namespace, "snmp")]
    lines = [words for words in told if words[:1] == [f"{protocol}:"]]
    for names, numbers in zip(lines[::2], lines[1::2], strict=True):
        if name in names:
            return int(numbers[names.index(name)])
    return 0


def _limits(name: str) -> tuple[int, int] | tuple[None, None]:
    """Read where pressure begins and where no more is given, in octets, of tcp_mem or udp_mem."""
    page = os.sysconf("SC_PAGE_SIZE")
    try:
        with open(f"{_LIMITS}/{name}", "rb") as file:
            _, pressure, limit = (int(word) * page for word in file.read().split())
    except FileNotFoundError:
        return None, None
    return pressure, limit


def _lines(namespace: int | str | None, name: str) -> list[str]:
    """Return the lines of a file of /proc/net; none where there is no such file."""
    try:
        with open_table(namespace, name) as file:
            return file.read().decode("ascii").splitlines()
    except FileNotFoundError:
        return []

"""Many ports at once: `identify_services`, with its limits.

Limits, all of them: octets and seconds for each port, connections to each host and in all (never
more than half the descriptors that this process may have), new connections a second outside this
machine (packets, to UDP ports), and how many mute ports of one host are worth asking: a SYN proxy
or a tarpit has 65 535, and behind a firewall every UDP port may be open, or not.
"""

from __future__ import annotations

import socket
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from sockwright.scan.results import Protocol, Service
    from sockwright.scan.services.finding import Finding
    from sockwright.scan.services.stream import Place
    from sockwright.scan.services.waiting import Steps
    from sockwright.scan.settings import Settings

    Port = tuple[str, int, Protocol]

__all__ = ["identify_services"]

OCTETS_PER_PORT: Final = 256 << 10
SECONDS_PER_PORT: Final = 20.0
AT_ONCE: Final = 512
AT_ONCE_PER_HOST: Final = 256
MUTE_PORTS: Final = 300
"""So many ports of a host that accept and say nothing, in a row, make the rest not worth asking."""
MUTE_UDP_PORTS: Final = 100
"""The same for UDP, where each takes some thirty datagrams and seconds of silence."""

_MUTE: Final[dict[Protocol, int]] = {"tcp": MUTE_PORTS, "udp": MUTE_UDP_PORTS}
_LOOK_AHEAD: Final = 4096  # ports of busy hosts that wait while those of others are taken


def identify_services(
    ports: Iterable[Port],
    settings: Settings | None = None,
    *,
    names: Mapping[str, str] | None = None,
    octets: int = OCTETS_PER_PORT,
    seconds: float = SECONDS_PER_PORT,
    at_once: int = AT_ONCE,
    at_once_per_host: int = AT_ONCE_PER_HOST,
    wake: int | None = None,
) -> Generator[tuple[Port, Service], None, None]:
    """Ask each of `ports` (host, port, protocol) what it is; rows come as they are known.

        for (host, port, protocol), service in identify_services([("127.0.0.1", 22, "tcp")]):
            print(host, port, service.name, service.product, service.version)

    Hosts are addresses, with a zone where they have one; `names` says what their user calls them
    (TLS and HTTP want to know). `ports` is read as it is needed. `settings.service_intensity` (0 to
    9) is how many probes a silent port is worth, `settings.rate` bounds new connections. `octets`
    and `seconds` are what one port may cost. There is a row for every port: where nobody says
    anything it has the name of the table, or ``unknown``, and the method ``table``.

    It blocks while it waits. Closing the generator closes everything. It ends, with rows for some
    of the ports only, when the descriptor `wake` becomes readable.

    Raises:
        OSError: this machine cannot open any socket.
    """
    from sockwright.scan.settings import Settings
    from sockwright.sockets.descriptors import within_limit

    run = _Run(settings or Settings(), dict(names or {}), octets, seconds, wake)
    return run.rows(ports, within_limit(at_once), at_once_per_host)


class _Run:
    def __init__(
        self,
        settings: Settings,
        names: dict[str, str],
        octets: int,
        seconds: float,
        wake: int | None,
    ) -> None:
        self.settings = settings
        self.names = names
        self.octets = octets
        self.seconds = seconds
        self._wake = wake
        # One bound for all hosts together, so that it holds for each.
        bounds = [rate for rate in (settings.rate, settings.host_rate) if rate is not None]
        self._rate = min(bounds, default=None)
        self._under_way: dict[str, int] = {}
        self._held: dict[str, deque[Port]] = {}  # by host
        self._count_held = 0
        self._freed: deque[str] = deque()  # hosts that may have another port asked
        self._mute: dict[tuple[str, Protocol], int] = {}
        self._next_packet = 0.0

    def rows(
        self, ports: Iterable[Port], at_once: int, at_once_per_host: int
    ) -> Generator[tuple[Port, Service], None, None]:
        from sockwright.scan.services.waiting import Conversations

        left = iter(ports)
        with Conversations[Any, Any](self._wake) as conversations:
            while not conversations.woken:
                while len(conversations) < at_once:
                    port = self._next(left, at_once_per_host)
                    if port is None:
                        break
                    yield from self._begin(conversations, port)
                if not len(conversations):
                    return
                for port, result in conversations.step():
                    yield self._ended(port, result)

    def _next(self, left: Iterator[Port], at_once_per_host: int) -> Port | None:
        """Return the next port whose host is not busy; those of busy hosts are held back."""
        while self._freed:
            held = self._held.get(self._freed.popleft())
            if held and self._under_way.get(held[0][0], 0) < at_once_per_host:
                self._count_held -= 1
                return held.popleft()
        while self._count_held < _LOOK_AHEAD:
            port = next(left, None)
            if port is None:
                return None
            host = port[0]
            if not self._held.get(host) and self._under_way.get(host, 0) < at_once_per_host:
                return port
            self._held.setdefault(host, deque()).append(port)
            self._count_held += 1
        return None

    def _begin(self, conversations: Any, port: Port) -> Iterator[tuple[Port, Service]]:
        host, _, protocol = port
        if self._mute.get((host, protocol), 0) >= _MUTE[protocol]:
            self._freed.append(host)
            yield port, self._skipped(port)
            return
        self._under_way[host] = self._under_way.get(host, 0) + 1
        for ended, result in conversations.start(port, self._steps(port)):
            yield self._ended(ended, result)

    def _steps(self, port: Port) -> Steps[Finding | str | None]:
        """Return what was found, why the port was not reached, or None: it said nothing."""
        from sockwright.scan.services.datagrams import examine_datagrams
        from sockwright.scan.services.examining import examine
        from sockwright.scan.services.probe import Visit
        from sockwright.scan.services.stream import Budget, NotReached

        host, number, protocol = port
        try:
            place = _place(host, number, protocol, self.names.get(host, ""))
            budget = Budget(self.octets, monotonic() + self.seconds)
            near = host.startswith("127.") or host == "::1"
            visit = Visit(
                place,
                budget,
                intensity=self.settings.service_intensity,
                turn=None if near or self._rate is None else self._turn,
            )
            if protocol == "udp":
                return (yield from examine_datagrams(visit))
            return (yield from examine(visit))
        except NotReached as why:
            return str(why)
        except OSError as error:
            return error.strerror or str(error)

    def _turn(self, packets: int) -> Steps[None]:
        from sockwright.scan.services.waiting import pause

        now = monotonic()
        turn = max(now, self._next_packet)
        self._next_packet = turn + packets / (self._rate or 1.0)
        if turn > now:
            yield from pause(turn - now)

    def _ended(self, port: Port, result: Finding | str | None) -> tuple[Port, Service]:
        from sockwright.scan.services.finding import Finding

        host, _, protocol = port
        key = (host, protocol)
        self._freed.append(host)
        self._under_way[host] -= 1
        if not self._under_way[host]:
            del self._under_way[host]
        if isinstance(result, Finding):
            if result.name != "tcpwrapped":
                self._mute.pop(key, None)
            else:
                self._mute[key] = self._mute.get(key, 0) + 1
            return port, _told(port, result)
        if protocol == "tcp" or result is None:  # not reached by UDP: the host has said so
            self._mute[key] = self._mute.get(key, 0) + 1
        silent = "no answer to any probe" if result is None else f"not reached: {result}"
        return port, _by_table(port, silent)

    def _skipped(self, port: Port) -> Service:
        why = "accept connections and say nothing, as SYN proxies and tarpits do"
        if port[2] == "udp":
            why = "answer nothing by UDP, as behind a firewall"
        return _by_table(port, f"not asked: {_MUTE[port[2]]} ports of this host in a row {why}")


def _told(port: Port, finding: Finding) -> Service:
    """Make the row, and say where it contradicts the number of the port."""
    from sockwright.scan.services.iana import table_name

    _, number, protocol = port
    usual = table_name(number, protocol)
    if usual and not _agree(usual, finding.name) and finding.confidence >= 0.5:
        finding.detail("usual", f"port {number} is usually {usual}")
    return finding.service()


def _agree(usual: str, name: str) -> bool:
    """Whether two names may well be the same thing: ``https`` and ``http``, ``mysql`` and so on."""
    if usual.startswith(name) or name.startswith(usual) or name in {"tcpwrapped", "unknown"}:
        return True
    return any(usual in group and name in group for group in _SAME)


_SAME: Final = (
    {"domain", "domain-s", "dns"},
    {"submission", "submissions", "smtp"},
    {"https", "http", "http-alt", "https-alt", "ipp", "docker", "elasticsearch", "kubernetes",
     "prometheus", "etcd-client", "squid-http", "http-proxy", "kibana", "wsman", "wsmans",
     "kubelet", "afs3-fileserver", "webmin", "couchdb"},
    {"ident", "auth"},
    {"microsoft-ds", "smb", "netbios-ssn"},
    {"epmap", "msrpc"},
    {"rfb", "vnc"},
    {"sunrpc", "rpcbind", "portmap"},
    {"ircu", "irc", "ircs-u", "ircd"},
    {"secure-mqtt", "mqtt"},
    {"amqps", "amqp"},
    {"nntps", "nntp"},
    {"ftps", "ftp"},
    {"imaps", "imap", "imap2"},
    {"ssdp", "upnp"},
    {"isakmp", "ipsec-nat-t", "ike"},
    {"memcache", "memcached"},
    {"quic", "https"},
    {"msft-gc", "ldap", "ldaps"},
)  # fmt: skip


def _by_table(port: Port, why: str) -> Service:
    from dataclasses import replace

    from sockwright.scan.results import Service
    from sockwright.scan.services.iana import from_table

    service = from_table(port[1], port[2]) or Service(name="unknown", confidence=0.0)
    return replace(service, details={"probe": why})


def _place(host: str, port: int, protocol: Protocol, name: str) -> Place:
    from sockwright.scan.services.stream import Place

    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=kind, flags=socket.AI_NUMERICHOST
    )[0]
    return Place(host, port, family, address, name)

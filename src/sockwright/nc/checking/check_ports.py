"""Whether ports are open: ``sw nc -z``, many at once, in one thread.

    for row in check_ports("127.0.0.1", parse_ports("22,80,8000-8100"), timeout=2):
        print(row.port, row.state, row.reason)

Rules
    1. Rows come in the order in which they are known. Leaving the iteration closes everything.
    2. What this host cannot do (no descriptor, no free port) is an `OSError`; what the way there or
       the peer says is a row.
    3. No more than half the descriptors that this process may have are in use. Where one is lacking
       all the same, the next port waits until another is done; only with nothing under way is that
       an error.
    4. An answer that is there counts, however late it is taken: whoever takes the rows slowly does
       not make a port silent.
    5. Outside this machine new checks are spread over time: bursts are lost in small routers, and
       look like an attack.

What a check is, by TCP and by UDP: `asking`.

`sockwright.scan` connects to many ports too, and is another thing. There ports are asked again with
fresh sockets until silence means something, at a pace that the answers set, for many hosts, and
that takes tables of a size and a machine of a start that a check of some ports has no use for. Here
each port is asked once, by one socket, at the addresses of one name in their order, from an address
of one's own if that is wanted, and what this host lacks is an error at once.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from select import epoll
from time import monotonic, perf_counter_ns
from typing import NamedTuple

from sockwright.errors import EndpointError
from sockwright.nc.channels.rate import BURST, Rate
from sockwright.nc.checking.asking import NO_SUCH_FAMILY, OWN_FAULTS, UNDER_WAY, AskTCP, AskUDP
from sockwright.nc.checking.port_check import PortCheck, unix_verdict, verdict
from sockwright.nc.checking.ports import HIGHEST_PORT, service_names
from sockwright.sockets.addresses import candidates, to_endpoint
from sockwright.sockets.descriptors import within_limit
from sockwright.sockets.endpoint import Endpoint
from sockwright.sockets.explain import explained

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from typing import Any

    from sockwright.nc.checking.port_check import State
    from sockwright.sockets.endpoint import Delivery

__all__ = ["DEFAULT_RATE", "PortCheck", "check_path", "check_ports"]

DEFAULT_RATE = 1000.0
"""New checks a second where nothing else is asked for, of hosts that are not this one."""

_BEGUN_IN_A_ROW = 32  # before the answers to others are looked at, or their times would be wrong


def check_ports(
    host: str,
    ports: Sequence[int],
    *,
    udp: bool = False,
    timeout: float = 3.0,
    at_once: int = 4000,
    family: int = 0,
    local: str = "",
    rate: float | None = DEFAULT_RATE,
) -> Generator[PortCheck, None, None]:
    """Check `ports` of `host`, each once, and yield a row for each as soon as it is known.

    A host with several addresses is asked address by address until one says open; else the row is
    that of the first. `timeout` is in seconds, for each port and address; `at_once` how many are
    under way at most. `family` is AF_INET or AF_INET6 (0: both), `local` an address of this machine
    to ask from, `rate` how many checks begin in a second (None: as many as can; `DEFAULT_RATE`
    counts for other hosts only). The host is looked up before this returns, which may take its
    time.

    Raises:
        TypeError: a port is no number.
        ValueError: a port, a time or a number is out of range.
        EndpointError: `host` or `local` is not one, or they are of different families.
        OSError: `socket.gaierror`, a name does not resolve; while iterating, what rule 2 says.
    """
    if not timeout > 0 or at_once < 1:
        raise ValueError("a time limit is above 0 seconds, and at least 1 port is checked at once")
    if texts := [port for port in ports if not isinstance(port, int)]:
        raise TypeError(
            f"a port is a number, not {texts[0]!r}; what fits: [22, 80, *range(8000, 8101)]"
        )
    if wrong := [port for port in ports if not 1 <= port <= HIGHEST_PORT]:
        raise ValueError(f"port {wrong[0]} is not in 1..{HIGHEST_PORT}")
    addresses = [each for each in _addresses(host) if family in {0, each.family}]
    sources = {each.family: each for each in _addresses(local, passive=True)} if local else {}
    if local:
        addresses = [each for each in addresses if each.family in sources]
    if not addresses:
        raise EndpointError(f"{host} has no address of the family that is asked for")
    here = all(each.is_here() for each in addresses)
    asking = AskUDP(here=here) if udp else AskTCP(here=here)
    pace = None if rate is None or (here and rate == DEFAULT_RATE) else _pace(rate)
    checks = _Checks(host, addresses, sources, asking, timeout)
    return checks.rows(dict.fromkeys(ports), within_limit(at_once), pace)


def check_path(endpoint: Endpoint | str) -> PortCheck:
    """Check a ``unix:`` or ``unix-abstract:`` endpoint; nothing waits.

    Without ``?type=`` a socket of any type will do.

    Raises:
        EndpointError: the endpoint is of another scheme, or unnamed.
        OSError: what this host cannot do, as rule 2 says.
    """
    where = to_endpoint(endpoint, "unix", "unix-abstract")
    any_type: tuple[Delivery, ...] = ("stream", "datagram", "seqpacket")
    begin_ns = perf_counter_ns()
    code = 0
    for delivery in (where.delivery,) if where.delivery else any_type:
        (way,) = candidates(where, delivery=delivery)
        with way.open() as sock:
            sock.setblocking(False)
            code = sock.connect_ex(way.address)
        if code != errno.EPROTOTYPE:
            break
    rtt_ns = perf_counter_ns() - begin_ns
    name = f"@{where.path}" if where.scheme == "unix-abstract" else where.path
    state, reason = unix_verdict(code)
    return PortCheck(str(where), name, None, "unix", state, reason, rtt_ns, "")


class _Address(NamedTuple):
    """One address of a host; `scope` is the number of the interface where that matters."""

    family: int
    name: str
    scope: int

    def with_port(self, port: int) -> tuple[Any, ...]:
        """Return what the socket module takes."""
        if self.family == socket.AF_INET6:
            return (self.name, port, 0, self.scope)
        return (self.name, port)

    def is_here(self) -> bool:
        """Whether this machine has it: then, and only then, packets there come from it too."""
        if self.name.startswith("127."):
            return True
        with socket.socket(self.family, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect(self.with_port(9))  # this sends nothing
            except OSError:
                return False
            own: str = sock.getsockname()[0]
            return own.partition("%")[0] == self.name


def _addresses(host: str, *, passive: bool = False) -> list[_Address]:
    """Return the addresses of `host`, which may have a zone: ``fe80::1%eth0``."""
    name, _, zone = host.partition("%")
    found: dict[_Address, None] = {}
    for way in candidates(Endpoint("tcp", name, zone=zone), passive=passive):
        address: Any = way.address
        scope = address[3] if way.family == socket.AF_INET6 else 0
        found[_Address(way.family, address[0].partition("%")[0], scope)] = None
    return list(found)


def _pace(rate: float) -> Rate:
    """Return the limit of checks a second; the first, or those of a tenth of a second, go at once.

    Raises:
        ValueError: it is not above 0.
    """
    return Rate(rate, monotonic() - (max(BURST, 1 / rate) if rate > 0 else 0))


class _Task(NamedTuple):
    """A port to be checked at the address numbered `way`; `first` is what another address said."""

    port: int
    way: int = 0
    first: PortCheck | None = None


class _Attempt:
    """A check that is under way; at `due` it is asked again, or given up when `left` is 1."""

    __slots__ = ("begin_ns", "due", "left", "sock", "task")

    def __init__(self, task: _Task, sock: socket.socket, begin_ns: int, left: int) -> None:
        self.task = task
        self.sock = sock
        self.begin_ns = begin_ns
        self.left = left
        self.due = 0.0


class _NotBoundError(OSError):
    """The address to ask from, `filename`, cannot be had."""


class _Checks:
    """The checks of one host."""

    def __init__(
        self,
        host: str,
        addresses: list[_Address],
        sources: dict[int, _Address],
        asking: AskTCP | AskUDP,
        timeout: float,
    ) -> None:
        self._host = host
        self._addresses = addresses
        self._sources = sources
        self._asking = asking
        self._step = timeout / asking.times
        self._services = service_names(asking.protocol)
        self._verdicts: dict[int, tuple[State, str]] = {}
        self._again: deque[_Task] = deque()  # ports with another address to be asked
        self._spares: dict[int, socket.socket] = {}  # by family: fit for the next port

    def rows(
        self, ports: Iterable[int], at_once: int, pace: Rate | None
    ) -> Generator[PortCheck, None, None]:
        """Check all of `ports`, `at_once` of them at the same time, begun at `pace`."""
        fresh = map(_Task, ports)
        task = next(fresh, None)
        # By descriptor, and in the order in which they are due: all wait equally long.
        waiting: dict[int, _Attempt] = {}
        poll = epoll()
        try:
            while task is not None or waiting:
                pause: float | None = 0.0  # None: until something happens
                for _ in range(_BEGUN_IN_A_ROW):
                    if task is None or len(waiting) >= at_once:
                        pause = None
                        break
                    if pace is not None:
                        now = monotonic()
                        if not pace.allowed(now):
                            pause = pace.wait(now)
                            break
                        pace.took(1, now)
                    try:
                        row = self._begin(task, waiting, poll)
                    except OSError as error:
                        if not waiting:  # nothing will become free
                            doing = f"check {self._place(task)}"
                            if isinstance(error, _NotBoundError):
                                doing = f"bind to {error.filename}"
                            raise explained(error, doing) from error
                        pause = None
                        break
                    if row is not None:
                        yield row
                    task = self._again.popleft() if self._again else next(fresh, None)
                if waiting or pause:
                    yield from self._wait(waiting, poll, pause)
                    if task is None and self._again:
                        task = self._again.popleft()
        finally:
            poll.close()
            for attempt in waiting.values():
                attempt.sock.close()
            for sock in self._spares.values():
                sock.close()

    def _begin(self, task: _Task, waiting: dict[int, _Attempt], poll: epoll) -> PortCheck | None:
        """Begin one check; return the row of the port if that is all.

        Raises:
            OSError: this host could not ask.
        """
        address = self._addresses[task.way]
        sock = None
        try:
            sock = self._spares.pop(address.family, None) or self._open(address.family)
            begin_ns = perf_counter_ns()
            code = self._asking.ask(sock, address.with_port(task.port))
            if code in OWN_FAULTS:
                raise OSError(code, os.strerror(code))  # noqa: TRY301  # as from the socket module
            if code in UNDER_WAY:
                attempt = _Attempt(task, sock, begin_ns, self._asking.times)
                attempt.due = monotonic() + self._step
                poll.register(sock, self._asking.events)
                waiting[sock.fileno()] = attempt
                sock = None
                return None
            row = self._row(task, code, perf_counter_ns() - begin_ns)
            if code in self._asking.reusable:
                self._spares[address.family] = sock
                sock = None
        except OSError as error:
            if error.errno not in NO_SUCH_FAMILY:
                raise
            if task.way + 1 < len(self._addresses):
                self._again.append(task._replace(way=task.way + 1))
                return None
            if task.first is None:
                raise
            return task.first
        finally:
            if sock is not None:
                sock.close()
        return self._settled(task, row)

    def _wait(
        self, waiting: dict[int, _Attempt], poll: epoll, pause: float | None
    ) -> Generator[PortCheck, None, None]:
        """Wait for answers, `pause` seconds at most; yield the rows of ports that are done."""
        before = monotonic()
        if waiting:
            due = next(iter(waiting.values())).due - before
            pause = due if pause is None else min(due, pause)
        events = poll.poll(max(pause or 0.0, 0.0), len(waiting) or 1)
        now_ns = perf_counter_ns()
        for descriptor, _ in events:
            attempt = waiting[descriptor]
            code = self._asking.look(attempt.sock, self._there(attempt))
            if code not in UNDER_WAY:
                del waiting[descriptor]
                if (row := self._over(attempt, code, now_ns)) is not None:
                    yield row
        # By the time before answers were looked at: rule 4.
        while waiting and (attempt := next(iter(waiting.values()))).due <= before:
            descriptor = attempt.sock.fileno()
            del waiting[descriptor]
            asking, attempt.left = self._asking, attempt.left - 1
            repeated = asking.ask_again if attempt.left else asking.look
            code = repeated(attempt.sock, self._there(attempt))
            if attempt.left and code in UNDER_WAY:
                attempt.due = monotonic() + self._step
                waiting[descriptor] = attempt
            elif (row := self._over(attempt, code, perf_counter_ns())) is not None:
                yield row

    def _over(self, attempt: _Attempt, code: int, now_ns: int) -> PortCheck | None:
        """End a check that was under way; return the row of the port if that is all."""
        row = self._row(attempt.task, code, now_ns - attempt.begin_ns)
        attempt.sock.close()
        return self._settled(attempt.task, row)

    def _settled(self, task: _Task, row: PortCheck) -> PortCheck | None:
        """Return the row of a port, unless it has another address that is to be asked."""
        if row.state == "open":
            return row
        first = task.first or row
        if task.way + 1 == len(self._addresses):
            return first
        self._again.append(_Task(task.port, task.way + 1, first))
        return None

    def _row(self, task: _Task, code: int, rtt_ns: int) -> PortCheck:
        if (told := self._verdicts.get(code)) is None:
            told = self._asking.silence if code in UNDER_WAY else verdict(code)
            self._verdicts[code] = told
        state, reason = told
        return PortCheck(
            self._host,
            self._addresses[task.way].name,
            task.port,
            self._asking.protocol,
            state,
            reason,
            None if code in UNDER_WAY else rtt_ns,
            self._services.get(task.port, ""),
        )

    def _open(self, family: int) -> socket.socket:
        sock = self._asking.open(family)
        if (source := self._sources.get(family)) is not None:
            try:
                sock.bind(source.with_port(0))
            except OSError as error:
                sock.close()
                raise _NotBoundError(error.errno, error.strerror, source.name) from error
        return sock

    def _there(self, attempt: _Attempt) -> tuple[Any, ...]:
        return self._addresses[attempt.task.way].with_port(attempt.task.port)

    def _place(self, task: _Task) -> str:
        return str(Endpoint(self._asking.protocol, self._addresses[task.way].name, task.port))

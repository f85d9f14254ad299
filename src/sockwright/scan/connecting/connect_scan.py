"""Scan TCP ports by connect(2): no privilege is needed, and the kernel does the protocol.

Rules
    1. A try is one connection, from a socket and so from a port of its own. What is said of it
       comes from the kernel: connected, refused (RST), or an ICMP error with its type and sender.
    2. A socket that was refused is used again for the next port: the kernel gives it a new port,
       and three calls of four are saved. On a short way the answer is there before connect()
       returns, so as long as that is so it is looked for at once, without epoll.
    3. A socket outlives its time-out, up to `_HOLD`, as long as descriptors suffice: an answer that
       comes late counts, and teaches how long answers take. Later than that the kernel would repeat
       the SYN by itself (RFC 6298 section 2.1: after one second), beyond the pace that was asked.
    4. Connections are ended by FIN. RST would be one packet, but when it is lost the service is
       left with a connection that never ends, and services log it as an error. Only where a host
       accepts them by the hundred (a tarpit) it is RST, so that neither side keeps thousands in
       TIME-WAIT.
    5. A connection whose two ends are the same is no service (RFC 9293 section 3.5, simultaneous
       open): the kernel has chosen the very port that was asked to ask from, so nobody else has it.
    6. What this machine lacks (descriptors, local ports, a route) is no answer: the port is asked
       again later, and a remark says so when it does not get better. Without a single descriptor
       for `Descriptors.patience` there is nothing to hope for: the scan stops (`failure`).
    7. Some ports that have answered are connected to again, where `Canaries` want it.

`sockwright.nc.checking.check_ports` connects to many ports too, but asks each once, of one name, as
`sw nc -z` does: it has no rounds, no estimate of loss, no pace but a fixed one, and loads fast.
"""

from __future__ import annotations

import errno
import os
from _socket import (
    SO_BINDTODEVICE,
    SO_LINGER,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
)
from select import EPOLLERR, EPOLLET, EPOLLOUT, epoll
from struct import pack
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from sockwright.scan.connecting.connect_host import ConnectHost
from sockwright.scan.descriptors import Descriptors
from sockwright.scan.host_scan import HostScan
from sockwright.scan.reasons import number_of, unreachable
from sockwright.sockets.error_queue import QueuedError, has_errors, read_error, watch_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.scan.asked_host import Assignment
    from sockwright.scan.engine.pace import Pace
    from sockwright.scan.settings import Settings

__all__ = ["ConnectScan"]

_HOLD = 0.95  # seconds that a socket waits for an answer at least, if descriptors suffice
_FAR = 0.6  # seconds
_SHORT = 0.1  # seconds until a descriptor is asked for again
_MOST = 512  # probes in a row to one host
_EVENTS = 4096
_SPARES = 512  # refused sockets kept for the next ports
_FEW_OPEN = 256  # open ports of a host that are closed by FIN
_LOOKS = 64  # answers that were not there at once until they are no longer looked for
_TARPIT = 100  # open ports, and more than half of all, that look like a tarpit

_CONN_ACCEPT: Final = number_of("conn-accept", "open")
_CONN_REFUSED: Final = number_of("conn-refused", "closed")
_OWN_WORD: Final = frozenset({_CONN_ACCEPT, _CONN_REFUSED})  # of the host itself, by TCP
_PROHIBITED: Final = number_of("admin-prohibited", "filtered")

_UNDER_WAY: Final = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EINTR})
# The connection was made and then reset before it was looked at.
_MADE: Final = frozenset({0, errno.EISCONN, errno.ECONNRESET, errno.EPIPE})
_NO_WAY: Final = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENODEV, errno.EINVAL,
     errno.EADDRNOTAVAIL, errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM}
)  # fmt: skip
_RESET_AT_CLOSE: Final = pack("=ii", 1, 0)
_FRAGMENTATION_NEEDED = (3, 4)  # ICMP type and code: no verdict about a port

_CANARY = 0  # in place of the number of a try: the port is known, the connection asks for the way

# socket, host, index of the port, number of the try, epoch of the pace, when it began.
_Flight = tuple[socket, ConnectHost, int, int, int, float]


class ConnectScan(HostScan[ConnectHost]):
    """The connect part of a scan, see `HostScan`."""

    def __init__(
        self, ports: Sequence[int], settings: Settings, *, shared: Pace, seed: int
    ) -> None:
        super().__init__(ports, settings, shared=shared, seed=seed)
        self._epoll = epoll()
        self._window = Descriptors()
        self._flights: dict[int, _Flight] = {}  # by descriptor, in the order of their beginning
        # By family and scope: a socket stays bound to the link of a link-local address.
        self._spares: dict[tuple[int, int], list[socket]] = {}
        self._watched: set[int] = set()  # descriptors that epoll knows
        self._looks = _LOOKS
        self._short_until = 0.0

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What becomes readable when `step` has something to do."""
        return (self._epoll.fileno(),)

    def close(self) -> None:
        """Close everything; a second time does nothing."""
        for sock, *_ in self._flights.values():
            sock.close()
        for spares in self._spares.values():
            for sock in spares:
                sock.close()
        self._flights.clear()
        self._spares.clear()
        self._epoll.close()
        super().close()

    def _new_host(self, given: Assignment) -> ConnectHost:
        return ConnectHost(given)

    # -- asking ---------------------------------------------------------------------------------

    @property
    def _ready_at(self) -> float:
        if self._room or not self._flights or any(self._spares.values()):
            return self._short_until
        _, oldest, _, _, _, begun = next(iter(self._flights.values()))
        return max(self._short_until, begun + oldest.timing.timeout)

    def _ask(self, host: ConnectHost, most: int, now: float) -> None:
        """Begin connections; note the answers that are there at once."""
        items = host.rounds.take(min(most, _MOST))
        if not items:
            return
        rounds, table, attempt, epoch = (
            host.rounds,
            host.table,
            host.rounds.attempt,
            host.pace.epoch,
        )
        place = host.place
        sock: socket | None = None
        asked = refused = 0
        answered_in = 0.0
        for item in items:
            if sock is None and (sock := self._socket(host, now)) is None:
                break
            begun = monotonic()
            where = place(item)
            code = sock.connect_ex(where)
            if code == errno.EINPROGRESS and self._looks:
                code = sock.connect_ex(where)
                self._looks = (
                    min(self._looks + 1, _LOOKS) if code != errno.EALREADY else (self._looks - 1)
                )
            if code == errno.ECONNREFUSED and not has_errors(sock):
                answered_in = monotonic() - begun
                rounds.answered(item, attempt)
                table.set(item, _CONN_REFUSED, attempt, int(answered_in * 1e6))
                if not refused:
                    host.canaries.note(item, is_open=False)
                refused += 1
            elif code in _UNDER_WAY:
                self._fly(sock, (sock, host, item, attempt, epoch, begun))
                sock = None
            elif code in _NO_WAY and not has_errors(sock):
                host.no_way(os.strerror(code), now)
                break
            else:
                self._settle(sock, host, item, attempt, epoch, begun, code)
                sock = None
            asked += 1
        if sock is not None:
            self._spare(sock, host)
        if asked:
            again, counted = self._ask_again(host, asked, now)
            now = monotonic()
            self._shared.sent(asked + again, now)
            host.sent(asked, now, again=counted)
            host.has_way()
            if refused:
                host.answers += refused
                host.pace.answered(epoch, refused)
                host.timing.sample(answered_in)
        if asked < len(items) and not rounds.done:
            rounds.put_back(items[asked:])

    def _ask_again(self, host: ConnectHost, count: int, now: float) -> tuple[int, int]:
        """Connect once more to some known ports beside `count` others, see `Canaries`.

        Return how many, and how many of them the pace counts.
        """
        if not self._room:
            return 0, 0
        items, counted = host.canaries.take(count)
        for item in items:
            if (sock := self._socket(host, now)) is None:
                break
            code = sock.connect_ex(host.place(item))
            flight = (sock, host, item, _CANARY, host.pace.epoch, monotonic())
            if code in _UNDER_WAY:
                self._fly(sock, flight)
            else:
                self._settle(*flight, code)
        return len(items), counted

    def _socket(self, host: ConnectHost, now: float) -> socket | None:
        """Return a socket that is not in use; None: there can be no more of them now."""
        spares = self._spares.get((host.family, host.scope))
        if spares:
            return spares.pop()
        if not self._room and not self._evict(now):
            return None
        sock = None
        try:
            sock = socket(host.family, SOCK_STREAM | SOCK_NONBLOCK)
            watch_errors(sock)
            if self._settings.interface:
                name = self._settings.interface.encode() + b"\0"
                sock.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, name)
        except OSError as error:
            if sock is not None:
                sock.close()
            if not self._window.refused(error, len(self._flights)):
                raise
            self.remarks[:] = [self._window.remark]
            if self._evict(now):
                return self._socket(host, now)
            self._short_until = now + _SHORT
            self.failure = self._window.failure()
            return None
        self._window.none_since = None
        return sock

    @property
    def _room(self) -> bool:
        spares = sum(map(len, self._spares.values()))
        return len(self._flights) + spares < self._window.limit

    def _evict(self, now: float) -> bool:
        """Close the socket that waits for the longest time, if it has waited long enough."""
        for spares in self._spares.values():  # of another family or link
            if spares:
                self._close(spares.pop())
                return True
        if not self._flights:
            return False
        descriptor, (_, host, _, _, _, begun) = next(iter(self._flights.items()))
        if now < begun + host.timing.timeout:
            return False
        self._land(descriptor)
        return True

    def _spare(self, sock: socket, host: ConnectHost) -> None:
        spares = self._spares.setdefault((host.family, host.scope), [])
        if len(spares) < _SPARES:
            spares.append(sock)
        else:
            self._close(sock)

    def _close(self, sock: socket) -> None:
        self._watched.discard(sock.fileno())
        sock.close()

    # -- answers --------------------------------------------------------------------------------

    def _fly(self, sock: socket, flight: _Flight) -> None:
        descriptor = sock.fileno()
        self._flights[descriptor] = flight
        flight[1].flights.add(descriptor)
        if descriptor not in self._watched:
            # Edge-triggered: so a socket that is used again need not be registered again.
            self._epoll.register(descriptor, EPOLLOUT | EPOLLET)
            self._watched.add(descriptor)

    def _land(self, descriptor: int, *, keep: bool = False) -> None:
        """Take a connection out of the way."""
        sock, host, *_ = self._flights.pop(descriptor)
        host.flights.discard(descriptor)
        if keep:
            self._spare(sock, host)
        else:
            self._close(sock)

    def _receive(self, now: float) -> bool:
        # Without connections under way too: what sockets kept for later report has to be taken, or
        # whoever waits for the descriptor is woken for ever.
        self._collect()
        self._let_go(now)
        return True

    def _collect(self) -> None:
        """Take in what became of the connections under way."""
        events = self._epoll.poll(0, _EVENTS)
        sampled: ConnectHost | None = None
        now = monotonic()
        for descriptor, event in events:
            flight = self._flights.get(descriptor)
            if flight is None:
                continue  # a socket that is kept for the next port
            sock, host, item, attempt, epoch, begun = flight
            code = sock.connect_ex(host.place(item))
            if code == errno.ECONNREFUSED and not has_errors(sock):
                self._land(descriptor, keep=True)
                if attempt == _CANARY:
                    host.canaries.answered(item)
                elif host.rounds.answered(item, attempt):
                    host.table.set(item, _CONN_REFUSED, attempt, int((now - begun) * 1e6))
                    host.answers += 1
                    host.pace.answered(epoch)
                    host.canaries.note(item, is_open=False)
            elif code in _UNDER_WAY and not (event & EPOLLERR and has_errors(sock)):
                continue
            else:
                del self._flights[descriptor]
                host.flights.discard(descriptor)
                self._settle(sock, host, item, attempt, epoch, begun, code)
            if sampled is not host:
                sampled = host
                # What took a second may have answered the kernel's repetition (RFC 6298 section 3).
                if now < begun + 1.0 or host.timing.smoothed is None:
                    host.timing.sample(now - begun)

    def _settle(  # noqa: PLR0917  # what a flight is made of
        self,
        sock: socket,
        host: ConnectHost,
        item: int,
        attempt: int,
        epoch: int,
        begun: float,
        code: int,
    ) -> None:
        """Note what became of a connection, if it says anything, and close the socket."""
        rtt = int((monotonic() - begun) * 1e6)
        reason, sender = self._verdict(host, sock, code)
        is_open = reason == _CONN_ACCEPT
        if attempt == _CANARY:
            if reason is not None:
                host.canaries.answered(item)
        elif reason is not None and host.rounds.answered(
            item, attempt, open=is_open, counts=reason in _OWN_WORD
        ):
            host.table.set(item, reason, attempt, rtt, None, sender)
            host.answers += 1
            host.pace.answered(epoch)
            if reason in _OWN_WORD:
                host.canaries.note(item, is_open=is_open)
            if is_open:
                host.opens += 1
                self.opened.append((host, item))
        if is_open and host.opens > _FEW_OPEN:
            sock.setsockopt(SOL_SOCKET, SO_LINGER, _RESET_AT_CLOSE)
        self._close(sock)

    def _verdict(self, host: ConnectHost, sock: socket, code: int) -> tuple[int | None, str]:
        """Return the reason, and who sent the ICMP error if it was not the host."""
        if code not in _MADE:
            while (error := read_error(sock)) is not None:
                if error.icmp and (reason := _told(host, error)) is not None:
                    return reason, "" if error.sender == host.address else error.sender
        if code in _MADE:
            return (_CONN_REFUSED if _is_itself(sock) else _CONN_ACCEPT), ""
        if code == errno.ECONNREFUSED:
            return _CONN_REFUSED, ""
        if code in {errno.EACCES, errno.EPERM}:
            return _PROHIBITED, "localhost"
        return None, ""  # ETIMEDOUT and the like: as if nothing had come

    def _let_go(self, now: float) -> None:
        """Close what has waited too long."""
        flights = self._flights
        while flights:
            descriptor, (_, host, _, _, _, begun) = next(iter(flights.items()))
            if now < begun + (host.timing.timeout if _is_far(host) else _HOLD):
                return
            if now > begun + 1.0:  # the kernel has repeated the SYN
                host.pace.sent(1, now)
                self._shared.sent(1, now)
            self._land(descriptor)

    # -- the end --------------------------------------------------------------------------------

    def _forget(self, host: ConnectHost) -> None:
        for descriptor in tuple(host.flights):
            self._land(descriptor)
        if host.opens >= _TARPIT and host.opens > len(host.numbers) / 2:
            host.remarks.append(
                f"{host.opens} of {len(host.numbers)} ports accept connections: a tarpit or a SYN "
                "proxy answers for them, and what is behind it cannot be seen by connecting"
            )


def _told(host: ConnectHost, error: QueuedError) -> int | None:
    if host.version == 4 and (error.kind, error.code) == _FRAGMENTATION_NEEDED:
        return None
    return unreachable(host.version, error.kind, error.code, udp=False)


def _is_far(host: ConnectHost) -> bool:
    """Whether a round trip takes about as long as the kernel waits to repeat a SYN."""
    return (host.timing.smoothed or 0.0) > _FAR


def _is_itself(sock: Any) -> bool:
    try:
        return bool(sock.getsockname() == sock.getpeername())
    except OSError:  # it was made and reset again
        return False

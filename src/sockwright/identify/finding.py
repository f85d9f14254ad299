"""Find the ports that probes need: an open and a closed one of TCP, a closed one of UDP.

Connections are tried to ports that are often open and to a few that hardly ever are; it takes no
privilege. A port counts as open when connect(2) succeeds, as closed when the host answers by RST.
Whether a UDP port is closed is left to the probe itself: it goes to a high one.

A connection is given up before the kernel sends its SYN again, so that each is one packet.
"""

from __future__ import annotations

import errno
import random
import select
import socket
import time
from collections import deque
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Ports", "find_ports"]

# Of servers, desktops, phones, printers, routers and embedded systems, the likely first.
_OFTEN_OPEN: Final = (
    80, 443, 22, 445, 135, 139, 3389, 53, 21, 23, 25, 111, 110, 143, 993, 995, 8080, 8443, 5000,
    7000, 62078, 5900, 3306, 5432, 6379, 8000, 8008, 8888, 9100, 515, 631, 548, 554, 179, 1723,
    2049, 5357, 49152, 5555, 1883,
)  # fmt: skip
_LEAST_TRIES, _MOST_TRIES = 2, 4
_TRIES_OF_THE_SILENT: Final = 3  # it may be the ARP for the host that got lost, twice
_IN_FLIGHT_S: Final = 0.9  # seconds that a connection waits; after 1.0 the kernel asks again
_HIGH: Final = (30000, 60000)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that were found; None is what was not.

    `asked` counts those that were tried for an open one.
    """

    open: int | None
    closed: int | None
    closed_udp: int | None
    asked: int = 0


def find_ports(
    host: str,
    *,
    open_port: int | None = None,
    closed_port: int | None = None,
    closed_udp_port: int | None = None,
    among: Sequence[int] = (),
    charge: Callable[[int, float], float] | None = None,
    wake: int | None = None,
) -> Ports:
    """Find the ports that are not given; the open one `among` these, where there are any.

    `charge` is told how many SYNs went out and when, and says when the next may go; without it they
    go all at once. When the descriptor `wake` becomes readable it ends with what is known then.

    Raises: OSError: the host cannot be reached from here; it is no address.
    """
    chance = random.SystemRandom()
    high = chance.sample(range(*_HIGH), 4)
    udp = high.pop() if closed_udp_port is None else closed_udp_port
    wanted = [] if open_port is not None else list(dict.fromkeys(among or _OFTEN_OPEN))
    asked = list(dict.fromkeys([*wanted, *(high if closed_port is None else ())]))
    found = _Connecting(host, charge, wake).connect(asked) if asked else {}
    if open_port is None:
        open_port = next((port for port in wanted if found.get(port) is True), None)
    if closed_port is None:
        refused = [port for port in (*high, *asked) if found.get(port) is False]
        closed_port = refused[0] if refused else None
    return Ports(open_port, closed_port, udp, len(wanted))


class _Connecting:
    """Connections to ports of one host; the arguments are those of `find_ports`."""

    def __init__(
        self, host: str, charge: Callable[[int, float], float] | None, wake: int | None
    ) -> None:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        self._family, self._to = found[0][0], found[0][4]
        self._charge = charge
        self._wake = wake
        self._woken = False
        self._free = 0.0 if charge is None else charge(0, time.monotonic())  # for the next SYN
        # By descriptor: the socket, its port, and when it is given up; the earliest first.
        self._open: dict[int, tuple[socket.socket, int, float]] = {}
        self._waiting = select.poll()
        if wake is not None:
            self._waiting.register(wake, select.POLLIN)

    def connect(self, ports: list[int]) -> dict[int, bool]:
        """Tell of each port that answered whether it is open."""
        found: dict[int, bool] = {}
        try:
            for tries in range(1, _MOST_TRIES + 1):
                new = self._try([port for port in ports if port not in found])
                found.update(new)
                # As long as a further try finds ports, packets are lost, and more may be.
                enough = _LEAST_TRIES if found else _TRIES_OF_THE_SILENT
                if self._woken or len(found) == len(ports) or (tries >= enough and not new):
                    break
        finally:
            self._give_up(inf)
        return found

    def _try(self, ports: list[int]) -> dict[int, bool]:
        """Ask each port once, and wait for the answers."""
        found: dict[int, bool] = {}
        left = deque(ports)
        now = time.monotonic()
        while (left or self._open) and not self._woken:
            while left and self._free <= now:
                self._begin(left.popleft(), now)
            due = self._free if left else inf
            if self._open:
                due = min(due, next(iter(self._open.values()))[2])
            for number, _ in self._waiting.poll(max(0.0, due - time.monotonic()) * 1000):
                if number == self._wake:
                    self._woken = True
                else:
                    sock, port = self._end(number)
                    with sock:
                        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if error in {0, errno.ECONNREFUSED}:
                        found[port] = error == 0
            now = time.monotonic()
            self._give_up(now)
        return found

    def _begin(self, port: int, now: float) -> None:
        sock = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._open[sock.fileno()] = sock, port, now + _IN_FLIGHT_S
        self._waiting.register(sock, select.POLLOUT)
        error = sock.connect_ex((self._to[0], port, *self._to[2:]))
        if error == errno.ENETUNREACH:
            raise OSError(error, f"there is no route to {self._to[0]}")
        if self._charge is not None:
            self._free = self._charge(1, now)

    def _end(self, number: int) -> tuple[socket.socket, int]:
        self._waiting.unregister(number)
        return self._open.pop(number)[:2]

    def _give_up(self, now: float) -> None:
        """Close what has waited long enough at the monotonic time `now`."""
        while self._open and next(iter(self._open.values()))[2] <= now:
            sock, _ = self._end(next(iter(self._open)))
            sock.close()

"""How one port is asked whether it is open: by a connection of TCP, or by datagrams of UDP.

Codes are those of errno: 0 is an answer, `UNDER_WAY` none yet, `OWN_FAULTS` say that this host
could not ask, and all others are what the way there or the peer says.

Rules
    1. A port of TCP is open when the connection is made; nothing is sent over it. A port of UDP is
       open when it answers, closed when its host says so by ICMP, and else nobody can tell.
    2. A socket whose two ends are the same is no service: the kernel has chosen the very port that
       is checked as the one to ask from. Nobody else can have that port then, so it is closed.
"""

from __future__ import annotations

import errno
import socket
from select import EPOLLIN, EPOLLOUT

from sockwright.sockets.udp_probes import probe_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from sockwright.nc.checking.port_check import State

__all__ = ["NO_SUCH_FAMILY", "OWN_FAULTS", "UNDER_WAY", "AskTCP", "AskUDP"]

NO_SUCH_FAMILY = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})
OWN_FAULTS = NO_SUCH_FAMILY | frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRINUSE, errno.EAGAIN,
     errno.EINVAL}
)  # fmt: skip
UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EINTR})

_LARGEST_ANSWER = 65536
_IP_RECVERR, _IPV6_RECVERR = 11, 25  # linux/in.h, linux/in6.h


class AskTCP:
    """By connecting. `here` says that the host is this machine.

    A socket that gave one of the codes in `reusable` at once can ask the next port under Linux.
    """

    protocol: Literal["tcp", "udp"] = "tcp"
    events = EPOLLOUT
    times = 1  # the kernel repeats its SYN
    silence: tuple[State, str] = (
        "filtered",
        "no answer in time: a firewall drops it, the host is down, or too many wait for accept()",
    )
    reusable = frozenset({errno.ECONNREFUSED})

    def __init__(self, *, here: bool) -> None:
        self._here = here

    def open(self, family: int) -> socket.socket:
        """Open a socket that does not wait."""
        return _opened(family, socket.SOCK_STREAM)

    def ask(self, sock: socket.socket, address: tuple[Any, ...]) -> int:
        """Begin, and return what is known at once."""
        code = sock.connect_ex(address)
        # On this machine the answer is there by now: to look for it spares epoll its work.
        return self.look(sock, address) if self._here and code == errno.EINPROGRESS else code

    def ask_again(self, sock: socket.socket, address: tuple[Any, ...]) -> int:
        """Repeat the question where the kernel does not do it."""
        return self.look(sock, address)

    def look(self, sock: socket.socket, address: tuple[Any, ...]) -> int:
        """Return what is known now."""
        # A second connect(2) says what became of the first, and makes the socket fit for another.
        code = sock.connect_ex(address)
        if code in {0, errno.EISCONN}:
            return errno.ECONNABORTED if _is_itself(sock) else 0
        return code


class AskUDP:
    """By a datagram that the usual service of the port answers. `here`: as for `AskTCP`.

    One datagram was sent and one refusal came: nothing late can be taken for an answer to the next.
    """

    protocol: Literal["tcp", "udp"] = "udp"
    events = EPOLLIN
    times = 3  # datagrams get lost: so often one is sent, evenly over the time limit
    silence: tuple[State, str] = (
        "open|filtered",
        "no answer: the service keeps silent, or a firewall does, or the host limits its ICMP",
    )
    reusable = frozenset({errno.ECONNREFUSED})

    def __init__(self, *, here: bool) -> None:
        self._here = here

    def open(self, family: int) -> socket.socket:
        """Open a socket that does not wait."""
        sock = _opened(family, socket.SOCK_DGRAM)
        if not self._here:
            # Else the kernel does not tell of what may pass, such as EHOSTUNREACH: ip(7).
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        return sock

    def ask(self, sock: socket.socket, address: tuple[Any, ...]) -> int:
        """Begin, and return what is known at once."""
        if code := sock.connect_ex(address):
            return code
        if _is_itself(sock):
            return errno.ECONNABORTED
        code = self.ask_again(sock, address)
        return self.look(sock, address) if self._here and code in UNDER_WAY else code

    def ask_again(self, sock: socket.socket, address: tuple[Any, ...]) -> int:
        """Repeat the question."""
        try:
            sock.send(probe_for(address[1]))
        except OSError as error:
            full = error.errno in {errno.EAGAIN, errno.ENOBUFS}  # there will be a next time
            return errno.EINPROGRESS if full else error.errno or errno.EIO
        return errno.EINPROGRESS

    def look(self, sock: socket.socket, address: tuple[Any, ...]) -> int:  # noqa: ARG002  # as TCP
        """Return what is known now."""
        try:
            sock.recv(_LARGEST_ANSWER)
        except BlockingIOError:
            return errno.EINPROGRESS
        except OSError as error:
            return error.errno or errno.EIO
        return 0


def _opened(family: int, kind: int) -> socket.socket:
    sock = socket.socket(family, kind)
    sock.setblocking(False)
    return sock


def _is_itself(sock: socket.socket) -> bool:
    return bool(sock.getsockname() == sock.getpeername())

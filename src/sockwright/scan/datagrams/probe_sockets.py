"""The sockets that UDP probes leave from, and what comes back to them.

One socket for each try, shared by all ports and hosts: so its port tells which try is answered. It
is not connected, so one descriptor serves a whole scan; the kernel puts the ICMP errors for what it
has sent into its error queue, with the address that each datagram was bound for.
"""

from __future__ import annotations

import contextlib
import errno
from _socket import (
    AF_INET6,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_RECVHOPLIMIT,
    IPV6_V6ONLY,
    SO_BINDTODEVICE,
    SO_RCVBUF,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOL_SOCKET,
    socket,
)
from select import EPOLLIN, epoll
from struct import unpack
from typing import TYPE_CHECKING, Any, NamedTuple

from sockwright.sockets.error_queue import QueuedError, read_error, watch_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Answer", "ProbeSockets"]

_BUFFER = 1 << 22  # asked for; the kernel gives what net.core.rmem_max allows
_IP_RECVTTL, _IP_TTL, _IPV6_HOPLIMIT = 12, 2, 52  # linux/in.h, linux/in6.h
_LARGEST = 2048  # octets looked at of an answer
_AT_ONCE = 512  # answers taken from one socket in a row: a flood does not stop the rest
_AFTER_ERRORS = 32  # times a send may fail by errors of what was sent before
_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})


class Answer(NamedTuple):
    """A datagram that came back: to which try, from where, with which TTL."""

    attempt: int
    octets: bytes
    source: tuple[Any, ...]
    ttl: int | None


class ProbeSockets:
    """Sockets for the tries from 1 on, of both versions of IP, opened as they are needed."""

    def __init__(self, interface: str = "") -> None:
        self._interface = interface
        self._epoll = epoll()
        self._sockets: dict[tuple[int, int], socket] = {}
        self._by_descriptor: dict[int, tuple[socket, int]] = {}
        self._ports: set[tuple[int, int]] = set()  # family and local port
        self._errors: list[tuple[int, QueuedError]] = []

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something came."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Close all; a second time does nothing."""
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()
        self._by_descriptor.clear()
        self._epoll.close()

    @property
    def has_more(self) -> bool:
        """Whether something was taken in while sending that `receive` has not given."""
        return bool(self._errors)

    def uses(self, family: int, port: int) -> bool:
        """Whether probes of a family leave from this local port."""
        return (family, port) in self._ports

    def send(self, family: int, attempt: int, octets: bytes, to: tuple[Any, ...]) -> int:
        """Send a probe; return 0, or the errno that says why this machine did not.

        Raises:
            OSError: EMFILE and others, there is no socket for this try.
        """
        sock = self._sockets.get((family, attempt)) or self._open(family, attempt)
        for _ in range(_AFTER_ERRORS):
            try:
                sock.sendto(octets, to)
            except OSError as error:
                # An ICMP error for an earlier datagram fails the next call, whatever it sends.
                if error.errno not in _FULL and self._drain(sock, attempt):
                    continue
                return error.errno or errno.EIO
            return 0
        return errno.EAGAIN

    def receive(self) -> Iterator[Answer | tuple[int, QueuedError]]:
        """Give what has come: answers, and ICMP errors with the number of the try."""
        with contextlib.suppress(ValueError):  # closed meanwhile
            for descriptor, _ in self._epoll.poll(0):
                sock, attempt = self._by_descriptor[descriptor]
                self._drain(sock, attempt)
                for _ in range(_AT_ONCE):
                    try:
                        octets, ancillary, _, source = sock.recvmsg(_LARGEST, 64)
                    except BlockingIOError:
                        break
                    except OSError:  # the errno of an ICMP error, which is in the queue
                        self._drain(sock, attempt)
                        continue
                    yield Answer(attempt, octets, source, _ttl(ancillary))
        errors, self._errors = self._errors, []
        yield from errors

    def _drain(self, sock: socket, attempt: int) -> bool:
        """Take all of the error queue; return whether there was anything."""
        found = False
        while (error := read_error(sock)) is not None:
            self._errors.append((attempt, error))
            found = True
        return found

    def _open(self, family: int, attempt: int) -> socket:
        sock = socket(family, SOCK_DGRAM | SOCK_NONBLOCK)
        try:
            if family == AF_INET6:
                sock.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
                sock.setsockopt(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1)
            else:
                sock.setsockopt(IPPROTO_IP, _IP_RECVTTL, 1)
            watch_errors(sock)
            sock.setsockopt(SOL_SOCKET, SO_RCVBUF, _BUFFER)
            if self._interface:
                sock.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, self._interface.encode() + b"\0")
            sock.bind(("", 0))
            self._epoll.register(sock, EPOLLIN)
        except BaseException:
            sock.close()
            raise
        self._sockets[family, attempt] = sock
        self._ports.add((family, sock.getsockname()[1]))
        self._by_descriptor[sock.fileno()] = (sock, attempt)
        return sock


def _ttl(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if (level, kind) in {(IPPROTO_IP, _IP_TTL), (IPPROTO_IPV6, _IPV6_HOPLIMIT)}:
            return int(unpack("=i", data[:4])[0])
    return None

"""How hops are asked: packets with a small TTL, and the ICMP errors that come back for them.

The kernel keeps the errors in the queue of the socket that sent the packet (IP_RECVERR), and says
who sent them, so connections and UDP need no privilege. A connection is one SYN here: its socket is
closed before the kernel would repeat it.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from sockwright.scan.sending.segments import folded
from sockwright.scan.tracing.machine import Probe
from sockwright.sockets.error_queue import read_error, watch_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.scan.targets.target import Target

__all__ = ["ConnectProber", "EchoProber", "Prober", "UDPProber"]

_HOLD = 0.95  # seconds
_ABORT: Final = struct.pack("=ii", 1, 0)
_FIRST_UDP_PORT = 33434  # where traceroute(8) begins: ports that hardly anybody listens on
_ECHO = struct.Struct("!BBHHH8s")
_TIME_EXCEEDED: Final[dict[int, int]] = {socket.AF_INET: 11, socket.AF_INET6: 3}


class Prober(Protocol):
    """Sends probes to one target and hears who answers."""

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there are answers."""

    def send(self, probe: Probe) -> None:
        """Send a probe. Raises: `OSError`."""

    def receive(self) -> Iterator[tuple[Probe, str, bool]]:
        """Yield the probe, who answered it, and whether that was the target."""

    def close(self) -> None:
        """Close everything."""


def _set_ttl(sock: socket.socket, ttl: int) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)


def _bind(sock: socket.socket, interface: str) -> None:
    """Let packets leave by this interface only, where one is named."""
    if interface:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())


def _address(target: Target, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    if target.family == socket.AF_INET:
        return (target.address, port)
    scope = socket.if_nametoindex(target.zone) if target.zone else 0
    return (target.address, port, 0, scope)


class _SocketEach:
    """What the probers have in common that open a socket for each probe."""

    def __init__(self, target: Target, interface: str = "") -> None:
        self._target = target
        self._interface = interface
        self._poll = select.epoll()
        self._probes: dict[int, tuple[socket.socket, Probe, float]] = {}

    def fileno(self) -> int:
        return self._poll.fileno()

    def _watch(self, sock: socket.socket, probe: Probe) -> None:
        self._poll.register(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        self._probes[sock.fileno()] = (sock, probe, monotonic())

    def _end(self, number: int) -> None:
        sock, _, _ = self._probes.pop(number)
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        sock.close()

    def receive(self) -> Iterator[tuple[Probe, str, bool]]:
        for number, _ in self._poll.poll(0):
            if number not in self._probes:
                continue
            sock, probe, _ = self._probes[number]
            error = read_error(sock)
            if error is not None and error.icmp:
                reached = error.sender == self._target.address
                exceeded = error.kind == _TIME_EXCEEDED[self._target.family]
                self._end(number)
                if exceeded or reached:
                    yield probe, error.sender, reached and not exceeded
            elif self._reached(sock):
                self._end(number)
                yield probe, self._target.address, True
        before = monotonic() - _HOLD
        for number in [one for one, (_, _, began) in self._probes.items() if began < before]:
            self._end(number)

    def _reached(self, sock: socket.socket) -> bool:
        raise NotImplementedError

    def close(self) -> None:
        for number in list(self._probes):
            self._end(number)
        self._poll.close()


class ConnectProber(_SocketEach):
    """SYN to a TCP port, open or closed, by connect(2)."""

    def __init__(self, target: Target, port: int, interface: str = "") -> None:
        super().__init__(target, interface)
        self._where = _address(target, port)

    def send(self, probe: Probe) -> None:
        """Begin a connection whose SYN goes so many hops."""
        sock = socket.socket(self._target.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            _bind(sock, self._interface)
            _set_ttl(sock, probe.ttl)
            watch_errors(sock)
            number = sock.connect_ex(self._where)
        except OSError:
            sock.close()
            raise
        if number not in {0, errno.EINPROGRESS, errno.ECONNREFUSED, errno.EHOSTUNREACH}:
            sock.close()
            raise OSError(number, os.strerror(number))
        self._watch(sock, probe)

    def _reached(self, sock: socket.socket) -> bool:
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number == errno.ECONNREFUSED:
            return True
        with suppress(OSError):
            sock.getpeername()
            return True
        return False


class UDPProber(_SocketEach):
    """A datagram to a port that nobody listens on: the host answers port unreachable."""

    def send(self, probe: Probe) -> None:
        """Send a datagram that goes so many hops."""
        sock = socket.socket(self._target.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            _bind(sock, self._interface)
            _set_ttl(sock, probe.ttl)
            watch_errors(sock)
            port = _FIRST_UDP_PORT + 3 * probe.ttl + probe.attempt
            sock.connect(_address(self._target, port))
            sock.send(bytes(8))
        except OSError:
            sock.close()
            raise
        self._watch(sock, probe)

    def _reached(self, sock: socket.socket) -> bool:
        with suppress(OSError):
            return bool(sock.recv(1))  # somebody listens there after all
        return False


class EchoProber:
    """Echo requests, by a raw socket or, where that is not allowed, an ICMP datagram socket.

    Raises:
        PermissionError: neither is allowed.
    """

    def __init__(self, target: Target, interface: str = "") -> None:
        self._target = target
        v4 = target.family == socket.AF_INET
        protocol = socket.IPPROTO_ICMP if v4 else socket.IPPROTO_ICMPV6
        self._raw = True
        try:
            self._sock = socket.socket(target.family, socket.SOCK_RAW, protocol)
        except PermissionError:
            self._raw = False
            self._sock = socket.socket(target.family, socket.SOCK_DGRAM, protocol)
        try:
            self._sock.setblocking(False)
            _bind(self._sock, interface)
            watch_errors(self._sock)
            self._sock.connect(_address(target, 0))
        except OSError:
            self._sock.close()
            raise
        self._request, self._reply = (8, 0) if v4 else (128, 129)
        self._header = 20 if v4 and self._raw else 0
        self._id = int.from_bytes(os.urandom(2), "big")
        self._mark = os.urandom(8)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there are answers."""
        return self._sock.fileno()

    def send(self, probe: Probe) -> None:
        """Send an echo request that goes so many hops."""
        _set_ttl(self._sock, probe.ttl)
        number = probe.ttl << 8 | probe.attempt
        octets = _ECHO.pack(self._request, 0, 0, self._id, number, self._mark)
        if self._header:
            checksum = folded(sum(struct.unpack("!8H", octets)))
            octets = octets[:2] + struct.pack("!H", checksum) + octets[4:]
        try:
            self._sock.send(octets)
        except OSError:
            # An error of an earlier probe is told to whoever sends next.
            self._sock.send(octets)

    def receive(self) -> Iterator[tuple[Probe, str, bool]]:
        """Yield the probe, who answered it, and whether that was the target."""
        while (error := read_error(self._sock)) is not None:
            probe = self._probe(error.octets, self._request, quoted=True)
            if error.icmp and probe is not None:
                yield probe, error.sender, False
        while True:
            try:
                octets = self._sock.recv(512)
            except BlockingIOError:
                return
            except OSError:  # told above
                continue
            if self._header and octets:
                octets = octets[(octets[0] & 15) * 4 :]
            probe = self._probe(octets, self._reply, quoted=False)
            if probe is not None:
                yield probe, self._target.address, True

    def _probe(self, octets: bytes, kind: int, *, quoted: bool) -> Probe | None:
        """Return the probe that octets from an ICMP header on belong to."""
        if len(octets) < 8 or octets[0] != kind:
            return None
        _, _, _, identifier, number = struct.unpack_from("!BBHHH", octets)
        # The kernel writes the identifier of a datagram socket, and keeps others' answers away.
        if self._raw and identifier != self._id:
            return None
        if not quoted and octets[8:16] != self._mark:
            return None
        return Probe(number >> 8, number & 0xFF)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

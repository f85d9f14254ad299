"""Datagrams: UDP (RFC 768) and unix(7); any of them may be lost, doubled or overtaken.

    with datagram(remote="udp://127.0.0.1:5353", timeout=1) as sock:
        sock.send(question)
        answer = sock.receive()

UDP sockets ask for the kernel's error queue (IP_RECVERR, ip(7)): an ICMP error that comes back,
say port unreachable, fails the next call with the errno that RFC 1122 section 4.1.3.3 wants passed
up, and the text names the ICMP message and who sent it. Without the queue a socket that is not
connected would never hear of it.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from sockwright.errors import EndpointError
from sockwright.sockets.addresses import (
    Candidate,
    SocketAddress,
    candidates,
    endpoint_of,
    to_endpoint,
)
from sockwright.sockets.base import BaseSocket, BlockingSocket, check_timeout, not_waiting
from sockwright.sockets.explain import PATH_REFUSED, explained
from sockwright.sockets.opening import Attempts, bound, with_delivery

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.sockets.endpoint import Endpoint, Scheme

__all__ = ["Datagram", "DatagramCore", "IcmpReport", "Messages", "datagram"]

MAX_DATAGRAM = 65535
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_ERROR_MESSAGES = {(socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)}
_EXTENDED_ERROR = struct.Struct("=IBBBxII")  # struct sock_extended_err, ip(7)
_ORIGINS = {1: "local", 2: "icmp", 3: "icmpv6"}
# RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1: codes of destination unreachable.
_ICMP_UNREACHABLE = (
    "network unreachable", "host unreachable", "protocol unreachable", "port unreachable",
    "fragmentation needed", "source route failed", "network unknown", "host unknown",
    "source host isolated", "network prohibited", "host prohibited", "network unreachable for TOS",
    "host unreachable for TOS", "communication prohibited", "host precedence violation",
    "precedence cutoff",
)  # fmt: skip
# RFC 4443 section 3.1.
_ICMPV6_UNREACHABLE = (
    "no route", "prohibited", "beyond scope of source", "address unreachable", "port unreachable",
    "source address failed policy", "route rejected",
)  # fmt: skip
_ICMP_TYPES = {4: "source quench", 5: "redirect", 11: "time exceeded", 12: "parameter problem"}
_ICMPV6_TYPES = {2: "packet too big", 3: "time exceeded", 4: "parameter problem"}


@dataclass(frozen=True, slots=True)
class IcmpReport:
    """One entry of a socket's error queue.

    `errno` is what the kernel made of it, `origin` ``icmp``, ``icmpv6`` or ``local`` (this host
    itself, for instance "larger than the MTU"), `type` and `code` those of the ICMP message,
    `mtu` in octets where the message carries one (else 0), `offender` the address that sent the
    message, `target` where the datagram was meant to go, `octets` the payload of the datagram as
    far as it was quoted.
    """

    errno: int
    origin: str
    type: int
    code: int
    mtu: int
    offender: str
    target: Endpoint | None
    octets: bytes

    def __str__(self) -> str:
        if self.origin == "local":
            return f"this host refused it (MTU {self.mtu})" if self.mtu else "this host refused it"
        unreachable, code_names, types, name = (
            (1, _ICMPV6_UNREACHABLE, _ICMPV6_TYPES, "ICMPv6")
            if self.origin == "icmpv6"
            else (3, _ICMP_UNREACHABLE, _ICMP_TYPES, "ICMP")
        )
        if self.type == unreachable and self.code < len(code_names):
            what = f"destination unreachable: {code_names[self.code]}"
        else:
            what = types.get(self.type, "message")
        mtu = f", MTU {self.mtu}" if self.mtu else ""
        return f"{self.offender} sent {name} {what} (type {self.type}, code {self.code}{mtu})"


class DatagramCore(BaseSocket):
    """What datagram sockets of both APIs share: the error queue and the peer's address."""

    schemes: ClassVar[tuple[Scheme, ...]] = ("udp", "unix", "unix-abstract")

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._reports: deque[IcmpReport] = deque(maxlen=64)

    def watch_errors(self) -> None:
        """Ask for the error queue; nothing happens on a socket of another family."""
        # Both on an IPv6 socket: to IPv4 hosts (::ffff:a.b.c.d) UDP speaks IPv4, raw does not.
        if self.socket.family in {socket.AF_INET, socket.AF_INET6}:
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        if self.socket.family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)

    def take_errors(self) -> list[IcmpReport]:
        """Take the reports of what came back, the oldest first; does not wait.

        That a call has failed because of a report does not remove it; at most the last 64 are kept.
        """
        self._drain()
        reports = list(self._reports)
        self._reports.clear()
        return reports

    def _drain(self) -> list[IcmpReport]:
        """Empty the kernel's error queue into `_reports`, and give what was in it."""
        # Always the whole queue: while anything is in it poll(2) reports the socket as ready.
        reports: list[IcmpReport] = []
        if self.socket.family not in {socket.AF_INET, socket.AF_INET6}:
            return reports
        with not_waiting(self.socket), contextlib.suppress(OSError):
            while True:
                octets, ancillary, _, target = self.socket.recvmsg(
                    MAX_DATAGRAM, 512, socket.MSG_ERRQUEUE
                )
                reports += [
                    self._report(octets, data, target)
                    for level, kind, data in ancillary
                    if (level, kind) in _ERROR_MESSAGES
                ]
        self._reports.extend(reports)
        return reports

    def _report(self, octets: bytes, data: bytes, target: SocketAddress | None) -> IcmpReport:
        number, origin, kind, code, info, _ = _EXTENDED_ERROR.unpack_from(data)
        offender = data[_EXTENDED_ERROR.size :]  # a sockaddr; its family is in host order
        family = struct.unpack_from("=H", offender)[0] if len(offender) >= 16 else 0
        address = ""
        if family == socket.AF_INET:
            address = socket.inet_ntop(socket.AF_INET, offender[4:8])
        elif family == socket.AF_INET6 and len(offender) >= 24:
            address = socket.inet_ntop(socket.AF_INET6, offender[8:24])
        where = endpoint_of(self.socket, target) if target else None
        return IcmpReport(
            number, _ORIGINS.get(origin, str(origin)), kind, code, info, address, where, octets
        )

    def _error(self, doing: str, error: OSError) -> OSError:
        """Explain `error`, with the ICMP message that caused it if there was one."""
        for report in self._drain() if error.errno is not None else ():
            if report.errno == error.errno and report.origin != "local":
                told = f" for the datagram to {report.target}" if report.target else ""
                return explained(error, f"{doing} on {self.local_address}", hint=f"{report}{told}")
        if error.errno == errno.EACCES and self.socket.family == socket.AF_UNIX:
            return explained(error, doing, hint=PATH_REFUSED)
        if isinstance(error, PermissionError) and "255" in doing and not self.broadcast:
            hint = "it looks like a broadcast address: set .broadcast = True first"
            return explained(error, doing, hint=hint)
        return super()._error(doing, error)

    def _address(self, endpoint: Endpoint) -> SocketAddress:
        """Give the socket address for `endpoint` in this socket's family."""
        for way in candidates(endpoint, delivery="datagram"):
            if way.family == self.socket.family:
                return way.address
            if self.socket.family == socket.AF_INET6 and way.family == socket.AF_INET:
                # RFC 4291 section 2.5.5.2: how an IPv6 socket names an IPv4 host.
                return (f"::ffff:{way.address[0]}", way.address[1], 0, 0)
        raise EndpointError(f"{endpoint} cannot be reached from {self.local_address}")

    def _target(self, to: Endpoint | str) -> SocketAddress:
        """Give the socket address of a receiver."""
        return self._address(to_endpoint(to, *self.schemes))


class Messages(DatagramCore, BlockingSocket):
    """Sending and receiving whole messages that wait; `Datagram` or `RawSocket`."""

    def send(self, octets: bytes | bytearray | memoryview) -> None:
        """Send one message to the peer that the socket is connected to.

        Raises:
            OSError: EDESTADDRREQ or ENOTCONN, it has none; EMSGSIZE, it is too large;
                ECONNREFUSED and others, what an earlier message came back with.
        """
        try:
            self.socket.send(octets)
        except OSError as error:
            raise self._error("send", error) from error

    def send_to(self, octets: bytes | bytearray | memoryview, to: Endpoint | str) -> None:
        """Send one message to `to`.

        Raises:
            EndpointError: `to` is of another family or scheme.
            OSError: as `send`; EACCES, it is a broadcast address and `broadcast` is off.
        """
        address = self._target(to)
        try:
            self.socket.sendto(octets, address)
        except OSError as error:
            raise self._error(f"send to {to}", error) from error

    def receive(self, limit: int = MAX_DATAGRAM) -> bytes:
        """Receive one message, cut off after `limit` octets; it may be empty.

        Raises:
            TimeoutError: nothing came within `timeout` seconds.
            OSError: ECONNREFUSED and others, what an earlier message came back with.
        """
        try:
            return self.socket.recv(limit)
        except OSError as error:
            raise self._error("receive", error) from error

    def receive_from(self, limit: int = MAX_DATAGRAM) -> tuple[bytes, Endpoint]:
        """Receive one message and the endpoint that sent it (``unix:`` when it has no name).

        Raises:
            TimeoutError, OSError: as `receive`.
        """
        try:
            octets, sender = self.socket.recvfrom(limit)
        except OSError as error:
            raise self._error("receive", error) from error
        return octets, endpoint_of(self.socket, sender or "")


class Datagram(Messages):
    """A datagram socket, bound or connected or both; made by `datagram` or from a socket."""


D = TypeVar("D", bound=DatagramCore)


def datagram_ends(
    local: Endpoint | str | None, remote: Endpoint | str | None
) -> tuple[Endpoint | None, Endpoint | None]:
    """Check the two ends of `datagram`."""
    if local is None and remote is None:
        raise EndpointError("datagram() needs a local or a remote endpoint: udp://:0 is any port")
    here, there = (
        None
        if end is None
        else with_delivery(to_endpoint(end, "udp", "unix", "unix-abstract"), "datagram")
        for end in (local, remote)
    )
    return here, there


def open_datagram(
    wrap: Callable[[socket.socket], D],
    here: Endpoint | None,
    there: Endpoint | None,
    here_ways: list[Candidate],
    there_ways: list[Candidate],
) -> D:
    """Open, bind and connect; connecting a datagram socket sends nothing and does not wait."""
    if there is None:
        assert here is not None  # datagram_ends() saw to it
        opened = bound(wrap, here, here_ways)
        opened.watch_errors()
        return opened
    attempts = Attempts[D](wrap, there, here, here_ways, None)
    for way in there_ways:
        with attempts:
            opened = attempts.open(way)
            opened.watch_errors()
            opened.socket.connect(way.address)
            return opened
    raise attempts.failure


def datagram(
    local: Endpoint | str | None = None,
    *,
    remote: Endpoint | str | None = None,
    timeout: float | None = None,
) -> Datagram:
    """Open a ``udp:`` or UNIX datagram socket bound to `local`, connected to `remote`, or both.

    Connected, it receives from `remote` only. ``udp://:5353`` is loopback only, ``udp://*:5353``
    every address, port 0 lets the kernel choose. A UNIX socket needs `local` to get answers.
    `timeout` (seconds) is that of each call on the result.

    Raises:
        EndpointError: neither is given, or they do not fit each other.
        PermissionError: the port is below 1024 (net.ipv4.ip_unprivileged_port_start).
        OSError: EADDRINUSE and what else the kernel said.
    """
    check_timeout(timeout)
    here, there = datagram_ends(local, remote)
    here_ways = [] if here is None else candidates(here, passive=True, delivery="datagram")
    there_ways = [] if there is None else candidates(there, delivery="datagram")
    opened = open_datagram(Datagram, here, there, here_ways, there_ways)
    opened.timeout = timeout
    return opened

r"""Connections: TCP (RFC 9293) and unix(7), as a stream of octets or as whole messages.

The class is the delivery guarantee:

    Stream      octets in order, none lost, boundaries not kept     tcp://, unix:
    Seqpacket   messages in order, none lost, boundaries kept       unix: with ?type=seqpacket
    Datagram    messages, any of them may be lost or overtaken      udp://, see `datagram_socket`

    with connect("tcp://127.0.0.1:8080", timeout=5) as stream:
        stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
        stream.send_eof()
        status = stream.recv_until(b"\r\n", limit=1000)
"""

from __future__ import annotations

import socket
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload

from sockwright.sockets.addresses import candidates, to_endpoint
from sockwright.sockets.base import BaseSocket, BlockingSocket, check_timeout
from sockwright.sockets.opening import STREAM_SCHEMES, Attempts, listening, with_delivery
from sockwright.sockets.options import Flag, Number
from sockwright.sockets.received import ReceivedOctets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.sockets.endpoint import Delivery, Endpoint

__all__ = ["Connection", "ConnectionCore", "Listener", "Seqpacket", "Stream", "connect", "listen"]

DEFAULT_LIMIT = 65536
BACKLOG = 128


class ConnectionCore(BaseSocket):
    """What every connected socket has; `delivery` is the type of UNIX socket it stands for."""

    delivery: ClassVar[Delivery] = "stream"

    # The options of tcp.
    nodelay = Flag(
        socket.IPPROTO_TCP, socket.TCP_NODELAY, "TCP_NODELAY: do not wait to fill a segment."
    )
    maximum_segment = Number(socket.IPPROTO_TCP, socket.TCP_MAXSEG, "TCP_MAXSEG in octets.")
    user_timeout = Number(
        socket.IPPROTO_TCP,
        socket.TCP_USER_TIMEOUT,
        "TCP_USER_TIMEOUT: milliseconds that sent data may stay unacknowledged.",
    )
    keepalive_idle = Number(
        socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, "TCP_KEEPIDLE: idle seconds before a probe."
    )

    def send_eof(self) -> None:
        """Half-close: say that nothing more will be sent (TCP: FIN); receiving goes on.

        Raises:
            OSError: ENOTCONN, the connection is gone already.
        """
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._error("half-close", error) from error


class Connection(ConnectionCore, BlockingSocket):
    """A connection whose calls wait; `Stream` or `Seqpacket`."""


class Stream(Connection):
    """A connected stream of octets; made by `connect`, by `Listener.accept` or from a socket.

    `recv_exactly` and `recv_until` may read further than they return. What is over comes first in
    the next receive call of this object; `pending` counts it. Reads on `.socket` miss it.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._received = ReceivedOctets()

    @property
    def pending(self) -> int:
        """How many octets are read from the kernel and not yet returned."""
        return len(self._received)

    def send(self, octets: bytes | bytearray | memoryview) -> int:
        """Send what the kernel takes at once, at least one octet; give how many they were.

        Raises:
            TimeoutError: the send buffer stayed full for `timeout` seconds.
            OSError: EPIPE or ECONNRESET, the peer is gone.
        """
        try:
            return self.socket.send(octets)
        except OSError as error:
            raise self._error("send", error) from error

    def send_all(self, octets: bytes | bytearray | memoryview) -> None:
        """Send every octet.

        Raises:
            TimeoutError: it took longer than `timeout`; how much was sent is not known.
            OSError: EPIPE or ECONNRESET, the peer is gone.
        """
        try:
            self.socket.sendall(octets)
        except OSError as error:
            raise self._error("send", error) from error

    def receive(self, limit: int = DEFAULT_LIMIT) -> bytes:
        """Receive at least one and at most `limit` octets; none at all is the end of the stream.

        Raises:
            TimeoutError: nothing came within `timeout` seconds.
            OSError: ECONNRESET, the peer reset the connection.
        """
        if self._received:
            return self._received.take(limit)
        try:
            return self.socket.recv(limit)
        except OSError as error:
            raise self._error("receive", error) from error

    def recv_exactly(self, count: int) -> bytes:
        """Receive exactly `count` octets.

        Raises:
            EndOfStreamError: the stream ended before; nothing is taken, `partial` shows it.
            TimeoutError, OSError: as `receive`, with `timeout` for the whole call.
        """
        return self._fill_until(lambda: self._received.exactly(count))

    def recv_until(self, delimiter: bytes, *, limit: int = DEFAULT_LIMIT) -> bytes:
        """Receive up to and with `delimiter`, `limit` octets at most.

        Raises:
            LimitError: there is no delimiter within `limit` octets.
            EndOfStreamError: the stream ended before the delimiter.
            TimeoutError, OSError: as `receive`, with `timeout` for the whole call.
        """
        return self._fill_until(lambda: self._received.until(delimiter, limit))

    def receive_all(self, *, limit: int) -> bytes:
        """Receive until the peer ends the stream, `limit` octets at most.

        Raises:
            LimitError: the peer sent more.
            TimeoutError, OSError: as `receive`, with `timeout` for the whole call.
        """
        return self._fill_until(lambda: self._received.everything(limit))

    def _fill_until(self, take: Callable[[], bytes | None]) -> bytes:
        """Receive until `take` finds what it looks for."""
        sock, timeout = self.socket, self.socket.gettimeout()
        deadline = None if not timeout else monotonic() + timeout
        try:
            while (taken := take()) is None:
                if deadline is not None:
                    # Not 0, which would mean "do not wait" instead of "too late".
                    sock.settimeout(max(deadline - monotonic(), 1e-6))
                self._received.feed(sock.recv(DEFAULT_LIMIT))
        except OSError as error:
            raise self._error("receive", error) from error
        finally:
            if deadline is not None:
                sock.settimeout(timeout)
        return taken

    def __iter__(self) -> Iterator[bytes]:
        """Give the octets as they arrive, until the peer ends the stream."""
        while octets := self.receive():
            yield octets


def checked_message(octets: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
    """Give `octets` back if they can be a message of a `Seqpacket`."""
    if not len(octets):
        raise ValueError("an empty message cannot be told from the end of the connection")
    return octets


class Seqpacket(Connection):
    """A connection that keeps message boundaries, unix(7) SOCK_SEQPACKET."""

    delivery = "seqpacket"

    def send(self, octets: bytes | bytearray | memoryview) -> None:
        """Send one message, whole or not at all; an empty one would read as the end.

        Raises:
            ValueError: the message is empty.
            TimeoutError: the peer's queue stayed full for `timeout` seconds.
            OSError: EMSGSIZE, it is larger than `send_buffer`; EPIPE, the peer is gone.
        """
        message = checked_message(octets)
        try:
            self.socket.send(message)
        except OSError as error:
            raise self._error("send", error) from error

    def receive(self, limit: int = DEFAULT_LIMIT) -> bytes:
        """Receive one message, cut off after `limit` octets; no octets are the end.

        Raises:
            TimeoutError: nothing came within `timeout` seconds.
            OSError: ECONNRESET, the peer closed with messages unread.
        """
        try:
            return self.socket.recv(limit)
        except OSError as error:
            raise self._error("receive", error) from error

    def __iter__(self) -> Iterator[bytes]:
        """Give the messages until the peer ends the connection."""
        while octets := self.receive():
            yield octets


C = TypeVar("C", bound=Connection)


class Listener(BlockingSocket, Generic[C]):
    """A listening socket; `kind` is the class of the connections that it accepts."""

    def __init__(self, sock: socket.socket, kind: type[C]) -> None:
        super().__init__(sock)
        self.kind = kind

    def accept(self) -> C:
        """Wait for the next connection; it starts without a time limit.

        Raises:
            TimeoutError: nobody came within `timeout` seconds.
            OSError: EMFILE, this process has too many open descriptors: close some, go on.
        """
        try:
            accepted, _ = self.socket.accept()
        except OSError as error:
            raise self._error("accept", error) from error
        return self.kind(accepted)

    def __iter__(self) -> Iterator[C]:
        """Give one connection after another, for ever."""
        while True:
            yield self.accept()


@overload
def connect(
    endpoint: Endpoint | str,
    *,
    timeout: float | None = ...,
    local: Endpoint | str | None = ...,
    prepare: Callable[[socket.socket], object] | None = ...,
) -> Stream: ...
@overload
def connect(
    endpoint: Endpoint | str,
    kind: type[C],
    *,
    timeout: float | None = ...,
    local: Endpoint | str | None = ...,
    prepare: Callable[[socket.socket], object] | None = ...,
) -> C: ...
def connect(
    endpoint: Endpoint | str,
    kind: type[Connection] = Stream,
    *,
    timeout: float | None = None,
    local: Endpoint | str | None = None,
    prepare: Callable[[socket.socket], object] | None = None,
) -> Connection:
    """Connect to a ``tcp:``, ``unix:``, ``unix-abstract:`` or ``vsock:`` endpoint.

    A name with several addresses is tried address by address; `timeout` (seconds) covers them all
    (not the resolver), and stays the time limit of each call on the result. `local` is the
    endpoint to connect from. `kind` is `Stream`, or `Seqpacket` for UNIX sockets of that type.
    `prepare` is called with each socket before it is connected, when some options have to be set
    (SO_RCVBUF decides on the window scale, RFC 7323).

    Raises:
        EndpointError: the endpoint cannot be connected to in this way.
        TimeoutError: there was no answer within `timeout` seconds.
        ConnectionRefusedError: nobody listens there.
        OSError: what else the kernel said, the last of the addresses' errors.
    """
    check_timeout(timeout)
    remote = with_delivery(to_endpoint(endpoint, *STREAM_SCHEMES), kind.delivery)
    here = (
        None if local is None else with_delivery(to_endpoint(local, remote.scheme), kind.delivery)
    )
    here_ways = [] if here is None else candidates(here, passive=True)
    deadline = None if timeout is None else monotonic() + timeout
    attempts = Attempts[Connection](kind, remote, here, here_ways, timeout, prepare=prepare)
    for way in candidates(remote):
        with attempts:
            connection = attempts.open(way)
            if deadline is not None:
                connection.timeout = max(deadline - monotonic(), 1e-6)
            connection.socket.connect(way.address)
            connection.timeout = timeout
            return connection
    raise attempts.failure


@overload
def listen(
    endpoint: Endpoint | str, *, backlog: int = ..., timeout: float | None = ...
) -> Listener[Stream]: ...
@overload
def listen(
    endpoint: Endpoint | str, kind: type[C], *, backlog: int = ..., timeout: float | None = ...
) -> Listener[C]: ...
def listen(
    endpoint: Endpoint | str,
    kind: type[Connection] = Stream,
    *,
    backlog: int = BACKLOG,
    timeout: float | None = None,
) -> Listener[Any]:
    """Listen on a ``tcp:``, ``unix:``, ``unix-abstract:`` or ``vsock:`` endpoint.

    ``tcp://:8080`` is loopback only, ``tcp://*:8080`` every address of the machine, IPv6 and IPv4;
    port 0 lets the kernel choose, and `local_address` tells the choice. `backlog` connections wait
    at most for accept(). `timeout` (seconds) is that of accept().

    Raises:
        EndpointError: the endpoint cannot be listened on.
        PermissionError: the port is below 1024 (net.ipv4.ip_unprivileged_port_start).
        OSError: EADDRINUSE, EADDRNOTAVAIL and what else the kernel said.
    """
    check_timeout(timeout)
    local = with_delivery(to_endpoint(endpoint, *STREAM_SCHEMES), kind.delivery)
    ways = candidates(local, passive=True)
    listener = listening(lambda sock: Listener(sock, kind), local, ways, backlog)
    listener.timeout = timeout
    return listener

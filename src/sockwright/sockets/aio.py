r"""The same sockets for asyncio: `await connect(...)`, and each call that may wait is awaited.

    async with await aio.connect("tcp://127.0.0.1:8080", timeout=5) as stream:
        await stream.send_all(b"hello\n")
        answer = await stream.recv_until(b"\n")

Endpoints, options, errors, decoding and the receive buffer are those of the blocking classes; only
the waiting is written here, once, in `AsyncSocket`.

Rules:

- every call first tries, and waits for the event loop only when the kernel has nothing;
- a cancelled call has taken nothing: what arrives later is there for the next call (only
  `send_all` may have sent a part);
- one task reads and one writes at a time: a second one gets `RuntimeError`, since asyncio would
  silently forget the first;
- close() wakes whoever waits, with EBADF.
"""

# ruff: noqa: ASYNC109 - a time limit stays with the socket that is made, it is not of this call only

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from sockwright.sockets.addresses import (
    Candidate,
    candidates,
    endpoint_of,
    needs_lookup,
    to_endpoint,
)
from sockwright.sockets.base import BaseSocket, check_timeout
from sockwright.sockets.datagram_socket import (
    MAX_DATAGRAM,
    DatagramCore,
    datagram_ends,
    open_datagram,
)
from sockwright.sockets.explain import explained
from sockwright.sockets.opening import STREAM_SCHEMES, Attempts, listening, with_delivery
from sockwright.sockets.packet_socket import MAX_FRAME, Frame, PacketCore, open_packet
from sockwright.sockets.raw_socket import RawCore, open_raw
from sockwright.sockets.received import ReceivedOctets
from sockwright.sockets.stream_socket import BACKLOG, DEFAULT_LIMIT, ConnectionCore, checked_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from types import TracebackType
    from typing import Self

    from sockwright.sockets.endpoint import Delivery, Endpoint
    from sockwright.sockets.filter import Instruction

__all__ = [
    "Connection",
    "Datagram",
    "Listener",
    "PacketSocket",
    "RawSocket",
    "Seqpacket",
    "Stream",
    "connect",
    "datagram",
    "listen",
    "packet",
    "raw",
]

T = TypeVar("T")
Side = Literal["read", "write"]
Octets = bytes | bytearray | memoryview
# How often to ask again where the kernel has no event to wait for, in seconds.
_PAUSE = 0.01
_FILL = 262144


class AsyncSocket(BaseSocket):
    """A socket whose calls are awaited; `timeout` seconds each at most, for ever when None.

    It is made from a `socket.socket`, which becomes non-blocking and whose time limit is kept.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.timeout: float | None = sock.gettimeout() or None
        sock.setblocking(False)
        self._waiting: dict[Side, asyncio.Future[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor, and wake whoever waits for it with EBADF; does not fail."""
        for side, future in list(self._waiting.items()):
            self._stop(future.get_loop(), side)
            if not future.done():
                future.set_exception(OSError(errno.EBADF, os.strerror(errno.EBADF)))
        super().close()

    async def _perform(self, side: Side, doing: str, attempt: Callable[[], T]) -> T:
        """Call `attempt` until it does not raise `BlockingIOError`, waiting in between."""
        try:
            return attempt()
        except BlockingIOError:
            pass
        except OSError as error:
            raise self._error(doing, error) from error
        try:
            async with asyncio.timeout(self.timeout):
                while True:
                    await self._wait(side)
                    try:
                        return attempt()
                    except BlockingIOError:
                        continue
        except OSError as error:
            raise self._error(doing, error) from error

    async def _wait(self, side: Side) -> None:
        """Wait until the kernel says that `side` would not block."""
        if side in self._waiting:
            raise RuntimeError(f"another task waits to {side} on this socket already")
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        add = loop.add_reader if side == "read" else loop.add_writer
        add(self.fileno(), _wake, future)
        self._waiting[side] = future
        try:
            await future
        finally:
            if self._waiting.get(side) is future:
                self._stop(loop, side)

    def _stop(self, loop: asyncio.AbstractEventLoop, side: Side) -> None:
        remove = loop.remove_reader if side == "read" else loop.remove_writer
        del self._waiting[side]
        if not loop.is_closed():
            remove(self.fileno())


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Connection(ConnectionCore, AsyncSocket):
    """A connection whose calls are awaited; `Stream` or `Seqpacket`."""

    async def receive(self, limit: int = DEFAULT_LIMIT) -> bytes:
        """Receive at most `limit` octets; none at all is the end.

        Raises:
            TimeoutError: nothing came within `timeout` seconds.
            OSError: ECONNRESET, the peer reset the connection.
        """
        return await self._perform("read", "receive", lambda: self.socket.recv(limit))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give what arrives until the peer ends the connection."""
        while octets := await self.receive():
            yield octets


class Stream(Connection):
    """A connected stream of octets, as `sockwright.sockets.Stream`, for asyncio."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._received = ReceivedOctets()

    @property
    def pending(self) -> int:
        """How many octets are read from the kernel and not yet returned."""
        return len(self._received)

    async def send(self, octets: Octets) -> int:
        """Send what the kernel takes at once, at least one octet; give how many they were.

        Raises:
            TimeoutError, OSError: as the blocking `Stream.send`.
        """
        return await self._perform("write", "send", lambda: self.socket.send(octets))

    async def send_all(self, octets: Octets) -> None:
        """Send every octet; when it fails or is cancelled, how much was sent is not known.

        Raises:
            TimeoutError, OSError: as the blocking `Stream.send_all`.
        """
        rest = memoryview(octets).cast("B")

        def push() -> None:
            nonlocal rest
            if rest:
                rest = rest[self.socket.send(rest) :]
            if rest:
                raise BlockingIOError  # let other tasks run

        await self._perform("write", "send", push)

    async def receive(self, limit: int = DEFAULT_LIMIT) -> bytes:
        """Receive at least one and at most `limit` octets; none at all is the end of the stream.

        Raises:
            TimeoutError, OSError: as the blocking `Stream.receive`.
        """
        return self._received.take(limit) if self._received else await super().receive(limit)

    async def recv_exactly(self, count: int) -> bytes:
        """Receive exactly `count` octets.

        Raises:
            EndOfStreamError: the stream ended before; nothing is taken, `partial` shows it.
            TimeoutError, OSError: as `receive`, with `timeout` for the whole call.
        """
        return await self._fill_until(lambda: self._received.exactly(count))

    async def recv_until(self, delimiter: bytes, *, limit: int = DEFAULT_LIMIT) -> bytes:
        """Receive up to and with `delimiter`, `limit` octets at most.

        Raises:
            LimitError: there is no delimiter within `limit` octets.
            EndOfStreamError: the stream ended before the delimiter.
            TimeoutError, OSError: as `receive`, with `timeout` for the whole call.
        """
        return await self._fill_until(lambda: self._received.until(delimiter, limit))

    async def receive_all(self, *, limit: int) -> bytes:
        """Receive until the peer ends the stream, `limit` octets at most.

        Raises:
            LimitError: the peer sent more.
            TimeoutError, OSError: as `receive`, with `timeout` for the whole call.
        """
        return await self._fill_until(lambda: self._received.everything(limit))

    async def _fill_until(self, take: Callable[[], bytes | None]) -> bytes:
        def fill() -> bytes:
            if (taken := take()) is None:
                self._received.feed(self.socket.recv(_FILL))
                taken = take()
            if taken is None:
                raise BlockingIOError  # let other tasks run
            return taken

        return await self._perform("read", "receive", fill)


class Seqpacket(Connection):
    """A connection that keeps message boundaries, for asyncio."""

    delivery = "seqpacket"

    async def send(self, octets: Octets) -> None:
        """Send one message, whole or not at all; an empty one would read as the end.

        Raises:
            ValueError, TimeoutError, OSError: as the blocking `Seqpacket.send`.
        """
        message = checked_message(octets)
        await self._perform("write", "send", lambda: self.socket.send(message))


C = TypeVar("C", bound=Connection)


class Listener(AsyncSocket, Generic[C]):
    """A listening socket; `kind` is the class of the connections that it accepts."""

    def __init__(self, sock: socket.socket, kind: type[C]) -> None:
        super().__init__(sock)
        self.kind = kind

    async def accept(self) -> C:
        """Wait for the next connection; it starts without a time limit.

        Raises:
            TimeoutError, OSError: as the blocking `Listener.accept`.
        """
        accepted, _ = await self._perform("read", "accept", self.socket.accept)
        return self.kind(accepted)

    async def __aiter__(self) -> AsyncIterator[C]:
        """Give one connection after another, for ever."""
        while True:
            yield await self.accept()


class Messages(DatagramCore, AsyncSocket):
    """Sending and receiving whole messages; `Datagram` or `RawSocket`."""

    async def send(self, octets: Octets) -> None:
        """Send one message to the peer that the socket is connected to.

        Raises:
            TimeoutError, OSError: as the blocking `Datagram.send`.
        """
        await self._perform("write", "send", lambda: self.socket.send(octets))

    async def send_to(self, octets: Octets, to: Endpoint | str) -> None:
        """Send one message to `to`.

        Raises:
            EndpointError, TimeoutError, OSError: as the blocking `Datagram.send_to`.
        """
        endpoint = to_endpoint(to, *self.schemes)
        if needs_lookup(endpoint):
            address = await asyncio.to_thread(self._address, endpoint)
        else:
            address = self._address(endpoint)
        await self._perform(
            "write", f"send to {endpoint}", lambda: self.socket.sendto(octets, address)
        )

    async def receive(self, limit: int = MAX_DATAGRAM) -> bytes:
        """Receive one message, cut off after `limit` octets; it may be empty.

        Raises:
            TimeoutError, OSError: as the blocking `Datagram.receive`.
        """
        return await self._perform("read", "receive", lambda: self.socket.recv(limit))

    async def receive_from(self, limit: int = MAX_DATAGRAM) -> tuple[bytes, Endpoint]:
        """Receive one message and the endpoint that sent it.

        Raises:
            TimeoutError, OSError: as the blocking `Datagram.receive`.
        """
        octets, sender = await self._perform("read", "receive", lambda: self.socket.recvfrom(limit))
        return octets, endpoint_of(self.socket, sender or "")


class Datagram(Messages):
    """A datagram socket, as `sockwright.sockets.Datagram`, for asyncio."""


class RawSocket(RawCore, Messages):
    """A raw IP socket, as `sockwright.sockets.RawSocket`, for asyncio."""


class PacketSocket(PacketCore, AsyncSocket):
    """A packet socket, as `sockwright.sockets.PacketSocket`, for asyncio."""

    async def send(self, octets: Octets) -> None:
        """Send one whole frame, link header included, out of the interface.

        Raises:
            TimeoutError, OSError: as the blocking `PacketSocket.send`.
        """
        await self._perform("write", "send", lambda: self.socket.send(octets))

    async def receive(self, limit: int = MAX_FRAME) -> Frame:
        """Receive one frame, cut off after `limit` octets.

        Raises:
            TimeoutError, OSError: as the blocking `PacketSocket.receive`.
        """
        return await self._perform("read", "receive", lambda: self._take(limit))

    async def __aiter__(self) -> AsyncIterator[Frame]:
        """Give the frames as they arrive, for ever."""
        while True:
            yield await self.receive()


async def _candidates(
    endpoint: Endpoint | None, *, passive: bool = False, delivery: Delivery = "stream"
) -> list[Candidate]:
    if endpoint is None:
        return []
    if not needs_lookup(endpoint):
        return candidates(endpoint, passive=passive, delivery=delivery)
    return await asyncio.to_thread(candidates, endpoint, passive=passive, delivery=delivery)


@overload
async def connect(
    endpoint: Endpoint | str,
    *,
    timeout: float | None = ...,
    local: Endpoint | str | None = ...,
    prepare: Callable[[socket.socket], object] | None = ...,
) -> Stream: ...
@overload
async def connect(
    endpoint: Endpoint | str,
    kind: type[C],
    *,
    timeout: float | None = ...,
    local: Endpoint | str | None = ...,
    prepare: Callable[[socket.socket], object] | None = ...,
) -> C: ...
async def connect(
    endpoint: Endpoint | str,
    kind: type[Connection] = Stream,
    *,
    timeout: float | None = None,
    local: Endpoint | str | None = None,
    prepare: Callable[[socket.socket], object] | None = None,
) -> Connection:
    """Connect as `sockwright.sockets.connect` does; here `timeout` covers the resolver too.

    Raises:
        EndpointError, TimeoutError, ConnectionRefusedError, OSError: as there.
    """
    check_timeout(timeout)
    remote = with_delivery(to_endpoint(endpoint, *STREAM_SCHEMES), kind.delivery)
    here = (
        None if local is None else with_delivery(to_endpoint(local, remote.scheme), kind.delivery)
    )
    try:
        async with asyncio.timeout(timeout):
            here_ways = await _candidates(here, passive=True)
            attempts = Attempts[Connection](kind, remote, here, here_ways, timeout, prepare=prepare)
            for way in await _candidates(remote):
                with attempts:
                    connection = attempts.open(way)
                    await _connect(connection, way)
                    connection.timeout = timeout
                    return connection
            raise attempts.failure
    except TimeoutError as error:
        if error.errno is not None:  # the kernel's own, explained already
            raise
        hint = f"no answer within {timeout:g} seconds"
        raise explained(error, f"connect to {remote}", hint=hint) from error


async def _connect(connection: Connection, way: Candidate) -> None:
    sock = connection.socket
    while (number := sock.connect_ex(way.address)) == errno.EAGAIN:  # noqa: ASYNC110
        # unix(7): the backlog is full, and no event tells when it is not.
        await asyncio.sleep(_PAUSE)
    if number in {errno.EINPROGRESS, errno.EINTR}:
        await connection._wait("write")  # noqa: SLF001 - the same module
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


@overload
async def listen(
    endpoint: Endpoint | str, *, backlog: int = ..., timeout: float | None = ...
) -> Listener[Stream]: ...
@overload
async def listen(
    endpoint: Endpoint | str, kind: type[C], *, backlog: int = ..., timeout: float | None = ...
) -> Listener[C]: ...
async def listen(
    endpoint: Endpoint | str,
    kind: type[Connection] = Stream,
    *,
    backlog: int = BACKLOG,
    timeout: float | None = None,
) -> Listener[Any]:
    """Listen as `sockwright.sockets.listen` does.

    Raises:
        EndpointError, PermissionError, OSError: as there.
    """
    check_timeout(timeout)
    local = with_delivery(to_endpoint(endpoint, *STREAM_SCHEMES), kind.delivery)
    ways = await _candidates(local, passive=True)
    listener = listening(lambda sock: Listener(sock, kind), local, ways, backlog)
    listener.timeout = timeout
    return listener


async def datagram(
    local: Endpoint | str | None = None,
    *,
    remote: Endpoint | str | None = None,
    timeout: float | None = None,
) -> Datagram:
    """Open a datagram socket as `sockwright.sockets.datagram` does.

    Raises:
        EndpointError, PermissionError, OSError: as there.
    """
    check_timeout(timeout)
    here, there = datagram_ends(local, remote)
    here_ways = await _candidates(here, passive=True, delivery="datagram")
    there_ways = await _candidates(there, delivery="datagram")
    opened = open_datagram(Datagram, here, there, here_ways, there_ways)
    opened.timeout = timeout
    return opened


async def raw(
    endpoint: Endpoint | str,
    *,
    bind: bool = False,
    header_included: bool | None = None,
    version: Literal[4, 6] | None = None,
    timeout: float | None = None,
) -> RawSocket:
    """Open a raw socket as `sockwright.sockets.raw` does.

    Raises:
        EndpointError, PermissionError, OSError: as there.
    """
    check_timeout(timeout)
    checked = to_endpoint(endpoint, "raw")
    ways = await _candidates(checked, passive=bind)
    opened = open_raw(
        RawSocket, checked, ways, bind=bind, header_included=header_included, version=version
    )
    opened.timeout = timeout
    return opened


async def packet(
    interface: Endpoint | str = "",
    *,
    program: Sequence[Instruction] | None = None,
    promiscuous: bool = False,
    outgoing: bool = True,
    timeout: float | None = None,
) -> PacketSocket:
    """Open a packet socket as `sockwright.sockets.packet` does.

    Raises:
        EndpointError, PermissionError, OSError: as there.
    """
    check_timeout(timeout)
    opened = open_packet(
        PacketSocket, interface, program=program, promiscuous=promiscuous, outgoing=outgoing
    )
    opened.timeout = timeout
    return opened

r"""Conversations for asyncio: the same names, and what may wait is awaited.

    async with await aio.connect("tcp://127.0.0.1:2525", timeout=5) as server:
        await server.recv_line()
        await server.send_line(b"HELO me")
        answer = await server.recv_line()

Rules:

- a call that is cancelled (`asyncio.timeout`, `Task.cancel`) has taken nothing: what has arrived,
  and what arrives later, is there for the next call. Only what was being sent may have been sent in
  part;
- one task sends and one receives at a time; another gets `RuntimeError`;
- leaving ``async with``, or `aclose`, ends a program politely; `close` ends it at once, and wakes
  whoever waits with EBADF.
"""

# ruff: noqa: ASYNC109 - `timeout` is the word of the blocking conversation too, see its docstring

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from sockwright.nc.ends import FileEnd, SocketEnd, StandardEnd
from sockwright.nc.talking.aio_threads import check_ports, receive_file, send_file
from sockwright.nc.talking.aio_waiter import BOTH, RECEIVE, SEND, Busy, Waiter
from sockwright.nc.talking.carrier import ProcessCarrier, Steps
from sockwright.nc.talking.connecting import (
    Place,
    TLSWish,
    answerable,
    keeps_datagrams,
    open_door,
    plain_carrier,
    process_carrier,
    server_tls,
    socket_carrier,
    to_end,
    to_program,
    to_route,
)
from sockwright.nc.talking.conversing import (
    CLEAN_LIMIT,
    LINE_LIMIT,
    TOTAL_LIMIT,
    ConversationCore,
    ListenerCore,
    Octets,
    Take,
    TapMaker,
    Timeout,
    without_end,
)
from sockwright.nc.talking.relaying import Relayed, relaying
from sockwright.nc.terminal.cleaning import Cleaner
from sockwright.sockets.addresses import needs_lookup
from sockwright.sockets.base import check_timeout
from sockwright.sockets.stream_socket import BACKLOG

if TYPE_CHECKING:
    import re
    import socket
    import ssl
    from collections.abc import (
        AsyncIterator,
        Callable,
        Iterable,
        Mapping,
        Sequence,
    )
    from types import TracebackType
    from typing import Self

    from sockwright.nc.access import Access
    from sockwright.nc.programs.process import Process
    from sockwright.nc.proxy import Proxy
    from sockwright.nc.talking.carrier import Carrier
    from sockwright.nc.talking.connecting import Door
    from sockwright.nc.tls.options import TLSOptions
    from sockwright.sockets.base import BaseSocket
    from sockwright.sockets.endpoint import Endpoint

__all__ = [
    "Conversation",
    "Listener",
    "ProcessConversation",
    "check_ports",
    "connect",
    "listen",
    "receive_file",
    "relay",
    "send_file",
    "spawn",
]

T = TypeVar("T")


class Conversation(ConversationCore):
    """A conversation whose calls are awaited; made by `connect`, `spawn` and `Listener.accept`.

    Arguments, results and errors are those of `sockwright.nc.Conversation`.
    """

    def __init__(
        self,
        carrier: Carrier,
        *,
        timeout: float | None = None,
        newline: bytes = b"\n",
        taps: Iterable[TapMaker] = (),
        accepted: bool = False,
    ) -> None:
        super().__init__(carrier, timeout=timeout, newline=newline, taps=taps, accepted=accepted)
        self.waiter: Waiter = Waiter()

    async def send(self, octets: Octets, *, timeout: Timeout = ...) -> None:
        """Send every octet; where boundaries are kept, as one message.

        Raises:
            TimeoutError, OSError: as the blocking `Conversation.send`.
        """
        await self._do(self._sending(octets), timeout, SEND)

    send_all = send
    """What `sockwright.sockets.aio.Stream` calls it."""

    async def send_line(self, line: Octets = b"", *, timeout: Timeout = ...) -> None:
        """Send `line` and `newline` behind it.

        Raises:
            TimeoutError, OSError: as `send`.
        """
        await self._do(self._sending_line(line), timeout, SEND)

    async def send_after(
        self,
        delimiter: bytes | Iterable[bytes],
        octets: Octets,
        *,
        limit: int = LINE_LIMIT,
        timeout: Timeout = ...,
    ) -> bytes:
        """Receive until `delimiter`, say a prompt, and send `octets`; give what was received.

        Raises:
            EndOfStreamError, LimitError, TimeoutError, OSError: as `recv_until` and `send`.
        """
        sending = self._sending(octets)
        steps = self._answering(delimiter, limit, sending)
        return await self._do(steps, timeout, BOTH)

    async def send_line_after(
        self,
        delimiter: bytes | Iterable[bytes],
        line: Octets = b"",
        *,
        limit: int = LINE_LIMIT,
        timeout: Timeout = ...,
    ) -> bytes:
        """Receive until `delimiter` and send a line; give what was received.

        Raises:
            EndOfStreamError, LimitError, TimeoutError, OSError: as `recv_until` and `send`.
        """
        sending = self._sending_line(line)
        steps = self._answering(delimiter, limit, sending)
        return await self._do(steps, timeout, BOTH)

    async def send_eof(self, *, timeout: Timeout = ...) -> None:
        """Say that nothing more will be sent; receiving goes on.

        Raises:
            TimeoutError, OSError: as the blocking `Conversation.send_eof`.
        """
        await self._do(self._sending_eof(), timeout, SEND)

    async def receive(self, limit: int = LINE_LIMIT, *, timeout: Timeout = ...) -> bytes:
        """Receive at least one and at most `limit` octets, or one message; none are the end.

        Raises:
            TimeoutError, OSError: as the blocking `Conversation.receive`.
        """
        return await self._do(self._receiving(limit), timeout, RECEIVE)

    async def recv_line(
        self, *, keep_end: bool = False, limit: int = LINE_LIMIT, timeout: Timeout = ...
    ) -> bytes:
        """Receive a line, and give it without its end (LF, or CR LF) unless `keep_end`.

        Raises:
            EndOfStreamError, LimitError, TimeoutError, OSError: as the blocking one.
        """
        return await self._get(self._take_line(limit, keep_end=keep_end), timeout)

    async def recv_lines(
        self, count: int, *, keep_end: bool = False, limit: int = LINE_LIMIT, timeout: Timeout = ...
    ) -> list[bytes]:
        """Receive `count` lines, each at most `limit` octets, or none.

        Raises:
            EndOfStreamError, LimitError, TimeoutError, OSError: as `recv_line`.
        """
        steps = self._receiving_lines(count, limit, keep_end=keep_end)
        return await self._do(steps, timeout, RECEIVE)

    async def recv_until(
        self,
        delimiter: bytes | Iterable[bytes],
        *,
        drop: bool = False,
        limit: int = LINE_LIMIT,
        timeout: Timeout = ...,
    ) -> bytes:
        """Receive up to and with `delimiter`, or without it with `drop`.

        Raises:
            EndOfStreamError, LimitError, TimeoutError, OSError: as the blocking one.
        """
        return await self._get(self._take_until(delimiter, limit, drop=drop), timeout)

    async def recv_exactly(self, count: int, *, timeout: Timeout = ...) -> bytes:
        """Receive exactly `count` octets.

        Raises:
            EndOfStreamError, TimeoutError, OSError: as the blocking one.
        """
        return await self._get(lambda: self._received.exactly(count), timeout)

    async def recv_regex(
        self,
        pattern: bytes | re.Pattern[bytes],
        *,
        limit: int = LINE_LIMIT,
        timeout: Timeout = ...,
    ) -> re.Match[bytes]:
        """Receive until `pattern` matches, and take everything up to the end of the match.

        Raises:
            EndOfStreamError, LimitError, TimeoutError, OSError: as the blocking one.
        """
        return await self._do(self._matching(pattern, limit), timeout, RECEIVE)

    async def receive_all(self, *, limit: int = TOTAL_LIMIT, timeout: Timeout = ...) -> bytes:
        """Receive until the peer ends, 64 MiB at most where `limit` says nothing else.

        Raises:
            LimitError, TimeoutError, OSError: as the blocking one.
        """
        return await self._get(lambda: self._received.everything(limit), timeout)

    async def clean(self, quiet: float = 0.05, *, limit: int = CLEAN_LIMIT) -> bytes:
        """Take whatever comes until nothing has come for `quiet` seconds; give it.

        Raises:
            OSError: as `receive`.
        """
        return await self._do(self._cleaning(quiet, limit), None, RECEIVE)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the lines without their ends until the peer ends; of messages, each as it is."""
        if self.keeps_boundaries:
            while (octets := await self.receive()) or self.carrier.endless:
                yield octets
        while line := await self._get(lambda: self._received.line(LINE_LIMIT), ...):
            yield without_end(line)

    async def start_tls(
        self,
        tls: TLSOptions | None = None,
        *,
        server_name: str | None = None,
        server_side: bool = False,
        timeout: Timeout = ...,
    ) -> str | None:
        """Begin TLS in the middle of the conversation, as STARTTLS of SMTP does.

        Raises:
            TLSError, TimeoutError: as the blocking `Conversation.start_tls`.
        """
        steps = self._starting_tls(tls, server_name, server_side=server_side)
        return await self._do(steps, timeout, BOTH)

    async def interact(self) -> None:
        """Join this conversation to standard input and output until the peer ends.

        Octets to a terminal are cleaned of what could act on it. The kernel edits lines: other
        tasks go on meanwhile, which an editor here would stop.

        Raises:
            OSError: as `send` and `receive`.
        """
        cleaner = Cleaner() if os.isatty(1) else None
        async with Conversation(plain_carrier(StandardEnd())) as standard:
            steps = relaying(standard, self, until_b_ends=True, cleaner=cleaner)
            await self._do(steps, None, BOTH)

    async def aclose(self) -> None:
        """Close the conversation; a program behind it is ended, within two seconds. Fails never."""
        self._told_of_close()
        self.waiter.stop()
        try:
            await self.waiter.run(self.carrier.ending(), None, "close", self.name)
        finally:
            self.carrier.close()

    def close(self) -> None:
        """Close the conversation at once; a program behind it is killed. Fails never."""
        self._told_of_close()
        self.waiter.stop()
        self.carrier.close()

    async def _get(self, take: Take[T], timeout: Timeout) -> T:
        seconds = self._seconds(timeout)
        if self.waiter.may_go_on(RECEIVE) and (taken := take()) is not None:
            return taken
        steps = self._until(take)
        return await self.waiter.run(
            steps, seconds, "receive from", self._carrier.name, busy=RECEIVE
        )

    async def _do(self, steps: Steps[T], timeout: Timeout, busy: Busy) -> T:
        doing = "send to" if busy is SEND else "receive from"
        return await self.waiter.run(
            steps, self._seconds(timeout), doing, self._carrier.name, busy=busy
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class ProcessConversation(Conversation):
    """A conversation with a program: what it is sent is its input, what it gives its output."""

    @property
    def process(self) -> Process:
        """The program: `pid`, `status`, `send_signal`, `resize`."""
        assert isinstance(self.carrier, ProcessCarrier)
        return self.carrier.process

    async def wait(self, *, timeout: Timeout = ...) -> int:
        """Wait until the program has ended; give its status, -N where signal N ended it.

        Raises:
            TimeoutError: it runs on.
        """
        assert isinstance(self.carrier, ProcessCarrier)
        steps = self.carrier.waiting()
        return await self.waiter.run(
            steps, self._seconds(timeout), "wait for the end of", self.name
        )


class Listener(ListenerCore):
    """Lets peers in, and gives a conversation with each; made by `listen`."""

    def __init__(
        self,
        door: Door,
        *,
        timeout: float | None,
        newline: bytes,
        taps: Iterable[TapMaker],
        context: ssl.SSLContext | None,
        fingerprint: str | None,
    ) -> None:
        super().__init__(
            door,
            timeout=timeout,
            newline=newline,
            taps=taps,
            context=context,
            fingerprint=fingerprint,
        )
        self.waiter: Waiter = Waiter()

    async def accept(self, *, timeout: Timeout = ...) -> Conversation:
        """Wait for the next peer; each call with it has the time limit that this listener has.

        Raises:
            TimeoutError, OSError: as the blocking `Listener.accept`.
        """
        carrier = await self.waiter.run(
            self._accepting(), self._seconds(timeout), "accept on", self.name, busy=RECEIVE
        )
        return Conversation(
            carrier,
            timeout=self.timeout,
            newline=self.newline,
            taps=self._tap_makers,
            accepted=True,
        )

    async def __aiter__(self) -> AsyncIterator[Conversation]:
        """Give one conversation after another, for ever."""
        while True:
            yield await self.accept()

    def close(self) -> None:
        """Stop listening, and wake whoever waits with EBADF; conversations go on."""
        self.waiter.stop()
        super().close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


async def connect(
    endpoint: Place,
    *,
    timeout: float | None = None,
    tls: TLSWish = None,
    proxy: Proxy | str | None = None,
    local: Endpoint | str | None = None,
    newline: bytes = b"\n",
    taps: Iterable[TapMaker] = (),
    force: bool = False,
    append: bool = False,
    prepare: Callable[[socket.socket], object] | None = None,
) -> Conversation:
    """Begin a conversation as `sockwright.nc.connect` does; `timeout` covers the resolver too.

    Raises:
        EndpointError, TLSError, ProxyError, NotPossibleError, TimeoutError, OSError: as there.
    """
    check_timeout(timeout)
    route = to_route(endpoint, tls, proxy)
    began = monotonic()
    if route.first is None or force or append:
        carrier = plain_carrier(route.end, force=force, append=append)
        kind = ProcessConversation if isinstance(carrier, ProcessCarrier) else Conversation
        return kind(carrier, timeout=timeout, newline=newline, taps=taps)
    asks = route.handshake_looks_up
    machine = await asyncio.to_thread(route.handshake) if asks else route.handshake()
    connected = await _connected(route.first, local, timeout, prepare)
    carrier = socket_carrier(connected, str(route.end))
    try:
        steps, spent = route.agreeing(carrier, machine), monotonic() - began
        carrier = await Waiter().run(steps, timeout, "connect to", str(route.end), spent=spent)
    except BaseException:
        carrier.close()
        raise
    return Conversation(carrier, timeout=timeout, newline=newline, taps=taps)


async def _connected(
    first: Endpoint,
    local: Endpoint | str | None,
    timeout: float | None,
    prepare: Callable[[socket.socket], object] | None,
) -> BaseSocket:
    from sockwright.sockets import aio

    if keeps_datagrams(first):
        return answerable(await aio.datagram(local, remote=first))
    kind = aio.Seqpacket if first.delivery == "seqpacket" else aio.Stream
    return await aio.connect(first, kind, timeout=timeout, local=local, prepare=prepare)


async def spawn(
    words: Sequence[str],
    *,
    pty: bool = False,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    newline: bytes = b"\n",
    taps: Iterable[TapMaker] = (),
) -> ProcessConversation:
    """Start a program as `sockwright.nc.spawn` does.

    Raises:
        NotPossibleError: there is no such program, or it cannot be run.
        TypeError, ValueError: `words` are one text, or none.
    """
    check_timeout(timeout)
    carrier = process_carrier(to_program(words, pty=pty), environment)
    return ProcessConversation(carrier, timeout=timeout, newline=newline, taps=taps)


async def listen(
    endpoint: Place,
    *,
    backlog: int = BACKLOG,
    timeout: float | None = None,
    tls: TLSWish = None,
    access: Access | None = None,
    newline: bytes = b"\n",
    taps: Iterable[TapMaker] = (),
) -> Listener:
    """Listen as `sockwright.nc.listen` does.

    Raises:
        EndpointError, PermissionError, TLSError, OSError: as there.
    """
    check_timeout(timeout)
    access = access or None
    end = to_end(endpoint)
    context, fingerprint = server_tls(end, tls)
    if isinstance(end, SocketEnd) and needs_lookup(end.endpoint):
        door = await asyncio.to_thread(open_door, end, backlog, access)
    else:
        door = open_door(end, backlog, access)
    return Listener(
        door, timeout=timeout, newline=newline, taps=taps, context=context, fingerprint=fingerprint
    )


async def relay(
    a: Conversation | Place,
    b: Conversation | Place,
    *,
    idle: float | None = None,
    force: bool = False,
    append: bool = False,
) -> Relayed:
    """Join two conversations, or ends, as `sockwright.nc.relay` does.

    Raises:
        EndpointError, NotPossibleError, OSError and others: as there.
    """
    check_timeout(idle)
    async with AsyncExitStack() as stack:
        if not isinstance(a, Conversation):
            opened = await _side(a, reads=True, force=False, append=False)
            a = await stack.enter_async_context(opened)
        if not isinstance(b, Conversation):
            opened = await _side(b, reads=False, force=force, append=append)
            b = await stack.enter_async_context(opened)
        steps = relaying(a, b, idle=idle)
        b.waiter.take(BOTH)
        try:
            return await a.waiter.run(steps, None, "join", a.name, busy=BOTH)
        finally:
            b.waiter.give_back(BOTH)


async def _side(place: Place, *, reads: bool, force: bool, append: bool) -> Conversation:
    end = to_end(place)
    if isinstance(end, FileEnd) or force or append:
        carrier = plain_carrier(end, reads=reads, writes=not reads, force=force, append=append)
        return Conversation(carrier)
    return await connect(end)

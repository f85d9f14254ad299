r"""Conversations that wait: talk to whatever is at the other end, line by line or octet by octet.

    with connect("tcp://127.0.0.1:2525", timeout=5) as server:
        server.recv_line()
        server.send_line(b"HELO me")
        answer = server.recv_line()

`connect` reaches every end of `sockwright.nc.ends`, through a proxy and under TLS if wanted,
`spawn` a program, `listen` gives a conversation for each peer that comes. The words are those of
`sockwright.sockets.Stream`, and more for prompts.

Each call takes at most `timeout` seconds, those of the conversation where it is not given; then
`TimeoutError` says so, and nothing has been taken. A delimiter, a line or a match must be within
`limit` octets, else `LimitError`. One thread may send while another receives.
"""

from __future__ import annotations

from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from sockwright.nc.ends import FileEnd
from sockwright.nc.talking.carrier import ProcessCarrier
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
from sockwright.nc.talking.waiting import Bell, run
from sockwright.sockets.base import check_timeout
from sockwright.sockets.stream_socket import BACKLOG

if TYPE_CHECKING:
    import re
    import socket
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from sockwright.nc.access import Access
    from sockwright.nc.programs.process import Process
    from sockwright.nc.proxy import Proxy
    from sockwright.nc.talking.carrier import Carrier, Steps
    from sockwright.nc.talking.connecting import Door
    from sockwright.nc.tls.options import TLSOptions
    from sockwright.sockets.base import BaseSocket
    from sockwright.sockets.endpoint import Endpoint

__all__ = ["Conversation", "Listener", "ProcessConversation", "connect", "listen", "relay", "spawn"]

T = TypeVar("T")


class Conversation(ConversationCore):
    """A conversation whose calls wait; made by `connect`, `spawn` and `Listener.accept`.

    It is a context manager, and gives its lines when it is gone through.
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
        self.bell: Bell = Bell()

    # -- sending ------------------------------------------------------------------------------

    def send(self, octets: Octets, *, timeout: Timeout = ...) -> None:
        """Send every octet; where boundaries are kept, as one message.

        Raises:
            TimeoutError: it took too long; how much was sent is not known.
            OSError: EPIPE or ECONNRESET, the peer is gone; ECONNREFUSED, an earlier datagram came
                back.
        """
        self._do(self._sending(octets), timeout, "send to")

    send_all = send
    """What `sockwright.sockets.Stream` calls it, so that what takes a stream takes this."""

    def send_line(self, line: Octets = b"", *, timeout: Timeout = ...) -> None:
        """Send `line` and `newline` behind it.

        Raises:
            TimeoutError, OSError: as `send`.
        """
        self._do(self._sending_line(line), timeout, "send to")

    def send_after(
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
        return self._do(self._answering(delimiter, limit, sending), timeout, "answer")

    def send_line_after(
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
        return self._do(self._answering(delimiter, limit, sending), timeout, "answer")

    def send_eof(self, *, timeout: Timeout = ...) -> None:
        """Say that nothing more will be sent (TCP: FIN, TLS: close_notify); receiving goes on.

        For a program on a terminal it is Ctrl-D. Datagrams have no end, so nothing happens there.

        Raises:
            TimeoutError: what was taken before could not be sent.
            OSError: ENOTCONN, the connection is gone already.
        """
        self._do(self._sending_eof(), timeout, "send to")

    # -- receiving ----------------------------------------------------------------------------

    def receive(self, limit: int = LINE_LIMIT, *, timeout: Timeout = ...) -> bytes:
        """Receive at least one and at most `limit` octets, or one message; none are the end.

        An empty datagram is no end, but looks the same: `keeps_boundaries` tells.

        Raises:
            TimeoutError: nothing came.
            OSError: ECONNRESET, the peer reset the connection; ECONNREFUSED, a datagram came back.
        """
        return self._do(self._receiving(limit), timeout, "receive from")

    def recv_line(
        self, *, keep_end: bool = False, limit: int = LINE_LIMIT, timeout: Timeout = ...
    ) -> bytes:
        """Receive a line, and give it without its end (LF, or CR LF) unless `keep_end`.

        Raises:
            EndOfStreamError: the peer ended before the end of the line; `partial` has what came.
            LimitError: the line is longer than `limit`.
            TimeoutError, OSError: as `receive`.
        """
        return self._get(self._take_line(limit, keep_end=keep_end), timeout)

    def recv_lines(
        self, count: int, *, keep_end: bool = False, limit: int = LINE_LIMIT, timeout: Timeout = ...
    ) -> list[bytes]:
        """Receive `count` lines, each at most `limit` octets, or none.

        Raises:
            EndOfStreamError, LimitError, TimeoutError, OSError: as `recv_line`.
        """
        steps = self._receiving_lines(count, limit, keep_end=keep_end)
        return self._do(steps, timeout, "receive from")

    def recv_until(
        self,
        delimiter: bytes | Iterable[bytes],
        *,
        drop: bool = False,
        limit: int = LINE_LIMIT,
        timeout: Timeout = ...,
    ) -> bytes:
        """Receive up to and with `delimiter`, or without it with `drop`.

        Of several delimiters the one that is whole first counts.

        Raises:
            EndOfStreamError: the peer ended before the delimiter; `partial` has what came.
            LimitError: there is no delimiter within `limit` octets.
            TimeoutError, OSError: as `receive`.
        """
        return self._get(self._take_until(delimiter, limit, drop=drop), timeout)

    def recv_exactly(self, count: int, *, timeout: Timeout = ...) -> bytes:
        """Receive exactly `count` octets.

        Raises:
            EndOfStreamError: the peer ended before; `partial` has what came.
            TimeoutError, OSError: as `receive`.
        """
        return self._get(lambda: self._received.exactly(count), timeout)

    def recv_regex(
        self,
        pattern: bytes | re.Pattern[bytes],
        *,
        limit: int = LINE_LIMIT,
        timeout: Timeout = ...,
    ) -> re.Match[bytes]:
        r"""Receive until `pattern` matches, and take everything up to the end of the match.

        The match is made of what has come so far: let the pattern end with what ends the thing,
        as ``rb"balance: (\d+)\n"`` does. ``match.string`` is all that was taken.

        Raises:
            EndOfStreamError: the peer ended before; `partial` has what came.
            LimitError: nothing matches within `limit` octets.
            TimeoutError, OSError: as `receive`.
        """
        return self._do(self._matching(pattern, limit), timeout, "receive from")

    def receive_all(self, *, limit: int = TOTAL_LIMIT, timeout: Timeout = ...) -> bytes:
        """Receive until the peer ends, 64 MiB at most where `limit` says nothing else.

        Raises:
            LimitError: the peer sent more.
            TimeoutError, OSError: as `receive`.
        """
        return self._get(lambda: self._received.everything(limit), timeout)

    def clean(self, quiet: float = 0.05, *, limit: int = CLEAN_LIMIT) -> bytes:
        """Take whatever comes until nothing has come for `quiet` seconds; give it.

        It stops at `limit` octets too, for a peer that is never quiet.

        Raises:
            OSError: as `receive`.
        """
        return self._do(self._cleaning(quiet, limit), None, "receive from")

    def __iter__(self) -> Iterator[bytes]:
        """Give the lines without their ends until the peer ends; of messages, each as it is.

        What stands behind the last line end is a line too.
        """
        if self.keeps_boundaries:
            while (octets := self.receive()) or self.carrier.endless:
                yield octets
        while line := self._get(lambda: self._received.line(LINE_LIMIT), ...):
            yield without_end(line)

    # -- the rest -----------------------------------------------------------------------------

    def start_tls(
        self,
        tls: TLSOptions | None = None,
        *,
        server_name: str | None = None,
        server_side: bool = False,
        timeout: Timeout = ...,
    ) -> str | None:
        """Begin TLS in the middle of the conversation, as STARTTLS of SMTP does.

        `server_name` is what the certificate must be for, else the host that was connected to. With
        `server_side` it begins as a server; where it then makes a certificate, as `listen` does,
        the result is its fingerprint.

        Raises:
            TLSError: it failed, the certificate is not trusted, or octets came before it.
            TimeoutError: it took too long; the conversation is of no use any more.
        """
        steps = self._starting_tls(tls, server_name, server_side=server_side)
        return self._do(steps, timeout, "begin TLS with")

    def interact(self, *, raw_terminal: bool = False) -> None:
        """Join this conversation to standard input and output until the peer ends.

        On a terminal lines are edited, with history, and what comes is cleaned of what could act
        on it; with `raw_terminal` each key goes to the peer, and the screen is the peer's, as for a
        shell on a terminal of its own. Ctrl-D tells the peer the end of the input.

        Raises:
            KeyboardInterrupt: Ctrl-C; the conversation goes on.
            ConnectionError: it broke; the message says how.
            UsageError: raw terminal mode was asked for where there is no terminal.
        """
        from sockwright.nc.engine.settings import Console
        from sockwright.nc.terminal.console import interact

        interact(self, Console(raw_terminal=raw_terminal))

    def close(self) -> None:
        """Close the conversation; a program behind it is ended, within two seconds. Fails never.

        Whoever waits in another thread is woken with EBADF.
        """
        self._told_of_close()
        self.bell.ring()
        try:
            run(self.carrier.ending(), None, "close", self.name)
        finally:  # Ctrl-C
            self.carrier.close()

    def _get(self, take: Take[T], timeout: Timeout) -> T:
        seconds = self._seconds(timeout)
        if (taken := take()) is not None:
            return taken
        steps = self._until(take)
        return run(steps, seconds, "receive from", self._carrier.name, bells=(self.bell,))

    def _do(self, steps: Steps[T], timeout: Timeout, doing: str) -> T:
        seconds = self._seconds(timeout)
        return run(steps, seconds, doing, self._carrier.name, bells=(self.bell,))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class ProcessConversation(Conversation):
    """A conversation with a program: what it is sent is its input, what it gives its output."""

    @property
    def process(self) -> Process:
        """The program: `pid`, `status`, `send_signal`, `resize`."""
        assert isinstance(self.carrier, ProcessCarrier)
        return self.carrier.process

    def wait(self, *, timeout: Timeout = ...) -> int:
        """Wait until the program has ended; give its status, -N where signal N ended it.

        Its output is not read meanwhile: a program that cannot write does not end.

        Raises:
            TimeoutError: it runs on.
        """
        assert isinstance(self.carrier, ProcessCarrier)
        return self._do(self.carrier.waiting(), timeout, "wait for the end of")


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
        self.bell: Bell = Bell()

    def close(self) -> None:
        """Stop listening, and wake whoever waits with EBADF; conversations go on."""
        self.bell.ring()
        super().close()

    def accept(self, *, timeout: Timeout = ...) -> Conversation:
        """Wait for the next peer; each call with it has the time limit that this listener has.

        Under TLS its handshake is made by the first call that sends or receives, so that a slow
        client keeps nobody waiting.

        Raises:
            TimeoutError: nobody came.
            OSError: EMFILE, this process has too many open descriptors: close some, go on.
        """
        steps, seconds = self._accepting(), self._seconds(timeout)
        carrier = run(steps, seconds, "accept on", self.name, bells=(self.bell,))
        return Conversation(
            carrier,
            timeout=self.timeout,
            newline=self.newline,
            taps=self._tap_makers,
            accepted=True,
        )

    def __iter__(self) -> Iterator[Conversation]:
        """Give one conversation after another, for ever."""
        while True:
            yield self.accept()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def connect(
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
    """Begin a conversation with `endpoint`: a socket, a program, a file, see `sockwright.nc.ends`.

    `timeout` (seconds) covers everything until the first octet can be sent (not the resolver), and
    stays the time limit of each call. `tls` is True or `TLSOptions`; ``tls://host:port`` needs
    neither. `proxy` is a `Proxy` or its URL, `local` the endpoint to connect from. `taps` look on:
    `HexDump`, `Recorder`, or whatever else has a tap for each conversation. `prepare` is called
    with each stream socket before it is connected.

    A file is read. With `force` it is begun anew and written, with `append` written at its end.

    Raises:
        EndpointError: the endpoint is not well formed, or what is asked for does not fit it.
        TLSError: the handshake failed, or the certificate is not trusted.
        ProxyError: the proxy refuses.
        NotPossibleError: this kernel lacks the kind of socket, or there is no such program.
        TimeoutError: there was no answer within `timeout` seconds.
        ConnectionRefusedError: nobody listens there.
        OSError: what else the kernel said.
    """
    check_timeout(timeout)
    route = to_route(endpoint, tls, proxy)
    began = monotonic()
    if route.first is None or force or append:
        carrier = plain_carrier(route.end, force=force, append=append)
        kind = ProcessConversation if isinstance(carrier, ProcessCarrier) else Conversation
        return kind(carrier, timeout=timeout, newline=newline, taps=taps)
    machine = route.handshake()
    carrier = socket_carrier(_connected(route.first, local, timeout, prepare), str(route.end))
    try:
        steps = route.agreeing(carrier, machine)
        carrier = run(steps, timeout, "connect to", str(route.end), began=began)
    except BaseException:
        carrier.close()
        raise
    return Conversation(carrier, timeout=timeout, newline=newline, taps=taps)


def _connected(
    first: Endpoint,
    local: Endpoint | str | None,
    timeout: float | None,
    prepare: Callable[[socket.socket], object] | None,
) -> BaseSocket:
    from sockwright.sockets import stream_socket
    from sockwright.sockets.datagram_socket import datagram

    if keeps_datagrams(first):
        return answerable(datagram(local, remote=first))
    kind = stream_socket.Seqpacket if first.delivery == "seqpacket" else stream_socket.Stream
    return stream_socket.connect(first, kind, timeout=timeout, local=local, prepare=prepare)


def spawn(
    words: Sequence[str],
    *,
    pty: bool = False,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    newline: bytes = b"\n",
    taps: Iterable[TapMaker] = (),
) -> ProcessConversation:
    """Start a program, `words` being its name and arguments, and begin a conversation with it.

    It gets PATH, HOME, the language and the time zone of our environment, and `environment` on
    top; its standard error is ours. With `pty` it gets a terminal, which repeats what is sent
    until the program says otherwise, and ends lines with CR LF. Closing ends the program.

    Raises:
        NotPossibleError: there is no such program, or it cannot be run.
        TypeError, ValueError: `words` are one text, or none.
    """
    check_timeout(timeout)
    carrier = process_carrier(to_program(words, pty=pty), environment)
    return ProcessConversation(carrier, timeout=timeout, newline=newline, taps=taps)


def listen(
    endpoint: Place,
    *,
    backlog: int = BACKLOG,
    timeout: float | None = None,
    tls: TLSWish = None,
    access: Access | None = None,
    newline: bytes = b"\n",
    taps: Iterable[TapMaker] = (),
) -> Listener:
    """Listen on ``tcp:``, ``tls:``, ``unix:``, ``unix-abstract:``, ``vsock:`` or ``udp:``.

    ``tcp://:8080`` is loopback only, ``tcp://*:8080`` every address of the machine; port 0 lets the
    kernel choose, and `local_address` tells the choice. Of ``udp:`` each peer that sends something
    is a conversation. TLS without a certificate makes one, and `fingerprint` has its SHA-256.
    `timeout` (seconds) is that of accept(), and of each call of the conversations. `access` says
    from which addresses peers may come: others are closed at once, and counted in `refused`. `taps`
    look on at each conversation.

    Raises:
        EndpointError: nobody can listen there; `access` of peers that have no IP address.
        PermissionError: the port is below 1024 (net.ipv4.ip_unprivileged_port_start).
        TLSError: the certificate or its key cannot be used.
        OSError: EADDRINUSE, EADDRNOTAVAIL and what else the kernel said.
    """
    check_timeout(timeout)
    access = access or None
    end = to_end(endpoint)
    context, fingerprint = server_tls(end, tls)
    return Listener(
        open_door(end, backlog, access),
        timeout=timeout,
        newline=newline,
        taps=taps,
        context=context,
        fingerprint=fingerprint,
    )


def relay(
    a: Conversation | Place,
    b: Conversation | Place,
    *,
    idle: float | None = None,
    force: bool = False,
    append: bool = False,
) -> Relayed:
    """Join two conversations, or ends, until both have ended; give the octets each way.

    An end of one is passed on to the other, whose answer still comes back. With `idle`, it is over
    after so many seconds without an octet: datagrams have no other end. Ends that are named here
    are opened and closed here; conversations stay open. A file as `a` is read, as `b` made: one
    that is there is refused, unless `force` begins it anew or `append` goes on at its end.

    Raises:
        FileExistsError: the file `b` is there.
        EndpointError, NotPossibleError, OSError and others: as `connect`, `send` and `receive`.
    """
    check_timeout(idle)
    with ExitStack() as stack:
        if not isinstance(a, Conversation):
            a = stack.enter_context(_side(a, reads=True, force=False, append=False))
        if not isinstance(b, Conversation):
            b = stack.enter_context(_side(b, reads=False, force=force, append=append))
        steps, bells = relaying(a, b, idle=idle), (a.bell, b.bell)
        return run(steps, None, "join", a.name, "and", b.name, bells=bells)


def _side(place: Place, *, reads: bool, force: bool, append: bool) -> Conversation:
    end = to_end(place)
    if isinstance(end, FileEnd) or force or append:
        carrier = plain_carrier(end, reads=reads, writes=not reads, force=force, append=append)
        return Conversation(carrier)
    return connect(end)

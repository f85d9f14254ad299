"""Runs a `Job`: opens or awaits its two ends, joins them, and tells of it as it goes.

    events = run(job)        # a generator: Event after Event, while octets go by
    status = yield from events

Three shapes of a job:

    both ends are opened                     one session
    one end listens, for one client          the same, once the client is there
    one end listens and goes on (-k)         a session for each client, with the other end opened
                                             anew for each; standard input and output are a hub

Everything runs in one thread and one `Loop`; the only threads are those that look up names. What
goes wrong with one client of many is one line, and never the end of the others.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from dataclasses import replace
from time import monotonic, time_ns
from typing import TYPE_CHECKING

from sockwright.errors import SockwrightError, UsageError
from sockwright.nc.channel import Channel, SocketChannel
from sockwright.nc.datagrams import Datagrams, MessageChannel, PeerChannel
from sockwright.nc.descriptors import standard_channel
from sockwright.nc.ends import (
    DiscardEnd,
    EchoEnd,
    ExecEnd,
    FileEnd,
    PtyEnd,
    SocketEnd,
    StandardEnd,
)
from sockwright.nc.first_sender import FirstSender
from sockwright.nc.glance import Glance
from sockwright.nc.loop import Loop
from sockwright.nc.opening import open_here
from sockwright.nc.openings import Openings
from sockwright.nc.outcome import DONE, Outcome, outcome_of
from sockwright.nc.serving import Acceptor, bind_here, listen_here
from sockwright.nc.session import Session
from sockwright.nc.telling import Telling
from sockwright.sockets.addresses import endpoint_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator

    from sockwright.nc.access import Access
    from sockwright.nc.ends import End
    from sockwright.nc.events import Event
    from sockwright.nc.greeting import Greetings
    from sockwright.nc.hub import Hub, Member
    from sockwright.nc.loop import Timer
    from sockwright.nc.process_channel import ProcessChannel
    from sockwright.nc.settings import Job, Side
    from sockwright.sockets.addresses import SocketAddress
    from sockwright.sockets.base import BaseSocket
    from sockwright.sockets.endpoint import Endpoint

__all__ = ["run"]

_PEER_SILENCE = 60.0  # seconds after which a peer of datagrams is forgotten, unless -w says
_OF_A_PROGRAM = 5  # descriptors: the client, two pipes or a terminal, the process
_PROGRAMS_OF_PEERS = 128  # at most, where nobody has to connect to have one started
_PROGRAMS_END = 1.5  # seconds that programs are waited for: SIGKILL comes after one
_VSOCK_LOOPBACK = "1"  # VMADDR_CID_LOCAL, linux/vm_sockets.h
_HANDSHAKE = 30.0  # seconds that a client of a TLS listener may take for it, unless -w says


def run(job: Job) -> Generator[Event, None, int]:
    """Do the job; yields events and returns the exit status.

    Whatever way it ends, Ctrl-C and closing the generator included, all that it opened is closed.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        SockwrightError, OSError: an end cannot be listened on, or is not possible here.
    """
    with Loop() as loop:
        engine = _Engine(loop, job)
        told = engine.telling.events
        try:
            engine.begin()
            while engine.busy():
                while told:
                    yield told.popleft()
                loop.step()
            engine.telling.sum_up()
            yield from told
        finally:
            engine.close()
        return engine.status or 0


class _Engine:
    def __init__(self, loop: Loop, job: Job) -> None:
        self.status: int | None = None
        self._loop, self._job = loop, job
        self.telling = Telling(loop, 0 if job.verbose else 2 if job.quiet else 1)
        self._tell = self.telling.tell
        self._sessions: set[Session] = set()
        self._openings = Openings(loop, job.limits)
        self._listeners: list[Acceptor | BaseSocket | Greetings] = []
        self._hub: Hub | None = None
        self._bound: str | None = None  # what datagrams come to
        self._programs: set[ProcessChannel] = set()  # those that have not ended yet
        self._last_wait: Timer | None = None
        self._keep = job.serving.keep

    # -- begin and end -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Open what can be opened, listen where that is asked for."""
        near, far = self._job.near, self._job.far
        access = self._access(near if near.listen else far)
        if self._keep and (near.listen or far.listen):
            listening, other = (near, far) if near.listen else (far, near)
            if isinstance(other.end, StandardEnd) or self._job.serving.hub:
                self._hub = self._make_hub()
            self._serve(listening, access, lambda channel, left: self._join(channel, other, left))
        else:
            # The end that waits for somebody first: the other is wanted only once they are there.
            first, second = (near, far) if near.listen else (far, near)
            self._open(
                first,
                access,
                lambda one: self._open(
                    second, access, lambda two: self._pair(first, one, two), beside=one
                ),
            )

    def busy(self) -> bool:
        """Whether there is something left to do; programs that end a little later are part."""
        if self.status is None:
            return True
        if not self._programs:
            return False
        if self._last_wait is None:
            self._last_wait = self._loop.later(_PROGRAMS_END, self._programs.clear)
        return True

    def close(self) -> None:
        """Close everything, in whatever state it is."""
        for session in list(self._sessions):
            session.finish(DONE)
        self._openings.close()
        for listener in self._listeners:
            listener.close()
        for program in list(self._programs):  # all were told to end already
            program.finish()
        if self._hub is not None:
            self._hub.close()

    def _check_program(self, side: Side, local: Endpoint) -> None:
        """Refuse to start programs for just anybody, by the address that is really listened on."""
        job = self._job
        if not any(isinstance(one.end, ExecEnd | PtyEnd) for one in (job.near, job.far)):
            return
        from sockwright.nc.process import may_serve

        certificates = side.tls is not None and side.tls.client_ca is not None
        loopback = (
            local.scheme in {"unix", "unix-abstract"}
            or local.host == "::1"
            or local.host.startswith("127.")
            or (local.scheme == "vsock" and local.host == _VSOCK_LOOPBACK)
        )
        if local.scheme == "udp" and not loopback:
            raise UsageError(
                "a program is started for datagrams on loopback only: elsewhere any sender may "
                "write any address into them"
            )
        refusal = may_serve(
            loopback=loopback,
            allow_list=bool(job.serving.allow) and local.scheme == "tcp",
            client_certificates=certificates,
        )
        if refusal is not None:
            raise UsageError(refusal)

    def _access(self, listening: Side) -> Access | None:
        serving, end = self._job.serving, listening.end
        if not (serving.allow or serving.deny) or not isinstance(end, SocketEnd):
            return None
        from sockwright.nc.access import access_to

        return access_to(end.endpoint.scheme, serving.allow, serving.deny)

    def _make_hub(self) -> Hub:
        from sockwright.nc.hub import Hub

        hub = self._job.serving.hub
        hub_made = Hub(self._loop, None if hub else self._standard(), chat=hub == "chat")
        hub_made.on_output_failed = self._output_failed
        hub_made.on_input_failed = lambda error: self.telling.note(
            outcome_of(error, "read from standard input").text
        )
        return hub_made

    def _output_failed(self, error: OSError) -> None:
        if self.status is not None:
            return
        outcome = outcome_of(error, "write to standard output")
        if isinstance(error, BrokenPipeError):
            self.status = 141
            return
        self._tell("failed", outcome.text, 2)
        self.status = outcome.status

    def _standard(self) -> Channel:
        job = self._job
        if job.replay is not None:
            from sockwright.nc.replay_channel import ReplayChannel

            return ReplayChannel(job.replay, self._console(reads=False, writes=job.receives))
        return self._console(reads=job.sends and job.console.reads, writes=job.receives)

    def _console(self, *, reads: bool, writes: bool) -> Channel:
        job = self._job
        if os.isatty(0) or os.isatty(1):
            from sockwright.nc.console import open_console

            console = open_console(job.console, reads=reads, writes=writes)
            self.telling.above = console.announce
            return console
        return standard_channel(reads=reads, writes=writes)

    # -- telling -----------------------------------------------------------------------------------

    def _fail(self, outcome: Outcome) -> None:
        """End the run."""
        if outcome.text:
            self._tell("failed", outcome.text, 2, status=outcome.status)
        self.status = outcome.status

    # -- one end -----------------------------------------------------------------------------------

    def _open(
        self,
        side: Side,
        access: Access | None,
        then: Callable[[Channel], None],
        *,
        beside: Channel | None = None,
    ) -> None:
        """Open one end, or wait for its one client; `beside` is reset if that fails."""

        def failed(outcome: Outcome) -> None:
            if beside is not None:
                _reset(beside)
            self._fail(outcome)

        end = side.end
        if side.listen and isinstance(end, SocketEnd):
            self._serve(side, access, lambda channel, _left: then(channel))
        elif isinstance(end, SocketEnd):
            self._connect(side, then, failed, beside=beside)
        else:
            try:
                channel = self._open_local(side, beside)
            except (OSError, SockwrightError) as error:
                failed(outcome_of(error, _opening(end)))
                return
            far = side is self._job.far
            then(self._dressed(side, channel, accepted=False) if far else channel)

    def _open_local(self, side: Side, peer: Channel | None) -> Channel:
        if isinstance(side.end, StandardEnd):
            return self._standard()
        if isinstance(side.end, EchoEnd):
            from sockwright.nc.echo import EchoChannel

            return EchoChannel()
        channel = open_here(side, _variables(peer))
        if isinstance(side.end, ExecEnd | PtyEnd):
            self._tell_status_of(channel)
        return channel

    def _tell_status_of(self, program: Channel) -> None:
        """Tell how a program has ended: with -v, or if it failed by itself."""
        from sockwright.nc.process import describe_status
        from sockwright.nc.process_channel import ProcessChannel

        def ended(status: int) -> None:
            self._programs.discard(program)
            if status:
                self._tell("note", f"{program.name} {describe_status(status)}", int(status > 0))

        if isinstance(program, ProcessChannel):
            self._programs.add(program)
            program.on_exit = ended

    def _connect(
        self,
        side: Side,
        then: Callable[[Channel], None],
        failed: Callable[[Outcome], None],
        *,
        beside: Channel | None = None,
    ) -> None:
        def opened(channel: Channel) -> None:
            local, remote = _addresses(channel)
            self._tell("connected", f"connected to {channel.name}", 0, local=local, remote=remote)
            self._tell_tls(side, channel)
            then(self._dressed(side, channel, accepted=False))

        self._openings.begin(side, opened, failed, client=beside)

    def _tell_tls(self, side: Side, channel: Channel) -> None:
        """Tell what TLS agreed on, and whose certificate was trusted without a reason."""
        connection = channel.innermost.tls
        if connection is None:
            return
        from sockwright.nc.tls import describe

        agreed, peer = describe(connection)
        if side.tls is not None and not side.tls.verify and not side.listen:
            self._tell("note", f"not verified: {peer}", 1)
        else:
            self._tell("note", peer, 0)
        self._tell("note", f"{channel.name}: {agreed}", 0)

    def _dressed(self, side: Side, channel: Channel, *, accepted: bool) -> Channel:
        """Put around a peer's channel what the job wants done on the way."""
        job = self._job
        if job.taps is not None and side is job.far:
            from sockwright.nc.shaping import Tapped

            taps = job.taps()
            local, remote = _addresses(channel)
            if local is None and accepted:  # one of many peers of a socket for datagrams
                local = self._bound
            tls = isinstance(side.end, SocketEnd) and side.end.tls
            here, there = local or str(job.near.end), remote or channel.name
            if tls:
                here, there = here.replace("tcp:", "tls:", 1), there.replace("tcp:", "tls:", 1)
            for tap in taps:
                tap.opened(here, there, time_ns(), accepted=accepted)
            channel = Tapped(channel, taps)
        if channel.keeps_boundaries:
            from sockwright.nc.shaping import Framed

            channel = Framed(channel, side.framing)
        limits = job.limits
        if limits.messages is not None and side is job.far:
            from sockwright.nc.shaping import Counted

            channel = Counted(channel, limits.messages)
        paced = side is job.far and (limits.rate or limits.delay)
        if side.crlf or side.telnet or paced:
            from sockwright.nc.shaping import shaped

            channel = shaped(channel, side, limits if paced else None)
        return channel

    # -- listening ---------------------------------------------------------------------------------

    def _serve(
        self,
        side: Side,
        access: Access | None,
        on_client: Callable[[Channel, Callable[[], None]], None],
    ) -> None:
        """Let clients in; `on_client(channel, left)`, where left() is to be called at their end."""
        end = side.end
        assert isinstance(end, SocketEnd)
        if end.endpoint.scheme == "udp" or end.endpoint.delivery == "datagram":
            self._serve_datagrams(side, access, on_client)
            return
        context = self._context(side) if end.tls else None
        listener = listen_here(end.endpoint, self._job.serving.backlog, side.family)
        self._listeners.append(listener)
        _set_options(side, listener)
        self._check_program(side, listener.local_address)
        name = str(SocketEnd(listener.local_address, tls=end.tls))

        greetings: Greetings | None = None

        def arrived(sock: socket.socket, address: SocketAddress, said: bytes) -> None:
            if greetings is not None:
                greetings.begin(sock, _client_name(end, sock, address))
                return

            def name_of() -> str:
                return _client_name(end, sock, address)

            try:
                channel = (
                    MessageChannel(sock, name_of)
                    if end.keeps_boundaries
                    else SocketChannel(sock, name_of, pushed=said)
                )
            except OSError as error:
                sock.close()
                if not self._keep:
                    raise
                self._turn_away(name_of(), error)
                acceptor.left()
                return
            self._welcome(side, channel, on_client, acceptor.left)

        acceptor = Acceptor(
            self._loop,
            listener,
            self._job.serving,
            access,
            arrived,
            say=self.telling.note,
            each=self._descriptors_of_a_client(side),
            tentative=end.tls,
        )
        self._listeners.append(acceptor)
        if context is not None:
            greetings = self._greetings(side, context, acceptor, on_client)
        output = self._plain_output(side)
        if output is not None:
            acceptor.glance = self._glance(end, listener, output)
        acceptor.start()
        self._tell("listening", f"listening on {name}", 1, local=name)

    def _glance(
        self, end: SocketEnd, listener: BaseSocket, output: Channel
    ) -> Callable[[int, SocketAddress], bytes | None]:
        """Give what looks at clients before sessions are made for them."""
        take = Glance(output, self._loop.buffer).take

        def look(client: int, address: SocketAddress) -> bytes | None:
            try:
                said = take(client)
            except OSError as error:
                self._output_failed(error)
                return None
            if isinstance(said, OSError):
                self._turn_away(_client_name(end, listener.socket, address), said)
                return None
            return said

        return look

    def _plain_output(self, side: Side) -> Channel | None:
        """Give standard output, where all there is to do with a client is to write what it says."""
        job, end = self._job, side.end
        hub = self._hub
        if hub is None or not isinstance(end, SocketEnd) or end.tls or end.keeps_boundaries:
            return None
        shaped = side.crlf or side.telnet or job.limits.messages is not None
        if shaped or job.taps is not None or self.telling.lowest == 0:
            return None
        return hub.output

    def _descriptors_of_a_client(self, side: Side) -> int:
        other = self._job.far if side is self._job.near else self._job.near
        if self._hub is not None or isinstance(other.end, EchoEnd | DiscardEnd | StandardEnd):
            return 1
        return _OF_A_PROGRAM if isinstance(other.end, ExecEnd | PtyEnd) else 2

    def _context(self, side: Side) -> ssl.SSLContext:
        from sockwright.nc.tls import TLSOptions, server_context

        assert isinstance(side.end, SocketEnd)
        host = side.end.endpoint.host
        names = [host] if host not in {"", "*"} else []
        context, made = server_context(side.tls or TLSOptions(), names)
        if made is not None:
            self._tell("note", f"made a certificate for this run, its fingerprint is {made}", 1)
        return context

    def _greetings(
        self,
        side: Side,
        context: ssl.SSLContext,
        acceptor: Acceptor,
        on_client: Callable[[Channel, Callable[[], None]], None],
    ) -> Greetings:
        """Give what shakes hands with clients; without -k the first with whom it can is the one."""
        from sockwright.nc.greeting import Greetings

        def done(channel: Channel) -> None:
            if not self._keep:
                acceptor.close()
                greetings.close()
            self._welcome(side, channel, on_client, acceptor.left)

        def failed(name: str, error: Exception) -> None:
            self._tell("refused", outcome_of(error, f"begin TLS with {name}").text, 2, remote=name)
            acceptor.left()

        seconds = self._job.limits.connect or _HANDSHAKE
        greetings = Greetings(self._loop, context, seconds, done, failed)
        self._listeners.append(greetings)
        return greetings

    def _welcome(
        self,
        side: Side,
        channel: Channel,
        on_client: Callable[[Channel, Callable[[], None]], None],
        left: Callable[[], None],
    ) -> None:
        """Tell of a client that is there, and serve it."""
        if self.telling.lowest == 0:
            self._tell("connected", f"{channel.name} has connected", 0, remote=channel.name)
        self._admit(side, channel, on_client, left)

    def _admit(
        self,
        side: Side,
        channel: Channel,
        on_client: Callable[[Channel, Callable[[], None]], None],
        left: Callable[[], None],
    ) -> None:
        """Serve a client; if that cannot be, it is turned away with a line."""
        try:
            on_client(self._dressed(side, channel, accepted=True), left)
        except (OSError, SockwrightError) as error:
            channel.close()
            if not self._keep:
                raise
            self._turn_away(channel.name, error)
            left()

    def _turn_away(self, name: str, error: Exception) -> None:
        outcome = outcome_of(error, f"serve {name}")
        self._tell("failed", outcome.text, 2, remote=name, status=outcome.status)

    # -- datagrams ---------------------------------------------------------------------------------

    def _serve_datagrams(
        self,
        side: Side,
        access: Access | None,
        on_client: Callable[[Channel, Callable[[], None]], None],
    ) -> None:
        assert isinstance(side.end, SocketEnd)
        end = side.end
        bound = bind_here(end.endpoint, side.family)
        self._listeners.append(bound)
        _set_options(side, bound)
        sock = bound.socket
        sock.setblocking(False)
        self._check_program(side, bound.local_address)
        name = self._bound = str(bound.local_address)
        self._tell("listening", f"listening on {name}", 1, local=name)

        def name_of(address: SocketAddress) -> str:
            return _client_name(end, sock, address)

        def allowed(address: SocketAddress) -> bool:
            if access is None or end.endpoint.scheme != "udp":
                return True
            why = access.refusal(str(address[0]).partition("%")[0])
            if why:
                self._tell("refused", f"refused {name_of(address)}: {why}", 2)
            return not why

        if self._keep:

            def arrived(peer: PeerChannel) -> None:
                self._tell("connected", f"{peer.name} has sent a first datagram", 0)
                self._admit(side, peer, on_client, lambda: None)

            def crowded(peer: PeerChannel) -> None:
                for session in list(self._sessions):
                    if peer in {session.near.innermost, session.far.innermost}:
                        session.finish(DONE)

            server = Datagrams(
                self._loop, sock, name_of, arrived, crowded, most=self._most_peers(side)
            )
            server.allowed = allowed
            return

        def first(channel: MessageChannel) -> None:
            channel.on_stranger = lambda other: self.telling.note(
                f"datagrams of {name_of(other)} are dropped: "
                f"{channel.name} came first (-k serves many)"
            )
            self._admit(side, channel, on_client, lambda: None)

        def unanswerable(name: str, error: OSError) -> None:
            self.telling.note(outcome_of(error, f"answer {name}").text)

        FirstSender(self._loop, sock, name_of, first, unanswerable, allowed=allowed)

    def _most_peers(self, side: Side) -> int:
        """Return how many peers of a socket for datagrams are served at once."""
        from sockwright.nc.capacity import room_for

        most = self._job.serving.max_connections
        if any(isinstance(one.end, ExecEnd | PtyEnd) for one in (self._job.near, self._job.far)):
            most = min(most, _PROGRAMS_OF_PEERS)
        each = self._descriptors_of_a_client(side) - 1  # the peers themselves share one
        return room_for(most, each)[0] if each else most

    # -- sessions ----------------------------------------------------------------------------------

    def _pair(self, first: Side, one: Channel, two: Channel) -> None:
        """Join the two ends of a job that has only these."""
        near, far = (one, two) if first is self._job.near else (two, one)

        def over(session: Session, outcome: Outcome) -> None:
            self._tell_end(session, outcome)
            self.status = outcome.status

        self._begin_session(near, far, over)

    def _join(self, client: Channel, other: Side, left: Callable[[], None]) -> None:
        """Join a client of a listener that goes on to what it came for."""
        member: Member | None = None

        def over(session: Session, outcome: Outcome) -> None:
            left()
            self._tell_end(session, outcome, of_many=True)

        def opened(channel: Channel) -> None:
            if other is self._job.near:
                session = self._begin_session(channel, client, over)
            else:
                session = self._begin_session(client, channel, over)
            if member is not None:
                member.progress = lambda: session.outward.moved
                stalled = member
                member.on_stalled = lambda: session.finish(
                    Outcome(
                        1,
                        f"{client.name} took too little for {stalled.held:.1g} s while others "
                        "waited for it: closed",
                    )
                )

        def failed(outcome: Outcome) -> None:
            _reset(client)
            left()
            self._tell("failed", outcome.text, 2, status=outcome.status)

        if self._hub is not None:
            member = self._hub.member()
            opened(member)
        elif isinstance(other.end, SocketEnd):
            self._connect(other, opened, failed, beside=client)
        else:
            try:
                channel = self._open_local(other, client)
            except (OSError, SockwrightError) as error:
                failed(outcome_of(error, _opening(other.end)))
                return
            opened(channel)

    def _begin_session(
        self, near: Channel, far: Channel, over: Callable[[Session, Outcome], None]
    ) -> Session:
        job = self._job
        limits = job.limits
        client = near if job.near.listen else far
        if self._keep and client.endless and limits.idle is None:
            limits = replace(limits, idle=_PEER_SILENCE)
        session = Session(
            self._loop, near, far, limits, over,
            person=isinstance(job.near.end, StandardEnd) and not self._keep,
            shy=job.far.listen and isinstance(job.near.end, StandardEnd),
            patient=job.far.proxy is not None,
        )  # fmt: skip
        self._sessions.add(session)
        session.start()
        return session

    def _tell_end(self, session: Session, outcome: Outcome, *, of_many: bool = False) -> None:
        self._sessions.discard(session)
        # Peers of datagrams never say that they leave: their silence is no failure.
        endless = session.far.endless or session.near.endless
        quiet = of_many and endless and outcome.status == 3
        if outcome.text and not quiet:
            self._tell("failed", outcome.text, 2, status=outcome.status)
        if self.telling.lowest == 0:
            sent, received = session.outward.moved, session.inward.moved
            took = monotonic() - session.started
            self._tell(
                "ended",
                f"{session.far.name}: {sent} octets sent, {received} received in {took:.3g} s",
                0,
                remote=session.far.name,
                sent=sent,
                received=received,
                duration_ns=int(took * 1e9),
                status=outcome.status,
            )


def _reset(client: Channel) -> None:
    """Close a client's connection by RST: what it came for failed, which is no end as usual."""
    sock = client.innermost.socket
    if sock is not None and sock.type == socket.SOCK_STREAM:
        with suppress(OSError):  # it is gone already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
    client.close()


def _set_options(side: Side, listener: BaseSocket) -> None:
    """Set on a socket that listens, or is bound, what its connections are to inherit."""
    if side.options is not None:
        from sockwright.nc.socket_options import set_options

        set_options(listener.socket, side.options)


def _opening(end: End) -> str:
    """Give what an error is about; that of a file says so itself."""
    return "" if isinstance(end, FileEnd) else f"open {end}"


def _client_name(end: SocketEnd, sock: socket.socket, address: SocketAddress) -> str:
    """Give what a client is called in messages."""
    if not address:
        return f"a client of {end}"
    return str(SocketEnd(endpoint_of(sock, address), tls=end.tls))


def _addresses(channel: Channel) -> tuple[str | None, str | None]:
    """Give the two addresses of a channel's socket, where it has one."""
    sock = channel.innermost.socket
    if sock is None:
        return None, None
    found: list[str | None] = []
    for ask in (sock.getsockname, sock.getpeername):
        try:
            found.append(str(endpoint_of(sock, ask())))
        except OSError:
            found.append(None)
    return found[0], found[1]


def _variables(peer: Channel | None) -> dict[str, str]:
    """Give what a program is told of the connection that it serves."""
    if peer is None:
        return {}
    from sockwright.nc.process import connection_variables
    from sockwright.sockets.endpoint import parse_endpoint

    local, remote = _addresses(peer)
    if local is None or remote is None:
        return {}
    return connection_variables(parse_endpoint(local), parse_endpoint(remote))

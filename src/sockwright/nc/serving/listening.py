"""The end of a job that others come to: connections, TLS, packets or datagrams.

Without -k the first who comes is the client, and nobody else is listened to any more. What goes
wrong with one of many is a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.errors import SockwrightError, UsageError
from sockwright.nc.channels.channel import SocketChannel
from sockwright.nc.channels.datagrams import Datagrams, MessageChannel
from sockwright.nc.ends import ExecEnd, PtyEnd, SocketEnd
from sockwright.nc.engine.outcome import outcome_of
from sockwright.nc.serving.acceptor import Acceptor, bind_here, listen_here
from sockwright.nc.serving.first_sender import FirstSender
from sockwright.nc.serving.glance import Glance
from sockwright.sockets.addresses import endpoint_of

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from sockwright.nc.access import Access
    from sockwright.nc.channels.channel import Channel
    from sockwright.nc.channels.datagrams import PeerChannel
    from sockwright.nc.engine.loop import Loop
    from sockwright.nc.engine.settings import Job, Side
    from sockwright.nc.engine.telling import Telling
    from sockwright.nc.serving.greeting import Greetings
    from sockwright.sockets.addresses import SocketAddress
    from sockwright.sockets.base import BaseSocket
    from sockwright.sockets.endpoint import Endpoint

__all__ = ["Listening"]

_PROGRAMS_OF_PEERS = 128  # at most, where nobody has to connect to have one started
_VSOCK_LOOPBACK = "1"  # VMADDR_CID_LOCAL, linux/vm_sockets.h
_HANDSHAKE = 30.0  # seconds that a client of a TLS listener may take for it, unless -w says


class Listening:
    """Lets clients in at `side` of `job`; each goes to `on_client(channel, left)`.

    `left()` is to be called at its end; an error out of `on_client` turns it away. `each` is how
    many descriptors a client takes. `on_crowd` is called with the datagram peer that is to leave
    when there are too many. `output` is set where all that clients say is written there, whoever
    they are; `on_output_failed` is called if that fails. `bound` is what datagrams come to.
    """

    def __init__(
        self,
        loop: Loop,
        job: Job,
        side: Side,
        telling: Telling,
        on_client: Callable[[Channel, Callable[[], None]], None],
        *,
        each: int,
        on_crowd: Callable[[PeerChannel], None],
        on_output_failed: Callable[[OSError], None],
    ) -> None:
        assert isinstance(side.end, SocketEnd)
        self.bound: str | None = None
        self.output: Channel | None = None
        self.on_crowd, self.on_output_failed = on_crowd, on_output_failed
        self._loop, self._job, self._telling = loop, job, telling
        self._side, self._end = side, side.end
        self._on_client, self._each = on_client, each
        self._keep = job.serving.keep
        self._listeners: list[Acceptor | BaseSocket | Greetings] = []

    def begin(self) -> None:
        """Listen.

        Raises:
            UsageError: not for everybody.
            OSError, SockwrightError: as `acceptor.listen_here`, as `nc.tls.options.server_context`.
        """
        endpoint = self._end.endpoint
        access = self._access()
        if endpoint.scheme == "udp" or endpoint.delivery == "datagram":
            self._begin_datagrams(access)
        else:
            self._begin_connections(access)

    def close(self) -> None:
        """Listen no more; those who have been let in stay."""
        for listener in self._listeners:
            listener.close()

    # -- connections -------------------------------------------------------------------------------

    def _begin_connections(self, access: Access | None) -> None:
        side, end = self._side, self._end
        context = self._context() if end.tls else None
        listener = listen_here(end.endpoint, self._job.serving.backlog, side.family)
        self._listeners.append(listener)
        _set_options(side, listener)
        self._check_program(listener.local_address)
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
            self._welcome(channel, acceptor.left)

        acceptor = Acceptor(
            self._loop,
            listener,
            self._job.serving,
            access,
            arrived,
            say=self._telling.note,
            each=self._each,
            tentative=end.tls,
        )
        self._listeners.append(acceptor)
        if context is not None:
            greetings = self._greetings(context, acceptor)
        output = self._plain_output()
        if output is not None:
            acceptor.glance = self._glance(listener, output)
        acceptor.start()
        self._telling.tell("listening", f"listening on {name}", 1, local=name)

    def _glance(
        self, listener: BaseSocket, output: Channel
    ) -> Callable[[int, SocketAddress], bytes | None]:
        """Give what looks at clients before sessions are made for them."""
        take = Glance(output, self._loop.buffer).take

        def look(client: int, address: SocketAddress) -> bytes | None:
            try:
                said = take(client)
            except OSError as error:
                self.on_output_failed(error)
                return None
            if isinstance(said, OSError):
                self._turn_away(_client_name(self._end, listener.socket, address), said)
                return None
            return said

        return look

    def _plain_output(self) -> Channel | None:
        """Give standard output, where all there is to do with a client is to write what it says."""
        job, side, end = self._job, self._side, self._end
        if end.tls or end.keeps_boundaries:
            return None
        shaped = side.crlf or side.telnet or job.limits.messages is not None
        if shaped or job.taps is not None or self._telling.lowest == 0:
            return None
        return self.output

    def _greetings(self, context: ssl.SSLContext, acceptor: Acceptor) -> Greetings:
        """Give what shakes hands with clients; without -k the first with whom it can is the one."""
        from sockwright.nc.serving.greeting import Greetings

        def done(channel: Channel) -> None:
            if not self._keep:
                acceptor.close()
                greetings.close()
            self._welcome(channel, acceptor.left)

        def failed(name: str, error: Exception) -> None:
            self._telling.tell(
                "refused", outcome_of(error, f"begin TLS with {name}").text, 2, remote=name
            )
            acceptor.left()

        seconds = self._job.limits.connect or _HANDSHAKE
        greetings = Greetings(self._loop, context, seconds, done, failed)
        self._listeners.append(greetings)
        return greetings

    def _context(self) -> ssl.SSLContext:
        from sockwright.nc.tls.options import TLSOptions, server_context

        host = self._end.endpoint.host
        names = [host] if host not in {"", "*"} else []
        context, made = server_context(self._side.tls or TLSOptions(), names)
        if made is not None:
            self._telling.tell(
                "note", f"made a certificate for this run, its fingerprint is {made}", 1
            )
        return context

    # -- datagrams ---------------------------------------------------------------------------------

    def _begin_datagrams(self, access: Access | None) -> None:
        side, end = self._side, self._end
        bound = bind_here(end.endpoint, side.family)
        self._listeners.append(bound)
        _set_options(side, bound)
        sock = bound.socket
        sock.setblocking(False)
        self._check_program(bound.local_address)
        name = self.bound = str(bound.local_address)
        self._telling.tell("listening", f"listening on {name}", 1, local=name)

        def name_of(address: SocketAddress) -> str:
            return _client_name(end, sock, address)

        def allowed(address: SocketAddress) -> bool:
            if access is None or end.endpoint.scheme != "udp":
                return True
            why = access.refusal(str(address[0]).partition("%")[0])
            if why:
                self._telling.tell("refused", f"refused {name_of(address)}: {why}", 2)
            return not why

        if self._keep:

            def arrived(peer: PeerChannel) -> None:
                self._telling.tell("connected", f"{peer.name} has sent a first datagram", 0)
                self._admit(peer, lambda: None)

            server = Datagrams(
                self._loop, sock, name_of, arrived, self.on_crowd, most=self._most_peers()
            )
            server.allowed = allowed
            return

        def first(channel: MessageChannel) -> None:
            channel.on_stranger = lambda other: self._telling.note(
                f"datagrams of {name_of(other)} are dropped: "
                f"{channel.name} came first (-k serves many)"
            )
            self._admit(channel, lambda: None)

        def unanswerable(name: str, error: OSError) -> None:
            self._telling.note(outcome_of(error, f"answer {name}").text)

        FirstSender(self._loop, sock, name_of, first, unanswerable, allowed=allowed)

    def _most_peers(self) -> int:
        """Return how many peers of a socket for datagrams are served at once."""
        from sockwright.nc.serving.capacity import room_for

        most = self._job.serving.max_connections
        if any(isinstance(one.end, ExecEnd | PtyEnd) for one in (self._job.near, self._job.far)):
            most = min(most, _PROGRAMS_OF_PEERS)
        each = self._each - 1  # the peers themselves share one
        return room_for(most, each)[0] if each else most

    # -- who may come ------------------------------------------------------------------------------

    def _access(self) -> Access | None:
        serving = self._job.serving
        if not (serving.allow or serving.deny):
            return None
        from sockwright.nc.access import access_to

        return access_to(self._end.endpoint.scheme, serving.allow, serving.deny)

    def _check_program(self, local: Endpoint) -> None:
        """Refuse to start programs for just anybody, by the address that is really listened on."""
        job, tls = self._job, self._side.tls
        if not any(isinstance(one.end, ExecEnd | PtyEnd) for one in (job.near, job.far)):
            return
        from sockwright.nc.programs.process import may_serve

        certificates = tls is not None and tls.client_ca is not None
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

    def _welcome(self, channel: Channel, left: Callable[[], None]) -> None:
        """Tell of a client that is there, and serve it."""
        if self._telling.lowest == 0:
            self._telling.tell("connected", f"{channel.name} has connected", 0, remote=channel.name)
        self._admit(channel, left)

    def _admit(self, channel: Channel, left: Callable[[], None]) -> None:
        """Serve a client; if that cannot be, it is turned away with a line."""
        try:
            self._on_client(channel, left)
        except (OSError, SockwrightError) as error:
            channel.close()
            if not self._keep:
                raise
            self._turn_away(channel.name, error)
            left()

    def _turn_away(self, name: str, error: Exception) -> None:
        outcome = outcome_of(error, f"serve {name}")
        self._telling.tell("failed", outcome.text, 2, remote=name, status=outcome.status)


def _set_options(side: Side, listener: BaseSocket) -> None:
    """Set on a socket that listens, or is bound, what its connections are to inherit."""
    if side.options is not None:
        from sockwright.nc.opening.socket_options import set_options

        set_options(listener.socket, side.options)


def _client_name(end: SocketEnd, sock: socket.socket, address: SocketAddress) -> str:
    """Give what a client is called in messages."""
    if not address:
        return f"a client of {end}"
    return str(SocketEnd(endpoint_of(sock, address), tls=end.tls))

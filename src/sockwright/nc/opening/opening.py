"""Open an end of a job within the loop: names, addresses, the proxy, TLS, one after the other.

Several addresses of a name are tried as RFC 8305 (Happy Eyeballs) has it: the next is started when
one fails, or after 250 ms, and the first that answers is taken.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from sockwright.errors import EndpointError, NotPossibleError, SockwrightError
from sockwright.nc.channels.channel import Channel, SocketChannel
from sockwright.nc.channels.datagrams import MessageChannel
from sockwright.nc.channels.descriptors import file_channel, sink_channel
from sockwright.nc.ends import DiscardEnd, ExecEnd, FileEnd, PtyEnd, SocketEnd
from sockwright.nc.engine.outcome import Outcome, outcome_of
from sockwright.nc.opening.shared import Shared
from sockwright.sockets.addresses import candidates, needs_lookup
from sockwright.sockets.explain import PATH_REFUSED, explained
from sockwright.sockets.privileges import Capability

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.engine.loop import Loop, Timer
    from sockwright.nc.engine.settings import Limits, Side
    from sockwright.sockets.addresses import Candidate
    from sockwright.sockets.endpoint import Endpoint

__all__ = ["Opening", "begin_file", "check_file", "open_here"]

_STAGGER = 0.25  # seconds, "Connection Attempt Delay" of RFC 8305 section 8
_FULL = 0.02  # seconds until a full backlog of a unix(7) listener is tried again
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def open_here(side: Side, variables: dict[str, str]) -> Channel:
    """Open an end that is no socket and not standard input and output.

    `variables` tell a program of the connection that it is joined to.

    Raises:
        OSError, SockwrightError: it cannot be opened.
    """
    end = side.end
    if isinstance(end, ExecEnd | PtyEnd):
        from sockwright.nc.programs.process_channel import open_process

        return open_process(end.words, pty=isinstance(end, PtyEnd), environment=variables)
    if isinstance(end, FileEnd):
        return _file(end, side)
    if isinstance(end, DiscardEnd):
        return sink_channel(os.devnull, name=str(end))
    raise NotPossibleError(f"{end} cannot be opened here")


def check_file(side: Side) -> None:
    """Look whether a file that is to be made is there already, before anybody is waited for.

    Raises:
        OSError: EEXIST.
    """
    from sockwright.nc.taps.output import refuse_existing

    if isinstance(side.end, FileEnd) and side.writes == "new":
        try:
            refuse_existing(side.end.path)
        except OSError as error:
            raise _about(side.end, error) from error


def begin_file(side: Side) -> Side:
    """Make or empty the file of a side, if it is one, and give the side that goes on at its end.

    A FIFO or device is left alone: closing it again would be an end to its reader.

    Raises:
        OSError: as `open_here`.
    """
    if not isinstance(side.end, FileEnd) or side.writes not in {"new", "anew"}:
        return side
    path = side.end.path
    if os.path.isfile(path) or not os.path.exists(path):
        _file(side.end, side).close()
    return replace(side, writes="append")


def _about(end: FileEnd, error: OSError) -> OSError:
    # What the kernel says of files needs no guess at a cause, as that of sockets does.
    return OSError(error.errno, f"open {end}: {error.strerror}")


def _file(end: FileEnd, side: Side) -> Channel:
    try:
        if side.writes is None:
            device = stat.S_ISCHR(os.stat(end.path).st_mode)
            return file_channel(end.path, reads=True, writes=device, waits=False)
        how = side.writes
        return sink_channel(end.path, force=how == "anew", append=how == "append", waits=False)
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(os.stat(end.path).st_mode):
            raise OSError(errno.ENXIO, f"open {end}: nobody reads this FIFO (ENXIO)") from error
        raise _about(end, error) from error


def _hint(target: Endpoint, error: OSError) -> str:
    """Give what is behind EACCES, where it is no route."""
    if error.errno != errno.EACCES:
        return ""
    if target.scheme == "udp":
        return "datagrams to a broadcast address want -b"
    return PATH_REFUSED if target.scheme == "unix" else ""


def _source(local: Endpoint) -> str:
    """Give what is connected from as the line has it, and by which flag."""
    if local.scheme in {"unix", "unix-abstract", "vsock"}:
        return f"{local} (-s)"
    if local.host in {"", "*"}:
        return f"port {local.port} (-p)"
    return f"{local} (-s, -p)" if local.port else f"{local.host} (-s)"


class _NotReadyError(Exception):
    """A socket of ours could not be made ready to connect: the peer has no part in that."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome


class Opening:
    """Connects to the socket of `side`; then calls `on_open(channel)` or `on_error(outcome)`, once.

    `limits.connect` covers all of it: lookup, addresses, proxy, TLS. `shared` is what openings have
    in common where there are many.
    """

    def __init__(
        self, loop: Loop, side: Side, limits: Limits,
        on_open: Callable[[Channel], None], on_error: Callable[[Outcome], None],
        *, shared: Shared | None = None,
    ) -> None:  # fmt: skip
        assert isinstance(side.end, SocketEnd)
        self._loop, self._side, self._end = loop, side, side.end
        self._on_open, self._on_error = on_open, on_error
        self._shared = shared or Shared(loop)
        self._target: Endpoint = side.proxy.endpoint if side.proxy else self._end.endpoint
        self._ways: list[Candidate] = []
        self._trying: dict[int, socket.socket] = {}
        self._next: Timer | None = None
        self._limit: Timer | None = None
        self._last: OSError | SockwrightError | _NotReadyError | None = None
        self._over = False
        self._stage: Channel | socket.socket | None = None
        if limits.connect is not None:
            seconds = limits.connect
            self._limit = loop.later(seconds, lambda: self._too_late(seconds))

    def start(self) -> None:
        """Begin."""
        if needs_lookup(self._target):
            if self._side.numeric:
                self._fail(Outcome(2, f"{self._target.host} is a name, and -n takes none"))
                return
            self._shared.look_up(self._target, self._looked_up)
            return
        try:
            ways = candidates(self._target)
        except (OSError, SockwrightError) as error:
            self._fail(outcome_of(error))
            return
        self._looked_up(ways)

    def cancel(self) -> None:
        """Give it up, without a word."""
        self._over = True
        self._shared.forget(self._target, self._looked_up)
        for timer in (self._limit, self._next):
            if timer is not None:
                timer.cancel()
        self._give_up_trying()
        stage, self._stage = self._stage, None
        if isinstance(stage, socket.socket):
            self._loop.unwatch(stage.fileno())
        if stage is not None:
            stage.close()

    def _give_up_trying(self) -> None:
        for descriptor, sock in self._trying.items():
            self._loop.unwatch(descriptor)
            sock.close()
        self._trying.clear()

    def _fail(self, outcome: Outcome) -> None:
        if not self._over:
            self.cancel()
            self._on_error(outcome)

    def _too_late(self, seconds: float) -> None:
        proxy, who, cause = self._side.proxy, "", ""
        if proxy is not None and self._stage is None:
            who = f" of the proxy {proxy}"
        elif proxy is not None and isinstance(self._stage, socket.socket):
            # One that speaks something else waits for us to go on, as we do for it.
            other = "-X 5 is SOCKS5" if proxy.kind == "http" else "-X connect is HTTP"
            who = f" of the proxy {proxy}"
            cause = f": it is connected, does it speak {proxy.kind.upper()}? ({other})"
        text = f"connect to {self._end}: no answer{who} within {seconds:g} s (-w){cause}"
        self._fail(Outcome(3, text))

    # -- addresses ---------------------------------------------------------------------------------

    def _looked_up(self, ways: list[Candidate] | Exception) -> None:
        if self._over:
            return
        if isinstance(ways, Exception):
            self._fail(outcome_of(ways))
            return
        wanted = _FAMILIES.get(self._side.family)
        self._ways = [way for way in ways if wanted in {None, way.family}]
        if not self._ways:
            self._fail(Outcome(1, f"{self._target} has no address of IPv{self._side.family}"))
            return
        self._try_next()

    def _try_next(self) -> None:
        """Start the next address; when there is none and none is under way, it has failed."""
        while not self._over and self._ways:
            way = self._ways.pop(0)
            try:
                started = self._try(way)
            except (OSError, SockwrightError, _NotReadyError) as error:
                self._last = error
                continue
            if not started:
                self._ways.insert(0, way)
                self._try_next_in(_FULL)
            elif self._ways:
                self._try_next_in(_STAGGER)
            return
        if self._over or self._trying or self._last is None:
            return
        if isinstance(self._last, _NotReadyError):
            self._fail(self._last.outcome)
        else:
            proxy = "the proxy " if self._side.proxy else ""
            hint = _hint(self._target, self._last) if isinstance(self._last, OSError) else ""
            self._fail(outcome_of(self._last, f"connect to {proxy}{self._target}", hint))

    def _try_next_in(self, seconds: float) -> None:
        if self._next is not None:
            self._next.cancel()  # the one before has failed early
        self._next = self._loop.later(seconds, self._try_next)

    def _try(self, way: Candidate) -> bool:
        """Begin to connect; False: a unix(7) listener has a full backlog, and nothing was begun."""
        sock = way.open()
        try:
            sock.setblocking(False)
            self._make_ready(sock, way)
            code = sock.connect_ex(way.address)
            if code == errno.EAGAIN:
                sock.close()
                return False
            if code not in {0, errno.EINPROGRESS}:
                raise OSError(code, os.strerror(code))  # noqa: TRY301 - as connect(2) would
        except BaseException:
            sock.close()
            raise
        descriptor = sock.fileno()
        self._trying[descriptor] = sock
        if code == 0:
            self._connected(descriptor)
        else:
            self._loop.watch(descriptor, lambda _: self._answered(descriptor), select.EPOLLOUT)
        return True

    def _make_ready(self, sock: socket.socket, way: Candidate) -> None:
        """Set options and bind; errors of that are not called errors of connecting."""
        try:
            if self._side.options is not None:
                from sockwright.nc.opening.socket_options import set_options

                set_options(sock, self._side.options)
            self._bind(sock, way)
        except OSError as error:
            raise _NotReadyError(outcome_of(error)) from error

    def _bind(self, sock: socket.socket, way: Candidate) -> None:
        local = self._side.local
        if local is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            here = [c for c in candidates(local, passive=True) if c.family == way.family]
            if not here:
                raise EndpointError(f"{local} is of another family than {self._target}")
            try:
                sock.bind(here[0].address)
            except OSError as error:
                low = 0 < local.port < 1024 and local.scheme != "vsock"
                needs = Capability.CAP_NET_BIND_SERVICE if low else None
                raise explained(error, f"bind to {_source(local)}", needs=needs) from error
        elif way.family == socket.AF_UNIX and sock.type == socket.SOCK_DGRAM:
            sock.bind("")  # an abstract name of the kernel's choice, so that it can be answered

    def _answered(self, descriptor: int) -> None:
        sock = self._trying[descriptor]
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            try:
                sock.getpeername()
            except OSError:  # an event for what had this number before: no answer yet
                return
            self._loop.unwatch(descriptor)
            self._connected(descriptor)
            return
        self._loop.unwatch(descriptor)
        del self._trying[descriptor]
        sock.close()
        self._last = OSError(code, os.strerror(code))
        self._try_next()

    def _connected(self, descriptor: int) -> None:
        sock = self._trying.pop(descriptor)
        self._give_up_trying()
        self._ways.clear()
        if self._side.proxy is not None:
            self._stage = sock
            self._through_proxy(sock)
        else:
            self._secure(sock, b"")

    # -- the proxy ---------------------------------------------------------------------------------

    def _through_proxy(self, sock: socket.socket) -> None:
        from sockwright.nc.proxy import handshake

        assert self._side.proxy is not None
        descriptor = sock.fileno()
        try:
            machine = handshake(self._side.proxy, self._end.endpoint)
            sock.send(machine.to_send())
        except (OSError, SockwrightError) as error:
            self._fail(outcome_of(error, f"ask the proxy {self._target}"))
            return

        def answered(_events: int) -> None:
            try:
                with suppress(BlockingIOError):
                    machine.receive(sock.recv(4096))
                if octets := machine.to_send():
                    sock.send(octets)
            except (OSError, SockwrightError) as error:
                self._loop.unwatch(descriptor)
                self._fail(outcome_of(error, f"ask the proxy {self._target}"))
                return
            if machine.done:
                self._loop.unwatch(descriptor)
                self._secure(sock, machine.rest)

        self._loop.watch(descriptor, answered, select.EPOLLIN)

    # -- TLS ---------------------------------------------------------------------------------------

    def _secure(self, sock: socket.socket, first: bytes) -> None:
        self._stage = None
        if not self._end.tls:
            self._opened(self._plain(sock, first))
            return
        from sockwright.nc.tls.channel import TLSChannel
        from sockwright.nc.tls.options import TLSOptions, name_to_verify

        options, host = self._side.tls or TLSOptions(), self._end.endpoint.host
        try:
            secure = TLSChannel.connecting(
                sock,
                str(self._end),
                self._shared.context(options),
                host,
                server_name=name_to_verify(options, host),
                received=first,
            )
        except (OSError, SockwrightError) as error:
            sock.close()
            self._fail(outcome_of(error))
            return
        self._stage = secure
        secure.handshake(
            self._loop,
            lambda: self._opened(secure),
            lambda error: self._fail(outcome_of(error, f"begin TLS with {self._end}")),
        )

    def _plain(self, sock: socket.socket, first: bytes) -> Channel:
        if sock.type != socket.SOCK_STREAM:
            return MessageChannel(sock, str(self._end))
        return SocketChannel(sock, str(self._end), pushed=first)

    def _opened(self, channel: Channel) -> None:
        self._stage = None
        if self._over:
            channel.close()
            return
        self.cancel()
        self._on_open(channel)

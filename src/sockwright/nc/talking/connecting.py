"""How conversations begin: ends opened, proxies asked, TLS agreed, peers let in.

What waits is steps, or functions that the two kinds of conversations bring themselves: connecting
is that of `sockwright.sockets` and of its `aio`.
"""

from __future__ import annotations

import os
import socket
import stat
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sockwright.errors import EndpointError, TLSError, UsageError
from sockwright.nc.ends import (
    DiscardEnd,
    EchoEnd,
    End,
    ExecEnd,
    FileEnd,
    PtyEnd,
    SocketEnd,
    StandardEnd,
    parse_end,
)
from sockwright.nc.talking.carrier import (
    GO_ON,
    Carrier,
    ChannelCarrier,
    MessageCarrier,
    Pause,
    SocketCarrier,
)
from sockwright.sockets.addresses import candidates, endpoint_of
from sockwright.sockets.datagram_socket import Datagram, open_datagram
from sockwright.sockets.endpoint import Endpoint
from sockwright.sockets.explain import explaining

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

    from sockwright.machines.handshake import Handshake
    from sockwright.nc.access import Access
    from sockwright.nc.proxy import Proxy
    from sockwright.nc.talking.carrier import Steps
    from sockwright.nc.tls.options import TLSOptions
    from sockwright.sockets.addresses import SocketAddress
    from sockwright.sockets.base import BaseSocket
    from sockwright.sockets.datagram_socket import DatagramCore
    from sockwright.sockets.stream_socket import Listener

__all__ = [
    "DatagramDoor",
    "Door",
    "Place",
    "Route",
    "StreamDoor",
    "TLSWish",
    "answerable",
    "keeps_datagrams",
    "name_to_verify",
    "not_before_tls",
    "open_door",
    "plain_carrier",
    "process_carrier",
    "server_tls",
    "socket_carrier",
    "starting_tls",
    "starting_tls_as_server",
    "to_end",
    "to_program",
    "to_route",
    "wanted_tls",
    "wrapped",
]

D = TypeVar("D", bound="DatagramCore")
Place: TypeAlias = End | Endpoint | str
"""What `connect` takes: a text, an `Endpoint`, or one of the ends of `sockwright.nc.ends`."""
TLSWish: TypeAlias = "TLSOptions | bool | None"
# How many datagrams a listener looks through at once for those of a new peer.
_MOST_WAITING = 4096


@dataclass(frozen=True, slots=True)
class Route:
    """How an end is reached: `first` is what the socket connects to, None where none is needed."""

    end: End
    first: Endpoint | None
    tls: TLSOptions | None
    proxy: Proxy | None

    @property
    def handshake_looks_up(self) -> bool:
        """Whether `handshake` asks the resolver: plain SOCKS4 knows no names."""
        if self.proxy is None or not isinstance(self.end, SocketEnd):
            return False
        from sockwright.nc.proxy import needs_lookup

        return needs_lookup(self.proxy, self.end.endpoint)

    def handshake(self) -> Handshake | None:
        """Give the machine that talks to the proxy, None where there is no proxy."""
        if self.proxy is None or not isinstance(self.end, SocketEnd):
            return None
        from sockwright.nc.proxy import handshake

        return handshake(self.proxy, self.end.endpoint)

    def agreeing(self, carrier: Carrier, machine: Handshake | None) -> Steps[Carrier]:
        """Talk to the proxy and begin TLS, as far as either is wanted.

        Raises:
            ProxyError: the proxy refuses.
            TLSError: the handshake failed, or the certificate is not trusted.
        """
        early = b""
        if machine is not None:
            early = yield from _asking(machine, carrier)
        if self.tls is not None:
            return (yield from starting_tls(carrier, self.tls, name_to_verify(self.end), early))
        if early:
            return _Preceded(carrier, early)
        return carrier


def to_end(place: Place) -> End:
    """Give the end that `place` means.

    Raises:
        EndpointError: it is not well formed.
        TypeError: it is neither text nor an end.
    """
    if isinstance(place, str):
        return parse_end(place)
    if isinstance(place, Endpoint):
        return SocketEnd(place)
    if not isinstance(place, End):
        raise TypeError(f"an endpoint is text such as 'tcp://127.0.0.1:80', not {place!r}")
    return place


def to_route(place: Place, tls: TLSWish, proxy: Proxy | str | None) -> Route:
    """Check what `connect` was asked for.

    Raises:
        EndpointError: it is not well formed, does not fit together, or nobody can be there.
    """
    end = to_end(place)
    options = wanted_tls(end, tls)
    if proxy is not None:
        from sockwright.nc.proxy import parse_proxy

        if isinstance(proxy, str):
            proxy = parse_proxy(proxy)
        if not isinstance(end, SocketEnd):
            raise EndpointError(f"{end} is not reached through a proxy")
        return Route(end, proxy.endpoint, options, proxy)
    if isinstance(end, SocketEnd) and end.endpoint.scheme == "unix" and not end.endpoint.path:
        raise EndpointError("a path is missing behind unix: as in unix:/run/app.sock")
    return Route(end, end.endpoint if isinstance(end, SocketEnd) else None, options, None)


def wanted_tls(end: End, tls: TLSWish) -> TLSOptions | None:
    """Give the options of TLS, None where none is wanted: ``tls:`` and `tls` both ask for it.

    Raises:
        EndpointError: one asks for it and the other refuses, or there is nothing to put it on.
    """
    asked = isinstance(end, SocketEnd) and end.tls
    if asked and tls is False:
        raise EndpointError(f"{end} is TLS, and tls=False wants none: write tcp:")
    if not asked and not tls:
        return None
    if not isinstance(end, SocketEnd) or end.keeps_boundaries:
        raise EndpointError(f"there is no TLS over {end}")
    from sockwright.nc.tls.options import TLSOptions

    return tls if isinstance(tls, TLSOptions) else TLSOptions()


def server_tls(end: End, tls: TLSWish) -> tuple[ssl.SSLContext | None, str | None]:
    """Give the context of a listener, and the fingerprint of the certificate if one was made.

    Raises:
        EndpointError: as `wanted_tls`.
        TLSError: the certificate or its key cannot be used.
    """
    options = wanted_tls(end, tls)
    if options is None:
        return None, None
    from sockwright.nc.tls.options import server_context

    assert isinstance(end, SocketEnd)
    host = end.endpoint.host
    return server_context(options, () if host in {"", "*"} else (host,))


def keeps_datagrams(endpoint: Endpoint) -> bool:
    """Whether `endpoint` is reached by a datagram socket."""
    return endpoint.scheme == "udp" or endpoint.delivery == "datagram"


def to_program(words: Sequence[str], *, pty: bool) -> ExecEnd | PtyEnd:
    """Give the end that a program is.

    Raises:
        TypeError: the words are one text, or not text.
        ValueError: there are none.
    """
    if isinstance(words, str):
        raise TypeError(f"a program and its arguments are a list of words, not the text {words!r}")
    program = tuple(words)
    if wrong := [word for word in program if not isinstance(word, str)]:
        raise TypeError(f"a word of a command is text, not {wrong[0]!r}")
    if not program:
        raise ValueError("there is no program: the list of its words is empty")
    return PtyEnd(program) if pty else ExecEnd(program)


def plain_carrier(
    end: End,
    *,
    reads: bool = True,
    writes: bool = True,
    force: bool = False,
    append: bool = False,
) -> Carrier:
    """Open an end that is no socket.

    A file is read and not written, a device or FIFO both. With `reads` or `writes` False (a side of
    `relay`) it is opened for the other only, and what would go the way that is not there is lost;
    `force` and `append` open a file to be written only, too. Else it must not be there.

    Raises:
        EndpointError: `force` or `append` of what is no file.
        NotPossibleError: there is no such program.
        OSError: EEXIST, the file is there; it cannot be opened.
    """
    if (force or append) and not isinstance(end, FileEnd):
        raise EndpointError(f"{end} is no file that could be written over or appended to")
    if isinstance(end, ExecEnd | PtyEnd):
        return process_carrier(end)
    from sockwright.nc.channels.descriptors import DescriptorChannel, file_channel, standard_channel

    if isinstance(end, StandardEnd):
        channel = standard_channel()
        reading, writing = max(channel.source, 0), channel.sink if channel.sink >= 0 else 1
        return ChannelCarrier(channel, reading, writing, ends=False)
    if isinstance(end, FileEnd):
        if force or append or not reads:
            return _written(end, force=force, append=append)
        both = writes and not _is_regular(end.path)
        channel = file_channel(end.path, reads=True, writes=both)
        return ChannelCarrier(
            channel, channel.source, channel.sink, sends=both, drops=not writes, ends=both
        )
    if isinstance(end, EchoEnd):
        channel = DescriptorChannel(*os.pipe(), "echo:", owns=True)
        return ChannelCarrier(channel, channel.source, channel.sink)
    assert isinstance(end, DiscardEnd)
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    channel = DescriptorChannel(nothing, nothing, "discard:", owns=True)
    return ChannelCarrier(channel, channel.source, channel.sink)


def _written(end: FileEnd, *, force: bool, append: bool) -> Carrier:
    """Open a file to write to it."""
    from sockwright.nc.channels.descriptors import sink_channel

    try:
        channel = sink_channel(end.path, force=force, append=append)
    except FileExistsError as error:
        remedy = "it is there already; force=True begins it anew, append=True goes on at its end"
        raise FileExistsError(error.errno, remedy, end.path) from error
    return ChannelCarrier(channel, -1, channel.sink, receives=False)


def process_carrier(end: ExecEnd | PtyEnd, variables: Mapping[str, str] | None = None) -> Carrier:
    """Start a program.

    Raises:
        NotPossibleError: there is none of this name.
    """
    from sockwright.nc.programs.process import start
    from sockwright.nc.talking.carrier import ProcessCarrier

    process = start(end.words, pty=isinstance(end, PtyEnd), variables=variables)
    return ProcessCarrier(process, str(end))


def socket_carrier(base: BaseSocket, name: str) -> SocketCarrier:
    """Give the carrier for a connected socket of any kind."""
    if base.socket.type == socket.SOCK_STREAM:
        return SocketCarrier(base, name)
    return MessageCarrier(base, name)


def wrapped(sock: socket.socket) -> BaseSocket:
    """Give the class of this package that fits a socket."""
    from sockwright.sockets.stream_socket import Seqpacket, Stream

    if sock.type == socket.SOCK_STREAM:
        return Stream(sock)
    return Seqpacket(sock) if sock.type == socket.SOCK_SEQPACKET else Datagram(sock)


def answerable(base: D) -> D:
    """Give a UNIX datagram socket a name, chosen by the kernel, so that its peer can answer."""
    if base.socket.family == socket.AF_UNIX and not base.socket.getsockname():
        base.socket.bind("")  # autobind, unix(7)
    return base


def starting_tls(
    carrier: Carrier, options: TLSOptions, name: str, early: bytes = b""
) -> Steps[Carrier]:
    """Begin TLS as a client; `name` is what is verified, `early` what has come already.

    Raises:
        TLSError: the handshake failed, or the certificate is not trusted.
        UsageError: there is no name that could be verified.
    """
    from sockwright.nc.tls.carrier import TLSCarrier
    from sockwright.nc.tls.options import client_context

    asked = options.server_name or name
    if not asked and options.verify and options.fingerprint is None:
        raise UsageError(
            f"{carrier.name} has no name to verify: say which, TLSOptions(server_name=...)"
        )
    context = client_context(options)
    secure = TLSCarrier(carrier, context, server_name=asked or None, early=early)
    while (pause := secure.handshake()) is not None:
        yield pause
    return secure


def starting_tls_as_server(
    carrier: Carrier, options: TLSOptions
) -> Steps[tuple[Carrier, str | None]]:
    """Begin TLS as a server; gives the fingerprint of the certificate too, if one was made.

    Raises:
        TLSError: the handshake failed, the certificate or its key cannot be used.
    """
    from sockwright.nc.tls.carrier import TLSCarrier
    from sockwright.nc.tls.options import server_context

    names = []
    with suppress(OSError):  # a program has no address
        names = [host for host in (carrier.local_address.host,) if host]
    context, fingerprint = server_context(options, names)
    secure = TLSCarrier(carrier, context, server_side=True)
    while (pause := secure.handshake()) is not None:
        yield pause
    return secure, fingerprint


def _asking(machine: Handshake, carrier: Carrier) -> Steps[bytes]:
    """Let the proxy connect; give what came behind its answer."""
    while not machine.done:
        rest = memoryview(machine.to_send())
        if not rest:
            while isinstance(octets := carrier.receive(65536), Pause):
                yield octets
            machine.receive(octets)
        while rest:
            sent = carrier.send(rest)
            if isinstance(sent, Pause):
                yield sent
            else:
                rest = rest[sent:]
    return machine.rest


class _Preceded(SocketCarrier):
    """A socket of which some octets have been received already."""

    def __init__(self, carrier: Carrier, early: bytes) -> None:
        assert isinstance(carrier, SocketCarrier)
        super().__init__(carrier.base, carrier.name)
        self._early = early

    def receive(self, limit: int) -> bytes | Pause:
        """Receive; what came before comes first."""
        if self._early:
            octets, self._early = self._early[:limit], self._early[limit:]
            return octets
        return super().receive(limit)


def name_to_verify(end: End) -> str:
    """Give the name that the certificate of `end` must have, none where it has no name."""
    if not isinstance(end, SocketEnd) or end.endpoint.scheme != "tcp":
        return ""
    return end.endpoint.host or "localhost"


def _is_regular(path: str) -> bool:
    return stat.S_ISREG(os.stat(path).st_mode)


# -- listening ------------------------------------------------------------------------------------


class StreamDoor:
    """Lets connections in, of `Stream` or `Seqpacket`.

    Peers that `access` keeps out are closed; `refused` is how many.
    """

    def __init__(self, listener: Listener[Any], access: Access | None = None) -> None:
        self.base = listener
        self.refused = 0
        self._access = access
        listener.socket.setblocking(False)
        self._until_readable = Pause(((listener.fileno(), "read"),))

    def accept(self) -> Carrier | Pause:
        """Let the next peer in, if one waits.

        Raises:
            OSError: EMFILE, this process has too many open descriptors: close some, go on.
        """
        while True:
            try:
                accepted, address = self.base.socket.accept()
            except BlockingIOError:
                return self._until_readable
            except ConnectionAbortedError:
                continue  # it went before we came
            except OSError as error:
                raise self.base._error("accept", error) from error  # noqa: SLF001 - as `Carrier`
            if self._access is not None and not self._access.allows(address[0]):
                accepted.close()
                self.refused += 1
                return GO_ON  # however many come, a time limit counts
            connection = self.base.kind(accepted)
            return socket_carrier(connection, _peer_name(connection, self.base.local_address))


class DatagramDoor:
    """Makes a conversation of each peer that sends datagrams to one UDP port.

    Each gets a socket of its own, on the same port and connected to the peer, so that the kernel
    sorts the datagrams (SO_REUSEPORT, socket(7)). Between binding and connecting it may be given
    those of others, and the door some of the peer's; both are put where they belong. Those of peers
    that `access` keeps out are dropped; `refused` is how many datagrams.
    """

    def __init__(self, base: Datagram, access: Access | None = None) -> None:
        self.base = base
        self.refused = 0
        self._access = access
        base.socket.setblocking(False)
        base.reuse_port = True  # only now: two listeners on one port are an error as ever
        self._until_readable = Pause(((base.fileno(), "read"),))
        self._waiting: deque[tuple[bytes, SocketAddress]] = deque()

    def accept(self) -> Carrier | Pause:
        """Begin a conversation with the next peer that has sent something."""
        if len(self._waiting) < _MOST_WAITING:
            self._take_from(self.base)
        if not self._waiting:
            return self._until_readable
        peer = self._waiting[0][1]
        local = self.base.socket
        with explaining(f"accept on {self.base.local_address}"):
            sock = socket.socket(local.family, local.type, local.proto)
        opened = Datagram(sock)
        try:
            opened.reuse_port = True
            if sock.family == socket.AF_INET6:
                only = local.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
            sock.setblocking(False)
            sock.bind(local.getsockname())
            sock.connect(peer)
            opened.watch_errors()
        except OSError as error:
            sock.close()
            self._waiting.popleft()
            where = endpoint_of(local, peer)
            raise self.base._error(f"connect to {where}", error) from error  # noqa: SLF001 - as `Carrier`
        self._take_from(self.base)
        self._take_from(opened)
        early = [octets for octets, sender in self._waiting if sender == peer]
        self._waiting = deque(item for item in self._waiting if item[1] != peer)
        return MessageCarrier(opened, str(endpoint_of(local, peer)), early)

    def _take_from(self, base: Datagram) -> None:
        with suppress(BlockingIOError):
            for _ in range(_MOST_WAITING):
                octets, sender = base.socket.recvfrom(65535)
                if self._access is None or self._access.allows(sender[0]):
                    self._waiting.append((octets, sender))
                else:
                    self.refused += 1


Door: TypeAlias = StreamDoor | DatagramDoor


def open_door(place: Place, backlog: int, access: Access | None = None) -> Door:
    """Open what listens on `place`, for those whom `access` lets in; a name may take time.

    Raises:
        EndpointError: nobody can listen there, or its peers have no addresses to be told by.
        PermissionError, OSError: as `sockwright.sockets.listen`.
    """
    from sockwright.sockets.stream_socket import Seqpacket, Stream, listen

    end = to_end(place)
    if not isinstance(end, SocketEnd):
        raise EndpointError(f"{end} is no socket: nobody can connect to it")
    endpoint = end.endpoint
    if access is not None and endpoint.scheme not in {"tcp", "udp"}:
        raise EndpointError(
            f"{endpoint}: its peers have no IP addresses, so access= keeps none out"
        )
    if endpoint.scheme == "udp":
        ways = candidates(endpoint, passive=True, delivery="datagram")
        return DatagramDoor(open_datagram(Datagram, endpoint, None, ways, []), access)
    if endpoint.delivery == "datagram":
        raise EndpointError(
            f"{endpoint}: datagrams of UNIX sockets have no connections to accept; receive them "
            "from all peers by sockwright.datagram()"
        )
    kind = Seqpacket if endpoint.delivery == "seqpacket" else Stream
    return StreamDoor(listen(endpoint, kind, backlog=backlog), access)


def _peer_name(connection: BaseSocket, local: Endpoint) -> str:
    """Name a peer by its address, or one without a name by the place that it came to."""
    with suppress(OSError):
        remote = connection.remote_address
        if remote.path or remote.scheme not in {"unix", "unix-abstract"}:
            return str(remote)
    return f"a client of {local}"


def not_before_tls(pending: int, name: str) -> None:
    """Refuse to begin TLS behind octets in plain text, which anybody may have put there.

    Raises:
        TLSError: there are some.
    """
    if pending:
        raise TLSError(
            f"{name} sent {pending} octets before TLS began; someone on the way may have put them "
            "there, to be taken for the peer's"
        )

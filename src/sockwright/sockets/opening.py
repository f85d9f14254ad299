"""Steps that the blocking and the asyncio functions share when they open a socket."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar

from sockwright.errors import EndpointError, NotPossibleError
from sockwright.sockets.addresses import Candidate
from sockwright.sockets.base import BaseSocket
from sockwright.sockets.explain import PATH_REFUSED, explained, explaining
from sockwright.sockets.privileges import Capability

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from sockwright.sockets.addresses import SocketAddress
    from sockwright.sockets.endpoint import Delivery, Endpoint, Scheme

__all__ = ["STREAM_SCHEMES", "Attempts", "bound", "listening", "open_candidate", "with_delivery"]

STREAM_SCHEMES: tuple[Scheme, ...] = ("tcp", "unix", "unix-abstract", "vsock")
"""What can be connected to, or listened on."""

B = TypeVar("B", bound=BaseSocket)

# What one address of a name may fail with while the next may still work.
_TRY_NEXT = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}


def with_delivery(endpoint: Endpoint, delivery: Delivery) -> Endpoint:
    """Hold an endpoint of UNIX or vsock to one type of socket: fill it in, or refuse another.

    Raises:
        EndpointError: the endpoint asks for another type.
    """
    if endpoint.scheme not in {"unix", "unix-abstract", "vsock"}:
        if delivery == "seqpacket":
            raise EndpointError(f"{endpoint}: only unix:, unix-abstract: and vsock: have seqpacket")
        return endpoint
    if endpoint.delivery is not None and endpoint.delivery != delivery:
        way = {
            "stream": "connect(...) or listen(...)",
            "seqpacket": "connect(..., Seqpacket) or listen(..., Seqpacket)",
            "datagram": "datagram(...)",
        }[endpoint.delivery]
        raise EndpointError(f"{endpoint} is a {endpoint.delivery} endpoint: open it with {way}")
    return replace(endpoint, delivery=delivery)


def open_candidate(candidate: Candidate, endpoint: Endpoint) -> socket.socket:
    """Open the socket, with an error that names `endpoint` and a missing CAP_NET_RAW."""
    try:
        return candidate.open()
    except OSError as error:
        needs = Capability.CAP_NET_RAW if candidate.type == socket.SOCK_RAW else None
        raise explained(error, f"open a socket for {endpoint}", needs=needs) from error


def _bind(wrapped: BaseSocket, candidate: Candidate, endpoint: Endpoint) -> None:
    """Bind to `candidate.address`, and own the path that this creates."""
    address = candidate.address
    try:
        wrapped.socket.bind(address)
    except OSError as error:
        hint = ""
        needs = None
        if endpoint.scheme == "unix" and error.errno == errno.EADDRINUSE:
            hint = _what_is_at(endpoint.path)
        elif endpoint.scheme == "unix" and error.errno == errno.EACCES:
            hint = "the folder may not be written to by this user"
        elif endpoint.scheme == "unix" and error.errno == errno.ENOENT:
            hint = "the folder of the path does not exist"
        elif endpoint.scheme == "vsock" and endpoint.host in {"", "1"}:
            if error.errno == errno.EADDRNOTAVAIL:
                raise NotPossibleError(
                    f"bind to {endpoint}: this kernel has no vsock to itself",
                    "the module vsock_loopback is that; vsock://*:PORT is for other machines",
                ) from error
        elif 0 < endpoint.port < 1024:
            needs = Capability.CAP_NET_BIND_SERVICE
        doing = f"bind to {_with_address(endpoint, address)}"
        raise explained(error, doing, needs=needs, hint=hint) from error
    if candidate.family == socket.AF_UNIX and isinstance(address, str) and address:
        wrapped.own_path(address)


def _what_is_at(path: str) -> str:
    """Say what a path is taken by: a socket of a process, one that was left behind, or no socket.

    A datagram socket is connected to it. If the socket there is a stream, the kernel says
    EPROTOTYPE, and whoever listens there never hears of it (unix_find_bsd, net/unix/af_unix.c);
    of other datagram sockets nobody hears anyway.
    """
    import stat

    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return "the path exists and is no socket: choose another"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            probe.connect(path)
    except ConnectionRefusedError:
        return "nobody has a socket there any more: the path was left behind and may be deleted"
    except OSError as error:
        if error.errno not in {errno.EPROTOTYPE, errno.EPERM}:
            return (
                "the path exists; if no process listens there ('ss -xlp' shows them) it was left "
                "behind and may be deleted"
            )
    return "a process has a socket there ('ss -xap' shows whose)"


def _with_address(endpoint: Endpoint, address: SocketAddress) -> Endpoint:
    """Return the endpoint with the address that an empty host stands for."""
    if endpoint.scheme in {"tcp", "udp"} and not endpoint.host and isinstance(address, tuple):
        return replace(endpoint, host=str(address[0]))
    return endpoint


def bound(
    wrap: Callable[[socket.socket], B],
    local: Endpoint,
    ways: Sequence[Candidate],
    *,
    reuse_address: bool = False,
) -> B:
    """Open, wrap and bind a socket in the first of `ways` that works."""
    failure: OSError | None = None
    for way in ways:
        try:
            wrapped = wrap(open_candidate(way, local))
        except OSError as error:
            failure = error
            continue
        try:
            if reuse_address:
                wrapped.reuse_address = True
            if local.host == "*" and way.family == socket.AF_INET6:
                # One socket for IPv6 and IPv4, whatever net.ipv6.bindv6only says.
                wrapped.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            _bind(wrapped, way, local)
        except OSError as error:
            wrapped.close()
            if error.errno not in _TRY_NEXT:
                raise
            failure = error
        except BaseException:
            wrapped.close()
            raise
        else:
            return wrapped
    if failure is None:
        raise EndpointError(f"the local address {local} is not of the family of the remote one")
    raise failure


def listening(
    wrap: Callable[[socket.socket], B], local: Endpoint, ways: Sequence[Candidate], backlog: int
) -> B:
    """Open, wrap and bind a socket, and make it listen."""
    # SO_REUSEADDR: connections of an earlier run in TIME-WAIT do not keep the port.
    listener = bound(wrap, local, ways, reuse_address=local.scheme == "tcp")
    try:
        with explaining(f"listen on {_with_address(local, listener.socket.getsockname())}"):
            listener.socket.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


class Attempts(Generic[B]):
    """The addresses of one name, tried one after the other until one can be connected to.

        attempts = Attempts(wrap, remote, local, local_ways)
        for way in ways:
            with attempts:
                connection = attempts.open(way)
                ...connect, blocking or not...
                return connection
        raise attempts.failure

    Leaving the block with an `OSError` closes the socket, keeps the error as `failure` and goes on;
    any other exception (a cancelled task, Ctrl-C) closes the socket and passes.
    """

    def __init__(
        self,
        wrap: Callable[[socket.socket], B],
        remote: Endpoint,
        local: Endpoint | None,
        local_ways: Sequence[Candidate],
        timeout: float | None,
        *,
        prepare: Callable[[socket.socket], object] | None = None,
    ) -> None:
        self._wrap = wrap
        self._remote = remote
        self._local = local
        self._local_ways = local_ways
        self._timeout = timeout
        self._prepare = prepare
        self._current: B | None = None
        self.failure = OSError(errno.EADDRNOTAVAIL, f"connect to {remote}: there is no address")

    def open(self, way: Candidate) -> B:
        """Open a socket for `way`, prepared, bound to the local endpoint if there is one."""
        if self._local is None:
            self._current = self._wrap(open_candidate(way, self._remote))
        else:
            fitting = [
                Candidate(way.family, way.type, way.protocol, here.address)
                for here in self._local_ways
                if here.family == way.family
            ]
            self._current = bound(self._wrap, self._local, fitting)
        if self._prepare is not None:
            self._prepare(self._current.socket)
        return self._current

    def __enter__(self) -> None:
        self._current = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is None:
            return False
        opened = self._current is not None
        if self._current is not None:
            self._current.close()
        if not isinstance(error, OSError):
            return False
        if opened:
            late = f"no answer within {self._timeout:g} seconds" if self._timeout else ""
            hint = late if isinstance(error, TimeoutError) and not error.errno else ""
            if self._remote.scheme == "unix" and error.errno == errno.EACCES:
                hint = PATH_REFUSED
            self.failure = explained(error, f"connect to {self._remote}", hint=hint)
            self.failure.__cause__ = error
        else:
            self.failure = error
        return True

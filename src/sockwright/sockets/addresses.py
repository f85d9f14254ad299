"""Endpoints to socket addresses and back: which family, type and protocol a socket needs.

Numeric addresses are made here; only names ask the resolver (getaddrinfo(3)), which blocks and
knows no time limit: asyncio calls it in a thread, see `needs_lookup`.
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from typing import Any, TypeAlias

from sockwright.errors import EndpointError, NotPossibleError
from sockwright.sockets.endpoint import EXAMPLES, Delivery, Endpoint, Scheme, parse_endpoint
from sockwright.sockets.explain import explaining
from sockwright.sockets.interface import interface_index, interface_name

__all__ = ["Candidate", "SocketAddress", "candidates", "endpoint_of", "needs_lookup", "to_endpoint"]

# What Python's socket module takes and gives: ("127.0.0.1", 80), ("::1", 80, 0, 0), "/path",
# b"\0name", (2, 1234) for vsock, ("lo", 0x0800, 0, 1, b"").
SocketAddress: TypeAlias = "tuple[Any, ...] | str | bytes"

_TYPES: dict[Delivery, socket.SocketKind] = {
    "stream": socket.SOCK_STREAM,
    "datagram": socket.SOCK_DGRAM,
    "seqpacket": socket.SOCK_SEQPACKET,
}
_LOOPBACK = ("127.0.0.1", "::1")
_ANY = ("::", "0.0.0.0")
# vsock(7): the port that means "the kernel chooses", every number of this machine, its own number.
_VSOCK_PORT_ANY = 0xFFFFFFFF
_VSOCK_CID_ANY = 0xFFFFFFFF
_VSOCK_CID_LOCAL = 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to open a socket for an endpoint, in the words of socket(2) and bind(2)."""

    family: int
    type: int
    protocol: int
    address: SocketAddress

    def open(self) -> socket.socket:
        """Open the socket, neither bound nor connected; close-on-exec is set.

        Raises:
            NotPossibleError: this kernel has no vsock.
            OSError: as the kernel says.
        """
        try:
            return socket.socket(self.family, self.type, self.protocol)
        except OSError as error:
            # Any kernel has the other families; this one is a module that many leave out.
            if error.errno == errno.EAFNOSUPPORT and self.family == getattr(
                socket, "AF_VSOCK", None
            ):
                raise NotPossibleError(
                    "this kernel has no vsock (AF_VSOCK)",
                    "it comes with the modules vsock and, for this machine itself, vsock_loopback",
                ) from error
            raise


def to_endpoint(endpoint: Endpoint | str, *schemes: Scheme) -> Endpoint:
    """Parse `endpoint` if it is text, and hold it to `schemes`.

    Raises:
        EndpointError: it is not well formed or of another scheme.
        TypeError: it is neither text nor an `Endpoint`.
    """
    result = parse_endpoint(endpoint) if isinstance(endpoint, str) else endpoint
    if not isinstance(result, Endpoint):
        raise TypeError(
            f"an endpoint is text such as {EXAMPLES[schemes[0]]!r} or an Endpoint, not {endpoint!r}"
        )
    if result.scheme not in schemes:
        raise EndpointError(f"{result} does not fit here: {', '.join(schemes)} would")
    return result


def needs_lookup(endpoint: Endpoint) -> bool:
    """Whether `candidates` would ask the resolver."""
    return endpoint.scheme in {"tcp", "udp", "raw"} and not _numeric(endpoint.host)


def candidates(
    endpoint: Endpoint, *, passive: bool = False, delivery: Delivery = "stream"
) -> list[Candidate]:
    """List the ways to open a socket for `endpoint`, the best first; never empty.

    `passive` is for binding: there ``*`` is allowed, and an empty host is one address, not two.
    `delivery` is what a UNIX endpoint without ``?type=`` means here.

    Raises:
        EndpointError: the endpoint cannot be used in this way.
        OSError: `socket.gaierror`, the name does not resolve; ENODEV, the zone does not exist.
    """
    if endpoint.scheme == "packet":
        raise EndpointError(f"{endpoint} is opened by packet()")
    if endpoint.scheme in {"unix", "unix-abstract"}:
        if not passive and endpoint == Endpoint("unix"):
            raise EndpointError("'unix:' is the unnamed address: nobody can be reached there")
        kind = _TYPES[endpoint.delivery or delivery]
        return [Candidate(socket.AF_UNIX, kind, 0, _unix_address(endpoint))]
    if endpoint.scheme == "vsock":
        kind = _TYPES[endpoint.delivery or delivery]
        return [Candidate(_vsock_family(), kind, 0, _vsock_address(endpoint, passive=passive))]
    kind, protocol = {
        "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
        "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    }.get(endpoint.scheme, (socket.SOCK_RAW, endpoint.protocol or 0))
    return [
        Candidate(family, kind, protocol, address)
        for family, address in _internet_addresses(endpoint, passive=passive)
    ]


def _internet_addresses(
    endpoint: Endpoint, *, passive: bool
) -> list[tuple[int, tuple[str, int] | tuple[str, int, int, int]]]:
    host, port = endpoint.host, endpoint.port
    if host == "*" and not passive:
        raise EndpointError(f"{endpoint}: '*' is for listening, nobody can be reached there")
    if _numeric(host):
        hosts = _ANY if host == "*" else (host,) if host else _LOOPBACK[: 1 if passive else 2]
        return [
            (socket.AF_INET6, (name, port, 0, _scope(endpoint.zone)))
            if ":" in name
            else (socket.AF_INET, (name, port))
            for name in hosts
        ]
    with explaining(f"look up {host}"):
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError:  # RFC 1035 section 2.3.4, before anybody is asked
            raise EndpointError(
                f"{host!r} cannot be a name: each part between dots has 1 to 63 octets"
            ) from None
    return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]


def _scope(zone: str) -> int:
    if not zone:
        return 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        return interface_index(sock, zone)


def _unix_address(endpoint: Endpoint) -> str | bytes:
    if endpoint.scheme == "unix-abstract":
        return b"\0" + os.fsencode(endpoint.path)
    return endpoint.path


def _vsock_family() -> int:
    """Give AF_VSOCK. Raises: NotPossibleError: this Python was built without it."""
    if not hasattr(socket, "AF_VSOCK"):
        raise NotPossibleError("this Python was built without vsock (AF_VSOCK)")
    return socket.AF_VSOCK


def _vsock_address(endpoint: Endpoint, *, passive: bool) -> tuple[int, int]:
    if endpoint.host == "*" and not passive:
        raise EndpointError(f"{endpoint}: '*' is for listening, nobody can be reached there")
    # A port of 0 is a port as any other to the kernel; here it says everywhere "choose one".
    port = endpoint.port or (_VSOCK_PORT_ANY if passive else 0)
    if endpoint.host == "*":
        return (_VSOCK_CID_ANY, port)
    return (int(endpoint.host) if endpoint.host else _VSOCK_CID_LOCAL, port)


def _numeric(host: str) -> bool:
    if not host or host == "*" or ":" in host:
        return True
    try:
        socket.inet_pton(socket.AF_INET, host)
    except OSError:
        return False
    return True


def endpoint_of(sock: socket.socket, address: SocketAddress) -> Endpoint:
    """Give the endpoint for a socket address that the kernel returned for `sock`."""
    if sock.family == socket.AF_UNIX:
        delivery = _delivery_of(sock)
        path = os.fsencode(address) if isinstance(address, str | bytes) else b""
        if path.startswith(b"\0"):
            return Endpoint("unix-abstract", path=os.fsdecode(path[1:]), delivery=delivery)
        return Endpoint("unix", path=os.fsdecode(path), delivery=delivery)
    if not isinstance(address, tuple):
        raise EndpointError(f"{address!r} is not an address of family {sock.family}")
    if sock.family == getattr(socket, "AF_VSOCK", None):
        cid = "*" if address[0] == _VSOCK_CID_ANY else str(address[0])
        port = 0 if address[1] == _VSOCK_PORT_ANY else address[1]  # not bound
        return Endpoint("vsock", cid, port, delivery=_delivery_of(sock))
    if sock.family == socket.AF_PACKET:
        return Endpoint("packet", interface=address[0], protocol=address[1] or None)
    zone = ""
    if sock.family == socket.AF_INET6 and address[3]:
        zone = interface_name(sock, address[3])
    host = str(address[0]).partition("%")[0]
    if sock.type == socket.SOCK_RAW:
        return Endpoint("raw", host, zone=zone, protocol=sock.proto or None)
    scheme: Scheme = "udp" if sock.type == socket.SOCK_DGRAM else "tcp"
    return Endpoint(scheme, host, int(address[1]), zone=zone)


def _delivery_of(sock: socket.socket) -> Delivery | None:
    """Give the ``?type=`` that an endpoint of this socket takes; none for a stream."""
    return next((k for k, v in _TYPES.items() if v == sock.type and k != "stream"), None)

"""Which sockets a function opens, seen by the audit events that Python raises (PEP 578).

The functions of the tour are shown to people, so nothing may be added to them just to ask their
sockets what they are. An audit hook cannot be removed again: call `observed` only in a process that
ends with the function, as those of `Host.start` do.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sockwright.wire.core.names import IP_PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OpenedSocket", "observed"]

T = TypeVar("T")
_EVENTS = {"socket.bind", "socket.connect", "socket.sendto", "socket.sendmsg"}
_SO_PROTOCOL = 38
_ETHER_PROTOCOLS = {0x0003: "ETH_P_ALL", 0x0800: "ETH_P_IP", 0x86DD: "ETH_P_IPV6"}


@dataclass(frozen=True, slots=True)
class OpenedSocket:
    """What a socket says of itself: names after socket(2), and the numbers they stand for."""

    host: str
    family: str
    type: str
    protocol: str
    family_number: int
    type_number: int
    protocol_number: int


def observed(
    host: str, function: Callable[..., T], arguments: tuple[object, ...]
) -> tuple[T, list[OpenedSocket]]:
    """Call `function`; return its result and the sockets it used, in the order of their first use.

    Raises: what the function raises.
    """
    seen: list[socket.socket] = []
    opened: list[OpenedSocket] = []

    def hook(event: str, details: tuple[object, ...]) -> None:
        if event not in _EVENTS:
            return
        sock, address = details
        if isinstance(sock, socket.socket) and not any(sock is one for one in seen):
            with contextlib.suppress(OSError):
                opened.append(_describe(host, sock, address))
                seen.append(sock)

    sys.addaudithook(hook)
    return function(*arguments), opened


def _describe(host: str, sock: socket.socket, address: object) -> OpenedSocket:
    family = sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)
    kind = sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
    protocol = sock.getsockopt(socket.SOL_SOCKET, _SO_PROTOCOL)
    if family == socket.AF_PACKET and isinstance(address, tuple):
        # A packet socket is opened with 0, so that it receives nothing until it is bound.
        protocol = address[1]
        name = _ETHER_PROTOCOLS.get(protocol, f"{protocol:#06x}")
    elif family in {socket.AF_INET, socket.AF_INET6}:
        name = _protocol_name(protocol)
    else:
        name = str(protocol)
    return OpenedSocket(
        host,
        socket.AddressFamily(family).name,
        socket.SocketKind(kind).name,
        name,
        family,
        kind,
        protocol,
    )


def _protocol_name(number: int) -> str:
    names = (name for name in dir(socket) if name.startswith("IPPROTO_"))
    for name in names:
        if getattr(socket, name) == number:
            return name
    return IP_PROTOCOLS.get(number, str(number))

"""The error queue of a socket of IP (IP_RECVERR, ip(7)), for those who read thousands of entries.

An ICMP error that answers what a socket has sent is put into its queue with everything about it:
type, code, who sent it, where the packet was bound for. errno alone hides that: ECONNREFUSED of a
connection is RST, or the ICMP port unreachable of a firewall.

`Datagram.take_errors` tells the same in whole objects.
"""

from __future__ import annotations

import struct
from _socket import AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, MSG_ERRQUEUE, SOL_SOCKET, inet_ntop
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from _socket import socket

__all__ = ["QueuedError", "has_errors", "read_error", "watch_errors"]

_IP_RECVERR = 11  # linux/in.h
_IPV6_RECVERR = 25  # linux/in6.h
_IP_TTL, _IPV6_HOPLIMIT = 2, 52  # the same
_SO_MEMINFO = 55  # asm-generic/socket.h; the first number of the answer: octets received, unread
_NOTHING: Final = bytes(4)
_EXTENDED_ERROR = struct.Struct("=IBBBxII")  # struct sock_extended_err, ip(7)
_QUOTED = 2048  # octets of what was sent: enough of it to be known again
_ANCILLARY = 256
_FROM_ICMP: Final = frozenset({2, 3})  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6


class QueuedError(NamedTuple):
    """One ICMP error. `kind` and `code` are those of the message, `sender` who sent it.

    `icmp` is False where this machine itself refused (then `kind` and `code` say nothing). `to` is
    the address that the packet was bound for, as the socket module gives it; `octets` the payload
    that was quoted; `ttl` that of the message, where the socket asked for it (IP_RECVTTL).
    """

    errno: int
    icmp: bool
    kind: int
    code: int
    sender: str
    to: tuple[Any, ...]
    octets: bytes
    ttl: int | None


def watch_errors(sock: socket) -> None:
    """Ask for the queue."""
    if sock.family == AF_INET6:
        sock.setsockopt(IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        sock.setsockopt(IPPROTO_IP, _IP_RECVERR, 1)


def has_errors(sock: socket) -> bool:
    """Whether anything is in the queue of a socket from which all else was read.

    It takes a quarter of the time of `read_error`, for which an empty queue is an exception.
    """
    return sock.getsockopt(SOL_SOCKET, _SO_MEMINFO, 4) != _NOTHING


def read_error(sock: socket) -> QueuedError | None:
    """Take the oldest entry of the queue of a socket that does not wait; None: it is empty."""
    try:
        octets, ancillary, _, to = sock.recvmsg(_QUOTED, _ANCILLARY, MSG_ERRQUEUE)
    except OSError:
        return None
    number, icmp, kind, code, sender, ttl = 0, False, 0, 0, "", None
    for level, name, data in ancillary:
        if (level, name) in {(IPPROTO_IP, _IP_RECVERR), (IPPROTO_IPV6, _IPV6_RECVERR)}:
            number, origin, kind, code, _, _ = _EXTENDED_ERROR.unpack_from(data)
            icmp = origin in _FROM_ICMP
            sender = _offender(data[_EXTENDED_ERROR.size :])
        elif (level, name) in {(IPPROTO_IP, _IP_TTL), (IPPROTO_IPV6, _IPV6_HOPLIMIT)}:
            ttl = struct.unpack("=i", data[:4])[0]
    return QueuedError(number, icmp, kind, code, sender, to or (), octets, ttl)


def _offender(address: bytes) -> str:
    """Return the text of a sockaddr; nothing where it is none of IP."""
    family = int.from_bytes(address[:2], "little" if struct.pack("=H", 1)[0] else "big")
    if family == AF_INET and len(address) >= 8:
        return inet_ntop(AF_INET, address[4:8])
    if family == AF_INET6 and len(address) >= 24:
        return inet_ntop(AF_INET6, address[8:24])
    return ""

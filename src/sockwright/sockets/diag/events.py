"""The kernel's own word that a socket has ended: the destroy events of sock_diag(7).

Rules: TCP and UDP only, of IPv4 and of IPv6, each a multicast group of its own. An event holds the
last struct tcp_info of a TCP socket. It is about a whole socket: what stands for a connection
before it is whole (SYN-RECV) or after it (TIME-WAIT) is none, and ends without a word. To listen
takes no privilege (seen on Linux 6.18); where a kernel wants CAP_NET_ADMIN for it, there are no
events. When sockets end faster than they are read of, events are lost, and the kernel says so.
"""

from __future__ import annotations

import errno
import socket
import struct

from sockwright.sockets.diag.inet import TCPSocket, UDPSocket
from sockwright.sockets.diag.namespace import open_socket
from sockwright.sockets.diag.netlink import BY_FAMILY, HEADER, NETLINK_SOCK_DIAG, attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self, TypeVar

    from sockwright.sockets.diag.inet import InetSocket
    from sockwright.sockets.diag.row import SocketRow

    Row = TypeVar("Row", bound=InetSocket)

__all__ = ["GROUPS", "DestroyEvents", "with_owner"]

GROUPS = {("tcp", "inet"): 1, ("udp", "inet"): 2, ("tcp", "inet6"): 3, ("udp", "inet6"): 4}
"""The multicast groups (SKNLGRP_* of linux/sock_diag.h), by table and address family."""

_ROWS: dict[int, type[InetSocket]] = {socket.IPPROTO_TCP: TCPSocket, socket.IPPROTO_UDP: UDPSocket}
_PROTOCOL = 10  # INET_DIAG_PROTOCOL
_SIZE = 88  # nlmsghdr and inet_diag_msg
_AT_QUEUES, _AT_OWNER = 72, 80  # receive and send queue; uid and inode
_PEER_PORT = slice(22, 24)
_OWNER = struct.Struct("=II")
_MOST = 65536
EVENT_BUFFER = 4 << 20  # octets for events not read yet: about 4000 of them
_SO_RCVBUFFORCE = 33
_NOT_ALLOWED = {errno.EPERM, errno.EACCES}


class DestroyEvents:
    """The sockets of some tables that end from now on. A context manager.

    `tables` are those that events come of: none where the kernel does not let this user listen,
    then `allowed` is False. `overruns` counts how often events were lost.
    """

    __slots__ = ("allowed", "overruns", "socket", "tables")

    def __init__(
        self,
        tables: Iterable[str],
        families: Iterable[str] = ("inet", "inet6"),
        *,
        namespace: int | str | None = None,
        buffer: int = EVENT_BUFFER,
    ) -> None:
        """Listen for the ends of sockets; `buffer` is in octets.

        Raises:
            UsageError, NotPossibleError: the namespace cannot be entered.
            OSError: the kernel has no sock_diag.
        """
        wanted = set(tables)
        families = set(families)
        chosen = [key for key in GROUPS if key[0] in wanted and key[1] in families]
        self.tables = frozenset(table for table, _ in chosen)
        self.allowed = bool(chosen)
        self.overruns = 0
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self.socket = open_socket(namespace, socket.AF_NETLINK, kind, NETLINK_SOCK_DIAG)
        try:
            _enlarge(self.socket, buffer)
            self._join(sum(1 << (GROUPS[key] - 1) for key in chosen))
        except BaseException:
            self.socket.close()
            raise

    def _join(self, groups: int) -> None:
        try:
            self.socket.bind((0, groups))
        except OSError as error:
            if error.errno not in _NOT_ALLOWED:
                raise
            self.allowed = False
            self.tables = frozenset()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Stop listening. Idempotent."""
        self.socket.close()

    def fileno(self) -> int:
        """Return the descriptor, readable when there is an event."""
        return self.socket.fileno()

    def receive(self) -> Iterator[InetSocket]:
        """Yield the sockets that have ended, without waiting.

        Their state is always UNCONN by then, and uid and inode are 0: the kernel does not say what
        they were. TCP rows have `info`, and queues that tell what was left unread and unsent. A
        connection that its program has aborted, or that never came about, has forgotten the peer's
        port and what it carried, and its own address unless it was bound to it.

        Raises:
            OSError: as the kernel says.
        """
        while True:
            try:
                datagram = self.socket.recv(_MOST)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overruns += 1
                continue
            length, kind, _, _, _ = HEADER.unpack_from(datagram)
            if kind == BY_FAMILY and length >= _SIZE:
                protocol = attributes(datagram, _SIZE, length).get(_PROTOCOL, b"\0")[0]
                if protocol in _ROWS:
                    yield _ROWS[protocol](_sound(datagram, protocol))


def with_owner(ended: Row, before: SocketRow) -> Row:
    """Return the row of a socket that ended, with uid and inode as they were `before`."""
    message = ended.message
    header = HEADER.pack(HEADER.size + len(message), BY_FAMILY, 0, 0, 0)
    octets = bytearray(header + message)
    _OWNER.pack_into(octets, _AT_OWNER, before.uid or 0, before.inode)
    return type(ended)(bytes(octets))


def _sound(datagram: bytes, protocol: int) -> bytes:
    """Return the event without what the kernel leaves in it by chance."""
    # An aborted TCP connection has moved its sequence numbers on, far from those of its peer, and
    # a UDP socket has given its memory back by now, one octet more than it took.
    is_tcp = protocol == socket.IPPROTO_TCP
    if is_tcp and datagram[_PEER_PORT] != bytes(2):
        return datagram
    return datagram[:_AT_QUEUES] + bytes(8) + datagram[_AT_OWNER:]


def _enlarge(sock: socket.socket, octets: int) -> None:
    """Let more events wait than the system's limit allows, where this user may."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, octets)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)

"""What the conditions of a filter ask of a row, of whichever family.

A socket has two sides, "src" (its own end) and "dst" (its peer's), and each has a port. What stands
for a port in a family without ports is what ss(8) puts there: the inode of a Unix socket, the
interface of a packet socket, the port id of a netlink socket.
"""

from __future__ import annotations

import os
import re
import sys

from sockwright.errors import NotPossibleError
from sockwright.sockets.diag.inet import InetSocket
from sockwright.sockets.diag.netlink_table import NetlinkSocket
from sockwright.sockets.diag.packet import PacketSocketRow
from sockwright.sockets.diag.unix import UnixSocket
from sockwright.sockets.diag.vsock import VSockSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.sockets.diag.row import SocketRow

__all__ = [
    "NO_PORT",
    "cgroup_id",
    "interface",
    "is_autobound",
    "mark",
    "port",
    "signed",
    "unix_name",
]

NO_PORT = -1
"""The port of a side that has none."""

_MARK, _CGROUP_ID = 15, 21  # INET_DIAG_MARK, INET_DIAG_CGROUP_ID
_UNIX_AUTOBIND = re.compile(rb"\0[0-9a-f]{5}")  # unix(7), "Autobind feature"
_LAST_RESERVED = 1023  # LAST_RESERVED_PORT of vsock(7)


def port(row: SocketRow, side: str) -> int:
    """Return the port of a side of `row`, or what stands for it."""
    own = side == "src"
    if isinstance(row, InetSocket):
        return row.local_port if own else row.peer_port
    if isinstance(row, UnixSocket):
        return row.inode if own else row.peer_inode or 0
    if isinstance(row, PacketSocketRow):
        return row.interface if own else 0
    if isinstance(row, NetlinkSocket):
        return signed(row.port_id) if own else NO_PORT
    if isinstance(row, VSockSocket):
        found = row.local_port if own else row.peer_port
        return NO_PORT if found is None else found
    return NO_PORT


def signed(port_id: int) -> int:
    """Return a port id of netlink as ss(8) shows and compares it: of 32 bits, with a sign."""
    return port_id - (1 << 32) if port_id >= 1 << 31 else port_id


def unix_name(row: UnixSocket, side: str) -> bytes:
    """Return the name of a side of a Unix socket, "@" for each zero octet of an abstract one.

    Empty for a socket without a name, and for every peer: the kernel tells no names of peers.
    """
    return os.fsencode(row.path) if side == "src" else b""


def interface(row: SocketRow) -> int:
    """Return the index of the interface that the socket is bound to, 0 for none."""
    return row.interface if isinstance(row, InetSocket | PacketSocketRow) else 0


def mark(row: SocketRow) -> int:
    """Return the mark of the socket, 0 for those of families without marks.

    Raises: NotPossibleError where the kernel has not told it.
    """
    if not isinstance(row, InetSocket):
        return 0
    told = row.attributes.get(_MARK)
    if told is None:
        raise NotPossibleError(
            "marks of sockets are told to processes with CAP_NET_ADMIN only", "run as root"
        )
    return int.from_bytes(told, sys.byteorder)


def cgroup_id(row: SocketRow) -> int:
    """Return the number of the control group of the socket, 0 where the kernel tells none."""
    if not isinstance(row, InetSocket):
        return 0
    return int.from_bytes(row.attributes.get(_CGROUP_ID, b""), sys.byteorder)


def is_autobound(row: SocketRow, ports: tuple[int, int]) -> bool:
    """Tell whether the kernel is likely to have chosen what the socket is bound to.

    `ports` are the first and the last that it hands out by IPv4 and IPv6.
    """
    if isinstance(row, UnixSocket):
        return not row.name or _UNIX_AUTOBIND.fullmatch(row.name) is not None
    if isinstance(row, PacketSocketRow):
        return row.interface == 0 and row.ethernet_protocol == 0
    number = port(row, "src")
    if isinstance(row, NetlinkSocket):
        return number < 0
    if isinstance(row, VSockSocket):
        return number > _LAST_RESERVED
    return ports[0] <= number <= ports[1]

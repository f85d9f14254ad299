"""What the conditions of a filter ask of a row that is neither of IPv4 nor of IPv6; see `sides`."""

from __future__ import annotations

import os
import re

from sockwright.sockets.diag.filter.sides import NO_PORT, signed
from sockwright.sockets.diag.netlink_table import NetlinkSocket
from sockwright.sockets.diag.packet import PacketSocketRow
from sockwright.sockets.diag.unix import UnixSocket
from sockwright.sockets.diag.vsock import VSockSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["interface", "is_autobound", "port", "unix_name"]

_UNIX_AUTOBIND = re.compile(rb"\0[0-9a-f]{5}")  # unix(7), "Autobind feature"
_LAST_RESERVED = 1023  # LAST_RESERVED_PORT of vsock(7)


def port(row: SocketRow, side: str) -> int:
    """Return what stands for the port of a side of `row`."""
    own = side == "src"
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


def unix_name(row: UnixSocket, side: str) -> bytes:
    """Return the name of a side of a Unix socket, "@" for each zero octet of an abstract one.

    Empty for a socket without a name, and for every peer: the kernel tells no names of peers.
    """
    return os.fsencode(row.path) if side == "src" else b""


def interface(row: SocketRow) -> int:
    """Return the index of the interface that the socket is bound to, 0 for none."""
    return row.interface if isinstance(row, PacketSocketRow) else 0


def is_autobound(row: SocketRow) -> bool:
    """Tell whether the kernel is likely to have chosen what the socket is bound to."""
    if isinstance(row, UnixSocket):
        return not row.name or _UNIX_AUTOBIND.fullmatch(row.name) is not None
    if isinstance(row, PacketSocketRow):
        return row.interface == 0 and row.ethernet_protocol == 0
    number = port(row, "src")
    if isinstance(row, NetlinkSocket):
        return number < 0
    return number > _LAST_RESERVED

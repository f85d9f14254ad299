"""What the conditions of a filter ask of a row, of whichever family.

A socket has two sides, "src" (its own end) and "dst" (its peer's), and each has a port. What stands
for a port in a family without ports is what ss(8) puts there: the inode of a Unix socket, the
interface of a packet socket, the port id of a netlink socket.
"""

from __future__ import annotations

from sockwright.errors import NotPossibleError
from sockwright.sockets.diag.inet import InetSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["NO_PORT", "cgroup_id", "interface", "is_autobound", "mark", "port", "signed"]

NO_PORT = -1
"""The port of a side that has none."""


def port(row: SocketRow, side: str) -> int:
    """Return the port of a side of `row`, or what stands for it."""
    own = side == "src"
    if isinstance(row, InetSocket):
        return row.local_port if own else row.peer_port
    from sockwright.sockets.diag.filter import other_sides

    return other_sides.port(row, side)


def signed(port_id: int) -> int:
    """Return a port id of netlink as ss(8) shows and compares it: of 32 bits, with a sign."""
    return port_id - (1 << 32) if port_id >= 1 << 31 else port_id


def interface(row: SocketRow) -> int:
    """Return the index of the interface that the socket is bound to, 0 for none."""
    if isinstance(row, InetSocket):
        return row.interface
    from sockwright.sockets.diag.filter import other_sides

    return other_sides.interface(row)


def mark(row: SocketRow) -> int:
    """Return the mark of the socket.

    As ss(8) has it, that is 0 for sockets of other families, and for those that were read in /proc
    (which have no cookie).

    Raises: NotPossibleError where the kernel has not told it.
    """
    if not isinstance(row, InetSocket):
        return 0
    told = row.mark
    if told is None and row.cookie:
        raise NotPossibleError(
            "marks of sockets are told to processes with CAP_NET_ADMIN only", "run as root"
        )
    return told or 0


def cgroup_id(row: SocketRow) -> int:
    """Return the number of the control group of the socket, 0 where the kernel tells none."""
    return (row.cgroup_id or 0) if isinstance(row, InetSocket) else 0


def is_autobound(row: SocketRow, ports: tuple[int, int]) -> bool:
    """Tell whether the kernel is likely to have chosen what the socket is bound to.

    `ports` are the first and the last that it hands out by IPv4 and IPv6.
    """
    if isinstance(row, InetSocket):
        return ports[0] <= row.local_port <= ports[1]
    from sockwright.sockets.diag.filter import other_sides

    return other_sides.is_autobound(row)

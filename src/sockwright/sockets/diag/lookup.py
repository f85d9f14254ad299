"""`lookup`: one socket again, as it is now."""

from __future__ import annotations

import errno
from itertools import chain, repeat

from sockwright.sockets.diag.inet import extensions_for, udp_socket_id
from sockwright.sockets.diag.netlink import BY_FAMILY, DumpInterrupted, SockDiag
from sockwright.sockets.diag.states import ALL
from sockwright.sockets.diag.tables import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["lookup"]

_NOT_FOUND = {errno.ENOENT, errno.ESTALE}


def lookup(
    row: SocketRow,
    *,
    info: bool = False,
    memory: bool = False,
    options: bool = False,
    diag: SockDiag | None = None,
) -> SocketRow | None:
    """Return the row of the same socket as it is now; None where it is gone.

    The kernel finds a socket of TCP, UDP and UNIX by its addresses or its inode, without a walk
    through the table; others are looked for among all of their kind. What is asked again and again
    gives an open `diag`, whose network namespace it is then; else one is opened here.

    Raises:
        OSError: as the kernel says.
        TimeoutError: the kernel does not answer.
    """
    if diag is None:
        with SockDiag() as opened:
            return lookup(row, info=info, memory=memory, options=options, diag=opened)
    of = table(row.protocol)
    extensions = extensions_for(info=info, memory=memory, options=options)
    everything = of.request(row.family, ALL, extensions)
    request = _request_for(row, everything)
    if request:
        try:
            return of.row(diag.ask(BY_FAMILY, request))
        except OSError as error:
            if error.errno not in _NOT_FOUND:
                raise
        # Another socket may have answered to the same addresses: listeners share a port, and so
        # do UDP sockets. Then a walk tells which is which.
    try:
        datagrams = diag.dump(everything)
    except DumpInterrupted as uneven:
        datagrams = uneven.datagrams
    rows = chain.from_iterable(map(of.row, repeat(octets), at) for octets, at in datagrams)
    return next((found for found in rows if found.cookie == row.cookie), None)


def _request_for(row: SocketRow, everything: bytes) -> bytes:
    """Return the request for one socket; nothing where the kernel takes none."""
    message = row.message
    if row.protocol in {"tcp", "udp", "udplite"}:
        # struct inet_diag_sockid, in the message and in the request: ports, addresses, interface
        # and cookie.
        sockid = message[4:52]
        if row.protocol != "tcp":
            sockid = udp_socket_id(sockid)
        return everything[:8] + sockid + everything[56:]
    if row.protocol == "unix":
        # struct unix_diag_req: family, protocol, states; inode; what to show; cookie.
        return everything[:8] + message[4:8] + everything[12:16] + message[8:16]
    return b""

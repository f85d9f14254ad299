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
    from typing import TypeVar

    from sockwright.sockets.diag.row import SocketRow
    from sockwright.sockets.diag.tables import Table

    Row = TypeVar("Row", bound=SocketRow)

__all__ = ["lookup"]

_NOT_FOUND = {errno.ENOENT, errno.ESTALE}


def lookup(
    row: Row,
    *,
    info: bool = False,
    memory: bool = False,
    options: bool = False,
    namespace: int | str | None = None,
    diag: SockDiag | None = None,
) -> Row | None:
    """Return the row of the same socket as it is now; None where it is gone.

    The kernel finds a socket of TCP, UDP and UNIX by its addresses or its inode, without a walk
    through the table; others are looked for among all of their kind. A row that was read from /proc
    has no cookie, and is read there again.

    A row does not know its network namespace: `namespace` is that of the socket, as `dump` takes
    it. Who asks again and again gives an open `diag` of that namespace; else one is opened here.

    Raises:
        UsageError, NotPossibleError: the namespace is not there, or closed to this user.
        OSError: as the kernel says.
        TimeoutError: the kernel does not answer.
    """
    of = table(row.protocol)
    found: SocketRow | None
    if not row.cookie:
        found = _read_again(row, of, namespace)
    else:
        extensions = extensions_for(info=info, memory=memory, options=options)
        everything = of.request(row.family, ALL, extensions)
        if diag is None:
            with SockDiag(namespace) as opened:
                found = _ask_again(row, of, everything, opened)
        else:
            found = _ask_again(row, of, everything, diag)
    return found  # type: ignore[return-value]  # a table has rows of one class


def _read_again(row: SocketRow, of: Table, namespace: int | str | None) -> SocketRow | None:
    """Return a row without a cookie as /proc has it now. Raises: as `lookup`."""
    from sockwright.sockets.diag.procfs import read_proc

    for found in map(of.row, read_proc(of, row.family, namespace)):
        # What a program holds keeps its inode, whatever becomes of its addresses.
        if found.inode == row.inode if row.inode else found == row:
            return found
    return None


def _ask_again(row: SocketRow, of: Table, everything: bytes, diag: SockDiag) -> SocketRow | None:
    """Return a row as the kernel has it now; `everything` asks for all sockets of its table.

    Raises: as `lookup`.
    """
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
    return next((found for found in rows if found == row), None)


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

"""Close a socket of another process: SOCK_DESTROY of sock_diag(7)."""

from __future__ import annotations

import errno
import os
import sys

from sockwright.errors import NotPossibleError
from sockwright.sockets.diag.inet import InetSocket
from sockwright.sockets.diag.netlink import DESTROY, attribute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.sockets.diag.netlink import SockDiag
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["destroy"]

_PROTOCOLS = {"tcp": 6, "udp": 17, "udplite": 136, "raw": 255, "sctp": 132, "mptcp": 262}
_AT_SOCKET, _END_SOCKET = 20, 68


def destroy(row: SocketRow, diag: SockDiag) -> None:
    """Close the socket that `row` is about, and no other, though its process still holds it.

    Raises:
        NotPossibleError: this kernel cannot close sockets of this kind.
        OSError: as the kernel says; PermissionError without CAP_NET_ADMIN, FileNotFoundError when
            the socket is gone.
    """
    if not isinstance(row, InetSocket):
        raise NotPossibleError(f"the kernel closes no {row.protocol} sockets of others")
    protocol = _PROTOCOLS[row.protocol]
    family = row._octets[row._at + 16]
    sockid = row._octets[row._at + _AT_SOCKET : row._at + _END_SOCKET]
    request = bytes((family, min(protocol, 255), 0, 0)) + b"\xff" * 4 + sockid
    if protocol > 255:
        request += attribute(3, protocol.to_bytes(4, sys.byteorder))
    try:
        diag.ask(DESTROY, request)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            text = f"this kernel closes no {row.protocol} sockets (CONFIG_INET_DIAG_DESTROY)"
            raise NotPossibleError(text) from None
        raise OSError(error.errno, os.strerror(error.errno or 0)) from None

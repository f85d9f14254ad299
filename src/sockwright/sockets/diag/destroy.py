"""Close the socket of another process: SOCK_DESTROY of sock_diag(7), what ``ss -K`` does."""

from __future__ import annotations

import errno
import struct

from sockwright.errors import NotPossibleError
from sockwright.sockets.diag.inet import FAMILIES, InetSocket, udp_socket_id
from sockwright.sockets.diag.netlink import BY_FAMILY, DESTROY
from sockwright.sockets.diag.row import SocketRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.sockets.diag.netlink import SockDiag

__all__ = ["destroy"]

_REQUEST = struct.Struct("=BBBBI")  # inet_diag_req_v2: family, protocol, ext, pad, states
_SOCKET_ID = slice(4, 52)  # inet_diag_sockid in a message: ports, addresses, interface, cookie
_NO_COOKIES = {0, (1 << 64) - 1}  # 0: read from /proc; all ones asks for any socket
_RAW = 255
_PROTOCOLS = {"tcp": 6, "udp": 17, "raw": _RAW}
_INSTEAD = {"mptcp": "its subflows are TCP sockets, which can be closed"}


def destroy(row: SocketRow, diag: SockDiag) -> bool:
    """Close the socket that `row` is about, and no other, as if its network had failed.

    Return whether it is gone: False for one that was told, but goes on.

    `diag` is of the same network namespace. The process keeps its descriptor, and its next call
    fails with ECONNABORTED:

    - The peer of a TCP connection gets RST. What no process holds (TIME-WAIT, a connection that is
      not accepted yet) is forgotten.
    - A TCP listener listens no more. It keeps its port, and its process may listen again.
    - A UDP socket loses its peer, and its port where the kernel chose it. One that was bound to a
      port keeps that, and after its one error receives as before: this is what False is for.

    The kernel looks the socket up by its addresses and then compares the cookie, so that a later
    socket is not taken for it. Of sockets that share one address (SO_REUSEPORT) it finds one, of
    its own choice. Who closes several listeners therefore tries those that were not found again,
    for as long as some are closed; of UDP sockets it finds the same one ever again.

    Raises:
        TypeError: `row` is no row of a listing.
        NotPossibleError: the kernel closes no sockets of this kind, or none at all.
        PermissionError: this takes CAP_NET_ADMIN in the user namespace that owns the network.
        FileNotFoundError: the kernel does not find the socket, or no longer.
        OSError: as the kernel says; EINVAL for a TCP listener that belongs to one of MPTCP.
    """
    if not isinstance(row, SocketRow):
        raise TypeError(f"what is closed is the socket of a row of dump(), not {row!r}")
    name = row.protocol
    protocol = _PROTOCOLS.get(name)
    if protocol is None or not isinstance(row, InetSocket):
        raise NotPossibleError(f"the kernel closes no {name} sockets", _INSTEAD.get(name, ""))
    if row.cookie in _NO_COOKIES:
        text = f"this kernel does not tell the cookie of {name} sockets, and closes none without"
        raise NotPossibleError(text)
    # A raw socket is looked up by its protocol, which stands where others have their port.
    number = row.local_port if protocol == _RAW else 0
    request = _REQUEST.pack(FAMILIES[row.family], protocol, 0, number, 0)
    try:
        diag.ask(DESTROY, request + row.message[_SOCKET_ID])
    except OSError as error:
        raise _told(error, row) from error
    return name != "udp" or not _goes_on(request, row.message, diag)


def _goes_on(request: bytes, message: bytes, diag: SockDiag) -> bool:
    """Say whether a UDP socket is still found. Raises: OSError."""
    try:
        diag.ask(BY_FAMILY, request + udp_socket_id(message[_SOCKET_ID]))
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ESTALE}:  # ESTALE: another one, by its cookie
            return False
        raise
    return True


def _told(error: OSError, row: SocketRow) -> Exception:
    """Return the error with what it means here."""
    if error.errno == errno.EOPNOTSUPP:
        text = f"this kernel closes no {row.protocol} sockets"
        return NotPossibleError(text, "it takes one built with CONFIG_INET_DIAG_DESTROY")
    from sockwright.sockets.explain import explained
    from sockwright.sockets.privileges import Capability

    hint = ""
    if error.errno == errno.ENOENT:
        hint = "it is closed by now"
        if row.protocol == "udp" or row.state == "LISTEN":
            hint += ", or another that shares its port is found instead (SO_REUSEPORT)"
        elif row.state == "UNCONN":
            hint += ", or neither listens nor is connected"
    elif error.errno == errno.EINVAL:
        hint = "a listener of MPTCP is not closed by its TCP socket"
    return explained(error, f"close {row!r}", needs=Capability.CAP_NET_ADMIN, hint=hint)

"""Whether a peer that has ended (FIN) still waits for an answer, or is gone altogether.

On the wire both look the same. What tells them apart:

- UNIX sockets: POLLHUP is that the peer is gone; a half-close does not raise it.
- A TCP peer on this machine: its socket has an inode as long as a process holds it (sock_diag(7)).
- A TCP peer elsewhere: keepalive probes are acknowledged while it waits; once its kernel has
  forgotten the socket (a minute on Linux, net.ipv4.tcp_fin_timeout) they are answered by RST.
"""

from __future__ import annotations

import select
import socket

__all__ = ["still_there"]

_CLOSED = 7  # TCP_CLOSE, include/net/tcp_states.h
_IDLE, _INTERVAL, _PROBES = 1, 5, 3  # seconds, seconds, a number: tcp(7)


def still_there(sock: socket.socket) -> bool:
    """Tell whether the peer of a connected stream socket may still wait for octets.

    The first call lets the kernel probe the peer from now on.
    """
    if sock.family == socket.AF_UNIX:
        poll = select.poll()
        poll.register(sock, 0)
        return not poll.poll(0)
    if sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _INTERVAL)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
        if sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _CLOSED:
            return False
        return not _abandoned(sock)
    except OSError:
        return False


def _abandoned(sock: socket.socket) -> bool:
    """Tell whether the peer is a socket of this machine that no process holds any more."""
    from sockwright.errors import SockwrightError
    from sockwright.sockets import dump

    here, there = sock.getsockname(), sock.getpeername()
    ports = f"sport = :{there[1]} and dport = :{here[1]}"
    try:
        rows = list(dump("tcp", states="all", where=ports))
    except (OSError, SockwrightError):
        return False
    return bool(rows) and not any(row.inode for row in rows)

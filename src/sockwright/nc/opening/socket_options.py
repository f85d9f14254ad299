"""Set on a socket what `nc.engine.settings.SocketOptions` says, before it is bound or connected."""

from __future__ import annotations

import socket

from sockwright.sockets.explain import explained

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.nc.engine.settings import SocketOptions

__all__ = ["set_options"]

# linux/in.h and linux/in6.h; Python has no names for these.
_IP_MINTTL, _IPV6_MINHOPCOUNT = 21, 73


def set_options(sock: socket.socket, options: SocketOptions) -> None:
    """Set the options that this family has; those of IP are nothing to a UNIX socket.

    Raises: OSError: the kernel refuses one, which is named.
    """
    six = sock.family == socket.AF_INET6
    everywhere = (
        (socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer, "SO_RCVBUF"),
        (socket.SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer, "SO_SNDBUF"),
        (socket.SOL_SOCKET, socket.SO_BROADCAST, options.broadcast or None, "SO_BROADCAST"),
    )
    four_names = (
        (socket.IPPROTO_IP, socket.IP_TOS, options.tos, "IP_TOS"),
        (socket.IPPROTO_IP, socket.IP_TTL, options.ttl, "IP_TTL"),
        (socket.IPPROTO_IP, _IP_MINTTL, options.min_ttl, "IP_MINTTL"),
    )
    six_names = (
        (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, options.tos, "IPV6_TCLASS"),
        (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, options.ttl, "IPV6_UNICAST_HOPS"),
        (socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, options.min_ttl, "IPV6_MINHOPCOUNT"),
    )
    wanted = list(everywhere)
    if six or sock.family == socket.AF_INET:
        # A socket of IPv6 may speak IPv4, too (::ffff:0:0/96), which has options of its own.
        wanted += (*six_names, *four_names) if six else four_names
    for level, option, value, name in wanted:
        if value is None:
            continue
        try:
            sock.setsockopt(level, option, int(value))
        except OSError as error:
            raise explained(error, f"set {name} to {int(value)}") from error

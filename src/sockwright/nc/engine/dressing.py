"""What is put around the channel of a peer, and what is known of the connection inside."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

from sockwright.nc.ends import SocketEnd
from sockwright.sockets.addresses import endpoint_of

if TYPE_CHECKING:
    from sockwright.nc.channels.channel import Channel
    from sockwright.nc.engine.settings import Job, Side

__all__ = ["addresses_of", "dressed", "variables_of"]


def dressed(
    job: Job, side: Side, channel: Channel, *, accepted: bool = False, bound: str | None = None
) -> Channel:
    """Put around the channel of a peer at `side` what the job wants done on the way.

    `accepted` is whether it has come to us, `bound` what datagrams come to.
    """
    if job.taps is not None and side is job.far:
        from sockwright.nc.channels.shaping import Tapped

        taps = job.taps()
        local, remote = addresses_of(channel)
        if local is None and accepted:  # one of many peers of a socket for datagrams
            local = bound
        tls = isinstance(side.end, SocketEnd) and side.end.tls
        here, there = local or str(job.near.end), remote or channel.name
        if tls:
            here, there = here.replace("tcp:", "tls:", 1), there.replace("tcp:", "tls:", 1)
        for tap in taps:
            tap.opened(here, there, time_ns(), accepted=accepted)
        channel = Tapped(channel, taps)
    if channel.keeps_boundaries:
        from sockwright.nc.channels.shaping import Framed

        channel = Framed(channel, side.framing)
    limits = job.limits
    if limits.messages is not None and side is job.far:
        from sockwright.nc.channels.shaping import Counted

        channel = Counted(channel, limits.messages)
    paced = side is job.far and (limits.rate or limits.delay)
    if side.crlf or side.telnet or paced:
        from sockwright.nc.channels.shaping import shaped

        channel = shaped(channel, side, limits if paced else None)
    return channel


def addresses_of(channel: Channel) -> tuple[str | None, str | None]:
    """Give the two addresses of a channel's socket, where it has one."""
    sock = channel.innermost.socket
    if sock is None:
        return None, None
    found: list[str | None] = []
    for ask in (sock.getsockname, sock.getpeername):
        try:
            found.append(str(endpoint_of(sock, ask())))
        except OSError:
            found.append(None)
    return found[0], found[1]


def variables_of(peer: Channel | None) -> dict[str, str]:
    """Give what a program is told of the connection that it serves."""
    if peer is None:
        return {}
    from sockwright.nc.programs.process import connection_variables
    from sockwright.sockets.endpoint import parse_endpoint

    local, remote = addresses_of(peer)
    if local is None or remote is None:
        return {}
    return connection_variables(parse_endpoint(local), parse_endpoint(remote))

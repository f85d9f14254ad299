"""A datagram socket that waits for one peer: the first who sends something is the one."""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING

from sockwright.nc.channels.datagrams import MessageChannel

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.engine.loop import Loop
    from sockwright.sockets.addresses import SocketAddress

__all__ = ["FirstSender"]

_TURN = 64  # senders that are refused before others have their turn


class FirstSender:
    """Gives a channel for whoever sends first to `on_peer`; the socket stays with its owner.

    `allowed(address)` tells who may be that, and says of the others that they are refused. Of an
    address that cannot be answered `on_error(name, error)` is told, and the next one may do.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        name_of: Callable[[SocketAddress], str],
        on_peer: Callable[[MessageChannel], None],
        on_error: Callable[[str, OSError], None],
        *,
        allowed: Callable[[SocketAddress], bool],
    ) -> None:
        sock.setblocking(False)
        self._loop, self._socket, self._name_of = loop, sock, name_of
        self._on_peer, self._on_error, self._allowed = on_peer, on_error, allowed
        loop.watch(sock.fileno(), self._on_events, select.EPOLLIN)

    def _on_events(self, _events: int) -> None:
        sock = self._socket
        for _ in range(_TURN):
            try:
                _, address = sock.recvfrom(1, socket.MSG_PEEK)
            except OSError:  # nothing more, or an ICMP message about something that was sent
                return
            if self._allowed(address) and self._take(address):
                return
            sock.recvfrom(1)

    def _take(self, address: SocketAddress) -> bool:
        """Talk with this one alone; False: that cannot be answered."""
        taken = socket.socket(fileno=os.dup(self._socket.fileno()))
        name = self._name_of(address)
        try:
            if address:
                taken.connect(address)
        except OSError as error:
            taken.close()
            self._on_error(name, error)
            return False
        self._loop.unwatch(self._socket.fileno())
        self._on_peer(MessageChannel(taken, name, only=address or None))
        return True

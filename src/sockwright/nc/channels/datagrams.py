"""Channels whose pieces are messages: UDP, datagrams and packets of unix(7).

One piece is one message, both ways; `nc.channels.shaping.Framed` cuts a stream into messages.
"""

from __future__ import annotations

import errno
import select
import socket
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from sockwright.nc.channels.channel import Channel, SocketChannel

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.engine.loop import Loop
    from sockwright.sockets.addresses import SocketAddress

__all__ = ["LARGEST", "Datagrams", "MessageChannel", "PeerChannel"]

LARGEST = 65507  # octets of UDP over IPv4: 65535 less the two headers
_MOST_WAITING = 256  # messages of one peer that nobody has read yet
_MOST_OF_ONE = 256 << 10  # octets of them, from which on no more are taken
_MOST_KEPT = 32 << 20  # octets of all peers that nobody has read yet
_MOST_PEERS = 1024
_TURN = 256  # messages that are taken before sessions have their turn
_FULL = 0.005  # seconds until a full send buffer is tried again
_SILENT = 1.0  # seconds after which a peer may have to leave for another one
# The network, or the peer, does not take it now; anything else is to be told.
_LOST = {
    errno.ECONNREFUSED,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENOBUFS,
}


class MessageChannel(SocketChannel):
    """A connected socket that keeps boundaries.

    With `only` it takes messages of that address alone: what came before it was connected may be
    from others, and `on_stranger` is called with the first of these. A message that is empty is
    passed over, since no octets are the end elsewhere.
    """

    keeps_boundaries = True
    room = LARGEST

    def __init__(
        self,
        sock: socket.socket,
        name: str | Callable[[], str],
        *,
        only: SocketAddress | None = None,
    ) -> None:
        super().__init__(sock, name)
        self.source = self.sink = -1
        self._only = only
        self.on_stranger: Callable[[SocketAddress], None] | None = None
        self.endless = sock.type == socket.SOCK_DGRAM

    def receive_into(self, buffer: memoryview) -> int | None:
        """Receive one message; see `Channel`."""
        for _ in range(_TURN):
            try:
                if self._only is None:
                    count = self.socket.recv_into(buffer, 0, socket.MSG_TRUNC)
                else:
                    count, sender = self.socket.recvfrom_into(buffer, 0, socket.MSG_TRUNC)
                    if sender != self._only:
                        on_stranger, self.on_stranger = self.on_stranger, None
                        if on_stranger is not None:
                            on_stranger(sender)
                        continue
            except BlockingIOError:
                return None
            if count > len(buffer):
                raise OSError(
                    errno.EMSGSIZE, f"a message of {count} octets, more than {len(buffer)}"
                )
            if count or not self.endless:
                return count
        # Strangers and empty messages only, and there may be as many more.
        if self._loop is not None:
            self._loop.soon(self._go_on)
        return None

    def _go_on(self) -> None:
        if self._loop is not None:
            self._on_readable()

    def send(self, octets: memoryview) -> int:
        """Send one message, whole or not at all; see `Channel`."""
        try:
            self.socket.send(octets)
        except BlockingIOError:
            return 0
        return len(octets)

    def send_eof(self) -> None:
        """End a connection of packets; datagrams have no end."""
        if not self.endless:
            super().send_eof()


class PeerChannel(Channel):
    """One of many peers of a socket that is not connected; made by `Datagrams`."""

    keeps_boundaries = True
    endless = True
    room = LARGEST

    def __init__(self, owner: Datagrams, address: SocketAddress, name: str) -> None:
        super().__init__(name)
        self.address = address
        self.heard = 0.0  # when, on the monotonic clock
        self._owner = owner
        self._kept = 0
        self._messages: deque[bytes] = deque()
        self._on_readable: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None
        self.dropped = 0

    def attach(
        self,
        loop: Loop,  # noqa: ARG002 - the owner is watched
        on_readable: Callable[[], None],
        on_writable: Callable[[], None],
    ) -> None:
        """Begin; messages are told of by the owner."""
        self._on_readable, self.on_writable = on_readable, on_writable

    def arrived(self, message: bytes, *, cut: bool = False) -> None:
        """Take a message that came for this peer; drop it if it is cut, or too many wait."""
        full = len(self._messages) >= _MOST_WAITING or self._kept >= _MOST_OF_ONE
        if cut or full or self._owner.kept >= _MOST_KEPT:
            self.dropped += 1
            return
        self._kept += len(message)
        self._owner.kept += len(message)
        self._messages.append(message)
        if self._on_readable is not None:
            self._on_readable()

    def receive_into(self, buffer: memoryview) -> int | None:
        """Receive one message; see `Channel`."""
        if not self._messages:
            return None
        message = self._messages.popleft()
        self._kept -= len(message)
        self._owner.kept -= len(message)
        buffer[: len(message)] = message
        return len(message)

    def send(self, octets: memoryview) -> int:
        """Send one message; see `Channel`."""
        return self._owner.send(bytes(octets), self)

    def send_eof(self) -> None:
        """Do nothing: datagrams have no end."""

    def close(self) -> None:
        """Forget the peer; what it sends from now on makes a new one."""
        self._on_readable = self.on_writable = None
        self._owner.kept -= self._kept
        self._kept = 0
        self._messages.clear()
        self._owner.forget(self)


class Datagrams:
    """A bound socket with many peers, each a channel of its own.

    `on_peer` is called with the channel of each new peer, `allowed` before that. There are `most`
    of them, 1024 at most; then `on_crowd` is called with the one that has been silent for longest,
    if that is a second: who talks does not leave for addresses that anybody can make up. If it does
    not leave nobody new is taken. `kept` counts the octets of messages that nobody has read yet.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        name_of: Callable[[SocketAddress], str],
        on_peer: Callable[[PeerChannel], None],
        on_crowd: Callable[[PeerChannel], None],
        *,
        most: int = 1 << 30,
    ) -> None:
        sock.setblocking(False)
        self._most = min(most, _MOST_PEERS)
        self.allowed: Callable[[SocketAddress], bool] = lambda _address: True
        self._loop, self._socket = loop, sock
        self._name_of, self._on_peer, self._on_crowd = name_of, on_peer, on_crowd
        self._peers: dict[SocketAddress, PeerChannel] = {}
        self._blocked: set[PeerChannel] = set()
        self.kept = 0
        loop.watch(sock.fileno(), self._on_events, select.EPOLLIN)

    def _on_events(self, _events: int) -> None:
        """Take what came, and hand it to the peers."""
        buffer = self._loop.buffer
        now = monotonic()
        for _ in range(_TURN):
            try:
                count, address = self._socket.recvfrom_into(buffer, 0, socket.MSG_TRUNC)
            except OSError:  # nothing more, or an ICMP message about something that was sent
                return
            message = bytes(buffer[:count])  # before a new peer's session uses the buffer
            # An unbound unix(7) socket has no address: nobody that could be answered.
            peer = self._peer(address or "", now)
            if peer is not None and count:
                peer.arrived(message, cut=count > len(buffer))

    def _peer(self, address: SocketAddress, now: float) -> PeerChannel | None:
        peer = self._peers.pop(address, None)
        if peer is not None:
            self._peers[address] = peer  # again the last that was heard of
            peer.heard = now
            return peer
        if not self.allowed(address):
            return None
        if len(self._peers) >= self._most:
            silent = next(iter(self._peers.values()))
            if now - silent.heard >= _SILENT:
                self._on_crowd(silent)
            if len(self._peers) >= self._most:
                return None
        peer = PeerChannel(self, address, self._name_of(address))
        peer.heard = now
        self._peers[address] = peer
        self._on_peer(peer)
        return peer

    def send(self, message: bytes, peer: PeerChannel) -> int:
        """Send a message to a peer; what the network does not take is lost, as datagrams are.

        Raises:
            OSError: EMSGSIZE and what else is ours to mend.
        """
        try:
            self._socket.sendto(message, peer.address)
        except BlockingIOError:
            if not self._blocked:
                self._loop.later(_FULL, self._go_on)
            self._blocked.add(peer)
            return 0
        except OSError as error:
            if error.errno not in _LOST and peer.address:
                raise
        return len(message)

    def _go_on(self) -> None:
        blocked, self._blocked = self._blocked, set()
        for peer in blocked:
            if peer.on_writable is not None:
                peer.on_writable()

    def forget(self, peer: PeerChannel) -> None:
        """Let a peer go."""
        self._blocked.discard(peer)
        if self._peers.get(peer.address) is peer:
            del self._peers[peer.address]

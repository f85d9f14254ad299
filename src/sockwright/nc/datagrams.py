"""Channels whose pieces are messages: UDP, datagrams and packets of unix(7).

One piece is one message, both ways; `nc.shaping.Framed` cuts a stream into messages.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import TYPE_CHECKING

from sockwright.nc.channel import Channel, SocketChannel

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.loop import Loop
    from sockwright.sockets.addresses import SocketAddress

__all__ = ["LARGEST", "Datagrams", "MessageChannel", "PeerChannel"]

LARGEST = 65507  # octets of UDP over IPv4: 65535 less the two headers
_MOST_WAITING = 256  # messages of one peer that nobody has read yet
_MOST_PEERS = 1024


class MessageChannel(SocketChannel):
    """A connected socket that keeps boundaries.

    With `only` it takes messages of that address alone: what came before it was connected may be
    from others. A message that is empty is passed over, since no octets are the end elsewhere.
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
        self._ends = sock.type == socket.SOCK_SEQPACKET

    def receive_into(self, buffer: memoryview) -> int | None:
        """Receive one message; see `Channel`."""
        while True:
            try:
                if self._only is None:
                    count = self.socket.recv_into(buffer)
                else:
                    count, sender = self.socket.recvfrom_into(buffer)
                    if sender != self._only:
                        continue
            except BlockingIOError:
                return None
            if count or self._ends:
                return count

    def send(self, octets: memoryview) -> int:
        """Send one message, whole or not at all; see `Channel`."""
        try:
            self.socket.send(octets)
        except BlockingIOError:
            return 0
        return len(octets)

    def send_eof(self) -> None:
        """End a connection of packets; datagrams have no end."""
        if self._ends:
            super().send_eof()


class PeerChannel(Channel):
    """One of many peers of a socket that is not connected; made by `Datagrams`."""

    keeps_boundaries = True
    room = LARGEST

    def __init__(self, owner: Datagrams, address: SocketAddress, name: str) -> None:
        super().__init__(name)
        self.address = address
        self._owner = owner
        self._messages: deque[bytes] = deque()
        self._on_readable: Callable[[], None] | None = None
        self.dropped = 0

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Begin; messages are told of by the owner."""
        self._on_readable = on_readable
        self._owner.blocked.append(on_writable)

    def arrived(self, message: bytes) -> None:
        """Take a message that came for this peer; drop it where too many wait already."""
        if len(self._messages) >= _MOST_WAITING:
            self.dropped += 1
            return
        self._messages.append(message)
        if self._on_readable is not None:
            self._on_readable()

    def receive_into(self, buffer: memoryview) -> int | None:
        """Receive one message; see `Channel`."""
        if not self._messages:
            return None
        message = self._messages.popleft()
        buffer[: len(message)] = message
        return len(message)

    def send(self, octets: memoryview) -> int:
        """Send one message; see `Channel`."""
        return self._owner.send(bytes(octets), self.address)

    def send_eof(self) -> None:
        """Do nothing: datagrams have no end."""

    def close(self) -> None:
        """Forget the peer; what it sends from now on makes a new one."""
        self._owner.forget(self)


class Datagrams:
    """A bound socket with many peers, each a channel of its own.

    `on_peer` is called with the channel of each new peer. There are 1024 at most; then the one that
    has been silent for longest makes room.
    """

    def __init__(
        self, sock: socket.socket, name_of: Callable[[SocketAddress], str],
        on_peer: Callable[[PeerChannel], None], on_crowd: Callable[[PeerChannel], None],
    ) -> None:  # fmt: skip
        sock.setblocking(False)
        self.socket = sock
        self.blocked: list[Callable[[], None]] = []
        self.allowed: Callable[[SocketAddress], bool] = lambda _address: True
        self._name_of, self._on_peer, self._on_crowd = name_of, on_peer, on_crowd
        self._peers: dict[SocketAddress, PeerChannel] = {}
        self._buffer = bytearray(65536)

    def on_events(self, _events: int) -> None:
        """Take what came, and hand it to the peers."""
        view = memoryview(self._buffer)
        for _ in range(256):
            try:
                count, address = self.socket.recvfrom_into(self._buffer)
            except OSError:  # nothing more, or an ICMP message about something that was sent
                break
            if not address:  # an unbound unix(7) socket: nobody that could be answered
                address = ""
            peer = self._peers.pop(address, None)
            if peer is None:
                if not self.allowed(address):
                    continue
                if len(self._peers) >= _MOST_PEERS:
                    self._on_crowd(next(iter(self._peers.values())))
                peer = PeerChannel(self, address, self._name_of(address))
                self._peers[address] = peer
                self._on_peer(peer)
            else:
                self._peers[address] = peer  # again the last that was heard of
            if count:
                peer.arrived(bytes(view[:count]))

    def send(self, message: bytes, address: SocketAddress) -> int:
        """Send a message to a peer; what cannot be delivered is lost, as datagrams are."""
        try:
            return self.socket.sendto(message, address)
        except BlockingIOError:
            return 0
        except OSError:
            return len(message)

    def forget(self, peer: PeerChannel) -> None:
        """Let a peer go."""
        if self._peers.get(peer.address) is peer:
            del self._peers[peer.address]

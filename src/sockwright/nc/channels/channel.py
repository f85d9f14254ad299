"""One end of a session in the event loop: octets come from it and go to it, and nothing waits.

Rules:

- `receive_into` and `send` do what can be done now. When that is nothing they say so, and the loop
  calls `on_readable` or `on_writable` once it may have changed (edge-triggered: an event comes only
  after None or 0 was returned, so whoever is called goes on until then, or asks the loop to be
  called `soon`);
- an `OSError` out of any of them, or a `SockwrightError` that says it all, ends the session with
  one line; so does a `doubt` at the end, a line about octets that may be missing;
- `name` is how messages call the end: "tcp://127.0.0.1:8080", "standard input".
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import termios
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLObject

    from sockwright.nc.engine.loop import Loop

__all__ = ["Channel", "SocketChannel"]

_OUTQ = termios.TIOCOUTQ  # SIOCOUTQ of tcp(7): octets that are not acknowledged
_READ = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP
_WRITE = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR


class Channel:
    """What the two ends of a session have in common; see the rules above.

    `keeps_boundaries` is whether pieces are messages, `endless` whether no end ever comes from it
    (datagrams), `terminal` whether a person types here, `gives` whether octets can come from it at
    all, `room` the most octets that one piece for it should have. `unsent` counts what `send` took
    and the kernel has not got yet: while it is not 0 closing would lose octets, and `on_writable`
    will come. `source` and `sink` are descriptors, where the kernel may move octets between them
    and others by itself (splice(2), sendfile(2)), or -1 where they must pass through this object.
    `closing_tells` is whether close() alone tells the peer in good order that nothing more comes.
    `unread` counts octets that were taken and dropped, since a program does not read them; None
    where nothing is dropped. `gone` is whether nobody is there any more to take octets, though none
    is refused; None where that cannot be, or is told by an error. `socket` is the one that is this
    channel's alone, where there is one, and `tls` the TLS connection over it. `announce` shows a
    line above what a person is typing here, see `nc.engine.events.Event`.
    """

    keeps_boundaries = False
    endless = False
    terminal = False
    gives = True
    room = 1 << 30
    unsent = 0
    source = -1
    sink = -1
    closing_tells = False
    doubt = ""
    gone: bool | None = None
    unread: int | None = None
    socket: socket.socket | None = None
    tls: SSLObject | None = None
    announce: Callable[[str], bool] | None = None

    def __init__(self, name: str | Callable[[], str]) -> None:
        """Take the name, or what gives it once somebody asks."""
        self._name = name

    @property
    def name(self) -> str:
        """How messages call this end."""
        if not isinstance(self._name, str):
            self._name = self._name()
        return self._name

    @property
    def innermost(self) -> Channel:
        """The channel that others are around, see `nc.channels.shaping`; mostly this one."""
        return self

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Begin to tell when octets may come or go.

        Either function may close this channel, or end the session with it.
        """
        raise NotImplementedError

    def await_loss(self, loop: Loop, on_lost: Callable[[OSError], None]) -> None:
        """Until `attach`, tell if the connection breaks; what cannot break is never lost."""

    def receive_into(self, buffer: memoryview) -> int | None:
        """Receive at least one octet and give their number; None: nothing now; 0: the end."""
        raise NotImplementedError

    def send(self, octets: memoryview) -> int:
        """Send what is taken now and give how many octets those were; 0: none now."""
        raise NotImplementedError

    def send_eof(self) -> None:
        """Say that nothing more will be sent; what was taken before goes first."""
        raise NotImplementedError

    def verdict(self) -> bool | OSError:
        """Tell what became of octets that were sent: True, the peer's kernel has them all.

        False is that some are on their way, an error that they came back.
        """
        return True

    def still_there(self) -> bool:
        """Tell whether a peer that has ended may still wait for octets; see `presence`."""
        return False

    def close(self) -> None:
        """Let go of everything; may be called twice, does not fail."""
        raise NotImplementedError


class SocketChannel(Channel):
    """A connected stream socket, or any other whose send and recv are all it takes; it owns it."""

    closing_tells = True

    def __init__(
        self, sock: socket.socket, name: str | Callable[[], str], *, pushed: bytes = b""
    ) -> None:
        """Take over `sock`; `pushed` was received from it already, and comes first."""
        super().__init__(name)
        sock.setblocking(False)
        self.socket: socket.socket = sock
        self.source = self.sink = sock.fileno()
        self._pushed = pushed
        self._loop: Loop | None = None

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Watch the socket."""
        if self._loop is not None:  # since `await_loss`
            self._loop.unwatch(self.socket.fileno())
        self._loop = loop
        self._on_readable, self._on_writable = on_readable, on_writable
        loop.watch(self.socket.fileno(), self._on_events)

    def await_loss(self, loop: Loop, on_lost: Callable[[OSError], None]) -> None:
        """Watch for errors alone; see `Channel`."""

        def look(_events: int) -> None:
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                on_lost(OSError(code, os.strerror(code)))

        self._loop = loop
        loop.watch(self.socket.fileno(), look, select.EPOLLET)

    def _on_events(self, events: int) -> None:
        if events & _READ:
            self._on_readable()
        if events & _WRITE and self._loop is not None:
            self._on_writable()

    def receive_into(self, buffer: memoryview) -> int | None:
        """Receive; see `Channel`."""
        if self._pushed:
            piece = self._pushed[: len(buffer)]
            self._pushed = self._pushed[len(piece) :]
            buffer[: len(piece)] = piece
            return len(piece)
        try:
            return self.socket.recv_into(buffer)
        except BlockingIOError:
            return None

    def send(self, octets: memoryview) -> int:
        """Send; see `Channel`."""
        try:
            return self.socket.send(octets)
        except BlockingIOError:
            return 0

    def send_eof(self) -> None:
        """Send FIN."""
        with suppress(OSError):  # the connection is gone; reading will say how
            self.socket.shutdown(socket.SHUT_WR)

    def verdict(self) -> bool | OSError:
        """Ask the kernel; see `Channel`."""
        if self.socket.family not in {socket.AF_INET, socket.AF_INET6}:
            return True
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            return OSError(code, os.strerror(code))
        return not any(fcntl.ioctl(self.socket, _OUTQ, b"\0\0\0\0"))

    def still_there(self) -> bool:
        """Look for the peer; see `Channel`."""
        from sockwright.nc.channels.presence import still_there

        return still_there(self.socket)

    def close(self) -> None:
        """Close the socket."""
        if self._loop is not None:
            self._loop.unwatch(self.socket.fileno())
            self._loop = None
        self.source = self.sink = -1
        self.socket.close()

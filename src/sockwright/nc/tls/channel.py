"""TLS over a socket as an end of a session in the event loop; the protocol is `nc.tls.session`.

Rules, beside those of `Channel`:

- `handshake` comes first, `attach` after its `on_done`;
- octets count as taken by `send` once the kernel has all that they became. What it has only a part
  of is given to `send` again, as the flow does with everything that was not taken, and is then not
  encrypted again. So a failure names the octets that were lost, and memory is bounded by a piece;
- the end is a close_notify without FIN, so that a peer to whom FIN is the end of everything still
  answers. FIN follows with `close`;
- a close_notify answers that of the peer, at `close` at the latest. Where the session breaks off it
  is not sent, so that the peer knows that octets are missing;
- a peer that ended by FIN alone, between two records, may have been cut off (killed, say, and its
  kernel closed for it), or may be one that half-closes so and still listens, as ncat does. Our own
  end tells them apart: the kernel of a peer that is gone answers the close_notify with RST, the
  other takes it, and FIN behind it. Until that is known `unsent` is not 0; if it took the end
  `doubt` is empty, else it says what may be missing. Somebody on the way who means harm and passes
  on our end is not found out so; who cannot have that should not talk TLS with ncat.

Measured on loopback, both ends ours (1 GiB, OpenSSL 3.0, AES-256-GCM, 2 cores): pieces of 64 to
256 KiB are equally fast, 1 MiB leaves the cache and is slower by a tenth, and reads of less than
64 KiB cost a fifth. The cipher is the peer's and OpenSSL's choice: AES-128 would be faster by 5 %,
and Python cannot reorder those of TLS 1.3 before 3.15.
"""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from sockwright.errors import TLSError
from sockwright.nc.channels.channel import Channel
from sockwright.nc.tls.options import TLSOptions, client_context, name_to_verify
from sockwright.nc.tls.session import TLSSession

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import Self

    from sockwright.nc.engine.loop import Loop, Timer

__all__ = ["TLSChannel"]

_READ = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP
_WRITE = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
_PIECE = 128 << 10
# What a peer may still have sent when we close, such as tickets (RFC 8446 section 4.6.1): unread it
# would make the kernel send RST, and throw away what of ours is on its way.
_LEFT_BEHIND = 16
_CLOSED = 7  # TCP_CLOSE, include/net/tcp_states.h
_ANSWER = 3.0  # seconds for the peer's kernel to acknowledge our end


class TLSChannel(Channel):
    """A connected stream socket with TLS inside; it owns the socket.

    `received` came from the socket already (a proxy's last words may have it behind them). `doubt`
    is for the end: a line about octets that may be missing, or nothing.
    """

    def __init__(
        self,
        sock: socket.socket,
        name: str,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_name: str | None = None,
        received: bytes = b"",
    ) -> None:
        super().__init__(name)
        self.doubt = ""
        self.session = TLSSession(context, name, server_side=server_side, server_name=server_name)
        self.tls = self.session.connection
        if received:
            self.session.feed(received)
        sock.setblocking(False)
        self.socket: socket.socket = sock
        self._left = memoryview(b"")  # encrypted, and not yet taken by the kernel
        self._asked: Timer | None = None  # runs while we wait for what the peer makes of our end
        self._promised = 0  # octets of the last `send` that are in `_left` and not yet counted
        self._loop: Loop | None = None

    @classmethod
    def connecting(
        cls,
        sock: socket.socket,
        name: str,
        options: TLSOptions | ssl.SSLContext,
        host: str,
        *,
        server_name: str | None = None,
        received: bytes = b"",
    ) -> Self:
        """Give the client's side towards `host`, whose name is verified.

        Raises:
            TLSError, OSError: as `nc.tls.options.client_context`.
        """
        if isinstance(options, TLSOptions):
            context = client_context(options)
            server_name = name_to_verify(options, host)
        else:
            context = options
            server_name = server_name or host
        return cls(sock, name, context, server_name=server_name, received=received)

    @classmethod
    def accepting(cls, sock: socket.socket, name: str, context: ssl.SSLContext) -> Self:
        """Give the server's side, with a context of `nc.tls.options.server_context`."""
        return cls(sock, name, context, server_side=True)

    # -- the handshake -----------------------------------------------------------------------------

    def handshake(
        self, loop: Loop, on_done: Callable[[], None], on_error: Callable[[Exception], None]
    ) -> None:
        """Shake hands; then call `on_done`, or `on_error` with a `TLSError`, after closing.

        `close` takes it back, and then neither is called: whoever has a time limit calls that.
        """
        self._loop = loop
        self._on_done, self._on_error = on_done, on_error
        self._on_readable = self._on_writable = self._shake
        loop.watch(self.socket.fileno(), self._on_events)
        self._shake()

    def _shake(self) -> None:
        if self.session.established or self._loop is None:
            return
        buffer = self._loop.buffer
        try:
            while not self.session.handshake():
                self._flush()
                self.session.feed(buffer[: self.socket.recv_into(buffer)])
            self._flush()
        except BlockingIOError:
            return
        except TLSError as error:
            self._give_up(error)
            return
        except OSError as error:
            self._give_up(self.session.explained(error))
            return
        self._on_done()

    def _give_up(self, error: Exception) -> None:
        with suppress(OSError):
            self._flush()  # the alert, which tells the peer why
        self.close()
        self._on_error(error)

    # -- the session -------------------------------------------------------------------------------

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Tell of octets from now on; those that came behind the handshake are told of `soon`."""
        self._loop = loop
        self._on_readable, self._on_writable = on_readable, on_writable
        loop.soon(lambda: self._on_events(_READ | _WRITE))

    def await_loss(self, loop: Loop, on_lost: Callable[[OSError], None]) -> None:
        """Look at the socket, which is watched since the handshake; see `Channel`."""

        def look() -> None:
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                on_lost(OSError(code, os.strerror(code)))

        self._on_readable = look
        loop.soon(lambda: self._on_events(_READ))  # an event may have come before

    def _on_events(self, events: int) -> None:
        if self._asked is not None:
            self._hear_answer()
        if events & _READ and self._loop is not None:
            self._on_readable()
        if events & _WRITE and self._loop is not None:
            if self._left or self.session.pending:
                self._flush_quietly()
            self._on_writable()

    def receive_into(self, buffer: memoryview) -> int | None:
        """Receive; see `Channel`.

        Raises:
            EndOfStreamError: the connection ended without close_notify; see `nc.tls.session`.
            TLSError: what came is not from the peer, or the peer refuses us.
            OSError: ECONNRESET and what else the kernel says.
        """
        session = self.session
        while True:
            count = session.receive_into(buffer)
            if session.pending:
                self._flush_quietly()
            if count is not None:
                if session.doubtful:
                    self.doubt = session.doubt
                return count
            # What is encrypted passes through the same memory, which is in the cache then.
            try:
                came = self.socket.recv_into(buffer)
            except BlockingIOError:
                return None
            session.feed(buffer[:came])

    def send(self, octets: memoryview) -> int:
        """Send; see `Channel` and the rules above."""
        if not self._flush():
            return 0
        size = len(octets)
        taken = min(self._promised, size)
        self._promised -= taken
        while taken < size:
            piece = octets[taken : taken + _PIECE]
            self.session.send(piece)
            if not self._flush():
                self._promised = len(piece)
                break
            taken += len(piece)
        return taken

    def send_eof(self) -> None:
        """Send close_notify; receiving goes on."""
        self.session.end()
        self._flush_quietly()
        if self.doubt and not self._left and self._asked is None and self._loop is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
            self._asked = self._loop.later(_ANSWER, lambda: self._answered(in_order=False))
            self._count()
            self._hear_answer()

    def _hear_answer(self) -> None:
        """Look what has become of our end."""
        try:
            state = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        except OSError:  # not TCP: sending failed if nobody is there
            state = _CLOSED
        if state == _CLOSED:
            self._answered(in_order=self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0)

    def _answered(self, *, in_order: bool) -> None:
        if self._asked is not None:
            self._asked.cancel()
            self._asked = None
        if in_order:
            self.doubt = ""
        self._count()
        if self._loop is not None:
            self._loop.soon(lambda: self._on_events(_WRITE))

    def _count(self) -> None:
        """Count what has to go before the socket may be closed; an answer awaited counts as one."""
        waiting = len(self._left) + self.session.pending if self.session.sent_end else 0
        self.unsent = waiting + (self._asked is not None)

    def _flush(self) -> bool:
        """Give the kernel what is encrypted; False: it did not take all of it."""
        try:
            while self._left or self.session.pending:
                if not self._left:
                    self._left = memoryview(self.session.take())
                self._left = self._left[self.socket.send(self._left) :]
        except BlockingIOError:
            return False
        finally:
            self._count()
        return True

    def _flush_quietly(self) -> None:
        """Flush while nobody sends: an error is that of the next `send`, or of `receive_into`."""
        try:
            self._flush()
        except OSError:
            if self.session.sent_end:  # nothing but that is left: see `send`
                self._left = memoryview(b"")
                self.session.take()
                self._count()

    def still_there(self) -> bool:
        """Look for the peer; see `Channel`."""
        from sockwright.nc.channels.presence import still_there

        return still_there(self.socket)

    def close(self) -> None:
        """Close the socket."""
        if self.socket.fileno() < 0:
            return
        if self.session.received_end and not self._left:
            self.session.end()
            self._flush_quietly()
        if self._asked is not None:
            self._asked.cancel()
        if self._loop is not None:
            self._loop.unwatch(self.socket.fileno())
            self._loop = None
        with suppress(OSError):
            for _ in range(_LEFT_BEHIND):
                if not self.socket.recv(65536):
                    break
        self.socket.close()

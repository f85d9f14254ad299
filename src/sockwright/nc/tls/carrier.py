"""TLS over any carrier of octets: a socket, a connection through a proxy, a process.

What TLS does is `tls_session`, which has no I/O: so a cancelled call leaves it whole, and octets
that came before TLS began can be given to it.

Rules:

- whoever comes first shakes hands: `receive`, `send` and `send_eof` do it where `handshake` was not
  called, so a listener does not wait for slow clients;
- an end without close_notify is an error, with all that came before in hand: nobody but the peer
  knows whether something is missing;
- one lock is held during each call, since OpenSSL minds two threads in one session.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from sockwright.errors import EndOfStreamError, TLSError
from sockwright.nc.talking.carrier import Carrier, Pause
from sockwright.nc.tls.session import TLSSession

if TYPE_CHECKING:
    import socket
    import ssl

    from sockwright.nc.talking.carrier import Steps
    from sockwright.nc.tls.options import TLSView
    from sockwright.sockets.endpoint import Endpoint

__all__ = ["TLSCarrier"]

_PIECE = 65536
# How much may wait here until the carrier below takes it.
_MOST_WAITING = 1 << 20
# Seconds. Of two threads that shake hands one may take the octets that the other one waits for.
_LOOK_AGAIN_S = 0.1


class TLSCarrier(Carrier):
    """TLS over `below`; ``session.connection`` is what OpenSSL knows of it."""

    def __init__(
        self,
        below: Carrier,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_name: str | None = None,
        early: bytes = b"",
    ) -> None:
        super().__init__(below.name.replace("tcp:", "tls:", 1))
        self.below = below
        self.session: TLSSession = TLSSession(
            context, self.name, server_side=server_side, server_name=server_name
        )
        if early:
            self.session.feed(early)
        self._to_send = memoryview(b"")
        self._buffer = memoryview(bytearray(_PIECE))
        self._lock = Lock()

    @property
    def socket(self) -> socket.socket | None:
        """The socket below."""
        return self.below.socket

    @property
    def tls(self) -> TLSView | None:
        """What was agreed on; None before the handshake is done."""
        if not self.session.established:
            return None
        from sockwright.nc.tls.options import view

        return view(self.session.connection)

    @property
    def local_address(self) -> Endpoint:
        """The endpoint here."""
        return self.below.local_address

    @property
    def remote_address(self) -> Endpoint:
        """The endpoint of the peer."""
        return self.below.remote_address

    def fileno(self) -> int:
        """Give the descriptor below."""
        return self.below.fileno()

    def handshake(self) -> Pause | None:
        """Go on with the handshake; None when it is done.

        Raises:
            TLSError: it failed, or the certificate is not trusted.
        """
        with self._lock:
            return self._handshake()

    def _handshake(self) -> Pause | None:
        while not self.session.established:
            try:
                done = self.session.handshake()
            except TLSError:
                self._push_quietly()  # the alert, so that the peer knows why
                raise
            if done:
                self._push_quietly()
            elif (pause := self._pull()) is not None:
                return Pause(pause.waits, min(pause.seconds or _LOOK_AGAIN_S, _LOOK_AGAIN_S))
        return None

    def receive(self, limit: int) -> bytes | Pause:
        """Receive plain text; no octets are the peer's close_notify.

        Raises:
            TLSError: the handshake failed, or what came is not from the peer.
            EndOfStreamError: the connection ended without close_notify.
        """
        with self._lock:
            if (pause := self._handshake()) is not None:
                return pause
            while (count := self.session.receive_into(self._buffer[:limit])) is None:
                if (pause := self._pull()) is not None:
                    return pause
            if not count and self.session.doubtful:
                raise EndOfStreamError(self.session.doubt, b"")
            return bytes(self._buffer[:count])

    def send(self, octets: memoryview) -> int | Pause:
        """Take plain text; `flush` sends the rest of what it became."""
        with self._lock:
            if (pause := self._handshake()) is not None:
                return pause
            if len(self._to_send) + self.session.pending > _MOST_WAITING:
                pause = self._push()
                if pause is not None:
                    return pause
            piece = octets[:_PIECE]
            self.session.send(piece)
            self._push()
            return len(piece)

    def flush(self) -> Pause | None:
        """Send on what is still here."""
        with self._lock:
            return self._push()

    def send_eof(self) -> Pause | None:
        """Send close_notify; `flush` sends the rest."""
        with self._lock:
            if (pause := self._handshake()) is not None:
                return pause
            self.session.end()
            self._push()
            return None

    def ending(self) -> Steps[None]:
        """Close as `close` does, and what is below politely."""
        self._say_end()
        yield from self.below.ending()

    def close(self) -> None:
        """Send close_notify if it can go at once, and close what is below."""
        self._say_end()
        self.below.close()

    def _say_end(self) -> None:
        with self._lock:
            if not self.below.closed:
                self.session.end()
                self._push_quietly()

    def _pull(self) -> Pause | None:
        """Receive from below what TLS waits for."""
        waiting = self._push_quietly()
        octets = self.below.receive(_PIECE)
        if isinstance(octets, Pause):
            return octets if waiting is None else Pause(octets.waits + waiting.waits)
        self.session.feed(octets)
        return None

    def _push(self) -> Pause | None:
        """Send below what is encrypted; None when nothing is left."""
        while self._to_send or self.session.pending:
            if not self._to_send:
                self._to_send = memoryview(self.session.take())
            sent = self.below.send(self._to_send)
            if isinstance(sent, Pause):
                return sent
            self._to_send = self._to_send[sent:]
        return self.below.flush()

    def _push_quietly(self) -> Pause | None:
        """Push while receiving: that the peer takes nothing any more is not what is asked now."""
        try:
            return self._push()
        except OSError:
            self._to_send = memoryview(b"")
            return None

"""TLS handshakes with those who came to a listener, before they are clients.

Half a ClientHello keeps 50 KiB here for as long as its sender likes, so at most 256 handshakes are
under way, and whoever comes meanwhile waits with nothing but a descriptor. While somebody waits a
handshake may take two seconds, which is enough for two round trips by satellite; else it may take
the whole time limit. So those who never go on cannot shut out those who do.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from sockwright.nc.tls.channel import TLSChannel

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from sockwright.nc.channels.channel import Channel
    from sockwright.nc.engine.loop import Loop, Timer

__all__ = ["Greetings"]

_MOST = 256
_FAIR = 2.0  # seconds
_TURN = 64  # handshakes that are begun before those that are served have their turn


class Greetings:
    """Calls `on_done(channel)` for each who has shaken hands, `on_failed(name, error)` for others.

    A handshake may take `seconds`.
    """

    def __init__(
        self,
        loop: Loop,
        context: ssl.SSLContext,
        seconds: float,
        on_done: Callable[[Channel], None],
        on_failed: Callable[[str, Exception], None],
    ) -> None:
        self._loop, self._context, self._seconds = loop, context, seconds
        self._on_done, self._on_failed = on_done, on_failed
        self._begun: dict[TLSChannel, float] = {}  # and when; the oldest is the first
        self._waiting: deque[tuple[socket.socket, str]] = deque()
        self._timer: Timer | None = None
        self._going_on = False

    def begin(self, sock: socket.socket, name: str) -> None:
        """Shake hands over `sock`, which is taken over, when its turn has come."""
        if len(self._begun) < _MOST and not self._waiting:
            self._shake(sock, name)
        else:
            self._waiting.append((sock, name))
        self._look()

    def close(self) -> None:
        """Let go of all of them."""
        if self._timer is not None:
            self._timer.cancel()
        for secure in self._begun:
            secure.close()
        for sock, _ in self._waiting:
            sock.close()
        self._begun.clear()
        self._waiting.clear()

    def _shake(self, sock: socket.socket, name: str) -> None:
        secure = TLSChannel.accepting(sock, name, self._context)
        self._begun[secure] = monotonic()

        def done() -> None:
            self._over(secure)
            self._on_done(secure)

        secure.handshake(self._loop, done, lambda error: self._fail(secure, error))

    def _fail(self, secure: TLSChannel, error: Exception) -> None:
        self._over(secure)
        secure.close()
        self._on_failed(secure.name, error)

    def _over(self, secure: TLSChannel) -> None:
        del self._begun[secure]
        if self._waiting and not self._going_on:
            self._going_on = True
            self._loop.soon(self._go_on)

    def _go_on(self) -> None:
        """Begin with some of those who wait."""
        for _ in range(_TURN):
            if not self._waiting or len(self._begun) >= _MOST:
                break
            self._shake(*self._waiting.popleft())
        self._going_on = bool(self._waiting) and len(self._begun) < _MOST
        if self._going_on:
            self._loop.soon(self._go_on)
        self._look()

    def _look(self) -> None:
        """Let go of those who have had their time, and come back when the next one has."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        spare = len(self._waiting)  # each who is let go makes room for one
        for secure, begun in list(self._begun.items()):
            limit = min(_FAIR, self._seconds) if spare > 0 else self._seconds
            left = begun + limit - monotonic()
            if left > 0:
                self._timer = self._loop.later(left, self._look)
                return
            spare -= 1
            self._fail(secure, TimeoutError(None, f"{secure.name}: no TLS within {limit:g} s"))

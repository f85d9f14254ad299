"""The end that gives back what it gets (RFC 862)."""

from __future__ import annotations

from sockwright.nc.channels.channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.engine.loop import Loop

__all__ = ["EchoChannel"]


class EchoChannel(Channel):
    """Gives back each piece as it came, and takes the next one when that is gone.

    A datagram goes back as one.
    """

    keeps_boundaries = True

    def __init__(self) -> None:
        super().__init__("echo:")
        self._piece = b""
        self._ended = False
        self._loop: Loop | None = None
        self._on_readable: Callable[[], None] | None = None
        self._on_writable: Callable[[], None] | None = None

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Begin."""
        self._loop, self._on_readable, self._on_writable = loop, on_readable, on_writable

    def receive_into(self, buffer: memoryview) -> int | None:
        """Give back; see `Channel`."""
        if not self._piece:
            return 0 if self._ended else None
        count = min(len(self._piece), len(buffer))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        if not self._piece and self._loop is not None and self._on_writable is not None:
            self._loop.soon(self._on_writable)
        return count

    def send(self, octets: memoryview) -> int:
        """Take a piece; see `Channel`."""
        if self._piece:
            return 0
        self._piece = bytes(octets)
        # Soon, not now: whoever gave the piece still uses the buffer of the loop.
        if self._loop is not None and self._on_readable is not None:
            self._loop.soon(self._on_readable)
        return len(octets)

    def send_eof(self) -> None:
        """End, once all is given back."""
        self._ended = True
        if self._loop is not None and self._on_readable is not None:
            self._loop.soon(self._on_readable)

    def close(self) -> None:
        """Forget everything."""
        self._piece = b""
        self._ended = True
        self._on_readable = self._on_writable = None

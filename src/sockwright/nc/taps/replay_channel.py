"""A replay as one end of a session in the event loop, in the place of standard input."""

from __future__ import annotations

from time import monotonic_ns

from sockwright.nc.channels.channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.engine.loop import Loop, Timer
    from sockwright.nc.taps.replay import Replay

__all__ = ["ReplayChannel"]


class ReplayChannel(Channel):
    """Gives what `replay` says, when it says so; what comes from the peer goes to `output`.

    It owns `output`, which is not read from. A datagram without octets is left out: in a session
    that would be the end.
    """

    def __init__(self, replay: Replay, output: Channel) -> None:
        super().__init__(f"the replay of {replay.name}")
        self.keeps_boundaries = replay.keeps_boundaries
        self.room = output.room
        self._replay = replay
        self._output = output
        self._rest = memoryview(b"")
        self._loop: Loop | None = None
        self._on_readable: Callable[[], None] | None = None
        self._timer: Timer | None = None

    @property
    def unsent(self) -> int:  # type: ignore[override]  # a plain number in other channels
        """What waits in the output."""
        return self._output.unsent

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Watch the output, and the clock."""
        self._loop, self._on_readable = loop, on_readable
        self._output.attach(loop, _nothing, on_writable)

    def receive_into(self, buffer: memoryview) -> int | None:
        """Give the next piece if it is due, else ask the loop to come again; see `Channel`."""
        while not self._rest:
            now = monotonic_ns()
            piece = self._replay.next_piece(now)
            if piece is None:
                if self._replay.done:
                    return 0
                self._come_again(now)
                return None
            self._rest = memoryview(piece)
        count = min(len(self._rest), len(buffer))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def send(self, octets: memoryview) -> int:
        """Pass on what came from the peer; it may be what the next piece waited for."""
        taken = self._output.send(octets)
        if taken:
            self._replay.received(taken, monotonic_ns())
            if self._loop is not None and self._on_readable is not None:
                self._loop.soon(self._on_readable)
        return taken

    def send_eof(self) -> None:
        """Tell the output that nothing more will come."""
        self._output.send_eof()

    def close(self) -> None:
        """Close the output, and come no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop = self._on_readable = None
        self._output.close()

    def _come_again(self, now_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wait_ns = self._replay.wait_ns(now_ns)
        if wait_ns is not None and self._loop is not None and self._on_readable is not None:
            self._timer = self._loop.later(wait_ns / 1e9, self._on_readable)


def _nothing() -> None:
    """Take no note: the output is not read from."""

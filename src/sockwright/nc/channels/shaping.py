"""Channels around channels: what is done to octets on their way to and from a peer.

    Tapped    lets taps look on (--record, --hexdump); it is nearest to the peer
    Counted   ends after so many pieces (-W)
    Framed    cuts a stream into messages (--frame)
    Shaped    CRLF (-C), telnet negotiation (-t), so many octets a second (--rate), so long between
              lines (-i)

Each has the interface of the channel inside, and hides its descriptors, so that no octet passes by.
"""

from __future__ import annotations

from collections import deque
from time import monotonic, time_ns
from typing import TYPE_CHECKING

from sockwright.errors import SockwrightError
from sockwright.nc.channels.channel import Channel
from sockwright.nc.channels.datagrams import LARGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sockwright.machines.telnet import Telnet
    from sockwright.nc.channels.rate import Rate
    from sockwright.nc.engine.loop import Loop, Timer
    from sockwright.nc.engine.settings import Framing, Limits, Side
    from sockwright.nc.taps.tap import Tap

__all__ = ["Around", "Counted", "Framed", "Shaped", "Tapped", "frames", "shaped"]

_CHUNK = 16384  # octets of a piece of a stream, as OpenBSD nc has it
_MOST_ANSWERS = 65536  # octets of refusals that a peer has not taken; then it is not heard either


class Around(Channel):
    """A channel around another one, which it owns; this one changes nothing."""

    def __init__(self, inner: Channel) -> None:
        super().__init__(inner.name)
        self.inner = inner
        self.keeps_boundaries, self.endless = inner.keeps_boundaries, inner.endless
        self.terminal, self.gives, self.room = inner.terminal, inner.gives, inner.room

    @property
    def innermost(self) -> Channel:
        """The channel inside, or inside of that."""
        return self.inner.innermost

    @property
    def unsent(self) -> int:  # type: ignore[override]  # a plain number in other channels
        """What waits here, and inside."""
        return self.inner.unsent

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Attach the channel inside."""
        self.inner.attach(loop, on_readable, on_writable)

    def await_loss(self, loop: Loop, on_lost: Callable[[OSError], None]) -> None:
        """Let the channel inside tell."""
        self.inner.await_loss(loop, on_lost)

    @property
    def doubt(self) -> str:  # type: ignore[override]
        """What the channel inside doubts."""
        return self.inner.doubt

    def receive_into(self, buffer: memoryview) -> int | None:
        """Receive; see `Channel`."""
        return self.inner.receive_into(buffer)

    def send(self, octets: memoryview) -> int:
        """Send; see `Channel`."""
        return self.inner.send(octets)

    def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        self.inner.send_eof()

    def verdict(self) -> bool | OSError:
        """Ask the channel inside."""
        return self.inner.verdict()

    def still_there(self) -> bool:
        """Ask the channel inside."""
        return self.inner.still_there()

    def close(self) -> None:
        """Close the channel inside."""
        self.inner.close()


class Counted(Around):
    """Ends after so many pieces have come."""

    def __init__(self, inner: Channel, most: int) -> None:
        super().__init__(inner)
        self._left = most

    def receive_into(self, buffer: memoryview) -> int | None:
        """Receive; see `Channel`."""
        if not self._left:
            return 0
        count = self.inner.receive_into(buffer)
        if count:
            self._left -= 1
        return count


class Tapped(Around):
    """Tells `taps` of every octet that the channel inside took or gave."""

    def __init__(self, inner: Channel, taps: Sequence[Tap]) -> None:
        super().__init__(inner)
        self._taps = taps
        self._closed = False

    def receive_into(self, buffer: memoryview) -> int | None:
        """Receive; see `Channel`."""
        try:
            count = self.inner.receive_into(buffer)
        except ConnectionResetError:
            self._close(reset=True)
            raise
        if count is not None:
            now = time_ns()
            for tap in self._taps:
                if count:
                    tap.octets("received", buffer[:count], now)
                else:
                    tap.ended("received", now)
        return count

    def send(self, octets: memoryview) -> int:
        """Send; see `Channel`."""
        try:
            taken = self.inner.send(octets)
        except (ConnectionResetError, BrokenPipeError):
            self._close(reset=True)
            raise
        if taken:
            now = time_ns()
            for tap in self._taps:
                tap.octets("sent", octets[:taken], now)
        return taken

    def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        self.inner.send_eof()
        now = time_ns()
        for tap in self._taps:
            tap.ended("sent", now)

    def close(self) -> None:
        """Close; the taps are told."""
        self.inner.close()
        self._close(reset=False)

    def _close(self, *, reset: bool) -> None:
        if not self._closed:
            self._closed = True
            now = time_ns()
            for tap in self._taps:
                tap.closed(now, reset="received" if reset else None)


def frames(octets: memoryview, framing: Framing) -> tuple[list[bytes], bytes]:
    """Cut `octets` into messages; the second value is the beginning of one that is not whole."""
    if framing == "chunk":
        return [bytes(octets[at : at + LARGEST]) for at in range(0, len(octets), LARGEST)], b""
    whole: list[bytes] = []
    if framing == "line":
        lines = bytes(octets).split(b"\n")
        rest = lines.pop()
        for line in lines:
            whole += frames(memoryview(line + b"\n"), "chunk")[0]
    else:
        cut = len(octets) - len(octets) % framing
        whole = [bytes(octets[at : at + framing]) for at in range(0, cut, framing)]
        rest = bytes(octets[cut:])
    while len(rest) > LARGEST:
        whole.append(rest[:LARGEST])
        rest = rest[LARGEST:]
    return whole, rest


class _Outgoing(Around):
    """Keeps what it made and the channel inside has not taken yet; nothing is taken meanwhile.

    What fails while nobody is there to be told is told to whoever sends next; if nobody does, there
    is a doubt at the end.
    """

    def __init__(self, inner: Channel) -> None:
        super().__init__(inner)
        self._waiting: deque[bytes] = deque()
        self._ending = False
        self._failure: OSError | SockwrightError | None = None
        self._lost = 0
        self._on_writable: Callable[[], None] | None = None

    @property
    def doubt(self) -> str:  # type: ignore[override]
        """What the channel inside doubts, and what was not sent for a failure."""
        if self._failure is None:
            return self.inner.doubt
        reason = getattr(self._failure, "strerror", None) or self._failure
        return f"write to {self.name}: {reason}; {self._lost} octets were not delivered"

    @property
    def unsent(self) -> int:  # type: ignore[override]
        """What waits here, and inside."""
        return sum(map(len, self._waiting)) + self.inner.unsent

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Attach the channel inside."""
        self._on_writable = on_writable
        self.inner.attach(loop, on_readable, self._go_on)

    def _go_on(self) -> None:
        if self._flush_quietly() and self._on_writable is not None:
            self._on_writable()

    def _flush_quietly(self) -> bool:
        """Send what waits; who sends next is told of a failure. False: some of it still waits."""
        if self._failure is not None:
            return True
        lost = sum(map(len, self._waiting))
        try:
            return self._flush()
        except (OSError, SockwrightError) as error:
            if lost:
                self._failure, self._lost = error, lost
            return True

    def _flush(self) -> bool:
        """Send what waits; False: some of it still waits."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        while self._waiting:
            piece = self._waiting[0]
            try:
                taken = self.inner.send(memoryview(piece))
            except (OSError, SockwrightError):
                self._waiting.clear()
                raise
            if taken < len(piece):
                self._waiting[0] = piece[taken:]
                if not taken:
                    return False
            else:
                self._waiting.popleft()
        if self._ending:
            self._ending = False
            self.inner.send_eof()
        return True

    def send_eof(self) -> None:
        """Say it once everything before it is sent."""
        self._ending = True
        self._flush()


class Framed(_Outgoing):
    """Cuts what is sent into messages: "line" after each line feed, "chunk" as the pieces came.

    A number is so many octets; the last message may be shorter.
    """

    def __init__(self, inner: Channel, framing: Framing) -> None:
        super().__init__(inner)
        self.room = _CHUNK if framing == "chunk" else LARGEST
        self._framing: Framing = framing
        self._begun = b""

    def send(self, octets: memoryview) -> int:
        """Send the messages that are whole; see `Channel`."""
        if not self._flush():
            return 0
        if self._framing == "chunk":
            return self.inner.send(octets)
        whole, self._begun = frames(memoryview(self._begun + octets), self._framing)
        self._waiting.extend(whole)
        self._flush()
        return len(octets)

    def send_eof(self) -> None:
        """Send what is left as one more message."""
        if self._begun:
            self._waiting.append(self._begun)
            self._begun = b""
        super().send_eof()


class Shaped(_Outgoing):
    """CRLF, telnet, rate and delay; see the top of the module. Times are in seconds."""

    def __init__(
        self,
        inner: Channel,
        *,
        crlf: bool = False,
        telnet: Telnet | None = None,
        rate: Rate | None = None,
        delay: float = 0.0,
    ) -> None:
        super().__init__(inner)
        self._crlf, self._telnet, self._rate, self._delay = crlf, telnet, rate, delay
        self._after_cr = False
        self._next_line = 0.0
        self._answers = bytearray()  # refusals, which go between two pieces of what is sent
        self._refuses = True  # until nothing more may be sent
        self._deaf = False  # whether the peer has to take those before it is heard again
        self._to_hear = False  # whether that has been asked for
        self._loop: Loop | None = None
        self._on_readable: Callable[[], None] | None = None
        self._timer: Timer | None = None

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Attach the channel inside."""
        self._loop, self._on_readable = loop, on_readable
        super().attach(loop, on_readable, on_writable)
        if self._telnet is not None:
            self._hear_soon()  # it may have been left in the middle of commands

    @property
    def unsent(self) -> int:  # type: ignore[override]
        """What waits here, and inside."""
        return len(self._answers) + super().unsent

    def close(self) -> None:
        """Close the channel inside, and let nobody be called any more."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
        super().close()

    def _time_has_come(self) -> None:
        self._timer = None
        self._go_on()

    def receive_into(self, buffer: memoryview) -> int | None:
        """Receive; see `Channel`."""
        if self._telnet is None:
            return self.inner.receive_into(buffer)
        if len(self._answers) >= _MOST_ANSWERS:
            self._deaf = True
            return None
        room = len(buffer)
        if not self.keeps_boundaries:
            # The text may be an octet longer: an IAC that came before and was none.
            room = min(_CHUNK, len(buffer) - 1)
        count = self.inner.receive_into(buffer[:room])
        if not count:
            return count
        plain, answer = self._telnet.receive(bytes(buffer[:count]))
        if answer and self._refuses:
            self._answers += answer
            self._flush_quietly()  # a refusal that fails is no failure to receive
        if not plain:
            # Nothing but commands, of which there may be as many more: others have their turn.
            self._hear_soon()
            return None
        buffer[: len(plain)] = plain
        return len(plain)

    def _hear_soon(self) -> None:
        if self._loop is not None and not self._to_hear:
            self._to_hear = True
            self._loop.soon(self._hear)

    def _hear(self) -> None:
        self._to_hear = False
        if self._loop is not None and self._on_readable is not None:
            self._on_readable()

    def _flush(self) -> bool:
        """Send what waits, then the refusals; False: some of it still waits."""
        try:
            while super()._flush():
                if not self._answers:
                    return True
                self._waiting.append(bytes(self._answers))
                self._answers.clear()
        except (OSError, SockwrightError):
            self._answers.clear()
            raise
        finally:
            if self._deaf and len(self._answers) < _MOST_ANSWERS:
                self._deaf = False
                self._hear_soon()
        return False

    def send_eof(self) -> None:
        """Say it once everything before it is sent; nothing is refused any more."""
        self._refuses = False
        if self._answers:
            self._waiting.append(bytes(self._answers))
            self._answers.clear()
        super().send_eof()

    def send(self, octets: memoryview) -> int:
        """Send as much as may be sent now; see `Channel`."""
        if not self._flush():
            return 0
        count = self._allowed(octets)
        if count <= 0:
            return 0
        piece = bytes(octets[:count])
        if self._crlf:
            piece = self._with_crlf(piece)
        if self._telnet is not None:
            from sockwright.machines.telnet import escape

            piece = escape(piece)
        self._waiting.append(piece)
        self._flush()
        return count

    def _allowed(self, octets: memoryview) -> int:
        """Return how many octets may go now; if none, ask to be called when they may."""
        now = monotonic()
        count = len(octets)
        wait = 0.0
        if self._rate is not None:
            count = min(count, self._rate.allowed(now))
            wait = self._rate.wait(now)
        if self._delay:
            if now < self._next_line:
                count, wait = 0, self._next_line - now
            else:
                line = bytes(octets[:count]).find(b"\n") + 1
                if line:
                    count = line
                    self._next_line = now + self._delay
        if count <= 0:
            if self._timer is None and self._loop is not None:  # one is enough for all that ask
                self._timer = self._loop.later(max(wait, 0.001), self._time_has_come)
        elif self._rate is not None:
            self._rate.took(count, now)
        return count

    def _with_crlf(self, octets: bytes) -> bytes:
        """Give LF as CRLF; a CRLF stays as it is, even if it comes in two pieces."""
        first, self._after_cr = self._after_cr, octets.endswith(b"\r")
        out = octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if first and octets.startswith(b"\n"):
            out = out[1:]  # its CR is sent already
        return out


def shaped(inner: Channel, side: Side, limits: Limits | None) -> Shaped:
    """Put around a channel what its side wants done, with `limits` also rate and delay."""
    telnet = rate = None
    if side.telnet:
        from sockwright.machines.telnet import Telnet

        telnet = Telnet()
    if limits is not None and limits.rate is not None:
        from sockwright.nc.channels.rate import Rate

        rate = Rate(limits.rate)
    delay = 0.0 if limits is None else limits.delay
    return Shaped(inner, crlf=side.crlf, telnet=telnet, rate=rate, delay=delay)

"""What blocking and asyncio conversations share: everything but the waiting.

A call that may have to wait is written here once, as steps (`carrier.Steps`): a generator that
yields what it waits for. `conversation` and `aio` run the same steps, each in its own way. What
receives is a `Take`, tried first on what is here already, which needs no steps.

Rules:

- a call that fails, is too late or is cancelled has taken nothing: what has arrived is there for
  the next call. Only what was being sent may have been sent in part;
- what is received is kept here until somebody asks for it, and a call stops at its limit, so a
  peer that sends without end fills no memory;
- octets reach the taps in the order in which they went over the wire, those of TLS as plain text.
"""

from __future__ import annotations

import time
import warnings
from contextlib import suppress
from types import EllipsisType
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from sockwright.errors import EndOfStreamError
from sockwright.nc.talking.carrier import GO_ON, Carrier, Pause, Steps
from sockwright.nc.talking.received import Received
from sockwright.sockets.base import check_timeout
from sockwright.sockets.explain import explained

if TYPE_CHECKING:
    import re
    import socket
    import ssl
    from collections.abc import Callable, Iterable
    from typing import Self

    from sockwright.nc.talking.connecting import Door
    from sockwright.nc.taps.tap import Direction, Tap
    from sockwright.nc.tls.options import TLSOptions, TLSView
    from sockwright.sockets.base import BaseSocket
    from sockwright.sockets.endpoint import Endpoint

__all__ = [
    "CLEAN_LIMIT",
    "LINE_LIMIT",
    "TOTAL_LIMIT",
    "ConversationCore",
    "ListenerCore",
    "Octets",
    "Take",
    "TapMaker",
    "Timeout",
    "late",
    "without_end",
]

T = TypeVar("T")
Octets: TypeAlias = bytes | bytearray | memoryview
Take: TypeAlias = "Callable[[], T | None]"
"""Takes something from what has been received; None while it is still to come."""
Timeout: TypeAlias = float | EllipsisType | None
"""Seconds for one call, None for ever, `...` for what the conversation says."""

LINE_LIMIT = 65536
TOTAL_LIMIT = 64 << 20
CLEAN_LIMIT = 16 << 20
_PIECE = 262144
# Where less has come than one part in so many of what is here, it waits a moment for more before a
# pattern is looked for again: octet by octet that would take quadratic time.
_PART = 16
_SMALL = 4096
_MOMENT_S, _MOMENTS_S = 0.005, 0.02  # without an octet, and altogether


class TapMaker(Protocol):
    """Has a tap for each conversation: `nc.HexDump`, `nc.Recorder`, or anyone's own."""

    def conversation(self) -> Tap:
        """Give the tap of a conversation that begins."""


class _TimeLimited:
    """Has a time limit for each of its calls."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout

    @property
    def timeout(self) -> float | None:
        """The time limit of each call in seconds, on the monotonic clock; None is for ever."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        check_timeout(seconds)
        self._timeout = seconds

    def _seconds(self, timeout: Timeout) -> float | None:
        """Give the time limit of one call.

        Raises:
            TypeError, ValueError: as `sockwright.sockets.base.check_timeout`.
        """
        if isinstance(timeout, EllipsisType):
            return self._timeout
        check_timeout(timeout)
        return timeout


class ConversationCore(_TimeLimited):
    """A conversation as far as it does not wait.

    `newline` is what `send_line` puts behind a line.
    """

    def __init__(
        self,
        carrier: Carrier,
        *,
        timeout: float | None = None,
        newline: bytes = b"\n",
        taps: Iterable[TapMaker] = (),
        accepted: bool = False,
    ) -> None:
        self._carrier = carrier
        super().__init__(timeout)
        self.newline = newline
        self._received = Received()
        self._taps = tuple(maker.conversation() for maker in taps)
        if self._taps:
            local = remote = carrier.name
            with suppress(OSError):
                local = str(carrier.local_address)
                remote = str(carrier.remote_address)
            for tap in self._taps:
                tap.opened(local, remote, time.time_ns(), accepted=accepted)

    @classmethod
    def over(
        cls,
        sock: BaseSocket | socket.socket,
        *,
        timeout: float | None = None,
        newline: bytes = b"\n",
        taps: Iterable[TapMaker] = (),
    ) -> Self:
        """Begin a conversation over a connected socket of any kind, which it then owns.

        Raises:
            OSError: ENOTCONN, it is not connected.
        """
        from sockwright.nc.talking.connecting import socket_carrier, wrapped
        from sockwright.sockets.base import BaseSocket

        base = sock if isinstance(sock, BaseSocket) else wrapped(sock)
        carrier = socket_carrier(base, str(base.remote_address))
        return cls(carrier, timeout=timeout, newline=newline, taps=taps)

    def __del__(self) -> None:
        """Close what nobody closed, and say so as files and sockets do (ResourceWarning)."""
        carrier = getattr(self, "_carrier", None)  # not there where __init__ has failed
        if carrier is not None and not carrier.closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            carrier.close()

    # -- what can be asked at any time --------------------------------------------------------

    @property
    def name(self) -> str:
        """What the other end is called: "tcp://127.0.0.1:8080", "exec:cat"."""
        return self._carrier.name

    @property
    def keeps_boundaries(self) -> bool:
        """Whether `send` sends one message, and `receive` receives one: datagrams, seqpacket."""
        return self._carrier.keeps_boundaries

    @property
    def local_address(self) -> Endpoint:
        """The endpoint of this side.

        Raises:
            OSError: ENOTSOCK, there is no socket.
        """
        return self._carrier.local_address

    @property
    def remote_address(self) -> Endpoint:
        """The endpoint of the peer.

        Raises:
            OSError: ENOTCONN, the connection is gone; ENOTSOCK, there is no socket.
        """
        return self._carrier.remote_address

    @property
    def socket(self) -> socket.socket | None:
        """The socket underneath, which does not block; None where there is none."""
        return self._carrier.socket

    @property
    def tls(self) -> TLSView | None:
        """Version, cipher, protocol and certificate that TLS has agreed on with the peer.

        None without TLS, and as long as the handshake is not done: that of an accepted conversation
        is made by the first call that sends or receives.
        """
        return self._carrier.tls

    @property
    def carrier(self) -> Carrier:
        """What carries the octets, see `nc.talking.carrier`; for TLS it has the `session`."""
        return self._carrier

    @property
    def pending(self) -> int:
        """How many octets have been received that nobody has asked for yet."""
        return len(self._received)

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._carrier.closed

    def fileno(self) -> int:
        """Give the descriptor that is read, -1 when closed; `select` does not see `pending`."""
        return self._carrier.fileno()

    def unrecv(self, octets: bytes) -> None:
        """Put `octets` back, in front of everything that is received next."""
        _refuse_text(octets, "what is put back")
        self._received.give_back(octets)

    def __repr__(self) -> str:
        state = " closed" if self.closed else f" fd={self.fileno()}"
        here = ""
        with suppress(OSError):
            here = f" from {self.local_address}"
        return f"<{type(self).__name__} with {self.name}{here}{state}>"

    # -- what can be done now: for those who have a loop of their own ------------------------

    def receive_now(self, limit: int = _PIECE) -> bytes | Pause:
        """Receive what is there, at most `limit` octets (a message is whole); none are the end.

        Raises:
            ValueError: `limit` is less than 1.
        """
        if limit < 1:
            raise ValueError(f"limit: {limit} is less than 1, and no octets would read as the end")
        if self._received:
            return self._received.take(limit)
        if self._received.ended:
            return b""
        return self._arrived(limit)

    def send_now(self, octets: memoryview) -> int | Pause:
        """Take some of `octets` and give how many; `flush_now` until it has nothing left."""
        sent = self._carrier.send(octets)
        if self._taps and not isinstance(sent, Pause):
            self._tell("sent", octets[:sent])
        return sent

    def flush_now(self) -> Pause | None:
        """Send on what was taken; None when nothing of it is here any more."""
        return self._carrier.flush()

    def send_eof_now(self) -> Pause | None:
        """Say that nothing more will be sent; None when that is done, then `flush_now`."""
        pause = self._carrier.send_eof()
        if pause is None:
            for tap in self._taps:
                tap.ended("sent", time.time_ns())
        return pause

    # -- steps --------------------------------------------------------------------------------

    def _sending(self, octets: Octets) -> Steps[None]:
        _refuse_text(octets, "what is sent")
        rest = memoryview(octets).cast("B")
        whole = self.keeps_boundaries  # an empty message is one too
        while rest or whole:
            sent = self.send_now(rest)
            if isinstance(sent, Pause):
                yield sent
                continue
            rest, whole = rest[sent:], False
            if rest:
                yield GO_ON
        yield from self._flushing()

    def _sending_line(self, line: Octets) -> Steps[None]:
        _refuse_text(line, "a line")
        _refuse_text(self.newline, "newline")
        return self._sending(b"".join((line, self.newline)))

    def _answering(
        self, delimiter: bytes | Iterable[bytes], limit: int, sending: Steps[None]
    ) -> Steps[bytes]:
        """Receive until `delimiter`, then send; give what was received."""
        received = yield from self._until(self._take_until(delimiter, limit))
        try:
            yield from sending
        except BaseException:
            self._received.give_back(received)
            raise
        return received

    def _flushing(self) -> Steps[None]:
        while (pause := self.flush_now()) is not None:
            yield pause

    def _sending_eof(self) -> Steps[None]:
        while (pause := self.send_eof_now()) is not None:
            yield pause
        yield from self._flushing()

    def _receiving(self, limit: int) -> Steps[bytes]:
        while isinstance(octets := self.receive_now(limit), Pause):
            yield octets
        return octets

    def _until(self, take: Take[T]) -> Steps[T]:
        """Receive until `take` finds what it looks for."""
        while (taken := take()) is None:
            while isinstance(octets := self._arrived(_PIECE), Pause):
                yield octets
            if octets:
                self._received.feed(octets)
            if (taken := take()) is not None:
                break
            yield GO_ON
        return taken

    def _arrived(self, limit: int) -> bytes | Pause:
        """Receive from the carrier, tell the taps, and remember the end."""
        try:
            octets = self._carrier.receive(limit)
        except EndOfStreamError as error:  # cut off under TLS, which does not know what is here
            raise EndOfStreamError(str(error), self._received.octets) from error
        if isinstance(octets, Pause):
            return octets
        if octets or self._carrier.endless:
            if self._taps:
                self._tell("received", octets)
        elif not self._received.ended:
            self._received.feed(b"")
            for tap in self._taps:
                tap.ended("received", time.time_ns())
        return octets

    def _take_until(
        self, delimiter: bytes | Iterable[bytes], limit: int, *, drop: bool = False
    ) -> Take[bytes]:
        _refuse_text(delimiter, "a delimiter")
        delimiters = (delimiter,) if isinstance(delimiter, bytes) else tuple(delimiter)
        for each in delimiters:
            _refuse_text(each, "a delimiter")

        def take() -> bytes | None:
            taken = self._received.until_any(delimiters, limit)
            if taken is None or not drop:
                return taken
            end = max((each for each in delimiters if taken.endswith(each)), key=len)
            return taken[: -len(end)]

        return take

    def _take_line(self, limit: int, *, keep_end: bool) -> Take[bytes]:
        def take() -> bytes | None:
            line = self._received.until(b"\n", limit)
            return line if line is None or keep_end else without_end(line)

        return take

    def _matching(self, pattern: bytes | re.Pattern[bytes], limit: int) -> Steps[re.Match[bytes]]:
        """Receive until `pattern` matches; see `_PART`."""
        import re

        compiled = re.compile(pattern)
        _refuse_text(compiled.pattern, "a pattern")
        while (found := self._received.matching(compiled, limit)) is None:
            searched, begin = len(self._received), None
            enough = 1 if searched < _SMALL else searched // _PART
            while len(self._received) < min(searched + enough, limit):
                octets = self._arrived(_PIECE)
                if isinstance(octets, Pause):
                    if begin is None:
                        yield octets
                    elif time.monotonic() - begin > _MOMENTS_S or not (
                        yield Pause(octets.waits, _MOMENT_S)
                    ):
                        break
                elif octets:
                    begin = begin or time.monotonic()
                    self._received.feed(octets)
                    yield GO_ON
                elif not self._carrier.endless:
                    break
        return found

    def _receiving_lines(self, count: int, limit: int, *, keep_end: bool) -> Steps[list[bytes]]:
        """Receive `count` lines or none: what was taken is given back where the rest is missing."""
        lines: list[bytes] = []
        take = self._take_line(limit, keep_end=True)
        try:
            while len(lines) < count:
                lines.append((yield from self._until(take)))
        except EndOfStreamError as error:
            text = f"the peer ended the stream after {len(lines)} of {count} lines"
            raise EndOfStreamError(text, b"".join(lines) + error.partial) from error
        finally:
            if len(lines) < count:
                self._received.give_back(b"".join(lines))
        return lines if keep_end else [without_end(line) for line in lines]

    def _cleaning(self, quiet: float, limit: int) -> Steps[bytes]:
        """Take what comes until nothing has come for `quiet` seconds."""
        was_quiet = False
        while len(self._received) < limit and not self._received.ended:
            octets = self._arrived(_PIECE)
            if isinstance(octets, Pause):
                # An event loop that was held up may hear of the time before it hears of octets.
                if was_quiet:
                    break
                was_quiet = not (yield Pause(octets.waits, quiet))
            elif octets:
                was_quiet = False
                self._received.feed(octets)
                yield GO_ON
        return self._received.take(limit)

    def _starting_tls(
        self, options: TLSOptions | None, server_name: str | None, *, server_side: bool
    ) -> Steps[str | None]:
        from sockwright.nc.ends import is_end, parse_end
        from sockwright.nc.talking.connecting import (
            name_to_verify,
            not_before_tls,
            starting_tls,
            starting_tls_as_server,
        )
        from sockwright.nc.tls.options import TLSOptions

        options = options or TLSOptions()
        not_before_tls(self.pending, self.name)
        if server_side:
            served = yield from starting_tls_as_server(self._carrier, options)
            self._carrier, fingerprint = served
            return fingerprint
        if server_name is None:
            server_name = name_to_verify(parse_end(self.name)) if is_end(self.name) else ""
        self._carrier = yield from starting_tls(self._carrier, options, server_name)
        return None

    def _told_of_close(self) -> None:
        """Tell the taps that this conversation is about to be closed."""
        taps, self._taps = self._taps, ()
        for tap in taps:
            tap.closed(time.time_ns())

    def _tell(self, direction: Direction, octets: Octets) -> None:
        now = time.time_ns()
        for tap in self._taps:
            tap.octets(direction, octets, now)


def _refuse_text(value: object, what: str) -> None:
    """Refuse text where octets are wanted: nobody but the caller knows its encoding."""
    if isinstance(value, str):
        raise TypeError(f"{what} is bytes, not str: b'...', or encode {value[:40]!r} first")


def without_end(line: bytes) -> bytes:
    """Take the end off a line: LF, or CR LF; the last line of all may have none."""
    return line[:-2] if line.endswith(b"\r\n") else line.removesuffix(b"\n")


class ListenerCore(_TimeLimited):
    """A listener as far as it does not wait.

    `fingerprint` is the SHA-256 of a certificate that was made for this listener, None where there
    was no need.
    """

    def __init__(
        self,
        door: Door,
        *,
        timeout: float | None,
        newline: bytes,
        taps: Iterable[TapMaker],
        context: ssl.SSLContext | None,
        fingerprint: str | None,
    ) -> None:
        super().__init__(timeout)
        self.newline = newline
        self.fingerprint = fingerprint
        self._door = door
        self._tap_makers = tuple(taps)
        self._context = context

    @property
    def refused(self) -> int:
        """How many peers `access` has kept out; of ``udp:`` how many datagrams."""
        return self._door.refused

    @property
    def socket(self) -> socket.socket:
        """The socket that listens, which does not block."""
        return self._door.base.socket

    @property
    def local_address(self) -> Endpoint:
        """The endpoint that is listened on, as the kernel tells it."""
        return self._door.base.local_address

    @property
    def name(self) -> str:
        """What it is called: "tcp://127.0.0.1:8080", "tls://127.0.0.1:443"."""
        text = str(self.local_address)
        return text if self._context is None else text.replace("tcp:", "tls:", 1)

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._door.base.closed

    def fileno(self) -> int:
        """Give the descriptor, -1 when closed."""
        return self._door.base.fileno()

    def close(self) -> None:
        """Stop listening; conversations go on. Does not fail."""
        self._door.base.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else self.name
        return f"<{type(self).__name__} {state}>"

    def _accepting(self) -> Steps[Carrier]:
        while isinstance(carrier := self._door.accept(), Pause):
            yield carrier
        if self._context is None:
            return carrier
        from sockwright.nc.tls.carrier import TLSCarrier

        return TLSCarrier(carrier, self._context, server_side=True)


def late(seconds: float | None, *doing: str) -> OSError:
    """Give the error of a call that took longer than `seconds`; `doing` are words."""
    hint = "" if seconds is None else f"not within {seconds:g} seconds"
    return explained(TimeoutError(), " ".join(doing), hint=hint)

"""A terminal given over to the peer: keys go as they are, and what it sends acts on the screen.

That is what a remote shell wants which has its own editor, and whom one trusts to draw. Keys that
are for us begin with a tilde at the start of a line, as in ssh(1): ``~.`` leaves, ``~^Z`` stops the
program until `fg`, ``~~`` sends one tilde.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections import deque
from typing import TYPE_CHECKING, Literal, TypeAlias

from sockwright.nc.channels.descriptors import DescriptorChannel
from sockwright.nc.terminal.modes import TerminalModes

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from sockwright.nc.engine.loop import Loop

__all__ = ["EscapeKeys", "RawTerminalChannel"]

Order: TypeAlias = Literal["leave", "suspend"]
Part: TypeAlias = bytes | Order

_ANNOUNCEMENT = b"raw terminal: ~. at the start of a line leaves\r\n"
_TILDE, _DOT, _CTRL_Z = b"~"[0], b"."[0], 0x1A
_LINE_ENDS = b"\r\n"


class EscapeKeys:
    """Tells keys that are for us from those for the peer, in whatever pieces they come."""

    def __init__(self) -> None:
        self._at_start = True
        self._tilde = False  # the last key was one, at the start of a line

    def split(self, keys: bytes) -> list[Part]:
        """Return what is for the peer, with orders for us between."""
        parts: list[Part] = []
        plain = bytearray()
        for key in keys:
            if self._tilde:
                self._tilde = False
                if key in {_DOT, _CTRL_Z}:
                    if plain:
                        parts.append(bytes(plain))
                        plain.clear()
                    parts.append("leave" if key == _DOT else "suspend")
                    self._at_start = True
                    continue
                plain.append(_TILDE)
                if key == _TILDE:
                    self._at_start = False
                    continue
            elif key == _TILDE and self._at_start:
                self._tilde = True
                continue
            plain.append(key)
            self._at_start = key in _LINE_ENDS
        if plain:
            parts.append(bytes(plain))
        return parts


class RawTerminalChannel(DescriptorChannel):
    """Standard input and output, a terminal, in raw mode while the channel is attached.

    `on_resize(columns, lines)`, where it is set, is called in the loop when the terminal's size has
    changed. ``~.`` is a KeyboardInterrupt out of the loop, as Ctrl-C is elsewhere.
    """

    def __init__(self) -> None:
        super().__init__(0, 1, "the terminal")
        self.source = -1  # keys are looked at
        self.on_resize: Callable[[int, int], None] | None = None
        self._modes = TerminalModes(0)
        self._escapes = EscapeKeys()
        self._typed: deque[Part] = deque()
        self._handler: Any = None

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Take the terminal."""
        self._watch_size(loop)
        self._modes.take_keys()
        self._modes.drawn = True
        os.write(1, _ANNOUNCEMENT)
        super().attach(loop, on_readable, on_writable)

    def receive_into(self, buffer: memoryview) -> int | None:
        """Give the peer's keys; see `Channel`."""
        while True:
            while self._typed:
                part = self._typed.popleft()
                if part == "leave":
                    if select.select([], [1], [], 0)[1]:  # not where the screen is stuck
                        os.write(1, b"\r\n")  # the next prompt is not to begin within a row
                    raise KeyboardInterrupt
                if part == "suspend":
                    self._modes.suspend()
                    continue
                piece = part[: len(buffer)]
                buffer[: len(piece)] = piece
                if rest := part[len(piece) :]:
                    self._typed.appendleft(rest)
                return len(piece)
            count = super().receive_into(buffer)
            if not count:
                return count
            self._typed.extend(self._escapes.split(bytes(buffer[:count])))

    def close(self) -> None:
        """Give the terminal back."""
        if self._handler is not None:
            signal.signal(signal.SIGWINCH, self._handler)
            self._handler = None
        self._modes.restore()
        super().close()

    def _watch_size(self, loop: Loop) -> None:
        if threading.current_thread() is threading.main_thread():
            ring = loop.bell()

            def resized(_number: int, _frame: FrameType | None) -> None:
                ring(self._tell_size)

            self._handler = signal.signal(signal.SIGWINCH, resized)

    def _tell_size(self) -> None:
        if self.on_resize is not None:
            columns, lines = os.get_terminal_size(0)
            self.on_resize(columns, lines)

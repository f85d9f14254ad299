"""The end of a connection where a person may sit: standard input and standard output.

What becomes of them depends on what they are:

    input      output     asked for        octets to the screen       keys
    terminal   terminal                    cleaned                    edited by line, with history
    terminal   terminal   TERM=dumb        cleaned                    edited by line, by the kernel
    terminal   any        raw_terminal     as they come               as they are pressed
    any        terminal                    cleaned                    -
    any        any        raw              as they come               edited by line, by the kernel
    any        no terminal                 as they come               edited by line, by the kernel
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from sockwright.errors import UsageError
from sockwright.nc.channels.channel import Channel
from sockwright.nc.channels.descriptors import DescriptorChannel, standard_channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.engine.loop import Loop
    from sockwright.nc.engine.settings import Console
    from sockwright.nc.talking.carrier import Pause
    from sockwright.nc.talking.conversing import ConversationCore

__all__ = ["interact", "open_console"]


def open_console(settings: Console, *, reads: bool = True, writes: bool = True) -> Channel:
    """Give standard input and output as an end of a session; see the table above.

    With `reads` false the input is left alone, with `writes` false what would be shown is dropped.

    Raises:
        UsageError: raw mode was asked for where there is no terminal.
        OSError: EBADF, one of them is closed.
    """
    keyboard, screen = reads and os.isatty(0), writes and os.isatty(1)
    if settings.raw_terminal:
        if not (keyboard and screen):
            raise UsageError("raw terminal mode is for a terminal at standard input and output")
        from sockwright.nc.terminal.raw_terminal import RawTerminalChannel

        return RawTerminalChannel()
    if not (keyboard or screen):
        return standard_channel(reads=reads, writes=writes)
    from sockwright.nc.terminal.editing import CleanedChannel, EditingChannel, KeyboardChannel

    if settings.raw or not screen:
        return KeyboardChannel(reads=reads, writes=writes)
    from sockwright.nc.terminal.modes import is_dumb, is_in_foreground

    if settings.edit and keyboard and not is_dumb() and is_in_foreground(0):
        return EditingChannel(history=settings.history)
    return CleanedChannel(reads=reads)


def interact(conversation: ConversationCore, settings: Console | None = None) -> None:
    """Join a conversation to standard input and output, until the peer ends it.

    The end of the input (Ctrl-D) is told to the peer. The conversation stays open, and what was
    received before and not asked for is shown first.

    Raises:
        KeyboardInterrupt: Ctrl-C; the terminal is as before, and the conversation goes on.
        ConnectionError: it broke; the message says how.
    """
    from sockwright.nc.engine.loop import Loop
    from sockwright.nc.engine.outcome import Outcome
    from sockwright.nc.engine.session import Session
    from sockwright.nc.engine.settings import Console, Limits

    outcomes: list[Outcome] = []
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # what was printed before is shown before
    with Loop() as loop:
        settings = settings or Console()
        # A screen is not closed at the end of what there is to be shown; anything else would be.
        kept = os.isatty(1) or settings.raw_terminal
        near = open_console(settings) if kept else _LastingOutput(0, 1, "standard input and output")
        session = Session(
            loop,
            near,
            _ConversationChannel(conversation),
            Limits(),
            lambda _, outcome: outcomes.append(outcome),
            person=True,
        )
        try:
            session.start()
            while not outcomes:
                loop.step()
        finally:
            session.finish(Outcome())
    if outcomes[0].text:
        raise ConnectionError(outcomes[0].text)


class _LastingOutput(DescriptorChannel):
    """Standard input and output, which the program goes on to use."""

    def send_eof(self) -> None:
        """Do nothing: whoever reads it reads what comes later, too."""


class _ConversationChannel(Channel):
    """A conversation as an end of a session; it stays open when the channel is closed."""

    def __init__(self, conversation: ConversationCore) -> None:
        super().__init__(conversation.name)
        self.keeps_boundaries = conversation.keeps_boundaries
        self._conversation = conversation
        self._loop: Loop | None = None
        self._watched: set[int] = set()
        self._told_end = False

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Be told of whatever the conversation waits for."""
        self._loop = loop
        self._on_readable, self._on_writable = on_readable, on_writable

    def receive_into(self, buffer: memoryview) -> int | None:
        """Receive; see `Channel`."""
        octets = self._conversation.receive_now(len(buffer))
        if not isinstance(octets, bytes):
            self._wait(octets)
            return None
        buffer[: len(octets)] = octets
        return len(octets)

    def send(self, octets: memoryview) -> int:
        """Send; see `Channel`."""
        sent = self._conversation.send_now(octets)
        if not isinstance(sent, int):
            self._wait(sent)
            return 0
        self._flush()
        return sent

    def _flush(self) -> bool:
        pause = self._conversation.flush_now()
        self.unsent = 0 if pause is None else 1
        if pause is not None:
            self._wait(pause)
        return pause is None

    def send_eof(self) -> None:
        """Half-close; see `Channel`."""
        if not self._told_end:
            try:
                pause = self._conversation.send_eof_now()
            except OSError:  # the connection is gone; reading will say how
                pause = None
            self._told_end = pause is None
            if pause is not None:
                self._wait(pause)

    def _wait(self, pause: Pause) -> None:
        """Come back when what the conversation waits for may be there."""
        if self._loop is None:
            return
        for descriptor, _ in pause.waits:
            if descriptor not in self._watched:
                self._watched.add(descriptor)
                self._loop.watch(descriptor, self._on_events)
        if pause.seconds is not None:
            self._loop.later(pause.seconds, self._on_events)
        elif not pause.waits:
            self._loop.soon(self._on_events)

    def _on_events(self, _events: int = 0) -> None:
        # Either direction of TLS may wait for the other one of the socket.
        if self._loop is not None:
            self._on_readable()
        if self._loop is not None and self._flush():
            self._on_writable()

    def close(self) -> None:
        """Let go of the conversation."""
        if self._loop is not None:
            for descriptor in self._watched:
                self._loop.unwatch(descriptor)
            self._loop = None

"""The modes of a terminal, termios(3), which come back on every way out.

Those are: `restore`, the end of the interpreter after an error, SIGTERM, SIGHUP and SIGQUIT, and
for as long as Ctrl-Z keeps the program stopped. Only SIGKILL leaves no time for it: `reset` mends
the terminal then.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import termios
import threading
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

__all__ = ["TerminalModes", "is_dumb", "is_in_foreground", "speaks_utf_8"]

_DEADLY = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# Pasting as usual, the cursor to be seen, the usual colours: what an editor of lines changes, and
# what a remote program leaves behind when its connection breaks.
_ORDINARY = b"\x1b[?2004l\x1b[?25h\x1b[0m"
_PATIENCE_MS = 200  # for a terminal that takes nothing: it is not to keep us from ending
_IFLAG, _OFLAG, _CFLAG, _LFLAG, _CC = 0, 1, 2, 3, 6


class TerminalModes:
    """How the terminal behind `descriptor` treats keys; as it was again after `restore`.

    `drawn` is set by whoever lets control sequences be written to the terminal: it is then told to
    draw as usual, too.

    Raises: termios.error, it is no terminal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before = termios.tcgetattr(descriptor)
        self._now: list[Any] | None = None
        self._handlers: dict[int, Any] = {}
        self.drawn = False

    def hide_keys(self) -> None:
        """Let keys be read at once and not be shown; Ctrl-C is still a signal."""
        after = termios.tcgetattr(self._descriptor)
        after[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON)
        self._set(after)

    def take_keys(self) -> None:
        """Give every key as it is, Ctrl-C too, and show what is written as it is: cfmakeraw(3)."""
        after = termios.tcgetattr(self._descriptor)
        after[_IFLAG] &= ~(
            termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR
            | termios.IGNCR | termios.ICRNL | termios.IXON
        )  # fmt: skip
        after[_OFLAG] &= ~termios.OPOST
        after[_LFLAG] &= ~(
            termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN
        )
        after[_CFLAG] = after[_CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        self._set(after)

    def _set(self, modes: list[Any]) -> None:
        modes[_CC][termios.VMIN], modes[_CC][termios.VTIME] = 1, 0
        if self._now is None:
            self._watch()
        self._now = modes
        # Not TCSAFLUSH: what was typed in the meantime is meant for us.
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, modes)

    def restore(self) -> None:
        """Give the terminal back as it was; may be called twice, does not fail."""
        if self._now is not None:
            self._now = None
            self._give_back()
            self._unwatch()

    def suspend(self) -> None:
        """Stop this process, as Ctrl-Z does, with the terminal as it was; return at `fg`."""
        modes = self._now
        self._give_back()
        # Sent to this very thread: it stops here, and not somewhere below while another stops.
        signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)
        if modes is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, modes)

    def _give_back(self) -> None:
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)
        with suppress(OSError):
            if self.drawn and os.isatty(1):
                waiting = select.poll()
                waiting.register(1, select.POLLOUT)  # no room either while another thread writes
                if waiting.poll(_PATIENCE_MS):
                    os.write(1, _ORDINARY)

    def _watch(self) -> None:
        atexit.register(self.restore)
        if threading.current_thread() is threading.main_thread():
            for number in _DEADLY:  # where somebody else handles them, they come to an end with us
                if signal.getsignal(number) is signal.SIG_DFL:
                    self._handlers[number] = signal.signal(number, self._die)

    def _unwatch(self) -> None:
        atexit.unregister(self.restore)
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            self._handlers.clear()

    def _die(self, number: int, _frame: FrameType | None) -> None:
        self._now = None
        self._give_back()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def is_dumb() -> bool:
    """Tell whether the terminal knows no control sequences, by its own account."""
    return os.environ.get("TERM", "dumb") in {"", "dumb", "unknown"}


def is_in_foreground(descriptor: int) -> bool:
    """Tell whether this process may use the terminal; else it would be stopped for trying."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # not the terminal that controls this session: nobody stops us
        return True


def speaks_utf_8() -> bool:
    """Tell whether the terminal takes what is written for UTF-8, by the account of the locale."""
    import sys

    encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
    return encoding.lower().replace("-", "").replace("_", "") == "utf8"

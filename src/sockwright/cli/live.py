"""A screen that is drawn again and again: what `sw ss --watch` and `--graph` show.

    with Live(sys.stdout, picture) as live:     # picture(width, height) -> lines
        for news in source:
            with live.changing():               # drawn at the end of the block
                take(news)

Rules

1. The picture is drawn on the terminal's alternate screen, and what was there before comes back on
   every way out: the end of the block, an error, Ctrl-C, SIGTERM, SIGHUP, SIGQUIT, and for as long
   as Ctrl-Z keeps the program stopped. Only SIGKILL leaves no time for it: `reset` mends the
   terminal then.
2. Only lines that differ are written, all in one write, which a terminal that knows synchronised
   output (private mode 2026) shows at once: nothing flickers.
3. A new size of the terminal draws a new picture at once, from the signal's handler; in the middle
   of drawing, or of a change to what is drawn, it waits for the end of that.
4. Each part of a line is cleaned, and a line is cut at the width, with "…" at its end: it never
   wraps.
5. The key q is as good as Ctrl-C. The terminal tells by SIGIO that a key was pressed, so that
   nobody has to wait for keys.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from contextlib import contextmanager, suppress

from sockwright.cli.clean import clean
from sockwright.cli.colour import painted, wants_colour
from sockwright.cli.width import text_width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType, TracebackType
    from typing import Any, Self, TextIO

    from sockwright.cli.screen import Part

    Line = Sequence[Part]
    Picture = Callable[[int, int], Sequence[Line]]

__all__ = ["Live", "cut", "speaks_unicode"]

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"  # alternate screen, no cursor
_LEAVE = "\x1b[0m\x1b[?25h\x1b[?1049l"
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_DEADLY = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Live:
    """The alternate screen of a terminal, for the length of a ``with`` block.

    `picture` is asked for the lines of a screen so many columns wide and lines high, each line made
    of parts, text or (text, style); styles are words such as "bold red". Lines that are too many
    are left out. While it is shown nothing else may write to the terminal.
    """

    def __init__(self, stream: TextIO, picture: Picture) -> None:
        self._stream = stream
        self._picture = picture
        self._colour = wants_colour(stream)
        self._encoding = stream.encoding or "ascii"
        self._drawn: list[str] = []
        self._size = (0, 0)
        self._busy = False
        self._again = False
        self._handlers: list[tuple[int, Any]] = []
        self._dots = "…" if speaks_unicode(stream) else "..."
        self._keyboard: list[Any] | None = None
        self._hears = False  # of keys that are pressed

    def __enter__(self) -> Self:
        """Take the screen."""
        self._catch_signals()
        try:
            self._enter()
        except BaseException:
            self._restore_signals()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the screen back."""
        try:
            self._leave()
        finally:
            self._restore_signals()

    @property
    def ending(self) -> str:
        """What is to be pressed to end the program."""
        return "q" if self._hears else "Ctrl-C"

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines of the terminal by now."""
        return _size(self._stream)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Let nobody draw while what the picture is made of changes; draw it after that."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
        self.show()

    def show(self) -> None:
        """Draw the picture as it is now. Raises: OSError, the terminal is gone."""
        if self._busy:
            self._again = True
            return
        self._again = True
        while self._again:  # a signal may come at any of these lines
            self._again, self._busy = False, True
            try:
                self._draw()
            finally:
                self._busy = False

    # -- drawing -----------------------------------------------------------------------------------

    def _draw(self) -> None:
        size = _size(self._stream)
        written = []
        if size != self._size:
            written.append("\x1b[2J")
            self._size, self._drawn = size, []
        width, height = size
        lines = [self._line(line, width) for line in self._picture(width, height)[:height]]
        for number, line in enumerate(lines):
            if number >= len(self._drawn) or line != self._drawn[number]:
                written.append(f"\x1b[{number + 1};1H{line}")
        if len(lines) < len(self._drawn):
            written.append(f"\x1b[{len(lines) + 1};1H\x1b[J")
        self._drawn = lines
        if written:
            self._write(_BEGIN + "".join(written) + _END)

    def _line(self, line: Line, width: int) -> str:
        """Return what writes `line` from the first column on."""
        parts = [(part, "") if isinstance(part, str) else part for part in line]
        parts = [(self._safe(text), style) for text, style in parts]
        dots = ""
        if text_width("".join(text for text, _ in parts).rstrip(" ")) > width:
            dots = cut(self._dots, width - 1)
            width -= len(dots)
        pieces = []
        for text, style in parts:
            shown = cut(text, width)
            width -= text_width(shown)
            pieces.append((painted(shown, style) if self._colour else None) or shown)
        pieces.append(dots)
        # Behind the last column there is nothing to erase, and some terminals would erase there.
        return "".join(pieces) + ("\x1b[K" if width else "")

    def _safe(self, text: str) -> str:
        """Return `text` as the stream will write it, so that it can be measured."""
        shown = clean(text)
        if shown.isascii():
            return shown
        return shown.encode(self._encoding, "backslashreplace").decode(self._encoding)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    # -- the terminal ------------------------------------------------------------------------------

    def _enter(self) -> None:
        self._keyboard = _silence_keyboard()
        self._hears = bool(self._keyboard and self._handlers) and _tell_of_keys(os.getpid())
        self._size, self._drawn = (0, 0), []
        self._write(_ENTER)

    def _leave(self) -> None:
        if self._hears:
            _tell_of_keys(0)
            self._hears = False
        if self._keyboard is not None:
            import termios

            with suppress(termios.error):  # the terminal is gone
                # What was typed meanwhile was not meant for the shell.
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSAFLUSH, self._keyboard)
            self._keyboard = None
        self._write(_LEAVE)

    # -- signals -----------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # Python handles signals in its main thread only
        wanted: list[tuple[int, Callable[[int, FrameType | None], None]]] = [
            (signal.SIGWINCH, self._resized),
            (signal.SIGTSTP, self._suspend),
            (signal.SIGIO, self._key_pressed),
        ]
        # Where somebody else handles these, the block is left as it should be.
        wanted += [(n, self._die) for n in _DEADLY if signal.getsignal(n) is signal.SIG_DFL]
        self._handlers = [(number, signal.signal(number, handle)) for number, handle in wanted]

    def _restore_signals(self) -> None:
        for number, handler in self._handlers:
            signal.signal(number, handler)
        self._handlers = []

    def _resized(self, _number: int, _frame: FrameType | None) -> None:
        self.show()

    def _key_pressed(self, _number: int, _frame: FrameType | None) -> None:
        keyboard = sys.stdin.fileno()
        while self._hears and select.select([keyboard], [], [], 0)[0]:
            keys = os.read(keyboard, 1024)
            if b"q" in keys.lower() and b"\x1b" not in keys:  # a function key has letters, too
                signal.raise_signal(signal.SIGINT)
            if not keys:  # the terminal is gone
                return

    def _suspend(self, number: int, _frame: FrameType | None) -> None:
        self._leave()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # stops here, until `fg`
        signal.signal(number, self._suspend)
        self._enter()
        self.show()

    def _die(self, number: int, _frame: FrameType | None) -> None:
        try:
            self._leave()
        finally:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def speaks_unicode(stream: TextIO) -> bool:
    """Tell whether a terminal shows what is beyond ASCII, braille and arrows among it."""
    # The kernel's own console takes UTF-8, but has few of its characters.
    utf_8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
    return utf_8 and os.environ.get("TERM", "") != "linux"


def cut(text: str, width: int) -> str:
    """Return as much of `text` as `width` columns of a terminal hold."""
    if text.isascii():
        return text[:width]
    while text_width(text) > width:
        text = text[:-1]
    return text


def _size(stream: TextIO) -> tuple[int, int]:
    """Return columns and lines of the terminal."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except OSError:
        columns, lines = 0, 0
    return columns or 80, lines or 24  # a terminal may not know its size


def _silence_keyboard() -> list[Any] | None:
    """Let keys not show in the picture, nor wait for the end of a line; return what undoes it."""
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    import termios

    try:
        before = termios.tcgetattr(sys.stdin.fileno())
        after = termios.tcgetattr(sys.stdin.fileno())
        after[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON)  # local modes
        after[6][termios.VMIN], after[6][termios.VTIME] = 1, 0  # special characters
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, after)
    except termios.error:
        return None
    return before


def _tell_of_keys(process: int) -> bool:
    """Let the keyboard send SIGIO to `process`, 0 for none; False is that it cannot."""
    import fcntl

    keyboard = sys.stdin.fileno()
    try:
        flags = fcntl.fcntl(keyboard, fcntl.F_GETFL) & ~os.O_ASYNC
        fcntl.fcntl(keyboard, fcntl.F_SETOWN, process)
        fcntl.fcntl(keyboard, fcntl.F_SETFL, flags | (os.O_ASYNC if process else 0))
    except OSError:
        return False
    return True

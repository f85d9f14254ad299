"""Lines that a person types and edits, while octets that arrive are shown above them.

prompt_toolkit does the editing. It takes 100 ms to import, and wants asyncio: whoever imports this
module does so in the thread in which `run` is to be called, and goes on with other things.

Rules:

- What arrives is shown in order, above the line that is being typed, which stays whole. A line that
  has not ended yet ("login: ") stands before what is typed, as its prompt; one that is wider than
  the terminal is shown piece by piece, as the terminal would wrap it.
- A line that answers one that has not ended is remembered for this run only: it may be a password.
  What is typed after a line that asks for one is not remembered at all.
- A finished line goes to `on_line` with its LF. Pasted lines go there all at once, and what was
  pasted behind the last LF stays to be edited.
- Ctrl-D on an empty line is the end, Ctrl-C an interrupt: `run` returns which. Ctrl-Z stops the
  program until `fg`.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from typing import TYPE_CHECKING, Literal

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.data_structures import Size
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, has_focus, is_searching
from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.keys import Keys
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.search import accept_search
from prompt_toolkit.utils import get_cwidth

from sockwright.nc.terminal.cleaning import Cleaner
from sockwright.nc.terminal.line_history import LineHistory, history_path
from sockwright.nc.terminal.modes import speaks_utf_8

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.key_binding import KeyPressEvent

    from sockwright.nc.terminal.modes import TerminalModes

__all__ = ["LineEditor", "Parting"]

Parting = Literal["closed", "end", "interrupt"]

_REDRAWN_S = 0.02  # at most so often when octets arrive
_LOOKS_AT_SIZE_S = 0.2  # a thread gets no SIGWINCH
# What is asked for by such a line is not for a file.
_SECRET = re.compile(
    r"pass|kenn|geheim|contrase|senha|secret|token|credential|\b(pin|otp|key|code)\b", re.IGNORECASE
)
_MOST_OF_ROW = 8  # characters per column: some have no width, and a peer may send no others


class LineEditor:
    """Edits lines on standard input and output, which are one terminal, from `run` to its return.

    `unfinished` is the line that has been shown without its end. `on_line(octets)` and
    `on_drained()` are called in the thread of `run`, the latter whenever all that was given to
    `show` has been shown. Without `history` only lines of this run come back, and none is kept.
    """

    def __init__(
        self,
        modes: TerminalModes,
        on_line: Callable[[bytes], None],
        on_drained: Callable[[], None],
        *,
        history: bool = True,
    ) -> None:
        self.unfinished = ""
        self._before = ""  # the last line of the peer's that has ended, without blank ones
        self._fresh_row = False
        self._modes, self._on_line, self._on_drained = modes, on_line, on_drained
        self._parting: Parting = "closed"
        self._closing = False
        self._echo = Cleaner(unicode=speaks_utf_8())
        self._lock = threading.Lock()  # over what is shared with other threads, the next three
        self._arrived: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self.waiting = 0  # characters that are not on the screen yet
        # Whatever sys.stdin and sys.stdout are by now, these are the terminal.
        self._input = create_input(open(0, closefd=False))  # noqa: SIM115 - it stays open
        self._output = Vt100_Output(
            open(1, "w", encoding="utf-8", closefd=False),  # noqa: SIM115 - it stays open
            _size,
            term=os.environ.get("TERM"),
            enable_cpr=False,  # not every terminal answers when it is asked where the cursor is
        )
        self._history = LineHistory(history_path() if history else None)
        self._session: PromptSession[str] = PromptSession(
            message=self._prompt,
            history=self._history,
            key_bindings=self._bindings(),
            complete_while_typing=False,
            reserve_space_for_menu=0,
            erase_when_done=True,
            input=self._input,
            output=self._output,
        )
        self._app = self._session.app
        self._app.min_redraw_interval = _REDRAWN_S
        self._app.terminal_size_polling_interval = None  # it would miss what changes at first

    def go_on_from(self, tail: str, *, whole: bool) -> None:
        """Say what the terminal shows at its end, before `run`.

        Where that is not the `whole` of a line, what is typed goes to a row of its own.
        """
        *lines, last = tail.split("\n")
        self._look_at(lines)
        if lines or whole:
            self.unfinished = last
        else:
            self._before, self._fresh_row = last, True

    # -- for any thread ----------------------------------------------------------------------------

    def show(self, text: str) -> None:
        """Show clean text, in its turn; returns at once."""
        with self._lock:
            self._arrived.append(text)
            self.waiting += len(text)
            if self._loop is not None and len(self._arrived) == 1:
                self._loop.call_soon_threadsafe(self._show_arrived)

    def announce(self, line: str) -> None:
        """Show a clean line of ours, above the unfinished one; returns at once."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._show_line, line)

    def unshown(self) -> str:
        """Take back what was given to `show` when `run` was about to return."""
        with self._lock:
            text = "".join(self._arrived)
            self._arrived.clear()
        return text

    def close(self) -> None:
        """Have `run` return, when all that was given to `show` has been shown; returns at once."""
        with self._lock:
            self._closing = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._leave)

    # -- the thread of the editor ------------------------------------------------------------------

    def run(self) -> Parting:
        """Edit lines until the end; return what it was. The terminal is left as `modes` had it."""
        asyncio.run(self._edit())
        return self._parting

    async def _edit(self) -> None:
        # The unfinished line is drawn again, as the prompt.
        cut = self._cut_at_width(self.unfinished)
        fresh = self._fresh_row or (cut and not self.unfinished)
        self._output.write_raw("\r\n" if fresh else "\r\x1b[K")
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._show_arrived)
        following = asyncio.create_task(self._follow_size())
        try:
            await self._session.prompt_async(
                pre_run=self._leave_if_closing, handle_sigint=False, set_exception_handler=False
            )
        except EOFError:  # the terminal has hung up
            self._parting = "end"
        finally:
            following.cancel()
            with self._lock:
                self._loop = None  # from now on whoever shows something does so by himself
            self._show_arrived()
            self._output.write(self.unfinished)
            self._output.flush()

    async def _follow_size(self) -> None:
        """Draw anew what is being typed when the terminal has another size."""
        size = _size()
        while True:
            await asyncio.sleep(_LOOKS_AT_SIZE_S)
            if size != (size := _size()) and self._app.is_running:
                self._app.renderer.erase()
                self._app.invalidate()

    def _leave_if_closing(self) -> None:
        if self._closing:
            self._leave()

    def _leave(self) -> None:
        if self._app.is_running and not self._app.is_done:
            self._app.exit(result="")

    def _depart(self, parting: Parting) -> None:
        self._parting = parting
        self._leave()

    # -- what is shown -----------------------------------------------------------------------------

    def _prompt(self) -> str:
        return self.unfinished.expandtabs()

    def _show_arrived(self) -> None:
        if text := self.unshown():
            self._look_at((self.unfinished + text).split("\n")[:-1])
            self._print(text)
            with self._lock:
                self.waiting -= len(text)
                drained = not self._arrived
            if drained:
                self._on_drained()

    def _look_at(self, lines: list[str]) -> None:
        """Remember the last of the peer's lines that says something."""
        self._before = next((line for line in reversed(lines) if line.strip()), self._before)

    def _show_line(self, line: str) -> None:
        self._show_arrived()
        self._write([line])

    def _print(self, text: str) -> None:
        """Show clean text behind the unfinished line, and what is being typed below it again."""
        *lines, last = (self.unfinished + text).split("\n")
        lines += self._cut_at_width(last)
        if lines:
            self._write(lines)
        self._app.invalidate()

    def _write(self, lines: list[str]) -> None:
        """Write whole lines where the unfinished one is shown, which is drawn again below them."""
        if self._app.is_running:
            self._app.renderer.erase()
        self._output.write("\n".join(lines) + "\n")
        self._output.flush()
        self._app.invalidate()

    def _cut_at_width(self, line: str) -> list[str]:
        """Keep as `unfinished` what the last row of a terminal shows of a line; return the rest."""
        columns = max(self._output.get_size().columns, 2)
        rows = []
        if len(line) * 2 >= columns:  # or it fits, even if all of it is wide
            line = line.expandtabs()
            if line.isascii():
                end = len(line) // columns * columns
                rows = [line[at : at + columns] for at in range(0, end, columns)]
                line = line[end:]
            else:
                rows, line = _cut_wide(line, columns)
        self.unfinished = line
        return rows

    # -- keys --------------------------------------------------------------------------------------

    def _bindings(self) -> KeyBindings:
        bindings = KeyBindings()
        typing = has_focus(DEFAULT_BUFFER)
        empty = Condition(lambda: not self._session.default_buffer.text)
        for enter in ("enter", "c-j"):
            bindings.add(enter, filter=typing)(lambda _: self._finish_line())
            bindings.add(enter, filter=is_searching)(lambda _: self._finish_search())
        bindings.add("tab", filter=typing)(lambda event: event.current_buffer.insert_text("\t"))
        bindings.add("c-d", filter=typing & empty)(lambda _: self._depart("end"))
        bindings.add("c-c")(lambda _: self._depart("interrupt"))
        bindings.add("c-z")(lambda _: self._suspend())
        bindings.add(Keys.BracketedPaste, filter=typing)(self._paste)
        return bindings

    def _finish_search(self) -> None:
        accept_search()
        self._finish_line()

    def _finish_line(self) -> None:
        buffer = self._session.default_buffer
        if not (_SECRET.search(self.unfinished) or _SECRET.search(self._before)):
            self._history.keeps = not self.unfinished.strip()
            buffer.append_to_history()
        line = buffer.text + "\n"
        buffer.reset()
        buffer.load_history_if_not_yet_loaded()  # not only when it is drawn
        self._send(line)

    def _paste(self, event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        pasted = event.data.replace("\r\n", "\n").replace("\r", "\n")
        whole, lf, begun = pasted.rpartition("\n")
        if not lf:
            buffer.insert_text(pasted)
            return
        whole = buffer.document.text_before_cursor + whole
        behind = buffer.document.text_after_cursor
        buffer.reset(Document(begun + behind, len(begun)))
        self._send(whole + "\n")

    def _send(self, lines: str) -> None:
        self._before = ""  # it has been answered
        octets = lines.encode(errors="surrogateescape")
        self._on_line(octets)
        self._print((self._echo.clean(octets) + self._echo.finish()).decode())

    def _suspend(self) -> None:
        run_in_terminal(self._modes.suspend)


def _size() -> Size:
    """Return the size of the terminal, which may not know it."""
    try:
        columns, rows = os.get_terminal_size(1)
    except OSError:
        columns = rows = 0
    return Size(rows=rows or 24, columns=columns or 80)


def _cut_wide(line: str, columns: int) -> tuple[list[str], str]:
    """Cut a line into rows of a terminal; return those that are full, and the last."""
    rows, begin, width = [], 0, 0
    most = columns * _MOST_OF_ROW
    for at, character in enumerate(line):
        wide = get_cwidth(character)
        if width + wide > columns or at - begin >= most:
            rows.append(line[begin:at])
            begin, width = at, 0
        width += wide
    if width == columns:
        rows.append(line[begin:])
        begin = len(line)
    return rows, line[begin:]

"""Standard input and output on a terminal: octets shown clean, and lines edited before they go.

Nothing waits for the line editor, which takes a moment to be imported: until it is there octets are
shown by the event loop, and keys that are pressed wait in the terminal, unseen. After the end of
the input (Ctrl-D) octets are shown by the loop again.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from sockwright.nc.channels.descriptors import DescriptorChannel
from sockwright.nc.terminal.cleaning import Cleaner
from sockwright.nc.terminal.modes import TerminalModes, is_in_foreground, speaks_utf_8

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.engine.loop import Loop
    from sockwright.nc.terminal.line_editor import LineEditor, Parting

__all__ = ["CleanedChannel", "EditingChannel", "KeyboardChannel"]

_NAME = "standard input and output"
_ROOM = 64 << 10  # octets of one piece: cleaned they are four times as many at most
_HEAD_START_S = 0.03  # the first answer of the peer comes before the editor
_MOST_WAITING = 256 << 10  # characters that the editor has not shown yet
_PATIENCE_S = 5.0
_HURRY_S = 1.0  # where Ctrl-C or a signal ends the program
_MOST_TAIL = 8 << 10  # octets of what was shown last, for the editor to go on from


class KeyboardChannel(DescriptorChannel):
    """Standard input, which may be a terminal, and standard output."""

    def __init__(self, *, reads: bool = True, writes: bool = True) -> None:
        super().__init__(0 if reads else -1, 1 if writes else -1, _NAME)

    def receive_into(self, buffer: memoryview) -> int | None:
        """Read what was typed; see `Channel`."""
        # In the background of a shell, keys are not for us, and whoever reads them is stopped
        # (SIGTTIN), be there any or not. Back in the foreground, the next line comes with an event.
        if self.terminal and not is_in_foreground(0):
            return None
        return super().receive_into(buffer)


class CleanedChannel(KeyboardChannel):
    """Standard input, and standard output that is a terminal and shown nothing that could act."""

    room = _ROOM

    def __init__(self, *, reads: bool = True) -> None:
        super().__init__(reads=reads)
        self._cleaner = Cleaner(unicode=speaks_utf_8())
        self._unwritten = memoryview(b"")

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Watch both."""

        def writable() -> None:
            if self._flush():
                on_writable()

        super().attach(loop, on_readable, writable)

    def send(self, octets: memoryview) -> int:
        """Show octets; see `Channel`."""
        if not self._flush():
            return 0
        self._write(self._cleaner.clean(octets))
        return len(octets)

    def send_eof(self) -> None:
        """Show what could have been the beginning of something; the terminal stays open."""
        self._write(self._cleaner.finish())

    def close(self) -> None:
        """Show the rest, however long the terminal takes to take it, and let go of it.

        Where Ctrl-C or a signal is why it is closed, the terminal gets a second for it.

        Raises: KeyboardInterrupt, somebody did not want to wait for that.
        """
        waiting = select.poll()
        waiting.register(1, select.POLLOUT)
        end = monotonic() + _HURRY_S if _is_interrupted() else None
        try:
            with suppress(OSError):  # the terminal is gone
                while not self._flush():
                    left = None if end is None else end - monotonic()
                    if left is not None and left <= 0:
                        break
                    waiting.poll(None if left is None else left * 1000)
        finally:
            self._unwritten = memoryview(b"")
            super().close()

    def _write(self, clean: bytes) -> None:
        self._unwritten = memoryview(bytes(self._unwritten) + clean if self._unwritten else clean)
        self._flush()

    def _flush(self) -> bool:
        """Write what waits; tell whether all of it is written.

        It is not `unsent`: closing the channel does not lose it.
        """
        while self._unwritten and (taken := super().send(self._unwritten)):
            self._unwritten = self._unwritten[taken:]
        return not self._unwritten


class EditingChannel(CleanedChannel):
    """A terminal whose lines are edited; see the rules of `nc.terminal.line_editor`."""

    def __init__(self, *, history: bool = True) -> None:
        super().__init__(reads=False)
        self.terminal = self.gives = True
        self._history = history
        self._modes = TerminalModes(0)
        self._lines: deque[memoryview] = deque()
        self._ended = False
        self._closed = False
        self._editor: LineEditor | None = None  # while it has the terminal
        self._thread: threading.Thread | None = None
        self._turn = threading.Event()  # the editor's, to begin
        self._tail = b""  # of what was shown; clean, though it may begin within a character
        self._keys: KeyboardChannel | None = None  # where there is no editor to be had

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Take the keys, and show octets as they come."""
        self._on_readable, self._on_writable = on_readable, on_writable
        self._ring = loop.bell()
        super().attach(loop, on_readable, on_writable)
        self._modes.hide_keys()
        loop.later(_HEAD_START_S, self._start_editor)

    # -- keys --------------------------------------------------------------------------------------

    def receive_into(self, buffer: memoryview) -> int | None:
        """Give what was typed, line by line; see `Channel`."""
        if self._keys is not None:
            return self._keys.receive_into(buffer)
        if not self._lines:
            return 0 if self._ended else None
        line = self._lines[0][: len(buffer)]
        buffer[: len(line)] = line
        if len(line) < len(self._lines[0]):
            self._lines[0] = self._lines[0][len(line) :]
        else:
            self._lines.popleft()
        return len(line)

    def _take_line(self, line: bytes) -> None:
        if not self._closed:
            self._lines.append(memoryview(line))
            self._on_readable()

    # -- the screen --------------------------------------------------------------------------------

    def send(self, octets: memoryview) -> int:
        """Show octets; see `Channel`."""
        if self._editor is None:
            return super().send(octets)
        if self._editor.waiting > _MOST_WAITING:
            return 0
        self._write(self._cleaner.clean(octets))
        return len(octets)

    def _write(self, clean: bytes) -> None:
        if self._editor is None:
            self._tail = (self._tail + clean[-_MOST_TAIL:])[-_MOST_TAIL:]
            super()._write(clean)
        elif clean:
            # The editor counts lines by LF, and the terminal makes CR LF of that in any case.
            self._editor.show(clean.decode().replace("\r\n", "\n"))

    def _drained(self) -> None:
        if not self._closed:
            self._on_writable()

    def announce(self, line: str) -> bool:
        """Show a clean line that is ours, not the peer's, above what is being typed.

        False: nothing is being typed, or errors go elsewhere; whoever has the line prints it as
        anywhere.
        """
        if self._editor is None or not os.isatty(2):
            return False
        self._editor.announce(line)
        return True

    # -- the editor comes and goes -----------------------------------------------------------------

    def _start_editor(self) -> None:
        if not self._closed:
            self._thread = threading.Thread(target=self._edit, name="line editor", daemon=True)
            self._thread.start()

    def _edit(self) -> None:
        """Edit lines, in the editor's thread."""
        ring = self._ring
        try:
            from sockwright.nc.terminal.line_editor import LineEditor

            editor = LineEditor(
                self._modes,
                on_line=lambda line: ring(lambda: self._take_line(line)),
                on_drained=lambda: ring(self._drained),
                history=self._history,
            )
            ring(lambda: self._hand_over(editor))
            self._turn.wait()
            if self._editor is not editor:  # closed meanwhile
                return
            parting = editor.run()
        except Exception:
            # The connection matters more than the editor.
            ring(self._do_without)
        else:
            ring(lambda: self._part(editor, parting))

    def _hand_over(self, editor: LineEditor) -> None:
        """Let the editor have the terminal, as soon as that has taken what was written."""
        if self._closed:
            self._turn.set()
        elif not self._flush() and self._loop is not None:
            self._loop.later(_HEAD_START_S, lambda: self._hand_over(editor))
        else:
            tail = self._tail.decode(errors="ignore")
            editor.go_on_from(tail, whole=len(self._tail) < _MOST_TAIL)
            self._editor = editor
            self._modes.drawn = True
            self._turn.set()

    def _part(self, editor: LineEditor, parting: Parting) -> None:
        """Take the terminal back from an editor that has ended."""
        if self._closed:
            return
        self._take_back(editor)
        if parting == "interrupt":
            raise KeyboardInterrupt  # out of the loop, as Ctrl-C does elsewhere
        self._ended = True
        self._on_readable()
        if not self._closed:
            self._on_writable()

    def _take_back(self, editor: LineEditor) -> None:
        self._editor = None
        self._modes.restore()
        self._write(editor.unshown().encode())

    def _do_without(self) -> None:
        """Let the kernel edit lines, which it does not do well, but always."""
        if not self._closed and self._loop is not None:
            if self._editor is not None:
                self._take_back(self._editor)
            self._modes.restore()
            self._keys = KeyboardChannel(writes=False)
            self._keys.attach(self._loop, self._on_readable, self._on_writable)
            self._on_writable()

    def close(self) -> None:
        """Show the rest, and give the terminal back."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._editor is not None and self._thread is not None:
                self._editor.close()
                # It may be that the terminal takes nothing any more.
                self._thread.join(_HURRY_S if _is_interrupted() else _PATIENCE_S)
                if not self._thread.is_alive():
                    self._take_back(self._editor)
        finally:
            self._turn.set()
            try:
                super().close()
            finally:
                if self._keys is not None:
                    self._keys.close()
                self._modes.restore()


def _is_interrupted() -> bool:
    """Tell whether what we are called by is on its way out: KeyboardInterrupt, SystemExit."""
    error = sys.exc_info()[1]
    return error is not None and not isinstance(error, Exception)

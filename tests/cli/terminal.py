"""A terminal that a program draws on: its lines, and which of its screens is shown."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Terminal"]

_PATIENCE_S = 30.0
_SEQUENCE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")


class Terminal:
    """Runs a program on a terminal of that many columns and lines; it inherits `descriptors`.

    `lines` is what it shows on the screen that is in use, `alternate` whether that is the alternate
    one, `main` what was written to the other, `written` all of it with its escape sequences. No
    wait ends in the middle of a picture (synchronised output), which may come in pieces.
    """

    def __init__(
        self,
        command: Sequence[str],
        *descriptors: int,
        columns: int = 80,
        lines: int = 24,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.columns, self.height = columns, lines
        self.written = ""
        self.main = ""
        self.alternate = False
        self.cursor = True
        self._drawing = False
        self._rows: dict[int, str] = {}
        self._at = (1, 0)
        self._rest = b""
        self._ours, self._theirs = pty.openpty()
        self.resize(columns, lines)
        unset = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"}
        kept = {name: value for name, value in os.environ.items() if name not in unset}
        self.process = subprocess.Popen(
            command,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            process_group=0,  # of the same session, or nothing could stop it
            pass_fds=descriptors,
            env=kept | {"TERM": "xterm-256color", "PYTHONUTF8": "1"} | dict(environment or {}),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    @property
    def lines(self) -> list[str]:
        """The lines that are shown, without what is empty below them."""
        last = max((number for number, text in self._rows.items() if text.strip()), default=0)
        return [self._rows.get(number, "").rstrip() for number in range(1, last + 1)]

    @property
    def echoes(self) -> bool:
        """Whether keys that are pressed are shown."""
        return bool(termios.tcgetattr(self._theirs)[3] & termios.ECHO)

    @property
    def waits_for_lines(self) -> bool:
        """Whether programs get keys when the line is complete."""
        return bool(termios.tcgetattr(self._theirs)[3] & termios.ICANON)

    @property
    def tells_of_keys(self) -> bool:
        """Whether a signal tells that a key was pressed."""
        return bool(fcntl.fcntl(self._theirs, fcntl.F_GETFL) & os.O_ASYNC)

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size; whoever runs on it is told by SIGWINCH."""
        self.columns, self.height = columns, lines
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, size)
        if hasattr(self, "process"):  # the terminal is not the one that controls it
            self.process.send_signal(signal.SIGWINCH)

    def until(self, wanted: Callable[[Terminal], object]) -> None:
        """Read what is written until the terminal is as `wanted`, with its picture whole."""
        end = time.monotonic() + _PATIENCE_S
        while self._drawing or not wanted(self):
            left = end - time.monotonic()
            assert left > 0, f"the terminal shows {self.lines}, below it {self.main!r}"
            self._read(left)

    def until_shown(self, text: str) -> None:
        """Read until some line has `text`."""
        self.until(lambda terminal: any(text in line for line in terminal.lines))

    def finish(self) -> int:
        """Read until the program has ended; return its exit status."""
        end = time.monotonic() + _PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < end, f"the terminal shows {self.lines}"
            self._read(0.05)
        self._read(0)
        return self.process.wait()

    def _read(self, seconds: float) -> None:
        while select.select([self._ours], [], [], seconds)[0]:
            octets = self._rest + os.read(self._ours, 65536)
            whole = _whole(octets)
            self._rest = octets[whole:]
            self._take(octets[:whole].decode())
            seconds = 0

    def _take(self, text: str) -> None:
        self.written += text
        at = 0
        for found in _SEQUENCE.finditer(text):
            self._print(text[at : found.start()])
            self._obey(*found.groups())
            at = found.end()
        self._print(text[at:])

    def _print(self, text: str) -> None:
        if not self.alternate:
            self.main += text.replace("\r\n", "\n")
            return
        row, column = self._at
        line = self._rows.get(row, "").ljust(column)
        self._rows[row] = line[:column] + text + line[column + len(text) :]
        self._at = row, column + len(text)

    def _obey(self, private: str, numbers: str, what: str) -> None:
        row, column = self._at
        if private:
            if numbers == "1049":
                self.alternate = what == "h"
                self._rows = {}
                self._drawing = False
            elif numbers == "2026":
                self._drawing = what == "h"
            elif numbers == "25":
                self.cursor = what == "h"
        elif what == "H":
            line, place = map(int, numbers.split(";"))
            self._at = line, place - 1
        elif what == "K":
            self._rows[row] = self._rows.get(row, "")[:column]
        elif what == "J":
            kept = 0 if numbers == "2" else row
            self._rows = {number: text for number, text in self._rows.items() if number < kept}


def _whole(octets: bytes) -> int:
    """Return how many octets there are before an escape sequence or a character that is cut."""
    end = len(octets)
    for back in range(1, min(3, end) + 1):
        octet = octets[end - back]
        if octet >= 0xC0:  # the first of a character of two to four
            if 2 + (octet >= 0xE0) + (octet >= 0xF0) > back:
                end -= back
            break
        if octet < 0x80:
            break
    last = octets.rfind(b"\x1b", 0, end)
    if last >= 0 and _SEQUENCE.match(octets[last:end].decode()) is None:
        return last
    return end

"""A terminal as a person sees it who uses a program that writes lines, not pictures."""

from __future__ import annotations

import re

from tests.cli.terminal import Terminal

from sockwright.cli.width import text_width

__all__ = ["Screen"]

_SEQUENCE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")


class Screen(Terminal):
    """A `Terminal` whose ordinary screen has a cursor, wraps lines and scrolls; `lines` shows it.

    What has scrolled away is in `lines` too. A character that would act on a terminal, other than
    those that the program under test has reason to write, is an error.
    """

    def __init__(self, *args: object, **more: object) -> None:
        self._cells: list[list[str]] = [[]]
        self._row = self._column = 0
        self.pastes_whole = False
        super().__init__(*args, **more)  # type: ignore[arg-type]

    @property
    def lines(self) -> list[str]:
        """The lines, without what is empty at their ends and below them."""
        lines = ["".join(row).rstrip() for row in self._cells]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def cursor_at(self) -> tuple[int, int]:
        """Row and column of the cursor, from 0."""
        return self._row, self._column

    def _take(self, text: str) -> None:
        self.written += text
        at = 0
        for found in _SEQUENCE.finditer(text):
            self._put(text[at : found.start()])
            self._act(*found.groups())
            at = found.end()
        self._put(text[at:])

    def _put(self, text: str) -> None:
        for character in text:
            if character == "\r":
                self._column = 0
            elif character == "\n":
                self._row += 1
            elif character == "\b":
                self._column = max(0, self._column - 1)
            elif character == "\t":
                self._column = min(self._column // 8 * 8 + 8, self.columns - 1)
            elif character != "\x07":
                assert character.isprintable(), f"{character!r} was written to the terminal"
                self._set(character)

    def _set(self, character: str) -> None:
        width = text_width(character)
        if self._column + width > self.columns:
            self._row, self._column = self._row + 1, 0
        row = self._here()
        row.extend(" " * (self._column - len(row)))
        row[self._column : self._column + width] = [character] + [""] * (width - 1)
        self._column += width

    def _here(self) -> list[str]:
        while len(self._cells) <= self._row:
            self._cells.append([])
        return self._cells[self._row]

    def _act(self, private: str, numbers: str, what: str) -> None:
        count = int(numbers or 1) if numbers.isdecimal() or not numbers else 1
        # Behind the last column the cursor waits for what comes next; a move forgets that.
        column = min(self._column, self.columns - 1)
        if private:
            if numbers == "25":
                self.cursor = what == "h"
            elif numbers == "2004":
                self.pastes_whole = what == "h"
        elif what == "A":
            self._row, self._column = max(0, self._row - count), column
        elif what == "B":
            self._row, self._column = self._row + count, column
        elif what == "C":
            self._column = min(self.columns - 1, column + count)
        elif what == "D":
            self._column = max(0, column - count)
        elif what == "K":
            del self._here()[column:]
        elif what == "J":
            del self._here()[column:]
            del self._cells[self._row + 1 :]
        else:
            assert what in "mh", f"ESC [ {numbers} {what} was written to the terminal"

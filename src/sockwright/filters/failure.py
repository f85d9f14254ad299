"""The one error of this package: where in the expression it is, why, and what would fit."""

from __future__ import annotations

import re

from sockwright.errors import UsageError

__all__ = ["FilterError", "Refusal"]

_SHOWN = 72  # characters of a long expression that stand above the carets
_LONGEST_WORD = 48  # characters of a word that a reason or a hint quotes whole
_LONG_WORD = re.compile(rf"[^\s'\";,]{{{_LONGEST_WORD + 1},}}")


class Refusal(Exception):  # noqa: N818  # not seen outside: the compiler makes a FilterError of it
    """A term cannot be compiled: `reason`, and what would fit as `hint`. Its caller knows where."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason, hint)
        self.reason = reason
        self.hint = hint


class FilterError(UsageError, ValueError):
    """An expression of the filter language is wrong, or cannot hold for this link type.

    `expression` is the whole text, `position` the character at which the wrong word starts,
    `length` how many characters it has (0 at the end of the expression), `reason` what is wrong,
    `hint` what would fit (empty where nothing does). As text it is reason and hint in one line;
    `marked()` is also its note (`__notes__`), so a traceback and the command show it below.
    """

    def __init__(
        self, expression: str, position: int, length: int, reason: str, hint: str = ""
    ) -> None:
        self.expression = expression
        self.position = position
        self.length = length
        self.reason = reason = _short(reason)
        self.hint = hint = _short(hint)
        super().__init__(expression, position, length, reason, hint)
        if expression.strip():
            self.add_note("\n".join(self.marked()))

    def __str__(self) -> str:
        return f"{self.reason}; {self.hint}" if self.hint else self.reason

    def marked(self) -> tuple[str, str]:
        """Return two lines: the expression around the word, and carets under the word.

        A long expression is cut, with ``…`` where some of it is left out. Whatever moves a
        terminal's cursor, line ends too, is a space in the first line.
        """
        size = len(self.expression)
        start = 0
        if size > _SHOWN:
            start = max(0, min(self.position - _SHOWN // 2, size - _SHOWN))
        end = min(size, start + _SHOWN)
        text = "".join(c if c.isprintable() else " " for c in self.expression[start:end])
        before, behind = "…" * (start > 0), "…" * (end < size)
        length = max(1, min(self.length, end - self.position))
        mark = " " * (len(before) + self.position - start) + "^" * length
        return f"  {before}{text}{behind}", "  " + mark


def _short(text: str) -> str:
    """Return `text` with words that are too long to be read cut."""
    return _LONG_WORD.sub(lambda found: found[0][: _LONGEST_WORD - 1] + "…", text)

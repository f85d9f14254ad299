"""How a part of a filter is refused: where, why, and what would fit."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["Refusal", "refuse"]


class Refusal(Exception):  # noqa: N818  # not seen outside: the parser makes a FilterError of it
    """A word of a filter is wrong: `reason`, what would fit as `hint`, and which part of the word.

    The part is `length` characters from `start` on; the whole word where `length` is None.
    """

    def __init__(
        self, reason: str, hint: str = "", start: int = 0, length: int | None = None
    ) -> None:
        super().__init__(reason, hint)
        self.reason = reason
        self.hint = hint
        self.start = start
        self.length = length

    def behind(self, offset: int, length: int) -> Refusal:
        """Return the same about a part of `length` characters that starts at `offset` in a word."""
        if self.length is None:
            return Refusal(self.reason, self.hint, offset, length)
        return Refusal(self.reason, self.hint, offset + self.start, self.length)


def refuse(expression: str, position: int, length: int, reason: str, hint: str = "") -> NoReturn:
    """Raise the FilterError that says so. Raises: FilterError."""
    # Its package holds the whole language of capture filters: 30 ms, which only errors pay.
    from sockwright.filters import FilterError

    raise FilterError(expression, position, length, reason, hint)

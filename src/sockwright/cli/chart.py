"""Curves and bars made of characters: braille where the terminal has it, else ASCII.

A chart is a grid of dots, two columns and four rows of dots to a character of braille (Unicode
U+2800 and on), one and two in ASCII. Of each column of dots the caller gives the range that is
to be seen there, so that a peak among many values that share a column is not lost.
"""

from __future__ import annotations

from math import floor, log10

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Range = tuple[float, float]

__all__ = ["Chart", "ranges", "scale_end"]

_BRAILLE = 0x2800
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # by column, from the top
_HALVES = {(False, False): " ", (True, False): "'", (False, True): ".", (True, True): ":"}


class Chart:
    """A grid of `width` by `height` characters; `plain` restricts it to ASCII."""

    def __init__(self, width: int, height: int, *, plain: bool = False) -> None:
        self.width = width
        self.height = height
        self.plain = plain

    @property
    def columns(self) -> int:
        """How many columns of dots there are."""
        return self.width if self.plain else self.width * 2

    @property
    def rows(self) -> int:
        """How many rows of dots there are."""
        return self.height * (2 if self.plain else 4)

    def draw(self, values: Sequence[Range | None], top: float) -> list[str]:
        """Return the lines of the chart, each `width` characters, from the top.

        `values` has the lowest and the highest value of each column of dots, None where there is
        nothing; 0 is the lowest row, `top` the highest. Neighbours that do not touch are joined.
        """
        spans = [None if value is None else self._span(value, top) for value in values]
        return self._lines(_joined(spans))

    def draw_bars(self, values: Sequence[Range | None], top: float) -> list[str]:
        """Return the lines of a chart with a bar from 0 to the highest value of each column.

        What is above 0 has a dot at least, what is 0 none.
        """
        spans = [
            None if value is None or value[1] <= 0 else (0, self._span(value, top)[1])
            for value in values
        ]
        return self._lines(spans)

    def _span(self, value: Range, top: float) -> tuple[int, int]:
        low, high = (
            min(self.rows - 1, max(0, round(one / top * (self.rows - 1)))) for one in value
        )
        return low, high

    def _lines(self, spans: Sequence[tuple[int, int] | None]) -> list[str]:
        spans = [*spans[: self.columns], *[None] * (self.columns - len(spans))]
        return [
            "".join(self._character(spans, column, line) for column in range(self.width))
            for line in range(self.height)
        ]

    def _character(self, spans: Sequence[tuple[int, int] | None], column: int, line: int) -> str:
        bottom = self.rows - (line + 1) * self.rows // self.height
        if self.plain:
            return _HALVES[_has(spans[column], bottom + 1), _has(spans[column], bottom)]
        bits = 0
        for side, dots in enumerate(_DOTS):
            for place, bit in enumerate(dots):
                if _has(spans[2 * column + side], bottom + 3 - place):
                    bits |= bit
        return chr(_BRAILLE + bits) if bits else " "


def ranges(
    values: Iterable[tuple[float, float | None]], start: float, end: float, columns: int
) -> list[Range | None]:
    """Return the lowest and the highest value in each of `columns` equal parts of a time.

    `values` are (time, value) in order of time, value None where nobody knows; those outside of
    `start` to `end` are left out. A part without any value, between two that have some, repeats the
    one before it.
    """
    found: list[Range | None] = [None] * columns
    last: tuple[int, float] | None = None
    for at, value in values:
        if not start <= at <= end:
            continue
        place = min(columns - 1, int((at - start) / (end - start) * columns))
        if value is None:
            last = None
            continue
        if last is not None:
            for between in range(last[0] + 1, place):
                found[between] = last[1], last[1]
        low, high = found[place] or (value, value)
        found[place] = min(low, value), max(high, value)
        last = place, value
    return found


def scale_end(most: float) -> float:
    """Return a round number from `most` on, half as much again at most."""
    if most <= 0:
        return 1.0
    power = 10.0 ** floor(log10(most))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15) if step * power >= most)


def _joined(spans: Sequence[tuple[int, int] | None]) -> list[tuple[int, int] | None]:
    """Return the spans, each long enough to touch the one before it."""
    joined: list[tuple[int, int] | None] = []
    before: tuple[int, int] | None = None
    for span in spans:
        if span is not None and before is not None:
            low, high = span
            if before[1] < low:
                low = before[1] + 1
            elif before[0] > high:
                high = before[0] - 1
            joined.append((min(low, span[1]), max(high, span[0])))
        else:
            joined.append(span)
        before = span
    return joined


def _has(span: tuple[int, int] | None, row: int) -> bool:
    return span is not None and span[0] <= row <= span[1]

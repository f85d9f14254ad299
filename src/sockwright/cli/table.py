"""Rows as a table: aligned columns, or one block a row where the columns do not fit.

Rows are held back until their widths are known, `HELD_ROWS` at most. A row class with
``live: ClassVar[bool] = True`` is shown row by row as it comes; its columns then only grow. So
that they need not, its ``least_widths`` give by name how wide columns are from the start, where
the screen has room for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sockwright.cli.clean import clean
from sockwright.cli.values import as_text, column_names
from sockwright.cli.width import text_width

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sockwright.cli.screen import Part, Screen

__all__ = ["render_table"]

HELD_ROWS = 1000
_GAP = "  "
# The last column may be folded to this width before the table gives way to blocks.
_NARROWEST_LAST_COLUMN = 24


def render_table(rows: Iterable[Any], screen: Screen) -> None:
    """Show `rows` on `screen`; rows of another class start a table of their own."""
    table: _Table | None = None
    held: list[Any] = []
    try:
        for row in rows:
            if table is None or table.row_type is not type(row):
                if table is not None:
                    table.show(held)
                    held = []
                    screen.line()
                table = _Table(row, screen)
            held.append(row)
            if len(held) >= HELD_ROWS or getattr(type(row), "live", False):
                table.show(held)
                held = []
    finally:
        # What is there is shown, however the rows ended.
        if table is not None:
            table.show(held)


class _Table:
    """Rows of one class: their columns, and the widths so far."""

    def __init__(self, row: Any, screen: Screen) -> None:
        self.row_type = type(row)
        self._names = column_names(row)
        self._heads = [name.replace("_", " ") for name in self._names]
        self._widths = [len(head) for head in self._heads]
        self._screen = screen
        self._begun = False
        self._blocks = False

    def show(self, rows: Sequence[Any]) -> None:
        if not rows:
            return
        values = [[getattr(row, name) for name in self._names] for row in rows]
        cells = [[clean(as_text(value)) for value in row] for row in values]
        for row in cells:
            self._widths = [
                max(w, text_width(cell)) for w, cell in zip(self._widths, row, strict=True)
            ]
        if not self._begun:
            wishes = getattr(rows[0], "least_widths", {})
            wished = [
                max(width, wishes.get(name, 0))
                for name, width in zip(self._names, self._widths, strict=True)
            ]
            if not self._is_too_wide(wished):
                self._widths = wished
            self._blocks = self._is_too_wide(self._widths)
            if not self._blocks:
                self._write(self._heads, ["bold"] * len(self._heads))
        for value, cell in zip(values, cells, strict=True):
            styles = [_style(item) for item in value]
            if self._blocks:
                self._write_block(cell, styles)
            else:
                self._write(cell, styles)
            self._begun = True

    def _is_too_wide(self, widths: Sequence[int]) -> bool:
        last = min(widths[-1], _NARROWEST_LAST_COLUMN)
        least = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1) + last
        return self._screen.terminal and least > self._screen.width

    def _write(self, cells: Sequence[str], styles: Sequence[str]) -> None:
        parts: list[Part] = []
        for cell, style, width in zip(cells[:-1], styles, self._widths, strict=False):
            parts += [(cell, style), " " * (width - text_width(cell)) + _GAP]
        used = sum(self._widths[:-1]) + len(_GAP) * (len(self._widths) - 1)
        pieces = self._fold(cells[-1], self._screen.width - used)
        self._screen.line(*parts, (pieces[0], styles[-1]))
        for piece in pieces[1:]:
            self._screen.line(" " * used, (piece, styles[-1]))

    def _write_block(self, cells: Sequence[str], styles: Sequence[str]) -> None:
        """Write a row as lines of name and value, the first value as their title."""
        if self._begun:
            self._screen.line()
        self._screen.line((cells[0], styles[0] or "bold"))
        indent = max(map(len, self._heads)) + 4
        if indent > self._screen.width // 2:
            indent = 4
        for head, cell, style in list(zip(self._heads, cells, styles, strict=True))[1:]:
            pieces = self._fold(cell, self._screen.width - indent)
            if len(head) + 3 < indent:
                self._screen.line(("  " + head).ljust(indent), (pieces[0], style))
                pieces = pieces[1:]
            else:
                self._screen.line("  " + head)
            for piece in pieces:
                self._screen.line(" " * indent, (piece, style))

    def _fold(self, text: str, width: int) -> list[str]:
        # A pipe gets whole lines: one row, one line, so that grep and awk can read them.
        if not self._screen.terminal or text_width(text) <= width:
            return [text]
        from textwrap import wrap

        return wrap(text, max(8, width)) or [""]


def _style(value: object) -> str:
    if value is True:
        return "green"
    return "red" if value is False else ""

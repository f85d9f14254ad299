"""A line for each action that works; for one that does not, also what it needs and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.cli.table import render_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sockwright.cli.screen import Screen
    from sockwright.tools.doctor import Finding

_NAMES = 24


def render(rows: Iterable[Finding], screen: Screen) -> None:
    """Show each finding as it comes; a pipe gets the table with every column."""
    if not screen.terminal:
        render_table(rows, screen)
        return
    # Beside the name where there is room for a sentence, else below it.
    beside = screen.width >= 2 * _NAMES + 20
    indent = " " * (5 + _NAMES + 1 if beside else 5)
    for row in rows:
        mark = ("yes  ", "green") if row.ok else ("no   ", "bold red")
        notes = [(row.detail, "" if row.ok else "red")]
        if not row.ok:
            needs = f"needs {row.needs}" if row.needs else ""
            notes += [(needs, ""), (row.remedy, "bold")]
        lines = [
            (line, style)
            for text, style in notes
            for line in screen.fold(text, screen.width - len(indent))
        ]
        if beside and lines and len(row.action) <= _NAMES:
            screen.line(mark, row.action.ljust(_NAMES + 1), lines.pop(0))
        else:
            screen.line(mark, row.action)
        for line in lines:
            screen.line(indent, line)

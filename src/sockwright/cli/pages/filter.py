"""A filter: its program as tcpdump prints it, or what it means as folded text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.filters import Instruction
from sockwright.filters.instruction import as_c, as_numbers, as_text
from sockwright.tools.filter import Meaning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sockwright.cli.screen import Screen
    from sockwright.tools.filter import Instruction as Row

_FORMS = {"d": as_text, "dd": as_c, "ddd": as_numbers}


def render(rows: Iterable[Row | Meaning], screen: Screen) -> None:
    """Write the program, or the meaning."""
    program: list[Instruction] = []
    form = "d"
    for row in rows:
        if isinstance(row, Meaning):
            _meaning(row, screen)
        else:
            program.append(Instruction(row.code, row.jt, row.jf, row.k))
            form = row._format  # noqa: SLF001  # hidden from --json, not from its own page
    if program:
        # Octet for octet as tcpdump has it, tabs and spaces at line ends included.
        screen.verbatim("".join(f"{line}\n" for line in _FORMS[form](program)))


def _meaning(row: Meaning, screen: Screen) -> None:
    for line in row._lines:  # noqa: SLF001  # hidden from --json, not from its own page
        text = line.lstrip()
        if not text:
            screen.line()
            continue
        indent = line[: len(line) - len(text)]
        bullet = "- " if text.startswith("- ") else ""
        style = "bold" if not indent else ""
        hang = indent + " " * (len(bullet) or 2)
        first, *rest = screen.fold(text, screen.width - len(hang)) or [""]
        screen.line(indent, (first, style))
        for more in rest:
            screen.line(hang, more)

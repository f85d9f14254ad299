"""Lines of packets as they are, everything else as tables."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from sockwright.cli.screen import Screen
from sockwright.tools._rows import Remark, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sockwright.columns.follow import Piece

__all__ = ["render"]


def render(rows: Iterable[Any], screen: Screen) -> None:
    """Show text as it comes, other rows as the tables that they belong to."""
    tables = _without_text(rows, screen)
    first = next(tables, None)
    if first is None:
        return
    from itertools import chain

    from sockwright.cli.table import render_table

    render_table(chain((first,), tables), screen)


def _without_text(rows: Iterable[Any], screen: Screen) -> Iterator[Any]:
    for row in rows:
        if isinstance(row, Text):
            screen.octets(row.octets)
        elif isinstance(row, Remark):
            Screen(sys.stderr).message(f"sw read: {row}")
        elif type(row).__name__ == "Piece":
            _show_piece(row, screen)
        else:
            yield row


_MARKS = {"there": ("> ", "cyan"), "back": ("< ", "magenta")}


def _show_piece(piece: Piece, screen: Screen) -> None:
    """Show what one side of a flow sent, line by line, with the direction in front."""
    mark, style = _MARKS[piece.direction]
    octets = piece.octets.removesuffix(b"\n")
    for line in octets.split(b"\n") if piece.octets else ():
        text = line.removesuffix(b"\r").decode("ascii", "backslashreplace")
        screen.line((mark + text, style))
    if piece.gap:
        screen.line((f"{mark}[{piece.gap} octets are missing]", "red"))
    if piece.ended:
        screen.line((f"{mark}[{piece.ended}]", "bold"))

"""What happens beside the octets of `sw nc`, on standard error; ports and files as tables.

Standard output belongs to the peer: nothing is written there unless there are rows.
"""

from __future__ import annotations

import sys

from sockwright.cli.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from sockwright.cli.screen import Screen

__all__ = ["render", "show"]


def render(rows: Iterable[Any], screen: Screen) -> None:
    """Show rows as tables, and what is said beside them on standard error."""
    show(rows, screen, "nc")


def show(rows: Iterable[Any], screen: Screen, verb: str) -> None:
    """Show the rows of a verb."""
    rest = _said(rows, verb)
    for row in rest:
        from itertools import chain

        from sockwright.cli.table import render_table

        render_table(chain([row], rest), screen)


def _said(rows: Iterable[Any], verb: str) -> Iterator[Any]:
    """Yield the rows; say the others."""
    beside: Screen | None = None
    for row in rows:
        if not getattr(row, "aside", False) and type(row).__name__ != "Event":
            yield row
        elif text := str(row):
            if beside is None:
                from sockwright.cli.screen import Screen

                beside = Screen(sys.stderr)
            line = f"sw {verb}: {text}"
            above = getattr(row, "above", None)
            if above is None or not above(clean(line)):
                beside.message(line)

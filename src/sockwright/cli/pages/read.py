"""Lines of packets as they are, everything else as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sockwright.tools._rows import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sockwright.cli.screen import Screen

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
        else:
            yield row

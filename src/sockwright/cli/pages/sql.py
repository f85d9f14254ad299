"""The result of a query as a table: names as SQL has them, numbers to the right, null as a dash."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from sockwright.cli.clean import clean
from sockwright.cli.table import HELD_ROWS
from sockwright.cli.values import as_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sockwright.cli.screen import Screen

_GAP = "  "


def render(rows: Iterable[Mapping[str, Any]], screen: Screen) -> None:
    """Show `rows`; the widths are those of the first thousand."""
    every = iter(rows)
    held: list[Mapping[str, Any]] = []
    widths: list[int] = []
    numeric: list[bool] = []
    try:
        held.extend(islice(every, HELD_ROWS))
    finally:
        # What is there is shown, however the rows ended: a capture may be cut behind them.
        if held:
            names = [clean(name) for name in held[0]]
            numeric = [_numeric([row[name] for row in held]) for name in held[0]]
            cells = [[clean(as_text(value)) for value in row.values()] for row in held]
            widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
            screen.line((_laid_out(names, widths, numeric), "bold"))
            for row in cells:
                screen.line(_laid_out(row, widths, numeric))
    for later in every:
        cells_of_row = [clean(as_text(value)) for value in later.values()]
        screen.line(_laid_out(cells_of_row, widths, numeric))


def _numeric(values: Sequence[object]) -> bool:
    return all(isinstance(value, int | float | None) for value in values)


def _laid_out(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    return _GAP.join(
        [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        ]
    )

"""Lines of packets as they come on standard output; what is said beside them on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from sockwright.cli.screen import Screen
from sockwright.tools._rows import Remark, Text
from sockwright.tools.capture import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["render"]

_ERASED_LINE = "\r\x1b[K"


def render(rows: Iterable[Any], screen: Screen) -> None:
    """Show text as it comes, notices beside it, interfaces as a table."""
    from sockwright.cli.table import render_table

    render_table(_table_rows(rows, screen), screen)


def _table_rows(rows: Iterable[Any], screen: Screen) -> Iterator[Any]:
    beside = Screen(sys.stderr)
    pending = False  # whether a status stands on the last line of the terminal
    try:
        for row in rows:
            if isinstance(row, Text):
                screen.octets(row.octets)
            elif isinstance(row, Status):
                sys.stderr.write(_ERASED_LINE + row.text)
                sys.stderr.flush()
                pending = True
            elif isinstance(row, Remark):
                if pending:
                    sys.stderr.write(_ERASED_LINE)
                    pending = False
                beside.line(f"sw capture: {row}")
            else:
                yield row
    finally:
        if pending:
            sys.stderr.write(_ERASED_LINE)
            sys.stderr.flush()

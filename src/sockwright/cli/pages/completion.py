"""The completion script as it is, for the shell to evaluate."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sockwright.cli.screen import Screen
    from sockwright.tools.completion import Script


def render(rows: Iterable[Script], screen: Screen) -> None:
    """Write the script of each row."""
    for row in rows:
        screen.verbatim(row.script)

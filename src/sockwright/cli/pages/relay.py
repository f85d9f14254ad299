"""What happens beside the octets of `sw relay`, on standard error."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from sockwright.cli.screen import Screen

__all__ = ["render"]


def render(rows: Iterable[Any], screen: Screen) -> None:
    """Say what happens."""
    from sockwright.cli.pages.nc import show

    show(rows, screen, "relay")

"""Sockets as a table whose columns never run together."""

from __future__ import annotations

import sys

from sockwright.tools.ss import Aside, Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sockwright.cli.screen import Screen

__all__ = ["render"]


def render(rows: Iterable[object], screen: Screen) -> None:
    """Show listings as tables, asides on standard error."""
    for row in rows:
        if isinstance(row, Listing):
            _show(row, screen)
        elif isinstance(row, Aside):
            screen.stream.flush()
            print(f"sw ss: {row}", file=sys.stderr)


def _show(listing: Listing, screen: Screen) -> None:
    from sockwright.cli.pages._ss_cells import cells_of
    from sockwright.cli.pages._ss_layout import show_table
    from sockwright.cli.pages._ss_names import Names
    from sockwright.sockets.diag.devices import device_names

    args = listing.args
    cells = cells_of(
        listing.rows,
        None if args.numeric else Names(),
        device_names(),
        netid=listing.with_netid,
        processes=args.processes,
    )
    show_table(cells, screen, header=not args.no_header)

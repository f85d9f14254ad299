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
    heads = ["State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port"]
    cells = [
        [row.state, str(row.receive_queue), str(row.send_queue), row.local, row.peer]
        for row in listing.rows
    ]
    if listing.with_netid:
        heads.insert(0, "Netid")
        for row, cell in zip(listing.rows, cells, strict=True):
            cell.insert(0, row.netid)
    lines = cells if listing.args.no_header else [heads, *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        screen.line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))

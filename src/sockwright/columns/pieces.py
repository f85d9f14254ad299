"""The columns of a capture piece by piece, in memory that does not grow with it.

`Columns` hold a whole capture, filled on all cores. Who writes them somewhere else needs them once:
pieces are filled by one thread while another one works on the piece before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sockwright.columns.filling import Part, joined
from sockwright.columns.gathering import Batches
from sockwright.columns.plan import STANDARD, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.columns.capture_file import CaptureFile
    from sockwright.columns.columns import Columns
    from sockwright.columns.gathering import Accept

__all__ = ["columns_by_pieces"]

_ROWS = 1 << 18


def columns_by_pieces(
    capture: CaptureFile,
    names: Sequence[str] = (),
    accept: Accept | None = None,
    *,
    rows: int = _ROWS,
) -> Iterator[Columns]:
    """Yield the columns called `names` in pieces of about `rows` packets, in order.

    Packets and flows keep the numbers that they have in the whole capture. With `accept` the pieces
    hold only the packets that it accepts.

    Raises: ValueError as `columns_of`; TruncatedError or DecodeError behind the last piece, where
    the capture ends in the middle.
    """
    plan = Plan(names or STANDARD)
    batches = Batches(capture)
    part: Any = None
    flows: Any = None
    size = 0
    chosen: list[int] | None = None
    for batch in batches:
        if part is not None and size + len(batch) > rows:
            yield _piece(part, chosen)
            part = None
        if part is None:
            octets = batch.record_end - int(batch.record_start[0])
            part = Part(plan, rows * octets // len(batch))
            part.flows = flows = flows or part.flows
            size, chosen = 0, None if accept is None else []
        part.add(batch)
        if accept is not None and chosen is not None:
            chosen.extend([size + int(row) for row in accept.rows(batch)])
        size += len(batch)
    if part is not None:
        yield _piece(part, chosen)
    batches.finish()


def _piece(part: Any, chosen: list[int] | None) -> Columns:
    """Return the columns of a part, of those of its packets that are `chosen`."""
    import numpy as np

    piece = joined(part.plan, [part], None, part.interfaces)
    return piece if chosen is None else piece.select(np.array(chosen, np.int64))

"""Whether a stream is written in colour."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["wants_colour"]


def wants_colour(stream: TextIO) -> bool:
    """Return whether `stream` is to be written in colour.

    Never with NO_COLOR; always with FORCE_COLOR; else on a terminal that is not dumb. An empty
    variable counts as not set (no-color.org).
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}

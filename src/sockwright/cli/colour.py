"""Whether a stream is written in colour, and how simple styles are."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["painted", "wants_colour"]

# SGR of ECMA-48, section 8.3.117, by rich's names of the styles.
_STYLES = {
    "bold": "1", "dim": "2", "reverse": "7", "red": "31", "green": "32", "yellow": "33",
    "blue": "34", "magenta": "35", "cyan": "36",
}  # fmt: skip


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


def painted(text: str, style: str) -> str | None:
    """Return `text` in a simple style; None where only rich knows that style."""
    if not text or not style:
        return text
    try:
        codes = ";".join([_STYLES[word] for word in style.split(" ")])
    except KeyError:
        return None
    return f"\x1b[{codes}m{text}\x1b[0m"

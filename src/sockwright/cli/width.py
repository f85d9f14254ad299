"""How many columns of a terminal a text takes, and where it is folded."""

from __future__ import annotations

__all__ = ["folded", "text_width"]


def text_width(text: str) -> int:
    """Return how many terminal columns `text` takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1
        for character in text
    )


def folded(text: str, width: int, first: str = "", others: str = "") -> list[str]:
    """Return `text` folded between words, in lines of at most `width` columns of a terminal.

    A word is broken where it is longer than a line. The first line begins with `first`, the others
    with `others`, both of spaces; no text, no line.
    """
    lines: list[str] = []
    line, begins = first, True
    for word in text.split(" "):
        longer = line + word if begins else f"{line} {word}"
        if not begins and text_width(longer) > width:
            lines.append(line.rstrip(" "))
            longer = others + word
        while text_width(longer) > width:
            fits = _fitting(longer, width)
            lines.append(longer[:fits])
            longer = others + longer[fits:]
        line, begins = longer, False
    return [*lines, line.rstrip(" ")] if text else []


def _fitting(text: str, width: int) -> int:
    """Return how many characters of `text` fit into `width` columns; one behind its indent may."""
    fits = len(text) - len(text.lstrip(" ")) + 1
    while text_width(text[: fits + 1]) <= width:
        fits += 1
    return fits

"""Octets of strangers as text: bounded, and without anything that could act on a terminal."""

from __future__ import annotations

from typing import Final

__all__ = ["MOST_CHARACTERS", "clean", "first_line"]

MOST_CHARACTERS: Final = 200


def clean(octets: bytes | str, most: int = MOST_CHARACTERS) -> str:
    r"""Return printable text of at most `most` characters; what is cut off ends with ``…``.

    What is not UTF-8 and what `str.isprintable` rejects (controls, escape sequences, format and
    bidirectional characters) is written as an escape: ESC becomes the four characters ``\x1b``.
    Surrounding white space goes.
    """
    # An escape makes one octet four characters at least, so more than this is never looked at.
    part = octets[: 4 * most + 4]
    text = part.decode("utf-8", "backslashreplace") if isinstance(part, bytes) else part
    text = text.strip().strip("\0")
    if not text.isprintable():
        text = "".join(
            one if one.isprintable() else one.encode("unicode_escape").decode("ascii")
            for one in text
        )
    return text if len(text) <= most else text[: most - 1] + "…"


def first_line(octets: bytes, most: int = MOST_CHARACTERS) -> str:
    """Return the first line that is not empty, cleaned."""
    for line in octets[:4096].splitlines():
        if line.strip():
            return clean(line, most)
    return ""

"""The one place that makes text from outside safe to show on a terminal."""

from __future__ import annotations

__all__ = ["clean"]


def clean(text: str) -> str:
    r"""Return `text` with every character that could act on a terminal written as an escape.

    What `str.isprintable` rejects goes: control characters (and with them every escape sequence,
    CVE-2021-25743), format and bidirectional characters, line ends, lone surrogates. ESC becomes
    the four characters ``\x1b``. Printable text comes back as it is.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else _escape(character) for character in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")

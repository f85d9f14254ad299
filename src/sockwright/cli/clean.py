"""The one place that makes text from outside safe to show on a terminal."""

from __future__ import annotations

__all__ = ["clean", "clean_message", "readable"]

# How repr() writes an octet of a name that is not UTF-8; behind a backslash it is text.
_QUOTED_OCTET = r"(?<!\\)\\udc([89a-f][0-9a-f])"


def clean(text: str) -> str:
    r"""Return `text` with every character that could act on a terminal written as an escape.

    What `str.isprintable` rejects goes: control characters (and with them every escape sequence,
    CVE-2021-25743), format and bidirectional characters, line ends, lone surrogates. ESC becomes
    the four characters ``\x1b``, and so does the octet 0xff of a name that is not UTF-8 (PEP 383)
    become ``\xff``. Printable text comes back as it is.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else _escape(character) for character in text
    )


def clean_message(text: str) -> str:
    r"""Clean an error message, whose quoted names may hold ``\udcff`` for the octet ``\xff``."""
    import re

    return re.sub(_QUOTED_OCTET, r"\\x\1", clean(text))


def readable(text: str) -> str:
    r"""Return `text`, for programs, with ``\xff`` for the octet 0xff of a name that is not UTF-8.

    As `clean` shows it; all that is Unicode stays. Lone surrogates (PEP 383) are not, and programs
    make of them what they like.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(_escape(one) if "\ud800" <= one <= "\udfff" else one for one in text)
    return text


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")

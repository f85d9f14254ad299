"""Files of targets: words divided by white space, and comments from ``#`` to the end of a line.

A file need not be one: /dev/zero has no end, and no white space. So it is read by pieces, and what
cannot be a list of targets is an error as soon as that is seen.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from sockwright.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

__all__ = ["read_target_list", "words"]

_PIECE: Final = 1 << 14  # characters
_LONGEST: Final = 1 << 16  # characters of a word: a list with commas may be one
_MOST: Final = 1 << 20  # words; more take minutes to sort out


def words(lines: TextIO) -> Iterator[str]:
    """Yield the words of a list of targets.

    Raises:
        TargetError: one of them is so long that it is none.
    """
    word, in_comment = "", False  # what the last piece ended with
    while piece := lines.readline(_PIECE):
        ends = piece.endswith("\n")
        if in_comment:
            in_comment = not ends
            continue
        text, comment, _ = piece.partition("#")
        found = (word + text).split()
        word = ""
        if found and not ends and not comment and not text[-1].isspace():
            word = found.pop()
            if len(word) > _LONGEST:
                raise TargetError(f"it has a word of more than {_LONGEST} characters")
        in_comment = bool(comment) and not ends
        yield from found
    if word:
        yield word


def read_target_list(path: str) -> list[str]:
    """Read the words of a file (``-`` is standard input).

    Raises:
        OSError: it cannot be read.
        TargetError: it is not text, or more than anybody can mean.
    """
    try:
        if path == "-":
            return _read(sys.stdin)
        with open(path, encoding="utf-8") as lines:  # noqa: PTH123  # pathlib costs a start 5 ms
            return _read(lines)
    except (UnicodeDecodeError, TargetError) as error:
        name = "standard input" if path == "-" else path
        raise TargetError(f"{name} is no list of targets: {error}") from None


def _read(lines: TextIO) -> list[str]:
    found = []
    for word in words(lines):
        found.append(word)
        if len(found) > _MOST:
            raise TargetError(f"it has more than {_MOST} words; networks and ranges take fewer")
    return found

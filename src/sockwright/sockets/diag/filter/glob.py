"""Patterns of names as fnmatch(3) reads them, compiled to regular expressions over octets.

`*` stands for any octets, slashes too, `?` for one, `[a-z]`, `[!a-z]`, `[^a-z]` and `[[:digit:]]`
for one of a set; a backslash takes the meaning of what follows. An open bracket that is not closed
stands for itself, a backslash at the end for nothing. Case makes no difference in ASCII.
"""

from __future__ import annotations

import os
import re

__all__ = ["compile_glob"]

_CLASSES = {
    b"alnum": rb"0-9a-z",
    b"alpha": rb"a-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": rb"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    b"space": rb" \t\n\r\f\v",
    b"upper": rb"a-z",
    b"xdigit": rb"0-9a-f",
}
_CLASS = re.compile(rb"\[:([a-z]+):\]")
_NOTHING = rb"[^\x00-\xff]"


def compile_glob(pattern: str) -> re.Pattern[bytes]:
    """Return the expression that the whole name has to match, in lower case.

    Raises: ValueError where `pattern` has characters that no name can have.
    """
    octets = os.fsencode(pattern).lower()
    pieces = [b""]
    at = 0
    while at < len(octets):
        if octets[at] == ord("*"):
            pieces.append(b"")
            at += 1
        else:
            one, at = _element(octets, at)
            pieces[-1] += one
    first, *others = pieces
    # What stands between two stars may be taken where it is first found: no way back, no explosion.
    middle = b"".join(b"(?>.*?" + piece + b")" for piece in others[:-1] if piece)
    last = b".*" + others[-1] if others else b""
    return re.compile(first + middle + last, re.DOTALL)


def _element(octets: bytes, at: int) -> tuple[bytes, int]:
    """Return the expression of the one octet that is described at `at`, and what follows."""
    one = octets[at : at + 1]
    if one == b"?":
        return b".", at + 1
    if one == b"[" and (found := _set(octets, at + 1)):
        return found
    if one == b"\\":
        escaped = octets[at + 1 : at + 2]
        return re.escape(escaped) if escaped else _NOTHING, at + 2
    return re.escape(one), at + 1


def _set(octets: bytes, at: int) -> tuple[bytes, int] | None:
    """Return the expression of the set whose bracket opened before `at`; None if none closes it."""
    negated = octets[at : at + 1] in {b"!", b"^"}
    at += negated
    start = at
    members = b""
    while at < len(octets):
        if octets[at : at + 1] == b"]" and at > start:
            if not members:
                return (b"." if negated else _NOTHING), at + 1
            return b"[" + b"^" * negated + members + b"]", at + 1
        if found := _CLASS.match(octets, at):
            members += _CLASSES.get(found[1], b"")
            at = found.end()
            continue
        low, at = _member(octets, at)
        if octets[at:] == b"-":
            return _NOTHING, at + 1  # a range without end
        if octets[at : at + 1] == b"-" and octets[at + 1 : at + 2] != b"]":
            high, at = _member(octets, at + 1)
            if low <= high:
                members += b"\\x%02x-\\x%02x" % (low, high)
        else:
            members += b"\\x%02x" % low
    return None


def _member(octets: bytes, at: int) -> tuple[int, int]:
    """Return the octet that a member of a set stands for, and what follows it."""
    if octets[at : at + 1] == b"\\" and at + 1 < len(octets):
        at += 1
    return octets[at], at + 1

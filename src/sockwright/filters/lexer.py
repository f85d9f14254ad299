"""Text to tokens, by the rules of libpcap's scanner: the longest match, then the earlier rule.

Those rules have a trap that this module keeps: a name may hold hyphens, so ``len-3`` is one name
and ``5-3`` a range of ports, not a subtraction. Spaces around the operator make it one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockwright.filters.failure import FilterError
from sockwright.filters.words import CONSTANTS, KEYWORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_EXPRESSION", "Token", "tokens"]

MAX_EXPRESSION = 1 << 18
"""Characters of an expression at most."""

_NUMBER = r"(?:0[xX][0-9A-Fa-f]+|[0-9]+)"
_B = r"[0-9A-Fa-f]{1,2}"
_SPACE = re.compile(r"[ \r\n\t]*")
# In the order of libpcap's rules: of two matches of one length the earlier rule wins. IPv6
# addresses are found by `_ipv6` in between. Symbols and words stand in KEYWORDS and `_SYMBOL`.
_PATTERNS = (
    ("arcnet", re.compile(rf"\${_B}")),
    ("mac", re.compile(
        rf"(?:{_B}(?::{_B}){{5}}|{_B}(?:-{_B}){{5}}|{_B}(?:\.{_B}){{5}}"
        r"|[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}|[0-9A-Fa-f]{12})"
    )),
    ("number", re.compile(_NUMBER)),
    ("ipv4", re.compile(rf"{_NUMBER}(?:\.{_NUMBER}){{1,3}}")),
    ("ipv6", None),
    ("bogus", re.compile(rf"{_B}:+(?:{_B}:+)+")),
    ("name", re.compile(r"[A-Za-z0-9](?:[-_.A-Za-z0-9]*[.A-Za-z0-9])?")),
    ("escaped", re.compile(r"\\[^ !()\n\t]+")),
)  # fmt: skip
_SYMBOL = re.compile(r">=|<=|!=|==|<<|>>|&&|\|\||[+\-*/%:\[\]!<>()&|^=]")
_SAME = {"==": "=", "&&": "and", "||": "or", "!": "not"}
_IPV6_RUN = re.compile(r"[0-9A-Fa-fxX:.]*")
_IPV6_GROUP = re.compile(r"[0-9A-Fa-f]{1,4}")
_QUAD = re.compile(rf"{_NUMBER}(?:\.{_NUMBER}){{3}}")


@dataclass(frozen=True, slots=True)
class Token:
    """One word: what it is, its text, where it stands, its number where it is one.

    `kind` is "number", "ipv4", "ipv6", "mac", "arcnet", "name" (also where it was escaped by a
    backslash, which is then not in `text`), "end", or else the symbol or reserved word itself.
    """

    kind: str
    text: str
    position: int
    length: int
    number: int = 0
    escaped: bool = False


def tokens(expression: str) -> Iterator[Token]:
    """Yield the tokens of `expression`, then one of kind "end".

    Raises: FilterError for a character that nothing starts with, a number above 32 bits, an octal
    number with an 8 or a 9, a malformed address, more than MAX_EXPRESSION characters.
    """
    if len(expression) > MAX_EXPRESSION:
        raise FilterError(
            expression, 0, 1, f"the expression has more than {MAX_EXPRESSION} characters"
        )
    position = 0
    while True:
        space = _SPACE.match(expression, position)
        position = space.end() if space else position
        if position >= len(expression):
            yield Token("end", "", len(expression), 0)
            return
        token = _token(expression, position)
        yield token
        position += token.length


def _token(expression: str, position: int) -> Token:
    kind, end = "", position
    for name, pattern in _PATTERNS:
        if pattern is None:
            stop = _ipv6(expression, position)
        else:
            found = pattern.match(expression, position)
            stop = found.end() if found else position
        if stop > end:
            kind, end = name, stop
    symbol = _SYMBOL.match(expression, position)
    if symbol and symbol.end() > end:
        text = symbol.group()
        return Token(_SAME.get(text, text), text, position, len(text))
    text = expression[position:end]
    if not kind:
        raise FilterError(
            expression, position, 1, f"no word starts with {expression[position]!r}",
            "names with special characters take a backslash before them",
        )  # fmt: skip
    return _classify(expression, kind, text, position)


def _classify(expression: str, kind: str, text: str, position: int) -> Token:
    length = len(text)
    if kind == "name" and text in KEYWORDS:
        return Token(KEYWORDS[text], text, position, length)
    if kind == "name" and text in CONSTANTS:
        return Token("number", text, position, length, CONSTANTS[text])
    if kind == "escaped":
        return Token("name", text[1:], position, length, escaped=True)
    if kind == "number":
        return Token("number", text, position, length, _number(expression, text, position))
    if kind == "bogus":
        raise FilterError(
            expression, position, length, f"{text} is no Ethernet address",
            "six numbers of two hexadecimal digits fit, such as 02:00:00:00:00:01",
        )  # fmt: skip
    return Token(kind, text, position, length)


def _number(expression: str, text: str, position: int) -> int:
    base = 16 if text[:2] in {"0x", "0X"} else 8 if text[0] == "0" else 10
    # No number of 32 bits has more digits, and int() refuses thousands of them.
    digits = text[2:].lstrip("0") if base == 16 else text.lstrip("0")
    try:
        number = 1 << 32 if len(digits) > 11 else int(digits or "0", base)
    except ValueError:
        raise FilterError(
            expression, position, len(text), f"{text} starts with 0 and so is octal",
            f"{text.lstrip('0')} is decimal, 0x{text.lstrip('0')} hexadecimal",
        ) from None  # fmt: skip
    if number >= 1 << 32:
        raise FilterError(
            expression, position, len(text), f"{text} is above 4294967295, the largest number"
        )
    return number


def _ipv6(expression: str, position: int) -> int:
    """Return where the longest IPv6 address that starts at `position` ends, or `position`."""
    run = _IPV6_RUN.match(expression, position, position + 64)
    if run is None or expression.find(":", position, run.end()) < 0:
        return position
    # Three colons are in no address; a long run of them must not be tried again and again.
    beyond = expression.find(":::", position, run.end())
    for end in range(run.end() if beyond < 0 else beyond + 2, position + 1, -1):
        if _is_ipv6(expression[position:end]):
            return end
    return position


def _is_ipv6(text: str) -> bool:
    """Tell whether `text` has the form of an IPv6 address (RFC 4291 section 2.2)."""
    head, gap, tail = text.partition("::")
    groups: list[str] = []
    for part in (head, tail):
        if part:
            groups += part.split(":")
    room = 8
    if groups and "." in groups[-1] and text.endswith(groups[-1]):
        if not _QUAD.fullmatch(groups.pop()):
            return False
        room = 6
    if not all(_IPV6_GROUP.fullmatch(group) for group in groups):
        return False
    return len(groups) < room if gap else len(groups) == room

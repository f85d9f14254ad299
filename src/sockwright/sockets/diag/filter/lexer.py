"""Text to tokens, as ss(8) divides it, and where it does not, at parentheses and operators too.

ss knows only words between blanks. Here parentheses need no blanks, nor do operators behind
``sport``, ``src`` and the like, nor ``!`` before a term. A parenthesis that was opened within a
word closes within it: ``unix:/run/a(b)`` is one word. A backslash takes the meaning of the
character behind it.
"""

from __future__ import annotations

import re

from sockwright.sockets.diag.filter.refusal import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HEADS", "MAX_EXPRESSION", "OPERATORS", "Token", "tokens"]

MAX_EXPRESSION = 1 << 18
"""Characters of a filter at most."""

HEADS = ("sport", "dport", "src", "dst", "dev", "fwmark", "cgroup")
"""The words that a value follows."""

OPERATORS = {
    "=": "=", "==": "=", "eq": "=",
    "!=": "!=", "ne": "!=", "neq": "!=",
    ">": ">", "gt": ">",
    "<": "<", "lt": "<",
    ">=": ">=", "ge": ">=", "geq": ">=",
    "<=": "<=", "le": "<=", "leq": "<=",
}  # fmt: skip
"""The operators of comparisons, each with the one that it is another name of."""

_WORDS = {
    **dict.fromkeys(OPERATORS, "operator"),
    **dict.fromkeys(("and", "&", "&&"), "and"),
    **dict.fromkeys(("or", "|", "||"), "or"),
    **dict.fromkeys(("not", "!"), "not"),
    **dict.fromkeys((*HEADS, "autobound"), "head"),
}
_SPACE = re.compile(r"\s*")
_SYMBOL = re.compile(r"==|=|!=|>=|<=|>|<|&&|&|\|\||\||!|[()]")
# A keyword ends where a symbol follows that belongs to no value.
_GLUED = re.compile(rf"(?:{'|'.join(HEADS)})(?=[=!<>])|(?:and|or|not)(?=[(!])")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Token:
    """One word: what it is, its text without backslashes, where it stands.

    `kind` is "and", "or", "not", "(", ")", "operator", "head" (a word that begins a condition),
    "word" or "end". `escaped` says that there were backslashes: such a word is no keyword.
    """

    __slots__ = ("escaped", "kind", "length", "position", "text")

    def __init__(
        self, kind: str, text: str, position: int, length: int, *, escaped: bool = False
    ) -> None:
        self.kind = kind
        self.text = text
        self.position = position
        self.length = length
        self.escaped = escaped


def tokens(expression: str) -> Iterator[Token]:
    """Yield the tokens of `expression`, then one of kind "end".

    Raises: FilterError where it has more than MAX_EXPRESSION characters.
    """
    if len(expression) > MAX_EXPRESSION:
        refuse(expression, 0, 1, f"the filter has more than {MAX_EXPRESSION} characters")
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
    symbol = _SYMBOL.match(expression, position)
    if symbol:
        text = symbol[0]
        return Token(_WORDS.get(text, text), text, position, len(text))
    glued = _GLUED.match(expression, position)
    end = glued.end() if glued else _end_of_word(expression, position)
    raw = expression[position:end]
    if "\\" in raw:
        text = _ESCAPED.sub(r"\1", raw)
        return Token("word", text, position, len(raw), escaped=True)
    return Token(_WORDS.get(raw, "word"), raw, position, len(raw))


def _end_of_word(expression: str, position: int) -> int:
    """Return where the word ends that starts at `position`."""
    opened = 0
    while position < len(expression):
        character = expression[position]
        if character.isspace() or (character == ")" and not opened):
            break
        opened += (character == "(") - (character == ")")
        position += 2 if character == "\\" else 1
    return min(position, len(expression))

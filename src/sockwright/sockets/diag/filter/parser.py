"""Tokens to conditions: a recursive descent over the grammar of ss(8) as it is, not as its manual.

    filter     := ((state | exclude | excl) STATE)* expression?
    expression := term ((and | or)? term)*          both bind equally, to the left; nothing is and
    term       := not term | ( expression ) | predicate
    predicate  := (src | dst) (= | !=)? HOST | (sport | dport) OPERATOR? PORT
                | (dev | fwmark | cgroup) (= | !=)? VALUE | autobound

The manual says that `and` binds closer than `or`; ss 6.1 takes them in their order, and a filter
that means other rows here than there would be worse than either.
"""

from __future__ import annotations

from sockwright.sockets.diag.filter import names
from sockwright.sockets.diag.filter.conditions import (
    MAX_DEPTH,
    All,
    Autobound,
    Cgroup,
    Condition,
    Device,
    Either,
    Mark,
    Not,
)
from sockwright.sockets.diag.filter.host_syntax import Reading, parse_host, parse_port
from sockwright.sockets.diag.filter.lexer import HEADS, OPERATORS, Token, tokens
from sockwright.sockets.diag.filter.refusal import Refusal, refuse
from sockwright.sockets.diag.states import ALL, STATE_WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["parse"]

_STATE_HEADS = frozenset(("state", "exclude", "excl"))
_STATES = {**STATE_WORDS, "syn-rcv": STATE_WORDS["syn-recv"]}
_SIDES = {"src": "src", "dst": "dst", "sport": "src", "dport": "dst"}
_EXAMPLES = {
    "src": "src 10.0.0.0/8", "dst": "dst [2001:db8::1]:443",
    "sport": "sport = :22", "dport": "dport >= :1024",
    "dev": "dev eth0", "fwmark": "fwmark 0x1/0xff", "cgroup": "cgroup /user.slice",
}  # fmt: skip
_TERMS = (*HEADS, "autobound", "not", "state", "exclude")
_MARK_BITS = 0xFFFF_FFFF


def parse(expression: str, reading: Reading) -> tuple[int | None, Condition | None]:
    """Return the mask of states and the condition of a filter, None for what it does not have.

    Raises: FilterError at the word that is wrong.
    """
    return _Parser(expression, reading).filter()


class _Parser:
    """Reads the tokens from left to right; `token` is the next one."""

    def __init__(self, expression: str, reading: Reading) -> None:
        self._expression = expression
        self._reading = reading
        self._tokens = list(tokens(expression))
        self._index = 0
        self._nesting = 0

    # Tokens

    @property
    def token(self) -> Token:
        return self._tokens[self._index]

    def _take(self) -> Token:
        token = self.token
        if token.kind != "end":
            self._index += 1
        return token

    # Errors

    def _fail(self, token: Token, reason: str, hint: str = "") -> NoReturn:
        refuse(self._expression, token.position, token.length, reason, hint)

    def _fail_within(self, token: Token, error: Refusal) -> NoReturn:
        """Raise: the part of the word that `error` tells of is wrong."""
        start, length = token.position + error.start, error.length
        if length is None or token.escaped:
            start, length = token.position, token.length
        refuse(self._expression, start, length, error.reason, error.hint)

    # Grammar

    def filter(self) -> tuple[int | None, Condition | None]:
        states = self._states()
        if self.token.kind == "end":
            return states, None
        condition = self._expression_of_terms()
        if self.token.kind == ")":
            self._fail(self.token, "no parenthesis is open here")
        return states, condition

    def _states(self) -> int | None:
        states = None
        while self._is_state(self.token):
            head = self._take()
            token = self._take()
            mask = _STATES.get(token.text.lower())
            if token.kind == "end":
                self._fail(token, f"{head.text} asks for a state", "established, or listening")
            if mask is None:
                guess = names.near(token.text, _STATES)
                hint = f"did you mean {guess}?" if guess else f"there are {', '.join(_STATES)}"
                self._fail(token, f"there is no state {token.text!r}", hint)
            if head.text == "state":
                states = (states or 0) | mask
            else:
                states = (ALL if states is None else states) & ~mask
                if not states:
                    self._fail(token, "no state is left")
        return states

    @staticmethod
    def _is_state(token: Token) -> bool:
        return token.kind == "word" and token.text in _STATE_HEADS and not token.escaped

    def _expression_of_terms(self) -> Condition:
        """Read terms up to a parenthesis or the end."""
        joined = [self._term()]
        kind = ""
        while self.token.kind not in {")", "end"}:
            token = self.token
            next_kind = self._take().kind if token.kind in {"and", "or"} else "and"
            if kind and next_kind != kind:
                joined = [self._join(kind, joined, token)]
            kind = next_kind
            joined.append(self._term())
        return self._join(kind, joined, self._tokens[self._index - 1])

    def _join(self, kind: str, conditions: list[Condition], token: Token) -> Condition:
        if len(conditions) == 1:
            return conditions[0]
        if max(one.depth for one in conditions) >= MAX_DEPTH:
            self._fail_deep(token)
        return Either(conditions) if kind == "or" else All(conditions)

    def _fail_deep(self, token: Token) -> NoReturn:
        hint = "and, or that alternate without parentheses count as nested, too"
        self._fail(token, f"conditions are nested deeper than {MAX_DEPTH} levels", hint)

    def _term(self) -> Condition:
        negated = False
        while self.token.kind == "not":
            self._take()
            negated = not negated
        token = self.token
        condition = self._group() if token.kind == "(" else self._predicate()
        if not negated:
            return condition
        if condition.depth >= MAX_DEPTH and not isinstance(condition, Not):
            self._fail_deep(token)
        return ~condition

    def _group(self) -> Condition:
        opening = self._take()
        self._nesting += 1
        if self._nesting > MAX_DEPTH:
            self._fail_deep(opening)
        condition = self._expression_of_terms()
        if self.token.kind != ")":
            self._fail(opening, "this parenthesis is not closed")
        self._take()
        self._nesting -= 1
        return condition

    def _predicate(self) -> Condition:
        token = self._take()
        if token.kind != "head":
            self._fail_term(token)
        if token.text == "autobound":
            return Autobound()
        operator = "="
        compared = self.token
        if compared.kind == "operator":
            operator = OPERATORS[self._take().text]
        value = self._take()
        if value.kind != "word":
            self._fail_value(token, value)
        try:
            found = self._condition(token.text, operator, compared, value)
        except Refusal as error:
            self._fail_within(value, error)
        for leaf in found.leaves():
            if hasattr(leaf, "word"):
                # Where it stands, for an error about a name that is looked up when it is used.
                word = (self._expression, value.position, value.length)
                object.__setattr__(leaf, "word", word)
        return found

    def _condition(self, head: str, operator: str, compared: Token, value: Token) -> Condition:
        """Return the condition that a head, an operator and a value make. Raises: Refusal."""
        if head in {"sport", "dport"}:
            side = _SIDES[head]
            return parse_port(side, operator, value.text, self._reading)
        if operator not in {"=", "!="}:
            self._fail(compared, f"{head} is equal or not, nothing else", "= and != fit")
        found: Condition
        if head in {"src", "dst"}:
            found = parse_host(head, value.text, self._reading)
        elif head == "dev":
            found = _device(value)
        elif head == "fwmark":
            found = _mark(value.text)
        else:
            names.cgroup_number(value.text)
            found = Cgroup(value.text)
        return found if operator == "=" else ~found

    def _fail_value(self, head: Token, value: Token) -> NoReturn:
        example = _EXAMPLES[head.text]
        if value.kind == "end":
            self._fail(value, f"the filter ends where {head.text} asks for a value", example)
        hint = f"{example}; a backslash makes a keyword a value: \\{value.text}"
        if value.kind in {"operator", "(", ")"} or not value.text.isalpha():
            hint = example
        self._fail(value, f"{head.text} asks for a value, not for {value.text!r}", hint)

    def _fail_term(self, token: Token) -> NoReturn:
        if token.kind == "end":
            before = self._tokens[max(self._index - 1, 0)].text
            self._fail(token, f"the filter ends where a condition should follow {before!r}")
        if self._is_state(token):
            self._fail(token, "states stand before all conditions", "state established dport = :22")
        if token.kind == ")":
            self._fail(token, "a condition is missing before the parenthesis")
        if token.kind in {"and", "or"}:
            self._fail(token, f"a condition is missing before {token.text!r}")
        if token.kind == "operator":
            self._fail(token, f"nothing is compared by {token.text!r}", "sport = :22")
        if token.text.lower() in _TERMS:
            self._fail(token, "words of the language are in lower case", token.text.lower())
        if token.text.lower() in _STATES:
            self._fail(
                token, f"{token.text!r} alone is no condition", f"state {token.text.lower()}"
            )
        if guess := names.near(token.text, _TERMS):
            self._fail(token, f"no condition starts with {token.text!r}", f"did you mean {guess}?")
        looks_like_host = "." in token.text or ":" in token.text
        hint = f"src {token.text}, or dst {token.text}" if looks_like_host else ", ".join(_TERMS)
        self._fail(token, f"no condition starts with {token.text!r}", hint)


def _device(value: Token) -> Device:
    """Return the condition about an interface by index, or by a name, which is looked up later."""
    number = None if value.escaped else names.number(value.text)
    if number is not None:
        if number > _MARK_BITS:
            raise Refusal(f"{value.text} is no index of an interface", "ip link lists them")
        return Device(number)
    return Device(value.text)


def _mark(text: str) -> Mark:
    """Return the condition about a mark ``VALUE[/MASK]``. Raises: Refusal."""
    numbers = []
    start = 0
    for part in text.split("/", 1):
        number = names.number(part)
        if number is None or number > _MARK_BITS:
            raise Refusal(f"{part!r} is no mark: a number of 32 bits", "0x1, or 0x1/0xff", start,
                          len(part))  # fmt: skip
        numbers.append(number)
        start += len(part) + 1
    try:
        return Mark(*numbers)
    except ValueError as error:
        value, mask = numbers
        raise Refusal(str(error), f"fwmark {value & mask:#x}/{mask:#x}") from None

"""Tokens to the tree: a recursive descent over the grammar of pcap-filter(7), as libpcap reads it.

The grammar, where it is not plain:

    expression := term ((and | or) (term | id))*      both bind equally, to the left
    term       := not term | head id | ( expression ) | protocol | arithmetic relation | other
    id         := value | not id | ( id ((and | or) id)* )

- After `and` and `or` an id may stand alone: it takes the head of the term before it. What stands
  behind parentheses takes the head of what stood before them.
- `(` may open an expression, ids or arithmetic; what is inside decides.
- Of the operators, `%` and `^` have no place in libpcap's order: whatever follows them belongs to
  their right operand. That is kept.

Nesting is limited, so that no expression can exhaust the stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from sockwright.filters import tree
from sockwright.filters.failure import FilterError
from sockwright.filters.lexer import Token, tokens
from sockwright.filters.words import (
    ATM,
    FIREWALL,
    KEYWORDS,
    PROTOCOLS,
    SS7,
    WIRELESS,
    WIRELESS_ADDRESSES,
    near,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_NESTING", "MAX_OPERATORS", "parse"]

MAX_NESTING = 100
"""Parentheses, brackets and `not` within each other at most."""
MAX_OPERATORS = 200
"""Operators of one arithmetic comparison at most."""

_KINDS = ("host", "net", "port", "portrange")
_UNDIRECTED_KINDS = ("proto", "protochain", "gateway")
_VALUES = frozenset(("name", "number", "ipv4", "ipv6", "mac", "arcnet"))
_RELATIONS = frozenset((">", ">=", "=", "<", "<=", "!="))
_PRECEDENCE = {"|": 1, "&": 2, "<<": 3, ">>": 3, "+": 4, "-": 4, "*": 5, "/": 5}
_UNARY = 6
_UNORDERED = frozenset(("%", "^"))
_BYTE_OPERATORS = frozenset(("&", "|", "<", ">", "="))
_SIZES = (1, 2, 4)
_ENCAPSULATIONS = frozenset(("vlan", "mpls", "pppoes", "geneve"))

_Unit = tree.Expression | tree.Arithmetic
_ARITHMETIC = (tree.Number, tree.Load, tree.PacketLength, tree.Negative, tree.Binary)


def parse(expression: str) -> tree.Expression | None:
    """Return the tree of `expression`, None where it is empty, which every packet meets.

    Raises: FilterError where it is not of the language, or nested too deep.
    """
    parser = _Parser(expression)
    if parser.token.kind == "end":
        return None
    result, _ = parser.chain(None)
    if parser.token.kind != "end":
        parser.fail_behind()
    return result


class _Parser:
    """Reads the tokens from left to right; `token` is the next one."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = list(tokens(expression))
        self._index = 0
        self._depth = 0
        self._operators = 0

    # Tokens

    @property
    def token(self) -> Token:
        return self._tokens[self._index]

    def _next(self) -> Token:
        return self._tokens[min(self._index + 1, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self.token
        if token.kind != "end":
            self._index += 1
        return token

    def _expect(self, kind: str, what: str) -> Token:
        if self.token.kind != kind:
            self._fail(self.token, f"{what} should stand here")
        return self._take()

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_NESTING:
            self._fail(self.token, f"nested deeper than {MAX_NESTING} levels")

    # Errors

    def _fail(self, token: Token, reason: str, hint: str = "") -> NoReturn:
        if token.kind == "end":
            reason = f"the expression ends too early: {reason}"
        raise FilterError(self._expression, token.position, token.length, reason, hint)

    def fail_behind(self) -> NoReturn:
        """Raise: something stands behind a whole expression."""
        token = self.token
        before = self._tokens[self._index - 1]
        if token.kind == ")":
            self._fail(token, "no parenthesis is open here")
        if "-" in before.text or "-" in token.text:
            hint = "a name may hold hyphens: put spaces around a minus"
        elif token.kind == "name" and (guess := near(token.text, KEYWORDS)):
            hint = f"did you mean {guess}? Terms are joined by and, or"
        else:
            hint = f"join them: … and {token.text} …, or: … or {token.text} …"
        self._fail(token, f"{token.text!r} follows {before.text!r} without and, or", hint)

    def _fail_term(self) -> NoReturn:
        token = self.token
        if token.kind in _VALUES:
            if token.kind == "name" and token.text.partition("-")[0] in KEYWORDS:
                hint = "a name may hold hyphens: put spaces around a minus"
                self._fail(token, f"{token.text!r} is one word", hint)
            if token.kind == "name" and (guess := near(token.text, KEYWORDS)):
                self._fail(token, f"{token.text!r} is no word of the language",
                           f"did you mean {guess}?")  # fmt: skip
            fits = {"number": "port", "mac": "ether host"}.get(token.kind, "host")
            self._fail(token, f"nothing says what {token.text!r} is", f"write {fits} {token.text}")
        if token.kind in {"and", "or", ")"}:
            self._fail(token, f"a term should stand before {token.text!r}")
        if token.kind == "end":
            self._fail(token, "a term should follow", "such as host 10.0.0.1, tcp, port 53")
        self._fail(token, f"no term starts with {token.text!r}",
                   "terms start like host, net, port, tcp, ip[…], len, vlan")  # fmt: skip

    # Combinations

    def chain(self, head: tree.Head | None, *, bare: bool = False) -> _Found:
        """Read ``term (and|or term)*``; `head` is for ids alone, which may come first if `bare`."""
        first, head = self._term(head, bare=bare)
        return self._rest(first, head)

    def _rest(self, first: tree.Expression, head: tree.Head | None) -> _Found:
        rest: list[tuple[str, tree.Expression]] = []
        while self.token.kind in {"and", "or"}:
            operator = self._take().kind
            term, head = self._term(head, bare=True)
            rest.append((operator, term))
        if not rest:
            return first, head
        return tree.Chain(first, tuple(rest), first.place.to(rest[-1][1].place)), head

    def _term(self, head: tree.Head | None, *, bare: bool) -> _Found:
        unit, head = self._unit(head, bare=bare)
        if isinstance(unit, _ARITHMETIC):
            return self._as_term(unit, head, bare=bare), head
        return unit, head

    def _as_term(  # noqa: RET503  # _fail never returns
        self, unit: tree.Arithmetic, head: tree.Head | None, *, bare: bool
    ) -> tree.Expression:
        """Make an id of arithmetic that nothing compares, if it is a number where an id fits."""
        if isinstance(unit, tree.Number) and bare and head is not None:
            return tree.Match(head, unit, unit.place, inherited=True)
        if isinstance(unit, tree.Number):
            place = unit.place
            text = self._expression[place.position : place.position + place.length]
            raise FilterError(
                self._expression, place.position, place.length,
                f"nothing says what {text!r} is", f"write port {text}, or compare it: {text} < len",
            )  # fmt: skip
        self._fail(self.token, "a comparison should follow", "one of = != < <= > >=")

    def _unit(self, head: tree.Head | None, *, bare: bool) -> tuple[_Unit, tree.Head | None]:
        """Read a term, or arithmetic that no relation follows."""
        token = self.token
        depth = self._depth
        if token.kind == "not":
            negations = []
            while self.token.kind == "not":
                self._enter()
                negations.append(self._take())
            term, head = self._term(head, bare=bare)
            for negation in reversed(negations):
                term = tree.Not(term, _place(negation).to(term.place))
            self._depth = depth
            return term, head
        if token.kind == "(":
            self._enter()
            unit, _ = self._group(head, bare=bare)
            self._depth = depth
            if not isinstance(unit, _ARITHMETIC):
                return unit, head
            return self._compared(self._arithmetic(0, unit), head)
        if token.kind in {"number", "-", "len"} or (
            token.kind == "protocol" and self._next().kind == "["
        ):
            self._operators = 0
            return self._compared(self._arithmetic(0), head)
        if token.kind in _VALUES and bare and head is not None:
            return self._match(head, inherited=True), head
        return self._simple()

    def _group(self, head: tree.Head | None, *, bare: bool) -> tuple[_Unit, tree.Head | None]:
        """Read from ``(`` to ``)``."""
        opening = self._take()
        unit, inner = self._unit(head, bare=bare)
        if isinstance(unit, _ARITHMETIC):
            if self.token.kind == ")":
                self._take()
                return unit, inner
            unit = self._as_term(unit, inner, bare=bare)
        whole, inner = self._rest(unit, inner)
        if self.token.kind == "end":
            self._fail(opening, "this parenthesis is never closed", "add ) where it ends")
        if self.token.kind != ")":
            self.fail_behind()
        self._take()
        return whole, inner

    def _compared(
        self, left: tree.Arithmetic, head: tree.Head | None
    ) -> tuple[_Unit, tree.Head | None]:
        if self.token.kind not in _RELATIONS:
            return left, head
        operator = self._take().kind
        right = self._arithmetic(0)
        return tree.Relation(operator, left, right, left.place.to(right.place)), None

    # Terms

    def _simple(self) -> _Found:
        """Read a term that starts with a word and is no arithmetic."""
        token = self.token
        kind = token.kind
        if kind in {"src", "dst", *_KINDS, *_UNDIRECTED_KINDS} or kind in WIRELESS_ADDRESSES:
            return self._headed(None)
        if kind == "protocol":
            self._take()
            if self.token.kind in {"src", "dst", *_KINDS, *_UNDIRECTED_KINDS}:
                return self._headed(token)
            name = PROTOCOLS[token.text]
            if self.token.kind in {"broadcast", "multicast"}:
                what = self._take()
                place = _place(token).to(_place(what))
                return tree.Everywhere(what.kind, name, place), None
            if self.token.kind in WIRELESS or self.token.kind in WIRELESS_ADDRESSES.values():
                self._refuse(self.token)
            return tree.Protocol(name, token.text, _place(token)), None
        if kind in {"broadcast", "multicast"}:
            self._take()
            return tree.Everywhere(kind, None, _place(token)), None
        if kind in ATM | SS7 | FIREWALL | WIRELESS:
            self._refuse(token)
        return self._other(token), None

    def _other(self, token: Token) -> tree.Expression:
        kind, place = token.kind, _place(token)
        if kind not in {
            "less", "greater", "byte", "inbound", "outbound", "ifindex", "pppoed", "llc",
            *_ENCAPSULATIONS,
        }:  # fmt: skip
            self._fail_term()
        self._take()
        if kind in {"less", "greater"}:
            octets = self._expect("number", f"the number of octets of {kind!r}")
            return tree.Length(kind == "greater", octets.number, place.to(_place(octets)))
        if kind == "byte":
            return self._byte(place)
        if kind in {"inbound", "outbound"}:
            return tree.Direction(kind == "outbound", place)
        if kind == "ifindex":
            index = self._expect("number", "the index of an interface")
            return tree.InterfaceIndex(index.number, place.to(_place(index)))
        if kind == "llc":
            # "rnr" is a keyword of another family too.
            if self.token.kind not in {"name", "rnr"}:
                return tree.Llc(None, place)
            name = self._take()
            return tree.Llc(name.text, place.to(_place(name)))
        number = self._number_if_any() if kind in _ENCAPSULATIONS else None
        if number is None:
            return tree.Encapsulation(kind, None, place)
        return tree.Encapsulation(kind, number.value, place.to(number.place))

    def _byte(self, place: tree.Place) -> tree.ByteTest:
        offset = self._expect("number", "the offset of a byte")
        if self.token.kind not in _BYTE_OPERATORS:
            self._fail(self.token, "one of & | < > = should stand here")
        operator = self._take().kind
        value = self._expect("number", "the value to compare with")
        return tree.ByteTest(offset.number, operator, value.number, place.to(_place(value)))

    def _number_if_any(self) -> tree.Number | None:
        """Read a number in any parentheses, if one comes."""
        ahead = self._index
        while self._tokens[ahead].kind == "(":
            ahead += 1
        if self._tokens[ahead].kind != "number":
            return None
        levels = ahead - self._index
        self._index = ahead
        token = self._take()
        for _ in range(levels):
            self._expect(")", "a closing parenthesis")
        return tree.Number(token.number, _place(token), token.text)

    def _refuse(self, token: Token) -> NoReturn:
        families = (
            (ATM, "ATM"), (SS7, "SS7 (MTP2 and MTP3)"), (FIREWALL, "the log of BSD's pf"),
            (WIRELESS, "802.11 (wireless LAN)"), (frozenset(WIRELESS_ADDRESSES.values()), "802.11"),
        )  # fmt: skip
        family = next(name for words, name in families if token.kind in words)
        self._fail(token, f"{token.text!r} is for captures of {family} alone",
                   "no link type that can be filtered here has it")  # fmt: skip

    # Identifiers and their heads

    def _headed(self, protocol: Token | None) -> _Found:
        start = protocol or self.token
        direction = self._direction()
        kind = None
        if self.token.kind in _KINDS:
            kind = self._take().kind
        elif self.token.kind in _UNDIRECTED_KINDS:
            if direction is not None:
                self._fail(self.token, f"{self.token.text!r} has no direction",
                           "leave src or dst out")  # fmt: skip
            kind = self._take().kind
        last = self._tokens[self._index - 1]
        name = PROTOCOLS[protocol.text] if protocol else None
        head = tree.Head(name, direction, kind, _place(start).to(_place(last)))
        return self._ids(head), head

    def _direction(self) -> str | None:
        token = self.token
        if token.kind in WIRELESS_ADDRESSES.values():
            self._refuse(token)
        if token.kind not in {"src", "dst"}:
            return None
        self._take()
        if self.token.kind not in {"and", "or"}:
            return token.kind
        operator = self._take()
        other = "dst" if token.kind == "src" else "src"
        self._expect(other, other)
        return "both" if operator.kind == "and" else "either"

    def _ids(self, head: tree.Head) -> tree.Expression:
        """Read the ids behind a head: one, or several in parentheses."""
        depth = self._depth
        token = self.token
        if token.kind == "not":
            self._enter()
            self._take()
            inner = self._ids(head)
            self._depth = depth
            return tree.Not(inner, _place(token).to(inner.place))
        if token.kind != "(":
            return self._match(head)
        self._enter()
        self._take()
        first = self._ids(head)
        rest: list[tuple[str, tree.Expression]] = []
        while self.token.kind in {"and", "or"}:
            operator = self._take().kind
            rest.append((operator, self._ids(head)))
        if self.token.kind == "end":
            self._fail(token, "this parenthesis is never closed", "add ) where it ends")
        if self.token.kind != ")":
            self.fail_behind()
        self._take()
        self._depth = depth
        if not rest:
            return first
        return tree.Chain(first, tuple(rest), first.place.to(rest[-1][1].place))

    def _match(self, head: tree.Head, *, inherited: bool = False) -> tree.Match:
        token = self.token
        if token.kind not in _VALUES:
            said = self._expression[
                head.place.position : head.place.position + head.place.length
            ].strip()
            reason = f"an address, a name or a number should follow {said!r}"
            hint = ""
            if token.text in KEYWORDS:
                hint = f"as a name it is \\{token.text}: the bare word is a keyword"
            self._fail(token, reason, hint)
        value = self._value()
        place = value.place if inherited else head.place.to(value.place)
        return tree.Match(head, value, place, inherited)

    def _value(self) -> tree.Value:
        token = self._take()
        place = _place(token)
        if token.kind == "number":
            return tree.Number(token.number, place, token.text)
        if token.kind == "name":
            return tree.Name(token.text, place, token.escaped)
        if token.kind == "mac":
            return tree.LinkText(token.text, place)
        if token.kind == "arcnet":
            self._fail(token, "an address of ARCnet is for captures of ARCnet alone")
        if self.token.kind == "/":
            self._take()
            prefix = self._expect("number", "the length of a prefix")
            whole = place.to(_place(prefix))
            if token.kind == "ipv4":
                return tree.IPv4Text(token.text, whole, prefix.number)
            return tree.IPv6Text(token.text, whole, prefix.number)
        if self.token.kind == "mask" and token.kind == "ipv4":
            self._take()
            mask = self._expect("ipv4", "a network mask such as 255.255.255.0")
            return tree.IPv4Text(token.text, place.to(_place(mask)), None, mask.text)
        return (tree.IPv4Text if token.kind == "ipv4" else tree.IPv6Text)(token.text, place)

    # Arithmetic

    def _arithmetic(self, least: int, first: tree.Arithmetic | None = None) -> tree.Arithmetic:
        """Read operands and operators that bind at least as tight as `least`."""
        left = self._operand() if first is None else first
        while True:
            operator = self.token.kind
            if operator in _UNORDERED:
                tightness = 0
            elif _PRECEDENCE.get(operator, 0) > least:
                tightness = _PRECEDENCE[operator]
            else:
                return left
            self._operators += 1
            if self._operators > MAX_OPERATORS:
                self._fail(self.token, f"a comparison of more than {MAX_OPERATORS} operators")
            self._take()
            right = self._arithmetic(tightness)
            left = tree.Binary(operator, left, right, left.place.to(right.place))

    def _operand(self) -> tree.Arithmetic:  # noqa: RET503  # _fail never returns
        token = self.token
        depth = self._depth
        place = _place(token)
        if token.kind == "number":
            self._take()
            return tree.Number(token.number, place, token.text)
        if token.kind == "len":
            self._take()
            return tree.PacketLength(place)
        if token.kind == "-":
            self._enter()
            self._take()
            operand = self._arithmetic(_UNARY)
            self._depth = depth
            return tree.Negative(operand, place.to(operand.place))
        if token.kind == "(":
            self._enter()
            self._take()
            inner = self._arithmetic(0)
            self._expect(")", "a closing parenthesis")
            self._depth = depth
            return inner
        if token.kind == "protocol" and self._next().kind == "[":
            return self._load()
        hint = ""
        if token.kind == "name":
            guess = near(token.text, (*KEYWORDS, *_constant_names()))
            hint = f"did you mean {guess}?" if guess else "put spaces around a minus"
        elif token.kind == "protocol":
            hint = (
                f"{token.text}[0] is its first octet, {token.text}[2:2] the two behind the second"
            )
        self._fail(token, "a number, len or protocol[offset:size] should stand here", hint)

    def _load(self) -> tree.Load:
        depth = self._depth
        self._enter()
        protocol = self._take()
        bracket = self._take()
        index = self._arithmetic(0)
        size = 1
        if self.token.kind == ":":
            self._take()
            token = self._expect("number", "the size in octets")
            size = token.number
            if size not in _SIZES:
                self._fail(token, f"a size of {size} octets", "1, 2 and 4 are possible")
        if self.token.kind == "end":
            self._fail(bracket, "this bracket is never closed", "add ] where it ends")
        closing = self._expect("]", "]")
        self._depth = depth
        place = _place(protocol).to(_place(closing))
        return tree.Load(PROTOCOLS[protocol.text], index, size, place)


_Found = tuple[tree.Expression, tree.Head | None]


def _constant_names() -> Iterable[str]:
    from sockwright.filters.words import CONSTANTS

    return CONSTANTS


def _place(token: Token) -> tree.Place:
    return tree.Place(token.position, token.length)

"""Conditions on a socket as data: what a filter says beside the states.

A condition is immutable, equal to another that says the same, and made from others by ``&``, ``|``
and ``~``. `str` writes it in the language of ss(8), `repr` as Python. Those about hosts are in
`hosts`.

Rules: what names something of this machine (an interface, a control group, the ports that the
kernel hands out) keeps the name; `resolved` looks it up. Trees are limited in depth, so that
nothing that walks one can exhaust the stack.
"""

from __future__ import annotations

import operator as operators
import re

from sockwright.sockets.diag.filter import names, sides
from sockwright.sockets.diag.filter.refusal import Refusal, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import ClassVar

    from sockwright.sockets.diag.filter.names import Network
    from sockwright.sockets.diag.filter.other_hosts import LinkHost
    from sockwright.sockets.diag.row import SocketRow

    Word = tuple[str, int, int]
    """Where a name stands that is looked up later: expression, position, length."""

__all__ = [
    "MAX_DEPTH",
    "All",
    "Autobound",
    "Cgroup",
    "Condition",
    "Device",
    "Either",
    "Mark",
    "Not",
    "Port",
    "escape",
    "index_of",
]

MAX_DEPTH = 100
"""Conditions within each other at most."""

_MOST_PORT = 0xFFFF
_MOST_NUMBER = 0xFFFF_FFFF
_MARK_BITS = 0xFFFF_FFFF
_COMPARISONS = {
    "=": operators.eq,
    "!=": operators.ne,
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
}
_SPECIAL = re.compile(r"[\s\\()]|^[!=<>&|]")
_KEYWORD = re.compile(r"(?:and|or|not|eq|ne|neq|gt|lt|ge|geq|le|leq|state|excl|exclude"
                      r"|src|dst|sport|dport|dev|fwmark|cgroup|autobound)(?:$|[=!<>])")  # fmt: skip


class Condition:
    """What a socket has to meet."""

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *values: object) -> None:
        for name, value in zip(self._fields, values, strict=True):
            object.__setattr__(self, name, value)

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the socket of `row` meets it.

        Raises:
            NotPossibleError: the kernel has not told what the condition is about.
            FilterError: it names an interface or a control group that is not there.
        """
        raise NotImplementedError

    def resolved(self, network: Network | None = None) -> Condition:  # noqa: ARG002  # names none
        """Return the same with names replaced by what they stand for now.

        What belongs to a network namespace is looked up in `network`, that of this thread if None.

        Raises:
            FilterError: there is nothing of that name.
            UsageError, NotPossibleError, OSError: that network cannot be asked.
        """
        return self

    @property
    def depth(self) -> int:
        """How many conditions are within each other here."""
        return 1

    @property
    def families(self) -> frozenset[str]:
        """The families that its hosts name; where there are any, other sockets never pass."""
        family = getattr(self, "family", None)
        return frozenset((family,)) if family else frozenset()

    def leaves(self) -> Iterator[Condition]:
        """Yield the conditions that are not made from others, in their order."""
        yield self

    def __and__(self, other: Condition) -> Condition:
        """Return the condition that both hold."""
        return All((self, other)) if isinstance(other, Condition) else NotImplemented

    def __or__(self, other: Condition) -> Condition:
        """Return the condition that one of both holds, or both."""
        return Either((self, other)) if isinstance(other, Condition) else NotImplemented

    def __invert__(self) -> Condition:
        """Return the condition that this one does not hold."""
        return Not(self)

    def __bool__(self) -> bool:
        raise TypeError("conditions are combined by & | ~ and parentheses, not by and, or, not")

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self._fields)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Condition):
            return NotImplemented
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._values()))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a condition does not change: {name!r} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a condition does not change: {name!r} cannot be deleted")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self._values()


class _Several(Condition):
    """Conditions joined by one operator; those of the same kind inside are taken apart."""

    __slots__ = ("_depth", "conditions")
    _fields = ("conditions",)
    _word: ClassVar[str]
    _operator: ClassVar[str]
    conditions: tuple[Condition, ...]
    _depth: int

    def __init__(self, conditions: Iterable[Condition]) -> None:
        flat: list[Condition] = []
        depth = 0
        for one in conditions:
            if isinstance(one, type(self)):  # not looked at one by one: a | b | c | ... may be long
                flat += one.conditions
                depth = max(depth, one.depth - 1)
            elif isinstance(one, Condition):
                flat.append(one)
                depth = max(depth, one.depth)
            else:
                raise TypeError(f"{self._word!r} joins conditions, not {one!r}")
        if len(flat) < 2:
            raise ValueError(f"{self._word!r} joins two conditions or more")
        super().__init__(tuple(flat))
        object.__setattr__(self, "_depth", _deeper(depth))

    @property
    def depth(self) -> int:
        """How many conditions are within each other here."""
        return self._depth

    @property
    def families(self) -> frozenset[str]:
        """The families that its hosts name; where there are any, other sockets never pass."""
        return frozenset().union(*(one.families for one in self.conditions))

    def leaves(self) -> Iterator[Condition]:
        """Yield the conditions that are not made from others, in their order."""
        for one in self.conditions:
            yield from one.leaves()

    def resolved(self, network: Network | None = None) -> Condition:
        """Return the same with names replaced by what they stand for now."""
        return type(self)(one.resolved(network) for one in self.conditions)

    def __str__(self) -> str:
        parts = (f"( {one} )" if isinstance(one, _Several) else str(one) for one in self.conditions)
        return f" {self._word} ".join(parts)

    def __repr__(self) -> str:
        parts = (f"({one!r})" if _needs_parentheses(one) else repr(one) for one in self.conditions)
        return f" {self._operator} ".join(parts)


class All(_Several):
    """Every one of `conditions`."""

    __slots__ = ()
    _word = "and"
    _operator = "&"

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the socket of `row` meets all of them."""
        return all(one.matches(row) for one in self.conditions)


class Either(_Several):
    """At least one of `conditions`."""

    __slots__ = ()
    _word = "or"
    _operator = "|"

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the socket of `row` meets one of them."""
        return any(one.matches(row) for one in self.conditions)


class Not(Condition):
    """Not `condition`."""

    __slots__ = ("_depth", "condition")
    _fields = ("condition",)
    condition: Condition
    _depth: int

    def __init__(self, condition: Condition) -> None:
        super().__init__(condition)
        object.__setattr__(self, "_depth", _deeper(condition.depth))

    @property
    def depth(self) -> int:
        """How many conditions are within each other here."""
        return self._depth

    @property
    def families(self) -> frozenset[str]:
        """The families that its hosts name; where there are any, other sockets never pass."""
        return self.condition.families

    def leaves(self) -> Iterator[Condition]:
        """Yield the conditions that are not made from others, in their order."""
        return self.condition.leaves()

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the socket of `row` does not meet it."""
        return not self.condition.matches(row)

    def resolved(self, network: Network | None = None) -> Condition:
        """Return the same with names replaced by what they stand for now."""
        return Not(self.condition.resolved(network))

    def __invert__(self) -> Condition:
        """Return the condition itself: what is not not so is so."""
        return self.condition

    def __str__(self) -> str:
        inner = self.condition
        return f"not ( {inner} )" if isinstance(inner, _Several) else f"not {inner}"

    def __repr__(self) -> str:
        inner = self.condition
        return f"~({inner!r})" if _needs_parentheses(inner) else f"~{inner!r}"


class Port(Condition):
    """The port of `side` ("src", "dst") compared with `number` by `operator` (= != < <= > >=).

    `family`, where it is given, is that of the sockets which can pass. What a port is in families
    without ports, see `sides`; port ids of netlink have a sign.

    Raises: ValueError where no port has such a number.
    """

    __slots__ = _fields = ("side", "operator", "number", "family")
    side: str
    operator: str
    number: int
    family: str | None

    def __init__(self, side: str, operator: str, number: int, family: str | None = None) -> None:
        most = _MOST_PORT if family in {None, "inet", "inet6"} else _MOST_NUMBER
        if family == "netlink":
            if not -(1 << 31) <= number <= most:
                raise ValueError("a port id is a number of 32 bits")
            number = sides.signed(number)
        elif not 0 <= number <= most:
            raise ValueError(f"a port is at most {most}, and at least 0")
        super().__init__(side, operator, number, family)

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the socket of `row` has such a port."""
        if self.family and row.family != self.family:
            return False
        found: bool = _COMPARISONS[self.operator](sides.port(row, self.side), self.number)
        return found

    def __str__(self) -> str:
        family = f"{self.family}:" if self.family else ""
        return f"{_PORT_WORDS[self.side]} {self.operator} {family}:{self.number}"

    def __repr__(self) -> str:
        side = _PORT_WORDS[self.side] + (f".of({self.family!r})" if self.family else "")
        return f"{side} {'==' if self.operator == '=' else self.operator} {self.number}"


class Autobound(Condition):
    """The kernel chose the port, or the name, that the socket is bound to.

    For IPv4 and IPv6: nobody asked for this port, and it is one of `ports`, the first and the last
    that the kernel hands out. Only the kernel knows the former; `matches` looks at the latter.
    """

    __slots__ = _fields = ("ports",)
    ports: tuple[int, int] | None

    def __init__(self, ports: tuple[int, int] | None = None) -> None:
        super().__init__(ports)

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the kernel is likely to have bound the socket of `row`."""
        return sides.is_autobound(row, self.ports or names.Network().ephemeral_ports())

    def resolved(self, network: Network | None = None) -> Autobound:
        """Return the same with the ports that the kernel hands out there."""
        return Autobound(self.ports or (network or names.Network()).ephemeral_ports())

    def __str__(self) -> str:
        return "autobound"

    def __repr__(self) -> str:
        return f"Autobound({self.ports})" if self.ports else "autobound"


class Device(Condition):
    """The socket is bound to an interface; `device` is its index (0: to none) or its name.

    `word` is where a text names it, for the error where it is not there; it says nothing else.

    Raises: ValueError where it cannot be one.
    """

    __slots__ = ("device", "word")
    _fields = ("device",)
    device: int | str
    word: Word | None

    def __init__(self, device: int | str, word: Word | None = None) -> None:
        _expect(device, "an interface is named by its index or its name", int, str)
        if not device and device != 0:
            raise ValueError("a name of an interface has at least one character")
        if isinstance(device, int) and not 0 <= device <= _MOST_NUMBER:
            raise ValueError(f"an index of an interface is at most {_MOST_NUMBER}")
        super().__init__(device)
        object.__setattr__(self, "word", word)

    def index(self, network: Network | None = None) -> int:
        """Return the index of the interface. Raises: FilterError where there is none."""
        return index_of(self, self.device, network)

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the socket of `row` is bound to it."""
        return sides.interface(row) == self.index()

    def resolved(self, network: Network | None = None) -> Device:
        """Return the same with the index that the interface has."""
        return Device(self.index(network))

    def __str__(self) -> str:
        name = str(self.device)
        if isinstance(self.device, str) and names.number(name) is not None:
            return f"dev \\{name}"  # else it would be an index
        return f"dev {escape(name)}"

    def __repr__(self) -> str:
        return f"dev({self.device!r})"


class Mark(Condition):
    """The bits `mask` of the mark of the socket (SO_MARK, socket(7)) are `value`.

    Raises: ValueError where no mark could be so.
    """

    __slots__ = _fields = ("value", "mask")
    value: int
    mask: int

    def __init__(self, value: int, mask: int = _MARK_BITS) -> None:
        _expect(value, "a mark is a number", int)
        _expect(mask, "the mask of a mark is a number", int)
        if not (0 <= value <= _MARK_BITS and 0 <= mask <= _MARK_BITS):
            raise ValueError("a mark and its mask are numbers of 32 bits")
        if value & ~mask:
            raise ValueError("the mask leaves out bits of the mark: no socket could match")
        super().__init__(value, mask)

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the socket of `row` has such a mark. Raises: NotPossibleError."""
        return sides.mark(row) & self.mask == self.value

    def __str__(self) -> str:
        mask = "" if self.mask == _MARK_BITS else f"/{self.mask:#x}"
        return f"fwmark {self.value:#x}{mask}"

    def __repr__(self) -> str:
        mask = "" if self.mask == _MARK_BITS else f", {self.mask:#x}"
        return f"fwmark({self.value:#x}{mask})"


class Cgroup(Condition):
    """The socket was made in the control group (version 2) at `path`; `number` is the kernel's."""

    __slots__ = _fields = ("path", "number")
    path: str
    number: int | None

    def __init__(self, path: str, number: int | None = None) -> None:
        _expect(path, "the path of a control group is text", str)
        if not path:
            raise ValueError("a path of a control group has at least one character")
        super().__init__(path, number)

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the socket of `row` belongs there."""
        return sides.cgroup_id(row) == self.resolved().number

    def resolved(self, network: Network | None = None) -> Cgroup:  # noqa: ARG002  # names none
        """Return the same with the number that the group has now."""
        if self.number is not None:
            return self
        try:
            return Cgroup(self.path, names.cgroup_number(self.path))
        except Refusal as error:
            text = str(self)
            refuse(text, 0, len(text), error.reason, error.hint)

    def __str__(self) -> str:
        return f"cgroup {escape(self.path)}"

    def __repr__(self) -> str:
        if self.number is None:
            return f"cgroup({self.path!r})"
        return f"Cgroup({self.path!r}, {self.number})"


_PORT_WORDS = {"src": "sport", "dst": "dport"}


def escape(word: str) -> str:
    """Return `word` with backslashes where the language would take it for something else."""
    text = _SPECIAL.sub(lambda special: "\\" + special[0], word)
    return f"\\{text}" if _KEYWORD.match(text) else text


def index_of(about: Device | LinkHost, device: int | str, network: Network | None = None) -> int:
    """Return the index of an interface, given that or its name; `about` is what asks for it.

    Raises: as `Condition.resolved`.
    """
    if isinstance(device, int):
        return device
    try:
        return (network or names.Network()).device_index(device)
    except Refusal as error:
        text, position, length = about.word or (str(about), 0, len(str(about)))
        if text.endswith(device, position, position + length):  # the name is the last part
            position, length = position + length - len(device), len(device)
        refuse(text, position, length, error.reason, error.hint)


def _needs_parentheses(condition: Condition) -> bool:
    """Tell whether the Python source of `condition` does not bind as closely as ``&``."""
    return isinstance(condition, _Several | Port)


def _deeper(depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise ValueError(f"conditions are nested deeper than {MAX_DEPTH} levels")
    return depth + 1


def _expect(value: object, rule: str, *types: type) -> None:
    """Raise where a value is of none of these types. Raises: TypeError."""
    if not isinstance(value, types) or isinstance(value, bool):
        raise TypeError(f"{rule}, not {value!r}")

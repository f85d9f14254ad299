"""`SocketFilter`: which sockets a listing is to show; `parse_filter` makes one of text."""

from __future__ import annotations

from sockwright.sockets.diag.states import ALL, STATE_WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from sockwright.sockets.diag.filter.conditions import Condition
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["SocketFilter", "parse_filter"]

_FAMILIES = ("inet", "inet6", "unix", "link", "netlink", "vsock")


class SocketFilter:
    """States and a condition, either of which may be absent. Immutable; equal by what it says.

    `states` is a mask (see `sockwright.sockets.diag.states`), None where the filter does not speak
    of states. `str` is the filter in the language of ss(8).
    """

    __slots__ = ("condition", "families", "states")
    condition: Condition | None
    families: frozenset[str] | None
    states: int | None

    def __init__(self, condition: Condition | None = None, states: int | None = None) -> None:
        if condition is not None:
            from sockwright.sockets.diag.filter.conditions import Condition

            if not isinstance(condition, Condition):
                raise TypeError(f"a filter is made of a condition, not of {condition!r}")
        named = frozenset() if condition is None else condition.families
        for name, value in (
            ("condition", condition), ("states", states), ("families", named or None),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    def resolved(self, namespace: int | str | None = None) -> SocketFilter:
        """Return it with what its names stand for in a network namespace, looked up once for all.

        That is interfaces, the ports that the kernel hands out, and control groups. `namespace` as
        `dump` takes it. `program` and `matches` of a filter that is not resolved look names up each
        time, in the namespace of this thread.

        Raises:
            FilterError: a name is not known there.
            UsageError, NotPossibleError: the namespace is not there, or closed to this user.
            OSError: as the kernel says.
        """
        if self.condition is None:
            return self
        from sockwright.sockets.diag.filter.names import Network

        return SocketFilter(self.condition.resolved(Network(namespace)), self.states)

    def program(self, family: str) -> bytes | None:
        """Return the bytecode for the kernel's sockets of `family`, "inet" or "inet6".

        Empty where every socket of the family passes. None where the program would be too long for
        the kernel: then each row is to be asked by `matches`. The same is right where the kernel
        refuses a program with EINVAL (it is too old for an operation) or EPERM (it compares marks
        for CAP_NET_ADMIN only).

        Raises: FilterError where a name is not known.
        """
        from sockwright.sockets.diag.filter.bytecode import REJECT_ALL, compile_condition

        if self.families is not None and family not in self.families:
            return REJECT_ALL
        if self.condition is None:
            return b""
        return compile_condition(self.condition.resolved(), family)

    def matches(self, row: SocketRow) -> bool:
        """Tell whether a row passes: by its state, its family and the condition.

        Raises:
            NotPossibleError: the kernel did not tell the mark of the socket.
            FilterError: a name is not known.
        """
        if self.states is not None and not self.states >> row.state_number & 1:
            return False
        if self.families is not None and row.family not in self.families:
            return False
        return self.condition is None or self.condition.matches(row)

    def __str__(self) -> str:
        parts = [] if self.states is None else _state_words(self.states)
        if self.condition is not None:
            parts.append(str(self.condition))
        return " ".join(parts)

    def __repr__(self) -> str:
        states = "" if self.states is None else f", states={self.states:#x}"
        return f"SocketFilter({self.condition!r}{states})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SocketFilter):
            return NotImplemented
        return (self.condition, self.states) == (other.condition, other.states)

    def __hash__(self) -> int:
        return hash((self.condition, self.states))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a filter does not change: {name!r} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a filter does not change: {name!r} cannot be deleted")

    def __reduce__(self) -> tuple[object, ...]:
        return SocketFilter, (self.condition, self.states)


def parse_filter(
    text: str,
    *,
    family: str | None = None,
    protocols: Collection[str] = ("tcp", "udp"),
) -> SocketFilter:
    """Return the filter that `text` describes, in the language of ss(8). Empty text passes all.

    `family` ("inet", "inet6", "unix", "link", "netlink", "vsock") is that of hosts that name none,
    as ``ss -f`` has it; `protocols` are those whose services (/etc/services) ports are named by.
    Hosts are resolved here, and control groups have to be there. Names of interfaces are looked up
    where the sockets are, when the filter is used: FilterError marks them then.

    Raises:
        FilterError: a word is wrong; it says which, why, and what would fit.
        ValueError: there is no such family.
        TypeError: the filter is no text.
    """
    if not isinstance(text, str):
        raise TypeError(f"a filter is text, not {text!r}")
    if family is not None and family not in _FAMILIES:
        raise ValueError(f"there is no family {family!r}; there are {', '.join(_FAMILIES)}")
    if not text or text.isspace():
        return SocketFilter()
    from sockwright.sockets.diag.filter.host_syntax import Reading
    from sockwright.sockets.diag.filter.parser import parse

    states, condition = parse(text, Reading(family, protocols))
    return SocketFilter(condition, states)


def _state_words(mask: int) -> list[str]:
    """Return the words that ask for these states."""
    for word in ("all", "connected", "synchronized", "bucket", "big"):
        if STATE_WORDS[word] == mask:
            return ["state", word]
    single = {bits: word for word, bits in reversed(STATE_WORDS.items()) if bits.bit_count() == 1}
    left_out = ALL & ~mask
    if left_out.bit_count() < mask.bit_count():
        return [part for bits, word in _each(left_out, single) for part in ("exclude", word)]
    return [part for bits, word in _each(mask, single) for part in ("state", word)]


def _each(mask: int, words: dict[int, str]) -> list[tuple[int, str]]:
    return [(bits, words[bits]) for bits in sorted(words) if mask & bits]

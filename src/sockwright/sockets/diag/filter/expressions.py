"""The words of the filter language as Python: conditions to combine by ``&``, ``|`` and ``~``.

    (sport == 443) & ~dst("10.0.0.0/8")
    any_of(dport == port for port in range(8000, 9000))

Comparisons need parentheses there: ``&`` binds closer than ``==``.
"""

from __future__ import annotations

from sockwright.sockets.diag.filter.conditions import (
    All,
    Autobound,
    Cgroup,
    Condition,
    Device,
    Either,
    Mark,
    Port,
)
from sockwright.sockets.diag.filter.host_syntax import FAMILIES, Reading, parse_host
from sockwright.sockets.diag.filter.refusal import Refusal, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "PortSide",
    "all_of",
    "any_of",
    "autobound",
    "cgroup",
    "dev",
    "dport",
    "dst",
    "fwmark",
    "sport",
    "src",
]

_MARK_BITS = 0xFFFF_FFFF


class PortSide:
    """The port of one side of a socket; compared with a number it gives a condition."""

    __slots__ = ("_family", "_side")

    def __init__(self, side: str, family: str | None = None) -> None:
        self._side = side
        self._family = family

    def of(self, family: str) -> PortSide:
        """Return the port of sockets of `family` only, such as "inet6" or "vsock".

        Raises: ValueError where there is no such family, or it has no ports.
        """
        if family not in FAMILIES or family == "unix":
            raise ValueError(f"there are no ports of a family {family!r}")
        return PortSide(self._side, family)

    def __eq__(self, number: object) -> Condition:  # type: ignore[override]  # gives a condition
        return self._compared("=", number)

    def __ne__(self, number: object) -> Condition:  # type: ignore[override]  # gives a condition
        return self._compared("!=", number)

    def __lt__(self, number: object) -> Condition:
        return self._compared("<", number)

    def __le__(self, number: object) -> Condition:
        return self._compared("<=", number)

    def __gt__(self, number: object) -> Condition:
        return self._compared(">", number)

    def __ge__(self, number: object) -> Condition:
        return self._compared(">=", number)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        family = f".of({self._family!r})" if self._family else ""
        return ("sport" if self._side == "src" else "dport") + family

    def _compared(self, operator: str, number: object) -> Condition:
        """Return the condition. Raises: TypeError, ValueError."""
        if not isinstance(number, int) or isinstance(number, bool):
            raise TypeError(f"a port is compared with an int, not with {number!r}")
        return Port(self._side, operator, number, self._family)


sport = PortSide("src")
"""The own port: ``sport == 443``, ``sport > 1024``."""
dport = PortSide("dst")
"""The port of the peer."""
autobound = Autobound()
"""The kernel chose the own port or name."""


def src(host: str, *, family: str | None = None) -> Condition:
    """Return the condition that the own address is `host`, in HOST SYNTAX of ss(8).

    ``src("10.0.0.0/8")``, ``src("[::1]:80")``, ``src("unix:/run/*")``. A name of a host is resolved
    here, and stands for all its addresses.

    Raises:
        FilterError: it is no host.
        ValueError: there is no such family.
    """
    return _host("src", host, family)


def dst(host: str, *, family: str | None = None) -> Condition:
    """Return the condition that the address of the peer is `host`, see `src`.

    Raises: as `src`.
    """
    return _host("dst", host, family)


def dev(device: int | str) -> Condition:
    """Return the condition that the socket is bound to an interface, by index or by name.

    The name is looked up when the filter is used. Raises: ValueError where it cannot be one.
    """
    return Device(device)


def fwmark(value: int, mask: int = _MARK_BITS) -> Condition:
    """Return the condition that the bits `mask` of the mark of the socket are `value`.

    Raises: ValueError where no mark could be so.
    """
    return Mark(value, mask)


def cgroup(path: str) -> Condition:
    """Return the condition that the socket was made in a control group of version 2.

    The path is looked up when the filter is used. Raises: ValueError where it is empty.
    """
    return Cgroup(path)


def any_of(conditions: Iterable[Condition]) -> Condition:
    """Return the condition that one of `conditions` holds; of thousands quicker than many ``|``.

    Raises: ValueError where there are none.
    """
    return _join(Either, conditions)


def all_of(conditions: Iterable[Condition]) -> Condition:
    """Return the condition that every one of `conditions` holds. Raises: as `any_of`."""
    return _join(All, conditions)


def _join(kind: type[All | Either], conditions: Iterable[Condition]) -> Condition:
    several = tuple(conditions)
    if not several:
        raise ValueError("there are no conditions to join")
    if len(several) == 1 and isinstance(several[0], Condition):
        return several[0]
    return kind(several)


def _host(side: str, host: str, family: str | None) -> Condition:
    if not isinstance(host, str):
        raise TypeError(f"a host is text such as '10.0.0.0/8', not {host!r}")
    if family not in {None, *FAMILIES}:
        raise ValueError(f"there is no family {family!r}; there are {', '.join(FAMILIES)}")
    try:
        return parse_host(side, host, Reading(family))
    except Refusal as error:
        length = len(host) if error.length is None else error.length
        refuse(host, error.start if error.length is not None else 0, length, error.reason,
               error.hint)  # fmt: skip

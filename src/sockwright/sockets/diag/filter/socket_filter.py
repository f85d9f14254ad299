"""`SocketFilter`: which sockets a listing is to show."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from sockwright.sockets.diag.filter.conditions import Condition
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["SocketFilter", "parse_filter"]


class SocketFilter:
    """States and a condition, either of which may be absent. Immutable; equal by what it says.

    `states` is a mask of states, None where the filter does not speak of them. `families` are the
    address families that its hosts name ("inet", "unix" ...): rows of others never match; None
    where they name none. As text it is in the language again.
    """

    __slots__ = ("condition", "families", "states")

    def __init__(self, condition: Condition | None = None, states: int | None = None) -> None:
        self.condition = condition
        self.states = states
        self.families: frozenset[str] | None = None

    def resolved(self) -> SocketFilter:
        """Return it with names of devices and cgroups looked up here and now, once for all.

        To be called inside the network namespace that is listed. `program` and `matches` of a
        filter that was not resolved look them up each time.

        Raises: FilterError where a name is not known.
        """
        return self

    def program(self, family: str) -> bytes | None:
        """Return the bytecode for inet_diag's sockets of `family` ("inet" or "inet6").

        Empty where every socket of the family passes. None where the kernel cannot tell (the
        program is too long for it): then each row is to be asked by `matches`. The same is right
        where the kernel refuses a program with EINVAL (an old one that lacks an operation), or with
        EPERM (it compares marks for CAP_NET_ADMIN only).
        """
        raise NotImplementedError

    def matches(self, row: SocketRow) -> bool:
        """Tell whether a row passes: its state, its family and the condition.

        Raises: NotPossibleError where the row does not tell what is asked for (its mark is told to
        CAP_NET_ADMIN only).
        """
        raise NotImplementedError


def parse_filter(
    text: str, *, family: str | None = None, protocols: Collection[str] = ("tcp", "udp")
) -> SocketFilter:
    """Return the filter that `text` describes, in the language of ss(8); empty text passes all.

    `family` is that of hosts that name none (as ``ss -f``); `protocols` are those whose services
    (/etc/services) a port may be named by.

    Raises: FilterError at the word that is wrong.
    """
    raise NotImplementedError

"""What one host may be sent, divided between its TCP and its UDP while both are asked.

Each of the two has a bound of its own, and the bounds together are what the host may get: so that
is never exceeded, and nobody waits for the other. They begin as halves. Now and then they are
looked at: one that is done leaves all to the other; one that sends less than its bound, as UDP does
behind a limit on ICMP errors, keeps twice what it sends, and the other has the rest. Where both
could send more they are halves again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.scan.asked_host import AskedHost

__all__ = ["Sharing"]

_LOOK: Final = 0.5  # seconds between two looks
_USED: Final = 0.8  # of a bound: who sends so much could send more
_LEAST: Final = 0.1  # of the whole, for one that sends hardly anything now


class Sharing:
    """Divides `rate` packets a second among `members`, the protocols of one host."""

    __slots__ = ("_before", "_looked", "_members", "_rate")

    def __init__(self, rate: float, members: Sequence[AskedHost], now: float) -> None:
        self._rate = rate
        self._members = tuple(members)
        self._looked = now
        self._before = [one.probes for one in members]

    def look(self, now: float) -> None:
        """Set the bounds anew, if it is time or one is done."""
        going = [one for one in self._members if not one.rounds.done]
        if len(going) == 1:
            going[0].pace.bound(self._rate, now)
        took = now - self._looked
        if len(going) < 2 or took < _LOOK:
            return
        used = [
            (one.probes - before) / took
            for one, before in zip(self._members, self._before, strict=True)
        ]
        self._looked = now
        self._before = [one.probes for one in self._members]
        half = self._rate / 2
        first, second = (max(min(2 * one, half), self._rate * _LEAST) for one in used)
        hungry = [
            one >= _USED * member.pace.most for one, member in zip(used, self._members, strict=True)
        ]
        if hungry == [True, False]:
            first = self._rate - second
        elif hungry == [False, True]:
            second = self._rate - first
        else:
            first = second = half
        # The smaller first: together they are never more than the whole.
        for member, bound in sorted(
            zip(self._members, (first, second), strict=True), key=lambda pair: pair[1]
        ):
            member.pace.bound(bound, now)

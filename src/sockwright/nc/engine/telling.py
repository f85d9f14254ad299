"""What a run tells of itself, line by line: not what nobody asked for, and not too much of a kind.

Whoever can connect can cause lines, as many as there are connections. Of refusals, failures and
notes a hundred are told within a second; the others are counted, and told of in one line when the
second is over.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sockwright.nc.engine.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.engine.events import Kind
    from sockwright.nc.engine.loop import Loop

__all__ = ["Telling"]

_PER_SECOND = 100
_COUNTED: dict[str, str] = {
    "failed": "failures",
    "refused": "refusals",
    "note": "notes",
}


class Telling:
    """Collects the `events` that matter: those of an importance of `lowest` at least.

    `above` is given to each, see `nc.engine.events.Event`.
    """

    def __init__(self, loop: Loop, lowest: int) -> None:
        self.events: deque[Event] = deque()
        self.above: Callable[[str], bool] | None = None
        self.lowest = lowest
        self._loop = loop
        self._told: dict[Kind, int] = {}  # how many within this second

    def tell(self, kind: Kind, text: str, importance: int, **more: object) -> None:
        """Tell of something; `more` are other fields of an `Event`."""
        if importance < self.lowest:
            return
        if kind in _COUNTED:
            told = self._told[kind] = self._told.get(kind, 0) + 1
            if told == 1:
                self._loop.later(1.0, lambda: self._sum_up(kind))
            elif told > _PER_SECOND:
                return
        event = Event(kind, text, importance, **more)  # type: ignore[arg-type]
        event.above = self.above
        self.events.append(event)

    def tell_last(self, text: str, status: int) -> None:
        """Tell why the run ends, whatever else was told in this second."""
        self.sum_up()
        self.tell("failed", text, 2, status=status)

    def note(self, text: str) -> None:
        """Tell what everybody is to know who did not ask for silence about everything."""
        self.tell("note", text, 2)

    def sum_up(self) -> None:
        """Tell now how many were left out: nothing more will come."""
        for kind in list(self._told):
            self._sum_up(kind)

    def _sum_up(self, kind: Kind) -> None:
        left_out = self._told.pop(kind, 0) - _PER_SECOND
        if left_out > 0:
            what = f"{left_out} more {_COUNTED[kind]}" if left_out > 1 else "one more"
            event = Event(kind, f"and {what} like these", 2)
            event.above = self.above
            self.events.append(event)

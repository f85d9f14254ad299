"""Two conversations joined: what one side receives, the other sends, both ways at once.

Rules:

- the end of one direction is passed on (`send_eof`), and the other goes on;
- a source is read only when what it gave before has been sent, so memory is bounded;
- messages stay messages where both sides keep boundaries.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from sockwright.nc.talking.carrier import GO_ON, Pause, Steps

if TYPE_CHECKING:
    from sockwright.nc.talking.conversing import ConversationCore
    from sockwright.nc.terminal.cleaning import Cleaner

__all__ = ["Relayed", "relaying"]

_PIECE = 262144


@dataclass(frozen=True, slots=True)
class Relayed:
    """What `relay` has moved, in octets, and whether both sides had ended when it stopped."""

    a_to_b: int
    b_to_a: int
    ended: bool


class _Way:
    """One direction."""

    def __init__(
        self,
        source: ConversationCore,
        sink: ConversationCore,
        cleaner: Cleaner | None = None,
    ) -> None:
        self._source, self._sink, self._cleaner = source, sink, cleaner
        self._rest = memoryview(b"")
        self._flushing = False
        self.source_ended = False
        self.done = False
        self.count = 0

    def go(self) -> Pause | None:
        """Do what can be done now; None when it was something."""
        if self._rest:
            sent = self._sink.send_now(self._rest)
            if isinstance(sent, Pause):
                return sent
            self.count += sent
            self._rest = self._rest[sent:]
            self._flushing = True
            return None
        if self._flushing:
            if (pause := self._sink.flush_now()) is not None:
                return pause
            self._flushing = False
        if self.source_ended:
            self.done = (pause := self._sink.send_eof_now() or self._sink.flush_now()) is None
            return pause
        octets = self._source.receive_now(_PIECE)
        if isinstance(octets, Pause):
            return octets
        self.source_ended = not octets and not self._source.carrier.endless
        if self._cleaner is not None:
            octets = self._cleaner.finish() if self.source_ended else self._cleaner.clean(octets)
        self._rest = memoryview(octets)
        return None


def relaying(
    a: ConversationCore,
    b: ConversationCore,
    *,
    idle: float | None = None,
    until_b_ends: bool = False,
    cleaner: Cleaner | None = None,
) -> Steps[Relayed]:
    """Join `a` and `b` until both have ended, or nothing has moved for `idle` seconds.

    With `until_b_ends` the end of `b` is enough. `cleaner` cleans what goes to `a`.
    """
    there, back = _Way(a, b), _Way(b, a, cleaner)
    moved = monotonic()
    while True:
        pauses = [pause for way in (there, back) if not way.done and (pause := way.go())]
        if back.done and (there.done or until_b_ends):
            return Relayed(there.count, back.count, ended=True)
        if len(pauses) + there.done + back.done < 2:
            moved = monotonic()
            yield GO_ON
            continue
        waits = tuple({wait for pause in pauses for wait in pause.waits})
        limits = [pause.seconds for pause in pauses if pause.seconds is not None]
        if idle is not None:
            left = moved + idle - monotonic()
            if left <= 0:
                return Relayed(there.count, back.count, ended=False)
            limits.append(left)
        yield Pause(waits, min(limits, default=None))

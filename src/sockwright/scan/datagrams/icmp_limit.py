"""Find out which ports are closed on a host that limits its ICMP errors.

Linux answers the datagrams of one peer to closed ports by 6 ICMP errors in a row, then by one a
second (icmp_ratelimit, ip-sysctl); routers by two a second. Behind such a limit silence means
nothing: nmap calls closed ports open|filtered there. The limit is a bucket of tokens, an error
takes one. So:

1. A batch of silent ports is asked, and right behind it a port that is known to be closed, the
   canary. Who answers first has taken the token. What was asked before the last one that answered
   had a token to answer by: if it was silent, its silence counts. What was asked behind it says
   nothing and is asked again.
2. When the canary answers there were tokens for all: the next batch has twice as many ports. When
   it does not, batches shrink to what was answered. So a host of closed ports is asked little more
   than its tokens allow, and one of silent ports needs a few batches only.
3. When nobody answers there was no token. How long one takes is learnt from that, and small batches
   wait for nine tenths of it. Large ones wait longer: they take a while to send, and a token that
   comes in the middle must not make the silence before it count.
4. A silent port is done when its silence has counted `NEEDED` times: datagrams get lost.
5. Some errors never arrive, though they take a token each: they quote the probe, and may be too
   large for a link on the way back. So where nobody answers for long, the canary is asked alone,
   which tells how long a token takes. A port that gets several of them and still brings no answer
   is left as it is: `lost` counts those.

Nothing here sends, receives or looks at a clock. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NEEDED", "IcmpLimit"]

NEEDED: Final = 2
"""How often a silence has to count."""

_MOST = 1024  # ports in a batch
_EARLY, _SAFE = 0.9, 1.1  # of the time that a token takes
_SMALL = 2  # ports in a batch that is sent in no time
_REPEAT = 1 / 8  # of it, between batches that nobody answers
_UNKNOWN = 0.05  # seconds between those while that time is not known
_LEAST = 0.002  # seconds
_LONG = 3.0  # seconds without an answer, and so many times that a token takes
_VAIN = 4  # times that a token takes, for one port


class IcmpLimit:
    """The ports (by index) of one host that have not answered, and when to ask which of them.

    `interval` is the time in seconds that the host takes for one error, None until it is known.
    `canaries` are ports that were answered by ICMP, `last` is when the last of them was asked.
    `lost` is how many ports are asked no more though nothing is known of them.
    """

    __slots__ = (
        "_answered",
        "_batch",
        "_began",
        "_canaries",
        "_consumed",
        "_denied",
        "_denied_since",
        "_due",
        "_is_measured",
        "_lone",
        "_out",
        "_queue",
        "_quiet",
        "_sent",
        "_size",
        "interval",
        "lost",
        "silent",
    )

    def __init__(self, items: Sequence[int], canaries: Sequence[int], last: float) -> None:
        self._queue = deque(items)
        self._quiet: dict[int, int] = {}
        self._canaries = deque(canaries)
        self._size = 1
        self._batch: list[int] = []
        self._answered: dict[int, None] = {}
        self._out = False
        self._began = self._sent = 0.0
        self._due = 0.0
        self._consumed = last
        self._denied = True
        self._denied_since: float | None = None  # the first of the batches that nobody answered
        self._lone = 0  # how many answers of a canary alone are wanted
        self._is_measured = False  # whether those have told the interval
        self.lost = 0
        self.interval: float | None = None
        self.silent: list[int] = []
        """Ports whose silence is proved, until the caller takes them."""

    @property
    def left(self) -> int:
        """How many ports are still to be proved to be anything."""
        return sum(item not in self._answered for item in self._queue)

    @property
    def due(self) -> float:
        """When the next batch may go, or the last one has had its time."""
        return self._due

    def next_batch(self, now: float, rate: float) -> list[int]:
        """Return the ports to ask now, in this order, the canary last; none: not yet, or done.

        They will go out at `rate` packets a second.
        """
        if self._out or self._batch or now < self._due or not self._queue:
            return []
        most = min(self._size, len(self._queue), max(int(rate * (self.interval or 0) / 8), _SMALL))
        self._batch = [self._queue[at] for at in range(0 if self._lone else most)]
        self._batch.append(self._canaries[0])
        self._canaries.rotate(-1)
        self._answered.clear()
        self._began = now
        return list(self._batch)

    def sent(self, now: float, timeout: float) -> None:
        """Note that all of the batch went out; its answers take `timeout` at most."""
        self._out = True
        self._sent = now
        self._due = now + timeout

    def answered(self, item: int) -> None:
        """Note that a port was answered by ICMP; also of an earlier batch."""
        if item in self._batch:
            self._answered[item] = None
        else:
            self._forget(item)

    def open(self, item: int) -> None:
        """Note that a port is open: it takes no token."""
        self._forget(item)
        if item in self._batch:
            self._batch.remove(item)

    def turn(self, now: float) -> bool:
        """Draw the conclusions of the batch when its time is over; return whether it was."""
        if not self._out or (now < self._due and len(self._answered) < len(self._batch)):
            return False
        self._out = False
        batch, canary = self._batch[:-1], self._batch[-1]
        places = [at for at, item in enumerate(self._batch) if item in self._answered]
        self._batch = []
        if not places:
            self._denied = True
            self._look_for_lost(batch)
            wait = _UNKNOWN if self.interval is None else self.interval * _REPEAT
            self._due = max(self._sent + max(wait, _LEAST), now)
            return True
        self._denied_since = None
        if self._lone:
            self._measure(now)
            return True
        safe = self._consumed + (self.interval or 0.0) * (1 + _SAFE) / 2
        if len(batch) <= _SMALL or (self.interval is not None and self._began >= safe):
            for item in batch[: places[-1]]:
                if item not in self._answered:
                    self._count(item)
        for item in self._answered:
            if item != canary:
                self._forget(item)
        count = len(places)
        self._learn((self._sent - self._consumed) / count)
        self._consumed = self._sent
        if canary in self._answered:
            self._size = min(self._size * 2, _MOST)
        else:
            self._size = max(1, min(self._size, 2 * count))
        part = _EARLY if self._size <= _SMALL else _SAFE
        self._due = max(now, self._sent + (self.interval or _UNKNOWN) * part)
        return True

    def _look_for_lost(self, batch: list[int]) -> None:
        """Where nobody answers for long, ask the canary alone, or a port no more."""
        if self._denied_since is None:
            self._denied_since = self._sent
        waited, interval = self._sent - self._denied_since, self.interval or 0.0
        if self._lone or not batch:
            return
        if not self._is_measured:
            if waited > max(_LONG, _LONG * interval):
                self._lone, self._size = 2, 1
        elif len(batch) > 1:
            if waited > interval:
                self._denied_since, self._size = None, 1  # one of them
        elif waited > _VAIN * interval:
            self._forget(batch[0])
            self.lost += 1
            self._denied_since = None

    def _measure(self, now: float) -> None:
        """Learn how long a token takes from two answers of the canary, with nobody else about."""
        self._lone -= 1
        if not self._lone:
            self.interval = max(self._sent - self._consumed, _LEAST)
            self._is_measured, self._denied = True, False
        self._consumed = self._sent
        self._due = max(now, self._sent + (self.interval or _UNKNOWN) * _EARLY)

    def _learn(self, took: float) -> None:
        if self._denied:
            # There was none a moment ago, so this is how long it took.
            self.interval = took if self.interval is None else (self.interval + took) / 2
        elif self.interval is not None:
            self.interval = max(min(self.interval, took) * 0.97, _LEAST)
        self._denied = False

    def _count(self, item: int) -> None:
        self._forget(item)
        quiet = self._quiet.get(item, 0) + 1
        self._quiet[item] = quiet
        if quiet < NEEDED:
            self._queue.append(item)
        else:
            self.silent.append(item)

    def _forget(self, item: int) -> None:
        if item in self._queue:
            self._queue.remove(item)

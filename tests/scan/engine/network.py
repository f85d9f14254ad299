"""A network on paper: rounds and a pace are driven against it, with a clock of its own."""

from __future__ import annotations

import heapq
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from sockwright.scan.engine.pace import Pace
from sockwright.scan.engine.rounds import Rounds
from sockwright.scan.engine.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["Network", "Outcome"]

_TICK = 0.001  # seconds


class Outcome(NamedTuple):
    """What came of a scan on paper: seconds, probes, and what answered of what would."""

    seconds: float
    probes: int
    answered: set[int]
    rounds: Rounds
    pace: Pace


class Network:
    """`loss` each way, `delay` seconds each way, `limit` probes a second with `burst` at once.

    From the one time of `outage`, in seconds, to the other nothing passes.
    """

    def __init__(
        self,
        *,
        loss: float = 0.0,
        delay: float = 0.0005,
        limit: float = 0.0,
        burst: float = 5,
        outage: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.outage = outage
        self.loss = loss
        self.delay = delay
        self.limit = limit
        self.burst = burst
        self._tokens = burst
        self._filled = 0.0

    def _passes(self, random: Random, now: float) -> bool:
        if self.outage[0] <= now < self.outage[1]:
            return False
        if self.limit:
            self._tokens = min(self._tokens + (now - self._filled) * self.limit, self.burst)
            self._filled = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
        return random.random() >= self.loss

    def scan(
        self,
        count: int,
        *,
        talks: Container[int],
        opened: Container[int] = (),
        rate: float | None = None,
        seed: int = 1,
        at_most: float = 600.0,
        asks_again: bool = True,
    ) -> Outcome:
        """Ask `count` things, of which `talks` would answer; `opened` are those that matter."""
        random = Random(seed)
        timing = Timing(first=0.3, longest=1.0)
        rounds = Rounds(count, seed=seed, retries=None, max_miss=0.01, timing=timing)
        now = 0.0
        pace = Pace(rate, now=now, asks_again=asks_again)
        known: list[int] = []
        coming: list[tuple[float, int, int, int, float]] = []
        answered: set[int] = set()
        probes = 0
        while not rounds.done and now < at_most:
            while coming and coming[0][0] <= now:
                _, item, attempt, epoch, sent = heapq.heappop(coming)
                if rounds.answered(item, attempt, open=item in opened):
                    answered.add(item)
                    known.append(item)
                    pace.answered(epoch)
                    timing.sample(now - sent)
                    rounds.heard(now)
                else:
                    pace.echoed(epoch)
                    rounds.echoed(attempt)
            pace.judge(now, timing.timeout, timing.smoothed or 0.0)
            if pace.silent:
                rounds.stop()
            if pace.slowed:
                pace.slowed = False
                rounds.forget()
            rounds.turn(now)
            if (most := pace.allowance(now)) and (items := rounds.take(most)):
                epoch = pace.epoch
                wanted = max(pace.wants_again(len(items)), rounds.wants_again(len(items)))
                again = wanted if known and asks_again else 0
                rounds.asked_again(again)
                pace.sent(len(items), now, again=again)
                rounds.sent(now)
                items += [random.choice(known) for _ in range(again)]
                random.shuffle(items)
                probes += len(items)
                for at, item in enumerate(items):
                    when = now + at * _TICK / len(items)
                    if not self._passes(random, when) or item not in talks:
                        continue
                    if random.random() >= self.loss:
                        arrival = when + 2 * self.delay
                        heapq.heappush(coming, (arrival, item, rounds.attempt, epoch, now))
            now += _TICK
        return Outcome(now, probes, answered, rounds, pace)

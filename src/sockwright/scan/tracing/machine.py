"""Which hops to ask, and what the answers say of the way; no input or output, no clock.

Rules
    1. All hops are asked at once, with TTL 1, 2, 3 and so on: as many as the TTL of an answer of
       the host suggests, or 10; then, while the host has not answered, 10 more, to `MOST_HOPS`.
    2. A hop that stays silent is asked again, `TRIES` times in all. Many routers answer at most one
       probe a second or none at all, so a silent hop is no reason to stop.
    3. The way ends where the host itself answered first: with a larger TTL it answers, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sockwright.scan.results import Hop

if TYPE_CHECKING:
    from sockwright.scan.engine.timing import Timing

__all__ = ["MOST_HOPS", "TRIES", "Probe", "Trace", "distance"]

MOST_HOPS: Final = 30
TRIES: Final = 3

_STEP = 10
_INITIAL: Final = (64, 128, 255)  # the TTLs that systems begin with, but for some devices (32)


class Probe(NamedTuple):
    """A packet to send: its TTL, and which try it is, from 1."""

    ttl: int
    attempt: int


def distance(ttl: int | None) -> int:
    """Return how many hops away a host seems to be, from the TTL of its answer; 0: unknown."""
    if ttl is None:
        return 0
    return next((initial - ttl + 1 for initial in _INITIAL if ttl <= initial), 0)


class Trace:
    """The hops towards one host; `guess` is how many there may be, 0 where nobody knows.

    `reached` is the TTL with which the host itself answered; None while it has not.
    """

    def __init__(self, guess: int, timing: Timing) -> None:
        self.timing = timing
        self.reached: int | None = None
        self.done = False
        self._asked = min(guess or _STEP, MOST_HOPS)
        self._found: dict[int, tuple[str, float]] = {}
        self._attempt = 1
        self._sent: dict[Probe, float] = {}
        self._due: float | None = None
        self._waiting = [Probe(ttl, 1) for ttl in range(1, self._asked + 1)]

    def take(self) -> list[Probe]:
        """Return the probes to send now."""
        probes, self._waiting = self._waiting, []
        return [probe for probe in probes if self._wanted(probe.ttl)]

    def _wanted(self, ttl: int) -> bool:
        return ttl not in self._found and (self.reached is None or ttl < self.reached)

    def sent(self, probe: Probe, now: float) -> None:
        """Note when a probe went out."""
        self._sent[probe] = now
        self._due = now + self.timing.timeout

    def answered(self, probe: Probe, sender: str, now: float, *, reached: bool) -> None:
        """Note who answered a probe; `reached` where that was the host itself."""
        began = self._sent.get(probe)
        if began is None or probe.ttl in self._found:
            return
        rtt = max(now - began, 0.0)
        self._found[probe.ttl] = (sender, rtt)
        self.timing.sample(rtt)
        if reached and (self.reached is None or probe.ttl < self.reached):
            self.reached = probe.ttl
        self._end_if_known()

    def _end_if_known(self) -> None:
        if self.reached is not None and not self._waiting:
            self.done = not any(self._wanted(ttl) for ttl in range(1, self.reached))

    def next_time(self) -> float | None:
        """Return when `turn` has something to do; None where probes are to be taken, or done."""
        return None if self.done or self._waiting else self._due

    def turn(self, now: float) -> None:
        """When the silent hops have had their time, ask again, or further, or end."""
        if self.done or self._waiting or self._due is None or now < self._due:
            return
        last = self._asked if self.reached is None else self.reached - 1
        again: list[Probe] = []
        if self._attempt < TRIES:
            self._attempt += 1
            again = [Probe(ttl, self._attempt) for ttl in range(1, last + 1) if self._wanted(ttl)]
        if self.reached is None and self._asked < MOST_HOPS:
            further = min(self._asked + _STEP, MOST_HOPS)
            again += [Probe(ttl, self._attempt) for ttl in range(self._asked + 1, further + 1)]
            self._asked = further
        self._waiting = again
        self.done = not again

    def hops(self) -> list[Hop]:
        """Return the way as far as it is known; silent hops in between have no host."""
        last = self.reached or max(self._found, default=0)
        hops = []
        for ttl in range(1, last + 1):
            sender, rtt = self._found.get(ttl, ("", 0.0))
            hops.append(Hop(ttl, sender, rtt_ns=int(rtt * 1e9) if sender else None))
        return hops

"""How many octets may move now so that no more than a number of them moves in a second.

A token bucket (the idea of RFC 2697, section 3) that is given the time and waits for nothing:

    rate = Rate(1_000_000, now=monotonic())
    while octets := ...:
        if not (allowed := rate.allowed(now)):
            ...                             # look again in rate.wait(now) seconds
        rate.took(sock.send(octets[:allowed]), now)

Rules: the bucket is empty at the start, so that the first seconds are no faster than the others. It
fills with `octets_per_second` and holds `BURST` seconds' worth at most: a caller that comes late
makes up for that much and no more. Octets are handed out in portions of `PORTION` seconds' worth,
or one octet, so that a slow rate does not become a call for every octet.
"""

from __future__ import annotations

__all__ = ["BURST", "PORTION", "Rate"]

BURST = 0.1
"""Seconds' worth of octets that may move at once, at most."""

PORTION = 0.01
"""Seconds' worth of octets that are worth waking up for."""


class Rate:
    """At most `octets_per_second`; times are seconds of a monotonic clock.

    Raises:
        ValueError: the rate is not above 0.
    """

    __slots__ = ("_depth", "_portion", "_then", "_tokens", "octets_per_second")

    def __init__(self, octets_per_second: float, now: float | None = None) -> None:
        if not octets_per_second > 0:  # also false for NaN
            raise ValueError(f"a rate is above 0 octets a second, not {octets_per_second}")
        self.octets_per_second = octets_per_second
        self._portion = max(octets_per_second * PORTION, 1.0)
        self._depth = max(octets_per_second * BURST, 1.0)
        self._tokens = 0.0
        self._then = now  # None: the clock starts with the first call

    def allowed(self, now: float) -> int:
        """Return how many octets may move now; 0 as long as there is no portion of them."""
        self._fill(now)
        return int(self._tokens) if self._tokens >= self._portion else 0

    def took(self, octets: int, now: float) -> None:
        """Say that `octets` have moved; more than were allowed are paid for by waiting longer."""
        self._fill(now)
        self._tokens -= octets

    def wait(self, now: float) -> float:
        """Return the seconds until `allowed` gives octets, 0 if it does now."""
        self._fill(now)
        lacking = self._portion - self._tokens
        # A microsecond at least: less could be lost when it is added to the time.
        return max(lacking / self.octets_per_second, 1e-6) if lacking > 0 else 0.0

    def _fill(self, now: float) -> None:
        if self._then is None:
            self._then = now
        elif now > self._then:
            gained = (now - self._then) * self.octets_per_second
            self._tokens = min(self._tokens + gained, self._depth)
            self._then = now

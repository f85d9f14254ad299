"""How long to wait for an answer: RFC 6298, with the bounds of a scan.

A scan asks many things at once and loses nothing by a second question, so its bounds are tighter
than those of TCP: by default 20 ms at least, not one second.
"""

from __future__ import annotations

__all__ = ["Timing"]

_CLOCK = 0.004  # seconds: what the receiving ring adds, and how coarse a batch is timed


class Timing:
    """An estimate of the round-trip time, and the time-out that follows from it, in seconds."""

    __slots__ = ("first", "longest", "shortest", "smoothed", "variation")

    def __init__(self, *, first: float = 1.0, shortest: float = 0.02, longest: float = 3.0) -> None:
        """Begin without a sample; `first` is the time-out until there is one."""
        self.first = first
        self.shortest = shortest
        self.longest = longest
        self.smoothed: float | None = None
        self.variation = 0.0

    def sample(self, rtt: float) -> None:
        """Take a measured round trip into account, RFC 6298 section 2."""
        rtt = max(rtt, 0.0)
        if self.smoothed is None:
            self.smoothed = rtt
            self.variation = rtt / 2
        else:
            self.variation += (abs(self.smoothed - rtt) - self.variation) / 4
            self.smoothed += (rtt - self.smoothed) / 8

    @property
    def timeout(self) -> float:
        """How long a probe is given."""
        if self.smoothed is None:
            return self.first
        wanted = self.smoothed + max(_CLOCK, 4 * self.variation)
        return min(max(wanted, self.shortest), self.longest)

"""The clock behind a host's TCP timestamps, RFC 7323 section 5.4; and whether it tells an uptime.

Rules
    1. A clock is claimed only where timestamps sent to two peers or more lie on one line. Linux
       since 4.10 and others give each pair of addresses an offset of its own, so that those of many
       connections to one peer lie on a line that begins nowhere.
    2. That they lie on one line is no uptime either: the clock may have begun at a random number.
       Whether it began at 0 is known of a system or not (`Signature.clock_from_boot`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Clock", "TimestampClock"]

_FREQUENCIES: Final = (1, 2, 10, 64, 100, 128, 250, 256, 300, 500, 512, 1000, 1024)
"""Ticks a second; RFC 7323 allows 1 to 1000."""
_WRAP: Final = 1 << 32
_MOST_SAMPLES: Final = 32
_LEAST_SPAN_NS: Final = 1_000_000_000
_JITTER_S: Final = 0.1
"""How late a segment may be seen against the others: queues on the way."""
_DRIFT: Final = 0.001
"""How far two clocks may go apart, as a part of the time that passed."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What the timestamps of a host say: ticks a second, and how long the count has gone on.

    `frequency` and `running_ns` are None where no clock is evident; `why` then says what forbids
    it. `running_ns` is what the count says at `time_ns`, by the clock of the capture; the count
    wraps every `wrap_ns`, so it may have gone on for that much longer, or many times that.
    """

    why: str
    frequency: int | None = None
    running_ns: int | None = None
    wrap_ns: int | None = None
    time_ns: int | None = None


class TimestampClock:
    """Collects the timestamps that one host put into SYNs, or into SYN-ACKs; bounded."""

    def __init__(self) -> None:
        self._samples: list[tuple[int, int, str]] = []

    def add(self, time_ns: int, value: int, peer: str) -> None:
        """Note the timestamp `value` in a segment to `peer` that was seen at `time_ns`."""
        if len(self._samples) == _MOST_SAMPLES:
            self._samples.pop()  # the first ones and the last one tell the most
        self._samples.append((time_ns, value, peer))

    def judge(self) -> Clock:
        """Say what clock is behind the timestamps, or why none is claimed."""
        samples = self._samples
        if not samples:
            return Clock("no TCP timestamps were seen")
        if not any(value for _, value, _ in samples):
            return Clock("its timestamps are all 0")
        if len(samples) == 1:
            return Clock("one timestamp tells nothing: many systems begin at a random number")
        if len({peer for _, _, peer in samples}) < 2:
            return Clock(
                "all timestamps went to one peer, and each pair of addresses may have a random "
                "offset of its own (Linux does so since 4.10)"
            )
        times = [time_ns for time_ns, _, _ in samples]
        if max(times) - min(times) < _LEAST_SPAN_NS:
            return Clock("the timestamps span less than a second")
        frequency = self._frequency()
        if frequency is None:
            return Clock(
                "its timestamps are random from peer to peer (RFC 7323 section 5.4 advises it)"
            )
        time_ns, value, _ = max(samples)
        return Clock(
            "",
            frequency,
            value * 1_000_000_000 // frequency,
            _WRAP * 1_000_000_000 // frequency,
            time_ns,
        )

    def _frequency(self) -> int | None:
        """Return the ticks a second with which all samples lie on one line; None for none."""
        first_ns, first, _ = min(self._samples)
        best: tuple[float, int] | None = None
        for frequency in _FREQUENCIES:
            furthest = 0.0
            fits = True
            for time_ns, value, _ in self._samples:
                passed = (time_ns - first_ns) / 1e9
                # The distance around the wrap, below or above what is expected.
                off = (value - first - frequency * passed + _WRAP / 2) % _WRAP - _WRAP / 2
                furthest = max(furthest, abs(off) / frequency)
                fits = abs(off) <= 1 + frequency * (_JITTER_S + _DRIFT * passed)
                if not fits:
                    break
            if fits and (best is None or furthest < best[0]):
                best = furthest, frequency
        return None if best is None else best[1]

"""The rules behind counters that a host shows: sequence numbers, identifications, clocks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import gcd, log2, sqrt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Growth", "clock_rate", "growth_of_sequence", "kind_of_ids", "share_a_counter"]

_WRAP: Final = 1 << 32
_TOLERANCE: Final = 0.25  # of a clock's rate: packets wait on their way
_CLOCKS: Final = (1, 2, 10, 100, 250, 1000)
_FASTEST: Final = 10_000_000  # ticks a second; RFC 7323 has 1000, some count microseconds


@dataclass(frozen=True, slots=True)
class Growth:
    """How initial sequence numbers grow: `divisor` of all steps; log2 of `rate` and `spread`.

    `rate` is of numbers a second; `spread` of its standard deviation, divided by `divisor` where
    that is above 9; both are 0 for 0.
    """

    divisor: int
    rate: int
    spread: int


def growth_of_sequence(numbers: Sequence[int], seconds: Sequence[float]) -> Growth | None:
    """Measure initial sequence numbers that were seen at `seconds`; None for fewer than four."""
    if len(numbers) < 4:
        return None
    steps, rates = [], []
    for at in range(1, len(numbers)):
        # A number that wrapped, or went back, is as far from the last one as the shorter way.
        step = (numbers[at] - numbers[at - 1]) % _WRAP
        step = min(step, _WRAP - step)
        steps.append(step)
        rates.append(step / max(seconds[at] - seconds[at - 1], 1e-6))
    divisor = gcd(*steps)
    mean = sum(rates) / len(rates)
    unit = divisor if divisor > 9 else 1
    spread = sqrt(sum((rate - mean) ** 2 for rate in rates) / (len(rates) - 1)) / unit
    return Growth(divisor, _log2(mean), _log2(spread))


def _log2(value: float) -> int:
    return round(log2(value)) if value > 1 else 0


def kind_of_ids(numbers: Sequence[int]) -> str | None:
    """Name how identifications of IPv4 grow; None for fewer than two.

    ``zero``, ``constant``, ``incremental`` (by a few a packet), ``by 256`` (a counter in the order
    of octets of another processor), ``increasing`` (by up to a thousand), ``random``. Of two
    numbers all that grow by up to a thousand are incremental: some systems add what time has
    passed, which is much where a packet was lost.
    """
    if len(numbers) < 2:
        return None
    if not any(numbers):
        return "zero"
    steps = [(b - a) % 65536 for a, b in pairwise(numbers)]
    if not any(steps):
        return "constant"
    if all(0 < step <= (1000 if len(steps) == 1 and step % 256 else 20) for step in steps):
        return "incremental"
    if all(step % 256 == 0 and 0 < step <= 5120 for step in steps):
        return "by 256"
    return "increasing" if all(0 < step <= 1000 for step in steps) else "random"


def share_a_counter(first: Sequence[int], then: Sequence[int]) -> bool | None:
    """Tell whether `then` goes on where `first` ended; None where counters do not show that."""
    if len(first) < 2 or not then:
        return None
    kinds = kind_of_ids(first), kind_of_ids(then)
    if not set(kinds) <= {"incremental", "by 256", None}:
        return None
    step = max((b - a) % 65536 for a, b in pairwise(first))
    return 0 < (then[0] - first[-1]) % 65536 <= 4 * max(step, 1)


def clock_rate(values: Sequence[int], seconds: Sequence[float]) -> int | str | None:
    """Return the ticks a second of TCP timestamps; ``zero``, ``random``; None for fewer than three.

    Usual rates (1, 2, 10, 100, 250, 1000) are returned where the measured one is near.
    """
    if len(values) < 3:
        return None
    if not any(values):
        return "zero"
    whole = seconds[-1] - seconds[0]
    if whole <= 0:
        return None
    steps = [(b - a) % _WRAP for a, b in pairwise(values)]
    rate = sum(steps) / whole
    for step, start, end in zip(steps, seconds, seconds[1:], strict=False):
        # Each step has to be that of one clock, but for a tick and some milliseconds of waiting.
        waited = 1.5 + rate * (_TOLERANCE * (end - start) + 0.02)
        if step > _WRAP // 2 or abs(step - rate * (end - start)) > waited:
            return "random"
    if rate > _FASTEST:
        return "random"  # three random numbers may well lie on one line
    near = min(_CLOCKS, key=lambda usual: abs(log2(max(rate, 0.01) / usual)))
    return near if abs(rate / near - 1) < _TOLERANCE else max(1, round(rate))

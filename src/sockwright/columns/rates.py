"""Packets and octets over time, in intervals of equal length from the first packet on.

Where no interval is asked for, one of 1, 2 or 5 times a power of ten is chosen so that there are
about `MOST_CHOSEN` rows. Counting starts finely and gets coarser as time goes on, so that memory
stays bounded although nobody knows beforehand how long a capture is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from sockwright.columns.batch import NO_TIME
from sockwright.columns.gathering import Batches, kernel, marked, numbers
from sockwright.columns.kernels.groups import spans
from sockwright.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.columns.capture_file import CaptureFile
    from sockwright.columns.gathering import Accept

__all__ = ["Rate", "rates"]

MOST_CHOSEN = 50
MOST_FILLED = 100_000  # with more rows, intervals in a row without packets become one
_FINEST_NS = 1000
_COARSER = 10
_MOST_COUNTED = 5000  # intervals while the length is not chosen yet
_MOST_ASKED = 1 << 22  # intervals with packets, where the length was asked for
_SECOND = 1_000_000_000
_WHOLE = 100  # rates from here on are rounded to whole numbers


@dataclass(frozen=True, slots=True)
class Rate:
    """What came in the `interval_ns` from `start_ns` on, which is `offset_ns` behind the first.

    Rates have three significant digits at least.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "from_s",
        "for_s",
        "packets",
        "octets",
        "packets_per_s",
        "Mbit_per_s",
    )

    start_ns: int
    offset_ns: int
    interval_ns: int
    packets: int
    octets: int
    packets_per_s: float = field(init=False)
    Mbit_per_s: float = field(init=False)  # the unit is written so; frames included

    def __post_init__(self) -> None:
        packets_per_s = self.packets * _SECOND / self.interval_ns
        object.__setattr__(self, "packets_per_s", _rounded(packets_per_s))
        object.__setattr__(self, "Mbit_per_s", _rounded(self.octets * 8e3 / self.interval_ns))

    @property
    def from_s(self) -> str:
        """When the interval starts, in seconds behind the first packet."""
        return _seconds(self.offset_ns)

    @property
    def for_s(self) -> str:
        """How long it is, in seconds."""
        return _seconds(self.interval_ns)


def _seconds(ns: int) -> str:
    return f"{ns / _SECOND:.9f}".rstrip("0").rstrip(".")


def _rounded(rate: float) -> float:
    """Return `rate` with three significant digits, or whole where it has more."""
    return round(rate) if rate >= _WHOLE else float(f"{rate:.3g}")


def rates(
    capture: CaptureFile, interval_ns: int | None = None, accept: Accept | None = None
) -> Iterator[Rate]:
    """Yield packets and octets by interval, those without packets too.

    Where that were more than `MOST_FILLED` rows, intervals without packets that follow each other
    are one row, as long as all of them.

    With `accept` only the packets that it accepts count; time still starts with the first of all.
    Packets without a time count as if they came with the first.

    Raises: ValueError for an interval below 1, LimitError where 4 million intervals have packets;
    TruncatedError or DecodeError behind the last row, where the capture ends in the middle.
    """
    if interval_ns is not None and interval_ns < 1:
        raise ValueError(f"an interval is 1 ns or more, not {interval_ns}")
    counted = _Counted(interval_ns)
    batches = Batches(capture)
    for batch in batches:
        accepted = numbers(0, compiled=batch.compiled)
        if accept is not None:
            accepted = marked(accept, batch)
        counted.add(batch.time_ns, batch.original, accepted, compiled=batch.compiled)
    yield from counted.rows()
    batches.finish()


class _Counted:
    """Packets and octets by the number of the interval; coarser when there are too many."""

    def __init__(self, interval_ns: int | None) -> None:
        self._chosen = interval_ns
        self._interval = interval_ns or _FINEST_NS
        self._origin = NO_TIME
        self._sums: dict[int, tuple[int, int]] = {}

    def add(self, times: Any, original: Any, accepted: Any, *, compiled: bool) -> None:
        if self._origin == NO_TIME:
            self._origin = int(next((time for time in times if time != NO_TIME), NO_TIME))
        origin = max(self._origin, 0)
        found = [numbers(len(times), compiled=compiled) for _ in range(3)]
        runs = kernel(spans, compiled=compiled)(
            times,
            original,
            accepted,
            origin,
            self._interval,
            *found,
        )
        for number, packets, octets in zip(*(part[:runs].tolist() for part in found), strict=True):
            before = self._sums.get(number, (0, 0))
            self._sums[number] = (before[0] + packets, before[1] + octets)
        if len(self._sums) > _MOST_ASKED:
            raise LimitError(
                f"more than {_MOST_ASKED} intervals of {self._interval} ns have packets; "
                "take a longer one"
            )
        while self._chosen is None and len(self._sums) > _MOST_COUNTED:
            self._coarsen(_COARSER)

    def rows(self) -> Iterator[Rate]:
        if not self._sums:
            return
        if self._chosen is None:
            self._choose()
        first, last = min(self._sums), max(self._sums)
        filled = last - first < MOST_FILLED
        origin = max(self._origin, 0)
        following = first
        for number in range(first, last + 1) if filled else sorted(self._sums):
            if number > following:
                offset = following * self._interval
                yield Rate(origin + offset, offset, (number - following) * self._interval, 0, 0)
            packets, octets = self._sums.get(number, (0, 0))
            offset = number * self._interval
            yield Rate(origin + offset, offset, self._interval, packets, octets)
            following = number + 1

    def _choose(self) -> None:
        """Make intervals 2, 5 and 10 times as long, and so on, until there are few enough."""
        unit = self._interval
        while True:
            for factor in (1, 2, 5):
                rows = (max(self._sums) * unit) // (factor * unit) - (min(self._sums) * unit) // (
                    factor * unit
                )
                if rows < MOST_CHOSEN:
                    self._coarsen(factor)
                    return
            self._coarsen(_COARSER)
            unit = self._interval

    def _coarsen(self, factor: int) -> None:
        self._interval *= factor
        fine, self._sums = self._sums, {}
        for number, (packets, octets) in fine.items():
            before = self._sums.get(number // factor, (0, 0))
            self._sums[number // factor] = (before[0] + packets, before[1] + octets)

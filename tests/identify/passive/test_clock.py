"""What is behind TCP timestamps, and when no uptime is told."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from sockwright.identify.passive.clock import TimestampClock

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECOND = 1_000_000_000


def _clock(samples: Sequence[tuple[float, int, str]]) -> TimestampClock:
    clock = TimestampClock()
    for seconds, value, peer in samples:
        clock.add(int(seconds * _SECOND), value, peer)
    return clock


@pytest.mark.parametrize("frequency", [100, 250, 1000])
def test_one_count_for_all_peers_is_a_clock(frequency: int) -> None:
    start = 86_400  # seconds that it had run
    samples = [
        (t, int((start + t) * frequency), f"192.0.2.{n % 3}") for n, t in enumerate((0, 3.1, 7, 40))
    ]
    found = _clock(samples).judge()
    assert found.frequency == frequency
    assert found.running_ns is not None
    assert abs(found.running_ns - (start + 40) * _SECOND) < _SECOND
    assert found.wrap_ns == (1 << 32) * _SECOND // frequency


def test_a_count_that_wraps_is_a_clock_too() -> None:
    samples = [(t, ((1 << 32) - 1000 + 1000 * t) % (1 << 32), f"p{t % 2}") for t in range(5)]
    assert _clock(samples).judge().frequency == 1000


def test_random_offsets_for_each_peer_are_no_clock() -> None:
    rng = random.Random(1)
    offsets = {f"p{n}": rng.randrange(1 << 32) for n in range(4)}
    samples = [(t, (offsets[f"p{t % 4}"] + 1000 * t) % (1 << 32), f"p{t % 4}") for t in range(20)]
    found = _clock(samples).judge()
    assert found.running_ns is None
    assert "random from peer to peer" in found.why


def test_one_peer_alone_proves_no_clock() -> None:
    found = _clock([(t, 5_000_000 + 1000 * t, "192.0.2.1") for t in range(20)]).judge()
    assert found.running_ns is None
    assert "one peer" in found.why


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        ([], "no TCP timestamps"),
        ([(0.0, 0, "a"), (5.0, 0, "b")], "all 0"),
        ([(0.0, 77, "a")], "one timestamp"),
        ([(0.0, 77, "a"), (0.1, 177, "b")], "less than a second"),
    ],
)
def test_too_little_is_said_to_be(samples: list[tuple[float, int, str]], why: str) -> None:
    assert why in _clock(samples).judge().why


def test_memory_is_bounded() -> None:
    clock = _clock([(float(n), n * 100, f"p{n}") for n in range(1000)])
    assert len(clock._samples) == 32
    assert clock.judge().time_ns == 999 * _SECOND

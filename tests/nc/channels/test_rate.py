"""The token bucket, at a clock of the tests."""

from __future__ import annotations

import pytest

from sockwright.nc.channels.rate import BURST, Rate


def _moved(rate: Rate, seconds: float, *, at_once: int = 1 << 62, start: float = 0.0) -> int:
    """Return how many octets a caller moves that is always ready, waits exactly and never more."""
    now, moved = start, 0
    while now < start + seconds:
        if allowed := min(rate.allowed(now), at_once):
            rate.took(allowed, now)
            moved += allowed
        else:
            now += rate.wait(now)
    return moved


@pytest.mark.parametrize("rate", [1, 3, 7.5, 100, 12_345, 1_000_000, 10**9, 10**12])
def test_what_moves_in_two_seconds_is_the_rate_within_five_percent(rate: float) -> None:
    assert _moved(Rate(rate, now=0.0), 2.0) == pytest.approx(2 * rate, rel=0.05, abs=1)


def test_small_portions_add_up_to_the_same() -> None:
    assert _moved(Rate(50_000, now=0.0), 2.0, at_once=100) == pytest.approx(100_000, rel=0.05)


def test_the_first_moment_gives_nothing() -> None:
    rate = Rate(1000, now=5.0)
    assert rate.allowed(5.0) == 0
    assert 0 < rate.wait(5.0) <= 0.01


def test_the_clock_starts_with_the_first_call_where_no_time_is_given() -> None:
    rate = Rate(1000)
    assert rate.allowed(1e6) == 0
    assert rate.allowed(1e6 + 0.05) == pytest.approx(50, abs=1)


def test_a_pause_is_made_up_for_by_no_more_than_the_burst() -> None:
    rate = Rate(1000, now=0.0)
    assert rate.allowed(3600.0) == 1000 * BURST


def test_octets_beyond_what_was_allowed_are_waited_for() -> None:
    rate = Rate(1000, now=0.0)
    rate.took(2000, 1.0)
    assert rate.wait(1.0) == pytest.approx(1.9, abs=0.02)
    assert rate.allowed(2.0) == 0


def test_a_clock_that_goes_backward_changes_nothing() -> None:
    rate = Rate(1000, now=10.0)
    allowed = rate.allowed(10.05)
    assert rate.allowed(9.0) == allowed


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_lets_nothing_through_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Rate(rate)

from __future__ import annotations

import random

import pytest

from sockwright.identify.active.numbers import (
    clock_rate,
    growth_of_sequence,
    kind_of_ids,
    share_a_counter,
)

_TENTHS = [n / 10 for n in range(6)]


def test_random_sequence_numbers_spread_widely() -> None:
    numbers = [random.Random(n).randrange(1 << 32) for n in range(6)]
    growth = growth_of_sequence(numbers, _TENTHS)
    assert growth is not None
    assert 30 <= growth.spread <= 36
    assert growth.divisor < 10


def test_sequence_numbers_of_a_clock_have_its_divisor_and_rate() -> None:
    growth = growth_of_sequence([64000 * n for n in range(6)], _TENTHS)
    assert growth is not None
    assert (growth.divisor, growth.rate, growth.spread) == (64000, 19, 0)


def test_a_constant_sequence_number_does_not_grow() -> None:
    growth = growth_of_sequence([7] * 6, _TENTHS)
    assert growth is not None
    assert (growth.divisor, growth.rate, growth.spread) == (0, 0, 0)


def test_sequence_numbers_may_wrap() -> None:
    numbers = [(0xFFFFFF00 + 100 * n) % (1 << 32) for n in range(6)]
    growth = growth_of_sequence(numbers, _TENTHS)
    assert growth is not None
    assert growth.divisor == 100


def test_three_sequence_numbers_are_too_few() -> None:
    assert growth_of_sequence([1, 2, 3], _TENTHS[:3]) is None


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        ([0, 0, 0], "zero"),
        ([77, 77, 77], "constant"),
        ([1, 2, 4, 5], "incremental"),
        ([65534, 65535, 0, 1], "incremental"),
        ([0x0100, 0x0200, 0x0400], "by 256"),
        ([100, 400, 900], "increasing"),
        ([100, 40000, 900], "random"),
        ([100, 700], "incremental"),
        ([0x0100, 0x0300], "by 256"),
        ([100, 9000], "random"),
        ([5], None),
        ([], None),
    ],
)
def test_identifications_grow_by_a_rule(numbers: list[int], kind: str | None) -> None:
    assert kind_of_ids(numbers) == kind


def test_a_counter_that_goes_on_is_shared() -> None:
    assert share_a_counter([10, 11, 12], [14, 15]) is True
    assert share_a_counter([10, 11, 12], [900, 901]) is False
    assert share_a_counter([0, 0, 0], [5, 6]) is None


@pytest.mark.parametrize("ticks", [1, 2, 10, 100, 250, 1000])
def test_a_clock_is_told_by_its_ticks(ticks: int) -> None:
    # So slow a clock needs longer to be seen than six segments take.
    seconds = [n * max(0.1, 2 / ticks) for n in range(6)]
    assert clock_rate([5000 + int(ticks * at) for at in seconds], seconds) == ticks


def test_a_clock_of_each_connection_is_random() -> None:
    values = [random.Random(n).randrange(1 << 32) for n in range(6)]
    assert clock_rate(values, _TENTHS) == "random"


def test_a_clock_that_stands_still_at_zero_is_said_so() -> None:
    assert clock_rate([0] * 6, _TENTHS) == "zero"


def test_packets_that_waited_do_not_make_a_clock_random() -> None:
    seconds = [0, 0.1, 0.215, 0.3, 0.41, 0.5]
    assert clock_rate([1000, 1100, 1200, 1300, 1400, 1500], seconds) == 1000


def test_random_timestamps_that_lie_on_a_line_by_chance_are_random() -> None:
    step = 550_000_000
    assert clock_rate([7, 7 + step, 7 + 2 * step + 9_000_000], [0.0, 0.1, 0.2]) == "random"

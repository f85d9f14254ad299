"""Charts of characters show every value, and units are short."""

from __future__ import annotations

import pytest

from sockwright.cli.chart import Chart, ranges, scale_end
from sockwright.cli.units import bit_rate, counted, duration, octets


def test_a_chart_of_braille_has_two_by_four_dots_a_character() -> None:
    chart = Chart(2, 1)
    assert (chart.columns, chart.rows) == (4, 4)
    assert chart.draw([(0, 0), (1, 1), (2, 2), (3, 3)], 3) == ["⡠⠊"]


def test_a_plain_chart_has_one_by_two() -> None:
    chart = Chart(4, 2, plain=True)
    assert (chart.columns, chart.rows) == (4, 4)
    assert chart.draw([(0, 0), (1, 1), (2, 2), (3, 3)], 3) == ["  .'", ".'  "]


def test_a_range_is_drawn_from_the_lowest_to_the_highest() -> None:
    assert Chart(1, 2, plain=True).draw([(0, 3)], 3) == [":", ":"]


def test_neighbours_that_do_not_touch_are_joined() -> None:
    assert Chart(2, 2, plain=True).draw([(0, 0), (3, 3)], 3) == [" :", ".'"]


def test_where_there_is_nothing_nothing_is_drawn() -> None:
    assert Chart(3, 1, plain=True).draw([(1, 1), None], 1) == ["'  "]


def test_bars_stand_on_the_ground_and_show_what_is_little() -> None:
    chart = Chart(3, 2, plain=True)
    assert chart.draw_bars([(0, 0), (0, 1), (0, 100)], 100) == ["  :", " .:"]


def test_values_beyond_the_top_stay_inside() -> None:
    assert Chart(1, 1, plain=True).draw([(5, 9)], 1) == ["'"]


def test_values_of_one_part_of_the_time_become_a_range() -> None:
    values = [(0.0, 1.0), (0.4, 5.0), (1.5, 2.0)]
    assert ranges(values, 0, 2, 2) == [(1, 5), (2, 2)]


def test_a_part_without_a_value_repeats_the_one_before() -> None:
    assert ranges([(0.5, 7.0), (2.5, 1.0)], 0, 4, 4) == [(7, 7), (7, 7), (1, 1), None]


def test_what_nobody_knows_is_not_filled_in() -> None:
    assert ranges([(0.5, 7.0), (1.5, None), (2.5, 1.0)], 0, 3, 3) == [(7, 7), None, (1, 1)]


def test_values_outside_of_the_time_are_left_out() -> None:
    assert ranges([(-1.0, 9.0), (0.5, 1.0), (9.0, 9.0)], 0, 1, 1) == [(1, 1)]


@pytest.mark.parametrize(
    ("most", "end"), [(0, 1), (1, 1), (7, 8), (99, 100), (101, 150), (0.012, 0.015), (1e9, 1e9)]
)
def test_a_scale_ends_at_a_round_number(most: float, end: float) -> None:
    assert scale_end(most) == pytest.approx(end)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (octets(0), "0 B"),
        (octets(999), "999 B"),
        (octets(1500), "1.5 kB"),
        (octets(999_999), "1 MB"),
        (octets(2004), "2 kB"),
        (octets(12_345_678), "12.3 MB"),
        (bit_rate(12_500_000), "100 Mbit/s"),
        (duration(37), "37 us"),
        (duration(999.7), "1 ms"),
        (duration(1234), "1.23 ms"),
        (duration(2_500_000), "2.5 s"),
        (counted(1, "socket"), "1 socket"),
        (counted(0, "socket"), "0 sockets"),
    ],
)
def test_numbers_have_three_digits_and_a_unit(text: str, expected: str) -> None:
    assert text == expected

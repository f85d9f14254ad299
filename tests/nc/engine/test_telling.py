"""What a run tells of itself: what was asked for, and not too much of a kind."""

from __future__ import annotations

from tests.nc.moving import Bench

from sockwright.nc.engine.telling import Telling


def test_a_hundred_lines_of_a_kind_are_told_in_a_second_and_the_others_counted() -> None:
    with Bench() as bench:
        telling = Telling(bench.loop, 1)
        for number in range(5000):
            telling.tell("refused", f"refused tcp://127.0.0.1:{number}", 2)
        assert len(telling.events) == 100
        bench.until(lambda: len(telling.events) > 100)
        assert telling.events[-1].text == "and 4900 more refusals like these"
        telling.tell("refused", "refused one more", 2)
        assert telling.events[-1].text == "refused one more"


def test_a_flood_of_one_kind_hides_no_line_of_another() -> None:
    with Bench() as bench:
        telling = Telling(bench.loop, 0)
        for _ in range(1000):
            telling.note("this again")
        telling.tell("failed", "something else", 2)
        assert telling.events[-1].text == "something else"


def test_what_ends_the_run_is_told_whatever_was_told_before() -> None:
    with Bench() as bench:
        telling = Telling(bench.loop, 1)
        for _ in range(101):
            telling.tell("failed", "a client", 2)
        telling.tell_last("standard output is full", 1)
        assert [event.text for event in telling.events][100:] == [
            "and one more like these",
            "standard output is full",
        ]


def test_what_programs_count_is_told_one_by_one() -> None:
    with Bench() as bench:
        telling = Telling(bench.loop, 0)
        for _ in range(1000):
            telling.tell("ended", "one more", 0)
        assert len(telling.events) == 1000


def test_what_nobody_asked_for_is_not_told() -> None:
    with Bench() as bench:
        telling = Telling(bench.loop, 1)
        telling.tell("connected", "somebody", 0)
        telling.tell("listening", "here", 1)
        assert [event.text for event in telling.events] == ["here"]


def test_at_the_end_those_left_out_are_summed_up_at_once() -> None:
    with Bench() as bench:
        telling = Telling(bench.loop, 1)
        for _ in range(150):
            telling.note("this again")
        telling.sum_up()
        assert telling.events[-1].text == "and 50 more notes like these"
        telling.sum_up()
        assert len(telling.events) == 101

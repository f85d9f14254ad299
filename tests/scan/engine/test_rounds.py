"""Rounds: what is asked again, what silence comes to mean, and when it is enough."""

from __future__ import annotations

import pytest
from tests.scan.engine.network import Network

from sockwright.scan.engine.rounds import HIGHEST_ATTEMPT, Rounds, seen_loss
from sockwright.scan.engine.timing import Timing


def rounds_of(count: int, **changes: object) -> Rounds:
    settings = {"seed": 1, "retries": None, "max_miss": 0.01, "timing": Timing(first=1.0)}
    return Rounds(count, **(settings | changes))  # type: ignore[arg-type]


def all_of(rounds: Rounds) -> list[int]:
    taken = []
    while items := rounds.take(7):
        taken += items
    return taken


def test_a_round_asks_everything_once_in_an_order_that_the_seed_repeats() -> None:
    first, again = all_of(rounds_of(100)), all_of(rounds_of(100))
    assert sorted(first) == list(range(100))
    assert first == again != list(range(100))
    assert all_of(rounds_of(100, seed=2)) != first


def test_nothing_to_ask_is_done_at_once() -> None:
    rounds = rounds_of(0)
    assert rounds.done
    assert rounds.complete
    assert rounds.next_timeout() is None


def test_what_has_answered_is_not_asked_again() -> None:
    rounds = rounds_of(10)
    all_of(rounds)
    rounds.sent(0.0)
    assert rounds.answered(3, 1)
    assert not rounds.answered(3, 1)
    assert rounds.turn(1.0)
    assert rounds.attempt == 2
    assert sorted(all_of(rounds)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_an_answer_in_the_middle_of_a_round_spares_its_question() -> None:
    rounds = rounds_of(10)
    all_of(rounds)
    rounds.sent(0.0)
    rounds.turn(1.0)
    (first,) = rounds.take(1)
    late = (first + 1) % 10
    assert rounds.answered(late, 1)
    assert late not in all_of(rounds)


def test_a_round_lasts_until_its_last_probe_has_had_its_time() -> None:
    rounds = rounds_of(5)
    assert rounds.next_timeout() is None
    all_of(rounds)
    rounds.sent(2.0)
    assert rounds.next_timeout() == 3.0
    assert not rounds.turn(2.999)
    assert rounds.turn(3.0)


def test_a_round_does_not_end_while_answers_come_in() -> None:
    rounds = rounds_of(5)
    all_of(rounds)
    rounds.sent(0.0)
    rounds.answered(1, 1)
    rounds.heard(0.9)
    assert not rounds.turn(1.0)
    assert rounds.turn(1.4)


def test_all_answered_is_done_without_waiting() -> None:
    rounds = rounds_of(3)
    for item in all_of(rounds):
        rounds.answered(item, 1)
    assert rounds.next_timeout() == 0.0
    assert rounds.turn(0.0)
    assert rounds.done
    assert rounds.complete
    assert rounds.expected_misses == 0.0


def test_silence_is_asked_twice_at_least() -> None:
    rounds = rounds_of(200)
    now = 0.0
    while not rounds.done:
        for item in all_of(rounds):
            if item < 100:
                rounds.answered(item, rounds.attempt, open=True)
        rounds.sent(now)
        now += 1.0
        rounds.turn(now)
    assert rounds.attempt == 3  # the third after a rest
    assert rounds.rested
    assert rounds.complete
    assert rounds.expected_misses < 0.01


def test_what_answers_after_a_rest_is_worth_another() -> None:
    rounds = rounds_of(100, timing=Timing(first=0.1))
    now, waits = 0.0, []
    while not rounds.done:
        for item in all_of(rounds):
            # The last five let one try pass at a time, after a rest.
            if item < 95 or (rounds.rested and item == 100 - (rounds.attempt - 2)):
                rounds.answered(item, rounds.attempt, open=True)
        rounds.sent(now)
        before = now
        while not rounds.turn(now):
            now += 0.01
        waits.append(round(now - before, 2))
    assert rounds.pending == 0
    assert waits[:3] == pytest.approx([0.1, 0.25, 0.25], abs=0.02)


def test_retries_end_the_rounds_and_say_that_it_is_not_complete() -> None:
    rounds = rounds_of(200, retries=1)
    for attempt, answering in ((1, range(50)), (2, range(50, 75))):
        all_of(rounds)
        rounds.sent(float(attempt))
        for item in answering:
            rounds.answered(item, attempt, open=True)
        rounds.turn(attempt + 1.0)
    assert rounds.done
    assert not rounds.complete
    assert rounds.loss == pytest.approx(0.5, abs=0.02)
    assert rounds.expected_misses == pytest.approx(25, rel=0.1)


def test_rounds_end_even_if_everything_speaks_for_one_more() -> None:
    rounds = rounds_of(1000)
    now = 0.0
    while not rounds.done:
        items = all_of(rounds)
        rounds.answered(items[0], rounds.attempt, open=True)
        rounds.sent(now)
        now += 1.0
        rounds.turn(now)
    assert rounds.attempt == HIGHEST_ATTEMPT
    assert not rounds.complete


def test_what_is_given_up_is_neither_asked_nor_counted() -> None:
    rounds = rounds_of(4)
    rounds.given_up(2)
    assert rounds.pending == 3
    all_of(rounds)
    rounds.sent(0.0)
    rounds.turn(1.0)
    assert sorted(all_of(rounds)) == [0, 1, 3]


def test_what_could_not_be_sent_comes_next() -> None:
    rounds = rounds_of(10)
    items = rounds.take(4)
    rounds.put_back(items[1:])
    assert rounds.take(3) == items[1:]


def test_stopping_says_whether_anything_was_left() -> None:
    rounds = rounds_of(3)
    rounds.stop()
    assert rounds.done
    assert not rounds.complete


def test_what_a_limiter_took_is_no_loss() -> None:
    rounds = rounds_of(1000)
    taken = all_of(rounds)
    for item in taken[:100]:
        rounds.answered(item, 1)
    rounds.forget()
    rounds.sent(0.0)
    rounds.turn(1.0)
    for item in all_of(rounds)[:899]:
        rounds.answered(item, 2)
    rounds.sent(1.0)
    assert rounds.loss is not None
    assert rounds.loss < 0.01


def test_strata_with_answers_come_first_and_silent_ones_are_left() -> None:
    strata = [item // 256 for item in range(65536)]
    rounds = Rounds(
        65536, seed=1, retries=None, max_miss=0.5, timing=Timing(first=1.0), strata=strata
    )
    lively = {item for item in range(65536) if item // 256 in {7, 99} and item % 4 == 0}
    asked = []
    now = 0.0
    while not rounds.done:
        items = rounds.take(1 << 17)
        asked.append(len(items))
        if rounds.attempt == 2:
            assert {item // 256 for item in items[:400]} == {7, 99}
        for item in items:
            # Each third try is lost, whatever the item.
            if item in lively and (item // 4 + rounds.attempt) % 3:
                rounds.answered(item, rounds.attempt, open=True)
        rounds.sent(now)
        now += 1.0
        rounds.turn(now)
    assert len(lively) == rounds.count - rounds.pending
    assert asked[0] == 65536
    assert asked[2] < 512


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("loss", [0.0, 0.01, 0.1, 0.2])
def test_no_open_port_is_missed_whatever_is_lost(loss: float, seed: int) -> None:
    opened = set(range(0, 4000, 20))
    everything = range(4000)
    for talks in (everything, opened):
        out = Network(loss=loss).scan(4000, talks=talks, opened=opened, seed=seed)
        assert out.rounds.done
        assert out.rounds.complete
        assert opened <= out.answered
        assert out.seconds < 3
        true_loss = 1 - (1 - loss) ** 2
        assert out.rounds.loss == pytest.approx(true_loss, abs=0.09)


def test_states_are_right_too_where_everything_answers() -> None:
    wrong = sum(
        4000 - len(Network(loss=0.1).scan(4000, talks=range(4000), seed=seed).answered)
        for seed in range(10)
    )
    assert wrong <= 2


def test_a_host_that_shuts_itself_off_in_the_middle_is_asked_to_the_end() -> None:
    rounds = rounds_of(1000)
    now = 0.0
    while not rounds.done:
        items = all_of(rounds)
        rounds.sent(now)
        if rounds.attempt == 1:
            rounds.forget()  # the pace was too high for a limiter
        elif rounds.attempt == 2:
            for item in items[:500]:
                rounds.answered(item, 2, open=item < 100)
        # What has answered before is silent from then on.
        rounds.asked_again(rounds.wants_again(len(items)))
        now = rounds.next_timeout() or now
        rounds.turn(now)
        assert 0 <= rounds.expected_misses <= rounds.pending
    assert not rounds.complete


def test_where_nothing_answers_it_is_asked_again_when_a_link_address_may_be_known() -> None:
    rounds = rounds_of(5000, timing=Timing(first=0.1))
    now, times = 7.0, []
    while not rounds.done:
        items = all_of(rounds)
        times.append((round(now - 7.0, 1), len(items)))
        rounds.sent(now)
        if rounds.attempt == 4:
            for item in items:
                rounds.answered(item, 4, open=True)
            break
        while not rounds.turn(now):
            now = rounds.next_timeout() or now
    assert [count for _, count in times] == [5000, 5000, 1024, 1024]
    assert [at for at, _ in times[2:]] == [1.1, 2.1]  # Linux asks at 0, 1 and 2 s
    now = rounds.next_timeout() or now
    assert rounds.turn(now)
    assert len(all_of(rounds)) == 5000 - 1024
    assert not rounds.done


def test_a_scan_that_is_stopped_reckons_with_what_was_not_asked() -> None:
    rounds = rounds_of(1000)
    for item in rounds.take(500):
        rounds.answered(item, 1, open=item % 50 == 0)
    assert len(rounds.not_asked) == 500
    for forgets in (False, True):
        if forgets:
            rounds.forget()
        rounds.stop()
        assert rounds.expected_misses == pytest.approx(10, abs=4)
        assert not rounds.complete
    assert rounds.loss is None


def test_loss_that_nothing_shows_is_none_for_people() -> None:
    rounds = rounds_of(1000, max_miss=1e-9)
    for item in rounds.take(1000)[:900]:
        rounds.answered(item, 1)
    rounds.sent(0.0)
    assert rounds.turn(1.0)
    assert rounds.loss is not None
    assert rounds.loss > 0
    assert seen_loss(rounds.loss, 900) == 0
    for item in rounds.take(1000)[:2]:
        rounds.answered(item, 2)
    assert seen_loss(rounds.loss, 902) == rounds.loss
    assert seen_loss(None, 0) is None

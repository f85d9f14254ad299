"""The pace: bounds that hold, random loss that does not slow, limiters that do."""

from __future__ import annotations

import pytest
from tests.scan.engine.network import Network, Outcome

from sockwright.scan.engine.pace import START_RATE, Pace
from sockwright.scan.engine.timing import Timing

MANY = 20_000


@pytest.mark.parametrize("rate", [7.0, 100.0, 1000.0, 30_000.0])
def test_a_bound_is_kept_exactly(rate: float) -> None:
    pace = Pace(rate, now=0.0, adapts=False)
    now, sent = 0.0, 0
    while now < 2.0:
        count = pace.allowance(now)
        pace.sent(count, now)
        sent += count
        # No window of time has more than its share and what may pile up.
        assert sent <= now * rate + max(rate * 0.02, 1) + 1
        now = max(pace.next_time(now), now + 0.0001)
    assert sent == pytest.approx(2 * rate, rel=0.05, abs=2)


def test_a_pause_does_not_pile_up_packets() -> None:
    pace = Pace(1000.0, now=0.0, adapts=False)
    assert pace.allowance(3600.0) == 20


def test_no_bound_begins_moderately_and_grows_with_the_answers() -> None:
    out = Network().scan(MANY, talks=range(MANY))
    assert out.pace.limited == ""
    assert out.pace.rate > 10 * START_RATE
    assert out.seconds < 0.5


@pytest.mark.parametrize("loss", [0.05, 0.1, 0.3])
def test_random_loss_is_no_reason_to_be_slow(loss: float) -> None:
    out = Network(loss=loss).scan(MANY, talks=range(MANY))
    assert out.pace.limited == ""
    assert out.seconds < 2


@pytest.mark.parametrize("burst", [5, 100, 2000])
@pytest.mark.parametrize("limit", [500, 2000, 10_000])
def test_a_limiter_is_recognised_and_used_fully(limit: int, burst: int) -> None:
    count = limit * 10
    out = Network(limit=limit, burst=burst).scan(count, talks=range(count), opened=range(50))
    assert out.pace.limited == "policer"
    assert set(range(50)) <= out.answered
    assert len(out.answered) > count - 5
    # What it lets pass at all takes ten seconds.
    assert out.seconds < 13
    # A large burst passes before anything tells of the limiter: what follows it is lost.
    assert out.probes < 2 * count + 15 * burst


def test_loss_and_a_limiter_together() -> None:
    out = Network(limit=2000, burst=50, loss=0.05).scan(MANY, talks=range(MANY), opened=range(100))
    assert out.pace.limited == "policer"
    assert set(range(100)) <= out.answered
    assert out.seconds < 10 * 1.5 / 0.9


def test_a_silent_host_is_asked_fast() -> None:
    out = Network().scan(MANY, talks=range(60), opened=range(60))
    assert out.pace.limited == ""
    assert out.answered == set(range(60))
    assert out.seconds < 2


def test_a_long_way_takes_no_more_than_its_rounds() -> None:
    out = Network(delay=0.15, loss=0.01).scan(MANY, talks=range(MANY), opened=range(100))
    assert set(range(100)) <= out.answered
    assert out.pace.limited == ""
    assert out.seconds < 5


def test_the_bound_is_kept_where_the_answers_would_allow_more() -> None:
    out = Network().scan(2000, talks=range(2000), rate=1000.0)
    assert out.seconds == pytest.approx(2.0, rel=0.1)


def test_the_time_out_follows_the_round_trips() -> None:
    timing = Timing(first=1.0, shortest=0.02, longest=3.0)
    assert timing.timeout == 1.0
    for _ in range(50):
        timing.sample(0.1)
    assert timing.timeout == pytest.approx(0.104, abs=0.002)
    for _ in range(100):
        timing.sample(0.00001)
    assert timing.timeout == 0.02
    timing.sample(100.0)
    assert timing.timeout == 3.0
    timing.sample(-1.0)
    assert timing.timeout == 3.0


@pytest.mark.parametrize("part", [1, 4])
def test_after_an_outage_the_scan_goes_on_as_fast_as_before(part: int) -> None:
    talks = range(0, 8000, part)
    outcome = Network(outage=(0.2, 4.2)).scan(
        8000, talks=talks, opened=range(0, 8000, 400), rate=5e3
    )
    assert outcome.answered == set(talks)
    assert outcome.rounds.complete
    assert (outcome.pace.outages, outcome.pace.limited) == (1, "")
    assert outcome.seconds < 4 + 3 * part


@pytest.mark.parametrize("part", [1, 4])
def test_a_host_that_is_gone_is_not_asked_for_ever(part: int) -> None:
    network = Network(outage=(0.2, 1e9))
    outcome = network.scan(
        65535, talks=range(0, 65535, part), opened=range(0, 65535, 400), rate=5e3
    )
    assert outcome.pace.silent
    assert not outcome.rounds.complete
    assert outcome.rounds.expected_misses > 100
    assert outcome.seconds < 13


def test_after_an_outage_behind_a_limiter_the_scan_goes_on_below_it() -> None:
    def scan(begin: float, end: float) -> Outcome:
        network = Network(limit=400, outage=(begin, end))
        return network.scan(3000, talks=range(0, 3000, 2), opened=range(0, 3000, 300), rate=1000.0)

    without, outcome = scan(0.0, 0.0), scan(8.0, 12.0)
    assert outcome.answered == set(range(0, 3000, 2))
    assert (outcome.pace.outages, outcome.pace.limited) == (1, "policer")
    assert outcome.seconds < without.seconds + 4 + 16  # and one round more, as nothing lost counts


def test_a_limiter_that_lets_next_to_nothing_pass_is_no_outage() -> None:
    outcome = Network(limit=100).scan(500, talks=range(0, 500, 4))
    assert outcome.answered == set(range(0, 500, 4))
    assert (outcome.pace.outages, outcome.pace.limited) == (0, "policer")


def test_no_bound_raises_what_was_capped() -> None:
    pace = Pace(500.0, now=0.0, adapts=False)
    pace.cap(200.0, 1.0)
    assert pace.rate == 200.0
    for bound, rate in ((1000.0, 200.0), (100.0, 100.0), (1000.0, 200.0)):
        pace.bound(bound, 2.0)
        assert pace.rate == rate

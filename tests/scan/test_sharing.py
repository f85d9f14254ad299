"""How TCP and UDP of one host share what it may be sent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sockwright.scan.engine.pace import Pace
from sockwright.scan.running.sharing import Sharing


def member(rate: float) -> Any:
    return SimpleNamespace(pace=Pace(rate, now=0.0), probes=0, rounds=SimpleNamespace(done=False))


def bounds(*members: Any) -> list[float]:
    return [one.pace.most for one in members]


def test_each_begins_with_half_and_keeps_it_while_both_need_it() -> None:
    tcp, udp = member(500.0), member(500.0)
    sharing = Sharing(1000.0, [tcp, udp], 0.0)
    for second in range(1, 5):
        tcp.probes += 500
        udp.probes += 480
        sharing.look(float(second))
        assert bounds(tcp, udp) == [500.0, 500.0]


def test_what_one_does_not_need_is_the_others_until_it_does() -> None:
    tcp, udp = member(500.0), member(500.0)
    sharing = Sharing(1000.0, [tcp, udp], 0.0)
    tcp.probes, udp.probes = 500, 100
    sharing.look(1.0)
    assert bounds(tcp, udp) == [800.0, 200.0]
    assert tcp.pace.rate == 800.0  # at once: only the bound held it back
    tcp.probes, udp.probes = 1300, 101
    sharing.look(2.0)
    assert bounds(tcp, udp) == [900.0, 100.0]
    tcp.probes, udp.probes = 2200, 201
    sharing.look(3.0)
    assert bounds(tcp, udp) == [500.0, 500.0]


def test_one_that_is_done_leaves_all_to_the_other() -> None:
    tcp, udp = member(500.0), member(500.0)
    sharing = Sharing(1000.0, [tcp, udp], 0.0)
    udp.rounds.done = True
    sharing.look(0.01)
    assert tcp.pace.most == tcp.pace.rate == 1000.0


def test_together_they_never_get_more_than_the_whole() -> None:
    tcp, udp = member(50.0), member(50.0)
    sharing = Sharing(100.0, [tcp, udp], 0.0)
    for second, (first, other) in enumerate([(50, 0), (90, 1), (0, 0), (3, 50), (2, 90)], 1):
        tcp.probes += first
        udp.probes += other
        sharing.look(float(second))
        assert sum(bounds(tcp, udp)) <= 100.0
        assert tcp.pace.rate + udp.pace.rate <= 100.0


def test_a_pace_below_its_bound_is_left_as_it_is_when_the_bound_rises() -> None:
    pace = Pace(1e6, now=0.0)
    begun = pace.rate
    pace.bound(2e6, 1.0)
    assert pace.rate == begun
    pace.bound(100.0, 2.0)
    assert pace.rate == 100.0

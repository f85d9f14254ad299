"""Which hops are asked when, and what is made of the answers; no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sockwright.scan.engine.timing import Timing
from sockwright.scan.tracing.machine import MOST_HOPS, TRIES, Probe, Trace, distance

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet


class Way:
    """A way to a host: a router for each hop, some of them silent, the host last."""

    def __init__(self, routers: list[str], *, silent_host: bool = False) -> None:
        self.routers = routers
        self.silent_host = silent_host
        self.asked: list[Probe] = []
        self.now = 100.0

    def run(self, machine: Trace, lost: AbstractSet[Probe] = frozenset()) -> None:
        for _ in range(50):
            if machine.done:
                return
            probes = machine.take()
            self.asked += probes
            for probe in probes:
                machine.sent(probe, self.now)
            self.now += 0.01
            for probe in probes:
                if probe in lost:
                    continue
                if probe.ttl > len(self.routers):
                    if not self.silent_host:
                        machine.answered(probe, "host", self.now, reached=True)
                elif self.routers[probe.ttl - 1]:
                    machine.answered(probe, self.routers[probe.ttl - 1], self.now, reached=False)
            due = machine.next_time()
            if due is not None:
                self.now = max(self.now, due)
                machine.turn(self.now)
        raise AssertionError("the trace does not end")


def names(machine: Trace) -> list[str]:
    return [hop.host for hop in machine.hops()]


@pytest.mark.parametrize(
    ("ttl", "hops"), [(None, 0), (64, 1), (63, 2), (113, 16), (250, 6), (255, 1), (300, 0)]
)
def test_the_distance_is_guessed_from_the_ttl_of_an_answer(ttl: int | None, hops: int) -> None:
    assert distance(ttl) == hops


def test_with_the_right_guess_each_hop_takes_one_probe() -> None:
    machine, way = Trace(3, Timing()), Way(["a", "b"])
    way.run(machine)
    assert names(machine) == ["a", "b", "host"]
    assert way.asked == [Probe(1, 1), Probe(2, 1), Probe(3, 1)]
    assert [hop.ttl for hop in machine.hops()] == [1, 2, 3]
    assert machine.hops()[0].rtt_ns == pytest.approx(10_000_000, rel=0.01)


def test_a_guess_that_is_too_short_is_extended() -> None:
    machine, way = Trace(2, Timing()), Way(["a", "b", "c", "d"])
    way.run(machine)
    assert names(machine) == ["a", "b", "c", "d", "host"]


def test_a_silent_router_is_asked_again_and_keeps_its_place() -> None:
    machine, way = Trace(3, Timing()), Way(["a", ""])
    way.run(machine)
    assert names(machine) == ["a", "", "host"]
    assert machine.hops()[1].rtt_ns is None
    assert [probe for probe in way.asked if probe.ttl == 2] == [
        Probe(2, attempt) for attempt in range(1, TRIES + 1)
    ]
    assert len([probe for probe in way.asked if probe.ttl == 1]) == 1


def test_a_lost_probe_is_sent_again() -> None:
    machine, way = Trace(3, Timing()), Way(["a", "b"])
    way.run(machine, lost={Probe(2, 1), Probe(3, 1)})
    assert names(machine) == ["a", "b", "host"]


def test_a_host_that_is_silent_ends_the_trace_where_the_last_router_is() -> None:
    machine, way = Trace(0, Timing()), Way(["a", "b"], silent_host=True)
    way.run(machine)
    assert names(machine) == ["a", "b"]
    assert machine.reached is None
    assert max(probe.ttl for probe in way.asked) == MOST_HOPS
    assert len(way.asked) <= MOST_HOPS * TRIES


def test_no_hop_behind_the_host_is_told() -> None:
    machine, way = Trace(0, Timing()), Way(["a"])
    way.run(machine)
    assert names(machine) == ["a", "host"]


def test_an_answer_to_what_was_not_asked_is_ignored() -> None:
    machine = Trace(1, Timing())
    machine.answered(Probe(1, 1), "liar", 1.0, reached=True)
    assert machine.take() == [Probe(1, 1)]
    assert not machine.hops()

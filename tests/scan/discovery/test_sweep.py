"""Which addresses are asked how often: a network of numbers, loss from a seed, no packets."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from sockwright.scan.discovery.kinds import Kind
from sockwright.scan.discovery.sweep import Sweep
from sockwright.scan.discovery.ways import Hop
from sockwright.scan.engine.pace import Pace
from sockwright.scan.settings import Settings
from sockwright.scan.targets import parse_targets

if TYPE_CHECKING:
    from collections.abc import Callable

_KINDS = (Kind.ECHO, Kind.SYN, Kind.ACK, Kind.TIMESTAMP)
_ALL = frozenset(_KINDS)


class Block:
    """A block of addresses of which some answer, to some kinds, with loss both ways."""

    def __init__(self, text: str, hosts: dict[int, frozenset[Kind]], loss: float) -> None:
        self.members = list(parse_targets([text], broadcasts=False))
        self.hosts = hosts
        self.loss = loss
        self.packets = 0
        self.asked: dict[int, list[Kind]] = {}
        self.found: set[int] = set()

    def run(
        self,
        rate: float | None = 10_000.0,
        seed: int = 1,
        passes: Callable[[float], bool] = lambda _: True,
    ) -> Sweep:
        now = 1000.0
        choose = random.Random(seed)
        settings = Settings(rate=rate)
        hops = [Hop("routed")] * len(self.members)
        sweep = Sweep(self.members, hops, _KINDS, settings, seed=seed, now=now)
        shared = Pace(rate, now=now, adapts=False)
        for _ in range(400_000):
            if sweep.done:
                self.seconds = now - 1000.0
                return sweep
            sweep.turn(now)
            most = min(sweep.pace.allowance(now), shared.allowance(now))
            while most > 0 and (taken := sweep.take(most, now)):
                kind, items = taken
                sweep.sent(kind, items, now, now)
                shared.sent(len(items), now)
                most -= len(items)
                self.packets += len(items)
                for item in items:
                    if not passes(now):
                        continue
                    if item in self.hosts:
                        self.asked.setdefault(item, []).append(kind)
                        answers = kind in self.hosts[item]
                        if answers and choose.random() >= self.loss and item not in self.found:
                            self.found.add(item)
                            sweep.answered(item, kind, sweep.rounds.attempt, now + 0.001)
            due = sweep.next_time(now, shared)
            now = max(now + 0.0005, due or 0.0)
        raise AssertionError("the sweep does not end")


def test_a_small_block_is_asked_in_every_way_in_one_round() -> None:
    only = {number: frozenset([kind]) for number, kind in enumerate(_KINDS)}
    block = Block("10.0.0.0/24", only, loss=0.0)
    sweep = block.run()
    assert block.found == set(only)
    assert sweep.rounds.complete
    assert all(kinds == list(_KINDS[: item + 1]) for item, kinds in block.asked.items())


@pytest.mark.parametrize("text", ["10.0.0.0/24", "10.0.0.0/20", "10.0.0.0/18"])
def test_who_answers_the_first_probe_gets_no_other(text: str) -> None:
    block = Block(text, {}, loss=0.0)
    block.hosts = dict.fromkeys(range(len(block.members)), _ALL)
    block.run()
    assert block.packets == len(block.hosts) == len(block.found)


def test_a_block_where_nobody_is_ends_after_two_rounds() -> None:
    block = Block("10.0.0.0/24", {}, loss=0.0)
    sweep = block.run(rate=1000.0)
    assert block.packets == 2 * 4 * 256
    assert sweep.rounds.loss is None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_large_block_with_loss_misses_nobody_where_hosts_have_neighbours(seed: int) -> None:
    choose = random.Random(seed)
    numbers = [
        block << 8 | low
        for block in choose.sample(range(256), 8)
        for low in choose.sample(range(256), 125)
    ]
    block = Block("10.0.0.0/16", dict.fromkeys(numbers, _ALL), loss=0.19)
    sweep = block.run(seed=seed)
    assert len(set(numbers) - block.found) <= 1
    assert block.seconds < 20
    assert sweep.rounds.complete
    # The rest of the block was asked twice.
    assert block.packets < 2.2 * 65536


def test_hosts_that_answer_tcp_only_are_found_in_a_large_block() -> None:
    choose = random.Random(5)
    hosts = dict.fromkeys(choose.sample(range(2048), 200), frozenset([Kind.SYN, Kind.ACK]))
    hosts |= dict.fromkeys(choose.sample(range(2048, 4096), 200), frozenset([Kind.ECHO]))
    block = Block("10.0.0.0/18", hosts, loss=0.1)
    block.run()
    assert len(set(hosts) - block.found) <= 1


def test_an_answer_counts_once_and_an_old_one_has_no_time() -> None:
    members = list(parse_targets(["10.0.0.1"]))
    sweep = Sweep(members, [Hop("routed")], _KINDS, Settings(), seed=1, now=0.0)
    taken = sweep.take(10, 0.0)
    assert taken == (Kind.ECHO, [0])
    sweep.sent(Kind.ECHO, [0], 1.0, 1.0)
    assert sweep.answered(0, Kind.ECHO, 1, 1.25) == 0.25
    with pytest.raises(LookupError):
        sweep.answered(0, Kind.ECHO, 1, 1.5)


def test_a_limiter_on_the_way_makes_the_sweep_slower_and_nobody_is_missed() -> None:
    choose = random.Random(9)
    numbers = [block << 8 | low for block in (3, 77, 200) for low in range(1, 101)]
    block = Block("10.0.0.0/16", dict.fromkeys(numbers, _ALL), loss=0.0)
    passing = 2000.0  # packets a second, and a burst of 100

    class Policer:
        tokens, clock = 100.0, 1000.0

        def passes(self, now: float) -> bool:
            self.tokens = min(self.tokens + (now - self.clock) * passing, 100.0)
            self.clock = now
            if self.tokens < 1 or choose.random() < 0.01:
                return False
            self.tokens -= 1
            return True

    sweep = block.run(rate=50_000.0, passes=Policer().passes)
    assert block.found == set(numbers)
    assert sweep.slowed is not None
    assert sweep.slowed < passing
    assert sweep.rounds.complete


def test_half_of_all_tries_lost_at_random_misses_nobody() -> None:
    numbers = [block << 8 | low for block in (3, 7) for low in range(1, 101)]
    block = Block("10.0.0.0/18", dict.fromkeys(numbers, _ALL), loss=0.5)
    block.run()
    assert len(set(numbers) - block.found) <= 1

"""Ports behind a bucket of tokens, without sockets: a made-up host and a made-up clock."""

from __future__ import annotations

import random

import pytest

from sockwright.scan.datagrams.icmp_limit import IcmpLimit


class _Host:
    """A host that sends one ICMP error in `interval` seconds, and up to 6 in a row.

    The errors of `large` never arrive.
    """

    def __init__(
        self,
        interval: float,
        closed: set[int],
        loss: float = 0.0,
        large: frozenset[int] = frozenset(),
    ) -> None:
        self.large = large
        self.interval = interval
        self.closed = closed
        self.loss = loss
        self.tokens = 0.0
        self.clock = 0.0
        self.random = random.Random(1)

    def asked(self, item: int, now: float) -> bool:
        """Take a probe; return whether an error for it arrives."""
        if self.random.random() < self.loss:
            return False
        self.tokens = min(self.tokens + (now - self.clock) / self.interval, 6.0)
        self.clock = now
        if item not in self.closed or self.tokens < 1:
            return False
        self.tokens -= 1
        return item not in self.large and self.random.random() >= self.loss


def _run(
    host: _Host, items: range, until: float = 1e9, rate: float = 1000.0
) -> tuple[set[int], set[int], float, int]:
    """Ask until all is known; return closed and silent ports, the time, the number of probes."""
    canary = -1
    host.closed.add(canary)
    limit = IcmpLimit(items, [canary], 0.0)
    now, probes = 0.0, 0
    closed: set[int] = set()
    silent: set[int] = set()
    while limit.left and now < until:
        limit.turn(now)
        silent.update(limit.silent)
        limit.silent.clear()
        came = []
        batch = limit.next_batch(now, rate)
        for item in batch:
            now += 1 / rate
            probes += 1
            if host.asked(item, now):
                came.append(item)
        if (probes and not came and now >= limit.due) or came:
            limit.sent(now, 0.02)
        if batch:
            limit.sent(now, 0.02)
        for item in came:
            limit.answered(item)
            if item != canary:
                closed.add(item)
        now = max(limit.due, now + 1e-4)
    return closed, silent, now, probes


def test_every_token_proves_a_closed_port() -> None:
    items = range(40)
    closed, silent, took, probes = _run(_Host(1.0, set(items)), items)
    assert closed == set(items)
    assert not silent
    assert took < 40 * 1.08 + 1
    assert probes < 40 * 8


def test_silent_ports_are_proved_in_few_batches() -> None:
    items = range(400)
    closed, silent, took, _ = _run(_Host(1.0, {3, 77, 200}), items)
    assert closed == {3, 77, 200}
    assert silent == set(items) - closed
    assert took < 60


@pytest.mark.parametrize("interval", [0.005, 0.05, 0.5, 2.0])
def test_no_closed_port_is_called_silent_whatever_the_limit(interval: float) -> None:
    items = range(60)
    closed_ports = set(range(0, 60, 2))
    closed, silent, _, _ = _run(_Host(interval, closed_ports), items)
    assert closed == closed_ports - {-1}
    assert silent == set(items) - closed


def test_ports_whose_errors_never_arrive_are_given_up_and_the_others_proved() -> None:
    items = range(20)
    closed = set(range(0, 20, 2))
    host = _Host(1.0, set(closed), large=frozenset({0, 8}))
    found, silent, took, probes = _run(host, items, until=100.0)
    assert found == closed - {0, 8}
    assert silent == set(items) - closed
    assert took < 60
    assert probes < 20 * 60


def test_with_loss_hardly_any_closed_port_is_called_silent() -> None:
    items = range(200)
    closed, silent, _, _ = _run(_Host(0.1, set(items), loss=0.05), items)
    assert len(silent) <= 4
    assert closed | silent == set(items)

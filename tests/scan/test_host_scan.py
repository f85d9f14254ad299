"""Many hosts by steps: who may send, when, and how long a host has. No network, a clock by hand."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from sockwright.scan.asked_host import NOT_ASKED, AskedHost
from sockwright.scan.engine.pace import Pace
from sockwright.scan.host_scan import HostScan
from sockwright.scan.reasons import REASONS
from sockwright.scan.settings import Settings
from sockwright.scan.targets import Target

if TYPE_CHECKING:
    from sockwright.scan.asked_host import Assignment

_PORTS = range(1, 1001)


class _Silence(HostScan[AskedHost]):
    """A method whose probes nobody answers; `all_read` says whether answers wait to be read."""

    all_read = True
    descriptors = ()

    def _new_host(self, given: Assignment) -> AskedHost:
        return AskedHost(given, "tcp")

    def _receive(self, now: float) -> bool:
        del now
        return self.all_read

    def _ask(self, host: AskedHost, most: int, now: float) -> None:
        items = host.rounds.take(most)
        self._shared.sent(len(items), now)
        host.sent(len(items), now)


class _Scan:
    """So many hosts, with a pace of `rate` packets a second in all; `now` is the time."""

    def __init__(self, count: int, rate: float, **settings: float) -> None:
        shared = Pace(rate, now=0.0, adapts=False)
        self.part = _Silence(_PORTS, Settings(**settings), shared=shared, seed=1)  # type: ignore[arg-type]  # all of them are numbers
        self.hosts = [
            self.part.add(Target(f"192.0.2.{at}", socket.AF_INET), None) for at in range(count)
        ]
        self.now = max(host.started for host in self.hosts)
        shared.allowance(self.now)

    def go_on(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while not self.part.done:
            self.part.step(self.now)
            due = self.part.next_time(self.now)
            if due is None or due > end:
                break
            self.now = max(due, self.now + 1e-6)
        self.now = end


def test_hosts_share_the_pace_evenly() -> None:
    scan = _Scan(64, rate=1000.0)
    scan.go_on(1.0)
    probes = [host.probes for host in scan.hosts]
    assert 980 <= sum(probes) <= 1021
    assert max(probes) - min(probes) <= 2


def test_what_one_host_may_not_send_others_do() -> None:
    scan = _Scan(4, rate=1000.0)
    slow = scan.part.add(Target("192.0.2.99", socket.AF_INET), 10.0)
    scan.go_on(0.1)
    assert slow.probes <= 3
    assert sum(host.probes for host in scan.hosts) >= 95


def test_a_host_has_its_time_from_its_first_probe_on() -> None:
    scan = _Scan(8, rate=1.0, host_timeout=2.0)
    scan.go_on(60.0)
    assert scan.part.done
    assert all(host.probes for host in scan.hosts)
    assert all(not host.complete for host in scan.hosts)


def test_as_many_ports_are_told_not_to_be_asked_as_are_called_so() -> None:
    scan = _Scan(1, rate=20.0, host_timeout=5.0)
    scan.go_on(10.0)
    (host,) = scan.hosts
    assert host.table.counts() == {NOT_ASKED: 1000}
    (remark,) = host.remarks
    told = f"1000 ports were not asked, or too late to answer ({host.probes} of them)"
    assert remark == f"its time limit of 5 s was over: {told}"
    assert host.ended_early


@pytest.mark.parametrize(("asked", "reason"), [(0.0, "no-route"), (0.5, "not-asked")])
def test_ports_that_were_not_asked_since_the_way_was_lost_are_not_said_to_be_filtered(
    asked: float, reason: str
) -> None:
    scan = _Scan(1, rate=20.0)
    if asked:
        scan.go_on(asked)
    (host,) = scan.hosts
    for later in (0.0, 4.0):
        host.no_way("Network is unreachable", scan.now + later)
    assert {REASONS[number].word for number in host.table.counts()} == {reason}
    assert host.ended_early


def test_nobody_is_asked_while_answers_wait_to_be_read() -> None:
    scan = _Scan(2, rate=1000.0)
    scan.part.all_read = False
    scan.part.step(scan.now)
    assert not any(host.probes for host in scan.hosts)


def test_a_scan_that_is_stopped_gives_its_hosts_out() -> None:
    scan = _Scan(3, rate=1000.0)
    scan.go_on(0.05)
    scan.part.stop()
    assert scan.part.done
    assert list(scan.part.finished) == scan.hosts
    assert scan.part.next_time(scan.now) is None
    assert not any(host.ended_early for host in scan.hosts)

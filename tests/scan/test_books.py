"""What a summary says of all hosts together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from sockwright.scan.results import HostResult
from sockwright.scan.running.books import Books

if TYPE_CHECKING:
    from sockwright.scan.results import Summary


def books(*hosts: HostResult, discovery: Any = None, max_miss: float = 0.01) -> Summary:
    made = Books(max_miss)
    if discovery is not None:
        made.discovery(discovery)
    for host in hosts:
        made.host(host)
    return made.summary(methods=("syn",), why_methods="", interrupted=False, seed=1, remarks=())


def host(**known: Any) -> HostResult:
    return HostResult("192.0.2.1", "up", "syn-ack", **known)


def test_the_whole_is_not_complete_if_the_misses_of_all_hosts_are_too_many() -> None:
    few = [host(expected_misses=0.004) for _ in range(2)]
    assert books(*few).complete
    many = books(*few, *few)
    assert many.expected_misses == pytest.approx(0.016)
    assert not many.complete
    assert many.remarks == (
        (
            "each host is as sure as was asked for, but 0.016 open ports are expected to be "
            "missed of all together; a smaller --max-miss finds more"
        ),
    )
    assert books(*few, *few, max_miss=0.1).complete
    told = books(host(expected_misses=102.0, complete=None))
    assert (told.complete, told.remarks) == (False, ())


def test_a_host_that_is_not_complete_makes_the_whole_so() -> None:
    told = books(host(), host(complete=False))
    assert not told.complete
    assert told.remarks == ()


def test_where_nobody_answered_nobody_knows_whether_it_is_complete() -> None:
    silent = host(probes=100, complete=None)
    assert books(silent, silent).complete is None
    assert books(silent, host(probes=100, complete=False)).complete is False
    assert books(silent, host(probes=100, answers=1, loss=0.0)).complete is True
    assert books(host()).complete is True  # nothing was asked


def test_loss_is_weighed_by_answers_and_discovery_counts_too() -> None:
    found = SimpleNamespace(probes=30, answers=20, loss=0.3, expected_misses=0.25, complete=False)
    told = books(host(probes=100, answers=80, loss=0.1), host(answers=900), discovery=found)
    assert told.loss == pytest.approx((20 * 0.3 + 80 * 0.1) / 100)
    assert (told.probes, told.answers) == (130, 1000)
    assert told.expected_misses == pytest.approx(0.25)
    assert not told.complete
    assert books().loss is None


def test_a_stopped_scan_says_how_many_hosts_it_did_not_come_to() -> None:
    made = Books(0.01)
    made.host(host(probes=5))
    made.host(host(complete=False))
    made.host(HostResult("192.0.2.2", "unknown", "not-asked", complete=False))
    told = made.summary(
        methods=(), why_methods="", interrupted=True, seed=1, remarks=(), targets=10
    )
    assert told.remarks == ("8 addresses were not asked", "no port was asked of 1 host that is up")

"""The ports that probes need, found by connections."""

from __future__ import annotations

import os
import socket
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from sockwright.identify.finding import find_ports
from sockwright.identify.many import probe_hosts

if TYPE_CHECKING:
    from collections.abc import Callable


def test_an_open_port_and_a_closed_one_are_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = find_ports("127.0.0.1", among=[port])
    assert found.open == port
    assert found.closed not in {None, port}
    assert found.closed_udp is not None


def test_each_connection_is_charged_for_and_waits_until_it_may_begin() -> None:
    calls: list[tuple[int, float]] = []

    def charge(count: int, now: float) -> float:
        calls.append((count, now))
        return now + 0.005

    assert find_ports("127.0.0.1", among=range(1, 9), charge=charge).closed is not None
    counts, times = [count for count, _ in calls], [when for _, when in calls]
    assert counts == [0] + [1] * (len(calls) - 1)
    assert len(calls) > 8
    assert all(later - when > 0.0049 for when, later in pairwise(times))


def test_it_ends_when_it_is_woken_while_it_waits_for_its_turn() -> None:
    wake = os.eventfd(0)

    def charge(count: int, now: float) -> float:
        if count:
            os.eventfd_write(wake, 1)
            return now + 1000
        return now

    begin = time.monotonic()
    try:
        found = find_ports("127.0.0.1", among=[1, 2, 3], charge=charge, wake=wake)
    finally:
        os.close(wake)
    assert found.open is None
    assert time.monotonic() - begin < 100


@pytest.mark.needs("root")
def test_finding_the_ports_of_many_hosts_is_charged_for_and_ends_when_it_is_woken() -> None:
    wake = os.eventfd(0)
    charged: dict[str, int] = {}

    def of_host(host: str) -> Callable[[int, float], float]:
        def charge(count: int, now: float) -> float:
            charged[host] = charged.get(host, 0) + count
            if len(charged) == len(hosts) and all(charged.values()):
                os.eventfd_write(wake, 1)
            return now + (1000 if count else 0)

        return charge

    hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    try:
        rows = list(probe_hosts(hosts, signatures=[], charge=of_host, wake=wake))
    finally:
        os.close(wake)
    assert charged == dict.fromkeys(hosts, 1)
    assert {row.host for row in rows} == set(hosts)
    assert all(row.found is None and row.error is None for row in rows)

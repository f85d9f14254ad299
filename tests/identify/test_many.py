"""Several hosts, asked at once."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.identify.systems import OPEN_PORT
from tests.nc.moving import nothing_left_open

from sockwright.identify.database import load_signatures
from sockwright.identify.finding import Ports
from sockwright.identify.many import Probed, _in_threads, probe_hosts
from sockwright.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

_SYSTEMS = 6


def _ports(_host: str, **_: object) -> Ports:
    return Ports(OPEN_PORT, 9, 40123)


def _probe(hosts: list[str], at_once: int) -> list[Probed]:
    """Probe hosts, the first of which are found together or not at all."""
    known = load_signatures(learned=False)
    first = hosts[:at_once]
    together = threading.Barrier(len(first), timeout=20)

    def find(host: str, **_: object) -> Ports:
        if host in first:
            together.wait()
        return _ports(host)

    return list(probe_hosts(hosts, find=find, signatures=known, at_once=at_once, timeout=8))


@pytest.mark.needs("namespaces")
def test_hosts_that_are_asked_at_once_are_identified_as_one_is() -> None:
    with Lab() as lab, contextlib.ExitStack() as opened:
        prober, *systems = lab.hosts("prober", *(f"system{n}" for n in range(_SYSTEMS)))
        for system in systems:
            listener = opened.enter_context(system.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.bind(("0.0.0.0", OPEN_PORT))
            listener.listen(64)
        addresses = [system.ipv4 for system in systems]
        (one,) = prober.call(_probe, addresses[:1], 16)
        rows = prober.call(_probe, [*addresses, "not an address"], _SYSTEMS)
    assert {row.host for row in rows} == {*addresses, "not an address"}
    for row in rows:
        if row.host in addresses:
            assert row.error is None
            assert row.found is not None
            assert one.found is not None
            assert (row.found.host, row.found.best) == (row.host, one.found.best)
            assert row.found.confidence > 0.8, row.found.explain()
        else:
            assert isinstance(row.error, OSError)
            assert row.found is None


def test_no_more_hosts_are_asked_at_once_than_may_be_and_none_before_there_is_room() -> None:
    taken: list[str] = []
    most = under_way = 0
    lock = threading.Lock()
    together = threading.Barrier(3, timeout=10)

    def hosts() -> Iterator[str]:
        for number in range(9):
            taken.append(str(number))
            yield taken[-1]

    def ask(host: str, _wake: int) -> Probed:
        nonlocal most, under_way
        with lock:
            under_way += 1
            most = max(most, under_way)
        together.wait()
        with lock:
            under_way -= 1
        return Probed(host)

    rows = _in_threads(hosts(), ask, 3)
    assert next(rows).host in taken
    assert len(taken) == 3
    rest = {row.host for row in rows}
    assert len(rest) == 8
    assert most == 3


def test_leaving_the_iteration_ends_what_is_under_way() -> None:
    threads = set(threading.enumerate())

    def ask(host: str, wake: int) -> Probed:
        if host != "0":
            import select

            poll = select.poll()
            poll.register(wake, select.POLLIN)
            assert poll.poll(10_000)
        return Probed(host)

    begin = time.monotonic()
    with nothing_left_open():
        rows = _in_threads(map(str, range(100)), ask, 4)
        assert next(rows).host == "0"
        rows.close()
        # Threads of earlier tests may end meanwhile.
        assert set(threading.enumerate()) <= threads
    assert time.monotonic() - begin < 8  # ten until the others end by themselves


def test_what_goes_wrong_in_a_thread_is_raised_where_rows_are_taken() -> None:
    def ask(_host: str, _wake: int) -> Probed:
        raise ZeroDivisionError("of no use to anybody")

    with pytest.raises(ZeroDivisionError):
        list(_in_threads(["a", "b"], ask, 2))


def test_at_least_one_host_is_asked_at_once() -> None:
    with pytest.raises(ValueError, match="not 0"):
        probe_hosts(["127.0.0.1"], at_once=0)


@pytest.mark.needs("root")
def test_when_it_is_woken_rows_come_at_once_without_what_was_not_asked_to_the_end() -> None:
    wake = os.eventfd(1)
    try:
        rows = list(probe_hosts(["127.0.0.1", "127.0.0.2"], find=_ports, signatures=[], wake=wake))
    finally:
        os.close(wake)
    assert {row.host for row in rows} == {"127.0.0.1", "127.0.0.2"}
    assert all(row.found is None and row.error is None for row in rows)


def test_without_room_for_a_thread_or_a_descriptor_it_says_so_and_leaves_none_open() -> None:
    code = """
import os, resource, select, sys
from sockwright.identify.many import Probed, _in_threads

def count():
    return len(os.listdir("/proc/self/fd"))

def tried(wake=None):
    before = count()
    try:
        print([row.host for row in _in_threads(["a", "b"], lambda host, _: Probed(host), 2, wake)])
    except (RuntimeError, OSError) as error:
        print(error, count() - before)

tried()
with open(sys.executable) as plain:  # epoll takes no plain file
    tried(plain.fileno())
if os.geteuid() == 0:
    os.setuid(4242)  # root is not limited
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
tried()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.stdout.splitlines()[1:] == [
        "[Errno 1] Operation not permitted 0",
        "can't start new thread 0",
    ], done.stderr

"""What is summed up: the numbers of ``ss -s``, and the sockets by state."""

from __future__ import annotations

import os
import re
import socket
import time
from typing import TYPE_CHECKING

import pytest

from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.summary import TCPCounters, summarize

if TYPE_CHECKING:
    from tests.sockets.diag.population import Population

pytestmark = pytest.mark.needs("namespaces")

SECONDS = 20


def numbers_of(text: str) -> dict[str, tuple[int, ...]]:
    """Return the numbers of each line of ``ss -s`` by its first word."""
    lines = [line for line in text.splitlines() if line and not line.startswith("Transport")]
    return {
        # There are two lines of TCP; the first has a colon.
        re.split(r"\s", line)[0]: tuple(map(int, re.findall(r"\b\d+\b", line)))
        for line in lines
    }


@pytest.mark.needs("ss")
def test_every_number_of_transports_is_that_of_ss(machine: Population) -> None:
    told = numbers_of(machine.run("ss", "-s").stdout.decode())
    summary = summarize(machine.pid)
    transports = [*summary.transports, summary.internet]
    ours = {one.name.upper(): (one.total, one.inet, one.inet6) for one in transports}
    del ours["UDPLITE"]  # ss leaves it out
    assert ours == {name: told[name] for name in ("RAW", "UDP", "TCP", "INET", "FRAG")}
    # The sockets that ask are counted as well, until the kernel has got rid of them.
    assert abs(summary.sockets - told["Total:"][0]) < 8


@pytest.mark.needs("ss")
def test_every_number_of_tcp_is_that_of_ss(machine: Population) -> None:
    total, established, closed, orphaned, time_wait = numbers_of(
        machine.run("ss", "-s").stdout.decode()
    )["TCP:"]
    tcp = summarize(machine.pid).tcp
    assert (tcp.established, tcp.time_wait) == (established, time_wait)
    assert tcp.allocated > tcp.in_use > tcp.established
    # These two change all the time, with every other namespace of the machine.
    sockstat = {"TCP": {"alloc": total - time_wait, "orphan": orphaned, "tw": time_wait}}
    same_moment = TCPCounters(sockstat, tcp.in_use, tcp.established)
    assert (same_moment.total, same_moment.closed) == (total, closed)
    assert same_moment.orphaned == orphaned


def test_sockets_are_counted_by_state(machine: Population) -> None:
    summary = summarize(machine.pid)
    rows = list(dump(namespace=machine.pid))
    for row in rows:
        assert row.state in summary.states[row.netid]
    tcp = summary.states["tcp"]
    assert tcp["LISTEN"] == sum(row.netid == "tcp" and row.state == "LISTEN" for row in rows)
    assert tcp["ESTAB"] + tcp["CLOSE-WAIT"] == summary.tcp.established
    assert tcp.get("TIME-WAIT", 0) == summary.tcp.time_wait


def test_what_cannot_be_listed_is_said(machine: Population) -> None:
    summary = summarize(machine.pid)
    listing = dump(namespace=machine.pid)
    assert [str(remark) for remark in summary.remarks] == [str(one) for one in listing.remarks]


@pytest.mark.needs("root")
def test_a_new_socket_is_counted_by_its_ip_version(machine: Population) -> None:
    before = summarize(machine.pid)
    with machine.inside():
        more = [socket.socket(family, socket.SOCK_RAW, 250) for family in (2, 10, 10)]
    after = summarize(machine.pid)
    for sock in more:
        sock.close()
    was, now = before.transport("raw"), after.transport("raw")
    assert (now.inet - was.inet, now.inet6 - was.inet6, now.total - was.total) == (1, 2, 3)
    assert after.internet.total - before.internet.total == 3
    with pytest.raises(KeyError):
        after.transport("quic")


def pages_of_tcp(machine: Population) -> int:
    table = machine.run("cat", "/proc/net/sockstat").stdout.decode()
    found = re.search(r"^TCP: .* mem (\d+)$", table, re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_memory_is_told_in_octets_with_its_limits(machine: Population) -> None:
    # It is that of the whole machine, and changes; what a processor has in hand is not counted, so
    # that it may be 0.
    end = time.monotonic() + SECONDS
    while True:
        before, summary, after = (
            pages_of_tcp(machine),
            summarize(machine.pid),
            pages_of_tcp(machine),
        )
        if before == after:
            break
        assert time.monotonic() < end
    memory = {one.name: one for one in summary.memory}
    assert set(memory) == {"tcp", "udp", "frag"}
    tcp = memory["tcp"]
    assert tcp.used == before * os.sysconf("SC_PAGE_SIZE")
    assert tcp.pressure is not None
    assert tcp.limit is not None
    assert 0 <= tcp.used < tcp.pressure < tcp.limit
    assert memory["frag"].as_dict() == {"used": 0}


def test_the_dict_has_everything_by_its_name(machine: Population) -> None:
    fields = summarize(machine.pid).as_dict()
    assert list(fields) == ["sockets", "transports", "tcp", "memory_octets", "states"]
    transports = fields["transports"]
    assert isinstance(transports, dict)
    assert set(transports["udplite"]) == {"total", "inet", "inet6"}

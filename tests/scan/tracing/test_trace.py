"""The way through two routers, by every kind of probe, beside nmap's."""

from __future__ import annotations

import os
import re
import socket
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.open_files import open_descriptors

from sockwright.lab import Lab
from sockwright.scan.port_table import PortTable
from sockwright.scan.reasons import number_of
from sockwright.scan.results import HostResult
from sockwright.scan.settings import Settings
from sockwright.scan.targets import Target
from sockwright.scan.tracing import trace
from sockwright.scan.tracing.probing import ConnectProber, EchoProber, UDPProber
from sockwright.scan.tracing.tracing import _prober

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.lab import Host
    from sockwright.scan.results import Hop

pytestmark = pytest.mark.needs("namespaces")


class Line(NamedTuple):
    """A scanner, two routers, a host behind them: the hops of each version of IP."""

    scanner: Host
    second: Host
    hops: dict[int, list[str]]


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    with Lab() as lab:
        (scanner,) = lab.hosts("scanner", segment=0)
        (host,) = lab.hosts("host", segment=2)
        first = lab.router("first", 0, 1)
        second = lab.router("second", 1, 2)
        hops = {
            4: [first.interfaces[0].ipv4, second.interfaces[0].ipv4, host.ipv4],
            6: [first.interfaces[0].ipv6, second.interfaces[0].ipv6, host.ipv6],
        }
        yield Line(scanner, second, hops)


def hops_of(address: str, reason: str, ttl: int | None, tables: tuple[PortTable, ...]) -> list[str]:
    """Trace, where this runs; the kind of probe stands before the hops."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    target = Target(address, family)
    result = HostResult(address, "up", reason, ttl=ttl, ports=tables)
    prober = _prober(target, result)
    prober.close()
    hops = trace(target, result, Settings(first_timeout=0.3))
    assert [hop.ttl for hop in hops] == list(range(1, len(hops) + 1))
    assert all(hop.rtt_ns is None or 0 < hop.rtt_ns < 10**9 for hop in hops)
    assert all((hop.rtt_ns is None) == (not hop.host) for hop in hops)
    return [type(prober).__name__, *(hop.host for hop in hops)]


def closed_port(address: str) -> tuple[PortTable, ...]:
    table = PortTable(address, "tcp", [9])
    table.set(0, number_of("reset", "closed"), 1)
    return (table,)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("ttl", [None, 62])
def test_echo_names_every_router_and_the_host(line: Line, version: int, ttl: int | None) -> None:
    address = line.hops[version][-1]
    found = line.scanner.call(hops_of, address, "echo-reply", ttl, ())
    assert found == [EchoProber.__name__, *line.hops[version]]


@pytest.mark.parametrize("version", [4, 6])
def test_a_tcp_port_that_answers_is_asked_without_privilege(line: Line, version: int) -> None:
    address = line.hops[version][-1]
    tables = closed_port(address)
    found = line.scanner.call_unprivileged(hops_of, address, "conn-refused", None, tables)
    assert found == [ConnectProber.__name__, *line.hops[version]]
    found = line.scanner.call_unprivileged(hops_of, address, "conn-refused", None, ())
    assert found == [ConnectProber.__name__, *line.hops[version]]


@pytest.mark.parametrize("version", [4, 6])
def test_udp_is_left_where_nothing_else_is_allowed(line: Line, version: int) -> None:
    address = line.hops[version][-1]
    found = line.scanner.call_unprivileged(hops_of, address, "user-set", None, ())
    assert found == [UDPProber.__name__, *line.hops[version]]


@pytest.mark.needs("root")  # the namespace of a user has one group; the range is put back by two
def test_an_echo_socket_without_privilege_does_where_the_group_may(line: Line) -> None:
    line.scanner.set("net.ipv4.ping_group_range", "0 2147483647")
    try:
        address = line.hops[4][-1]
        found = line.scanner.call_unprivileged(hops_of, address, "echo-reply", None, ())
    finally:
        line.scanner.set("net.ipv4.ping_group_range", "1 0")
    assert found == [EchoProber.__name__, *line.hops[4]]


@pytest.mark.needs("nmap")
def test_nmap_names_the_same_hops(line: Line) -> None:
    for version, words in ((4, []), (6, ["-6"])):
        address = line.hops[version][-1]
        done = line.scanner.run(
            ["nmap", "-sn", "-n", "--traceroute", *words, address], check=True, timeout=30
        )
        table = done.stdout.partition("TRACEROUTE")[2]
        # HOP, RTT with its unit, ADDRESS
        theirs = re.findall(r"^\d+ +[\d.]+ ms +(\S+)$", table, re.MULTILINE)
        ours = line.scanner.call(hops_of, address, "echo-reply", None, ())
        assert ours[1:] == theirs


@pytest.mark.needs("nft")
def test_a_router_that_says_nothing_leaves_a_gap(line: Line) -> None:
    rules = "table ip quiet { chain out { type filter hook output priority 0;\n"
    rules += "icmp type time-exceeded drop\n}\n}\n"
    line.second.run(["nft", "-f", "-"], input=rules, check=True)
    try:
        found = line.scanner.call(hops_of, line.hops[4][-1], "echo-reply", None, ())
    finally:
        line.second.run(["nft", "delete", "table", "ip", "quiet"], check=True)
    assert found[1:] == [line.hops[4][0], "", line.hops[4][2]]


def test_a_neighbour_is_one_hop_away_and_the_own_host_none(line: Line) -> None:
    found = line.scanner.call(hops_of, line.hops[4][0], "arp-response", None, ())
    assert found[1:] == line.hops[4][:1]
    target = Target("127.0.0.1", socket.AF_INET)
    assert trace(target, HostResult("127.0.0.1", "up", "localhost-response"), Settings()) == []


def _trace_silent(
    address: str, interface: str, *, woken: bool, timeout: float = 0.1
) -> tuple[float, list[Hop]]:
    """Trace to where nobody answers; return how long that took, and the hops."""
    target = Target(address, socket.AF_INET)
    wake = os.eventfd(1 if woken else 0)
    try:
        began = monotonic()
        settings = Settings(first_timeout=timeout, max_timeout=timeout, interface=interface)
        hops = trace(target, HostResult(address, "up", "user-set"), settings, wake=wake)
        return monotonic() - began, hops
    finally:
        os.close(wake)


def test_a_trace_ends_when_it_is_woken(line: Line) -> None:
    silent = line.hops[4][-1].rpartition(".")[0] + ".250"
    whole, _ = line.scanner.call(_trace_silent, silent, "", woken=False)
    assert whole > 0.05
    woken, _ = line.scanner.call(_trace_silent, silent, "", woken=True, timeout=10.0)
    assert woken < 2


def test_a_trace_leaves_by_the_interface_that_was_named(line: Line) -> None:
    # A link with nobody behind it.
    batch = "link add side type veth peer name nobody\naddr add 10.64.0.1/24 dev side\n"
    batch += "link set nobody up\nlink set side up\n"
    try:
        line.scanner.run(["ip", "-batch", "-"], input=batch, check=True)
        _, hops = line.scanner.call(_trace_silent, line.hops[4][-1], "side", woken=False)
    finally:
        line.scanner.run(["ip", "link", "del", "side"], check=True)
    assert hops == []
    _, hops = line.scanner.call(
        _trace_silent, line.hops[4][-1], line.scanner.interface, woken=False
    )
    assert [hop.host for hop in hops] == line.hops[4]


def _descriptors_after(address: str) -> int:
    before = open_descriptors()
    hops_of(address, "user-set", None, closed_port(address))
    return len(open_descriptors() - before)


def test_no_descriptor_is_left(line: Line) -> None:
    assert line.scanner.call(_descriptors_after, line.hops[4][-1]) == 0

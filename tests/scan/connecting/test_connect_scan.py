"""Connecting to ports: what each answer stands for; what this machine lacks is no answer."""

from __future__ import annotations

import os
import random
import resource
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.scan.connecting.driving import Found, drive, scan, target
from tests.scan.target import KINDS, REASON, REJECTED, REJECTED6, populate
from tests.scan.topology import SCANNER, SCANNER6, TARGET, TARGET6, Network, listen

from sockwright.scan.connecting.connect_scan import ConnectScan
from sockwright.scan.engine.pace import Pace
from sockwright.scan.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.needs("namespaces", "nft")


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """A target with ports of every kind."""
    with Network() as network:
        populate(network)
        yield network


def _scan(
    network: Network,
    ports: Sequence[int],
    address: str = TARGET,
    settings: Settings | None = None,
    rate: float | None = None,
) -> Found:
    return network.scanner.call(scan, ConnectScan, address, tuple(ports), settings, rate=rate)


@pytest.mark.parametrize("address", [TARGET, TARGET6])
def test_open_closed_and_dropped_are_told_apart(network: Network, address: str) -> None:
    ports = [*KINDS["open"], *KINDS["closed"], *KINDS["dropped"]]
    found = _scan(network, ports, address)
    assert found.ports("open") == list(KINDS["open"])
    assert found.ports("closed") == list(KINDS["closed"])
    assert found.ports("filtered") == list(KINDS["dropped"])
    assert found.reasons(KINDS["open"]) == {"conn-accept"}
    assert found.reasons(KINDS["closed"]) == {"conn-refused"}
    assert found.reasons(KINDS["dropped"]) == {"no-response"}
    assert found.complete
    assert not found.leaked
    assert all(row.rtt_ns for row in found.rows.values() if row.state != "filtered")


@pytest.mark.parametrize(("address", "kinds"), [(TARGET, REJECTED), (TARGET6, REJECTED6)])
def test_each_icmp_error_of_a_firewall_is_a_reason_of_its_own(
    network: Network, address: str, kinds: dict[str, tuple[int, ...]]
) -> None:
    found = _scan(network, [port for ports in kinds.values() for port in ports], address)
    for name, ports in kinds.items():
        assert found.reasons(ports) == {REASON[name]}, name
    assert set(found.rows) == set(found.ports("filtered"))


def test_a_rate_is_kept(network: Network) -> None:
    found = _scan(network, range(20_001, 20_301), rate=500.0)
    assert found.probes == 300
    assert found.seconds > 299 / 500 - 0.03


@pytest.mark.parametrize("address", ["127.0.0.1", SCANNER, SCANNER6])
def test_a_port_of_the_kernels_choice_is_not_connected_to_itself(
    network: Network, address: str
) -> None:
    # Without a look at both ends some of these are found open: the kernel asks from among them.
    found = _scan(network, range(32_768, 61_000), address)
    assert len(found.ports("closed")) == len(found.rows)


def _with_few_descriptors(ports: Sequence[int], spare: int) -> Found:
    # The hard one too, in a process of its own: a scan raises the soft one.
    limit = len(os.listdir("/proc/self/fd")) + 40  # noqa: PTH208
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    return scan(
        ConnectScan,
        TARGET,
        ports,
        Settings(first_timeout=0.1),
        after=lambda: [socket.socket() for _ in range(spare)],
    )


def test_few_descriptors_take_longer_and_miss_nothing(network: Network) -> None:
    ports = [*KINDS["open"], *KINDS["dropped"], *range(21_000, 21_200)]
    found = network.scanner.call(_with_few_descriptors, ports, 0)
    assert found.ports("open") == list(KINDS["open"])
    assert found.ports("filtered") == list(KINDS["dropped"])
    assert not found.remarks


def test_descriptors_that_others_have_taken_are_done_without_and_said(network: Network) -> None:
    ports = [*KINDS["open"], *KINDS["dropped"], *range(21_000, 21_200)]
    found = network.scanner.call(_with_few_descriptors, ports, 36)
    assert found.ports("open") == list(KINDS["open"])
    assert found.ports("filtered") == list(KINDS["dropped"])
    assert any("descriptors" in remark for remark in found.remarks)


def test_without_a_route_nothing_is_made_up(network: Network) -> None:
    with Network() as other:
        for route in ("default", "10.61.0.0/24"):
            other.scanner.run(["ip", "route", "del", route], check=True)
        found = _scan(other, range(1, 20))
    assert found.reasons(range(1, 20)) == {"no-route"}
    assert not found.complete
    assert "no way" in found.remarks[0]


def test_a_host_that_accepts_everything_is_called_a_tarpit(network: Network) -> None:
    rule = "tcp dport 30000-30299 redirect to :1001"
    chain = f"chain in {{ type nat hook prerouting priority -100;\n{rule}\n}}"
    network.target.run(["nft", "-f", "-"], input=f"table ip pit {{\n{chain}\n}}\n", check=True)
    found = _scan(network, range(30_000, 30_300))
    network.target.run(["nft", "delete", "table", "ip", "pit"], check=True)
    assert len(found.ports("open")) == 300
    assert any("tarpit" in remark for remark in found.remarks)


def test_a_host_out_of_time_keeps_what_is_known(network: Network) -> None:
    ports = [*KINDS["open"], *range(22_000, 24_000)]
    found = _scan(network, ports, settings=Settings(host_timeout=0.2), rate=1000.0)
    assert "time limit" in found.remarks[0]
    assert not found.complete
    states = {row.reason for row in found.rows.values()}
    assert {"conn-refused", "not-asked"} <= states


def _ending(ready: int) -> bytes:
    with socket.create_server(("", 24_500), reuse_port=True) as listener:
        os.write(ready, b"r")
        peer, _ = listener.accept()
        with peer:
            return peer.recv(10)  # ECONNRESET, if it was reset


def test_a_connection_is_ended_in_the_usual_way(network: Network) -> None:
    reading, writing = os.pipe()
    call = network.target.start(_ending, writing)
    os.close(writing)
    assert os.read(reading, 1)
    os.close(reading)
    assert _scan(network, [24_500]).ports("open") == [24_500]
    assert call.result(10) == b""


def test_two_zones_with_one_address_are_both_asked(network: Network) -> None:
    scanner = network.scanner
    for command in (
        "link add one type veth peer name two",
        "addr add fe80::99/64 dev one nodad",
        "addr add fe80::99/64 dev two nodad",
        "link set one up",
        "link set two up",
    ):
        scanner.run(["ip", *command.split()], check=True)
    # A refused socket stays bound to the link of its first address (EINVAL for any other).
    for counts in scanner.call(_scan_both_zones):
        assert counts == {"conn-refused": 500}


def _scan_both_zones() -> list[dict[str, int]]:
    shared = Pace(None, now=time.monotonic(), adapts=False)
    part = ConnectScan(range(26_000, 26_500), Settings(), shared=shared, seed=1)
    hosts = [part.add(target(f"fe80::99%{zone}"), None) for zone in ("one", "two")]
    drive(part)
    part.close()
    return [Counter(row.reason for row in host.table) for host in hosts]


def test_an_interface_that_is_asked_for_is_the_only_way(network: Network) -> None:
    # The route to the target is by "net"; nothing of the scan may leave there.
    network.scanner.run(["ip", "link", "add", "aside", "type", "veth"], check=True)
    network.scanner.run(["ip", "link", "set", "aside", "up"], check=True)
    ports = KINDS["open"]
    settings = Settings(interface="aside", first_timeout=0.1, retries=1)
    assert not _scan(network, ports, settings=settings).ports("open")
    assert _scan(network, ports, settings=Settings(interface="net")).ports("open") == list(ports)


def test_a_policer_before_a_filtered_host_is_not_taken_for_silence() -> None:
    ports = range(10_001, 12_001)
    opened = sorted(random.Random(4).sample(ports, 50))
    with Network() as network:
        network.start(network.target, listen, opened)
        accepted = ", ".join(map(str, opened))
        network.rules(
            network.target,
            "quiet",
            "chain input { type filter hook input priority filter;\n"
            f"tcp dport {{ {accepted} }} accept\ntcp flags syn drop\n}}",
        )
        network.police(2000, burst=500)
        found = _scan(network, ports)
    assert found.ports("open") == opened or not found.complete

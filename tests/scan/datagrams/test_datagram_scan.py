"""UDP ports: open, closed, silent, and what can be said behind a limit of ICMP errors."""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING

import pytest
from tests.scan.connecting.driving import Found, scan
from tests.scan.target import UDP_KINDS, populate
from tests.scan.topology import SCANNER, SCANNER6, TARGET, TARGET6, Network

from sockwright.scan.datagrams.datagram_scan import DatagramScan
from sockwright.scan.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.needs("namespaces", "nft")

_CLOSED = range(25_001, 25_101)
BOTH = pytest.mark.parametrize("address", [TARGET, TARGET6])


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """A target with ports of every kind, that sends every ICMP error."""
    with Network() as network:
        populate(network)
        yield network


@pytest.fixture
def limited(network: Network) -> Iterator[Network]:
    """The same; what the test sets of its limit of ICMP errors is taken back."""
    yield network
    network.target.set("net.ipv4.icmp_ratelimit", 0)
    network.target.set("net.ipv6.icmp.ratelimit", 0)


def _scan(
    network: Network,
    ports: Sequence[int],
    address: str = TARGET,
    settings: Settings | None = None,
    rate: float | None = 1000.0,
) -> Found:
    return network.scanner.call(scan, DatagramScan, address, tuple(ports), settings, rate=rate)


@BOTH
def test_open_closed_and_silent_are_told_apart(network: Network, address: str) -> None:
    kinds = ("echo", "dns", "silent", "closed", "dropped")
    found = _scan(network, [port for kind in kinds for port in UDP_KINDS[kind]], address)
    assert found.ports("open") == sorted((*UDP_KINDS["echo"], *UDP_KINDS["dns"]))
    assert found.ports("closed") == list(UDP_KINDS["closed"])
    assert found.ports("open|filtered") == sorted((*UDP_KINDS["silent"], *UDP_KINDS["dropped"]))
    assert found.complete
    assert not found.remarks
    assert not found.leaked
    assert {found.rows[port].ttl for port in found.ports("open")} == {63}
    assert {found.rows[port].ttl for port in found.ports("closed")} == {63}


@BOTH
def test_loss_hides_neither_open_nor_closed_ports(network: Network, address: str) -> None:
    network.lose(0.1)
    try:
        settings = Settings(max_miss=0.0001)
        found = _scan(network, [*UDP_KINDS["echo"], *_CLOSED], address, settings)
    finally:
        network.lose(0)
    assert found.ports("open") == list(UDP_KINDS["echo"])
    # Of the closed ones a twentieth of a port is expected to be left over, by design.
    assert len(found.ports("closed")) >= len(_CLOSED) - 2


@pytest.mark.parametrize(
    ("address", "name"),
    [(TARGET, "net.ipv4.icmp_ratelimit"), (TARGET6, "net.ipv6.icmp.ratelimit")],
)
def test_all_closed_ports_are_proved_behind_a_limit_of_errors(
    limited: Network, address: str, name: str
) -> None:
    limited.target.set(name, 20)  # milliseconds for one
    ports = [*UDP_KINDS["echo"], *UDP_KINDS["silent"], *_CLOSED]
    found = _scan(limited, ports, address)
    assert found.ports("open") == list(UDP_KINDS["echo"])
    assert found.ports("closed") == list(_CLOSED)
    assert found.reasons(UDP_KINDS["silent"]) == {"no-response"}
    assert found.complete


def test_what_time_was_too_short_to_prove_is_said_to_be_unproven() -> None:
    # A target that has sent no error yet: six may go at once. Those of other tests count for it.
    with Network() as network:
        populate(network)
        network.target.set("net.ipv4.icmp_ratelimit", 500)
        found = _scan(network, [*UDP_KINDS["echo"], *_CLOSED], settings=Settings(patience=2.0))
    assert found.ports("open") == list(UDP_KINDS["echo"])
    assert 6 + 2 <= len(found.ports("closed")) <= 6 + 6
    left = found.ports("open|filtered")
    assert found.reasons(left) == {"unproven"}
    assert {found.rows[port].limited for port in left} == {"icmp"}
    assert found.seconds < 4
    assert not found.complete
    assert "limits its ICMP errors" in found.remarks[0]


# The kernel asks 127.0.0.2 from 127.0.0.1, and any other address of its own from that address.
@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", SCANNER, SCANNER6])
def test_on_its_own_machine_the_scan_does_not_find_itself(network: Network, address: str) -> None:
    network.scanner.set("net.ipv6.icmp.ratelimit", 0)
    found = _scan(network, range(32_768, 61_000), address, rate=None)
    assert not found.ports("open")
    assert not found.ports("open|filtered")


def _another_port(ready: int) -> None:
    """Answer one request of TFTP from another port, RFC 1350 section 4."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answers,
    ):
        service.bind(("", 69))
        os.write(ready, b"r")
        while True:
            _, peer = service.recvfrom(500)
            answers.sendto(b"\0\5\0\1no such file\0", peer)


def test_tftp_is_open_though_it_answers_from_another_port(network: Network) -> None:
    call = network.start(network.target, _another_port)
    assert _scan(network, [68, 69, 70]).ports("open") == [69]
    call.kill()


def _stranger(ready: int) -> None:
    """Answer DNS with a number that was not asked for, once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(("127.0.0.1", 5353))
        os.write(ready, b"r")
        octets, peer = service.recvfrom(500)
        service.sendto(bytes([octets[0] ^ 1]) + octets[1:], peer)
        while True:
            service.recvfrom(500)


def test_an_answer_with_a_wrong_number_counts_only_the_second_time(network: Network) -> None:
    call = network.start(network.scanner, _stranger)
    found = _scan(network, [5353, *_CLOSED], "127.0.0.1")
    call.kill()
    assert found.ports("open|filtered") == [5353]


def _strangers(ready: int) -> None:
    """Answer on the ports of DNS and NTP with what is neither, each time."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ntp,
    ):
        for service, port in ((dns, 53), (ntp, 123)):
            service.bind(("127.0.0.1", port))
        os.write(ready, b"r")
        while True:
            for service in select.select([dns, ntp], [], [])[0]:
                service.sendto(b"hello", service.recvfrom(2000)[1])


def test_services_that_are_others_than_usual_do_not_count_as_loss(network: Network) -> None:
    call = network.start(network.scanner, _strangers)
    found = _scan(network, [53, 123, *_CLOSED], "127.0.0.1")
    call.kill()
    assert found.ports("open") == [53, 123]
    assert {found.rows[port].attempt for port in (53, 123)} == {1}
    assert found.loss is not None
    assert found.loss < 0.01
    assert found.complete


def test_an_interface_that_is_asked_for_is_the_only_way(network: Network) -> None:
    # The route to the target is by "net"; nothing of the scan may leave there.
    network.scanner.run(["ip", "link", "add", "aside", "type", "veth"], check=True)
    network.scanner.run(["ip", "link", "set", "aside", "up"], check=True)
    ports = UDP_KINDS["echo"]
    settings = Settings(interface="aside", first_timeout=0.1, retries=1)
    assert not _scan(network, ports, settings=settings).ports("open")
    assert _scan(network, ports, settings=Settings(interface="net")).ports("open") == list(ports)

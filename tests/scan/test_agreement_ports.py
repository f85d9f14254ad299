"""Every method calls every kind of port what nmap calls it, over IPv4 and IPv6.

The deliberate differences, each of which tells more than nmap does:

- ICMPv6 address unreachable is ``addr-unreach``, its name in RFC 4443; nmap: ``host-unreach``.
- A connect scan asks the kernel which ICMP error ended a connection (IP_RECVERR), where nmap has
  only the errno that several errors share. So it says what nmap's own SYN scan says: a firewall
  that answers port unreachable makes a port filtered, not closed (ECONNREFUSED), and prohibited is
  told apart from unreachable.
- A connection that was accepted is ``conn-accept``: a process that connects sees no SYN-ACK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scan.nmap import PortSaid, both, by_us
from tests.scan.target import KINDS, REJECTED, REJECTED6, UDP_KINDS, populate
from tests.scan.topology import TARGET, TARGET6, Network

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("namespaces", "nmap", "nft")

FAMILIES = pytest.mark.parametrize(
    "target", [pytest.param([TARGET], id="IPv4"), pytest.param(["-6", TARGET6], id="IPv6")]
)
RAW = {"-sS": "SYN", "-sA": "ACK", "-sF": "FIN", "-sN": "NULL", "-sX": "Xmas"}
#: The words of a connect scan for what a SYN scan sees.
OF_CONNECTING = {"syn-ack": "conn-accept", "reset": "conn-refused"}
#: A token bucket that two scans at once would empty has a test of its own.
TCP_PORTS = [port for kind in KINDS if kind != "rate-limited" for port in KINDS[kind]]
UDP_PORTS = [port for ports in UDP_KINDS.values() for port in ports]


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """A network with a target that has ports of every kind."""
    with Network() as network:
        populate(network)
        yield network


def _ports(ports: list[int]) -> list[str]:
    return ["-Pn", "-p", ",".join(map(str, ports))]


def _renamed(said: dict[int, PortSaid], target: list[str]) -> dict[int, PortSaid]:
    """Say as we do what nmap calls otherwise, and forget no TTL that it tells."""
    ports = REJECTED6["addr-unreachable"] if target == ["-6", TARGET6] else ()
    return said | {port: said[port]._replace(reason="addr-unreach") for port in ports}


def _without_ttl(said: dict[int, PortSaid]) -> dict[int, PortSaid]:
    return {port: one._replace(ttl=None) for port, one in said.items()}


@FAMILIES
@pytest.mark.parametrize("method", RAW, ids=list(RAW.values()))
def test_raw_methods_agree_with_nmap(network: Network, method: str, target: list[str]) -> None:
    words = [method, *_ports(TCP_PORTS), *target]
    theirs, ours = both(network.scanner, words, words)
    expected = _renamed(theirs.ports, target)
    assert set(expected) == set(TCP_PORTS)
    assert _without_ttl(ours.ports) == _without_ttl(expected)
    told = {port for port, one in expected.items() if one.ttl is not None}
    assert {port: ours.ports[port].ttl for port in told} == {
        port: expected[port].ttl for port in told
    }


@FAMILIES
def test_udp_agrees_with_nmap(network: Network, target: list[str]) -> None:
    words = ["-sU", *_ports(UDP_PORTS), *target]
    theirs, ours = both(network.scanner, words, words)
    expected = _renamed(theirs.ports, target)
    assert set(expected) == set(UDP_PORTS)
    assert _without_ttl(ours.ports) == _without_ttl(expected)


@FAMILIES
def test_connect_agrees_with_nmap_where_nmap_knows(network: Network, target: list[str]) -> None:
    words = ["-sT", *_ports(TCP_PORTS), *target]
    theirs, ours = both(network.scanner, words, words)
    firewall = (REJECTED6 if "-6" in target else REJECTED)["port-unreachable"]
    for port, one in theirs.ports.items():
        assert ours.ports[port].state == ("filtered" if port in firewall else one.state), port


@FAMILIES
def test_connect_tells_what_a_syn_scan_sees(network: Network, target: list[str]) -> None:
    # nft's SYN proxy checks IPv6 segments by IPv4's rule for checksums, so it is silent to a raw
    # socket, which makes its own, and answers connections, whose checksum is still to be made.
    ports = [port for port in TCP_PORTS if port not in KINDS["SYN proxy"]]
    syn = ["-sS", *_ports(ports), *target]
    theirs, ours = both(network.scanner, syn, ["-sT", *syn[1:]])
    expected = {
        port: PortSaid(one.state, OF_CONNECTING.get(one.reason, one.reason))
        for port, one in _renamed(theirs.ports, target).items()
    }
    assert _without_ttl(ours.ports) == expected


@FAMILIES
def test_connect_agrees_with_itself_without_privilege(network: Network, target: list[str]) -> None:
    words = ["-sT", *_ports(TCP_PORTS), *target]
    privileged, ordinary = (by_us(network.scanner, *words, privileged=yes) for yes in (True, False))
    assert ordinary.ports == privileged.ports


@FAMILIES
@pytest.mark.parametrize("method", ["-sS", "-sT"])
def test_ports_behind_a_limit_are_all_found_open(
    network: Network, method: str, target: list[str]
) -> None:
    ports = _ports([*KINDS["rate-limited"], *KINDS["closed"]])
    ours = by_us(network.scanner, method, *ports, *target)
    states = {port: ours.ports[port].state for port in KINDS["rate-limited"]}
    assert set(states.values()) == {"open"}, states

"""Discovery calls those hosts up that nmap calls up, on the own network and behind a router.

The reasons agree where only one kind of probe is answered. Who answers several is up for the reason
that came first, and that depends on the order of the probes.

One deliberate difference: a host whose own address sends "administratively prohibited" is up, since
somebody is there to say so. nmap takes it for down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.scan.nmap import both
from tests.scan.target import HOSTS, inhabit
from tests.scan.topology import Network

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("namespaces", "nmap", "nft")

#: Those that answer one kind of probe.
SINGLE = ("echo", "timestamp", "SYN to 443", "ACK to 80")


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """A network with hosts that answer to this or that."""
    with Network() as network:
        inhabit(network)
        yield network


@pytest.mark.parametrize(
    ("options", "prefix"),
    [pytest.param([], "10.62.0.", id="IPv4"), pytest.param(["-6"], "fd62::", id="IPv6")],
)
def test_hosts_behind_a_router_agree_with_nmap(
    network: Network, options: list[str], prefix: str
) -> None:
    addresses = {kind: f"{prefix}{last}" for kind, last in HOSTS.items()}
    words = ["-sn", *options, *addresses.values()]
    theirs, ours = both(network.scanner, ["-v", *words], words)
    up = {host for host, (state, _) in theirs.hosts.items() if state == "up"}
    assert addresses["prohibited"] not in up
    expected = up | {addresses["prohibited"]}
    assert {host for host, (state, _) in ours.hosts.items() if state == "up"} == expected
    assert ours.hosts[addresses["prohibited"]][1] == "admin-prohibited"
    for kind in SINGLE:
        if addresses[kind] in up:
            assert ours.hosts[addresses[kind]] == theirs.hosts[addresses[kind]], kind


@pytest.mark.parametrize(
    ("options", "addresses"),
    [
        pytest.param([], ["10.61.0.1", "10.61.0.77"], id="IPv4"),
        pytest.param(["-6"], ["fd61::1", "fd61::77"], id="IPv6"),
    ],
)
def test_neighbours_are_found_by_arp_and_nd_as_by_nmap(
    network: Network, options: list[str], addresses: list[str]
) -> None:
    words = ["-sn", *options, *addresses]
    theirs, ours = both(network.scanner, ["-v", *words], words)
    assert theirs.hosts[addresses[0]] == ours.hosts[addresses[0]]
    assert ours.hosts[addresses[0]][1] in {"arp-response", "nd-response"}
    states = {host: state for host, (state, _) in ours.hosts.items()}
    assert states.get(addresses[1], "down") == theirs.hosts[addresses[1]][0] == "down"

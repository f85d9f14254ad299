"""This kernel, asked from a host beside it."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest
from tests.identify.asking import CLOSED_PORT, CLOSED_UDP_PORT, ask_system
from tests.identify.systems import OPEN_PORT, Here

from sockwright.identify.database import load_signatures
from sockwright.identify.finding import Ports, find_ports
from sockwright.identify.many import Probed, probe_hosts
from sockwright.identify.probing import probe
from sockwright.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.identify.identification import Identification

pytestmark = pytest.mark.needs("namespaces")

_SETTINGS = {
    "timestamps": ("net.ipv4.tcp_timestamps", "0"),
    "steady": ("net.ipv4.tcp_timestamps", "2"),
    "ttl": ("net.ipv4.ip_default_ttl", "128"),
    "window": ("net.ipv4.tcp_rmem", "4096 200000 12582912"),
}
_FILTERS = {
    "lossy": "numgen random mod 100 < 15 drop",
    "filtered": f"tcp dport {OPEN_PORT} accept; meta l4proto {{ tcp, udp, icmp }} drop",
}


@pytest.fixture
def here() -> Iterator[Here]:
    with Here() as system:
        yield system


@pytest.fixture(scope="module")
def answers() -> dict[str, Identification]:
    """Ask hosts of the same kernel, each with something changed, all at once: it takes a while."""
    names = ["plain", "mtu", *_SETTINGS, *_FILTERS]
    with Lab() as lab, contextlib.ExitStack() as opened:
        prober, *systems = lab.hosts("prober", *names)
        addresses = {}
        for name, system in zip(names, systems, strict=True):
            listener = opened.enter_context(system.socket(socket.AF_INET6, socket.SOCK_STREAM))
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind(("::", OPEN_PORT))
            listener.listen(64)
            addresses[system.ipv4] = name
            if name in _SETTINGS:
                system.set(*_SETTINGS[name])
            elif name in _FILTERS:
                rules = "table inet t { chain c { type filter hook input priority 0; "
                rules += f"{_FILTERS[name]}; }}; }}"
                system.run(["nft", rules], check=True, timeout=10)
            elif name == "mtu":
                link = ["ip", "link", "set", system.interface, "mtu", "1400"]
                system.run(link, check=True, timeout=10)
            else:
                addresses[system.ipv6] = "ipv6"
        found: dict[str, Identification] = {}
        for row in prober.call(_probe_all, list(addresses)):
            assert row.found is not None, row.error
            found[addresses[row.host]] = row.found
        return found


def _probe_all(hosts: list[str]) -> list[Probed]:
    known = load_signatures(learned=False)
    return list(probe_hosts(hosts, find=_ports, signatures=known))


def _ports(_host: str, **_: object) -> Ports:
    return Ports(OPEN_PORT, CLOSED_PORT, CLOSED_UDP_PORT)


def _find(host: str) -> Ports:
    return find_ports(host)


def _probe(host: str, ports: Ports) -> Identification:
    return probe(
        host,
        open_port=ports.open,
        closed_port=ports.closed,
        closed_udp_port=ports.closed_udp,
        signatures=load_signatures(learned=False),
    )


def _check(found: Identification) -> None:
    assert found.family == "Linux", found.explain()
    assert found.best.startswith("Linux ")
    assert found.confidence > 0.8, found.explain()
    assert all(one.score < 0.1 for one in found.candidates if one.family != "Linux")


@pytest.mark.parametrize("name", ["plain", "ipv6"])
def test_this_kernel_is_identified(answers: dict[str, Identification], name: str) -> None:
    found = answers[name]
    _check(found)
    assert not found.candidates[0].failed, found.explain()
    assert found.uptime_ns is None
    assert found.why_no_uptime


@pytest.mark.parametrize("name", ["timestamps", "ttl", "window", "mtu"])
def test_changed_settings_do_not_make_it_another_system(
    answers: dict[str, Identification], name: str
) -> None:
    _check(answers[name])
    assert answers[name].measured != answers["plain"].measured


def test_timestamps_that_count_steadily_are_no_uptime_of_linux(
    answers: dict[str, Identification],
) -> None:
    found = answers["steady"]
    assert found.measured["seq.clock"] == 1000
    assert found.uptime_ns is None
    assert "4.10" in found.why_no_uptime


def test_a_lossy_way_leaves_the_answer(answers: dict[str, Identification]) -> None:
    _check(answers["lossy"])


def test_a_host_that_filters_closed_ports_is_identified_by_the_open_one(
    answers: dict[str, Identification],
) -> None:
    found = answers["filtered"]
    assert found.family == "Linux", found.explain()
    assert found.measured["t5.flags"] == "none"
    assert found.states == {OPEN_PORT: "open", CLOSED_PORT: "silent"}


def test_the_ports_are_found(here: Here) -> None:
    ports = here.prober.call(_find, here.ipv4)
    assert ports.open == OPEN_PORT
    assert ports.closed is not None
    found = here.prober.call(_probe, here.ipv4, ports)
    _check(found)
    assert found.missing == ()


def test_a_link_local_address_is_probed_by_its_zone(here: Here) -> None:
    shown = ["ip", "-6", "-o", "addr", "show", "dev", here.host.interface, "scope", "link"]
    address = here.host.run(shown, check=True, timeout=10).stdout.split()[3].partition("/")[0]
    ports = here.prober.call(_find, f"{address}%{here.prober.interface}")
    found = here.prober.call(_probe, f"{address}%{here.prober.interface}", ports)
    _check(found)
    assert found.measured["ipv6.neighbour"] == "S"


def test_the_probes_leave_no_half_open_connections(here: Here) -> None:
    ask_system(here, here.ipv4, OPEN_PORT)
    left = here.host.run(["ss", "-Htn", "state", "syn-recv"], check=True, timeout=10).stdout
    assert left == ""

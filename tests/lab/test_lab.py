"""Hosts: what they are called, how they reach each other, that each has its own view."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sockwright.lab import Host, Lab

if TYPE_CHECKING:
    from tests.lab.conftest import Pair

pytestmark = pytest.mark.needs("namespaces")


def answers(client: Host, server: Host, address: str, within: float = 10.0) -> bool:
    """Whether a datagram gets from one host to the other and back, each way within so long."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        server.socket(family, socket.SOCK_DGRAM) as far,
        client.socket(family, socket.SOCK_DGRAM) as near,
    ):
        far.bind((address, 9))
        near.settimeout(within)
        far.settimeout(within)
        try:
            near.sendto(b"are you there", (address, 9))
            _, sender = far.recvfrom(100)
            far.sendto(b"yes", sender)
            return near.recv(100) == b"yes"
        except (TimeoutError, OSError):
            return False


def test_addresses_follow_the_plan(pair: Pair) -> None:
    assert [pair.a.ipv4, pair.b.ipv4] == ["10.0.0.1", "10.0.0.2"]
    assert [pair.a.ipv6, pair.b.ipv6] == ["fd00::1", "fd00::2"]
    assert [pair.a.mac, pair.b.mac] == ["02:00:00:00:00:01", "02:00:00:00:00:02"]
    assert pair.a.interface == "eth0"
    assert pair.lab["b"] is pair.b


def test_the_interface_has_the_addresses_that_the_host_tells(pair: Pair) -> None:
    for host in (pair.a, pair.b):
        assert host.call(Path("/sys/class/net/eth0/address").read_text) == host.mac + "\n"
        lines = host.call(Path("/proc/net/fib_trie").read_text)
        assert host.ipv4 in lines


@pytest.mark.parametrize("attempt", range(5))
def test_two_hosts_reach_each_other_at_once(attempt: int, pair: Pair) -> None:
    assert answers(pair.a, pair.b, pair.b.ipv6)
    assert answers(pair.a, pair.b, pair.b.ipv4)


def test_a_third_host_joins_the_segment_later(pair: Pair) -> None:
    (c,) = pair.lab.hosts("c")
    assert c.ipv4 == "10.0.0.3"
    assert answers(c, pair.a, pair.a.ipv4)
    assert answers(pair.b, c, c.ipv6)


def test_hosts_on_two_segments_need_a_router(pair: Pair) -> None:
    (c,) = pair.lab.hosts("c", segment=1)
    assert (c.ipv4, c.ipv6, c.mac) == ("10.0.1.1", "fd00:0:0:1::1", "02:00:00:00:01:01")
    assert not answers(pair.a, c, c.ipv4, within=0.5)
    router = pair.lab.router("r")
    assert [one.ipv4 for one in router.interfaces] == ["10.0.0.254", "10.0.1.254"]
    assert answers(pair.a, c, c.ipv4)
    assert answers(c, pair.b, pair.b.ipv6)


def test_routes_go_over_several_routers() -> None:
    with Lab() as lab:
        (first,) = lab.hosts("first", segment=0)
        (last,) = lab.hosts("last", segment=3)
        for number in range(3):
            lab.router(f"r{number}", number, number + 1)
        assert answers(first, last, last.ipv4)
        assert answers(first, last, last.ipv6)
        with last.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            far.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
            far.bind((last.ipv4, 9))
            far.settimeout(10)
            with first.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
                near.sendto(b"x", (last.ipv4, 9))
            ancillary = far.recvmsg(10, 100)[1]
        assert [int.from_bytes(data, "little") for _, _, data in ancillary] == [64 - 3]


def test_names_of_hosts_resolve_inside(pair: Pair) -> None:
    assert pair.a.call(socket.gethostbyname, "b") == pair.b.ipv4
    found = pair.b.call(socket.getaddrinfo, "a", 80, socket.AF_INET6, socket.SOCK_STREAM)
    assert found[0][4][0] == pair.a.ipv6
    assert pair.a.call(socket.gethostname) == "a"


def test_each_host_sees_only_its_own_network(pair: Pair) -> None:
    (c,) = pair.lab.hosts("c", segment=1)
    pair.lab.router("r")
    for host, interfaces in ((c, {"lo", "eth0"}), (pair.lab["r"], {"lo", "eth0", "eth1"})):
        assert set(host.run(["ls", "/sys/class/net"]).stdout.split()) == interfaces
        lines = host.run(["cat", "/proc/net/dev"]).stdout.splitlines()[2:]
        assert {line.split(":")[0].strip() for line in lines} == interfaces
    assert pair.a.run(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == "0\n"
    assert pair.lab["r"].run(["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == "1\n"


def test_a_setting_changes_in_one_host(pair: Pair) -> None:
    pair.a.set("net.ipv4.ip_default_ttl", 7)
    assert pair.a.run(["cat", "/proc/sys/net/ipv4/ip_default_ttl"]).stdout == "7\n"
    assert pair.b.run(["cat", "/proc/sys/net/ipv4/ip_default_ttl"]).stdout == "64\n"


def test_a_host_talks_to_itself(pair: Pair) -> None:
    assert answers(pair.a, pair.a, "127.0.0.1")
    assert answers(pair.a, pair.a, "::1")


@pytest.mark.parametrize("name", ["", "a b", "-a", "ä", "a" * 64, "../x"])
def test_a_name_that_no_host_can_have_is_refused(name: str, pair: Pair) -> None:
    with pytest.raises(ValueError, match="no host name"):
        pair.lab.hosts(name)


def test_a_name_is_given_once(pair: Pair) -> None:
    with pytest.raises(ValueError, match="already"):
        pair.lab.hosts("a")


def test_a_router_joins_different_segments(pair: Pair) -> None:
    with pytest.raises(ValueError, match="two or more"):
        pair.lab.router("r", 1, 1)


def test_two_labs_do_not_see_each_other(pair: Pair) -> None:
    with Lab() as other:
        other.hosts("a")
        assert not answers(other["a"], pair.b, pair.b.ipv4, within=0.5)
        assert answers(pair.a, pair.b, pair.b.ipv4)


def test_a_lab_that_is_closed_says_so() -> None:
    lab = Lab()
    with pytest.raises(RuntimeError, match="with Lab"):
        lab.hosts("a")
    with lab:
        (a,) = lab.hosts("a")
    with pytest.raises(RuntimeError, match="closed"):
        a.run(["true"])
    with pytest.raises(RuntimeError, match="closed"):
        a.call(int)
    lab.close()


def test_the_same_lab_can_be_opened_again() -> None:
    lab = Lab()
    for _ in range(2):
        with lab:
            a, b = lab.hosts("a", "b")
            assert answers(a, b, b.ipv4)

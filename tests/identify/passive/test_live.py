"""This machine's own kernel, overheard in the lab: from its SYNs and from its SYN-ACKs."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from sockwright import Lab
from sockwright.identify.passive import Observer, listen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.lab import Host

pytestmark = pytest.mark.needs("namespaces")

_LONG_S = 10.0  # far more than it takes


@pytest.fixture(scope="module")
def lab() -> Iterator[tuple[Host, Host]]:
    with Lab() as made:
        a, b = made.hosts("a", "b")
        made.link(a, b)
        yield a, b


def _overhear(a: Host, b: Host, family: socket.AddressFamily) -> Observer:
    """Let `a` connect to `b`, as heard on the link of `b`."""
    observer = Observer()
    address = b.ipv4 if family == socket.AF_INET else b.ipv6
    sock = b.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with listen(observer, "eth0", sock=sock, duration=_LONG_S) as heard:
        with b.socket(family) as server, a.socket(family) as client:
            server.bind((address, 0))
            server.listen()
            client.connect(server.getsockname())
        kinds = set()
        for evidence in heard:
            kinds.add(evidence.kind)
            if kinds == {"syn", "syn_ack"}:
                break
    return observer


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_both_ends_are_linux_of_the_right_range(
    lab: tuple[Host, Host], family: socket.AddressFamily
) -> None:
    observer = _overhear(*lab, family)
    hosts = list(observer.hosts())
    assert len(hosts) == 2
    for host in hosts:
        found = host.identification
        assert found.family == "Linux", host.explain()
        assert found.confidence > 0.8
        assert found.best.endswith("6.x") or found.best.startswith("Linux 6")
        assert not host.remarks
        assert found.uptime_ns is None
        assert host.evidence[0].distance == 0
        assert host.evidence[0].link == "Ethernet"

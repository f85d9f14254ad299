"""Names in filters stand for what they are called where the sockets are, and are asked for once."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.sockets.diag.own_network import own_network

from sockwright.filters import FilterError
from sockwright.sockets import dump, watch
from sockwright.sockets.diag.filter import Condition, SocketFilter, autobound, dev, parse_filter
from sockwright.sockets.diag.namespace import open_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("root", "unshare", "ip", "nsenter")

SO_BINDTODEVICE = 25


def there(pid: int, *command: str) -> None:
    subprocess.run(["nsenter", f"--target={pid}", "--net", *command], check=True)


@pytest.fixture
def net() -> Iterator[int]:
    """A process in a network with an interface that only it has."""
    with own_network() as pid:
        there(
            pid, *["ip", "link", "add", "only-there", "type", "veth", "peer", "name", "other-end"]
        )
        yield pid


def bound(pid: int, port: int, device: str = "") -> socket.socket:
    sock = open_socket(pid, socket.AF_INET, socket.SOCK_DGRAM)
    if device:
        sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode())
    sock.bind(("127.0.0.1", port))
    return sock


def ports(pid: int, where: str | Condition | SocketFilter) -> list[int]:
    rows = dump("udp", where=where, namespace=pid)
    return sorted(row.local_port for row in rows)


def test_a_parsed_filter_looks_interfaces_up_where_the_sockets_are(net: int) -> None:
    with bound(net, 4001, "only-there"), bound(net, 4002):
        text = "dev only-there"
        assert ports(net, text) == [4001]
        assert ports(net, parse_filter(text)) == [4001]
        assert ports(net, SocketFilter(dev("only-there"))) == [4001]
        assert ports(net, ~dev("only-there")) == [4002]


def test_a_watch_looks_names_up_where_the_sockets_are(net: int) -> None:
    there(net, "sysctl", "-qw", "net.ipv4.ip_local_port_range=5000 5100")
    with bound(net, 4001, "only-there"), bound(net, 4002), bound(net, 0) as chosen:
        for asked, port in (("dev only-there", 4001), ("autobound", chosen.getsockname()[1])):
            for where in (asked, parse_filter(asked)):
                with watch("udp", where=where, namespace=net) as sockets:
                    assert [row.local for row in sockets.rows] == [f"127.0.0.1:{port}"]


def test_an_interface_that_is_not_there_is_refused_at_its_word(net: int) -> None:
    asked = parse_filter("sport > :1 and dev only-their")
    with pytest.raises(FilterError, match="did you mean only-there") as caught:
        dump("udp", where=asked, namespace=net)
    assert (caught.value.position, caught.value.length) == (19, 10)
    with pytest.raises(FilterError, match="no interface 'only-there'"):
        dump("udp", where="dev only-there")


def test_ports_that_the_kernel_chooses_are_those_of_the_network(net: int) -> None:
    with bound(net, 0) as before:
        there(net, "sysctl", "-qw", "net.ipv4.ip_local_port_range=5000 5100")
        with bound(net, 0) as chosen:
            port = chosen.getsockname()[1]
            assert 5000 <= port <= 5100 < before.getsockname()[1]
            # A port below 32768 is none that the kernel would choose where this test runs.
            assert ports(net, "autobound") == [port]
            assert ports(net, autobound) == [port]


def test_filters_without_names_ask_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> dict[str, int]:
        raise AssertionError("nobody named an interface")

    monkeypatch.setattr("sockwright.sockets.diag.devices.device_indexes", asked)
    list(dump("udp", where="sport > :1 and not dst 10.0.0.0/8 and dev 1"))
    with pytest.raises(AssertionError):
        dump("udp", where="dev lo")

"""Sockets of others are closed: exactly those, and their processes and peers are told."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from tests.sockets.diag.own_network import as_nobody, cookie, own_network

from sockwright.errors import NotPossibleError
from sockwright.sockets.diag.destroy import destroy
from sockwright.sockets.diag.inet import MPTCPSocket
from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.namespace import open_socket
from sockwright.sockets.diag.netlink import SockDiag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.sockets.diag.row import SocketRow

pytestmark = pytest.mark.needs("namespaces", "unshare", "ip")

V4, V6 = socket.AF_INET, socket.AF_INET6
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
LIMIT_S = 10
_IPPROTO_MPTCP = 262


class Network:
    """A network of its own, sockets in it, and what the kernel says of them."""

    def __init__(self, pid: int, end: ExitStack) -> None:
        self.pid = pid
        self._end = end
        self.diag = end.enter_context(SockDiag(namespace=pid))

    def open(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        made = self._end.enter_context(open_socket(self.pid, family, kind, protocol))
        made.settimeout(LIMIT_S)
        return made

    def bound(
        self, family: int, kind: int, port: int = 0, *, shared: bool = False
    ) -> socket.socket:
        made = self.open(family, kind)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("127.0.0.1" if family == V4 else "::1", port))
        return made

    def connected(self, family: int, address: str) -> tuple[socket.socket, socket.socket]:
        """Connect a new socket of `family` to `address`; return it and what accepted it."""
        listener = self.open(family, STREAM)
        listener.bind(("" if family == V4 else "::", 0))
        listener.listen()
        client = self.open(family, STREAM)
        client.connect((address, listener.getsockname()[1]))
        server = self._end.enter_context(listener.accept()[0])
        server.settimeout(LIMIT_S)
        return client, server

    def rows(self, table: str) -> list[SocketRow]:
        return list(dump(table, states="all", namespace=self.pid))

    def row(self, sock: socket.socket, table: str) -> SocketRow:
        (found,) = [one for one in self.rows(table) if one.cookie == cookie(sock)]
        return found


@pytest.fixture
def net() -> Iterator[Network]:
    with ExitStack() as end:
        yield Network(end.enter_context(own_network()), end)


@pytest.mark.parametrize(
    ("family", "address"),
    [(V4, "127.0.0.1"), (V6, "::1"), (V6, "::ffff:127.0.0.1")],
    ids=["IPv4", "IPv6", "IPv4 in IPv6"],
)
def test_the_owner_of_a_connection_is_told_and_its_peer_gets_a_reset(
    net: Network, family: int, address: str
) -> None:
    client, server = net.connected(family, address)
    assert destroy(net.row(client, "tcp"), net.diag)
    with pytest.raises(ConnectionAbortedError):
        client.recv(1)
    with pytest.raises(ConnectionResetError):
        server.recv(1)
    assert client.fileno() >= 0  # the process still holds it
    assert cookie(client) not in {row.cookie for row in net.rows("tcp") if row.state == "ESTAB"}


def test_nothing_else_is_closed(net: Network) -> None:
    client, _ = net.connected(V4, "127.0.0.1")
    other, its_peer = net.connected(V4, "127.0.0.1")
    destroy(net.row(client, "tcp"), net.diag)
    other.send(b"here")
    assert its_peer.recv(10) == b"here"


@pytest.mark.parametrize("family", [V4, V6], ids=["IPv4", "IPv6"])
def test_a_listener_listens_no_more(net: Network, family: int) -> None:
    listener = net.bound(family, STREAM)
    listener.listen()
    assert destroy(net.row(listener, "tcp"), net.diag)
    with pytest.raises(OSError, match="Invalid argument"):
        listener.accept()
    with pytest.raises(ConnectionRefusedError):
        net.open(family, STREAM).connect(listener.getsockname())


@pytest.mark.parametrize("family", [V4, V6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("with_peer", [False, True], ids=["alone", "with a peer"])
def test_a_datagram_socket_loses_its_peer_and_the_port_that_was_chosen_for_it(
    net: Network, family: int, with_peer: bool
) -> None:
    sock = net.bound(family, DATAGRAM)
    if with_peer:
        sock.connect(net.bound(family, DATAGRAM).getsockname())
    assert destroy(net.row(sock, "udp"), net.diag)
    with pytest.raises(ConnectionAbortedError):
        sock.recv(1)
    with pytest.raises(OSError, match="not connected"):
        sock.getpeername()
    assert cookie(sock) not in {row.cookie for row in net.rows("udp")}


@pytest.mark.parametrize("family", [V4, V6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("with_peer", [False, True], ids=["alone", "with a peer"])
def test_a_datagram_socket_with_a_port_of_its_own_choice_goes_on(
    net: Network, family: int, with_peer: bool
) -> None:
    sock = net.bound(family, DATAGRAM, 5353)
    address = sock.getsockname()
    if with_peer:
        sock.connect(net.bound(family, DATAGRAM).getsockname())
    assert not destroy(net.row(sock, "udp"), net.diag)
    with pytest.raises(ConnectionAbortedError):
        sock.recv(1)
    net.open(family, DATAGRAM).sendto(b"as before", address)
    assert sock.recv(20) == b"as before"


def test_a_connection_in_time_wait_is_forgotten(net: Network) -> None:
    client, server = net.connected(V4, "127.0.0.1")
    client.shutdown(socket.SHUT_WR)
    assert server.recv(1) == b""
    server.close()
    assert client.recv(1) == b""
    client.close()
    (waiting,) = [row for row in net.rows("tcp") if row.state == "TIME-WAIT"]
    assert destroy(waiting, net.diag)
    assert waiting not in net.rows("tcp")


def test_a_connection_that_is_not_accepted_is_reset(net: Network) -> None:
    listener = net.bound(V4, STREAM)
    listener.listen()
    client = net.open(V4, STREAM)
    client.connect(listener.getsockname())
    (waiting,) = [
        row for row in net.rows("tcp") if row.state == "ESTAB" and row.cookie != cookie(client)
    ]
    destroy(waiting, net.diag)
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_later_socket_with_the_same_addresses_stays_open(net: Network) -> None:
    first = net.bound(V4, DATAGRAM)
    row = net.row(first, "udp")
    port = first.getsockname()[1]
    first.close()
    second = net.bound(V4, DATAGRAM, port)
    with pytest.raises(FileNotFoundError, match="closed by now"):
        destroy(row, net.diag)
    net.open(V4, DATAGRAM).sendto(b"still here", second.getsockname())
    assert second.recv(20) == b"still here"


def test_listeners_that_share_a_port_are_closed_by_trying_again(net: Network) -> None:
    shared = [net.bound(V4, STREAM, shared=True)]
    port = shared[0].getsockname()[1]
    shared += [net.bound(V4, STREAM, port, shared=True) for _ in range(3)]
    for one in shared:
        one.listen()
    left = net.rows("tcp")
    assert len(left) == len(shared)
    while left:
        closed, left = attempt(left, net.diag)
        assert closed
    assert "LISTEN" not in {row.state for row in net.rows("tcp")}


def test_of_datagram_sockets_that_share_a_port_the_same_one_is_found(net: Network) -> None:
    for _ in range(4):
        net.bound(V4, DATAGRAM, 5353, shared=True)
    first, others = attempt(net.rows("udp"), net.diag)
    again, _ = attempt(net.rows("udp"), net.diag)
    assert first == again
    assert len(first) == 1
    assert len(others) == 3


def attempt(rows: list[SocketRow], diag: SockDiag) -> tuple[list[SocketRow], list[SocketRow]]:
    """Close what is found; return that, and what was not found."""
    closed: list[SocketRow] = []
    not_found: list[SocketRow] = []
    for row in rows:
        try:
            destroy(row, diag)
        except FileNotFoundError:
            not_found.append(row)
        else:
            closed.append(row)
    return closed, not_found


@pytest.mark.parametrize("family", [V4, V6], ids=["IPv4", "IPv6"])
def test_a_raw_socket_is_told_where_the_kernel_lists_them(net: Network, family: int) -> None:
    sock = net.open(family, socket.SOCK_RAW, 253)  # a protocol for experiments, RFC 3692
    (row,) = [one for one in net.rows("raw") if one.inode == os.fstat(sock.fileno()).st_ino]
    if not row.cookie:
        with pytest.raises(NotPossibleError, match="cookie of raw sockets"):
            destroy(row, net.diag)
        return
    assert destroy(row, net.diag)
    with pytest.raises(ConnectionAbortedError):
        sock.recv(1)
    assert row not in net.rows("raw")


def test_a_socket_that_is_merely_bound_is_not_found(net: Network) -> None:
    sock = net.bound(V4, STREAM)
    try:
        row = net.row(sock, "tcp")
    except ValueError:
        pytest.skip("this kernel does not list sockets that are merely bound")
    with pytest.raises(FileNotFoundError, match="neither listens nor is connected"):
        destroy(row, net.diag)


def test_a_listener_of_mptcp_is_not_closed_by_its_tcp_socket(net: Network) -> None:
    try:
        listener = net.open(V4, STREAM, _IPPROTO_MPTCP)
    except OSError as error:
        pytest.skip(f"this kernel has no MPTCP: {error}")
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    (row,) = net.rows("tcp")
    with pytest.raises(OSError, match="MPTCP") as caught:
        destroy(row, net.diag)
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("table", ["unix", "netlink", "packet"])
def test_kinds_that_no_kernel_closes_are_refused(net: Network, table: str) -> None:
    net.open(socket.AF_UNIX, STREAM).bind("\0sockwright/destroy")
    if table == "packet":
        net.open(socket.AF_PACKET, DATAGRAM)
    row = net.rows(table)[0]
    with pytest.raises(NotPossibleError, match=f"closes no {table} sockets"):
        destroy(row, net.diag)


def test_mptcp_is_refused_with_what_to_close_instead(net: Network) -> None:
    with pytest.raises(NotPossibleError, match="subflows are TCP sockets"):
        destroy(MPTCPSocket(bytes(88)), net.diag)


@pytest.mark.parametrize("number", [bytes(8), b"\xff" * 8], ids=["from /proc", "any"])
def test_no_socket_is_closed_without_its_cookie(net: Network, number: bytes) -> None:
    client, server = net.connected(V4, "127.0.0.1")
    row = net.row(client, "tcp")
    octets = bytes(16) + row.message[:44] + number + row.message[52:]
    octets = len(octets).to_bytes(4, "little") + octets[4:]
    with pytest.raises(NotPossibleError, match="cookie"):
        destroy(type(row)(octets), net.diag)
    client.send(b"open")
    assert server.recv(10) == b"open"


def test_without_the_privilege_it_is_refused_with_what_it_takes() -> None:
    said = as_nobody("""
become_nobody()
with socket.socket() as listener, SockDiag() as diag:
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    (row,) = dump("tcp", where=f"state listening src 127.0.0.1:{port}")
    try:
        destroy(row, diag)
    except PermissionError as error:
        print("CAP_NET_ADMIN" in str(error), f"127.0.0.1:{port}" in str(error))
""")
    assert said == "True True"


def test_what_is_no_row_is_not_closed() -> None:
    with (
        SockDiag() as diag,
        socket.socket() as sock,
        pytest.raises(TypeError, match=r"a row of dump\(\), not <socket"),
    ):
        destroy(sock, diag)  # type: ignore[arg-type]

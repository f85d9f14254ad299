"""`lookup` where rows come from /proc, and where the socket is in another network."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from tests.sockets.diag.own_network import own_network

from sockwright.sockets import dump, lookup
from sockwright.sockets.diag import listing
from sockwright.sockets.diag.namespace import open_socket

if TYPE_CHECKING:
    from sockwright.sockets import SockDiag, SocketRow


def _row(sock: socket.socket, table: str, **settings: Any) -> SocketRow:
    inode = os.fstat(sock.fileno()).st_ino
    (found,) = (row for row in dump(table, **settings) if row.inode == inode)
    return found


@pytest.fixture
def _no_sock_diag(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(namespace: object = None) -> SockDiag:
        raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))

    monkeypatch.setattr(listing, "SockDiag", refuse)


@pytest.mark.usefixtures("_no_sock_diag")
@pytest.mark.parametrize(
    ("table", "family", "kind"),
    [
        ("tcp", socket.AF_INET6, socket.SOCK_STREAM),
        ("udp", socket.AF_INET, socket.SOCK_DGRAM),
        ("unix", socket.AF_UNIX, socket.SOCK_STREAM),
        ("packet", socket.AF_PACKET, socket.SOCK_DGRAM),
        ("netlink", socket.AF_NETLINK, socket.SOCK_RAW),
    ],
)
@pytest.mark.needs("root")
def test_a_row_from_proc_is_read_there_again(table: str, family: int, kind: int) -> None:
    with socket.socket(family, kind) as sock:
        if family in {socket.AF_INET, socket.AF_INET6}:
            sock.bind(("", 0))
        if table == "tcp":
            sock.listen()
        if family == socket.AF_NETLINK:
            sock.bind((0, 0))
        row = _row(sock, table)
        assert not row.cookie
        again = lookup(row)
        assert again is not None
        assert (again.inode, again.local, again.state) == (row.inode, row.local, row.state)
    assert lookup(row) is None


@pytest.mark.usefixtures("_no_sock_diag")
def test_a_row_from_proc_is_found_by_its_inode_when_its_peer_has_changed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as sock:
        sock.connect(listener.getsockname())
        row = _row(sock, "tcp")
        accepted, _ = listener.accept()
        accepted.close()
        sock.recv(1)
        again = lookup(row)
        assert again is not None
        assert (row.state, again.state) == ("ESTAB", "CLOSE-WAIT")


@pytest.mark.needs("root", "unshare", "ip")
def test_a_socket_of_another_network_is_looked_up_there() -> None:
    with own_network() as pid, open_socket(pid, socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        row = _row(sock, "tcp", namespace=pid)
        assert lookup(row, namespace=pid) == row
        assert lookup(row) is None

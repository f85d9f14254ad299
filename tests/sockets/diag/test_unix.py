"""Sockets of the Unix domain: what is told of them, and that ss tells the same."""

from __future__ import annotations

import os
import socket
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.netlink import attribute
from sockwright.sockets.diag.unix import UnixSocket, unix_request

if TYPE_CHECKING:
    from tests.sockets.diag.population import Population

pytestmark = pytest.mark.needs("namespaces")


def rows_of(machine: Population, *, memory: bool = False) -> dict[int, UnixSocket]:
    rows = list(dump("unix", memory=memory, namespace=machine.pid))
    return {row.inode: row for row in rows if isinstance(row, UnixSocket)}


def row_of(machine: Population, name: str, *, memory: bool = False) -> UnixSocket:
    return rows_of(machine, memory=memory)[machine.inode(name)]


@pytest.mark.needs("ss")
def test_rows_are_in_every_word_those_of_ss(machine: Population) -> None:
    told = machine.run("ss", "-xnaH").stdout.split()
    words = []
    for row in rows_of(machine).values():
        fields = (row.netid, row.state, row.receive_queue, row.send_queue, row.local, row.peer)
        words += [word for field in fields for word in os.fsencode(str(field)).split()]
    assert words == told


def test_every_socket_that_was_made_is_listed_with_its_type(machine: Population) -> None:
    rows = rows_of(machine)
    made = {name: made.inode for name, made in machine.sockets.items() if name.startswith("unix ")}
    assert set(made.values()) <= set(rows)
    for word in ("stream", "seqpacket"):
        assert rows[made[f"unix {word} pair"]].type == word
    assert rows[made["unix datagram pair"]].type == "dgram"


def test_a_listener_tells_its_backlog_and_who_waits(machine: Population) -> None:
    rows = rows_of(machine)
    listener = rows[machine.inode("unix stream listen")]
    assert (listener.state, listener.receive_queue, listener.send_queue) == ("LISTEN", 2, 5)
    assert set(listener.waiting or ()) == {
        machine.inode(f"unix stream not accepted {number}") for number in range(2)
    }
    assert row_of(machine, "unix abstract").waiting == ()
    assert row_of(machine, "unix closed").waiting is None


def test_the_peer_is_found_by_its_inode(machine: Population) -> None:
    rows = rows_of(machine)
    one, other = (rows[machine.inode(f"unix stream pair{end}")] for end in ("", ", peer"))
    assert (one.peer_inode, other.peer_inode) == (other.inode, one.inode)
    assert other.receive_queue == len(b"12345")
    assert rows[machine.inode("unix closed")].peer_inode is None
    assert rows[machine.inode("unix stream not accepted 0")].peer_inode == 0


def test_an_abstract_name_is_kept_to_the_octet(machine: Population) -> None:
    row = row_of(machine, "unix abstract nasty")
    assert row.name == b"\0a b\0c\x1b]0;title\x07\xff"
    assert row.path == "@a b@c\x1b]0;title\x07\udcff"
    assert row.vfs is None


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("with newline", b"new\nline"),
        ("with spaces", b"a name  with spaces"),
        ("not UTF-8", b"\xff\xfe\xe4"),
        ("long", b"x" * 107),
    ],
)
def test_a_path_may_hold_any_octets(machine: Population, name: str, path: bytes) -> None:
    row = row_of(machine, f"unix {name}")
    assert row.name == path
    assert os.fsencode(row.path) == path


@pytest.mark.needs("root")
def test_device_and_inode_are_those_of_the_file(machine: Population) -> None:
    # In memory, since of an overlay the kernel and stat(2) may name different devices.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder, "socket")
        with machine.inside():
            sock = socket.socket(socket.AF_UNIX)
        with sock:
            sock.bind(os.fspath(path))
            stat = path.stat()
            row = rows_of(machine)[os.fstat(sock.fileno()).st_ino]
    assert row.path == os.fspath(path)
    assert row.vfs == (stat.st_dev, stat.st_ino & 0xFFFFFFFF)
    fields = row.as_dict()
    assert fields["vfs"] == {"device": stat.st_dev, "inode": stat.st_ino & 0xFFFFFFFF}


@pytest.mark.needs("root")
def test_a_direction_that_is_shut_down_is_named(machine: Population) -> None:
    with machine.inside():
        one, other = socket.socketpair()
    with one, other:
        one.shutdown(socket.SHUT_WR)
        rows = rows_of(machine)
        assert rows[os.fstat(one.fileno()).st_ino].shutdown == "send"
        assert rows[os.fstat(other.fileno()).st_ino].shutdown == "receive"
    assert rows[machine.inode("unix stream pair")].shutdown == ""
    assert rows[machine.inode("unix peer is gone")].shutdown == "both"


@pytest.mark.needs("root")
def test_the_user_is_told(machine: Population) -> None:
    rows = rows_of(machine)
    assert rows[machine.inode("unix other user")].uid == 65534
    assert rows[machine.inode("unix closed")].uid == 0


def test_memory_is_told_where_it_is_asked_for(machine: Population) -> None:
    assert row_of(machine, "unix stream pair").memory is None
    row = row_of(machine, "unix stream pair", memory=True)
    assert row.memory is not None
    assert row.memory.wmem_alloc == row.send_queue > 0
    assert row.memory.sndbuf is not None


def test_fields_without_a_value_are_left_out_of_the_dict(machine: Population) -> None:
    fields = row_of(machine, "unix stream listen").as_dict()
    assert fields["protocol"] == "unix"
    assert fields["type"] == "stream"
    assert str(fields["path"]).endswith("/stream")
    assert {"peer_inode", "shutdown", "memory"}.isdisjoint(fields)
    assert {"path", "vfs", "waiting"}.isdisjoint(row_of(machine, "unix closed").as_dict())


def test_a_row_of_an_old_kernel_lacks_the_user() -> None:
    # Before Linux 5.3 there is no UNIX_DIAG_UID. Family, type, state, pad; inode; cookie; a peer.
    body = struct.pack("=BBBBIQ", socket.AF_UNIX, 1, 1, 0, 77, 78) + attribute(2, b"\1\0\0\0")
    row = UnixSocket(struct.pack("=IHHII", 16 + len(body), 20, 2, 0, 0) + body)
    assert (row.uid, row.inode, row.cookie, row.peer_inode) == (None, 77, 78, 1)
    assert (row.receive_queue, row.send_queue, row.path) == (0, 0, "")
    assert "uid" not in row.as_dict()


def test_a_request_for_one_socket_names_its_inode() -> None:
    assert struct.unpack("=BBHIIIQ", unix_request(2, inode=5)) == (1, 0, 0, 2, 5, 0x5F, 2**64 - 1)
    assert unix_request(2, memory=True) != unix_request(2)

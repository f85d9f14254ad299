"""Netlink sockets: what is told of them, and that ss tells the same."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.netlink_table import NetlinkSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sockets.diag.population import Population

pytestmark = pytest.mark.needs("namespaces")

SOL_NETLINK, ADD_MEMBERSHIP, PKTINFO, NO_ENOBUFS, CAP_ACK, EXT_ACK = 270, 1, 3, 5, 10, 11
NETLINK_ROUTE, NETLINK_SOCK_DIAG = 0, 4


def rows_of(machine: Population) -> list[NetlinkSocket]:
    listing = dump("netlink", namespace=machine.pid)
    return [row for row in listing if isinstance(row, NetlinkSocket)]


def row_of(machine: Population, inode: int) -> NetlinkSocket:
    return next(row for row in rows_of(machine) if row.inode == inode)


@pytest.fixture
def sock(machine: Population) -> Iterator[socket.socket]:
    """A netlink socket on the machine."""
    with machine.inside():
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
    with made:
        yield made


def row_of_socket(machine: Population, sock: socket.socket) -> NetlinkSocket:
    return row_of(machine, os.fstat(sock.fileno()).st_ino)


@pytest.mark.needs("ss")
@pytest.mark.parametrize("numeric", [True, False])
def test_rows_are_those_of_ss(machine: Population, numeric: bool) -> None:
    flags = ["-H", "-a", "-f", "netlink", *(["-n"] if numeric else [])]
    lines = machine.run("ss", *flags).stdout.decode().splitlines()
    # The kernel tells ss twice of a socket that is bound and listens to a group. The queues of
    # those that ask are never the same again.
    asking = str(NETLINK_SOCK_DIAG) if numeric else "tcpdiag"
    told = {
        (state, *([] if local.startswith(asking) else queues), local, peer)
        for state, *queues, local, peer in map(str.split, lines)
        if not local.startswith("tcpdiag:ss/")
    }
    rows = rows_of(machine)
    made = {made.inode for made in machine.sockets.values()}
    ours = set()
    for row in rows:
        diag = row.netlink_protocol == NETLINK_SOCK_DIAG
        if diag and not row.is_kernel and row.inode not in made:
            continue  # the one that this test lists with
        queues = [] if diag else [str(row.receive_queue), str(row.send_queue)]
        ours.add((row.state, *queues, row.local if numeric else row.local_named, row.peer))
    assert ours <= told
    # What ss saw besides is its own socket, whose port is its pid.
    assert len(told - ours) <= int(numeric)


def test_the_kernels_own_ends_are_known(machine: Population) -> None:
    kernel = [row for row in rows_of(machine) if row.is_kernel]
    assert {"rtnl", "tcpdiag", "genl"} <= {row.netlink_protocol_name for row in kernel}
    assert {row.local_named for row in kernel if row.netlink_protocol == 0} == {"rtnl:kernel"}


@pytest.mark.needs("root")
def test_groups_are_told_by_their_numbers(machine: Population, sock: socket.socket) -> None:
    assert row_of(machine, machine.inode("netlink route, groups")).groups == (1, 5)
    sock.bind((0, 0))
    assert row_of_socket(machine, sock).groups == ()
    for group in (1, 32, 33):  # the last is beyond what a bind can ask for
        sock.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
    assert row_of_socket(machine, sock).groups == (1, 32, 33)


@pytest.mark.needs("root")
def test_port_and_peer_are_told(machine: Population, sock: socket.socket) -> None:
    sock.bind((4_000_000_001, 0))
    row = row_of_socket(machine, sock)
    assert (row.port_id, row.local, row.peer) == (4_000_000_001, "0:-294967295", "*")
    assert not row.is_connected
    sock.connect((77, 0x8))
    row = row_of_socket(machine, sock)
    assert (row.is_connected, row.peer_port_id, row.peer_group) == (True, 77, 4)
    assert (row.state, row.peer) == ("UNCONN", "4:77")


@pytest.mark.needs("root")
def test_a_port_that_is_no_process_stays_a_number(machine: Population, sock: socket.socket) -> None:
    sock.bind((4_000_000_002, 0))
    assert row_of_socket(machine, sock).local_named == "rtnl:-294967294"


@pytest.mark.needs("root")
def test_flags_are_told_by_name(machine: Population, sock: socket.socket) -> None:
    sock.bind((0, 0))
    assert row_of_socket(machine, sock).flags == ()
    for option in (PKTINFO, NO_ENOBUFS, CAP_ACK, EXT_ACK):
        sock.setsockopt(SOL_NETLINK, option, 1)
    flags = row_of_socket(machine, sock).flags
    assert flags is not None
    assert {"pktinfo", "no_enobufs", "cap_ack"} <= set(flags)


def test_what_waits_to_be_read_is_counted(machine: Population) -> None:
    row = row_of(machine, machine.inode("netlink unread"))
    assert row.memory is not None
    assert row.receive_queue == row.memory.rmem_alloc > 0


def test_the_dict_has_everything_by_its_name(machine: Population) -> None:
    fields = row_of(machine, machine.inode("netlink route, groups")).as_dict()
    assert fields["netlink_protocol"] == NETLINK_ROUTE
    assert fields["netlink_protocol_name"] == "rtnl"
    assert fields["groups"] == [1, 5]
    assert {"uid", "peer_port_id", "rx_ring"}.isdisjoint(fields)

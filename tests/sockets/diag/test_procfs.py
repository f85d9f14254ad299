"""Sockets by /proc: the same, in what /proc has, as sock_diag tells; names that would confuse."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sockwright.errors import NotPossibleError
from sockwright.sockets.diag import procfs
from sockwright.sockets.diag.inet import InetSocket, SCTPSocket
from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.netlink_table import NetlinkSocket
from sockwright.sockets.diag.packet import PacketSocketRow
from sockwright.sockets.diag.procfs import read_proc
from sockwright.sockets.diag.tables import TABLES
from sockwright.sockets.diag.unix import UnixSocket

if TYPE_CHECKING:
    from tests.sockets.diag.population import Population

    from sockwright.sockets.diag.row import SocketRow

pytestmark = pytest.mark.needs("namespaces")

SOCK_DIAG = 4


def rows_of(machine: Population, name: str, family: str) -> list[SocketRow]:
    table = TABLES[name]
    return [table.row(message) for message in read_proc(table, family, machine.pid)]


def inet_fields(row: SocketRow) -> tuple[object, ...]:
    """Return what /proc has as well."""
    assert isinstance(row, InetSocket)
    timer = row.timer
    return (
        row.netid,
        row.family,
        row.state,
        (row.local_address, row.local_port, row.peer_address, row.peer_port),
        row.receive_queue,
        # /proc does not tell how many may wait in the queue of a listener.
        0 if row.protocol == "tcp" and row.state == "LISTEN" else row.send_queue,
        # Of what waits for the third segment /proc counts time-outs, sock_diag every SYN ACK that
        # was sent again, also for a SYN that came again.
        (timer.name, timer.retransmits if row.state != "SYN-RECV" else None) if timer else None,
        row.uid,
        row.inode,
    )


@pytest.mark.parametrize("family", ["inet", "inet6"])
@pytest.mark.parametrize("name", ["tcp", "udp", "udplite", "raw"])
def test_sockets_of_ip_are_those_of_sock_diag(machine: Population, name: str, family: str) -> None:
    def told() -> list[str]:
        rows = list(dump(name, family=family, namespace=machine.pid))
        if name == "tcp":  # what has a port and nothing else is not in /proc
            rows = [row for row in rows if row.state != "UNCONN"]
        return sorted(map(repr, map(inet_fields, rows)))

    # Timers go off meanwhile, so a moment is needed in which none did.
    for _ in range(20):
        before, rows, after = told(), rows_of(machine, name, family), told()
        found = sorted(map(repr, map(inet_fields, rows)))
        if before == found == after:
            break
    assert found == before
    assert rows
    assert {row.cookie for row in rows} == {0}


@pytest.mark.needs("ss")
def test_raw_sockets_are_those_of_ss(machine: Population) -> None:
    told = machine.run("ss", "-wnaH").stdout.decode().splitlines()
    rows = [row for family in ("inet", "inet6") for row in rows_of(machine, "raw", family)]
    words = [
        [row.state, str(row.receive_queue), str(row.send_queue), row.local, row.peer]
        for row in rows
    ]
    assert sorted(line.split() for line in told) == sorted(words)
    assert len(rows) >= 6


def test_raw_sockets_tell_their_protocol_number_and_drops(machine: Population) -> None:
    rows = {row.inode: row for row in rows_of(machine, "raw", "inet")}
    row = rows[machine.inode("raw4 unread")]
    assert isinstance(row, InetSocket)
    assert row.local_port == 254
    assert row.memory is not None
    assert row.memory.rmem_alloc == row.receive_queue > 32
    assert (row.memory.drops, row.memory.rcvbuf) == (0, None)
    icmp = {row.inode: row for row in rows_of(machine, "raw", "inet6")}
    assert icmp[machine.inode("raw6 icmp")].local.endswith(":58")


def test_rows_without_a_cookie_are_all_different(machine: Population) -> None:
    rows, again = (rows_of(machine, "raw", "inet") for _ in range(2))
    assert len(set(rows)) == len(rows) > 1
    assert set(rows) == set(again)


def test_unix_sockets_are_those_of_sock_diag(machine: Population) -> None:
    def fields(row: SocketRow) -> tuple[object, ...]:
        assert isinstance(row, UnixSocket)
        return row.netid, row.state, row.inode, row.path, row.local

    rows = rows_of(machine, "unix", "unix")
    told = list(dump("unix", namespace=machine.pid))
    assert sorted(map(fields, rows)) == sorted(map(fields, told))
    paths = {row.inode: row.path for row in rows if isinstance(row, UnixSocket)}
    assert paths[machine.inode("unix with newline")] == "new\nline"
    assert os.fsencode(paths[machine.inode("unix not UTF-8")]) == b"\xff\xfe\xe4"
    row = next(row for row in rows if row.inode == machine.inode("unix stream listen"))
    assert isinstance(row, UnixSocket)
    assert (row.waiting, row.vfs, row.uid, row.memory, row.peer_inode) == (None,) * 5


def test_names_of_unix_sockets_may_hold_line_ends_and_parts_of_records() -> None:
    names = [
        b"",
        b" leading",
        b"ends with a line end\n",
        b"\n\n",
        b"two\nlines\nand: 00000002 00000000 00010000 0001 01 7",
        b"@abstract\xff\n",
        b"0000000000000000: 00000002",
        b"",
    ]
    record = b"00000000c51761e4: 00000002 00000000 00010000 0001 01 %5d"
    text = b"Num       RefCount Protocol Flags    Type St Inode Path\n"
    for number, name in enumerate(names):
        text += record % (number + 1) + (b" " + name if name else b"") + b"\n"
    rows = [UnixSocket(message) for message in procfs._unix_messages(text)]
    assert [row.inode for row in rows] == list(range(1, len(names) + 1))
    assert [os.fsencode(row.path) for row in rows] == names
    assert {row.state for row in rows} == {"LISTEN"}


def test_packet_sockets_are_those_of_sock_diag(machine: Population) -> None:
    def fields(row: SocketRow) -> tuple[object, ...]:
        assert isinstance(row, PacketSocketRow)
        return row.netid, row.state, row.local, row.peer, row.receive_queue, row.uid, row.inode

    rows = rows_of(machine, "packet", "link")
    told = list(dump("packet", namespace=machine.pid))
    assert sorted(map(fields, rows)) == sorted(map(fields, told))
    row = rows[0]
    assert isinstance(row, PacketSocketRow)
    assert (row.flags, row.fanout, row.rx_ring) == (None, None, None)
    assert {"flags", "version", "copy_thresh"}.isdisjoint(row.as_dict())


def test_netlink_sockets_are_those_of_sock_diag(machine: Population) -> None:
    def fields(row: SocketRow) -> tuple[object, ...]:
        assert isinstance(row, NetlinkSocket)
        return row.local, row.groups, row.receive_queue, row.send_queue, row.inode

    rows = rows_of(machine, "netlink", "netlink")
    told = list(dump("netlink", namespace=machine.pid))
    # Those of sock_diag are at work meanwhile.
    ours, theirs = (
        {fields(row) for row in some if not row.local.startswith(f"{SOCK_DIAG}:")}
        for some in (rows, told)
    )
    assert theirs <= ours
    # /proc has those without a port too.
    assert {row[0] for row in ours - theirs} <= {"0:0", "16:0"}
    assert machine.inode("netlink route, groups") in {row.inode for row in rows}


def test_a_namespace_without_sockets_has_none(machine: Population) -> None:
    assert rows_of(machine, "raw", "inet6") != rows_of(machine, "raw", "inet")
    for row in rows_of(machine, "udp", "inet6"):
        assert row.family == "inet6"


@pytest.mark.parametrize("name", ["mptcp", "vsock"])
def test_what_proc_does_not_list_is_said(machine: Population, name: str) -> None:
    with pytest.raises(NotPossibleError, match=f"lists no {name} sockets"):
        rows_of(machine, name, TABLES[name].families[0])


def test_sctp_sockets_are_those_of_sock_diag(machine: Population) -> None:
    if "sctp" in machine.refused:
        pytest.skip("this kernel has no SCTP")

    def fields(row: SocketRow) -> tuple[object, ...]:
        # Which of its addresses a socket has in `local` differs: sock_diag shows the first even
        # where that is of another family than the socket.
        assert isinstance(row, SCTPSocket)
        ports = row.local_port, row.peer_port
        addresses = sorted(row.local_addresses), sorted(row.peer_addresses)
        # The length that the queue of a listener may have is not in /proc.
        send_queue = 0 if row.state == "LISTEN" else row.send_queue
        queues = row.receive_queue, send_queue
        return row.family, row.state, ports, addresses, queues, row.uid, row.inode

    for family in ("inet", "inet6"):
        rows = rows_of(machine, "sctp", family)
        listing = dump("sctp", family=family, namespace=machine.pid)
        told = [row for row in listing if isinstance(row, SCTPSocket)]
        # /proc has listeners and associations, sock_diag the sockets of associations as well.
        told = [row for row in told if row.state == "LISTEN" or row.peer_addresses]
        assert sorted(map(fields, rows)) == sorted(map(fields, told))
        assert rows


# As net/sctp/proc.c of the kernel prints them; few kernels have SCTP.
ENDPOINTS = (
    b" ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS\n"
    b"ffff9e33 ffff9e34 2   10  29   4000      0 31337 127.0.0.1 127.0.0.2 \n"
    b"ffff9e35 ffff9e36 0   7   29   4001   1000 31338 0000:0000:0000:0000:0000:0000:0000:0001 \n"
)
ASSOCIATIONS = (
    b" ASSOC     SOCK   STY SST ST HBKT ASSOC-ID TX_QUEUE RX_QUEUE UID INODE LPORT RPORT LADDRS "
    b"<-> RADDRS HBINT INS OUTS MAXRT T1X T2X RTXC wmema wmemq sndbuf rcvbuf\n"
    b"ffff9e37 ffff9e38 2   1   3  0       1      200        7       0 31339 4000  51000  "
    b"*127.0.0.1 127.0.0.2 <-> *127.0.0.3 127.0.0.4 \t   30000     1     1   10    0    0        0 "
    b"       1        0   212992   212992\n"
)


def test_sctp_endpoints_and_associations_are_read_from_their_lines() -> None:
    table = TABLES["sctp"]
    messages = procfs._sctp_messages("inet", ENDPOINTS, ASSOCIATIONS)
    endpoint, association = map(table.row, messages)
    assert isinstance(endpoint, SCTPSocket)
    assert isinstance(association, SCTPSocket)
    assert (endpoint.local, association.local) == ("127.0.0.1:4000", "127.0.0.1:4000")
    assert (endpoint.inode, association.inode) == (31337, 31339)
    assert association.peer == "127.0.0.3:51000"
    assert (association.receive_queue, association.send_queue) == (7, 200)
    assert association.local_addresses == ("127.0.0.1", "127.0.0.2")
    assert association.peer_addresses == ("127.0.0.3", "127.0.0.4")
    (row,) = map(table.row, procfs._sctp_messages("inet6", ENDPOINTS, ASSOCIATIONS))
    assert isinstance(row, SCTPSocket)
    assert (row.family, row.uid, row.inode) == ("inet6", 1000, 31338)
    assert (row.local_address, row.local_port) == ("::1", 4001)

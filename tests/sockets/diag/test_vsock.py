"""Sockets of AF_VSOCK: messages in the form of linux/vm_sockets_diag.h, and what a kernel lacks."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.vsock import VSockSocket, vsock_request

if TYPE_CHECKING:
    from tests.sockets.diag.population import Population

ANY = 0xFFFFFFFF


def message(kind: int, state: int, shutdown: int, numbers: tuple[int, ...]) -> bytes:
    """Pack family, type, state, shutdown; cid and port of both; inode and cookie."""
    body = struct.pack("=BBBBIIIIIQ", 40, kind, state, shutdown, *numbers, 555, 666)
    return struct.pack("=IHHII", 16 + len(body), 20, 2, 0, 0) + body


def test_a_connection_tells_both_context_ids_and_ports() -> None:
    row = VSockSocket(message(1, 1, 2, (3, 1024, 2, 22)))
    assert (row.netid, row.type, row.state, row.shutdown) == ("v_str", "stream", "ESTAB", "send")
    assert (row.local, row.peer) == ("3:1024", "2:22")
    assert (row.inode, row.cookie, row.uid) == (555, 666, None)
    fields = row.as_dict()
    assert (fields["local_cid"], fields["peer_port"], fields["shutdown"]) == (3, 22, "send")
    assert "uid" not in fields


def test_a_listener_has_wildcards() -> None:
    row = VSockSocket(message(1, 10, 0, (ANY, 80, ANY, ANY)))
    assert (row.state, row.local, row.peer) == ("LISTEN", "*:80", "*:*")
    assert (row.local_cid, row.peer_cid, row.peer_port) == (None, None, None)
    assert {"local_cid", "peer_cid", "peer_port", "shutdown"}.isdisjoint(row.as_dict())


def test_each_type_has_its_name() -> None:
    rows = [VSockSocket(message(kind, 7, 0, (1, 2, 3, 4))) for kind in (1, 2, 5, 9)]
    assert [row.netid for row in rows] == ["v_str", "v_dgr", "v_seq", "vsock"]
    assert [row.type for row in rows] == ["stream", "dgram", "seqpacket", "9"]


def test_the_request_leaves_zero_what_must_be_zero() -> None:
    assert struct.unpack("=BBHIII8x", vsock_request(1 << 10)) == (40, 0, 0, 1 << 10, 0, 0)


@pytest.mark.needs("namespaces", "ss")
def test_rows_are_in_every_word_those_of_ss(machine: Population) -> None:
    listing = dump("vsock", namespace=machine.pid)
    rows = list(listing)
    told = machine.run("ss", "-H", "-a", "-n", "-f", "vsock").stdout.decode().split()
    words = []
    for row in rows:
        words += [row.netid, row.state, str(row.receive_queue), str(row.send_queue), row.local]
        words.append(row.peer)
    assert words == told
    if "vsock listen" in machine.sockets and not rows:
        assert {remark.kind for remark in listing.remarks} == {"unlisted"}

"""Packet sockets: what is told of them, and that ss tells the same."""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from sockwright.sockets.diag.devices import device_names
from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.packet import PacketSocketRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sockets.diag.population import Population

pytestmark = pytest.mark.needs("namespaces")

SOL_PACKET = 263
ADD_MEMBERSHIP, RX_RING, VERSION, AUXDATA, TX_RING, VNET_HDR, FANOUT = 1, 5, 10, 8, 13, 15, 18
PROMISCUOUS, MULTICAST = 1, 0
SO_ATTACH_FILTER = 26


def rows_of(machine: Population) -> list[PacketSocketRow]:
    listing = dump("packet", namespace=machine.pid)
    return [row for row in listing if isinstance(row, PacketSocketRow)]


def row_of(machine: Population, inode: int) -> PacketSocketRow:
    return next(row for row in rows_of(machine) if row.inode == inode)


@pytest.fixture
def sock(machine: Population) -> Iterator[socket.socket]:
    """A packet socket on the machine, bound to lo."""
    with machine.inside():
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        made.bind(("lo", 0x88B5))
    with made:
        yield made


def row_of_socket(machine: Population, sock: socket.socket) -> PacketSocketRow:
    return row_of(machine, os.fstat(sock.fileno()).st_ino)


@pytest.mark.needs("ss")
@pytest.mark.parametrize("numeric", [True, False])
def test_rows_are_in_every_word_those_of_ss(machine: Population, numeric: bool) -> None:
    told = machine.run("ss", "-0anH" if numeric else "-0aH").stdout.decode().split()
    devices = device_names(machine.pid)
    words = []
    for row in rows_of(machine):
        device = devices.get(row.interface, "")
        local = row.local_on(device, numeric=numeric)
        words += [row.netid, row.state, str(row.receive_queue), str(row.send_queue), local]
        words.append(row.peer)
    assert words == told


def test_a_socket_tells_its_ethertype_and_interface(machine: Population) -> None:
    row = row_of(machine, machine.inode("packet datagram ip"))
    assert (row.type, row.ethernet_protocol, row.ethernet_protocol_name) == ("dgram", 0x0800, "ip")
    assert row.interface == 1
    assert (row.local, row.local_on("lo")) == ("[2048]:if1", "[2048]:lo")
    assert row.local_on("lo", numeric=False) == "ip:lo"
    every = row_of(machine, machine.inode("packet raw all"))
    assert (every.type, every.ethernet_protocol_name) == ("raw", "*")
    assert row_of(machine, machine.inode("packet unbound")).flags == ()


def test_what_waits_to_be_read_is_counted(machine: Population) -> None:
    row = row_of(machine, machine.inode("packet unread"))
    assert row.memory is not None
    assert row.receive_queue == row.memory.rmem_alloc > 64


@pytest.mark.needs("root")
def test_rings_and_settings_are_told(machine: Population, sock: socket.socket) -> None:
    plain = row_of_socket(machine, sock)
    assert plain.rx_ring is None
    assert plain.tx_ring is None
    assert plain.fanout is None
    assert plain.flags == ("running",)
    sock.setsockopt(SOL_PACKET, AUXDATA, 1)
    sock.setsockopt(SOL_PACKET, VERSION, 2)  # TPACKET_V3
    sock.setsockopt(SOL_PACKET, RX_RING, struct.pack("=7I", 8192, 4, 2048, 16, 60, 32, 1))
    row = row_of_socket(machine, sock)
    assert row.flags == ("running", "auxdata")
    assert row.info is not None
    assert row.info.version == 2
    assert row.rx_ring is not None
    assert row.rx_ring.as_dict() == {
        "block_size": 8192,
        "block_nr": 4,
        "frame_size": 2048,
        "frame_nr": 16,
        "retire_tmo_ms": 60,
        "sizeof_priv": 32,
        "features": 1,
    }


@pytest.mark.needs("root")
def test_a_ring_to_send_by_is_told(machine: Population, sock: socket.socket) -> None:
    sock.setsockopt(SOL_PACKET, TX_RING, struct.pack("=4I", 4096, 2, 2048, 4))
    row = row_of_socket(machine, sock)
    assert row.rx_ring is None
    assert row.tx_ring is not None
    assert (row.tx_ring.block_size, row.tx_ring.frame_nr) == (4096, 4)


@pytest.mark.needs("root")
def test_memberships_are_told(machine: Population, sock: socket.socket) -> None:
    group = bytes.fromhex("01005e0000fb")
    for kind, address in ((PROMISCUOUS, b""), (MULTICAST, group), (MULTICAST, group)):
        request = struct.pack("=iHH8s", 1, kind, len(address), address)
        sock.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, request)
    row = row_of_socket(machine, sock)
    assert row.is_promiscuous
    told = {(one.kind, one.interface, one.count, one.address) for one in row.memberships}
    # The length of a promiscuous "address" is what the caller gave, here none.
    assert told == {("promiscuous", 1, 1, ""), ("multicast", 1, 2, "01:00:5e:00:00:fb")}
    assert {"interface": 1, "kind": "promiscuous", "count": 1} in [
        one.as_dict() for one in row.memberships
    ]


def test_a_fanout_group_is_told(machine: Population) -> None:
    row = row_of(machine, machine.inode("packet fanout 0"))
    assert row.fanout is not None
    assert row.fanout.as_dict() == {"id": 42, "kind": "hash"}


def test_a_filter_is_told_as_its_instructions(machine: Population) -> None:
    row = row_of(machine, machine.inode("packet raw all"))
    assert row.filter_program == struct.pack("=HBBI", 0x06, 0, 0, 0)  # ret #0
    assert row.filter_instructions == 1


def test_the_dict_has_everything_by_its_name(machine: Population) -> None:
    fields = row_of(machine, machine.inode("packet fanout 1")).as_dict()
    assert fields["protocol"] == "packet"
    assert fields["uid"] == 0
    assert fields["flags"] == ["running"]
    assert fields["filter_instructions"] == 1
    assert fields["version"] == 0
    assert {"rx_ring", "tx_ring", "memberships"}.isdisjoint(fields)
    assert "filter_instructions" not in row_of(machine, machine.inode("packet unbound")).as_dict()

"""Packets in batches: what arrives, and which packet an error belongs to."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import nothing_left_open
from tests.open_files import open_descriptors

from sockwright.lab import Lab
from sockwright.scan.sending.packet_batch import PacketBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOCKADDR_IN = struct.Struct("=HH4s8x")


def _address(port: int, address: str = "127.0.0.1") -> bytes:
    return _SOCKADDR_IN.pack(socket.AF_INET, socket.htons(port), socket.inet_aton(address))


def _receiver() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(5)
    return sock


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    """A socket that sends datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


def test_one_call_sends_every_packet_to_its_own_address_with_its_own_octets(
    sender: socket.socket,
) -> None:
    receivers = [_receiver() for _ in range(7)]
    batch = PacketBatch(100, 8, 16)
    for slot in range(100):
        port = receivers[slot % 7].getsockname()[1]
        batch.octets[slot * 8 : slot * 8 + 8] = struct.pack("!Q", slot)
        batch.addresses[slot * 16 : slot * 16 + 16] = _address(port)
    assert batch.send(sender.fileno(), 0, 100) == (100, 0)
    for at, receiver in enumerate(receivers):
        with receiver:
            expected = list(range(at, 100, 7))
            assert [struct.unpack("!Q", receiver.recv(99))[0] for _ in expected] == expected


def test_a_part_of_the_batch_is_sent_by_where_it_begins(sender: socket.socket) -> None:
    with _receiver() as receiver:
        batch = PacketBatch(6, 1, 16)
        batch.address_all(_address(receiver.getsockname()[1]))
        batch.octets[:] = b"abcdef"
        assert batch.send(sender.fileno(), 2, 3) == (3, 0)
        assert [receiver.recv(9) for _ in range(3)] == [b"c", b"d", b"e"]
        receiver.setblocking(False)
        with pytest.raises(BlockingIOError):
            receiver.recv(9)


def test_an_error_belongs_to_the_packet_behind_those_that_went(sender: socket.socket) -> None:
    with _receiver() as receiver:
        batch = PacketBatch(3, 1, 16)
        batch.address_all(_address(receiver.getsockname()[1]))
        batch.addresses[16:32] = _address(0)
        assert batch.send(sender.fileno(), 0, 3) == (1, 0)
        assert batch.send(sender.fileno(), 1, 2) == (0, errno.EINVAL)
        assert batch.send(sender.fileno(), 2, 1) == (1, 0)


def test_a_full_socket_says_so_at_once() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        batch = PacketBatch(4096, 8, 0)
        sent, number = batch.send(ours.fileno(), 0, 1024)
        while not number and sent:
            more, number = batch.send(ours.fileno(), 0, 1024)
            sent += more
        assert number == errno.EAGAIN
        assert sent > 0


def test_a_descriptor_that_is_closed_is_an_errno_and_no_exception() -> None:
    assert PacketBatch(1, 1, 16).send(10**6, 0, 1) == (0, errno.EBADF)


def _past_a_firewall(receiving: int) -> tuple[list[tuple[int, int]], list[bytes], int]:
    """Send ten packets, of which the firewall refuses those to one port."""
    with _receiver() as receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        batch = PacketBatch(10, 1, 16)
        batch.address_all(_address(receiver.getsockname()[1]))
        batch.octets[:] = bytes(range(10))
        batch.addresses[4 * 16 : 5 * 16] = _address(receiving)
        at, told = 0, []
        before = open_descriptors()
        while at < 10:
            sent, number = batch.send(sender.fileno(), at, 10 - at)
            told.append((sent, number))
            at += sent + bool(number)
        got = [receiver.recv(9) for _ in range(9)]
        return told, got, len(open_descriptors() - before)


@pytest.mark.needs("namespaces", "nft")
def test_a_packet_that_the_firewall_refuses_is_named_and_the_others_go() -> None:
    with Lab() as lab:
        (host,) = lab.hosts("sender")
        rules = (
            "table inet refusing { chain out { type filter hook output priority 0;"
            " udp dport 9 drop\n}\n}\n"
        )
        host.run(["nft", "-f", "-"], input=rules, check=True)
        told, got, leaked = host.call(_past_a_firewall, 9)
    assert told == [(4, 0), (0, errno.EPERM), (5, 0)]
    assert got == [bytes([number]) for number in range(10) if number != 4]
    assert not leaked


def test_batches_leave_no_memory_and_no_descriptors_behind() -> None:
    with nothing_left_open():
        for _ in range(50):
            batch = PacketBatch(1024, 2048, 16)
            del batch
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            first = int(file.read().split()[1])
        for _ in range(200):
            batch = PacketBatch(1024, 2048, 16)
            del batch
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        last = int(file.read().split()[1])
    assert (last - first) * os.sysconf("SC_PAGE_SIZE") < 20 << 20  # of 400 MB

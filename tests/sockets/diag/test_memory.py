"""`SocketMemory` tells what buffers hold, may hold and have dropped."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from sockwright.sockets.diag.inet import UDPSocket
from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.structures.memory import SocketMemory

if TYPE_CHECKING:
    from collections.abc import Iterator

MANY = 50  # datagrams, of which few fit


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.bind(("127.0.0.1", 0))
        yield sock


def memory_of(sock: socket.socket) -> SocketMemory:
    port = sock.getsockname()[1]
    (row,) = (one for one in dump("udp", memory=True) if isinstance(one, UDPSocket)
              and one.local_port == port and one.local_address == "127.0.0.1")  # fmt: skip
    assert row.memory is not None
    return row.memory


def test_datagrams_that_find_no_room_are_counted(receiver: socket.socket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(MANY):
            sender.sendto(bytes(1000), receiver.getsockname())
    memory = memory_of(receiver)
    assert memory.rcvbuf == receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    held = 0
    receiver.setblocking(False)
    while held < MANY:
        try:
            receiver.recv(1000)
        except BlockingIOError:
            break
        held += 1
    assert memory.drops == MANY - held
    assert memory.rmem_alloc > held * 1000
    assert memory_of(receiver).rmem_alloc < memory.rmem_alloc


def test_as_dict_has_the_names_of_the_kernel(receiver: socket.socket) -> None:
    assert list(memory_of(receiver).as_dict()) == [
        "rmem_alloc", "rcvbuf", "wmem_alloc", "sndbuf", "fwd_alloc", "wmem_queued", "optmem",
        "backlog", "drops",
    ]  # fmt: skip


def test_an_older_kernel_tells_four_numbers_and_no_limits() -> None:
    memory = SocketMemory.from_meminfo(struct.pack("=4I", 1, 2, 3, 4))
    assert memory.as_dict() == {
        "rmem_alloc": 1, "wmem_queued": 2, "fwd_alloc": 3, "wmem_alloc": 4,
    }  # fmt: skip
    assert (memory.rcvbuf, memory.drops) == (None, None)


def test_a_kernel_that_does_not_count_drops_leaves_them_out() -> None:
    memory = SocketMemory(struct.pack("=8I", *range(8)))
    assert memory.backlog == 7
    assert memory.drops is None

"""Requests of sock_diag and their answers."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.open_files import open_files
from tests.sockets.diag.kernel_voice import answering, datagrams_of, done, with_flag

from sockwright.sockets.diag.inet import inet_request
from sockwright.sockets.diag.netlink import (
    BY_FAMILY,
    HEADER,
    DumpInterrupted,
    SockDiag,
    attribute,
    attributes,
    message_offsets,
)
from sockwright.sockets.diag.states import ALL
from sockwright.sockets.diag.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

_TCP = inet_request(socket.AF_INET, socket.IPPROTO_TCP, ALL)
_NOBODYS_PROTOCOL = inet_request(socket.AF_INET, 200, ALL)
_SOL_NETLINK, _ADD_MEMBERSHIP, _DROP_MEMBERSHIP = 270, 1, 2


@pytest.fixture
def few_listeners() -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_server((address, 0), family=family))
            for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
            for _ in range(3)
        ]


def _messages() -> bytes:
    """Return a datagram of messages, as this kernel answers, without the end of the dump."""
    datagram = datagrams_of(_TCP, BY_FAMILY)[0]
    last = _walk(datagram)[-1]
    return datagram[: last + datagram[last]]


def _walk(datagram: bytes) -> list[int]:
    found, at = [], 0
    while at < len(datagram) and struct.unpack_from("=H", datagram, at + 4)[0] == BY_FAMILY:
        found.append(at)
        at += struct.unpack_from("=I", datagram, at)[0] + 3 & ~3
    return found


@pytest.mark.parametrize("name", ["tcp", "udp", "unix", "packet", "netlink"])
def test_messages_are_found_where_their_lengths_say(
    name: str, few_listeners: list[socket.socket]
) -> None:
    one, two = socket.socketpair()
    with SockDiag() as diag, one, two:
        for family in TABLES[name].families:
            for datagram, offsets in diag.dump(TABLES[name].request(family, ALL)):
                assert list(offsets) == _walk(datagram) == list(message_offsets(datagram))
                assert offsets


def test_messages_of_one_size_need_no_step_each_and_of_many_sizes_are_walked() -> None:
    def message(size: int, kind: int = BY_FAMILY) -> bytes:
        return HEADER.pack(size, kind, 2, 1, 7) + bytes(range(size - HEADER.size))

    alike = message(124) * 5
    assert message_offsets(alike) == range(0, 620, 124)
    assert message_offsets(alike + done()) == [0, 124, 248, 372, 496]
    assert message_offsets(message(124) + message(132) + message(124)) == [0, 124, 256]
    # One size divides the length, but the messages are not of that size.
    assert message_offsets(message(100) + message(48) + message(52)) == [0, 100, 148]
    assert message_offsets(done()) == ()


def test_a_message_without_a_length_is_no_endless_loop() -> None:
    broken = HEADER.pack(0, BY_FAMILY, 2, 1, 7) * 3 + bytes(4)
    assert len(message_offsets(broken)) <= 4


def test_what_the_kernel_cannot_list_is_an_error_and_the_socket_is_good_for_more(
    few_listeners: list[socket.socket],
) -> None:
    with SockDiag() as diag:
        for _ in range(3):
            with pytest.raises(OSError, match="No such file") as caught:
                diag.dump(_NOBODYS_PROTOCOL)
            assert caught.value.errno == errno.ENOENT
        assert diag.dump(_TCP)


def test_an_error_inside_the_end_of_a_dump_is_raised() -> None:
    with answering([done(errno.ENOENT)]) as diag, pytest.raises(FileNotFoundError):
        diag.dump(_TCP)


def test_one_socket_is_asked_for_and_one_that_is_gone_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, SockDiag() as diag:
        request = _request_for(listener)
        told = diag.ask(BY_FAMILY, request)
        assert len(told) == struct.unpack_from("=I", told)[0]
        assert struct.unpack_from(">H", told, 20)[0] == listener.getsockname()[1]
        listener.close()
        with pytest.raises(FileNotFoundError):
            diag.ask(BY_FAMILY, request)


def _request_for(listener: socket.socket) -> bytes:
    address, port = listener.getsockname()
    sockid = struct.pack(">HH4s12x16x", port, 0, socket.inet_aton(address))
    return _TCP[:8] + sockid + bytes(4) + b"\xff" * 8


# No kernel says on demand that its tables changed under a dump: here a thread repeats what this
# kernel answered, to the octet, but with NLM_F_DUMP_INTR on one message.
@pytest.mark.parametrize("which", [0, 1, -1])
def test_an_interruption_is_seen_on_any_message_of_a_datagram(
    which: int, few_listeners: list[socket.socket]
) -> None:
    datagram = _messages()
    marked = with_flag(datagram, _walk(datagram)[which])
    with answering([datagram, marked, done()], [datagram, done()]) as diag:
        with pytest.raises(DumpInterrupted) as caught:
            diag.dump(_TCP)
        assert [len(offsets) for _, offsets in caught.value.datagrams] == [len(_walk(datagram))] * 2
        assert len(diag.dump(_TCP)) == 1


@pytest.mark.parametrize("apart", [True, False], ids=["apart", "behind the last message"])
def test_an_interruption_is_seen_on_the_end_of_a_dump(
    apart: bool, few_listeners: list[socket.socket]
) -> None:
    datagram = _messages()
    end = done(flags=2 | 0x10)
    with (
        answering([datagram, end] if apart else [datagram + end]) as diag,
        pytest.raises(DumpInterrupted) as caught,
    ):
        diag.dump(_TCP)
    assert len(caught.value.datagrams) == 1


def test_an_answer_to_an_earlier_request_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, SockDiag() as diag:
        request = _request_for(listener)
        earlier = HEADER.pack(HEADER.size + len(request), BY_FAMILY, 1, 77, 0) + request
        diag.socket.send(earlier)
        assert len(diag.ask(BY_FAMILY, request)) > 88
        diag.socket.send(earlier)
        sequences = {
            struct.unpack_from("=I", datagram, at + 8)[0]
            for datagram, offsets in diag.dump(_TCP)
            for at in offsets
        }
        assert sequences == {2}


def test_a_kernel_that_never_answers_is_a_time_out() -> None:
    with answering([]) as diag:
        limit = struct.pack("@ll", 0, 20_000)
        diag.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        with pytest.raises(TimeoutError, match="the kernel did not answer"):
            diag.dump(_TCP)


def test_every_socket_of_sock_diag_has_a_limit_of_time() -> None:
    with SockDiag() as diag:
        seconds, _ = struct.unpack(
            "@ll", diag.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)
        )
        assert seconds == 10
        assert not os.get_inheritable(diag.socket.fileno())


@pytest.mark.needs("root")  # takes events of sockets that end, to fill the buffer with
def test_lost_datagrams_make_a_dump_uneven_and_a_later_one_is_whole_again() -> None:
    with SockDiag() as diag:
        diag.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        diag.socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, 1)
        _end_connections(100)
        _until_dropped(diag)  # the kernel tells of ends in its own time
        diag.socket.setsockopt(_SOL_NETLINK, _DROP_MEMBERSHIP, 1)
        uneven = 0
        while True:
            try:
                diag.dump(_TCP)
                break
            except DumpInterrupted:
                uneven += 1
        assert uneven in {1, 2}


def _until_dropped(diag: SockDiag) -> None:
    """Return when the kernel had no room for something that this socket was to receive."""
    inode = os.fstat(diag.socket.fileno()).st_ino
    end = time.monotonic() + 20
    while True:
        lines = Path("/proc/thread-self/net/netlink").read_text().splitlines()[1:]
        if any(int(line.split()[9]) == inode and int(line.split()[8]) for line in lines):
            return
        assert time.monotonic() < end


def _end_connections(count: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(count):
            with socket.create_connection(listener.getsockname()) as ours:
                accepted, _ = listener.accept()
                linger = struct.pack("ii", 1, 0)
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                accepted.close()


def test_no_descriptor_is_left_open() -> None:
    before = open_files()
    with SockDiag() as diag:
        diag.dump(_TCP)
        with pytest.raises(OSError, match="No such file"):
            diag.dump(_NOBODYS_PROTOCOL)
    diag.close()
    assert open_files() <= before


def test_attributes_are_read_as_they_are_written() -> None:
    octets = attribute(1, b"abc") + attribute(0x8000 | 2, b"") + attribute(300, bytes(9))
    assert attributes(octets, 0, len(octets)) == {1: b"abc", 2: b"", 300: bytes(9)}
    assert attributes(octets, 0, len(octets) - 1) == {1: b"abc", 2: b"", 300: bytes(9)}
    assert attributes(bytes(6), 0, 6) == {0: b""}

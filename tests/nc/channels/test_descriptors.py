"""Descriptors that are not ours alone: nobody else's are changed, and nothing waits for them."""

from __future__ import annotations

import os
import pty
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import Bench, descriptors, nothing_left_open
from tests.nc.peers import SW

from sockwright.nc.channels.descriptors import (
    DescriptorChannel,
    SinkChannel,
    file_channel,
    sink_channel,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.nc.peers import Peers


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Open a loop; see that nothing is left of what was opened."""
    with nothing_left_open(), Bench() as one:
        yield one


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Open a pipe."""
    ends = os.pipe()
    yield ends
    for descriptor in ends:
        os.close(descriptor)


def received(channel: DescriptorChannel, size: int = 100) -> bytes | None:
    """Receive what is there; None: nothing."""
    buffer = memoryview(bytearray(size))
    count = channel.receive_into(buffer)
    return None if count is None else bytes(buffer[:count])


# -- what others share with us ---------------------------------------------------------------------


def test_a_pipe_stays_as_it_is_for_others(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    channel = DescriptorChannel(reading, writing, "pipe")
    assert received(channel) is None
    assert channel.send(memoryview(b"hello")) == 5
    assert received(channel) == b"hello"
    assert os.get_blocking(reading)
    assert os.get_blocking(writing)
    channel.close()
    os.write(writing, b"still open")
    assert os.read(reading, 100) == b"still open"


def test_a_socket_stays_as_it_is_for_others() -> None:
    one, two = socket.socketpair()
    with one, two:
        channel = DescriptorChannel(one.fileno(), one.fileno(), "socket")
        assert received(channel) is None
        two.sendall(b"hello")
        assert received(channel) == b"hello"
        while channel.send(memoryview(bytes(1 << 20))):
            pass
        assert os.get_blocking(one.fileno())
        assert (channel.source, channel.sink) == (-1, -1)  # splice(2) would wait for it
        channel.close()


def test_a_terminal_stays_as_it_is_for_others() -> None:
    master, terminal = pty.openpty()
    channel = DescriptorChannel(terminal, terminal, "terminal")
    assert received(channel) is None
    assert channel.terminal
    assert channel.sink == -1
    assert os.get_blocking(terminal)
    channel.send_eof()  # nobody waits for that at a terminal
    assert channel.send(memoryview(b"hello")) == 5
    assert os.read(master, 100) == b"hello"
    os.close(master)
    assert received(channel) == b""  # it hung up
    channel.close()
    os.close(terminal)


def test_standard_input_of_a_shell_stays_as_it_is(peers: Peers) -> None:
    """The program after ours reads from the same pipe, and finds it waiting."""
    script = f'echo one | {{ {SW} nc -q 0 -w 5 "$@"; exec {sys.executable} -c "$ask"; }}'
    ask = "import os; print(os.get_blocking(0), os.get_blocking(1))"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        port = str(server.getsockname()[1])
        shell = peers.run(["sh", "-c", script, "sh", "127.0.0.1", port], environment={"ask": ask})
        client, _ = server.accept()
        with client:
            client.settimeout(10)
            assert client.recv(100) == b"one\n"
    _, output, _ = shell.finish()
    assert output == b"True True\n"


# -- what cannot be opened again -------------------------------------------------------------------


def test_what_cannot_be_opened_again_is_asked_before_it_is_read(bench: Bench) -> None:
    counter = os.eventfd(0)  # open(2) through /proc: ENXIO
    channel = DescriptorChannel(counter, -1, "counter")
    told: list[bool] = []
    channel.attach(bench.loop, lambda: told.append(True), lambda: None)
    assert received(channel) is None
    assert channel.source == -1
    os.eventfd_write(counter, 7)
    bench.until(lambda: told)
    assert received(channel) == struct.pack("Q", 7)
    assert received(channel) is None
    channel.close()
    os.close(counter)


@pytest.mark.needs("root")
def test_another_user_s_pipe_keeps_nobody_waiting(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.seteuid(65534)
    try:
        channel = DescriptorChannel(reading, writing, "pipe")
    finally:
        os.seteuid(0)
    assert (channel.source, channel.sink) == (-1, -1)
    assert received(channel) is None
    sent = 0
    while count := channel.send(memoryview(bytes(100_000))):
        sent += count
    assert sent == 65536
    got = 0
    while octets := received(channel, 10_000):
        got += len(octets)
    assert got == sent
    assert os.get_blocking(reading)
    channel.close()


# -- full, ended, closed ---------------------------------------------------------------------------


def test_a_full_pipe_takes_nothing_and_tells_when_it_does_again(
    bench: Bench, pipe: tuple[int, int]
) -> None:
    reading, writing = pipe
    channel = DescriptorChannel(-1, writing, "standard output")
    bench.callback(channel.close)
    told: list[bool] = []
    channel.attach(bench.loop, lambda: None, lambda: told.append(True))
    sent = 0
    while count := channel.send(memoryview(bytes(100_000))):
        sent += count
    bench.spend(0.01)
    told.clear()
    bench.spend(0.01)
    assert not told
    left = sent
    while left:
        left -= len(os.read(reading, left))
    bench.until(lambda: told)
    assert channel.send(memoryview(b"x")) == 1


def test_the_end_of_the_output_reaches_its_reader(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    before = descriptors()
    channel = DescriptorChannel(-1, writing, "standard output")
    channel.send(memoryview(b"all"))
    channel.send_eof()
    channel.send_eof()
    assert os.read(reading, 100) == b"all"
    assert os.read(reading, 100) == b""
    assert channel.send(memoryview(b"late")) == 4  # dropped
    channel.close()
    assert descriptors() == before
    assert Path(f"/proc/self/fd/{writing}").readlink() == Path("/dev/null")


def test_the_end_of_a_file_is_no_end_for_others(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    channel = DescriptorChannel(-1, descriptor, "standard output")
    channel.send(memoryview(b"one"))
    channel.send_eof()
    channel.close()
    os.write(descriptor, b" two")
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"one two"


def test_the_end_reaches_a_socket_whose_peer_is_gone() -> None:
    one, two = socket.socketpair()
    with one:
        two.close()
        channel = DescriptorChannel(-1, one.fileno(), "standard output")
        channel.send_eof()
        channel.close()


def test_where_there_is_nothing_to_read_or_to_write_nothing_comes_and_all_is_taken() -> None:
    channel = DescriptorChannel(-1, -1, "nothing")
    assert not channel.gives
    assert received(channel) is None
    assert channel.send(memoryview(b"x")) == 1
    channel.send_eof()
    channel.close()


def test_a_closed_descriptor_is_an_error_that_leaves_nothing_open(pipe: tuple[int, int]) -> None:
    closed = 9999  # far from those that are given next
    before = descriptors()
    with pytest.raises(OSError, match="Bad file descriptor"):
        DescriptorChannel(pipe[0], closed, "standard input and output")
    assert descriptors() == before


def test_a_channel_that_owns_its_descriptors_closes_them_once() -> None:
    before = descriptors()
    reading, writing = os.pipe()
    channel = DescriptorChannel(reading, writing, "pipe", owns=True)
    channel.send_eof()
    assert received(channel) == b""
    channel.close()
    again = os.open("/dev/null", os.O_RDONLY)
    channel.close()
    os.fstat(again)
    os.close(again)
    assert descriptors() == before


def test_a_sink_ends_when_it_was_told_that_nothing_more_comes(bench: Bench, tmp_path: Path) -> None:
    sink = sink_channel(str(tmp_path / "file"))
    assert isinstance(sink, SinkChannel)
    bench.callback(sink.close)
    told: list[bool] = []
    sink.attach(bench.loop, lambda: told.append(True), lambda: None)
    assert received(sink) is None
    sink.send(memoryview(b"hello"))
    sink.send_eof()
    bench.until(lambda: told)
    assert received(sink) == b""
    assert (tmp_path / "file").read_bytes() == b"hello"


def test_a_file_is_read_from_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"header body")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    os.lseek(descriptor, 7, os.SEEK_SET)
    channel = DescriptorChannel(descriptor, -1, "standard input")
    assert received(channel) == b"body"
    channel.close()
    os.close(descriptor)


def test_a_device_is_read_and_written() -> None:
    before = descriptors()
    channel = file_channel("/dev/zero", reads=True, writes=True)
    assert received(channel, 5) == bytes(5)
    assert channel.send(memoryview(b"x")) == 1
    channel.close()
    assert descriptors() == before


def test_a_terminal_at_the_input_and_a_pipe_at_the_output_are_told_apart(
    pipe: tuple[int, int],
) -> None:
    master, terminal = pty.openpty()
    channel = DescriptorChannel(terminal, pipe[1], "standard input and output")
    assert channel.terminal
    assert channel.sink >= 0
    channel.close()
    os.close(master)
    os.close(terminal)


def test_a_descriptor_of_ours_goes_to_no_program(pipe: tuple[int, int]) -> None:
    channel = DescriptorChannel(pipe[0], pipe[1], "pipe")
    sink = sink_channel("/dev/null")
    ours = [channel.source, channel.sink, sink.sink]
    assert not any(map(os.get_inheritable, ours))
    assert not {*ours} & {*pipe}
    channel.close()
    sink.close()

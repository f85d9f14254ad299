"""One direction of a session: every octet in its order, memory bounded, the kernel's help taken."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import PATIENCE_S, Bench, noise, nothing_left_open

from sockwright.nc.channels.channel import Channel, SocketChannel
from sockwright.nc.channels.descriptors import DescriptorChannel, file_channel, sink_channel
from sockwright.nc.engine.flow import Flow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sockwright.nc.engine.loop import Loop

_MUCH = noise(6 << 20)


class Owner:
    """Hears how flows ended."""

    def __init__(self) -> None:
        self.ended: list[Flow] = []
        self.failed: list[tuple[Channel, Exception, int]] = []

    def flow_ended(self, flow: Flow) -> None:
        self.ended.append(flow)

    def flow_failed(self, flow: Flow, channel: Channel, error: Exception) -> None:
        self.failed.append((channel, error, flow.waiting))
        flow.stop()


class Narrow(Channel):
    """Takes so many octets, and no more until it is told to."""

    def __init__(self, room: int = 0) -> None:
        super().__init__("narrow")
        self.taken = bytearray()
        self.left = room
        self.asked = 0

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        pass

    def receive_into(self, buffer: memoryview) -> int | None:
        return None

    def send(self, octets: memoryview) -> int:
        self.asked += 1
        count = min(self.left, len(octets))
        self.taken += octets[:count]
        self.left -= count
        return count

    def send_eof(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Open a loop; see that no descriptor is left."""
    with nothing_left_open(), Bench() as one:
        yield one
        loop = one.loop
    assert (loop.kept, loop.pipes) == (0, 0)


@pytest.fixture
def endless(bench: Bench) -> Channel:
    """Open what always has octets."""
    channel = file_channel("/dev/zero", reads=True, writes=False)
    bench.callback(channel.close)
    return channel


def begin(bench: Bench, source: Channel, sink: Channel) -> tuple[Flow, Owner]:
    owner = Owner()
    flow = Flow(bench.loop, source, sink, owner)
    bench.callback(flow.stop)
    source.attach(bench.loop, flow.pump, lambda: None)
    sink.attach(bench.loop, lambda: None, flow.pump)
    bench.callback(source.close)
    bench.callback(sink.close)
    flow.pump()
    return flow, owner


class End:
    """One end of what octets can go through: ours is a channel, the other is the test's."""

    def __init__(self, bench: Bench, kind: str, folder: Path) -> None:
        self.kind = kind
        self.path = folder / f"{kind}{id(self)}"
        self.descriptor = -1
        if kind == "socket":
            ours, theirs = bench.pair(tcp=True)
            self.given = self.taken = SocketChannel(ours, "peer")
            self.sock = theirs
        self._bench = bench

    def source(self) -> Channel:
        if self.kind == "socket":
            return self.given
        if self.kind == "file":
            self.path.write_bytes(_MUCH)
            return file_channel(str(self.path), reads=True, writes=False)
        reading, self.descriptor = os.pipe()
        return DescriptorChannel(reading, -1, "pipe", owns=True)

    def sink(self) -> Channel:
        if self.kind == "socket":
            return self.taken
        if self.kind == "file":
            return sink_channel(str(self.path))
        self.descriptor, writing = os.pipe()
        self._bench.callback(os.close, self.descriptor)
        return DescriptorChannel(-1, writing, "pipe", owns=True)

    def feed(self) -> None:
        if self.kind == "socket":
            self.sock.sendall(_MUCH)
            self.sock.shutdown(socket.SHUT_WR)
        elif self.kind == "pipe":
            with open(self.descriptor, "wb", 0) as pipe:  # noqa: PTH123  # a descriptor
                view = memoryview(_MUCH)
                while view:
                    view = view[pipe.write(view) :]

    def drain(self, got: bytearray) -> None:
        if self.kind == "socket":
            while len(got) < len(_MUCH):
                got += self.sock.recv(300_000)
        elif self.kind == "pipe":
            while len(got) < len(_MUCH):
                got += os.read(self.descriptor, 300_000)


@pytest.mark.parametrize("pipes", [32, 0], ids=["pipes", "no-pipes"])
@pytest.mark.parametrize("to", ["socket", "pipe", "file"])
@pytest.mark.parametrize("of", ["socket", "pipe", "file"])
def test_much_arrives_in_order(bench: Bench, tmp_path: Path, of: str, to: str, pipes: int) -> None:
    bench.loop.most_pipes = pipes
    first, second = End(bench, of, tmp_path), End(bench, to, tmp_path)
    source, sink = first.source(), second.sink()
    got = bytearray()
    feeder = threading.Thread(target=first.feed)
    drainer = threading.Thread(target=second.drain, args=(got,))
    feeder.start()
    drainer.start()
    flow, owner = begin(bench, source, sink)
    bench.until(lambda: owner.ended or owner.failed)
    feeder.join(PATIENCE_S)
    drainer.join(PATIENCE_S)
    if to == "file":
        got += second.path.read_bytes()
    assert (owner.failed, flow.moved, flow.waiting, flow.done) == ([], len(_MUCH), 0, True)
    assert got == _MUCH


def test_what_is_not_taken_is_kept_and_nothing_more_is_read_until_it_is_gone(
    bench: Bench,
) -> None:
    source, peer = bench.channel()
    sink = Narrow(3)
    flow, _ = begin(bench, source, sink)
    peer.sendall(b"hello")
    bench.until(lambda: sink.taken)
    assert (bytes(sink.taken), flow.moved, flow.waiting, bench.loop.kept) == (b"hel", 3, 2, 2)
    peer.sendall(b" world")
    bench.spend(0.02)
    assert flow.waiting == 2
    sink.left = 1
    flow.pump()
    # The memory is that of the piece, however much of it is gone.
    assert (bytes(sink.taken), flow.waiting, bench.loop.kept) == (b"hell", 1, 2)
    sink.left = 100
    flow.pump()
    assert (bytes(sink.taken), flow.waiting, bench.loop.kept) == (b"hello world", 0, 0)


def test_a_flow_that_is_asked_many_times_takes_one_turn(bench: Bench, endless: Channel) -> None:
    sink = Narrow(1 << 40)
    flow, _ = begin(bench, endless, sink)
    for _ in range(50):
        flow.pump()
    asked = sink.asked
    bench.loop.step()
    assert sink.asked - asked <= 8


def test_flows_share_the_turns(bench: Bench, endless: Channel) -> None:
    sinks = [Narrow(1 << 40) for _ in range(5)]
    for sink in sinks:
        begin(bench, endless, sink)
    for _ in range(20):
        bench.loop.step()
    asked = [sink.asked for sink in sinks]
    assert max(asked) - min(asked) <= 8
    assert min(asked) > 20


def test_thousands_of_slow_sinks_keep_little_altogether(bench: Bench, endless: Channel) -> None:
    count = 5000
    for _ in range(count):
        begin(bench, endless, Narrow())
    assert bench.loop.kept <= (64 << 20) + count * 4096
    # One that comes late still gets along.
    late = Narrow(1 << 20)
    flow, _ = begin(bench, endless, late)
    bench.until(lambda: late.left == 0)
    assert flow.moved == 1 << 20


def test_no_more_pipes_are_taken_than_there_may_be(bench: Bench) -> None:
    bench.loop.most_pipes = 2
    got = [bytearray() for _ in range(4)]
    flows = []
    threads: list[threading.Thread] = []
    for octets in got:
        source, feeding = bench.channel(tcp=True)
        sink, taking = bench.channel(tcp=True)
        flows.append(begin(bench, source, sink)[0])
        threads.append(threading.Thread(target=feeding.sendall, args=(_MUCH,)))

        def take(sock: socket.socket = taking, octets: bytearray = octets) -> None:
            while len(octets) < len(_MUCH):
                octets += sock.recv(1 << 20)

        threads.append(threading.Thread(target=take))
    for thread in threads:
        thread.start()
    most = 0
    while not all(flow.moved == len(_MUCH) for flow in flows):
        bench.loop.step()
        most = max(most, bench.loop.pipes)
    for thread in threads:
        thread.join(PATIENCE_S)
    assert most == bench.loop.pipes == 2
    assert all(octets == _MUCH for octets in got)
    for flow in flows:
        flow.stop()
        flow.stop()
    assert bench.loop.pipes == 0


@pytest.mark.parametrize("to", ["socket", "pipe", "nothing"])
def test_a_pipe_of_an_end_that_is_widened_counts_too(bench: Bench, tmp_path: Path, to: str) -> None:
    bench.loop.most_pipes = 1
    flows, threads = [], []
    for _ in range(3):
        first, got = End(bench, "pipe", tmp_path), bytearray()
        source = first.source()
        sink: Channel = Narrow(1 << 40)
        if to != "nothing":
            second = End(bench, to, tmp_path)
            sink = second.sink()
            threads.append(threading.Thread(target=second.drain, args=(got,)))
        flows.append(begin(bench, source, sink)[0])
        threads.append(threading.Thread(target=first.feed))
    for thread in threads:
        thread.start()
    most = 0
    while not all(flow.done for flow in flows):
        bench.loop.step()
        most = max(most, bench.loop.pipes)
    for thread in threads:
        thread.join(PATIENCE_S)
    assert (most, bench.loop.pipes) == (1, 0)
    assert [flow.moved for flow in flows] == [len(_MUCH)] * 3


def test_what_stands_in_a_pipe_counts_as_waiting(bench: Bench) -> None:
    source, feeding = bench.channel(tcp=True)
    sink, taking = bench.channel(tcp=True)
    taking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    flow, owner = begin(bench, source, sink)
    feeding.setblocking(False)
    sent = 0
    while not flow.waiting or flow.moved < 2 << 20:
        try:
            sent += feeding.send(_MUCH)
        except BlockingIOError:
            if flow.waiting and flow.moved >= 1 << 20:
                break
            taking.recv(65536)
        bench.loop.soon(lambda: None)
        bench.loop.step()
    assert flow.waiting > 0
    waiting = flow.waiting
    taking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    taking.close()
    bench.until(lambda: owner.failed)
    ((channel, error, lost),) = owner.failed
    assert channel is sink
    assert isinstance(error, ConnectionError)
    assert lost >= waiting


def test_a_socket_that_waits_as_standard_input_keeps_nobody_waiting(bench: Bench) -> None:
    waits, feeding = bench.pair(tcp=True)
    waits.settimeout(PATIENCE_S / 2)  # so that the test ends where the rule is broken
    os.set_blocking(waits.fileno(), True)
    source = DescriptorChannel(waits.fileno(), -1, "standard input")
    sink = Narrow(1 << 40)
    flow, owner = begin(bench, source, sink)
    threading.Thread(target=feeding.sendall, args=(_MUCH,), daemon=True).start()
    bench.until(lambda: flow.moved == len(_MUCH))
    began = time.monotonic()
    for _ in range(5):
        flow.pump()
        bench.spend(0.001)
    assert time.monotonic() - began < PATIENCE_S / 2
    assert sink.taken == _MUCH
    assert os.get_blocking(waits.fileno())
    assert not owner.failed


def test_a_socket_that_waits_as_standard_output_keeps_nobody_waiting(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(_MUCH)
    waits, taking = bench.pair(tcp=True)
    os.set_blocking(waits.fileno(), True)
    source = file_channel(str(tmp_path / "file"), reads=True, writes=False)
    flow, owner = begin(bench, source, DescriptorChannel(-1, waits.fileno(), "standard output"))
    bench.spend(0.05)  # nobody reads, and nothing waits for that
    got = bytearray()
    while len(got) < len(_MUCH):
        bench.loop.soon(lambda: None)
        bench.loop.step()
        got += taking.recv(1 << 20)
    bench.until(lambda: owner.ended)
    assert got == _MUCH
    assert flow.moved == len(_MUCH)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_messages_longer_than_any_datagram_of_udp_stay_whole(
    bench: Bench, kind: socket.SocketKind
) -> None:
    from sockwright.nc.channels.datagrams import MessageChannel

    ours, theirs = bench.pair(kind)
    sink = Narrow(1 << 30)
    begin(bench, MessageChannel(ours, "peer"), sink)
    theirs.send(noise(150_000))
    bench.until(lambda: sink.taken)
    assert sink.taken == noise(150_000)


def test_a_message_that_no_buffer_holds_is_an_error(bench: Bench) -> None:
    from sockwright.nc.channels.datagrams import MessageChannel

    ours, theirs = bench.pair(socket.SOCK_SEQPACKET)
    theirs.send(bytes(100))
    channel = MessageChannel(ours, "peer")
    with pytest.raises(OSError, match="100 octets"):
        channel.receive_into(memoryview(bytearray(50)))


def test_nothing_is_done_any_more_by_a_flow_that_was_stopped(bench: Bench) -> None:
    source, peer = bench.channel()
    sink = Narrow()
    flow, owner = begin(bench, source, sink)
    peer.sendall(b"hello")
    bench.until(lambda: flow.waiting)
    flow.stop()
    sink.left = 100
    flow.pump()
    peer.close()
    bench.spend(0.02)
    assert (bytes(sink.taken), flow.waiting, owner.ended, owner.failed) == (b"", 0, [], [])


def test_the_error_of_each_end_is_told_with_the_octets_that_wait(bench: Bench) -> None:
    source, peer = bench.channel()
    sink, gone = bench.channel()
    gone.close()
    flow, owner = begin(bench, source, sink)
    peer.sendall(b"hello")
    bench.until(lambda: owner.failed)
    ((channel, error, lost),) = owner.failed
    assert channel is sink
    assert isinstance(error, BrokenPipeError)
    assert (lost, flow.moved) == (5, 0)

"""Clients that storm, stall, flood, reset and vanish: memory stays bounded, the others go on.

Each test ends by looking at the descriptors: as many as before the clients came.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
from tests.nc.peers import PATIENCE_S, SW, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.nc.peers import Peers, Running

_RESET = struct.pack("ii", 1, 0)  # struct linger: on, 0 s
_MUCH = 256 << 20  # no buffer has so many octets
_MEMORY = 96 << 20


def connect(mine: Running) -> socket.socket:
    """Connect to ours."""
    sock = socket.create_connection((mine.place.host, mine.place.port))
    sock.settimeout(PATIENCE_S)
    return sock


def reset(sock: socket.socket) -> None:
    """Close by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


def pour(sock: socket.socket) -> int:
    """Send until nothing is taken for a while; return how much was."""
    sock.setblocking(False)
    piece = bytes(1 << 20)
    sent = 0
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    while sent < _MUCH and poll.poll(300):
        with contextlib.suppress(BlockingIOError):
            sent += sock.send(piece)
    return sent


def echoed(sock: socket.socket, octets: bytes) -> bytes:
    """Send, and receive as many octets."""
    sock.sendall(octets)
    got = b""
    while len(got) < len(octets):
        piece = sock.recv(len(octets) - len(got))
        assert piece, "the echo ended"
        got += piece
    return got


@pytest.fixture
def serve(peers: Peers) -> Iterator[Callable[..., Running]]:
    """Start a listener; see at the end that it has the descriptors that it had at the start."""
    started: list[tuple[Running, int]] = []

    def start(*words: str, descriptors: int = 0) -> Running:
        prepare = None
        if descriptors:

            def prepare() -> None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        mine = peers.run([SW, *words], peers.place("tcp4"), prepare=prepare)
        mine.until_listening()
        mine.read_errors("listening on ")  # until then it opens and closes what it needs itself
        started.append((mine, len(mine.descriptors())))
        return mine

    yield start
    for mine, before in started:
        until(lambda m=mine, b=before: len(m.descriptors()) <= b, "all is closed", mine)  # type: ignore[misc]


@pytest.fixture
def echo(serve: Callable[..., Running]) -> Running:
    """Serve an echo to many."""
    return serve("relay", "-k", "tcp://127.0.0.1:0", "echo:")


@pytest.fixture
def keeping(serve: Callable[..., Running]) -> Running:
    """Serve many, and write down what they say."""
    return serve("nc", "-lk", "127.0.0.1", "0")


def test_a_storm_of_connections_leaves_nothing_behind(echo: Running) -> None:
    for _ in range(20):
        storm = [connect(echo) for _ in range(100)]
        for number, sock in enumerate(storm):
            if number % 2:
                reset(sock)
            else:
                sock.close()
    with connect(echo) as sock:
        assert echoed(sock, b"still here") == b"still here"
    assert echo.memory() < _MEMORY
    assert not any("Traceback" in line for line in echo.complaints)


def test_a_storm_of_connections_that_end_at_once_says_no_line(echo: Running) -> None:
    for _ in range(1000):
        connect(echo).close()
    with connect(echo) as sock:
        assert echoed(sock, b"still here") == b"still here"
    assert echo.complaints == []


def test_slow_senders_keep_nobody_waiting(keeping: Running) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(keeping)) for _ in range(200)]
        for sock in slow:
            sock.sendall(b"G")
        keeping.read(len(slow))
        with connect(keeping) as quick:
            quick.sendall(b"quick\n")
        assert keeping.read(len(slow) + 6).endswith(b"quick\n")
        for sock in slow:
            sock.sendall(b"E")
        keeping.read(2 * len(slow) + 6)
    assert keeping.complaints == []


@pytest.mark.needs("openssl")
def test_a_client_that_never_shakes_hands_keeps_nobody_waiting(
    peers: Peers, serve: Callable[..., Running]
) -> None:
    peers.place("tls")
    folder = peers.folder
    files = ["--tls-cert", f"{folder}/cert.pem", "--tls-key", f"{folder}/key.pem"]
    mine = serve("relay", "-k", *files, "tls://127.0.0.1:0", "echo:")
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(mine)).sendall(b"\x16\x03\x01")
        words = ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{mine.place.port}"]
        client = peers.run([*words, "-CAfile", f"{folder}/cert.pem"])
        client.feed(b"hello")
        assert client.read(5) == b"hello"
        client.stop()


@contextlib.contextmanager
def unread_pipe() -> Iterator[tuple[int, int]]:
    """Open a pipe; its reading end is for the test, which takes its time."""
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def test_an_endless_sender_is_held_back_while_nobody_reads_the_output(peers: Peers) -> None:
    with unread_pipe() as (reader, writer):
        mine = peers.server("sw", "tcp4", "-k", stdout=writer, stdin=subprocess.DEVNULL)
        with connect(mine) as endless, connect(mine) as other:
            sent = pour(endless)
            assert sent < _MUCH
            assert mine.memory() < _MEMORY
            other.sendall(b"x")
            # Once the output is read, all of it is there.
            left = sent + 1
            while left:
                left -= len(os.read(reader, min(left, 1 << 20)))
        assert mine.memory() < _MEMORY
        assert mine.complaints == []


@pytest.mark.parametrize("hub", ["--broker", "--chat"])
def test_an_endless_sender_is_held_back_by_a_slow_receiver(
    serve: Callable[..., Running], hub: str
) -> None:
    mine = serve("nc", "-lk", hub, "127.0.0.1", "0")
    with connect(mine) as slow, connect(mine) as endless:
        mine.until(lambda: len(mine.sockets()) == 3, "both are let in")
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        endless.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        # Unless this machine is so busy that the slow one was let go meanwhile.
        assert pour(endless) < _MUCH or mine.read_errors("2 s")
        assert mine.memory() < _MEMORY
        assert slow.recv(1)


def test_a_stopped_receiver_of_a_broadcast_is_let_go_and_the_others_go_on(
    peers: Peers, serve: Callable[..., Running]
) -> None:
    mine = serve("nc", "-lk", "--broker", "127.0.0.1", "0")
    stopped = peers.client("sw", mine.place)
    with connect(mine) as sender, connect(mine) as receiver:
        mine.until(lambda: len(mine.sockets()) == 4, "all are let in")
        stopped.signal(signal.SIGSTOP)
        much = bytes(range(256)) * (48 << 10)
        thread = threading.Thread(target=sender.sendall, args=(much,))
        thread.start()
        got = bytearray()
        while len(got) < len(much):
            piece = receiver.recv(1 << 20)
            assert piece
            got += piece
        thread.join(PATIENCE_S)
        assert got == much
        mine.read_errors("2 s")
        assert len(mine.complaints) == 1
        stopped.signal(signal.SIGCONT)
        stopped.wait()


def test_a_stopped_client_of_a_relay_keeps_nobody_waiting(peers: Peers, echo: Running) -> None:
    stopped = peers.client("sw", echo.place)
    stopped.feed(b"hello")
    stopped.read(5)
    stopped.signal(signal.SIGSTOP)
    with connect(echo) as flood, connect(echo) as other:
        pour(flood)  # an echo that is not read holds up its own connection
        assert echoed(other, b"hello") == b"hello"
        assert echo.memory() < _MEMORY
    stopped.signal(signal.SIGCONT)
    stopped.feed(b" again")
    assert stopped.read(11) == b"hello again"
    stopped.stop()


def test_a_client_that_is_killed_or_resets_is_one_line_and_the_others_go_on(
    peers: Peers, echo: Running
) -> None:
    with connect(echo) as other:
        for _ in range(3):
            killed = peers.client("sw", echo.place)
            killed.feed(b"hello")
            killed.read(5)
            killed.stop()
            resets = connect(echo)
            resets.sendall(b"hello")
            reset(resets)
        assert echoed(other, b"still here") == b"still here"
        echo.until(lambda: len(echo.sockets()) == 2, "they are gone")
    lines = [line for line in echo.complaints if line]
    assert len(lines) <= 6
    assert not [line for line in lines if "Traceback" in line]


def test_a_reset_in_the_middle_of_much_loses_nothing_of_the_others(
    serve: Callable[..., Running],
) -> None:
    echo = serve("relay", "-k", "tcp://127.0.0.1:0", "echo:")
    whole = bytes(range(256)) * 4096
    with connect(echo) as other, contextlib.ExitStack() as stack:
        broken = [stack.enter_context(connect(echo)) for _ in range(10)]
        for sock in broken:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    sock.send(whole)
        got = bytearray()
        thread = threading.Thread(target=other.sendall, args=(whole,))
        thread.start()
        for sock in broken:
            reset(sock)
        while len(got) < len(whole):
            got += other.recv(1 << 20)
        thread.join(PATIENCE_S)
        assert got == whole


@pytest.mark.parametrize("far", ["echo:", "tcp", "exec:cat"])
def test_out_of_descriptors_is_one_line_and_the_next_are_served_when_some_are_free(
    serve: Callable[..., Running], far: str
) -> None:
    if far == "tcp":  # what is behind the relay has descriptors enough
        far = serve("relay", "-k", "tcp://127.0.0.1:0", "echo:").place.url
    echo = serve("relay", "-k", "tcp://127.0.0.1:0", far, descriptors=40)
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connect(echo)) for _ in range(100)]
        echo.read_errors("descriptor")  # nobody has been served, and nobody has gone
        for number, sock in enumerate(crowd):
            sock.sendall(b"%3d" % number)
        served = 0
        # Whoever was served makes room for another.
        poll = select.poll()
        waiting = {sock.fileno(): (number, sock) for number, sock in enumerate(crowd)}
        for descriptor in waiting:
            poll.register(descriptor, select.POLLIN)
        while waiting:
            ready = poll.poll(PATIENCE_S * 1000)
            assert ready, f"{served} of {len(crowd)} were served"
            for descriptor, _ in ready:
                number, sock = waiting.pop(descriptor)
                poll.unregister(descriptor)
                assert sock.recv(10) == b"%3d" % number
                sock.close()
                served += 1
    assert served == 100
    lines = [line for line in echo.complaints if "descriptor" in line]
    assert 1 <= len(lines) <= 2, echo.errors
    assert len(echo.complaints) == len(lines), echo.errors


def test_a_low_limit_of_descriptors_is_raised_as_far_as_it_takes(
    peers: Peers,
) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (30, hard))

    words = [SW, "relay", "-k", "tcp://127.0.0.1:0", "echo:"]
    echo = peers.run(words, peers.place("tcp4"), prepare=prepare)
    echo.until_listening()
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connect(echo)) for _ in range(100)]
        for sock in crowd:
            assert echoed(sock, b"hello") == b"hello"
    assert echo.complaints == []


def test_more_than_max_conns_wait_for_their_turn(serve: Callable[..., Running]) -> None:
    echo = serve("relay", "-k", "--max-conns", "2", "tcp://127.0.0.1:0", "echo:")
    with connect(echo) as first, connect(echo) as second, connect(echo) as third:
        assert echoed(first, b"1") == b"1"
        assert echoed(second, b"2") == b"2"
        third.sendall(b"3")
        assert len(echo.sockets()) == 3
        first.close()
        assert third.recv(1) == b"3"
    assert echo.complaints == []


def test_who_is_not_allowed_is_closed_with_a_line_and_the_others_go_on(
    serve: Callable[..., Running],
) -> None:
    echo = serve("relay", "-k", "--deny", "127.0.0.2", "tcp://127.0.0.1:0", "echo:")
    with socket.socket() as denied:
        denied.settimeout(PATIENCE_S)
        denied.bind(("127.0.0.2", 0))
        with contextlib.suppress(ConnectionResetError):  # before connect(2) returns, or after
            denied.connect((echo.place.host, echo.place.port))
            assert denied.recv(1) == b""
    with connect(echo) as sock:
        assert echoed(sock, b"hello") == b"hello"
    echo.read_errors("127.0.0.2")
    assert len(echo.complaints) == 1

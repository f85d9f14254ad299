"""Whole jobs: nothing of one client is the end of others, and nothing is left at the end."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import PATIENCE_S, descriptors, events_of, noise, nothing_left_open, served
from tests.nc.peers import SW

from sockwright.errors import UsageError
from sockwright.nc.ends import parse_end
from sockwright.nc.engine.run import run
from sockwright.nc.engine.settings import Job, Limits, Serving, Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.nc.peers import Peers

_RESET = struct.pack("ii", 1, 0)  # struct linger: on, 0 s
_KEEP = Serving(keep=True)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    with nothing_left_open():
        yield


def side(text: str, *, listen: bool = False, **more: object) -> Side:
    return Side(parse_end(text), listen=listen, **more)  # type: ignore[arg-type]


def serving(near: str, at: str = "tcp://127.0.0.1:0", **more: object) -> Job:
    """Join each client to `near`."""
    more.setdefault("serving", _KEEP)
    return Job(side(near), side(at, listen=True), verbose=1, **more)  # type: ignore[arg-type]


def received(sock: socket.socket) -> bytes:
    """Receive until the end."""
    got = b""
    while piece := sock.recv(1 << 16):
        got += piece
    return got


def asked(sock: socket.socket, octets: bytes) -> bytes:
    """Send, and end; receive until the end."""
    sock.sendall(octets)
    sock.shutdown(socket.SHUT_WR)
    return received(sock)


def turned_away(sock: socket.socket) -> bool:
    """Wait for the end, in whatever way it comes."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


# -- whatever ends it ------------------------------------------------------------------------------


def test_a_generator_that_is_closed_early_closes_everything() -> None:
    for count in range(3):
        events = run(serving("echo:"))
        for _ in range(min(count, 1)):
            next(events)
        events.close()


def test_ctrl_c_in_the_middle_closes_everything(tmp_path: Path) -> None:
    """The first end is there, and the second is being opened."""
    with socket.create_server(("127.0.0.1", 0), backlog=5) as server:
        port = server.getsockname()[1]
        # No backlog is left there, so that this one stays in the middle.
        with socket.socket() as silent, ExitStack() as crowd:
            silent.bind(("127.0.0.1", 0))
            silent.listen(0)
            while True:
                client = crowd.enter_context(socket.socket())
                client.settimeout(0.05)
                try:
                    client.connect(silent.getsockname())
                except TimeoutError:
                    break
            before = descriptors()
            near = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
            events = run(Job(side(near), side(f"tcp://127.0.0.1:{port}"), verbose=1))
            assert next(events).kind == "connected"
            with pytest.raises(KeyboardInterrupt):
                events.throw(KeyboardInterrupt())
            assert descriptors() == before
            peer, _ = server.accept()
            with peer:
                assert peer.recv(1) == b""


def test_a_job_that_cannot_begin_closes_what_it_opened() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="EADDRINUSE"),
    ):
        events_of(serving("echo:", f"tcp://127.0.0.1:{taken.getsockname()[1]}"))
    with pytest.raises(UsageError, match="not started for just anybody"):
        events_of(serving("exec:cat", "tcp://0.0.0.0:0"))


def test_an_end_that_cannot_be_opened_closes_the_other_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        status, events = events_of(Job(side("file:/nonexistent/file"), side(far)))
        assert status == 1
        assert [event.text for event in events if event.importance == 2] == [
            "open file:/nonexistent/file: No such file or directory"
        ]
        peer, _ = server.accept()
        with peer:
            assert turned_away(peer)


def test_clients_that_are_served_are_let_go_at_the_end() -> None:
    with ExitStack() as clients:
        with served(serving("exec:cat")) as server:
            socks = [clients.enter_context(server.connect()) for _ in range(5)]
            for sock in socks:
                sock.sendall(b"hello")
                assert sock.recv(10) == b"hello"
        for sock in socks:
            assert turned_away(sock)


# -- one client and the others ---------------------------------------------------------------------


@pytest.mark.parametrize("near", ["echo:", "exec:cat"])
def test_every_client_has_an_end_of_its_own(near: str) -> None:
    with served(serving(near)) as server, ExitStack() as stack:
        socks = [stack.enter_context(server.connect()) for _ in range(20)]
        for number, sock in enumerate(socks):
            sock.sendall(b"%d" % number)
        assert [asked(sock, b" end") for sock in socks] == [b"%d end" % n for n in range(20)]
        server.wait_for(lambda events: sum(e.kind == "ended" for e in events) == 20)
        assert server.lines("failed") == []


def test_a_client_that_resets_is_one_line_and_the_next_is_served() -> None:
    with served(serving("echo:")) as server:
        for _ in range(3):
            sock = server.connect()
            sock.sendall(b"hello")
            assert sock.recv(10) == b"hello"
            reset(sock)
        server.wait_for(lambda events: sum(e.kind == "ended" for e in events) == 3)
        assert len(server.lines("failed")) == 3
        with server.connect() as sock:
            assert asked(sock, b"still here") == b"still here"


@pytest.mark.parametrize(
    ("near", "text"),
    [
        ("file:/nonexistent/file", "No such file or directory"),
        ("tcp://127.0.0.1:1", "Connection refused"),
        ("unix:/nonexistent/socket", "No such file or directory"),
        ("exec:/nonexistent/program", "no such file"),
    ],
)
def test_an_end_that_cannot_be_opened_is_a_line_for_each_client(near: str, text: str) -> None:
    with served(serving(near)) as server:
        for _ in range(2):
            with suppress(ConnectionResetError), server.connect() as sock:
                assert turned_away(sock)
        server.wait_for(lambda events: sum(e.kind == "failed" for e in events) == 2)
        assert all(text in line for line in server.lines("failed"))
        assert all(event.status for event in server.events if event.kind == "failed")


def test_whoever_looks_on_and_fails_is_a_line_for_that_client() -> None:
    def taps() -> tuple[()]:
        if len(failed) < 2:
            failed.append(True)
            raise OSError(28, "No space left on device")
        return ()

    failed: list[bool] = []
    with served(serving("echo:", taps=taps)) as server:
        for _ in range(2):
            with suppress(ConnectionResetError), server.connect() as sock:
                assert turned_away(sock)
        with server.connect() as sock:
            assert asked(sock, b"served") == b"served"
        server.wait_for(lambda events: sum(e.kind == "failed" for e in events) == 2)


def test_others_are_served_when_one_has_left_and_no_more_at_once() -> None:
    job = serving("echo:", serving=Serving(keep=True, max_connections=2))
    with served(job) as server:
        with server.connect() as one, server.connect() as two:
            for sock in (one, two):
                sock.sendall(b"x")
                assert sock.recv(1) == b"x"
            with server.connect() as three:
                three.sendall(b"waits")
                three.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    three.recv(10)
                one.close()
                three.settimeout(PATIENCE_S)
                assert three.recv(10) == b"waits"
        with server.connect() as four:
            assert asked(four, b"x") == b"x"


def test_a_client_that_waits_for_its_other_end_is_let_go_at_the_end() -> None:
    with socket.socket() as silent, ExitStack() as crowd:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        while True:
            client = crowd.enter_context(socket.socket())
            client.settimeout(0.05)
            try:
                client.connect(silent.getsockname())
            except TimeoutError:
                break
        near = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with served(serving(near)) as server:
            waiting = [crowd.enter_context(server.connect()) for _ in range(3)]
            server.wait_for(lambda events: sum("has connected" in e.text for e in events) == 3)
        for sock in waiting:
            assert turned_away(sock)


# -- programs --------------------------------------------------------------------------------------


def test_a_program_that_ends_lets_go_of_a_client_that_stays() -> None:
    with served(serving("exec:echo hello")) as server, server.connect() as sock:
        assert received(sock) == b"hello\n"
        server.wait_for(lambda events: any(event.kind == "ended" for event in events))


def test_a_program_that_ends_early_gives_its_answer_whatever_the_client_sends() -> None:
    with served(serving("exec:head -c 5")) as server:
        for _ in range(5):
            with server.connect() as sock:
                sock.sendall(noise(200_000))
                sock.shutdown(socket.SHUT_WR)
                assert received(sock) == noise(5)


# -- datagrams -------------------------------------------------------------------------------------


def udp(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE_S)
    sock.connect(address)
    return sock


def test_every_peer_of_datagrams_has_its_own_echo_and_datagrams_stay_whole() -> None:
    job = serving("echo:", "udp://127.0.0.1:0")
    with served(job, udp=True) as server, ExitStack() as stack:
        socks = [stack.enter_context(udp(server.address)) for _ in range(30)]
        for number, sock in enumerate(socks):
            sock.send(noise(number * 2000 + 1))
            assert sock.recv(1 << 16) == noise(number * 2000 + 1)


def test_datagrams_are_relayed_both_ways() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
        upstream.bind(("127.0.0.1", 0))
        upstream.settimeout(PATIENCE_S)
        near = f"udp://127.0.0.1:{upstream.getsockname()[1]}"
        job = serving(near, "udp://127.0.0.1:0")
        with served(job, udp=True) as server, ExitStack() as stack:
            socks = [stack.enter_context(udp(server.address)) for _ in range(10)]
            for number, sock in enumerate(socks):
                sock.send(b"question %d" % number)
            for _ in socks:
                question, address = upstream.recvfrom(1 << 16)
                upstream.sendto(question.replace(b"question", b"answer"), address)
            answers = [sock.recv(100) for sock in socks]
            assert answers == [b"answer %d" % number for number in range(10)]


def test_a_relay_for_one_peer_of_datagrams_leaves_strangers_out() -> None:
    job = Job(side("echo:"), side("udp://127.0.0.1:0", listen=True), Limits(idle=0.2), verbose=1)
    with served(job, udp=True) as server:
        with udp(server.address) as first, udp(server.address) as stranger:
            first.send(b"first")
            assert first.recv(10) == b"first"
            stranger.send(b"stranger")
            stranger.settimeout(0.1)
            with suppress(ConnectionRefusedError), pytest.raises(TimeoutError):
                stranger.recv(10)
        server.wait_for(lambda events: any(event.kind == "failed" for event in events))


def test_a_stream_is_joined_to_datagrams_and_back() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
        upstream.bind(("127.0.0.1", 0))
        upstream.settimeout(PATIENCE_S)
        near = f"udp://127.0.0.1:{upstream.getsockname()[1]}"
        with served(serving(near)) as server, server.connect() as sock:
            sock.sendall(b"question")
            question, address = upstream.recvfrom(100)
            upstream.sendto(b"answer", address)
            assert (question, sock.recv(100)) == (b"question", b"answer")


@pytest.mark.parametrize("kind", ["datagram", "seqpacket"])
def test_messages_of_unix_sockets_are_echoed_whole(tmp_path: Path, kind: str) -> None:
    path = str(tmp_path / "socket")
    numbers = {"datagram": socket.SOCK_DGRAM, "seqpacket": socket.SOCK_SEQPACKET}
    words = [SW, "relay", "-k", f"unix:{path}?type={kind}", "echo:"]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert b"listening" in process.stderr.readline()
            with socket.socket(socket.AF_UNIX, numbers[kind]) as sock:
                sock.bind("")
                sock.settimeout(PATIENCE_S)
                sock.connect(path)
                for size in (1, 100_000, 30_000):
                    sock.send(noise(size))
                    assert sock.recv(1 << 18) == noise(size)
        finally:
            process.kill()


# -- standard input and output, by whole processes -------------------------------------------------


def test_a_client_that_comes_and_goes_in_a_broadcast_takes_nobody_along(peers: Peers) -> None:
    mine = peers.server("sw", "tcp4", "-k")
    stays = peers.client("sw", mine.place)
    mine.feed(b"one\n")
    stays.read(4)
    for _ in range(5):
        sock = socket.create_connection((mine.place.host, mine.place.port))
        sock.sendall(b"x")
        reset(sock)
    mine.feed(b"two\n")
    assert stays.read(8) == b"one\ntwo\n"
    assert not mine.ended


def test_an_output_without_reader_ends_a_server_of_many_like_any_program(peers: Peers) -> None:
    reading, writing = os.pipe()
    mine = peers.server("sw", "tcp4", "-k", stdout=writing)
    os.close(writing)
    os.close(reading)
    with socket.create_connection((mine.place.host, mine.place.port)) as sock:
        sock.sendall(b"hello")
        assert mine.wait() == 141
    assert mine.complaints == []


def test_a_full_disk_ends_a_server_of_many_with_one_line(peers: Peers) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        mine = peers.server("sw", "tcp4", "-k", stdout=full)
    with ExitStack() as stack:
        for _ in range(5):
            with suppress(ConnectionError):  # the first may be enough
                place = (mine.place.host, mine.place.port)
                sock = stack.enter_context(socket.create_connection(place))
                sock.sendall(b"hello")
        assert mine.wait() == 1
    assert len(mine.complaints) == 1
    assert "No space left on device" in mine.complaints[0]


def test_only_receiving_leaves_the_input_alone(peers: Peers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        mine = peers.run([SW, "nc", "--recv-only", "127.0.0.1", str(server.getsockname()[1])])
        mine.feed(b"not for you")
        peer, _ = server.accept()
        with peer:
            peer.settimeout(0.1)
            with pytest.raises(TimeoutError):
                peer.recv(1)
            peer.sendall(b"hello")
        assert mine.finish() == (0, b"hello", [])


def test_only_sending_drops_what_comes(peers: Peers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        mine = peers.run([SW, "nc", "--send-only", "127.0.0.1", str(server.getsockname()[1])])
        mine.feed(b"hello")
        mine.end_input()
        peer, _ = server.accept()
        with peer:
            peer.settimeout(PATIENCE_S)
            peer.sendall(b"not for you")
            assert received(peer) == b"hello"
        assert mine.finish() == (0, b"", [])


def test_hundreds_of_slow_clients_leave_memory_and_the_next_one_alone(tmp_path: Path) -> None:
    size = 16 << 20
    (tmp_path / "zeros").write_bytes(bytes(size))
    before = resident()
    with served(serving(f"file:{tmp_path}/zeros")) as server, ExitStack() as stack:
        for _ in range(300):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(server.address)
        with server.connect() as quick:
            left = size
            while left:
                left -= len(quick.recv(1 << 20))
        assert resident() - before < 100 << 20


def resident() -> int:
    """Return how much memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_much_goes_both_ways_through_a_relay_of_relays() -> None:
    much = noise(4 << 20)
    with served(serving("echo:")) as inner:
        host, port = inner.address
        with served(serving(f"tcp://{host}:{port}")) as outer, outer.connect() as sock:
            feeder = threading.Thread(target=sock.sendall, args=(much,))
            feeder.start()
            got = bytearray()
            while len(got) < len(much):
                got += sock.recv(1 << 20)
            feeder.join(PATIENCE_S)
            assert got == much

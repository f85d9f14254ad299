"""What can go wrong around the process: its standard streams, its disk, its signals, its limits."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.nc.peers import PATIENCE_S, SW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.nc.peers import Peers, Running

_MUCH = bytes(range(256)) * (32 << 10)
_OUTPUT_CLOSED = 141  # as of a program that SIGPIPE has ended


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen, and accept nobody until the test does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_S)
        yield listening


def accept(listening: socket.socket) -> socket.socket:
    sock, _ = listening.accept()
    sock.settimeout(PATIENCE_S)
    return sock


def port_of(listening: socket.socket) -> str:
    return str(listening.getsockname()[1])


def received_all(sock: socket.socket) -> bytes:
    got = bytearray()
    while piece := sock.recv(1 << 20):
        got += piece
    return bytes(got)


def test_a_full_disk_is_one_line_and_status_1(peers: Peers, listener: socket.socket) -> None:
    with Path("/dev/full").open("wb") as full:
        mine = peers.run([SW, "nc", "127.0.0.1", port_of(listener)], stdout=full)
        with accept(listener) as other:
            other.sendall(b"to the disk")
            assert mine.wait() == 1
    (line,) = mine.complaints
    assert "ENOSPC" in line


def test_a_full_disk_in_the_middle_of_a_file_is_one_line_and_status_1(
    peers: Peers, listener: socket.socket
) -> None:
    most = 1 << 20

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    path = peers.folder / "output"
    with path.open("wb") as file:
        mine = peers.run([SW, "nc", "127.0.0.1", port_of(listener)], stdout=file, prepare=prepare)
        with accept(listener) as other:
            thread = threading.Thread(target=_send_quietly, args=(other, _MUCH))
            thread.start()
            assert mine.wait() == 1
            thread.join(PATIENCE_S)
    (line,) = mine.complaints
    assert "EFBIG" in line
    assert path.read_bytes() == _MUCH[:most]


def _send_quietly(sock: socket.socket, octets: bytes) -> None:
    try:
        sock.sendall(octets)
    except OSError:
        return


def test_a_reader_that_leaves_ends_it_without_a_word(peers: Peers, listener: socket.socket) -> None:
    command = f"{SW} nc 127.0.0.1 {port_of(listener)} | head -c 5; exit ${{PIPESTATUS[0]}}"
    mine = peers.run(["bash", "-c", command])
    with accept(listener) as other:
        thread = threading.Thread(target=_send_quietly, args=(other, _MUCH * 4))
        thread.start()
        assert mine.finish() == (_OUTPUT_CLOSED, _MUCH[:5], [])
        thread.join(PATIENCE_S)


@pytest.mark.parametrize(
    ("words", "sent"), [([], b""), (["-N"], b""), (["--send-only"], b""), (["-d"], b"")]
)
def test_no_input_still_receives_the_answer(
    peers: Peers, listener: socket.socket, words: list[str], sent: bytes
) -> None:
    command = [SW, "nc", *words, "127.0.0.1", port_of(listener)]
    mine = peers.run(command, stdin=subprocess.DEVNULL)
    with accept(listener) as other:
        if words != ["-d"]:  # which leaves the input alone, its end too
            assert received_all(other) == sent
        other.sendall(b"answer")
    wanted = b"" if words == ["--send-only"] else b"answer"
    assert mine.finish() == (0, wanted, [])


def test_a_listener_without_input_takes_all_that_a_client_has_to_say(peers: Peers) -> None:
    mine = peers.server("sw", "tcp4", stdin=subprocess.DEVNULL)
    with socket.create_connection(("127.0.0.1", mine.place.port)) as client:
        client.settimeout(PATIENCE_S)
        client.sendall(_MUCH)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert mine.finish() == (0, _MUCH, [])


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_standard_streams_that_are_closed_are_no_sockets(
    peers: Peers, listener: socket.socket, closed: str
) -> None:
    # A socket that took the number of a closed stream would get what is meant for that.
    mine = peers.run(["bash", "-c", f"exec {SW} nc 127.0.0.1 {port_of(listener)} {closed}"])
    with accept(listener) as other:
        if "<" not in closed:
            mine.feed(b"question")
            assert other.recv(8) == b"question"
            mine.end_input()
        other.sendall(b"answer")
        other.shutdown(socket.SHUT_WR)
        assert received_all(other) == b""
    assert mine.finish() == (0, b"answer", [])


def test_an_output_that_is_closed_is_one_line_and_status_1(
    peers: Peers, listener: socket.socket
) -> None:
    mine = peers.run(["bash", "-c", f"exec {SW} nc 127.0.0.1 {port_of(listener)} >&-"])
    assert mine.wait() == 1
    (line,) = mine.complaints
    assert "EBADF" in line


def test_a_storm_of_signals_loses_nothing(peers: Peers, listener: socket.socket) -> None:
    mine = peers.run([SW, "nc", "127.0.0.1", port_of(listener)])
    with accept(listener) as other:
        got: list[bytes] = []
        threads = [
            threading.Thread(target=other.sendall, args=(_MUCH,)),
            threading.Thread(target=lambda: got.append(received_all(other))),
        ]
        for thread in threads:
            thread.start()
        mine.feed(_MUCH)
        mine.end_input()
        while threads[0].is_alive() or threads[1].is_alive():
            for number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGWINCH, signal.SIGCHLD):
                mine.signal(number)
            threads[1].join(0.001)
        other.shutdown(socket.SHUT_WR)
    assert mine.finish() == (0, _MUCH, [])
    assert got == [_MUCH]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("role", ["client", "listener", "many"])
def test_a_signal_ends_it_without_a_traceback(
    peers: Peers, listener: socket.socket, role: str, number: signal.Signals, status: int
) -> None:
    if role == "client":
        mine = peers.run([SW, "nc", "127.0.0.1", port_of(listener)])
        other = accept(listener)
        other.sendall(b"x")
        mine.read(1)
        mine.signal(number)
        assert (mine.wait(), mine.complaints) == (status, [])
        other.close()
    else:
        mine = peers.server("sw", "tcp4", *(["-k"] if role == "many" else []))
        mine.signal(number)
        assert (mine.wait(), mine.complaints) == (status, [])


def test_a_path_of_a_socket_is_gone_after_its_listener(peers: Peers) -> None:
    mine = peers.server("sw", "unix")
    mine.read_errors("listening on ")  # it knows, too, that there is something to take away
    mine.signal(signal.SIGINT)
    mine.wait()
    assert not Path(mine.place.path).exists()


def test_a_stopped_peer_holds_it_back_and_then_gets_everything(peers: Peers) -> None:
    server = peers.server("sw", "tcp4")
    mine = peers.client("sw", server.place)
    mine.feed(b"x")
    server.read(1)
    server.signal(signal.SIGSTOP)
    mine.feed(_MUCH * 2)
    mine.end_input()
    mine.until_state("ESTAB")
    mine.until(lambda: _send_queue(mine) > 0, "octets wait for the stopped peer")
    assert mine.memory() < 96 << 20
    server.signal(signal.SIGCONT)
    assert server.read_all() == b"x" + _MUCH * 2
    server.end_input()
    assert (mine.wait(), server.wait()) == (0, 0)


def _send_queue(mine: Running) -> int:
    from sockwright.sockets import dump

    own = mine.sockets()
    return sum(row.send_queue for row in dump("tcp") if row.inode in own)


def test_few_descriptors_are_enough_for_a_client(peers: Peers, listener: socket.socket) -> None:
    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))

    mine = peers.run([SW, "nc", "127.0.0.1", port_of(listener)], prepare=prepare)
    with accept(listener) as other:
        mine.feed(_MUCH)
        mine.end_input()
        assert received_all(other) == _MUCH
    assert mine.finish() == (0, b"", [])


@pytest.mark.parametrize("words", [["-l"], ["-lk"]])
def test_no_descriptor_for_a_first_client_is_one_line_and_status_1(
    peers: Peers, words: list[str]
) -> None:
    command = [SW, "nc", *words, "127.0.0.1", "0"]
    enough = peers.run(command, stdin=subprocess.DEVNULL)
    enough.read_errors("listening on ")  # until then it opens and closes what it needs itself
    just_for_itself = len(enough.descriptors())

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (just_for_itself, just_for_itself))

    mine = peers.run(command, prepare=prepare, stdin=subprocess.DEVNULL)
    place = mine.until_listening()
    with socket.create_connection((place.host, place.port)):
        assert mine.wait() == 1
    (line,) = mine.complaints
    assert "EMFILE" in line


def test_it_runs_where_its_folder_is_gone(peers: Peers, listener: socket.socket) -> None:
    gone = peers.folder / "gone"
    gone.mkdir()

    def prepare() -> None:
        os.chdir(gone)
        gone.rmdir()

    mine = peers.run([SW, "nc", "127.0.0.1", port_of(listener)], prepare=prepare)
    with accept(listener) as other:
        other.sendall(b"answer")
    mine.end_input()
    assert mine.finish() == (0, b"answer", [])

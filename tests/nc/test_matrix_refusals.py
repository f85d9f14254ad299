"""Who is refused, cut off or kept waiting is told so: the status of the reference, and one line."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from tests.nc.peers import PATIENCE_S, PROGRAMS, SW, Place, cases, closed_port, servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.nc.peers import Peers, Program, Running

_RESET = struct.pack("ii", 1, 0)  # struct linger: on, 0 s


def assert_one_line(mine: Running, status: int, *wanted: str) -> None:
    """Wait for the end of ours; see that it said what is `wanted`, in one line."""
    assert (mine.wait(), len(mine.complaints)) == (status, 1), mine.errors
    (line,) = mine.complaints
    assert line.startswith("sw nc: ")
    for text in wanted:
        assert text in line


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen, and accept nobody until the test does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_S)
        yield listening


def port_of(listening: socket.socket) -> str:
    return str(listening.getsockname()[1])


@pytest.mark.parametrize("kind", ["tcp4", "tcp6"])
def test_a_closed_port_is_one_line_and_status_1(peers: Peers, kind: str) -> None:
    with closed_port(kind) as port:
        mine = peers.client("sw", Place(kind, peers.folder, port))
        assert_one_line(mine, 1, f":{port}", "Connection refused", "ECONNREFUSED")


@pytest.mark.parametrize("kind", ["udp4", "udp6"])
def test_a_closed_port_of_udp_is_one_line_and_status_1(peers: Peers, kind: str) -> None:
    with closed_port(kind) as port:
        mine = peers.client("sw", Place(kind, peers.folder, port))
        mine.feed(b"question")
        assert_one_line(mine, 1, f":{port}", "ECONNREFUSED")


def test_a_path_without_a_socket_and_one_that_nobody_serves_are_told_apart(peers: Peers) -> None:
    place = peers.place("unix")
    assert_one_line(peers.client("sw", place), 1, place.path, "ENOENT")
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(place.path)
    assert_one_line(peers.client("sw", place), 1, place.path, "ECONNREFUSED")


def test_a_taken_port_is_one_line_and_status_1(peers: Peers, listener: socket.socket) -> None:
    mine = peers.run([SW, "nc", "-l", "127.0.0.1", port_of(listener)])
    assert_one_line(mine, 1, port_of(listener), "EADDRINUSE")


def test_tls_to_a_server_without_tls_is_status_4(peers: Peers, listener: socket.socket) -> None:
    peers.place("tls")  # the certificate that ours is to trust
    mine = peers.client("sw", Place("tls", peers.folder, listener.getsockname()[1]))
    client, _ = listener.accept()
    with client:
        client.sendall(b"220 welcome\r\n")
        assert_one_line(mine, 4)


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(name, marks=pytest.mark.needs(PROGRAMS[name].needs))
        for name in servers("tls", but=())
    ],
)
def test_a_certificate_that_nobody_signed_is_status_4_with_its_fingerprint(
    peers: Peers, program: str
) -> None:
    other = peers.server(program, "tls")
    mine = peers.run([SW, "nc", "--ssl", "127.0.0.1", str(other.place.port)])
    assert_one_line(mine, 4, "self-signed certificate", "sha256:")


@pytest.mark.parametrize("ours", ["client", "server"])
def test_a_reset_is_one_line_and_status_1(peers: Peers, listener: socket.socket, ours: str) -> None:
    if ours == "client":
        mine = peers.run([SW, "nc", "127.0.0.1", port_of(listener)])
        other, _ = listener.accept()
    else:
        mine = peers.server("sw", "tcp4")
        other = socket.create_connection(("127.0.0.1", mine.place.port))
    with other:
        other.sendall(b"before")
        assert mine.read(6) == b"before"
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    assert_one_line(mine, 1, "ECONNRESET")
    assert mine.received == b"before"


def test_octets_that_were_not_taken_are_counted_when_the_peer_is_gone(
    peers: Peers, listener: socket.socket
) -> None:
    mine = peers.run([SW, "nc", "127.0.0.1", port_of(listener)])
    other, _ = listener.accept()
    mine.feed(bytes(64 << 20))
    with other:
        other.recv(1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    assert mine.wait() == 1
    assert len(mine.complaints) == 1, mine.errors


def test_a_silent_peer_is_status_3_after_the_idle_limit(
    peers: Peers, listener: socket.socket
) -> None:
    mine = peers.run([SW, "nc", "-w", "200ms", "127.0.0.1", port_of(listener)])
    other, _ = listener.accept()
    with other:
        assert_one_line(mine, 3, "0.2 s")


def test_an_unfinished_connection_is_status_3_after_the_connect_limit(peers: Peers) -> None:
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        # Its one place taken, the kernel answers no SYN.
        stack.enter_context(socket.create_connection(listening.getsockname()))
        mine = peers.run([SW, "nc", "-w", "300ms", "127.0.0.1", port_of(listening)])
        assert_one_line(mine, 3, port_of(listening))


def test_a_peer_that_does_not_end_is_status_3_after_the_quit_limit(
    peers: Peers, listener: socket.socket
) -> None:
    mine = peers.run([SW, "nc", "-q", "200ms", "127.0.0.1", port_of(listener)])
    other, _ = listener.accept()
    with other:
        other.sendall(b"half an answer")
        mine.read(14)  # before the end of the input, from which on it has little time
        mine.feed(b"question")
        mine.end_input()
        assert_one_line(mine, 3, "0.2 s")
    assert mine.received == b"half an answer"


def test_a_peer_that_ends_within_the_quit_limit_is_status_0(
    peers: Peers, listener: socket.socket
) -> None:
    mine = peers.run([SW, "nc", "-q", "20", "127.0.0.1", port_of(listener)], stdin=-3)
    other, _ = listener.accept()
    with other:
        assert other.recv(1) == b""
        other.sendall(b"answer")
    assert mine.finish() == (0, b"answer", [])


def _ends_by_itself(program: Program, role: str) -> bool:
    return role == "server" and program.name in {"openbsd", "traditional", "ncat", "socat"}


@pytest.mark.parametrize(("kind", "ours", "program"), cases("tcp4", knows=_ends_by_itself))
def test_octets_are_not_lost_in_silence_when_the_server_is_killed(
    peers: Peers, kind: str, ours: str, program: str
) -> None:
    mine, other = peers.join(kind, ours, program)
    other.feed(b"greeting")
    assert mine.read(8) == b"greeting"
    other.stop()
    mine.feed(bytes(8 << 20))  # to nobody: the kernel answers with RST
    assert mine.wait() == 1
    assert len(mine.complaints) == 1, mine.errors
    assert mine.received == b"greeting"


def test_a_wrong_line_is_status_2_and_nothing_is_done(peers: Peers) -> None:
    for words in (["nc"], ["nc", "127.0.0.1"], ["nc", "-l", "127.0.0.1", "no-such-port"]):
        mine = peers.run([SW, *words])
        assert mine.wait() == 2
        assert mine.received == b""

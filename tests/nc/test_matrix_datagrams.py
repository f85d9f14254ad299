"""Datagrams between `sw nc -u` and every other netcat, each way, over UDP and UNIX sockets."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from tests.nc.peers import PATIENCE_S, SW, cases

if TYPE_CHECKING:
    from tests.nc.peers import Peers

_KINDS = ("udp4", "udp6", "unix-datagram")
# As large as every one of them takes in one piece.
_PIECES = [b"q", bytes(range(256)) * 4, b"\r\n\0" * 400, bytes(range(256)) * 8]


@pytest.mark.parametrize(("kind", "ours", "program"), cases(*_KINDS))
def test_datagrams_arrive_both_ways(peers: Peers, kind: str, ours: str, program: str) -> None:
    mine, other = peers.join(kind, ours, program)
    asking, answering = (mine, other) if ours == "client" else (other, mine)
    # Of UNIX datagrams socat takes one, and talks to its sender alone.
    one = (kind, ours, program) == ("unix-datagram", "client", "socat")
    sent = b""
    for piece in _PIECES[-1:] if one else _PIECES:
        sent += piece
        asking.feed(piece)
        assert answering.read(len(sent)) == sent
        answering.feed(piece)
        assert asking.read(len(sent)) == sent
    assert mine.complaints == []


@pytest.mark.parametrize(
    ("kind", "ours", "program"), cases("udp4", "udp6", knows=lambda _, role: role == "server")
)
def test_an_answer_after_the_end_of_the_input_arrives(
    peers: Peers, kind: str, ours: str, program: str
) -> None:
    mine, other = peers.join(kind, ours, program, "-q", str(PATIENCE_S))
    mine.feed(b"question")
    mine.end_input()
    assert other.read(8) == b"question"
    other.feed(b"answer")
    assert mine.read(6) == b"answer"


@pytest.mark.parametrize("kind", ["udp4", "udp6"])
def test_a_datagram_is_what_one_read_gave_or_a_line_or_a_number_of_octets(
    peers: Peers, kind: str
) -> None:
    family = socket.AF_INET6 if kind == "udp6" else socket.AF_INET
    for frame, wanted in (
        ("chunk", [b"one\ntwo\nthree"]),
        ("line", [b"one\n", b"two\n", b"three"]),
        ("5", [b"one\nt", b"wo\nth", b"ree"]),
    ):
        with socket.socket(family, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("::1" if kind == "udp6" else "127.0.0.1", 0))
            receiver.settimeout(PATIENCE_S)
            host, port, *_ = receiver.getsockname()
            mine = peers.run([SW, "nc", "-u", "-q", "0", "--frame", frame, host, str(port)])
            mine.feed(b"one\ntwo\nthree")
            mine.end_input()
            assert [receiver.recv(100) for _ in wanted] == wanted
            assert mine.finish() == (0, b"", [])


def test_udp_ends_a_second_after_its_input_with_what_was_answered(peers: Peers) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(PATIENCE_S)
        mine = peers.run([SW, "nc", "-u", "127.0.0.1", str(server.getsockname()[1])])
        mine.feed(b"question")
        mine.end_input()
        question, client = server.recvfrom(100)
        assert question == b"question"
        server.sendto(b"answer", client)
        assert mine.finish() == (0, b"answer", [])


def test_an_empty_datagram_is_no_end(peers: Peers) -> None:
    mine = peers.server("sw", "udp4")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", mine.place.port))
        for piece in (b"one", b"", b"two"):
            client.send(piece)
    assert mine.read(6) == b"onetwo"


@pytest.mark.parametrize("ours", ["client", "server"])
def test_the_largest_datagram_arrives_whole(peers: Peers, ours: str) -> None:
    largest = bytes(range(256)) * 256
    largest = largest[:65507]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.settimeout(PATIENCE_S)
        if ours == "server":
            mine = peers.server("sw", "udp4")
            other.sendto(largest, ("127.0.0.1", mine.place.port))
            assert mine.read(len(largest)) == largest
        else:
            other.bind(("127.0.0.1", 0))
            port = str(other.getsockname()[1])
            mine = peers.run([SW, "nc", "-u", "--frame", "65507", "127.0.0.1", port])
            mine.feed(largest)
            assert other.recv(1 << 17) == largest

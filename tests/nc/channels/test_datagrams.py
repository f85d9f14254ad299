"""Messages and their peers: whole, each to its own, and never more memory than is set."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import Bench, noise, nothing_left_open

from sockwright.nc.channels import datagrams
from sockwright.nc.channels.datagrams import Datagrams, MessageChannel, PeerChannel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sockwright.sockets.addresses import SocketAddress


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Open a loop; see that nothing is left of what was opened."""
    with nothing_left_open(), Bench() as one:
        yield one


class Server:
    """A socket with many peers."""

    def __init__(self, bench: Bench, path: Path | None = None, *, most: int = 1 << 30) -> None:
        family = socket.AF_INET if path is None else socket.AF_UNIX
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0) if path is None else str(path))
        bench.callback(self.sock.close)
        bench.callback(bench.loop.unwatch, self.sock.fileno())
        self._bench = bench
        self.peers: list[PeerChannel] = []
        self.crowd: list[PeerChannel] = []
        self.owner = Datagrams(
            bench.loop, self.sock, str, self.peers.append, self._crowded, most=most
        )
        self.leave = True

    def _crowded(self, peer: PeerChannel) -> None:
        self.crowd.append(peer)
        if self.leave:
            peer.close()

    def client(self) -> socket.socket:
        sock = socket.socket(self.sock.family, socket.SOCK_DGRAM)
        self._bench.callback(sock.close)
        sock.settimeout(10)
        sock.connect(self.sock.getsockname())
        return sock


def received(peer: PeerChannel) -> list[bytes]:
    """Take all that waits."""
    buffer = memoryview(bytearray(1 << 18))
    found = []
    while (count := peer.receive_into(buffer)) is not None:
        found.append(bytes(buffer[:count]))
    return found


def test_each_peer_has_its_own_messages_and_answers(bench: Bench) -> None:
    server = Server(bench)
    clients = [server.client() for _ in range(50)]
    for number, client in enumerate(clients):
        client.send(b"%d" % number)
        client.send(b"%d again" % number)
    said = sum(2 * len(b"%d" % number) + len(b" again") for number in range(50))
    bench.until(lambda: server.owner.kept == said)
    for number, peer in enumerate(server.peers):
        assert received(peer) == [b"%d" % number, b"%d again" % number]
        assert peer.send(memoryview(b"answer %d" % number)) > 0
    assert [client.recv(100) for client in clients] == [b"answer %d" % n for n in range(50)]


def test_of_a_crowd_the_most_silent_one_leaves(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams, "_SILENT", 0.0)
    server = Server(bench)
    first = server.client()
    first.send(b"x")
    bench.until(lambda: server.peers)
    for number in range(1200):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anybody:
            anybody.bind((f"127.0.{number // 250 + 1}.{number % 250 + 1}", 0))  # nobody twice
            anybody.sendto(b"x", server.sock.getsockname())
            if number % 100 == 0:
                first.send(b"still here")
            bench.until(lambda count=number + 2: len(server.peers) >= count)  # type: ignore[misc]
    assert len(server.owner._peers) == 1024
    assert server.peers[0] not in server.crowd
    assert server.crowd == server.peers[1 : len(server.crowd) + 1]


def test_where_nobody_of_a_crowd_leaves_nobody_new_comes_in(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams, "_SILENT", 0.0)
    monkeypatch.setattr(datagrams, "_MOST_PEERS", 3)
    server = Server(bench)
    server.leave = False
    clients = [server.client() for _ in range(5)]
    for client in clients:
        client.send(b"x")
    bench.until(lambda: len(server.crowd) == 2)
    assert len(server.peers) == 3


def test_who_talks_does_not_leave_for_one_that_is_new(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert datagrams._SILENT == 1
    server = Server(bench, most=2)
    asked: list[SocketAddress] = []

    def anybody(address: SocketAddress) -> bool:
        asked.append(address)
        return True

    server.owner.allowed = anybody
    talks, silent, new = (server.client() for _ in range(3))
    for client in (talks, silent, new):
        client.send(b"x")
    bench.until(lambda: len(asked) == 3)
    assert len(server.peers) == 2
    monkeypatch.setattr(datagrams, "_SILENT", 0.2)
    for _ in range(5):
        bench.spend(0.05)
        talks.send(b"still here")
    assert not server.crowd
    new.send(b"again")
    bench.until(lambda: len(server.peers) == 3)
    assert server.crowd == [server.peers[1]]


def test_few_large_messages_are_bounded_as_many_small_ones_are(bench: Bench) -> None:
    server = Server(bench)
    large, other = server.client(), server.client()
    for _ in range(20):
        large.send(bytes(60_000))
        bench.loop.soon(lambda: None)
        bench.loop.step()
    (peer,) = server.peers
    assert (256 << 10) - 60_000 < server.owner.kept < (256 << 10) + 60_000
    other.send(b"small")
    bench.until(lambda: len(server.peers) == 2)
    assert received(server.peers[1]) == [b"small"]
    kept = server.owner.kept
    assert sum(map(len, received(peer))) == kept
    large.send(b"more")
    bench.until(lambda: server.owner.kept)
    assert received(peer) == [b"more"]


def test_messages_that_nobody_reads_are_bounded(bench: Bench) -> None:
    server = Server(bench)
    clients = [server.client() for _ in range(160)]
    for _ in range(10):
        for client in clients:
            client.send(bytes(40_000))
        bench.loop.soon(lambda: None)
        bench.loop.step()
    assert server.owner.kept <= (32 << 20) + 40_000
    dropped = sum(peer.dropped for peer in server.peers)
    waiting = [len(received(peer)) for peer in server.peers]
    assert max(waiting) <= 256
    assert dropped > 0
    assert server.owner.kept == 0


def test_messages_of_all_peers_together_are_bounded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sockwright.nc.channels import datagrams

    assert datagrams._MOST_KEPT == 32 << 20
    monkeypatch.setattr(datagrams, "_MOST_KEPT", 100_000)
    server = Server(bench)
    clients = [server.client() for _ in range(10)]
    for client in clients:
        client.send(bytes(30_000))
        bench.spend(0.002)
    assert server.owner.kept <= 130_000
    assert sum(peer.dropped for peer in server.peers) > 0


def test_a_peer_that_is_forgotten_leaves_nothing(bench: Bench) -> None:
    server = Server(bench)
    client = server.client()
    client.send(b"hello")
    bench.until(lambda: server.peers)
    (peer,) = server.peers
    peer.close()
    peer.close()
    assert (server.owner.kept, len(server.owner._peers)) == (0, 0)
    client.send(b"again")
    bench.until(lambda: len(server.peers) == 2)
    assert received(server.peers[1]) == [b"again"]


def test_who_is_not_allowed_is_nobody(bench: Bench) -> None:
    server = Server(bench)
    asked: list[SocketAddress] = []

    def nobody(address: SocketAddress) -> bool:
        asked.append(address)
        return False

    server.owner.allowed = nobody
    server.client().send(b"x")
    bench.until(lambda: asked)
    assert not server.peers


def test_an_empty_message_is_no_end(bench: Bench) -> None:
    server = Server(bench)
    client = server.client()
    for octets in (b"", b"x"):
        client.send(octets)
    bench.until(lambda: server.peers and server.owner.kept)
    assert received(server.peers[0]) == [b"x"]
    ours, theirs = bench.pair(socket.SOCK_DGRAM)
    channel = MessageChannel(ours, "peer")
    buffer = memoryview(bytearray(10))
    theirs.send(b"")
    assert channel.receive_into(buffer) is None
    packets, end = bench.pair(socket.SOCK_SEQPACKET)
    end.close()
    assert MessageChannel(packets, "peer").receive_into(buffer) == 0


def test_messages_of_unix_sockets_longer_than_those_of_udp_arrive_whole(
    bench: Bench, tmp_path: Path
) -> None:
    server = Server(bench, tmp_path / "socket")
    client = server.client()
    client.bind("")
    client.send(noise(150_000))
    bench.until(lambda: server.peers)
    (peer,) = server.peers
    assert received(peer) == [noise(150_000)]
    assert peer.send(memoryview(noise(150_000))) == 150_000
    assert client.recv(1 << 18) == noise(150_000)


def test_a_peer_that_cannot_be_answered_is_no_matter(bench: Bench, tmp_path: Path) -> None:
    server = Server(bench, tmp_path / "socket")
    server.client().send(b"from nobody in particular")
    bench.until(lambda: server.peers)
    assert server.peers[0].send(memoryview(b"answer")) == 6


def test_a_peer_whose_queue_is_full_is_tried_again(bench: Bench, tmp_path: Path) -> None:
    server = Server(bench, tmp_path / "socket")
    client = server.client()
    client.bind("")
    client.send(b"x")
    bench.until(lambda: server.peers)
    (peer,) = server.peers
    told: list[bool] = []
    peer.attach(bench.loop, lambda: None, lambda: told.append(True))
    sent = 0
    while peer.send(memoryview(b"y")):
        sent += 1
    bench.until(lambda: told)
    for _ in range(sent):
        client.recv(10)
    assert peer.send(memoryview(b"z")) == 1
    assert client.recv(10) == b"z"


def test_an_answer_that_is_too_long_is_an_error(bench: Bench) -> None:
    server = Server(bench)
    server.client().send(b"x")
    bench.until(lambda: server.peers)
    with pytest.raises(OSError, match="Message too long"):
        server.peers[0].send(memoryview(bytes(70_000)))


def test_an_address_that_nothing_can_be_sent_to_is_an_error(bench: Bench, tmp_path: Path) -> None:
    """Other than one that does not answer, which is the network's way."""
    server = Server(bench)
    gone = server.client()
    gone.send(b"x")
    bench.until(lambda: server.peers)
    gone.close()
    for _ in range(2):
        assert server.peers[0].send(memoryview(b"lost")) == 4
    nowhere = PeerChannel(server.owner, ("127.0.0.1", 0), "nowhere")
    with pytest.raises(OSError, match="Invalid argument"):
        nowhere.send(memoryview(b"x"))
    unix = Server(bench, tmp_path / "socket")
    left = PeerChannel(unix.owner, str(tmp_path / "left"), "left")
    with pytest.raises(FileNotFoundError):
        left.send(memoryview(b"x"))


def test_strangers_and_empty_messages_keep_nobody_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams, "_TURN", 4)
    ours, theirs = bench.pair(socket.SOCK_DGRAM)
    channel = MessageChannel(ours, "peer")
    buffer = memoryview(bytearray(10))
    got: list[int | None] = []
    channel.attach(bench.loop, lambda: got.append(channel.receive_into(buffer)), lambda: None)
    for octets in (*[b""] * 9, b"x"):
        theirs.send(octets)
    bench.until(lambda: 1 in got)
    assert got == [None, None, 1]


def test_what_came_from_others_before_it_was_connected_is_passed_over(bench: Bench) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wanted,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        ):
            wanted.connect(bound.getsockname())
            for sock, octets in ((other, b"stranger"), (wanted, b"friend")):
                sock.sendto(octets, bound.getsockname())
            bound.connect(wanted.getsockname())
            channel = MessageChannel(bound, "peer", only=wanted.getsockname())
            buffer = memoryview(bytearray(100))
            count = channel.receive_into(buffer)
            assert count is not None
            assert bytes(buffer[:count]) == b"friend"

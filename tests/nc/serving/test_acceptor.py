"""Clients are let in at our own pace: no more than fit, and nobody who is not allowed."""

from __future__ import annotations

import os
import resource
import socket
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import Bench, descriptors, nothing_left_open

from sockwright.nc.access import Access
from sockwright.nc.engine.settings import Serving
from sockwright.nc.serving import acceptor as serving_module
from sockwright.nc.serving.acceptor import Acceptor, bind_here, listen_here
from sockwright.sockets.endpoint import parse_endpoint

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
    """An acceptor, and whom it let in."""

    def __init__(self, bench: Bench, serving: Serving, access: Access | None = None) -> None:
        self._bench = bench
        self.clients: list[socket.socket] = []
        self.said: list[str] = []
        listener = listen_here(parse_endpoint("tcp://127.0.0.1:0"), serving.backlog)
        self.address = listener.socket.getsockname()
        self.acceptor = Acceptor(
            bench.loop, listener, serving, access, self._arrived, say=self.said.append
        )
        bench.callback(self._close)
        self.acceptor.start()

    def _arrived(self, sock: socket.socket, address: SocketAddress, said: bytes = b"") -> None:
        self.clients.append(sock)

    def _close(self) -> None:
        self.acceptor.close()
        for sock in self.clients:
            sock.close()

    def client(self, host: str = "127.0.0.1") -> socket.socket:
        sock = socket.socket()
        self._bench.callback(sock.close)
        sock.settimeout(10)
        sock.bind((host, 0))
        sock.connect(self.address)
        return sock

    def leave(self) -> None:
        """Let the first client leave."""
        self.clients.pop(0).close()
        self.acceptor.left()

    def settle(self) -> None:
        """Let everybody in who may come in now."""
        for _ in range(3):
            self._bench.loop.soon(lambda: None)
            self._bench.loop.step()


@contextmanager
def no_descriptor_free() -> Iterator[None]:
    """Let nothing more be opened."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_one_client_is_let_in_and_then_nobody_listens_any_more(bench: Bench) -> None:
    server = Server(bench, Serving())
    server.client()
    bench.until(lambda: server.clients)
    with pytest.raises(ConnectionRefusedError):
        server.client()


def test_as_many_are_served_as_may_be_and_the_others_wait(bench: Bench) -> None:
    server = Server(bench, Serving(keep=True, max_connections=2))
    for _ in range(5):
        server.client()
    server.settle()
    assert len(server.clients) == server.acceptor.served == 2
    for left in range(1, 4):
        server.leave()
        server.settle()
        assert server.acceptor.served == 2, left
    assert server.said == []


def test_a_storm_leaves_the_others_their_turn(bench: Bench) -> None:
    server = Server(bench, Serving(keep=True))
    for _ in range(200):
        server.client()
    bench.loop.step()
    assert len(server.clients) == 64
    bench.until(lambda: len(server.clients) == 200)


def test_without_descriptors_it_waits_until_somebody_leaves_and_says_so_once(
    bench: Bench,
) -> None:
    server = Server(bench, Serving(keep=True))
    for _ in range(3):
        server.client()
    bench.until(lambda: len(server.clients) == 3)
    for _ in range(3):
        server.client()
    with no_descriptor_free():
        server.settle()
        assert len(server.clients) == 3
        (line,) = server.said
        assert "EMFILE" in line
        assert "3 clients are served" in line
        server.leave()
        server.settle()
        assert server.acceptor.served == 3  # one more took the place
        server.settle()
    bench.until(lambda: server.acceptor.served == 5)
    assert len(server.said) == 1


def test_without_descriptors_it_tries_again_by_itself_after_a_while(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_module, "_PAUSE", 0.05)
    server = Server(bench, Serving(keep=True))
    server.client()
    bench.until(lambda: server.clients)
    server.client()
    with no_descriptor_free():
        for _ in range(5):
            bench.spend(0.06)
        assert len(server.clients) == 1
        assert len([timer for timer in bench.loop._timers if timer.call is not None]) <= 1
    bench.until(lambda: len(server.clients) == 2)
    assert len(server.said) == 1


def test_too_low_a_limit_from_the_start_is_an_error(bench: Bench) -> None:
    server = Server(bench, Serving(keep=True))
    server.client()
    with no_descriptor_free(), pytest.raises(OSError, match="EMFILE"):
        server.settle()


def test_a_limit_that_was_enough_before_is_waited_for(bench: Bench) -> None:
    server = Server(bench, Serving(keep=True))
    server.client()
    bench.until(lambda: server.clients)
    server.leave()
    server.client()
    with no_descriptor_free():
        server.settle()  # the descriptors of programs that have not quite ended, say
    bench.until(lambda: server.clients)


def test_a_client_that_is_gone_before_its_turn_is_no_error(bench: Bench) -> None:
    server = Server(bench, Serving(keep=True))
    gone = server.client()
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    gone.close()
    server.client()
    server.settle()
    assert server.acceptor.served >= 1
    assert server.said == []


def test_who_is_not_allowed_is_closed_with_a_line(bench: Bench) -> None:
    server = Server(bench, Serving(keep=True), Access(("127.0.0.1",), ()))
    stranger = server.client("127.0.0.2")
    friend = server.client()
    bench.until(lambda: server.clients)
    assert server.clients[0].getpeername() == friend.getsockname()
    assert server.acceptor.served == 1
    (line,) = server.said
    assert line.startswith(f"refused tcp://127.0.0.2:{stranger.getsockname()[1]}")


def test_a_closed_listener_is_not_started_again(bench: Bench) -> None:
    server = Server(bench, Serving(keep=True))
    server.client()
    bench.until(lambda: server.clients)
    server.acceptor.close()
    server.acceptor.start()
    server.leave()
    server.acceptor.close()
    assert not bench.loop._calls


def test_listeners_of_each_kind_are_made_and_undone(tmp_path: Path) -> None:
    before = descriptors()
    path = tmp_path / "socket"
    for text in ("tcp://[::1]:0", f"unix:{path}", f"unix:{path}?type=seqpacket"):
        with closing(listen_here(parse_endpoint(text), 5)) as listener:
            assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    for text in ("udp://127.0.0.1:0", f"unix:{path}"):
        with closing(bind_here(parse_endpoint(text))) as bound:
            assert bound.socket.type == socket.SOCK_DGRAM
    assert not path.exists()
    assert descriptors() == before


def test_the_family_that_is_wanted_is_listened_on() -> None:
    for family, wanted in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        with closing(listen_here(parse_endpoint("tcp://*:0"), 5, family)) as listener:
            assert listener.socket.family == wanted

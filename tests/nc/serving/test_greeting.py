"""Handshakes of a listener: some at a time, and those who never go on shut out nobody."""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import PATIENCE_S, Bench, nothing_left_open, served

from sockwright.nc.ends import EchoEnd, StandardEnd, parse_end
from sockwright.nc.engine.settings import Job, Serving, Side
from sockwright.nc.serving import greeting
from sockwright.nc.serving.greeting import Greetings
from sockwright.nc.tls.options import TLSOptions, server_context

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from tests.nc.moving import Served

    from sockwright.nc.channels.channel import Channel

_HALF = b"\x16\x03\x01\x02\x00\x01"  # a record header, and one octet of the 512 that it promises


class Desk(Bench):
    """A loop with greetings, and those who have come."""

    def __init__(self, seconds: float = 30) -> None:
        super().__init__()
        self.done: list[Channel] = []
        self.failed: list[Exception] = []
        context, _ = server_context(TLSOptions())
        self.greetings = Greetings(
            self.loop,
            context,
            seconds,
            self.done.append,
            lambda _, error: self.failed.append(error),
        )
        self.callback(lambda: [channel.close() for channel in self.done])  # type: ignore[func-returns-value]
        self.callback(self.greetings.close)

    def silent(self) -> socket.socket:
        """Let one come who sends the beginning of a handshake and no more."""
        ours, theirs = self.pair()
        self.greetings.begin(ours, "silent")
        theirs.sendall(_HALF)
        return theirs

    def willing(self) -> threading.Thread:
        """Let one come who shakes hands."""
        ours, theirs = self.pair()
        self.greetings.begin(ours, "willing")
        thread = threading.Thread(target=lambda: shake(theirs).close())
        thread.start()
        self.callback(thread.join)
        return thread


def shake(sock: socket.socket) -> ssl.SSLSocket:
    """Do a client's part of a handshake."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(sock)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """See that no descriptor is left open."""
    with nothing_left_open():
        yield


def test_who_shakes_hands_is_given_as_a_channel() -> None:
    with Desk() as desk:
        desk.willing()
        desk.until(lambda: desk.done)
        assert desk.failed == []


def test_half_handshakes_beyond_a_number_wait_without_costing_memory() -> None:
    with Desk() as desk:
        for _ in range(greeting._MOST + 50):
            desk.silent()
        assert len(desk.greetings._begun) == greeting._MOST
        assert len(desk.greetings._waiting) == 50


def test_those_who_never_go_on_make_room_for_those_who_do() -> None:
    with Desk() as desk:
        for _ in range(greeting._MOST):
            desk.silent()
        desk.willing()
        desk.until(lambda: desk.done)
        assert len(desk.failed) == 1  # one had to go, not all of them
        assert isinstance(desk.failed[0], TimeoutError)


def test_a_handshake_has_its_whole_time_where_nobody_waits() -> None:
    with Desk(seconds=0.2) as desk:
        desk.silent()
        desk.until(lambda: desk.failed)
        assert "no TLS within 0.2 s" in str(desk.failed[0])


def test_who_left_while_it_waited_keeps_nobody_else_waiting() -> None:
    with Desk() as desk:
        silent = [desk.silent() for _ in range(greeting._MOST + 300)]
        for sock in silent:
            sock.close()
        desk.until(lambda: len(desk.failed) == len(silent))
        desk.willing()
        desk.until(lambda: desk.done)


def secure(end: str, *, keep: bool, near: EchoEnd | StandardEnd) -> Job:
    return Job(
        Side(near),
        Side(parse_end(end), listen=True, tls=TLSOptions()),
        serving=Serving(keep=keep),
        verbose=1,
    )


def hello(server: Served) -> bytes:
    """Connect, say hello, and return what comes back."""
    with shake(server.connect()) as sock:
        sock.sendall(b"hello")
        return sock.recv(100)


def test_a_stray_connection_does_not_end_a_listener_that_waits_for_one_client() -> None:
    job = secure("tls://127.0.0.1:0", keep=False, near=EchoEnd())
    with served(job) as server:
        with server.connect() as stray:
            stray.sendall(b"GET / HTTP/1.0\r\n\r\n")
            server.wait_for(lambda events: [e for e in events if e.kind == "refused"])
        with server.connect():  # and one that says nothing holds nobody up
            assert hello(server) == b"hello"
        server.wait_for(lambda events: [e for e in events if e.kind == "ended"])


def test_who_comes_second_is_let_go_when_the_first_has_shaken_hands() -> None:
    job = secure("tls://127.0.0.1:0", keep=False, near=EchoEnd())
    with served(job) as server, server.connect() as second:
        second.settimeout(PATIENCE_S)
        assert hello(server) == b"hello"
        assert second.recv(1) == b""

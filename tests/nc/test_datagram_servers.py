"""Listeners for datagrams: as many peers as may be, since anybody can make up another address."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import PATIENCE_S, served

from sockwright.errors import UsageError
from sockwright.nc.channels import datagrams
from sockwright.nc.ends import parse_end
from sockwright.nc.engine.run import run
from sockwright.nc.engine.settings import Job, Serving, Side
from sockwright.nc.serving import listening

if TYPE_CHECKING:
    from tests.nc.moving import Served


def serving(near: str, most: int) -> Job:
    """Make a job that serves datagrams with what `near` says."""
    far = Side(parse_end("udp://127.0.0.1:0"), listen=True)
    return Job(
        Side(parse_end(near)), far, serving=Serving(keep=True, max_connections=most), verbose=1
    )


def ask(stack: ExitStack, server: Served, question: bytes) -> socket.socket:
    """Send a first datagram."""
    sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.settimeout(PATIENCE_S)
    sock.connect(server.address)
    sock.send(question)
    return sock


@pytest.mark.parametrize("near", ["echo:", "exec:cat"])
def test_no_more_peers_are_served_than_may_be(near: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(serving(near, 2), udp=True) as server, ExitStack() as stack:
        first, second = (ask(stack, server, b"hello") for _ in range(2))
        assert [first.recv(10), second.recv(10)] == [b"hello", b"hello"]
        ask(stack, server, b"no room")
        first.send(b"again")  # what came before was seen when this is answered
        assert first.recv(10) == b"again"
        assert len(server.lines("connected")) == 2
        monkeypatch.setattr(datagrams, "_SILENT", 0.0)  # there is room for the one that stops it


def test_no_program_is_started_for_who_can_put_any_address_on_a_datagram() -> None:
    far = Side(parse_end("udp://0.0.0.0:0"), listen=True)
    serve = Serving(keep=True, allow=("127.0.0.1",))
    for near in ("exec:cat", "pty:cat"):
        with pytest.raises(UsageError, match="on loopback only"):
            next(run(Job(Side(parse_end(near)), far, serving=serve)))


def test_not_for_every_address_a_program_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    assert listening._PROGRAMS_OF_PEERS == 128
    monkeypatch.setattr(listening, "_PROGRAMS_OF_PEERS", 3)
    with served(serving("exec:cat", 10_000), udp=True) as server, ExitStack() as stack:
        talks = ask(stack, server, b"hello")
        assert talks.recv(10) == b"hello"
        for _ in range(20):
            ask(stack, server, b"x")
        talks.send(b"again")
        assert talks.recv(10) == b"again"
        assert len(server.lines("connected")) == 3
        monkeypatch.setattr(datagrams, "_SILENT", 0.0)

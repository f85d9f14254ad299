"""Connections for many clients: what they share, and that clients who break off are let go."""

from __future__ import annotations

import socket
import ssl
import struct
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import Bench, served
from tests.nc.opening.test_shared import CountingLoop

from sockwright.nc.ends import SocketEnd, parse_end
from sockwright.nc.engine.settings import Job, Limits, Serving, Side
from sockwright.nc.opening.openings import Openings
from sockwright.sockets.endpoint import parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.nc.channels.channel import Channel
    from sockwright.nc.engine.outcome import Outcome

_RESET = struct.pack("ii", 1, 0)


def reset(sock: socket.socket) -> None:
    """Close by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


@pytest.fixture
def silent() -> Iterator[str]:
    """Give a place where connecting takes for ever: its backlog is full."""
    with Bench() as bench:
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        bench.callback(listener.close)
        while True:
            client = socket.socket()
            bench.callback(client.close)
            client.settimeout(0.05)
            try:
                client.connect(listener.getsockname())
            except TimeoutError:
                break
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"


def test_many_openings_look_their_name_up_once() -> None:
    with Bench() as bench:
        counting = bench.loop = CountingLoop()
        bench.callback(counting.close)
        openings = Openings(counting, Limits())
        over: list[Channel | Outcome] = []
        side = Side(parse_end("tcp://localhost:1"))
        for _ in range(50):
            openings.begin(side, over.append, over.append)
        bench.until(lambda: len(over) == 50)
        assert counting.threads == 1


def test_what_is_under_way_is_given_up_at_the_end_with_the_clients_that_wait(silent: str) -> None:
    with Bench() as bench:
        client, theirs = bench.channel()
        openings = Openings(bench.loop, Limits())
        called: list[Channel | Outcome] = []
        openings.begin(Side(parse_end(silent)), called.append, called.append, client=client)
        openings.close()
        assert called == []
        assert theirs.recv(1) == b""


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_a_client_that_breaks_off_while_its_far_end_is_opened_is_let_go(
    scheme: str, silent: str
) -> None:
    job = Job(
        Side(SocketEnd(parse_endpoint("tcp://127.0.0.1:0"), tls=scheme == "tls"), listen=True),
        Side(parse_end(silent)),
        serving=Serving(keep=True),
        verbose=1,
    )
    with served(job) as server:
        client = server.connect()
        if scheme == "tls":
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            client = context.wrap_socket(client)
        server.wait_for(lambda events: [one for one in events if one.kind == "connected"])
        reset(client)
        server.wait_for(lambda events: [one for one in events if one.kind == "failed"])
        assert "ECONNRESET" in server.lines("failed")[0]


def test_a_client_that_only_half_closes_still_gets_its_answer() -> None:
    with Bench() as bench:
        listener = socket.create_server(("127.0.0.1", 0))
        bench.callback(listener.close)
        job = Job(
            Side(parse_end("tcp://127.0.0.1:0"), listen=True),
            Side(parse_end(f"tcp://127.0.0.1:{listener.getsockname()[1]}")),
            serving=Serving(keep=True),
            verbose=1,
        )
        with served(job) as server, server.connect() as client:
            client.shutdown(socket.SHUT_WR)
            far, _ = listener.accept()
            with far:
                far.sendall(b"the answer")
            assert client.recv(100) == b"the answer"

"""How blocking conversations wait: for both directions at once, for long, and until a close()."""

from __future__ import annotations

import errno
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import pytest

import sockwright
from sockwright import nc
from sockwright.nc.talking.carrier import Pause
from sockwright.nc.talking.waiting import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from sockwright.nc.talking.carrier import Steps

PATIENCE_S = 20.0
LARGE = 8 << 20


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def servers() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two listeners of the kernel, with small buffers so that back-pressure comes early."""
    both = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    for each in both:
        each.settimeout(PATIENCE_S)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    yield both
    for each in both:
        each.close()


def _accepted(server: socket.socket) -> socket.socket:
    connection, _ = server.accept()
    connection.settimeout(PATIENCE_S)
    return connection


def _place(server: socket.socket) -> str:
    return f"tcp://127.0.0.1:{server.getsockname()[1]}"


def _everything(connection: socket.socket) -> int:
    count = 0
    while octets := connection.recv(65536):
        count += len(octets)
    return count


def _until_waiting(conversation: Any, listeners: int = 1) -> None:
    """Return when so many threads wait with `conversation`."""
    settled = threading.Event()
    while conversation.bell.listeners < listeners:
        settled.wait(0.001)


def test_a_relay_takes_from_whom_it_waits_to_give_to(
    servers: tuple[socket.socket, socket.socket], threads: ThreadPoolExecutor
) -> None:
    # Each side sends everything before it reads anything, so both wait for the relay to take it
    # while it waits for them: what it may receive must wake it, too.
    relayed = threads.submit(nc.relay, *map(_place, servers), idle=PATIENCE_S)

    def send_then_read(server: socket.socket) -> int:
        with _accepted(server) as connection:
            reading = threads.submit(_everything, connection)
            connection.sendall(bytes(LARGE))
            connection.shutdown(socket.SHUT_WR)
            return reading.result()

    both = [threads.submit(send_then_read, server) for server in servers]
    assert [each.result(PATIENCE_S) for each in both] == [LARGE, LARGE]
    assert relayed.result(PATIENCE_S) == nc.Relayed(LARGE, LARGE, ended=True)


@pytest.mark.parametrize("sides", [("read", "write"), ("write", "read")])
def test_either_direction_wakes_who_waits_for_both(
    sides: tuple[Literal["read", "write"], Literal["read", "write"]],
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        with suppress(BlockingIOError):
            while ours.send(bytes(65536)):
                pass
        theirs.send(b"x")

        def steps() -> Steps[bool]:
            first, second = ((ours.fileno(), side) for side in sides)
            return (yield Pause((first, second)))

        assert run(steps(), PATIENCE_S)


def test_a_relay_hears_one_that_takes_nothing(
    servers: tuple[socket.socket, socket.socket], threads: ThreadPoolExecutor
) -> None:
    relayed = threads.submit(nc.relay, *map(_place, servers))
    with _accepted(servers[0]) as loud, _accepted(servers[1]) as deaf:
        loud.settimeout(0.2)
        with pytest.raises(TimeoutError):
            loud.sendall(bytes(64 << 20))
        deaf.sendall(b"stop please")
        loud.settimeout(PATIENCE_S)
        assert loud.recv(100) == b"stop please"
        loud.shutdown(socket.SHUT_WR)
        deaf.shutdown(socket.SHUT_WR)
        assert _everything(deaf) > 65536
    assert relayed.result(PATIENCE_S).ended


def test_tls_receives_while_what_it_sends_is_not_taken(threads: ThreadPoolExecutor) -> None:
    with (
        nc.listen("tls://127.0.0.1:0", timeout=PATIENCE_S) as listener,
        nc.connect("tcp" + listener.name.removeprefix("tls"), timeout=PATIENCE_S) as plain,
        listener.accept() as server,
    ):
        asked = threads.submit(server.recv_exactly, 1, timeout=PATIENCE_S)
        plain.start_tls(nc.TLSOptions(verify=False))
        plain.send(b"1")
        assert asked.result(PATIENCE_S) == b"1"
        with pytest.raises(TimeoutError):
            plain.send(bytes(64 << 20), timeout=0.3)
        answer = threads.submit(plain.receive)  # waits to send on as well
        _until_waiting(plain)
        server.send(b"late answer", timeout=PATIENCE_S)
        assert answer.result(PATIENCE_S) == b"late answer"


def test_a_relay_to_a_peer_that_never_shakes_hands_is_idle() -> None:
    with (
        nc.listen("tls://127.0.0.1:0", timeout=PATIENCE_S) as listener,
        nc.connect("tcp" + listener.name.removeprefix("tls")),
        listener.accept() as silent,
    ):
        assert nc.relay(silent, "echo:", idle=0.15) == nc.Relayed(0, 0, ended=False)


@pytest.mark.parametrize("seconds", [3e6, 1e300, float("inf")])
def test_a_time_limit_of_months_is_one(seconds: float, threads: ThreadPoolExecutor) -> None:
    with nc.connect("echo:", timeout=seconds) as mirror:
        waiting = threads.submit(mirror.recv_line)
        _until_waiting(mirror)
        mirror.send_line(b"at last")
        assert waiting.result(PATIENCE_S) == b"at last"
    with (
        nc.listen("tcp://:0", timeout=seconds) as listener,
        nc.connect(listener.local_address, timeout=seconds) as client,
        listener.accept() as server,
    ):
        server.send_line(b"hello")
        assert client.recv_line(timeout=seconds) == b"hello"
    with (
        sockwright.listen("tcp://127.0.0.1:0") as sockets,
        sockwright.connect(sockets.local_address, timeout=seconds) as stream,
    ):
        assert stream.timeout is None


@pytest.mark.parametrize(
    "call",
    [
        lambda each: each.receive(),
        lambda each: each.recv_line(),
        lambda each: each.recv_regex(b"x"),
        lambda each: each.clean(PATIENCE_S),
    ],
)
def test_closing_in_another_thread_wakes_who_waits(
    call: Callable[[nc.Conversation], object], threads: ThreadPoolExecutor
) -> None:
    for conversation in (nc.connect("echo:"), nc.spawn(["cat"])):
        waiting = [threads.submit(call, conversation) for _ in range(2)]
        _until_waiting(conversation, 2)
        conversation.close()
        for each in waiting:
            _ended_by_close(each)
        _closed(conversation.receive)


def test_closing_wakes_an_accept_and_a_relay(
    servers: tuple[socket.socket, socket.socket], threads: ThreadPoolExecutor
) -> None:
    for place in ("tcp://:0", "udp://:0"):
        with nc.listen(place) as listener:
            waiting = threads.submit(listener.accept)
            _until_waiting(listener)
            listener.close()
            _ended_by_close(waiting)
    with nc.connect(_place(servers[0])) as one, nc.connect(_place(servers[1])) as other:
        relayed = threads.submit(nc.relay, one, other)
        _until_waiting(other)
        other.close()
        _ended_by_close(relayed)


def test_closing_wakes_who_sends(threads: ThreadPoolExecutor, tmp_path: Path) -> None:
    with nc.listen(f"unix:{tmp_path}/s") as listener:
        client = nc.connect(f"unix:{tmp_path}/s")
        with listener.accept():
            waiting = threads.submit(client.send, bytes(LARGE))
            _until_waiting(client)
            client.close()
            _ended_by_close(waiting)


def _ended_by_close(waiting: Future[Any]) -> None:
    _closed(lambda: waiting.result(PATIENCE_S))


def _closed(call: Callable[[], object]) -> None:
    with pytest.raises(OSError, match=r"it was closed|EBADF|descriptor") as caught:
        call()
    assert caught.value.errno == errno.EBADF

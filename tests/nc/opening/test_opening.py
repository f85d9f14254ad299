"""Ends are opened: the next address when one fails or hangs, in time, and nothing leaks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import Bench, descriptors, nothing_left_open

from sockwright.nc.ends import SocketEnd, parse_end
from sockwright.nc.engine.outcome import Outcome
from sockwright.nc.engine.settings import Limits, Side
from sockwright.nc.opening.opening import Opening, open_here
from sockwright.nc.proxy import parse_proxy
from sockwright.sockets.endpoint import parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.nc.channels.channel import Channel


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Open a loop; see that nothing is left of what was opened."""
    with nothing_left_open(), Bench() as one:
        yield one


class Opened:
    """An end that is being opened."""

    def __init__(self, bench: Bench, side: Side | str, limits: Limits | None = None) -> None:
        self.channels: list[Channel] = []
        self.outcomes: list[Outcome] = []
        side = Side(parse_end(side)) if isinstance(side, str) else side
        self.opening = Opening(
            bench.loop, side, limits or Limits(), self.channels.append, self.outcomes.append
        )
        bench.callback(self._close)
        bench.callback(self.opening.cancel)
        self.opening.start()

    def _close(self) -> None:
        for channel in self.channels:
            channel.close()

    @property
    def over(self) -> bool:
        return bool(self.channels or self.outcomes)


def listener(
    bench: Bench, host: str = "127.0.0.1", port: int = 0, *, backlog: int = 5
) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bench.callback(sock.close)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(backlog)
    return sock


def unheard(bench: Bench) -> int:
    """Return a port where nobody listens, and that nobody else gets meanwhile."""
    sock = socket.socket()
    bench.callback(sock.close)
    sock.bind(("127.0.0.1", 0))
    port: int = sock.getsockname()[1]
    return port


def crowd(bench: Bench, sock: socket.socket) -> None:
    """Fill the backlog, so that nobody is answered any more."""
    while True:
        client = socket.socket(sock.family)
        bench.callback(client.close)
        client.settimeout(0.05)
        try:
            client.connect(sock.getsockname())
        except TimeoutError:
            return


def test_it_connects(bench: Bench) -> None:
    sock = listener(bench)
    opened = Opened(bench, f"tcp://127.0.0.1:{sock.getsockname()[1]}")
    bench.until(lambda: opened.over)
    (channel,) = opened.channels
    assert channel.name == f"tcp://127.0.0.1:{sock.getsockname()[1]}"


def test_nobody_there_is_one_line(bench: Bench) -> None:
    opened = Opened(bench, f"tcp://127.0.0.1:{unheard(bench)}")
    bench.until(lambda: opened.over)
    (outcome,) = opened.outcomes
    assert outcome.status == 1
    assert "Connection refused (ECONNREFUSED)" in outcome.text


def test_the_next_address_is_tried_at_once_when_one_refuses(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sockwright.nc.opening.opening._STAGGER", 60.0)  # longer than we wait
    sock = listener(bench, "::1")
    opened = Opened(bench, f"tcp://:{sock.getsockname()[1]}")
    bench.until(lambda: opened.over)
    assert opened.channels


def test_the_next_address_is_tried_when_one_is_silent(bench: Bench) -> None:
    silent = listener(bench, backlog=0)
    answers = listener(bench, "::1", silent.getsockname()[1])
    crowd(bench, silent)
    began = time.monotonic()
    opened = Opened(bench, f"tcp://:{silent.getsockname()[1]}")
    bench.until(lambda: opened.over)
    (channel,) = opened.channels
    assert 0.24 < time.monotonic() - began < 8
    answers.accept()[0].close()
    assert channel.receive_into(memoryview(bytearray(10))) in {0, None}


def test_a_limit_of_time_is_status_3(bench: Bench) -> None:
    silent = listener(bench, backlog=0)
    crowd(bench, silent)
    port = silent.getsockname()[1]
    opened = Opened(bench, f"tcp://127.0.0.1:{port}", Limits(connect=0.05))
    bench.until(lambda: opened.over)
    (outcome,) = opened.outcomes
    assert outcome.status == 3
    assert outcome.text.startswith(f"connect to tcp://127.0.0.1:{port}: no answer within 0.05 s")


def test_one_that_is_given_up_says_nothing_more(bench: Bench) -> None:
    silent = listener(bench, backlog=0)
    crowd(bench, silent)
    opened = Opened(bench, f"tcp://127.0.0.1:{silent.getsockname()[1]}", Limits(connect=0.05))
    opened.opening.cancel()
    bench.spend(0.1)
    assert not opened.over


def test_an_event_of_another_socket_is_no_answer(bench: Bench) -> None:
    """The kernel may tell of a descriptor that was closed, and whose number is used again."""
    silent = listener(bench, backlog=0)
    crowd(bench, silent)
    opened = Opened(bench, f"tcp://127.0.0.1:{silent.getsockname()[1]}")
    (descriptor,) = opened.opening._trying
    bench.loop._calls[descriptor](0)
    assert not opened.over
    assert descriptor in opened.opening._trying


def test_a_full_backlog_of_a_unix_socket_is_tried_again_at_leisure(
    bench: Bench, tmp_path: Path
) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as sock, socket.socket(socket.AF_UNIX) as first:
        sock.bind(path)
        sock.listen(0)
        first.connect(path)
        opened = Opened(bench, f"unix:{path}", Limits(connect=5))
        bench.spend(0.7)
        assert not opened.over
        alive = [timer for timer in bench.loop._timers if timer.call is not None]
        assert len(alive) == 2  # the limit, and one for the next try
        sock.accept()[0].close()
        bench.until(lambda: opened.over)
        assert opened.channels


def test_a_name_is_looked_up_without_waiting(bench: Bench) -> None:
    sock = listener(bench)
    opened = Opened(bench, f"tcp://localhost:{sock.getsockname()[1]}")
    assert not opened.over
    bench.until(lambda: opened.over)
    assert opened.channels


@pytest.mark.parametrize(
    ("host", "status", "text"),
    [
        ("a" * 64 + ".example", 2, "cannot be a name"),
        ("localhost", 1, "Connection refused"),
    ],
)
def test_a_name_that_cannot_be_is_one_line(bench: Bench, host: str, status: int, text: str) -> None:
    opened = Opened(bench, f"tcp://{host}:{unheard(bench)}")
    bench.until(lambda: opened.over)
    (outcome,) = opened.outcomes
    assert text in outcome.text
    assert outcome.status == status


def test_names_are_refused_where_none_are_wanted(bench: Bench) -> None:
    opened = Opened(bench, Side(parse_end("tcp://localhost:1"), numeric=True))
    assert opened.outcomes == [Outcome(2, "localhost is a name, and -n takes none")]


def test_an_address_of_the_wrong_family_is_one_line(bench: Bench) -> None:
    opened = Opened(bench, Side(parse_end("tcp://127.0.0.1:1"), family=6))
    assert opened.outcomes == [Outcome(1, "tcp://127.0.0.1:1 has no address of IPv6")]


def test_an_own_address_of_another_family_is_one_line(bench: Bench) -> None:
    local = parse_endpoint("tcp://[::1]:0")
    opened = Opened(bench, Side(parse_end("tcp://127.0.0.1:1"), local=local))
    (outcome,) = opened.outcomes
    assert outcome.status == 2
    assert "another family" in outcome.text


def test_an_own_address_that_cannot_be_used_is_one_line(bench: Bench) -> None:
    local = parse_endpoint("unix:")
    opened = Opened(bench, Side(parse_end("tcp://127.0.0.1:1"), local=local))
    assert len(opened.outcomes) == 1


def test_an_own_address_that_is_not_here_is_named_and_not_that_of_the_peer(bench: Bench) -> None:
    local = parse_endpoint("tcp://192.0.2.1:0")
    opened = Opened(bench, Side(parse_end("tcp://127.0.0.1:1"), local=local))
    (outcome,) = opened.outcomes
    assert outcome.status == 1
    assert outcome.text.startswith("bind to 192.0.2.1 (-s): Cannot assign requested address")
    assert "127.0.0.1" not in outcome.text


@pytest.mark.needs("root", "setpriv")
def test_an_own_port_that_takes_a_privilege_says_so() -> None:
    limit = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if limit <= 80:
        pytest.skip("port 80 is open to every user here (ip_unprivileged_port_start)")
    without = ["setpriv", "--inh-caps=-net_bind_service", "--bounding-set=-net_bind_service"]
    done = subprocess.run(
        [*without, sys.executable, "-m", "sockwright", "nc", "-p", "80", "127.0.0.1", "1"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert done.returncode == 5
    assert "bind to port 80 (-p): Permission denied (EACCES)" in done.stderr
    assert "needs CAP_NET_BIND_SERVICE" in done.stderr
    assert "route" not in done.stderr


@pytest.mark.parametrize("octets", [b"", b"\x05\xff", b"nonsense"])
def test_a_proxy_that_refuses_or_talks_nonsense_is_one_line(bench: Bench, octets: bytes) -> None:
    sock = listener(bench)
    proxy = parse_proxy(f"127.0.0.1:{sock.getsockname()[1]}", "socks5")
    opened = Opened(bench, Side(parse_end("tcp://127.0.0.1:1"), proxy=proxy))
    bench.until(lambda: opened.opening._stage)
    client = sock.accept()[0]
    with client:
        client.sendall(octets)
    bench.until(lambda: opened.over)
    assert [outcome.status for outcome in opened.outcomes] == [1]


def test_a_proxy_that_says_nothing_is_left_after_the_limit(bench: Bench) -> None:
    sock = listener(bench)
    proxy = parse_proxy(f"127.0.0.1:{sock.getsockname()[1]}", "http")
    side = Side(parse_end("tcp://127.0.0.1:1"), proxy=proxy)
    opened = Opened(bench, side, Limits(connect=0.05))
    bench.until(lambda: opened.over)
    assert [outcome.status for outcome in opened.outcomes] == [3]
    assert not [number for number in bench.loop._calls if number > 2 and not _open(number)]


def _open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_what_a_proxy_sends_behind_its_answer_comes_first(bench: Bench) -> None:
    sock = listener(bench)
    proxy = parse_proxy(f"127.0.0.1:{sock.getsockname()[1]}", "http")
    opened = Opened(bench, Side(parse_end("tcp://127.0.0.1:1"), proxy=proxy))
    bench.until(lambda: opened.opening._stage)
    client = sock.accept()[0]
    bench.callback(client.close)
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
    bench.until(lambda: opened.over)
    (channel,) = opened.channels
    buffer = memoryview(bytearray(100))
    assert channel.receive_into(buffer[:2]) == 2
    assert channel.receive_into(buffer[2:]) == 3
    assert bytes(buffer[:5]) == b"hello"


@pytest.mark.parametrize("end", ["vsock://1:4", "vsock://2:4", "vsock://77:4"])
def test_a_vsock_that_nobody_serves_is_one_line(bench: Bench, end: str) -> None:
    opened = Opened(bench, end, Limits(connect=1))
    bench.until(lambda: opened.over)
    (outcome,) = opened.outcomes
    assert outcome.status in {1, 3, 5}
    assert "vsock" in outcome.text


def test_too_few_descriptors_are_one_line(bench: Bench) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open("/dev/null", "rb") as lowest:  # noqa: PTH123
        number = lowest.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, limits[1]))
    try:
        opened = Opened(bench, "tcp://127.0.0.1:1")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    (outcome,) = opened.outcomes
    assert "EMFILE" in outcome.text


def test_a_file_is_opened_to_read_or_made_to_write(tmp_path: Path) -> None:
    before = descriptors()
    path = tmp_path / "file"
    side = Side(parse_end(f"file:{path}"))
    with pytest.raises(FileNotFoundError, match=f"open file:{path}: No such file"):
        open_here(side, {})
    channel = open_here(Side(side.end, writes="new"), {})
    assert channel.send(memoryview(b"hello")) == 5
    channel.close()
    channel = open_here(side, {})
    buffer = memoryview(bytearray(10))
    assert [channel.receive_into(buffer) for _ in range(2)] == [5, 0]
    channel.close()
    channel.close()
    assert descriptors() == before


def test_ends_that_are_sockets_are_opened_elsewhere() -> None:
    end = parse_end("tcp://127.0.0.1:1")
    assert isinstance(end, SocketEnd)
    with pytest.raises(Exception, match="cannot be opened here"):
        open_here(Side(end), {})

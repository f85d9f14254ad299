"""`sw ss --graph` as it is typed: on a terminal, into a pipe, and for programs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.cli.terminal import Terminal
from tests.sockets.diag.own_network import own_network
from tests.sockets.diag.watched import Net

from sockwright.cli.pages._ss_graph import Graph
from sockwright.sockets.diag.inet import TCPSocket
from sockwright.sockets.diag.listing import dump
from sockwright.tools._ss_graph import Connection, Sample

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("namespaces", "unshare")

_SW = [sys.executable, "-W", "error", "-m", "sockwright", "ss"]
_SECOND = 1_000_000_000


@pytest.fixture
def net() -> Iterator[Net]:
    with own_network() as pid:
        made = Net(pid)
        yield made
        made.close()


def _words(net: Net, *words: str) -> list[str]:
    return [*_SW, "-tn", "-N", str(net.pid), "--graph", *words]


def _from(sock: socket.socket) -> tuple[str, ...]:
    """Return a filter for this end of a connection."""
    return "sport", "=", f":{sock.getsockname()[1]}"


def test_each_sample_is_a_line_of_json(net: Net) -> None:
    client, accepted = net.connect(net.listener())
    client.sendall(b"x" * 1000)
    assert len(accepted.recv(2000)) == 1000
    done = subprocess.run(
        _words(net, "--json", "--count", "3", *_from(client)),
        capture_output=True,
        text=True,
        check=True,
    )
    samples = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(samples) == 3
    for sample in samples:
        assert sample["event"] == "sample"
        assert sample["local"] == "{}:{}".format(*client.getsockname())
        assert sample["snd_cwnd"] > 0
        assert sample["rtt_us"] > 0
        assert sample["total_retrans"] == 0
    times = [sample["time_ns"] for sample in samples]
    assert times[2] - times[0] > _SECOND // 10
    assert "following" in done.stderr


def test_the_end_of_the_connection_is_told_with_its_last_tcp_info(net: Net) -> None:
    client, accepted = net.connect(net.listener())
    with subprocess.Popen(
        _words(net, "--json", *_from(client)), stdout=subprocess.PIPE, text=True
    ) as sw:
        assert sw.stdout is not None
        assert json.loads(sw.stdout.readline())["event"] == "sample"
        client.sendall(b"hello")
        assert accepted.recv(5) == b"hello"
        accepted.close()
        client.close()
        *_, last = map(json.loads, sw.stdout)
        assert last["event"] == "closed"
        assert last["info"]["bytes_sent"] == 5
        assert sw.wait(20) == 0


def test_of_several_connections_the_busiest_is_followed_and_the_others_named(net: Net) -> None:
    quiet, _ = net.connect(net.listener())
    busy, accepted = net.connect(net.listener())
    busy.sendall(b"x" * 5000)
    assert accepted.recv(5000)
    chosen = "{}:{}".format(*busy.getsockname())
    done = subprocess.run(
        _words(net, "--json", "--count", "1"), capture_output=True, text=True, check=True
    )
    peer = "{}:{}".format(*busy.getpeername())
    assert json.loads(done.stdout)["local"] in {chosen, peer}
    assert "the busiest of 4; the others: " in done.stderr
    assert "{}:{}".format(*quiet.getsockname()) in done.stderr


def test_without_a_connection_one_line_says_so(net: Net) -> None:
    done = subprocess.run(_words(net), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("sw ss: no TCP connection is there")
    assert done.stderr.count("\n") == 1


def test_a_pipe_gets_a_line_a_sample(net: Net) -> None:
    client, _ = net.connect(net.listener())
    done = subprocess.run(
        _words(net, "--count", "2", *_from(client)), capture_output=True, text=True, check=True
    )
    head, *lines = done.stdout.splitlines()
    assert head.split()[:3] == ["time", "state", "rtt"]
    assert len(lines) == 2
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3}  ESTAB ", line) for line in lines)


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (40, 12), (20, 6), (200, 60), (42, 4)])
def test_charts_fit_every_terminal(net: Net, columns: int, lines: int) -> None:
    client, _ = net.connect(net.listener())
    with Terminal(_words(net, *_from(client)), columns=columns, lines=lines) as terminal:
        terminal.until_shown("round-trip time")
        terminal.until(lambda shown: any("⠀" <= mark <= "⣿" for mark in "".join(shown.lines)))
        assert len(terminal.lines) <= lines
        assert max(map(len, terminal.lines)) <= columns
        if (columns, lines) == (80, 24):
            names = {line.split("  ")[0] for line in terminal.lines}
            assert {"delivery rate", "congestion window", "retransmissions"} <= names
            assert len(terminal.lines) == 24
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.finish() == 0
        assert not terminal.alternate


def test_without_utf_8_the_charts_are_ascii(net: Net) -> None:
    client, _ = net.connect(net.listener())
    command = _words(net, *_from(client))
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with Terminal(command, environment=plain) as terminal:
        terminal.until(lambda shown: any(re.search(r"\+[.':]", line) for line in shown.lines))
        assert "".join(terminal.lines).isascii()
        assert any(" -> " in line for line in terminal.lines)


def test_the_last_picture_stays_when_the_connection_ends(net: Net) -> None:
    client, accepted = net.connect(net.listener())
    with Terminal(_words(net, *_from(client))) as terminal:
        terminal.until_shown("round-trip time")
        client.close()
        accepted.close()
        assert terminal.finish() == 0
        assert not terminal.alternate
        shown = terminal.main.replace("\x1b", "")
        assert "congestion window" in shown
        assert re.search(r"the connection ended after \d+\.\d s: sent 0 B, received 0 B", shown)


@pytest.mark.parametrize("columns", [30, 40, 60])
def test_the_last_picture_is_cut_nowhere(net: Net, columns: int) -> None:
    client, accepted = net.connect(net.listener())
    ends = "{}:{} → {}:{}".format(*client.getsockname(), *client.getpeername())
    with Terminal(_words(net, *_from(client)), columns=columns) as terminal:
        terminal.until_shown("round-trip time")
        client.close()
        accepted.close()
        assert terminal.finish() == 0
        shown = terminal.main.split("following", 1)[1].split("\n", 1)[1]
        shown = re.sub(r"\x1b\[[0-9;]*m", "", shown)
        assert max(map(len, shown.splitlines())) <= columns
        words = " ".join(shown.split())
        assert words.startswith(ends)
        assert re.search(r"the connection ended after \d+\.\d s: sent 0 B, received 0 B$", words)


def test_q_ends_it(net: Net) -> None:
    client, _ = net.connect(net.listener())
    with Terminal(_words(net, *_from(client))) as terminal:
        terminal.until_shown("q ends it")
        terminal.press("q")
        assert terminal.finish() == 0
        assert re.search(r"followed for \d+\.\d s(?!;)", terminal.main)


def test_charts_forget_what_is_too_old_and_show_a_minute_at_most(net: Net) -> None:
    client, _ = net.connect(net.listener())
    (row,) = dump("tcp", where=" ".join(_from(client)), info=True, namespace=net.pid)
    assert isinstance(row, TCPSocket)
    assert row.info is not None
    graph = Graph(Connection(row, [], 0.1), plain=True)
    for number in range(5000):
        graph.take(Sample(number * _SECOND // 10, row, row.info))
    assert graph.kept == 1201
    *_, axis, _ = graph.picture(80, 24)
    text = "".join(part if isinstance(part, str) else part[0] for part in axis)
    assert text.split() == ["440", "s", "470", "s", "500", "s"]

"""`sw ss --watch` as it is typed: on a terminal, into a pipe, and for programs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

import pytest
from tests.cli.terminal import Terminal
from tests.sockets.diag.own_network import own_network
from tests.sockets.diag.watched import Net

from sockwright.cli.pages._ss_watch_columns import Columns

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("namespaces", "unshare")

_SW = [sys.executable, "-W", "error", "-m", "sockwright", "ss"]
_SOON = "0.05"
_QUEUES = ("Recv-Q", "Send-Q")


@pytest.fixture
def net() -> Iterator[Net]:
    with own_network() as pid:
        made = Net(pid)
        yield made
        made.close()


class Piped:
    """`sw ss --watch` into pipes; ready when the block is entered."""

    def __init__(self, net: Net, *words: str) -> None:
        interval = [] if words[:1] == ("9",) else [_SOON]
        command = [*_SW, "-tan", "-N", str(net.pid), "--watch", *interval, *words]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        assert self.process.stderr is not None
        self.said = self.process.stderr.readline()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


def _shown(
    net: Net, *words: str, columns: int = 80, lines: int = 24, colour: bool = True
) -> Terminal:
    command = [*_SW, "-tan", "-N", str(net.pid), "--watch", _SOON, *words]
    environment = {} if colour else {"NO_COLOR": "1"}
    return Terminal(command, columns=columns, lines=lines, environment=environment)


def _end(sock: socket.socket) -> str:
    return "{}:{}".format(*sock.getsockname())


def test_each_event_is_a_line_of_json(net: Net) -> None:
    with Piped(net, "--json", "state", "established") as sw:
        assert "watching 0 sockets" in sw.said
        client, accepted = net.connect(net.listener())
        told: list[dict[str, Any]] = [json.loads(sw.line()), json.loads(sw.line())]
        assert [one["event"] for one in told] == ["opened", "opened"]
        assert {one["local"] for one in told} == {_end(client), _end(accepted)}
        if not all(one["inode"] for one in told):  # seen before it was accepted, and again after
            assert json.loads(sw.line())["before"] == {"inode": 0}
        client.sendall(b"hello")
        one = json.loads(sw.line())
        assert (one["event"], one["receive_queue"]) == ("changed", 5)
        assert one["before"] == {"receive_queue": 0}
        assert accepted.recv(5) == b"hello"
        assert json.loads(sw.line())["receive_queue"] == 0
        local = _end(client)
        client.close()
        accepted.close()
        while (one["event"], one["local"]) != ("closed", local):
            one = json.loads(sw.line())
        assert one["info"]["bytes_sent"] == 5
        assert isinstance(one["time_ns"], int)
        sw.process.send_signal(signal.SIGINT)
        assert sw.process.wait(20) == 0, "Ctrl-C is how one ends it"


def test_a_pipe_gets_a_line_of_text_an_event(net: Net) -> None:
    # Not a listener that is bound, and is about to listen.
    with Piped(net, "--count", "1", "state", "listening") as sw:
        line = sw.line()
        listener = net.listener()
        assert line.split() == ["Time", "Event", "State", *_QUEUES, "Local:Port", "Peer:Port"]
        places = [line.index(head) for head in ("State", "Recv-Q", "Local", "Peer")]
        line = sw.line()
        assert re.match(r"\d\d:\d\d:\d\d\.\d{3}  opened   LISTEN       0       128     ", line), (
            line
        )
        assert all(line[place - 1] == " " != line[place] for place in places)
        assert _end(listener) in line
        assert sw.process.wait(20) == 0, "it ends after so many"


def test_it_ends_after_a_time(net: Net) -> None:
    with Piped(net, "--duration", "0.1") as sw:
        assert sw.process.wait(20) == 0
        assert sw.line().startswith("Time ")
        assert sw.line() == ""


@pytest.mark.parametrize("seconds", ["1e-5", "0.009"])
def test_an_interval_that_is_no_pause_is_refused(seconds: str) -> None:
    command = [*_SW, "--watch", seconds, "--duration", "0.1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert f"the interval is 0.01 seconds or more, not {float(seconds):g}" in done.stderr
    assert not done.stdout


def test_a_live_table_marks_what_is_new_has_changed_and_has_closed(net: Net) -> None:
    listener = net.listener()
    with _shown(net) as terminal:
        terminal.until_shown("LISTEN")
        assert "1 socket: LISTEN 1" in terminal.lines[1]
        client, accepted = net.connect(listener)
        terminal.until_shown(f"{_end(client)}")
        assert any(line.startswith("+ ESTAB") for line in terminal.lines)
        client.sendall(b"hello")
        terminal.until(lambda shown: any(re.match(r"~ ESTAB +5 ", line) for line in shown.lines))
        assert re.search(r"\x1b\[1;33m +5", terminal.written), "the cell that changed stands out"
        client.close()
        accepted.close()
        terminal.until(lambda shown: any(line.startswith("- ") for line in shown.lines))
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.finish() == 0
        assert not terminal.alternate
        assert re.search(r"watched for \d+ s: \d+ opened, \d+ changed, \d+ closed\n", terminal.main)


def test_what_has_no_room_is_counted_and_what_is_new_comes_first(net: Net) -> None:
    for _ in range(30):
        net.listener()
    with _shown(net, "state", "listening", lines=12) as terminal:
        terminal.until_shown("and 23 more")
        assert len(terminal.lines) == 12
        fresh = net.listener()
        terminal.until_shown(_end(fresh))
        assert terminal.lines[4].startswith("+ LISTEN")
        assert _end(fresh) in terminal.lines[4]


@pytest.mark.parametrize(("columns", "lines"), [(20, 24), (44, 24), (60, 24), (200, 3), (1, 1)])
def test_the_table_fits_every_terminal(net: Net, columns: int, lines: int) -> None:
    net.connect(net.listener(socket.AF_INET6))
    with _shown(net, columns=columns, lines=lines) as terminal:
        terminal.until(lambda shown: len(shown.lines) >= max(1, min(5, lines - 1)))
        assert len(terminal.lines) <= lines
        assert max(map(len, terminal.lines)) <= columns
        assert not re.search(r"\d\[", "\n".join(terminal.lines)), "columns run together"


def test_what_has_closed_leaves_room_for_what_lives(net: Net) -> None:
    alive = [net.listener() for _ in range(4)]
    with _shown(net, "-p", lines=14, columns=120) as terminal:
        terminal.until_shown(_end(alive[-1]))
        for _ in range(20):
            net.listener().close()
        terminal.until_shown("and 15 more closed")
        closed = [line for line in terminal.lines if line.startswith("- ")]
        assert len(closed) == 5
        assert all(any(_end(sock) in line for line in terminal.lines) for sock in alive)


def test_a_terminal_may_become_as_small_as_it_likes(net: Net) -> None:
    for _ in range(3):
        net.connect(net.listener())
    with _shown(net, lines=50) as terminal:
        terminal.until_shown("ESTAB")
        for columns, lines in (10, 3), (80, 4), (1, 1), (44, 2), (80, 24):
            terminal.resize(columns, lines)
            terminal.until(lambda shown: 0 < len(shown.lines) <= shown.height)
            terminal.until(lambda shown: max(map(len, shown.lines)) <= shown.columns)
        terminal.press("q")
        assert terminal.finish() == 0


@pytest.mark.parametrize("columns", [30, 40, 60, 80])
def test_neither_ports_nor_processes_are_lost_where_there_is_little_room(
    net: Net, columns: int
) -> None:
    client, accepted = net.connect(net.listener())
    with _shown(net, "-p", "state", "established", columns=columns) as terminal:
        terminal.until_shown("q ends it")
        shown = "\n".join(terminal.lines)
        for sock in (client, accepted):
            assert len(re.findall(f":{sock.getsockname()[1]}\\b", shown)) == 2, shown
        assert shown.count(f":{os.getpid()} ") == 2, shown


def test_a_line_that_is_cut_says_so(net: Net) -> None:
    net.listener()
    with _shown(net, "state", "listening", columns=34) as terminal:
        terminal.until_shown("q ends it")
        assert re.match(r"sw ss --watc…  q ends it  \d\d:\d\d:\d\d", terminal.lines[0])


def test_q_ends_it(net: Net) -> None:
    with _shown(net) as terminal:
        terminal.until_shown("q ends it")
        terminal.press("q")
        assert terminal.finish() == 0
        assert re.search(r"watched for \d+ s: 0 opened, 0 changed, 0 closed\n", terminal.main)


def test_what_a_closed_connection_has_carried_is_no_process(net: Net) -> None:
    listener = net.listener()
    with _shown(net, "-p", columns=120) as terminal:
        terminal.until_shown("LISTEN")
        client, accepted = net.connect(listener)
        accepted.close()
        client.close()
        words = r"- .*  (?:\S+:\d+ fd \d+ +sent|\(sent) 0 B, received 0 B\)?"
        terminal.until(lambda shown: any(re.fullmatch(words, line) for line in shown.lines))


def test_a_connection_that_was_aborted_unseen_is_told_as_far_as_it_is_known(net: Net) -> None:
    with Piped(net, "9", "-p", "--count", "1", "state", "established") as sw:
        client, _ = net.connect(net.listener())
        port = client.getsockname()[1]
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        assert "Process" in sw.line()
        words = sw.line().split(maxsplit=7)[1:]
        assert words[:6] == ["closed", "-", "0", "0", f"*:{port}", "127.0.0.1:*"]
        assert words[6].strip() == "aborted, or never connected"


@pytest.mark.parametrize("peer", [("* ", "0"), ("0.0.0.0:", "*"), ("[::]:", "*"), ("*", "")])
def test_a_peer_that_is_none_takes_no_line(peer: tuple[str, str]) -> None:
    columns = Columns(None, {}, netid=False, processes=False, plain=False)
    connected = ["ESTAB", "0", "0", "127.0.0.1:", "80", "127.0.0.1:", "50000", ""]
    laid = columns.lay_out([[*connected[:5], *peer, ""], connected], [(), ()], 40, 1.0, lines=2)
    assert laid is not None
    assert [len(lines) for lines in laid[1]] == [1, 2]


def test_a_column_gets_narrower_some_seconds_after_its_widest_cell_has_gone() -> None:
    columns = Columns(None, {}, netid=False, processes=False, plain=False)
    short = ["ESTAB", "0", "0", "[::1]:", "80", "[::1]:", "50000", ""]
    long = ["ESTAB", "0", "0", "[2001:db8:1:2:3:4:5:6]:", "80", "[::1]:", "50000", ""]

    def head(table: list[list[str]], now: float) -> str:
        laid = columns.lay_out(table, [()] * len(table), 100, now, lines=1)
        assert laid is not None
        return "".join(text for text, _ in laid[0])

    narrow = head([short], 1.0)
    wide = head([short, long], 2.0)
    assert len(wide) > len(narrow)
    assert head([short], 3.0) == wide
    assert head([short], 9.0) == narrow


def test_without_colour_the_marks_are_there_all_the_same(net: Net) -> None:
    with _shown(net, "state", "listening", colour=False) as terminal:
        terminal.until_shown("State")
        net.listener()
        terminal.until(lambda shown: any(line.startswith("+ ") for line in shown.lines))
        assert not re.search(r"\x1b\[[0-9;]+m", terminal.written.replace("\x1b[0m", ""))


def test_names_of_processes_are_shown_cleaned(net: Net) -> None:
    script = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
with open("/proc/self/comm", "w") as name:
    name.write("\\x1b[31mred")
print("up", flush=True)
sys.stdin.read()
"""
    inside = ["nsenter", "--target", str(net.pid), "--net"]
    if os.geteuid():
        inside += ["--user", "--preserve-credentials"]
    with subprocess.Popen(
        [*inside, sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        with _shown(net, "-p", columns=120) as terminal:
            terminal.until_shown("\\x1b[31mred")
            assert "\x1b[31mred" not in terminal.written
        other.communicate()

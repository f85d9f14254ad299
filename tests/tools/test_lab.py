"""`sw lab` as it is typed: at a pipe, at a terminal, with and without tmux."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Self

import pytest

from sockwright.tools import lab as verb

pytestmark = pytest.mark.needs("namespaces")

_SW = [sys.executable, "-m", "sockwright"]


def sw(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_SW, "lab", *words], input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


class Terminal:
    """A terminal with `sw lab` in it, to type at and to read."""

    def __init__(self, *words: str, environment: dict[str, str] | None = None) -> None:
        pid, self.screen = pty.fork()
        if pid == 0:
            # Before anybody asks for it.
            fcntl.ioctl(0, termios.TIOCSWINSZ, b"\x28\x00\xa0\x00" + bytes(4))
            os.environ.update({"TERM": "xterm", "NO_COLOR": "1"} | (environment or {}))
            os.execv(sys.executable, [*_SW, "lab", *words])
        self.pid = pid
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.screen)
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def until(self, pattern: str) -> str:
        """Read until the screen has shown this; return what it showed since the last time."""
        deadline = time.monotonic() + 20
        while not (found := re.search(pattern, self.shown)):
            ready = select.select([self.screen], [], [], max(0, deadline - time.monotonic()))[0]
            assert ready, self.shown
            self.shown += os.read(self.screen, 65536).decode(errors="replace")
        before, self.shown = self.shown[: found.end()], self.shown[found.end() :]
        return before

    def status(self) -> int:
        """Wait for the end, reading what is still written, and return the exit status."""
        while select.select([self.screen], [], [], 20)[0]:
            try:
                os.read(self.screen, 65536)
            except OSError:  # EIO: the other side is closed
                break
        pid, self.pid = self.pid, 0
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_show_lists_the_addresses() -> None:
    done = sw("show", "--router", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["host"], row["interface"], row["ipv4"]) for row in rows] == [
        ("a", "eth0", "10.0.0.1"),
        ("b", "eth0", "10.0.1.1"),
        ("r", "eth0", "10.0.0.254"),
        ("r", "eth1", "10.0.1.254"),
    ]


def test_run_passes_the_streams_and_the_status_through() -> None:
    done = sw("run", "b", "--", "sh", "-c", "cat; hostname; echo err >&2; exit 3", stdin="in\n")
    assert (done.stdout, done.stderr, done.returncode) == ("in\nb\n", "err\n", 3)
    assert sw("run", "a", "--", "sh", "-c", "kill -9 $$").returncode == 137


def test_run_tells_it_all_in_json() -> None:
    done = sw("run", "--json", "a", "--", "sh", "-c", "hostname; exit 3")
    assert done.returncode == 3
    assert json.loads(done.stdout) == {
        "host": "a",
        "command": ["sh", "-c", "hostname; exit 3"],
        "status": 3,
        "output": "a\n",
        "error": "",
    }


def test_a_command_that_a_signal_ends_has_the_status_that_a_shell_gives() -> None:
    done = sw("run", "--json", "a", "--", "sh", "-c", "kill -9 $$")
    assert (done.returncode, json.loads(done.stdout)["status"]) == (137, 137)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "c", "--", "true"], "there is no host 'c', only a, b"),
        (["shell", "c"], "there is no host 'c', only a, b"),
        (["show", "--hosts", "a,a"], "there is a host 'a' already"),
        (["show", "--hosts", "a b"], "'a b' is no host name: letters, digits and hyphens"),
        (["show", "--hosts", "a", "--router"], "a router needs a host on either side: --hosts a,b"),
    ],
)
def test_a_wrong_word_is_a_usage_error(words: list[str], message: str) -> None:
    done = sw(*words)
    assert (done.stderr, done.returncode) == (f"sw lab: {message}\n", 2)


@pytest.mark.parametrize("loss", ["x", "200%", "-1", "nan"])
def test_a_wrong_share_is_a_usage_error(loss: str) -> None:
    done = sw("show", f"--loss={loss}")
    assert done.returncode == 2
    assert f"argument --loss: a share is from 0 to 1, or 0% to 100%, not '{loss}'" in done.stderr


@pytest.mark.parametrize("delay", ["x", "2h", "-1", "inf", "5m"])
def test_a_wrong_time_is_a_usage_error(delay: str) -> None:
    done = sw("show", f"--delay={delay}")
    assert done.returncode == 2
    assert f"a time is from 0 to 3600 seconds, as 50ms or 0.05, not '{delay}'" in done.stderr


@pytest.mark.parametrize("action", ["show", "run", "shell"])
def test_the_help_of_each_action_shows_examples_of_it(action: str) -> None:
    shown = sw(action, "--help").stdout
    examples = shown.partition("examples:\n")[2]
    commands = [line.strip() for line in examples.splitlines() if "  sw " in line]
    assert len(commands) >= 2
    assert all(command.startswith(f"sw lab {action}") for command in commands)


def test_faults_are_on_every_link() -> None:
    timed = (
        "import socket, time\nt = time.perf_counter()\n"
        "try: socket.create_connection(('b', 7), 5)\nexcept ConnectionRefusedError: pass\n"
        "print(time.perf_counter() - t)"
    )
    for words in ([], ["--router"]):
        done = sw("run", "--delay", "30ms", *words, "a", "--", sys.executable, "-c", timed)
        # ARP and the handshake are a round trip each.
        assert float(done.stdout) >= 0.12


def test_a_shell_reads_commands_from_a_pipe() -> None:
    done = sw("shell", "b", stdin="hostname\nexit 4\n")
    assert (done.stdout, done.returncode) == ("b\n", 4)
    assert sw("shell", stdin="hostname\n").stdout == "a\n"


@pytest.mark.needs("bash")
def test_a_shell_at_a_terminal_tells_where_it_is() -> None:
    with Terminal("shell", "b") as terminal:
        greeting = terminal.until(r"b:\S*[#$] ")
        assert "This is host b." in greeting
        assert "10.0.0.1" in greeting
        suggested = greeting.partition("Try:")[2].partition("Ctrl-D")[0]
        for line in suggested.split("\r\n"):
            for command in filter(None, map(str.strip, line.split("    "))):
                program = command.split()[0]
                terminal.type(f"type -t {program} || echo mis''sing\n")
                assert "missing" not in terminal.until(r"(file|function|missing)\r"), program
        terminal.type("sh -c 'echo started; exec sleep 1000'\n")
        terminal.until("started\r")
        terminal.type("\x03")
        terminal.until(r"b:\S*[#$] ")
        terminal.type("echo $(hostname)=$LAB_HOST=$(type -t sw)\n")
        assert terminal.until(r"b=b=(file|function)")
        terminal.type("exit 5\n")
        assert terminal.status() == 5


@pytest.mark.needs("bash", "tmux", "nsenter")
def test_two_shells_stand_side_by_side_in_tmux() -> None:
    # Inside tmux already, as many people are; the lab has a server of its own.
    with Terminal("shell", environment={"TMUX": "/nowhere,1,0"}) as terminal:
        terminal.until(r"This is host b\.")
        terminal.until(r"b:\S*[#$]")
        terminal.type("echo I-am-$(hostname)-at-$(tail -1 /etc/hosts | cut -d' ' -f1)\n")
        terminal.until("I-am-a-at-fd00::2")
        terminal.type("\x02o")
        terminal.type("echo I-am-$(hostname)-$(cat /sys/class/net/eth0/address)\n")
        terminal.until("I-am-b-02:00:00:00:00:02")
        members = _members_of_lab(terminal.pid)
        assert len(members) >= 5  # process 1, the client, the server, two shells, an anchor
        terminal.type("\x02&")
        terminal.until("kill-window")
        terminal.type("y")
        assert terminal.status() == 0
    for pid in members:
        assert not Path(f"/proc/{pid}").exists()
    assert not Path("/dev/shm/tmux").exists()


@pytest.mark.needs("bash")
def test_a_terminal_that_is_closed_ends_the_lab() -> None:
    with Terminal("shell", "a") as terminal:
        terminal.until(r"a:\S*[#$] ")
        members = {pid: os.pidfd_open(pid) for pid in _members_of_lab(terminal.pid)}
        assert members
    for descriptor in members.values():
        assert select.select([descriptor], [], [], 10)[0]
        os.close(descriptor)


def test_interrupting_a_command_ends_it() -> None:
    with Terminal("run", "a", "--", "sh", "-c", "echo ready; exec sleep 1000") as terminal:
        terminal.until("ready")
        terminal.type("\x03")
        assert terminal.status() in {130, -signal.SIGINT}


@pytest.mark.parametrize("command", [command for command, _ in verb.EXAMPLES])
def test_examples_work(command: str) -> None:
    name, _, *words = shlex.split(command)
    assert name == "sw"
    done = sw(*words)
    assert (done.returncode, done.stderr) == (0, "")


def _members_of_lab(maker: int) -> list[int]:
    """Return the processes in the PID namespace that the keeper of `maker` made."""
    known = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (path / "stat").read_text(errors="replace")
                parent = int(stat.rpartition(")")[2].split()[1])
                known[int(path.name)] = parent, str((path / "ns/pid").readlink())
    keepers = {pid for pid, (parent, _) in known.items() if parent == maker}
    (space,) = {space for parent, space in known.values() if parent in keepers}
    return [pid for pid, (_, other) in known.items() if other == space]

"""A program as one end of a session: what it says is not lost, and it does not outlive it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sockwright.nc.channels.channel import SocketChannel
from sockwright.nc.engine.loop import Loop
from sockwright.nc.engine.outcome import DONE, Outcome
from sockwright.nc.engine.session import Session
from sockwright.nc.engine.settings import Limits
from sockwright.nc.programs.process_channel import ProcessChannel, open_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE_S = 10


class Served:
    """A loop in which programs are joined to sockets; `peer` is the other end of one."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.channels: list[ProcessChannel] = []
        self.peers: list[socket.socket] = []
        self.sessions: list[Session] = []
        self.statuses: list[int] = []
        self.outcomes: list[Outcome] = []

    def start(self, words: list[str], *, pty: bool = False) -> tuple[socket.socket, ProcessChannel]:
        near = open_process(words, pty=pty)
        near.on_exit = self.statuses.append
        self.channels.append(near)
        ours, peer = socket.socketpair()
        peer.settimeout(_PATIENCE_S)
        self.peers.append(peer)
        far = SocketChannel(ours, "peer")
        session = Session(
            self.loop, near, far, Limits(), lambda _, outcome: self.outcomes.append(outcome)
        )
        self.sessions.append(session)
        session.start()
        return peer, near

    def until(self, wanted: Callable[[], object]) -> None:
        late: list[bool] = []
        timer = self.loop.later(_PATIENCE_S, lambda: late.append(True))
        while not wanted():
            assert not late, "it took too long"
            self.loop.step()
        timer.cancel()

    def until_over(self) -> None:
        """Until every session has ended and every program was reaped."""
        many = len(self.peers)
        self.until(lambda: len(self.outcomes) == len(self.statuses) == many)

    def receive(self, peer: socket.socket) -> bytes:
        """Let the loop run until the peer has been told of the end; give what it was sent."""
        got = bytearray()
        peer.setblocking(False)
        ended = False

        def look() -> bool:
            nonlocal ended
            # Nothing tells this loop of the peer's side, which is not of its programs.
            self.loop.later(0.001, lambda: None)
            try:
                octets = peer.recv(65536)
            except BlockingIOError:
                return False
            got.extend(octets)
            ended = not octets
            return ended

        self.until(look)
        return bytes(got)


@pytest.fixture
def served() -> Iterator[Served]:
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208  # numbers, not paths
    one = Served()
    yield one
    for session in one.sessions:
        session.finish(DONE)
    for channel in one.channels:
        channel.close()
        channel.finish()
    for peer in one.peers:
        peer.close()
    one.loop.close()
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_what_comes_late_arrives(served: Served) -> None:
    peer, _ = served.start(["sh", "-c", "cat; sleep 0.1; echo late"])
    peer.sendall(b"early\n")
    peer.shutdown(socket.SHUT_WR)
    assert served.receive(peer) == b"early\nlate\n"
    served.until_over()
    assert served.statuses == [0]
    assert served.outcomes == [Outcome()]


def test_how_the_program_ended_is_told(served: Served) -> None:
    peer, channel = served.start(["sh", "-c", "exit 3"])
    peer.shutdown(socket.SHUT_WR)
    assert served.receive(peer) == b""
    served.until_over()
    assert served.statuses == [3]
    assert channel.status == 3


def test_much_goes_both_ways(served: Served) -> None:
    peer, _ = served.start(["cat"])
    sent = os.urandom(1 << 20) * 8
    got = bytearray()
    peer.setblocking(False)
    at, ended = 0, False

    def exchange() -> bool:
        nonlocal at, ended
        served.loop.later(0, lambda: None)
        try:
            if at < len(sent):
                at += peer.send(sent[at : at + (1 << 18)])
                if at == len(sent):
                    peer.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        try:
            octets = peer.recv(1 << 18)
            got.extend(octets)
            ended = not octets
        except BlockingIOError:
            pass
        return ended

    served.until(exchange)
    assert bytes(got) == sent
    served.until_over()
    assert served.statuses == [0]


def test_a_program_need_not_read_everything(served: Served) -> None:
    # It has ended when octets come that it would have to read, and still what it said arrives.
    peer, channel = served.start(["sh", "-c", "exec <&-; sleep 0.1; echo done"])
    peer.sendall(b"x" * 100_000)
    peer.shutdown(socket.SHUT_WR)
    assert served.receive(peer) == b"done\n"
    served.until_over()
    assert channel.unread > 0
    assert served.outcomes == [Outcome()]


def test_a_program_that_ended_is_reaped_while_its_peer_stays(served: Served) -> None:
    _, channel = served.start(["sh", "-c", "sleep 1 & exit 4"])
    served.until(lambda: served.statuses)
    assert served.statuses == [4]
    assert channel.status == 4
    assert not served.outcomes
    channel.close()


def test_a_program_ends_when_its_connection_is_reset(served: Served) -> None:
    peer, channel = served.start(["sleep", "100"])
    peer.close()
    served.loop.later(0.05, channel.close)
    served.until(lambda: served.statuses)
    assert served.statuses == [-signal.SIGTERM]


def test_a_program_that_heeds_nothing_is_killed_while_the_loop_runs(served: Served) -> None:
    code = "trap '' TERM; echo ready; while :; do sleep 1; done"
    peer, channel = served.start(["sh", "-c", code])
    _until_ready(served, peer)
    channel.close()
    channel.close()
    served.until(lambda: served.statuses)
    assert served.statuses == [-signal.SIGKILL]


def _until_ready(served: Served, peer: socket.socket) -> None:
    """Let the loop run until the peer was sent a line, which a terminal gives in pieces."""
    got = bytearray()
    peer.setblocking(False)

    def came() -> bool:
        served.loop.later(0.001, lambda: None)
        with suppress(BlockingIOError):
            got.extend(peer.recv(100))
        return got.endswith(b"\n")

    served.until(came)
    assert got.split() == [b"ready"]


def test_programs_that_heed_nothing_end_with_the_interpreter_all_together() -> None:
    code = """
import os, time
from sockwright.nc.engine.loop import Loop
from sockwright.nc.programs.process_channel import open_process

stubborn = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]
with Loop() as loop:
    for _ in range(8):
        channel = open_process(stubborn)
        os.set_blocking(channel.process.stdout, True)
        channel.receive_into(memoryview(bytearray(10)))
        channel.on_exit = lambda status: print(status, flush=True)
        channel.attach(loop, lambda: None, lambda: None)
        channel.close()
    print(time.monotonic(), flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )
    begin, *statuses = done.stdout.split()
    assert statuses == ["-9"] * 8
    assert time.monotonic() - float(begin) < 5  # one after the other it would be 8


def test_a_program_that_was_never_joined_is_ended(served: Served) -> None:
    channel = open_process(["sleep", "60"])  # it reads nothing, so only the signal ends it
    channel.close()
    channel.finish()
    assert channel.status == -signal.SIGTERM


def test_a_program_that_was_never_joined_and_heeds_nothing_holds_nobody_up(served: Served) -> None:
    channel = open_process(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
    os.set_blocking(channel.process.stdout, True)
    channel.receive_into(memoryview(bytearray(10)))
    begin = time.monotonic()
    channel.close()
    assert time.monotonic() - begin < 0.9  # who waits for it waits for a second
    channel.finish()
    assert channel.status == -signal.SIGKILL


def test_a_program_on_a_terminal_talks_and_hears_the_end(served: Served) -> None:
    code = "stty -echo; echo ready; cat; echo late"
    peer, _ = served.start(["sh", "-c", code], pty=True)
    _until_ready(served, peer)
    peer.sendall(b"hello\n")
    peer.shutdown(socket.SHUT_WR)
    assert served.receive(peer) == b"hello\r\nlate\r\n"
    served.until_over()
    assert served.statuses == [0]


def test_the_end_reaches_a_terminal_that_is_full(served: Served) -> None:
    # A terminal takes 4095 octets of a line and then no more until somebody reads.
    code = (
        "import sys, termios, tty\n"
        "tty.setcbreak(0)\n"
        "print('ready', flush=True)\n"
        "import time; time.sleep(0.2)\n"
        "got = 0\n"
        "while (octets := sys.stdin.buffer.raw.read(1000)) and b'\\x04' not in octets:\n"
        "    got += len(octets)\n"
        "print('got', got + octets.index(4))\n"
    )
    peer, _ = served.start([sys.executable, "-c", code], pty=True)
    _until_ready(served, peer)
    peer.settimeout(_PATIENCE_S)
    peer.sendall(b"x" * 9000)
    peer.shutdown(socket.SHUT_WR)
    assert b"got 9000" in served.receive(peer)
    served.until_over()


def test_hundreds_of_programs_leave_nothing_behind(served: Served) -> None:
    for _ in range(10):
        for _ in range(20):
            peer, _ = served.start(["true"])
            peer.shutdown(socket.SHUT_WR)
        served.until_over()
    assert served.statuses == [0] * 200
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    assert children == ""


@pytest.mark.parametrize("words", [["nc", "exec:true"], ["relay", "exec:yes", "exec:true"]])
def test_nobody_reads_on_for_a_program_that_has_ended(words: list[str]) -> None:
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
        done = subprocess.run(
            [sys.executable, "-m", "sockwright", *words],
            stdin=endless.stdout,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
        )
        endless.kill()
    assert done.returncode == 1
    assert "exec:true has ended, and did not take all" in done.stderr

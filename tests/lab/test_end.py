"""Nothing of a lab is left, however the program that made it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sockwright.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.conftest import Script

pytestmark = pytest.mark.needs("namespaces")

# Everything that a lab can hold, then one line that tells what, then no end.
_PROGRAM = """
import json, os, signal, sys
from sockwright.lab import Lab

with Lab() as lab:
    a, b = lab.hosts("a", "b")
    lab.link(a, b).delay(0.01)
    program = a.popen(["sleep", "1000"])
    reading, writing = os.pipe()
    call = b.start(lambda: (os.write(writing, b"."), signal.pause()))
    os.read(reading, 1)  # now it is there, and not only on its way
    capture = a.capture()
    spaces = [host.call(os.readlink, "/proc/self/ns/net") for host in (a, b)]
    told = {"keeper": lab.keeper_pid, "sleep": program.pid, "spaces": spaces}
    print(json.dumps(told), flush=True)
    STEP
"""


class Running:
    """The program above, and a descriptor for each of its lab's processes."""

    def __init__(self, step: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM.replace("STEP", step)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.keeper: int = told["keeper"]
        self.spaces: list[str] = told["spaces"]
        # The two network namespaces, the lab's PID namespace: whoever is in one belongs to it.
        pid_space = _read(f"/proc/{told['sleep']}/ns/pid")
        assert pid_space is not None
        self.members = {self.keeper: os.pidfd_open(self.keeper)}
        for pid in _processes():
            if _read(f"/proc/{pid}/ns/pid") == pid_space:
                self.members[pid] = os.pidfd_open(pid)
        # Process 1, the switch, the program, the function, and the keeper outside.
        assert len(self.members) == 5
        # As long as we hold them, no other test's namespace is given their numbers.
        self._held = [
            os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            for pid in self.members
            if _read(f"/proc/{pid}/ns/net") in self.spaces
        ]
        assert {_read(f"/proc/self/fd/{one}") for one in self._held} == set(self.spaces)

    def wait_until_all_are_gone(self) -> None:
        self.wait_for_members()
        _wait_until_gone(self.spaces)

    def wait_for_members(self) -> None:
        left = dict(self.members)
        while left:
            ready, _, _ = select.select(list(left.values()), [], [], 10)
            assert ready, f"these are left: {[_read(f'/proc/{pid}/exe') for pid in left]}"
            for pid, descriptor in list(left.items()):
                if descriptor in ready:
                    os.close(descriptor)
                    del left[pid]

    def finish(self) -> None:
        while self._held:
            os.close(self._held.pop())
        self.process.kill()
        self.process.wait()
        # Not read to their end: a copy of the program may have them open, too.
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def _read(link: str) -> str | None:
    try:
        return str(Path(link).readlink())
    except OSError:
        return None


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _network_namespaces() -> set[str]:
    """Return the network namespaces that any other process is in, or has a descriptor of."""
    found = set()
    for pid in set(_processes()) - {os.getpid()}:
        links = [f"/proc/{pid}/ns/net"]
        with contextlib.suppress(OSError):
            links += [str(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
        found |= {name for name in map(_read, links) if name and name.startswith("net:")}
    return found


def _wait_until_gone(spaces: list[str]) -> None:
    """Wait until nobody has the namespaces any more.

    Another test on this machine may look at all that there are just now, and have them open
    meanwhile; whoever is left of a lab keeps them for good.
    """
    end = time.monotonic() + 10
    while set(spaces) & _network_namespaces():
        assert time.monotonic() < end, f"somebody has {spaces} still"


def test_the_scan_sees_a_lab_that_is_there() -> None:
    running = Running("sys.stdin.read()")
    try:
        assert set(running.spaces) <= _network_namespaces()
        running.process.kill()
        running.wait_until_all_are_gone()
    finally:
        running.finish()


def _kill(running: Running) -> None:
    running.process.kill()


def _interrupt_the_group(running: Running) -> None:
    os.killpg(running.process.pid, signal.SIGINT)


def _terminate_the_group(running: Running) -> None:
    os.killpg(running.process.pid, signal.SIGTERM)


def _end_input(running: Running) -> None:
    running.process.communicate()


@pytest.mark.parametrize(
    ("step", "end"),
    [
        ("sys.stdin.read()", _end_input),
        ("sys.stdin.read(); raise RuntimeError", _end_input),
        ("sys.stdin.read(); sys.exit(1)", _end_input),
        ("sys.stdin.read(); os._exit(1)", _end_input),
        ("sys.stdin.read()", _kill),
        ("sys.stdin.read()", _interrupt_the_group),
        ("sys.stdin.read()", _terminate_the_group),
    ],
)
def test_nothing_is_left(step: str, end: Callable[[Running], None]) -> None:
    running = Running(step)
    try:
        end(running)
        running.wait_until_all_are_gone()
    finally:
        running.finish()


def test_the_end_of_the_keeper_is_the_end_of_all_in_the_lab() -> None:
    running = Running("sys.stdin.read()")
    try:
        os.kill(running.keeper, signal.SIGKILL)
        running.wait_for_members()
    finally:
        running.finish()
    _wait_until_gone(running.spaces)


@pytest.mark.parametrize("end", ["kill", "close"])
def test_a_copy_of_the_program_does_not_keep_the_lab_alive(end: str) -> None:
    copied = "print('copied', flush=True)"
    running = Running(f"os.fork() or ({copied}, signal.pause()); sys.stdin.read()")
    try:
        assert running.process.stdin is not None
        assert running.process.stdout is not None
        assert running.process.stdout.readline() == b"copied\n"
        if end == "kill":
            running.process.kill()
        running.process.stdin.close()
        running.wait_for_members()
        assert running.process.wait(10) == (-signal.SIGKILL if end == "kill" else 0)
        os.killpg(running.process.pid, signal.SIGKILL)  # raises if the copy was not there
        running.process.stdin = None
    finally:
        running.finish()


def test_the_lab_outlives_the_thread_that_made_it() -> None:
    made: list[Lab] = []
    thread = threading.Thread(target=lambda: made.append(Lab().__enter__()))
    thread.start()
    thread.join()
    with made[0].hosts("a")[0].popen(["true"]) as process:
        assert process.wait(5) == 0
    made[0].close()


def test_an_exception_ends_the_lab_and_what_runs_in_it() -> None:
    with pytest.raises(ZeroDivisionError), Lab() as lab:  # noqa: PT012 - the lab is in it
        (a,) = lab.hosts("a")
        process = a.popen(["sleep", "1000"])
        call = a.start(signal.pause)
        raise ZeroDivisionError
    assert process.wait(5) == -signal.SIGKILL
    with pytest.raises(ChildProcessError):
        call.result(5)
    assert not Path(f"/proc/{process.pid}").exists()


def test_a_lab_whose_keeper_was_killed_says_so() -> None:
    with Lab() as lab:
        (a,) = lab.hosts("a")
        process = a.popen(["sleep", "1000"])
        os.kill(lab.keeper_pid, signal.SIGKILL)
        assert process.wait(5) == -signal.SIGKILL
        with pytest.raises(RuntimeError, match="has ended"):
            a.run(["true"])


def test_a_socket_that_was_handed_out_keeps_its_network() -> None:
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        near, far = a.socket(), b.socket()
    with near, far:
        far.bind((b.ipv4, 80))
        assert far.getsockname() == (b.ipv4, 80)


def test_a_start_that_is_interrupted_leaves_nothing() -> None:
    # The interrupt comes at some moment of the start, a different one each time.
    script = """
import signal, sys, time
from sockwright.lab import Lab
def stop(*_):
    raise KeyboardInterrupt
try:
    signal.setitimer(signal.ITIMER_REAL, float(sys.argv[1]))
    signal.signal(signal.SIGALRM, stop)
    with Lab() as lab:
        lab.hosts("a", "b")
        while True:  # not pause(2): the signal may come just before
            time.sleep(0.01)
except KeyboardInterrupt:
    pass
"""
    for moment in (0.01, 0.03, 0.05, 0.07, 0.09):
        done = subprocess.run(
            [sys.executable, "-c", script, str(moment)],
            capture_output=True,
            timeout=30,
            check=False,
        )
        # 0, or ended by the signal before there was a handler; the keeper is silent either way.
        assert done.returncode in {0, -signal.SIGALRM}, done.stderr
        assert b"keeper" not in done.stderr


def test_no_file_is_left(ordinary: Script) -> None:
    places = [Path("/tmp"), Path("/dev/shm"), Path("/run"), Path("/run/netns")]

    def ours() -> set[Path]:
        there = (path for place in places if place.is_dir() for path in place.iterdir())
        return {path for path in there if re.search("sockwright|lab", path.name)}

    before = ours()
    script = "from sockwright.lab import Lab\nwith Lab() as lab: lab.hosts('a', 'b')"
    assert ordinary(script).returncode == 0
    assert ours() <= before

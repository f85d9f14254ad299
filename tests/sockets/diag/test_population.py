"""The machine with sockets of every kind is what it says it is, by ss(8), and leaves nothing."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from tests.sockets.diag.population import Population

pytestmark = pytest.mark.needs("ss", "nsenter", "unshare", "namespaces")

_ROOT = Path(__file__).parents[3]
_HOLD = """
import json, sys
from tests.sockets.diag.population import Population
with Population() as machine:
    print(json.dumps(list(machine.processes.values())), flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("option", ["-4", "-6"])
@pytest.mark.parametrize(
    "state",
    [
        *("established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2", "time-wait"),
        *("close-wait", "last-ack", "listening", "closing"),
    ],
)
def test_there_is_a_tcp_socket_in_every_state(machine: Population, option: str, state: str) -> None:
    assert machine.run("ss", "-Htan", option, "state", state).stdout.strip()


@pytest.mark.parametrize("timer", ["on", "keepalive", "timewait", "persist"])
def test_there_is_a_timer_of_every_kind(machine: Population, timer: str) -> None:
    assert f"timer:({timer},".encode() in machine.run("ss", "-HtanoO").stdout


def test_only_what_kernels_may_lack_was_refused(machine: Population) -> None:
    kinds = {"sctp", "vsock", "vsock connected", "netlink netfilter", "netlink xfrm", "mptcp4"}
    kinds |= {"mptcp6", "udplite4", "udplite6"}
    if os.geteuid() != 0:
        kinds |= {"other user"}
    assert machine.refused.keys() <= kinds


def _wait_for_the_end(pids: list[int]) -> None:
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([descriptor], [], [], 10)[0], f"process {pid} still runs"
        finally:
            os.close(descriptor)


def test_its_processes_and_files_end_with_the_block() -> None:
    with Population() as population:
        pids = list(population.processes.values())
        folder = Path(f"/proc/{population.pid}/cwd").readlink()
        assert folder.is_dir()
    _wait_for_the_end(pids)
    assert not folder.exists()


def test_its_processes_end_with_the_program_that_was_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT
    ) as program:
        assert program.stdout is not None
        pids = [int(word) for word in program.stdout.readline().strip(b"[]\n").split(b",")]
        folder = Path(f"/proc/{pids[0]}/cwd").readlink()
        program.kill()
        _wait_for_the_end(pids)
        assert not folder.exists()

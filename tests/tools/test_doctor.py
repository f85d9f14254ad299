"""`sw doctor` says what is so on this machine, found by trying."""

from __future__ import annotations

import argparse
import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sockwright.errors import UsageError
from sockwright.lab.refusal import explain
from sockwright.sockets import packet
from sockwright.tools.doctor import EXAMPLES, Finding, diagnose, run

_AS_NOBODY = """
import dataclasses, json, os, sys
sys.argv = ["sw"]
from sockwright.tools.doctor import diagnose
list(diagnose("UNIX", "raw", "namespace"))  # load all that is loaded late while it can be read
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print(json.dumps([dataclasses.asdict(f) for f in diagnose()]))
"""


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    return {f.action: f for f in diagnose()}


def test_what_every_user_may_do_works(findings: dict[str, Finding]) -> None:
    for action in ("TCP over IPv4", "UDP", "UNIX stream", "UNIX datagram", "UNIX seqpacket"):
        assert findings[action].ok, findings[action]


def test_every_row_that_fails_says_why_and_what_to_do(findings: dict[str, Finding]) -> None:
    for finding in findings.values():
        assert finding.ok == (finding.cause == "")
        assert finding.ok or finding.remedy, finding
        assert finding.detail
        assert "setcap" not in finding.remedy + finding.command


def test_the_kernel_agrees_about_protocols(findings: dict[str, Finding]) -> None:
    for action, family, kind, protocol in (
        ("SCTP", socket.AF_INET, socket.SOCK_STREAM, 132),
        ("MPTCP", socket.AF_INET, socket.SOCK_STREAM, 262),
        ("VSOCK", 40, socket.SOCK_STREAM, 0),
    ):
        try:
            socket.socket(family, kind, protocol).close()
        except OSError:
            assert not findings[action].ok
            assert findings[action].cause in {"kernel", "setting"}
        else:
            assert findings[action].ok


@pytest.mark.needs("root")
def test_root_may_send_raw_and_capture(findings: dict[str, Finding]) -> None:
    packet("lo").close()
    for action in ("raw send over IPv4", "capture", "promiscuous mode", "listen below 1024"):
        assert findings[action].ok, findings[action]


@pytest.mark.needs("namespaces")
def test_namespaces_are_tried_in_a_process_of_their_own(findings: dict[str, Finding]) -> None:
    before = Path("/proc/self/ns/net").readlink()
    assert findings["lab"].ok
    assert {f.action: f.ok for f in diagnose("lab")}["lab"]
    assert Path("/proc/self/ns/net").readlink() == before


@pytest.mark.needs("root")
def test_a_user_without_privileges_is_told_which_ones_are_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _AS_NOBODY],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    found = {row["action"]: row for row in json.loads(done.stdout)}
    for action in ("raw send over IPv4", "capture", "promiscuous mode"):
        row = found[action]
        assert not row["ok"]
        assert (row["cause"], row["needs"]) == ("privilege", "CAP_NET_RAW")
        assert "sw lab shell" in row["remedy"]
        assert "setpriv" in row["command"]
    assert found["UDP"]["ok"]


def test_words_choose_the_actions() -> None:
    assert {f.action for f in diagnose("unix")} == {
        "UNIX stream",
        "UNIX datagram",
        "UNIX seqpacket",
    }
    assert list(diagnose("nosuchaction")) == []


def test_a_word_in_no_action_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no action has 'zzz' in its name"):
        list(run(argparse.Namespace(action=["raw", "zzz"], missing=False)))


def test_the_whole_examination_is_quick_and_leaves_nothing(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("sw")), "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30, cwd=tmp_path)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) > 25
    assert all(set(row) >= {"action", "ok", "needs", "detail", "remedy"} for row in rows)
    assert not any(name.startswith("swprobe") for _, name in socket.if_nameindex())
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_examples_name_this_verb() -> None:
    assert all(command.startswith("sw doctor") for command, _ in EXAMPLES)


@pytest.mark.needs("unshare", "namespaces")
def test_a_refused_namespace_is_told_as_the_lab_tells_it() -> None:
    # In a user namespace of its own the limit is this user's to set.
    program = (
        "import dataclasses, json\n"
        "from pathlib import Path\n"
        "from sockwright.tools.doctor import diagnose\n"
        "Path('/proc/sys/user/max_user_namespaces').write_text('0')\n"
        "Path('/proc/sys/user/max_net_namespaces').write_text('0')\n"
        "print(json.dumps([dataclasses.asdict(f) for f in diagnose('namespace', 'lab')]))\n"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    found = {row["action"]: row for row in json.loads(done.stdout)}
    for action, kind in (("user namespace", "user"), ("network namespace", "net")):
        expected = explain(action, errno.ENOSPC)
        assert found[action]["detail"] == f"{action}: user.max_{kind}_namespaces is 0"
        assert found[action]["remedy"] == expected.remedy
    assert found["lab"]["remedy"] == explain("user namespace", errno.ENOSPC).remedy

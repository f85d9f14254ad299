"""The tour for a user who is not root, and where namespaces are refused."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from sockwright.lab.tour import all_steps

if TYPE_CHECKING:
    import subprocess

    from tests.lab.conftest import Script

pytestmark = pytest.mark.needs("namespaces", "unshare", "setpriv")

_TOUR = """
import os, sys
from sockwright.cli import main
assert os.geteuid() != 0
sys.exit(main(["tour", WORDS]))
"""
_REFUSED = """
import sys
from pathlib import Path
from sockwright.cli import main
from sockwright.lab import linux
# In a user namespace of our own, where the limit is ours to set; then without its privileges.
Path("/proc/sys/user/max_user_namespaces").write_text("0")
linux.drop_capabilities()
sys.exit(main(["tour", *WORDS]))
"""
_REASON = (
    "user namespace: user.max_user_namespaces is 0; "
    "as root: sysctl user.max_user_namespaces=15000; or run as root"
)


def test_an_ordinary_user_has_the_whole_tour(ordinary: Script) -> None:
    done = ordinary(_TOUR.replace("WORDS", '"--json"'))
    assert (done.returncode, done.stderr) == (0, "")
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["step"] for row in rows if row["ok"] is not True] == []
    assert last["summary"]["ok"] == len(rows) == 13
    # It says what this user lacks outside of the lab.
    assert not any(row["privileged"] for row in rows if row["privilege"] is not None)


def test_an_ordinary_user_reads_where_the_privilege_is_not_there(ordinary: Script) -> None:
    done = ordinary(_TOUR.replace("WORDS", '"--step", "raw-ipv4"'))
    assert done.returncode == 0
    assert "CAP_NET_RAW: you do not have it, but on these two hosts you do" in done.stdout


def test_where_namespaces_are_refused_every_step_is_a_row_that_says_so(ordinary: Script) -> None:
    done = _refused(ordinary, "--json")
    assert (done.returncode, done.stderr) == (5, "")
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["step"] for row in rows] == list(all_steps())
    for row in rows:
        assert (row["ok"], row["error"], row["skipped"]) == (None, None, _REASON)
        assert (row["family"], row["packets"], row["findings"]) == (None, [], [])
    summary = last["summary"]
    assert (summary["ok"], summary["failed"]) == (0, 0)
    assert summary["skipped"] == summary["steps"] == len(rows)


def test_where_namespaces_are_refused_the_page_says_once_why(ordinary: Script) -> None:
    done = _refused(ordinary)
    assert (done.returncode, done.stderr) == (5, "")
    first, second, *others = done.stdout.splitlines()
    assert (first, second) == ("No step can be played: this machine gives no hosts.", _REASON)
    assert not any("max_user_namespaces" in line for line in others)
    assert re.findall(r"^not here  (\S+)", done.stdout, re.MULTILINE) == list(all_steps())
    assert "0 of 13 steps went as they should, 13 are not possible here" in done.stdout


def test_where_namespaces_are_refused_no_capture_is_overwritten(ordinary: Script) -> None:
    # /dev/full takes no octet: an attempt to write the file would end with ENOSPC.
    done = _refused(ordinary, "--json", "--pcap", "/dev/full")
    assert (done.returncode, done.stderr) == (5, "")
    assert json.loads(done.stdout.splitlines()[-1])["summary"]["pcap"] is None


def _refused(ordinary: Script, *words: str) -> subprocess.CompletedProcess[str]:
    script = _REFUSED.replace("WORDS", repr(words))
    return ordinary(script, "unshare", "--user", "--map-root-user")

"""The tour for a user who is not root, and where namespaces are refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
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
sys.exit(main(["tour"]))
"""


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


def test_a_refusal_of_namespaces_is_one_line_and_status_5(ordinary: Script) -> None:
    done = ordinary(_REFUSED, "unshare", "--user", "--map-root-user")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == (
        "sw tour: user namespace: user.max_user_namespaces is 0; "
        "as root: sysctl user.max_user_namespaces=15000; or run as root\n"
    )

"""Privileges are given up in all threads, for good, but for what is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("root")

_PROGRAM = """
import json, os, pwd, subprocess, sys, threading
from pathlib import Path
from sockwright.sockets.dropping import drop_privileges

def run(argument):
    {body}

try:
    kept = run(sys.argv[1])
    error = ""
except Exception as caught:
    kept, error = (), f"{{type(caught).__name__}}: {{caught}}"
lines = Path("/proc/self/status").read_text().splitlines()
masks = {{line.split()[0]: line.split()[1] for line in lines if line.startswith("Cap")}}
child = os.popen("grep CapEff /proc/self/status").read().split()[1]
print(json.dumps([sorted(one.name for one in kept), masks, child, os.geteuid(), error]))
"""


def after(body: str, argument: object = "") -> Any:
    """Run a program that drops privileges; give what it kept, its masks, a child's, its user."""
    command = [sys.executable, "-W", "error", "-c", _PROGRAM.format(body=body), str(argument)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_nothing_is_left_and_no_child_gets_it_back() -> None:
    kept, masks, child, user, error = after("return drop_privileges()")
    assert (kept, user, error) == ([], 0, "")
    assert set(masks.values()) == {"0" * 16}
    assert child == "0" * 16


def test_a_process_with_threads_is_refused() -> None:
    body = """
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    try:
        return drop_privileges()
    finally:
        go.set()
        thread.join()
    """
    _, masks, _, _, error = after(body)
    assert error.startswith("RuntimeError: privileges are those of a thread")
    assert int(masks["CapEff:"], 16)


def test_only_what_is_needed_for_a_folder_of_another_user_is_kept(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    subprocess.run(["chown", "65534:65534", theirs], check=True)
    theirs.chmod(0o700)
    for mode, name in (("os.R_OK", "CAP_DAC_READ_SEARCH"), ("os.W_OK", "CAP_DAC_OVERRIDE")):
        kept, masks, _, _, error = after(
            f"return drop_privileges(needed=[(Path(argument), {mode})])", theirs
        )
        assert (kept, error) == ([name], "")
        assert masks["CapPrm:"] == masks["CapEff:"] != "0" * 16
    kept, *_ = after("return drop_privileges(needed=[(Path(argument), os.R_OK)])", tmp_path)
    assert kept == []


def test_another_user_has_to_get_at_what_is_needed(tmp_path: Path) -> None:
    kept, masks, _, user, error = after("return drop_privileges('nobody')")
    assert (kept, user, error) == ([], 65534, "")
    assert set(masks.values()) == {"0" * 16}
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o700)
    *_, error = after("return drop_privileges('nobody', needed=[(Path(argument), os.R_OK)])", mine)
    assert "the user nobody may not read it" in error
    *_, error = after("return drop_privileges('nobody at all')")
    assert error.startswith("KeyError")


def test_a_rehearsal_tells_what_would_fail_and_drops_nothing(tmp_path: Path) -> None:
    body = """
    from sockwright.sockets.dropping import rehearse_drop
    rehearse_drop(*argument.split(":")[:1], needed=[(Path(argument.split(":")[1]), os.R_OK)])
    return ()
    """
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o700)
    for argument, told in (
        ("nobody:/", ""),
        (f"nobody:{mine}", "PermissionError: [Errno 13] the user nobody may not read it"),
        ("nobody at all:/", "KeyError"),
    ):
        _, masks, _, user, error = after(body, argument)
        assert error.startswith(told)
        assert bool(error) == bool(told)
        assert user == 0
        assert int(masks["CapEff:"], 16)

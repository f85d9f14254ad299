"""A lab of two hosts, and a way to run a script as an ordinary user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest

from sockwright.lab import Host, Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).resolve().parents[2] / "src"
NOBODY = 65534


class Pair(NamedTuple):
    lab: Lab
    a: Host
    b: Host


class Script(Protocol):
    def __call__(self, text: str, /, *before: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A lab with the hosts a and b on one segment."""
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        yield Pair(lab, a, b)


@cache
def _drop() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]


@cache
def _python() -> str:
    """Return a Python that an ordinary user may run: ours may be in a folder of root's."""
    for one in (
        sys.executable,
        shutil.which("python3", path="/usr/bin:/bin"),
        "/usr/local/bin/python3",
    ):
        # setpriv itself may start what that user may not, so ask a second time, from inside.
        check = (
            "import os, sys; "
            "sys.exit(sys.version_info < (3, 11) or not os.access(sys.executable, os.X_OK))"
        )
        try:
            done = subprocess.run(
                [*_drop(), str(one), "-c", check], check=False, capture_output=True
            )
        except OSError:
            continue
        if done.returncode == 0:
            return str(one)
    pytest.skip("needs a Python 3.11 that an ordinary user may run")


@pytest.fixture(scope="session")
def readable_source() -> Iterator[str]:
    """Our source where every user may read it; the project itself may be in a folder of root's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(SOURCE, f"{folder}/src", ignore=shutil.ignore_patterns("__pycache__"))
        yield f"{folder}/src"


@pytest.fixture
def ordinary(readable_source: str) -> Script:
    """Run a Python script as an ordinary user; `before` are words in front of the command."""

    def run(text: str, /, *before: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*_drop(), *before, _python(), "-W", "error", "-c", text],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": readable_source,
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run

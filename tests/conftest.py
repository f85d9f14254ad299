"""What every test may ask for: peers and privileges by a mark, the folder of captures by a fixture.

``@pytest.mark.needs("tshark", "root")`` runs a test only where each of the things named is there.
A name is a program on the PATH, "root", "namespaces" (root, or user namespaces for this user) or
"nobody" (root, with a Python that other users may run).
Elsewhere the test is skipped with that reason; with CI=true every skip is a failure, except for one
whose reason starts with "this kernel" or "no captures": no installation could mend those.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).resolve().parent.parent
_EXCUSED = ("this kernel", "no captures")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, find programs that only root looks for (nft, danted), take time."""
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    # An example takes as long as the machine lets it: 200 ms are soon over where others work, too.
    settings.register_profile(
        "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("patient")
    config.addinivalue_line("markers", "needs(*names): root, namespaces, nobody, or programs")
    # Of an example that takes 200 ms Hypothesis says that it is too slow, and of many values that
    # take a second to draw; on a machine that does other things too that says nothing of them.
    profile = settings.get_profile(settings.get_current_profile_name())
    kept = set(profile.suppress_health_check) | {HealthCheck.too_slow}
    settings.register_profile("busy", profile, deadline=None, suppress_health_check=tuple(kept))
    settings.load_profile("busy")


def pytest_xdist_auto_num_workers() -> int:
    """Run three tests on two processors: they wait for peers and packets a third of their time."""
    return max(2, len(os.sched_getaffinity(0)) * 3 // 2)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip the test where something that it needs is missing."""
    names = [name for mark in item.iter_markers("needs") for name in mark.args]
    missing = [reason for reason in map(_missing, names) if reason]
    if missing:
        pytest.skip("needs " + ", ".join(missing))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where CI is to run everything."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        reason = str(call.excinfo.value) if call.excinfo is not None else ""
        reason = reason.removeprefix("Skipped: ")
        if not reason.startswith(_EXCUSED):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: with CI=true nothing is skipped, but: {reason}"
    return report


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of strangers' capture files, outside this project."""
    folder = Path(os.environ.get("SOCKWRIGHT_CAPTURES") or ROOT.parent / "shared" / "captures")
    if not folder.is_dir():
        pytest.skip(f"no captures: {folder} is not there; SOCKWRIGHT_CAPTURES names another folder")
    return folder


@pytest.fixture(scope="session")
def project() -> Path:
    """The folder of the project."""
    return ROOT


@cache
def _missing(name: str) -> str:
    """Return what to say about `name` where it is missing, else nothing."""
    if name == "root":
        return "" if os.geteuid() == 0 else "root"
    if name == "namespaces":
        return "" if os.geteuid() == 0 or _user_namespaces() else "user namespaces, or root"
    if name == "nobody":
        return _missing("root") or ("" if _nobody_runs_this() else "a Python that others may run")
    return "" if shutil.which(name) else f"the program {name}"


@cache
def _user_namespaces() -> bool:
    unshare: list[Any] = ["unshare", "--user", "--map-root-user", "--net", "true"]
    try:
        return subprocess.run(unshare, capture_output=True, check=False, timeout=10).returncode == 0
    except OSError:
        return False


@cache
def _nobody_runs_this() -> bool:
    # A Python in root's home, of pyenv for instance, may be root's alone.
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    this: list[Any] = [*nobody, sys.executable, "-c", "pass"]
    try:
        return subprocess.run(this, capture_output=True, check=False, timeout=20).returncode == 0
    except OSError:
        return False

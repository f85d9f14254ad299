"""Compiled kernels: right, kept, and never run where what was kept is broken, stale or not ours."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sockwright.columns import compiling
from sockwright.columns.compiling import cache_folder, compiled, in_parallel
from sockwright.columns.kernels.octets import u16_be, u32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OCTETS = np.frombuffer(bytes(range(8)), np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder that kernels are kept in, an empty one of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache" / "sockwright" / "kernels"
    forget()


def forget() -> None:
    """Forget what this process has compiled or loaded: what comes next is as in a new one."""
    cache_folder.cache_clear()
    compiling._dispatcher.cache_clear()
    compiling._compiled.cache_clear()
    compiling._called.cache_clear()


def run(kernel: Callable[..., int] = u16_be, *arguments: Any) -> tuple[int, bool]:
    """Return what `kernel` returns, and whether it was loaded instead of compiled."""
    compiling._dispatcher.cache_clear()
    compiling._compiled.cache_clear()
    function: Any = compiled(kernel)
    result = function(OCTETS, 1, *arguments)
    return result, bool(sum(function.stats.cache_hits.values()))


def kept(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_a_kernel_is_compiled_once_and_then_loaded(folder: Path) -> None:
    assert run() == (0x0102, False)
    assert run() == (0x0102, True)
    assert [path.name.partition("-")[0] for path in kept(folder)] == [
        "sockwright.columns.kernels.octets.u16_be"
    ]


def test_other_types_of_arguments_are_kept_beside(folder: Path) -> None:
    assert run(u32, 0)[0] == 0x04030201
    assert run(u32, True)[0] == 0x01020304
    assert len(kept(folder)) == 2
    assert run(u32, 1) == (0x01020304, True)


def test_what_is_kept_is_for_this_user_alone(folder: Path) -> None:
    run()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in kept(folder)] == [0o600]


def test_a_flipped_bit_anywhere_is_noticed(folder: Path) -> None:
    run()
    (path,) = kept(folder)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[at] ^= 1 << at % 8
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="broken"):
            compiling._read(path)
    assert run() == (0x0102, False)
    assert run() == (0x0102, True)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 1000, -1])
def test_a_truncated_file_is_made_anew(folder: Path, size: int) -> None:
    run()
    (path,) = kept(folder)
    path.write_bytes(path.read_bytes()[:size])
    assert run() == (0x0102, False)
    assert run() == (0x0102, True)


def test_a_zeroed_file_is_made_anew(folder: Path) -> None:
    run()
    (path,) = kept(folder)
    path.write_bytes(bytes(path.stat().st_size))
    assert run() == (0x0102, False)
    assert run() == (0x0102, True)


def test_a_whole_file_that_holds_something_else_is_made_anew(folder: Path) -> None:
    run()
    (path,) = kept(folder)
    compiling._write(path, b"\x80\x04N.")  # a pickle of None
    assert run() == (0x0102, False)
    assert run() == (0x0102, True)


def test_a_folder_in_the_place_of_a_file_is_replaced(folder: Path) -> None:
    run()
    (path,) = kept(folder)
    path.unlink()
    (path / "inside").mkdir(parents=True)
    assert run() == (0x0102, False)
    assert run() == (0x0102, True)


@pytest.mark.parametrize("kind", ["link", "pipe", "writable"])
def test_what_others_may_have_made_is_not_run(folder: Path, kind: str, tmp_path: Path) -> None:
    run()
    (path,) = kept(folder)
    if kind == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        path.chmod(0o666)
    assert run() == (0x0102, False)
    assert run() == (0x0102, True)
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600


@pytest.mark.needs("root")
def test_what_belongs_to_another_user_is_not_run(folder: Path) -> None:
    run()
    (path,) = kept(folder)
    os.chown(path, 65534, 65534)
    assert run() == (0x0102, False)
    assert run() == (0x0102, True)


def test_a_folder_that_others_may_write_to_is_passed_by(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "tmp"
    own.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(own))
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert run() == (0x0102, False)
    assert run() == (0x0102, True)
    assert kept(folder) == []
    assert cache_folder() == own / f"sockwright-{os.geteuid()}" / "kernels"


def test_without_any_folder_kernels_run_all_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "tmp"
    own.mkdir(mode=0o700)
    (own / f"sockwright-{os.geteuid()}").write_text("in the way")
    monkeypatch.setattr("tempfile.tempdir", str(own))
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nothing")
    forget()
    assert cache_folder() is None
    assert run() == (0x0102, False)
    assert run() == (0x0102, False)


def test_a_folder_that_vanishes_is_made_again(folder: Path) -> None:
    run()
    for path in kept(folder):
        path.unlink()
    folder.rmdir()
    assert run() == (0x0102, False)
    assert run() == (0x0102, True)


def made(source: str) -> Callable[..., int]:
    """Return the function `kernel` of `source`, as if it were of the package."""
    module = ModuleType("sockwright.made_for_a_test")
    sys.modules[module.__name__] = module  # numba imports it when it loads what was kept
    exec(compile(source, "made", "exec"), module.__dict__)
    kernel = module.__dict__["kernel"]
    assert isinstance(kernel, FunctionType)
    return kernel


SOURCE = """
STEP = 1
def helper(octets, at):
    return octets[at + STEP] + 1
def kernel(octets, at):
    return helper(octets, at) * 10
"""


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [("* 10", "* 100", 300), ("+ 1\n", "+ 2\n", 40), ("STEP = 1", "STEP = 2", 40)],
    ids=["the kernel", "a function that it calls", "a constant that this one names"],
)
def test_an_edit_is_never_answered_by_old_code(
    folder: Path, old: str, new: str, result: int
) -> None:
    assert run(made(SOURCE)) == (30, False)
    assert run(made(SOURCE)) == (30, True)
    assert old in SOURCE
    assert run(made(SOURCE.replace(old, new))) == (result, False)
    assert run(made(SOURCE)) == (30, True)


def test_old_files_are_forgotten(folder: Path) -> None:
    run()
    (path,) = kept(folder)
    name = path.name.partition("-")[0]
    for number in range(20):
        old = folder / f"{name}-{number:032x}.kernel"
        old.write_bytes(b"")
        os.utime(old, (number, number))
    left = folder / ".left-by-a-killed-process.kernel"
    left.write_bytes(b"")
    os.utime(left, (1, 1))
    path.unlink()
    run()
    assert path in kept(folder)
    assert len(kept(folder)) == compiling._KEEP


def test_a_kernel_that_names_a_module_is_refused(folder: Path) -> None:
    with pytest.raises(TypeError, match="names \\['os'\\]"):
        compiled(made("import os\ndef kernel(octets, at):\n    return os.O_RDONLY"))


COUNT = """
import numpy as np
from sockwright.columns.compiling import compiled, cache_folder
from sockwright.columns.kernels.octets import u16_be
print(compiled(u16_be)(np.frombuffer(bytes(range(8)), np.uint8), 1), cache_folder())
"""


def start(**environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COUNT],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_at_once_leave_one_whole_file_and_a_word_is_said(tmp_path: Path) -> None:
    running = [start(XDG_CACHE_HOME=str(tmp_path)) for _ in range(3)]
    for process in running:
        output, errors = process.communicate()
        assert output.split()[0] == "258"
        assert errors in ("", f"{compiling.NOTE}\n")  # nothing, where another was first
    folder = tmp_path / "sockwright" / "kernels"
    (path,) = kept(folder)
    assert compiling._read(path)
    assert start(XDG_CACHE_HOME=str(tmp_path)).communicate() == (f"258 {folder}\n", "")
    path.unlink()
    _, errors = start(XDG_CACHE_HOME=str(tmp_path)).communicate()
    assert errors == f"{compiling.NOTE}\n"


@pytest.mark.parametrize("home", ["", "/dev/null", "/proc"])
def test_without_a_home_a_private_temporary_folder_serves(tmp_path: Path, home: str) -> None:
    tmp_path.chmod(0o1777)
    environment = {"HOME": home, "XDG_CACHE_HOME": "", "TMPDIR": str(tmp_path)}
    if not home:
        environment["XDG_CACHE_HOME"] = "/proc/nothing"
    output, errors = start(**environment).communicate()
    folder = tmp_path / f"sockwright-{os.geteuid()}" / "kernels"
    assert (output, errors) == (f"258 {folder}\n", f"{compiling.NOTE}\n")
    assert len(kept(folder)) == 1
    assert stat.S_IMODE(folder.parent.stat().st_mode) & 0o022 == 0


def test_results_come_in_order_from_several_threads() -> None:
    both = threading.Barrier(2, timeout=10)

    def work(item: int) -> int:
        both.wait()  # passed only by two at once
        return item * item

    assert list(in_parallel(work, range(10), threads=2)) == [item * item for item in range(10)]


def test_an_error_comes_in_its_place_and_ends_the_work() -> None:
    def work(item: int) -> int:
        return 10 // (3 - item)

    results = in_parallel(work, range(1000), threads=2)
    assert [next(results) for _ in range(3)] == [3, 5, 10]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_work_does_not_run_far_ahead() -> None:
    begun: list[int] = []
    results = in_parallel(begun.append, range(1000), threads=2)
    next(results)
    assert len(begun) <= 5
    results.close()  # type: ignore[attr-defined]


SPIN = """
def kernel(octets, rounds):
    value = octets[0] + 0
    for _ in range(rounds):
        value = (value * 1103515245 + 12345) & 0x7FFFFFFF
    return value
"""


def test_a_kernel_runs_without_the_lock_of_the_interpreter(folder: Path) -> None:
    kernel = compiled(made(SPIN))
    kernel(OCTETS, 1)
    running = threading.Thread(target=kernel, args=(OCTETS, 100_000_000))
    running.start()
    turns = 0
    while running.is_alive():
        turns += 1
    assert turns > 1000  # with the lock held, this thread would have had one turn

"""Completion in the shells themselves: the line is typed, Tab is pressed, the screen is read."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

_BIN = Path(sys.executable).parent
_WAIT = 20.0


def _environment(home: Path) -> dict[str, str]:
    return {
        "PATH": f"{_BIN}:/usr/bin:/bin",
        "HOME": str(home),
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
        "XDG_CONFIG_HOME": str(home),
        "XDG_DATA_HOME": str(home),
    }


def _type(shell: list[str], home: Path, setup: str, typed: str, wanted: str) -> str:
    """Start `shell` on a terminal, type `setup` and then `typed`; read until `wanted` is there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        shell,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=_environment(home),
        cwd=home,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        # The shell echoes the command as it is written, with the quotes; the answer has none.
        os.write(ours, f"{setup}; echo 're''ady'\n".encode())
        _read_until(ours, "ready")
        os.write(ours, typed.encode())
        return _read_until(ours, wanted)
    finally:
        os.close(ours)
        process.kill()
        process.wait()


def _read_until(descriptor: int, wanted: str) -> str:
    deadline = time.monotonic() + _WAIT
    text = ""
    while not re.search(wanted, text):
        ready, _, _ = select.select([descriptor], [], [], deadline - time.monotonic())
        if not ready:
            pytest.fail(f"{wanted!r} never came, only {text!r}")
        text += os.read(descriptor, 4096).decode(errors="replace").replace("\r", "")
    return text


_BASH = (["bash", "--norc", "--noprofile", "-i"], 'eval "$(sw completion bash)"')
_ZSH = (
    ["zsh", "-f", "-i"],
    'autoload -U compinit && compinit -u -D; eval "$(sw completion zsh)"',
)
_LINES = [
    ("sw compl\t", r"sw completion "),
    ("sw completion ba\t", r"sw completion bash"),
    ("sw completion --js\t", r"sw completion --json"),
    ("sockwright compl\t", r"sockwright completion "),
]


@pytest.mark.parametrize(("typed", "wanted"), _LINES)
def test_bash_completes(tmp_path: Path, typed: str, wanted: str) -> None:
    shell, setup = _BASH
    _type(shell, tmp_path, setup, typed, wanted)


@pytest.mark.needs("zsh")
@pytest.mark.parametrize(("typed", "wanted"), _LINES)
def test_zsh_completes(tmp_path: Path, typed: str, wanted: str) -> None:
    shell, setup = _ZSH
    # zsh redraws the line by moving about in it; what it adds is what counts.
    missing = wanted.removeprefix(typed.rstrip("\t")).strip()
    _type(shell, tmp_path, setup, typed, re.escape(missing))


@pytest.mark.needs("fish")
@pytest.mark.parametrize(("typed", "wanted"), _LINES)
def test_fish_completes(tmp_path: Path, typed: str, wanted: str) -> None:
    line = typed.rstrip("\t")
    script = f"sw completion fish | source; complete --do-complete '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=_environment(tmp_path),
        cwd=tmp_path,
        timeout=_WAIT,
    )
    offers = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert wanted.rsplit(maxsplit=1)[-1] in offers


def test_completing_imports_only_the_verb_on_the_line(tmp_path: Path) -> None:
    # The answer goes to descriptor 8, as the scripts ask.
    code = (
        "import sys, os; os.dup2(1, 8); os.dup2(2, 9); import atexit; "
        "real = os._exit; os._exit = lambda n: (sys.stderr.write(' '.join(sys.modules)), "
        "sys.stderr.flush(), real(n)); from sockwright.cli import main; main()"
    )
    line = "sw completion "
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=_environment(tmp_path) | asked,
    )
    assert {"bash", "zsh", "fish"} <= {word.strip() for word in done.stdout.split("\v")}
    verbs = [name for name in done.stderr.split() if name.startswith("sockwright.tools.")]
    assert verbs == ["sockwright.tools.completion"]

"""Runs the command as its users do: as a process, into a pipe or on a terminal, with verbs added.

A verb that only a test needs is a file in a folder of the test, which the process looks into
beside the package's own; so each test also shows that a verb needs no edit anywhere else.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_START = """
import sys
import sockwright.tools
sockwright.tools.__path__.append(sys.argv.pop(1))
from sockwright.cli import main
sys.exit(main())
"""

# What a verb of a test starts with.
_PREAMBLE = '''"""Show what the test wants.

Group: look
Stands in for: nothing
"""
from dataclasses import dataclass
from typing import ClassVar
EXAMPLES = (("sw try", "try it"),)
def arguments(parser):
    parser.add_argument("--level", choices=["low", "high"])
'''


@dataclass(slots=True)
class Workbench:
    """The command with the verbs of one test."""

    folder: Path

    def add(self, name: str, source: str, *, preamble: str = _PREAMBLE) -> None:
        """Add the verb whose file is `name`.py."""
        (self.folder / f"{name}.py").write_text(preamble + dedent(source))

    def command(self, *words: str) -> list[str]:
        """Return the words that run ``sw`` with the verbs of this test."""
        return [sys.executable, "-c", _START, str(self.folder), *words]

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``sw`` into pipes."""
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            stdin=subprocess.DEVNULL,
            env=_environment(environment),
        )

    def show(self, *words: str, columns: int = 80, **environment: str) -> str:
        """Run ``sw`` on a terminal of that many columns; return what it wrote there."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        with subprocess.Popen(
            self.command(*words),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=_environment({"TERM": "xterm-256color"} | environment),
        ):
            os.close(theirs)
            written = b""
            try:
                while chunk := os.read(ours, 65536):
                    written += chunk
            except OSError:
                pass  # EIO: the last process on the terminal has left it
        os.close(ours)
        return written.decode().replace("\r\n", "\n")


def _environment(extra: dict[str, str]) -> dict[str, str]:
    unset = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "_ARGCOMPLETE"}
    return {name: value for name, value in os.environ.items() if name not in unset} | extra


@pytest.fixture
def workbench(tmp_path: Path) -> Workbench:
    """The command, with a folder for verbs of the test."""
    folder = tmp_path / "verbs"
    folder.mkdir()
    return Workbench(folder)

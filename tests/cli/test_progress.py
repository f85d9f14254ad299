"""The progress bar leaves standard output alone."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Prints numbers until standard input ends, with a bar that shows after a second.
_PROGRAM = """
import select, sys
from sockwright.cli.progress import Bar
bar = Bar(lambda: 0.5)
number = 0
while not select.select([sys.stdin], [], [], 0.001)[0]:
    print(number)
    number += 1
bar.stop()
print("end", number)
"""


def test_rows_go_to_the_file_while_the_bar_is_on_the_terminal(tmp_path: Path) -> None:
    terminal, theirs = pty.openpty()
    with (tmp_path / "rows").open("wb") as rows:
        program = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=rows, stderr=theirs
        )
    os.close(theirs)
    try:
        shown = b""
        while shown.count(b"50%") < 3:  # it is drawn again and again
            shown += os.read(terminal, 4096)
        program.communicate(timeout=20)
    finally:
        program.kill()
        os.close(terminal)
    *numbers, (word, count) = [
        line.split() if " " in line else (line, "")
        for line in (tmp_path / "rows").read_text().splitlines()
    ]
    assert word == "end"
    assert [number for number, _ in numbers] == [str(number) for number in range(int(count))]

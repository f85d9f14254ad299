"""The progress bar leaves standard output alone, and shows octets and their rate."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

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


# Says that octets move, until standard input ends.
_OCTETS = """
import select, sys, time
from sockwright.cli.progress import Bar
done, total = 0, 4_000_000
def octets():
    return done, total
bar = Bar(lambda: done / total, octets)
while not select.select([sys.stdin], [], [], 0.001)[0]:
    done = min(done + 500, total // 2)
bar.stop()
"""


@pytest.mark.parametrize("columns", [6, 20, 32, 45, 60])
def test_on_a_narrow_terminal_there_are_fewer_fields_and_no_second_line(columns: int) -> None:
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    running = subprocess.Popen(
        [sys.executable, "-c", _OCTETS], stdin=subprocess.PIPE, stderr=theirs,
        env=environment | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    try:
        seen = b""
        while seen.count(b"50%") < 3:
            octets = os.read(terminal, 4096)
            assert octets, seen
            seen += octets
        running.communicate(timeout=20)
    finally:
        running.kill()
        os.close(terminal)
    plain = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", seen).decode()
    lines = re.split(r"[\r\n]+", plain)
    assert all(len(line) < columns for line in lines)
    # One line that is drawn again and again: it never begins another.
    assert "\n" not in plain.rstrip("\r\n")


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        (_OCTETS, rb"50%.*2\.0/4\.0 MB.*[kM]B/s.*\d:\d\d:\d\d"),
        (_OCTETS.replace("return done, total", "return done, None"), rb"2\.0/\? MB.*[kM]B/s"),
    ],
    ids=["of a size", "of no known size"],
)
def test_octets_are_shown_with_their_rate_and_what_is_left(program: str, shown: bytes) -> None:
    terminal, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": "120", "TERM": "xterm"}
    running = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=theirs, env=environment
    )
    os.close(theirs)
    try:
        seen = b""
        while not re.search(shown, re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", seen)):
            octets = os.read(terminal, 4096)
            assert octets, seen
            seen += octets
        running.communicate(timeout=20)
    finally:
        running.kill()
        os.close(terminal)
    assert running.returncode == 0


# Shows a line of progress again and again, and a row now and then, until standard input ends.
_LINE = """
import select, sys
from sockwright.cli.progress import StatusLine
line = StatusLine()
number = 0
while not select.select([sys.stdin], [], [], 0.001)[0]:
    line.show(["scan 42 %", "12 open", "35 s left", "\\x1b[31mred"])
    number += 1
line.clear()
line.clear()
print("end", file=sys.stderr)
"""


@pytest.mark.parametrize("columns", [6, 20, 32, 60])
def test_a_line_of_progress_has_what_fits_and_goes_away(columns: int) -> None:
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    running = subprocess.Popen(
        [sys.executable, "-c", _LINE], stdin=subprocess.PIPE, stderr=theirs,
        env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    try:
        shown = b""
        while shown.count(b"\r") < 4:
            shown += os.read(terminal, 4096)
        running.communicate(timeout=20)
        with suppress(OSError):  # EIO: the program was the last on the terminal
            while octets := os.read(terminal, 65536):
                shown += octets
    finally:
        running.kill()
        os.close(terminal)
    first, *others, last = shown.decode().split("\r\x1b[K")[0].split("\r")
    assert first == ""
    text = last.removesuffix("\x1b[K")
    assert len(text) < columns
    assert text == {6: "scan ", 20: "scan 42 %, 12 open", 32: "scan 42 %, 12 open, 35 s left"}.get(
        columns, "scan 42 %, 12 open, 35 s left, \\x1b[31mred"
    )
    assert all(other.endswith("\x1b[K") for other in others)
    assert shown.decode().endswith("\r\x1b[Kend\r\n"), "it was taken away, once"

"""A live screen draws what differs, follows the size of the terminal, and gives it back."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from tests.cli.terminal import Terminal

# Draws what it reads, line by line; a line "fail" raises, "end" ends. It never waits for long: a
# signal that comes just before a system call is heard by Python when that returns.
_PROGRAM = """
import os, select, sys
from sockwright.cli.live import Live
shown = "begun"
def picture(width, height):
    return [[f"{width}x{height} ", (shown, "bold red")], *[[f"line {n}"] for n in range(2, 60)]]
def read(descriptor):
    while True:
        if select.select([descriptor], [], [], 0.02)[0]:
            yield from os.read(descriptor, 4096).decode().splitlines()
with Live(sys.stdout, picture) as live:
    live.show()
    for shown in read(int(sys.argv[1])):
        if shown == "fail":
            raise RuntimeError("as ordered")
        if shown == "end":
            break
        live.show()
print("after")
"""


class Program(Terminal):
    """The program above; `order` says what to draw."""

    def __init__(self, columns: int = 80) -> None:
        theirs, self._orders = os.pipe()
        super().__init__([sys.executable, "-c", _PROGRAM, str(theirs)], theirs, columns=columns)
        os.close(theirs)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        os.close(self._orders)

    def order(self, text: str) -> None:
        os.write(self._orders, text.encode() + b"\n")


def test_a_picture_is_drawn_on_the_alternate_screen_without_a_cursor() -> None:
    with Program() as program:
        program.until_shown("80x24 begun")
        assert program.alternate
        assert not program.cursor
        assert not program.echoes
        assert program.lines[1] == "line 2"
        assert len(program.lines) == 24


def test_only_lines_that_differ_are_written_again() -> None:
    with Program() as program:
        program.until_shown("begun")
        before = len(program.written)
        program.order("next")
        program.until_shown("80x24 next")
        written = program.written[before:]
    assert "line 2" not in written
    assert written.startswith("\x1b[?2026h")
    assert written.endswith("\x1b[?2026l")


def test_a_line_is_cut_at_the_width_and_cannot_act_on_the_terminal() -> None:
    with Program(columns=30) as program:
        program.until_shown("begun")
        program.order("\x1b[31m\x07 and much more than there is room for")
        program.until_shown("and")
        assert program.lines[0] == "30x24 \\x1b[31m\\x07 and much m…"


def test_wide_characters_count_twice() -> None:
    with Program(columns=20) as program:
        program.until_shown("begun")
        program.order("日本語日本語日本語")
        program.until_shown("日")
        assert program.lines[0] == "20x24 日本語日本語…"


def test_another_size_draws_another_picture_at_once() -> None:
    with Program() as program:
        program.until_shown("80x24 begun")
        program.resize(50, 10)
        program.until_shown("50x10 begun")
        assert len(program.lines) == 10


def test_the_terminal_comes_back_at_the_end() -> None:
    with Program() as program:
        program.until_shown("begun")
        program.order("end")
        assert program.finish() == 0
        _is_back(program)
        assert program.main.endswith("after\n")


def test_the_terminal_comes_back_after_an_error() -> None:
    with Program() as program:
        program.until_shown("begun")
        program.order("fail")
        assert program.finish() == 1
        _is_back(program)
        assert "as ordered" in program.main


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_the_terminal_comes_back_after_a_signal(number: signal.Signals) -> None:
    with Program() as program:
        program.until_shown("begun")
        program.process.send_signal(number)
        assert program.finish() == -number
        _is_back(program)


def test_the_terminal_comes_back_for_as_long_as_the_program_is_stopped() -> None:
    with Program() as program:
        program.until_shown("begun")
        program.process.send_signal(signal.SIGTSTP)
        _, status = os.waitpid(program.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        program.until(lambda terminal: not terminal.alternate)
        _is_back(program)
        program.process.send_signal(signal.SIGCONT)
        program.until_shown("80x24 begun")
        assert program.alternate
        assert not program.echoes


def test_the_key_q_is_as_good_as_ctrl_c() -> None:
    with Program() as program:
        program.until_shown("begun")
        program.press("x")
        program.press("q")
        assert program.finish() == -signal.SIGINT
        _is_back(program)


def test_keys_are_heard_again_after_the_program_was_stopped() -> None:
    with Program() as program:
        program.until_shown("begun")
        program.process.send_signal(signal.SIGTSTP)
        os.waitpid(program.process.pid, os.WUNTRACED)
        program.until(lambda terminal: not terminal.alternate)
        program.process.send_signal(signal.SIGCONT)
        program.until_shown("80x24 begun")
        program.press("q")
        assert program.finish() == -signal.SIGINT
        _is_back(program)


def test_a_line_that_fits_is_not_cut() -> None:
    with Program(columns=30) as program:
        program.until_shown("begun")
        program.order("as wide as the terminal,")
        program.until_shown("as wide")
        assert program.lines[0] == "30x24 as wide as the terminal,"


def _is_back(terminal: Terminal) -> None:
    assert not terminal.alternate
    assert terminal.cursor
    assert terminal.echoes
    assert terminal.waits_for_lines
    assert not terminal.tells_of_keys

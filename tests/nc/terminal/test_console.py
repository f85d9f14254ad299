"""A person at a terminal edits lines, what arrives is shown above, and the terminal comes back."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import stat
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from tests.nc.screen import Screen

from sockwright.nc.programs.process import start

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PATIENCE_S = 20
_SW = Path(sys.executable).with_name("sw")
# Joins standard input and output to a socket; the settings of the console are the second word.
_PROGRAM = """
import socket, sys
from sockwright.nc.channels.channel import SocketChannel
from sockwright.nc.terminal.console import open_console
from sockwright.nc.engine.loop import Loop
from sockwright.nc.engine.outcome import DONE
from sockwright.nc.engine.session import Session
from sockwright.nc.engine.settings import Console, Limits

outcomes = []
with Loop() as loop:
    near = open_console(eval(sys.argv[2]))
    far = SocketChannel(socket.socket(fileno=int(sys.argv[1])), "peer")
    end = lambda _, outcome: outcomes.append(outcome)
    session = Session(loop, near, far, Limits(), end, person=True)
    try:
        session.start()
        while not outcomes:
            loop.step()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        session.finish(DONE)
    if "fail" in sys.argv:
        raise RuntimeError
sys.exit(outcomes[0].status)
"""


class Talk(Screen):
    """The program above on a terminal; `peer` is the other end of its socket."""

    def __init__(
        self,
        settings: str = "Console()",
        *,
        columns: int = 60,
        environment: Mapping[str, str] | None = None,
        program: str = _PROGRAM,
        home: str = "/dev/null",
    ) -> None:
        theirs, self.peer = socket.socketpair()
        self.peer.settimeout(_PATIENCE_S)
        super().__init__(
            [sys.executable, "-c", program, str(theirs.fileno()), settings],
            theirs.fileno(),
            columns=columns,
            environment={"XDG_STATE_HOME": home, **(environment or {})},
        )
        theirs.close()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.peer.close()

    def until_edits(self) -> Self:
        """Wait until the line editor is there."""
        self.until(lambda _: self.pastes_whole)
        return self

    def say(self, text: str | bytes) -> None:
        """Let the peer send something."""
        self.peer.sendall(text.encode() if isinstance(text, str) else text)

    def hear(self, text: str) -> None:
        """Let the peer receive exactly this."""
        got = b""
        while len(got) < len(text.encode()):
            octets = self.peer.recv(len(text.encode()) - len(got))
            assert octets, got
            got += octets
        assert got.decode() == text

    def until_line(self, number: int, text: str) -> None:
        """Wait until one line of the screen is this."""
        self.until(lambda _: number < len(self.lines) and self.lines[number] == text)


def test_what_arrives_is_shown_at_once_and_clean() -> None:
    with Talk() as talk:
        talk.say(b"hello \x1b[31m\x9b6n\xff\rworld\r\n\x1b]0;x\x07")
        talk.until_shown("world")
        assert talk.lines[0] == "hello \\x1b[31m\\x9b6n\\xff\\rworld"
        talk.until_edits()
        talk.until_line(1, "\\x1b]0;x\\x07")


def test_a_line_is_edited_before_it_goes() -> None:
    with Talk().until_edits() as talk:
        talk.press("helo world\x01\x05!\x1b[D\x17earth")  # Ctrl-A, Ctrl-E, left, Ctrl-W
        talk.until_line(0, "helo earth!")
        talk.press("\x01\x1b[C\x1b[C\x1b[Cl\r")
        talk.hear("hello earth!\n")
        talk.until_line(0, "hello earth!")


def test_keys_that_were_pressed_before_the_editor_came_are_not_lost() -> None:
    with Talk() as talk:
        _look_until(talk, lambda _: not talk.echoes)
        talk.press("early\rnext")
        talk.hear("early\n")
        talk.until_line(1, "next")
        assert talk.lines == ["early", "next"]


def test_what_arrives_does_not_spoil_the_line_that_is_typed() -> None:
    with Talk().until_edits() as talk:
        talk.press("half a li")
        talk.until_line(0, "half a li")
        talk.say("one\ntwo\r\n")
        talk.until_line(2, "half a li")
        assert talk.lines == ["one", "two", "half a li"]
        talk.press("ne\r")
        talk.hear("half a line\n")
        assert "half a line" not in talk.lines[:2]


def test_a_line_without_an_end_is_the_prompt_of_what_is_typed() -> None:
    with Talk() as talk:
        talk.say("Welcome\nlogin: ")
        talk.until_shown("login:")
        talk.until_edits()
        talk.press("bob")
        talk.until_line(1, "login: bob")
        talk.press("\r")
        talk.hear("bob\n")
        talk.say("Pass")
        talk.until_line(2, "Pass")
        talk.say("word:\t")
        talk.until_line(2, "Password:")
        talk.press("x")
        talk.until_line(2, "Password:       x")
        talk.say("\nright\n")
        talk.until_line(4, "x")
        assert talk.lines == ["Welcome", "login: bob", "Password:", "right", "x"]


def test_a_line_of_ours_is_shown_above_a_line_that_has_not_ended() -> None:
    program = _PROGRAM.replace("loop.step()", "loop.step(); near.announce('ours')")
    with Talk(program=program) as talk:
        talk.say("login")
        talk.until_edits()
        talk.press("bob")
        talk.until_shown("loginbob")
        talk.say(": ")
        talk.until(lambda _: "ours" in talk.lines and talk.lines[-1] == "login: bob")
        assert set(talk.lines[:-1]) == {"ours"}


def test_the_line_before_comes_back_by_arrow_and_by_search() -> None:
    with Talk().until_edits() as talk:
        for line in ("first thing", "second thing"):
            talk.press(f"{line}\r")
            talk.hear(f"{line}\n")
        talk.press("\x1b[A\x1b[A")
        talk.until_line(2, "first thing")
        talk.press("\x1b[B\x1b[B\x12sec")  # down again, Ctrl-R
        talk.until_shown("sec': second thing")
        talk.press("\r")
        talk.hear("second thing\n")


def test_lines_are_remembered_for_the_next_time_and_for_nobody_else(tmp_path: Path) -> None:
    with Talk(home=str(tmp_path)).until_edits() as talk:
        talk.press("remember mé\r")
        talk.hear("remember mé\n")
        talk.say("Password: ")
        talk.until_line(1, "Password:")
        talk.press("s3cret\r")
        talk.hear("s3cret\n")
        talk.press("\x03")
        assert talk.finish() == 130
    kept = tmp_path / "sockwright" / "nc_history"
    assert kept.read_text() == "remember mé\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    with Talk(home=str(tmp_path)).until_edits() as talk:
        talk.press("\x1b[A")
        talk.until_line(0, "remember mé")


def test_without_history_no_line_comes_back_or_is_kept(tmp_path: Path) -> None:
    kept = tmp_path / "sockwright" / "nc_history"
    kept.parent.mkdir()
    kept.write_text("earlier\n")
    with Talk("Console(history=False)", home=str(tmp_path)).until_edits() as talk:
        talk.press("one\r")
        talk.hear("one\n")
        talk.press("\x1b[A\x1b[A\r")  # of this run it is the first
        talk.hear("one\n")
        talk.press("\x03")
        assert talk.finish() == 130
    assert kept.read_text() == "earlier\n"


_QUESTIONS = ("Passwd 1: ", "Passwort 2: ", "PIN 3: ", "password 4\n> ", "Token 5:\n", "name 6: ")


def test_no_answer_to_a_question_is_kept_in_a_file(tmp_path: Path) -> None:
    with Talk(home=str(tmp_path)) as talk:
        talk.say("Password 0:\n")  # before there is an editor
        talk.until_edits()
        for number, question in enumerate(("", *_QUESTIONS)):
            talk.say(question)
            talk.until_shown(question.partition("\n")[0].strip())
            talk.press(f"hunter{number}\r")
            talk.hear(f"hunter{number}\n")
            talk.say(f"\nanswered {number}\n")
            talk.until_shown(f"answered {number}")
        talk.press("harmless\r")
        talk.hear("harmless\n")
        talk.press("\x1b[A\x1b[A\r")
        talk.hear("hunter6\n")  # the name is remembered for this run
        talk.press("\x03")
        assert talk.finish() == 130
    kept = (tmp_path / "sockwright" / "nc_history").read_text()
    assert kept == "harmless\nhunter6\n"  # the latter was typed again, and as no answer


def test_ctrl_d_is_the_end_of_the_input_and_what_follows_is_still_shown() -> None:
    with Talk().until_edits() as talk:
        talk.press("last")
        talk.until_line(0, "last")
        talk.press("\x04")  # not at the end yet: the line is not empty
        talk.press("\r")
        talk.hear("last\n")
        talk.press("\x04")
        assert talk.peer.recv(1) == b""
        _look_until(talk, lambda _: talk.echoes and talk.waits_for_lines)
        talk.say(b"late \x1b\n")
        talk.until_line(1, "late \\x1b")
        talk.peer.close()
        assert talk.finish() == 0
        assert talk.lines == ["last", "late \\x1b"]


def test_nothing_is_lost_where_the_editor_leaves_in_the_middle() -> None:
    lines = [f"line {number}" for number in range(20_000)]
    with Talk().until_edits() as talk:
        talk.press("\x04")
        _feed(talk, "\n".join(lines))
        talk.peer.close()
        assert talk.finish() == 0
        assert talk.lines == lines
        _is_back(talk)


def test_ctrl_c_leaves_and_the_terminal_is_as_before() -> None:
    with Talk().until_edits() as talk:
        talk.press("typed")
        talk.until_line(0, "typed")
        talk.press("\x03")
        assert talk.finish() == 130
        _is_back(talk)


def test_the_end_of_the_peer_ends_it_and_all_that_came_is_shown() -> None:
    with Talk().until_edits() as talk:
        talk.press("typed in vain")
        talk.until_shown("in vain")
        talk.say("".join(f"line {number}\n" for number in range(1000)) + "bye")
        talk.peer.close()
        assert talk.finish() == 0
        assert talk.lines == [*(f"line {number}" for number in range(1000)), "bye"]
        _is_back(talk)


def test_an_end_before_the_editor_came_is_no_trouble() -> None:
    with Talk() as talk:
        talk.say("short\n")
        talk.peer.close()
        assert talk.finish() == 0
        assert talk.lines == ["short"]
        assert "\x1b" not in talk.written
        _is_back(talk)


def test_an_error_gives_the_terminal_back() -> None:
    program = (
        _PROGRAM.replace("loop.step()", "loop.step(); 1 / (b'fail' not in near.seen)")
        .replace(
            "near = open_console(eval(sys.argv[2]))",
            "near = open_console(eval(sys.argv[2])); near.seen = b''; send = near.send\n"
            "    def seeing(octets):\n"
            "        near.seen += bytes(octets)\n"
            "        return send(octets)\n"
            "    near.send = seeing",
        )
        .replace("finally:\n        session.finish(DONE)", "finally:\n        pass")
    )
    with Talk(program=program).until_edits() as talk:
        talk.say("fail\n")
        assert talk.finish() == 1
        _is_back(talk)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT])
@pytest.mark.parametrize("settings", ["Console()", "Console(raw_terminal=True)"])
def test_a_signal_gives_the_terminal_back(number: signal.Signals, settings: str) -> None:
    with Talk(settings) as talk:
        _look_until(talk, lambda _: not talk.waits_for_lines)
        if "raw" not in settings:
            talk.until_edits()
        talk.process.send_signal(number)
        assert talk.finish() == (130 if number == signal.SIGINT else -number)
        _is_back(talk)


def test_ctrl_z_gives_the_terminal_back_until_fg() -> None:
    with Talk().until_edits() as talk:
        talk.press("before")
        talk.until_line(0, "before")
        talk.press("\x1a")
        _until_stopped(talk)
        _is_back(talk)
        talk.process.send_signal(signal.SIGCONT)
        _look_until(talk, lambda _: not talk.echoes)
        talk.until_shown("before")
        talk.press(" and after\r")
        talk.hear("before and after\n")


def test_many_lines_that_are_pasted_arrive_whole() -> None:
    pasted = "".join(f"line {number}: \tdata\r" for number in range(2000))
    with Talk().until_edits() as talk:
        talk.press("typed and ")
        _paste(talk, pasted + "begun")
        expected = "typed and " + pasted.replace("\r", "\n")
        talk.hear(expected)
        talk.until_shown("begun")
        talk.press(" and done\r")
        talk.hear("begun and done\n")


def test_pasted_lines_may_hold_what_would_act_on_the_terminal() -> None:
    with Talk().until_edits() as talk:
        _paste(talk, "a\x1b]0;title\x07b\rrest\x1b[31m")
        talk.hear("a\x1b]0;title\x07b\n")
        talk.until_line(0, "a\\x1b]0;title\\x07b")
        talk.press("\r")
        talk.hear("rest\x1b[31m\n")


def test_many_lines_that_come_as_keys_arrive_whole() -> None:
    lines = "".join(f"line {number}\r" for number in range(200))
    with Talk().until_edits() as talk:
        talk.press(lines)
        talk.hear(lines.replace("\r", "\n"))


def test_a_line_may_be_longer_than_the_screen() -> None:
    line = "0123456789" * 430  # a terminal's own lines end at 4095 octets
    with Talk().until_edits() as talk:
        _paste(talk, line)
        talk.press("\r")
        talk.hear(f"{line}\n")


def test_a_long_line_without_an_end_is_shown_as_a_terminal_wraps_it() -> None:
    with Talk(columns=20).until_edits() as talk:
        talk.say("x" * 50)
        talk.until_line(2, "x" * 10)
        talk.say("日" * 8)
        talk.until_line(3, "日" * 3)
        talk.press("y")
        talk.until_line(3, "日" * 3 + "y")
        assert talk.lines == ["x" * 20, "x" * 20, "x" * 10 + "日" * 5, "日" * 3 + "y"]


def test_a_long_line_that_was_there_before_the_editor_stays() -> None:
    with Talk(columns=20) as talk:
        talk.say("x" * 50)
        talk.until_shown("xx")
        talk.until_edits()
        talk.press("y")
        talk.until_line(2, "x" * 10 + "y")
        assert talk.lines == ["x" * 20, "x" * 20, "x" * 10 + "y"]


def test_another_size_of_the_terminal_is_followed() -> None:
    with Talk(columns=60).until_edits() as talk:
        talk.press("a" * 30)
        talk.until_line(0, "a" * 30)
        talk.resize(25, 24)
        talk.until_line(1, "a" * 5)
        assert talk.lines == ["a" * 25, "a" * 5]


def test_much_that_arrives_is_shown_to_the_last_line() -> None:
    text = "".join(f"{number:07}\n" for number in range(100_000))
    with Talk().until_edits() as talk:
        _feed(talk, text)
        talk.until(lambda _: "0099999" in talk.written[-4000:])
        shown = [line for line in talk.written.replace("\r", "").split("\n") if len(line) == 7]
        assert len(shown) > 99_000  # the others have the drawing of the empty line about them


def test_a_terminal_that_is_gone_ends_it() -> None:
    with Talk().until_edits() as talk:
        talk.say("x" * 100_000)
        talk._read(0)
        os.close(talk._ours)
        talk._ours = os.open(os.devnull, os.O_RDONLY)
        talk.peer.close()
        # 120 where Python could not write at its end what was left.
        assert talk.process.wait(_PATIENCE_S) in {0, 1, 120}


def test_a_screen_that_takes_nothing_holds_the_peer_up_and_no_memory() -> None:
    with Talk() as talk:
        _look_until(talk, lambda _: not talk.echoes)
        talk.peer.setblocking(False)
        sent, end = 0, time.monotonic() + 1.5
        while time.monotonic() < end:
            try:
                sent += talk.peer.send(b"x" * 65536)
            except BlockingIOError:
                if sent and time.monotonic() > end - 1:
                    break
        assert sent < 4 << 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("settings", ["Console()", "Console(edit=False)"])
def test_a_screen_that_takes_nothing_does_not_keep_it_from_ending(
    number: signal.Signals, settings: str
) -> None:
    with Talk(settings) as talk:
        if "False" not in settings:
            talk.until_edits()
        talk.say("begin\n")
        talk.until_line(0, "begin")
        talk.peer.settimeout(0.3)
        with suppress(TimeoutError):
            while True:
                talk.peer.sendall(b"line\n" * 10_000)
        talk.process.send_signal(number)
        assert talk.process.wait(4) in {-signal.SIGTERM, 130}


@pytest.mark.parametrize("ended", [False, True], ids=["edited", "after Ctrl-D"])
def test_a_line_that_never_ends_fills_no_memory(ended: bool) -> None:
    with Talk().until_edits() as talk:
        if ended:
            talk.press("\x04")
            assert talk.peer.recv(1) == b""
        status = Path(f"/proc/{talk.process.pid}/status")
        before = _most_memory(status)
        octets = ("x" * 65536 if ended else "\u0301" * 16384).encode()
        with ThreadPoolExecutor(1) as pool:
            feeding = pool.submit(talk.say, octets * (400 if ended else 24))
            while not feeding.done():
                if select.select([talk._ours], [], [], 0.01)[0]:
                    os.read(talk._ours, 65536)
        assert _most_memory(status) - before < 12 << 20


def _most_memory(status: Path) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    assert found is not None
    return int(found[1]) << 10


def test_a_dumb_terminal_has_the_lines_of_the_kernel() -> None:
    with Talk(environment={"TERM": "dumb"}) as talk:
        talk.say(b"hello\x1b[31m\n")
        talk.until_shown("hello")
        assert talk.lines == ["hello\\x1b[31m"]
        assert talk.echoes
        talk.press("typex\x7fd\r")
        talk.hear("typed\n")
        talk.press("\x04")
        assert talk.peer.recv(1) == b""
        talk.say("late\n")
        talk.until_shown("late")
        assert "\x1b" not in talk.written


def test_without_an_editor_the_lines_of_the_kernel_will_do(tmp_path: Path) -> None:
    (tmp_path / "prompt_toolkit").mkdir()
    look = f"while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)"
    code = f"import os, time\n{look}\nraise RuntimeError"
    (tmp_path / "prompt_toolkit" / "__init__.py").write_text(code)
    with Talk(environment={"PYTHONPATH": str(tmp_path)}) as talk:
        _look_until(talk, lambda _: not talk.echoes)
        talk.say(b"hello\x1b[31m\n")
        (tmp_path / "go").touch()  # not before it was seen that keys are hidden
        _look_until(talk, lambda _: talk.echoes)
        talk.press("typed\r")
        talk.hear("typed\n")
        talk.say("late\n")
        talk.peer.close()
        assert talk.finish() == 0
        assert talk.lines == ["hello\\x1b[31m", "typed", "late"]


def test_raw_output_is_not_cleaned() -> None:
    with Talk("Console(raw=True)") as talk:
        talk.say(b"\x1b[31mred\x1b[0m\n")
        talk.until_shown("red")
        assert "\x1b[31mred\x1b[0m" in talk.written


def test_a_raw_terminal_gives_every_key_to_the_peer_and_shows_all_that_comes() -> None:
    with Talk("Console(raw_terminal=True)") as talk:
        talk.until_shown("~. at the start of a line leaves")
        talk.press("ls\x03\x1a\x04\x1b[A\t\r")
        talk.hear("ls\x03\x1a\x04\x1b[A\t\r")
        talk.say(b"\x1b[1mbold\x1b[0m\r\n")
        talk.until_shown("bold")
        assert "\x1b[1mbold\x1b[0m" in talk.written
        talk.say(b"prompt$ ")
        talk.until_shown("prompt$")
        talk.press("~~x\r~.")
        talk.hear("~x\r")
        assert talk.finish() == 130
        assert "prompt$ \r\n" in talk.written  # what comes next has a row of its own
        _is_back(talk)


def test_a_raw_terminal_can_be_left_for_the_shell() -> None:
    with Talk("Console(raw_terminal=True)") as talk:
        talk.until_shown("leaves")
        talk.press("a\r~\x1a")
        _until_stopped(talk)
        _is_back(talk)
        talk.process.send_signal(signal.SIGCONT)
        _look_until(talk, lambda _: not talk.echoes)
        talk.press("b")
        talk.hear("a\rb")


def test_a_raw_terminal_tells_of_its_size() -> None:
    code = "near.on_resize = lambda *size: far.send(memoryview(b'%dx%d' % size))"
    program = _PROGRAM.replace("    end = lambda", f"    {code}\n    end = lambda")
    with Talk("Console(raw_terminal=True)", program=program) as talk:
        talk.until_shown("leaves")
        talk.resize(100, 30)
        talk.hear("100x30")


def test_a_raw_terminal_comes_back_when_the_peer_ends() -> None:
    with Talk("Console(raw_terminal=True)") as talk:
        talk.until_shown("leaves")
        talk.peer.close()
        assert talk.finish() == 0
        _is_back(talk)


def test_in_the_background_of_a_shell_it_runs_on_and_shows_what_comes() -> None:
    with _Shell() as shell:
        shell.type(f"{_SW} nc -l 0 &\r")
        port = int(shell.until(rb"listening on tcp://127.0.0.1:(\d+)\r"))
        with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S) as peer:
            peer.sendall(b"in the background\n")
            shell.until(rb"(in the background)")
            shell.type("jobs\r")
            shell.until(rb"(Running) ")
        shell.type("wait; echo over=$?\r")
        shell.until(rb"(over=0)")


def test_a_shell_stops_it_and_brings_it_back() -> None:
    with _Shell() as shell, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_PATIENCE_S)
        shell.type(f"{_SW} nc 127.0.0.1 {listener.getsockname()[1]}\r")
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(_PATIENCE_S)
            shell.until(rb"\x1b\[\?(2004)h")
            shell.type("before\x1a")
            shell.until(rb"(Stopped) ")
            shell.type("stty -a\r")
            shell.until(rb"(icanon) .* echo ")
            shell.type("fg\r")
            shell.until(rb"\x1b\[\?(2004)h.*before")
            shell.type(" and after\r")
            assert peer.recv(100) == b"before and after\n"
            shell.type("\x03")
            shell.until(rb"(shell)> ")
            shell.type("echo status=$?\r")
            shell.until(rb"(status=130)")


class _Shell:
    """A shell with jobs, on a terminal of its own."""

    def __init__(self) -> None:
        variables = {
            "TERM": "xterm-256color",
            "XDG_STATE_HOME": "/dev/null",
            "PS1": "shell> ",
        }
        self._process = start(
            ["bash", "--norc", "--noediting", "-i"], pty=True, variables=variables
        )
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.end()

    def type(self, keys: str) -> None:
        """Press keys."""
        self._process.write(keys.encode())

    def until(self, pattern: bytes) -> bytes:
        """Read until the pattern is found; give its first group, and forget what was before it."""
        buffer = memoryview(bytearray(65536))
        while not (found := re.search(pattern, self._unread, re.DOTALL)):
            assert select.select([self._process.stdout], [], [], _PATIENCE_S)[0], self._unread
            self._unread += buffer[: self._process.read(buffer)]
        self._unread = self._unread[found.end() :]
        return found[1]


def _is_back(talk: Talk) -> None:
    assert talk.echoes
    assert talk.waits_for_lines
    assert talk.cursor
    assert not talk.pastes_whole


def _paste(talk: Talk, text: str) -> None:
    _press_all(talk, f"\x1b[200~{text}\x1b[201~")


def _press_all(talk: Talk, text: str) -> None:
    """Press more keys than the terminal holds at once."""
    for at in range(0, len(text), 1000):
        talk.press(text[at : at + 1000])


def _feed(talk: Talk, text: str) -> None:
    """Let the peer send much, while the screen is looked at."""
    octets, at = text.encode(), 0
    talk.peer.setblocking(False)

    def more(_: object) -> bool:
        nonlocal at
        with suppress(BlockingIOError):
            at += talk.peer.send(octets[at : at + 65536])
        return at == len(octets)

    _look_until(talk, more)


def _look_until(talk: Talk, wanted: Callable[[object], bool]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not wanted(talk):
        assert time.monotonic() < end
        talk._read(0.01)


def _until_stopped(talk: Talk) -> None:
    _, status = os.waitpid(talk.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    talk._read(0)

"""A conversation of the library is handed to a person, and given back."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.nc.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_S = 20
_PROGRAM = """
import sys
from sockwright.nc import connect
from sockwright.nc.terminal.console import interact

with connect(sys.argv[1], timeout=20) as conversation:
    print(conversation.recv_line())
    try:
        interact(conversation)
    except KeyboardInterrupt:
        conversation.send_line(b"interrupted")
        print(conversation.recv_line())
    except ConnectionError as error:
        print(error)
print("over")
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(_PATIENCE_S)
        yield listening


def _command(listener: socket.socket) -> list[str]:
    host, port = listener.getsockname()
    return [sys.executable, "-c", _PROGRAM, f"tcp://{host}:{port}"]


def _accept(listener: socket.socket) -> socket.socket:
    peer, _ = listener.accept()
    peer.settimeout(_PATIENCE_S)
    return peer


def test_pipes_are_joined_until_both_have_ended(listener: socket.socket) -> None:
    with subprocess.Popen(
        _command(listener), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        with _accept(listener) as peer, peer.makefile("rb") as lines:
            # What came with the line that was asked for is not lost.
            peer.sendall(b"hello\nrest, ")
            assert program.stdin is not None
            program.stdin.write(b"x" * 1_000_000)
            program.stdin.close()
            assert len(lines.read()) == 1_000_000
            peer.sendall(b"late \x1b\n")
        assert program.stdout is not None
        assert program.stdout.read() == b"b'hello'\nrest, late \x1b\nover\n"
        assert program.wait(_PATIENCE_S) == 0


def test_a_terminal_edits_lines_and_ctrl_c_gives_the_conversation_back(
    listener: socket.socket,
) -> None:
    with Screen(_command(listener)) as screen, _accept(listener) as peer:
        peer.sendall(b"hello\nname: ")
        screen.until(lambda _: screen.pastes_whole)
        screen.press("bobx\x7f\r")
        assert peer.recv(100) == b"bob\n"
        peer.sendall(b"\x1b[2J")
        screen.until_shown("\\x1b[2J")
        screen.press("\x03")
        assert peer.recv(100) == b"interrupted\n"
        peer.sendall(b"well\n")
        assert screen.finish() == 0
        assert screen.lines == ["b'hello'", "name: bob", "\\x1b[2Jb'well'", "over"]
        assert screen.echoes


def test_a_conversation_that_breaks_is_an_error(listener: socket.socket) -> None:
    with Screen(_command(listener)) as screen:
        peer = _accept(listener)
        peer.sendall(b"hello\n")
        screen.until(lambda _: screen.pastes_whole)
        # RST
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        assert screen.finish() == 0
        assert "ECONNRESET" in "".join(screen.lines)
        assert screen.lines[-1] == "over"

"""`interact` of both kinds of conversations; the editor of the blocking one has its own tests."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from sockwright import nc

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 20.0
BLOCKING = """
import sys
from sockwright import nc
with nc.connect(sys.argv[1]) as talk:
    talk.interact()
print("over")
"""
ASYNCIO = """
import asyncio, sys
from sockwright.nc import aio
async def main():
    async with await aio.connect(sys.argv[1]) as talk:
        await talk.interact()
    print("over")
asyncio.run(main())
"""


@pytest.fixture
def listener() -> Iterator[nc.Listener]:
    with nc.listen("tcp://:0", timeout=PATIENCE_S) as opened:
        yield opened


def _words(program: str, listener: nc.Listener) -> list[str]:
    return [sys.executable, "-W", "error", "-c", program, str(listener.local_address)]


@pytest.mark.parametrize("program", [BLOCKING, ASYNCIO], ids=["blocking", "asyncio"])
def test_interact_joins_pipes_and_waits_for_the_late_answer(
    program: str, listener: nc.Listener
) -> None:
    with (
        nc.spawn(_words(program, listener), timeout=PATIENCE_S) as user,
        listener.accept() as server,
    ):
        server.timeout = PATIENCE_S
        user.send_line(b"typed")
        assert server.recv_line() == b"typed"
        server.send(b"\x1b[31mraw\n")
        assert user.recv_line() == b"\x1b[31mraw"  # a pipe gets what came
        user.send_eof()
        assert server.receive() == b""
        server.send_line(b"late")
        server.send_eof()
        assert user.receive_all() == b"late\nover\n"
        assert user.wait() == 0


def test_asyncio_cleans_what_a_terminal_gets(listener: nc.Listener) -> None:
    with (
        nc.spawn(_words(ASYNCIO, listener), pty=True, timeout=PATIENCE_S) as user,
        listener.accept() as server,
    ):
        server.timeout = PATIENCE_S
        user.send_line(b"typed")
        assert server.recv_line() == b"typed"
        assert user.recv_line() == b"typed"  # the terminal's own echo
        server.send("\x1b[31mgrün".encode() + b"\xc3")
        server.close()
        assert user.recv_until(b"gr") == rb"\x1b[31mgr"
        assert user.recv_until(b"over") == "ün".encode() + rb"\xc3" + b"over"
        assert user.receive_all() == b"\r\n"
        assert user.wait() == 0


def test_ctrl_c_ends_asyncio(listener: nc.Listener) -> None:
    program = ASYNCIO.replace(
        "asyncio.run(main())",
        """
try: asyncio.run(main())
except KeyboardInterrupt: print("interrupted")
""",
    )
    with (
        nc.spawn(_words(program, listener), pty=True, timeout=PATIENCE_S) as user,
        listener.accept() as server,
    ):
        server.send_line(b"ready")
        user.recv_until(b"ready")
        user.send(b"\x03")
        user.recv_until(b"interrupted")
        assert server.receive(timeout=PATIENCE_S) == b""
        assert user.wait() == 0

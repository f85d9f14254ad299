"""What mypy --strict and pyright see of a program that holds conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.wire.test_types import MYPY, PYRIGHT, wrong_lines

if TYPE_CHECKING:
    from pathlib import Path

RIGHT = """
import re
import sys
from typing import assert_type

import sockwright
from sockwright import nc
from sockwright.nc import aio

assert_type(sockwright.nc.connect("tcp://:1"), nc.Conversation)

with nc.connect("tls://example.org:443", tls=nc.TLSOptions(alpn=("h2",)), timeout=5) as talk:
    assert_type(talk, nc.Conversation)
    assert_type(talk.recv_line(timeout=None), bytes)
    assert_type(talk.recv_lines(3, timeout=2), list[bytes])
    assert_type(talk.recv_until((b"> ", b"$ "), drop=True), bytes)
    assert_type(talk.recv_regex(rb"(x)"), re.Match[bytes])
    assert_type([line for line in talk], list[bytes])
    talk.send_line_after(b": ", bytearray(b"x"))

with nc.spawn(["cat"], taps=[nc.HexDump(sys.stderr.buffer.write)]) as program:
    assert_type(program, nc.ProcessConversation)
    assert_type(program.wait(), int)

for peer in nc.listen("udp://:0"):
    assert_type(peer, nc.Conversation)

assert_type(nc.relay("tcp://:1", talk).a_to_b, int)

async def main() -> None:
    async with await aio.connect("tcp://:1", proxy="socks5://127.0.0.1") as talk:
        assert_type(talk, aio.Conversation)
        assert_type(await talk.recv_line(), bytes)
        async for line in talk:
            assert_type(line, bytes)
    async with await aio.listen("tcp://:0", tls=True) as listener:
        assert_type(await listener.accept(), aio.Conversation)
        assert_type(listener.fingerprint, str | None)
"""

WRONG = """
from sockwright import nc
from sockwright.nc import aio

talk = nc.connect("tcp://:1")
talk.send("text")  # wrong
talk.recv_until("text")  # wrong
talk.recv_line(5)  # wrong
talk.wait()  # wrong
nc.connect("tcp://:1", taps=nc.Tap())  # wrong
nc.connect("tcp://:1", timeout="5")  # wrong
nc.relay(talk, 5)  # wrong

async def main() -> None:
    talk = await aio.connect("tcp://:1")
    for line in talk:  # wrong
        pass
    nc.relay(talk, talk)  # wrong
"""


@pytest.mark.parametrize("checker", [MYPY, PYRIGHT], ids=["mypy", "pyright"])
def test_conversations_are_typed(checker: tuple[str, ...], tmp_path: Path) -> None:
    assert wrong_lines(checker, RIGHT, tmp_path) == []
    expected = [
        number for number, line in enumerate(WRONG.splitlines(), 1) if line.endswith("# wrong")
    ]
    assert sorted(set(wrong_lines(checker, WRONG, tmp_path))) == expected

"""What mypy --strict and pyright see of a program that lists and watches sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.wire.test_types import MYPY, PYRIGHT, wrong_lines

if TYPE_CHECKING:
    from pathlib import Path

RIGHT = """
from typing import assert_type

from sockwright.sockets import (
    Dump, Event, InetSocket, SocketRow, TCPSocket, UDPSocket, UnixSocket, Watch, dump, lookup, watch
)
from sockwright.sockets.diag.filter import all_of, any_of, dport, dst

for connection in dump("tcp", states="established", where="dport = :443", info=True):
    assert_type(connection, TCPSocket)
    port: int = connection.local_port
    if connection.info is not None and connection.info.rtt is not None:
        print(connection.info.rtt / 1000)
    assert_type(lookup(connection, memory=True), TCPSocket | None)

assert_type(dump("udp"), Dump[UDPSocket])
assert_type(next(dump("unix")).path, str)
assert_type(dump("tcp", "udp", family="inet"), Dump[InetSocket])
assert_type(dump("tcp", "unix"), Dump[SocketRow])
assert_type(dump(), Dump[SocketRow])

def states(rows: Dump[SocketRow]) -> set[str]:
    return {row.state for row in rows}

states(dump("tcp"))
tables = ["tcp", "unix"]
states(dump(*tables, where=any_of(dport == port for port in (80, 443)) & ~dst("10.0.0.0/8")))
row = next(dump())
bare: Dump = dump("tcp")
dump(row.protocol, states=[row.state], namespace="blue")

with watch("tcp", interval=0.1) as sockets:
    assert_type(sockets, Watch[TCPSocket])
    for event in sockets:
        assert_type(event, Event[TCPSocket])
        if event.kind == "closed" and event.row.info is not None:
            print(event.row.info.segs_out)
    assert_type(sockets.wait(1.0), list[Event[TCPSocket]])
    assert_type(sockets.rows, list[TCPSocket])

async def follow() -> None:
    async with watch("tcp", "udp", where="sport = :53") as watched:
        async for event in watched:
            assert_type(event.row.local_port, int)
            assert_type(event.before, InetSocket | None)

def tell(event: Event[SocketRow]) -> str:
    return event.row.state

for one in watch(*tables):
    tell(one)
"""

WRONG = """
from sockwright.sockets import Dump, TCPSocket, dump, watch

for row in dump("tcp", "unix"):
    row.local_port  # wrong
for row in dump("tcp"):
    row.path  # wrong
dump(["tcp", "udp"])  # wrong
dump("tcp", state="established")  # wrong
dump("tcp", where=b"sport = :22")  # wrong
rows: Dump[TCPSocket] = dump("udp")  # wrong
watch("tcp", "unix").rows[0].local_port  # wrong
watch("tcp", interval="1")  # wrong
"""


@pytest.mark.parametrize("checker", [MYPY, PYRIGHT], ids=["mypy", "pyright"])
def test_rows_have_the_types_of_their_tables(checker: tuple[str, ...], tmp_path: Path) -> None:
    assert wrong_lines(checker, RIGHT, tmp_path) == []
    expected = [
        number for number, line in enumerate(WRONG.splitlines(), 1) if line.endswith("# wrong")
    ]
    assert sorted(set(wrong_lines(checker, WRONG, tmp_path))) == expected

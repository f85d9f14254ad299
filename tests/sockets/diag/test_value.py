"""Rows as JSON has them, and the parts of rows: equal when they hold the same, shown by that."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.packet import PacketFanout
from sockwright.sockets.diag.structures.socket_options import ULP
from sockwright.sockets.diag.structures.structure import Structure
from sockwright.sockets.diag.summary import MemoryUse, Transport, summarize
from sockwright.sockets.diag.tables import table
from sockwright.sockets.diag.timer import Timer
from sockwright.sockets.diag.value import Value

if TYPE_CHECKING:
    from tests.sockets.diag.population import Population

    from sockwright.sockets.diag.row import SocketRow


@pytest.fixture(scope="module")
def rows(machine: Population) -> list[SocketRow]:
    found = dump(states="all", info=True, memory=True, options=True, processes=True,
                 namespace=machine.pid)  # fmt: skip
    return list(found)


@pytest.mark.needs("namespaces")
def test_json_has_a_word_for_all_that_a_row_tells(rows: list[SocketRow]) -> None:
    told = {row.protocol: row.as_dict() for row in rows}
    assert told.keys() >= {"tcp", "udp", "unix", "packet", "netlink"}
    for row in rows:
        fields = row.as_dict()
        assert json.loads(json.dumps(fields)) == fields
    processes = [row.as_dict()["processes"] for row in rows if row.processes]
    assert all(isinstance(one, list) and isinstance(one[0], dict) for one in processes)


@pytest.mark.needs("namespaces")
def test_parts_of_a_row_are_equal_whenever_they_are_asked_for(rows: list[SocketRow]) -> None:
    seen = set()
    for row in rows:
        for name in ("info", "timer", "memory", "socket_options", "ulp", "rx_ring", "fanout",
                     "memberships", "congestion_info"):  # fmt: skip
            part = getattr(row, name, None)
            if part is not None:
                again = getattr(row, name)
                assert part == again, name
                assert hash(part) == hash(again)
                seen.add(name)
    assert {"info", "timer", "memory", "socket_options", "memberships"} <= seen


def test_parts_that_hold_something_else_or_are_something_else_differ() -> None:
    assert Timer("on", 200, 0) != Timer("on", 200, 1)
    assert Transport("tcp", 1, 2) != Transport("udp", 1, 2)
    assert PacketFanout(b"\x01\0\0\0") != PacketFanout(b"\x02\0\0\0")
    assert ULP(b"\x08\0\x01\0tls\0") != ULP(b"\x08\0\x01\0smc\0")

    class One(Structure):
        __slots__ = ()

    class Other(Structure):
        __slots__ = ()

    same, other = One(b"1234"), Other(b"1234")
    assert same == One(b"1234")
    assert same != other
    assert same != b"1234"


def test_a_summary_shows_its_numbers() -> None:
    assert repr(Transport("tcp", 1, 2)) == "Transport(inet=1, inet6=2, name='tcp')"
    assert "used=8" in repr(MemoryUse("tcp", 8, None, None))
    with socket.socket():
        summary = summarize()
    text = repr(summary)
    assert text.startswith("Summary(")
    assert "TCPCounters(allocated=" in text
    assert f"sockets={summary.sockets}" in text
    assert summary == summary.__class__(
        **{name: getattr(summary, name) for name in type(summary).__slots__}
    )


def test_what_a_value_keeps_to_itself_is_neither_compared_nor_shown() -> None:
    class Point(Value):
        __slots__ = ("_seen", "x")

        def __init__(self, x: int, seen: object) -> None:
            self.x = x
            self._seen = seen

    assert Point(1, []) == Point(1, None)
    assert repr(Point(1, [])) == "Point(x=1)"


def test_a_table_is_named_by_a_word() -> None:
    assert table("tcp").name == "tcp"
    with pytest.raises(TypeError, match=r"a word such as 'tcp', not by \['tcp', 'udp'\]"):
        table(["tcp", "udp"])  # type: ignore[arg-type]

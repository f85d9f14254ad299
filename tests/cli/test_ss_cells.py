"""Texts of many sockets at once are those that each socket gives when it is asked alone."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import pytest
from tests.sockets.diag.population import Population

from sockwright.cli.pages._ss_cells import Cells, Texts, cells_of, endpoint
from sockwright.cli.pages._ss_names import Devices, Names
from sockwright.sockets.diag.listing import dump

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.sockets.diag.row import SocketRow

pytestmark = pytest.mark.needs("namespaces", "root")


@pytest.fixture(scope="module")
def machine() -> Iterator[Population]:
    """A machine with sockets of every kind."""
    with Population() as population:
        yield population


@pytest.fixture(scope="module")
def rows(machine: Population) -> list[SocketRow]:
    """Every socket of it."""
    return list(dump(namespace=machine.pid))


@pytest.mark.parametrize("names", [None, Names()], ids=["numbers", "names"])
def test_texts_of_a_run_are_those_of_each_row(
    machine: Population, rows: list[SocketRow], names: Names | None
) -> None:
    devices = Devices(machine.pid)
    made = cells_of(rows, names, devices, netid=True, processes=False)
    assert made.netid is not None
    columns = [
        *(made.netid, made.state, made.receive_queue, made.send_queue),
        *(made.local, made.local_port, made.peer, made.peer_port),
    ]
    told = list(zip(*columns, strict=True))
    alone = [
        (
            *(row.netid, row.state, str(row.receive_queue), str(row.send_queue)),
            *endpoint(row, "local", names, devices),
            *endpoint(row, "peer", names, devices),
        )
        for row in rows
    ]
    assert told == alone
    assert len({kind for kind, _ in groupby(rows, type)}) > 5


def test_numbers_are_those_of_ss_without_names(machine: Population, rows: list[SocketRow]) -> None:
    made = cells_of(rows, None, Devices(machine.pid), netid=False, processes=False)
    for row, address, port in zip(rows, made.local, made.local_port, strict=True):
        if not getattr(row, "interface", 0):
            assert address + port == row.local


def test_names_take_the_place_of_ports_and_protocols() -> None:
    names = Names()
    assert names.ports("tcp")["443"] == "https"
    assert names.ports("udplite")["53"] == "domain"
    assert names.ports("raw")["1"] == "icmp"
    assert names.ports("sctp") is not names.ports("tcp")


def test_hosts_keep_their_numbers_where_nobody_asked_for_names() -> None:
    assert Names().host("127.0.0.1") == "127.0.0.1"
    assert Names(hosts=True).host("127.0.0.1") == "localhost"
    assert Names(hosts=True).host("0.0.0.0") == "0.0.0.0"


def test_a_column_of_no_rows_has_no_text() -> None:
    assert list(Texts()) == []
    assert list(Cells().state) == []

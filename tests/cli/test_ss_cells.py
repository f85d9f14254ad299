"""Texts of many sockets at once are those that each socket gives when it is asked alone."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from tests.sockets.diag.population import Population

from sockwright.cli.pages._ss_cells import Cells
from sockwright.cli.pages._ss_details import MORE_OF_IP, TOLD
from sockwright.cli.pages._ss_layout import show_table, write_table
from sockwright.cli.pages._ss_many import ManySockets, are_of_ip
from sockwright.cli.pages._ss_names import Devices, Names
from sockwright.cli.screen import Screen
from sockwright.sockets.diag.inet import InetSocket
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
    return list(dump(namespace=machine.pid, states="all", processes=True))


@pytest.mark.parametrize("names", [None, Names()], ids=["numbers", "names"])
@pytest.mark.parametrize("processes", [False, True], ids=["sockets", "holders"])
@pytest.mark.parametrize("netid", [False, True], ids=["alone", "kinds"])
def test_many_sockets_are_shown_as_each_is_when_asked_alone(
    machine: Population,
    rows: list[SocketRow],
    names: Names | None,
    *,
    processes: bool,
    netid: bool,
) -> None:
    some = [row for row in rows if isinstance(row, InetSocket) and are_of_ip([row])]
    devices = Devices(machine.pid)
    alone = io.StringIO()
    cells = Cells(some, names, devices, netid=netid, processes=processes)
    show_table(cells, Screen(alone))
    many = ManySockets(
        some, names, devices, netid=netid, processes=processes, colour=False, for_people=False
    )
    together = io.StringIO()
    write_table(many.head, many.lines(), Screen(together))
    assert together.getvalue() == alone.getvalue()
    assert len({type(row) for row in some}) > 3
    if not processes:
        assert many.width >= max(map(len, together.getvalue().splitlines()))


def test_a_table_of_nothing_has_its_head() -> None:
    nothing = ManySockets([], None, {}, netid=True, processes=False, colour=False, for_people=True)
    assert nothing.head.split()[:3] == ["Netid", "State", "Recv-Q"]
    assert list(nothing.lines()) == []


def test_numbers_are_those_of_ss_without_names(machine: Population, rows: list[SocketRow]) -> None:
    made = Cells(rows, None, Devices(machine.pid), netid=False, processes=False)
    for row, address, port in zip(rows, made.local, made.local_port, strict=True):
        if not getattr(row, "interface", 0):
            assert address + port == row.local


def test_details_leave_out_no_field_of_a_socket_of_ip(rows: list[SocketRow]) -> None:
    names = {name for row in rows if isinstance(row, InetSocket) for name in row.as_dict()}
    assert names - TOLD <= set(MORE_OF_IP)
    assert {"v6only", "is_mapped", "mark"} <= names


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


def test_an_ipv4_address_mapped_into_ipv6_has_the_name_of_the_ipv4_address() -> None:
    assert Names(hosts=True).host("[::ffff:127.0.0.1]") == "localhost"
    assert Names(hosts=True).host("[::ffff:127.0.0.1]%lo") == "localhost%lo"
    assert Names(hosts=True).host("[::ffff:0.0.0.0]") == "[::ffff:0.0.0.0]"

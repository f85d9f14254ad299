"""Filters select the same sockets as ss: by the kernel, with our program, and by `matches`.

SOCKWRIGHT_SOCKET_FILTERS says how many random filters of TCP and UDP sockets are tried, and a
third as many of each other family.
"""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.sockets.diag.filter.machine import Machine, key
from tests.sockets.diag.filter.random_filters import Filters
from tests.sockets.diag.filter.ss_model import is_quirky, ss_selects

from sockwright.sockets.diag.filter import SocketFilter, parse_filter, sport
from sockwright.sockets.diag.filter.conditions import Autobound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.sockets.diag.row import SocketRow

pytestmark = pytest.mark.needs("root", "namespaces", "ss", "nsenter")

_BATCH = 300  # filters that a machine is asked about
_BATCHES = -(-int(os.environ.get("SOCKWRIGHT_SOCKET_FILTERS", _BATCH)) // _BATCH)


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine() as made:
        yield made


def _parsed(machine: Machine, texts: list[str]) -> list[SocketFilter]:
    return [parse_filter(text).resolved(namespace=machine.pid) for text in texts]


def _rows(machine: Machine, *tables: str) -> dict[object, SocketRow]:
    try:
        return {key(row): row for row in machine.rows(*tables)}
    except FileNotFoundError:
        pytest.skip(f"this kernel cannot list {tables}")


def _differences(
    texts: list[str], ours: list[frozenset[object]], theirs: list[frozenset[object]],
    rows: dict[object, SocketRow],
) -> list[str]:  # fmt: skip
    """Return a line for each text whose sockets are not the same."""
    return [
        f"{text}: {sorted(map(repr, (rows.get(one, one) for one in first ^ second)))}"
        for text, first, second in zip(texts, ours, theirs, strict=True)
        if first != second
    ]


@pytest.mark.parametrize("seed", range(_BATCHES))
def test_tcp_and_udp(machine: Machine, seed: int) -> None:
    _test_inet(machine, seed, _BATCH, ("tcp", "udp"), "-tu")


@pytest.mark.parametrize("seed", range(_BATCHES))
def test_raw(machine: Machine, seed: int) -> None:
    _test_inet(machine, seed, _BATCH // 3, ("raw",), "-w")


def _test_inet(
    machine: Machine, seed: int, number: int, tables: tuple[str, ...], option: str
) -> None:
    source = Filters(Random(seed), machine.chosen, machine.cgroup)
    # Of raw sockets the kernel tells whatever their states are, and ss does not look again.
    texts = [source.inet(states=tables != ("raw",)) for _ in range(number)]
    filters = _parsed(machine, texts)
    asked_of_ss = [one.split() for one in texts]
    if tables == ("raw",):  # without services, of which ss knows none here
        asked_of_ss = [[str(one)] for one in filters]
    rows = _rows(machine, *tables)
    kernel = machine.ask_kernel(filters, *tables)
    (unasked,) = machine.ask_kernel([SocketFilter(Autobound((0, 65535)))], *tables)
    answers = machine.ask_ss([option, *words] for words in asked_of_ss)
    assert not [(text, said) for text, (_, said) in zip(texts, answers, strict=True) if said]
    # TIME-WAIT ends after a minute, which is less than a busy machine may take for all that.
    ended = rows.keys() - _rows(machine, *tables).keys()
    rows = {one: row for one, row in rows.items() if one not in ended}
    kernel = [found - ended for found in kernel]
    ss = [found - ended for found, _ in answers]
    python = [
        frozenset(one for one, row in rows.items() if asked.matches(row)) for asked in filters
    ]
    assert not _differences(texts, kernel, python, rows)
    assert sum(0 < len(found) < len(rows) for found in kernel) > number / 4

    for text, asked, ours, theirs in zip(texts, filters, kernel, ss, strict=True):
        condition = asked.condition
        if condition is None or not is_quirky(condition):
            assert ours == theirs, text
            continue
        expected = {
            one
            for one, row in rows.items()
            if _passes_but_for_condition(asked, row) and ss_selects(condition, row, unasked, one)
        }
        assert theirs == expected, text


def _passes_but_for_condition(asked: SocketFilter, row: SocketRow) -> bool:
    """Tell whether a row has the states and the family that a filter asks for."""
    states = asked.states is None or asked.states >> row.state_number & 1 == 1
    return states and (asked.families is None or row.family in asked.families)


@pytest.mark.parametrize("seed", range(_BATCHES))
def test_sctp_of_which_the_kernel_runs_no_program(machine: Machine, seed: int) -> None:
    source = Filters(Random(seed), machine.chosen, machine.cgroup)
    texts = [source.inet() for _ in range(_BATCH // 3)]
    _rows(machine, "sctp")
    rows = machine.rows("sctp")  # associations have the cookie of their endpoint
    everything = machine.ask_kernel([SocketFilter(sport == 1)], "sctp")[0]
    assert everything == frozenset(map(key, rows)), "now it does: let it"
    filters = [one.condition for one in _parsed(machine, texts) if one.condition is not None]
    answers = machine.ask_ss(["-S", str(one)] for one in filters)
    for condition, (theirs, said) in zip(filters, answers, strict=True):
        assert not said
        asked = SocketFilter(condition)
        expected = {
            key(row)
            for row in rows
            if _passes_but_for_condition(asked, row) and ss_selects(condition, row, None, key(row))
        }
        assert theirs == expected, str(condition)
        if not is_quirky(condition, alone=True):
            assert expected == {key(row) for row in rows if asked.matches(row)}


@pytest.mark.parametrize("seed", range(_BATCHES))
def test_vsock(machine: Machine, seed: int) -> None:
    _test_others(machine, seed, Filters.vsock, "vsock", "--vsock")


def test_ss_does_not_look_at_context_ids(machine: Machine) -> None:
    rows = _rows(machine, "vsock")
    ((every, _), (found, _)) = machine.ask_ss([["--vsock"], ["--vsock", "src", "vsock:77"]])
    assert found == every == rows.keys()
    asked = parse_filter("src vsock:77")
    assert not any(asked.matches(row) for row in rows.values())
    asked = parse_filter("src vsock:1:22")
    selected = {one for one, row in rows.items() if asked.matches(row)}
    assert selected == {one for one in rows if str(one).startswith("1:22 ")} != set()


@pytest.mark.parametrize("seed", range(_BATCHES))
def test_unix(machine: Machine, seed: int) -> None:
    _test_others(machine, seed, Filters.unix, "unix", "-x")


@pytest.mark.parametrize("seed", range(_BATCHES))
def test_packet(machine: Machine, seed: int) -> None:
    _test_others(machine, seed, Filters.packet, "packet", "-0")


@pytest.mark.parametrize("seed", range(_BATCHES))
def test_netlink(machine: Machine, seed: int) -> None:
    _test_others(machine, seed, Filters.netlink, "netlink", "-fnetlink")


def _test_others(
    machine: Machine, seed: int, make: Callable[[Filters], str], table: str, option: str
) -> None:
    source = Filters(Random(seed), machine.chosen, machine.cgroup)
    texts = [make(source) for _ in range(_BATCH // 3)]
    filters = _parsed(machine, texts)
    # Without the sockets by which ss and we ask: each sees only its own.
    ((every, _),) = machine.ask_ss([[option]])
    rows = {one: row for one, row in _rows(machine, table).items() if one in every}
    assert len(every) - 1 <= len(rows)
    python = [
        frozenset(one for one, row in rows.items() if asked.matches(row)) for asked in filters
    ]
    answers = machine.ask_ss([option, text] for text in texts)
    assert not [(text, said) for text, (_, said) in zip(texts, answers, strict=True) if said]
    ss = [found & rows.keys() for found, _ in answers]
    assert not _differences(texts, python, ss, rows)

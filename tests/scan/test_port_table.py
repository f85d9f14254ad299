"""What is kept of ports, a few octets each, and the rows made of it."""

from __future__ import annotations

import pickle
import tracemalloc

import pytest

from sockwright.scan.port_table import PortTable
from sockwright.scan.reasons import REASONS, number_of
from sockwright.scan.results import PortResult

_OPEN, _CLOSED = number_of("syn-ack", "open"), number_of("reset", "closed")
_NOT_ASKED = number_of("not-asked", "filtered")
_NUMBERS = (443, 22, 8080, 80)


@pytest.fixture
def table() -> PortTable:
    """Four ports, of which one is open and one closed."""
    table = PortTable("10.0.0.1", "tcp", _NUMBERS, number_of("no-response", "filtered"))
    table.tries = 3
    table.set(1, _OPEN, 2, 1500, 63)
    table.set(2, _CLOSED, 1, 20, 63)
    return table


def test_an_answer_becomes_a_row_with_all_that_is_known_of_it(table: PortTable) -> None:
    assert table[22] == PortResult(
        host="10.0.0.1",
        port=22,
        protocol="tcp",
        state="open",
        reason="syn-ack",
        tries=2,
        attempt=2,
        rtt_ns=1_500_000,
        ttl=63,
    )


def test_a_silent_port_has_the_tries_of_the_scan_and_no_answer(table: PortTable) -> None:
    row = table[443]
    assert (row.state, row.reason, row.tries) == ("filtered", "no-response", 3)
    assert (row.attempt, row.rtt_ns, row.ttl) == (0, None, None)


def test_nothing_is_known_until_it_is_set() -> None:
    table = PortTable("h", "tcp", range(1, 101))
    assert not any(map(table.known, range(100)))
    assert {row.reason for row in table} == {"no-response"}
    assert table.counts() == {0: 100}
    assert table.open_ports() == []


def test_a_port_that_was_not_asked_was_not_tried(table: PortTable) -> None:
    table.set(0, _NOT_ASKED, 0)
    row = table[443]
    assert (row.state, row.reason, row.tries, row.attempt) == ("filtered", "not-asked", 0, 0)


def test_rows_stand_in_the_order_asked_and_are_found_by_number(table: PortTable) -> None:
    assert [row.port for row in table] == list(_NUMBERS)
    assert [table[number].port for number in _NUMBERS] == list(_NUMBERS)
    assert len(table) == 4
    with pytest.raises(KeyError):
        table[23]


def test_rows_of_a_state_are_sorted_by_number(table: PortTable) -> None:
    assert [row.port for row in table.rows("filtered")] == [80, 443]
    assert table.indices("filtered") == [0, 3]
    table.set(0, _OPEN, 1)
    assert table.open_ports() == [22, 443]
    assert [row.port for row in table.rows("open")] == [22, 443]
    assert table.rows("unfiltered") == []


def test_counts_are_of_each_reason_and_make_up_the_whole(table: PortTable) -> None:
    assert table.counts() == {0: 2, _OPEN: 1, _CLOSED: 1}
    assert table.at_reason(_OPEN) == [1]
    assert table.at_reason(0) == [0, 3]
    table.set(3, 0, 1)  # silence that was put down is no other than silence
    assert table.counts() == {0: 2, _OPEN: 1, _CLOSED: 1}
    assert table.at_reason(0) == [0, 3]


def test_a_later_answer_replaces_the_whole_of_an_earlier_one(table: PortTable) -> None:
    table.set(1, number_of("host-prohibited", "filtered"), 3, 99, 250, "10.9.9.9")
    assert table[22].sender == "10.9.9.9"
    table.set(1, _CLOSED, 1)
    row = table[22]
    assert (row.state, row.attempt, row.rtt_ns, row.ttl, row.sender) == (
        "closed",
        1,
        None,
        None,
        "",
    )


def test_a_round_trip_is_kept_from_a_microsecond_to_an_hour(table: PortTable) -> None:
    for given, kept in ((0, 1), (-5, 1), (1, 1), (3_600_000_000, 3_600_000_000)):
        table.set(0, _OPEN, 1, given)
        assert table[443].rtt_ns == kept * 1000
    table.set(0, _OPEN, 1, 10**12)
    assert table[443].rtt_ns == 3_600_000_000_000


def test_more_tries_than_fit_are_kept_as_many(table: PortTable) -> None:
    table.set(0, _OPEN, 1000)
    assert table[443].attempt == 255


def test_every_reason_has_its_place(table: PortTable) -> None:
    for number, reason in enumerate(REASONS):
        table.set(0, number, 1)
        assert (table[443].state, table[443].reason) == (reason.state, reason.word)
        assert 0 in table.at_reason(number)
        assert 0 in table.indices(reason.state)


def test_what_held_answers_back_is_said_of_silent_ports_alone(table: PortTable) -> None:
    table.limit("policer")
    assert table[443].limited == "policer"
    assert table[22].limited == ""
    assert table[443].reason == "no-response"


def test_behind_a_limit_of_icmp_silence_of_udp_is_unproven() -> None:
    table = PortTable("h", "udp", (53, 54), number_of("no-response", "open|filtered"))
    table.set(0, number_of("udp-response", "open"), 1)
    table.limit("icmp")
    assert (table[54].state, table[54].reason, table[54].limited) == (
        "open|filtered",
        "unproven",
        "icmp",
    )
    assert table[53].state == "open"


def test_a_silent_host_takes_an_octet_for_each_port() -> None:
    numbers = range(1, 65536)
    tracemalloc.start()
    try:
        tables = [PortTable("h", "tcp", numbers) for _ in range(10)]
        silent, _ = tracemalloc.get_traced_memory()
        for table in tables:
            table.set(0, _CLOSED, 1)
        answering, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert silent < 10 * 65536 * 1.1
    assert answering < 10 * 65536 * 7.5


def test_a_table_of_no_ports_is_a_table() -> None:
    table = PortTable("h", "tcp", ())
    assert (len(table), list(table), table.counts(), table.open_ports()) == (0, [], {}, [])


def test_a_table_goes_to_another_process_whole(table: PortTable) -> None:
    again = pickle.loads(pickle.dumps(table))  # our own octets
    assert list(again) == list(table)

"""Hosts on which too much is open are remarked on, and ordinary ones are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.scan.port_table import PortTable
from sockwright.scan.reasons import number_of
from sockwright.scan.suspicion import icmp_limit, suspicions

if TYPE_CHECKING:
    from collections.abc import Iterable

_OPEN, _CLOSED = number_of("syn-ack", "open"), number_of("reset", "closed")


def table_of(opened: Iterable[int], asked: Iterable[int] = range(1, 1001)) -> PortTable:
    table = PortTable("h", "tcp", tuple(asked))
    opened = set(opened)
    for at, number in enumerate(table.numbers):
        table.set(at, _OPEN if number in opened else _CLOSED, 1)
    return table


def test_an_ordinary_host_is_not_suspicious() -> None:
    assert suspicions(table_of([])) == []
    assert suspicions(table_of([22, 25, 80, 443])) == []
    assert suspicions(table_of(range(1, 1001, 3))) == []
    assert suspicions(table_of(range(6881, 6890), range(6800, 7000))) == []


def test_few_ports_may_all_be_open() -> None:
    assert suspicions(table_of([22, 80, 443], [22, 80, 443])) == []
    ports = range(2, 128, 2)  # 63 of them, none beside another
    assert suspicions(table_of(ports, ports)) == []


def test_most_of_many_ports_being_open_is_a_proxy_or_a_tarpit() -> None:
    (remark,) = suspicions(table_of(range(1, 1001)))
    assert "1000 of 1000 ports are open" in remark
    assert "SYN proxy" in remark
    (remark,) = suspicions(table_of(range(1, 1001, 2), range(1, 1000)))
    assert "500 of 999" in remark


def test_a_run_of_neighbours_is_remarked_on_with_its_ends() -> None:
    (remark,) = suspicions(table_of([22, *range(300, 340), 500, *range(600, 633)]))
    assert "the 40 ports from 300 to 339 are all open" in remark
    assert suspicions(table_of(range(300, 331))) == []
    (remark,) = suspicions(table_of(range(300, 332)))
    assert "the 32 ports from 300 to 331" in remark


def test_tiny_windows_are_a_tarpit_whatever_else() -> None:
    (remark,) = suspicions(table_of([22, 80, 443, 880]), tiny_windows=4)
    assert "4 of 4 open ports announce a tiny window" in remark
    assert "tarpit" in remark
    (remark,) = suspicions(table_of(range(1, 1001)), tiny_windows=900)
    assert "tarpit" in remark
    assert "window" in remark


def test_one_tiny_window_among_many_ports_is_nothing() -> None:
    assert suspicions(table_of([22]), tiny_windows=1) == []
    assert suspicions(table_of([22, 80, 443, 880, 900, 902]), tiny_windows=3) == []


def test_udp_ports_that_may_be_open_are_not_called_so() -> None:
    table = PortTable("h", "udp", tuple(range(1, 1001)), number_of("no-response", "open|filtered"))
    assert suspicions(table) == []


_REJECTED = number_of("admin-prohibited", "filtered")


def rejecting(tries: list[int], silent: int = 14, closed: int = 11) -> PortTable:
    """Return a host of which these tries were answered by ICMP, and other ports by nobody."""
    table = PortTable("h", "tcp", range(1, 1 + len(tries) + silent + closed))
    for at, attempt in enumerate(tries):
        table.set(at, _REJECTED, attempt)
    for at in range(len(tries), len(tries) + closed):
        table.set(at, _CLOSED, 1)
    return table


def test_silence_beside_as_many_rejected_ports_as_linux_lets_through_may_be_rejection() -> None:
    remark = icmp_limit(rejecting([1] * 6), 0.0, 0.4)
    assert remark.startswith("6 ports were rejected by ICMP errors")
    assert remark.endswith("the 14 silent ports may be rejected, too")
    assert icmp_limit(rejecting([1] * 20), 0.0, 13.5)
    for table in (rejecting([1] * 6, silent=0), rejecting([]), rejecting([1] * 20)):
        assert icmp_limit(table, 0.0, 0.4) == ""


def test_errors_that_come_late_where_nothing_is_lost_are_limited() -> None:
    assert icmp_limit(rejecting([3]), 0.0, 0.4).startswith("1 port was rejected")
    assert icmp_limit(rejecting([1, 1, 1]), 0.0, 0.4) == ""
    assert icmp_limit(rejecting([1, 2, 1, 1]), 0.1, 0.4) == "", "loss explains it"
    assert icmp_limit(rejecting([2] * 30), 0.1, 0.4)
    assert icmp_limit(rejecting([1] * 900 + [2] * 100), 0.1, 0.4) == ""


def test_a_limit_that_is_known_is_not_told_again() -> None:
    table = rejecting([1] * 6)
    table.limit("policer")
    assert icmp_limit(table, 0.0, 0.4) == ""

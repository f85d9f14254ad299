"""What has happened to sockets, told from listings that are made here, with a clock of our own."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest

from sockwright.sockets.diag.changes import Changes, Event, key_of, seen
from sockwright.sockets.diag.inet import TCPSocket

if TYPE_CHECKING:
    from sockwright.sockets.diag.inet import InetSocket

_ESTABLISHED, _SYN_RECV, _TIME_WAIT, _CLOSE = 1, 3, 6, 7
_TIMER_OF_TIME_WAIT = 3
_PATIENCE_S = 0.25


def tcp(
    cookie: int,
    state: int = _ESTABLISHED,
    *,
    queue: int = 0,
    timer: int = 0,
    expires: int = 0,
    inode: int = 7,
    uid: int = 1000,
) -> TCPSocket:
    """Return a row, made as the kernel would."""
    head = struct.pack("=IHHII", 88, 20, 0, 1, 1)
    kind = struct.pack("=BBBB", 2, state, timer, 0)
    ports = struct.pack(">HH16s16s", 40000, 443, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
    numbers = struct.pack("=IQIIIII", 0, cookie, expires, queue, 0, uid, inode)
    return TCPSocket(head + kind + ports + numbers)


class Ledger:
    """Changes, with listings that are told by their rows."""

    def __init__(self, *rows: TCPSocket, told: bool = True, wanted: bool = True) -> None:
        self.changes = Changes({"tcp"} if told else ())
        self._wanted = wanted
        self.changes.begin(seen(rows))

    def listing(self, *rows: TCPSocket, left: tuple[TCPSocket, ...] = (), now: float = 0) -> None:
        self.changes.compare(seen(rows), {key_of(row): row for row in left}, 1, now)

    def end(self, row: InetSocket) -> None:
        self.changes.end(row, lambda row: self._wanted, 2)

    def events(self) -> list[Event]:
        found = list(self.changes.events)
        self.changes.events.clear()
        return found

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events()]


def test_the_first_listing_is_no_event() -> None:
    ledger = Ledger(tcp(1), tcp(2))
    assert ledger.events() == []
    assert {row.cookie for row in ledger.changes.rows} == {1, 2}


def test_a_socket_that_was_not_listed_before_has_opened() -> None:
    ledger = Ledger(tcp(1))
    ledger.listing(tcp(1), tcp(2))
    (event,) = ledger.events()
    assert (event.kind, event.row.cookie, event.before, event.listed) == ("opened", 2, None, True)


@pytest.mark.parametrize(
    "after",
    [tcp(1, 8), tcp(1, queue=5), tcp(1, timer=1), tcp(1, inode=0)],
    ids=["state", "queue", "timer", "inode"],
)
def test_a_socket_changes_with_state_queues_timer_and_inode(after: TCPSocket) -> None:
    ledger = Ledger(tcp(1))
    ledger.listing(after)
    (event,) = ledger.events()
    assert event.kind == "changed"
    assert event.row is after
    assert event.before is not None
    assert event.before.state == "ESTAB"


def test_a_timer_that_runs_is_no_change() -> None:
    ledger = Ledger(tcp(1, timer=1, expires=200))
    ledger.listing(tcp(1, timer=1, expires=100))
    assert ledger.events() == []


def test_a_socket_that_is_gone_closes_when_the_kernel_tells_so() -> None:
    ledger = Ledger(tcp(1))
    ledger.listing()
    assert ledger.events() == []
    ledger.end(tcp(1, _CLOSE, inode=0, uid=0))
    (event,) = ledger.events()
    assert (event.kind, event.row.state, event.listed) == ("closed", "UNCONN", False)
    assert (event.row.uid, event.row.inode) == (1000, 7), "as they were before"
    assert ledger.changes.due is None


def test_a_socket_of_which_the_kernel_is_silent_closes_a_moment_later() -> None:
    ledger = Ledger(tcp(1))
    ledger.listing(now=10)
    assert ledger.changes.due == 10 + _PATIENCE_S
    ledger.changes.give_up(3, 10 + _PATIENCE_S / 2)
    assert ledger.events() == []
    ledger.changes.give_up(3, 10 + _PATIENCE_S)
    (event,) = ledger.events()
    assert (event.kind, event.row.state) == ("closed", "ESTAB")
    ledger.end(tcp(1, _CLOSE))
    assert ledger.events() == [], "the kernel's word comes too late"


def test_without_word_of_the_kernel_what_is_gone_has_closed() -> None:
    ledger = Ledger(tcp(1), told=False)
    ledger.listing()
    assert ledger.kinds() == ["closed"]


def test_the_kernel_tells_of_a_socket_before_it_is_missed() -> None:
    ledger = Ledger(tcp(1))
    ledger.end(tcp(1, _CLOSE))
    assert ledger.kinds() == ["closed"]
    ledger.listing()
    ledger.changes.give_up(3, 100)
    assert ledger.events() == []


def test_a_request_that_ends_without_a_connection_closes_by_comparing() -> None:
    ledger = Ledger(tcp(1, _SYN_RECV, inode=0))
    ledger.listing()
    assert ledger.kinds() == ["closed"]


def test_a_socket_that_was_never_listed_is_told_as_closed() -> None:
    ledger = Ledger()
    ledger.end(tcp(9, _CLOSE, inode=0, uid=0))
    (event,) = ledger.events()
    assert (event.kind, event.before) == ("closed", None)
    assert {"uid", "inode"} & event.as_dict().keys() == set(), "nobody knows them"


def test_a_socket_that_was_never_listed_and_is_not_wanted_is_not_told() -> None:
    ledger = Ledger(wanted=False)
    ledger.end(tcp(9, _CLOSE))
    assert ledger.events() == []


def test_time_wait_opens_after_its_connection_has_closed() -> None:
    ledger = Ledger(tcp(1))
    rest = tcp(1, _TIME_WAIT, timer=_TIMER_OF_TIME_WAIT, inode=0)
    ledger.listing(rest)
    assert ledger.events() == [], "the connection first"
    ledger.end(tcp(1, _CLOSE))
    ledger.listing(rest)
    closed, opened = ledger.events()
    assert (closed.kind, opened.kind, opened.row.state) == ("closed", "opened", "TIME-WAIT")
    assert opened.before is not None
    assert opened.before.state == "ESTAB"
    ledger.listing()
    assert ledger.kinds() == ["closed"], "its end is found by comparing"


def test_a_time_wait_is_not_closed_by_late_word_of_its_connection() -> None:
    ledger = Ledger(tcp(1, _TIME_WAIT, timer=_TIMER_OF_TIME_WAIT, inode=0))
    ledger.end(tcp(1, _CLOSE))
    assert ledger.events() == []


def test_a_socket_that_does_not_match_any_more_changes_a_last_time() -> None:
    ledger = Ledger(tcp(1))
    ledger.listing(left=(tcp(1, 8),))
    (event,) = ledger.events()
    assert (event.kind, event.row.state, event.listed) == ("changed", "CLOSE-WAIT", False)
    assert event.as_dict()["listed"] is False
    assert ledger.changes.rows == []


def test_an_event_tells_which_fields_were_different_before() -> None:
    ledger = Ledger(tcp(1))
    ledger.listing(tcp(1, 8, queue=3))
    (event,) = ledger.events()
    told = event.as_dict()
    assert (told["event"], told["time_ns"], told["state"]) == ("changed", 1, "CLOSE-WAIT")
    assert told["before"] == {"state": "ESTAB", "receive_queue": 0}


def test_json_has_a_word_for_all_that_an_event_tells() -> None:
    ledger = Ledger(tcp(1))
    ledger.listing(tcp(1, 8, timer=1, expires=200))
    (event,) = ledger.events()
    told = event.as_dict()
    assert told["timer"] == {"name": "on", "expires_ms": 200, "retransmits": 0}
    assert told["before"] == {"state": "ESTAB", "timer": None}
    assert json.loads(json.dumps(told)) == told


def test_a_timer_that_stays_as_it_was_is_not_told_as_another() -> None:
    ledger = Ledger(tcp(1, timer=1, expires=200))
    ledger.listing(tcp(1, timer=1, expires=200, queue=3))
    (event,) = ledger.events()
    assert event.as_dict()["before"] == {"receive_queue": 0}

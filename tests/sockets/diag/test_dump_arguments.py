"""What `dump` takes, and how it refuses what is wrong."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from tests.sockets.diag.own_network import as_nobody, cookie

from sockwright.errors import UsageError
from sockwright.sockets import dump, watch
from sockwright.sockets.diag.filter import SocketFilter, cgroup, dev, dst, fwmark, sport, src
from sockwright.sockets.diag.states import ALL, BOUND_INACTIVE, STATES, state_mask


def test_states_are_named_as_rows_have_them_in_any_case() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as ours,
        listener.accept()[0] as accepted,
        socket.socket() as bound,
    ):
        bound.bind(("127.0.0.1", 0))
        own = {cookie(sock) for sock in (listener, ours, accepted, bound)}
        mine = [row for row in dump("tcp", states="all") if row.cookie in own]
        assert {row.state for row in mine} >= {"ESTAB", "LISTEN"}
        for row in mine:
            for word in (row.state, row.state.lower()):
                assert row in set(dump("tcp", states=word))
            assert row in set(dump("tcp", states=["FIN-WAIT-1", row.state]))
        assert {row.state for row in dump("tcp", states="LISTEN")} == {"LISTEN"}


def test_a_watch_takes_states_as_rows_have_them() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        watch("tcp", states="LISTEN") as sockets,
    ):
        assert {row.state for row in sockets.rows} == {"LISTEN"}
        number = cookie(listener)
        listener.close()
        # Those of other tests come and go as well.
        event = next(event for event in sockets if event.row.cookie == number)
        assert event.kind == "closed"
        assert event.before is not None
    with pytest.raises(UsageError, match="no state 'open'"):
        watch("tcp", states="open")


def test_each_state_of_rows_can_be_asked_for() -> None:
    for number, name in STATES.items():
        if number != 12:  # which the kernel reports as 3
            assert state_mask(name) & 1 << number
    assert state_mask("UNCONN") == 1 << 7 | BOUND_INACTIVE
    assert state_mask(["All"]) == ALL
    with pytest.raises(UsageError, match="no state 'ESTABLISH'; there are established"):
        state_mask("ESTABLISH")


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        ((["tcp", "udp"],), {}, "a table of sockets is named by a word"),
        ((6,), {}, "a table of sockets is named by a word"),
        ((), {"where": b"sport = :22"}, "`where` is text, a condition or a SocketFilter, not b'sp"),
        ((), {"where": 1}, "`where` is text"),
        ((), {"where": sport}, "`where` is text, a condition or a SocketFilter, not sport"),
        ((), {"where": None}, "`where` is text"),
        ((), {"family": ["inet"]}, "a family is named by a word"),
        ((), {"family": 2}, "a family is named by a word"),
        ((), {"states": 1}, "states are named by words"),
        ((), {"states": [10]}, "states are named by words"),
        ((), {"states": b"listening"}, "states are named by words"),
        ((), {"namespace": True}, "a network namespace is named by"),
    ],
)
def test_what_is_of_a_wrong_type_is_refused_in_words(
    arguments: tuple[Any, ...], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        dump(*arguments, **settings)


def test_expressions_refuse_wrong_types_in_words() -> None:
    wrong: Any
    for make, wrong in (
        (src, None), (dst, 10), (fwmark, "1"), (fwmark, True), (dev, None), (dev, True),
        (cgroup, 3), (SocketFilter, "sport = :22"), (SocketFilter, sport),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"not (of )?\S+") as caught:
            make(wrong)
        assert "attribute" not in str(caught.value)
    with pytest.raises(ValueError, match="no family 'ip4'; there are inet"):
        src("10.0.0.1", family="ip4")


def test_a_namespace_of_thousands_of_characters_is_refused_as_one_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="is not there"):
        dump("tcp", namespace="x" * 5000)


@pytest.mark.needs("root")
def test_marks_that_a_user_may_not_see_are_refused_when_they_are_asked_for() -> None:
    said = as_nobody("""
import sockwright.sockets.diag.filter.parser, sockwright.sockets.diag.filter.sides
import sockwright.sockets.diag.filter.bytecode
from sockwright.sockets import UnixSocket, dump
with socket.create_server(("127.0.0.1", 0)) as listener:
    become_nobody()
    try:
        dump("tcp", where="fwmark 1")
    except NotPossibleError as error:
        print(error)
    # Where the answer does not depend on a mark, none is needed.
    print(len(list(dump("tcp", where="sport = :1 and fwmark 1"))))
    print(len(list(dump("unix", where="fwmark 1"))))
""")
    assert said.splitlines() == [
        "marks of sockets are told to processes with CAP_NET_ADMIN only; run as root",
        "0",
        "0",
    ]

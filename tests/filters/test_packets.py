"""The same packets pass as with tcpdump, of all that strangers captured."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.filters.expressions import EXPRESSIONS
from tests.filters.generator import expressions
from tests.filters.peer import NAMES, Packets, Peer

from sockwright.filters import FilterError, compile_filter

if TYPE_CHECKING:
    from tests.filters.conftest import Passed

    from sockwright.filters import Filter

pytestmark = pytest.mark.needs("tcpdump")

_COUNT = int(os.environ.get("SOCKWRIGHT_FILTERS", "3000"))
_NULL = 0
_LINK_TYPES = (1, 1, 1, 1, 1, 1, 113, 101, 0, 276, 9, 108, 228, 50)


def _compiled(expression: str, link_type: int) -> Filter | None:
    try:
        return compile_filter(expression, link_type)
    except FilterError:
        return None


def _known(expression: str, ours: object, theirs: object) -> bool:
    """Tell whether one may refuse what the other takes; docs/filters.md has the list."""
    if theirs is None:  # it takes the index of a divisor or a distance for the number itself
        return any(f"{operator} " in expression for operator in ("/", "%", "<<", ">>"))
    # It takes an IPv4 address for one of DECnet.
    return ours is None and "decnet" in expression


def test_tcpdump_lets_the_same_packets_through(packets: dict[int, Packets], passed: Passed) -> None:
    several = 0
    for link_type, some in packets.items():
        for expression in EXPRESSIONS[link_type % 7 :: 3 if link_type == 1 else 12]:
            theirs = some.passed(expression)
            ours = _compiled(expression, link_type)
            if theirs is None:
                assert ours is None, expression
                continue
            assert ours is not None, expression
            assert passed(ours.instructions, some) == theirs, (NAMES[link_type], expression)
            several += 0 < len(theirs) < len(some.records)
    assert several > 50


def test_random_filters_let_the_same_packets_through(
    packets: dict[int, Packets], passed: Passed, peer: Peer
) -> None:
    kinds = [kind for kind in _LINK_TYPES if kind in packets]
    pools = packets[1].pools()
    wanted = [
        (kinds[number % len(kinds)], expression)
        for number, expression in enumerate(expressions(20_000, _COUNT, pools))
    ]
    with ThreadPoolExecutor(2) as pool:  # each waits for a tcpdump
        theirs = pool.map(lambda one: peer.program(one[1], one[0]), wanted)
    both = several = 0
    known = peer.known
    differ: list[tuple[str, str, str]] = []
    for (link_type, expression), program in zip(wanted, theirs, strict=True):
        ours = _compiled(expression, link_type)
        if ours is None or program is None:
            refused = (ours is None) != (program is None)
            if refused and not _known(expression, ours, program):
                differ.append((NAMES[link_type], expression, "refused by one"))
            continue
        both += 1
        if known and ours.instructions != program and link_type != _NULL:
            differ.append((NAMES[link_type], expression, "program"))
        some = packets[link_type]
        accepted = passed(ours.instructions, some)
        several += 0 < len(accepted) < len(some.records)
        if accepted != passed(program, some):
            differ.append((NAMES[link_type], expression, "packets"))
    summary = f"{_COUNT} filters, {both} taken by both, {several} let some through and not all"
    logging.getLogger(__name__).info(summary)  # shown by --log-cli-level=INFO
    assert not differ, "\n".join((summary, *map(str, differ)))
    assert both > 0.6 * _COUNT
    assert several > 0.2 * _COUNT


def test_the_interpreter_agrees_with_tcpdump_on_random_filters(
    packets: dict[int, Packets], passed: Passed
) -> None:
    some = packets[1]
    for expression in expressions(1, 60, some.pools()):
        theirs, ours = some.passed(expression), _compiled(expression, 1)
        if theirs is not None and ours is not None:
            assert passed(ours.instructions, some) == theirs, expression


def test_interpreted_and_compiled_agree(packets: dict[int, Packets], passed: Passed) -> None:
    some = packets[1]
    few = some.records[:: len(some.records) // 400]
    for expression in expressions(2, 40, some.pools()):
        ours = _compiled(expression, 1)
        if ours is not None:
            numbers = passed(ours.instructions, some)
            for record in few:
                there = (record.time_ns or 0) // 1_000_000_000 in numbers
                assert ours.matches(record.octets, record.original_length) == there, expression

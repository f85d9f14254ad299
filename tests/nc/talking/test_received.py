"""What has been received: delimiters, patterns and lines in octets that come in any pieces."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockwright.errors import EndOfStreamError, LimitError
from sockwright.nc.talking.received import Received

_LETTERS = st.binary(max_size=40).map(lambda octets: bytes(97 + octet % 3 for octet in octets))
_DELIMITERS = st.lists(_LETTERS.filter(bool).map(lambda it: it[:3]), min_size=1, max_size=3)


@given(st.lists(_LETTERS, max_size=6), _DELIMITERS)
def test_delimiters_are_found_however_octets_are_cut(
    pieces: list[bytes], delimiters: list[bytes]
) -> None:
    received = Received()
    taken: list[bytes] = []
    for piece in pieces:
        if piece:
            received.feed(piece)
        while (found := received.until_any(tuple(delimiters), 10_000)) is not None:
            taken.append(found)
    expected, rest = [], b""
    for octet in b"".join(pieces):
        rest += bytes([octet])
        if rest.endswith(tuple(delimiters)):
            expected.append(rest)
            rest = b""
    assert taken == expected
    assert received.octets == rest


def test_a_pattern_is_searched_within_the_limit_only() -> None:
    received = Received()
    received.feed(b"x" * 10 + b"y")
    with pytest.raises(LimitError, match="within 10 octets"):
        received.matching(re.compile(b"y"), 10)
    match = received.matching(re.compile(b"xy"), 11)
    assert match is not None
    assert match.string == b"x" * 10 + b"y"


def test_a_pattern_that_looks_ahead_gets_its_match() -> None:
    received = Received()
    received.feed(b"12;rest")
    match = received.matching(re.compile(rb"\d+(?=;)"), 100)
    assert match is not None
    assert match[0] == b"12"
    assert received.octets == b";rest"


def test_an_error_takes_nothing() -> None:
    received = Received()
    received.feed(b"abc")
    received.feed(b"")
    assert received.ended
    for take in (
        lambda: received.until_any((b"x", b"y"), 100),
        lambda: received.matching(re.compile(b"x"), 100),
    ):
        with pytest.raises(EndOfStreamError) as caught:
            take()
        assert caught.value.partial == b"abc"
    assert received.line(100) == b"abc"
    assert received.line(100) == b""


@pytest.mark.parametrize("delimiters", [(b"\n",), (b"\n", b"\0")])
def test_a_peer_that_sends_octet_by_octet_costs_linear_time(delimiters: tuple[bytes, ...]) -> None:
    def seconds(count: int) -> float:
        received = Received()
        begin = time.process_time()
        for _ in range(count):
            received.feed(b"x")
            received.until_any(delimiters, 1_000_000)
        return time.process_time() - begin

    # The least time of the processor, since noise only adds; quadratic would be 64 times as long.
    few, many = zip(*((seconds(5_000), seconds(40_000)) for _ in range(3)), strict=True)
    assert min(many) / min(few) < 24

"""Reasons: each with a state, found by its word, and those of ICMP errors by type and code."""

from __future__ import annotations

import typing

import pytest

from sockwright.scan.reasons import REASONS, UNKNOWN, number_of, unreachable
from sockwright.scan.results import PortState

# RFC 792, RFC 1812 section 5.2.7.1: code, nmap's word.
_FOUR = {
    0: "net-unreach",
    1: "host-unreach",
    2: "proto-unreach",
    4: "dest-unreach",
    5: "net-unreach",
    9: "net-prohibited",
    10: "host-prohibited",
    13: "admin-prohibited",
    15: "dest-unreach",
    255: "dest-unreach",
}
# RFC 4443 section 3.1.
_SIX = {
    0: "no-route",
    1: "admin-prohibited",
    2: "beyond-scope",
    3: "addr-unreach",
    5: "policy-fail",
    6: "reject-route",
    7: "dest-unreach",
}


def test_every_reason_is_found_by_its_word_and_state() -> None:
    pairs = [(reason.word, reason.state) for reason in REASONS]
    assert len(set(pairs)) == len(pairs)
    for number, (word, state) in enumerate(pairs):
        assert number_of(word, state) == number


def test_a_reason_that_is_none_is_not_found() -> None:
    with pytest.raises(KeyError):
        number_of("syn-ack", "closed")
    with pytest.raises(KeyError):
        number_of("", "open")


def test_reasons_fit_into_an_octet_and_each_says_what_it_means() -> None:
    assert len(REASONS) < UNKNOWN == 255
    states = typing.get_args(PortState)
    for reason in REASONS:
        assert reason.state in states
        assert len(reason.meaning) > 10
        assert reason.word == reason.word.lower().strip()
    assert {reason.state for reason in REASONS} == set(states)


@pytest.mark.parametrize(
    ("version", "kind", "words"), [(4, 3, _FOUR), (6, 1, _SIX)], ids=["ICMP", "ICMPv6"]
)
def test_an_unreachable_is_filtered_with_the_word_of_its_code(
    version: int, kind: int, words: dict[int, str]
) -> None:
    for code, word in words.items():
        for udp in (False, True):
            number = unreachable(version, kind, code, udp=udp)
            assert number is not None
            assert REASONS[number][:2] == (word, "filtered"), code


@pytest.mark.parametrize(("version", "kind", "code"), [(4, 3, 3), (6, 1, 4)])
def test_port_unreachable_closes_a_udp_port_and_filters_a_tcp_port(
    version: int, kind: int, code: int
) -> None:
    for udp, state in ((True, "closed"), (False, "filtered")):
        number = unreachable(version, kind, code, udp=udp)
        assert number is not None
        assert REASONS[number][:2] == ("port-unreach", state)


@pytest.mark.parametrize(
    ("version", "kind", "word"),
    [
        (4, 11, "time-exceeded"),
        (4, 12, "param-problem"),
        (6, 3, "time-exceeded"),
        (6, 4, "param-problem"),
    ],
)
def test_other_errors_are_filtered_whatever_their_code(version: int, kind: int, word: str) -> None:
    for code in (0, 1, 2, 255):
        number = unreachable(version, kind, code, udp=False)
        assert number is not None
        assert REASONS[number][:2] == (word, "filtered")


def test_what_is_no_error_has_no_reason() -> None:
    for kind in set(range(256)) - {3, 11, 12}:
        assert unreachable(4, kind, 0, udp=True) is None
    for kind in set(range(256)) - {1, 3, 4}:
        assert unreachable(6, kind, 0, udp=True) is None

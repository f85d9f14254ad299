"""Telnet: options refused, commands gone, text whole, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sockwright.machines.telnet import Telnet, escape

_IAC, _DONT, _DO, _WONT, _WILL, _SB, _SE = 255, 254, 253, 252, 251, 250, 240


def test_plain_text_passes_as_it_is() -> None:
    assert Telnet().receive(b"login: \r\0\r\n\xc3\xa9") == (b"login: \r\0\r\n\xc3\xa9", b"")


def test_what_the_peer_wants_is_refused() -> None:
    wanted = bytes([_IAC, _DO, 24, _IAC, _WILL, 1, _IAC, _DO, _IAC])
    text, answers = Telnet().receive(b"a" + wanted + b"b")
    assert text == b"ab"
    assert answers == bytes([_IAC, _WONT, 24, _IAC, _DONT, 1, _IAC, _WONT, _IAC])


def test_what_is_off_already_gets_no_answer() -> None:
    assert Telnet().receive(bytes([_IAC, _DONT, 1, _IAC, _WONT, 3])) == (b"", b"")


def test_negotiations_about_options_disappear() -> None:
    about = bytes([_IAC, _SB, 24, 1, _IAC, _IAC, 7, _IAC, _SE])
    assert Telnet().receive(b"a" + about + b"b") == (b"ab", b"")


@pytest.mark.parametrize("command", range(241, 250))
def test_commands_disappear(command: int) -> None:
    assert Telnet().receive(bytes([97, _IAC, command, 98])) == (b"ab", b"")


def test_two_octets_255_are_one_of_the_text() -> None:
    assert Telnet().receive(b"a\xff\xffb\xff\xff\xff\xff") == (b"a\xffb\xff\xff", b"")
    assert Telnet(doubled=False).receive(b"a\xff\xffb") == (b"a\xff\xffb", b"")


def test_what_no_rfc_defines_is_text() -> None:
    assert Telnet().receive(b"\xff\x41\xff\x00") == (b"\xff\x41\xff\x00", b"")


def test_views_and_bytearrays_are_octets_too() -> None:
    assert Telnet().receive(memoryview(b"a\xff\xf1b")) == (b"ab", b"")
    assert Telnet().receive(bytearray(b"ab")) == (b"ab", b"")
    assert escape(memoryview(b"a\xff")) == b"a\xff\xff"


@given(st.binary())
def test_escaped_text_comes_back(text: bytes) -> None:
    assert Telnet().receive(escape(text)) == (text, b"")


# Random octets hit a command now and then only; these are made of little else.
_TALK = st.lists(
    st.sampled_from([_IAC, _IAC, _DO, _DONT, _WILL, _WONT, _SB, _SE, 241, 0, 65]), max_size=60
).map(bytes)


@given(st.one_of(_TALK, st.binary()), st.lists(st.integers(0, 60)))
@example(bytes([_IAC, _SB, _IAC, _SE, _IAC, _DO, 1]), [1, 2, 3, 4, 5, 6])
def test_it_does_not_matter_how_the_octets_are_cut(octets: bytes, cuts: list[int]) -> None:
    whole = Telnet().receive(octets)
    machine, text, answers = Telnet(), b"", b""
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(octets)], strict=True):
        more_text, more_answers = machine.receive(octets[begin : max(begin, end)])
        text += more_text
        answers += more_answers
    assert (text, answers) == whole
    assert len(answers) <= len(octets)
    assert len(text) <= len(octets)

"""Octets to a terminal: text stays as it is, and nothing in it can act."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sockwright.cli.clean import clean
from sockwright.nc.terminal.cleaning import Cleaner


def _whole(octets: bytes, *, unicode: bool = True) -> str:
    cleaner = Cleaner(unicode=unicode)
    return (cleaner.clean(octets) + cleaner.finish()).decode()


@pytest.mark.parametrize(
    "text",
    ["", "plain\n", "a\tb\r\n", "Zwölf Boxkämpfer — 日本語 😀\n", "\n\n\r\n", "~ |\\x1b"],
)
def test_text_stays_as_it_is(text: str) -> None:
    assert _whole(text.encode()) == text


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"\x1b[31mred\x1b[0m\n", "\\x1b[31mred\\x1b[0m\n"),
        (b"\x1b]0;title\x07\n", "\\x1b]0;title\\x07\n"),
        (b"\x1bP+q544e\x1b\\", "\\x1bP+q544e\\x1b\\"),  # DCS, terminfo query
        ("\x9b6n".encode(), "\\x9b6n"),  # CSI as one C1 character, in UTF-8
        (b"\x9b6n", "\\x9b6n"),  # and as one octet
        (b"caf\xe9\n", "caf\\xe9\n"),  # Latin-1
        (b"\xc0\x9b[31m", "\\xc0\\x9b[31m"),  # longer than need be
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),  # a surrogate
        ("abc\u202edcba\n".encode(), "abc\\u202edcba\n"),  # right-to-left override
        ("zero\u200bwidth \ufeff\u2066".encode(), "zero\\u200bwidth \\ufeff\\u2066"),
        ("\U000e0041".encode(), "\\U000e0041"),  # a tag character
        (b"\x00\x08\x0b\x0c\x0e\x7f", "\\x00\\x08\\x0b\\x0c\\x0e\\x7f"),
        (b"good\rbad \n", "good\\rbad \n"),  # a CR alone would hide what was there
        (b"two\r\r\n", "two\\r\r\n"),
        (b"end\r", "end\\r"),
        (b"cut \xe6\x97", "cut \\xe6\\x97"),
        ("\u2028\x85".encode(), "\\u2028\\x85"),  # line ends that few know
    ],
)
def test_what_could_act_is_an_escape(octets: bytes, shown: str) -> None:
    assert _whole(octets) == shown


def test_a_character_may_come_in_pieces() -> None:
    cleaner = Cleaner()
    pieces = [cleaner.clean(bytes([octet])) for octet in "日😀".encode()]
    assert pieces == [b"", b"", "日".encode(), b"", b"", b"", "😀".encode()]
    assert cleaner.finish() == b""


def test_a_line_end_may_come_in_pieces() -> None:
    cleaner = Cleaner()
    assert [cleaner.clean(piece) for piece in (b"a\r", b"\nb\r", b"c")] == [b"a", b"\r\nb", b"\\rc"]


def test_an_escape_sequence_may_not_come_in_pieces_either() -> None:
    cleaner = Cleaner()
    assert b"".join(cleaner.clean(piece) for piece in (b"\x1b", b"[2", b"J\xc2", b"\x9b")) == (
        b"\\x1b[2J\\x9b"
    )


def test_a_terminal_without_utf_8_gets_nothing_beyond_ascii() -> None:
    # Its octets are c3 9b, and 9b begins an escape sequence where octets are characters.
    assert _whole("\u00db[6n\tä\n".encode(), unicode=False) == "\\xdb[6n\t\\xe4\n"
    assert _whole("日😀\xff".encode(), unicode=False) == "\\u65e5\\U0001f600\\xff"


def test_a_view_of_memory_will_do() -> None:
    octets = bytearray(b"hello \x1b\n")
    assert Cleaner().clean(memoryview(octets)) == b"hello \\x1b\n"


def test_a_peer_that_sends_every_character_fills_no_memory() -> None:
    cleaner = Cleaner()
    cleaner.clean("".join(map(chr, range(0xE000, 0x110000))).encode())
    assert len(cleaner._escapes) <= 1024


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=4))
@example(b"\r\n\r\xc3\xa4\x1b", [1, 3, 5])
def test_pieces_give_what_the_whole_gives(octets: bytes, cuts: list[int]) -> None:
    cleaner, shown, at = Cleaner(), b"", 0
    for cut in [*sorted(cuts), len(octets)]:
        shown += cleaner.clean(octets[at : max(at, cut)])
        at = max(at, cut)
    assert (shown + cleaner.finish()).decode() == _whole(octets)


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda it: it.decode(errors="replace")))
def test_the_rule_is_that_of_all_text(text: str) -> None:
    for line in _whole(text.encode(errors="replace")).replace("\r\n", "\n").split("\n"):
        assert line.replace("\t", "").isprintable()


@given(st.text(st.characters(exclude_characters="\r\n\t", codec="utf-8"), max_size=40))
def test_a_line_is_shown_as_elsewhere(text: str) -> None:
    assert _whole(text.encode()) == clean(text)

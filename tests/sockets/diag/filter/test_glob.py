"""Patterns of names mean what fnmatch(3) of this machine's C library makes of them."""

from __future__ import annotations

import ctypes
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockwright.sockets.diag.filter.glob import compile_glob

_FNM_CASEFOLD = 1 << 4  # a GNU extension
_ALPHABET = "aAbz09*?[]!^-\\/.@ [:digit:]"


def _fnmatch(pattern: bytes, name: bytes) -> bool:
    library = ctypes.CDLL(None)
    return int(library.fnmatch(pattern, name, _FNM_CASEFOLD)) == 0


# Not of chance: of a bracket that opens within a range fnmatch takes two views.
@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    pattern=st.text(st.sampled_from(_ALPHABET), max_size=9),
    name=st.text(st.sampled_from("aAbz09*[]-\\/.@ "), max_size=6),
)
def test_a_pattern_fits_what_fnmatch_says(pattern: str, name: str) -> None:
    octets = os.fsencode(name)
    fits = compile_glob(pattern).fullmatch(octets.lower()) is not None
    assert fits == _fnmatch(os.fsencode(pattern), octets)


@pytest.mark.parametrize("character", ["a", "Z", "5", " ", "\t", "!", "_", "\x7f", "é"])
def test_classes_of_characters_are_those_of_c(character: str) -> None:
    octets = character.encode("latin-1")
    for name in ("alnum", "alpha", "blank", "cntrl", "digit", "graph", "print", "punct", "space",
                 "xdigit"):  # fmt: skip
        pattern = f"[[:{name}:]]"
        fits = compile_glob(pattern).fullmatch(octets.lower()) is not None
        assert fits == _fnmatch(pattern.encode(), octets), pattern


def test_many_stars_take_no_time() -> None:
    started = time.thread_time()
    pattern = compile_glob("*a" * 50 + "b")
    assert pattern.fullmatch(b"a" * 108) is None
    assert time.thread_time() - started < 5  # of years, where each star is tried at each place


def test_octets_that_are_no_text_can_be_named() -> None:
    pattern = compile_glob(os.fsdecode(b"@\xff*"))
    assert pattern.fullmatch(b"@\xff\xfe")
    assert not pattern.fullmatch(b"@\xfe")

"""The lines of a transfer that can be resumed."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockwright.errors import SockwrightError, TransferError
from sockwright.nc.files.protocol import (
    LINE_LIMIT,
    Answer,
    Offer,
    answer_line,
    begin_of_offer,
    digest_line,
    read_answer,
    read_begin_of_offer,
    read_digest,
    read_offer,
    rest_of_offer,
)

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def test_the_lines_are_those_of_the_description() -> None:
    offer = begin_of_offer(5242880) + rest_of_offer(DIGEST)
    assert offer == f"sockwright-file/1 have 5242880 sha256 {DIGEST}\n".encode()
    assert answer_line(10485760, 5242880) == b"sockwright-file/1 size 10485760 from 5242880\n"
    assert digest_line(DIGEST) == f"sha256 {DIGEST}\n".encode()


@given(st.integers(0, 10**18), st.integers(0, 10**18))
def test_each_side_reads_what_the_other_wrote(have: int, size: int) -> None:
    offer = begin_of_offer(have) + rest_of_offer(DIGEST)
    assert len(offer) <= LINE_LIMIT
    assert read_begin_of_offer(offer, "it") == have
    assert read_offer(offer.rstrip(b"\n"), "it") == Offer(have, DIGEST)
    begin = have if have <= size else 0
    assert read_answer(answer_line(size, begin)[:-1], have, "it") == Answer(size, begin)
    assert read_digest(digest_line(DIGEST)[:-1], "it") == DIGEST


def test_an_offer_is_waited_for_at_every_cut_and_refused_at_none() -> None:
    begin = begin_of_offer(1234)
    for cut in range(len(begin)):
        assert read_begin_of_offer(begin[:cut], "it") is None
    assert read_begin_of_offer(begin, "it") == 1234


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2", "does not speak the protocol of --resume, which both sides need"),
        (b"\x1b[2J", r"it sent '\\x1b\[2J'"),
        (b"", "says nothing"),
        (b"sockwright-file/2 have 1 sha256 " + b"0" * 64, "version '2'"),
        (b"sockwright-file/1 size 1 from 0", "sends a file, too"),
        (b"sockwright-file/1 have 01 sha256 " + b"0" * 64, "receives a file, too, or"),
        (b"sockwright-file/1 have 1 sha256 " + b"0" * 63, "line is wrong"),
        (b"sockwright-file/1 have 1 sha256 " + b"F" * 64, "line is wrong"),
        (b"sockwright-file/1 have -1 sha256 " + b"0" * 64, "line is wrong"),
        (b"sockwright-file/1 have 99999999999999999999 sha256 " + b"0" * 64, "line is wrong"),
    ],
)
def test_what_is_no_offer_is_told_in_one_clean_line(line: bytes, said: str) -> None:
    with pytest.raises(TransferError, match=said) as caught:
        read_offer(line, "tcp://127.0.0.1:1")
    assert str(caught.value).startswith("tcp://127.0.0.1:1 ")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "octets", [b"S", b"sockwright-file/2", b"\n", b"sockwright-file/1 have 1\n", b"\0" * 300]
)
def test_what_cannot_become_an_offer_is_refused_at_once(octets: bytes) -> None:
    with pytest.raises(TransferError):
        read_begin_of_offer(octets, "it")


def test_an_endless_line_without_an_end_is_refused() -> None:
    with pytest.raises(TransferError):
        read_begin_of_offer(b"sockwright-file/1 have " + b"1" * LINE_LIMIT, "it")


@pytest.mark.parametrize("begin", [1, 499, 501, 2000])
def test_an_answer_begins_where_the_offer_ended_or_at_the_start(begin: int) -> None:
    with pytest.raises(TransferError):
        read_answer(answer_line(1000, begin)[:-1], 500, "it")


def test_an_answer_does_not_begin_behind_the_end_of_the_file() -> None:
    with pytest.raises(TransferError):
        read_answer(answer_line(400, 500)[:-1], 500, "it")


@given(st.binary(max_size=300))
def test_only_errors_of_this_package_come_out_of_random_octets(octets: bytes) -> None:
    for read in (
        lambda: read_begin_of_offer(octets, "it"),
        lambda: read_offer(octets, "it"),
        lambda: read_answer(octets, 5, "it"),
        lambda: read_digest(octets, "it"),
    ):
        with contextlib.suppress(SockwrightError):
            read()

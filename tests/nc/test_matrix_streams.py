"""Streams between `sw nc` and every other netcat, each way: no octet is lost, changed or added."""

from __future__ import annotations

import random
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from tests.nc.peers import cases

if TYPE_CHECKING:
    from tests.nc.peers import Peers, Program, Running

_STREAMS = ("tcp4", "tcp6", "unix", "tls")
# Each value alone, and beside each other one: line ends, escapes, NUL, telnet's 255 among them.
_ALL_VALUES = bytes(range(256)) + bytes(i for a in range(256) for i in (a, 255 - a))
_LARGE = 16 << 20


@cache
def _much(seed: int) -> bytes:
    """Return so many octets that no buffer holds them; other ones for another seed."""
    return random.Random(seed).randbytes(_LARGE)


def assert_done(mine: Running, *, doubtful: bool = False) -> None:
    """Wait for the end of ours, which was a good one.

    `doubtful` is a peer that leaves TLS by FIN alone, as ncat does: where it has gone before it
    could take our end, nobody knows whether it was cut off, and one line may say so.
    """
    status = mine.wait()
    if doubtful and status:
        (line,) = mine.complaints
        assert status == 1
        assert "may be missing" in line
    else:
        assert (status, mine.complaints) == (0, [])


@pytest.mark.parametrize(("kind", "ours", "program"), cases(*_STREAMS))
def test_octets_of_all_values_arrive_both_ways(
    peers: Peers, kind: str, ours: str, program: str
) -> None:
    mine, other = peers.join(kind, ours, program)
    mine.feed(_ALL_VALUES)
    assert other.read(len(_ALL_VALUES)) == _ALL_VALUES
    other.feed(_ALL_VALUES[::-1])
    assert mine.read(len(_ALL_VALUES)) == _ALL_VALUES[::-1]
    mine.end_input()
    other.end_input()
    assert_done(mine, doubtful=(kind, program) == ("tls", "ncat"))
    assert mine.read_all() == _ALL_VALUES[::-1]
    other.wait()
    assert other.received == _ALL_VALUES


@pytest.mark.parametrize(("kind", "ours", "program"), cases(*_STREAMS))
def test_much_arrives_whole_both_ways_at_once(
    peers: Peers, kind: str, ours: str, program: str
) -> None:
    mine, other = peers.join(kind, ours, program)
    mine.feed(_much(1))
    other.feed(_much(2))
    mine.read(_LARGE)
    # As a client, ncat keeps half of the last record until it hears more.
    late = 8192 if (kind, ours, program) == ("tls", "server", "ncat") else 0
    other.read(_LARGE - late)
    mine.end_input()
    other.end_input()
    assert_done(mine, doubtful=(kind, program) == ("tls", "ncat"))
    other.wait()
    assert (mine.count, other.count) == (_LARGE, _LARGE)
    assert sha256(mine.received).digest() == sha256(_much(2)).digest()
    assert sha256(other.received).digest() == sha256(_much(1)).digest()


def _outlives_fin(program: Program, role: str) -> bool:
    return role in program.outlives_fin


def _answers_late(program: Program, role: str) -> bool:
    return role in program.outlives_fin if role == "server" else program.half_closes


@pytest.mark.parametrize(
    ("kind", "ours", "program"), cases("tcp4", "unix", "tls", knows=_outlives_fin)
)
def test_a_file_becomes_the_same_file(peers: Peers, kind: str, ours: str, program: str) -> None:
    source, copy = peers.folder / "source", peers.folder / "copy"
    source.write_bytes(_much(3))
    with source.open("rb") as file, copy.open("wb") as to:
        if ours == "server":
            mine = peers.server("sw", kind, stdin=file, stdout=to)
            other = peers.client(program, mine.place)
        else:
            other = peers.server(program, kind)
            mine = peers.client("sw", other.place, stdin=file, stdout=to)
        other.feed(_much(4))
        other.end_input()
        assert_done(mine, doubtful=(kind, program) == ("tls", "ncat"))
    other.wait()
    assert other.received == _much(3)
    assert copy.read_bytes() == _much(4)


@pytest.mark.parametrize(
    ("kind", "ours", "program"), cases("tcp4", "tcp6", "unix", "tls", knows=_answers_late)
)
def test_an_answer_after_the_end_of_the_question_arrives(
    peers: Peers, kind: str, ours: str, program: str
) -> None:
    mine, other = peers.join(kind, ours, program)
    asking, answering = (mine, other) if ours == "client" else (other, mine)
    asking.feed(b"question\n")
    asking.end_input()
    assert answering.read(9) == b"question\n"
    if kind.startswith("tcp"):
        answering.until_state("CLOSE-WAIT")  # it has the FIN, and knows that nothing will follow
    if answering is mine:
        assert answering.read_all() == b"question\n"  # what reads from us knows that, too
    answering.feed(b"answer\n")
    answering.end_input()
    assert asking.read_all() == b"answer\n"
    assert_done(mine)


@pytest.mark.parametrize(
    ("kind", "ours", "program"),
    cases("tcp4", knows=lambda program, role: not _answers_late(program, role)),
)
def test_an_answer_arrives_from_who_ends_at_fin(
    peers: Peers, kind: str, ours: str, program: str
) -> None:
    # Servers of the old kind leave at our FIN, whatever they had to say; so it is held back. Then
    # they leave at the end of their own input, or are told to (-q 0).
    options = ("--no-shutdown",) if ours == "client" else ()
    theirs = ("-q", "0") if program == "traditional" and ours == "client" else ()
    mine, other = peers.join(kind, ours, program, *options, theirs=theirs)
    asking, answering = (mine, other) if ours == "client" else (other, mine)
    asking.feed(b"question\n")
    asking.end_input()
    assert answering.read(9) == b"question\n"
    answering.feed(b"answer\n")
    assert asking.read(7) == b"answer\n"
    answering.end_input()
    assert_done(mine)
    other.wait()
    assert asking.received == b"answer\n"
    assert answering.received == b"question\n"


@pytest.mark.parametrize("ours", ["client", "server"])
@pytest.mark.needs("nc.openbsd")
def test_ours_ends_when_the_peer_does_though_its_input_does_not(peers: Peers, ours: str) -> None:
    mine, other = peers.join("tcp4", ours, "openbsd")
    mine.feed(b"hello")
    assert other.read(5) == b"hello"
    other.feed(b"and good-bye")
    other.end_input()
    assert mine.finish() == (0, b"and good-bye", [])

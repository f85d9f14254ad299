from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockwright.nc.taps.hexdump import HexDump, RawDump, TextDump

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.taps.tap import Direction, Octets, Tap

START_NS = 1_790_000_000_000_000_000


def dumped(
    make: Callable[[Callable[[bytes], object]], HexDump | TextDump | RawDump],
    *pieces: tuple[Direction, bytes],
    remote: str = "tcp://127.0.0.1:9",
) -> list[bytes]:
    """Return the lines for pieces that came 1.5 s after the beginning."""
    written: list[Octets] = []
    tap = make(written.append).conversation()
    tap.opened("tcp://127.0.0.1:40000", remote, START_NS)
    for direction, octets in pieces:
        memory = bytearray(octets)
        tap.octets(direction, memoryview(memory), START_NS + 1_500_000_000)
        memory[:] = bytes(len(memory))
    return b"".join(written).splitlines()


def by_hexdump(octets: bytes) -> list[bytes]:
    """Return the lines of hexdump(1), without the one for the end."""
    done = subprocess.run(
        ["hexdump", "-C", "-v"], input=octets, capture_output=True, check=True, timeout=30
    )
    return done.stdout.splitlines()[:-1]


@pytest.mark.needs("hexdump")
@pytest.mark.parametrize("size", [1, 7, 8, 9, 15, 16, 17, 255, 4096, 16_384, 16_385, 40_001])
def test_lines_are_those_of_hexdump_behind_a_mark(size: int) -> None:
    octets = os.urandom(size)
    head, *lines = dumped(HexDump, ("sent", octets))
    assert head == b"> 1.500000 s  tcp://127.0.0.1:9  " + (
        b"1 octet" if size == 1 else b"%d octets" % size
    )
    assert lines == [b"> " + line for line in by_hexdump(octets)]


@pytest.mark.needs("hexdump")
def test_every_octet_is_shown_as_hexdump_shows_it() -> None:
    octets = bytes(range(256))
    _, *lines = dumped(HexDump, ("received", octets))
    assert lines == [b"< " + line for line in by_hexdump(octets)]


def test_offsets_count_each_direction_on_its_own() -> None:
    lines = dumped(
        HexDump, ("sent", b"GET /\r\n"), ("received", b"hello"), ("sent", b"more"), ("sent", b"!")
    )
    assert [line[:20] for line in lines if b"octet" not in line] == [
        b"> 00000000  47 45 54",
        b"< 00000000  68 65 6c",
        b"> 00000007  6d 6f 72",
        b"> 0000000b  21      ",
    ]


def test_offsets_grow_beyond_4_gib() -> None:
    tap, written = _hex_tap()
    tap._offsets["sent"] = (1 << 32) - 16  # type: ignore[attr-defined]
    tap.octets("sent", bytes(16), START_NS)
    tap.octets("sent", b"behind", START_NS)
    assert b"> fffffff0  00" in written[0]
    assert b"> 0000000100000000  62 65" in written[1]


def _hex_tap() -> tuple[Tap, list[bytes]]:
    written: list[bytes] = []
    tap = HexDump(written.append).conversation()
    tap.opened("-", "echo:", START_NS)
    return tap, written


def test_ends_and_resets_are_lines_and_each_comes_once() -> None:
    tap, written = _hex_tap()
    for _ in range(2):
        tap.ended("sent", START_NS + 1_000)
        tap.closed(START_NS + 2_000, reset="received")
    assert written == [b"> 0.000001 s  echo:  end\n", b"< 0.000002 s  echo:  reset\n"]


def test_a_datagram_without_octets_is_a_line() -> None:
    assert dumped(HexDump, ("received", b"")) == [b"< 1.500000 s  tcp://127.0.0.1:9  0 octets"]


def test_no_line_is_wider_than_a_terminal() -> None:
    lines = dumped(HexDump, ("sent", os.urandom(100)))
    assert max(map(len, lines)) == 80


def test_colour_tells_directions_apart_and_ends_with_each_line() -> None:
    lines = dumped(
        lambda write: HexDump(write, colour=True), ("sent", b"a" * 20), ("received", b"b")
    )
    assert {line[:7] for line in lines} == {b"\x1b[36m> ", b"\x1b[33m< "}
    assert all(line.endswith(b"\x1b[0m") for line in lines)
    plain = [line.removesuffix(b"\x1b[0m")[5:] for line in lines]
    assert plain == dumped(HexDump, ("sent", b"a" * 20), ("received", b"b"))


@given(st.binary(max_size=300), st.text(max_size=40), st.sampled_from([HexDump, TextDump]))
def test_nothing_that_comes_reaches_the_terminal_as_control(
    octets: bytes, name: str, make: type[HexDump | TextDump]
) -> None:
    for line in dumped(make, ("received", octets), remote=name):
        assert line.decode().replace("\t", "").isprintable()


@given(st.lists(st.tuples(st.sampled_from(["sent", "received"]), st.binary(max_size=200))))
def test_a_hexdump_gives_back_what_went_by(pieces: list[tuple[Direction, bytes]]) -> None:
    found: dict[str, bytes] = {">": b"", "<": b""}
    for line in dumped(HexDump, *pieces):
        text = line.decode()
        if " octet" not in text:
            found[text[0]] += bytes.fromhex(text[12:60])
    assert found[">"] == b"".join(octets for way, octets in pieces if way == "sent")
    assert found["<"] == b"".join(octets for way, octets in pieces if way == "received")


def test_a_text_dump_shows_lines_and_what_they_end_with() -> None:
    lines = dumped(
        TextDump, ("sent", b"GET / HTTP/1.0\r\n\r\n"), ("received", "grün\n\x1b[2Jno end".encode())
    )
    assert lines == [
        b"> 1.500000 s  tcp://127.0.0.1:9  18 octets",
        b"> GET / HTTP/1.0\\r",
        b"> \\r",
        b"< 1.500000 s  tcp://127.0.0.1:9  16 octets",
        "< grün".encode(),
        b"< \\x1b[2Jno end",
    ]


def test_a_raw_dump_is_the_octets_in_the_order_in_which_they_went() -> None:
    written: list[Octets] = []
    tap = RawDump(lambda octets: written.append(bytes(octets))).conversation()
    tap.opened("-", "echo:", 0)
    tap.octets("sent", b"ab\x00", 0)
    tap.octets("received", memoryview(b"\xff"), 0)
    tap.ended("sent", 0)
    tap.closed(0, reset="sent")
    assert written == [b"ab\x00", b"\xff"]

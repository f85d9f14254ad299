"""Batches of records, by kernels compiled and in plain Python: what the readers read."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from sockwright.columns import open_capture
from sockwright.columns.indexing import clock
from sockwright.columns.kernels.index import NO_TIME
from sockwright.errors import DecodeError
from sockwright.records import Interface, read_records

if TYPE_CHECKING:
    from pathlib import Path

    from sockwright.columns.batch import Batch

Row = tuple[Any, ...]

# Files by hand, so that every field can be strange.


def pcap(
    *packets: tuple[int, int, bytes, int],
    magic: int = 0xA1B2C3D4,
    order: str = "<",
    minor: int = 4,
    more: bytes = b"",
    link_type: int = 1,
) -> bytes:
    """Return a pcap file; a packet is seconds, fraction, octets, length on the wire."""
    parts = [struct.pack(order + "IHHiIII", magic, 2, minor, 0, 0, 65535, link_type)]
    for seconds, fraction, octets, wire in packets:
        lengths = (len(octets), wire) if minor > 2 else (wire, len(octets))
        parts.append(struct.pack(order + "IIII", seconds, fraction, *lengths) + more + octets)
    return b"".join(parts)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(
    order: str = "<",
    link_type: int = 1,
    snaplen: int = 0,
    ticks: int | None = None,
    offset: int = 0,
) -> bytes:
    body = struct.pack(order + "HHI", link_type, 0, snaplen)
    if ticks is not None:
        body += struct.pack(order + "HHB3x", 9, 1, ticks)
    if offset:
        body += struct.pack(order + "HHq", 14, 8, offset)
    return block(1, body + bytes(4), order)


def enhanced(octets: bytes, ticks: int, number: int = 0, order: str = "<") -> bytes:
    head = struct.pack(
        order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(octets), len(octets) + 5
    )
    return block(6, head + octets, order)


def obsolete(octets: bytes, ticks: int, number: int = 0, order: str = "<") -> bytes:
    head = struct.pack(
        order + "HHIIII", number, 7, ticks >> 32, ticks & 0xFFFFFFFF, len(octets), len(octets)
    )
    return block(2, head + octets, order)


def simple(octets: bytes, order: str = "<", wire: int | None = None) -> bytes:
    return block(3, struct.pack(order + "I", len(octets) if wire is None else wire) + octets, order)


def snoop(*packets: tuple[int, int, bytes, int]) -> bytes:
    parts = [b"snoop\0\0\0" + struct.pack(">II", 2, 4)]
    for seconds, fraction, octets, wire in packets:
        padded = octets + bytes(-len(octets) % 4)
        size = 24 + len(padded)
        head = struct.pack(">IIIIII", wire, len(octets), size, 3, seconds, fraction)
        parts.append(head + padded)
    return b"".join(parts)


PACKETS = [
    (0, 0, b"", 0),
    (1, 999_999, b"a", 1),
    (0xFFFFFFFF, 0xFFFFFFFF, b"bcd" * 9, 1500),
    (2, 5, bytes(60), 60),
]
STATISTICS = block(5, struct.pack("<III", 0, 0, 0))
UNKNOWN = block(0xBAD, b"whatever is in here")
SECRETS = block(10, struct.pack("<II", 0x544C534B, 4) + b"abcd")
BIG = section(">") + interface(">", 101, 3, 9) + obsolete(b"xyz", 1 << 40, 0, ">")
FILES = {
    "pcap": pcap(*PACKETS),
    "pcap, big-endian": pcap(*PACKETS, order=">"),
    "pcap, nanoseconds": pcap(*PACKETS, magic=0xA1B23C4D),
    "pcap, nanoseconds, big-endian": pcap(*PACKETS, magic=0xA1B23C4D, order=">", link_type=113),
    "pcap, modified": pcap(*PACKETS, magic=0xA1B2CD34, more=b"\1\2\3\4\5\6\7\x08"),
    "pcap 2.2": pcap(*PACKETS, minor=2),
    "pcap 2.3, lengths swapped": pcap(*PACKETS, minor=3).replace(
        struct.pack("<II", 27, 1500), struct.pack("<II", 1500, 27)
    ),
    "pcap, no packets": pcap(),
    "pcapng": section()
    + interface()
    + enhanced(b"abc", 1_600_000_000_000_000)
    + simple(b"hello")
    + obsolete(b"old", 77),
    "pcapng, big-endian": BIG + enhanced(b"", 1, 0, ">") + simple(b"abcdefgh", ">", 9),
    "pcapng, sections of both orders": section()
    + interface(link_type=1)
    + interface(link_type=113, ticks=9, offset=-5)
    + enhanced(b"abc", 5, 1)
    + BIG
    + section()
    + interface(link_type=228, ticks=0x8A)
    + simple(b"end"),
    "pcapng, other blocks between": section()
    + SECRETS
    + interface()
    + UNKNOWN
    + enhanced(b"1", 1)
    + STATISTICS
    + interface(link_type=276)
    + enhanced(b"2", 2, 1)
    + UNKNOWN
    + enhanced(b"3", 3)
    + STATISTICS,
    "pcapng, no interface": section() + simple(b"abc"),
    "pcapng, interface that is not there": section() + interface() + enhanced(b"1", 1, 1),
    "pcapng, a length that lies": section()
    + interface()
    + enhanced(b"1", 1)
    + enhanced(b"22222", 1)[:-4]
    + struct.pack("<I", 44),
    "pcapng, more claimed than there": section()
    + interface()
    + enhanced(b"1", 1)
    + block(6, struct.pack("<IIIII", 0, 0, 0, 9, 9) + b"1234"),
    "snoop": snoop(*PACKETS),
    "snoop, a length that lies": snoop(*PACKETS) + struct.pack(">IIIIII", 1, 1, 8, 0, 0, 0),
    "unknown": b"GIF89a and so on, for long enough",
    "nothing": b"",
}


def read_by_records(octets: bytes, max_captured: int = 262144) -> tuple[list[Row], str]:
    rows: list[Row] = []
    try:
        for record in read_records(io.BytesIO(octets), max_captured=max_captured):
            time_ns = record.time_ns
            if time_ns is not None and not -(2**63) < time_ns < 2**63:
                time_ns = None  # what 64 bits cannot hold is no time in columns
            number = record.interface_number
            row = (record.octets, record.original_length, time_ns, record.link_type, number)
            rows.append((*row, record.interface))
    except DecodeError as error:
        return rows, f"{type(error).__name__} {error}"
    return rows, ""


def rows_of(batch: Batch) -> list[Row]:
    rows: list[Row] = []
    for row in range(len(batch)):
        time_ns = int(batch.time_ns[row])
        number = int(batch.interface[row])
        rows.append(
            (
                batch.octets_of(row),
                int(batch.original[row]),
                None if time_ns == NO_TIME else time_ns,
                int(batch.link_types[number]),
                number,
                batch.interfaces[number].name,
            )
        )
    return rows


def read_by_batches(
    source: Any, *, compiled: bool, most: int = 65536, max_captured: int = 262144
) -> tuple[list[Row], str]:
    rows: list[Row] = []
    try:
        with open_capture(source, max_captured=max_captured) as capture:
            for batch in capture.batches(most=most, compiled=compiled):
                assert 0 < len(batch) <= most
                assert batch.number == len(rows) + 1
                rows += rows_of(batch)
    except DecodeError as error:
        return rows, f"{type(error).__name__} {error}"
    return rows, ""


class Dribble(io.RawIOBase):
    """A stream that gives few octets at a time and cannot seek."""

    def __init__(self, octets: bytes) -> None:
        self._file = io.BytesIO(octets)
        self._turn = 0

    def read(self, size: int = -1, /) -> bytes:
        self._turn += 1
        return self._file.read(min(size, 1 + self._turn % 13))


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("name", FILES)
def test_every_truncation_reads_as_by_records(name: str, compiled: bool) -> None:
    octets = FILES[name]
    for size in range(len(octets) + 1):
        cut = octets[:size]
        expected = read_by_records(cut)
        assert read_by_batches(io.BytesIO(cut), compiled=compiled) == expected
        assert read_by_batches(Dribble(cut), compiled=compiled) == expected


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("name", FILES)
def test_every_flipped_octet_reads_as_by_records(name: str, compiled: bool) -> None:
    octets = FILES[name]
    for at in range(len(octets)):
        broken = bytearray(octets)
        broken[at] ^= 0xFF if at % 2 else 1 << at % 8
        expected = read_by_records(bytes(broken))
        assert read_by_batches(io.BytesIO(broken), compiled=compiled) == expected


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("name", FILES)
def test_batches_of_any_size_hold_the_same(name: str, most: int) -> None:
    expected = read_by_records(FILES[name])
    assert read_by_batches(io.BytesIO(FILES[name]), compiled=False, most=most) == expected
    assert read_by_batches(Dribble(FILES[name]), compiled=True, most=most) == expected


@pytest.mark.parametrize("most", [5, 26, 27, 59, 60])
def test_the_limit_of_octets_is_that_of_the_readers(most: int) -> None:
    for octets in FILES.values():
        expected = read_by_records(octets, most)
        for compiled in (False, True):
            found = read_by_batches(io.BytesIO(octets), compiled=compiled, max_captured=most)
            assert found == expected


@pytest.mark.parametrize("ticks", [*range(30), 127, *range(0x80, 0xB0), 0xFF])
@pytest.mark.parametrize("offset", [0, 7, -1_700_000_000, 9_223_372_036, -(2**63), 2**63 - 1])
def test_times_of_any_resolution_and_offset_are_exact(ticks: int, offset: int) -> None:
    numbers = [1 << power for power in range(0, 64, 3)]
    numbers += [1_700_000_000_123_456, 10**18 - 1, (1 << 63) - 1, (1 << 64) - 1]
    blocks = [enhanced(b"", number) for number in numbers]
    octets = section() + interface(ticks=ticks, offset=offset) + b"".join(blocks)
    expected = read_by_records(octets)
    assert len(expected[0]) == len(numbers)
    assert read_by_batches(io.BytesIO(octets), compiled=False) == expected
    assert read_by_batches(io.BytesIO(octets), compiled=True) == expected


def test_usual_resolutions_are_for_the_kernel_until_the_year_2200() -> None:
    seconds = 230 * 365 * 86400
    for rate in (10**3, 10**6, 10**7, 10**9, 10**12, 2**20, 2**30):
        assert clock(Interface(ticks_per_second=rate))[3] > min(seconds * rate, 2**63 - 2)


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_captures_of_strangers_read_as_by_records(captures: Path, compiled: bool) -> None:
    paths = sorted((captures / "tcpdump").iterdir())
    assert len(paths) > 800
    for path in paths:
        expected = read_by_records(path.read_bytes())
        assert read_by_batches(path, compiled=compiled) == expected, path.name


def test_positions_are_those_of_whole_records(captures: Path) -> None:
    for path in sorted((captures / "tcpdump").iterdir())[::10]:
        whole = path.read_bytes()
        with open_capture(path) as capture:
            try:
                for batch in capture.batches(most=3, compiled=False):
                    for row in range(len(batch)):
                        record = batch.base + batch.record_start[row]
                        start = batch.base + batch.start[row]
                        assert start - record == {"pcap": 16, "pcapng": 28}[batch.format]
                        assert whole[start : start + batch.captured[row]] == batch.octets_of(row)
            except DecodeError:
                assert capture.error is not None


def commented(order: str = "<") -> bytes:
    """Return an enhanced packet block with two comments and other options around them."""
    options = [
        (2, b"\1\0\0\0"),
        (1, b"first"),
        (1, "zw\u00f6lf\0".encode()),
        (4, bytes(8)),
        (0, b""),
    ]
    body = struct.pack(order + "IIIII", 0, 0, 7, 5, 5) + b"hello" + bytes(3)
    for code, value in options:
        body += struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)
    return block(6, body, order)


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_comments_are_those_of_the_readers(captures: Path, compiled: bool) -> None:
    both = section() + interface() + commented() + simple(b"abc") + enhanced(b"1", 1)
    both += section(">") + interface(">") + commented(">")
    files = [both, *(both[:size] for size in range(0, len(both), 7))]
    files += [path.read_bytes() for path in sorted((captures / "tcpdump").iterdir())[::20]]
    seen = 0
    for octets in files:
        try:
            expected = [record.comment for record in _whole(octets)]
            with open_capture(io.BytesIO(octets)) as capture:
                batches = list(capture[:].batches(compiled=compiled))
        except DecodeError:
            continue  # in the file header
        found = [batch.packet(row).comment for batch in batches for row in range(len(batch))]
        assert found == expected
        seen += len([comment for comment in found if comment])
    assert seen > 2


def _whole(octets: bytes) -> list[Any]:
    found: list[Any] = []
    reader = read_records(io.BytesIO(octets))
    with suppress(DecodeError):
        found.extend(reader)  # keeps what came before the error
    return found

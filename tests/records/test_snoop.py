"""snoop: what RFC 1761 says, what editcap writes, and every way a file can end or lie."""

from __future__ import annotations

import io
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from sockwright.errors import DecodeError, SockwrightError, TruncatedError
from sockwright.records import PcapWriter, Record, read_records

if TYPE_CHECKING:
    from pathlib import Path


def _file(version: int = 2, datalink: int = 4) -> bytes:
    return b"snoop\0\0\0" + struct.pack(">II", version, datalink)


def _record(octets: bytes, original: int = 99, dropped: int = 0, padding: int = 0) -> bytes:
    length = 24 + len(octets) + padding
    head = struct.pack(">IIIIII", original, len(octets), length, dropped, 800_000_000, 123_456)
    return head + octets + bytes(padding)


_TIME = 800_000_000_123_456_000
_OCTETS = _file() + _record(b"abc", padding=1) + _record(b"", dropped=5) + _record(b"x", 1, 7, 3)
_RECORDS = [
    Record(_TIME, b"abc", 99, dropped=0),
    Record(_TIME, b"", 99, dropped=5),
    Record(_TIME, b"x", 1, dropped=2),
]


def test_records_with_padding_and_drops_since_the_one_before() -> None:
    reader = read_records(io.BytesIO(_OCTETS))
    assert (reader.format, reader.compression, reader.link_types) == ("snoop", "", (1,))
    assert list(reader) == _RECORDS
    assert (reader.count, reader.offset) == (3, len(_OCTETS))


@pytest.mark.parametrize(("datalink", "link_type"), [(0, 1), (2, 6), (4, 1), (8, 10), (18, 123)])
def test_datalink_types_are_link_types(datalink: int, link_type: int) -> None:
    octets = _file(datalink=datalink) + _record(b"abc")
    assert [record.link_type for record in read_records(io.BytesIO(octets))] == [link_type]


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (_file(3), "snoop at octet 8: version 3 is not known; 2 is"),
        (_file(2, 7), "snoop at octet 12: datalink type 7 has no LINKTYPE_ value"),
        (b"snoopy\0\0" + bytes(8), "no known format of captures starts with b'snoopy"),
    ],
)
def test_headers_that_are_not_known_are_refused_at_once(octets: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        read_records(io.BytesIO(octets))


def test_cut_anywhere_delivers_whole_records_then_says_where() -> None:
    ends = [16, 44, 68, 96]
    for size in range(16, len(_OCTETS)):
        found: list[Record] = []
        error: SockwrightError | None = None
        try:
            found.extend(read_records(io.BytesIO(_OCTETS[:size])))
        except TruncatedError as caught:
            error = caught
        whole = sum(end <= size for end in ends[1:])
        assert found == _RECORDS[:whole]
        if size in ends:
            assert error is None
        else:
            assert isinstance(error, TruncatedError)
            assert error.offset == ends[whole]
            assert f"record {whole + 1}" in str(error)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (4, 1 << 31, "record 2 claims 2147483648 octets, over the limit of 262144"),
        (8, 26, "record 2 claims 26 octets in all for 3 of packet"),
        (8, 0, "record 2 claims 0 octets in all"),
        (8, 0xFFFFFFFF, "record 2 claims 4294967295 octets in all"),
    ],
)
def test_lying_lengths_end_the_reading(place: int, value: int, message: str) -> None:
    second = bytearray(_record(b"abc"))
    second[place : place + 4] = value.to_bytes(4, "big")
    reader = read_records(io.BytesIO(_file() + _record(b"first") + second + bytes(100)))
    assert next(reader).octets == b"first"
    with pytest.raises(DecodeError, match=f"snoop at octet 45: {message}"):
        next(reader)


@pytest.mark.needs("editcap")
def test_reads_what_editcap_wrote(tmp_path: Path) -> None:
    records = [Record(1_700_000_000_123_456_000 + n * 1000, bytes(60 + n), 1500) for n in range(9)]
    pcap, snoop = tmp_path / "in.pcap", tmp_path / "out.snoop"
    with pcap.open("wb") as file:
        writer = PcapWriter(file)
        for record in records:
            writer.write(record)
    command = ["editcap", "-F", "snoop", str(pcap), str(snoop)]
    subprocess.run(command, capture_output=True, check=True)
    with snoop.open("rb") as file:
        found = list(read_records(file))
    assert [(r.time_ns, r.octets, r.original_length) for r in found] == [
        (r.time_ns, r.octets, r.original_length) for r in records
    ]

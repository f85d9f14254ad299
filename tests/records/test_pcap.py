"""pcap: every variant that is read, every way a file can end, and what the writer refuses."""

from __future__ import annotations

import io
import struct
import subprocess
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockwright.errors import DecodeError, SockwrightError, TruncatedError
from sockwright.records import PcapWriter, Record, read_records

if TYPE_CHECKING:
    from pathlib import Path

_TIME = 1_700_000_000_123_456_789
_RECORDS = [
    Record(_TIME, bytes(range(60)), 60),
    Record(_TIME + 1, b"", 0),
    Record(_TIME - 5, b"abc", 1500),
]


def _written(
    records: list[Record],
    *,
    nanoseconds: bool = True,
    byte_order: Literal["little", "big"] = "little",
    snaplen: int = 262_144,
) -> bytes:
    file = io.BytesIO()
    writer = PcapWriter(file, 1, snaplen, nanoseconds=nanoseconds, byte_order=byte_order)
    for record in records:
        writer.write(record)
    return file.getvalue()


def _read(octets: bytes) -> list[Record]:
    return list(read_records(io.BytesIO(octets)))


def _read_until_error(octets: bytes) -> tuple[list[Record], SockwrightError | None]:
    found: list[Record] = []
    try:
        found.extend(read_records(io.BytesIO(octets)))
    except SockwrightError as error:
        return found, error
    return found, None


@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_nanosecond_records_come_back_as_written(byte_order: Literal["little", "big"]) -> None:
    assert _read(_written(_RECORDS, byte_order=byte_order)) == _RECORDS


@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_microseconds_lose_what_is_below(byte_order: Literal["little", "big"]) -> None:
    octets = _written(_RECORDS[:1], nanoseconds=False, byte_order=byte_order)
    assert [record.time_ns for record in _read(octets)] == [_TIME // 1000 * 1000]


def test_first_octets_are_those_of_the_format() -> None:
    assert _written([]).hex() == "4d3cb2a10200040000000000000000000000040001000000"
    big = _written([], nanoseconds=False, byte_order="big", snaplen=96)
    assert big.hex() == "a1b2c3d40002000400000000000000000000006000000001"


@pytest.mark.parametrize("order", ["<", ">"])
def test_kuznetzov_record_headers_have_eight_octets_more(order: str) -> None:
    octets = struct.pack(order + "IHHIIII", 0xA1B2CD34, 2, 4, 0, 0, 2000, 113)
    octets += struct.pack(order + "IIIIIHBB", 5, 6, 3, 900, 2, 0x0800, 0, 0) + b"abc"
    assert _read(octets) == [Record(5_000_006_000, b"abc", 900, 113)]


@pytest.mark.parametrize(("minor", "lengths"), [(2, (900, 3)), (3, (900, 3)), (3, (3, 900))])
def test_old_versions_have_lengths_the_other_way(minor: int, lengths: tuple[int, int]) -> None:
    octets = struct.pack(">IHHIIII", 0xA1B2C3D4, 2, minor, 0, 0, 2000, 1)
    octets += struct.pack(">IIII", 5, 6, *lengths) + b"abc"
    assert _read(octets) == [Record(5_000_006_000, b"abc", 900)]


def test_length_of_a_frame_check_sequence_is_no_part_of_the_link_type() -> None:
    octets = bytearray(_written([]))
    octets[20:24] = (0x2400_0000 | 1).to_bytes(4, "little")
    octets += struct.pack("<IIII", 1, 0, 1, 1) + b"x"
    assert _read(bytes(octets))[0].link_type == 1


def test_cut_anywhere_delivers_whole_records_then_says_where() -> None:
    octets = _written(_RECORDS)
    ends = [24]
    for record in _RECORDS:
        ends.append(ends[-1] + 16 + len(record.octets))
    for size in range(len(octets)):
        found, error = _read_until_error(octets[:size])
        whole = sum(end <= size for end in ends[1:])
        assert found == _RECORDS[:whole]
        if size in ends:
            assert error is None
        else:
            assert isinstance(error, TruncatedError)
            assert error.offset == (ends[whole] if size > 24 else 0)
            if size > 24:
                assert f"record {whole + 1}" in str(error)
                assert error.available == size - error.offset


def test_lying_length_ends_the_reading_before_memory_is_taken() -> None:
    octets = bytearray(_written(_RECORDS))
    octets[24 + 16 + 60 + 8 : 24 + 16 + 60 + 12] = b"\xff\xff\xff\x7f"
    found, error = _read_until_error(bytes(octets))
    assert found == _RECORDS[:1]
    assert isinstance(error, DecodeError)
    assert error.offset == 100
    assert str(error) == (
        "pcap at octet 100: record 2 claims 2147483647 octets, over the limit of 262144"
    )
    assert error.exit_status == 6


def test_limit_of_a_record_can_be_raised() -> None:
    octets = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 20, 1)
    octets += struct.pack("<IIII", 5, 6, 300_000, 300_000) + bytes(300_000)
    with pytest.raises(DecodeError, match="over the limit of 262144"):
        _read(octets)
    (record,) = read_records(io.BytesIO(octets), max_captured=1 << 20)
    assert len(record.octets) == 300_000


@pytest.mark.parametrize("octets", [b"", b"\xa1\xb2\xc3"])
def test_file_without_a_magic_number_is_truncated(octets: bytes) -> None:
    with pytest.raises(TruncatedError, match="the magic number needs 4 octets"):
        read_records(io.BytesIO(octets))


def test_file_of_another_format_is_refused_at_once() -> None:
    with pytest.raises(DecodeError, match="no known format of captures starts with 50 4b 03 04"):
        read_records(io.BytesIO(b"PK\3\4" + bytes(100)))


def test_unknown_version_is_refused() -> None:
    octets = struct.pack("<IHHIIII", 0xA1B2C3D4, 3, 0, 0, 0, 2000, 1)
    with pytest.raises(DecodeError, match=r"version 3\.0"):
        _read(octets)


class _Dribble(io.RawIOBase):
    """A file that gives one octet at a time, as a slow pipe does."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def read(self, size: int = -1) -> bytes:
        size = min(size, 1)
        octets, self._octets = self._octets[:size], self._octets[size:]
        return octets


def test_a_pipe_that_gives_one_octet_at_a_time_is_read_whole() -> None:
    assert list(read_records(_Dribble(_written(_RECORDS)))) == _RECORDS


def test_records_are_cut_to_the_snapshot_length() -> None:
    (first, *_) = _read(_written(_RECORDS, snaplen=10))
    assert (first.octets, first.original_length) == (bytes(range(10)), 60)


def test_a_record_without_time_is_written_with_0() -> None:
    assert _read(_written([Record(None, b"x", 1)])) == [Record(0, b"x", 1)]


def test_what_the_format_cannot_say_is_refused() -> None:
    file = io.BytesIO()
    writer = PcapWriter(file)
    with pytest.raises(ValueError, match="link type 113 does not fit a file of 1"):
        writer.write(Record(0, b"", 0, 113))
    with pytest.raises(ValueError, match="outside 1970 to 2106"):
        writer.write(Record(-1, b"", 0))
    with pytest.raises(ValueError, match="outside 1970 to 2106"):
        writer.write(Record((1 << 32) * 10**9, b"", 0))
    with pytest.raises(ValueError, match="original length"):
        writer.write(Record(0, b"", 1 << 32))
    with pytest.raises(ValueError, match="link type 65536"):
        PcapWriter(io.BytesIO(), 65536)
    with pytest.raises(ValueError, match="snapshot length 0"):
        PcapWriter(io.BytesIO(), snaplen=0)
    assert len(file.getvalue()) == 24


@settings(max_examples=50)
@given(
    st.lists(
        st.builds(
            Record,
            st.integers(0, (1 << 32) * 10**9 - 1),
            st.binary(max_size=80),
            st.integers(0, 0xFFFFFFFF),
        ),
        max_size=5,
    ),
    st.integers(0, 10_000),
    st.binary(max_size=12),
)
def test_octets_changed_at_random_raise_nothing_else(
    records: list[Record], place: int, octets: bytes
) -> None:
    whole = _written(records)
    assert _read(whole) == records
    place %= len(whole)
    _read_until_error(whole[:place] + octets + whole[place + len(octets) :])


@pytest.mark.needs("tcpdump")
@pytest.mark.parametrize("nanoseconds", [True, False])
@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_tcpdump_reads_what_was_written(
    tmp_path: Path, nanoseconds: bool, byte_order: Literal["little", "big"]
) -> None:
    path = tmp_path / "one.pcap"
    path.write_bytes(_written(_RECORDS[:1], nanoseconds=nanoseconds, byte_order=byte_order))
    unit = "nano" if nanoseconds else "micro"
    command = ["tcpdump", "-tt", "-nn", f"--time-stamp-precision={unit}", "-r", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("1700000000.123456" + ("789" if nanoseconds else ""))

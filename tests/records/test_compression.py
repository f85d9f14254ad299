"""Compressed captures: every compression by its own program, cut, corrupted, chained and bombs."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import random
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from sockwright.errors import DecodeError, SockwrightError, TruncatedError
from sockwright.records import PcapWriter, Record, decompressed, identify, read_records

if TYPE_CHECKING:
    from collections.abc import Callable

_RECORDS = [Record(n * 10**9, random.Random(n).randbytes(n % 90), 99) for n in range(300)]


def _capture(records: list[Record]) -> bytes:
    file = io.BytesIO()
    writer = PcapWriter(file)
    for record in records:
        writer.write(record)
    return file.getvalue()


_PLAIN = _capture(_RECORDS)


def _zstd(octets: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(octets)


def _lz4(octets: bytes) -> bytes:
    return bytes(lz4.frame.compress(octets, content_checksum=True, block_size=4))


_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": _zstd,
    "xz": lzma.compress,
    "lz4": _lz4,
}
_EACH = pytest.mark.parametrize("name", _COMPRESS)
_SKIPPABLE = b"\x5a\x2a\x4d\x18\x05\0\0\0hello"


def _read_until_error(octets: bytes) -> tuple[list[Record], SockwrightError | None]:
    found: list[Record] = []
    try:
        found.extend(read_records(io.BytesIO(octets)))
    except SockwrightError as error:
        return found, error
    return found, None


def _all(octets: bytes, size: int = 1 << 16) -> tuple[bytes, SockwrightError | None]:
    file, _ = decompressed(io.BytesIO(octets))
    parts = []
    try:
        while part := file.read(size):
            parts.append(part)
    except SockwrightError as error:
        return b"".join(parts), error
    return b"".join(parts), None


@_EACH
def test_records_are_read_through_compression(name: str) -> None:
    octets = _COMPRESS[name](_PLAIN)
    assert identify(octets[:4]) == ("", name)
    reader = read_records(io.BytesIO(octets))
    assert (reader.format, reader.compression) == ("pcap", name)
    assert list(reader) == _RECORDS
    assert reader.offset == len(_PLAIN)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gzip", "-9"),
        ("zstd", "-q -19 --long=27"),
        ("zstd", "-q -1 --no-check"),
        ("xz", "-9"),
        ("xz", "-0 --check=crc32 --block-size=4096"),
        ("lz4", "-q -9 -BD -B4 -BX"),
        ("lz4", "-q --no-frame-crc -B7"),
        ("lz4", "-q --content-size"),
    ],
)
@pytest.mark.needs("gzip", "zstd", "xz", "lz4")
def test_what_the_programs_write_is_read_in_large_pieces(name: str, options: str) -> None:
    octets = random.Random(1).randbytes(100_000) * 30
    command = [name, *options.split(), "-c"]
    done = subprocess.run(command, input=octets, capture_output=True, check=True)
    file, found = decompressed(io.BytesIO(done.stdout))
    assert found == name
    assert file.read(2_000_000) == octets[:2_000_000]
    assert file.read(0) == b""
    assert file.read(2_000_000) == octets[2_000_000:]
    assert file.read(10) == b""


def test_a_file_that_is_not_compressed_passes_as_it_is() -> None:
    for octets in (b"", b"ab", _PLAIN):
        file, name = decompressed(io.BytesIO(octets))
        assert name == ""
        assert file.read(1 << 20) == octets
        assert file.read(1) == b""
    file, _ = decompressed(io.BytesIO(b"abcdefgh"))
    assert [file.read(size) for size in (0, 3, 2, 2, 9)] == [b"", b"abc", b"de", b"fg", b"h"]


def test_no_more_than_was_asked_for_is_read_of_a_live_pipe() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as pipe, os.fdopen(write_end, "wb", buffering=0) as feed:
        feed.write(_PLAIN[:60])
        file, _ = decompressed(pipe)
        assert file.read(24) == _PLAIN[:24]
        feed.write(_PLAIN[60:])
        assert file.read(76) == _PLAIN[24:100]


@_EACH
def test_streams_may_follow_each_other(name: str) -> None:
    half = len(_PLAIN) // 2
    octets = b"".join(_COMPRESS[name](part) for part in (_PLAIN[:half], b"", _PLAIN[half:]))
    assert _all(octets) == (_PLAIN, None)


@pytest.mark.parametrize("name", ["gzip", "xz"])
def test_zeros_behind_a_stream_are_padding_and_else_an_error(name: str) -> None:
    octets = _COMPRESS[name](_PLAIN)
    assert _all(octets + bytes(100_000)) == (_PLAIN, None)
    found, error = _all(octets + bytes(4) + b"strange")
    assert found == _PLAIN
    assert isinstance(error, DecodeError)
    assert error.offset == len(octets) + 4


@pytest.mark.parametrize("name", ["zstd", "lz4"])
def test_frames_to_be_skipped_are_skipped(name: str) -> None:
    octets = _COMPRESS[name](_PLAIN)
    whole = _SKIPPABLE + _SKIPPABLE + octets + _SKIPPABLE
    assert identify(whole[:4]).compression == "zstd"  # which of both, only what follows can tell
    reader = read_records(io.BytesIO(whole))
    assert (list(reader), reader.compression) == (_RECORDS, name)
    found, error = _all(whole + b"\x04\x22")
    assert found == _PLAIN
    assert isinstance(error, TruncatedError)
    found, error = _all(octets + b"strange")
    assert found == _PLAIN
    assert f"{name} at octet {len(octets)}: no frame starts with 73 74 72 61" in str(error)


@_EACH
def test_cut_anywhere_delivers_whole_records_then_says_where(name: str) -> None:
    octets = _COMPRESS[name](_PLAIN)
    for size in [*range(4, 200), *range(200, len(octets), 97), len(octets) - 1]:
        found, error = _read_until_error(octets[:size])
        assert found == _RECORDS[: len(found)]
        assert isinstance(error, TruncatedError), size
        assert error.layer == name
        assert error.offset <= size
        if name == "gzip" and size > 200:
            assert found  # zlib gives what it has; the others give block by block
        if found:
            assert f"after {len(found)} records" in str(error)
    # Near the end all is there but the check of it.
    assert _read_until_error(octets[:-1])[0] == _RECORDS or name == "xz"


@_EACH
def test_corrupt_octets_are_an_error_that_names_an_octet(name: str) -> None:
    octets = bytearray(_COMPRESS[name](_PLAIN))
    for place in range(4, len(octets), 61):
        octets[place] ^= 0x55
        found, error = _read_until_error(bytes(octets))
        octets[place] ^= 0x55
        assert error is None or isinstance(error, DecodeError)
        if error is None:
            # Octets that nothing checks: the time in a gzip header, for one.
            assert found == _RECORDS
        elif error.layer == name:
            assert error.offset <= len(octets)


def test_gzip_delivers_all_in_front_of_the_octet_that_is_corrupt() -> None:
    octets = bytearray(gzip.compress(_PLAIN))
    octets[-8] ^= 1  # the check sum
    found, error = _read_until_error(bytes(octets))
    assert found == _RECORDS
    assert isinstance(error, DecodeError)
    assert not isinstance(error, TruncatedError)
    assert len(octets) - 8 <= error.offset < len(octets) - 4
    assert str(error).endswith(f"incorrect data check, after {len(_RECORDS)} records")


_BOMB = """
import io, resource, sys
from sockwright.errors import DecodeError
from sockwright.records import decompressed
octets = sys.stdin.buffer.read()
import zlib, lzma, zstandard, lz4.frame
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
file, name = decompressed(io.BytesIO(octets))
total = 0
try:
    while part := file.read(1 << 16):
        assert len(part) <= 1 << 16
        total += len(part)
except DecodeError as error:
    print(error)
print(name, total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def _bomb(octets: bytes) -> list[str]:
    command = [sys.executable, "-c", _BOMB]
    done = subprocess.run(command, input=octets, capture_output=True, check=True)
    return done.stdout.decode().splitlines()


@_EACH
def test_bombs_take_time_but_no_memory(name: str) -> None:
    zeros = bytes(1 << 20)
    if name == "gzip":
        packer = zlib.compressobj(9, wbits=31)
        octets = b"".join([packer.compress(zeros) for _ in range(256)]) + packer.flush()
    elif name == "xz":
        squeezer = lzma.LZMACompressor(preset=1)
        octets = b"".join([squeezer.compress(zeros) for _ in range(256)]) + squeezer.flush()
    elif name == "zstd":
        # Blocks of one octet each, to be repeated 131072 times.
        block = (1 << 1 | 131072 << 3).to_bytes(3, "little") + b"\0"
        last = (1 | 1 << 1 | 131072 << 3).to_bytes(3, "little") + b"\0"
        octets = b"\x28\xb5\x2f\xfd\x00\x58" + block * 2047 + last
    else:
        octets = lz4.frame.compress(bytes(1 << 28), block_size=7)
    (line,) = _bomb(octets)
    found, total, more_kilobytes = line.split()
    assert (found, int(total)) == (name, 1 << 28)
    assert int(more_kilobytes) < 40_000


def test_windows_over_the_limit_are_refused() -> None:
    # The window descriptor says 2 GiB.
    error, line = _bomb(b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(100))
    assert "zstd at octet 0: corrupt: " in error
    assert int(line.split()[2]) < 40_000
    # A dictionary of 512 MiB.
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29, "mode": lzma.MODE_FAST, "mf": 3}]
    octets = lzma.compress(b"x", filters=filters)
    error, line = _bomb(octets)
    assert "xz at octet 4: corrupt: Memory usage limit" in error
    assert int(line.split()[2]) < 40_000


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"\x28\xb5\x2f\xfd\x00\x58\xff\xff\xff", "a block of 2097151 octets, 131072 are the most"),
        (b"\x04\x22\x4d\x18\x60\x40\x82\xff\xff\xff\x7f", "a block of 2147483647 octets, 65536"),
    ],
)
def test_blocks_that_claim_too_much_are_refused(octets: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        decompressed(io.BytesIO(octets + bytes(100)))[0].read(1)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(_COMPRESS)),
    st.integers(4, 10_000),
    st.binary(min_size=1, max_size=12),
)
def test_octets_changed_at_random_raise_nothing_else(name: str, place: int, put: bytes) -> None:
    whole = _COMPRESS[name](_PLAIN[:2000])
    place = 4 + place % (len(whole) - 4)
    _read_until_error(whole[:place] + put + whole[place + len(put) :])


class _Dribble(io.RawIOBase):
    """A file that gives one octet at a time, as a slow pipe does."""

    def __init__(self, octets: bytes) -> None:
        self._file = io.BytesIO(octets)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, 1))


@_EACH
def test_a_pipe_that_gives_one_octet_at_a_time_is_read_whole(name: str) -> None:
    assert list(read_records(_Dribble(_COMPRESS[name](_PLAIN)))) == _RECORDS


def test_a_compressed_file_that_is_no_capture_is_refused() -> None:
    with pytest.raises(DecodeError, match="no known format of captures starts with 68 65 6c 6c"):
        read_records(io.BytesIO(gzip.compress(b"hello")))

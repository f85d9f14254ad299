"""Captures opened: as sequences, as streams, in parts, in bounded memory."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import random
import struct
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import lz4.frame
import numpy as np
import pytest
import zstandard

import sockwright
from sockwright.columns import open_capture
from sockwright.columns.capture_file import SMALL
from sockwright.errors import DecodeError, NotPossibleError, TruncatedError
from sockwright.records import PcapWriter, Record, read_records
from sockwright.wire import UDP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sockwright.columns.batch import Batch

T = TypeVar("T")

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def capture_of(count: int, size: int = 60, seed: int = 1) -> bytes:
    """Return a pcap file of `count` records of octets at random, up to `size` of them."""
    draw = random.Random(seed)
    file = io.BytesIO()
    writer = PcapWriter(file)
    for number in range(count):
        writer.write(Record(number * 1_000_003, draw.randbytes(draw.randint(0, size)), 1500))
    return file.getvalue()


@pytest.fixture(scope="module")
def octets() -> bytes:
    return capture_of(500)


@pytest.fixture(scope="module")
def records(octets: bytes) -> list[Record]:
    return list(read_records(io.BytesIO(octets)))


@pytest.fixture
def path(tmp_path: Path, octets: bytes) -> Path:
    path = tmp_path / "some.pcap"
    path.write_bytes(octets)
    return path


def packets_of(batches: Iterator[Batch]) -> list[bytes]:
    return [batch.octets_of(row) for batch in batches for row in range(len(batch))]


def drained(items: Iterator[T]) -> tuple[list[T], DecodeError | None]:
    """Return what comes, and the error that ends it."""
    found: list[T] = []
    try:
        found.extend(items)  # keeps what came before the error
    except DecodeError as error:
        return found, error
    return found, None


# As a sequence


def test_open_capture_is_a_name_of_the_package() -> None:
    assert sockwright.open_capture is open_capture


def test_a_capture_is_a_sequence_of_packets(path: Path, records: list[Record]) -> None:
    with open_capture(path) as capture:
        assert len(capture) == 500
        for place in (0, 1, 250, 499, -1, -500):
            packet = capture[place]
            assert bytes(packet) == records[place].octets
            assert (packet.number, packet.time_ns) == (
                place % 500 + 1,
                records[place].time_ns,
            )
        with pytest.raises(IndexError):
            capture[500]
        with pytest.raises(IndexError):
            capture[-501]
        assert [bytes(packet) for packet in capture] == [record.octets for record in records]
        assert [packet.number for packet in capture] == list(range(1, 501))


def test_packets_are_typed(captures: Path) -> None:
    with open_capture(captures / "tcpdump" / "dns_udp.pcap") as capture:
        assert capture[0][UDP].dst_port == 53


@pytest.mark.parametrize(
    "places",
    [slice(3, 9), slice(None), slice(490, 900), slice(7, 7), slice(-5, None), slice(None, -499)],
)
@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_a_slice_is_a_capture_in_small(
    path: Path, records: list[Record], places: slice, compiled: bool
) -> None:
    expected = [record.octets for record in records[places]]
    with open_capture(path) as capture:
        part = capture[places]
        assert len(part) == len(expected)
        assert [bytes(packet) for packet in part] == expected
        assert packets_of(part.batches(most=7, compiled=compiled)) == expected
        assert sum(part.in_parts(lambda batches: len(packets_of(batches)))) == len(expected)
        numbers = [batch.number for batch in part.batches(compiled=compiled)]
        assert numbers == ([part[0].number] if expected else [])


def test_slices_have_steps_and_slices(path: Path, records: list[Record]) -> None:
    with open_capture(path) as capture:
        backward = capture[400:100:-7]
        assert [bytes(packet) for packet in backward] == [
            record.octets for record in records[400:100:-7]
        ]
        assert bytes(backward[3]) == records[400:100:-7][3].octets
        assert [packet.number for packet in capture[100:200][10:13]] == [111, 112, 113]
        with pytest.raises(ValueError, match="without"):
            next(backward.batches())


def test_an_empty_capture_is_empty_and_true() -> None:
    with open_capture(io.BytesIO(capture_of(0))) as capture:
        assert len(capture) == 0
        assert capture
        assert list(capture) == []
        assert list(capture[:]) == []


def test_length_tells_whole_records_and_error_what_is_wrong(path: Path, octets: bytes) -> None:
    path.write_bytes(octets[:-1])
    with open_capture(path) as capture:
        assert str(capture.error) == "None"
        assert len(capture) == 499
        assert isinstance(capture.error, TruncatedError)
        assert "record 500" in str(capture.error)
        packets = iter(capture)
        assert len([next(packets) for _ in range(499)]) == 499
        with pytest.raises(TruncatedError, match="record 500"):
            next(packets)
        assert len(list(capture[:])) == 499


@pytest.mark.parametrize(
    "content", [b"", b"\xd4", b"GIF89a, not a capture at all", b"\x1f\x8b\x08"]
)
def test_what_is_no_capture_is_told_when_it_is_opened(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DecodeError):
        open_capture(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_capture(tmp_path / "nothing.pcap")


def test_a_file_of_the_caller_is_not_closed(path: Path) -> None:
    with path.open("rb") as file:
        with open_capture(file) as capture:
            assert len(capture) == 500
        assert not file.closed


def test_a_closed_capture_lets_go_of_its_file_and_says_so(path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are all that is wanted
    capture = open_capture(path)
    part = capture[3:7]
    assert len(list(capture)) == 500  # list asks for the number too, by which the file is mapped
    began = capture.batches(most=100)
    next(began)
    capture.close()
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    uses: list[Callable[[], object]] = [
        lambda: len(capture),
        lambda: capture[0],
        lambda: capture[3:7],
        lambda: list(capture),
        lambda: next(capture.batches()),
        lambda: next(began),
        lambda: capture.columns("frame.length"),
        lambda: capture.in_parts(list),
        lambda: part[0],
        lambda: list(part),
        lambda: part.columns("frame.length"),
    ]
    for use in uses:
        with pytest.raises(ValueError, match="the capture is closed"):
            use()
    capture.close()
    assert repr(capture).startswith("<closed capture ")


def test_batches_outlive_a_closed_capture(path: Path, records: list[Record]) -> None:
    with open_capture(path) as capture:
        batches = list(capture[:20].batches())
    assert packets_of(iter(batches)) == [record.octets for record in records[:20]]


def test_a_path_may_be_octets(path: Path) -> None:
    with open_capture(os.fsencode(path)) as capture:
        assert len(capture) == 500
    with pytest.raises(TypeError, match="by its path or as a binary file, not 5"):
        open_capture(5)  # type: ignore[arg-type]


def test_wrong_places_are_told_in_words(path: Path) -> None:
    with open_capture(path) as capture:
        with pytest.raises(IndexError, match=r"there is no packet \[500\]: 500 are there"):
            capture[500]
        with pytest.raises(IndexError, match=r"there is no packet \[-4\]: 3 are there"):
            capture[10:13][-4]
        for sequence in (capture, capture[10:13]):
            with pytest.raises(TypeError, match="by a whole number or a slice, not by 'x'"):
                sequence["x"]  # type: ignore[call-overload]


def test_a_capture_and_its_slices_say_what_they_are(path: Path) -> None:
    with open_capture(path) as capture:
        whole = f"<capture '{path}': pcap, {path.stat().st_size} octets>"
        assert repr(capture) == whole
        assert repr(capture[10:13]) == f"<3 packets, [10] to [12], of {whole}>"
        assert repr(capture[::250]) == f"<2 packets, [0] to [250] in steps of 250, of {whole}>"
        assert repr(capture[:0]) == f"<no packets of {whole}>"


# As a stream


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_compression_is_seen_through(path: Path, octets: bytes, name: str) -> None:
    path.write_bytes(COMPRESSIONS[name](octets))
    expected = [record.octets for record in read_records(io.BytesIO(octets))]
    with open_capture(path) as capture:
        assert (capture.format, capture.compression) == ("pcap", name)
        assert packets_of(capture.batches()) == expected
        assert packets_of(capture.batches(compiled=True)) == expected
        assert len(capture) == 500
        assert bytes(capture[321]) == expected[321]
        assert packets_of(capture.batches(most=9)) == expected
        assert capture.in_parts(lambda batches: len(packets_of(batches))) == [500]


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_compressed_file_that_is_cut_reads_as_by_records(
    path: Path, octets: bytes, name: str
) -> None:
    whole = COMPRESSIONS[name](octets)
    for size in range(len(whole) - 1, 64, -len(whole) // 7):
        path.write_bytes(whole[:size])
        try:
            reader = read_records(io.BytesIO(whole[:size]))
        except DecodeError:
            continue  # cut within the file header
        expected, error = drained(record.octets for record in reader)
        assert error is not None
        with open_capture(path) as capture:
            found, same = drained(bytes(packet) for packet in capture)
            assert (found, str(same)) == (expected, str(error))
            assert len(capture) == len(expected)
            assert str(capture.error) == str(error)


def test_a_pipe_gives_packets_as_they_come(octets: bytes, records: list[Record]) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file, os.fdopen(writing, "wb", buffering=0) as out:
        out.write(octets[:24])
        with open_capture(file) as capture:
            batches = capture.batches()
            at = 24
            for record in records[:5]:
                size = 16 + len(record.octets)
                out.write(octets[at : at + size])  # the next is written only when this one came
                at += size
                batch = next(batches)
                assert packets_of(iter([batch])) == [record.octets]
            out.close()
            assert list(batches) == []
            with pytest.raises(NotPossibleError, match="once"):
                list(capture.batches())


def test_a_pipe_is_kept_in_a_file_where_its_length_is_asked_first(octets: bytes) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as out:
            out.write(octets)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading, "rb") as file, open_capture(file) as capture:
        assert len(capture) == 500
        assert len(packets_of(capture.batches())) == 500
        assert capture[-1].number == 500
    thread.join()


def test_standard_input_is_a_dash(octets: bytes) -> None:
    code = (
        "from sockwright import open_capture\n"
        "print(sum(len(batch) for batch in open_capture('-').batches()))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=octets, capture_output=True, check=True)
    assert done.stdout == b"500\n"


def test_a_closed_standard_input_is_told() -> None:
    code = "from sockwright import open_capture; open_capture('-')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True)  # noqa: PLW1510
    assert done.stderr.splitlines()[-1] == b"OSError: [Errno 9] standard input is closed"


def test_a_stream_turns_to_compiled_kernels_when_it_is_not_small() -> None:
    octets = capture_of(3000, 1400)
    assert len(octets) > SMALL
    with open_capture(io.BytesIO(gzip.compress(octets, 1))) as capture:
        kinds = [batch.compiled for batch in capture.batches(most=100)]
    assert not kinds[0]
    assert kinds[-1]
    assert kinds == sorted(kinds)


# What is loaded, and how much memory it takes


def test_a_small_capture_needs_neither_numpy_nor_numba(path: Path) -> None:
    code = (
        "import sys\n"
        "from sockwright import open_capture\n"
        f"capture = open_capture({str(path)!r})\n"
        "assert len(list(capture.batches())) == 1 and len(capture) == 500\n"
        "assert capture[3].number == 4\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "numba", "asyncio"} & set(done.stdout.split())


GROWTH = """
import sys
from sockwright import open_capture
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
with open_capture(sys.argv[1]) as capture:
    batches = capture.batches(compiled=True)
    next(batches)
    before = peak()
    count = sum(len(batch) for batch in batches)
    print(count, (peak() - before) >> 10, peak() >> 10)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    # Records of 256 KiB of which the file system stores the headers only: holes read as zeros.
    path = tmp_path / "large.pcap"
    size, count = 1 << 18, 4096
    with path.open("wb") as file:
        PcapWriter(file)
        for number in range(count):
            file.write(struct.pack("<IIII", number, 0, size, size))
            file.seek(size, os.SEEK_CUR)
        file.truncate()
    assert path.stat().st_size > 1 << 30
    command = [sys.executable, "-c", GROWTH, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    counted, grown, peak = map(int, done.stdout.split())
    assert 0 < counted < count  # the first batch came before
    assert grown < 32, "MiB more after 1 GiB"
    assert peak < 300


def test_opening_reads_no_more_of_a_large_file_than_of_a_small_one(tmp_path: Path) -> None:
    path = tmp_path / "huge.pcap"
    with path.open("wb") as file:
        PcapWriter(file)
        file.truncate(1 << 40)
    with open_capture(path) as capture:
        assert capture.format == "pcap"


# Files that change


def test_what_is_added_after_opening_is_not_seen(path: Path, octets: bytes) -> None:
    with open_capture(path) as capture, path.open("ab") as file:
        file.write(octets[24:])
        file.flush()
        assert len(packets_of(capture.batches())) == 500
        assert len(capture) == 500


def test_a_file_that_is_truncated_meanwhile_ends_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(capture_of(4000, 1400))
    with open_capture(path) as capture:
        batches = capture.batches(compiled=False)
        first = len(next(batches))
        os.truncate(path, 2_500_000)
        rest, error = drained(len(batch) for batch in batches)
        with path.open("rb") as file:
            whole, same = drained(read_records(file))
        assert isinstance(error, TruncatedError)
        assert first + sum(rest) == len(whole)
        assert str(error) == str(same)


# In parts


def placed(batches: Iterator[Batch]) -> list[Any]:
    """Return what identifies every record, wherever its batch came from."""
    return [_placed(batch) for batch in batches]


def _placed(batch: Batch) -> Any:
    assert batch.compiled
    columns = (batch.captured, batch.original, batch.time_ns, batch.interface)
    links = batch.link_types[batch.interface]
    return np.stack([batch.record_start + batch.base, *columns, links])


def same_in_parts(path: Path) -> int:
    """Return of how many parts the capture was, after comparing them with one walk."""
    with open_capture(path) as capture:
        expected, raised = drained(_placed(batch) for batch in capture.batches(compiled=True))
        error = str(raised or "")
        with open_capture(path) as another:
            parts = another.in_parts(placed, threads=2)
            found = [columns for part in parts for columns in part]
            assert np.array_equal(np.concatenate(found, 1), np.concatenate(expected, 1))
            assert str(another.error or "") == error
            assert another.interfaces == capture.interfaces
            assert len(another) == sum(columns.shape[1] for columns in expected)
            assert str(another.error or "") == error
    return len(parts)


ORDINARY = capture_of(40_000, 1400, seed=5)
NESTED = capture_of(2500, 60, seed=6)[24:]


def nested(order: str) -> bytes:
    """Return a pcap file of few large packets that hold records of captures themselves."""
    parts = [struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)]
    inner = NESTED
    if order == ">":
        inner = b"".join(struct.pack(">IIII", 1, 2, 60, 60) + bytes(60) for _ in range(3000))
    lengths = (len(inner), len(inner))
    parts += [struct.pack(order + "IIII", number, 5, *lengths) + inner for number in range(300)]
    return b"".join(parts)


def block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


SECTION = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
INTERFACE = block(1, struct.pack("<HHI", 1, 0, 0))
ENHANCED = block(6, struct.pack("<IIIII", 0, 5, 7, 1000, 1000) + bytes(1000))
HOLDING = block(6, struct.pack("<IIIII", 0, 5, 7, 51600, 51600) + 50 * ENHANCED)
STATISTICS = block(5, struct.pack("<III", 0, 0, 0))

LARGE = {
    "pcap": (ORDINARY, 3),
    "pcap, cut": (ORDINARY[:-1], 3),
    "pcap, a lie in the middle": (
        ORDINARY[:24]
        + NESTED[: 200 * 76]
        + ORDINARY[24:18_000_000]
        + b"\xff" * 400
        + ORDINARY[24:],
        1,
    ),
    "pcap, records in packets": (nested("<"), 1),
    "pcap, records in packets, big-endian": (nested(">"), 1),
    "pcap, records in packets at the end": (ORDINARY + nested("<")[24:] + b"\0", 1),
    "pcapng": (SECTION + INTERFACE + 30_000 * ENHANCED, 3),
    "pcapng, cut": ((SECTION + INTERFACE + 30_000 * ENHANCED)[:-2], 3),
    "pcapng, blocks in packets": (SECTION + INTERFACE + 500 * HOLDING, 1),
    "pcapng, statistics between": (SECTION + INTERFACE + 300 * (100 * ENHANCED + STATISTICS), 2),
    "pcapng, an interface in the middle": (
        SECTION + INTERFACE + 16_000 * ENHANCED + INTERFACE + 16_000 * ENHANCED,
        1,
    ),
    "pcapng, sections": (2 * (SECTION + INTERFACE + 16_000 * ENHANCED), 1),
}


@pytest.mark.parametrize("name", LARGE)
def test_parts_hold_what_one_walk_finds_however_the_guess_went(tmp_path: Path, name: str) -> None:
    octets, least = LARGE[name]
    path = tmp_path / "large"
    path.write_bytes(octets)
    assert len(octets) > 24 << 20
    assert same_in_parts(path) >= least


def test_a_small_capture_is_one_part(path: Path) -> None:
    with open_capture(path) as capture:
        assert capture.in_parts(lambda batches: [batch.compiled for batch in batches]) == [[False]]


def test_progress_goes_up_to_one(path: Path, octets: bytes) -> None:
    with open_capture(path) as capture:
        shares = [capture.progress for _ in capture.batches(most=100)]
    assert shares == sorted(shares)  # type: ignore[type-var]
    assert shares[-1] == 1
    path.write_bytes(gzip.compress(octets))
    with open_capture(path) as capture:
        list(capture.batches())
        assert capture.progress == 1

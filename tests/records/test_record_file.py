"""Files that stay readable: killed writers, full disks, limits, pipes, and what waits."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sockwright.records import PcapngWriter, PcapWriter, Record, RecordFile, read_records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Writer = Callable[[RecordFile], PcapWriter | PcapngWriter]

_EACH = pytest.mark.parametrize("writer", [PcapWriter, PcapngWriter], ids=["pcap", "pcapng"])


def _records(path: Path) -> list[Record]:
    with path.open("rb") as file:
        return list(read_records(file))


class _Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@_EACH
def test_the_header_is_written_at_once_and_records_within_a_second(
    tmp_path: Path, writer: Writer
) -> None:
    path, clock = tmp_path / "out", _Clock()
    with RecordFile(path.open("wb", buffering=0), clock=clock) as file:
        to = writer(file)
        assert _records(path) == []
        assert file.flush_due() is None
        to.write(Record(1, b"one", 3))
        clock.now += 0.75
        assert file.flush_due() == 0.25
        assert _records(path) == []
        clock.now += 0.25
        assert file.flush_due() is None
        assert len(_records(path)) == 1
        to.write(Record(2, b"two", 3))
        clock.now += 1
        to.write(Record(3, b"three", 5))  # a busy loop needs no call of flush_due
        assert len(_records(path)) == 3
        to.write(Record(4, b"four", 4))
        assert (file.records, file.size) == (4, path.stat().st_size + len(to.encode(_last())))
    assert [record.octets for record in _records(path)] == [b"one", b"two", b"three", b"four"]
    assert file.closed
    file.close()
    with pytest.raises(ValueError, match=r"write to a closed file: .*out"):
        file.write_record(b"more")


def _last() -> Record:
    return Record(4, b"four", 4)


@_EACH
def test_no_more_than_64_kibioctets_wait(tmp_path: Path, writer: Writer) -> None:
    path = tmp_path / "out"
    with RecordFile(path.open("wb", buffering=0), clock=_Clock()) as file:
        to = writer(file)
        for number in range(500):
            to.write(Record(number, bytes(1000), 1000))
            assert file.size - path.stat().st_size < 64 << 10
        assert file.records == 500
    assert len(_records(path)) == 500


def test_many_records_made_elsewhere_go_out_behind_those_that_wait(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with RecordFile(path.open("wb", buffering=0), clock=_Clock()) as file:
        to = PcapWriter(file)
        to.write(Record(0, b"first", 5))
        one = to.encode(Record(1, bytes(500), 500))
        buffer = bytearray(one * 200)
        file.write_records(memoryview(buffer), 200)
        small = bytearray(one)
        file.write_records(small, 1)
        buffer[:] = small[:] = b""  # both can be used again
        to.write(Record(2, b"last", 4))
        assert file.records == 203
    found = _records(path)
    assert len(found) == 203
    assert (found[0].octets, found[-1].octets) == (b"first", b"last")


_KILLED = """
import os, signal, sys
from sockwright.records import PcapWriter, PcapngWriter, Record, RecordFile
file = RecordFile(open(sys.argv[1], "wb", buffering=0))
to = (PcapWriter if sys.argv[2] == "pcap" else PcapngWriter)(file)
for number in range(5000):
    to.write(Record(number, bytes(number % 200), 200))
print(file.size, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_a_killed_writer_leaves_whole_records(tmp_path: Path, form: str) -> None:
    path = tmp_path / "out"
    command = [sys.executable, "-c", _KILLED, str(path), form]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    found = _records(path)
    assert [record.time_ns for record in found] == list(range(len(found)))
    assert int(done.stdout) - path.stat().st_size < 64 << 10


_FULL = """
import os, resource, sys
from sockwright.records import PcapWriter, PcapngWriter, Record, RecordFile
path, form, size, limit = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
file = RecordFile(open(path, "wb", buffering=0))
to = (PcapWriter if form == "pcap" else PcapngWriter)(file)
number = 0
bulk = to.encode(Record(7, bytes(size), size)) * 3000 if form == "pcap" else b""
try:
    while True:
        if bulk and number >= 50:
            file.write_records(bulk, 3000)
            number += 3000
        else:
            to.write(Record(7, bytes(size), size))
            number += 1
except OSError as error:
    print(error.errno, error.filename, file.records, error)
file.close()
file.close()
try:
    to.write(Record(7, b"", 0))
except ValueError as error:
    print(error)
"""


def _fill(path: Path, form: str, size: int, *, limit: int = 0, disk: bool = False) -> str:
    run = [sys.executable, "-c", _FULL, str(path), form, str(size), str(limit)]
    if disk:
        # Names of this machine stay; what is mounted is seen by this process alone.
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        script = (
            'mount -t tmpfs -o size=400k none "$0" && "$@" '
            '&& cat "$0/out" > "$0.copy" && rm "$0/out" && umount "$0"'
        )
        run = ["unshare", *user, "--mount", "sh", "-c", script, str(path.parent), *run]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
@pytest.mark.parametrize("size", [0, 777, 100_000])
@pytest.mark.needs("namespaces", "unshare", "mount")
def test_a_full_disk_leaves_whole_records_and_is_told_once(
    tmp_path: Path, form: str, size: int
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    told = _fill(disk / "out", form, size, disk=True).splitlines()
    number, name, records, *words = told[0].split()
    assert (int(number), name) == (errno.ENOSPC, str(disk / "out"))
    assert f"it ends behind its last whole record, number {records}: '{disk / 'out'}'" in told[0]
    found = _records(tmp_path / "disk.copy")
    assert len(found) == int(records) > 0
    assert (tmp_path / "disk.copy").stat().st_size > (400 << 10) - size - 100
    assert told[1:] == [f"write to a closed file: {disk / 'out'}"]
    assert words


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_a_header_that_finds_no_room_leaves_an_empty_file(tmp_path: Path, form: str) -> None:
    path = tmp_path / "out"
    run = [sys.executable, "-c", _FULL, str(path), form, "1", "20"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert "OSError: [Errno 27] File too large; it ends behind its last whole record, number 0" in (
        done.stderr
    )
    assert path.read_bytes() == b""


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
@pytest.mark.parametrize("limit", [100, 5_000, 65_536, 300_001])
def test_a_limit_of_file_size_leaves_whole_records(tmp_path: Path, form: str, limit: int) -> None:
    path = tmp_path / "out"
    number, _, records, *_ = _fill(path, form, 333, limit=limit).split()
    assert int(number) == errno.EFBIG
    assert len(_records(path)) == int(records)
    assert limit - 600 < path.stat().st_size <= limit


def test_a_full_device_that_cannot_be_cut_is_told_with_its_name_and_whole_records() -> None:
    file = RecordFile(open("/dev/full", "wb", buffering=0))  # noqa: SIM115, PTH123  # closed below
    with pytest.raises(OSError, match="No space left on device; it has 0 whole") as caught:
        PcapWriter(file)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/dev/full")
    file.close()


def test_records_behind_what_a_file_held_before_are_cut_back_to_their_own(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before")
    with RecordFile(path.open("ab", buffering=0)) as file:
        PcapWriter(file).write(Record(0, b"x", 1))
    octets = path.read_bytes()
    assert octets.startswith(b"before")
    assert len(list(read_records(io.BytesIO(octets[6:])))) == 1


def test_a_pipe_takes_records_and_says_when_its_reader_went() -> None:
    read_end, write_end = os.pipe()
    file = RecordFile(os.fdopen(write_end, "wb", buffering=0), "the pipe")
    to = PcapWriter(file)
    to.write(Record(0, b"through", 7))
    file.flush()
    with os.fdopen(read_end, "rb", buffering=0) as pipe:
        assert next(read_records(pipe)).octets == b"through"
    to.write(Record(0, b"lost", 4))
    with pytest.raises(BrokenPipeError):
        file.flush()
    file.close()


def _write_two(path: Path) -> None:
    with RecordFile(path.open("wb", buffering=0)) as file:
        writer = PcapWriter(file)
        writer.write(Record(0, b"x", 1))
        writer.write(Record(-1, b"x", 1))


def test_an_error_inside_a_with_statement_is_not_hidden(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(ValueError, match="outside 1970"):
        _write_two(path)
    assert len(_records(path)) == 1

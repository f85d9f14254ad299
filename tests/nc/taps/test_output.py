from __future__ import annotations

import os
import subprocess
import threading
from io import FileIO
from typing import TYPE_CHECKING

import pytest

from sockwright.nc.taps.output import Output, open_output

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    before = os.umask(0)
    try:
        open_output(str(path)).close()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="--force writes over it"):
        open_output(str(path))
    assert path.read_bytes() == b"precious"


def test_force_begins_the_file_anew(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(b"precious")
    with open_output(str(path), force=True) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_append_goes_on_behind_the_end(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    for octets in (b"one ", b"two"):
        with open_output(str(path), append=True) as file:
            file.write(octets)
    assert path.read_bytes() == b"one two"


def test_a_link_to_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"link"):
        open_output(str(tmp_path / "link"))
    assert not (tmp_path / "elsewhere").exists()


def test_a_link_to_a_file_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(FileExistsError):
        open_output(str(tmp_path / "link"))
    assert (tmp_path / "file").read_bytes() == b"precious"


def test_a_fifo_is_written_to_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as reader:
        with open_output(str(path)) as file:
            file.write(b"through")
        out, _ = reader.communicate(timeout=10)
    assert out == b"through"


def test_all_is_written_however_little_is_taken_at_once() -> None:
    reading, writing = os.pipe()
    said: list[str] = []
    output = Output(FileIO(writing, "wb"), said.append, name="pipe")
    octets = os.urandom(1 << 20)

    def write() -> None:
        output.write(octets)
        output.close()

    writer = threading.Thread(target=write)
    writer.start()
    with FileIO(reading, "rb") as file:
        got = b"".join(iter(lambda: file.read(1000), b""))
    writer.join(10)
    assert got == octets
    assert not said


def test_a_full_disk_is_told_once_and_nothing_is_written_from_then_on() -> None:
    said: list[str] = []
    output = Output(open_output("/dev/full"), said.append, name="/dev/full")
    for _ in range(3):
        output.write(b"octets")
    output.close()
    assert said == [
        "the dump ends here, the conversation goes on: /dev/full: No space left on device"
    ]

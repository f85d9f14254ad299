"""SHA-256 that follows a transfer."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from sockwright.nc.files import digest as file_hash
from sockwright.nc.files.digest import FileHash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OCTETS = os.urandom(3 * 1024 * 1024 + 17)


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "file"
    path.write_bytes(OCTETS)
    descriptor = os.open(path, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def _sha256(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "SHA-256"]


@pytest.mark.parametrize("must", [True, False])
@pytest.mark.parametrize("size", [0, 1, 256 << 10, (256 << 10) + 1, len(OCTETS)])
def test_the_digest_is_that_of_the_first_octets(descriptor: int, size: int, must: bool) -> None:
    with FileHash(descriptor, must=must) as digest:
        digest.reach(size // 2)
        digest.reach(size)
        assert digest.digest(size) == _sha256(OCTETS[:size])


def test_it_goes_on_behind_a_prefix_and_from_the_start_when_restarted(descriptor: int) -> None:
    with FileHash(descriptor) as digest:
        assert digest.digest(1000) == _sha256(OCTETS[:1000])
        assert digest.digest(len(OCTETS)) == _sha256(OCTETS)
        digest.restart()
        assert digest.digest(5000) == _sha256(OCTETS[:5000])


def test_it_reads_no_further_than_what_was_moved(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    with path.open("w+b", buffering=0) as file, FileHash(file.fileno()) as digest:
        for count in range(1, 50):
            file.write(OCTETS[(count - 1) * 1000 : count * 1000])
            digest.reach(count * 1000)
        assert digest.digest(49_000) == _sha256(OCTETS[:49_000])


def test_a_file_that_is_shorter_is_told(descriptor: int) -> None:
    said = f"ends after {len(OCTETS)} octets"
    with FileHash(descriptor) as digest, pytest.raises(EOFError, match=said):
        digest.digest(len(OCTETS) + 1)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with FileHash(descriptor) as digest, pytest.raises(IsADirectoryError):
            digest.digest(1)
    finally:
        os.close(descriptor)


def test_a_digest_that_must_be_lets_nobody_run_further_ahead_than_it_may(descriptor: int) -> None:
    # A file with nothing in it costs no disk, and reads as zeros.
    os.ftruncate(descriptor, size := 3 * file_hash.LAG)
    with FileHash(descriptor) as digest:
        digest.reach(size)
        assert size - digest._done <= file_hash.LAG


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass, however long a busy machine takes."""
    now = time.monotonic()
    monkeypatch.setattr(file_hash, "monotonic", lambda: now)


@pytest.mark.usefixtures("moment")
def test_what_moves_fast_is_not_digested_unless_it_must_be(descriptor: int) -> None:
    os.ftruncate(descriptor, size := file_hash.LAG + 1)
    with FileHash(descriptor, must=False) as digest:
        digest.reach(size)  # all of it within a moment
        assert digest.digest(size) is None
        digest.reach(size)  # and nothing is read behind the caller's back
    assert not _threads()


@pytest.mark.usefixtures("moment")
def test_on_one_machine_only_what_is_slow_is_digested(descriptor: int) -> None:
    os.ftruncate(descriptor, size := file_hash.LAG + 1)
    for here, expected in ((False, True), (True, False)):
        with FileHash(descriptor, must=False, here=here) as digest:
            digest._began -= 0.3  # 0.2 GB/s
            digest.reach(size)
            assert bool(digest.digest(size)) is expected
    with FileHash(descriptor, must=False, here=True) as digest:
        digest._began -= 3  # 0.02 GB/s
        digest.reach(size)
        assert digest.digest(size) is not None


def test_closing_in_the_middle_ends_the_thread(descriptor: int) -> None:
    os.ftruncate(descriptor, 1 << 40)
    digest = FileHash(descriptor, must=False)
    digest._start()
    digest._wanted = 1 << 40
    digest.close()
    assert not _threads()

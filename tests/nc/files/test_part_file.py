"""FILE.part, and how it becomes FILE."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from sockwright.errors import FileRefusedError
from sockwright.nc.files.part_file import PartFile
from sockwright.nc.files.source_file import SourceFile


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def _part(file: Path) -> Path:
    return file.with_name(file.name + ".part")


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _write(part: PartFile, octets: bytes) -> None:
    os.write(part.descriptor, octets)


def test_it_is_for_this_user_alone_and_gets_its_name_at_the_end(file: Path) -> None:
    with PartFile(str(file)) as part:
        _write(part, b"octets")
        assert stat.S_IMODE(_part(file).stat().st_mode) == 0o600
        assert not file.exists()
        part.finish()
    assert file.read_bytes() == b"octets"
    assert not _part(file).exists()


@pytest.mark.parametrize("name", ["a b", "-z", "\n", "\x1b[2J", "ä", "%s", "a" * 250])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    with PartFile(str(tmp_path / name)) as part:
        part.finish()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_name_that_is_no_utf8_will_do(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xfe")
    with PartFile(str(tmp_path / name)) as part:
        part.finish()
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [b"\xff\xfe"]


def test_an_empty_file_is_whole_but_an_empty_part_is_nothing(file: Path) -> None:
    with PartFile(str(file)):
        pass
    assert not _part(file).exists()
    with PartFile(str(file)) as part:
        part.finish()
    assert file.read_bytes() == b""


def test_what_came_is_kept_and_continued(file: Path) -> None:
    with PartFile(str(file)) as part:
        _write(part, b"half")
    assert _part(file).read_bytes() == b"half"
    with pytest.raises(FileRefusedError, match="--resume on both sides"):
        PartFile(str(file))
    with PartFile(str(file), resume=True) as part:
        assert part.octets == 4
        os.lseek(part.descriptor, 4, os.SEEK_SET)
        _write(part, b" and half")
        part.finish()
    assert file.read_bytes() == b"half and half"


def test_force_begins_anew_and_replaces(file: Path) -> None:
    file.write_bytes(b"old")
    _part(file).write_bytes(b"older")
    with pytest.raises(FileRefusedError, match="--force replaces it"):
        PartFile(str(file))
    assert file.read_bytes() == b"old"
    with PartFile(str(file), force=True) as part:
        assert part.octets == 0
        _write(part, b"new")
        assert file.read_bytes() == b"old"
        part.finish()
    assert file.read_bytes() == b"new"


def test_a_file_that_appears_meanwhile_stays(file: Path) -> None:
    with PartFile(str(file)) as part:
        _write(part, b"ours")
        file.write_bytes(b"theirs")
        with pytest.raises(FileRefusedError, match="has appeared meanwhile"):
            part.finish()
    assert file.read_bytes() == b"theirs"
    assert _part(file).read_bytes() == b"ours"


def test_two_receivers_do_not_write_into_one_part(file: Path) -> None:
    with PartFile(str(file)) as part:
        _write(part, b"x")
        for how in ({"resume": True}, {"force": True}):
            with pytest.raises(FileRefusedError, match="written by another process"):
                PartFile(str(file), **how)
        assert part.octets == 1


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("path", "said"),
    [("/dev/null", "a character device"), ("/dev", "a directory"), ("", "needs a name")],
)
def test_what_is_no_file_is_never_replaced(path: str, said: str, force: bool) -> None:
    with pytest.raises(FileRefusedError, match=said):
        PartFile(path, force=force)


def test_a_fifo_is_never_replaced(file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(FileRefusedError, match="a FIFO"):
        PartFile(str(file), force=True)
    file.unlink()
    os.mkfifo(_part(file))
    with pytest.raises(FileRefusedError, match="a FIFO; remove it"):
        PartFile(str(file), resume=True)


@pytest.mark.parametrize("how", [{"force": True}, {"resume": True}], ids=["force", "resume"])
def test_a_hard_link_in_the_place_of_the_part_is_not_written_to(
    file: Path, how: dict[str, bool]
) -> None:
    precious = file.with_name("precious")
    precious.write_text("mine")
    _part(file).hardlink_to(precious)
    with pytest.raises(FileRefusedError, match="a second name"):
        PartFile(str(file), **how)
    assert precious.read_text() == "mine"


def test_a_symbolic_link_in_the_place_of_the_part_is_not_followed(file: Path) -> None:
    victim = file.with_name("victim")
    victim.write_bytes(b"precious")
    _part(file).symlink_to(victim)
    for how in ({}, {"resume": True}, {"force": True}):
        with pytest.raises(FileRefusedError):
            PartFile(str(file), **how)
    assert victim.read_bytes() == b"precious"


@pytest.mark.needs("root")
def test_the_part_of_another_user_is_refused(file: Path) -> None:
    _part(file).write_bytes(b"theirs")
    os.chown(_part(file), 65534, 65534)
    with pytest.raises(FileRefusedError, match="another user"):
        PartFile(str(file), resume=True)


def test_a_refusal_leaves_no_descriptor(file: Path) -> None:
    os.mkfifo(_part(file))
    before = _descriptors()
    for how in ({}, {"resume": True}):
        with pytest.raises(FileRefusedError):
            PartFile(str(file), **how)
    for path in ("/dev/null", "/dev"):
        with pytest.raises(FileRefusedError):
            SourceFile(path)
    assert _descriptors() == before


def test_a_source_knows_its_size_and_what_is_behind_it(file: Path) -> None:
    file.write_bytes(b"12345")
    with SourceFile(str(file)) as source:
        assert source.size == 5
        assert not source.goes_on()
        with file.open("ab") as more:
            more.write(b"6")
        assert source.size == 5
        assert source.goes_on()


def test_a_source_forgets_a_digest_when_the_file_changes(file: Path) -> None:
    file.write_bytes(b"12345")
    with SourceFile(str(file)) as source:
        source.digest = "abc"
        assert source.digest == "abc"
        os.utime(file, ns=(1, 1))
        assert source.digest is None


def test_a_fifo_without_a_writer_is_refused_at_once(file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(FileRefusedError, match=r"a FIFO, which has no size; .* '< .*file' sends"):
        SourceFile(str(file))


def test_a_socket_is_no_source(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(file))
        with pytest.raises(FileRefusedError, match="a socket"):
            SourceFile(str(file))

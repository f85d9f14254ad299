"""Lines that were typed are kept in a file: few enough, for their user alone."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from sockwright.nc.terminal.line_history import LineHistory, history_path

if TYPE_CHECKING:
    from pathlib import Path


def _kept(path: Path) -> list[str]:
    return list(LineHistory(str(path)).load_history_strings())


def test_the_newest_line_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "state" / "nc_history"
    history = LineHistory(str(path))
    for line in ("first", "zweite Zeile äöü", "third\t\udcff"):
        history.append_string(line)
    assert _kept(path) == ["third\t\udcff", "zweite Zeile äöü", "first"]
    assert path.read_bytes() == "first\nzweite Zeile äöü\nthird\t".encode() + b"\xff\n"


def test_a_line_that_begins_with_a_blank_is_remembered_for_this_run_only(tmp_path: Path) -> None:
    history = LineHistory(str(tmp_path / "nc_history"))
    history.append_string("first")
    history.append_string(" secret")
    assert history.get_strings() == ["first", " secret"]
    assert _kept(tmp_path / "nc_history") == ["first"]


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        LineHistory(str(tmp_path / "state" / "nc_history")).append_string("line")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "nc_history").stat().st_mode) == 0o600


def test_only_so_many_lines_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "nc_history"
    path.write_text("".join(f"line {number}\n" for number in range(2500)))
    assert _kept(path) == [f"line {number}" for number in range(2499, 1499, -1)]
    assert len(path.read_text().splitlines()) == 1000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["nc_history"]


def test_a_file_that_somebody_filled_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "nc_history"
    with path.open("wb") as file:
        file.truncate(1 << 34)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast\n")
    assert _kept(path)[0] == "last"
    assert path.read_text() == "last\n"


def test_a_line_that_is_very_long_or_several_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "nc_history"
    history = LineHistory(str(path))
    history.append_string("x" * 5000)
    history.append_string("a\nb")
    history.append_string("kept")
    assert path.read_text() == "kept\n"
    assert history.get_strings() == ["x" * 5000, "a\nb", "kept"]


def test_where_it_cannot_be_kept_this_run_remembers(tmp_path: Path) -> None:
    for path in (None, "/dev/null/nc_history", str(tmp_path)):
        history = LineHistory(path)
        history.append_string("line")
        assert history.get_strings() == ["line"]


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_what_is_no_file_is_left_alone(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "nc_history", tmp_path / "other"
    other.write_text("precious\n")
    if kind == "link":
        path.symlink_to(other)
    else:
        os.mkfifo(path)
    history = LineHistory(str(path))
    assert list(history.load_history_strings()) == []
    history.append_string("line")
    assert other.read_text() == "precious\n"


def test_it_is_where_the_state_of_programs_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert history_path() == "/state/sockwright/nc_history"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert history_path() == "/home/somebody/.local/state/sockwright/nc_history"

"""Packets and octets over time, beside tshark's."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from sockwright.cli.values import as_line, as_text
from sockwright.columns import open_capture
from sockwright.columns.rates import MOST_FILLED, Rate, rates
from sockwright.columns.selecting import Selector
from sockwright.records import PcapWriter, Record, read_records
from sockwright.wire import TCP, UDP, Ethernet, IPv4

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_START = 1_700_000_000_123_456_789
_LINE = re.compile(r"^\| +([\d.]+) <> +([\d.]+|Dur) *\| +(\d+) \| +(\d+) \|$", re.MULTILINE)


def _write(path: Path, offsets_ns: Iterable[int]) -> Path:
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for number, offset in enumerate(offsets_ns):
            transport = TCP() if number % 3 else UDP()
            octets = bytes(Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2") / transport)
            writer.write(Record(_START + offset, octets, len(octets)))
    return path


def _rows(path: Path, interval_ns: int | None = None, text: str | None = None) -> list[Rate]:
    with open_capture(path) as capture:
        return list(rates(capture, interval_ns, Selector(text) if text else None))


def _in_whole_microseconds(source: Path, path: Path) -> None:
    """Copy a capture with times that tshark does not round."""
    with source.open("rb") as captured, path.open("wb") as file:
        writer = PcapWriter(file)
        for record in read_records(captured):
            assert record.time_ns is not None
            writer.write(replace(record, time_ns=record.time_ns // 1000 * 1000))


@pytest.mark.needs("tshark", "namespaces", "ethtool")
def test_rates_are_those_of_tshark(lossy_captures: list[Path], tmp_path: Path) -> None:
    for number, precise in enumerate(lossy_captures):
        path = tmp_path / f"{number}.pcap"
        _in_whole_microseconds(precise, path)
        command = ["tshark", "-n", "-r", str(path), "-q", "-z", "io,stat,0.01"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        theirs = [(int(found[3]), int(found[4])) for found in _LINE.finditer(done.stdout)]
        ours = [(row.packets, row.octets) for row in _rows(path, 10_000_000)]
        assert ours == theirs
        assert len(ours) > 5


def test_intervals_without_packets_are_rows_too(tmp_path: Path) -> None:
    rows = _rows(_write(tmp_path / "x.pcap", [0, 10, 3_000_000_000]), 1_000_000_000)
    assert [row.packets for row in rows] == [2, 0, 0, 1]
    assert [row.offset_ns for row in rows] == [0, 10**9, 2 * 10**9, 3 * 10**9]
    assert rows[0].start_ns == _START
    assert (rows[3].from_s, rows[0].packets_per_s, rows[1].Mbit_per_s) == ("3", 2, 0)


def test_a_leap_of_years_does_not_make_rows_of_nothing(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.pcap", [0, 10**9 * MOST_FILLED * 20])
    rows = _rows(path, 10**9)
    assert [row.packets for row in rows] == [1, 0, 1]
    assert [row.offset_ns for row in rows] == [0, 10**9, 10**9 * MOST_FILLED * 20]
    assert [row.interval_ns for row in rows] == [10**9, 10**9 * (MOST_FILLED * 20 - 1), 10**9]


def test_low_rates_are_not_rounded_to_nothing(tmp_path: Path) -> None:
    (row,) = _rows(_write(tmp_path / "x.pcap", range(8)), 60 * 10**9)
    assert (row.packets_per_s, row.Mbit_per_s) == (0.133, float(f"{row.octets * 8 / 6e7:.3g}"))
    assert 0 < row.Mbit_per_s < 0.0001
    assert as_text(row.Mbit_per_s).startswith("0.0000")
    assert f'"Mbit_per_s": {row.Mbit_per_s}' in as_line(row)


def test_high_rates_are_whole(tmp_path: Path) -> None:
    (row,) = _rows(_write(tmp_path / "x.pcap", range(1000)), 3 * 10**9)
    assert row.packets_per_s == 333


def test_time_may_go_back(tmp_path: Path) -> None:
    rows = _rows(_write(tmp_path / "x.pcap", [0, -1, -1500]), 1000)
    assert [(row.offset_ns, row.packets) for row in rows] == [(-2000, 1), (-1000, 1), (0, 1)]


@pytest.mark.parametrize(
    ("last_ns", "interval_ns"),
    [
        (0, 1000),
        (49_000, 1000),
        (50_000, 2000),
        (120_000, 5000),
        (10**9, 5 * 10**7),
        (86_400 * 10**9, 2 * 10**12),
    ],
)
def test_an_interval_is_chosen_for_some_dozen_rows(
    tmp_path: Path, last_ns: int, interval_ns: int
) -> None:
    path = _write(tmp_path / "x.pcap", [0, last_ns])
    rows = _rows(path)
    assert {row.interval_ns for row in rows} == {interval_ns}
    assert len(rows) <= 50
    assert sum(row.packets for row in rows) == 2


def test_choosing_takes_bounded_memory_and_loses_nothing(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.pcap", [number * 7_777_777 for number in range(20_000)])
    rows = _rows(path)
    assert sum(row.packets for row in rows) == 20_000
    assert rows == _rows(path, rows[0].interval_ns)


def test_only_what_is_accepted_counts_from_the_first_packet_of_all_on(tmp_path: Path) -> None:
    rows = _rows(_write(tmp_path / "x.pcap", [0, 1000, 2000, 3000]), 1000, "tcp")
    assert [(row.offset_ns, row.packets) for row in rows] == [(1000, 1), (2000, 1)]


def test_compiled_and_interpreted_kernels_agree(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.pcap", [number * number * 1000 for number in range(500)])

    class Forced:
        def __init__(self, *, compiled: bool) -> None:
            self.compiled = compiled

        def batches(self) -> Any:
            return capture.batches(compiled=self.compiled, most=13)

    found = []
    for compiled in (False, True):
        with open_capture(path) as capture:
            found.append(list(rates(cast("Any", Forced(compiled=compiled)))))
    assert found[0] == found[1]


def test_an_interval_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="an interval is 1 ns or more, not 0"):
        _rows(_write(tmp_path / "x.pcap", [0]), 0)


def test_an_empty_capture_has_no_rows(tmp_path: Path) -> None:
    assert _rows(_write(tmp_path / "x.pcap", [])) == []

"""Rows in a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.scan.reports.samples import host, hostile_host, settings, summary

from sockwright.scan.reports.json_lines import JsonLines
from sockwright.scan.rows import host_row, port_row, shown_ports, summary_row

if TYPE_CHECKING:
    from pathlib import Path


def refuse(line: str) -> None:
    raise AssertionError(line)


def test_rows_of_ports_then_their_host_then_the_summary(tmp_path: Path) -> None:
    path = tmp_path / "sw.jsonl"
    report = JsonLines(str(path), complain=refuse)
    report.begin(settings(), [], "x", 0)
    report.host(host())
    report.end(summary())
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    expected = [*map(port_row, shown_ports(host())), host_row(host()), summary_row(summary())]
    assert rows == expected
    assert [row["kind"] for row in rows] == ["port", "port", "port", "host", "summary"]


def test_hostile_text_stays_on_its_line_and_in_ascii(tmp_path: Path) -> None:
    path = tmp_path / "sw.jsonl"
    report = JsonLines(str(path), complain=refuse)
    report.begin(settings(), [], "x", 0)
    report.host(hostile_host())
    report.close()
    octets = path.read_bytes()
    assert octets.isascii()
    assert len(octets.splitlines()) == 4
    assert all(32 <= one < 127 or one == 10 for one in octets)


def test_all_ports_or_open_ones_alone_can_be_asked_for(tmp_path: Path) -> None:
    many = host(closed=tuple(range(1000, 1100)))
    counts = {}
    for show in ("few", "open", "all"):
        path = tmp_path / show
        report = JsonLines(str(path), complain=refuse, show=show)
        report.begin(settings(), [], "x", 0)
        report.host(many)
        report.close()
        counts[show] = path.read_text().count('"kind": "port"')
    assert counts == {"few": 2, "open": 2, "all": 102}

"""Reports of real scans: nmap's readers, evidence, resuming and comparing, over a network."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from libnmap.parser import NmapParser
from tests.scan.topology import TARGET, TARGET6, Network, listen

from sockwright.records.reading import read_records
from sockwright.scan.reports.diff import Compared, Difference, compare
from sockwright.scan.reports.json_lines import JsonLines
from sockwright.scan.reports.nmap_xml import NmapXml
from sockwright.scan.reports.resume import ResumeNotes
from sockwright.scan.reports.resumed import read_resume
from sockwright.scan.results import HostResult, PortResult, Summary
from sockwright.scan.rows import ranges
from sockwright.scan.scan import Scan
from sockwright.wire.tcp import TCP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sockwright.scan.reports import Report

_OPEN = (21, 22, 80, 443, 8080, 9999)
_ASKED = (*range(1, 121), 443, 8080, *range(9990, 10000))
_DROPPED = 10

pytestmark = pytest.mark.needs("root", "nft")


def refuse(line: str) -> None:
    raise AssertionError(line)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        network.start(network.target, listen, _OPEN)
        # Ten ports that nobody answers for.
        rules = "chain i { type filter hook input priority 0; tcp dport 90-99 drop; }"
        network.rules(network.target, "quiet", rules)
        yield network


def scan(folder: str, name: str, target: str, known: str = "", **how: Any) -> Summary:
    """Scan and write all reports; leave the file to resume from if it was stopped."""
    settings: dict[str, Any] = {"rate": None, "host_rate": None, "discovery": "none"}
    with ExitStack() as stack:
        earlier = stack.enter_context(read_resume(known)) if known else None
        stop_after = how.pop("stop_after", None)
        one = stack.enter_context(Scan(target, tcp_ports=_ASKED, known=earlier, **(settings | how)))
        reports: list[Report] = [
            NmapXml(f"{folder}/{name}.xml", complain=refuse),
            JsonLines(f"{folder}/{name}.json", complain=refuse, show="all"),
        ]
        notes = ResumeNotes(one.settings, targets=(target,))
        begun = False
        for event in one:
            if not begun:
                begun = True
                for report in reports:
                    report.begin(one.settings, ["sw", "scan"], target, 1)
            if isinstance(event, PortResult) and stop_after is not None:
                one.stop()
            elif isinstance(event, HostResult):
                notes.host(event, finished=not one.stopped)
                for report in reports:
                    report.host(event)
            elif isinstance(event, Summary):
                for report in reports:
                    report.end(event)
                if event.interrupted:
                    notes.save(f"{folder}/{name}.resume")
                return event
    raise AssertionError("no summary came")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.needs("nmap", "ndiff")
@pytest.mark.parametrize("target", [TARGET, TARGET6])
def test_ndiff_finds_our_scan_and_nmaps_the_same(
    network: Network, tmp_path: Path, target: str
) -> None:
    command = ["nmap", "-n", "-Pn", "-sS", "-p", ranges(_ASKED), target]
    command += ["-oX", str(tmp_path / "theirs.xml"), *(["-6"] * (":" in target))]
    network.scanner.run(command, check=True, timeout=60)
    network.scanner.call(scan, str(tmp_path), "ours", target, methods=("syn",))
    for name in ("ours", "theirs"):  # whose list of names for ports is its own
        path = tmp_path / f"{name}.xml"
        path.write_text(re.sub("<service[^>]*/>", "", path.read_text()))
    command = ["ndiff", str(tmp_path / "theirs.xml"), str(tmp_path / "ours.xml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    lines = [line for line in done.stdout.splitlines() if line[:1] in "+-"]
    assert all(re.match(r"[+-](Nmap|sockwright) ", line) for line in lines), done.stdout
    ours, theirs = (
        NmapParser.parse_fromfile(str(tmp_path / f"{name}.xml")).hosts[0]
        for name in ("ours", "theirs")
    )
    assert ours.get_open_ports() == theirs.get_open_ports() == [(port, "tcp") for port in _OPEN]
    assert ours.get_ports() == theirs.get_ports()
    counted = [
        [sorted(element.attrib.items()) for element in ET.parse(file).iter("extrareasons")]
        for file in (tmp_path / "ours.xml", tmp_path / "theirs.xml")
    ]
    assert counted[0] == counted[1]
    for port in _OPEN:
        mine, his = (one.get_service(port, "tcp") for one in (ours, theirs))
        assert (mine.reason, mine.reason_ttl) == (his.reason, his.reason_ttl)


def test_a_scan_that_was_stopped_goes_on_port_by_port(network: Network, tmp_path: Path) -> None:
    first = network.scanner.call(
        scan, str(tmp_path), "first", TARGET, methods=("syn",), host_rate=500.0, stop_after=1
    )
    assert first.interrupted
    known = sum(row.get("attempt", 0) != 0 for row in rows(tmp_path / "first.json"))
    assert 0 < known < len(_ASKED)
    second = network.scanner.call(
        scan, str(tmp_path), "second", TARGET, f"{tmp_path}/first.resume", methods=("syn",)
    )
    assert not second.interrupted
    assert second.open_ports == len(_OPEN)
    # Ports that drop everything are asked again and again; of the others those that were unknown.
    assert second.answers <= len(_ASKED) - _DROPPED - known + 1
    assert second.probes > second.answers
    found = rows(tmp_path / "second.json")
    assert sorted(row["port"] for row in found if row.get("state") == "open") == list(_OPEN)
    # The first knew less, and says so: nothing that it did not know is a difference.
    changes = list(compare(str(tmp_path / "first.json"), str(tmp_path / "second.json")))
    assert not [row for row in changes if isinstance(row, Difference) and row.proven]


def test_evidence_has_the_packet_of_every_open_port(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "evidence.pcapng"
    network.scanner.call(
        scan, str(tmp_path), "one", TARGET, methods=("syn",), evidence=path, seed=1
    )
    with path.open("rb") as file:
        packets = [record.decode()[TCP] for record in read_records(file)]
    answered = {tcp.src_port for tcp in packets if str(tcp.flags) == "SA"}
    asked = {tcp.dst_port for tcp in packets if str(tcp.flags) == "S"}
    assert answered == set(_OPEN)
    assert asked == set(_ASKED)


def test_a_scan_under_loss_claims_no_difference_that_is_none(
    network: Network, tmp_path: Path
) -> None:
    network.scanner.call(scan, str(tmp_path), "before", TARGET, methods=("syn",))
    network.lose(0.3)
    try:
        network.scanner.call(scan, str(tmp_path), "full", TARGET, methods=("syn",), max_miss=1e-6)
        network.scanner.call(scan, str(tmp_path), "once", TARGET, methods=("syn",), retries=0)
    finally:
        network.lose(0)
    for name in ("full", "once"):
        changes = list(compare(str(tmp_path / "before.json"), str(tmp_path / f"{name}.json")))
        assert not [row for row in changes if isinstance(row, Difference) and row.proven]
        assert isinstance(changes[-1], Compared)
        assert changes[-1].hosts == 1
    assert len(changes) > 1  # half of the answers were lost

"""Grepable lines, held against nmap's own."""

from __future__ import annotations

import re
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.scan.reports.samples import host, hostile_host, settings, summary

from sockwright.scan.port_table import PortTable
from sockwright.scan.reasons import number_of
from sockwright.scan.reports.grepable import Grepable
from sockwright.scan.results import HostResult, Service

if TYPE_CHECKING:
    from pathlib import Path


def refuse(line: str) -> None:
    raise AssertionError(line)


def write(path: Path, *hosts: HostResult) -> list[str]:
    report = Grepable(str(path), complain=refuse)
    report.begin(settings(), ["sw", "scan", "a b"], "a b", 1_700_000_000_000_000_000)
    for one in hosts:
        report.host(one)
    report.end(summary(hosts=2))
    return path.read_text().splitlines()


@pytest.mark.needs("nmap")
def test_lines_of_hosts_are_those_of_nmap(tmp_path: Path) -> None:
    with socket.socket() as open_one, socket.socket() as closed_one:
        open_one.bind(("127.0.0.1", 0))
        open_one.listen()
        closed_one.bind(("127.0.0.1", 0))
        ports = (open_one.getsockname()[1], closed_one.getsockname()[1])
        asked = ",".join(map(str, ports))
        command = ["nmap", "-sT", "-oG", "-", "-p", asked, "127.0.0.1"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    table = PortTable("127.0.0.1", "tcp", ports, number_of("no-response", "filtered"))
    table.set(0, number_of("conn-accept", "open"), 1)
    table.set(1, number_of("conn-refused", "closed"), 1)
    lines = write(
        tmp_path / "sw.gnmap",
        HostResult("127.0.0.1", "up", "syn-ack", names=("localhost",), ports=(table,)),
    )
    theirs = [line for line in done.stdout.splitlines() if line.startswith("Host")]
    ours = [line for line in lines if line.startswith("Host")]
    # nmap's list of names is its own: the fifth part of a port is not compared.
    parts = re.compile(r"(\d+/[^/]*/[^/]*/[^/]*/)[^/]*/")
    assert [parts.sub(r"\1/", line) for line in ours] == [
        parts.sub(r"\1/", line) for line in theirs
    ]


def test_the_first_lines_tell_what_was_asked_and_the_last_that_it_ended(tmp_path: Path) -> None:
    lines = write(tmp_path / "sw.gnmap")
    assert lines[0].startswith("# Sockwright ")
    assert lines[0].endswith("as: sw scan 'a b'")
    assert lines[1] == "# Ports scanned: TCP(3;22,80,443); UDP(0;)"
    assert lines[-1].startswith("# Sockwright done at ")
    assert lines[-1].endswith("-- 2 addresses (1 host up) scanned in 2.50 seconds")


def test_services_stand_in_the_fifth_and_seventh_part(tmp_path: Path) -> None:
    found = host()
    found.services["tcp", 80] = Service("http", 0.9, "probed", "nginx", "1.25/a", tunnel="tls")
    lines = write(tmp_path / "sw.gnmap", found)
    assert "80/open/tcp//ssl|http//nginx 1.25|a/" in lines[-2]


def test_states_of_many_ports_are_ignored_by_count(tmp_path: Path) -> None:
    lines = write(tmp_path / "sw.gnmap", host(closed=tuple(range(1000, 1100))))
    assert lines[-2].endswith("\tIgnored State: closed (100)")


def test_text_from_the_network_adds_no_field_and_no_line(tmp_path: Path) -> None:
    lines = write(tmp_path / "sw.gnmap", hostile_host())
    assert len(lines) == 5
    assert all(one.isprintable() or one == "\t" for line in lines for one in line)
    fields = lines[3].split("\t")
    assert [field.partition(":")[0] for field in fields] == ["Host", "Ports"]
    ports = fields[1].removeprefix("Ports: ").split(", ")
    assert [port.count("/") for port in ports] == [7, 7, 7]


def test_a_host_that_is_down_has_no_line(tmp_path: Path) -> None:
    assert len(write(tmp_path / "sw.gnmap", HostResult("192.0.2.9", "down", "no-response"))) == 3


def test_a_scan_that_does_not_end_lacks_the_last_line(tmp_path: Path) -> None:
    report = Grepable(str(tmp_path / "sw.gnmap"), complain=refuse)
    report.begin(settings(), [], "x", 0)
    report.host(host())
    report.close()
    assert "done at" not in (tmp_path / "sw.gnmap").read_text()

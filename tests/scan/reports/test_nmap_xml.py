"""nmap's XML, held against nmap's own, and read by the readers of nmap's."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from libnmap.parser import NmapParser
from tests.scan.reports.samples import host, hostile_host, settings, summary

from sockwright.identify.identification import Identification
from sockwright.scan.port_table import PortTable
from sockwright.scan.reasons import number_of
from sockwright.scan.reports.nmap_xml import NmapXml, escape
from sockwright.scan.results import Hop, HostResult, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sockwright.scan.results import Summary
    from sockwright.scan.settings import Settings


def refuse(line: str) -> None:
    raise AssertionError(line)


def write(
    path: Path, *hosts: HostResult, asked: Settings | None = None, end: Summary | None = None
) -> ET.Element:
    report = NmapXml(str(path), complain=refuse)
    report.begin(asked or settings(), ["sw", "scan", "x"], "x", 1_700_000_000_000_000_000)
    for one in hosts:
        report.host(one)
    if end is None:
        report.close()
    else:
        report.end(end)
    return ET.parse(path).getroot()


@pytest.fixture
def loopback() -> Iterator[tuple[list[int], list[int]]]:
    """Ports of this machine that listen, and ports that nobody can begin to listen on."""
    with ExitStack() as stack:
        listening: list[int] = []
        taken: list[int] = []
        for number in range(43):
            sock = stack.enter_context(socket.socket())
            sock.bind(("127.0.0.1", 0))
            if number < 3:
                sock.listen()
            (listening if number < 3 else taken).append(sock.getsockname()[1])
        yield sorted(listening), sorted(taken)


def connect_to(ports: list[int]) -> HostResult:
    """Ask ports of this machine the simplest way there is."""
    table = PortTable("127.0.0.1", "tcp", tuple(ports), number_of("no-response", "filtered"))
    accepted = number_of("conn-accept", "open")
    refused = number_of("conn-refused", "closed")
    for at, port in enumerate(ports):
        with socket.socket() as sock:
            table.set(at, refused if sock.connect_ex(("127.0.0.1", port)) else accepted, 1, 10)
    result = HostResult("127.0.0.1", "up", "localhost-response", ports=(table,))
    result.names = ("localhost",)
    return result


@pytest.mark.needs("nmap", "ndiff")
def test_ndiff_finds_no_difference_to_nmaps_own_xml(
    tmp_path: Path, loopback: tuple[list[int], list[int]]
) -> None:
    ports = sorted(loopback[0] + loopback[1])
    asked = settings(tuple(ports))
    theirs, ours = tmp_path / "nmap.xml", tmp_path / "sw.xml"
    command = ["nmap", "-sT", "-oX", str(theirs), "-p", ",".join(map(str, ports)), "127.0.0.1"]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    write(ours, connect_to(ports), asked=asked, end=summary())
    # nmap's list of names for ports is its own, and the kernel may give any port.
    for path in (theirs, ours):
        path.write_text(re.sub("<service[^>]*/>", "", path.read_text()))
    done = subprocess.run(
        ["ndiff", theirs, ours], capture_output=True, text=True, check=False, timeout=60
    )
    assert not done.stderr
    # The first two lines name the programs and when each ran; below them is what differs.
    lines = [line for line in done.stdout.splitlines() if line[:1] in "+-"]
    assert all(re.match(r"[+-](Nmap|sockwright) ", line) for line in lines), done.stdout


@pytest.mark.needs("nmap")
def test_elements_and_attributes_are_those_that_nmap_writes(
    tmp_path: Path, loopback: tuple[list[int], list[int]]
) -> None:
    ports = sorted(loopback[0] + loopback[1])
    command = ["nmap", "-sT", "-oX", "-", "-p", ",".join(map(str, ports)), "127.0.0.1"]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True)
    theirs = ET.fromstring(done.stdout)
    ours = write(
        tmp_path / "sw.xml", connect_to(ports), asked=settings(tuple(ports)), end=summary()
    )
    for name in ("scaninfo", "host/ports/extraports", "host/ports/extraports/extrareasons"):
        (here,), (there,) = ours.findall(name), theirs.findall(name)
        assert here.keys() == there.keys()
    same = ("proto", "ports", "count", "reason")
    one, other = ours.find(".//extrareasons"), theirs.find(".//extrareasons")
    assert one is not None
    assert other is not None
    assert [one.get(key) for key in same] == [other.get(key) for key in same]
    states = [
        [
            (p.get("portid"), s.get("state"), s.get("reason"))
            for p in root.iter("port")
            for s in p.iter("state")
        ]
        for root in (ours, theirs)
    ]
    assert states[0] == states[1] == [(str(port), "open", "syn-ack") for port in loopback[0]]
    known = {element.tag: element.keys() for element in theirs.iter()}
    for element in ours.iter():
        if element.tag in known and element.tag != "host":
            assert set(element.keys()) <= {*known[element.tag], "errormsg"}, element.tag


def test_libnmap_reads_hosts_ports_services_and_the_system(tmp_path: Path) -> None:
    found = host()
    found.services["tcp", 80] = Service(
        "http", 0.9, "probed", "nginx", "1.25", tunnel="tls", banner="hi", cpe=("cpe:/a:f5:nginx",)
    )
    found.names = ("a.example", "b.example")
    found.mac = "02:00:5e:10:00:01"
    found.os = Identification(
        "192.0.2.1", "Linux 5.x-6.x", "Linux", 0.93, (), {}, uptime_ns=3_600_000_000_000
    )
    found.hops = (Hop(1, "192.0.2.254", "gw", 250_000), Hop(2, ""), Hop(3, "192.0.2.1"))
    write(tmp_path / "sw.xml", found, end=summary(hosts=256))
    report = NmapParser.parse_fromfile(str(tmp_path / "sw.xml"))
    assert (report.hosts_up, report.hosts_down, report.hosts_total) == (1, 255, 256)
    assert (report.scan_type, report.elapsed) == ("syn", 2.5)
    (read,) = report.hosts
    assert read.address == "192.0.2.1"
    assert read.mac == "02:00:5E:10:00:01"
    assert read.hostnames == ["a.example", "b.example"]
    assert read.get_open_ports() == [(22, "tcp"), (80, "tcp")]
    web = read.get_service(80, "tcp")
    assert (web.service, web.tunnel, web.reason_ttl) == ("http", "ssl", "61")
    assert web.banner == "product: nginx version: 1.25"
    assert [cpe.cpestring for cpe in web.cpelist] == ["cpe:/a:f5:nginx"]
    (script,) = web.scripts_results
    assert script["output"].splitlines()[0] == "banner: hi"
    assert read.get_service(443, "tcp").state == "closed"
    assert [(match.name, match.accuracy) for match in read.os.osmatches] == [("Linux 5.x-6.x", 93)]
    assert read.uptime == 3600
    assert read.distance == 3


@pytest.mark.needs("ndiff")
def test_ndiff_tells_a_port_that_closed(tmp_path: Path) -> None:
    write(tmp_path / "old.xml", host(), end=summary())
    write(tmp_path / "new.xml", host(open_ports=(22,), closed=(80, 443)), end=summary())
    command = ["ndiff", str(tmp_path / "old.xml"), str(tmp_path / "new.xml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert re.search(r"^-80/tcp +open +http", done.stdout, re.MULTILINE)
    assert re.search(r"^\+80/tcp +closed +http", done.stdout, re.MULTILINE)


@pytest.mark.needs("ndiff")
def test_ndiff_reads_what_is_told_of_services(tmp_path: Path) -> None:
    for name, title in (("old", "one"), ("new", "another")):
        found = host()
        found.services["tcp", 80] = Service(
            "http",
            0.9,
            "probed",
            banner="HTTP/1.1 200 OK",
            details={"http.title": title, "tls.version": "TLS 1.3"},
        )
        write(tmp_path / name, found, end=summary())
    # As text, ndiff 7.93 fails under Python 3 for a port that differs by its script alone.
    command = ["ndiff", "--xml", str(tmp_path / "old"), str(tmp_path / "new")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr  # they differ
    assert "http.title: another" in done.stdout


def test_hostile_text_neither_breaks_the_document_nor_acts_on_a_terminal(tmp_path: Path) -> None:
    root = write(tmp_path / "sw.xml", hostile_host(), end=summary())
    octets = (tmp_path / "sw.xml").read_bytes()
    text = octets.decode()
    assert all(one.isprintable() or one == "\n" for one in text)
    title = root.find(".//script[@id='sockwright']/elem[@key='http.title']")
    assert title is not None
    assert title.text == "<title>"
    service = root.find(".//service[@product]")
    assert service is not None
    version = service.get("version")
    assert version == "\\x1b[2J<&>\"'\\x00\\x9b\\ud800-\\xff\\ufffe\\u202e\r\n/"
    assert NmapParser.parse(text).hosts[0].get_service(80, "tcp").tunnel == "ssl"


def test_every_character_can_be_escaped() -> None:
    everything = "".join(map(chr, range(0x110000)))
    element = ET.fromstring(f'<a b="{escape(everything)}">{escape(everything)}</a>')
    assert element.get("b") == element.text


def test_a_scan_that_does_not_end_leaves_a_document_that_says_so(tmp_path: Path) -> None:
    root = write(tmp_path / "sw.xml", host(), host("192.0.2.2"))
    finished = root.find("runstats/finished")
    assert finished is not None
    assert (finished.get("exit"), finished.get("errormsg")) == ("error", "the scan did not end")
    assert len(NmapParser.parse_fromfile(str(tmp_path / "sw.xml")).hosts) == 2


def test_an_interrupted_scan_says_so(tmp_path: Path) -> None:
    root = write(tmp_path / "sw.xml", host(), end=summary(interrupted=True))
    finished = root.find("runstats/finished")
    assert finished is not None
    assert (finished.get("exit"), finished.get("errormsg")) == ("error", "interrupted")


def test_hosts_that_are_down_are_counted_and_listed_ones_unknown(tmp_path: Path) -> None:
    root = write(
        tmp_path / "sw.xml",
        HostResult("192.0.2.9", "down", "no-response"),
        HostResult("192.0.2.10", "unknown", "user-set"),
    )
    assert [e.get("addr") for e in root.iter("address")] == ["192.0.2.10"]
    counted = root.find("runstats/hosts")
    assert counted is not None
    assert counted.get("total") == "2"


def test_silence_of_two_protocols_is_one_entry_with_two_reasons(tmp_path: Path) -> None:
    ports = tuple(range(1, 101))
    silent = number_of("no-response", "open|filtered")
    found = host(open_ports=(), closed=(), silent=ports)
    found.ports = (
        PortTable(found.host, "tcp", ports, silent),
        PortTable(found.host, "udp", ports, silent),
    )
    root = write(tmp_path / "sw.xml", found, end=summary())
    (extra,) = root.iter("extraports")
    assert (extra.get("state"), extra.get("count")) == ("open|filtered", "200")
    assert [reason.get("proto") for reason in extra] == ["tcp", "udp"]
    assert {reason.get("ports") for reason in extra} == {"1-100"}


def test_a_file_that_is_there_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "sw.xml"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        NmapXml(str(path), complain=refuse)
    assert path.read_text() == "precious"
    report = NmapXml(str(path), complain=refuse, force=True)
    report.begin(settings(), [], "192.0.2.0/24", 0)
    report.close()
    report.close()
    assert "192.0.2.0/24" in path.read_text()


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    write(tmp_path / "sw.xml", host(), end=summary())
    assert (tmp_path / "sw.xml").stat().st_mode & 0o777 == 0o600


def test_hosts_are_in_the_file_before_the_scan_ends(tmp_path: Path) -> None:
    path = tmp_path / "sw.xml"
    report = NmapXml(str(path), complain=refuse)
    report.begin(settings(), [], "x", 0)
    for number in range(1000):
        report.host(host(f"192.0.2.{number % 256}"))
    assert path.stat().st_size > 64 << 10
    report.end(summary())


@pytest.mark.needs("root")
def test_a_full_disk_is_told_once_and_leaves_a_whole_document(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", folder], check=True)
    try:
        told: list[str] = []
        path = folder / "sw.xml"
        report = NmapXml(str(path), complain=told.append)
        report.begin(settings(), [], "x", 1_700_000_000_000_000_000)
        for number in range(2000):
            report.host(host(f"192.0.{number // 256}.{number % 256}"))
        report.end(summary())
        assert len(told) == 1
        assert "No space left on device" in told[0]
        root = ET.parse(path).getroot()
        finished = root.find("runstats/finished")
        assert finished is not None
        assert (finished.get("exit"), finished.get("errormsg")) == ("error", "the disk was full")
        assert len(root.findall("host")) > 100
    finally:
        subprocess.run(["umount", folder], check=True)


def test_standard_output_can_be_the_file() -> None:
    code = """
from sockwright.scan.reports.nmap_xml import NmapXml
from sockwright.scan.settings import Settings
report = NmapXml("-", complain=print)
report.begin(Settings(), [], "x", 0)
report.close()
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=30)
    assert ET.fromstring(done.stdout).tag == "nmaprun"


def test_ports_that_the_scan_did_not_come_to_are_left_out(tmp_path: Path) -> None:
    found = host(silent=tuple(range(1000, 1100)), complete=False)
    found.ports[0].silent = number_of("not-asked", "filtered")
    root = write(tmp_path / "sw.xml", found, end=summary(interrupted=True))
    assert [port.get("portid") for port in root.iter("port")] == ["22", "80", "443"]
    assert not list(root.iter("extraports"))
    (element,) = root.iter("host")
    assert element.get("timedout") == "true"

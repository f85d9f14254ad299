"""Evidence of a scan, read back by our reader and by tshark."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from sockwright.records.reading import read_records
from sockwright.scan.reports.evidence import EvidenceWriter
from sockwright.wire.arp import ARP
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.ipv6 import IPv6
from sockwright.wire.tcp import TCP

if TYPE_CHECKING:
    from pathlib import Path

_TIME = 1_700_000_000_123_456_789


def refuse(line: str) -> None:
    raise AssertionError(line)


def probe() -> bytes:
    header = IPv4(src="192.0.2.10", dst="192.0.2.1")
    return bytes(header / TCP(src_port=40000, dst_port=80, flags="S"))


def answer() -> bytes:
    header = IPv6(src="2001:db8::1", dst="2001:db8::10")
    return bytes(header / TCP(src_port=80, dst_port=40000, flags="SA"))


def question() -> bytes:
    header = Ethernet(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:00:01")
    return bytes(header / ARP(target_ip="192.0.2.1"))


def write(path: Path) -> None:
    with EvidenceWriter(str(path), complain=refuse, about="sw scan") as evidence:
        evidence.frame(probe(), _TIME, "try 2 of SYN to 80/tcp", outgoing=True)
        evidence.frame(answer(), _TIME + 1000, "proves 80/tcp open", outgoing=False)
        evidence.frame(answer(), _TIME + 2000)
        evidence.frame(question(), _TIME + 3000, "neighbour, try 1", outgoing=True, link="eth7")


def test_frames_come_back_with_time_direction_and_comment(tmp_path: Path) -> None:
    write(tmp_path / "a.pcapng")
    with (tmp_path / "a.pcapng").open("rb") as file:
        first, second, third, fourth = list(read_records(file))
    assert (first.octets, first.time_ns, first.link_type) == (probe(), _TIME, 101)
    assert (first.direction, first.comment) == ("out", "try 2 of SYN to 80/tcp")
    assert (second.direction, second.comment) == ("in", "proves 80/tcp open")
    assert second.decode()[TCP].src_port == 80
    assert (third.direction, third.comment) == ("", None)
    assert (third.interface, third.link_type) == ("sockwright", 101)
    assert (fourth.interface, fourth.link_type, fourth.direction) == ("eth7", 1, "out")
    assert str(fourth.decode()[ARP].target_ip) == "192.0.2.1"


@pytest.mark.needs("tshark")
def test_tshark_reads_it(tmp_path: Path) -> None:
    write(tmp_path / "a.pcapng")
    fields = (
        "frame.time_epoch", "frame.comment", "tcp.flags", "frame.packet_flags_direction",
        "frame.interface_name", "arp.dst.proto_ipv4", "_ws.malformed",
    )  # fmt: skip
    command = ["tshark", "-r", str(tmp_path / "a.pcapng"), "-T", "fields", "-E", "separator=|"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    lines = done.stdout.splitlines()
    assert lines[0] == "1700000000.123456789|try 2 of SYN to 80/tcp|0x0002|0x00000002|sockwright||"
    assert lines[1] == "1700000000.123457789|proves 80/tcp open|0x0012|0x00000001|sockwright||"
    assert lines[3] == "1700000000.123459789|neighbour, try 1||0x00000002|eth7|192.0.2.1|"
    assert len(lines) == 4


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        EvidenceWriter(str(path), complain=refuse).open()
    assert path.read_bytes() == b"precious"


def test_a_full_disk_is_told_once_and_costs_only_evidence() -> None:
    told: list[str] = []
    with EvidenceWriter("/dev/full", complain=told.append) as evidence:
        for _ in range(3):
            evidence.frame(probe(), _TIME)
    assert len(told) == 1
    assert "No space left on device" in told[0]


@pytest.mark.needs("root")
def test_on_a_full_disk_the_file_ends_behind_a_whole_packet(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "none", folder], check=True)
    try:
        told: list[str] = []
        with EvidenceWriter(str(folder / "a.pcapng"), complain=told.append) as evidence:
            for number in range(2000):
                evidence.frame(probe(), _TIME + number, f"try 1 of SYN to {number}/tcp")
        assert len(told) == 1
        with (folder / "a.pcapng").open("rb") as file:
            records = list(read_records(file))
        assert len(records) > 200
        assert {record.octets for record in records} == {probe()}
    finally:
        subprocess.run(["umount", folder], check=True)

"""Filters over captures: the same interpreted, compiled, packet by packet and by tcpdump."""

from __future__ import annotations

import os
import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from sockwright.columns import open_capture
from sockwright.columns.capture_file import SMALL
from sockwright.columns.selecting import Selector, accepted, count_packets
from sockwright.errors import DecodeError
from sockwright.filters import FilterError, compile_filter
from sockwright.records import Interface, PcapngWriter, PcapWriter, Record, read_records
from sockwright.wire import TCP, UDP, Ethernet, IPv4, LinuxCooked

if TYPE_CHECKING:
    from pathlib import Path

_FILTERS = ("tcp", "udp port 53", "ip and not tcp", "greater 200", "icmp or arp", "vlan", "ip6")


def picked(path: Path, expression: str, *, compiled: bool) -> list[int]:
    """Return the numbers of the packets that pass, up to what is wrong with the capture."""
    found: list[int] = []
    with open_capture(path) as capture:
        selector = Selector(expression, [one.link_type for one in capture.interfaces])
        try:
            for batch in capture.batches(compiled=compiled):
                rows = [batch.number + int(row) for row in selector.rows(batch)]
                assert len(rows) == selector.count(batch)
                found += rows
        except DecodeError:
            pass
    return found


def one_by_one(path: Path, expression: str) -> list[int]:
    """Return the same by the scalar filter."""
    found = []
    with path.open("rb") as file:
        reader = read_records(file)
        try:
            for record in reader:
                program = compile_filter(expression, record.link_type)
                if program.matches(record.octets, record.original_length):
                    found.append(reader.count)
        except DecodeError:
            pass
    return found


def large(path: Path) -> Path:
    """Write a capture that is large enough for compiled kernels and for several parts."""
    draw = random.Random(7)
    frame = Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2")
    packets = [
        bytes(frame / transport(src_port=draw.randrange(1, 99), dst_port=draw.randrange(1, 99)))
        for transport in (TCP, UDP)
        for _ in range(100)
    ]
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for number in range(40 * SMALL // 100):
            octets = draw.choice(packets)
            writer.write(Record(number * 1000, octets, len(octets)))
    return path


@pytest.mark.parametrize("expression", _FILTERS)
def test_filters_choose_the_same_packets_however_they_run(captures: Path, expression: str) -> None:
    for path in sorted((captures / "tcpdump").iterdir())[::8]:
        try:
            wanted = one_by_one(path, expression)
        except FilterError:
            with pytest.raises(FilterError):
                picked(path, expression, compiled=False)
            continue
        except DecodeError:
            continue
        assert picked(path, expression, compiled=False) == wanted, path.name
        assert picked(path, expression, compiled=True) == wanted, path.name


@pytest.mark.needs("tcpdump")
def test_all_cores_count_what_tcpdump_counts(tmp_path: Path) -> None:
    path = large(tmp_path / "large.pcap")
    for expression in ("", "tcp port 80", "udp and src port 7 or tcp dst port 9"):
        command = ["tcpdump", "--count", "-r", str(path), *expression.split()]
        environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin"}
        done = subprocess.run(command, capture_output=True, check=True, env=environment)
        with open_capture(path) as capture:
            selector = Selector(expression) if expression else None
            assert count_packets(capture, selector) == int(done.stdout.split()[0])
            if expression:
                mask = accepted(capture, expression)
                assert int(mask.sum()) == int(done.stdout.split()[0])
                assert len(mask) == len(capture)


def test_each_link_type_of_a_capture_has_its_own_program(tmp_path: Path) -> None:
    path = tmp_path / "mixed.pcapng"
    above = IPv4(src="10.0.0.1", dst="10.0.0.2") / UDP(src_port=53, dst_port=53)
    with path.open("wb") as file:
        writer = PcapngWriter(file)
        for number, (link_type, frame) in enumerate(((1, Ethernet()), (113, LinuxCooked()))):
            writer.add_interface(Interface(number, link_type))
            octets = bytes(frame / above)
            writer.write(Record(1, octets, len(octets), link_type, interface_number=number))
    for compiled in (False, True):
        assert picked(path, "udp port 53", compiled=compiled) == [1, 2]
        assert picked(path, "tcp", compiled=compiled) == []


def test_a_wrong_filter_is_told_before_anything_is_read() -> None:
    with pytest.raises(FilterError, match="prot"):
        Selector("tcp prot 80")

"""The tree of protocols, beside tshark's."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.columns.ordinary import ordinary

from sockwright.columns import open_capture
from sockwright.columns.hierarchy import ProtocolTotals, protocols
from sockwright.columns.kernels.groups import NODE, child
from sockwright.columns.selecting import Selector
from sockwright.records import PcapWriter, Record
from sockwright.wire import TCP, UDP, VLAN, Ethernet, IPv4, IPv6

if TYPE_CHECKING:
    from pathlib import Path

    from sockwright.wire import Packet

# Our layers and tshark's; those of one row look the same in both.
_NAMES = {"ethernet": "eth", "ipv4": "ip", "ipv6": "ipv6", "tcp": "tcp", "udp": "udp", "arp": "arp"}
_LINE = re.compile(r"^( *)(\S+) +frames:(\d+) bytes:(\d+)$", re.MULTILINE)


def _write(path: Path, *packets: Packet) -> Path:
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for packet in packets:
            octets = bytes(packet)
            writer.write(Record(10**18, octets, len(octets)))
    return path


def _rows(path: Path, filter_text: str | None = None) -> list[ProtocolTotals]:
    with open_capture(path) as capture:
        return list(protocols(capture, Selector(filter_text) if filter_text else None))


def _theirs(path: Path) -> dict[str, tuple[int, int]]:
    command = ["tshark", "-n", "-r", str(path), "-q", "-z", "io,phs", "-o", "ip.defragment:FALSE"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, tuple[int, int]] = {}
    above: list[str] = []
    for indent, name, frames, octets in _LINE.findall(done.stdout):
        above = [*above[: len(indent) // 2], name]
        found[":".join(above)] = (int(frames), int(octets))
    return found


@pytest.mark.needs("tshark")
def test_the_hierarchy_is_that_of_tshark(captures: Path) -> None:
    compared = 0
    for path in [path for path in sorted(captures.rglob("*.pcap*")) if ordinary(path)][::10]:
        rows = [row for row in _rows(path) if set(row.protocols.split(":")) <= _NAMES.keys()]
        theirs = _theirs(path)
        for row in rows:
            name = ":".join(_NAMES[layer] for layer in row.protocols.split(":"))
            assert theirs[name] == (row.packets, row.octets), f"{path.name} {row.protocols}"
            compared += 1
    assert compared > 15


def test_a_packet_counts_at_each_of_its_layers(tmp_path: Path) -> None:
    ipv4 = IPv4(src="10.0.0.1", dst="10.0.0.2")
    path = _write(
        tmp_path / "x.pcap",
        Ethernet() / ipv4 / UDP() / b"12",
        Ethernet() / ipv4 / UDP(),
        Ethernet() / VLAN(vid=1) / ipv4 / TCP(),
        Ethernet() / IPv6(src="::1", dst="::2") / TCP(),
    )
    rows = _rows(path)
    assert [(row.protocols, row.depth, row.packets, row.octets) for row in rows[:3]] == [
        ("ethernet", 0, 4, 44 + 42 + 58 + 74),
        ("ethernet:ipv4", 1, 2, 86),
        ("ethernet:ipv4:udp", 2, 2, 86),
    ]
    assert {row.protocols for row in rows[3:]} == {
        "ethernet:vlan",
        "ethernet:vlan:ipv4",
        "ethernet:vlan:ipv4:tcp",
        "ethernet:ipv6",
        "ethernet:ipv6:tcp",
    }
    assert rows[2].protocol == "    udp"
    (row,) = [row for row in _rows(path, "ip6") if row.protocols.endswith("tcp")]
    assert (row.protocols, row.packets) == ("ethernet:ipv6:tcp", 1)


def test_a_link_type_that_is_not_known_is_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    with path.open("wb") as file:
        PcapWriter(file, 147).write(Record(0, b"user", 4, 147))
    assert _rows(path) == [ProtocolTotals("frame", 0, 1, 4)]


def test_many_stacks_of_layers_find_room(tmp_path: Path) -> None:
    packets: list[Packet] = []
    for depth in range(1, 20):
        packet: Packet = Ethernet() / VLAN(vid=1)
        for _ in range(depth):
            packet /= VLAN(vid=depth)
        packets += [packet / IPv4() / UDP()] * 2
    rows = _rows(_write(tmp_path / "x.pcap", *packets))
    assert len(rows) == 20 + 1 + 2 * 19
    assert max(row.depth for row in rows) == 22


def test_a_tree_without_room_leaves_layers_out() -> None:
    tree = [1] + [0] * (NODE * 3)
    first = child(tree, 0, 7)
    second = child(tree, first, 8)
    assert (first, second) == (1, 2)
    assert child(tree, second, 9) == second
    assert child(tree, 0, 7) == first

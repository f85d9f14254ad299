"""tshark and tcpdump call every checksum good in packets drawn at random."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from tests.wire.drawn import CARRIED, Drawn, ours, packets

from sockwright.records import PcapWriter, Record
from sockwright.wire.ipv6_fragment import IPv6Fragment

if TYPE_CHECKING:
    from pathlib import Path

    from sockwright.wire import Packet

_GOOD, _BAD = "1", "0"
# What tshark calls the checksum of each of our layers.
_STATUS = {
    "ipv4": "ip.checksum.status",
    "tcp": "tcp.checksum.status",
    "udp": "udp.checksum.status",
    "icmp": "icmp.checksum.status",
    "icmpv6": "icmpv6.checksum.status",
}


@pytest.fixture(scope="module")
def drawn() -> list[Packet]:
    """Return a few hundred packets, as many of each kind."""
    found: list[Packet] = []
    for carried in CARRIED:

        @settings(
            max_examples=80,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(packets(carried))
        def collect(layers: list[Drawn]) -> None:
            found.append(ours(layers))

        collect()
    return found


@pytest.fixture(scope="module")
def pcap(drawn: list[Packet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the packets, a millisecond apart."""
    path = tmp_path_factory.mktemp("peers") / "drawn.pcap"
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for number, packet in enumerate(drawn):
            octets = bytes(packet)
            writer.write(Record(number * 1_000_000, octets, len(octets)))
    return path


def test_verify_finds_no_error_in_them(drawn: list[Packet]) -> None:
    for packet in drawn:
        errors = [finding for finding in packet.verify() if finding.severity == "error"]
        assert not [finding for finding in errors if "checksum" in finding.code]


@pytest.mark.needs("tshark")
def test_tshark_calls_every_checksum_good(drawn: list[Packet], pcap: Path) -> None:
    command = ["tshark", "-n", "-r", str(pcap), "-T", "fields", "-E", "occurrence=f"]
    for protocol in ("ip", "tcp", "udp"):
        command += ["-o", f"{protocol}.check_checksum:TRUE"]
    for field in _STATUS.values():
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(drawn)
    for packet, line in zip(drawn, lines, strict=True):
        layers = {header.layer for header in packet}
        statuses = dict(zip(_STATUS, line.split("\t"), strict=True))
        expected = {layer: _GOOD if layer in layers else "" for layer in _STATUS}
        assert statuses == expected, packet.code()


@pytest.mark.needs("tcpdump")
def test_tcpdump_calls_every_checksum_good(drawn: list[Packet], pcap: Path) -> None:
    command = ["tcpdump", "-vvv", "-nn", "-t", "-r", str(pcap)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Behind a tab is what tcpdump reads out of the random octets that an ICMP error quotes.
    assert not re.findall(
        r"^(?!\t).*(?:incorrect|bad \w*\s?cksum|wrong \w*\s?cksum).*", text, re.MULTILINE
    )
    # Behind a fragment header tcpdump does not look at checksums, even if the fragment is whole.
    judged = [packet for packet in drawn if IPv6Fragment not in packet]
    counts = Counter(header.layer for packet in judged for header in packet)
    assert len(re.findall(r"\bcksum 0x[0-9a-f]{4} \(correct\)", text)) == counts["tcp"]
    assert len(re.findall(r"\[udp sum ok\]", text)) == counts["udp"]
    assert len(re.findall(r"\[icmp6 sum ok\]", text)) == counts["icmpv6"]
    assert min(counts[layer] for layer in ("tcp", "udp", "icmp", "icmpv6")) > 10

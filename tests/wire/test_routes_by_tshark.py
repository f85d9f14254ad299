"""tshark calls checksums good that cover the end of a route, or a home address."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

import pytest

from sockwright.records import PcapWriter, Record
from sockwright.wire.authentication import Authentication
from sockwright.wire.destination_options import DestinationOptions
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.fragments import fragment
from sockwright.wire.hop_by_hop import HopByHop
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.ipv4_options import LooseSourceRoute, RouterAlert, StrictSourceRoute
from sockwright.wire.ipv6 import IPv6
from sockwright.wire.ipv6_options import HomeAddress, PadN, RouterAlertV6
from sockwright.wire.routing import Routing, SegmentRouting, SourceRouting
from sockwright.wire.tcp import TCP
from sockwright.wire.udp import UDP
from sockwright.wire.vlan import VLAN

if TYPE_CHECKING:
    from pathlib import Path

    from sockwright.wire import Packet

V4: dict[str, Any] = {"src": "10.0.0.1", "dst": "10.0.0.2"}
V6: dict[str, Any] = {"src": "2001:db8::1", "dst": "2001:db8::2"}
NODES = ["2001:db8::3", "2001:db8::4"]
HOPS = (IPv4Address("10.0.0.3"), IPv4Address("10.0.0.4"))
NETWORKS = [
    IPv4(**V4, options=(LooseSourceRoute(HOPS),)) / b"",
    IPv4(**V4, options=(StrictSourceRoute(HOPS[:1]), RouterAlert())) / b"",
    IPv4(**V4) / Authentication(icv=bytes(12)),
    IPv6(**V6) / SourceRouting(addresses=NODES),
    IPv6(**V6) / SourceRouting(routing_type=2, addresses=NODES[:1]),
    IPv6(**V6) / SegmentRouting(segments=NODES),
    IPv6(**V6) / Routing(routing_type=3, segments_left=1, data=b"\xff\x70\0\0\x09" + bytes(7)),
    IPv6(**V6) / DestinationOptions(options=(PadN(bytes(2)), HomeAddress(IPv6Address(NODES[0])))),
    IPv6(**V6) / HopByHop(options=(RouterAlertV6(),)) / DestinationOptions(),
]


@pytest.mark.needs("tshark")
def test_tshark_calls_every_checksum_good(tmp_path: Path) -> None:
    link = Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / VLAN(vid=3)
    uppers = [UDP(src_port=4000, dst_port=5000), TCP(src_port=4000, dst_port=5000)]
    packets: list[Packet] = [
        link / network / upper / b"data" for network in NETWORKS for upper in uppers
    ]
    # The last of the fragments shows the whole datagram.
    long = link / IPv6(**V6) / SegmentRouting(segments=NODES) / uppers[0] / bytes(3000)
    pieces = fragment(long, 1280)
    path = tmp_path / "routes.pcap"
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for number, packet in enumerate(packets + pieces):
            octets = bytes(packet)
            writer.write(Record(number, octets, len(octets)))
    checks = [
        word for layer in ("ip", "tcp", "udp") for word in ("-o", f"{layer}.check_checksum:TRUE")
    ]
    fields = ("ip.checksum.status", "tcp.checksum.status", "udp.checksum.status")
    shown = subprocess.run(
        ["tshark", "-r", str(path), *checks, "-T", "fields"]
        + [word for field in fields for word in ("-e", field)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    lines = [line.split("\t") for line in shown.splitlines()]
    assert len(lines) == len(packets) + len(pieces)
    for packet, line in zip(packets, lines, strict=False):
        assert "0" not in line, repr(packet)
        assert "1" in line[1:], repr(packet)
    assert lines[-1][2] == "1"

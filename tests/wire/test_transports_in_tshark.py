"""tshark reads transports and ICMP built here: every checksum good, nothing malformed."""

from __future__ import annotations

import io
import subprocess
from ipaddress import IPv4Address, IPv6Address

import pytest

from sockwright.records import PcapWriter, Record
from sockwright.wire import Header, MACAddress, Packet
from sockwright.wire.core.option import NoOperation, Option
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.hop_by_hop import HopByHop
from sockwright.wire.icmp import ICMP
from sockwright.wire.icmp_extensions import MPLSEntry, MPLSLabelStack, encode_extensions
from sockwright.wire.icmpv6 import ICMPv6
from sockwright.wire.icmpv6_messages import EchoRequest, PacketTooBig, TimeExceeded
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.ipv6 import IPv6
from sockwright.wire.ipv6_options import PadN, RouterAlertV6
from sockwright.wire.mld import MLDQuery, MLDv2Query, MLDv2Report, MulticastRecord
from sockwright.wire.mptcp import DSS, AddAddress, MPCapable, MPJoinSYN
from sockwright.wire.ndp import (
    NeighborAdvertisement,
    NeighborSolicitation,
    Redirect,
    RouterAdvertisement,
)
from sockwright.wire.ndp_options import (
    DNSSL,
    MTU,
    RDNSS,
    Nonce,
    PrefixInformation,
    RedirectedHeader,
    RouteInformation,
    SourceLinkLayerAddress,
)
from sockwright.wire.tcp import TCP
from sockwright.wire.tcp_options import (
    AO,
    MSS,
    SACK,
    FastOpen,
    SACKPermitted,
    Timestamps,
    UserTimeout,
    WindowScale,
)
from sockwright.wire.udp import UDP
from sockwright.wire.udp_lite import UDPLite

FOUR = Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2")
SIX = Ethernet() / IPv6(src="fe80::1", dst="ff02::1", hop_limit=255)
LISTENER = (
    Ethernet()
    / IPv6(src="fe80::1", dst="ff02::16", hop_limit=1)
    / HopByHop(options=(RouterAlertV6(0), PadN(b"")))
)
ASKED = IPv4(src="10.0.0.2", dst="10.0.0.1") / UDP(src_port=40000, dst_port=9) / bytes(20)
ASKED_SIX = IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(src_port=40000, dst_port=9) / bytes(8)
PREFIX = IPv6Address("2001:db8::")
GROUP = IPv6Address("ff3e::1234")
EXTENSIONS = encode_extensions((MPLSLabelStack((MPLSEntry(16, bottom=True, ttl=1),)),))


def tcp(flags: str, *options: Option) -> Packet:
    return FOUR / TCP(src_port=40000, dst_port=80, flags=flags, options=options)


def stack(packet: Packet) -> list[type[Header]]:
    return [type(header) for header in packet]


def name(packet: Packet) -> str:
    return "-".join(header.layer for header in packet.layers[2:])


def icmpv6(message: Header, body: bytes = b"") -> Packet:
    return SIX / ICMPv6() / message / body


PACKETS: list[Packet] = [
    tcp("S", MSS(1460), SACKPermitted(), Timestamps(1, 0), NoOperation(), WindowScale(7)),
    tcp("SA", MSS(1460), FastOpen(bytes(8)), UserTimeout(5)),
    tcp("A", NoOperation(), NoOperation(), SACK(((1, 2), (5, 9)))) / b"hello",
    tcp("A", AO(1, 2, bytes(12))) / b"odd",
    tcp("S", MPCapable()),
    tcp("A", MPCapable(1, 1, 5, 6)),
    tcp("S", MPJoinSYN(1, 2, 3)),
    tcp("A", DSS(1, 2, 3, 5)) / b"hello",
    tcp("A", AddAddress(1, IPv4Address("10.0.0.9"), 80, bytes(8))),
    FOUR / UDP(src_port=40000, dst_port=9) / b"hello",
    SIX / UDP(src_port=40000, dst_port=9) / b"hell",
    FOUR / UDPLite(src_port=40000, dst_port=9, coverage=10) / b"hello",
    FOUR / ICMP(identifier=1, sequence=2) / b"hello",
    FOUR / ICMP(type=3, code=4, mtu=1400) / bytes(ASKED),
    FOUR / ICMP(type=5, code=1, gateway="10.0.0.254") / bytes(ASKED),
    FOUR / ICMP(type=11, length=32) / (bytes(ASKED).ljust(128, b"\0") + EXTENSIONS),
    FOUR / ICMP(type=14, identifier=1) / bytes(12),
    icmpv6(EchoRequest(identifier=1, sequence=2), b"hello"),
    icmpv6(PacketTooBig(mtu=1300), bytes(ASKED_SIX)),
    icmpv6(TimeExceeded(length=16), bytes(ASKED_SIX).ljust(128, b"\0") + EXTENSIONS),
    icmpv6(NeighborSolicitation(target="fe80::2", options=(Nonce(bytes(6)),))),
    icmpv6(NeighborAdvertisement(target="fe80::2", flags="RO")),
    icmpv6(
        RouterAdvertisement(
            flags="M",
            options=(
                SourceLinkLayerAddress(MACAddress("02:00:00:00:00:01")),
                PrefixInformation(PREFIX),
                MTU(1500),
                RouteInformation(PREFIX),
                RDNSS((PREFIX,)),
                DNSSL(("lab.test", "example.org")),
            ),
        )
    ),
    icmpv6(
        Redirect(
            target="fe80::2",
            destination="2001:db8::2",
            options=(RedirectedHeader(bytes(ASKED_SIX)),),
        )
    ),
    LISTENER / ICMPv6() / MLDQuery(),
    LISTENER / ICMPv6() / MLDv2Query(group=GROUP, sources=(PREFIX,)),
    LISTENER / ICMPv6() / MLDv2Report(records=(MulticastRecord(4, GROUP, (PREFIX,), b"abcd"),)),
]


@pytest.mark.needs("tshark")
def test_tshark_calls_every_checksum_good_and_nothing_malformed() -> None:
    file = io.BytesIO()
    writer = PcapWriter(file)
    for packet in PACKETS:
        octets = bytes(packet)
        writer.write(Record(0, octets, len(octets)))
    command = ["tshark", "-r", "-", "-T", "fields", "-E", "separator=;", "-e", "_ws.malformed"]
    for protocol in ("tcp", "udp", "udplite"):
        command += ["-o", f"{protocol}.check_checksum:TRUE"]
    for protocol in ("tcp", "udp", "icmp", "icmpv6"):
        command += ["-e", f"{protocol}.checksum.status"]
    output = subprocess.run(command, input=file.getvalue(), capture_output=True, check=True)
    lines = output.stdout.decode().splitlines()
    assert len(lines) == len(PACKETS)
    for packet, line in zip(PACKETS, lines, strict=True):
        malformed, *statuses = line.split(";")
        assert not malformed, packet
        # 1 is good; behind a comma stands the status in a quoted packet.
        assert [status.partition(",")[0] for status in statuses if status][-1:] == ["1"], packet


@pytest.mark.parametrize("packet", PACKETS, ids=name)
def test_verify_finds_nothing_wrong_with_them_either(packet: Packet) -> None:
    known = {"ethernet", "ipv4", "ipv6", "hop_by_hop"}
    for judged in (packet, Ethernet.decode(bytes(packet))):
        findings = [finding for finding in judged.verify() if finding.layer not in known]
        assert not findings
    assert stack(Ethernet.decode(bytes(packet))) == stack(packet)

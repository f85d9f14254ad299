"""tshark reads tunnels and their like built here: same layers, same values, nothing malformed."""

from __future__ import annotations

import io
import subprocess
from ipaddress import IPv4Address
from typing import Any

import pytest

from sockwright.records import PcapWriter, Record
from sockwright.wire import (
    DCCP,
    ESP,
    GRE,
    IGMP,
    MPLS,
    PPP,
    SCTP,
    UDP,
    VXLAN,
    CiscoHDLC,
    DCCPShort,
    Ethernet,
    Geneve,
    GroupRecord,
    IGMPv3Query,
    IGMPv3Report,
    IPv4,
    IPv6,
    Packet,
    PPPoE,
    PPPoEDiscovery,
    SCTPChunk,
    SCTPData,
    SCTPInit,
    SCTPSack,
)
from sockwright.wire.geneve import GeneveOption
from sockwright.wire.gre import GREAcknowledgment, GREChecksum, GREKey, GRESequence
from sockwright.wire.ipv4_options import RouterAlert
from sockwright.wire.ppp import PPPCompressed, PPPFraming
from sockwright.wire.pppoe import PPPoETag

MACS: dict[str, Any] = {"dst": "02:00:00:00:00:01", "src": "02:00:00:00:00:02"}
LINK = Ethernet(**MACS)
OUTER = LINK / IPv4(src="192.0.2.1", dst="192.0.2.2")
OUTER6 = LINK / IPv6(src="2001:db8::1", dst="2001:db8::2")
ASKED = IPv4(src="10.0.0.1", dst="10.0.0.2") / UDP(src_port=50000, dst_port=9) / b"odd"
FRAME = LINK / ASKED
PPP_SIZE = 2 + len(bytes(ASKED))
GROUP = IPv4Address("239.1.2.3")
LOCAL = LINK / IPv4(src="10.0.0.1", dst=str(GROUP), ttl=1, options=(RouterAlert(0),))


def over_udp(port: int) -> Packet:
    return OUTER / UDP(src_port=50000, dst_port=port)


def association(*chunks: Any, **fields: Any) -> Packet:
    tag = {"verification_tag": 7} | fields
    return OUTER / SCTP(src_port=5000, dst_port=6000, chunks=chunks, **tag)


# A link type, a packet, and what tshark is to find in it.
CASES: list[tuple[int, Packet, str, dict[str, str]]] = [
    (
        1,
        OUTER / GRE(optional=(GREChecksum(), GREKey(77), GRESequence(9))) / ASKED,
        "ip:gre:ip:udp",
        {"gre.key": "0x0000004d", "gre.sequence_number": "9", "gre.checksum.status": "1"},
    ),
    (1, OUTER6 / GRE() / FRAME, "ipv6:gre:eth:ethertype:ip:udp", {"gre.proto": "0x6558"}),
    (
        1,
        OUTER
        / GRE(
            version=1,
            optional=(
                GREKey(len(bytes(ASKED)) + 2 << 16 | 5),
                GRESequence(3),
                GREAcknowledgment(2),
            ),
        )
        / PPP()
        / ASKED,
        "ip:gre:ppp:ip:udp",
        {"gre.key.call_id": "5", "gre.sequence_number": "3", "gre.ack_number": "2"},
    ),
    (
        1,
        LINK / MPLS(label=17, traffic_class=5) / MPLS(label=18, ttl=3) / ASKED,
        "mpls:ip:udp",
        {"mpls.label": "17,18", "mpls.exp": "5,0", "mpls.bottom": "0,1", "mpls.ttl": "64,3"},
    ),
    (1, OUTER / FRAME, "ip:eth:ethertype:ip:udp", {"ip.proto": "143,17"}),
    (
        248,
        Packet((SCTP(verification_tag=7, src_port=1, dst_port=2),)),
        "sctp",
        {"sctp.dstport": "2"},
    ),
    (1, over_udp(6635) / MPLS() / ASKED, "udp:mpls:ip:udp", {"mpls.label": "16"}),
    (1, over_udp(4789) / VXLAN(vni=5) / FRAME, "vxlan:eth:ethertype:ip:udp", {"vxlan.vni": "5"}),
    (
        1,
        over_udp(6081) / Geneve(vni=6, options=(GeneveOption(0x0108, 0x81, bytes(4)),)) / FRAME,
        "geneve:eth:ethertype:ip:udp",
        {"geneve.vni": "0x000006", "geneve.flags.critical": "1", "geneve.option.type": "0x81"},
    ),
    (
        1,
        LINK / PPPoE(session_id=9) / PPP() / ASKED,
        "pppoes:ppp:ip:udp",
        {"ppp.protocol": "0x0021"},
    ),
    (
        1,
        LINK / PPPoEDiscovery(tags=(PPPoETag(0x0101, b"isp"),)),
        "pppoed",
        {"pppoe.payload_length": "7", "pppoed.tags.service_name": "isp"},
    ),
    (9, PPPFraming() / PPPCompressed() / ASKED, "ppp:ip:udp", {"ppp.protocol": "0x0021"}),
    (104, CiscoHDLC() / ASKED, "chdlc:ip:udp", {"chdlc.protocol": "0x0800"}),
    (
        1,
        association(SCTPSack(5, 1000, ((2, 3),), (4,)), SCTPData(9, 2, 3, 0, b"odd")),
        "ip:sctp:data",
        {"sctp.checksum.status": "1", "sctp.chunk_type": "3,0", "sctp.data_sid": "0x0002"},
    ),
    (
        1,
        association(SCTPInit(1, 1500, 2, 3, 4), verification_tag=0),
        "ip:sctp",
        {"sctp.checksum.status": "1", "sctp.init_nr_in_streams": "3"},
    ),
    (1, association(SCTPChunk(4, b"\0\1\0\6hb")), "ip:sctp", {"sctp.parameter_length": "6"}),
    (
        1,
        OUTER / DCCP(src_port=5001, dst_port=5002, coverage=1, seq_high=1, seq_low=2) / b"odd",
        "ip:dccp",
        {"dccp.checksum.status": "1", "dccp.seq_raw": str((1 << 32) + 2), "dccp.cscov": "1"},
    ),
    (
        1,
        OUTER / DCCPShort(src_port=5001, dst_port=5002, seq=77) / b"odd",
        "ip:dccp",
        {"dccp.checksum.status": "1", "dccp.x": "0", "dccp.type": "2"},
    ),
    (1, OUTER / ESP(spi=0x1234, seq=5) / bytes(16), "ip:esp", {"esp.sequence": "5"}),
    (1, LOCAL / IGMP(type=0x16, group=GROUP), "igmp:igmp", {"igmp.checksum.status": "1"}),
    (
        1,
        LOCAL / IGMPv3Query(group=GROUP, sources=(IPv4Address("10.0.0.7"),)),
        "igmp:igmp",
        {"igmp.checksum.status": "1", "igmp.saddr": "10.0.0.7", "igmp.num_src": "1"},
    ),
    (
        1,
        LOCAL / IGMPv3Report(records=(GroupRecord(4, GROUP),)),
        "igmp:igmp",
        {"igmp.checksum.status": "1", "igmp.num_grp_recs": "1", "igmp.record_type": "4"},
    ),
]
_NAMES = ["-".join(header.layer for header in packet) for _, packet, _, _ in CASES]


def ask(link_type: int, packet: Packet, fields: list[str]) -> list[str]:
    file = io.BytesIO()
    octets = bytes(packet)
    PcapWriter(file, link_type).write(Record(0, octets, len(octets), link_type))
    command = ["tshark", "-n", "-r", "-", "-o", "sctp.checksum:CRC-32c", "-T", "fields"]
    for field in ("frame.protocols", "_ws.malformed", *fields):
        command += ["-e", field]
    done = subprocess.run(command, input=file.getvalue(), capture_output=True, check=True)
    return done.stdout.decode().rstrip("\n").split("\t")


@pytest.mark.needs("tshark")
@pytest.mark.parametrize(("link_type", "packet", "protocols", "values"), CASES, ids=_NAMES)
def test_tshark_reads_what_was_built(
    link_type: int, packet: Packet, protocols: str, values: dict[str, str]
) -> None:
    found, malformed, *theirs = ask(link_type, packet, list(values))
    assert protocols in found
    assert not malformed
    assert dict(zip(values, theirs, strict=True)) == values


@pytest.mark.parametrize(("link_type", "packet"), [case[:2] for case in CASES], ids=_NAMES)
def test_nothing_is_wrong_with_it_here_either(link_type: int, packet: Packet) -> None:
    decoded = Packet.decode(bytes(packet), link_type=link_type)
    assert [type(header) for header in decoded] == [type(header) for header in packet]
    for judged in (packet, decoded):
        assert not [finding for finding in judged.verify() if finding.severity != "note"]

"""The 830 files of strangers: nothing escapes, every octet comes back, tshark sees the same."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pytest

from sockwright.records import PcapWriter, Record, read_records
from sockwright.wire import IGMP, Ethernet
from sockwright.wire.core.registry import tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sockwright.wire import Header, Packet

_PARTS = 6
_parts = pytest.mark.parametrize("part", range(_PARTS))


@dataclass(frozen=True)
class _Captured:
    """A record and where it came from."""

    file: str
    number: int
    record: Record

    def __str__(self) -> str:
        return f"{self.file} record {self.number}"


@cache
def _all(folder: Path) -> tuple[_Captured, ...]:
    found = []
    for path in sorted(folder.rglob("*.pcap*")):
        with path.open("rb") as file:
            for number, record in enumerate(read_records(file), 1):
                found.append(_Captured(path.name, number, record))
    return tuple(found)


def _known(folder: Path) -> Iterator[_Captured]:
    """Yield the records whose link type `wire` has a header for."""
    links = tables()["link_type"]
    return (captured for captured in _all(folder) if captured.record.link_type in links)


@pytest.mark.needs("capinfos")
def test_every_file_is_read_to_its_end(captures: Path) -> None:
    paths = [str(path) for path in sorted(captures.rglob("*.pcap*"))]
    # capinfos refuses a few files for their link types, and says 0 or n/a of them.
    command = ["capinfos", "-T", "-M", "-r", "-c", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    theirs = dict(line.split("\t")[:2] for line in done.stdout.splitlines())
    compared = 0
    for path in paths:
        with open(path, "rb") as file:  # noqa: PTH123  # the name as capinfos says it
            count = sum(1 for _ in read_records(file))
        if theirs.get(path, "n/a").isdigit():
            assert count == int(theirs[path]), path
            compared += 1
    assert compared > 0.97 * len(paths)


@_parts
def test_octets_come_back(captures: Path, part: int) -> None:
    for captured in _all(captures)[part::_PARTS]:
        octets = captured.record.octets
        packet = captured.record.decode()
        assert bytes(packet) == octets, captured
        assert sum(header.size for header in packet) <= len(octets), captured
        assert bytes(packet) == octets, captured


@_parts
def test_octets_come_back_whatever_the_link_type(captures: Path, part: int) -> None:
    """Every tenth record is decoded as what it is not, from each header there is."""
    links = sorted(tables()["link_type"])
    for captured in _all(captures)[part * 10 :: _PARTS * 10]:
        octets = captured.record.octets
        for link in links:
            record = Record(None, octets, len(octets), link)
            packet = record.decode()
            packet.verify()
            assert bytes(packet) == octets, f"{captured} as link type {link}"


@_parts
def test_views_show_everything(captures: Path, part: int) -> None:
    for index, captured in enumerate(_all(captures)[part::_PARTS]):
        packet = captured.record.decode()
        assert repr(packet), captured
        packet.verify()
        if index % 4 == 0:  # these are made for people, and take their time
            assert packet.show(), captured
            assert packet.code(), captured
            packet.hexdump()
            packet.diagram()
        assert bytes(packet) == captured.record.octets, captured


def _touch(packet: Packet) -> None:
    """Set every field that is not derived to the value it has."""
    for header in packet.layers:
        for field in header.fields:
            if not field.derived and field.applies(header):
                setattr(header, field.name, getattr(header, field.name))


# A checksum that nobody computed is computed by the first edit.
_COMPUTED_ANEW = {"ipv4-checksum", "tcp-checksum-offload", "udp-checksum-offload"}


@_parts
def test_edited_packets_keep_their_octets_where_nothing_is_wrong(captures: Path, part: int) -> None:
    edited = 0
    for captured in list(_known(captures))[part::_PARTS]:
        packet = captured.record.decode()
        findings = packet.verify()
        if any(f.severity == "error" or f.code in _COMPUTED_ANEW for f in findings):
            continue
        _touch(packet)
        assert bytes(packet).hex() == captured.record.octets.hex(), captured
        edited += 1
    assert edited > 1000


# The same packets as tshark has them.

_OPTIONS = (
    "ip.check_checksum:TRUE",
    "tcp.check_checksum:TRUE",
    "udp.check_checksum:TRUE",
    "sctp.checksum:CRC-32c",
    # Each packet for itself, as here.
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
)
_VALUES = {
    ("ipv4", "src"): "ip.src",
    ("ipv4", "dst"): "ip.dst",
    ("ipv4", "identification"): "ip.id",
    ("ipv6", "src"): "ipv6.src",
    ("ipv6", "dst"): "ipv6.dst",
    ("tcp", "src_port"): "tcp.srcport",
    ("tcp", "dst_port"): "tcp.dstport",
    ("tcp", "window"): "tcp.window_size_value",
    ("udp", "src_port"): "udp.srcport",
    ("udp", "dst_port"): "udp.dstport",
    ("sctp", "src_port"): "sctp.srcport",
    ("sctp", "dst_port"): "sctp.dstport",
    ("sctp", "verification_tag"): "sctp.verification_tag",
    ("gre", "protocol_type"): "gre.proto",
    ("mpls", "label"): "mpls.label",
    ("mpls", "ttl"): "mpls.ttl",
    ("mpls", "bottom"): "mpls.bottom",
    ("vxlan", "vni"): "vxlan.vni",
    ("geneve", "vni"): "geneve.vni",
    ("ppp", "protocol"): "ppp.protocol",
    ("pppoe", "session_id"): "pppoe.session_id",
    ("esp", "spi"): "esp.spi",
    ("esp", "seq"): "esp.sequence",
    ("igmp", "type"): "igmp.type",
    ("dccp", "src_port"): "dccp.srcport",
    ("dccp", "type"): "dccp.type",
    ("vlan", "vid"): "ieee8021ad.id vlan.id",  # tags announced by 0x88A8, then those by 0x8100
}
_STATUS = {
    "ipv4": "ip.checksum.status",
    "tcp": "tcp.checksum.status",
    "udp": "udp.checksum.status",
    "icmp": "icmp.checksum.status",
    "icmpv6": "icmpv6.checksum.status",
    "sctp": "sctp.checksum.status",
    "igmp": "igmp.checksum.status",
    "dccp": "dccp.checksum.status",
}
_BAD, _GOOD = "0", "1"


@dataclass(frozen=True)
class _Seen:
    """A packet as both see it; `theirs` maps tshark's fields to their values, outermost first."""

    captured: _Captured
    packet: Packet
    protocols: str
    theirs: dict[str, list[str]]


def _tshark(path: Path) -> Iterator[tuple[str, dict[str, list[str]]]]:
    fields = [name for names in _VALUES.values() for name in names.split()]
    fields += _STATUS.values()
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-e", "frame.protocols"]
    for field in fields:
        command += ["-e", field]
    for option in _OPTIONS:
        command += ["-o", option]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        protocols, *cells = line.split("\t")
        values = [cell.split(",") if cell else [] for cell in cells]
        yield protocols, dict(zip(fields, values, strict=True))


@pytest.fixture(scope="module")
def seen(captures: Path, tmp_path_factory: pytest.TempPathFactory) -> list[_Seen]:
    """Run tshark once for each link type, over one file with all packets of it."""
    by_link: dict[int, list[_Captured]] = {}
    for captured in _known(captures):
        by_link.setdefault(captured.record.link_type, []).append(captured)
    folder = tmp_path_factory.mktemp("tshark")
    found = []
    for link, group in by_link.items():
        path = folder / f"{link}.pcap"
        with path.open("wb") as file:
            writer = PcapWriter(file, link)
            for captured in group:
                record = captured.record
                writer.write(Record(0, record.octets, record.original_length, link))
        for captured, (protocols, theirs) in zip(group, _tshark(path), strict=True):
            found.append(_Seen(captured, captured.record.decode(), protocols, theirs))
    return found


# What tshark does not know of: PPP by its EtherType 0x880B anywhere but in GRE (tcpdump does), and
# DVMRP and PIM of version 1 as messages of IGMP (it has protocols of their own for them).
_ONLY_IN_GRE = 0x880B
_NO_IGMP = (0x13, 0x14)


def _as_tshark(packet: Packet) -> list[Header]:
    """Return the headers as far as tshark would know them."""
    found: list[Header] = []
    for header in packet:
        if isinstance(header, IGMP) and header.type in _NO_IGMP:
            break
        found.append(header)
        if isinstance(header, Ethernet) and header.ether_type == _ONLY_IN_GRE:
            break
    return found


def _layers(packet: Packet, name: str) -> list[Header]:
    return [header for header in _as_tshark(packet) if header.layer == name]


# Where one of these is wrong, tshark leaves the packet at that header (it also takes 4 or 6 in the
# version for the protocol, whatever was announced), and does not know of packets whose length the
# sender left to its card. Here such a packet is shown in full, with the finding.
_WHERE_TSHARK_STOPS = {"version", "ihl", "total_length", "payload_length"}


@pytest.mark.needs("tshark")
def test_tshark_reads_the_same_values(seen: list[_Seen]) -> None:
    """Where tshark goes on and we do not (tunnels, quoted packets), it has more of them."""
    odd = []
    compared = 0
    for one in seen:
        stops = any(finding.field in _WHERE_TSHARK_STOPS for finding in one.packet.verify())
        for (layer, name), fields in _VALUES.items():
            mine = [str(getattr(header, name)) for header in _layers(one.packet, layer)]
            theirs = [value for field in fields.split() for value in one.theirs[field]]
            theirs = [str(int(each, 16)) if each.startswith("0x") else each for each in theirs]
            if stops:
                mine = mine[: len(theirs)]
            if mine != theirs[: len(mine)]:
                odd.append(f"{one.captured}: {fields} {mine} {theirs} {one.protocols}")
            compared += len(mine)
    assert compared > 20_000
    assert not odd, "\n".join(odd)


# What tshark calls our layers, where it has one name for one layer; a stack of MPLS is one for it.
_NAMES = {
    "ethernet": "eth",
    "vlan": "vlan",
    "llc": "llc",
    "linux_cooked": "sll",
    "linux_cooked2": "sll",
    "bsd_loopback": "null",
    "arp": "arp",
    "ipv4": "ip",
    "ipv6": "ipv6",
    "hop_by_hop": "ipv6.hopopts",
    "routing": "ipv6.routing",
    "ipv6_fragment": "ipv6.fraghdr",
    "destination_options": "ipv6.dstopts",
    "authentication": "ah",
    "icmp": "icmp",
    "icmpv6": "icmpv6",
    "tcp": "tcp",
    "udp": "udp",
    "udp_lite": "udplite",
    "gre": "gre",
    "mpls": "mpls",
    "vxlan": "vxlan",
    "geneve": "geneve",
    "ppp": "ppp",
    "pppoe": "pppoes",
    "pppoe_discovery": "pppoed",
    "cisco_hdlc": "chdlc",
    "sctp": "sctp",
    "esp": "esp",
    "igmp": "igmp",
    "dccp": "dccp",
}


@pytest.mark.needs("tshark")
def test_tshark_finds_the_same_layers_in_the_same_order(seen: list[_Seen]) -> None:
    odd = []
    for one in seen:
        if any(finding.field in _WHERE_TSHARK_STOPS for finding in one.packet.verify()):
            continue
        mine = [_NAMES[header.layer] for header in _as_tshark(one.packet) if header.layer in _NAMES]
        mine = [
            name for at, name in enumerate(mine) if mine[at - 1 : at] != [name] or name != "mpls"
        ]
        theirs = one.protocols.replace("ieee8021ad", "vlan").split(":")
        theirs = [name for name in theirs if name in _NAMES.values()]
        # tshark knows the old ISL tag around an Ethernet frame by its destination address.
        if mine != theirs[: len(mine)] and not one.protocols.startswith("eth:eth:"):
            odd.append(f"{one.captured}: {mine} {one.protocols}")
    assert not odd, "\n".join(odd)


@pytest.mark.needs("tshark")
def test_tshark_gives_the_same_verdict_on_checksums(seen: list[_Seen]) -> None:
    odd = []
    compared = 0
    for one in seen:
        wrong = {index for index, finding in one.packet.judge() if finding.field == "checksum"}
        for layer, field in _STATUS.items():
            if layer != "ipv4" and one.packet.errors:
                # Cut short: not judged here, while tshark sums up what is there if the length of
                # the frame is not to blame but that in the IP header.
                continue
            mine = [
                _BAD if index in wrong else _GOOD
                for index, header in enumerate(one.packet)
                if header.layer == layer
            ]
            for ours, theirs in zip(mine, one.theirs[field], strict=False):
                if theirs in {_BAD, _GOOD}:  # else tshark says that it does not know
                    compared += 1
                    if ours != theirs:
                        odd.append(f"{one.captured}: {field} {ours} {theirs} {one.protocols}")
    assert compared > 7_000
    assert not odd, "\n".join(odd)

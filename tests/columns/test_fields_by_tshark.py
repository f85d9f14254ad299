"""The fields of strangers' captures, beside tshark's: equal but for the differences listed here.

The list is the one of `docs/agreement.md`. A difference that no rule of it explains is a failure,
and so is a rule that explains nothing any more.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from sockwright.columns.fields import field, values
from sockwright.errors import SockwrightError
from sockwright.records import PcapngWriter, read_records
from sockwright.wire.core.registry import tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sockwright.records import CapturedPacket, Record

_THEIRS = {
    "frame.length": "frame.len",
    "ethernet.src": "eth.src",
    "ethernet.dst": "eth.dst",
    "vlan.id": "vlan.id",
    "vlan.pcp": "vlan.priority",
    "arp.operation": "arp.opcode",
    "ipv4.src": "ip.src",
    "ipv4.dst": "ip.dst",
    "ipv4.ttl": "ip.ttl",
    "ipv4.protocol": "ip.proto",
    "ipv4.identification": "ip.id",
    "ipv4.total_length": "ip.len",
    "ipv4.dscp": "ip.dsfield.dscp",
    "ipv4.checksum": "ip.checksum",
    "ipv4.checksum_ok": "ip.checksum.status",
    "ipv6.src": "ipv6.src",
    "ipv6.dst": "ipv6.dst",
    "ipv6.hop_limit": "ipv6.hlim",
    "ipv6.payload_length": "ipv6.plen",
    "ipv6.next_header": "ipv6.nxt",
    "icmp.type": "icmp.type",
    "icmp.code": "icmp.code",
    "icmp.checksum_ok": "icmp.checksum.status",
    "icmpv6.type": "icmpv6.type",
    "icmpv6.code": "icmpv6.code",
    "icmpv6.checksum_ok": "icmpv6.checksum.status",
    "tcp.src_port": "tcp.srcport",
    "tcp.dst_port": "tcp.dstport",
    "tcp.seq": "tcp.seq_raw",
    "tcp.ack": "tcp.ack_raw",
    "tcp.flags": "tcp.flags",
    "tcp.window": "tcp.window_size_value",
    "tcp.checksum_ok": "tcp.checksum.status",
    "udp.src_port": "udp.srcport",
    "udp.dst_port": "udp.dstport",
    "udp.length": "udp.length",
    "udp.checksum_ok": "udp.checksum.status",
    "mpls.label": "mpls.label",
    "sctp.src_port": "sctp.srcport",
    "sctp.dst_port": "sctp.dstport",
}
# Checksums are checked, nothing is put together from several packets.
_PREFERENCES = (
    "ip.check_checksum:TRUE",
    "tcp.check_checksum:TRUE",
    "udp.check_checksum:TRUE",
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
)
_BAD, _GOOD = "0", "1"  # of tshark's verdicts; 2 is unverified, 3 not present


class _Difference(NamedTuple):
    """One field of one packet that tshark has otherwise."""

    packet: CapturedPacket
    protocols: tuple[str, ...]  # as tshark names them, outermost first
    name: str
    ours: list[str]
    theirs: list[str]

    @property
    def more(self) -> bool:
        """Whether all that tshark has is here too, and more."""
        return not Counter(self.theirs) - Counter(self.ours)


_NOT_OPENED = {
    "avsp", "cmd", "erspan", "isl", "macsec", "nsh", "openflow", "pim", "sflow",
}  # fmt: skip


def _carried_unopened(it: _Difference) -> bool:
    stranger = any(name in it.protocols for name in _NOT_OPENED)
    isl = it.protocols[:2] == ("eth", "eth")
    return stranger or isl or _ether_type_in_gre(it.packet) == _WCCP


_WCCP = 0x883E


def _ether_type_in_gre(packet: CapturedPacket) -> int | None:
    for header in packet:
        if header.layer == "gre":
            return int(header.protocol_type)  # type: ignore[attr-defined]
    return None


def _length_zero(it: _Difference) -> bool:
    return any(
        getattr(header, name, 1) == 0
        for header in it.packet
        for name in ("total_length", "payload_length", "length")
        if header.layer in ("ipv4", "ipv6", "udp")
    )


def _version_differs(it: _Difference) -> bool:
    for header in it.packet:
        version = getattr(header, "version", None)
        if header.is_network and version != {"ipv4": 4, "ipv6": 6}[header.layer]:
            return True
    return False


def _nonsense(it: _Difference) -> bool:
    return it.more and any(found.severity == "error" for found in it.packet.verify())


_RULES: dict[str, Callable[[_Difference], bool]] = {
    "link types that are not decoded here": lambda it: (
        it.packet.link_type not in tables()["link_type"]
    ),
    "the datagram that an ICMP error quotes": lambda it: (
        bool({"icmp", "icmpv6"} & set(it.protocols)) and not set(it.ours) - set(it.theirs)
    ),
    "what protocols carry that are not decoded here": _carried_unopened,
    "reserved bits beside the TCP flags": lambda it: (
        it.name == "tcp.flags"
        and [int(one) & 0x1FF for one in it.theirs] == [int(one) for one in it.ours]
    ),
    "lengths of 0": _length_zero,
    "tags of 802.1ad": lambda it: (
        it.name in ("vlan.id", "vlan.pcp") and "ieee8021ad" in it.protocols
    ),
    "a version that is not the announced one": _version_differs,
    "nonsense is shown": _nonsense,
    "headers that are cut": lambda it: bool(it.packet.errors) and not it.ours,
    "ARP over ATM": lambda it: "atmarp" in it.protocols,
}


def _records(folder: Path) -> list[Record]:
    found = []
    for path in sorted((folder / "tcpdump").iterdir()):
        with path.open("rb") as file:
            try:
                for record in read_records(file):
                    found.append(record)  # noqa: PERF402  # those before the error count
            except SockwrightError:
                continue
    return found


def _told_by_tshark(records: list[Record], path: Path) -> list[list[str]]:
    with path.open("wb") as file:
        writer = PcapngWriter(file)
        for record in records:
            writer.write(record)
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "aggregator=,"]
    for preference in _PREFERENCES:
        command += ["-o", preference]
    for name in ("frame.protocols", *_THEIRS.values()):
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def _as_told(name: str, given: str) -> list[str]:
    parts = given.split(",") if given else []
    if name.endswith("_ok"):
        return [part for part in parts if part in (_BAD, _GOOD)]
    return [str(int(part, 16)) if part.startswith("0x") else part for part in parts]


def _as_here(value: Any) -> str:  # of any field
    return str(int(value)) if isinstance(value, int) else str(value)


@pytest.mark.needs("tshark")
def test_fields_of_strangers_captures_are_those_of_tshark(captures: Path, tmp_path: Path) -> None:
    records = _records(captures)
    lines = _told_by_tshark(records, tmp_path / "all.pcapng")
    assert len(records) == len(lines) > 10_000
    infos = [(name, field(name)) for name in _THEIRS]
    used: Counter[str] = Counter()
    compared = 0
    unexplained = []
    for number, (record, (protocols, *given)) in enumerate(zip(records, lines, strict=True), 1):
        packet = record.decode(number)
        for (name, info), told in zip(infos, given, strict=True):
            ours = [_as_here(value) for value in values(packet, info) if value is not None]
            theirs = _as_told(name, told)
            compared += len(theirs)
            if ours == theirs:
                continue
            it = _Difference(packet, tuple(protocols.split(":")), name, ours, theirs)
            rule = next((text for text, holds in _RULES.items() if holds(it)), None)
            if rule is None:
                unexplained.append(f"packet {number} {protocols} {name}: {ours}, tshark {theirs}")
            else:
                used[rule] += 1
    assert compared > 100_000
    assert not unexplained, "\n".join(unexplained[:20])
    assert set(used) == set(_RULES)


def test_every_difference_is_on_the_page(project: Path) -> None:
    page = " ".join((project / "docs" / "agreement.md").read_text().split())
    assert not [rule for rule in _RULES if rule not in page]

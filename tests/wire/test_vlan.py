"""VLAN tags: one, stacked, around LLC; agreement with scapy; what `verify` says."""

from __future__ import annotations

from typing import Any

from scapy.layers import inet
from scapy.layers.inet import IP
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire.ethernet import Ethernet
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.llc import LLC
from sockwright.wire.udp import UDP
from sockwright.wire.vlan import VLAN

MACS: dict[str, Any] = {"dst": "02:00:00:00:00:01", "src": "02:00:00:00:00:02"}
IPS: dict[str, Any] = {"src": "10.0.0.1", "dst": "10.0.0.2"}
TAGGED = (
    Ethernet(**MACS) / VLAN(pcp=5, dei=1, vid=100) / IPv4(**IPS) / UDP(src_port=7, dst_port=8)
) / b"hi"


def test_octets_are_those_of_scapy() -> None:
    theirs = Ether(**MACS) / Dot1Q(prio=5, dei=1, vlan=100) / IP(**IPS, id=0)
    assert bytes(TAGGED) == bytes(theirs / inet.UDP(sport=7, dport=8) / b"hi")
    ours = Ethernet(**MACS, ether_type=0x88A8) / VLAN(vid=2) / VLAN(vid=3) / IPv4(**IPS) / b"x"
    outer = Ether(**MACS) / Dot1AD(vlan=2) / Dot1Q(vlan=3) / IP(**IPS, id=0, proto=253) / b"x"
    assert bytes(ours) == bytes(outer)


def test_every_kind_of_tag_is_read() -> None:
    for number in (0x8100, 0x88A8, 0x9100):
        packet = Ethernet.decode(bytes(12) + number.to_bytes(2, "big") + b"\xb0\x64\x08\x00")
        tag = packet[VLAN]
        assert (tag.pcp, tag.dei, tag.vid, tag.ether_type) == (5, 1, 100, 0x0800)


def test_a_tagged_frame_with_a_length_carries_llc_and_padding() -> None:
    packet = Ethernet(**MACS) / VLAN(vid=1) / LLC(dsap=0x42, ssap=0x42) / b"bpdu"
    octets = bytes(packet) + bytes(8)
    assert octets[16:18] == b"\0\7"
    decoded = survives_an_edit(octets, Ethernet)
    assert (decoded.payload, decoded.trailer) == (b"bpdu", bytes(8))


def test_tags_hold() -> None:
    survives_an_edit(bytes(TAGGED), Ethernet)
    every_truncation_is_told(b"\x00\x64\x88\xb5", VLAN, 4)
    decode_never_raises(VLAN, bytes(TAGGED)[14:])


def test_verify_says_what_is_wrong_with_a_tag() -> None:
    assert not codes(TAGGED)
    packet = TAGGED.copy()
    packet[VLAN].vid = 4095
    assert codes(packet) == {"vlan-vid"}
    packet[VLAN].vid = 1
    packet[VLAN].ether_type = 0x86DD
    assert codes(packet) == {"vlan-ether-type"}
    swapped = bytes(TAGGED)[:16] + b"\0\x08" + bytes(TAGGED)[18:]
    (finding,) = [
        found for found in Ethernet.decode(swapped).verify() if found.code == "vlan-ether-type"
    ]
    assert "swapped" in finding.message

"""LLC and SNAP: both lengths of the control field, IP behind SNAP as in RFC 1042."""

from __future__ import annotations

from typing import Any

from scapy.layers import l2
from scapy.layers.inet import IP
from scapy.layers.l2 import Dot3
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire.ethernet import Ethernet
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.llc import LLC, LLCNumbered
from sockwright.wire.snap import SNAP

MACS: dict[str, Any] = {"dst": "02:00:00:00:00:01", "src": "02:00:00:00:00:02"}
IPS: dict[str, Any] = {"src": "10.0.0.1", "dst": "10.0.0.2"}


def test_octets_are_those_of_scapy() -> None:
    ours = Ethernet(**MACS) / LLC() / SNAP() / IPv4(**IPS, protocol=16) / b"abc"
    theirs = Dot3(**MACS) / l2.LLC(ctrl=3) / l2.SNAP() / IP(**IPS, id=0, proto=16) / b"abc"
    assert bytes(ours) == bytes(theirs)
    assert not codes(ours)
    survives_an_edit(bytes(ours) + bytes(4), Ethernet)


def test_the_control_field_has_one_octet_or_two() -> None:
    spanning_tree = LLC.decode(b"\x42\x42\x03rest")
    assert spanning_tree[LLC].control == 3
    assert spanning_tree.payload == b"rest"
    numbered = LLC.decode(b"\xf0\xf0\x01\x02rest")
    assert numbered[LLCNumbered].control == 0x0102
    assert numbered.payload == b"rest"


def test_a_response_keeps_its_source_when_edited() -> None:
    octets = bytes(LLC(dsap=0xAA, ssap=0xAB) / SNAP() / IPv4(**IPS) / b"")
    survives_an_edit(octets, LLC)


def test_numbers_of_another_organisation_lead_nowhere() -> None:
    packet = LLC.decode(b"\xaa\xaa\x03\x00\x00\x0c\x08\x00" + bytes(IPv4(**IPS)))
    assert packet.layers[-1].layer == "snap"
    assert packet[SNAP].oui == b"\x00\x00\x0c"
    assert not codes(packet)


def test_they_hold() -> None:
    every_truncation_is_told(b"\x42\x42\x03", LLC, 3)
    every_truncation_is_told(b"\xaa\xaa\x03\0\0\0\x12\x34", LLC, 8)
    every_truncation_is_told(b"\xf0\xf0\x01\x02", LLC, 4)
    decode_never_raises(LLC, b"\xaa\xaa\x03\0\0\0\x08\0", b"\xf0\xf0\x01")
    decode_never_raises(SNAP)


def test_verify_says_what_does_not_fit() -> None:
    packet = Ethernet(**MACS) / LLC(dsap=0x42) / SNAP() / IPv4(**IPS) / b""
    assert codes(packet) == {"llc-dsap"}
    packet = Ethernet(**MACS) / LLC() / SNAP(pid=0x86DD) / IPv4(**IPS) / b""
    assert codes(packet) == {"snap-pid"}
    packet = Ethernet(**MACS, ether_type=99) / LLC() / SNAP() / IPv4(**IPS) / b""
    assert codes(packet) == {"ethernet-length"}

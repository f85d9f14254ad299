"""BSD loopback in both byte orders, and raw IP without any link layer."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import Loopback
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire import Packet
from sockwright.wire.bsd_loopback import BSDLoopback, BSDNull
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.ipv6 import IPv6
from sockwright.wire.raw_ip import RawIP

V4 = IPv4(src="127.0.0.1", dst="127.0.0.1") / b"x"
V6 = IPv6(src="::1", dst="::1") / b"x"


def test_both_byte_orders_are_read_and_come_back() -> None:
    for start, header in ((b"\2\0\0\0", BSDNull), (b"\0\0\0\2", BSDLoopback)):
        packet = Packet.decode(start + bytes(V4), link_type=0)
        assert type(packet[0]) is header
        first = packet[0]
        assert isinstance(first, BSDNull | BSDLoopback)
        assert first.family == 2
        assert packet[IPv4].ttl == 64
        assert not codes(packet)
        survives_an_edit(start + bytes(V4), BSDNull)


@pytest.mark.parametrize("family", [10, 24, 28, 30])
def test_every_family_of_ipv6_is_kept(family: int) -> None:
    for octets in (family.to_bytes(4, "little"), family.to_bytes(4, "big")):
        packet = survives_an_edit(octets + bytes(V6), BSDNull)
        assert packet[IPv6].hop_limit == 64
        assert not codes(packet)


def test_octets_are_those_of_scapy() -> None:
    theirs = IP(src="127.0.0.1", dst="127.0.0.1", id=0, proto=253) / b"x"
    assert bytes(BSDLoopback() / V4) == (2).to_bytes(4, "big") + bytes(theirs)
    assert bytes(BSDNull() / V4) == bytes(Loopback(type=2) / theirs)


def test_the_family_follows_what_is_carried() -> None:
    assert (BSDNull() / V6)[BSDNull].family == 30
    assert (BSDLoopback() / V6)[BSDLoopback].family == 30
    with pytest.raises(ValueError, match=r"family.*0 to 4294967295"):
        BSDNull(family=1 << 32)


def test_they_hold() -> None:
    every_truncation_is_told(b"\x07\0\0\0", BSDNull, 4)
    every_truncation_is_told(b"\0\0\0\7", BSDLoopback, 4)
    decode_never_raises(BSDNull, b"\2\0\0\0\x45")
    decode_never_raises(BSDLoopback, b"\0\0\0\2\x45")
    decode_never_raises(RawIP, b"\x45", b"\x60")


def test_verify_compares_the_family() -> None:
    assert codes(BSDNull(family=30) / V4) == {"bsd-loopback-family"}
    assert codes(BSDLoopback(family=2) / V6) == {"bsd-loopback-family"}


@pytest.mark.parametrize("link_type", [101, 12, 14])
def test_raw_ip_goes_by_the_version(link_type: int) -> None:
    assert Packet.decode(bytes(V4), link_type=link_type)[IPv4].ttl == 64
    assert Packet.decode(bytes(V6), link_type=link_type)[IPv6].hop_limit == 64
    for octets in (b"", b"\x50abc"):
        packet = Packet.decode(octets, link_type=link_type)
        assert bytes(packet) == packet.payload == octets
        assert codes(packet) == {"raw-ip-version"}


def test_link_types_of_one_version_are_known() -> None:
    assert Packet.decode(bytes(V4), link_type=228)[IPv4].ttl == 64
    assert Packet.decode(bytes(V6), link_type=229)[IPv6].hop_limit == 64

"""PPP, its framing, PPPoE and Cisco's HDLC: agreement with scapy, compression, tags, findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers import ppp
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire import GRE, MPLS, CiscoHDLC, Ethernet, IPv4, IPv6, Packet, PPPoE
from sockwright.wire.ppp import PPP, PPPCompressed, PPPFraming
from sockwright.wire.pppoe import MalformedTag, PPPoEDiscovery, PPPoETag

if TYPE_CHECKING:
    from sockwright.wire import Header

INNER = IPv4(src="10.0.0.1", dst="10.0.0.2")
INNER6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
MACS: dict[str, Any] = {"dst": "02:00:00:00:00:01", "src": "02:00:00:00:00:02"}
# RFC 2516 appendix B: a PADI with an empty Service-Name, and a PADO.
PADI = bytes.fromhex("11090000000401010000")
PADO = bytes.fromhex("1107000000200101000001020018476f2052656453756e") + b"aaaaaaaaaaaaaaa"


def classes(packet: Packet) -> list[type[Header]]:
    return [type(layer) for layer in packet]


def test_a_session_has_the_octets_of_scapy() -> None:
    ours = Ethernet(**MACS) / PPPoE(session_id=9) / PPP() / INNER / b"hello"
    theirs = Ether(**MACS) / ppp.PPPoE(sessionid=9) / ppp.PPP()
    theirs /= IP(src="10.0.0.1", dst="10.0.0.2", id=0, proto=253) / b"hello"
    assert bytes(ours).hex() == bytes(theirs).hex()
    decoded = survives_an_edit(bytes(ours) + bytes(7), Ethernet)
    assert classes(decoded) == classes(ours)
    assert (decoded[PPPoE].length, decoded[PPP].protocol, decoded.trailer) == (27, 0x21, bytes(7))
    assert not codes(ours)


def test_a_discovery_packet_has_the_octets_of_the_rfc() -> None:
    asked = PPPoEDiscovery(tags=(PPPoETag(0x0101),))
    assert bytes(asked) == PADI
    padded = survives_an_edit(bytes(Ethernet(**MACS) / asked) + bytes(36), Ethernet)
    assert padded.trailer == bytes(36)
    assert not codes(padded)
    offer = survives_an_edit(PADO, PPPoEDiscovery)[PPPoEDiscovery]
    assert offer.tags == (PPPoETag(0x0101), PPPoETag(0x0102, PADO[14:]))
    assert offer.code == 7


def test_tags_have_the_octets_of_scapy() -> None:
    ours = PPPoEDiscovery(tags=(PPPoETag(0x0101, b"isp"), PPPoETag(0x0103, b"\1\2")))
    tags = [
        ppp.PPPoETag(tag_type=0x0101, tag_value=b"isp"),
        ppp.PPPoETag(tag_type=0x0103, tag_value=b"\1\2"),
    ]
    assert bytes(ours) == bytes(ppp.PPPoED(code=9) / ppp.PPPoED_Tags(tag_list=tags))


def test_a_tag_that_is_cut_is_kept() -> None:
    octets = b"\x11\x07\0\0\0\x06\x01\x02\0\x09ab"
    packet = survives_an_edit(octets, PPPoEDiscovery)
    assert packet[PPPoEDiscovery].tags == (MalformedTag(octets[6:]),)
    assert codes(packet) == {"pppoe-discovery-tags"}


@pytest.mark.parametrize("link_type", [9, 50])
def test_address_control_and_protocol_may_be_left_out(link_type: int) -> None:
    for packet in (
        PPPFraming() / PPP() / INNER / b"x",
        PPPFraming() / PPPCompressed() / INNER6 / b"x",
        PPP() / INNER6 / b"x",
        PPPCompressed() / INNER / b"x",
        PPPFraming() / PPP() / MPLS() / INNER / b"x",
        PPP(protocol=0xC021) / b"\1\1\0\4",
        CiscoHDLC(address=0x8F) / INNER6 / b"x",
    ):
        decoded = Packet.decode(bytes(packet), link_type=link_type)
        assert decoded == packet
        assert classes(decoded) == classes(packet)
        assert not codes(packet)
        survives_an_edit(bytes(packet), type(packet[0]))


def test_the_numbers_are_written() -> None:
    assert bytes(PPPFraming() / PPP() / INNER)[:4] == b"\xff\x03\x00\x21"
    assert bytes(PPPCompressed() / INNER6)[:1] == b"\x57"
    assert bytes(PPP() / MPLS())[:2] == b"\x02\x81"


def test_a_session_may_be_a_capture_of_its_own() -> None:
    for packet in (PPPoE(session_id=1) / PPP() / INNER, Packet((PPPoEDiscovery(),))):
        assert Packet.decode(bytes(packet), link_type=51) == packet


def test_ppp_in_gre_is_found() -> None:
    for inside in (PPPFraming() / PPP() / INNER, PPP() / INNER, PPPCompressed() / INNER):
        packet = IPv4(src="192.0.2.1", dst="192.0.2.2") / GRE(version=1) / inside
        assert classes(IPv4.decode(bytes(packet))) == classes(packet)
        assert packet[GRE].protocol_type == 0x880B


def test_serial_line_arp_is_no_rarp() -> None:
    octets = b"\x8f\x00\x80\x35" + bytes(14)
    packet = Packet.decode(octets, link_type=104)
    assert classes(packet) == [CiscoHDLC]
    assert not codes(packet)


def test_they_hold() -> None:
    for header in (PPP, PPPCompressed, PPPFraming, CiscoHDLC, PPPoE):
        octets = bytes(header())
        every_truncation_is_told(octets, header, len(octets))
        decode_never_raises(header, octets, octets + bytes(INNER / b""))
    every_truncation_is_told(PADO, PPPoEDiscovery, len(PADO))
    decode_never_raises(PPPoEDiscovery, PADO, PADI)


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (PPP(protocol=0x0022) / b"", "ppp-protocol"),
        (PPP(protocol=0x0121) / b"", "ppp-protocol"),
        (PPP(protocol=0x0057) / INNER, "ppp-protocol"),
        (PPPCompressed(protocol=0x20) / b"", "ppp-protocol"),
        (PPPFraming(address=1) / PPP() / INNER, "ppp-framing-address"),
        (PPPFraming(control=1) / PPP() / INNER, "ppp-framing-address"),
        (PPPoE(session_id=1, version=2) / PPP() / INNER, "pppoe-version"),
        (PPPoE(session_id=1, code=9) / PPP() / INNER, "pppoe-code"),
        (PPPoE() / PPP() / INNER, "pppoe-session-id"),
        (PPPoE(session_id=1, length=3) / PPP() / INNER, "pppoe-length"),
        (Packet((PPPoEDiscovery(code=0x33),)), "pppoe-discovery-code"),
        (Packet((PPPoEDiscovery(code=7, session_id=1),)), "pppoe-discovery-session-id"),
        (Packet((PPPoEDiscovery(),)), "pppoe-discovery-service-name"),
        (CiscoHDLC(address=1) / INNER, "cisco-hdlc-address"),
        (CiscoHDLC(control=1) / INNER, "cisco-hdlc-control"),
        (CiscoHDLC(protocol_type=0x86DD) / INNER, "cisco-hdlc-protocol-type"),
    ],
)
def test_verify_names_the_mistake(packet: Packet, code: str) -> None:
    assert codes(packet) == {code}


def test_what_does_not_fit_the_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pppoe\.length: 65536"):
        bytes(PPPoE() / bytes(65536))

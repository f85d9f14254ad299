"""IPv6 and its extension headers: agreement with scapy, routes, jumbograms, `verify`."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import pytest
from scapy.layers import inet, inet6, ipsec
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire import Header, Packet
from sockwright.wire.authentication import Authentication
from sockwright.wire.core.option import MalformedOption, Option
from sockwright.wire.destination_options import DestinationOptions
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.hop_by_hop import HopByHop
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.ipv6 import IPv6
from sockwright.wire.ipv6_fragment import IPv6Fragment
from sockwright.wire.ipv6_options import (
    HomeAddress,
    JumboPayload,
    Pad1,
    PadN,
    RouterAlertV6,
    TunnelEncapsulationLimit,
    UnknownIPv6Option,
)
from sockwright.wire.routing import Routing, SegmentRouting, SourceRouting
from sockwright.wire.tcp import TCP
from sockwright.wire.udp import UDP

IPS: dict[str, Any] = {"src": "2001:db8::1", "dst": "2001:db8::2"}
A, B = IPv6Address("2001:db8::3"), IPv6Address("2001:db8::4")
ROUTE = ["2001:db8::3", "2001:db8::4"]
BASE = IPv6(**IPS)
UPPER = UDP(src_port=5, dst_port=6) / b"hello"
THEIR_BASE = inet6.IPv6(**IPS)
THEIR_UPPER = inet.UDP(sport=5, dport=6) / b"hello"

CASES: list[tuple[Header, Any]] = [
    (HopByHop(), inet6.IPv6ExtHdrHopByHop(options=[inet6.PadN(optdata=bytes(4))])),
    (
        HopByHop(options=(RouterAlertV6(1),)),
        inet6.IPv6ExtHdrHopByHop(options=[inet6.RouterAlert(value=1)]),
    ),
    (
        DestinationOptions(options=(PadN(bytes(2)), HomeAddress(A))),
        inet6.IPv6ExtHdrDestOpt(options=[inet6.HAO(hoa=ROUTE[0])]),
    ),
    (SourceRouting(addresses=ROUTE), inet6.IPv6ExtHdrRouting(addresses=ROUTE)),
    (
        SourceRouting(routing_type=2, addresses=(A,)),
        inet6.IPv6ExtHdrRouting(type=2, addresses=ROUTE[:1]),
    ),
    (SegmentRouting(segments=ROUTE), inet6.IPv6ExtHdrSegmentRouting(addresses=ROUTE)),
    (
        IPv6Fragment(identification=9, reserved2=1),
        inet6.IPv6ExtHdrFragment(id=9, res2=1),
    ),
]
NUMBERS = {"authentication": 51}


@pytest.mark.parametrize(("ours", "theirs"), CASES)
def test_octets_are_those_of_scapy(ours: Header, theirs: Any) -> None:
    built = BASE / ours / UPPER
    assert bytes(built).hex() == bytes(THEIR_BASE / theirs / THEIR_UPPER).hex()
    decoded = survives_an_edit(bytes(built), IPv6)
    assert decoded == built
    assert decoded[UDP].dst_port == 6


def test_the_authentication_header_is_that_of_scapy() -> None:
    ours = BASE / Authentication(spi=300, seq=2, icv=bytes(range(12))) / UPPER
    theirs = ipsec.AH(nh=17, payloadlen=4, spi=300, seq=2, icv=bytes(range(12)))
    octets = bytes(THEIR_BASE / theirs)
    assert bytes(ours)[40:64] == octets[40:64]
    survives_an_edit(bytes(ours), IPv6)
    assert not codes(ours)
    in_ipv4 = IPv4(src="10.0.0.1", dst="10.0.0.2") / Authentication(icv=bytes(12)) / UPPER
    assert in_ipv4[IPv4].protocol == 51
    assert not codes(in_ipv4)
    survives_an_edit(bytes(in_ipv4), IPv4)


def test_the_fixed_header_is_that_of_scapy() -> None:
    ours = IPv6(**IPS, traffic_class=0xB9, flow_label=0x12345, hop_limit=3) / TCP(
        src_port=20, dst_port=80, flags="S"
    )
    theirs = inet6.IPv6(**IPS, tc=0xB9, fl=0x12345, hlim=3) / inet.TCP(window=65535)
    assert bytes(ours).hex() == bytes(theirs).hex()
    header = ours[IPv6]
    assert (header.dscp, header.ecn, header.payload_length) == (46, 1, 20)


def test_they_hold() -> None:
    octets = bytes(BASE / UPPER)
    every_truncation_is_told(octets, IPv6, len(octets))
    for header, _ in CASES:
        whole = bytes(Packet((header,)))
        every_truncation_is_told(whole, type(header), len(whole))
        decode_never_raises(type(header), whole)
        decode_never_raises(IPv6, bytes(BASE / header / UPPER))
    decode_never_raises(Authentication, bytes(Authentication(icv=bytes(12)) / b""))
    decode_never_raises(Routing, b"\x3b\1\3\1")


# Type 3: of the address only the last octet is there, then come seven octets of padding.
RPL = Routing(routing_type=3, segments_left=1, data=b"\xff\x70\0\0\x09" + bytes(7))
OPTIONS: list[Option] = [
    Pad1(),
    PadN(b"\0"),
    RouterAlertV6(2),
    TunnelEncapsulationLimit(4),
    JumboPayload(70000),
    HomeAddress(A),
    UnknownIPv6Option(0x3E, b"data"),
]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("header", [HopByHop, DestinationOptions])
def test_options_come_back(option: Option, header: type[HopByHop | DestinationOptions]) -> None:
    packet = header.decode(bytes(header(options=(option,)) / b""))
    assert packet[header].options[0] == option
    assert packet[header].size % 8 == 0


def test_options_that_do_not_fit_are_kept_raw_or_refused() -> None:
    raw = HopByHop.decode(b"\x3b\0\x05\3abc\0")
    assert raw[HopByHop].options[0] == UnknownIPv6Option(5, b"abc")
    lying = HopByHop.decode(b"\x3b\0\x05\x20abcd")
    assert lying[HopByHop].options == (MalformedOption(b"\x05\x20abcd"),)
    with pytest.raises(ValueError, match="value: 65536 is outside 0 to 65535"):
        RouterAlertV6(65536)
    with pytest.raises(ValueError, match="2046 fit"):
        HopByHop(options=[PadN(bytes(255))] * 9)


def test_a_jumbogram_goes_by_its_option() -> None:
    data = bytes(70000)
    options = (JumboPayload(8 + 8 + len(data)),)
    packet = BASE / HopByHop(options=options) / UDP(src_port=1, dst_port=2) / data
    assert packet[IPv6].payload_length == 0
    assert not codes(packet)
    frame = bytes(packet) + b"pad"
    decoded = survives_an_edit(frame, IPv6)
    assert decoded.trailer == b"pad"
    with pytest.raises(ValueError, match="JumboPayload"):
        bytes(BASE / UDP(src_port=1, dst_port=2) / data)


def test_checksums_cover_the_end_of_a_route() -> None:
    udp = UDP(src_port=5, dst_port=6)
    for route, last in (
        (SourceRouting(addresses=ROUTE), B),
        (SourceRouting(addresses=ROUTE, segments_left=0), IPv6Address("2001:db8::2")),
        (SegmentRouting(segments=ROUTE), A),
        (RPL, IPv6Address("2001:db8::9")),
    ):
        packet = BASE / route / udp / b"x"
        direct = IPv6(src="2001:db8::1", dst=last) / udp / b"x"
        assert packet[UDP].checksum == direct[UDP].checksum
        assert "udp-checksum" not in codes(IPv6.decode(bytes(packet)))


def test_a_route_under_way_is_not_reset_by_an_edit() -> None:
    packet = IPv6.decode(bytes(BASE / SourceRouting(addresses=ROUTE, segments_left=1) / UPPER))
    packet[IPv6].hop_limit = 9
    assert packet[SourceRouting].segments_left == 1


def test_segment_routing_keeps_what_stands_behind_the_segments() -> None:
    tlv = b"\x05\x1e" + bytes(30)
    octets = bytes(SegmentRouting(last_entry=1, segments=[*ROUTE, tlv]) / UPPER)
    packet = survives_an_edit(octets, Routing)
    assert packet[SegmentRouting].segments == (A, B, tlv)
    assert packet[SegmentRouting].segments_left == 1


def test_padding_of_a_frame_behind_ipv6_is_a_trailer() -> None:
    frame = bytes(Ethernet() / BASE / UDP(src_port=1, dst_port=2) / b"") + bytes(3)
    assert Ethernet.decode(frame).trailer == bytes(3)
    nothing = Ethernet.decode(bytes(Ethernet() / IPv6(**IPS, next_header=59)) + bytes(6))
    assert nothing.trailer == bytes(6)
    assert not codes(nothing)


def test_good_packets_have_no_findings() -> None:
    for headers in ((), (HopByHop(options=(RouterAlertV6(),)),), (SegmentRouting(segments=ROUTE),)):
        packet = Packet((BASE, *headers)) / UPPER
        assert not codes(packet)
        assert not codes(IPv6.decode(bytes(packet)))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"version": 4}, "ipv6-version"),
        ({"payload_length": 12}, "ipv6-payload-length"),
        ({"payload_length": 400}, "ipv6-payload-length"),
        ({"payload_length": 0}, "ipv6-payload-length"),
        ({"hop_limit": 0}, "ipv6-hop-limit"),
        ({"next_header": 6}, "ipv6-next-header"),
        ({"src": "::"}, "ipv6-martian"),
        ({"src": "ff02::1"}, "ipv6-martian"),
        ({"src": "::ffff:10.0.0.1"}, "ipv6-martian"),
        ({"dst": "::"}, "ipv6-martian"),
        ({"dst": "ff00::1"}, "ipv6-martian"),
    ],
)
def test_verify_names_the_mistake(change: dict[str, Any], code: str) -> None:
    packet = BASE / UPPER
    for name, value in change.items():
        setattr(packet[IPv6], name, value)
    assert code in codes(packet)


def test_loopback_addresses_are_martian_on_a_wire_alone() -> None:
    packet = IPv6(src="::1", dst="::1") / UPPER
    assert not codes(packet)
    assert not codes(Ethernet() / packet)
    assert "ipv6-martian" in codes(Ethernet(src="02:00:00:00:00:01") / packet)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (HopByHop(hdr_ext_len=3), "hop-by-hop-hdr-ext-len"),
        (HopByHop(next_header=6), "hop-by-hop-next-header"),
        (HopByHop(options=(Pad1(), RouterAlertV6())), "hop-by-hop-option-alignment"),
        (HopByHop(options=(PadN(b"abcd"),)), "hop-by-hop-padding"),
        (HopByHop(options=(Pad1(), Pad1())), "hop-by-hop-padding"),
        (HopByHop(options=(JumboPayload(9),)), "hop-by-hop-jumbo"),
        (HopByHop(options=(MalformedOption(b"\5\x20abcd"),)), "hop-by-hop-option-length"),
        (SourceRouting(addresses=ROUTE), "routing-deprecated"),
        (SourceRouting(routing_type=2, addresses=ROUTE), "routing-addresses"),
        (SourceRouting(addresses=ROUTE, segments_left=3), "routing-segments-left"),
        (SourceRouting(addresses=(b"12345678",)), "routing-hdr-ext-len"),
        (SegmentRouting(segments=ROUTE, last_entry=2), "routing-last-entry"),
        (SegmentRouting(segments=ROUTE, segments_left=3), "routing-segments-left"),
        (Routing(hdr_ext_len=1), "routing-hdr-ext-len"),
        (IPv6Fragment(), "ipv6-fragment-atomic"),
        (IPv6Fragment(more=1), "ipv6-fragment-fragment-length"),
        (IPv6Fragment(reserved=1), "ipv6-fragment-reserved"),
        (IPv6Fragment(fragment_offset=8191), "ipv6-fragment-fragment-offset"),
        (Authentication(payload_len=9), "authentication-payload-len"),
        (Authentication(icv=bytes(8)), "authentication-payload-len"),
        (Authentication(icv=bytes(12), reserved=1), "authentication-reserved"),
        (Authentication(icv=bytes(12), spi=0), "authentication-spi"),
    ],
)
def test_verify_judges_extension_headers(header: Header, code: str) -> None:
    assert code in codes(BASE / header / UPPER)


def test_hop_by_hop_options_stand_first() -> None:
    assert "hop-by-hop-order" in codes(BASE / DestinationOptions() / HopByHop() / UPPER)
    assert "ipv6-no-next-header" in codes(IPv6(**IPS, next_header=59) / b"x")


def test_a_forgotten_next_header_is_found_in_decoded_octets() -> None:
    octets = bytearray(bytes(BASE / UPPER))
    octets[6] = 99
    assert "ipv6-next-header" in codes(IPv6.decode(octets))


def test_transports_in_fragments_keep_their_fields_and_are_not_judged() -> None:
    udp = UDP(src_port=1, dst_port=2, length=900, checksum=7)
    packet = IPv6.decode(bytes(BASE / IPv6Fragment(more=1, identification=5) / udp / bytes(8)))
    assert not packet.errors
    assert not codes(packet)
    packet[IPv6].hop_limit = 9
    assert (packet[UDP].length, packet[UDP].checksum) == (900, 7)
    later = IPv6Fragment(fragment_offset=4, next_header=17)
    assert IPv6.decode(bytes(BASE / later / bytes(16))).payload == bytes(16)

"""IPv4: vectors, agreement with scapy, options, source routes, and each mistake `verify` names."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers import inet
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire.core.option import MalformedOption, NoOperation, Option, UnknownOption
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.icmp import ICMP
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.ipv4_options import (
    LooseSourceRoute,
    RecordRoute,
    RouterAlert,
    Security,
    StreamID,
    StrictSourceRoute,
    TimedAddress,
    Timestamps,
    Traceroute,
)
from sockwright.wire.tcp import TCP
from sockwright.wire.udp import UDP

if TYPE_CHECKING:
    from sockwright.wire import Packet

IPS: dict[str, Any] = {"src": "10.0.0.1", "dst": "10.0.0.2"}
HOP = IPv4Address("10.0.0.7")
GOOD = IPv4(**IPS) / UDP(src_port=1000, dst_port=2000) / b"hello"
# A header often printed in textbooks; its checksum is 0xB861.
TEXTBOOK = bytes.fromhex("45000073000040004011b861c0a80001c0a800c7")


def findings(packet: Packet, code: str) -> str:
    """Return the message of the one finding with this code."""
    (message,) = [finding.message for finding in packet.verify() if finding.code == code]
    return message


def test_the_textbook_header_is_read_and_judged() -> None:
    packet = IPv4.decode(TEXTBOOK + bytes(95))
    header = packet[IPv4]
    assert (header.ihl, header.total_length, header.ttl, header.protocol) == (5, 115, 64, 17)
    assert str(header.src) == "192.168.0.1"
    assert "ipv4-checksum" not in codes(packet)
    header.checksum = 0xB862
    assert "ipv4-checksum" in codes(packet)


OPTIONS: list[tuple[Option, Any]] = [
    (RecordRoute((HOP, HOP), pointer=8), inet.IPOption_RR(pointer=8, routers=["10.0.0.7"] * 2)),
    (LooseSourceRoute((HOP,)), inet.IPOption_LSRR(routers=["10.0.0.7"])),
    (StrictSourceRoute((HOP,)), inet.IPOption_SSRR(routers=["10.0.0.7"])),
    (RouterAlert(), inet.IPOption_Router_Alert()),
    (StreamID(5), inet.IPOption_Stream_Id(security=5)),
    (
        Timestamps((77,), pointer=9),
        inet.IPOption_Timestamp(pointer=9, flg=0, timestamp=77),
    ),
    (
        Timestamps((TimedAddress(HOP, 77),), flag=1),
        inet.IPOption_Timestamp(pointer=5, flg=1, internet_address="10.0.0.7", timestamp=77),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), OPTIONS)
def test_options_are_those_of_scapy(ours: Option, theirs: Any) -> None:
    built = IPv4(**IPS, options=(ours, NoOperation())) / UDP(src_port=1, dst_port=2) / b"x"
    other = inet.IP(**IPS, id=0, options=[theirs, inet.IPOption_NOP()])
    assert bytes(built).hex() == bytes(other / inet.UDP(sport=1, dport=2) / b"x").hex()
    decoded = survives_an_edit(bytes(built), IPv4)
    assert decoded[IPv4].options[:2] == (ours, NoOperation())


def test_options_without_a_partner_come_back() -> None:
    options = (Traceroute(1, 2, 3, HOP), Security(b"abc"), UnknownOption(200, b"x"))
    decoded = survives_an_edit(bytes(IPv4(**IPS, options=options) / b"x"), IPv4)
    assert decoded[IPv4].options[:3] == options
    odd = IPv4.decode(bytes(IPv4(**IPS, options=(UnknownOption(7, b"xy"),)) / b"x"))
    assert odd[IPv4].options[0] == UnknownOption(7, b"xy")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RouterAlert(70000), "value: 70000 is outside 0 to 65535"),
        (lambda: Timestamps(flag=16), "flag: 16 is outside 0 to 15"),
        (lambda: Timestamps((1,), flag=1), "entries are of the other kind"),
        (lambda: RecordRoute(pointer=256), "pointer: 256 is outside 0 to 255"),
        (lambda: IPv4(ttl=256), "ipv4.ttl: 256 is outside 0 to 255"),
        (lambda: IPv4(options=(RecordRoute((HOP,) * 10),)), "40 fit the header"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("route", [LooseSourceRoute, StrictSourceRoute])
def test_checksums_cover_the_end_of_a_source_route(route: type[RecordRoute]) -> None:
    # So do Linux, scapy and tshark: see test_options_are_those_of_scapy for scapy.
    udp = UDP(src_port=1, dst_port=2)
    direct = (IPv4(src="10.0.0.1", dst="10.0.0.7") / udp / b"x")[UDP].checksum
    routed = IPv4(**IPS, options=(route((HOP,)),)) / udp / b"x"
    assert routed[UDP].checksum == direct
    arrived = IPv4(src="10.0.0.1", dst="10.0.0.7", options=(route((HOP,), pointer=8),)) / udp
    assert (arrived / b"x")[UDP].checksum == direct
    assert codes(routed) == {"ipv4-source-route"}


def test_it_holds() -> None:
    survives_an_edit(bytes(GOOD), IPv4)
    every_truncation_is_told(bytes(GOOD), IPv4, len(bytes(GOOD)))
    every_truncation_is_told(bytes(IPv4(options=(RouterAlert(),)) / b""), IPv4, 24)
    decode_never_raises(IPv4, bytes(GOOD), b"\x4f", b"\x45\0\0\x20\0\0\x20\0\x40\x06")


def test_good_packets_have_no_findings() -> None:
    for upper in (UDP(src_port=1, dst_port=2), TCP(src_port=1, dst_port=2, flags="S"), ICMP()):
        packet = IPv4(**IPS) / upper / b"data"
        assert not codes(packet), upper
        assert not codes(IPv4.decode(bytes(packet))), upper


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"version": 6}, "ipv4-version", "IPv6 header behind the number of IPv4"),
        ({"version": 5}, "ipv4-version", "no IPv4 header"),
        ({"ihl": 4}, "ipv4-ihl", "below 5 words"),
        ({"ihl": 7}, "ipv4-ihl", "claims 28 octets"),
        ({"total_length": 19}, "ipv4-total-length", "below that of the header"),
        ({"total_length": 500}, "ipv4-total-length", "beyond the octets"),
        ({"total_length": 30}, "ipv4-total-length", "leaves out octets"),
        ({"total_length": 33 << 8}, "ipv4-total-length", "swapped"),
        ({"total_length": 0}, "ipv4-total-length", "TSO"),
        ({"flags": "RF"}, "ipv4-reserved-flag", "reserved bit"),
        ({"flags": "DF", "fragment_offset": 9}, "ipv4-df-fragment", "may not be fragmented"),
        ({"flags": "MF"}, "ipv4-fragment-length", "multiple of 8"),
        ({"fragment_offset": 8191}, "ipv4-fragment-offset", "ping of death"),
        ({"ttl": 0}, "ipv4-ttl", "time to live is 0"),
        ({"protocol": 6}, "ipv4-protocol", "UDP follows, which is 17"),
        ({"checksum": 0}, "ipv4-checksum", "offload"),
        ({"checksum": 1}, "ipv4-checksum", "does not fit the header"),
        ({"src": "127.0.0.1"}, "", ""),
        ({"src": "224.0.0.1"}, "ipv4-martian", "multicast group"),
        ({"src": "255.255.255.255"}, "ipv4-martian", "broadcast"),
        ({"src": "240.0.0.1"}, "ipv4-martian", "reserved"),
        ({"src": "0.0.0.0"}, "ipv4-martian", "asks for an address"),
        ({"dst": "0.1.2.3"}, "ipv4-martian", "reaches nobody"),
        ({"options": (MalformedOption(b"\x07\x01\0\0"),)}, "ipv4-option-length", "below 2"),
    ],
)
def test_verify_names_the_mistake(change: dict[str, Any], code: str, said: str) -> None:
    packet = GOOD.copy()
    for name, value in change.items():
        setattr(packet[IPv4], name, value)
    if code:
        assert said in findings(packet, code)
    else:
        assert not codes(packet)


def test_verify_tells_how_a_checksum_came_about() -> None:
    packet = IPv4(**IPS, identification=0xF0F0, flags="DF") / b"data"
    right = packet[IPv4].checksum
    words = bytes(packet)[:10] + b"\0\0" + bytes(packet)[12:20]
    plain = sum(int.from_bytes(words[at : at + 2], "big") for at in range(0, 20, 2))
    for wrong, said in (
        ((right & 0xFF) << 8 | right >> 8, "swapped"),
        (0xFFFF - right, "the sum itself"),
        (~plain & 0xFFFF, "carries"),
        (right - 0x100, "one higher"),
        (-(plain + int.from_bytes(b"data", "big")) % 65535, "covers the data"),
    ):
        packet[IPv4].checksum = wrong
        assert said in findings(packet, "ipv4-checksum")


def test_a_forgotten_protocol_is_found_in_decoded_octets() -> None:
    tcp = IPv4(**IPS) / TCP(src_port=1025, dst_port=80, flags="S") / b"data"
    udp = IPv4(**IPS) / UDP(src_port=1025, dst_port=53) / b"data"
    icmp = IPv4(**IPS) / ICMP() / b"data"
    for packet, number in ((tcp, 6), (udp, 17), (icmp, 1)):
        octets = bytearray(bytes(packet))
        octets[9] = 16
        found = IPv4.decode(octets)
        assert f"protocol should be {number}" in findings(found, "ipv4-protocol")


def test_a_protocol_forgotten_in_the_pseudo_header_too_is_found() -> None:
    packet = IPv4(**IPS) / TCP(src_port=1025, dst_port=80, flags="S") / b"data"
    packet[TCP].checksum = (packet[TCP].checksum - 10) % 65535  # summed with 16 in place of 6
    octets = bytearray(bytes(packet))
    octets[9] = 16
    assert "should be 6" in findings(IPv4.decode(octets), "ipv4-protocol")


def test_loopback_addresses_are_martian_on_a_wire_alone() -> None:
    packet = IPv4(src="127.0.0.1", dst="127.0.0.1") / UDP(src_port=1, dst_port=2) / b"x"
    assert not codes(packet)
    assert not codes(Ethernet() / packet)
    on_wire = Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet
    assert codes(on_wire) == {"ipv4-martian"}


def test_a_host_may_ask_for_its_address() -> None:
    udp = UDP(src_port=68, dst_port=67)
    assert not codes(IPv4(src="0.0.0.0", dst="255.255.255.255") / udp / b"x")


def test_ipv6_behind_the_type_of_ipv4_is_found() -> None:
    frame = bytes(12) + b"\x08\x00" + b"\x60" + bytes(60)
    assert "ipv4-version" in codes(Ethernet.decode(frame))


def test_a_swapped_ether_type_is_found() -> None:
    frame = bytes(12) + b"\x00\x08" + bytes(GOOD)
    assert "swapped" in findings(Ethernet.decode(frame), "ethernet-ether-type")
    odd = Ethernet.decode(bytes(12) + (1510).to_bytes(2, "big") + b"abc")
    assert "neither a length nor a type" in findings(odd, "ethernet-ether-type")


def test_a_missing_header_between_is_named() -> None:
    packet = Ethernet() / UDP(src_port=1, dst_port=2) / b"x"
    assert "a header is missing" in findings(packet, "ethernet-ether-type")


def test_a_tiny_first_fragment_of_tcp_is_suspicious() -> None:
    packet = IPv4(**IPS, flags="MF", protocol=6) / bytes(8)
    assert "ipv4-tiny-fragment" in codes(packet)


def test_transports_in_fragments_keep_their_fields_and_are_not_judged() -> None:
    first = IPv4(**IPS, flags="MF") / UDP(src_port=1, dst_port=2, length=900, checksum=7)
    octets = bytes(first / bytes(8))
    packet = IPv4.decode(octets)
    assert not packet.errors
    assert not codes(packet)
    packet[IPv4].ttl = 63
    assert (packet[UDP].length, packet[UDP].checksum) == (900, 7)
    later = IPv4.decode(bytes(IPv4(**IPS, fragment_offset=100, protocol=17) / bytes(16)))
    assert len(later.layers) == 1
    assert later.payload == bytes(16)
    assert not codes(later)


def test_a_length_of_0_stays_for_the_card_to_fill() -> None:
    octets = bytes(IPv4(**IPS, total_length=0) / UDP(src_port=1, dst_port=2) / b"x")
    survives_an_edit(octets, IPv4)


@pytest.mark.parametrize("upper", [b"", TCP(src_port=1, dst_port=2, options=(NoOperation(),) * 12)])
def test_options_cut_off_leave_the_header_length_alone(upper: TCP | bytes) -> None:
    options = (RecordRoute((HOP,) * 4),) if upper == b"" else ()
    size = 37 if upper == b"" else 47
    octets = bytes(IPv4(**IPS, options=options) / upper)[:size]
    packet = IPv4.decode(octets)
    packet.payload = packet.payload
    last = packet.layers[-1]
    assert packet[IPv4].dscp == 0
    assert not isinstance(last, TCP) or (last.data_offset, last.reserved) == (8, 0)
    assert packet[IPv4].ihl == octets[0] & 15

"""The names of fields, what they hold, and how they are written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from tests.wire.strategies import packets

from sockwright.columns.fields import Flows, checksum_ok, field, fields, row, text, values
from sockwright.columns.layout import layout
from sockwright.records.captured_packet import captured
from sockwright.wire import ARP, ICMP, MSS, TCP, UDP, VLAN, Ethernet, IPv4, IPv6, Packet

# The names that the documentation promises.
_PROMISED = [
    "frame.number",
    "frame.time_ns",
    "frame.length",
    "frame.captured_length",
    "frame.interface",
    "frame.link_type",
    "frame.protocols",
    "ethernet.src",
    "ethernet.dst",
    "vlan.id",
    "arp.operation",
    "ip.version",
    "ipv4.src",
    "ipv4.dst",
    "ipv4.ttl",
    "ipv4.protocol",
    "ipv4.identification",
    "ipv4.checksum_ok",
    "ipv6.src",
    "ipv6.hop_limit",
    "icmp.type",
    "icmp.code",
    "icmp.checksum_ok",
    "icmpv6.type",
    "icmpv6.checksum_ok",
    "tcp.src_port",
    "tcp.dst_port",
    "tcp.seq",
    "tcp.ack",
    "tcp.flags",
    "tcp.window",
    "tcp.options",
    "tcp.checksum_ok",
    "udp.src_port",
    "udp.dst_port",
    "udp.length",
    "udp.checksum_ok",
    "payload.offset",
    "payload.length",
    "flow.id",
    "inner.ipv4.src",
    "inner.tcp.dst_port",
]


def _cells(packet: Packet, *names: str, occurrence: Any = "all") -> list[str]:
    return row(packet, [field(name) for name in names], occurrence=occurrence)


@pytest.mark.parametrize("name", _PROMISED)
def test_a_promised_name_is_there(name: str) -> None:
    assert field(name).name == name


def test_every_field_of_every_header_has_a_name_once() -> None:
    names = [info.name for info in fields()]
    assert len(names) == len(set(names))
    expected = {item.path for cls in layout().classes for item in cls.fields}
    assert expected <= set(names)
    assert all(info.meaning and info.type for info in fields())


@pytest.mark.parametrize("name", ["tcp.dst_prt", "inner.tcp.dst_prt"])
def test_a_wrong_name_is_told_with_those_near(name: str) -> None:
    with pytest.raises(ValueError, match=r"near are tcp\.dst_port"):
        field(name)


@pytest.mark.parametrize("name", ["", "tcp", "inner.", "inner.frame.number", "inner.flow.id"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="there is no field"):
        field(name)


def test_values_are_written_as_people_write_them() -> None:
    packet = (
        Ethernet(src="02:00:00:00:00:01")
        / VLAN(vid=7)
        / IPv4(src="192.0.2.1", flags="DF")
        / TCP(flags="SA", dst_port=443, options=(MSS(1460),))
        / b"data"
    )
    packet = Packet.decode(bytes(packet))
    assert _cells(packet, "ethernet.src", "vlan.id", "ipv4.src") == [
        "02:00:00:00:00:01",
        "7",
        "192.0.2.1",
    ]
    assert _cells(packet, "tcp.flags", "ipv4.flags", "tcp.dst_port") == ["0x12", "0x2", "443"]
    assert _cells(packet, "ipv4.checksum_ok", "udp.length", "ip.version") == ["1", "", "4"]
    assert _cells(packet, "frame.protocols") == ["ethernet:vlan:ipv4:tcp"]
    assert _cells(packet, "payload.offset", "payload.length") == [str(14 + 4 + 20 + 24), "4"]
    assert "1460" in _cells(packet, "tcp.options")[0]
    assert text(b"\x01\xff") == "01ff"
    assert text(False) == "0"


def test_occurrences_choose_among_headers_of_a_layer() -> None:
    packet = IPv4(src="192.0.2.1") / IPv4(src="192.0.2.2") / IPv4(src="192.0.2.3") / UDP()
    packet = IPv4.decode(bytes(packet))
    assert _cells(packet, "ipv4.src") == ["192.0.2.1,192.0.2.2,192.0.2.3"]
    assert _cells(packet, "ipv4.src", occurrence="first") == ["192.0.2.1"]
    assert _cells(packet, "ipv4.src", occurrence="last") == ["192.0.2.3"]
    assert _cells(packet, "inner.ipv4.src") == ["192.0.2.2"]
    assert _cells(packet, "ip.version") == ["4,4,4"]


def test_a_second_name_of_bits_is_there_where_it_has_a_meaning() -> None:
    echo, error = ICMP(type=8, identifier=7), ICMP(type=3, mtu=1400)
    assert _cells(Packet((echo,)), "icmp.identifier", "icmp.mtu") == ["7", ""]
    assert _cells(Packet((error,)), "icmp.identifier", "icmp.mtu") == ["", "1400"]


def test_the_record_is_told_where_it_is_known() -> None:
    octets = bytes(Ethernet() / ARP())
    packet = captured(octets, 1, 5, 1_700_000_000_000_000_001, 60, "eth0")
    names = ("frame.number", "frame.time_ns", "frame.length", "frame.captured_length")
    assert _cells(packet, *names) == ["5", "1700000000000000001", "60", str(len(octets))]
    assert _cells(packet, "frame.interface", "frame.link_type") == ["eth0", "1"]
    assert _cells(Packet.decode(octets), "frame.number", "frame.time_ns") == ["", ""]


@pytest.mark.parametrize(
    ("spoilt", "verdicts"),
    [
        (None, (True, True)),
        (25, (True, False)),  # an octet of the UDP header
        (8, (False, True)),  # the TTL, which only the checksum of IPv4 covers
    ],
)
def test_verdicts_are_about_their_own_octets(
    spoilt: int | None, verdicts: tuple[bool, bool]
) -> None:
    octets = bytearray(bytes(IPv4(src="192.0.2.1", dst="192.0.2.2") / UDP(dst_port=9) / b"data"))
    if spoilt is not None:
        octets[spoilt] ^= 1
        if spoilt == 25:
            octets[spoilt] ^= 1
            octets[21] ^= 1
    packet = IPv4.decode(bytes(octets))
    found = [checksum_ok(packet, header, at) for at, header in enumerate(packet)]
    assert tuple(found) == verdicts


def test_nobody_can_tell_of_a_fragment_of_what_is_cut_and_of_no_checksum() -> None:
    whole = bytes(IPv4() / UDP(dst_port=9) / bytes(40))
    fragment = bytes(IPv4(flags="MF") / UDP(dst_port=9) / bytes(40))
    without = bytes(IPv4() / UDP(dst_port=9, checksum=0) / bytes(40))
    for octets in (whole[:-1], fragment, without):
        assert _cells(IPv4.decode(octets), "udp.checksum_ok") == [""]
    assert _cells(IPv4.decode(whole), "udp.checksum_ok") == ["1"]
    assert _cells(IPv6.decode(bytes(IPv6() / TCP())), "tcp.checksum_ok") == ["1"]


@settings(deadline=None)
@given(packets())
def test_any_packet_has_a_row_of_all_fields(packet: Packet) -> None:
    infos = fields()
    cells = row(packet, infos, flows=Flows())
    assert len(cells) == len(infos)
    there = {header.layer for header in packet}
    for info, cell in zip(infos, cells, strict=True):
        if cell and info.layer not in ("frame", "ip", "payload", "flow"):
            assert info.layer in there
        assert isinstance(values(packet, info), tuple)

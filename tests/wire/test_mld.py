"""Multicast listener discovery, both versions: octets of scapy, and what `verify` names."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers import inet6

from sockwright.wire.hop_by_hop import HopByHop
from sockwright.wire.icmpv6 import ICMPv6
from sockwright.wire.ipv6 import IPv6
from sockwright.wire.ipv6_options import PadN, RouterAlertV6
from sockwright.wire.mld import (
    MalformedRecord,
    MLDDone,
    MLDQuery,
    MLDReport,
    MLDv2Query,
    MLDv2Report,
    MulticastRecord,
    RecordCodec,
)

if TYPE_CHECKING:
    from sockwright.wire import Header, Packet

GROUP = IPv6Address("ff3e::1234")
SOURCE = IPv6Address("2001:db8::5")
ALERT = HopByHop(options=(RouterAlertV6(0), PadN(b"")))
BASE = IPv6(src="fe80::1", dst="ff02::16", hop_limit=1) / ALERT


def codes(packet: Packet) -> set[str]:
    quiet = ("ipv6", "ethernet", "hop_by_hop")
    return {finding.code for finding in packet.verify() if finding.layer not in quiet}


def again(packet: Packet) -> Packet:
    return IPv6.decode(bytes(packet))


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (MLDQuery(), 130),
        (MLDQuery(group=GROUP), 130),
        (MLDReport(group=GROUP), 131),
        (MLDDone(group=GROUP), 132),
        (MLDv2Query(), 130),
        (MLDv2Query(group=GROUP, suppress=1, sources=(SOURCE, SOURCE)), 130),
        (MLDv2Report(), 143),
        (
            MLDv2Report(
                records=(
                    MulticastRecord(4, GROUP),
                    MulticastRecord(5, GROUP, (SOURCE, SOURCE), b"abcd"),
                )
            ),
            143,
        ),
    ],
)
def test_each_message_is_built_read_and_survives_a_touch(message: Header, kind: int) -> None:
    packet = again(BASE / ICMPv6() / message)
    assert packet[ICMPv6].type == kind
    assert type(packet.layers[-1]) is type(message)
    assert not codes(packet)
    octets = bytes(packet)
    for name in [field.name for field in packet.layers[-1].fields]:
        if not packet.layers[-1]._by_name[name].derived:
            setattr(packet.layers[-1], name, getattr(packet.layers[-1], name))
    assert bytes(packet) == octets


def test_counts_follow_what_is_there() -> None:
    packet = BASE / ICMPv6() / MLDv2Report(records=(MulticastRecord(4, GROUP),) * 3)
    assert packet[MLDv2Report].number_of_records == 3
    packet[MLDv2Report].records = ()
    assert packet[MLDv2Report].number_of_records == 0
    packet = BASE / ICMPv6() / MLDv2Query(sources=(SOURCE,))
    assert packet[MLDv2Query].number_of_sources == 1


def test_codes_above_their_limit_are_floating_point() -> None:
    assert MLDv2Query(max_response_code=0x7FFF).max_response_delay == 0x7FFF
    assert MLDv2Query(max_response_code=0x8000).max_response_delay == 0x8000
    assert MLDv2Query(max_response_code=0xFFFF).max_response_delay == 0x1FFF << 10
    assert MLDv2Query(interval_code=127).query_interval == 127
    assert MLDv2Query(interval_code=128).query_interval == 128
    assert MLDv2Query(interval_code=255).query_interval == 31 << 10


def test_messages_are_scapys() -> None:
    ip = inet6.IPv6(src="fe80::1", dst="ff02::16", hlim=1)
    plain = IPv6(src="fe80::1", dst="ff02::16", hop_limit=1)
    pairs = [
        (MLDQuery(group=GROUP), inet6.ICMPv6MLQuery(mladdr=str(GROUP), mrd=10000)),
        (MLDReport(group=GROUP), inet6.ICMPv6MLReport(mladdr=str(GROUP))),
        (MLDDone(group=GROUP), inet6.ICMPv6MLDone(mladdr=str(GROUP))),
        (
            MLDv2Query(group=GROUP, robustness=3, suppress=1, sources=(SOURCE,)),
            inet6.ICMPv6MLQuery2(
                mladdr=str(GROUP), mrd=10000, S=1, QRV=3, QQIC=125, sources=[str(SOURCE)]
            ),
        ),
        (
            MLDv2Report(records=(MulticastRecord(4, GROUP, (SOURCE,)),)),
            inet6.ICMPv6MLReport2(
                records=[inet6.ICMPv6MLDMultAddrRec(rtype=4, dst=str(GROUP), sources=[str(SOURCE)])]
            ),
        ),
    ]
    for ours, theirs in pairs:
        # Scapy may put a hop-by-hop header in front by itself; the message is what is compared.
        assert bytes(plain / ICMPv6() / ours)[40:] == bytes(ip / theirs)[-len_of(ours) :]


def len_of(header: Header) -> int:
    return 4 + len(bytes(header))


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (
            IPv6(src="fe80::1", dst="ff02::1", hop_limit=64) / ALERT / ICMPv6() / MLDQuery(),
            "mld-query-hop-limit",
        ),
        (
            IPv6(src="2001:db8::1", dst="ff02::1", hop_limit=1) / ALERT / ICMPv6() / MLDQuery(),
            "mld-query-source",
        ),
        (
            IPv6(src="fe80::1", dst="ff02::1", hop_limit=1) / ICMPv6() / MLDQuery(),
            "mld-query-router-alert",
        ),
        (BASE / ICMPv6() / MLDReport(), "mld-report-group"),
        (BASE / ICMPv6() / MLDDone(group="fe80::1"), "mld-done-group"),
        (BASE / ICMPv6() / MLDv2Query(group="fe80::1"), "mldv2-query-group"),
        (
            BASE / ICMPv6() / MLDv2Report(records=(MulticastRecord(7, GROUP),)),
            "mldv2-report-record-kind",
        ),
        (
            BASE / ICMPv6() / MLDv2Report(records=(MulticastRecord(4, SOURCE),)),
            "mldv2-report-group",
        ),
    ],
)
def test_a_mistake_is_named(packet: Packet, code: str) -> None:
    assert codes(packet) == codes(again(packet)) == {code}


def test_a_number_that_lies_is_named() -> None:
    report = MLDv2Report(number_of_records=2, records=(MulticastRecord(4, GROUP),))
    assert codes(BASE / ICMPv6() / report) == {"mldv2-report-number-of-records"}
    query = MLDv2Query(number_of_sources=2, sources=(SOURCE,))
    assert codes(BASE / ICMPv6() / query) == {"mldv2-query-number-of-sources"}


def test_a_host_without_address_may_report() -> None:
    packet = IPv6(src="::", dst="ff02::16", hop_limit=1) / ALERT / ICMPv6() / MLDv2Report()
    assert not codes(packet)


def test_decode_reports_every_truncation() -> None:
    report = MLDv2Report(records=(MulticastRecord(4, GROUP, (SOURCE,)),))
    octets = bytes(ICMPv6() / report)
    for length in range(5, len(octets)):
        packet = ICMPv6.decode(octets[:length])
        (error,) = packet.errors
        assert error.layer == "mldv2_report"
        assert bytes(packet) == octets[:length]
        packet.verify()
    query = bytes(ICMPv6() / MLDv2Query(sources=(SOURCE,)))
    for length in range(28, len(query)):
        (error,) = ICMPv6.decode(query[:length]).errors
        assert error.layer == "mldv2_query"


def test_octets_that_are_no_record_are_kept() -> None:
    codec = RecordCodec()
    whole = MulticastRecord(4, GROUP).encode()
    assert codec.decode(whole + b"abc") == (MulticastRecord(4, GROUP), MalformedRecord(b"abc"))
    with pytest.raises(ValueError, match=r"MulticastRecord\.auxiliary"):
        MulticastRecord(4, GROUP, auxiliary=b"abc")


@settings(max_examples=200)
@given(st.binary(max_size=120))
def test_any_octets_are_read_and_written_back(octets: bytes) -> None:
    codec = RecordCodec()
    assert codec.encode(codec.decode(octets)) == octets

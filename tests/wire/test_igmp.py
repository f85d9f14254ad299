"""IGMP of all versions: the octets of scapy, what `verify` says."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers import igmp
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire import IGMP, GroupRecord, IGMPv3Query, IGMPv3Report, IPv4, Packet
from sockwright.wire.igmp import MalformedGroupRecord
from sockwright.wire.ipv4_options import RouterAlert

AROUND = IPv4(src="10.0.0.1", dst="224.0.0.1", ttl=1, options=(RouterAlert(0),))
GROUP = IPv4Address("239.1.2.3")
SOURCES = (IPv4Address("10.0.0.7"), IPv4Address("10.0.0.8"))

addresses = st.integers(0, 0xFFFFFFFF).map(IPv4Address)


@given(st.sampled_from([0x11, 0x12, 0x16, 0x17]), st.integers(0, 255), addresses)
def test_versions_1_and_2_have_the_octets_of_scapy(kind: int, time: int, group: Any) -> None:
    ours = IGMP(type=kind, max_response_time=time, group=group)
    theirs = igmp.IGMP(type=kind, mrcode=time, gaddr=str(group))
    assert bytes(ours) == bytes(theirs)
    got = survives_an_edit(bytes(ours), IGMP)[IGMP]
    assert (got.type, got.max_response_time, got.group) == (kind, time, group)


@given(st.integers(0, 127), addresses, st.lists(addresses, max_size=3))
def test_a_query_of_version_3_has_the_octets_of_scapy(
    code: int, group: Any, sources: list[Any]
) -> None:
    ours = IGMPv3Query(max_response_code=code, group=group, sources=sources, suppress=1)
    theirs = igmp.IGMPv3_MQ(
        mrcode=code,
        gaddr=str(group),
        s=1,
        qrv=2,
        qqic=125,
        srcaddrs=[str(each) for each in sources],
    )
    assert bytes(ours) == bytes(theirs)
    got = survives_an_edit(bytes(ours), IGMP)[IGMPv3Query]
    assert got.sources == tuple(sources)


@given(
    st.lists(
        st.builds(GroupRecord, st.integers(1, 6), addresses, st.lists(addresses).map(tuple)),
        max_size=3,
    )
)
def test_a_report_of_version_3_has_the_octets_of_scapy(records: list[GroupRecord]) -> None:
    ours = IGMPv3Report(records=records)
    theirs = igmp.IGMPv3_MR(
        records=[
            igmp.IGMPv3_MR_Group(
                rtype=each.kind,
                maddr=str(each.group),
                srcaddrs=[str(source) for source in each.sources],
            )
            for each in records
        ]
    )
    assert bytes(ours) == bytes(theirs)
    assert survives_an_edit(bytes(ours), IGMP)[IGMPv3Report].records == tuple(records)


def test_codes_above_127_are_floating_point() -> None:
    # RFC 9776 section 4.1: (mant | 0x10) << (exp + 3).
    query = IGMPv3Query(max_response_code=0xFF, interval_code=0x80)
    assert (query.max_response_time, query.query_interval) == (31 << 10, 16 << 3)
    assert IGMPv3Query().max_response_time == 100


def test_octets_tell_the_class() -> None:
    whole = bytes(IGMPv3Query(sources=SOURCES))
    assert IGMPv3Query in IGMP.decode(whole)
    assert IGMP in IGMP.decode(whole[:8])
    assert IGMPv3Report in IGMP.decode(b"\x22" + bytes(7))
    assert IGMP in IGMP.decode(b"\x13" + bytes(30))


def test_a_record_that_is_cut_is_kept() -> None:
    octets = bytes(IGMPv3Report(records=(GroupRecord(1, GROUP, SOURCES, bytes(4)),)))
    packet = IGMP.decode(octets[:-1])
    assert packet.errors
    assert packet[IGMPv3Report].records == (MalformedGroupRecord(octets[8:-1]),)


def test_octets_behind_the_message_are_summed_too() -> None:
    # RFC 9776 section 4.1: additional data are ignored, but for the checksum.
    packet = AROUND / IGMPv3Query(group=GROUP) / b"more"
    assert not codes(packet)
    decoded = survives_an_edit(bytes(packet), IPv4)
    assert decoded.payload == b"more"
    assert not codes(decoded)


def test_they_hold() -> None:
    report = bytes(IGMPv3Report(records=(GroupRecord(1, GROUP, SOURCES, bytes(4)),)))
    query = bytes(IGMPv3Query(sources=SOURCES))
    every_truncation_is_told(bytes(IGMP()), IGMP, 8)
    every_truncation_is_told(report, IGMP, len(report))
    decode_never_raises(IGMP, report, query, bytes(IGMP(type=0x16)))


@pytest.mark.parametrize(
    "message",
    [
        IGMP(group=GROUP, max_response_time=100),
        IGMP(type=0x16, group=GROUP),
        IGMPv3Query(),
        IGMPv3Query(group=GROUP, sources=SOURCES),
        IGMPv3Report(records=(GroupRecord(4, GROUP, SOURCES),)),
    ],
)
def test_verify_finds_nothing_wrong(message: Any) -> None:
    assert not codes(AROUND / message)
    assert not codes(IPv4.decode(bytes(AROUND / message)))


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (AROUND / IGMP(type=0x99), "igmp-type"),
        (AROUND / IGMP(type=0x16), "igmp-group"),
        (AROUND / IGMP(group="10.0.0.1"), "igmp-group"),
        (AROUND / IGMP(type=0x16, group=GROUP, checksum=3), "igmp-checksum"),
        (AROUND / IGMPv3Query(number_of_sources=2), "igmp-number-of-sources"),
        (AROUND / IGMPv3Report(number_of_records=2), "igmp-number-of-records"),
        (AROUND / IGMPv3Report(records=(GroupRecord(9, GROUP),)), "igmp-record-kind"),
        (AROUND / IGMPv3Report(records=(GroupRecord(1, SOURCES[0]),)), "igmp-group"),
        (IPv4(src="10.0.0.1", dst=str(GROUP)) / IGMP(type=0x12, group=GROUP), "igmp-ttl"),
        (IPv4(src="10.0.0.1", dst=str(GROUP), ttl=1) / IGMPv3Query(), "igmp-router-alert"),
    ],
)
def test_verify_names_the_mistake(packet: Packet, code: str) -> None:
    assert codes(packet) == {code}

"""MPLS: agreement with scapy, stacks, what lies under them, what `verify` says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib import mpls
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire import MPLS, UDP, Ethernet, IPv4, IPv6, Packet

if TYPE_CHECKING:
    from sockwright.wire import Header

INNER = IPv4(src="10.0.0.1", dst="10.0.0.2")
INNER6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
MACS: dict[str, Any] = {"dst": "02:00:00:00:00:01", "src": "02:00:00:00:00:02"}

entries = st.tuples(st.integers(16, (1 << 20) - 1), st.integers(0, 7), st.integers(1, 255))


def test_an_entry_lies_as_the_rfc_draws_it() -> None:
    # RFC 3032 section 2.1: 20 bits of label, 3 of class, the bottom, 8 of TTL.
    entry = MPLS.decode(b"\x12\x34\x5d\x40")[MPLS]
    assert (entry.label, entry.traffic_class, entry.bottom, entry.ttl) == (0x12345, 6, 1, 64)


@given(st.lists(entries, min_size=1, max_size=4))
def test_octets_are_those_of_scapy(stack: list[tuple[int, int, int]]) -> None:
    ours: Packet = Packet((Ethernet(**MACS),))
    theirs = Ether(**MACS)
    for place, (label, traffic_class, ttl) in enumerate(stack, 1):
        ours = ours / MPLS(label=label, traffic_class=traffic_class, ttl=ttl)
        theirs /= mpls.MPLS(label=label, cos=traffic_class, ttl=ttl, s=place == len(stack))
    theirs /= IP(src="10.0.0.1", dst="10.0.0.2", id=0, proto=253)
    assert bytes(ours / INNER).hex() == bytes(theirs).hex()
    decoded = survives_an_edit(bytes(ours / INNER), Ethernet)
    assert decoded == ours / INNER
    assert not codes(decoded)


@pytest.mark.parametrize("upper", [INNER, INNER6])
def test_ip_is_found_under_the_bottom(upper: Header) -> None:
    decoded = MPLS.decode(bytes(MPLS(label=17) / MPLS() / upper / b"x"))
    assert [type(layer) for layer in decoded] == [MPLS, MPLS, type(upper)]
    assert [layer.bottom for layer in decoded if isinstance(layer, MPLS)] == [0, 1]


def test_a_pseudowire_is_payload() -> None:
    packet = MPLS() / Ethernet(**MACS) / INNER
    decoded = MPLS.decode(bytes(packet))
    assert [type(layer) for layer in decoded] == [MPLS]
    assert len(decoded.payload) == 34


def test_it_is_carried_by_ip_and_udp_too() -> None:
    outer = IPv4(src="192.0.2.1", dst="192.0.2.2")
    for packet in (
        outer / MPLS() / INNER,
        outer / UDP(src_port=50000, dst_port=6635) / MPLS() / INNER,
    ):
        assert IPv4.decode(bytes(packet)) == packet
        assert not codes(packet)
    assert (outer / MPLS() / INNER)[IPv4].protocol == 137


def test_a_stack_may_be_a_capture_of_its_own() -> None:
    packet = MPLS(label=17) / MPLS() / INNER
    assert Packet.decode(bytes(packet), link_type=219) == packet


def test_it_holds() -> None:
    every_truncation_is_told(bytes(MPLS() / b""), MPLS, 4)
    decode_never_raises(MPLS, bytes(MPLS(label=17) / MPLS() / INNER))
    packet = Ethernet.decode(bytes(Ethernet() / MPLS())[:-4] + b"\0\1\0\x40")
    assert packet.payload == b""


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (MPLS(label=3) / INNER, "mpls-label"),
        (MPLS(label=1) / INNER, "mpls-label"),
        (MPLS(label=0) / INNER6, "mpls-label"),
        (MPLS(label=2) / INNER, "mpls-label"),
        (MPLS(bottom=0) / INNER, "mpls-bottom"),
        (MPLS(bottom=1) / MPLS() / INNER, "mpls-bottom"),
        (MPLS(ttl=0) / INNER, "mpls-ttl"),
    ],
)
def test_verify_names_the_mistake(packet: Packet, code: str) -> None:
    assert codes(packet) == {code}


def test_explicit_nulls_are_right_over_what_they_name() -> None:
    for packet in (MPLS(label=0) / INNER, MPLS(label=2) / INNER6, MPLS(label=1) / MPLS() / INNER):
        assert not codes(packet)

"""VXLAN: the octets of scapy, the frame inside, what `verify` says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers import inet, vxlan
from scapy.layers.l2 import Ether
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire import UDP, VXLAN, Ethernet, IPv4, Packet

MACS: dict[str, Any] = {"dst": "02:00:00:00:00:01", "src": "02:00:00:00:00:02"}
OUTER: dict[str, Any] = {"src": "192.0.2.1", "dst": "192.0.2.2"}
INNER: dict[str, Any] = {"src": "10.0.0.1", "dst": "10.0.0.2"}
FRAME = Ethernet(**MACS) / IPv4(**INNER) / b"x"
TUNNEL = IPv4(**OUTER) / UDP(src_port=50000, dst_port=4789)


def test_fields_lie_where_the_rfc_draws_them() -> None:
    header = VXLAN.decode(b"\x08\0\0\0\x12\x34\x56\0")[VXLAN]
    assert (header.flags, header.vni) == (8, 0x123456)
    assert bytes(VXLAN(vni=0x123456)) == b"\x08\0\0\0\x12\x34\x56\0"


@given(st.integers(0, 0xFFFFFF))
def test_octets_are_those_of_scapy(vni: int) -> None:
    ours = TUNNEL / VXLAN(vni=vni) / FRAME
    theirs = inet.IP(**OUTER, id=0) / inet.UDP(sport=50000, dport=4789)
    theirs /= vxlan.VXLAN(vni=vni, flags=8) / Ether(**MACS) / inet.IP(**INNER, id=0, proto=253)
    assert bytes(ours).hex() == bytes(theirs / b"x").hex()
    assert not codes(ours)


def test_the_frame_inside_is_found_and_can_be_edited() -> None:
    packet = survives_an_edit(bytes(TUNNEL / VXLAN(vni=7) / FRAME), IPv4)
    assert [type(layer) for layer in packet] == [IPv4, UDP, VXLAN, Ethernet, IPv4]
    inner = packet.layers[-1]
    assert isinstance(inner, IPv4)
    inner.ttl = 3
    again = IPv4.decode(bytes(packet))
    assert not codes(again)
    assert again.layers[-1] == inner


def test_it_holds() -> None:
    every_truncation_is_told(bytes(VXLAN()), VXLAN, 8)
    decode_never_raises(VXLAN, bytes(VXLAN() / FRAME))


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (VXLAN(flags=0) / FRAME, "vxlan-flags"),
        (VXLAN(flags=0x88) / FRAME, "vxlan-reserved"),
        (VXLAN(reserved2=1) / FRAME, "vxlan-reserved"),
        (VXLAN() / IPv4(**INNER), "vxlan-carries"),
    ],
)
def test_verify_names_the_mistake(packet: Packet, code: str) -> None:
    assert codes(packet) == {code}

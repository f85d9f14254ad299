"""Geneve: the octets of scapy, options and their critical bit, what `verify` says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib import geneve
from scapy.layers import inet
from scapy.layers.l2 import Ether
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire import UDP, Ethernet, Geneve, IPv4, IPv6, Packet
from sockwright.wire.geneve import GeneveOption, MalformedGeneveOption

if TYPE_CHECKING:
    from sockwright.wire import Header

MACS: dict[str, Any] = {"dst": "02:00:00:00:00:01", "src": "02:00:00:00:00:02"}
OUTER: dict[str, Any] = {"src": "192.0.2.1", "dst": "192.0.2.2"}
INNER: dict[str, Any] = {"src": "10.0.0.1", "dst": "10.0.0.2"}
TUNNEL = IPv4(**OUTER) / UDP(src_port=50000, dst_port=6081)

options = st.builds(
    GeneveOption,
    st.integers(0, 0xFFFF),
    st.integers(0, 0x7F),
    st.integers(0, 4).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words)),
)


def test_fields_lie_where_the_rfc_draws_them() -> None:
    # RFC 8926 section 3.1 and 3.5, with a critical option of one word.
    header = Geneve(vni=0x123456, options=(GeneveOption(0x0102, 0x80, b"\0\1\0\2"),))
    octets = bytes(header / Ethernet())[:16]
    assert octets.hex() == "0240655812345600" + "0102800100010002"
    got = Geneve.decode(octets)[Geneve]
    assert (got.vni, got.opt_len, got.critical, got.control) == (0x123456, 2, 1, 0)
    assert got.options == header.options


@given(st.integers(0, 0xFFFFFF), st.lists(options, max_size=3))
def test_octets_are_those_of_scapy(vni: int, chosen: list[GeneveOption]) -> None:
    ours = TUNNEL / Geneve(vni=vni, options=chosen) / Ethernet(**MACS) / IPv4(**INNER) / b"x"
    wanted = [
        geneve.GeneveOptions(classid=each.option_class, type=each.kind, data=each.data)
        for each in chosen
    ]
    theirs = inet.IP(**OUTER, id=0) / inet.UDP(sport=50000, dport=6081)
    theirs /= geneve.GENEVE(vni=vni, proto=0x6558, options=wanted)
    theirs /= Ether(**MACS) / inet.IP(**INNER, id=0, proto=253) / b"x"
    assert bytes(ours).hex() == bytes(theirs).hex()
    assert not codes(ours)
    assert survives_an_edit(bytes(ours), IPv4)[Geneve].options == tuple(chosen)


@pytest.mark.parametrize(
    "upper", [Ethernet(**MACS), IPv4(**INNER), IPv6(src="2001:db8::1", dst="2001:db8::2")]
)
def test_what_it_carries_is_found_again(upper: Header) -> None:
    packet = TUNNEL / Geneve(options=(GeneveOption(0x0108, 1, bytes(8)),)) / upper / b"x"
    decoded = survives_an_edit(bytes(packet), IPv4)
    assert [type(layer) for layer in decoded] == [IPv4, UDP, Geneve, type(upper)]


def test_an_option_that_is_too_long_is_kept() -> None:
    octets = b"\x01\0\x88\xb5\0\0\0\0" + b"\1\2\3\x1f"
    packet = survives_an_edit(octets, Geneve)
    assert packet[Geneve].options == (MalformedGeneveOption(b"\1\2\3\x1f"),)
    assert "geneve-option-length" in codes(packet)


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="not 0 to 124 in fours"):
        GeneveOption(1, 1, b"abc")
    with pytest.raises(ValueError, match="252 fit"):
        Geneve(options=[GeneveOption(1, 1, bytes(124))] * 2)


def test_it_holds() -> None:
    octets = bytes(Geneve(options=(GeneveOption(1, 2, bytes(4)),)) / b"")
    every_truncation_is_told(octets, Geneve, len(octets))
    decode_never_raises(Geneve, octets, bytes(Geneve() / Ethernet() / IPv4()))


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (Geneve(version=1) / b"", "geneve-version"),
        (Geneve(reserved=1) / b"", "geneve-reserved"),
        (Geneve(reserved2=1) / b"", "geneve-reserved"),
        (Geneve(critical=1) / b"", "geneve-critical"),
        (Geneve(opt_len=2) / b"", "geneve-opt-len"),
        (Geneve(protocol_type=0x86DD) / IPv4(**INNER), "geneve-protocol-type"),
    ],
)
def test_verify_names_the_mistake(packet: Packet, code: str) -> None:
    assert codes(packet) == {code}

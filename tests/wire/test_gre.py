"""GRE: agreement with scapy, optional fields, source routes, PPTP, what `verify` says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers import l2
from scapy.layers.inet import IP
from scapy.packet import Raw
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire import Ethernet, IPv4, IPv6, Packet
from sockwright.wire.gre import GRE, GREAcknowledgment, GREChecksum, GREKey, GREOctets, GRESequence

OUTER = IPv4(src="192.0.2.1", dst="192.0.2.2")
INNER = IPv4(src="10.0.0.1", dst="10.0.0.2")
ALL = (GREChecksum(), GREKey(7), GRESequence(9))


def test_fields_lie_where_the_rfc_draws_them() -> None:
    # RFC 2890 section 2: C, K and S; checksum, reserved, key, sequence number.
    packet = GRE(optional=ALL) / INNER / b"odd"
    octets = bytes(packet)
    assert octets[:4] == b"\xb0\x00\x08\x00"
    assert octets[6:16] == b"\0\0" + b"\0\0\0\7" + b"\0\0\0\x09"
    gre = GRE.decode(octets)[GRE]
    assert (gre.checksum_present, gre.key_present, gre.sequence_present) == (1, 1, 1)
    assert (gre.key, gre.sequence, gre.acknowledgment, gre.size) == (7, 9, None, 16)
    assert gre.checksum == int.from_bytes(octets[4:6], "big")
    assert packet[GRE].checksum == gre.checksum


@given(
    st.booleans(),
    st.none() | st.integers(0, 0xFFFFFFFF),
    st.none() | st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=40),
)
def test_octets_are_those_of_scapy(
    checksum: bool, key: int | None, number: int | None, payload: bytes
) -> None:
    theirs: dict[str, Any] = {"proto": 0x88B5, "chksum_present": int(checksum)}
    optional: list[Any] = [GREChecksum()] if checksum else []
    if key is not None:
        theirs |= {"key_present": 1, "key": key}
        optional.append(GREKey(key))
    if number is not None:
        theirs |= {"seqnum_present": 1, "sequence_number": number}
        optional.append(GRESequence(number))
    ours = OUTER / GRE(optional=optional) / payload
    expected = IP(src="192.0.2.1", dst="192.0.2.2", id=0) / l2.GRE(**theirs) / Raw(payload)
    assert bytes(ours).hex() == bytes(expected).hex()
    assert not codes(ours)
    decoded = survives_an_edit(bytes(ours), IPv4)
    assert (decoded[GRE].key, decoded[GRE].sequence) == (key, number)


@pytest.mark.parametrize("upper", [INNER, IPv6(src="2001:db8::1", dst="2001:db8::2"), Ethernet()])
@pytest.mark.parametrize("optional", [(), ALL[1:2], ALL])
def test_what_it_carries_is_found_again(upper: Any, optional: Any) -> None:
    packet = OUTER / GRE(optional=optional) / upper / b"x"
    decoded = survives_an_edit(bytes(packet), IPv4)
    assert decoded == packet
    assert [type(layer) for layer in decoded] == [type(layer) for layer in packet]
    assert not {code for code in codes(decoded) if code.startswith("gre")}


def test_a_checksum_set_by_hand_stays_and_is_judged() -> None:
    packet = GRE(optional=(GREChecksum(0xDEAD), GREKey(1))) / INNER
    assert packet[GRE].checksum == 0xDEAD
    assert "gre-checksum" in codes(packet)
    decoded = GRE.decode(bytes(packet))
    assert "gre-checksum" in codes(decoded)
    decoded[IPv4].ttl = 3  # an edit computes it
    assert "gre-checksum" not in codes(decoded)


def test_optional_fields_can_be_taken_away_and_put_back() -> None:
    packet = GRE.decode(bytes(GRE(optional=ALL) / INNER))
    packet[GRE].optional = ()
    assert bytes(packet)[:4] == b"\0\0\x08\0"
    packet[GRE].optional = (GREKey(5),)
    assert (packet[GRE].key_present, packet[GRE].key) == (1, 5)
    with pytest.raises(ValueError, match="in the order"):
        packet[GRE].optional = (GRESequence(1), GREKey(1))
    with pytest.raises(TypeError, match="not an optional field"):
        packet[GRE].optional = (3,)  # type: ignore[assignment]


def test_a_source_route_is_passed_over() -> None:
    # RFC 1701: the word with checksum and offset, then entries up to one of length 0.
    route = b"\0\0\0\0" + b"\x08\x00\x00\x04\x0a\0\0\1" + bytes(4)
    packet = survives_an_edit(b"\x40\0\x08\0" + route + bytes(INNER / b""), GRE)
    assert packet[GRE].optional == (GREOctets(route),)
    assert IPv4 in packet
    assert "gre-routing" in codes(packet)
    (error, *_) = GRE.decode(b"\x40\0\x08\0" + route[:-4]).errors
    assert error.layer == "gre"


def test_pptp_is_version_1() -> None:
    # RFC 2637 section 4.1: the key is payload length and call.
    header = GRE(
        version=1,
        protocol_type=0x880B,
        optional=(GREKey(3 << 16 | 77), GRESequence(5), GREAcknowledgment(4)),
    )
    packet = header / b"\xc0\x21\x00"
    assert bytes(packet)[:4] == b"\x30\x81\x88\x0b"
    gre = GRE.decode(bytes(packet))[GRE]
    assert (gre.call_id, gre.sequence, gre.acknowledgment) == (77, 5, 4)
    assert not codes(packet)
    packet[GRE].optional = (GREKey(4 << 16 | 77),)
    assert codes(packet) == {"gre-pptp-length"}
    packet[GRE].optional = ()
    assert codes(packet) == {"gre-pptp"}


def test_it_holds() -> None:
    for optional in ((), ALL[:1], ALL):
        octets = bytes(GRE(optional=optional) / b"")
        every_truncation_is_told(octets, GRE, len(octets))
    decode_never_raises(GRE, bytes(GRE(optional=ALL) / INNER), b"\x40\0\x08\0" + bytes(8))


def test_verify_names_the_mistake() -> None:
    assert codes(GRE(version=2) / b"abc") == {"gre-version"}
    assert codes(GRE(reserved=1) / b"abc") == {"gre-reserved"}
    assert codes(GRE(protocol_type=0x86DD) / INNER) >= {"gre-protocol-type"}


def test_another_version_is_not_looked_into() -> None:
    packet = GRE.decode(b"\x20\x02\x08\x00" + bytes(INNER / b""))
    assert [type(layer) for layer in packet.layers] == [GRE]
    assert isinstance(packet, Packet)

from __future__ import annotations

from tests.wire.views.examples import any_state, syn

from sockwright.wire import Packet
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.tcp import TCP
from sockwright.wire.tcp_options import MSS, NoOperation, WindowScale
from sockwright.wire.vlan import VLAN


def differences(left: Packet, right: Packet) -> list[str]:
    return [str(difference) for difference in left.diff(right)]


def test_equal_packets_do_not_differ() -> None:
    assert syn().diff(syn()) == ()
    assert syn().diff(Ethernet.decode(bytes(syn()))) == ()
    for packet in any_state():
        assert packet.diff(packet.copy()) == ()


def test_a_field_is_told_with_both_values() -> None:
    other = syn()
    other[IPv4].ttl = 3
    other[TCP].flags = "SA"
    ttl, checksum, flags, tcp_checksum = syn().diff(other)
    assert (ttl.index, ttl.layer, ttl.field, ttl.left, ttl.right) == (1, "ipv4", "ttl", 64, 3)
    assert str(ttl) == "ipv4.ttl: 64 -> 3"
    assert str(checksum) == "ipv4.checksum: 0xf6c2 -> 0x33c3"
    assert str(flags) == "tcp.flags: S -> SA"
    assert tcp_checksum.field == "checksum"


def test_options_are_compared_one_by_one() -> None:
    other = syn()
    other[TCP].options = (MSS(1400), NoOperation(), WindowScale(7))
    found = [line for line in differences(syn(), other) if "options" in line]
    assert found == [
        "tcp.options[0]: MSS size=1460 -> MSS size=1400",
        "tcp.options[1]: nothing -> NoOperation",
        "tcp.options[2]: EndOfOptions -> nothing",
    ]


def test_a_layer_that_is_only_on_one_side_is_one_difference() -> None:
    plain = Ethernet() / IPv4(src="192.0.2.1") / b"x"
    tagged = Ethernet() / VLAN(vid=7) / IPv4(src="192.0.2.1") / b"x"
    assert differences(plain, tagged) == [
        "ethernet.ether_type: 0x0800 -> 0x8100",
        "layer 1: only right: VLAN(vid=7)",
    ]
    assert differences(tagged, plain)[1] == "layer 1: only left: VLAN(vid=7)"


def test_payload_and_trailer_differ_from_an_offset_on() -> None:
    left, right = Packet((), b"abcdef"), Packet((), b"abcXef")
    assert differences(left, right) == [
        "payload: differs from octet 3 on: b'def' (6 octets) -> b'Xef' (6 octets)"
    ]
    padded = syn()
    padded.trailer = b"\0\0"
    (found,) = syn().diff(padded)
    assert (found.field, found.offset, found.left, found.right) == ("trailer", 0, b"", b"\0\0")


def test_any_packet_can_be_compared_with_any_other() -> None:
    for packet in any_state():
        assert all(map(str, packet.diff(syn())))
        assert all(map(str, syn().diff(packet)))

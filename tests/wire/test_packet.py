"""Packets: building, decoding, editing, sharing headers. Headers have tests of their own."""

from __future__ import annotations

import copy
import gc
import pickle
from ipaddress import IPv4Address

import pytest

from sockwright.errors import DecodeError, LayerError, TruncatedError
from sockwright.wire.core.field import AUTO
from sockwright.wire.core.packet import Packet
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.tcp import TCP
from sockwright.wire.tcp_options import MSS, WindowScale
from sockwright.wire.udp import UDP


def syn() -> Packet:
    return (
        Ethernet(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
        / IPv4(src="10.0.0.1", dst="10.0.0.2")
        / TCP(src_port=40000, dst_port=80, flags="S", options=(MSS(1460), WindowScale(7)))
        / b"hi"
    )


def codes(packet: Packet) -> list[str]:
    return [finding.code for finding in packet.verify()]


# Building


def test_building_fills_lengths_checksums_and_numbers() -> None:
    packet = syn()
    assert packet[Ethernet].ether_type == 0x0800
    assert (packet[IPv4].total_length, packet[IPv4].protocol, packet[IPv4].ihl) == (50, 6, 5)
    assert packet[TCP].data_offset == 7
    assert codes(packet) == []


def test_a_base_can_be_used_for_two_packets() -> None:
    base = Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2")
    one = base / TCP(dst_port=1)
    two = base / UDP(dst_port=2)
    assert (one[IPv4].protocol, two[IPv4].protocol) == (6, 17)
    one[IPv4].ttl = 9
    assert two[IPv4].ttl == base[IPv4].ttl == 64


def test_a_header_changed_after_its_use_does_not_change_the_packet() -> None:
    ip = IPv4(dst="10.0.0.2", ttl=1)
    first = ip / UDP()
    ip.ttl = 2
    second = ip / UDP()
    ip.ttl = 3
    third = first / b"more"
    assert [bytes(packet)[8] for packet in (first, second, third)] == [1, 2, 1]
    assert [packet[IPv4].ttl for packet in (first, second, third)] == [1, 2, 1]
    assert ip.ttl == 3


def test_a_header_pinned_after_its_use_does_not_change_the_packet() -> None:
    ip = IPv4(dst="10.0.0.2")
    packet = ip / UDP()
    ip.checksum = 7
    assert packet[IPv4].checksum not in (0, 7)
    assert (ip / UDP())[IPv4].checksum == 7


def test_a_header_of_a_packet_can_go_into_another() -> None:
    packet = syn()
    other = packet[IPv4] / UDP(dst_port=53) / b"x"
    other[IPv4].ttl = 5
    assert packet[IPv4].ttl == 64
    assert other[IPv4].protocol == 17


def test_packets_join_with_headers_payload_and_trailer() -> None:
    frame = Ethernet.decode(bytes(syn()) + b"pad")
    both = (IPv4(src="192.0.2.1", dst="192.0.2.2") / frame[IPv4]) / (UDP() / b"z")
    assert [type(layer) for layer in both] == [IPv4, IPv4, UDP]
    assert (Ethernet() / Packet((), b"abc")).payload == b"abc"
    assert bytes(Ethernet() / bytearray(b"a") / memoryview(b"b"))[14:] == b"ab"


def test_a_header_cannot_stand_behind_payload() -> None:
    with pytest.raises(ValueError, match="behind payload"):
        syn() / UDP()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TCP(dst_port=70000), r"tcp\.dst_port: 70000 is outside 0 to 65535"),
        (lambda: TCP(seq=-1), r"tcp\.seq: -1 is outside"),
        (lambda: IPv4(dscp=64), r"ipv4\.dscp: 64 is outside 0 to 63"),
        (lambda: IPv4(dst="10.0.0.256"), r"ipv4\.dst: '10\.0\.0\.256'"),
        (lambda: Ethernet(src="02:00"), r"ethernet\.src: '02:00'"),
        (lambda: TCP(flags="SX"), r"tcp\.flags: 'SX'.*'X'"),
        (lambda: MSS(70000), "70000 is outside 0 to 65535"),
    ],
)
def test_values_out_of_range_are_refused_by_name(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_types_and_names_are_refused() -> None:
    with pytest.raises(TypeError, match=r"tcp\.dst_port takes an int"):
        TCP(dst_port="http")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no field dst_prt"):
        TCP(dst_prt=1)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        syn()[TCP].dst_prt = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="cannot be AUTO"):
        syn()[TCP].dst_port = AUTO  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ethernet(dst=5), r"ethernet\.dst takes a MAC address"),  # type: ignore[arg-type]
        (lambda: IPv4(dst=2.5), r"ipv4\.dst takes an IPv4 address"),  # type: ignore[arg-type]
        (lambda: MSS("x"), "takes an int, not 'x'"),  # type: ignore[arg-type]
        (lambda: IPv4(options=(MSS(5),)), "not an option of this header"),
        (lambda: TCP(80, 443), r"TCP\.__init__\(\) takes 1"),  # type: ignore[call-arg]
        (lambda: syn()["tcp"], "a header class or a position"),  # type: ignore[call-overload]
    ],
)
def test_a_wrong_type_is_told_in_words_of_the_caller(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(TypeError, match=message):
        make()


def test_a_header_verifies_itself_in_its_packet() -> None:
    packet = syn()
    packet[IPv4].checksum = 1
    assert [finding.code for finding in packet[IPv4].verify()] == ["ipv4-checksum"]
    assert packet[TCP].verify() == ()
    assert [finding.code for finding in TCP(dst_port=1, flags="S").verify()] == ["tcp-src-port"]


def test_tcp_to_many_is_found() -> None:
    for many in ("255.255.255.255", "224.0.0.1"):
        assert "tcp-to-many" in codes(IPv4(src="10.0.0.1", dst=many) / syn()[TCP])


def test_a_refused_value_changes_nothing() -> None:
    packet = Ethernet.decode(bytes(syn()))
    before = bytes(packet)
    with pytest.raises(ValueError, match="outside"):
        packet[IPv4].ttl = 256
    assert bytes(packet) is before


# Editing


def test_derived_fields_follow_an_edit() -> None:
    packet = Ethernet.decode(bytes(syn()))
    packet[TCP].dst_port = 8080
    packet[IPv4].src = IPv4Address("10.0.0.9")
    packet.payload = b"longer payload"
    again = Ethernet.decode(bytes(packet))
    assert codes(again) == []
    assert again[IPv4].total_length == 62
    assert again == packet


def test_a_pinned_field_stays_until_it_is_unpinned() -> None:
    packet = syn()
    right = packet[TCP].checksum
    packet[TCP].checksum = 0xDEAD
    packet[TCP].seq = 1
    assert packet[TCP].checksum == 0xDEAD
    assert packet[TCP].is_pinned("checksum")
    packet[TCP].seq = 0
    packet[TCP].checksum = AUTO
    assert packet[TCP].checksum == right


def test_an_untouched_packet_keeps_its_octets_whatever_they_are() -> None:
    octets = bytearray(bytes(syn()) + b"\x55" * 7)
    octets[24:26] = b"\xff\xff"  # a wrong header checksum
    packet = Ethernet.decode(octets)
    assert bytes(packet) == octets
    assert packet.trailer == b"\x55" * 7
    assert packet.payload == b"hi"
    assert packet.layers
    assert bytes(packet) == octets


def test_a_trailer_stays_behind_an_edited_packet() -> None:
    packet = Ethernet.decode(bytes(syn()) + b"pad")
    packet[IPv4].ttl = 1
    assert bytes(packet).endswith(b"hipad")
    assert packet[IPv4].total_length == 50
    packet.trailer = b""
    assert bytes(packet).endswith(b"hi")


def test_a_packet_without_headers_has_a_trailer_too() -> None:
    packet = Packet((), b"abc")
    packet.trailer = b"de"
    assert bytes(packet) == b"abcde"
    assert packet.trailer == b"de"


@pytest.mark.parametrize("keep", [("tcp.checksum",), ("checksum",), "checksum"])
def test_kept_fields_survive_the_first_edit(keep: object) -> None:
    octets = bytearray(bytes(syn()))
    octets[50:52] = b"\xbe\xef"
    packet = Ethernet.decode(octets, keep=keep)  # type: ignore[arg-type]
    packet[IPv4].identification = 7
    assert packet[TCP].checksum == 0xBEEF


def test_pin_keeps_the_present_value() -> None:
    packet = Ethernet.decode(bytes(syn()))
    packet[IPv4].pin("checksum")
    before = packet[IPv4].checksum
    packet[IPv4].ttl = 1
    assert packet[IPv4].checksum == before
    with pytest.raises(ValueError, match="no derived field 'ttl'"):
        packet[IPv4].pin("ttl")


def test_copies_are_independent_and_keep_pins() -> None:
    packet = syn()
    packet[IPv4].checksum = 1
    twin = packet.copy()
    twin[TCP].dst_port = 443
    assert (packet[TCP].dst_port, twin[TCP].dst_port) == (80, 443)
    assert twin[IPv4].checksum == 1
    decoded = Ethernet.decode(bytes(packet))
    decoded[IPv4].pin("checksum")
    other = decoded.copy()
    other[IPv4].ttl = 3
    assert other[IPv4].checksum == 1
    assert decoded[IPv4].ttl == 64


@pytest.mark.parametrize("decoded", [False, True])
def test_packets_go_through_pickle_and_copy(decoded: bool) -> None:
    packet = Ethernet.decode(bytes(syn()) + b"pad") if decoded else syn()
    packet[IPv4].pin("checksum")
    for twin in (pickle.loads(pickle.dumps(packet)), copy.copy(packet), copy.deepcopy(packet)):
        assert twin == packet
        assert twin.trailer == packet.trailer
        twin[IPv4].ttl = 9
        twin[TCP].dst_port = 1
        assert twin[IPv4].checksum == packet[IPv4].checksum
        assert (packet[IPv4].ttl, packet[TCP].dst_port) == (64, 80)
        assert codes(twin) == ["ipv4-checksum"]
    header = packet[TCP]
    for lone in (pickle.loads(pickle.dumps(header)), copy.copy(header), copy.deepcopy(header)):
        assert lone.packet is None
        lone.seq = 7
        assert header.seq == 0


def test_a_header_can_stand_in_a_packet_twice() -> None:
    ip = IPv4(src="192.0.2.1", dst="192.0.2.2")
    packet = ip / ip / UDP()
    packet[1].ttl = 3  # type: ignore[attr-defined]
    assert [bytes(packet)[8], bytes(packet)[28]] == [64, 3]
    assert packet[0].protocol == 4  # type: ignore[attr-defined]


def test_reading_a_derived_field_of_a_lone_header_gives_an_int() -> None:
    assert IPv4().total_length == 20
    assert TCP().data_offset == 5
    assert TCP(options=(MSS(1),)).data_offset == 6
    assert TCP().checksum == 0  # nothing to compute it over: no IP header around


# Layers


def test_layers_are_found_by_class() -> None:
    packet = syn()
    assert TCP in packet
    assert UDP not in packet
    assert packet.get(UDP) is None
    assert packet[1] is packet[IPv4]
    with pytest.raises(LayerError, match="no UDP in this packet: it has Ethernet / IPv4 / TCP"):
        packet[UDP]
    with pytest.raises(KeyError):
        packet[UDP]


def test_layers_match_by_pattern() -> None:
    match Ethernet.decode(bytes(syn())).layers:
        case (Ethernet(), IPv4(src=src), TCP(dst_port=80), *_):
            assert src == IPv4Address("10.0.0.1")
        case other:
            pytest.fail(f"no match for {other}")


# Decoding


def test_truncation_is_noted_and_strict_raises_it() -> None:
    octets = bytes(syn())[:40]
    packet = Ethernet.decode(octets)
    assert [type(layer) for layer in packet] == [Ethernet, IPv4]
    first, second = packet.errors
    assert isinstance(first, TruncatedError)
    assert isinstance(second, TruncatedError)
    assert (first.layer, first.needed, first.available) == ("ipv4", 50, 26)
    assert (second.layer, second.offset, second.needed, second.available) == ("tcp", 34, 20, 6)
    assert packet.payload == octets[34:]
    assert "truncated" in codes(packet)
    with pytest.raises(TruncatedError, match="ipv4 at octet 14"):
        Ethernet.decode(octets, strict=True)


def test_a_thousand_nested_headers_end_in_an_error_and_no_recursion() -> None:
    octets = bytes(IPv4(protocol=4, total_length=0)) * 1000
    packet = IPv4.decode(octets)
    assert len(packet.layers) == 32
    assert any("more than 32 layers" in str(error) for error in packet.errors)
    assert bytes(packet) == octets
    deep = IPv4.decode(octets, max_layers=2000)
    assert len(deep.layers) == 1000


def test_an_unknown_link_type_is_payload_with_an_error() -> None:
    packet = Packet.decode(b"abc", link_type=147)
    assert packet.payload == b"abc"
    assert bytes(packet) == b"abc"
    assert "147" in str(packet.errors[0])
    with pytest.raises(DecodeError):
        Packet.decode(b"abc", link_type=147, strict=True)


def test_decoding_leaves_no_garbage_when_the_layers_were_not_asked_for() -> None:
    octets = bytes(syn())
    gc.collect()
    for _ in range(100):
        Ethernet.decode(octets)
    assert gc.collect() == 0


def test_packets_are_equal_by_octets_and_layers() -> None:
    assert syn() == syn()
    assert Ethernet.decode(bytes(syn())) == syn()
    assert syn() != syn() / b"!"
    with pytest.raises(TypeError):
        hash(syn())

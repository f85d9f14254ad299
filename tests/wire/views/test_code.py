from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.strategies import packets, public_headers
from tests.wire.views.examples import any_state, endless, syn, wrong

from sockwright.errors import SockwrightError
from sockwright.records import read_records
from sockwright.wire import Packet
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.tcp import TCP

if TYPE_CHECKING:
    from pathlib import Path

SYN = """\
from sockwright.wire import MSS, TCP, Ethernet, IPv4, WindowScale

packet = (
    Ethernet(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
    / IPv4(src="192.0.2.1", dst="192.0.2.2")
    / TCP(src_port=40000, dst_port=443, flags="S", options=(MSS(1460), WindowScale(7)))
    / b"hi"
)
"""


def run(source: str) -> Packet:
    """Return the packet that the source makes."""
    names: dict[str, Any] = {}
    exec(source, names)
    packet = names["packet"]
    assert isinstance(packet, Packet)
    return packet


def assert_same(packet: Packet) -> None:
    source = packet.code()
    built = run(source)
    assert bytes(built) == bytes(packet), source
    assert [type(header) for header in built] == [type(header) for header in packet], source


def test_source_is_what_a_person_would_write() -> None:
    assert syn().code() == SYN


def test_only_what_was_set_by_hand_is_pinned() -> None:
    source = wrong().code()
    assert "protocol=16" in source
    assert "checksum=0x1234" in source
    # The header checksum is right for a protocol of 16, so it is left to be computed.
    assert source.count("checksum") == 1
    assert "checksum" not in Ethernet.decode(bytes(syn())).code()


def test_a_derived_field_pinned_to_the_right_value_is_left_out() -> None:
    packet = IPv4(total_length=40) / TCP()
    assert "total_length" not in packet.code()


def test_trailers_are_set() -> None:
    packet = syn()
    packet.trailer = bytes(12)
    assert "packet.trailer = bytes(12)" in packet.code()
    assert run(packet.code()).trailer == bytes(12)


def test_long_payloads_are_folded() -> None:
    for payload in (b"GET / HTTP/1.1\r\nHost: a\r\n" * 9, bytes(range(128, 250)) * 3, b"'\"" * 80):
        packet = IPv4() / TCP() / payload
        assert_same(packet)
        assert max(map(len, packet.code().splitlines())) <= 88


def test_octets_that_end_within_options_are_decoded() -> None:
    cut = Ethernet.decode(bytes(syn())[:57])
    assert ".decode(" in cut.code()
    assert_same(cut)


def test_every_state_of_a_packet_can_be_written() -> None:
    for packet in any_state():
        if len(packet.payload) < 65536:
            assert_same(packet)


def test_a_packet_that_cannot_be_encoded_is_written_all_the_same() -> None:
    built = run(endless().code())
    assert built[TCP].dst_port == 81
    assert built.payload == bytes(70_000)


@settings(max_examples=150, deadline=None)
@given(packets())
def test_source_of_drawn_packets_builds_the_same(packet: Packet) -> None:
    assert_same(packet)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(public_headers()), st.binary(max_size=120))
def test_source_of_nonsense_builds_the_same(cls: Any, octets: bytes) -> None:
    assert_same(cls.decode(octets))


def test_source_of_captured_packets_builds_the_same(captures: Path) -> None:
    count = 0
    for path in sorted(captures.rglob("*.pcap*")):
        with path.open("rb") as file:
            try:
                for _, record in zip(range(2), read_records(file), strict=False):
                    assert_same(record.decode())
                    count += 1
            except SockwrightError:
                continue  # the file itself is broken
    assert count > 500

"""UDP and UDP-Lite: vectors of the kernel, truncation, and each mistake that `verify` names."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockwright.wire import AUTO, GRE, IPv6, Packet
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.udp import UDP
from sockwright.wire.udp_lite import UDPLite

BASE = IPv4(src="10.0.0.1", dst="10.0.0.2")


def codes(packet: Packet) -> set[str]:
    return {finding.code for finding in packet.verify() if finding.layer.startswith("udp")}


def again(packet: Packet) -> Packet:
    return IPv4.decode(bytes(packet))


def test_a_datagram_is_built_and_read() -> None:
    packet = BASE / UDP(src_port=12345, dst_port=53) / b"hello"
    words = [0x0A00, 1, 0x0A00, 2, 17, 13, 12345, 53, 13, 0x6865, 0x6C6C, 0x6F00]
    assert packet[UDP].checksum == -sum(words) % 65535
    udp = again(packet)[UDP]
    assert (udp.src_port, udp.dst_port, udp.length) == (12345, 53, 13)
    assert not codes(packet)
    assert not codes(again(packet))


@pytest.mark.parametrize("header", [UDP, UDPLite])
def test_decode_reports_every_truncation(header: type[UDP | UDPLite]) -> None:
    octets = bytes(header(src_port=1, dst_port=2) / b"")
    for length in range(8):
        packet = header.decode(octets[:length])
        (error,) = packet.errors
        assert error.layer == header.layer
        assert bytes(packet) == octets[:length]


@pytest.mark.parametrize(
    ("udp", "code"),
    [
        (UDP(dst_port=9), "udp-src-port"),
        (UDP(src_port=9), "udp-dst-port"),
        (UDP(src_port=9, dst_port=9, length=7), "udp-length"),
        (UDP(src_port=9, dst_port=9, length=99), "udp-length"),
        (UDP(src_port=9, dst_port=9, checksum=0xFFFE), "udp-checksum"),
    ],
)
def test_a_field_that_is_wrong_is_named(udp: UDP, code: str) -> None:
    packet = BASE / udp / b"hello"
    assert code in codes(packet)
    assert code in codes(again(packet))


def test_a_checksum_of_zero_is_none_over_ipv4() -> None:
    packet = BASE / UDP(src_port=9, dst_port=9, checksum=0)
    assert not codes(packet)


def test_octets_behind_the_length_are_noted() -> None:
    inner = bytes(UDP(src_port=9, dst_port=9, checksum=0) / b"hello") + b"surplus"
    packet = IPv4.decode(bytes(IPv4(protocol=17) / inner))
    assert packet.payload == b"hello"
    assert packet.trailer == b"surplus"
    assert codes(packet) == {"udp-surplus"}


def test_a_sum_of_zero_is_sent_as_ones() -> None:
    packet = BASE / UDP(src_port=9, dst_port=9) / b"\0\0"
    packet.payload = packet[UDP].checksum.to_bytes(2, "big")
    assert packet[UDP].checksum == 0xFFFF
    assert not codes(packet)


def test_udp_lite_covers_what_it_is_told_to() -> None:
    def build(coverage: int) -> Packet:
        header = UDPLite(src_port=9, dst_port=9, coverage=coverage)
        return BASE / header / b"hello!"

    assert not codes(build(0))
    assert not codes(build(8))
    damaged = bytearray(bytes(build(10)))
    damaged[-1] ^= 0xFF
    assert not codes(IPv4.decode(bytes(damaged)))
    damaged[-5] ^= 0xFF
    assert codes(IPv4.decode(bytes(damaged))) == {"udp-lite-checksum"}
    assert codes(build(7)) == codes(build(15)) == {"udp-lite-coverage"}
    packet = build(0)
    packet[UDPLite].checksum = 0
    assert codes(packet) == {"udp-lite-checksum"}
    packet[UDPLite].checksum = AUTO
    packet[UDPLite].src_port = packet[UDPLite].dst_port = 0
    assert codes(packet) == {"udp-lite-src-port", "udp-lite-dst-port"}


@pytest.mark.needs("root")
def test_this_kernel_takes_udp_lite_and_drops_it_when_a_covered_octet_is_damaged() -> None:
    try:
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)
    except OSError:
        pytest.skip("this kernel has no UDP-Lite")
    with receiver, socket.socket(socket.AF_INET, socket.SOCK_RAW, 136) as sender:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        port = receiver.getsockname()[1]
        header = UDPLite(src_port=9, dst_port=port, coverage=9)
        datagram = bytearray(bytes(IPv4(src="127.0.0.1", dst="127.0.0.1") / header / b"hello")[20:])
        for covered, uncovered in ((0, 0), (1, 0), (0, 1)):
            sent = bytearray(datagram)
            sent[8] ^= covered
            sent[9] ^= uncovered
            sender.sendto(sent, ("127.0.0.1", 0))
        # In between was the one with the covered octet damaged.
        assert [receiver.recv(100), receiver.recv(100)] == [b"hello", b"hdllo"]


def test_a_tunnel_is_found_by_the_port_it_goes_to() -> None:
    packet = BASE / UDP(src_port=9, dst_port=4754) / GRE() / b"hello"
    assert GRE in again(packet)
    assert not codes(packet)
    packet[UDP].src_port, packet[UDP].dst_port = 4754, 9
    assert codes(packet) == {"udp-dst-port"}
    assert GRE not in again(packet)
    packet[UDP].dst_port = 4754
    packet[UDP].length = 7
    assert GRE not in again(packet)
    packet[UDP].length = 0
    assert GRE in again(packet)


def test_a_tunnel_over_ipv6_may_leave_the_checksum_out() -> None:
    udp = UDP(src_port=9, dst_port=4754, checksum=0)
    base = IPv6(src="2001:db8::1", dst="2001:db8::2")
    assert not codes(base / udp / GRE())
    assert codes(base / udp / b"hello") == {"udp-checksum-zero"}


@settings(max_examples=100)
@given(st.binary(max_size=40))
def test_random_octets_are_shown_judged_and_given_back(octets: bytes) -> None:
    for number in (17, 136):
        packet = IPv4.decode(bytes(IPv4(protocol=number) / octets))
        packet.verify()
        assert bytes(packet)[20:] == octets

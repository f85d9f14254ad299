"""What the filter in the kernel lets pass: answers to our ports, ICMP errors, nothing else."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from sockwright.filters.instruction import Instruction, as_numbers
from sockwright.filters.interpreter import MEMORY_WORDS, run
from sockwright.lab import Lab
from sockwright.scan.sending.answer_filter import KEPT, answers_to_ports
from sockwright.sockets.filter import attach_filter

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST, LAST = 40_000, 40_031
_CODE, _JT, _JF, _K = zip(*answers_to_ports(FIRST, LAST), strict=True)
_FOUR, _FOUR_SOURCE = "10.0.0.1", "10.0.0.2"
_TCP, _UDP, _ICMP, _ICMP6, _SCTP = 6, 17, 1, 58, 132


def accepted(packet: bytes) -> int:
    """Return how many octets the filter keeps."""
    size = len(packet)
    return run(_CODE, _JT, _JF, _K, packet, 0, size, size, [0] * MEMORY_WORDS)


def four(
    protocol: int, payload: bytes, *, options: bytes = b"", offset: int = 0, more: bool = False
) -> bytes:
    """Put an IPv4 header in front; `offset` is that of the fragment, in units of 8 octets."""
    words = 5 + len(options) // 4
    return (
        struct.pack(
            "!BBHHHBBH4s4s",
            0x40 | words,
            0,
            words * 4 + len(payload),
            7,
            offset | (0x2000 if more else 0),
            60,
            protocol,
            0,
            socket.inet_aton(_FOUR_SOURCE),
            socket.inet_aton(_FOUR),
        )
        + options
        + payload
    )


def six(protocol: int, payload: bytes) -> bytes:
    """Put an IPv6 header in front."""
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 60) + bytes(32) + payload


def tcp(port: int) -> bytes:
    """Return a segment to a port."""
    return struct.pack("!HHIIHHHH", 80, port, 1, 2, 0x5012, 1024, 0, 0)


def icmp(kind: int, code: int = 0) -> bytes:
    """Return a message of ICMP or ICMPv6."""
    return struct.pack("!BBHI", kind, code, 0, 0) + bytes(40)


@pytest.mark.parametrize("header", [four, six])
@pytest.mark.parametrize("port", [FIRST, FIRST + 1, LAST - 1, LAST])
def test_tcp_to_our_ports_passes(header: object, port: int) -> None:
    assert accepted(header(_TCP, tcp(port))) == KEPT  # type: ignore[operator]


@pytest.mark.parametrize("header", [four, six])
@pytest.mark.parametrize("port", [0, 80, FIRST - 1, LAST + 1, 65535])
def test_tcp_to_other_ports_does_not(header: object, port: int) -> None:
    assert accepted(header(_TCP, tcp(port))) == 0  # type: ignore[operator]


@pytest.mark.parametrize("size", [4, 8, 20, 40])
def test_options_of_ipv4_do_not_hide_the_port(size: int) -> None:
    options = b"\x01" * size
    assert accepted(four(_TCP, tcp(FIRST), options=options)) == KEPT
    assert accepted(four(_TCP, tcp(LAST + 1), options=options)) == 0


def test_of_a_fragmented_answer_only_the_first_fragment_passes() -> None:
    assert accepted(four(_TCP, tcp(FIRST), more=True)) == KEPT
    assert accepted(four(_TCP, tcp(FIRST), offset=3)) == 0
    assert accepted(four(_TCP, tcp(FIRST), offset=0x1FFF, more=True)) == 0


def test_of_icmp_only_errors_pass() -> None:
    passing = {kind for kind in range(256) if accepted(four(_ICMP, icmp(kind)))}
    assert passing == {3, 11, 12}  # RFC 792: unreachable, time exceeded, parameter problem


def test_of_icmpv6_only_errors_pass() -> None:
    passing = {kind for kind in range(256) if accepted(six(_ICMP6, icmp(kind)))}
    assert passing == {1, 2, 3, 4}  # RFC 4443 section 3


def test_icmp_behind_options_of_ipv4_is_read_where_it_is() -> None:
    assert accepted(four(_ICMP, icmp(3), options=b"\x01" * 8)) == KEPT
    assert accepted(four(_ICMP, icmp(0), options=b"\x03" * 8)) == 0


def test_no_other_protocol_passes() -> None:
    for protocol in {*range(256)} - {_TCP, _ICMP}:
        assert accepted(four(protocol, tcp(FIRST))) == accepted(four(protocol, icmp(3))) == 0
    for protocol in {*range(256)} - {_TCP, _ICMP6}:
        assert accepted(six(protocol, tcp(FIRST))) == accepted(six(protocol, icmp(1))) == 0


def test_icmp_of_one_version_in_the_other_does_not_pass() -> None:
    assert accepted(six(_ICMP, icmp(3))) == 0
    assert accepted(four(_ICMP6, icmp(1))) == 0


@pytest.mark.parametrize("version", [0, 1, 5, 7, 15])
def test_what_is_neither_ipv4_nor_ipv6_does_not_pass(version: int) -> None:
    for packet in (four(_TCP, tcp(FIRST)), six(_TCP, tcp(FIRST))):
        assert accepted(bytes([version << 4 | packet[0] & 15]) + packet[1:]) == 0


@pytest.mark.parametrize(
    "packet",
    [
        four(_TCP, tcp(FIRST)),
        four(_TCP, tcp(FIRST), options=b"\x01" * 40),
        six(_TCP, tcp(FIRST)),
        four(_ICMP, icmp(3)),
        six(_ICMP6, icmp(1)),
    ],
)
def test_a_packet_cut_before_what_is_looked_at_does_not_pass(packet: bytes) -> None:
    passing = [size for size in range(len(packet) + 1) if accepted(packet[:size])]
    # From some size on every one passes, and that is behind the IP header.
    assert passing == list(range(passing[0], len(packet) + 1))
    assert passing[0] > (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else passing[0] > 40


def test_whoever_wants_whole_packets_gets_them() -> None:
    program = answers_to_ports(FIRST, LAST, kept=65535)
    assert max(k for code, _, _, k in program if code == 0x06) == 65535


@pytest.fixture(scope="module")
def listening() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A packet socket with the filter on the loopback of a host, and one that sends there."""
    with Lab() as lab:
        (host,) = lab.hosts("filtering")
        with (
            host.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as receiving,
            host.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sending,
        ):
            attach_filter(receiving, answers_to_ports(FIRST, LAST))
            receiving.bind(("lo", 0x0003))
            receiving.settimeout(5)
            yield receiving, sending


@pytest.mark.needs("namespaces")
def test_the_kernel_reads_the_program_as_the_interpreter_does(
    listening: tuple[socket.socket, socket.socket],
) -> None:
    receiving, sending = listening
    packets = [four(_UDP, tcp(FIRST)), four(_SCTP, tcp(FIRST)), four(_ICMP, icmp(8))]
    packets += [four(_TCP, tcp(port)) for port in range(FIRST - 5, LAST + 6)]
    packets += [four(_TCP, tcp(port), options=b"\x01" * 8) for port in range(LAST - 5, LAST + 6)]
    packets += [four(_ICMP, icmp(kind), options=b"\x01" * 4) for kind in (3, 4, 11, 12)]
    for packet in packets:
        sending.sendto(packet[:16] + b"\x7f\0\0\1" + packet[20:], ("127.0.0.1", 0))
    expected = [packet[20:] for packet in packets if accepted(packet)]
    got: list[tuple[int, bytes]] = []
    while len(got) < 2 * len(expected):  # on its way out, and in again
        octets, where = receiving.recvfrom(2048)
        if octets[16:20] == b"\x7f\0\0\1" and octets[12:16] == socket.inet_aton(_FOUR_SOURCE):
            got.append((where[2], octets[20:]))
        assert len(octets) <= KEPT
    for direction in {kind for kind, _ in got}:
        assert [octets for kind, octets in got if kind == direction] == expected


def test_the_program_is_one_that_the_kernel_takes() -> None:
    program = [Instruction(*one) for one in answers_to_ports(FIRST, LAST)]
    lines = as_numbers(program)
    assert int(lines[0]) == len(program)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        attach_filter(sock, program)


@pytest.mark.parametrize("hosts", [False, True])
def test_jumps_lead_forward_and_stay_inside(hosts: bool) -> None:
    program = answers_to_ports(1, 2, hosts=hosts)
    for at, (code, yes, no, _) in enumerate(program):
        if code & 0x07 == 0x05:
            assert 0 <= yes < len(program) - at - 1
            assert 0 <= no < len(program) - at - 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        attach_filter(sock, program)


def test_for_discovery_replies_pass_too_and_requests_do_not() -> None:
    code, yes, no, k = zip(*answers_to_ports(FIRST, LAST, hosts=True), strict=True)

    def passes(packet: bytes) -> bool:
        size = len(packet)
        return bool(run(code, yes, no, k, packet, 0, size, size, [0] * MEMORY_WORDS))

    # RFC 792: replies to echo and timestamp beside the errors; RFC 4443 and 4861 likewise.
    assert {kind for kind in range(256) if passes(four(_ICMP, icmp(kind)))} == {0, 3, 11, 12, 14}
    of_6 = {kind for kind in range(256) if passes(six(_ICMP6, icmp(kind)))}
    assert of_6 == {1, 2, 3, 4, 129, 136}
    for header in (four, six):
        assert passes(header(_TCP, tcp(FIRST)))
        assert not passes(header(_TCP, tcp(LAST + 1)))
    arp = {kind: struct.pack("!HHBBH20x", 1, 0x0800, 6, 4, kind) for kind in range(10)}
    assert {kind for kind, packet in arp.items() if passes(packet)} == {2}  # RFC 826: a reply
    assert not accepted(arp[2])

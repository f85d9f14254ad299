"""Probes and their answers as octets: right for every decoder, believed only with our cookie."""

from __future__ import annotations

import random
import socket
import struct

import pytest

from sockwright.scan.discovery import packets
from sockwright.scan.discovery.kinds import Answer, Kind
from sockwright.scan.sending.evidence import with_ip_header
from sockwright.wire import Packet

_FIRST, _LAST = 40000, 40023
_OUR4, _THEIR4, _ROUTER4 = (bytes([10, 0, 0, number]) for number in (1, 2, 9))
_OUR6, _THEIR6, _ROUTER6 = (
    socket.inet_pton(socket.AF_INET6, text) for text in ("fd00::1", "fd00::2", "fd00::9")
)
_COOKIE = 0xDEADBEE0
_TRY = 3
_MAC = bytes.fromhex("020000000009")
_RAW_IP = 101


def decoded(octets: bytes) -> Answer | None:
    return packets.decode(memoryview(octets), _FIRST, _LAST)


def probe(kind: Kind, version: int = 4) -> bytes:
    """Return a probe behind its IP header."""
    ours, theirs = (_OUR4, _THEIR4) if version == 4 else (_OUR6, _THEIR6)
    octets = bytearray(packets.SIZES[kind])
    addresses = packets.address_sum(ours, theirs)
    port = _FIRST + _TRY - 1
    if kind == Kind.ECHO:
        packets.write_echo(octets, 0, _COOKIE, _TRY, version=version)
    elif kind == Kind.TIMESTAMP:
        packets.write_timestamp(octets, 0, _COOKIE, _TRY)
    elif kind == Kind.SYN:
        packets.write_syn(octets, 0, _COOKIE, port, addresses)
    else:
        packets.write_ack(octets, 0, _COOKIE, port, addresses)
    protocol = 6 if kind in {Kind.SYN, Kind.ACK} else 1 if version == 4 else 58
    return with_ip_header(ours, theirs, bytes(octets), protocol)


def answered(kind: Kind, version: int = 4) -> bytes:
    """Return what a host answers, behind its IP header."""
    ours, theirs = (_OUR4, _THEIR4) if version == 4 else (_OUR6, _THEIR6)
    asked = probe(kind, version)[20 if version == 4 else 40 :]
    if kind in {Kind.ECHO, Kind.TIMESTAMP}:
        what = {Kind.ECHO: 0 if version == 4 else 129, Kind.TIMESTAMP: 14}[kind]
        return with_ip_header(theirs, ours, bytes([what]) + asked[1:], 1 if version == 4 else 58)
    source, destination, sequence, number = struct.unpack_from("!HHII", asked)
    reply = (0, sequence + 1, 0x5012) if kind == Kind.SYN else (number, 0, 0x5004)
    segment = struct.pack("!HHIIHHHH", destination, source, *reply, 1000, 0, 0)
    return with_ip_header(theirs, ours, segment, 6)


@pytest.mark.parametrize("kind", [Kind.ECHO, Kind.TIMESTAMP, Kind.SYN, Kind.ACK])
def test_a_probe_of_ipv4_is_right_to_our_own_decoder(kind: Kind) -> None:
    packet = Packet.decode(probe(kind), link_type=_RAW_IP)
    assert [finding for finding in packet.verify() if "checksum" in str(finding)] == []
    assert not packet.errors


@pytest.mark.parametrize("kind", [Kind.SYN, Kind.ACK])
def test_a_segment_over_ipv6_has_its_checksum(kind: Kind) -> None:
    packet = Packet.decode(probe(kind, 6), link_type=_RAW_IP)
    assert [finding for finding in packet.verify() if "checksum" in str(finding)] == []


_ALL = [
    (Kind.ECHO, 4, "echo-reply"),
    (Kind.TIMESTAMP, 4, "timestamp-reply"),
    (Kind.SYN, 4, "syn-ack"),
    (Kind.ACK, 4, "reset"),
    (Kind.ECHO, 6, "echo-reply"),
    (Kind.SYN, 6, "syn-ack"),
    (Kind.ACK, 6, "reset"),
]


@pytest.mark.parametrize(("kind", "version", "word"), _ALL)
def test_each_answer_gives_back_cookie_and_try(kind: Kind, version: int, word: str) -> None:
    answer = decoded(answered(kind, version))
    assert answer is not None
    assert (answer.kind, answer.reason, answer.attempt, answer.ttl) == (kind, word, _TRY, 64)
    assert answer.about == (_THEIR4 if version == 4 else _THEIR6)
    assert packets.believed(answer, _COOKIE)
    assert not packets.believed(answer, _COOKIE ^ 0x100)
    assert not packets.believed(answer, _COOKIE ^ 0x80000000)


@pytest.mark.parametrize(("kind", "version", "word"), _ALL)
def test_every_truncation_and_random_octets_are_nothing_or_an_answer(
    kind: Kind, version: int, word: str
) -> None:
    whole = answered(kind, version)
    choose = random.Random(kind << 4 | version)
    for length in range(len(whole)):
        decoded(whole[:length])
    for _ in range(300):
        octets = bytearray(whole)
        for _ in range(choose.randrange(1, 6)):
            octets[choose.randrange(len(octets))] = choose.randrange(256)
        decoded(bytes(octets))
        decoded(choose.randbytes(choose.randrange(120)))


@pytest.mark.parametrize(("kind", "version", "word"), _ALL)
@pytest.mark.parametrize("code", [0, 1, 3])
def test_an_error_names_the_host_that_it_is_about(
    kind: Kind, version: int, word: str, code: int
) -> None:
    quoted = probe(kind, version)
    if version == 4:
        router, ours, theirs, protocol = _ROUTER4, _OUR4, _THEIR4, 1
        error = struct.pack("!BBHI", 3, code, 0, 0) + quoted[:28]
        gone = code == 1
    else:
        router, ours, theirs, protocol = _ROUTER6, _OUR6, _THEIR6, 58
        error = struct.pack("!BBHI", 1, code, 0, 0) + quoted
        gone = code == 3
    answer = decoded(with_ip_header(router, ours, error, protocol))
    assert answer is not None
    assert (answer.kind, answer.about, answer.sender) == (kind, theirs, router)
    assert (answer.gone, answer.attempt) == (gone, _TRY)
    assert packets.believed(answer, _COOKIE)
    own = decoded(with_ip_header(theirs, ours, error, protocol))
    assert own is not None
    assert own.sender == b""


def test_an_arp_reply_has_the_link_address_and_a_request_is_no_answer() -> None:
    octets = bytearray(packets.ARP_SIZE)
    packets.write_arp(octets, 0, _MAC, _OUR4, _THEIR4)
    assert decoded(bytes(octets)) is None
    reply = struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 2, _MAC, _THEIR4, bytes(6), _OUR4)
    answer = decoded(reply)
    assert answer == Answer(Kind.NEIGHBOUR, _THEIR4, "arp-response", mac="02:00:00:00:00:09")


def test_an_advertisement_is_believed_from_the_link_only() -> None:
    body = struct.pack("!BBHI16sBB6s", 136, 0, 0, 0x60000000, _THEIR6, 2, 1, _MAC)
    octets = bytearray(with_ip_header(_THEIR6, _OUR6, body, 58))
    assert decoded(bytes(octets)) is None
    octets[7] = 255
    answer = decoded(bytes(octets))
    assert answer is not None
    assert (answer.reason, answer.mac) == ("nd-response", "02:00:00:00:00:09")
    octets[44] = 0  # nobody solicited it
    assert decoded(bytes(octets)) is None


def test_a_solicitation_goes_to_the_group_of_the_address() -> None:
    address = socket.inet_pton(socket.AF_INET6, "fe80::2aa:ff:fe28:9c5a")
    group = socket.inet_ntop(socket.AF_INET6, packets.solicited_node(address))
    assert group == "ff02::1:ff28:9c5a"  # the example of RFC 4291 section 2.7.1

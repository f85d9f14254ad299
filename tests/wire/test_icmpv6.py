"""ICMPv6: the shared header, errors and echoes, with this kernel and scapy as peers."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers import inet6

from sockwright.wire import AUTO, Header, Packet
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.icmp_extensions import MPLSEntry, MPLSLabelStack, encode_extensions
from sockwright.wire.icmpv6 import ICMPv6
from sockwright.wire.icmpv6_messages import (
    DestinationUnreachable,
    EchoReply,
    EchoRequest,
    PacketTooBig,
    ParameterProblem,
    TimeExceeded,
)
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.ipv6 import IPv6
from sockwright.wire.udp import UDP

BASE = IPv6(src="2001:db8::2", dst="2001:db8::1")
ASKED = IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(src_port=4000, dst_port=9) / bytes(20)
ERRORS: tuple[type[Header], ...] = (
    DestinationUnreachable,
    PacketTooBig,
    TimeExceeded,
    ParameterProblem,
)


def codes(packet: Packet) -> set[str]:
    return {finding.code for finding in packet.verify() if finding.layer.startswith("icmpv6")}


def again(packet: Packet) -> Packet:
    return IPv6.decode(bytes(packet))


def test_the_message_that_follows_fills_in_the_type() -> None:
    for number, message in enumerate(ERRORS, 1):
        packet = BASE / ICMPv6() / message() / bytes(ASKED)
        assert packet[ICMPv6].type == number
        assert type(again(packet).layers[-1]) is message
        assert not codes(packet)
        assert not codes(again(packet))


def test_an_echo_is_built_and_read() -> None:
    packet = again(BASE / ICMPv6() / EchoRequest(identifier=7, sequence=9) / b"hello")
    assert packet[ICMPv6].type == 128
    echo = packet[EchoRequest]
    assert (echo.identifier, echo.sequence, packet.payload) == (7, 9, b"hello")
    assert again(BASE / ICMPv6() / EchoReply())[ICMPv6].type == 129


def test_the_checksum_covers_the_pseudo_header_of_ipv6() -> None:
    packet = BASE / ICMPv6() / EchoRequest(identifier=1, sequence=1)
    words = [0x2001, 0x0DB8, 2, 0x2001, 0x0DB8, 1, 8, 58, 0x8000, 1, 1]
    assert packet[ICMPv6].checksum == -sum(words) % 65535
    packet[IPv6].dst = "2001:db8::9"
    assert packet[ICMPv6].checksum == -(sum(words) + 8) % 65535


def test_decode_reports_every_truncation() -> None:
    octets = bytes(ICMPv6(type=128) / EchoRequest(identifier=1, sequence=1))
    for length in range(len(octets)):
        packet = ICMPv6.decode(octets[:length])
        if length == 4:
            continue  # the header alone, of a message that is not there
        (error,) = packet.errors
        assert error.layer == ("icmpv6" if length < 4 else "icmpv6_echo_request")
        assert bytes(packet) == octets[:length]
    assert not ICMPv6.decode(octets).errors


def test_touching_a_field_changes_no_octet() -> None:
    octets = bytes(Ethernet() / BASE / ICMPv6(code=4) / DestinationUnreachable() / bytes(ASKED))
    packet = Ethernet.decode(octets)
    packet[ICMPv6].code = packet[ICMPv6].code
    assert bytes(packet) == octets
    assert packet[ICMPv6].code_name == "port unreachable"


def test_the_quoted_packet_is_decoded_and_left_alone_by_edits() -> None:
    quote = bytes(ASKED)[:50]
    packet = again(BASE / ICMPv6() / PacketTooBig(mtu=1400) / quote)
    assert not packet.errors
    quoted = packet[PacketTooBig].quoted
    assert quoted is not None
    assert quoted[UDP].dst_port == 9
    assert quoted.errors
    packet[IPv6].hop_limit = 3
    packet[PacketTooBig].mtu = 1300
    assert packet.payload == quote
    assert not codes(packet)


def test_extensions_behind_the_quote_are_read_rfc_4884() -> None:
    stack = MPLSLabelStack((MPLSEntry(16, bottom=True, ttl=1),))
    body = bytes(ASKED).ljust(128, b"\0") + encode_extensions((stack,))
    for message in (TimeExceeded(length=16), DestinationUnreachable(length=16)):
        packet = again(BASE / ICMPv6() / message / body)
        layer = packet.layers[-1]
        assert isinstance(layer, (TimeExceeded, DestinationUnreachable))
        assert layer.extensions == (stack,)
        assert layer.quoted is not None
        assert len(bytes(layer.quoted)) == 128


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (BASE / ICMPv6(type=129) / EchoRequest(), "icmpv6-type"),
        (BASE / ICMPv6(type=99), "icmpv6-type"),
        (BASE / ICMPv6(code=1) / EchoRequest(), "icmpv6-code"),
        (BASE / ICMPv6(code=9) / DestinationUnreachable() / bytes(ASKED), "icmpv6-code"),
        (
            BASE / ICMPv6() / PacketTooBig(mtu=1279) / bytes(ASKED),
            "icmpv6-packet-too-big-mtu",
        ),
        (BASE / ICMPv6() / TimeExceeded() / b"short", "icmpv6-time-exceeded-quote-short"),
        (BASE / ICMPv6() / ParameterProblem() / bytes(60), "icmpv6-parameter-problem-quote"),
        (
            BASE / ICMPv6() / TimeExceeded() / (bytes(ASKED) + bytes(1300)),
            "icmpv6-time-exceeded-too-long",
        ),
        (
            BASE
            / ICMPv6()
            / TimeExceeded()
            / bytes(BASE / ICMPv6() / TimeExceeded() / bytes(ASKED)),
            "icmpv6-time-exceeded-about-error",
        ),
    ],
)
def test_a_mistake_is_named(packet: Packet, code: str) -> None:
    assert codes(packet) == {code}


def test_wrong_checksums_have_words_of_their_own() -> None:
    packet = BASE / ICMPv6() / EchoRequest(identifier=0x1234, sequence=1) / b"hello"
    right = packet[ICMPv6].checksum
    octets = bytes(packet)[40:]

    def said(number: int) -> str:
        packet[ICMPv6].checksum = number
        (finding,) = [finding for finding in packet.verify() if finding.layer == "icmpv6"]
        assert finding.expected == f"{right:#06x}"
        return finding.message

    words = octets[:2] + octets[4:] + b"\0"
    bare = sum(int.from_bytes(words[at : at + 2], "big") for at in range(0, len(words), 2))
    assert "without the pseudo-header" in said(-bare % 65535)
    assert "swapped" in said((right & 255) << 8 | right >> 8)
    assert "left at 0" in said(0)
    packet[ICMPv6].checksum = AUTO
    assert not codes(packet)


def test_over_ipv4_it_is_the_wrong_protocol() -> None:
    assert "icmpv6-over-ipv4" in codes(IPv4() / ICMPv6() / EchoRequest())


@pytest.mark.needs("root")
def test_this_kernel_answers_an_echo_and_quotes_what_nobody_takes() -> None:
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as closed,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender,
    ):
        raw.settimeout(5)
        loopback = IPv6(src="::1", dst="::1")
        asked = loopback / ICMPv6() / EchoRequest(identifier=0x5357) / b"sockwright"
        # The kernel writes the checksum of ICMPv6 itself: what comes back proves only the rest.
        raw.sendto(bytes(asked)[40:], ("::1", 0))
        closed.bind(("::1", 0))
        port = closed.getsockname()[1]
        closed.close()
        sender.sendto(b"anybody there?", ("::1", port))
        replies = errors = 0
        while not (replies and errors):
            # A raw socket gives the message without its IPv6 header.
            packet = again(IPv6(src="::1", dst="::1", next_header=58) / raw.recv(65535))
            echo, error = packet.get(EchoReply), packet.get(DestinationUnreachable)
            if echo is not None and echo.identifier == 0x5357:
                assert packet.payload == b"sockwright"
                assert not codes(packet)
                replies += 1
            elif error is not None:
                quoted = error.quoted
                if quoted is not None and UDP in quoted and quoted[UDP].dst_port == port:
                    assert quoted.payload == b"anybody there?"
                    assert packet[ICMPv6].code_name == "port unreachable"
                    assert not codes(packet)
                    errors += 1


@settings(max_examples=100)
@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=64))
def test_scapy_makes_the_same_octets(identifier: int, sequence: int, body: bytes) -> None:
    ours = BASE / ICMPv6() / EchoRequest(identifier=identifier, sequence=sequence) / body
    ip = inet6.IPv6(src="2001:db8::2", dst="2001:db8::1")
    echo = inet6.ICMPv6EchoRequest(id=identifier, seq=sequence, data=body)
    assert bytes(ip / echo)[40:] == bytes(ours)[40:]
    too_big = inet6.ICMPv6PacketTooBig(mtu=identifier) / body
    ours = BASE / ICMPv6() / PacketTooBig(mtu=identifier) / body
    assert bytes(ip / too_big)[40:] == bytes(ours)[40:]


@settings(max_examples=200)
@given(
    st.sampled_from([1, 2, 3, 4, 128, 129, 130, 131, 133, 134, 135, 136, 137, 143, 99]), st.data()
)
def test_random_octets_are_shown_judged_and_given_back(kind: int, data: st.DataObject) -> None:
    octets = bytes((kind,)) + data.draw(st.binary(max_size=120))
    packet = IPv6.decode(bytes(IPv6(next_header=58) / octets))
    packet.verify()
    assert bytes(packet)[40:] == octets
    for header in packet:
        for field in header.fields:
            getattr(header, field.name)

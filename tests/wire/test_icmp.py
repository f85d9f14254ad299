"""ICMP: messages of this kernel, quotations, extensions, and each mistake that `verify` names."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers import inet

from sockwright.wire import AUTO, Packet
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.icmp import ICMP
from sockwright.wire.icmp_extensions import (
    ExtensionObject,
    MPLSEntry,
    MPLSLabelStack,
    decode_extensions,
    encode_extensions,
)
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.tcp import TCP
from sockwright.wire.udp import UDP

BASE = IPv4(src="10.0.0.2", dst="10.0.0.1")
ASKED = IPv4(src="10.0.0.1", dst="10.0.0.2") / UDP(src_port=4000, dst_port=9) / bytes(20)


def codes(packet: Packet) -> set[str]:
    return {finding.code for finding in packet.verify() if finding.layer == "icmp"}


def again(packet: Packet) -> Packet:
    return IPv4.decode(bytes(packet))


def unreachable(quote: bytes, **fields: int) -> Packet:
    return BASE / ICMP(type=3, code=3, **fields) / quote


def test_the_fields_of_an_echo_have_their_names() -> None:
    packet = BASE / ICMP(type=8, identifier=0x1234, sequence=5) / b"hello"
    icmp = again(packet)[ICMP]
    assert (icmp.type, icmp.identifier, icmp.sequence, icmp.rest) == (8, 0x1234, 5, 0x12340005)
    assert not codes(packet)
    assert icmp.quoted is None
    assert icmp.timestamps is None


def test_the_rest_means_what_the_type_says() -> None:
    redirect = ICMP(type=5, code=1, gateway="10.0.0.254")
    assert redirect.gateway == IPv4Address("10.0.0.254")
    assert redirect.rest == 0x0A0000FE
    assert ICMP(type=3, code=4, mtu=1400).rest == 1400
    assert ICMP(type=12, pointer=20).rest == 20 << 24
    names = {field.name for field in ICMP.fields if field.overlay and field.applies(redirect)}
    assert names == {"gateway"}
    assert redirect.code_name == "for the host"


def test_decode_reports_every_truncation() -> None:
    octets = bytes(ICMP(identifier=7) / b"")
    for length in range(8):
        packet = ICMP.decode(octets[:length])
        (error,) = packet.errors
        assert error.layer == "icmp"
        assert bytes(packet) == octets[:length]


def test_touching_a_field_changes_no_octet() -> None:
    octets = bytes(Ethernet() / unreachable(bytes(ASKED)[:28]))
    packet = Ethernet.decode(octets)
    packet[ICMP].code = packet[ICMP].code
    assert bytes(packet) == octets


def test_the_quoted_datagram_is_decoded_and_its_shortness_is_its_own() -> None:
    packet = again(unreachable(bytes(ASKED)[:28]))
    assert not packet.errors
    assert not codes(packet)
    quoted = packet[ICMP].quoted
    assert quoted is not None
    assert quoted[UDP].dst_port == 9
    assert quoted[IPv4].dst == IPv4Address("10.0.0.2")
    assert quoted.errors
    assert [type(header) for header in packet] == [IPv4, ICMP]


def test_an_edit_outside_leaves_the_quoted_datagram_alone() -> None:
    quote = bytearray(bytes(ASKED)[:28])
    quote[10:12] = b"\xde\xad"  # a checksum that is wrong must reach the sender as it is
    packet = again(unreachable(bytes(quote)))
    packet[IPv4].ttl = 3
    packet[ICMP].code = 1
    assert packet.payload == bytes(quote)
    assert bytes(packet)[28:] == bytes(quote)
    inner = packet[ICMP].quoted
    assert inner is not None
    inner[IPv4].ttl = 9
    assert packet.payload == bytes(quote)


def test_layers_built_behind_an_error_are_its_quotation_too() -> None:
    packet = BASE / ICMP(type=11) / ASKED
    quoted = packet[ICMP].quoted
    assert quoted is not None
    assert bytes(quoted) == bytes(ASKED)


def test_timestamps_are_read() -> None:
    body = (1000).to_bytes(4, "big") + (2000).to_bytes(4, "big") + (3000).to_bytes(4, "big")
    packet = again(BASE / ICMP(type=14, identifier=1) / body)
    assert packet[ICMP].timestamps == (1000, 2000, 3000)
    assert not codes(packet)
    assert codes(BASE / ICMP(type=13) / b"short") == {"icmp-timestamps"}


def test_extensions_behind_the_quote_are_read_rfc_4884() -> None:
    stack = MPLSLabelStack((MPLSEntry(16, 1, ttl=2), MPLSEntry(299792, bottom=True, ttl=1)))
    other = ExtensionObject(2, 1, b"abcd")
    structure = encode_extensions((stack, other))
    quote = bytes(ASKED).ljust(128, b"\0")
    told = again(BASE / ICMP(type=11, length=32) / (quote + structure))
    assert told[ICMP].extensions == (stack, other)
    assert told[ICMP].extension_octets == structure
    guessed = again(BASE / ICMP(type=11) / (quote + structure))
    assert guessed[ICMP].extensions == (stack, other)
    inner = told[ICMP].quoted
    assert inner is not None
    assert bytes(inner) == quote
    assert not codes(told)
    assert not again(BASE / ICMP(type=11) / (quote + b"no structure"))[ICMP].extensions


def test_an_extension_object_that_lies_ends_the_reading() -> None:
    structure = encode_extensions((ExtensionObject(9, 9, b"abcd"),))
    assert decode_extensions(structure + b"\0\3\1\1") == (ExtensionObject(9, 9, b"abcd"),)
    assert decode_extensions(structure + b"\0\x40\1\1") == (ExtensionObject(9, 9, b"abcd"),)
    with pytest.raises(ValueError, match=r"MPLSEntry\.label"):
        MPLSEntry(1 << 20)


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (BASE / ICMP(type=1), "icmp-type"),
        (BASE / ICMP(type=8, code=1), "icmp-code"),
        (BASE / ICMP(type=8, checksum=0x1234), "icmp-checksum"),
        (unreachable(b""), "icmp-quote-short"),
        (unreachable(bytes(ASKED)[:27]), "icmp-quote-short"),
        (unreachable(b"\x60" + bytes(47)), "icmp-quote"),
        (unreachable(bytes(unreachable(bytes(ASKED)))), "icmp-about-error"),
        (
            unreachable(bytes(IPv4(src="10.0.0.1", dst="224.0.0.1") / UDP() / bytes(9))),
            "icmp-about-group",
        ),
    ],
)
def test_a_mistake_is_named(packet: Packet, code: str) -> None:
    assert codes(packet) == codes(again(packet)) == {code}


def test_a_short_datagram_quoted_whole_is_no_short_quote() -> None:
    assert not codes(unreachable(bytes(IPv4(src="10.0.0.1", dst="10.0.0.2") / b"abc")))


def test_wrong_checksums_have_words_of_their_own() -> None:
    packet = BASE / ICMP(identifier=0x1234, sequence=1) / b"hello"
    right = packet[ICMP].checksum

    def said(number: int) -> str:
        packet[ICMP].checksum = number
        (finding,) = [finding for finding in packet.verify() if finding.layer == "icmp"]
        assert finding.expected == f"{right:#06x}"
        return finding.message

    assert "swapped" in said((right & 255) << 8 | right >> 8)
    assert "left at 0" in said(0)
    assert "complement" in said(right ^ 0xFFFF)
    assert "does not fit" in said(right ^ 0x0100)
    packet[ICMP].checksum = AUTO
    assert not codes(packet)


@pytest.mark.needs("root")
def test_this_kernel_answers_an_echo_built_here() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.settimeout(5)
        asked = BASE / ICMP(type=8, identifier=0x5357, sequence=1) / b"sockwright"
        raw.sendto(bytes(asked)[20:], ("127.0.0.1", 0))
        while True:
            reply = IPv4.decode(raw.recv(65535))
            icmp = reply[ICMP]
            if (icmp.type, icmp.identifier) == (0, 0x5357):
                break
    assert (icmp.sequence, reply.payload) == (1, b"sockwright")
    assert not codes(reply)


@pytest.mark.needs("root")
def test_this_kernel_quotes_a_datagram_to_a_closed_port() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        raw.settimeout(5)
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        closed.close()
        sender.sendto(b"anybody there?", ("127.0.0.1", port))
        while True:
            packet = IPv4.decode(raw.recv(65535))
            quoted = packet[ICMP].quoted
            if quoted is not None and UDP in quoted and quoted[UDP].dst_port == port:
                break
    assert packet[ICMP].code_name == "port unreachable"
    assert quoted.payload == b"anybody there?"
    assert not codes(packet)


@settings(max_examples=100)
@given(
    st.sampled_from([0, 8, 15, 16]),
    st.integers(0, 255),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.binary(max_size=64),
)
def test_scapy_makes_the_same_octets(
    kind: int, code: int, high: int, low: int, body: bytes
) -> None:
    ours = ICMP(type=kind, code=code, identifier=high, sequence=low) / body
    theirs = inet.ICMP(type=kind, code=code, id=high, seq=low) / body
    assert bytes(theirs) == bytes(ours)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_random_octets_are_shown_judged_and_given_back(octets: bytes) -> None:
    packet = IPv4.decode(bytes(IPv4(protocol=1) / octets))
    packet.verify()
    assert bytes(packet)[20:] == octets
    icmp = packet.get(ICMP)
    if icmp is not None:
        assert icmp.quoted is None or octets[8:].startswith(bytes(icmp.quoted))
        assert isinstance(icmp.extensions, tuple)
        assert icmp.timestamps is None or len(icmp.timestamps) == 3


def test_a_tcp_segment_is_quoted_with_its_ports() -> None:
    segment = IPv4(src="10.0.0.1", dst="10.0.0.2") / TCP(src_port=1025, dst_port=443, seq=7)
    packet = again(BASE / ICMP(type=11) / bytes(segment)[:28])
    quoted = packet[ICMP].quoted
    assert quoted is not None
    # A TCP header is 20 octets: with 8 of them only the ports and the sequence number are there.
    assert quoted.payload == bytes(segment)[20:28]

"""TCP: a segment of the kernel, every truncation, and each mistake that `verify` names."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockwright.errors import DecodeError
from sockwright.wire import AUTO, Packet
from sockwright.wire.core.option import Option, UnknownOption
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.tcp import TCP, TCPFlags
from sockwright.wire.tcp_options import (
    AO,
    MSS,
    EndOfOptions,
    FastOpen,
    NoOperation,
    SACKPermitted,
    Timestamps,
    WindowScale,
)

# RFC 9235 section 4.1.1: a SYN with every common option and the authentication option. The checksum
# that the RFC prints, 0xCAC4, is not that of these octets; scapy makes it 0xD45E too.
SYN = bytes.fromhex(
    "45e0004cdd0f4000ff06bf6b0a0b0c0dac1b1c1d"
    "e9d700b3fbfbab5a00000000e002ffffcac40000"
    "020405b4010303080402080a00155ab7000000001d103d542ee437c6f8ede6d7c4d602e7"
)


def codes(packet: Packet) -> set[str]:
    """Return the codes of the findings in the TCP layer."""
    return {finding.code for finding in packet.verify() if finding.layer == "tcp"}


def segment(**fields: object) -> Packet:
    values: dict[str, object] = {"src_port": 40000, "dst_port": 80, "flags": "A", "ack": 7} | fields
    return IPv4(src="10.0.0.1", dst="10.0.0.2") / TCP(**values)  # type: ignore[arg-type]


def again(packet: Packet) -> Packet:
    return IPv4.decode(bytes(packet))


def test_the_syn_of_rfc_9235_is_read_field_by_field() -> None:
    packet = IPv4.decode(SYN, strict=True)
    tcp = packet[TCP]
    assert (tcp.src_port, tcp.dst_port, tcp.seq, tcp.ack) == (59863, 179, 0xFBFBAB5A, 0)
    assert (tcp.data_offset, str(tcp.flags), tcp.window) == (14, "S", 65535)
    assert tcp.options == (
        MSS(1460),
        NoOperation(),
        WindowScale(8),
        SACKPermitted(),
        Timestamps(0x00155AB7, 0),
        AO(61, 84, bytes.fromhex("2ee437c6f8ede6d7c4d602e7")),
    )
    (finding,) = [finding for finding in packet.verify() if finding.layer == "tcp"]
    assert (finding.code, finding.found, finding.expected) == ("tcp-checksum", "0xcac4", "0xd45e")


def test_the_same_syn_is_built_out_of_its_fields() -> None:
    read = IPv4.decode(SYN)[TCP]
    packet = IPv4(src="10.11.12.13", dst="172.27.28.29") / TCP(
        src_port=59863,
        dst_port=179,
        seq=0xFBFBAB5A,
        flags="S",
        checksum=0xCAC4,
        options=read.options,
    )
    assert bytes(packet)[20:] == SYN[20:]


@pytest.mark.needs("root")
def test_a_syn_of_this_kernel_over_loopback_shows_checksum_offload() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        raw.settimeout(5)
        address = server.getsockname()
        with socket.create_connection(address):
            while True:
                packet = IPv4.decode(raw.recv(65535))
                tcp = packet[TCP]
                if tcp.dst_port == address[1] and tcp.flags == 0x02:
                    break
    assert tcp.options[0] == MSS(65495)
    assert not {finding.severity for finding in packet.verify()} & {"error"}
    assert codes(packet) <= {"tcp-checksum-offload"}


@pytest.mark.needs("root")
def test_this_kernel_answers_a_syn_built_here() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as placeholder,
    ):
        raw.settimeout(5)
        placeholder.bind(("127.0.0.1", 0))
        src_port, dst_port = placeholder.getsockname()[1], server.getsockname()[1]
        options = (MSS(1000), SACKPermitted(), Timestamps(7), NoOperation(), WindowScale(2))
        header = TCP(src_port=src_port, dst_port=dst_port, seq=41, flags="S", options=options)
        packet = IPv4(src="127.0.0.1", dst="127.0.0.1") / header
        raw.sendto(bytes(packet)[20:], ("127.0.0.1", 0))
        while True:
            answer = IPv4.decode(raw.recv(65535))[TCP]
            if answer.src_port == dst_port and answer.flags == 0x12:
                break
    assert answer.ack == 42
    assert Timestamps in map(type, answer.options)
    assert next(item for item in answer.options if isinstance(item, Timestamps)).echo_reply == 7


def test_decode_reports_every_truncation() -> None:
    whole = bytes(segment(options=(MSS(1460),)))[20:]
    for length in range(len(whole)):
        packet = TCP.decode(whole[:length])
        (error,) = packet.errors
        assert error.layer == "tcp"
        assert bytes(packet) == whole[:length]
        with pytest.raises(DecodeError):
            TCP.decode(whole[:length], strict=True)
    assert not TCP.decode(whole).errors


def test_touching_a_field_changes_no_octet() -> None:
    octets = bytes(Ethernet() / segment(options=(Timestamps(1, 2),)) / b"hello")
    packet = Ethernet.decode(octets)
    packet[TCP].window = packet[TCP].window
    packet[TCP].options = packet[TCP].options
    assert bytes(packet) == octets


def test_a_good_segment_has_no_findings() -> None:
    assert not codes(segment() / b"hello")
    assert not codes(again(segment() / b"hello"))
    assert not codes(segment(flags="S", ack=0, options=(MSS(1460), FastOpen())))
    assert not codes(segment(flags="R", ack=0))
    assert not codes(segment(flags="AU", urgent_pointer=2) / b"hello")


def test_flags_are_numbers_that_compare_with_text() -> None:
    flags = TCP(flags="SA").flags
    assert flags == "SA" == flags
    assert flags == "AS"
    assert flags != "S"
    assert not flags != "SA"  # noqa: SIM202  # int has a != of its own
    assert flags != "no flags"
    assert flags == TCPFlags("SA") == 0x12 == TCPFlags.SYN | TCPFlags.ACK
    assert hash(flags) == hash(0x12)
    assert repr(flags) == "TCPFlags('SA')"
    match IPv4() / TCP(flags="S"):
        case Packet(layers=(IPv4(), TCP(flags="S"))):
            pass
        case other:
            pytest.fail(f"no match for {other}")


def test_letters_are_in_flags_when_each_is_set() -> None:
    flags = TCP(flags="SA").flags
    assert "S" in flags
    assert "SA" in flags
    assert "SF" not in flags


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ("", "tcp-flags-none"),
        ("FPU", "tcp-flags-xmas"),
        ("SF", "tcp-flags-syn-fin"),
        ("SR", "tcp-flags-syn-rst"),
        ("RFA", "tcp-flags-rst-fin"),
        ("F", "tcp-flags-fin-no-ack"),
        ("P", "tcp-flags-no-ack"),
    ],
)
def test_flags_that_cannot_be_together_are_named(flags: str, code: str) -> None:
    urgent = 1 if "U" in flags else 0
    packet = segment(flags=flags, ack=7 if "A" in flags else 0, urgent_pointer=urgent) / b"hello"
    assert codes(packet) == {code}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"src_port": 0}, "tcp-src-port"),
        ({"dst_port": 0}, "tcp-dst-port"),
        ({"reserved": 1}, "tcp-reserved"),
        ({"flags": "S"}, "tcp-ack-unused"),
        ({"urgent_pointer": 3}, "tcp-urgent-pointer"),
        ({"flags": "AU"}, "tcp-urgent-pointer"),
        ({"flags": "AU", "urgent_pointer": 3}, "tcp-urgent-pointer"),
        ({"data_offset": 4}, "tcp-data-offset"),
        ({"data_offset": 15}, "tcp-data-offset"),
        ({"checksum": 0}, "tcp-checksum"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, object], code: str) -> None:
    packet = segment(**fields)
    assert codes(packet) == {code}
    assert codes(again(packet)) - {"truncated"} == {code}


@pytest.mark.parametrize(
    ("options", "flags", "code"),
    [
        ((MSS(1460),), "A", "tcp-option-outside-syn"),
        ((WindowScale(7),), "A", "tcp-option-outside-syn"),
        ((SACKPermitted(),), "A", "tcp-option-outside-syn"),
        ((MSS(40),), "SA", "tcp-option-mss"),
        ((WindowScale(15),), "SA", "tcp-option-window-scale"),
        ((MSS(1460), MSS(1400)), "SA", "tcp-option-duplicate"),
        ((Timestamps(1, 2),), "R", "tcp-option-timestamp-echo"),
        ((FastOpen(b"odd"),), "SA", "tcp-option-fast-open-cookie"),
        ((UnknownOption(2, b"x"),), "SA", "tcp-option-malformed"),
        ((EndOfOptions(b"abc"),), "A", "tcp-option-padding"),
    ],
)
def test_an_option_that_is_wrong_is_named(
    options: tuple[Option, ...], flags: str, code: str
) -> None:
    packet = segment(flags=flags, ack=7 if "A" in flags else 0, options=options)
    assert codes(packet) == codes(again(packet)) == {code}


def test_an_option_whose_length_lies_is_named() -> None:
    octets = bytearray(bytes(segment(flags="SA", options=(MSS(1460),))))
    octets[41] = 9
    packet = IPv4.decode(bytes(octets))
    packet[TCP].checksum = AUTO
    assert codes(packet) == {"tcp-option-malformed"}


def test_a_data_offset_that_was_not_shifted_is_named() -> None:
    octets = bytearray(bytes(segment() / b"hello"))
    octets[32] = 0x05
    packet = IPv4.decode(bytes(octets))
    (offset, checksum) = [finding for finding in packet.verify() if finding.layer == "tcp"]
    assert offset.code == "tcp-data-offset-not-shifted"
    assert "0x05" in offset.message
    assert "0x50" in offset.message
    assert checksum.code == "tcp-checksum"


def _checksum(packet: Packet) -> tuple[str, str, str, str]:
    (finding,) = [finding for finding in packet.verify() if finding.layer == "tcp"]
    assert finding.found != finding.expected
    return finding.code, finding.severity, finding.message, finding.expected


def test_each_way_to_get_the_checksum_wrong_has_its_own_words() -> None:
    good = segment() / b"hello"
    right = good[TCP].checksum
    bare = bytes(good)[20:36] + bytes(2) + bytes(good)[38:]
    total = sum(int.from_bytes((bare + b"\0")[at : at + 2], "big") for at in range(0, 26, 2))
    pseudo = 0x0A00 + 0x0001 + 0x0A00 + 0x0002 + 6 + 25

    def wrong(number: int) -> tuple[str, str, str, str]:
        return _checksum(segment(checksum=number) / b"hello")

    code, severity, message, expected = wrong(-total % 65535)
    assert (code, severity, expected) == ("tcp-checksum", "error", f"{right:#06x}")
    assert "without the pseudo-header" in message
    code, severity, message, _ = wrong(pseudo)
    assert (code, severity) == ("tcp-checksum-offload", "note")
    assert "offload" in message
    assert "swapped" in wrong((right & 255) << 8 | right >> 8)[2]
    assert "left at 0" in wrong(0)[2]
    assert "complement" in wrong((total + pseudo) % 65535)[2]
    assert "does not fit" in wrong(right ^ 0x0101)[2]


def test_the_checksum_is_by_protocol_6_whatever_the_ip_header_says() -> None:
    packet = IPv4(src="10.0.0.1", dst="10.0.0.2", protocol=16) / TCP(
        src_port=20, dst_port=80, flags="S"
    )
    good = IPv4(src="10.0.0.1", dst="10.0.0.2") / TCP(src_port=20, dst_port=80, flags="S")
    assert packet[TCP].checksum == good[TCP].checksum
    assert not codes(packet)
    packet[TCP].checksum = good[TCP].checksum - 10
    assert "protocol 16" in _checksum(packet)[2]


def test_without_an_ip_header_the_checksum_is_not_judged() -> None:
    assert not codes(Packet((TCP(src_port=20, dst_port=80, flags="S"),)))


def test_a_segment_cut_off_by_the_capture_is_not_called_wrong() -> None:
    octets = bytes(segment() / bytes(100))[:60]
    assert not codes(IPv4.decode(octets)) - {"truncated"}


def test_a_first_fragment_keeps_its_checksum_unjudged() -> None:
    octets = bytes(
        IPv4(src="10.0.0.1", dst="10.0.0.2", flags="MF")
        / TCP(src_port=20, dst_port=80, flags="S", checksum=1)
    )
    assert not codes(IPv4.decode(octets))


@settings(max_examples=100)
@given(st.binary(max_size=80))
def test_random_octets_are_shown_judged_and_given_back(octets: bytes) -> None:
    packet = TCP.decode(octets)
    assert bytes(packet) == octets
    packet.verify()
    wrapped = IPv4.decode(bytes(IPv4(protocol=6) / octets))
    wrapped.verify()
    assert bytes(wrapped)[20:] == octets

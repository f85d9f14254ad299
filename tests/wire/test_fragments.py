"""Fragments: as scapy and Linux cut them, put together in any order, spoilt ones reported."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers import inet, inet6
from tests.wire.holding import codes

from sockwright.lab import Lab
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.fragments import Datagram, fragment, reassemble
from sockwright.wire.hop_by_hop import HopByHop
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.ipv4_options import RecordRoute, RouterAlert
from sockwright.wire.ipv6 import IPv6
from sockwright.wire.ipv6_fragment import IPv6Fragment
from sockwright.wire.ipv6_options import JumboPayload, RouterAlertV6
from sockwright.wire.routing import SegmentRouting
from sockwright.wire.udp import UDP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sockwright.sockets.packet_socket import Frame
    from sockwright.wire import Packet

V4: dict[str, Any] = {"src": "10.0.0.1", "dst": "10.0.0.2"}
V6: dict[str, Any] = {"src": "2001:db8::1", "dst": "2001:db8::2"}
DATA = bytes(range(256)) * 12
FRAME = Ethernet(src="02:00:00:00:00:02", dst="02:00:00:00:00:01")
UDP_DATA = UDP(src_port=1, dst_port=2) / DATA
FOUR = FRAME / IPv4(**V4, identification=7) / UDP_DATA
SIX = FRAME / IPv6(**V6) / HopByHop(options=(RouterAlertV6(),)) / UDP_DATA


def only(packets: Iterable[Packet], **options: Any) -> Datagram:
    """Return the one datagram that is put together."""
    (datagram,) = reassemble(packets, **options)
    return datagram


def found(datagram: Datagram) -> list[str]:
    return [finding.code for finding in datagram.findings]


def piece(start: int, data: bytes, *, more: bool = True, version: int = 4) -> Packet:
    """Return a fragment by hand; `start` in octets."""
    if version == 4:
        flags = "MF" if more else ""
        header = IPv4(**V4, identification=9, protocol=200, flags=flags)
        header.fragment_offset = start // 8
        return IPv4.decode(bytes(header / data))
    part = IPv6Fragment(next_header=200, fragment_offset=start // 8, more=int(more))
    return IPv6.decode(bytes(IPv6(**V6) / part / data))


@pytest.mark.parametrize("size", [68, 300, 576, 1280])
def test_ipv4_fragments_are_those_of_scapy(size: int) -> None:
    ours = fragment(FOUR, size + 20)
    whole = inet.IP(**V4, id=7) / inet.UDP(sport=1, dport=2) / DATA
    theirs = inet.fragment(whole, fragsize=size)  # type: ignore[no-untyped-call]
    assert [bytes(each)[14:] for each in ours] == [bytes(each) for each in theirs]
    assert all(len(bytes(each)) <= size + 34 and not codes(each) for each in ours)


@pytest.mark.parametrize("mtu", [1280, 1400])
def test_ipv6_fragments_are_those_of_scapy(mtu: int) -> None:
    whole = IPv6(**V6) / UDP_DATA
    ours = fragment(whole, mtu, identification=5)
    upper = inet.UDP(sport=1, dport=2) / DATA
    part = inet6.IPv6ExtHdrFragment(id=5)
    theirs = inet6.fragment6(inet6.IPv6(**V6) / part / upper, mtu)  # type: ignore[no-untyped-call]
    assert [bytes(each) for each in ours] == [bytes(each) for each in theirs]


def test_a_packet_that_fits_stays_whole() -> None:
    for packet in (FOUR, SIX):
        (same,) = fragment(packet, 4000)
        assert bytes(same) == bytes(packet)


@pytest.mark.parametrize("packet", [FOUR, SIX])
@settings(max_examples=25, deadline=None)
@given(mtu=st.integers(88, 3000), random=st.randoms(use_true_random=False))
def test_fragments_in_any_order_make_the_packet_again(
    packet: Packet, mtu: int, random: Any
) -> None:
    pieces = fragment(packet, mtu)
    random.shuffle(pieces)
    datagram = only(pieces)
    assert datagram.packet is not None
    assert bytes(datagram.packet) == bytes(packet)
    assert datagram.fragments == len(pieces)
    assert not datagram.findings


def test_fragments_can_be_cut_again() -> None:
    again = [small for large in fragment(FOUR, 1000) for small in fragment(large, 300)]
    datagram = only(again)
    assert datagram.packet == FOUR
    assert bytes(datagram.packet or b"") == bytes(FOUR)


def test_only_options_to_be_copied_are_in_later_fragments() -> None:
    options = (RecordRoute(addresses=()), RouterAlert())
    first, *later = fragment(IPv4(**V4, options=options) / UDP_DATA, 500)
    assert first[IPv4].options[:2] == options
    assert all(each[IPv4].options == (RouterAlert(),) for each in later)


def test_headers_that_every_node_reads_come_before_the_fragment_header() -> None:
    route = SegmentRouting(segments=["2001:db8::3", "2001:db8::4"])
    for packet, before in ((SIX, HopByHop), (IPv6(**V6) / route / UDP_DATA, SegmentRouting)):
        for each in fragment(packet, 600):
            names = [type(layer) for layer in each]
            assert names.index(before) + 1 == names.index(IPv6Fragment)
            assert not each.errors


def test_what_cannot_be_fragmented_is_refused() -> None:
    stubborn = IPv4(**V4, flags="DF") / UDP_DATA
    with pytest.raises(ValueError, match="DF forbids"):
        fragment(stubborn, 1500)
    with pytest.raises(ValueError, match="leaves no room"):
        fragment(FOUR, 24)
    with pytest.raises(ValueError, match="leaves no room"):
        fragment(SIX, 60)
    with pytest.raises(ValueError, match="only its source"):
        fragment(fragment(SIX, 1500)[0], 1280)
    with pytest.raises(ValueError, match="no IPv4 or IPv6"):
        fragment(Ethernet() / bytes(2000), 1500)
    jumbo = HopByHop(options=(JumboPayload(8 + 70000),))
    with pytest.raises(ValueError, match="jumbogram"):
        fragment(IPv6(**V6) / jumbo / bytes(70000), 1500)


def test_what_is_no_fragment_passes() -> None:
    whole = IPv4(**V4) / b"x"
    assert [each.packet for each in reassemble([whole, whole])] == [whole, whole]


@pytest.mark.parametrize("version", [4, 6])
def test_duplicates_are_reported_and_change_nothing(version: int) -> None:
    first = piece(0, b"a" * 8, version=version)
    datagram = only([first, first, piece(8, b"b", more=False, version=version)])
    assert datagram.packet is not None
    assert datagram.packet.payload == b"a" * 8 + b"b"
    assert found(datagram) == ["fragment-duplicate"]


@pytest.mark.parametrize("version", [4, 6])
def test_gaps_are_kept_and_reported(version: int) -> None:
    pieces = [piece(8, b"b" * 8, version=version), piece(24, b"d", more=False, version=version)]
    datagram = only(pieces)
    assert datagram.packet is None
    assert datagram.gaps == ((0, 8), (16, 24))
    assert only(pieces[:1]).gaps == ((0, 8), (16, None))


@pytest.mark.parametrize("version", [4, 6])
def test_an_overlap_spoils_the_datagram(version: int) -> None:
    pieces = [
        piece(0, b"a" * 16, version=version),
        piece(8, b"b" * 8, version=version),
        piece(16, b"c", more=False, version=version),
    ]
    datagram = only(pieces)
    assert datagram.packet is None
    assert found(datagram) == ["fragment-overlap"]


@pytest.mark.parametrize(("overlap", "kept"), [("first", b"a" * 16), ("last", b"a" * 8 + b"b" * 8)])
def test_other_systems_keep_what_came_first_or_last(overlap: str, kept: bytes) -> None:
    pieces = [piece(0, b"a" * 16), piece(8, b"b" * 8), piece(16, b"c", more=False)]
    datagram = only(pieces, overlap=overlap)
    assert datagram.packet is not None
    assert datagram.packet.payload == kept + b"c"
    assert found(datagram) == ["fragment-overlap"]


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        (piece(8, b"abc"), "fragment-length"),
        (piece(65528, bytes(8)), "fragment-offset"),
        (piece(800, b"far", more=False), "fragment-end"),
        (piece(8, b"", more=False), "fragment-end"),
        (IPv4.decode(bytes(piece(8, bytes(64)))[:60]), "fragment-truncated"),
    ],
)
def test_what_does_not_fit_is_left_out_and_reported(extra: Packet, code: str) -> None:
    pieces = [piece(0, b"a" * 8), piece(16, b"c", more=False), extra, piece(8, b"b" * 8)]
    datagram = only(pieces)
    assert datagram.packet is not None
    assert datagram.packet.payload == b"a" * 8 + b"b" * 8 + b"c"
    assert found(datagram) == [code]


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    pieces = []
    for number in range(10):
        part = IPv4(**V4, identification=number, flags="MF", protocol=200) / bytes(800)
        pieces.append(IPv4.decode(bytes(part)))
    every: list[dict[str, Any]] = [{"max_datagrams": 4}, {"max_octets": 3200}]
    for limits in every:
        datagrams = list(reassemble(pieces, **limits))
        evicted = [each for each in datagrams if found(each) == ["fragment-evicted"]]
        assert (len(datagrams), len(evicted)) == (10, 6)
        assert datagrams[: len(evicted)] == evicted


@pytest.mark.parametrize("version", [4, 6])
def test_a_stream_of_tiny_fragments_is_put_together(version: int) -> None:
    data = DATA[:1600]
    pieces = [piece(at, data[at : at + 8], version=version) for at in range(0, 1592, 8)]
    pieces.append(piece(1592, data[1592:], more=False, version=version))
    datagram = only(pieces[::-1])
    assert datagram.packet is not None
    assert datagram.packet.payload == data


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    "header", [IPv4(src="127.0.0.1", dst="127.0.0.1"), IPv6(src="::1", dst="::1")]
)
def test_linux_puts_our_fragments_together(header: IPv4 | IPv6) -> None:
    """Fragments written to a raw socket arrive as one datagram on loopback."""
    family = socket.AF_INET if isinstance(header, IPv4) else socket.AF_INET6
    address = str(header.dst)
    with (
        socket.socket(family, socket.SOCK_DGRAM) as receiver,
        socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender,
    ):
        receiver.bind((address, 0))
        receiver.settimeout(10)
        port = receiver.getsockname()[1]
        whole = header / UDP(src_port=4000, dst_port=port) / DATA
        if isinstance(header, IPv4):
            whole[IPv4].identification = port
        for each in reversed(fragment(whole, 700)):
            sender.sendto(bytes(each), (address, 0))
        data, peer = receiver.recvfrom(4096)
    assert data == DATA
    assert peer[1] == 4000


@pytest.mark.needs("namespaces")
def test_fragments_are_cut_as_linux_cuts_them() -> None:
    with Lab() as lab:
        a, b = lab.hosts("a", "b")
        for family, address in ((socket.AF_INET, b.ipv4), (socket.AF_INET6, b.ipv6)):
            with a.capture() as capture, a.socket(family, socket.SOCK_DGRAM) as sender:
                sender.sendto(DATA, (address, 4000))
                pieces: list[Packet] = []

                def is_last(frame: Frame, pieces: list[Packet] = pieces) -> bool:
                    packet = Ethernet.decode(frame.octets)
                    if any(header.carries_fragment for header in packet):
                        pieces.append(packet)
                    return len(pieces) == 3

                capture.until(is_last)
            whole = only(pieces).packet
            assert whole is not None
            assert UDP in whole
            part = pieces[0].get(IPv6Fragment)
            number = None if part is None else part.identification
            ours = fragment(whole, 1500, identification=number)
            assert [bytes(each) for each in ours] == [bytes(each) for each in pieces]

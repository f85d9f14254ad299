"""Neighbour discovery: octets of scapy and of strangers, and each mistake that `verify` names."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers import inet6

from sockwright.records import read_records
from sockwright.wire import Header, MACAddress, Packet
from sockwright.wire.icmpv6 import ICMPv6
from sockwright.wire.ipv6 import IPv6
from sockwright.wire.ndp import (
    NeighborAdvertisement,
    NeighborSolicitation,
    Redirect,
    RouterAdvertisement,
    RouterSolicitation,
)
from sockwright.wire.ndp_options import (
    DNSSL,
    MTU,
    PREF64,
    RDNSS,
    AdvertisementInterval,
    CaptivePortal,
    HomeAgentInformation,
    MalformedNDOption,
    NDOption,
    NDOptionCodec,
    Nonce,
    PrefixInformation,
    RedirectedHeader,
    RouteInformation,
    SourceLinkLayerAddress,
    TargetLinkLayerAddress,
    UnknownNDOption,
)

if TYPE_CHECKING:
    from pathlib import Path

CODEC = NDOptionCodec()
ROUTER = IPv6(src="fe80::1", dst="ff02::1", hop_limit=255)
HOST = IPv6(src="2001:db8::1", dst="ff02::1:ff00:2", hop_limit=255)
MAC = MACAddress("02:00:00:00:00:01")
PREFIX = IPv6Address("2001:db8::")

VECTORS: list[tuple[str, NDOption]] = [
    ("0101020000000001", SourceLinkLayerAddress(MAC)),
    ("0201020000000001", TargetLinkLayerAddress(MAC)),
    ("030440c000278d0000093a8000000000" + PREFIX.packed.hex(), PrefixInformation(PREFIX)),
    ("0402000000000000" + "6000000000000000", RedirectedHeader(bytes.fromhex("60") + bytes(7))),
    ("05010000000005dc", MTU(1500)),
    ("0701000000000064", AdvertisementInterval(100)),
    ("080100000001000a", HomeAgentInformation(1, 10)),
    ("0e01010203040506", Nonce(bytes((1, 2, 3, 4, 5, 6)))),
    ("1802400800000708" + "20010db800000000", RouteInformation(PREFIX, 64, 1800, 1, 8)),
    ("1801000000000708", RouteInformation(IPv6Address("::"), 0, 1800, 0, 0)),
    ("1903000000000708" + PREFIX.packed.hex(), RDNSS((PREFIX,))),
    ("1f03000000000708" + b"\3lab\4test\0".hex() + "000000000000", DNSSL(("lab.test",))),
    ("2502" + b"http://a.test/".hex(), CaptivePortal("http://a.test/")),
    ("26020708" + "0064ff9b0000000000000000", PREF64(IPv6Address("64:ff9b::"))),
]


def codes(packet: Packet) -> set[str]:
    quiet = ("ipv6", "ethernet")
    return {finding.code for finding in packet.verify() if finding.layer not in quiet}


def again(packet: Packet) -> Packet:
    return IPv6.decode(bytes(packet))


@pytest.mark.parametrize(("text", "option"), VECTORS, ids=[repr(o)[:40] for _, o in VECTORS])
def test_each_option_reads_and_writes_its_octets(text: str, option: NDOption) -> None:
    octets = bytes.fromhex(text)
    assert CODEC.decode(octets) == (option,)
    assert option.encode() == octets


@pytest.mark.parametrize(
    "text",
    [
        "0102" + "00" * 14,  # the 64-bit address of another kind of link
        "0301" + "00" * 6,
        "0502" + "00" * 14,
        "1902" + "00" * 14,
        "1f02" + "0000" + "00000708" + "03" + "6c6162" + "046c6162",
        "1f02" + "0000" + "00000708" + "ff" * 8,
        "2501" + "ff" * 6,
        "6301" + "00" * 6,
    ],
)
def test_options_that_do_not_fit_their_type_are_kept_raw(text: str) -> None:
    octets = bytes.fromhex(text)
    assert CODEC.decode(octets) == (UnknownNDOption(octets[0], octets[2:]),)


@pytest.mark.parametrize("text", ["01", "0100", "0100020000000001", "0102020000000001"])
def test_a_length_that_lies_is_kept_to_the_end(text: str) -> None:
    octets = bytes.fromhex(text)
    assert CODEC.decode(octets) == (MalformedNDOption(octets),)


@settings(max_examples=300)
@given(st.binary(max_size=80))
def test_any_octets_are_read_and_written_back(octets: bytes) -> None:
    assert CODEC.encode(CODEC.decode(octets)) == octets


@settings(max_examples=300)
@given(
    st.sampled_from([1, 2, 3, 4, 5, 7, 8, 14, 24, 25, 31, 37, 38]),
    st.integers(1, 6),
    st.binary(min_size=48, max_size=48),
)
def test_any_body_of_a_known_type_is_read_and_written_back(
    kind: int, units: int, body: bytes
) -> None:
    octets = (bytes((kind, units)) + body)[: 8 * units]
    assert CODEC.encode(CODEC.decode(octets)) == octets


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: PrefixInformation(PREFIX, 256), r"PrefixInformation\.prefix_length"),
        (lambda: MTU(1 << 32), r"MTU\.mtu"),
        (lambda: RouteInformation(PREFIX, preference=4), r"RouteInformation\.preference"),
        (lambda: RouteInformation(PREFIX, prefix_octets=4), r"RouteInformation\.prefix_octets"),
        (lambda: DNSSL(("a..b",)), r"DNSSL\.names"),
        (lambda: PREF64(PREFIX, 1 << 13), r"PREF64\.scaled_lifetime"),
        (lambda: Nonce(bytes(3000)).encode(), "Nonce"),
    ],
)
def test_a_value_out_of_range_names_its_field(build: object, field: str) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=field):
        build()


def test_a_solicitation_and_its_answer_are_scapys() -> None:
    ours = (
        HOST
        / ICMPv6()
        / NeighborSolicitation(target="2001:db8::2", options=(SourceLinkLayerAddress(MAC),))
    )
    ip = inet6.IPv6(src="2001:db8::1", dst="ff02::1:ff00:2", hlim=255)
    theirs = (
        ip
        / inet6.ICMPv6ND_NS(tgt="2001:db8::2")
        / inet6.ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01")
    )
    assert bytes(ours) == bytes(theirs)
    ours = (
        HOST
        / ICMPv6()
        / NeighborAdvertisement(
            target="2001:db8::2", flags="RO", options=(TargetLinkLayerAddress(MAC),)
        )
    )
    theirs = (
        ip
        / inet6.ICMPv6ND_NA(tgt="2001:db8::2", R=1, S=0, O=1)
        / inet6.ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:01")
    )
    assert bytes(ours) == bytes(theirs)


def test_a_router_advertisement_is_scapys() -> None:
    ours = (
        ROUTER
        / ICMPv6()
        / RouterAdvertisement(
            flags="OM",
            preference=1,
            router_lifetime=600,
            options=(
                PrefixInformation(PREFIX),
                MTU(1500),
                RDNSS((IPv6Address("2001:db8::53"),), 60),
            ),
        )
    )
    theirs = (
        inet6.IPv6(src="fe80::1", dst="ff02::1", hlim=255)
        / inet6.ICMPv6ND_RA(M=1, O=1, prf=1, routerlifetime=600, chlim=64)
        / inet6.ICMPv6NDOptPrefixInfo(
            prefix="2001:db8::", prefixlen=64, validlifetime=2592000, preferredlifetime=604800
        )
        / inet6.ICMPv6NDOptMTU(mtu=1500)
        / inet6.ICMPv6NDOptRDNSS(dns=["2001:db8::53"], lifetime=60)
    )
    assert bytes(ours) == bytes(theirs)
    assert not codes(again(ours))
    read = again(ours)[RouterAdvertisement]
    assert (str(read.flags), read.preference, len(read.options)) == ("OM", 1, 3)


@pytest.mark.parametrize(
    "message",
    [
        RouterSolicitation(options=(SourceLinkLayerAddress(MAC),)),
        RouterAdvertisement(options=(MTU(1500),)),
        NeighborSolicitation(target="fe80::2", options=(Nonce(bytes(6)),)),
        NeighborAdvertisement(target="fe80::2"),
        Redirect(target="fe80::2", destination="2001:db8::9"),
    ],
)
def test_good_messages_have_no_findings_and_survive_a_touch(message: Header) -> None:
    packet = again(ROUTER / ICMPv6() / message)
    assert type(packet.layers[-1]) is type(message)
    assert not codes(packet)
    octets = bytes(packet)
    packet[ICMPv6].code = 0
    assert bytes(packet) == octets


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (
            IPv6(src="fe80::1", dst="fe80::2", hop_limit=64)
            / ICMPv6()
            / NeighborSolicitation(target="fe80::2"),
            "neighbor-solicitation-hop-limit",
        ),
        (
            HOST / ICMPv6() / NeighborSolicitation(target="ff02::2"),
            "neighbor-solicitation-target",
        ),
        (
            IPv6(src="::", dst="ff02::1", hop_limit=255)
            / ICMPv6()
            / NeighborSolicitation(target="fe80::2"),
            "neighbor-solicitation-destination",
        ),
        (
            IPv6(src="::", dst="ff02::2", hop_limit=255)
            / ICMPv6()
            / RouterSolicitation(options=(SourceLinkLayerAddress(MAC),)),
            "router-solicitation-source-link-layer",
        ),
        (
            HOST / ICMPv6() / NeighborAdvertisement(target="fe80::2", flags="S"),
            "neighbor-advertisement-flags",
        ),
        (HOST / ICMPv6() / RouterAdvertisement(), "router-advertisement-source"),
        (
            ROUTER / ICMPv6() / RouterAdvertisement(options=(MTU(1279),)),
            "router-advertisement-mtu",
        ),
        (
            ROUTER / ICMPv6() / RouterAdvertisement(options=(PrefixInformation(PREFIX, 129),)),
            "router-advertisement-prefix-length",
        ),
        (
            ROUTER / ICMPv6() / RouterAdvertisement(options=(PrefixInformation(PREFIX, 64, 1, 2),)),
            "router-advertisement-prefix-lifetime",
        ),
        (
            ROUTER / ICMPv6() / Redirect(target="2001:db8::1", destination="2001:db8::2"),
            "redirect-target",
        ),
        (
            ROUTER / ICMPv6() / Redirect(target="fe80::2", destination="ff02::2"),
            "redirect-destination",
        ),
        (
            ROUTER / ICMPv6() / RouterSolicitation(options=(MalformedNDOption(b"\1\0"),)),
            "router-solicitation-option-length",
        ),
        (
            ROUTER / ICMPv6() / RouterSolicitation(options=(UnknownNDOption(5, bytes(14)),)),
            "router-solicitation-option-malformed",
        ),
    ],
)
def test_a_mistake_is_named(packet: Packet, code: str) -> None:
    assert codes(packet) == codes(again(packet)) == {code}


def test_decode_reports_every_truncation() -> None:
    octets = bytes(ICMPv6() / NeighborSolicitation(target="fe80::2"))
    for length in range(5, len(octets)):
        packet = ICMPv6.decode(octets[:length])
        (error,) = packet.errors
        assert error.layer == "neighbor_solicitation"
        assert bytes(packet) == octets[:length]


def test_messages_of_strangers_are_read(captures: Path) -> None:
    with (captures / "tcpdump" / "icmpv6.pcap").open("rb") as file:
        packets = [record.decode() for record in read_records(file)]
    options = packets[0][RouterAdvertisement].options
    assert options[2:5] == (
        DNSSL(("example.com", "example.org", "dom1.dom2.tld"), 5),
        MTU(100),
        SourceLinkLayerAddress(MACAddress("b0:99:28:c8:d6:6c")),
    )
    assert codes(packets[0]) == {"router-advertisement-mtu"}
    with (captures / "tcpdump" / "icmpv6-ra-pref64.pcap").open("rb") as file:
        packets = [record.decode() for record in read_records(file)]
    options = packets[0][RouterAdvertisement].options
    assert any(isinstance(option, PREF64) for option in options)

"""TCP options: vectors out of real segments and of the RFCs, both ways."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockwright.wire.core.option import Option, OptionCodec
from sockwright.wire.mptcp import (
    DSS,
    AddAddress,
    FastClose,
    MPCapable,
    MPFail,
    MPJoinACK,
    MPJoinSYN,
    MPJoinSYNACK,
    MPPriority,
    MPReset,
    MPTCPOption,
    RemoveAddress,
)
from sockwright.wire.tcp_options import (
    AO,
    KINDS,
    MD5,
    MSS,
    SACK,
    AccECN0,
    AccECN1,
    EndOfOptions,
    Experiment1,
    Experiment2,
    FastOpen,
    MalformedOption,
    NoOperation,
    SACKPermitted,
    Timestamps,
    UnknownOption,
    UserTimeout,
    WindowScale,
)

CODEC = OptionCodec(KINDS, limit=1 << 16, alignment=1)

VECTORS: list[tuple[str, Option]] = [
    ("020405b4", MSS(1460)),
    ("030307", WindowScale(7)),
    ("0402", SACKPermitted()),
    ("050a0000000a00000014", SACK(((10, 20),))),
    ("0512000000010000000200000003ffffffff", SACK(((1, 2), (3, 0xFFFFFFFF)))),
    ("080a0000006400000063", Timestamps(100, 99)),
    ("1312" + "ab" * 16, MD5(b"\xab" * 16)),
    ("1c048005", UserTimeout(5, minutes=True)),
    # RFC 9235 section 4.1.1: the option of the SYN, keys 61 and 84.
    ("1d103d542ee437c6f8ede6d7c4d602e7", AO(61, 84, bytes.fromhex("2ee437c6f8ede6d7c4d602e7"))),
    ("2202", FastOpen()),
    ("220a0102030405060708", FastOpen(bytes(range(1, 9)))),
    ("ac050000ff", AccECN0((255,))),
    ("ae08000001000002", AccECN1((1, 2))),
    ("fd0412340000"[:8], Experiment1(0x1234)),
    ("fe06f989beef", Experiment2(0xF989, b"\xbe\xef")),
    # RFC 8684 section 3.1, in the three segments of the establishment.
    ("1e040101", MPCapable()),
    ("1e0c0181" + "11" * 8, MPCapable(flags=0x81, sender_key=0x1111111111111111)),
    ("1e140101" + "11" * 8 + "22" * 8, MPCapable(1, 1, 0x1111111111111111, 0x2222222222222222)),
    (
        "1e180181" + "11" * 8 + "22" * 8 + "0005beef",
        MPCapable(1, 0x81, 0x1111111111111111, 0x2222222222222222, 5, 0xBEEF),
    ),
    ("1e0c1102000000ff00000100", MPJoinSYN(2, 255, 256, backup=True)),
    ("1e101002" + "aa" * 8 + "00000007", MPJoinSYNACK(2, b"\xaa" * 8, 7)),
    ("1e181000" + "bb" * 20, MPJoinACK(b"\xbb" * 20)),
    ("1e0820010000000a", DSS(10, wide_ack=False)),
    ("1e0c2003000000000000000a", DSS(10)),
    (
        "1e1a201f" + "00000000000000010000000000000002" + "000000030004",
        DSS(1, 2, 3, 4, data_fin=True),
    ),
    ("1e10200400000002000000030004beef", DSS(None, 2, 3, 4, 0xBEEF, wide_seq=False)),
    ("1e0831020a000001", AddAddress(2, IPv4Address("10.0.0.1"))),
    ("1e1230020a0000011f90" + "cc" * 8, AddAddress(2, IPv4Address("10.0.0.1"), 8080, b"\xcc" * 8)),
    ("1e143103" + "20010db8" + "00" * 11 + "01", AddAddress(3, IPv6Address("2001:db8::1"))),
    (
        "1e1e3003" + "20010db8" + "00" * 11 + "01" + "0050" + "dd" * 8,
        AddAddress(3, IPv6Address("2001:db8::1"), 80, b"\xdd" * 8),
    ),
    ("1e05400102", RemoveAddress((1, 2))),
    ("1e0351", MPPriority(backup=True)),
    ("1e0c60000000000000000009", MPFail(9)),
    ("1e0c7000" + "11" * 8, FastClose(0x1111111111111111)),
    ("1e048103", MPReset(3, transient=True)),
    ("01", NoOperation()),
    ("00000000", EndOfOptions(bytes(3))),
]


@pytest.mark.parametrize(("text", "option"), VECTORS, ids=[repr(o)[:40] for _, o in VECTORS])
def test_each_option_reads_and_writes_its_octets(text: str, option: Option) -> None:
    octets = bytes.fromhex(text)
    assert CODEC.decode(octets) == (option,)
    assert option.encode() == octets


@pytest.mark.parametrize(
    "text",
    [
        "0203ff",  # MSS of one octet
        "0304ffff",
        "04030a",
        "050900000001000000",
        "0809ffffffffffffff",
        "13041234",
        "1d0361",
        "1e02",
        "1e0390",  # a subtype that is not assigned
        "1e060181ffff",
        "1e0c1e020000000000000000",  # reserved bits
        "1e0620ff0000",
        "1e07300200000a",
        "1c03ff",
        "fd03ff",
        "ac0400ff",
        "ac0e" + "00" * 12,
    ],
)
def test_options_that_do_not_fit_their_kind_are_kept_raw(text: str) -> None:
    octets = bytes.fromhex(text)
    assert CODEC.decode(octets) == (UnknownOption(octets[0], octets[2:]),)


@pytest.mark.parametrize("text", ["02", "0200", "0201", "0204ff", "05ff00"])
def test_a_length_that_lies_is_kept_to_the_end(text: str) -> None:
    octets = bytes.fromhex(text)
    assert CODEC.decode(b"\1" + octets) == (NoOperation(), MalformedOption(octets))


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: MSS(65536), "MSS.size"),
        (lambda: WindowScale(-1), "WindowScale.shift"),
        (lambda: SACK(((0, 1 << 32),)), "SACK.blocks"),
        (lambda: Timestamps(1 << 32), "Timestamps.value"),
        (lambda: MD5(b"short"), "MD5.digest"),
        (lambda: UserTimeout(1 << 15), "UserTimeout.timeout"),
        (lambda: AO(256, 0, b""), "AO.key_id"),
        (lambda: AccECN0((1 << 24,)), "AccECN.counters"),
        (lambda: Experiment1(1 << 16), "Experiment.exid"),
        (lambda: MPCapable(receiver_key=1), "MPCapable"),
        (lambda: DSS(1 << 32, wide_ack=False), "DSS.data_ack"),
        (lambda: MPJoinACK(b""), "MPJoinACK.hmac"),
        (lambda: AddAddress(1, IPv4Address(0), 1 << 16), "AddAddress.port"),
    ],
)
def test_a_value_out_of_range_names_its_field(build: object, field: str) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=field):
        build()


def test_a_user_timeout_is_read_in_seconds() -> None:
    assert UserTimeout(5, minutes=True).seconds == 300
    assert UserTimeout(5).seconds == 5


def test_mptcp_options_are_matched_by_their_class() -> None:
    (option,) = CODEC.decode(bytes.fromhex("1e0351"))
    assert isinstance(option, MPTCPOption)
    match option:
        case MPPriority(backup=backup):
            assert backup
        case _:
            pytest.fail("not recognised")


@settings(max_examples=300)
@given(st.binary(max_size=40))
def test_any_octets_are_read_and_written_back(octets: bytes) -> None:
    assert CODEC.encode(CODEC.decode(octets)) == octets


@settings(max_examples=300)
@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=30))
def test_any_body_of_a_known_kind_is_read_and_written_back(kind: int, body: bytes) -> None:
    octets = bytes((kind, 2 + len(body))) + body
    assert CODEC.encode(CODEC.decode(octets)) == octets


def test_an_unknown_option_says_how_many_octets_fit() -> None:
    with pytest.raises(ValueError, match="UnknownOption has 254 octets; 253 fit an option"):
        UnknownOption(99, bytes(254)).encode()

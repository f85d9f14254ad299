"""SCTP: CRC32c, the octets of scapy, chunks, what `verify` says."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers import inet, sctp
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire import (
    SCTP,
    UDP,
    IPv4,
    Packet,
    SCTPChunk,
    SCTPData,
    SCTPInit,
    SCTPInitAck,
    SCTPSack,
)
from sockwright.wire.core.crc32c import crc32c
from sockwright.wire.sctp_chunks import MalformedChunk

IPS: dict[str, Any] = {"src": "10.0.0.1", "dst": "10.0.0.2"}
PORTS: dict[str, Any] = {"src_port": 5000, "dst_port": 36412}
TAGGED: dict[str, Any] = {**PORTS, "verification_tag": 0x1234}


def packet(*chunks: Any, **fields: Any) -> Packet:
    return IPv4(**IPS) / SCTP(**{**TAGGED, **fields}, chunks=chunks)


@pytest.mark.parametrize(
    ("octets", "expected"),
    [  # RFC 3720 appendix B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
    ],
)
def test_crc32c_gives_the_published_values(octets: bytes, expected: int) -> None:
    assert crc32c(octets) == expected


@given(st.binary(max_size=40), st.integers(0, 0xFFFFFFFF))
def test_octets_are_those_of_scapy(data: bytes, tsn: int) -> None:
    chunk = SCTPData(tsn, 2, 3, 46, data)
    theirs = inet.IP(**IPS, id=0) / sctp.SCTP(sport=5000, dport=36412, tag=0x1234)
    theirs /= sctp.SCTPChunkData(
        tsn=tsn, stream_id=2, stream_seq=3, proto_id=46, data=data, beginning=1, ending=1
    )
    assert bytes(packet(chunk)).hex() == bytes(theirs).hex()
    decoded = survives_an_edit(bytes(packet(chunk)), IPv4)
    assert decoded[SCTP].chunks == (chunk,)
    assert not codes(decoded) - {"sctp-data-empty"}


def test_init_and_sack_have_the_octets_of_scapy() -> None:
    init = SCTPInit(7, 1500, 10, 11, 12)
    theirs = sctp.SCTP(sport=5000, dport=36412, tag=0) / sctp.SCTPChunkInit(
        init_tag=7, a_rwnd=1500, n_out_streams=10, n_in_streams=11, init_tsn=12
    )
    assert bytes(SCTP(**PORTS, chunks=(init,))) == bytes(theirs)
    sack = SCTPSack(9, 1500, gaps=((2, 3), (5, 5)), duplicates=(4,))
    theirs = sctp.SCTP(sport=5000, dport=36412, tag=0x1234) / sctp.SCTPChunkSACK(
        cumul_tsn_ack=9, a_rwnd=1500, gap_ack_list=["2:3", "5:5"], dup_tsn_list=[4]
    )
    assert bytes(SCTP(**TAGGED, chunks=(sack,))) == bytes(theirs)


def test_chunks_come_back_as_they_were() -> None:
    chunks = (
        SCTPSack(1),
        SCTPChunk(4, b"\0\1\0\6hb", flags=1),
        SCTPData(5, data=b"odd", flags=7),
        SCTPData(6, data=b"padded", padding=b"\1\2"),
        SCTPData(7, data=b"x", padding=b""),  # the last may lack its padding, on the wire
    )
    decoded = survives_an_edit(bytes(packet(*chunks)), IPv4)
    assert decoded[SCTP].chunks == chunks
    ack = packet(SCTPInitAck(1, parameters=b"\0\7\0\4"))
    assert IPv4.decode(bytes(ack))[SCTP].chunks == (SCTPInitAck(1, parameters=b"\0\7\0\4"),)


def test_a_chunk_that_lies_is_kept() -> None:
    for octets in (b"\0\3\0\3", b"\0\3\0\x50" + bytes(12), b"\0\3"):
        head = bytes(SCTP(**TAGGED))
        got = IPv4.decode(bytes(IPv4(**IPS, protocol=132) / (head + octets)))
        assert got[SCTP].chunks == (MalformedChunk(octets),)
        got.payload = b""
        assert codes(got) == {"sctp-chunk-length"}
    # A SACK whose counts lie is one of no known form.
    odd = SCTPChunk(3, bytes(8) + b"\0\5\0\0")
    assert IPv4.decode(bytes(packet(odd)))[SCTP].chunks == (odd,)


def test_it_goes_over_udp_too() -> None:
    tunnel = IPv4(**IPS) / UDP(src_port=50000, dst_port=9899) / SCTP(**TAGGED)
    tunnel[SCTP].chunks = (SCTPData(1, data=b"x"),)
    assert SCTP in IPv4.decode(bytes(tunnel))
    assert not codes(tunnel)


def test_it_holds() -> None:
    every_truncation_is_told(bytes(SCTP()), SCTP, 12)
    decode_never_raises(SCTP, bytes(SCTP(chunks=(SCTPInit(1), SCTPSack(2)))))


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (packet(SCTPSack(1), src_port=0), "sctp-src-port"),
        (packet(SCTPSack(1), dst_port=0), "sctp-dst-port"),
        (packet(SCTPSack(1), verification_tag=0), "sctp-verification-tag"),
        (packet(SCTPInit(1)), "sctp-verification-tag"),
        (packet(SCTPInit(1), SCTPSack(1), verification_tag=0), "sctp-bundled"),
        (packet(SCTPData(1)), "sctp-data-empty"),
        (packet(SCTPSack(1), checksum=1), "sctp-checksum"),
    ],
)
def test_verify_names_the_mistake(wrong: Packet, code: str) -> None:
    assert codes(wrong) == {code}


def test_a_wrong_checksum_is_explained() -> None:
    good = packet(SCTPSack(1))
    right = good[SCTP].checksum
    cleared = bytes(good)[20:28] + bytes(4) + bytes(good)[32:]
    swapped = int.from_bytes(right.to_bytes(4, "big"), "little")
    for checksum, word in ((0, "offload"), (swapped, "first"), (zlib.adler32(cleared), "Adler")):
        (finding,) = packet(SCTPSack(1), checksum=checksum).verify()
        assert word in finding.message


def test_values_that_do_not_fit_are_refused() -> None:
    for make in (
        lambda: SCTPData(1 << 32),
        lambda: SCTPChunk(256),
        lambda: SCTPInit(1, outbound_streams=1 << 16),
        lambda: SCTPSack(1, gaps=((0, 1 << 16),)),
        lambda: SCTPData(1, data=bytes(65536)).encode(),
    ):
        with pytest.raises(ValueError, match="outside"):
            make()

"""DCCP: both forms of the header, coverage of the checksum, what `verify` says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire import AUTO, DCCP, DCCPShort, IPv4, Packet
from sockwright.wire.core.checksum import internet_checksum

BASE = IPv4(src="10.0.0.1", dst="10.0.0.2")
PSEUDO = bytes([10, 0, 0, 1, 10, 0, 0, 2, 0, 33])
PORTS: dict[str, Any] = {"src_port": 5001, "dst_port": 5002}
# What a request adds: the service code.
SERVICE = b"\0\0\0\x2a"


def test_fields_lie_where_the_rfc_draws_them() -> None:
    # RFC 4340 section 5.1: ports, offset, CCVal and CsCov, checksum, type and X, sequence.
    octets = bytes.fromhex("1389138a 0521 0000 05 00 1234 56789abc") + SERVICE
    header = DCCP.decode(octets)[DCCP]
    assert (header.src_port, header.dst_port, header.data_offset) == (5001, 5002, 5)
    assert (header.ccval, header.coverage, header.type, header.extended) == (2, 1, 2, 1)
    assert (header.seq, header.rest, header.size) == (0x123456789ABC, SERVICE, 20)
    short = DCCP.decode(bytes.fromhex("1389138a 0300 0000 06 123456"))[DCCPShort]
    assert (short.type, short.extended, short.seq) == (3, 0, 0x123456)


@pytest.mark.parametrize("header", [DCCP, DCCPShort])
@given(st.integers(0, 4), st.binary(min_size=12, max_size=20))
def test_the_checksum_covers_what_it_is_told_to(
    header: type[DCCP | DCCPShort], coverage: int, data: bytes
) -> None:
    packet = BASE / header(**PORTS, coverage=coverage) / data
    octets = bytes(packet)[20:]
    covered = len(octets) if not coverage else header.fixed_size + 4 * (coverage - 1)
    # RFC 4340 section 9.1: over what is covered and the pseudo-header it sums up to nothing.
    summed = octets[:covered] + bytes(covered % 2) + PSEUDO + len(octets).to_bytes(2, "big")
    assert internet_checksum(summed) == 0
    assert not codes(packet)
    damaged = bytearray(bytes(packet))
    damaged[-1] ^= 0xFF
    found = codes(IPv4.decode(bytes(damaged)))
    assert found == ({"dccp-checksum"} if covered == len(octets) else set())


def test_it_comes_back() -> None:
    for header in (
        DCCP(**PORTS, type=0, seq_high=1, seq_low=2, rest=SERVICE),
        DCCPShort(**PORTS, type=4, seq=3, rest=b"\0\0\0\1" + bytes(4)),
    ):
        decoded = survives_an_edit(bytes(BASE / header / b"data"), IPv4)
        assert type(decoded[1]) is type(header)
        assert decoded.payload == b"data"
        assert not codes(decoded)


def test_it_holds() -> None:
    octets = bytes(DCCP(rest=SERVICE) / b"")
    every_truncation_is_told(octets, DCCP, len(octets))
    short = bytes(DCCPShort() / b"")
    every_truncation_is_told(short, DCCP, len(short))
    decode_never_raises(DCCP, octets, short)


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (DCCP(dst_port=1) / b"", "dccp-src-port"),
        (DCCP(src_port=1) / b"", "dccp-dst-port"),
        (DCCP(**PORTS, type=12) / b"", "dccp-type"),
        (DCCPShort(**PORTS, type=0) / b"", "dccp-extended"),
        (DCCP(**PORTS, data_offset=3) / b"", "dccp-data-offset"),
        (DCCP(**PORTS, coverage=4) / b"four", "dccp-coverage"),
        (DCCP(**PORTS, checksum=1) / b"four", "dccp-checksum"),
    ],
)
def test_verify_names_the_mistake(packet: Packet, code: str) -> None:
    assert codes(BASE / packet) == {code}


def test_an_edit_computes_the_checksum() -> None:
    packet = BASE / DCCP(**PORTS, checksum=1) / b"x"
    packet[DCCP].checksum = AUTO
    assert not codes(packet)


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit 8 bits"):
        bytes(DCCP(rest=bytes(1024)))

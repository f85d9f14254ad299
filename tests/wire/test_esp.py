"""ESP: the octets of scapy, what `verify` says."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers import ipsec
from scapy.layers.inet import IP
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire import ESP, IPv4, IPv6, Packet

IPS: dict[str, Any] = {"src": "10.0.0.1", "dst": "10.0.0.2"}


def test_octets_are_those_of_scapy() -> None:
    ours = IPv4(**IPS) / ESP(spi=0x12345678, seq=9) / bytes(24)
    theirs = IP(**IPS, id=0, proto=50) / ipsec.ESP(spi=0x12345678, seq=9, data=bytes(24))
    assert bytes(ours).hex() == bytes(theirs).hex()
    assert not codes(ours)


def test_all_behind_the_number_is_payload() -> None:
    six = IPv6(src="2001:db8::1", dst="2001:db8::2") / ESP(spi=256, seq=1) / bytes(range(16))
    decoded = survives_an_edit(bytes(six), IPv6)
    assert [type(layer) for layer in decoded] == [IPv6, ESP]
    assert (decoded[ESP].spi, decoded[ESP].seq, decoded.payload) == (256, 1, bytes(range(16)))


def test_it_holds() -> None:
    every_truncation_is_told(bytes(ESP()), ESP, 8)
    decode_never_raises(ESP, bytes(ESP() / bytes(8)))


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (ESP(spi=0) / bytes(8), "esp-spi"),
        (ESP(spi=255) / bytes(8), "esp-spi"),
        (ESP(seq=0) / bytes(8), "esp-seq"),
        (ESP() / bytes(7), "esp-length"),
        (ESP() / b"", "esp-length"),
    ],
)
def test_verify_names_the_mistake(packet: Packet, code: str) -> None:
    assert codes(packet) == {code}

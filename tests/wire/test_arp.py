"""ARP: agreement with scapy, other address lengths, padding, what `verify` says."""

from __future__ import annotations

import pytest
from scapy.layers import l2
from scapy.layers.l2 import Ether
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire.arp import ARP, GenericARP
from sockwright.wire.ethernet import Ethernet

SENDER, TARGET = "02:00:00:00:00:02", "02:00:00:00:00:01"
FRAME = Ethernet(dst="ff:ff:ff:ff:ff:ff", src=SENDER)
REQUEST = FRAME / ARP(sender_mac=SENDER, sender_ip="10.0.0.2", target_ip="10.0.0.1")


def test_octets_are_those_of_scapy() -> None:
    theirs = Ether(dst="ff:ff:ff:ff:ff:ff", src=SENDER) / l2.ARP(
        op=1, hwsrc=SENDER, psrc="10.0.0.2", hwdst="00:00:00:00:00:00", pdst="10.0.0.1"
    )
    assert bytes(REQUEST) == bytes(theirs)


def test_what_follows_is_the_padding_of_the_frame() -> None:
    packet = survives_an_edit(bytes(REQUEST) + bytes(18), Ethernet)
    assert packet.trailer == bytes(18)
    assert not packet.payload
    assert str(packet[ARP].sender_mac) == SENDER
    assert str(packet[ARP].target_ip) == "10.0.0.1"
    assert not codes(packet)


def test_other_address_lengths_are_read() -> None:
    octets = (
        b"\0\x20\x08\0\x14\4\0\2" + bytes(range(20)) + b"\x0a\0\0\1" + bytes(20) + b"\x0a\0\0\2"
    )
    packet = survives_an_edit(octets, ARP)
    arp = packet[GenericARP]
    assert arp.addresses == (bytes(range(20)), b"\x0a\0\0\1", bytes(20), b"\x0a\0\0\2")
    assert not codes(packet)
    every_truncation_is_told(octets, ARP, len(octets))


def test_they_hold() -> None:
    every_truncation_is_told(bytes(REQUEST)[14:], ARP, 28)
    decode_never_raises(ARP, bytes(REQUEST)[14:], b"\0\1\x08\0\3\4\0\1")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"operation": 0}, "arp-operation"),
        ({"operation": 0x0100}, "arp-operation"),
        ({"hardware_length": 7}, "arp-lengths"),
        ({"protocol_type": 0x86DD}, "arp-protocol-type"),
        ({"hardware_type": 32}, "arp-hardware-type"),
        ({"sender_mac": "01:00:5e:00:00:01"}, "arp-sender-mac"),
        ({"sender_mac": TARGET}, "arp-sender-differs"),
    ],
)
def test_verify_names_the_mistake(change: dict[str, int | str], code: str) -> None:
    packet = REQUEST.copy()
    for name, value in change.items():
        setattr(packet[ARP], name, value)
    assert code in codes(packet)


def test_verify_compares_lengths_in_the_generic_form() -> None:
    packet = FRAME / GenericARP(hardware_length=2, protocol_length=5, addresses=(b"ab", b"c"))
    assert codes(packet) == {"arp-lengths"}

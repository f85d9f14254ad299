"""What the evidence says of a packet that the kernel made or received for a scan."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from sockwright.scan.witness import about, proves
from sockwright.wire import ICMP, TCP, UDP, ICMPv6, IPv4, IPv6, Packet

HERE, THERE, ROUTER = "192.0.2.1", "192.0.2.2", "192.0.2.254"
HERE6, THERE6, ROUTER6 = "2001:db8::1", "2001:db8::2", "2001:db8::fe"


def said(packet: Packet, *, inside: bool = False) -> str:
    return proves(memoryview(bytes(packet)), inside=inside)


def error(sender: str, code: int, quoted: Packet, kind: int = 3) -> Packet:
    packet = IPv4(src=sender, dst=HERE) / ICMP(type=kind, code=code)
    return Packet.decode(bytes(packet / bytes(quoted)), link_type=101)


def error6(sender: str, code: int, quoted: Packet) -> Packet:
    packet = IPv6(src=sender, dst=HERE6) / ICMPv6(type=1, code=code)
    return Packet.decode(bytes(packet / (bytes(4) + bytes(quoted))), link_type=101)


DATAGRAM = IPv4(src=HERE, dst=THERE) / UDP(src_port=40000, dst_port=53)
DATAGRAM6 = IPv6(src=HERE6, dst=THERE6) / UDP(src_port=40000, dst_port=53)
SYN = IPv4(src=HERE, dst=THERE) / TCP(src_port=40000, dst_port=80, flags="S")
ANSWER = IPv4(src=THERE, dst=HERE) / UDP(src_port=53, dst_port=40000)


@pytest.mark.parametrize(
    ("packet", "comment"),
    [
        (ANSWER, "proves 53/udp open"),
        (error(THERE, 3, DATAGRAM), "proves 53/udp closed"),
        (error(ROUTER, 3, DATAGRAM), "proves 53/udp filtered"),
        (error(THERE, 13, DATAGRAM), "proves 53/udp filtered"),
        (error(THERE, 3, SYN), "proves 80/tcp filtered"),
        (error(ROUTER, 0, DATAGRAM, kind=11), ""),
        (error6(THERE6, 4, DATAGRAM6), "proves 53/udp closed"),
        (error6(ROUTER6, 4, DATAGRAM6), "proves 53/udp filtered"),
        (error6(THERE6, 1, DATAGRAM6), "proves 53/udp filtered"),
    ],
)
def test_an_answer_is_said_to_prove_what_it_proves(packet: Packet, comment: str) -> None:
    assert said(packet) == comment


def test_nobody_can_tell_a_datagram_from_its_answer_within_one_machine() -> None:
    assert not said(ANSWER, inside=True)
    assert said(error(THERE, 3, DATAGRAM), inside=True) == "proves 53/udp closed"


@pytest.mark.parametrize("packet", [error(THERE, 3, DATAGRAM), error6(THERE6, 4, DATAGRAM6)])
def test_an_error_that_is_cut_proves_nothing_and_stops_nothing(packet: Packet) -> None:
    octets = bytes(packet)
    head = 20 if octets[0] >> 4 == 4 else 40
    for size in range(head, len(octets)):
        assert proves(memoryview(octets)[:size]) in {"", "proves 53/udp closed"}


def test_an_error_is_about_the_host_that_was_asked_whoever_sent_it() -> None:
    for sender in (THERE, ROUTER):
        packet = memoryview(bytes(error(sender, 3, DATAGRAM)))
        assert about(packet, outgoing=False) == (17, ip_address(THERE).packed)
    packet = memoryview(bytes(error6(ROUTER6, 1, DATAGRAM6)))
    assert about(packet, outgoing=False) == (17, ip_address(THERE6).packed)
    assert about(memoryview(bytes(SYN)), outgoing=True) == (6, ip_address(THERE).packed)
    assert about(memoryview(bytes(ANSWER)), outgoing=False) == (17, ip_address(THERE).packed)
    for size in range(48):
        about(packet[:size], outgoing=False)

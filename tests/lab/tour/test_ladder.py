"""Frames put into words."""

from __future__ import annotations

import pytest

from sockwright.lab.tour.ladder import ladder
from sockwright.sockets.packet_socket import Frame
from sockwright.wire import Packet
from sockwright.wire.arp import ARP
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.icmp import ICMP
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.tcp import TCP
from sockwright.wire.udp import UDP

_A, _B = "02:00:00:00:00:01", "02:00:00:00:00:02"
_NAMES = {_A: "a", _B: "b"}
_LINK = Ethernet(src=_A, dst=_B)
_BACK = Ethernet(src=_B, dst=_A)
_IP = IPv4(src="10.0.0.1", dst="10.0.0.2")
_IP_BACK = IPv4(src="10.0.0.2", dst="10.0.0.1")


def _frame(packet: Packet) -> Frame:
    octets = bytes(packet)
    return Frame(octets, 1, len(octets), "eth0", "host", 0x0800, 1, b"", False, False)


@pytest.mark.parametrize(
    ("packet", "protocol", "summary"),
    [
        (_LINK / _IP / UDP(src_port=1, dst_port=2) / b"hi", "UDP", 'UDP 1 to 2, 2 octets "hi"'),
        (_LINK / _IP / UDP(src_port=1, dst_port=2) / b"\x1b[", "UDP", "UDP 1 to 2, 2 octets"),
        (_LINK / _IP / ICMP(type=8), "ICMP", "ICMP echo request"),
        (_LINK / _IP / ICMP(type=3, code=1), "ICMP",
         "ICMP destination unreachable: host unreachable"),
        (_LINK / _IP / ICMP(type=77), "ICMP", "ICMP of an unknown type"),
        (_LINK / IPv4(protocol=253) / b"x", "IPv4",
         'IPv4 protocol 253 experiment 1, 1 octets "x"'),
        (_LINK / ARP(target_ip="10.0.0.9"), "ARP", "ARP who has 10.0.0.9?"),
        (Packet((), b"xyz"), "octets", 'octets, 3 octets "xyz"'),
    ],
)  # fmt: skip
def test_packet_has_its_line(packet: Packet, protocol: str, summary: str) -> None:
    (rung,) = ladder([_frame(packet)], _NAMES)
    assert (rung.protocol, rung.summary) == (protocol, summary)
    assert (rung.seq, rung.flags) == (None, None)


def test_numbers_count_from_the_first_of_each_side_and_wrap() -> None:
    there = TCP(src_port=1, dst_port=2, seq=0xFFFFFFFF, flags="S")
    back = TCP(src_port=2, dst_port=1, seq=7, ack=0, flags="SA")
    third = TCP(src_port=1, dst_port=2, seq=0, ack=8, flags="PA")
    frames = [_LINK / _IP / there, _BACK / _IP_BACK / back, _LINK / _IP / third / b"data"]
    rungs = ladder(map(_frame, frames), _NAMES)
    assert [one.summary for one in rungs] == [
        "SYN seq 0",
        "SYN ACK seq 0 ack 1",
        'PSH ACK seq 1 ack 1, 4 octets "data"',
    ]
    assert [(one.seq, one.ack) for one in rungs] == [(0xFFFFFFFF, None), (7, 0), (0, 8)]
    assert [(one.sender, one.receiver) for one in rungs] == [("a", "b"), ("b", "a"), ("a", "b")]
    assert not [one.findings for one in rungs if one.findings]

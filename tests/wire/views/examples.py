"""Packets that the tests of the views look at."""

from __future__ import annotations

from sockwright.wire import Packet
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.ipv6 import IPv6
from sockwright.wire.tcp import TCP
from sockwright.wire.tcp_options import MSS, WindowScale
from sockwright.wire.udp import UDP

__all__ = ["any_state", "endless", "syn", "wrong"]


def syn() -> Packet:
    """Return a SYN with options and, as Fast Open has it, data."""
    return (
        Ethernet(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
        / IPv4(src="192.0.2.1", dst="192.0.2.2")
        / TCP(src_port=40000, dst_port=443, flags="S", options=(MSS(1460), WindowScale(7)))
        / b"hi"
    )


def wrong() -> Packet:
    """Return the same with two of the classic mistakes."""
    packet = syn()
    packet[IPv4].protocol = 16
    packet[TCP].checksum = 0x1234
    return packet


def endless() -> Packet:
    """Return a packet that no length field can describe."""
    return Packet([IPv4(), TCP(dst_port=81)], bytes(70_000))


def any_state() -> list[Packet]:
    """Return packets in every state: empty, bare, built, edited, decoded, cut, nonsense."""
    whole = bytes(wrong())
    edited = Ethernet.decode(whole)
    edited[IPv4].ttl = 1
    padded = syn()
    padded.trailer = bytes(6)
    return [
        Packet(),
        Packet((), b"no header"),
        Packet([UDP(src_port=1)]),
        syn(),
        wrong(),
        padded,
        edited,
        endless(),
        *[Ethernet.decode(whole[:length]) for length in range(len(whole))],
        Ethernet.decode(bytes(range(256)) * 3),
        Packet.decode(b"\xff" * 64),
        IPv6.decode(b"\x60" + bytes(200)),
        Packet.decode(b"what is this", link_type=147),
    ]

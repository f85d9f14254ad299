"""What comes in for raw probes, and by which ring: TCP segments, ICMP errors that quote a probe."""

from __future__ import annotations

import struct
import time
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from sockwright.scan.reasons import unreachable
from sockwright.scan.sending.answer_filter import KEPT, answers_to_ports
from sockwright.sockets.ring import FRAME, PacketRing, open_link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.sockets.ring import Block

    Segment = tuple[int, int | bytes, int, int, int, int, int, int, float, memoryview]

__all__ = ["Quoted", "answer_ring", "quoted", "segments"]

_BLOCK_SIZE = 1 << 16
_LARGE_BLOCK_SIZE = 1 << 18  # for whole packets
_WHOLE = 65535
_RETIRE_MS = 4

_TCP, _ICMP, _ICMPV6 = 6, 1, 58
# Behind an IPv4 header of 20 octets, and behind that of IPv6: TTL, source, ports, sequence and
# acknowledgement numbers, flags, window.
_TCP4 = struct.Struct("!8xB3xI4xHHIIxBH")
_TCP6 = struct.Struct("!7xB16s16xHHIIxBH")
_PORTS = struct.Struct("!HHI")


def answer_ring(
    first: int, last: int, *, buffer: int, whole: bool = False, hosts: bool = False
) -> PacketRing:
    """Open a ring of `buffer` octets for what `answers_to_ports` accepts, on every interface.

    Packets are cut behind what proves something, or kept `whole`: for evidence.

    Raises:
        PermissionError: CAP_NET_RAW is missing.
        OSError: as `PacketRing`.
    """
    return PacketRing(
        open_link(""),
        "",
        answers_to_ports(first, last, kept=_WHOLE if whole else KEPT, hosts=hosts),
        outgoing=False,
        buffer=buffer,
        retire_ms=_RETIRE_MS,
        block_size=_LARGE_BLOCK_SIZE if whole else _BLOCK_SIZE,
    )


def segments(block: Block, other: Callable[[memoryview, float], None]) -> Iterator[Segment]:
    """Give the TCP segments of a block of the ring; call `other` for each packet that is none.

    A segment is TTL, source (a number for IPv4, octets for IPv6), ports of source and destination,
    sequence and acknowledgement numbers, flags, window, when it came (`time.monotonic` seconds),
    and the packet from its IP header on, which is the ring's until the next one.
    """
    memory, at = block.octets, block.first
    frame_at, tcp_at = FRAME.unpack_from, _TCP4.unpack_from
    offset = time.time() - monotonic()
    for _ in range(block.frames):
        following, seconds, nanoseconds, kept, _, _, _, network, *_ = frame_at(memory, at)
        start = at + network
        at += following
        arrived = seconds + nanoseconds * 1e-9 - offset
        packet = memory[start : start + kept]
        first = memory[start]
        if first == 0x45 and memory[start + 9] == _TCP and kept >= 36:
            yield *tcp_at(memory, start), arrived, packet
        elif first >> 4 == 6 and memory[start + 6] == _TCP and kept >= 56:
            yield *_TCP6.unpack_from(memory, start), arrived, packet
        elif first >> 4 == 4 and memory[start + 9] == _TCP and kept >= (first & 15) * 4 + 16 > 36:
            ttl, source, *_ = tcp_at(memory, start)
            _, _, *rest = tcp_at(memory, start + (first & 15) * 4 - 20)  # behind the options
            yield ttl, source, *rest, arrived, packet
        else:
            other(packet, arrived)


class Quoted(NamedTuple):
    """An ICMP error about a probe: the reason, who sent it with which TTL, and the probe.

    `destination` is where the probe went (a number for IPv4, octets for IPv6); `sender` is empty
    if that sent the error itself.
    """

    reason: int
    sender: str
    ttl: int
    destination: int | bytes
    source_port: int
    port: int
    cookie: int


def quoted(packet: memoryview) -> Quoted | None:
    """Read an ICMP error that quotes TCP, from its IP header on; None if it is something else."""
    if packet[0] >> 4 == 4:
        length = (packet[0] & 15) * 4
        if len(packet) < length + 8 + 28 or packet[9] != _ICMP:
            return None
        reason = unreachable(4, packet[length], packet[length + 1], udp=False)
        probe = packet[length + 8 :]
        if reason is None or probe[0] >> 4 != 4 or probe[9] != _TCP:
            return None
        destination: int | bytes = int.from_bytes(probe[16:20], "big")
        sender = "" if probe[16:20] == packet[12:16] else ".".join(map(str, packet[12:16]))
        segment, ttl = probe[(probe[0] & 15) * 4 :], packet[8]
    else:
        if len(packet) < 40 + 8 + 40 + 8 or packet[6] != _ICMPV6:
            return None
        reason = unreachable(6, packet[40], packet[41], udp=False)
        probe = packet[48:]
        if reason is None or probe[0] >> 4 != 6 or probe[6] != _TCP:
            return None
        destination = bytes(probe[24:40])
        sender = ""
        if packet[8:24] != destination:
            import socket

            sender = socket.inet_ntop(socket.AF_INET6, bytes(packet[8:24]))
        segment, ttl = probe[40:], packet[7]
    if len(segment) < _PORTS.size:
        return None
    return Quoted(reason, sender, ttl, destination, *_PORTS.unpack_from(segment))

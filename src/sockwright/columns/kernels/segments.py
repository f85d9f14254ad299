"""Find the TCP segments and UDP datagrams of a batch: their numbers, and where their data are.

Lengths are those on the wire, as IPv4 (RFC 791) and IPv6 (RFC 8200) tell them, also where the
capture cut the packet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.columns.kernels.octets import u16_be, u32_be

if TYPE_CHECKING:
    from sockwright.columns.batch import Numbers, Octets

__all__ = ["END_OF_OPTIONS", "datagram_end", "segment", "window_scale"]

END_OF_OPTIONS, NO_OPERATION, WINDOW_SCALE = 0, 1, 3
MOST_SHIFT = 14  # RFC 7323 section 2.3
IPV4_HEADER, IPV6_HEADER, TCP_HEADER = 20, 40, 20
SYN = 0x02

# What `segment` finds, by place.
SEQ, ACK, FLAGS, WINDOW, LENGTH, SCALE, DATA, CAPTURED = range(8)
FOUND = 8


def datagram_end(octets: Octets, at: int, end: int, wire_end: int) -> int:
    """Return where the IP packet at `at` ends on the wire; `wire_end` is where its frame does.

    Captured are the octets before `end`. A length of 0, or one that the frame has no room for, is
    none: segmentation in the interface card leaves such (and jumbograms, RFC 2675).
    """
    stop = wire_end
    version = octets[at] >> 4
    if version == 4 and end - at >= IPV4_HEADER:
        length = u16_be(octets, at + 2)
        if length:
            stop = at + length
    elif version == 6 and end - at >= IPV6_HEADER:
        length = u16_be(octets, at + 4)
        if length:
            stop = at + IPV6_HEADER + length
    return min(stop, wire_end)


def window_scale(octets: Octets, at: int, stop: int) -> int:
    """Return the shift in the window scale option between `at` and `stop`, or -1."""
    while at < stop:
        kind = octets[at] + 0
        if kind == END_OF_OPTIONS:
            return -1
        if kind == NO_OPERATION:
            at += 1
            continue
        if at + 1 >= stop:
            return -1
        length = octets[at + 1] + 0
        if length < 2 or at + length > stop:
            return -1
        if kind == WINDOW_SCALE and length == 3:
            return min(octets[at + 2] + 0, MOST_SHIFT)
        at += length
    return -1


def segment(octets: Octets, at: int, end: int, stop: int, found: Numbers) -> bool:
    """Read the TCP header at `at` into `found`; return whether it is whole and makes sense.

    The octets before `end` are captured, those before `stop` were on the wire.
    """
    if end - at < TCP_HEADER:
        return False
    size = (octets[at + 12] >> 4) * 4
    if size < TCP_HEADER or at + size > stop:
        return False
    flags = u16_be(octets, at + 12) & 0x1FF
    found[SEQ] = u32_be(octets, at + 4)
    found[ACK] = u32_be(octets, at + 8)
    found[FLAGS] = flags
    found[WINDOW] = u16_be(octets, at + 14)
    found[LENGTH] = stop - at - size
    found[SCALE] = -1
    if flags & SYN:
        found[SCALE] = window_scale(octets, at + TCP_HEADER, min(at + size, end))
    found[DATA] = at + size
    found[CAPTURED] = max(0, min(stop, end) - at - size)
    return True

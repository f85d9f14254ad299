"""What the TCP segments that ask have in common, RFC 9293 section 3.1, and their checksum."""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["MSS_1460", "MSS_SUM", "OFFSET", "SEGMENT", "WINDOW", "folded", "reset_segment"]

SEGMENT: Final = struct.Struct("!HHIIHHHHI")
"""Ports, sequence number, acknowledgment, flags, window, checksum, urgent pointer, one option."""

MSS_1460: Final = 0x020405B4  # RFC 9293 section 3.7.1: kind 2, length 4, 1460 octets
MSS_SUM: Final = (MSS_1460 >> 16) + (MSS_1460 & 0xFFFF)
WINDOW: Final = 1024
OFFSET: Final = 6 << 12
"""Where the data would begin, in words, as the word with the flags has it."""

_BARE = struct.Struct("!HHIIHHHH")
_TCP = 6
_RST = 0x04


def folded(total: int) -> int:
    """Return the Internet checksum of a sum of words of 16 bits, RFC 1071."""
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def reset_segment(source_port: int, port: int, sequence: int, addresses: int) -> bytes:
    """Return a RST, so that a host may forget the connection that a SYN half opened.

    `addresses` is the sum of the words of both addresses.
    """
    flags = 5 << 12 | _RST
    total = addresses + _TCP + _BARE.size + source_port + port + flags
    checksum = folded(total + (sequence >> 16) + (sequence & 0xFFFF))
    return _BARE.pack(source_port, port, sequence, 0, flags, 0, checksum, 0)

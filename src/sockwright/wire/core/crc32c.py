"""The checksum of SCTP: CRC32c, RFC 9260 appendix A."""

from __future__ import annotations

from functools import cache

__all__ = ["crc32c"]

_POLYNOMIAL = 0x82F63B78  # 0x1EDC6F41, its bits in reverse


@cache
def _table() -> tuple[int, ...]:
    """Return what each value of an octet does to the remainder."""
    table = []
    for remainder in range(256):
        for _ in range(8):
            remainder = remainder >> 1 ^ _POLYNOMIAL * (remainder & 1)  # noqa: PLW2901
        table.append(remainder)
    return tuple(table)


def crc32c(octets: bytes) -> int:
    """Return the CRC32c of `octets`. SCTP sends it with the lowest octet first."""
    table = _table()
    remainder = 0xFFFFFFFF
    for octet in octets:
        remainder = table[(remainder ^ octet) & 0xFF] ^ remainder >> 8
    return remainder ^ 0xFFFFFFFF

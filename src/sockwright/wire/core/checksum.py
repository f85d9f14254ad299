"""The Internet checksum, RFC 1071, by integer arithmetic.

2**16 is 1 modulo 65535, so the ones'-complement sum of 16-bit words is the value of the octets,
read as one big-endian integer, modulo 65535. Adding fields of 16, 32 or 128 bits as integers gives
the same residue as adding their 16-bit halves, which is why `Header.derive` may sum field values.
"""

from __future__ import annotations

__all__ = ["complement", "internet_checksum", "value_of"]


_from_bytes = int.from_bytes


def value_of(octets: bytes) -> int:
    """Return a non-negative integer congruent to the 16-bit word sum of `octets`, modulo 65535.

    An odd last octet counts as the upper half of a word (RFC 1071 section 1).
    """
    if len(octets) & 1:
        return _from_bytes(octets, "big") << 8
    return _from_bytes(octets, "big")


def complement(total: int) -> int:
    """Return the checksum field (0 to 0xFFFF) for a sum of words that left the field at 0.

    A sum of nothing but zeros gives 0xFFFF, as ones'-complement arithmetic does.
    """
    return -total % 65535 if total else 0xFFFF


def internet_checksum(octets: bytes) -> int:
    """Return the Internet checksum (0 to 0xFFFF) of `octets`, RFC 1071.

    Over octets that already hold a right checksum the result is 0.
    """
    return complement(value_of(octets))

"""BER (X.690), as much of it as LDAP, SNMP and Kerberos need: tag, length, contents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["integer", "items", "octet_string", "sequence", "tlv"]

_MOST_ITEMS: Final = 512


def tlv(tag: int, contents: bytes) -> bytes:
    """Encode one item."""
    length = len(contents)
    if length < 0x80:
        return bytes((tag, length)) + contents
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + contents


def integer(number: int) -> bytes:
    """Encode an INTEGER of 0 or more."""
    return tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def octet_string(octets: bytes) -> bytes:
    """Encode an OCTET STRING."""
    return tlv(0x04, octets)


def sequence(*parts: bytes) -> bytes:
    """Encode a SEQUENCE."""
    return tlv(0x30, b"".join(parts))


def items(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Give tag and contents of the items in `octets`; what is cut off is the last one, shorter.

    Tags are of one octet. Nothing is looked into: whoever wants what is inside asks again.
    """
    at = 0
    for _ in range(_MOST_ITEMS):
        if at + 2 > len(octets):
            return
        tag, length = octets[at], octets[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4:
                return
            length = int.from_bytes(octets[at : at + count], "big")
            at += count
        yield tag, octets[at : at + length]
        at += length

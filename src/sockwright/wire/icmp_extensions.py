"""Extensions of ICMP errors, RFC 4884 section 7: objects behind the quoted datagram.

An object that is not known here, or whose octets do not fit, is an `ExtensionObject` with its data.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from sockwright.wire.core.checksum import internet_checksum
from sockwright.wire.core.option import check_uint

__all__ = [
    "ExtensionObject",
    "MPLSEntry",
    "MPLSLabelStack",
    "decode_extensions",
    "encode_extensions",
]


@dataclass(frozen=True, slots=True)
class ExtensionObject:
    """An object by class number and type (C-Type), RFC 4884 section 8."""

    class_number: int
    c_type: int
    data: bytes = b""

    def __post_init__(self) -> None:
        check_uint("ExtensionObject.class_number", self.class_number, 8)
        check_uint("ExtensionObject.c_type", self.c_type, 8)

    def encode(self) -> bytes:
        """Return length, class, type and data."""
        head = struct.pack("!HBB", 4 + len(self.data), self.class_number, self.c_type)
        return head + self.data


@dataclass(frozen=True, slots=True)
class MPLSEntry:
    """One entry of a label stack, RFC 3032 section 2.1; `bottom` marks the last one."""

    label: int
    traffic_class: int = 0
    bottom: bool = False
    ttl: int = 0

    def __post_init__(self) -> None:
        check_uint("MPLSEntry.label", self.label, 20)
        check_uint("MPLSEntry.traffic_class", self.traffic_class, 3)
        check_uint("MPLSEntry.ttl", self.ttl, 8)


@dataclass(frozen=True, slots=True)
class MPLSLabelStack:
    """Class 1, type 1: the label stack with which the datagram came, RFC 4950 section 4."""

    class_number: ClassVar[int] = 1
    c_type: ClassVar[int] = 1
    entries: tuple[MPLSEntry, ...]

    def encode(self) -> bytes:
        """Return length, class, type and four octets an entry."""
        data = b"".join(
            [
                (
                    entry.label << 12 | entry.traffic_class << 9 | entry.bottom << 8 | entry.ttl
                ).to_bytes(4, "big")
                for entry in self.entries
            ]
        )
        return ExtensionObject(self.class_number, self.c_type, data).encode()


def decode_extensions(octets: bytes) -> tuple[ExtensionObject | MPLSLabelStack, ...]:
    """Return the objects in an extension structure; it ends at the first one whose length lies."""
    found: list[ExtensionObject | MPLSLabelStack] = []
    offset = 4
    while offset + 4 <= len(octets):
        length, class_number, c_type = struct.unpack_from("!HBB", octets, offset)
        if length < 4 or offset + length > len(octets):
            break
        data = octets[offset + 4 : offset + length]
        if (class_number, c_type) == (1, 1) and len(data) % 4 == 0:
            found.append(MPLSLabelStack(tuple(map(_entry, struct.iter_unpack("!I", data)))))
        else:
            found.append(ExtensionObject(class_number, c_type, data))
        offset += length
    return tuple(found)


def encode_extensions(objects: tuple[ExtensionObject | MPLSLabelStack, ...]) -> bytes:
    """Return an extension structure of version 2 with its checksum, RFC 4884 section 7."""
    octets = b"\x20\0\0\0" + b"".join([item.encode() for item in objects])
    return octets[:2] + internet_checksum(octets).to_bytes(2, "big") + octets[4:]


def _entry(word: tuple[int]) -> MPLSEntry:
    (number,) = word
    return MPLSEntry(number >> 12, number >> 9 & 7, bool(number >> 8 & 1), number & 0xFF)

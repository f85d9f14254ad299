"""The snoop format of Solaris, RFC 1761.

A file header of 16 octets (name, version, datalink type), then records: octets on the wire, octets
captured, octets of the record with its padding, packets dropped so far, seconds and microseconds.
Numbers are big-endian.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from sockwright.errors import DecodeError, TruncatedError
from sockwright.records.contents import Interface
from sockwright.records.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.records.contents import Contents
    from sockwright.records.source import Source

__all__ = ["FORMAT", "MAGICS", "read"]

FORMAT = "snoop"
MAGICS = (b"snoo",)

_NAME = b"snoop\0\0\0"
_VERSION = 2
# Datalink types (section 4, and RFC 3827) for which there is a LINKTYPE_ value.
_LINK_TYPES = {
    0: 1,  # IEEE 802.3
    2: 6,  # IEEE 802.5 token ring
    4: 1,  # Ethernet
    8: 10,  # FDDI
    16: 224,  # Fibre Channel
    18: 123,  # ATM, classical IP
}
_HEADER = struct.Struct(">IIIIII")


def read(source: Source, magic: bytes, max_captured: int, contents: Contents) -> Iterator[Record]:
    """Read the file header and return the records behind it; see `read_records`."""
    source.layer = FORMAT
    octets = magic + source.need(12, "the file header", len(magic))
    if not octets.startswith(_NAME):
        raise DecodeError(FORMAT, 0, f"no known format of captures starts with {octets[:8]!r}")
    version, datalink = struct.unpack_from(">II", octets, 8)
    if version != _VERSION:
        raise DecodeError(FORMAT, 8, f"version {version} is not known; 2 is")
    link_type = _LINK_TYPES.get(datalink)
    if link_type is None:
        raise DecodeError(FORMAT, 12, f"datalink type {datalink} has no LINKTYPE_ value")
    contents.interfaces.append(Interface(link_type=link_type))
    return _records(source, link_type, max_captured)


def _records(source: Source, link_type: int, max_captured: int) -> Iterator[Record]:
    number = source.records
    dropped_before = 0
    size = _HEADER.size
    while octets := source.take(size):
        number += 1
        start = source.offset - len(octets)
        if len(octets) < size:
            what = f"the header of record {number}"
            raise TruncatedError(FORMAT, start, size, len(octets), what)
        original, captured, length, dropped, seconds, microseconds = _HEADER.unpack(octets)
        if captured > max_captured:
            claim = f"record {number} claims {captured} octets, over the limit of {max_captured}"
            raise DecodeError(FORMAT, start, claim)
        if not captured + size <= length <= captured + size + max_captured:
            claim = f"record {number} claims {length} octets in all for {captured} of packet"
            raise DecodeError(FORMAT, start, claim)
        what = f"record {number}"
        data = source.need(captured, what, size)
        source.skip(length - size - captured, what, size + captured)
        time_ns = seconds * 1_000_000_000 + microseconds * 1000
        source.records = number
        # The file counts all drops up to here, a record those since the record before.
        yield Record(
            time_ns, data, original, link_type, dropped=(dropped - dropped_before) & 0xFFFF_FFFF
        )
        dropped_before = dropped

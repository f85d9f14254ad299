"""The pcap format of tcpdump and libpcap, draft-ietf-opsawg-pcap.

A file header of 24 octets, then records: seconds, micro- or nanoseconds, octets captured, octets on
the wire, and the octets captured. The magic number tells byte order and unit of time. A variant of
1990s Linux by Alexey Kuznetzov has 8 octets more in each record header.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from sockwright.errors import DecodeError, TruncatedError
from sockwright.records.contents import Interface
from sockwright.records.record import MAX_CAPTURED, Record
from sockwright.records.record_file import RecordFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.records.contents import Contents
    from sockwright.records.record_file import Octets
    from sockwright.records.source import Source

__all__ = ["FORMAT", "MAGICS", "PcapWriter", "read"]

FORMAT = "pcap"


class _Variant(NamedTuple):
    """What a magic number says."""

    order: Literal["<", ">"]
    unit_ns: int
    more: int  # octets of a record header behind the usual 16


_MICROSECONDS, _NANOSECONDS, _KUZNETZOV = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34
_BYTE_ORDERS: tuple[tuple[Literal["<", ">"], Literal["little", "big"]], ...] = (
    ("<", "little"),
    (">", "big"),
)
_KINDS = ((_MICROSECONDS, 1000, 0), (_NANOSECONDS, 1, 0), (_KUZNETZOV, 1000, 8))

MAGICS = {
    number.to_bytes(4, name): _Variant(order, unit_ns, more)
    for number, unit_ns, more in _KINDS
    for order, name in _BYTE_ORDERS
}

_VERSION = (2, 4)
_FILE_HEADER = "HHiIII"  # version, time zone, accuracy, snapshot length, link type
_RECORD_HEADER = "IIII"
_RECORD_HEADER_SIZE = 16
_LINK_TYPE = 0x03FF_FFFF  # the bits above tell the length of a frame check sequence
_SECONDS_END = 1 << 32


def read(source: Source, magic: bytes, max_captured: int, contents: Contents) -> Iterator[Record]:
    """Read the file header and return the records behind it; see `read_records`."""
    source.layer = FORMAT
    variant = MAGICS[magic]
    header = source.need(20, "the file header", len(magic))
    major, minor, _, _, snaplen, word = struct.unpack(variant.order + _FILE_HEADER, header)
    if major != _VERSION[0]:
        raise DecodeError(FORMAT, 4, f"version {major}.{minor} is not known; 2.4 is")
    link_type = word & _LINK_TYPE
    ticks = 1_000_000_000 // variant.unit_ns
    contents.interfaces.append(Interface(0, link_type, snaplen, ticks_per_second=ticks))
    return _records(source, variant, minor, link_type, max_captured)


def _records(
    source: Source, variant: _Variant, minor: int, link_type: int, max_captured: int
) -> Iterator[Record]:
    unit_ns = variant.unit_ns
    unpack = struct.Struct(variant.order + _RECORD_HEADER).unpack_from
    header_size = _RECORD_HEADER_SIZE + variant.more
    read = source.read  # half of the time of a record would be calls of source.take
    number = source.records
    while octets := read(header_size):
        start = source.offset
        number += 1
        if len(octets) < header_size:
            octets = source.rest(octets, header_size)
            if len(octets) < header_size:
                what = f"the header of record {number}"
                raise TruncatedError(FORMAT, start, header_size, len(octets), what)
        seconds, fraction, captured, original = unpack(octets)
        # Before 2.3 the lengths stood the other way round, and in 2.3 with some writers.
        if minor < 3 or (minor == 3 and captured > original):
            captured, original = original, captured
        if captured > max_captured:
            claim = f"record {number} claims {captured} octets, over the limit of {max_captured}"
            raise DecodeError(FORMAT, start, claim)
        data = read(captured) or b""
        if len(data) < captured:
            if data:
                data = source.rest(data, captured)
            if len(data) < captured:
                there = header_size + len(data)
                needed = header_size + captured
                raise TruncatedError(FORMAT, start, needed, there, f"record {number}")
        source.offset = start + header_size + captured
        source.records = number
        yield Record(
            seconds * 1_000_000_000 + fraction * unit_ns,
            data,
            original,
            link_type,
        )


class Writable(Protocol):
    """A binary file object."""

    def write(self, octets: bytes, /) -> object:
        """Write `octets`."""


class PcapWriter:
    """Writes records of one link type to a file that is open for writing octets.

    The file header is written at once. The file is neither flushed nor closed here; a `RecordFile`
    will do, and keeps the file whole when the disk is full. Records longer than `snaplen` octets
    are cut to it; a record without a time gets 0.

    Raises: ValueError for a link type or a snapshot length that does not fit the format; OSError as
    the file does.
    """

    def __init__(
        self,
        file: Writable | RecordFile,
        link_type: int = 1,
        snaplen: int = MAX_CAPTURED,
        *,
        nanoseconds: bool = True,
        byte_order: Literal["little", "big"] = "little",
    ) -> None:
        if not 0 <= link_type <= 0xFFFF:
            raise ValueError(f"link type {link_type} is outside 0 to 65535")
        if not 1 <= snaplen <= MAX_CAPTURED:
            raise ValueError(f"snapshot length {snaplen} is outside 1 to {MAX_CAPTURED}")
        self.link_type = link_type
        self.snaplen = snaplen
        self._unit_ns = 1 if nanoseconds else 1000
        order = ">" if byte_order == "big" else "<"
        self._layout = struct.Struct(order + _RECORD_HEADER)
        self._pack = self._layout.pack
        magic = _NANOSECONDS if nanoseconds else _MICROSECONDS
        header = struct.pack(f"{order}I{_FILE_HEADER}", magic, *_VERSION, 0, 0, snaplen, link_type)
        self._write: Callable[[bytes], object]
        if isinstance(file, RecordFile):
            file.begin(header, self._measure)
            self._write = file.write_record
        else:
            self._write = file.write
            file.write(header)

    def encode(self, record: Record) -> bytes:
        """Return the octets of one record, for writers that gather many before they write.

        Raises: ValueError for another link type than the file's, or a time before 1970 or after
        2106.
        """
        if record.link_type != self.link_type:
            raise ValueError(
                f"a record of link type {record.link_type} does not fit a file of {self.link_type}"
            )
        seconds, nanoseconds = divmod(record.time_ns or 0, 1_000_000_000)
        if not 0 <= seconds < _SECONDS_END:
            raise ValueError(
                f"time_ns {record.time_ns} is outside 1970 to 2106, which pcap can say"
            )
        if not 0 <= record.original_length <= 0xFFFF_FFFF:
            raise ValueError(f"original length {record.original_length} is outside 32 bits")
        octets = record.octets[: self.snaplen]
        fraction = nanoseconds // self._unit_ns
        return self._pack(seconds, fraction, len(octets), record.original_length) + octets

    def write(self, record: Record) -> None:
        """Write one record, in one call of the file's `write`.

        Raises: ValueError as `encode` does; OSError as the file does.
        """
        self._write(self.encode(record))

    def _measure(self, octets: Octets, offset: int) -> tuple[int, int]:
        """Return the length of the record at `offset`, and that it is one."""
        return _RECORD_HEADER_SIZE + int(self._layout.unpack_from(octets, offset)[2]), 1

"""Read a capture of any format; what the file starts with decides which.

A format is a module of this package that has its name `FORMAT`, `MAGICS`, the 4 octets its files
may start with, and ``read(source, magic, max_captured, contents)``, which reads the file header and
returns an iterator of the records behind it. While that goes on it keeps `Source.records` up to
date and notes in `contents` what is not packets.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sockwright.errors import DecodeError
from sockwright.records.compression import compression_of, decompressed
from sockwright.records.contents import Contents
from sockwright.records.record import MAX_CAPTURED
from sockwright.records.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sockwright.records.captured_packet import CapturedPacket
    from sockwright.records.contents import Interface, InterfaceStatistics, Secrets, Section
    from sockwright.records.record import Record
    from sockwright.records.source import Readable

    Reader = Callable[[Source, bytes, int, Contents], Iterator[Record]]

__all__ = ["Identity", "RecordReader", "identify", "read_records"]

_MAGIC_SIZE = 4


class Identity(NamedTuple):
    """What the first octets of a file say: its format, or the compression that hides the format.

    `format` is "pcap", "pcapng", "snoop" or "" (unknown, or compressed); `compression` is "gzip",
    "zstd", "xz", "lz4" or "".
    """

    format: str
    compression: str


def identify(head: bytes) -> Identity:
    """Tell a capture by its first 4 octets; the name of a file tells nothing."""
    compression = compression_of(head)
    if compression:
        return Identity("", compression)
    known = _formats().get(head[:_MAGIC_SIZE])
    return Identity(known[0] if known else "", "")


def read_records(file: Readable, *, max_captured: int = MAX_CAPTURED) -> RecordReader:
    """Return a reader that iterates the records of a capture, in the order of the file.

    `file` is open for reading octets and is not closed. It is read as records are asked for; the
    file header is read at once. Compression by gzip, zstd, xz or lz4 is seen through. Memory is
    bounded by one record, the decompressor's window, and 64 MiB for what else the file tells. A
    record of more than `max_captured` octets is taken for a lie.

    Raises: TruncatedError where the file ends in the middle of a record, DecodeError where a length
    or a number lies. Both name the octet and the record, both only after every whole record before
    has been delivered. DecodeError also, at once, for a file of no known format.
    """
    plain, compression = decompressed(file)
    # A file that is not compressed is read without a step between; its magic number is taken.
    source = Source(plain)
    magic = source.need(_MAGIC_SIZE, "the magic number")
    if compression:
        source.tell_records()
    else:
        source.read = file.read
    known = _formats().get(magic)
    if known is None:
        raise DecodeError("capture", 0, f"no known format of captures starts with {magic.hex(' ')}")
    contents = Contents()
    records = known[1](source, magic, max_captured, contents)
    return RecordReader(records, source, contents, known[0], compression)


class RecordReader:
    """Iterates the records of a capture, and knows what else the capture told so far.

    What stands anywhere in a file (interfaces, names, statistics) is here as soon as the records
    behind it have been asked for; at the end all of it is.
    """

    def __init__(
        self,
        records: Iterator[Record],
        source: Source,
        contents: Contents,
        format: str,  # noqa: A002  # the word for it
        compression: str,
    ) -> None:
        self._records = records
        self._source = source
        self.contents = contents
        """What the properties below show, as it grows; for `PcapngWriter.carry_over`."""
        self.format = format
        """ "pcap", "pcapng" or "snoop"."""
        self.compression = compression
        """ "gzip", "zstd", "xz", "lz4", or "" for none."""

    def __iter__(self) -> Iterator[Record]:
        return self._records

    def __next__(self) -> Record:
        return next(self._records)

    def packets(self) -> Iterator[CapturedPacket]:
        """Yield what is left as packets that know their number, counted from 1, and their time."""
        from sockwright.records.captured_packet import captured

        source = self._source
        for record in self._records:
            yield captured(
                record.octets,
                record.link_type,
                source.records,
                record.time_ns,
                record.original_length,
                record.interface,
                record.comment,
            )

    @property
    def count(self) -> int:
        """How many records were delivered so far."""
        return self._source.records

    @property
    def offset(self) -> int:
        """How many octets were taken off the file so far, after decompression."""
        return self._source.offset

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The interfaces described so far; a record's `interface_number` counts them."""
        return tuple(self.contents.interfaces)

    @property
    def link_types(self) -> tuple[int, ...]:
        """The `LINKTYPE_` values of the interfaces so far, each once."""
        return tuple(dict.fromkeys(one.link_type for one in self.contents.interfaces))

    @property
    def sections(self) -> tuple[Section, ...]:
        """The sections of a pcapng file so far, with hardware, system and program."""
        return tuple(self.contents.sections)

    @property
    def comments(self) -> tuple[str, ...]:
        """The comments on sections, interfaces and statistics so far; a packet's are its own."""
        told = self.contents
        comments = [section.comment for section in told.sections]
        comments += [interface.comment for interface in told.interfaces]
        comments += [counted.comment for counted in told.statistics]
        return tuple([comment for comment in comments if comment is not None])

    @property
    def names(self) -> Mapping[str, tuple[str, ...]]:
        """The names that the file gives to addresses so far."""
        found: dict[str, dict[str, None]] = {}
        for address, name in self.contents.names:
            found.setdefault(address, {})[name] = None
        return {address: tuple(names) for address, names in found.items()}

    @property
    def statistics(self) -> tuple[InterfaceStatistics, ...]:
        """What interfaces counted, as far as read."""
        return tuple(self.contents.statistics)

    @property
    def secrets(self) -> tuple[Secrets, ...]:
        """Keys for decryption so far, as they stand in the file."""
        return tuple(self.contents.secrets)


@cache
def _formats() -> Mapping[bytes, tuple[str, Reader]]:
    """Return name and reader of the format that each magic number starts."""
    found: dict[bytes, tuple[str, Reader]] = {}
    package = import_module("sockwright.records")
    for folder in package.__path__:
        for path in Path(folder).glob("*.py"):
            # Read before it is imported: one module of this package needs the whole of wire.
            if "\nMAGICS = " not in path.read_text(encoding="utf-8"):
                continue
            module = import_module(f"sockwright.records.{path.stem}")
            for magic in module.MAGICS:
                found[magic] = module.FORMAT, module.read
    return found

"""`sw read -w`: write the packets that were chosen into a capture of their own."""

from __future__ import annotations

import os
import sys
from array import array
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from sockwright.columns.batch import NO_TIME
from sockwright.columns.kernels.select import encode_pcap
from sockwright.columns.supply import standard_input
from sockwright.errors import DecodeError, NotPossibleError, UsageError
from sockwright.records import PcapngWriter, PcapWriter, Record, RecordFile, read_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sockwright.columns.batch import Batch
    from sockwright.columns.capture_file import CaptureFile
    from sockwright.filters import Filter
    from sockwright.records import RecordReader
    from sockwright.records.record_file import RawFile

    Chosen = Iterable[tuple[Batch, Sequence[int]]]

__all__ = ["copy_stream", "write_packets"]

_FORMATS: dict[str, Literal["pcap", "pcapng"]] = {
    ".pcap": "pcap",
    ".cap": "pcap",
    ".dmp": "pcap",
    ".pcapng": "pcapng",
    ".ntar": "pcapng",
}
_ROOM = 1 << 20
_MICROSECONDS = 1_000_000


def write_packets(
    capture: CaptureFile, chosen: Chosen, args: Any
) -> tuple[int, DecodeError | None]:
    """Write what was chosen; return how many packets, and what is wrong with the capture.

    The format is the one asked for, else that of the ending of the name, else that of the capture.
    pcapng keeps comments, interfaces, names and secrets; pcap keeps the packets.

    Raises: UsageError, NotPossibleError, OSError.
    """
    with ExitStack() as stack:
        if _format(args, capture.format) == "pcap":
            file = stack.enter_context(_open(args.file, args.write))
            return _write_pcap(capture, chosen, file)
        # A file is gone through twice at once: by batches, which say what was chosen, and by
        # records, which know what pcapng keeps.
        reader = read_records(stack.enter_context(Path(args.file).open("rb")))
        file = stack.enter_context(_open(args.file, args.write))
        records = _picked(reader, chosen, to_the_end=args.limit is None)
        return _write_records(reader, records, file, "pcapng")


def copy_stream(args: Any, filter_text: str) -> tuple[int, DecodeError | None]:
    """Do the same from standard input, which can be read once: the filter runs record by record."""
    reader = read_records(standard_input())
    with _open("-", args.write) as file:
        records = _passing(reader, filter_text, args.limit)
        return _write_records(reader, records, file, _format(args, reader.format))


def _format(args: Any, source: str) -> Literal["pcap", "pcapng"]:
    asked: Literal["pcap", "pcapng"] | None = args.format or _FORMATS.get(Path(args.write).suffix)
    return asked or ("pcapng" if source == "pcapng" else "pcap")


def _open(source: str, path: str) -> RecordFile:
    raw: RawFile
    if path == "-":
        if sys.stdout.isatty():
            raise UsageError("-w - writes octets, which a terminal would take for commands; use |")
        raw = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
        return RecordFile(raw, "standard output")
    if source != "-" and Path(path).exists() and Path(path).samefile(source):
        raise UsageError(f"{path} is the capture that is read; -w needs another file")
    return RecordFile(Path(path).open("wb", buffering=0), path)


# pcap: by the kernel, a buffer at a time


def _write_pcap(
    capture: CaptureFile, chosen: Chosen, file: RecordFile
) -> tuple[int, DecodeError | None]:
    writer: PcapWriter | None = None
    link_type, unit_ns = 1, 1000
    room = bytearray(_ROOM)
    error: DecodeError | None = None
    try:
        for batch, rows in chosen:
            if len(rows):
                wanted = _link_type(batch, rows)
                if writer is None:
                    link_type = wanted
                    fine = any(one.ticks_per_second > _MICROSECONDS for one in batch.interfaces)
                    unit_ns = 1 if fine else 1000
                    writer = PcapWriter(file, link_type, nanoseconds=fine)
                elif wanted != link_type:
                    raise _two_link_types(link_type, wanted)
                _write_rows(batch, rows, unit_ns, room, file, writer)
    except DecodeError as broken:
        error = broken
    if writer is None:
        known = capture.interfaces
        PcapWriter(file, known[0].link_type if known else 1, nanoseconds=False)
    return file.records, error


def _link_type(batch: Batch, rows: Sequence[int]) -> int:
    kinds = [int(kind) for kind in batch.link_types]
    if len(set(kinds)) == 1:
        return kinds[0]
    found = list(dict.fromkeys(kinds[int(batch.interface[row])] for row in rows))
    if len(found) > 1:
        raise _two_link_types(found[0], found[1])
    return found[0]


def _two_link_types(first: int, second: int) -> NotPossibleError:
    return NotPossibleError(
        f"pcap holds packets of one link type, these are of {first} and {second}",
        "write pcapng: -w OUT.pcapng",
    )


def _write_rows(  # noqa: PLR0917
    batch: Batch,
    rows: Sequence[int],
    unit_ns: int,
    room: bytearray,
    file: RecordFile,
    writer: PcapWriter,
) -> None:
    encode: Any = encode_pcap
    position: Any = array("q", [0])
    out: Any = room
    which: Any = rows
    if batch.compiled:
        import numpy as np

        from sockwright.columns.compiling import compiled

        encode = compiled(encode_pcap)
        position, out = np.zeros(1, np.int64), np.frombuffer(room, np.uint8)
        if isinstance(rows, range):
            which = np.arange(rows.start, rows.stop)
        which = np.asarray(which, np.int64)
    index = 0
    while index < len(rows):
        before = index
        index = encode(
            batch.octets,
            batch.start,
            batch.captured,
            batch.original,
            batch.time_ns,
            unit_ns,
            NO_TIME,
            which,
            index,
            position,
            out,
        )
        if index > before:
            file.write_records(memoryview(room)[: int(position[0])], index - before)
        if index < len(rows) and not position[0]:
            row = int(rows[index])
            _write_record(_record(batch, row, writer.link_type), batch.number + row, writer)
            index += 1


def _record(batch: Batch, row: int, link_type: int) -> Record:
    time_ns = int(batch.time_ns[row])
    known = None if time_ns == NO_TIME else time_ns
    return Record(known, batch.octets_of(row), int(batch.original[row]), link_type)


def _write_record(record: Record, number: int, writer: PcapWriter | PcapngWriter) -> None:
    """Write one record. Raises: NotPossibleError where its time does not fit the format."""
    try:
        writer.write(record)
    except ValueError as error:
        told = f"packet {number} cannot be written: {error}"
        raise NotPossibleError(told, "leave it out by a filter, or write pcapng") from None


# Record by record, with all that the capture tells beside its packets


def _picked(reader: RecordReader, chosen: Chosen, *, to_the_end: bool) -> Iterator[Record]:
    """Yield the records that were chosen by their numbers."""
    number = 0
    for batch, rows in chosen:
        for row in rows:
            wanted = batch.number + int(row)
            while number < wanted:
                record = next(reader)
                number += 1
            yield record
    if to_the_end:
        for _ in reader:  # for what is told there
            pass


def _passing(reader: RecordReader, filter_text: str, limit: int | None) -> Iterator[Record]:
    """Yield the records that the filter accepts, up to `limit`."""
    from sockwright.filters import compile_filter

    filters: dict[int, Filter] = {}
    left = -1 if limit is None else limit
    if not left:
        return
    for record in reader:
        known = filters.get(record.link_type)
        if known is None:
            known = filters[record.link_type] = compile_filter(filter_text, record.link_type)
        if known.matches(record.octets, record.original_length):
            yield record
            left -= 1
            if not left:
                return


def _write_records(
    reader: RecordReader, records: Iterator[Record], file: RecordFile, form: str
) -> tuple[int, DecodeError | None]:
    writer: PcapngWriter | PcapWriter | None = None
    error: DecodeError | None = None
    try:
        for record in records:
            if writer is None:
                writer = _writer(reader, file, form)
            if isinstance(writer, PcapngWriter):
                writer.carry_over(reader.contents)
            elif record.link_type != writer.link_type:
                raise _two_link_types(writer.link_type, record.link_type)
            _write_record(record, reader.count, writer)
    except DecodeError as broken:
        error = broken
    if writer is None:
        writer = _writer(reader, file, form)
    if isinstance(writer, PcapngWriter):
        writer.carry_over(reader.contents)
    return file.records, error


def _writer(reader: RecordReader, file: RecordFile, form: str) -> PcapngWriter | PcapWriter:
    if form == "pcapng":
        return _pcapng_writer(reader, file)
    known = reader.interfaces
    fine = any(one.ticks_per_second > _MICROSECONDS for one in known)
    return PcapWriter(file, known[0].link_type if known else 1, nanoseconds=fine)


def _pcapng_writer(reader: RecordReader, file: RecordFile) -> PcapngWriter:
    section = reader.sections[0] if reader.sections else None
    if section is None:
        return PcapngWriter(file)
    return PcapngWriter(
        file,
        hardware=section.hardware,
        os=section.os,
        application=cast("str", section.application),
        comment=section.comment,
    )

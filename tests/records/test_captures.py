"""Strangers' captures: read to the end, counted, timed and named as tcpdump and tshark do."""

from __future__ import annotations

import csv
import gzip
import io
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from sockwright.errors import SockwrightError, TruncatedError
from sockwright.records import PcapngWriter, PcapWriter, Record, RecordReader, read_records

if TYPE_CHECKING:
    from pathlib import Path


# Hostile: hundreds of seconds of microseconds. tcpdump takes them as they are, capinfos does not.
_FRACTIONS_OVER_A_SECOND = ("atm-oam-loopback-print-overrun", "rx_service", "timestamp_invalid")


@pytest.fixture(scope="module")
def paths(captures: Path) -> list[Path]:
    found = sorted(path for path in captures.rglob("*") if path.suffix in {".pcap", ".pcapng"})
    assert len(found) >= 830
    return found


def _read(octets: bytes) -> tuple[RecordReader, list[Record]]:
    reader = read_records(io.BytesIO(octets))
    return reader, list(reader)


def _read_until_error(octets: bytes) -> tuple[list[Record], SockwrightError | None]:
    found: list[Record] = []
    try:
        found.extend(read_records(io.BytesIO(octets)))
    except SockwrightError as error:
        return found, error
    return found, None


def _tcpdump_count(path: Path) -> int | None:
    """Return what tcpdump counts, None where it does not open the file."""
    command = ["tcpdump", "--count", "-nn", "-r", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    words = done.stdout.split()
    return int(words[0]) if words and words[-1] in {"packet", "packets"} else None


@pytest.mark.needs("tcpdump")
def test_every_capture_has_as_many_records_as_tcpdump_counts(paths: list[Path]) -> None:
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(_tcpdump_count, paths))
    opened = 0
    for path, count in zip(paths, counts, strict=True):
        octets = path.read_bytes()
        reader, records = _read(octets)
        assert reader.count == len(records)
        assert reader.offset == len(octets)
        if count is not None:
            assert len(records) == count, path.name
            opened += 1
    assert opened > 800


@pytest.mark.needs("capinfos")
def test_lengths_and_times_of_every_capture_are_those_of_capinfos(paths: list[Path]) -> None:
    names = [str(path) for path in paths]
    command = ["capinfos", "-T", "-m", "-Q", "-t", "-c", "-d", "-a", "-e", "-S", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert len(rows) > 800
    by_name = {str(path): path for path in paths}
    for row in rows:
        path = by_name[row["File name"]]
        reader, records = _read(path.read_bytes())
        assert len(records) == int(row["Number of packets"]), row
        # Wireshark does not count the 4 octets that SunATM puts before each packet.
        pseudo = 4 * len(records) if reader.link_types == (123,) else 0
        on_wire = sum(record.original_length for record in records)
        assert on_wire - pseudo == int(row["Data size (bytes)"]), row
        times = [record.time_ns for record in records if record.time_ns is not None]
        if not times or max(times) >= 10**9 << 31:  # it does not order times after 2038
            continue
        if not path.name.startswith(_FRACTIONS_OVER_A_SECOND):
            for text, time_ns in ((row["Start time"], min(times)), (row["End time"], max(times))):
                unit = Decimal(1).scaleb(-len(text.partition(".")[2]))
                assert abs(Decimal(time_ns) / 10**9 - Decimal(text)) < unit, row


@pytest.mark.needs("tshark")
def test_interfaces_and_comments_are_those_of_tshark(paths: list[Path]) -> None:
    fields = ("time_epoch", "len", "cap_len", "interface_name", "comment", "interface_id")
    words = [word for field in fields for word in ("-e", f"frame.{field}")]
    seen = 0
    for path in paths:
        reader, records = _read(path.read_bytes())
        if not any(interface.name for interface in reader.interfaces):
            continue
        seen += 1
        command = ["tshark", "-n", "-r", str(path), "-T", "fields", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        expected = [line.split("\t") for line in done.stdout.splitlines()]
        found = [
            [
                f"{Decimal(record.time_ns or 0) / 10**9:.9f}",
                str(record.original_length),
                str(len(record.octets)),
                record.interface or "",
                record.comment or "",
                str(record.interface_number),
            ]
            for record in records
        ]
        assert found == expected, path.name
    assert seen >= 8


def test_every_capture_is_the_same_when_written_anew(paths: list[Path]) -> None:
    for path in paths:
        reader, records = _read(path.read_bytes())
        file = io.BytesIO()
        writer = PcapngWriter(file)
        writer.carry_over(reader.contents)
        for record in records:
            writer.write(record)
        again, found = _read(file.getvalue())
        assert found == records, path.name
        assert again.statistics == reader.statistics
        assert [one.name for one in again.interfaces] == [one.name for one in reader.interfaces]
        if reader.format == "pcap":
            flat = io.BytesIO()
            to = PcapWriter(flat, *reader.link_types)
            for record in records:
                to.write(record)
            assert _read(flat.getvalue())[1] == records, path.name


def test_every_capture_cut_anywhere_gives_its_first_records(paths: list[Path]) -> None:
    chance = random.Random(7)
    for number, path in enumerate(paths):
        octets = path.read_bytes()
        _, records = _read(octets)
        if number % 5 == 0:
            octets = gzip.compress(octets, 1)
        cut = octets[: chance.randrange(4, len(octets))]
        found, error = _read_until_error(cut)
        assert found == records[: len(found)]
        assert error is None or isinstance(error, TruncatedError), path.name
        if number % 5:
            assert len(found) < len(records) or not records
        else:
            assert error is not None

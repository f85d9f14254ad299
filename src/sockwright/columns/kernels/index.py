"""Walk the records of a capture: where each starts, how long it is, when it was captured.

The walkers share their last arguments: the row to fill first, the row to stop before, and the
arrays, one entry a record:

    record_start   int64    where the record starts in `octets`, its own header included
    start          int64    where the octets of the packet start
    captured       uint32   octets of the packet that are there
    original       uint32   octets it had on the wire
    time_ns        int64    nanoseconds since 1970, NO_TIME for none
    interface      uint32   number of the interface, counted through all sections

They return the row behind the last one filled, where they stand in `octets`, and why they stopped:
FULL (no row is left), DONE (at `stop` or behind it), SHORT (the record goes on behind `end`), or
LOOK (what stands there is not a packet, or lies). At a LOOK the readers of `sockwright.records` go
on, so there is one place that judges what is wrong and words it.
"""

# ruff: noqa: PLR0915, PLR0917  # compiled code takes its arrays one by one, and calls cost it time

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.columns.kernels.octets import u16, u32, u32_be

if TYPE_CHECKING:
    from sockwright.columns.batch import Numbers, Octets

__all__ = [
    "CLOCK_SIZE",
    "DONE",
    "FULL",
    "LOOK",
    "NO_TIME",
    "SHORT",
    "index_pcap",
    "index_pcapng",
    "index_snoop",
]

FULL, DONE, SHORT, LOOK = 0, 1, 2, 3

NO_TIME = -(2**63)
"""Stands in `time_ns` where the capture has no time, or one that does not fit into 64 bits."""

CLOCK_SIZE = 6
"""Entries of an interface in the `clocks` of `index_pcapng`."""

_OLD_PACKET, _SIMPLE, _ENHANCED = 2, 3, 6
_MAX_BLOCK = 16 << 20
_SECOND = 1_000_000_000


def index_pcap(
    octets: Octets,
    at: int,
    stop: int,
    end: int,
    big: int,
    unit_ns: int,
    header_size: int,
    minor: int,
    max_captured: int,
    first: int,
    most: int,
    record_start: Numbers,
    start: Numbers,
    captured: Numbers,
    original: Numbers,
    time_ns: Numbers,
    interface: Numbers,
) -> tuple[int, int, int]:
    """Walk the records of a pcap file of version 2.`minor`."""
    row = first
    while row < most:
        if at >= stop:
            return row, at, DONE
        if at + header_size > end:
            return row, at, SHORT
        there = u32(octets, at + 8, big)
        wire = u32(octets, at + 12, big)
        # Before 2.3 the lengths stood the other way round, and in 2.3 with some writers.
        if minor < 3 or (minor == 3 and there > wire):
            there, wire = wire, there
        if there > max_captured:
            return row, at, LOOK
        behind = at + header_size + there
        if behind > end:
            return row, at, SHORT
        record_start[row] = at
        start[row] = at + header_size
        captured[row] = there
        original[row] = wire
        time_ns[row] = u32(octets, at, big) * _SECOND + u32(octets, at + 4, big) * unit_ns
        interface[row] = 0
        row += 1
        at = behind
    return row, at, FULL


def index_pcapng(
    octets: Octets,
    at: int,
    stop: int,
    end: int,
    big: int,
    interfaces_before: int,
    interfaces: int,
    clocks: Numbers,
    max_captured: int,
    first: int,
    most: int,
    record_start: Numbers,
    start: Numbers,
    captured: Numbers,
    original: Numbers,
    time_ns: Numbers,
    interface: Numbers,
) -> tuple[int, int, int]:
    """Walk the packet blocks of a pcapng section that has `interfaces` interfaces so far.

    `interfaces_before` are those of earlier sections. `clocks` holds for each interface of the file
    (see `clock` in `sockwright.columns.indexing`): a factor, a divisor, ticks a second, of which
    the first that is not 0 is used; the first number of ticks that is too large; an offset in
    nanoseconds; the snapshot length.
    """
    row = first
    while row < most:
        if at >= stop:
            return row, at, DONE
        if at + 12 > end:
            return row, at, SHORT
        kind = u32(octets, at, big)
        length = u32(octets, at + 4, big)
        if kind not in (_OLD_PACKET, _SIMPLE, _ENHANCED):
            return row, at, LOOK
        if length < 16 or length & 3 or length > _MAX_BLOCK:
            return row, at, LOOK
        if at + length > end:
            return row, at, SHORT
        if u32(octets, at + length - 4, big) != length:
            return row, at, LOOK
        number = 0
        if kind == _SIMPLE:
            if interfaces == 0:
                return row, at, LOOK
            begin = at + 12
            wire = u32(octets, at + 8, big)
            there = wire
            snaplen = clocks[interfaces_before * CLOCK_SIZE + 5]
            if 0 < snaplen < wire:
                there = snaplen
            time = NO_TIME
        else:
            if length < 32:
                return row, at, LOOK
            # The old packet block has a 16-bit number here, and 16 bits of drops.
            number = u32(octets, at + 8, big) if kind == _ENHANCED else u16(octets, at + 8, big)
            if number >= interfaces:
                return row, at, LOOK
            begin = at + 28
            there = u32(octets, at + 20, big)
            wire = u32(octets, at + 24, big)
            clock = (interfaces_before + number) * CLOCK_SIZE
            high = u32(octets, at + 12, big)
            if high > 0x7FFF_FFFF:
                return row, at, LOOK
            ticks = high << 32 | u32(octets, at + 16, big)
            if ticks >= clocks[clock + 3]:
                return row, at, LOOK
            if clocks[clock] != 0:
                time = ticks * clocks[clock]
            elif clocks[clock + 1] != 0:
                time = ticks // clocks[clock + 1]
            else:
                rate = clocks[clock + 2]
                seconds = ticks // rate
                time = seconds * _SECOND + (ticks - seconds * rate) * _SECOND // rate
            time += clocks[clock + 4]
        if there > max_captured or begin + there > at + length - 4:
            return row, at, LOOK
        record_start[row] = at
        start[row] = begin
        captured[row] = there
        original[row] = wire
        time_ns[row] = time
        interface[row] = interfaces_before + number
        row += 1
        at += length
    return row, at, FULL


def index_snoop(
    octets: Octets,
    at: int,
    stop: int,
    end: int,
    max_captured: int,
    first: int,
    most: int,
    record_start: Numbers,
    start: Numbers,
    captured: Numbers,
    original: Numbers,
    time_ns: Numbers,
    interface: Numbers,
) -> tuple[int, int, int]:
    """Walk the records of a snoop file, RFC 1761."""
    row = first
    while row < most:
        if at >= stop:
            return row, at, DONE
        if at + 24 > end:
            return row, at, SHORT
        wire = u32_be(octets, at)
        there = u32_be(octets, at + 4)
        length = u32_be(octets, at + 8)
        if there > max_captured or length < there + 24 or length > there + 24 + max_captured:
            return row, at, LOOK
        if at + length > end:
            return row, at, SHORT
        record_start[row] = at
        start[row] = at + 24
        captured[row] = there
        original[row] = wire
        time_ns[row] = u32_be(octets, at + 16) * _SECOND + u32_be(octets, at + 20) * 1000
        interface[row] = 0
        row += 1
        at += length
    return row, at, FULL

"""Choose packets by a filter, and copy those that were chosen into a file of records."""

# ruff: noqa: PLR0917  # kernels take arrays by position

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.filters.interpreter import run

if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence

    from sockwright.columns.batch import Numbers, Octets

__all__ = ["encode_pcap", "mark"]

_SECOND = 1_000_000_000
_SECONDS_END = 1 << 32


def mark(
    code: Sequence[int],
    jt: Sequence[int],
    jf: Sequence[int],
    k: Sequence[int],
    memory: MutableSequence[int],
    octets: Sequence[int],
    start: Numbers,
    captured: Numbers,
    original: Numbers,
    interface: Numbers,
    asked: Numbers,
    passes: Numbers,
) -> int:
    """Write 1 into `passes` for each packet that the program accepts, 0 for others; count the 1.

    Packets of an interface for which `asked` is 0 are left as they are, and not counted.
    """
    count = 0
    for row in range(len(start)):
        if not asked[interface[row]]:
            continue
        begin, there, wire = start[row] + 0, captured[row] + 0, original[row] + 0
        passed = 1 if run(code, jt, jf, k, octets, begin, there, wire, memory) else 0
        passes[row] = passed
        count += passed
    return count


def encode_pcap(
    octets: Octets,
    start: Numbers,
    captured: Numbers,
    original: Numbers,
    time_ns: Numbers,
    unit_ns: int,
    no_time: int,
    rows: Numbers,
    index: int,
    position: Numbers,
    out: Numbers,
) -> int:
    """Write the packets in ``rows[index:]`` as records of little-endian pcap into `out`.

    Returns the index of the first that was not written: there was no room, or its time does not fit
    the format. ``position[0]`` is where the text ends.
    """
    at = 0
    while index < len(rows):
        row = rows[index]
        size = captured[row] + 0
        time = time_ns[row] + 0
        if time == no_time:
            time = 0
        seconds = time // _SECOND
        if at + 16 + size > len(out) or not 0 <= seconds < _SECONDS_END:
            break
        at = _u32(out, at, seconds)
        at = _u32(out, at, time % _SECOND // unit_ns)
        at = _u32(out, at, size)
        at = _u32(out, at, original[row] + 0)
        begin = start[row] + 0
        for place in range(size):
            out[at + place] = octets[begin + place]
        at += size
        index += 1
    position[0] = at
    return index


def _u32(out: Numbers, at: int, number: int) -> int:
    out[at] = number & 0xFF
    out[at + 1] = number >> 8 & 0xFF
    out[at + 2] = number >> 16 & 0xFF
    out[at + 3] = number >> 24 & 0xFF
    return at + 4

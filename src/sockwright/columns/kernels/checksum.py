"""Judge Internet checksums (RFC 1071) of packets taken apart, as `columns.fields` does."""

# ruff: noqa: PLR0917  # kernels take arrays by position, and calls cost
from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.columns.kernels.dissect import (
    ERRORS,
    HAS_OFFSET,
    KIND,
    MORE_FRAGMENTS,
    OFFSET,
    ROW,
    ROWS,
    RULES,
    read,
)

if TYPE_CHECKING:
    from sockwright.columns.batch import Numbers, Octets

__all__ = ["ASK", "NULL", "RIGHT", "WRONG", "verdict", "word_sum"]

NULL, WRONG, RIGHT, ASK = 0, 1, 2, 3
"""Not verifiable; the two verdicts; and what only the scalar decode knows (`columns.fields`)."""

IPV4, TCP, UDP, ICMP, ICMPV6 = 1, 2, 3, 4, 5
IPV6, REROUTES, EXTENSION, PORTS = 6, 7, 8, 9
"""What a layer is to checksums and flows. One that reroutes may say another final destination."""


def word_sum(octets: Octets, at: int, end: int) -> int:
    """Return the sum of the 16-bit words from `at` to `end`; an odd octet is an upper half."""
    total = 0
    while at + 8 <= end:
        total += (
            ((octets[at] + 0) << 8)
            + (octets[at + 1] + 0)
            + ((octets[at + 2] + 0) << 8)
            + (octets[at + 3] + 0)
            + ((octets[at + 4] + 0) << 8)
            + (octets[at + 5] + 0)
            + ((octets[at + 6] + 0) << 8)
            + (octets[at + 7] + 0)
        )
        at += 8
    while at + 2 <= end:
        total += ((octets[at] + 0) << 8) + (octets[at + 1] + 0)
        at += 2
    if at < end:
        total += (octets[at] + 0) << 8
    return total


def verdict(
    tables: Numbers,
    octets: Octets,
    index: int,
    layers: Numbers,
    offsets: Numbers,
    ends: Numbers,
) -> int:
    """Judge the checksum of header `index` of a packet that `take_apart` took apart."""
    at = offsets[index]
    kind = tables[ROWS + layers[index] * ROW + KIND]
    if kind == IPV4:
        size = offsets[index + 1] - at
        if size < 4 * (octets[at] & 15):
            return NULL
        return RIGHT if word_sum(octets, at, at + size) % 65535 == 0 else WRONG
    if layers[ERRORS]:
        return NULL
    end = ends[index]
    total = word_sum(octets, at, end)
    if kind == UDP and octets[at + 6] == 0 and octets[at + 7] == 0:
        return NULL
    for below in range(index):
        row = ROWS + layers[below] * ROW
        if tables[row + RULES] & HAS_OFFSET and (
            read(tables, row + OFFSET, octets, offsets[below])
            or read(tables, row + MORE_FRAGMENTS, octets, offsets[below])
        ):
            return NULL
    if kind == ICMP:
        return RIGHT if total % 65535 == 0 and total else WRONG
    below = index - 1
    network = 0
    while below >= 0:
        network = tables[ROWS + layers[below] * ROW + KIND]
        if network in (IPV4, IPV6):
            break
        if network == REROUTES:
            return ASK
        network = 0
        below -= 1
    if network == 0:
        return NULL
    place = offsets[below]
    if network == IPV4:
        if offsets[below + 1] > place + 20:
            return ASK
        total += word_sum(octets, place + 12, place + 20)
    else:
        total += word_sum(octets, place + 8, place + 40)
    total += end - at
    if kind == TCP:
        total += 6
    elif kind == UDP:
        total += 17
    else:
        total += 58
    return RIGHT if total % 65535 == 0 else WRONG

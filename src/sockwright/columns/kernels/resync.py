"""Find where a record starts, from any octet of a capture: a chain of headers that fit each other.

A guess: a packet may hold a capture. Who goes by it checks that the walk from the start of the
capture comes to the very same place.
"""

# ruff: noqa: PLR0917  # compiled code takes numbers one by one

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.columns.kernels.octets import u32

if TYPE_CHECKING:
    from sockwright.columns.batch import Octets

__all__ = ["find_pcap", "find_pcapng"]

CHAIN = 8  # headers in a row; with 2 there was no wrong guess in 20 000
_PLAUSIBLE = 1 << 18  # octets of a packet
_MAX_BLOCK = 16 << 20


def find_pcap(octets: Octets, at: int, big: int, ticks: int, header_size: int, swapped: int) -> int:
    """Return where from `at` on a chain of pcap records starts, -1 where none does.

    A second has `ticks`. If `swapped`, the length on the wire stands before the one captured.
    """
    end = len(octets)
    while at + header_size <= end:
        here = at
        count = 0
        while count < CHAIN and here + header_size <= end:
            there = u32(octets, here + 8, big)
            wire = u32(octets, here + 12, big)
            if swapped:
                there, wire = wire, there
            if u32(octets, here + 4, big) >= ticks or not 0 < there <= wire <= _PLAUSIBLE:
                break
            here += header_size + there
            count += 1
        if count == CHAIN:
            return at
        at += 1
    return -1


def find_pcapng(octets: Octets, at: int, big: int) -> int:
    """Return where from `at`, a multiple of 4, on a chain of pcapng packet blocks starts, or -1."""
    end = len(octets)
    while at + 12 <= end:
        here = at
        count = 0
        while count < CHAIN and here + 12 <= end:
            kind = u32(octets, here, big)
            length = u32(octets, here + 4, big)
            if kind not in (2, 3, 6) or length < 16 or length & 3 or length > _MAX_BLOCK:
                break
            if here + length > end or u32(octets, here + length - 4, big) != length:
                break
            here += length
            count += 1
        if count == CHAIN:
            return at
        at += 4
    return -1

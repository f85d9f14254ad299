"""Both walks through a packet: by the methods of the headers, and by the tables made of them."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from sockwright.columns.kernels.dissect import CUT, ERRORS, SLOTS, take_apart
from sockwright.columns.layout import layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.wire import Packet

__all__ = ["Found", "by_kernel", "by_methods"]

Found = tuple[list[tuple[str, int, int]], int, int, int]
"""Of each header its class, first octet and end; start and end of the payload; how many errors."""


def by_methods(packet: Packet) -> Found:
    """Return what the scalar decode finds."""
    headers = packet.layers
    ends = packet._extents(len(bytes(packet)))
    found = []
    at = 0
    for header, end in zip(headers, ends, strict=True):
        found.append((type(header).__name__, at, end))
        at += header.size
    return found, at, at + len(packet.payload), len(packet.errors)


def by_kernel(
    octets: bytes, link_type: int, walk: Callable[..., int] = take_apart, start: int = 0
) -> Found:
    """Return what the kernel finds in what lies behind `start`."""
    layers, offsets, ends = (array("q", bytes(8 * SLOTS)) for _ in range(3))
    known = layout()
    count = walk(known.tables, octets, start, len(octets), link_type, layers, offsets, ends)
    assert layers[count] < 0
    assert layers[count] > CUT - len(known.classes)
    found = [
        (known.classes[layers[at]].__name__, offsets[at] - start, ends[at] - start)
        for at in range(count)
    ]
    return found, offsets[count] - start, ends[count] - start, layers[ERRORS]

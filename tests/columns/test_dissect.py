"""The kernel takes packets apart exactly as their headers' methods do."""

from __future__ import annotations

import random
from array import array
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.columns.walking import by_kernel, by_methods
from tests.wire.strategies import packets

from sockwright.columns import open_capture
from sockwright.columns.compiling import compiled
from sockwright.columns.kernels.dissect import SLOTS, UNKNOWN_LINK, take_apart
from sockwright.columns.layout import layout
from sockwright.errors import SockwrightError
from sockwright.wire import IPv4, IPv6, Packet
from sockwright.wire.core.registry import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_LINKS = sorted(tables()["link_type"])
_NUMBERS = {form[-1]: number for number, form in tables()["link_type"].items()}


@cache
def _compiled_walk() -> Callable[..., int]:
    """Return the compiled kernel, taking the arrays that the plain one takes."""
    import numpy as np

    walk: Any = compiled(take_apart)
    table = np.frombuffer(layout().tables, np.int64)

    def called(_: object, octets: bytes, start: int, end: int, link_type: int, *arrays: Any) -> int:
        views = [np.frombuffer(each, np.int64) for each in arrays]
        found: int = walk(table, np.frombuffer(octets, np.uint8), start, end, link_type, *views)
        return found

    return called


@settings(deadline=None)
@given(st.data())
@pytest.mark.parametrize("link_type", _LINKS)
def test_drawn_packets_are_walked_alike(link_type: int, data: st.DataObject) -> None:
    first = tables()["link_type"][link_type][-1]
    octets = bytes(data.draw(packets(first, max_layers=6)))
    assert by_kernel(octets, link_type) == by_methods(Packet.decode(octets, link_type=link_type))


@settings(deadline=None)
@given(packets(IPv4, max_layers=5) | packets(IPv6, max_layers=5), st.booleans())
def test_every_truncation_is_walked_alike(packet: Packet, wrap: bool) -> None:
    octets = bytes(packet)
    link_type = 228 if isinstance(packet.layers[0], IPv4) else 229
    if wrap:
        octets = bytes(12) + (b"\x08\x00" if link_type == 228 else b"\x86\xdd") + octets
        link_type = 1
    for end in range(len(octets) + 1):
        part = octets[:end]
        assert by_kernel(part, link_type) == by_methods(Packet.decode(part, link_type=link_type))


@settings(deadline=None)
@given(packets(max_layers=6), st.data())
def test_flipped_octets_are_walked_alike(packet: Packet, data: st.DataObject) -> None:
    link_type = _NUMBERS.get(type(packet.layers[0]))
    if link_type is None:
        return
    octets = bytearray(bytes(packet))
    for _ in range(data.draw(st.integers(1, 4))):
        if octets:
            octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    changed = bytes(octets)
    assert by_kernel(changed, link_type) == by_methods(Packet.decode(changed, link_type=link_type))


@pytest.mark.parametrize("link_type", _LINKS)
def test_random_octets_are_walked_alike(link_type: int) -> None:
    drawn = random.Random(link_type)
    for _ in range(300):
        octets = drawn.randbytes(drawn.randrange(80))
        found = by_methods(Packet.decode(octets, link_type=link_type))
        assert by_kernel(octets, link_type) == found
        assert by_kernel(octets, link_type, _compiled_walk()) == found


def test_a_walk_ends_with_the_thirty_second_header() -> None:
    octets = bytes(12) + b"\x81\x00\x00\x01" * 40
    found = by_kernel(octets, 1)
    assert found == by_methods(Packet.decode(octets))
    assert len(found[0]) == 32
    assert found[3] == 1


def test_an_unknown_link_type_is_all_payload() -> None:
    layers, offsets, ends = (array("q", bytes(8 * SLOTS)) for _ in range(3))
    assert take_apart(layout().tables, b"xyz", 0, 3, 9999, layers, offsets, ends) == 0
    assert (layers[0], offsets[0], ends[0]) == (UNKNOWN_LINK, 0, 3)


def test_a_packet_in_the_middle_of_octets_is_not_left() -> None:
    octets = bytes(IPv4(dst="192.0.2.1") / b"data")
    around = b"\xff" * 7 + octets
    assert by_kernel(around, 228, start=7) == by_kernel(octets, 228)


def _captured(folder: Path) -> Iterator[tuple[str, bytes, int]]:
    for path in sorted(folder.rglob("*.pcap*")):
        try:
            with open_capture(path) as capture:
                for number, packet in enumerate(capture, 1):
                    yield f"{path.name} record {number}", bytes(packet), packet.link_type
        except SockwrightError:  # a file that ends in the middle; its whole records came before
            continue


@pytest.mark.parametrize("walk", ["plain", "compiled"])
def test_captures_of_strangers_are_walked_alike(captures: Path, walk: str) -> None:
    chosen = take_apart if walk == "plain" else _compiled_walk()
    links = set()
    for name, octets, link_type in _captured(captures):
        expected = by_methods(Packet.decode(octets, link_type=link_type))
        assert by_kernel(octets, link_type, chosen) == expected, name
        links.add(link_type)
    assert len(links & set(_LINKS)) >= 9

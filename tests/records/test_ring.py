"""Blocks of a packet ring to records: interpreted, compiled, and beside the library's writers."""

from __future__ import annotations

import io
import random
import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from sockwright.columns.compiling import compiled
from sockwright.records import PcapngWriter, PcapWriter, Record
from sockwright.records.ring import FOREVER, PCAP, PCAPNG, block_to_records, interpreted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Convert = Callable[..., tuple[int, int, int]]

_SIZE = 1 << 16
_VLAN_VALID = 0x10
_BEGIN = 1_700_000_000


class Frame(NamedTuple):
    """A frame as the kernel lays it into a block."""

    octets: bytes
    time_ns: int = _BEGIN * 1_000_000_000
    length: int = 0
    tag: int | None = None
    tag_protocol: int = 0x8100
    protocol: int = 0x0800
    interface: int = 2
    sender: bytes = b"\x02\0\0\0\0\x01"


def block_of(frames: Sequence[Frame], *, cooked: bool = False) -> bytearray:
    """Lay frames out as TPACKET_V3 does, <linux/if_packet.h>."""
    block = bytearray(_SIZE)
    at = 48
    for frame in frames:
        start = 96 if cooked else 82  # for a header of 14 octets, without one
        following = (start + len(frame.octets) + 7) & ~7
        second, nanosecond = divmod(frame.time_ns, 1_000_000_000)
        status = 1 | (_VLAN_VALID if frame.tag is not None else 0)
        struct.pack_into(
            "=IIIIIIHHIIH", block, at, following, second, nanosecond, len(frame.octets),
            frame.length or len(frame.octets), status, start, start + 14, 0, frame.tag or 0,
            frame.tag_protocol,
        )  # fmt: skip
        address = frame.sender.ljust(8, b"\xee")  # the kernel leaves the rest as it was
        struct.pack_into("=H", block, at + 48, 17)
        struct.pack_into("!H", block, at + 50, frame.protocol)
        struct.pack_into("=iHBB", block, at + 52, frame.interface, 1, 4, len(frame.sender))
        block[at + 60 : at + 68] = address
        block[at + start : at + start + len(frame.octets)] = frame.octets
        at += following
    return block


def by_numba(
    octets: bytearray, at: int, frames: int, out: bytearray, *rest: int
) -> tuple[int, ...]:
    block, room = np.frombuffer(octets, np.uint8), np.frombuffer(out, np.uint8)
    kernel: Convert = compiled(block_to_records)
    return kernel(block, block.view(np.uint16), block.view(np.uint32), at, frames, room, *rest)


def as_written(frame: Frame, *, cooked: bool) -> Record:
    """Say what the record of a frame must be."""
    octets, length = frame.octets, frame.length or len(frame.octets)
    protocol = frame.protocol.to_bytes(2, "big")
    if frame.tag is not None:
        tag = frame.tag.to_bytes(2, "big")
        tag_protocol = (frame.tag_protocol or 0x8100).to_bytes(2, "big")
        if cooked:
            octets, protocol = tag + protocol + octets, tag_protocol
            length += 4
        elif len(octets) >= 12:
            octets = octets[:12] + tag_protocol + tag + octets[12:]
            length += 4
    if cooked:
        head = protocol + struct.pack("!HIHBB", 0, frame.interface, 1, 4, len(frame.sender))
        octets = head + frame.sender.ljust(8, b"\0") + octets
        length += 20
    return Record(frame.time_ns, octets, length, 276 if cooked else 1)


def expected(frames: Sequence[Frame], form: int, *, cooked: bool, snaplen: int) -> bytes:
    file = io.BytesIO()
    records = [as_written(frame, cooked=cooked) for frame in frames]
    if form == PCAP:
        writer = PcapWriter(file, 276 if cooked else 1, snaplen)
        return b"".join(map(writer.encode, records))
    ng = PcapngWriter(file, snaplen=snaplen)
    ng.encode(records[0])  # describes the interface
    return b"".join(map(ng.encode, records))


def some_frames() -> list[Frame]:
    dice = random.Random(7)
    return [
        Frame(
            dice.randbytes(dice.choice([0, 5, 11, 12, 13, 59, 60, 61, 200, 1514])),
            _BEGIN * 1_000_000_000 + number * 999_999_937,
            dice.choice([0, 9000]),
            dice.choice([None, None, 0, 5, 0xEFFF]),
            dice.choice([0, 0x8100, 0x88A8]),
            interface=dice.choice([1, 2, 70000]),
            sender=dice.choice([b"", b"\x02\0\0\0\0\x01", bytes(range(8))]),
        )
        for number in range(60)
    ]


@pytest.mark.parametrize("convert", [interpreted, by_numba], ids=["interpreted", "compiled"])
@pytest.mark.parametrize("form", [PCAP, PCAPNG], ids=["pcap", "pcapng"])
@pytest.mark.parametrize("cooked", [False, True], ids=["raw", "cooked"])
@pytest.mark.parametrize("snaplen", [262_144, 68, 1])
def test_records_are_those_of_the_writers(
    convert: Convert, form: int, cooked: bool, snaplen: int
) -> None:
    frames = some_frames()
    out = bytearray(_SIZE)
    _, taken, end = convert(
        block_of(frames, cooked=cooked), 48, len(frames), out, 0, _SIZE, form, cooked, snaplen,
        FOREVER,
    )  # fmt: skip
    assert taken == len(frames)
    assert bytes(out[:end]) == expected(frames, form, cooked=cooked, snaplen=snaplen)


@pytest.mark.parametrize("convert", [interpreted, by_numba], ids=["interpreted", "compiled"])
@pytest.mark.parametrize("form", [PCAP, PCAPNG], ids=["pcap", "pcapng"])
def test_it_stops_before_a_limit_and_goes_on_from_there(convert: Convert, form: int) -> None:
    frames = some_frames()
    whole = expected(frames, form, cooked=True, snaplen=262_144)
    for room in (2000, 2001, 3333):
        block, out = block_of(frames, cooked=True), bytearray(_SIZE)
        at, done, pieces = 48, 0, []
        while done < len(frames):
            at, taken, end = convert(
                block, at, len(frames) - done, out, 0, room, form, True, 262_144, FOREVER
            )
            assert taken
            assert end <= room
            pieces.append(bytes(out[:end]))
            done += taken
        assert b"".join(pieces) == whole


@pytest.mark.parametrize("convert", [interpreted, by_numba], ids=["interpreted", "compiled"])
def test_it_stops_before_a_time(convert: Convert) -> None:
    frames = some_frames()
    for number in (0, 1, 30, 59):
        out = bytearray(_SIZE)
        _, taken, _ = convert(
            block_of(frames), 48, len(frames), out, 0, _SIZE, PCAP, False, 262_144,
            frames[number].time_ns,
        )  # fmt: skip
        assert taken == number

"""A block of a packet ring to the records of a capture file, in one go.

The layout is that of TPACKET_V3, <linux/if_packet.h>: in front of each frame stand 48 octets of
``struct tpacket3_hdr`` and 20 of ``struct sockaddr_ll``, then a gap, then the frame. The block is
the reader's until it is given back, so the frame is completed in place (a VLAN tag or a cooked
header goes into the gap) and the record header is made where the kernel's header stood. What
remains are two copies.

`block_to_records` is plain Python on buffers, which whoever may import numba compiles for a
million packets a second: that is why it spells out every octet. `interpreted` is the same as Python
runs it, for the few packets of a quiet network, at a microsecond each.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import Any

__all__ = ["FOREVER", "PCAP", "PCAPNG", "block_to_records", "copied", "interpreted"]

PCAP: Final = 0
PCAPNG: Final = 1
FOREVER: Final = 1 << 62
"""A time that no packet has."""


def block_to_records(  # noqa: PLR0915, PLR0917 - one walk; compiled code has no keywords
    octets: Any,
    halves: Any,
    words: Any,
    at: int,
    frames: int,
    out: Any,
    end: int,
    limit: int,
    form: int,
    cooked: bool,
    snaplen: int,
    until_ns: int,
) -> tuple[int, int, int]:
    """Write the records of `frames` frames into `out` from `end` on; give (at, taken, end) after.

    `octets`, `halves` and `words` are one block seen as 8-, 16- and 32-bit numbers of the machine's
    byte order, `at` is where its next frame is. It stops early before a record that would go past
    `limit`, and before a frame at `until_ns` or later. `form` is `PCAP` (nanoseconds, the machine's
    byte order) or `PCAPNG` (Enhanced Packet Blocks of interface 0, nanoseconds). With `cooked` each
    frame gets a header of LINKTYPE_LINUX_SLL2. At most `snaplen` octets of each are kept.

    The records of a block never take more octets than the block: the most around a frame (32 of an
    Enhanced Packet Block, 3 to fill it up, 20 of a cooked header, 4 of a tag) is less than the
    kernel's two headers. The block is changed on the way: only frames that were not taken may be
    looked at again.
    """
    taken = 0
    while taken < frames:
        word = at >> 2
        following = words[word] + 0
        second = words[word + 1] + 0
        nanosecond = words[word + 2] + 0
        captured = words[word + 3] + 0
        length = words[word + 4] + 0
        tagged = words[word + 5] & 0x10  # TP_STATUS_VLAN_VALID
        time_ns = second * 1_000_000_000 + nanosecond
        if time_ns >= until_ns:
            break
        if tagged and not cooked and captured < 12:
            tagged = 0
        kept = captured
        if tagged:
            kept += 4
        if cooked:
            kept += 20
        kept = min(kept, snaplen)
        if form == 0:
            after = end + 16 + kept
        else:
            padded = (kept + 3) & ~3
            after = end + 32 + padded
        if after > limit:
            break

        start = at + halves[(at + 24) >> 1]
        tag = words[word + 8] & 0xFFFF
        tag_protocol = halves[(at + 36) >> 1] + 0
        if tagged and tag_protocol == 0:
            tag_protocol = 0x8100
        if cooked:
            sender = at + 48
            high, low = octets[sender + 2], octets[sender + 3]
            if tagged:
                start -= 4
                octets[start] = tag >> 8
                octets[start + 1] = tag & 0xFF
                octets[start + 2] = high
                octets[start + 3] = low
                high, low = tag_protocol >> 8, tag_protocol & 0xFF
                length += 4
            start -= 20
            octets[start] = high
            octets[start + 1] = low
            octets[start + 2] = 0
            octets[start + 3] = 0
            index = words[(sender + 4) >> 2] + 0
            octets[start + 4] = index >> 24
            octets[start + 5] = index >> 16 & 0xFF
            octets[start + 6] = index >> 8 & 0xFF
            octets[start + 7] = index & 0xFF
            hardware_type = halves[(sender + 8) >> 1] + 0
            octets[start + 8] = hardware_type >> 8
            octets[start + 9] = hardware_type & 0xFF
            octets[start + 10] = octets[sender + 10]
            size = octets[sender + 11] + 0
            octets[start + 11] = size
            each = 0
            while each < 8:  # what stands behind the address is left over from other frames
                octets[start + 12 + each] = octets[sender + 12 + each] if each < size else 0
                each += 1
            length += 20
        elif tagged:
            start -= 4
            each = 0
            while each < 12:
                octets[start + each] = octets[start + 4 + each]
                each += 1
            octets[start + 12] = tag_protocol >> 8
            octets[start + 13] = tag_protocol & 0xFF
            octets[start + 14] = tag >> 8
            octets[start + 15] = tag & 0xFF
            length += 4

        if form == 0:
            words[word + 3] = kept
            words[word + 4] = length
            copied(out, end, octets, at + 4, 16)
            copied(out, end + 16, octets, start, kept)
        else:
            words[word] = 6
            words[word + 1] = 32 + padded
            words[word + 2] = 0
            words[word + 3] = time_ns >> 32
            words[word + 4] = time_ns & 0xFFFFFFFF
            words[word + 5] = kept
            words[word + 6] = length
            copied(out, end, octets, at, 28)
            end += 28
            copied(out, end, octets, start, kept)
            end += kept
            while end < after - 4:
                out[end] = 0
                end += 1
            copied(out, end, octets, at + 4, 4)
        end = after
        at += following
        taken += 1
    return at, taken, end


def copied(out: Any, at: int, octets: Any, start: int, count: int) -> None:
    """Copy `count` octets; compiled, this is what memcpy does."""
    for each in range(count):
        out[at + each] = octets[start + each]


def _copied_by_slice(out: Any, at: int, octets: Any, start: int, count: int) -> None:
    out[at : at + count] = octets[start : start + count]


# An octet at a time is slow where Python runs it; slices are fast there, and cannot be compiled
# without memory of their own. So this is the same code, but for that one function.
_interpreted = FunctionType(
    block_to_records.__code__, {**globals(), "copied": _copied_by_slice}, "block_to_records"
)


def interpreted(octets: Any, *rest: Any) -> tuple[int, int, int]:
    """Do what `block_to_records` does, as Python runs it; `octets` and `out` are one buffer each.

    The arguments behind `octets` are those behind `words`.
    """
    view = memoryview(octets)
    found: tuple[int, int, int] = _interpreted(view, view.cast("H"), view.cast("I"), *rest)
    return found

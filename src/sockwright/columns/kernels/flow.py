"""Number flows: packets between two ends, in both directions, by addresses, protocol and ports.

A flow is that of the outermost IP header; the ports are those of the transport behind it, 0 where
there is none (another protocol, a later fragment). Numbers count from 0 in the order in which flows
first appear, so those of two runs agree.

What a packet is known by is five numbers: version, protocol and both ports in the first, addresses
in the others (of IPv4, both in the second alone). The lower end comes first, and a sixth number
says whether that is the receiver. A first number of 0 stands for a packet without IP.
"""

# ruff: noqa: PLR0917  # kernels take arrays by position, and calls cost
from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.columns.kernels.checksum import EXTENSION, IPV4, PORTS, REROUTES, TCP, UDP
from sockwright.columns.kernels.dissect import KIND, PLACE, ROW, ROWS
from sockwright.columns.kernels.octets import u16_be, u32_be

if TYPE_CHECKING:
    from sockwright.columns.batch import Numbers, Octets

__all__ = ["KEY", "flow_ids", "flow_key"]

KEY = 6
"""Numbers by which a packet's flow is known."""

_MASK = (1 << 62) - 1
_FACTOR = 0x1E3779B97F4A7C15  # 2**64 divided by the golden ratio, below 2**62


def signed(upper: int, lower: int) -> int:
    """Return 64 bits out of two halves as a number that an array of signed numbers takes."""
    return ((upper ^ 0x80000000) - 0x80000000) << 32 | lower


def flow_key(
    tables: Numbers,
    octets: Octets,
    index: int,
    count: int,
    layers: Numbers,
    offsets: Numbers,
    keys: Numbers,
    slot: int,
) -> None:
    """Write what the flow of the IP header `index` is known by to `keys`, from `slot` on."""
    at = offsets[index] & PLACE
    slot &= PLACE
    first = tables[ROWS + layers[index] * ROW + KIND] == IPV4
    protocol = (octets[at + 9] + 0) if first else (octets[at + 6] + 0)
    source = 0
    target = 0
    for behind in range(index + 1, count):
        kind = tables[ROWS + layers[behind] * ROW + KIND]
        place = offsets[behind] & PLACE
        if kind in (TCP, UDP, PORTS):
            source = u16_be(octets, place)
            target = u16_be(octets, place + 2)
            break
        if kind not in (EXTENSION, REROUTES):
            break
        protocol = octets[place] + 0
    if first:
        one, other = u32_be(octets, at + 12), u32_be(octets, at + 16)
        swapped = one > other or (one == other and source > target)
        keys[slot + 1] = signed(other, one) if swapped else signed(one, other)
        version = 4
    else:
        one = signed(u32_be(octets, at + 8), u32_be(octets, at + 12))
        one_lower = signed(u32_be(octets, at + 16), u32_be(octets, at + 20))
        other = signed(u32_be(octets, at + 24), u32_be(octets, at + 28))
        other_lower = signed(u32_be(octets, at + 32), u32_be(octets, at + 36))
        swapped = one > other
        if one == other:
            swapped = one_lower > other_lower
            if one_lower == other_lower:
                swapped = source > target
        keys[slot + 1] = other if swapped else one
        keys[slot + 2] = other_lower if swapped else one_lower
        keys[slot + 3] = one if swapped else other
        keys[slot + 4] = one_lower if swapped else other_lower
        version = 6
    lower, upper = (target, source) if swapped else (source, target)
    keys[slot] = version | protocol << 4 | lower << 12 | upper << 28
    keys[slot + 5] = 1 if swapped else 0


def flow_ids(
    keys: Numbers,
    slot: int,
    begin: int,
    size: int,
    ids: Numbers,
    present: Numbers,
    back: Numbers,
    row: int,
    slots: Numbers,
    known: Numbers,
    flows: int,
) -> tuple[int, int]:
    """Give numbers to the flows of packets `begin` to `size`, whose keys start at ``keys[slot]``.

    Writes from place `row` on: the number to `ids`, 1 to `present`, and to `back` whether the
    packet goes against the first one of its flow. `slots` (a power of two of places) and `known`
    (six numbers a flow) hold the `flows` met before. Returns the packet that would take more room
    than they have (`size` if there is none), and how many flows there are now.
    """
    mask = len(slots) - 1
    most = len(known) // 6
    for packet in range(begin, size):
        key = slot + 6 * packet
        first = keys[key] + 0
        if first == 0:
            continue
        long = first & 15 == 6
        mixed = mix(mix(0, first), keys[key + 1] + 0)
        if long:
            mixed = mix(mix(mix(mixed, keys[key + 2] + 0), keys[key + 3] + 0), keys[key + 4] + 0)
        place = mixed & mask
        flow = -1
        while slots[place]:
            candidate = slots[place] - 1
            about = 6 * candidate
            same = known[about] == first and known[about + 1] == keys[key + 1]
            if same and long:
                same = (
                    known[about + 2] == keys[key + 2]
                    and known[about + 3] == keys[key + 3]
                    and known[about + 4] == keys[key + 4]
                )
            if same:
                flow = candidate
                break
            place = (place + 1) & mask
        if flow < 0:
            if flows == most or 2 * flows >= mask:
                return packet, flows
            flow = flows
            flows += 1
            slots[place] = flow + 1
            for number in range(6):
                known[6 * flow + number] = keys[key + number]
        ids[row + packet] = flow
        present[row + packet] = 1
        back[row + packet] = keys[key + 5] ^ known[6 * flow + 5]
    return size, flows


def mix(state: int, number: int) -> int:
    """Return `state` with `number` stirred in: 62 bits, the lower ones as good as the upper."""
    state = ((state ^ number) & _MASK) * _FACTOR & _MASK
    return state ^ state >> 31


def place_flows(known: Numbers, flows: int, slots: Numbers) -> None:
    """Enter the `flows` in `known` into `slots`, which are all 0."""
    mask = len(slots) - 1
    for flow in range(flows):
        about = 6 * flow
        mixed = mix(mix(0, known[about] + 0), known[about + 1] + 0)
        if known[about] & 15 == 6:
            mixed = mix(
                mix(mix(mixed, known[about + 2] + 0), known[about + 3] + 0), known[about + 4] + 0
            )
        place = mixed & mask
        while slots[place]:
            place = (place + 1) & mask
        slots[place] = flow + 1

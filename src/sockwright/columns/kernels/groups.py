"""What packets are grouped by: their flow, their stack of layers, their time; and the groups' sums.

`gather` takes each packet of a batch apart once, whatever is asked for, so that there is one kernel
to compile for all statistics.
"""

# ruff: noqa: PLR0917  # kernels take arrays by position, and calls cost

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.columns.kernels.checksum import IPV4, IPV6, TCP, UDP
from sockwright.columns.kernels.dissect import KIND, ROW, ROWS, take_apart
from sockwright.columns.kernels.flow import KEY, flow_key
from sockwright.columns.kernels.octets import u16_be
from sockwright.columns.kernels.segments import (
    CAPTURED,
    DATA,
    FOUND,
    LENGTH,
    datagram_end,
    segment,
)

if TYPE_CHECKING:
    from sockwright.columns.batch import Numbers, Octets

__all__ = ["FLOWS", "SEGMENTS", "STACKS", "TOTALS", "add_stacks", "gather", "spans", "tally"]

# What `gather` is asked for, as bits.
FLOWS, SEGMENTS, STACKS = 1, 2, 4

# A row of segments: what `segments.segment` finds, and which protocol it is of.
PROTOCOL = FOUND
SEGMENT = FOUND + 1
IS_TCP, IS_UDP = 6, 17
UDP_HEADER = 8

# The numbers of a node of the tree of stacks.
CHILD, SIBLING, CLASS, PACKETS, OCTETS, PARENT = range(6)
NODE = 6
MOST_NODES = 1 << 16  # hostile packets could make a new stack each

# The sums of a flow: packets and octets each way, first and last time, in order of the records.
TOTALS = 6


def gather(
    wants: int,
    begin: int,
    tables: Numbers,
    octets: Octets,
    start: Numbers,
    captured: Numbers,
    original: Numbers,
    interface: Numbers,
    link_types: Numbers,
    layers: Numbers,
    offsets: Numbers,
    ends: Numbers,
    found: Numbers,
    keys: Numbers,
    segments: Numbers,
    tree: Numbers,
    nodes: Numbers,
) -> int:
    """Take the packets of a batch from row `begin` on apart; return the row where it had to stop.

    That is the end of the batch, unless `tree` has no room left for a stack of layers, and may
    still grow. ``nodes[row]`` is the node of each packet's stack, 0 without any layer. ``tree[0]``
    counts the nodes, the root included, which is at place 1. `layers`, `offsets`, `ends` and
    `found` are working memory.
    """
    room = (len(tree) - 1) // NODE
    for row in range(begin, len(start)):
        first = start[row] + 0
        end = first + captured[row]
        count = take_apart(
            tables, octets, first, end, link_types[interface[row]] + 0, layers, offsets, ends
        )
        if wants & STACKS:
            if tree[0] + count > room and room < MOST_NODES:
                return row
            node = 0
            for index in range(count):
                node = child(tree, node, layers[index] + 0)
            nodes[row] = node
        if wants & FLOWS:
            keys[KEY * row] = 0
            segments[SEGMENT * row + PROTOCOL] = 0
            for index in range(count):
                kind = tables[ROWS + layers[index] * ROW + KIND]
                if kind == IPV4 or kind == IPV6:  # noqa: PLR1714, SIM109  # numba would make a set
                    flow_key(tables, octets, index, count, layers, offsets, keys, KEY * row)
                    if wants & SEGMENTS:
                        wire_end = first + original[row]
                        transport(
                            tables,
                            octets,
                            index,
                            count,
                            end,
                            wire_end,
                            layers,
                            offsets,
                            found,
                            segments,
                            SEGMENT * row,
                        )
                    break
    return len(start)


def child(tree: Numbers, node: int, cls: int) -> int:
    """Return the node for the class `cls` below `node`, which is made if it is not there.

    Where there is no room for it, that is `node` itself: the layer is left out.
    """
    at = 1 + NODE * node
    here = tree[at + CHILD] + 0
    previous = 0
    while here:
        if tree[1 + NODE * here + CLASS] == cls:
            return here
        previous = here
        here = tree[1 + NODE * here + SIBLING] + 0
    made = tree[0] + 0
    if 1 + NODE * (made + 1) > len(tree):
        return node
    tree[0] += 1
    for place in range(1 + NODE * made, 1 + NODE * made + NODE):
        tree[place] = 0
    tree[1 + NODE * made + CLASS] = cls
    tree[1 + NODE * made + PARENT] = node
    if previous:
        tree[1 + NODE * previous + SIBLING] = made
    else:
        tree[at + CHILD] = made
    return made


def transport(
    tables: Numbers,
    octets: Octets,
    network: int,
    count: int,
    end: int,
    wire_end: int,
    layers: Numbers,
    offsets: Numbers,
    found: Numbers,
    segments: Numbers,
    slot: int,
) -> None:
    """Write the TCP segment or UDP datagram that the IP header `network` carries, if it does."""
    for index in range(network + 1, count):
        kind = tables[ROWS + layers[index] * ROW + KIND]
        at = offsets[index] + 0
        if kind == IPV4 or kind == IPV6:  # noqa: PLR1714, SIM109  # numba would make a set
            return
        if kind == TCP:
            stop = datagram_end(octets, offsets[network] + 0, end, wire_end)
            if segment(octets, at, end, stop, found):
                for place in range(FOUND):
                    segments[slot + place] = found[place]
                segments[slot + PROTOCOL] = IS_TCP
            return
        if kind == UDP:
            stop = datagram_end(octets, offsets[network] + 0, end, wire_end)
            length = u16_be(octets, at + 4)
            if length >= UDP_HEADER:
                stop = min(stop, at + length)
            segments[slot + DATA] = at + UDP_HEADER
            segments[slot + LENGTH] = max(0, stop - at - UDP_HEADER)
            segments[slot + CAPTURED] = max(0, min(stop, end) - at - UDP_HEADER)
            segments[slot + PROTOCOL] = IS_UDP
            return


def add_stacks(
    begin: int, end: int, nodes: Numbers, original: Numbers, accepted: Numbers, tree: Numbers
) -> None:
    """Count the packets in rows `begin` to before `end` at their nodes, and their octets.

    An empty `accepted` accepts every row.
    """
    for row in range(begin, end):
        if len(accepted) and not accepted[row]:
            continue
        at = 1 + NODE * nodes[row]
        tree[at + PACKETS] += 1
        tree[at + OCTETS] += original[row]


def tally(
    ids: Numbers,
    present: Numbers,
    back: Numbers,
    original: Numbers,
    time_ns: Numbers,
    accepted: Numbers,
    totals: Numbers,
) -> None:
    """Add the packets of a batch to the sums of their flows. An empty `accepted` accepts all."""
    for row in range(len(ids)):
        if not present[row] or (len(accepted) and not accepted[row]):
            continue
        at = TOTALS * ids[row]
        if totals[at] + totals[at + 2] == 0:
            totals[at + 4] = time_ns[row]
        totals[at + 5] = time_ns[row]
        way = at + 2 * back[row]
        totals[way] += 1
        totals[way + 1] += original[row]


def spans(
    time_ns: Numbers,
    original: Numbers,
    accepted: Numbers,
    origin: int,
    interval: int,
    index: Numbers,
    packets: Numbers,
    octets: Numbers,
) -> int:
    """Count packets and octets by interval of time; return how many runs of packets there are.

    Packets that follow each other in one interval are a run: `index` counts intervals from
    `origin` on, down where time goes back. Packets without a time count as of `origin`.
    """
    run = -1
    last = 0
    for row in range(len(time_ns)):
        if len(accepted) and not accepted[row]:
            continue
        now = time_ns[row] + 0
        if now < 0:
            now = origin
        number = (now - origin) // interval
        if run < 0 or number != last:
            run += 1
            last = number
            index[run] = number
            packets[run] = 0
            octets[run] = 0
        packets[run] += 1
        octets[run] += original[row]
    return run + 1

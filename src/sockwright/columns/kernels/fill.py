"""Fill columns: take packets apart and copy the fields that were asked for into arrays.

Rows
    All columns lie in one block of memory, seen as octets and as numbers of 16, 32 and 64 bits
    (`m1`, `m2`, `m4`, `m8`). A column is known by the index of its first element in the view of its
    width. The block was zeroed before, and what a packet lacks is not written: so the memory of a
    column that stays empty is never touched.

Plan
    The array `plan` says what to do. First `LISTS` numbers: the columns that are not just fields,
    at the places named below (-1: not asked for). Then for each class which *want* it is if it is
    the first or the second header of its layer, or -1, see `CLASS`; then the wants, see `WANT`;
    then conditions, and entries, one a field, see `ENTRY`.

Order
    Some hundred packets are taken apart first; each want then has a list of the rows and places of
    its headers. Behind that each field runs through its list in a loop without a branch. Field by
    field within a packet, the processor would guess wrong at every header, and take twice as long.
"""

# ruff: noqa: PLR0917, PLR0915  # kernels take arrays by position, and calls cost
from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.columns.kernels.checksum import ICMPV6, IPV4, IPV6, verdict
from sockwright.columns.kernels.dissect import PLACE, take_apart
from sockwright.columns.kernels.flow import flow_key
from sockwright.columns.kernels.groups import NODE, child

if TYPE_CHECKING:
    from sockwright.columns.batch import Numbers, Octets

__all__ = ["CHUNK", "ENTRY", "LISTS", "WANT", "fill"]

CHUNK = 512
"""Packets that are taken apart before their fields are copied: their headers stay in the cache."""

# Places at the start of a plan.
WANTS, FIRST_WANT = 0, 1  # how many wants; where they begin
PAYLOAD_OFFSET, PAYLOAD_LENGTH = 4, 5  # 32 bits
IP_VERSION = 6  # 8 bits each: outer, its presence, inner, its presence
STACK = 10  # 32 bits
MANY = 11  # 8 bits: 1 where a layer stands in a packet more often than twice
FLOW = 12  # not -1: write what flows are known by
CHECKSUMS = 13  # 8 bits, for the first and the second header of a layer: five kinds
LISTS = 23

CLASS = 4  # want of the first and of the second header of a class, and two more numbers
KIND, LAYER = 2, 3  # what it is to checksums and flows; index of its layer
WANT = 3  # column of its presence; first of its entries, and how many
ENTRY = 9  # reader (4), octet order, width, column, column of its own presence, condition
AT, COUNT, SHIFT, MASK, LITTLE, WIDTH, COLUMN, OWN, CONDITION = range(9)
BITS8, BITS16, BITS32, BITS64, OCTETS = range(5)  # values of WIDTH


def fill(
    tables: Numbers,
    plan: Numbers,
    octets: Octets,
    start: Numbers,
    captured: Numbers,
    interface: Numbers,
    link_types: Numbers,
    row: int,
    m1: Numbers,
    m2: Numbers,
    m4: Numbers,
    m8: Numbers,
    keys: Numbers,
    layers: Numbers,
    offsets: Numbers,
    ends: Numbers,
    seen: Numbers,
    counts: Numbers,
    rows: Numbers,
    places: Numbers,
    tree: Numbers,
) -> int:
    """Fill the rows from `row` on with the packets of a batch; return 0, or 1 if `tree` is full.

    `keys` gets what flows are known by, six numbers a packet of the batch. The arrays behind it are
    working memory: `SLOTS` places for the first three, one for each layer, one for each want, and
    `CHUNK` for each want, twice. `tree` holds the stacks of layers, see `groups.child`.
    """
    size = len(start)
    wants = plan[WANTS]
    room = (len(tree) - 1) // NODE
    for layer in range(len(seen)):
        seen[layer] = 0
    done = 0
    while done < size:
        upto = min(done + CHUNK, size)
        for want in range(wants):
            counts[want] = 0
        for packet in range(done, upto):
            first = start[packet] + 0
            count = take_apart(
                tables,
                octets,
                first,
                first + captured[packet],
                link_types[interface[packet]],
                layers,
                offsets,
                ends,
            )
            here = (row + packet) & PLACE
            network = -1
            versions = 0
            stamp = 64 * (packet + 1)  # what an earlier packet has left in `seen` is less
            for index in range(count):
                about = (LISTS + CLASS * layers[index]) & PLACE
                layer = plan[about + LAYER] & PLACE
                nth = max(seen[layer] - stamp, 0)
                seen[layer] = stamp + nth + 1
                if nth < 2:
                    want = plan[about + nth]
                    if want >= 0:
                        slot = (want * CHUNK + counts[want]) & PLACE
                        rows[slot] = here
                        places[slot] = offsets[index]
                        counts[want] += 1
                elif plan[MANY] >= 0:
                    m1[plan[MANY] + here] = 1
                kind = plan[about + KIND]
                if kind in (IPV4, IPV6):
                    if network < 0:
                        network = index
                    if versions < 2 and plan[IP_VERSION + 2 * versions] >= 0:
                        version = (octets[offsets[index]] + 0) >> 4
                        m1[plan[IP_VERSION + 2 * versions] + here] = version
                        m1[plan[IP_VERSION + 2 * versions + 1] + here] = 1
                    versions += 1
                if 0 < kind <= ICMPV6 and nth < 2:
                    column = plan[CHECKSUMS + 2 * kind - 2 + nth]
                    if column >= 0:
                        m1[column + here] = verdict(tables, octets, index, layers, offsets, ends)
            if plan[STACK] >= 0:
                if tree[0] + count > room:
                    return 1
                node = 0
                for index in range(count):
                    node = child(tree, node, layers[index] + 0)
                m4[plan[STACK] + here] = node
            if plan[FLOW] >= 0:
                keys[6 * packet] = 0
                if network >= 0:
                    flow_key(
                        tables,
                        octets,
                        network,
                        count,
                        layers,
                        offsets,
                        keys,
                        6 * packet,
                    )
            if plan[PAYLOAD_OFFSET] >= 0:
                m4[plan[PAYLOAD_OFFSET] + here] = offsets[count] - first
            if plan[PAYLOAD_LENGTH] >= 0:
                m4[plan[PAYLOAD_LENGTH] + here] = ends[count] - offsets[count]
        for want in range(wants):
            if counts[want]:
                copy_fields(plan, want, counts[want], octets, rows, places, m1, m2, m4, m8)
        done = upto
    return 0


def copy_fields(
    plan: Numbers,
    want: int,
    count: int,
    octets: Octets,
    rows: Numbers,
    places: Numbers,
    m1: Numbers,
    m2: Numbers,
    m4: Numbers,
    m8: Numbers,
) -> None:
    """Copy the fields of a want out of the `count` headers in its list."""
    about = plan[FIRST_WANT] + WANT * want
    begin = want * CHUNK
    present = plan[about]
    if present >= 0:
        for item in range(begin, begin + count):
            m1[present + rows[item]] = 1
    entry = plan[about + 1]
    for _ in range(plan[about + 2]):
        if plan[entry + CONDITION] or plan[entry + LITTLE]:
            copy_odd(plan, entry, begin, count, octets, rows, places, m1, m2, m4, m8)
        else:
            if plan[entry + OWN] >= 0:
                for item in range(begin, begin + count):
                    m1[plan[entry + OWN] + rows[item]] = 1
            copy_field(plan, entry, begin, count, octets, rows, places, m1, m2, m4, m8)
        entry += ENTRY


def copy_field(
    plan: Numbers,
    entry: int,
    begin: int,
    count: int,
    octets: Octets,
    rows: Numbers,
    places: Numbers,
    m1: Numbers,
    m2: Numbers,
    m4: Numbers,
    m8: Numbers,
) -> None:
    """Copy one field. Loops for each width, so that nothing is to be decided inside of them."""
    at, touched = plan[entry + AT], plan[entry + COUNT]
    shift, mask = plan[entry + SHIFT], plan[entry + MASK]
    width, column = plan[entry + WIDTH], plan[entry + COLUMN]
    begin &= PLACE
    end = (begin + count) & PLACE
    if width == BITS16 and touched == 2:
        for item in range(begin, end):
            place = (places[item] + at) & PLACE
            value = ((octets[place] + 0) << 8) | (octets[place + 1] + 0)
            m2[(column + rows[item]) & PLACE] = value >> shift & mask
    elif width == BITS8 and touched == 1:
        for item in range(begin, end):
            m1[(column + rows[item]) & PLACE] = (
                octets[(places[item] + at) & PLACE] + 0
            ) >> shift & mask
    elif width == BITS32 and touched == 4:
        for item in range(begin, end):
            place = (places[item] + at) & PLACE
            value = (
                ((octets[place] + 0) << 24)
                | ((octets[place + 1] + 0) << 16)
                | ((octets[place + 2] + 0) << 8)
                | (octets[place + 3] + 0)
            )
            m4[(column + rows[item]) & PLACE] = value >> shift & mask
    elif width == BITS64 and touched == 6:
        for item in range(begin, end):
            place = (places[item] + at) & PLACE
            m8[(column + rows[item]) & PLACE] = (
                ((octets[place] + 0) << 40)
                | ((octets[place + 1] + 0) << 32)
                | ((octets[place + 2] + 0) << 24)
                | ((octets[place + 3] + 0) << 16)
                | ((octets[place + 4] + 0) << 8)
                | (octets[place + 5] + 0)
            )
    elif width == OCTETS and touched == 16:
        for item in range(begin, end):
            place = (places[item] + at) & PLACE
            target = (column + 16 * rows[item]) & PLACE
            for octet in range(16):
                m1[target + octet] = octets[place + octet]
    else:
        for item in range(begin, end):
            put(plan, entry, places[item], rows[item], octets, m1, m2, m4, m8)


def copy_odd(
    plan: Numbers,
    entry: int,
    begin: int,
    count: int,
    octets: Octets,
    rows: Numbers,
    places: Numbers,
    m1: Numbers,
    m2: Numbers,
    m4: Numbers,
    m8: Numbers,
) -> None:
    """Copy a field that has a meaning only on a condition, or the octet order of another machine.

    A condition is the octet of the header that holds the number, how many numbers are accepted, and
    these.
    """
    condition = plan[entry + CONDITION]
    for item in range(begin, begin + count):
        meant = condition == 0
        if condition:
            number = octets[places[item] + plan[condition]] + 0
            for accepted in range(condition + 2, condition + 2 + plan[condition + 1]):
                meant = meant or plan[accepted] == number
        if meant:
            if plan[entry + OWN] >= 0:
                m1[plan[entry + OWN] + rows[item]] = 1
            put(plan, entry, places[item], rows[item], octets, m1, m2, m4, m8)


def put(
    plan: Numbers,
    entry: int,
    place: int,
    row: int,
    octets: Octets,
    m1: Numbers,
    m2: Numbers,
    m4: Numbers,
    m8: Numbers,
) -> None:
    """Copy one field of one header."""
    width, touched = plan[entry + WIDTH], plan[entry + COUNT]
    place += plan[entry + AT]
    if width == OCTETS:
        target = plan[entry + COLUMN] + touched * row
        for octet in range(touched):
            m1[target + octet] = octets[place + octet]
        return
    value = 0
    for octet in range(touched):
        if plan[entry + LITTLE]:
            value |= (octets[place + octet] + 0) << 8 * octet
        else:
            value = value << 8 | (octets[place + octet] + 0)
    value = value >> plan[entry + SHIFT] & plan[entry + MASK]
    if width == BITS8:
        m1[plan[entry + COLUMN] + row] = value
    elif width == BITS16:
        m2[plan[entry + COLUMN] + row] = value
    elif width == BITS32:
        m4[plan[entry + COLUMN] + row] = value
    else:
        m8[plan[entry + COLUMN] + row] = value

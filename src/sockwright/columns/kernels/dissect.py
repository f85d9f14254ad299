"""Take packets apart: walk the stack of headers in octets by the tables of `columns.layout`.

The walk stops where the scalar decode stops (`Packet.decode`), notes as many errors, and finds the
same layers at the same places; a test holds the two against each other. A table is one flat array
of integers:

* first where some namespaces are, and the indices of some classes;
* for each class `ROW` numbers from ``ROWS + class * ROW`` on, at the places named below;
* namespaces: a mask, a shift, and pairs of number and class (`announced`);
* choices among forms of a header (`form`).

A *reader* is four numbers that say where a field is: its first octet, how many octets it touches
(0: there is no field), and how to shift and mask them.
"""

# ruff: noqa: PLR0917, PLR0915  # kernels take arrays by position, and calls cost
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sockwright.columns.batch import Numbers, Octets

__all__ = [
    "ERRORS",
    "MOST_LAYERS",
    "NO_HEADER",
    "PLACE",
    "SLOTS",
    "UNKNOWN_LINK",
    "read",
    "take_apart",
]

LINK_TYPES, RAW_IP, ETHER_TYPES, IP_PROTOCOLS, UDP_PORTS = 0, 1, 2, 3, 4
ETHERNET, LLC, VLAN, IPV4_HEADER, IPV6_HEADER, TCP, UDP = 5, 6, 7, 8, 9, 10, 11
ROWS = 12

# Places in the row of a class.
RULES = 0
FIXED = 1  # octets of the fixed part
FORMS = 2  # where the choice among forms is, or 0
SIZE, SIZE2, UNIT, MORE = 3, 7, 11, 12  # readers of the fields that tell the size; see `Walk`
END, BEHIND, LEAST = 13, 17, 18  # reader of the field that tells the end
OFFSET, MORE_FRAGMENTS = 19, 23  # readers of the fields of a fragment
ASKED = 27  # reader of the field that a step looks at
FOLLOWING, NAMESPACE = 31, 35  # reader of the number of what follows; where its namespace is, or 0
ALWAYS = 36  # class of what follows in any case, or -1
STEP = 37
LAYER = 38  # index of the layer's name
KIND = 39  # what it is to checksums and flows, see `checksum`; 0 for nothing
ROW = 40

# Bits of RULES: the parts of a row that say something.
HAS_SIZE, HAS_END, HAS_OFFSET, CLOSES, TAKES_REST, HAS_STEP = 1, 2, 4, 8, 16, 32

# Values of STEP, in the order of `layout.STEPS`.
COOKED, GRE, IPV6, LENGTH_OR_TYPE, MPLS, RECORDS, SNAP, STOPS, SWAPPED = range(1, 10)

MOST_LAYERS = 32
ERRORS = MOST_LAYERS + 1
SLOTS = MOST_LAYERS + 2
"""Length of the arrays that `take_apart` fills."""
NO_HEADER, UNKNOWN_LINK = -1, -2
CUT = -3

LONGEST_LENGTH = 1500  # IEEE 802.3 section 3.2.6: up to here the number is a length
LLC_FRAME = 4  # ETH_P_802_2
RADIOTAP, NETLINK = 803, 824
HOP_BY_HOP, NO_NEXT_HEADER = 0, 59
PAD1, JUMBO_PAYLOAD = 0, 0xC2
TAG, IPV4_TYPE, IPV6_TYPE, TCP_NUMBER, UDP_NUMBER = 0x8100, 0x0800, 0x86DD, 6, 17

# An index that went through this mask is known not to be negative: the compiler then leaves out
# what Python does with negative ones, and reads several octets at once.
PLACE = (1 << 62) - 1


def read(tables: Numbers, reader: int, octets: Octets, at: int) -> int:
    """Return the field that the reader at `reader` in `tables` finds in the header at `at`."""
    reader &= PLACE
    at = (at + tables[reader]) & PLACE
    count = tables[reader + 1]
    if count == 1:
        value = octets[at] + 0
    elif count == 2:
        value = ((octets[at] + 0) << 8) | (octets[at + 1] + 0)
    else:
        value = 0
        for place in range(at, at + count):
            value = (value << 8) | (octets[place] + 0)
    return value >> tables[reader + 2] & tables[reader + 3]


def announced(tables: Numbers, namespace: int, number: int) -> int:
    """Return the class that `number` announces in the namespace at `namespace`, or -1."""
    namespace &= PLACE
    slot = (number ^ number >> tables[namespace + 1]) & tables[namespace]
    entry = (namespace + 2 + 2 * slot) & PLACE
    if tables[entry] == number:
        return tables[entry + 1]
    return -1


def form(tables: Numbers, choice: int, octets: Octets, at: int, end: int) -> int:
    """Return the class that octets from `at` to `end` hold, by the choice at `choice`."""
    if end - at < tables[choice]:
        return tables[choice + 1]
    at += tables[choice + 3]
    number = 0
    for place in range(at, at + tables[choice + 4]):
        number = (number << 8) | (octets[place] + 0)
    case = choice + 6
    for _ in range(tables[choice + 5]):
        if number & tables[case] == tables[case + 1]:
            return tables[case + 2]
        case += 3
    return tables[choice + 2]


def take_apart(
    tables: Numbers,
    octets: Octets,
    start: int,
    end: int,
    link_type: int,
    layers: Numbers,
    offsets: Numbers,
    ends: Numbers,
) -> int:
    """Find the headers of the packet that is octets `start` to `end`; return how many there are.

    Header `n` is of class ``layers[n]``, starts at ``offsets[n]``, and what belongs to it ends at
    ``ends[n]``. Behind the last one, at ``n = count``, stand the start and the end of the payload,
    and why there are no more headers: `NO_HEADER`, `UNKNOWN_LINK`, or ``CUT - class`` of the header
    that does not fit. ``layers[ERRORS]`` counts the errors that `Packet.errors` would list. The
    three arrays have `SLOTS` places.
    """
    at = start
    count = 0
    errors = 0
    piece = False
    outcome = NO_HEADER
    cls = announced(tables, tables[LINK_TYPES], link_type)
    if cls < 0:
        outcome = UNKNOWN_LINK
        errors = 1
    if cls == tables[ETHERNET]:
        count, at, end, cls = usual(tables, octets, at, end, layers, offsets, ends)
    while cls >= 0:
        at &= PLACE
        row = (ROWS + cls * ROW) & PLACE
        choice = tables[row + FORMS]
        if choice:
            cls = form(tables, choice, octets, at, end)
            row = ROWS + cls * ROW
            if tables[row + FORMS] and tables[row + FORMS] != choice:
                cls = form(tables, tables[row + FORMS], octets, at, end)
                row = ROWS + cls * ROW
        fixed = tables[row + FIXED]
        if end - at < fixed:
            if not piece:
                errors += 1
            outcome = CUT - cls
            break
        if count == MOST_LAYERS:
            errors += 1
            break
        layers[count] = cls
        offsets[count] = at
        rules = tables[row + RULES]
        body = at + fixed
        stop = end
        follows = tables[row + ALWAYS]
        if tables[row + FOLLOWING + 1]:
            number = read(tables, row + FOLLOWING, octets, at)
            follows = announced(tables, tables[row + NAMESPACE], number)
        if rules:
            claimed = fixed
            if rules & HAS_SIZE:
                claimed = read(tables, row + SIZE, octets, at)
                if tables[row + SIZE2 + 1]:
                    claimed += read(tables, row + SIZE2, octets, at)
                claimed = claimed * tables[row + UNIT] + tables[row + MORE]
            elif rules & TAKES_REST:
                claimed = end - at
            step = tables[row + STEP]
            if step == GRE:
                claimed = gre_size(octets, at, end)
            elif step == RECORDS:
                number = read(tables, row + ASKED, octets, at)
                claimed = records_end(octets, body, end, number, tables[row + UNIT]) - at
            if claimed > fixed:
                body = at + claimed
                if body > end:
                    if not piece:
                        errors += 1
                    body = end
            if rules & HAS_END:
                length = read(tables, row + END, octets, at)
                least = tables[row + LEAST]
                if least < 0:
                    least = claimed
                stop = at + length + tables[row + BEHIND]
                if stop > end:
                    if not piece:
                        errors += 1
                    stop = end
                elif length < least:
                    stop = end
                    if step == IPV6:
                        stop = end_of_none(octets, at, end)
                        if stop > end:
                            if not piece:
                                errors += 1
                            stop = end
            if rules & HAS_OFFSET:
                if tables[row + MORE_FRAGMENTS + 1]:
                    piece = piece or read(tables, row + MORE_FRAGMENTS, octets, at) != 0
                if read(tables, row + OFFSET, octets, at):
                    piece = True
                    follows = -1
            if rules & CLOSES:
                stop = body
            if step == LENGTH_OR_TYPE:
                number = read(tables, row + FOLLOWING, octets, at)
                if number <= LONGEST_LENGTH:
                    follows = tables[LLC]
                    stop = body + number
                    if stop > end:
                        if not piece:
                            errors += 1
                        stop = end
            elif step == SNAP:
                organisation = read(tables, row + ASKED, octets, at)
                if organisation not in (0, 0xF8):  # the second one is for bridges, IEEE 802.1H
                    follows = -1
            elif step == COOKED:
                hardware = read(tables, row + ASKED, octets, at)
                if hardware in (NETLINK, RADIOTAP):
                    follows = -1
                elif read(tables, row + FOLLOWING, octets, at) == LLC_FRAME:
                    follows = tables[LLC]
            elif step == MPLS:
                if read(tables, row + ASKED, octets, at):
                    follows = -1
                    if body < end:
                        follows = announced(tables, tables[RAW_IP], (octets[body] + 0) >> 4)
            elif step == GRE:
                if (octets[at + 1] & 7) > 1:
                    follows = -1
            elif step == SWAPPED:
                number = (
                    (octets[at] + 0)
                    | ((octets[at + 1] + 0) << 8)
                    | ((octets[at + 2] + 0) << 16)
                    | ((octets[at + 3] + 0) << 24)
                )
                follows = announced(tables, tables[row + NAMESPACE], number)
            elif step == STOPS:
                follows = -1
        stop = max(stop, body)
        ends[count] = stop
        count += 1
        at = body
        end = stop
        cls = follows
    layers[count] = outcome
    offsets[count] = at
    ends[count] = end
    layers[ERRORS] = errors
    return count


def usual(
    tables: Numbers,
    octets: Octets,
    at: int,
    end: int,
    layers: Numbers,
    offsets: Numbers,
    ends: Numbers,
) -> tuple[int, int, int, int]:
    """Take Ethernet, VLAN, IP, TCP and UDP off, as long as they are nothing out of the ordinary.

    The tables tell the way through these as well; but three packets of four are of this kind, and
    by their numbers the way takes a third of the time. Returns how many headers were taken off, the
    octets that are left, and the class that comes next, which may be one that `take_apart` has to
    look at.
    """
    at &= PLACE
    if end - at < 14:
        return 0, at, end, tables[ETHERNET]
    number = ((octets[at + 12] + 0) << 8) | (octets[at + 13] + 0)
    if number <= LONGEST_LENGTH:
        return 0, at, end, tables[ETHERNET]
    layers[0] = tables[ETHERNET]
    offsets[0] = at
    ends[0] = end
    at += 14
    count = 1
    if number == TAG and end - at >= 4:
        number = ((octets[at + 2] + 0) << 8) | (octets[at + 3] + 0)
        if number <= LONGEST_LENGTH:
            return 1, at, end, tables[VLAN]
        layers[1] = tables[VLAN]
        offsets[1] = at
        ends[1] = end
        at += 4
        count = 2
    if number == IPV4_TYPE:
        if end - at < 20 or (octets[at] & 15) != 5:
            return count, at, end, tables[IPV4_HEADER]
        fragment = ((octets[at + 6] + 0) << 8) | (octets[at + 7] + 0)
        length = ((octets[at + 2] + 0) << 8) | (octets[at + 3] + 0)
        if fragment & 0x3FFF or length < 20 or length > end - at:
            return count, at, end, tables[IPV4_HEADER]
        layers[count] = tables[IPV4_HEADER]
        number = octets[at + 9] + 0
        stop = at + length
        body = at + 20
    elif number == IPV6_TYPE:
        if end - at < 40:
            return count, at, end, tables[IPV6_HEADER]
        length = ((octets[at + 4] + 0) << 8) | (octets[at + 5] + 0)
        if length == 0 or length > end - at - 40:
            return count, at, end, tables[IPV6_HEADER]
        layers[count] = tables[IPV6_HEADER]
        number = octets[at + 6] + 0
        stop = at + 40 + length
        body = at + 40
    else:
        return count, at, end, announced(tables, tables[ETHER_TYPES], number)
    offsets[count] = at
    ends[count] = stop
    count += 1
    at = body
    end = stop
    if number == TCP_NUMBER:
        if end - at < 20:
            return count, at, end, tables[TCP]
        size = (octets[at + 12] + 0) >> 2 & 0x3C
        if size < 20 or size > end - at:
            return count, at, end, tables[TCP]
        layers[count] = tables[TCP]
        offsets[count] = at
        ends[count] = end
        return count + 1, at + size, end, NO_HEADER
    if number == UDP_NUMBER:
        if end - at < 8:
            return count, at, end, tables[UDP]
        length = ((octets[at + 4] + 0) << 8) | (octets[at + 5] + 0)
        if length != end - at:
            return count, at, end, tables[UDP]
        layers[count] = tables[UDP]
        offsets[count] = at
        ends[count] = end
        number = ((octets[at + 2] + 0) << 8) | (octets[at + 3] + 0)
        return count + 1, at + 8, end, announced(tables, tables[UDP_PORTS], number)
    return count, at, end, announced(tables, tables[IP_PROTOCOLS], number)


def end_of_none(octets: Octets, at: int, end: int) -> int:
    """Return the end of the IPv6 packet at `at` whose payload length is 0."""
    follow = octets[at + 6] + 0
    at += 40
    if follow == NO_NEXT_HEADER:
        return at
    if follow == HOP_BY_HOP and end - at >= 8:
        stop = min(end, at + 8 + 8 * octets[at + 1])
        option = at + 2
        while option < stop:
            if octets[option] == PAD1:
                option += 1
                continue
            if option + 1 >= stop:
                break
            length = octets[option + 1] + 0
            if option + 2 + length > stop:
                break
            if octets[option] == JUMBO_PAYLOAD and length == 4:
                return (
                    at
                    + ((octets[option + 2] + 0) << 24)
                    + ((octets[option + 3] + 0) << 16)
                    + ((octets[option + 4] + 0) << 8)
                    + (octets[option + 5] + 0)
                )
            option += 2 + length
    return end


def gre_size(octets: Octets, at: int, end: int) -> int:
    """Return the octets of the GRE header at `at`, the fields that its flags announce included."""
    first = octets[at] + 0
    second = octets[at + 1] + 0
    if second & 7 > 1:
        return 4
    size = 4
    if first & 0xC0:  # checksum, routing
        size += 4
    if first & 0x20:  # key
        size += 4
    if first & 0x10:  # sequence number
        size += 4
    if second & 0x87 == 0x81:  # acknowledgment, of version 1
        size += 4
    if first & 0x40:
        while at + size + 4 <= end:
            length = octets[at + size + 3] + 0
            size += 4 + length
            if not length:
                return size
        size += 4  # the entry that is missing
    return size


def records_end(octets: Octets, at: int, end: int, count: int, unit: int) -> int:
    """Return where `count` multicast records from `at` on end; their addresses take `unit` octets.

    A record that is cut still shows that one was meant.
    """
    for _ in range(count):
        size = 4 + unit
        if at + size <= end:
            size += unit * ((octets[at + 2] + 0) << 8 | (octets[at + 3] + 0))
            size += 4 * octets[at + 1]
        at += size
        if at > end:
            break
    return at

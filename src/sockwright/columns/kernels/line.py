"""Write one line of text for each packet.

A line is made while walking the headers that `dissect.take_apart` found, outermost first. Each
*kind* of header has a few lines here; which class is of which kind, what it is called and which of
its fields are shown stands in a table, the *plan*, made by `columns.line_plan`. A plan is one flat
array of integers: words for `TEXTS`, then the places of its tables (`CLASSES` and so on).

Each piece of a line ends in a space. Addresses are held back until it is known whether ports go
with them, and those of a link until it is known whether addresses of a network take their place.

The file is long for two reasons: the texts and the places of a plan, which are numbers that the
code must see, take a third of it; and every piece of a line is one function that takes all that it
reads as arguments, since compiled code has no objects.
"""

# Kernels take arrays by position, and numba knows no membership in a set.
# ruff: noqa: PLR0915, PLR0917, PLR1714, SIM109

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.columns.kernels.dissect import (
    CUT,
    FOLLOWING,
    ROW,
    ROWS,
    UNKNOWN_LINK,
    read,
    take_apart,
)
from sockwright.columns.kernels.index import NO_TIME
from sockwright.columns.kernels.octets import u16_be, u32_be
from sockwright.columns.kernels.text import (
    clock,
    date,
    decimal,
    hexadecimal,
    ipv4,
    ipv6,
    mac,
    padded,
    seconds,
    word,
)

if TYPE_CHECKING:
    from sockwright.columns.batch import Numbers, Octets

__all__ = ["LONGEST", "STATE", "TEXTS", "write_lines"]

LONGEST = 16_384
"""Octets that a line may take: 32 headers, none of which writes more than 400."""

# Texts that lines are made of; their words are the first numbers of a plan.
TEXTS = (
    " > ",
    "len ",
    "[cut] ",
    "[bad options] ",
    "[bad length] ",
    "[missing ",
    "length ",
    "link type ",
    "protocol ",
    "fragment ",
    "offset ",
    "more ",
    "seq ",
    "ack ",
    "win ",
    "urg ",
    "mss ",
    "wscale ",
    "sackok ",
    "sack ",
    "ts ",
    "option ",
    "id ",
    "code ",
    "mtu ",
    "to ",
    "for ",
    "type ",
    "ARP who has ",
    "tell ",
    "ARP ",
    "is at ",
    "RARP who is ",
    "at ",
    "sap ",
    "root ",
    "cost ",
    "bridge ",
    "port ",
    "in ",
    "broadcast ",
    "multicast ",
    "other ",
    "out ",
    "none",
    "options ",
    "from ",
    "if ",
    "STP ",
    "802.3 ",
    "F",
    "S",
    "R",
    "P",
    ".",
    "U",
    "E",
    "W",
    "e",
)
(
    ARROW,
    LEN,
    CUT_MARK,
    BAD_OPTIONS,
    BAD_LENGTH,
    MISSING,
    LENGTH,
    LINK_TYPE,
    PROTOCOL,
    FRAGMENT_OF,
    OFFSET,
    MORE,
    SEQ,
    ACK,
    WIN,
    URG,
    MSS,
    WSCALE,
    SACK_OK,
    SACK,
    TS,
    OPTION,
    ID,
    CODE,
    MTU,
    TO,
    FOR,
    TYPE,
    WHO_HAS,
    TELL,
    ARP_WORD,
    IS_AT,
    WHO_IS,
    AT,
    SAP,
    ROOT,
    COST,
    BRIDGE,
    PORT,
    DIRECTION,  # into this host, and the four behind it
    _BROADCAST,
    _MULTICAST,
    _OTHER,
    _OUT,
    NONE,
    OPTIONS,
    FROM,
    IF,
    STP,
    LENGTH_ALONE,  # where an EtherType could be
    FLAGS,  # and the eight behind it, as tcpdump writes them
    *_,
) = range(len(TEXTS))

# Where a plan says where its tables are. Behind the first two these are words by number.
CLASSES = 64  # rows of `CLASS` numbers
ETHER_TYPES = 65  # pairs of number and word, then -1
PROTOCOLS = 66
ICMP_TYPES = 67
ICMP_CODES = 68  # 32 for each type below 64
ICMPV6_TYPES = 69
ICMPV6_CODES = 70
TCP_OPTIONS = 71
SAPS = 72
OPERATIONS = 73  # of ARP
BPDU_TYPES = 74
PLAN = 75

# A row of `CLASSES`: kind, its name, where its items are and how many, what its number announces.
KIND, NAME, ITEMS, COUNT, NEXT = 0, 1, 2, 3, 4
CLASS = 5
# An item: the word before it, how it is written, a reader as in `dissect`, and, unless 0, where
# words for the numbers below 256 are.
FORM, READER, NAMES = 1, 2, 6
ITEM = 7
DECIMAL, HEXADECIMAL, MAC, IPV4_ADDRESS, IPV6_ADDRESS = 0, 1, 2, 3, 4
NEXT_ETHER_TYPE, NEXT_PROTOCOL = 1, 2

# Kinds of headers.
PREFIX = 0  # name and items stand before the addresses that follow
LINK = 1  # starts with the MAC addresses of receiver and sender
QUIET = 2  # says nothing where a known header follows
COOKED = 3
COOKED2 = 4
LLC = 5
ARP = 6
IPV4 = 7
IPV6 = 8
FRAGMENT = 9  # of IPv6
TCP = 10
UDP = 11
PORTS = 12  # starts with the ports of sender and receiver
ICMP = 13
ICMPV6 = 14
MESSAGE = 15  # items of an ICMPv6 message
ECHO = 16  # the same, and how long the message is
EXTENSION = 17  # of IPv6

# Places in `state`: what to show, and what goes on from line to line.
TIME_FORM, SHOW, ZONE_FROM, ZONE_TO, ZONE, PREVIOUS, FIRST, POSITION, NUMBER, WANTS_ZONE = range(10)
STATE = 10
# Values of TIME_FORM: as many -t as tcpdump takes.
CLOCK, NO_CLOCK, EPOCH, DELTA, DATE, SINCE_FIRST = 0, 1, 2, 3, 4, 5
# Bits of SHOW.
NUMBERS, LINK_HEADER, PORT_NAMES = 1, 2, 4

_LONGEST_LENGTH = 1500  # IEEE 802.3 section 3.2.6
_SECOND_NS = 1_000_000_000
_DAY_NS = 86_400 * _SECOND_NS
_OTHER_PROTOCOL = 65536  # ports of all protocols but TCP have their names behind those of TCP


def write_lines(
    tables: Numbers,
    plan: Numbers,
    words: Octets,
    ports: Numbers,
    state: Numbers,
    octets: Octets,
    start: Numbers,
    captured: Numbers,
    original: Numbers,
    time_ns: Numbers,
    interface: Numbers,
    link_types: Numbers,
    digits: Numbers,
    labels: Numbers,
    rows: Numbers,
    index: int,
    layers: Numbers,
    offsets: Numbers,
    ends: Numbers,
    out: Numbers,
) -> int:
    """Write lines for the packets in ``rows[index:]``; return the index of the first not written.

    That is ``len(rows)`` unless there is no more room in `out`, or the offset of the local time is
    to be found out first for the time of that packet (``state[WANTS_ZONE]``). Text ends at
    ``state[POSITION]``. `digits` and `labels` are, for each interface, how many digits of its
    fractions of a second are shown, and the word of its name.
    """
    at = state[POSITION] + 0
    state[WANTS_ZONE] = 0
    show = state[SHOW] + 0
    while index < len(rows) and at + LONGEST <= len(out):
        row_of = rows[index]
        source = interface[row_of] + 0
        if _is_outside(state, time_ns[row_of]):
            state[WANTS_ZONE] = 1
            break
        at = _head(out, at, words, state, row_of, time_ns[row_of], digits[source], labels[source])
        # The octets of the packet are those from `begin` to `end`; on the wire there were more.
        begin = start[row_of] + 0
        end = begin + captured[row_of]
        wire_end = begin + original[row_of]
        link_type = link_types[source] + 0
        count = take_apart(tables, octets, begin, end, link_type, layers, offsets, ends)
        outcome = layers[count] + 0
        pair = 0  # addresses that are held back: 0 none, 1 MAC, 4 and 6 IP
        pair_at = 0
        network = False  # whether there was an IP header
        claim = wire_end  # where the packet ends by what its headers claim
        missing = 0
        done = False  # whether the line says what the packet is
        fragment_at = -1
        fragment_version = 0
        quote_version = 0
        if show & LINK_HEADER and (count == 0 or plan[plan[CLASSES] + CLASS * layers[0]] != LINK):
            at = _length(out, at, plan, words, wire_end - begin)
        for depth in range(count):
            cls = layers[depth] + 0
            row = plan[CLASSES] + CLASS * cls
            kind = plan[row + KIND]
            here = offsets[depth] + 0
            behind = offsets[depth + 1] + 0
            first, last = depth == 0, depth == count - 1
            is_network = kind == IPV4 or kind == IPV6
            has_ports = kind == TCP or kind == UDP or kind == PORTS
            is_icmp = kind == ICMP or kind == ICMPV6
            speaks = kind == QUIET and (last or (first and show & LINK_HEADER != 0))

            # Addresses that were held back.
            if has_ports:
                base = 0 if kind == TCP else _OTHER_PROTOCOL
                at = _pair(out, at, plan, words, octets, pair, pair_at, ports, here, base, show)
                pair = 0
            elif (
                is_icmp
                or (pair > 1 and (kind == LINK or is_network or kind == PREFIX))
                or (kind == LLC and last)
            ):
                at = _pair(out, at, plan, words, octets, pair, pair_at, ports, -1, 0, show)
                pair = 0

            # Name and fields.
            if has_ports or is_icmp or speaks or kind == PREFIX or (is_network and network):
                at = word(out, at, words, plan[row + NAME])
            if plan[row + COUNT] and (kind != QUIET or speaks):
                at = _items(out, at, plan, words, octets, row, here)

            # What a table cannot say.
            if kind != MESSAGE and kind != ECHO and kind != FRAGMENT:
                done = has_ports or is_icmp or kind == ARP
            if kind == LINK:
                pair = 1
                pair_at = here
                if first and show & LINK_HEADER:
                    at = _pair(out, at, plan, words, octets, pair, pair_at, ports, -1, 0, show)
                    at = _next(out, at, tables, plan, words, octets, cls, here)
                    at = _length(out, at, plan, words, wire_end - begin)
                    pair = 0
            elif is_network:
                network = True
                pair = 4 if kind == IPV4 else 6
                pair_at = here
                if kind == IPV4:
                    length = u16_be(octets, here + 2)
                    claim = here + length if length >= 20 else wire_end
                    if u16_be(octets, here + 6) & 0x3FFF:
                        fragment_at = here
                        fragment_version = 4
                else:
                    length = u16_be(octets, here + 4)
                    claim = here + 40 + length if length else wire_end
                missing = max(missing, claim - wire_end)
            elif kind == TCP:
                at = _tcp(out, at, plan, words, octets, here, behind, claim)
            elif has_ports or kind == ECHO:
                length = claim - behind
                if kind == ECHO:  # ICMPv6 counts its own header, which stands before
                    length = claim - here + 4
                elif kind == UDP and u16_be(octets, here + 4):  # 0 in a jumbogram, RFC 2675
                    length = u16_be(octets, here + 4) - 8
                at = _len(out, at, plan, words, length)
            elif kind == ARP:
                pair = 0
                at = _arp(out, at, plan, words, octets, here)
            elif is_icmp:
                number = octets[here] + 0
                if kind == ICMP:
                    at = _icmp(out, at, plan, words, octets, here, claim)
                    if 3 <= number <= 5 or number == 11 or number == 12:
                        quote_version = 4
                else:
                    at = _icmpv6(out, at, plan, words, octets, here, claim)
                    if 1 <= number <= 4:
                        quote_version = 6
            elif kind == FRAGMENT:
                fragment_at = here
                fragment_version = 6
            elif kind == LLC and last:
                at = _llc(out, at, plan, words, octets, here, ends[depth])
                done = octets[here] == 0x42
            elif kind == COOKED or kind == COOKED2:
                at = _cooked(out, at, plan, words, octets, here, kind, show)
        at = _pair(out, at, plan, words, octets, pair, pair_at, ports, -1, 0, show)
        if quote_version:
            here, stop = offsets[count] + 0, ends[count] + 0
            at = _quote(out, at, plan, words, ports, show, octets, here, stop, quote_version)
        rest = ends[count] - offsets[count]
        if ends[count] == end:
            rest += wire_end - end
        if outcome <= CUT:
            # Of ICMPv6 messages the type has been named.
            row = plan[CLASSES] + CLASS * (CUT - outcome)
            if plan[row + KIND] != MESSAGE and plan[row + KIND] != ECHO:
                at = word(out, at, words, plan[row + NAME])
            at = word(out, at, words, plan[CUT_MARK])
        elif outcome == UNKNOWN_LINK:
            at = word(out, at, words, plan[LINK_TYPE])
            at = decimal(out, at, link_type)
            out[at] = 32
            at = _len(out, at + 1, plan, words, wire_end - begin)
        elif not done:
            if count:
                at = _next(
                    out, at, tables, plan, words, octets, layers[count - 1], offsets[count - 1]
                )
            length = claim - offsets[count] if network else rest
            if length or not count or plan[plan[CLASSES] + CLASS * layers[count - 1] + NEXT]:
                at = _len(out, at, plan, words, length)
        if fragment_at >= 0:
            at = _fragment(out, at, plan, words, octets, fragment_at, fragment_version)
        if missing > 0:
            at = word(out, at, words, plan[MISSING])
            at = decimal(out, at, missing)
            out[at] = 93
            out[at + 1] = 32
            at += 2
        out[at - 1] = 10  # in place of the last space
        index += 1
    state[POSITION] = at
    return index


def _is_outside(state: Numbers, time: int) -> bool:
    """Tell whether the offset of the local time is not known for a time that is to be shown."""
    form = state[TIME_FORM]
    zoned = form == CLOCK or form == DATE
    return zoned and time != NO_TIME and not state[ZONE_FROM] <= time <= state[ZONE_TO]


def _head(
    out: Numbers,
    at: int,
    words: Octets,
    state: Numbers,
    row: int,
    time: int,
    digits: int,
    label: int,
) -> int:
    """Write what stands before the packet: number, time, name of the interface."""
    if state[SHOW] & NUMBERS:
        number = state[NUMBER] + row
        at = padded(out, at, number, 5, 32) if number < 100_000 else decimal(out, at, number)
        out[at] = 32
        at += 1
    if state[TIME_FORM] != NO_CLOCK:
        at = _time(out, at, state, time, digits)
        out[at] = 32
        at += 1
    return word(out, at, words, label) if label else at


def _time(out: Numbers, at: int, state: Numbers, time: int, digits: int) -> int:
    form = state[TIME_FORM]
    if time == NO_TIME:
        out[at] = 45
        return at + 1
    if form == EPOCH:
        return seconds(out, at, time, digits)
    if form == DELTA or form == SINCE_FIRST:
        if state[FIRST] == NO_TIME:
            state[FIRST] = time
            state[PREVIOUS] = time
        before = state[PREVIOUS] if form == DELTA else state[FIRST]
        state[PREVIOUS] = time
        return clock(out, at, time - before, digits)
    time += state[ZONE]
    if form == DATE:
        at = date(out, at, time // _DAY_NS)
        out[at] = 32
        at += 1
    return clock(out, at, time % _DAY_NS, digits)


def _length(out: Numbers, at: int, plan: Numbers, words: Octets, length: int) -> int:
    at = word(out, at, words, plan[LENGTH])
    at = decimal(out, at, length)
    out[at] = 58
    out[at + 1] = 32
    return at + 2


def _len(out: Numbers, at: int, plan: Numbers, words: Octets, length: int) -> int:
    if length < 0:
        return word(out, at, words, plan[BAD_LENGTH])
    return _number(out, at, plan, words, LEN, length)


def _number(out: Numbers, at: int, plan: Numbers, words: Octets, text: int, number: int) -> int:
    at = word(out, at, words, plan[text])
    at = decimal(out, at, number)
    out[at] = 32
    return at + 1


def _pair(
    out: Numbers,
    at: int,
    plan: Numbers,
    words: Octets,
    octets: Octets,
    pair: int,
    pair_at: int,
    ports: Numbers,
    ports_at: int,
    base: int,
    show: int,
) -> int:
    """Write the addresses that were held back, if there are any: sender and receiver.

    From 0 on, `ports_at` is where their ports are; names of ports are at `base` in `ports`.
    """
    if pair == 0 and ports_at < 0:
        return at
    for side in range(2):
        if side:
            at = word(out, at, words, plan[ARROW])
        if pair == 4:
            at = ipv4(out, at, octets, pair_at + 12 + 4 * side)
        elif pair == 6:
            if ports_at >= 0:
                out[at] = 91
                at += 1
            at = ipv6(out, at, octets, pair_at + 8 + 16 * side)
            if ports_at >= 0:
                out[at] = 93
                at += 1
        elif pair == 1 and ports_at < 0:
            at = mac(out, at, octets, pair_at + 6 - 6 * side)
        if ports_at >= 0:
            if pair > 1:
                out[at] = 58
                at += 1
            port = u16_be(octets, ports_at + 2 * side)
            if show & PORT_NAMES and ports[base + port]:
                at = word(out, at, words, ports[base + port] + 0)
            else:
                at = decimal(out, at, port)
    out[at] = 32
    return at + 1


def _items(
    out: Numbers, at: int, plan: Numbers, words: Octets, octets: Octets, row: int, here: int
) -> int:
    """Write the fields of the header at `here` that its row in the plan lists."""
    item = plan[row + ITEMS]
    for _ in range(plan[row + COUNT]):
        at = word(out, at, words, plan[item])
        form = plan[item + FORM]
        place = here + plan[item + READER]
        if form == MAC:
            at = mac(out, at, octets, place)
        elif form == IPV4_ADDRESS:
            at = ipv4(out, at, octets, place)
        elif form == IPV6_ADDRESS:
            at = ipv6(out, at, octets, place)
        else:
            number = read(plan, item + READER, octets, here)
            names = plan[item + NAMES]
            if names and number < 256 and plan[names + number]:
                at = word(out, at, words, plan[names + number])
            elif form == HEXADECIMAL:
                at = hexadecimal(out, at, number, 2 * plan[item + READER + 1])
            else:
                at = decimal(out, at, number)
        out[at] = 32
        at += 1
        item += ITEM
    return at


def _next(
    out: Numbers,
    at: int,
    tables: Numbers,
    plan: Numbers,
    words: Octets,
    octets: Octets,
    cls: int,
    here: int,
) -> int:
    """Write what the header at `here` announces, where it does so by a known kind of number."""
    what = plan[plan[CLASSES] + CLASS * cls + NEXT]
    if what == 0:
        return at
    number = read(tables, ROWS + ROW * cls + FOLLOWING, octets, here)
    if what == NEXT_PROTOCOL:
        named = plan[plan[PROTOCOLS] + number]
        if named:
            return word(out, at, words, named)
        return _number(out, at, plan, words, PROTOCOL, number)
    if number <= _LONGEST_LENGTH:
        return word(out, at, words, plan[LENGTH_ALONE])
    entry = plan[ETHER_TYPES] + 0
    while plan[entry] >= 0:
        if plan[entry] == number:
            return word(out, at, words, plan[entry + 1])
        entry += 2
    at = hexadecimal(out, at, number, 4)
    out[at] = 32
    return at + 1


def _fragment(
    out: Numbers, at: int, plan: Numbers, words: Octets, octets: Octets, here: int, version: int
) -> int:
    at = word(out, at, words, plan[FRAGMENT_OF])
    if version == 4:
        place = u16_be(octets, here + 6)
        more = place & 0x2000
        offset = (place & 0x1FFF) * 8
        at = decimal(out, at, u16_be(octets, here + 4))
    else:
        place = u16_be(octets, here + 2)
        more = place & 1
        offset = place & 0xFFF8
        at = decimal(out, at, u32_be(octets, here + 4))
    out[at] = 32
    at = _number(out, at + 1, plan, words, OFFSET, offset)
    return word(out, at, words, plan[MORE]) if more else at


def _tcp(
    out: Numbers,
    at: int,
    plan: Numbers,
    words: Octets,
    octets: Octets,
    here: int,
    behind: int,
    claim: int,
) -> int:
    flags = u16_be(octets, here + 12) & 0x1FF
    out[at] = 91
    at += 1
    if flags == 0:
        at = word(out, at, words, plan[NONE])
    for bit in range(9):
        if flags >> bit & 1:
            at = word(out, at, words, plan[FLAGS + bit])
    out[at] = 93
    out[at + 1] = 32
    at = _number(out, at + 2, plan, words, SEQ, u32_be(octets, here + 4))
    ack = u32_be(octets, here + 8)
    if flags & 0x10 or ack:
        at = _number(out, at, plan, words, ACK, ack)
    at = _number(out, at, plan, words, WIN, u16_be(octets, here + 14))
    if flags & 0x20:
        at = _number(out, at, plan, words, URG, u16_be(octets, here + 18))
    size = (octets[here + 12] >> 4) * 4
    if size < 20:
        return word(out, at, words, plan[BAD_LENGTH])
    at = _len(out, at, plan, words, claim - here - size)
    at = _tcp_options(out, at, plan, words, octets, here + 20, behind)
    if here + size > behind:
        at = word(out, at, words, plan[CUT_MARK])
    return at


def _tcp_options(
    out: Numbers, at: int, plan: Numbers, words: Octets, octets: Octets, here: int, behind: int
) -> int:
    """Write the options between `here` and `behind`, RFC 9293 section 3.2; padding is left out."""
    while here < behind:
        option = octets[here] + 0
        if option == 0:
            break
        if option == 1:
            here += 1
            continue
        size = octets[here + 1] + 0 if here + 1 < behind else 0
        if size < 2 or here + size > behind:
            return word(out, at, words, plan[BAD_OPTIONS])
        if option == 2 and size == 4:
            at = _number(out, at, plan, words, MSS, u16_be(octets, here + 2))
        elif option == 3 and size == 3:
            at = _number(out, at, plan, words, WSCALE, octets[here + 2] + 0)
        elif option == 4 and size == 2:
            at = word(out, at, words, plan[SACK_OK])
        elif option == 5 and size >= 10 and size % 8 == 2:
            at = word(out, at, words, plan[SACK])
            for block in range(here + 2, here + size, 8):
                at = decimal(out, at, u32_be(octets, block))
                out[at] = 45
                at = decimal(out, at + 1, u32_be(octets, block + 4))
                out[at] = 32
                at += 1
        elif option == 8 and size == 10:
            at = word(out, at, words, plan[TS])
            at = decimal(out, at, u32_be(octets, here + 2))
            out[at] = 58
            at = decimal(out, at + 1, u32_be(octets, here + 6))
            out[at] = 32
            at += 1
        elif plan[plan[TCP_OPTIONS] + option]:
            at = word(out, at, words, plan[plan[TCP_OPTIONS] + option])
        else:
            at = _number(out, at, plan, words, OPTION, option)
        here += size
    return at


def _named(
    out: Numbers,
    at: int,
    plan: Numbers,
    words: Octets,
    types: int,
    codes: int,
    kind: int,
    code: int,
    alone: bool,
) -> int:
    """Write the name of an ICMP type and code; where `alone`, that of the code says it all."""
    named = 0
    if kind < 64 and code < 32:
        named = plan[plan[codes] + 32 * kind + code] + 0
    if not (named and alone):
        if plan[plan[types] + kind]:
            at = word(out, at, words, plan[plan[types] + kind])
        else:
            at = _number(out, at, plan, words, TYPE, kind)
    if named:
        return word(out, at, words, named)
    return _number(out, at, plan, words, CODE, code) if code else at


def _icmp(
    out: Numbers, at: int, plan: Numbers, words: Octets, octets: Octets, here: int, claim: int
) -> int:
    kind = octets[here] + 0
    code = octets[here + 1] + 0
    alone = kind == 3 or kind == 11
    at = _named(out, at, plan, words, ICMP_TYPES, ICMP_CODES, kind, code, alone)
    if kind == 0 or kind == 8 or 13 <= kind <= 18:
        at = _number(out, at, plan, words, ID, u16_be(octets, here + 4))
        at = _number(out, at, plan, words, SEQ, u16_be(octets, here + 6))
    elif kind == 3 and code == 4:
        at = _number(out, at, plan, words, MTU, u16_be(octets, here + 6))
    elif kind == 5:
        at = word(out, at, words, plan[TO])
        at = ipv4(out, at, octets, here + 4)
        out[at] = 32
        at += 1
    elif kind == 12:
        at = _number(out, at, plan, words, AT, octets[here + 4] + 0)
    if kind == 3 or kind == 4 or kind == 5 or kind == 11 or kind == 12:
        return at
    return _len(out, at, plan, words, claim - here)


def _icmpv6(
    out: Numbers, at: int, plan: Numbers, words: Octets, octets: Octets, here: int, claim: int
) -> int:
    kind = octets[here] + 0
    code = octets[here + 1] + 0
    alone = kind == 1 or kind == 3
    at = _named(out, at, plan, words, ICMPV6_TYPES, ICMPV6_CODES, kind, code, alone)
    # Of the others the message behind tells more.
    return at if kind <= 4 or 128 <= kind <= 137 else _len(out, at, plan, words, claim - here)


def _quote(
    out: Numbers,
    at: int,
    plan: Numbers,
    words: Octets,
    ports: Numbers,
    show: int,
    octets: Octets,
    here: int,
    end: int,
    version: int,
) -> int:
    """Write addresses, ports and protocol of the datagram that an error quotes."""
    size = 20 if version == 4 else 40
    if end - here < size:
        return word(out, at, words, plan[CUT_MARK])
    if octets[here] >> 4 != version:
        return at
    at = word(out, at, words, plan[FOR])
    offset = 0
    if version == 4:
        protocol = octets[here + 9] + 0
        behind = here + max(size, (octets[here] & 15) * 4)
        offset = u16_be(octets, here + 6) & 0x1FFF
    else:
        protocol = octets[here + 6] + 0
        behind = here + size
        # Hop-by-hop options, routing, fragment, destination options: RFC 8200 section 4.
        while behind + 8 <= end and (
            protocol == 0 or protocol == 43 or protocol == 44 or protocol == 60
        ):
            following = octets[behind] + 0
            if protocol == 44:
                offset = u16_be(octets, behind + 2) >> 3
                behind += 8
            else:
                behind += 8 + 8 * octets[behind + 1]
            protocol = following
    known = protocol == 6 or protocol == 17 or protocol == 132 or protocol == 33 or protocol == 136
    if known and offset == 0 and behind + 4 <= end:
        base = 0 if protocol == 6 else _OTHER_PROTOCOL
        at = _pair(out, at, plan, words, octets, version, here, ports, behind, base, show)
    else:
        at = _pair(out, at, plan, words, octets, version, here, ports, -1, 0, show)
    named = plan[plan[PROTOCOLS] + protocol]
    if named:
        return word(out, at, words, named)
    return _number(out, at, plan, words, PROTOCOL, protocol)


def _arp(out: Numbers, at: int, plan: Numbers, words: Octets, octets: Octets, here: int) -> int:
    """Write an ARP message about MAC and IPv4 addresses."""
    operation = u16_be(octets, here + 6)
    sender_mac, sender_ip, target_mac, target_ip = here + 8, here + 14, here + 18, here + 24
    if operation == 1:
        at = word(out, at, words, plan[WHO_HAS])
        at = ipv4(out, at, octets, target_ip)
        out[at] = 32
        at = word(out, at + 1, words, plan[TELL])
        at = ipv4(out, at, octets, sender_ip)
    elif operation == 2:
        at = word(out, at, words, plan[ARP_WORD])
        at = ipv4(out, at, octets, sender_ip)
        out[at] = 32
        at = word(out, at + 1, words, plan[IS_AT])
        at = mac(out, at, octets, sender_mac)
    elif operation == 3:
        at = word(out, at, words, plan[WHO_IS])
        at = mac(out, at, octets, target_mac)
        out[at] = 32
        at = word(out, at + 1, words, plan[TELL])
        at = mac(out, at, octets, sender_mac)
    else:
        at = word(out, at, words, plan[ARP_WORD])
        if operation < 16 and plan[plan[OPERATIONS] + operation]:
            at = word(out, at, words, plan[plan[OPERATIONS] + operation])
        else:
            at = _number(out, at, plan, words, TYPE, operation)
        at = mac(out, at, octets, target_mac)
        out[at] = 32
        at = word(out, at + 1, words, plan[AT])
        at = ipv4(out, at, octets, target_ip)
    out[at] = 32
    return at + 1


def _llc(
    out: Numbers, at: int, plan: Numbers, words: Octets, octets: Octets, here: int, end: int
) -> int:
    """Write what the LLC header at `here` announces; of a spanning tree message also its root."""
    sap = octets[here] + 0
    if sap != 0x42:
        if plan[plan[SAPS] + sap]:
            return word(out, at, words, plan[plan[SAPS] + sap])
        at = word(out, at, words, plan[SAP])
        at = hexadecimal(out, at, sap, 2)
        out[at] = 32
        return at + 1
    at = word(out, at, words, plan[STP])
    here += 3
    if end - here < 4:
        return word(out, at, words, plan[CUT_MARK])
    kind = octets[here + 3] + 0
    if not plan[plan[BPDU_TYPES] + kind]:
        return _number(out, at, plan, words, TYPE, kind)
    at = word(out, at, words, plan[plan[BPDU_TYPES] + kind])
    if kind == 0x80:  # a change of topology says no more, IEEE 802.1D section 9.3.2
        return at
    if end - here < 27:
        return word(out, at, words, plan[CUT_MARK])
    at = word(out, at, words, plan[ROOT])
    at = _bridge(out, at, octets, here + 5)
    at = _number(out, at, plan, words, COST, u32_be(octets, here + 13))
    at = word(out, at, words, plan[BRIDGE])
    at = _bridge(out, at, octets, here + 17)
    at = word(out, at, words, plan[PORT])
    at = hexadecimal(out, at, u16_be(octets, here + 25), 4)
    out[at] = 32
    return at + 1


def _bridge(out: Numbers, at: int, octets: Octets, here: int) -> int:
    """Write a bridge identifier: priority and MAC address."""
    at = decimal(out, at, u16_be(octets, here))
    out[at] = 47
    at = mac(out, at + 1, octets, here + 2)
    out[at] = 32
    return at + 1


def _cooked(
    out: Numbers,
    at: int,
    plan: Numbers,
    words: Octets,
    octets: Octets,
    here: int,
    kind: int,
    show: int,
) -> int:
    """Write interface and direction of a packet captured on all interfaces of Linux."""
    if kind == COOKED:
        direction = u16_be(octets, here)
        length = u16_be(octets, here + 4)
        address = here + 6
    else:
        at = _number(out, at, plan, words, IF, u32_be(octets, here + 4))
        direction = octets[here + 10] + 0
        length = octets[here + 11] + 0
        address = here + 12
    if direction <= 4:
        at = word(out, at, words, plan[DIRECTION + direction])
    else:
        at = _number(out, at, plan, words, TYPE, direction)
    if show & LINK_HEADER and length == 6:
        at = word(out, at, words, plan[FROM])
        at = mac(out, at, octets, address)
        out[at] = 32
        at += 1
    return at

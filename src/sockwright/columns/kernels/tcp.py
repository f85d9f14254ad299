"""Judge the segments of TCP connections: what was sent again, lost, late, or waited for.

The verdicts are named as Wireshark names its ``tcp.analysis`` fields, and follow what its User's
Guide says about them (section 7.5, TCP Analysis); ``docs/analysis.md`` lists where the two differ.
A verdict rests on what was seen before the segment, never on what comes later, so packets can be
judged as they stream by.

Rules
    1. One connection is one place in `state`: `CONNECTION` numbers for both directions together,
       then `HALF` numbers for each direction. A SYN with another number starts a new one, as ports
       are used again; `current` tells the one that a flow is at.
    2. -1 stands for "not seen". Sequence numbers are compared modulo 2**32.
    3. Segments that are not acknowledged yet stand in lists in `pool`, `NODE` numbers each, in the
       order of their ends, so that an acknowledgment takes from the front alone.
    4. Where no room is left in `state` the kernel stops at that row and says so, and the caller
       makes room; where none is left in `pool`, round trips are not measured.
"""

# ruff: noqa: PLR0917  # kernels take arrays by position, and calls cost

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.columns.kernels.groups import IS_TCP, PROTOCOL, SEGMENT
from sockwright.columns.kernels.segments import ACK as ACKNOWLEDGMENT
from sockwright.columns.kernels.segments import FLAGS, LENGTH, SEQ
from sockwright.columns.kernels.segments import SCALE as SHIFT
from sockwright.columns.kernels.segments import WINDOW as ROOM

if TYPE_CHECKING:
    from sockwright.columns.batch import Numbers

__all__ = ["VERDICTS", "judge"]

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

# Verdicts are bits, in this order.
VERDICTS = (
    "retransmission",
    "fast_retransmission",
    "spurious_retransmission",
    "out_of_order",
    "lost_segment",
    "ack_lost_segment",
    "duplicate_ack",
    "zero_window",
    "zero_window_probe",
    "zero_window_probe_ack",
    "window_update",
    "window_full",
    "keep_alive",
    "keep_alive_ack",
    "reused_ports",
)
COUNTED = 15
(
    RETRANSMISSION,
    FAST_RETRANSMISSION,
    SPURIOUS_RETRANSMISSION,
    OUT_OF_ORDER,
    LOST_SEGMENT,
    ACK_LOST_SEGMENT,
    DUPLICATE_ACK,
    ZERO_WINDOW,
    ZERO_WINDOW_PROBE,
    ZERO_WINDOW_PROBE_ACK,
    WINDOW_UPDATE,
    WINDOW_FULL,
    KEEP_ALIVE,
    KEEP_ALIVE_ACK,
    REUSED_PORTS,
) = (1 << bit for bit in range(COUNTED))

# Parts of a connection that were seen.
SAW_SYN, SAW_SYN_ACK, SAW_ACK, SAW_DATA, SAW_FIN, SAW_RST, SAW_BOTH_FINS = 1, 2, 4, 8, 16, 32, 64

# Numbers of a connection.
FLOW, SEEN, SYN_TIME, HANDSHAKE_RTT, FIRST_TIME, LAST_TIME, FIRST_WAY = range(7)
CONNECTION = 7

# Numbers of a direction.
(
    BASE,  # number of the SYN, or one before the first segment
    NEXT,  # the highest number that may come next
    NEXT_TIME,  # when that was reached
    EXPECTED_ACK,  # the highest number up to which there is no hole
    LAST_ACK,
    LAST_ACK_TIME,
    DUPLICATES,  # acknowledgments that repeated the last one
    WINDOW,  # as the header says it
    SCALE,  # of the window: 0 also where both agreed on none; -1 is unknown
    SCALED,  # 0 where the last window was that of a SYN
    LAST_VERDICT,
    SENT_FIN,
    HEAD,  # first and last node of what is not acknowledged
    TAIL,
    OUTSTANDING,  # how many there are
    PACKETS,
    OCTETS,  # of data, on the wire
    RTT_COUNT,
    RTT_SUM,
    RTT_MIN,
    RTT_MAX,
    COUNTS,  # of each verdict
) = range(22)
HALF = COUNTS + COUNTED
WHOLE = CONNECTION + 2 * HALF

# Numbers of a node.
FOLLOWER, END, SENT = range(3)
NODE = 3

# Places in `control`.
CONNECTIONS, MOST_CONNECTIONS, UNTRACKED, FREE, NODES, MOST_NODES = range(6)
CONTROL = 6

MASK, SIGN = 0xFFFF_FFFF, 0x8000_0000
MOST_OUTSTANDING = 10_000  # of one direction: more than a window of 6 MiB in small segments
FAST_NS = 20_000_000  # a fast retransmission follows the last duplicate within 20 ms
LATE_NS = 3_000_000  # a segment is late, not sent again, within 3 ms or a round trip


def judge(
    begin: int,
    flow: Numbers,
    present: Numbers,
    way: Numbers,
    accepted: Numbers,
    time_ns: Numbers,
    segments: Numbers,
    current: Numbers,
    state: Numbers,
    pool: Numbers,
    control: Numbers,
    connection: Numbers,
    verdict: Numbers,
    rtt_ns: Numbers,
) -> int:
    """Judge the segments of a batch from row `begin` on; return the row where it had to stop.

    `flow` (where `present`) and `way` (0 or 1) say whose a segment is, `segments` holds what
    `groups.gather` found. What `accepted` leaves out is as if it were not there; empty, it leaves
    out nothing. `current` has a place for every flow, -1 at first. Results: `connection` (-1 where
    there are too many, and for what is no TCP), `verdict` as bits, `rtt_ns` between the segment
    that this one acknowledges and this one, -1 for none.
    """
    rows = len(flow)
    for row in range(begin, rows):
        slot = SEGMENT * row
        connection[row] = -1
        verdict[row] = 0
        rtt_ns[row] = -1
        if segments[slot + PROTOCOL] != IS_TCP or not present[row]:
            continue
        if len(accepted) and not accepted[row]:
            continue
        bits = segments[slot + FLAGS] + 0
        number = segments[slot + SEQ] + 0
        place = current[flow[row]] + 0
        reused = 0
        if place >= 0 and bits & (SYN | ACK) == SYN:
            base = state[place * WHOLE + CONNECTION + way[row] * HALF + BASE]
            if base >= 0 and base != number:
                reused = REUSED_PORTS
        if place < 0 or reused:
            if control[CONNECTIONS] >= control[MOST_CONNECTIONS]:
                control[UNTRACKED] += 1
                continue
            place = control[CONNECTIONS] + 0
            if (place + 1) * WHOLE > len(state):
                return row
            control[CONNECTIONS] += 1
            current[flow[row]] = place
            open_connection(state, place * WHOLE, flow[row] + 0, time_ns[row] + 0, way[row] + 0)
        connection[row] = place
        at = place * WHOLE
        forth = at + CONNECTION + way[row] * HALF
        back = at + CONNECTION + (1 - way[row]) * HALF
        now = max(time_ns[row] + 0, 0)  # no time is a large negative number
        found = reused | judge_one(
            state,
            at,
            forth,
            back,
            now,
            number,
            segments[slot + ACKNOWLEDGMENT] + 0,
            bits,
            segments[slot + ROOM] + 0,
            segments[slot + LENGTH] + 0,
        )
        rtt_ns[row] = advance(
            state,
            at,
            forth,
            back,
            now,
            number,
            segments[slot + ACKNOWLEDGMENT] + 0,
            bits,
            segments[slot + ROOM] + 0,
            segments[slot + LENGTH] + 0,
            segments[slot + SHIFT] + 0,
            found,
            pool,
            control,
        )
        verdict[row] = found
        bit = 0
        while found:
            if found & 1:
                state[forth + COUNTS + bit] += 1
            found >>= 1
            bit += 1
    return rows


def open_connection(state: Numbers, at: int, flow: int, now: int, way: int) -> None:
    """Begin a connection at `at`."""
    state[at + FLOW] = flow
    state[at + SEEN] = 0
    state[at + SYN_TIME] = -1
    state[at + HANDSHAKE_RTT] = -1
    state[at + FIRST_TIME] = now
    state[at + LAST_TIME] = now
    state[at + FIRST_WAY] = way
    for half in range(at + CONNECTION, at + WHOLE, HALF):
        for place in range(half, half + PACKETS):
            state[place] = -1
        for place in range(half + PACKETS, half + HALF):
            state[place] = 0
        state[half + DUPLICATES] = 0
        state[half + LAST_VERDICT] = 0
        state[half + SENT_FIN] = 0
        state[half + SCALED] = 1
        state[half + OUTSTANDING] = 0


def before(a: int, b: int) -> bool:
    """Return whether the sequence number `a` comes before `b`."""
    return (a - b) & SIGN != 0


def judge_one(
    state: Numbers,
    at: int,
    forth: int,
    back: int,
    now: int,
    number: int,
    ack: int,
    bits: int,
    window: int,
    length: int,
) -> int:
    """Return the verdicts on a segment from direction `forth`, of what was seen before it."""
    following = state[forth + NEXT]
    known = following >= 0
    special = bits & (SYN | FIN | RST)
    repeats = known and number == following and ack == state[forth + LAST_ACK] and not special
    last = state[back + LAST_VERDICT]
    found = 0
    if length == 1 and known and number == following and state[back + WINDOW] == 0:
        found = ZERO_WINDOW_PROBE
    else:
        if window == 0 and not special:
            found |= ZERO_WINDOW
        if known and before(following, number) and not bits & RST:
            found |= LOST_SEGMENT
        if length <= 1 and known and number == (following - 1) & MASK and not special:
            found |= KEEP_ALIVE
        if repeats and length == 0 and window and window != state[forth + WINDOW]:
            found |= WINDOW_UPDATE
        if length > 0 and not special and state[back + SCALE] >= 0 and state[back + LAST_ACK] >= 0:
            room = state[back + WINDOW]
            if state[back + SCALED]:
                room <<= state[back + SCALE]
            if (number + length) & MASK == (state[back + LAST_ACK] + room) & MASK:
                found |= WINDOW_FULL
        same = length == 0 and window == state[forth + WINDOW]
        if repeats and same and window and last & KEEP_ALIVE:
            found |= KEEP_ALIVE_ACK
        elif (
            same
            and window == 0
            and known
            and number == following
            and not special
            and (ack == state[forth + LAST_ACK] or ack == (state[forth + LAST_ACK] + 1) & MASK)
            and last & ZERO_WINDOW_PROBE
        ):
            found |= ZERO_WINDOW_PROBE_ACK
            if ack != state[forth + LAST_ACK]:
                # The receiver took the one octet of the probe, which did not count until now.
                state[back + NEXT] = ack
                state[back + EXPECTED_ACK] = ack
        elif repeats and same and window:
            found |= DUPLICATE_ACK
            state[forth + DUPLICATES] += 1
    if ack != state[forth + LAST_ACK]:
        state[forth + DUPLICATES] = 0
    expected = state[back + EXPECTED_ACK]
    if bits & ACK and expected >= 0 and before(expected, ack):
        if (ack - 1) & MASK == expected and last & ZERO_WINDOW_PROBE:
            state[back + NEXT] = ack
            state[back + EXPECTED_ACK] = ack
        else:
            found |= ACK_LOST_SEGMENT
            state[back + EXPECTED_ACK] = state[back + NEXT]
    if (length > 0 or bits & (SYN | FIN)) and not found & KEEP_ALIVE:
        found |= sent_again(state, at, forth, back, now, number, bits, length)
    return found


def sent_again(
    state: Numbers, at: int, forth: int, back: int, now: int, number: int, bits: int, length: int
) -> int:
    """Return whether the segment was sent again, and why, or came late."""
    following = state[forth + NEXT]
    acknowledged = state[back + LAST_ACK]
    if length > 0 and acknowledged >= 0 and not before(acknowledged, (number + length) & MASK):
        return RETRANSMISSION | SPURIOUS_RETRANSMISSION
    if following < 0 or not before(number, following):
        return 0
    if length > 1 and number == (following - 1) & MASK:
        return 0  # a probe of one octet went before, and this is the octet with its followers
    since = now - state[back + LAST_ACK_TIME]
    if state[back + DUPLICATES] >= 2 and acknowledged == number and 0 <= since < FAST_NS:
        return RETRANSMISSION | FAST_RETRANSMISSION
    late = state[at + HANDSHAKE_RTT]
    if late < 0:
        late = LATE_NS
    since = now - state[forth + NEXT_TIME]
    end = number + length
    if bits & (SYN | FIN):
        end += 1
    if 0 <= since < late and end & MASK != following:
        return OUT_OF_ORDER
    return RETRANSMISSION


def advance(
    state: Numbers,
    at: int,
    forth: int,
    back: int,
    now: int,
    number: int,
    ack: int,
    bits: int,
    window: int,
    length: int,
    scale: int,
    found: int,
    pool: Numbers,
    control: Numbers,
) -> int:
    """Take note of the segment; return the time that passed since what it acknowledges, or -1."""
    state[at + LAST_TIME] = now
    state[forth + PACKETS] += 1
    state[forth + OCTETS] += length
    if state[forth + BASE] < 0:
        state[forth + BASE] = number if bits & SYN else (number - 1) & MASK
    if state[back + BASE] < 0 and bits & ACK:
        state[back + BASE] = (ack - 1) & MASK
    handshake(state, at, forth, back, now, number, ack, bits, length, scale)
    end = (number + length) & MASK
    if length or bits & (SYN | FIN):
        if bits & (SYN | FIN):
            end = (end + 1) & MASK
        if state[forth + OUTSTANDING] < MOST_OUTSTANDING:
            remember(state, forth, end, now, pool, control)
    if not found & ZERO_WINDOW_PROBE:
        if state[forth + NEXT] < 0 or before(state[forth + NEXT], end):
            state[forth + NEXT] = end
            state[forth + NEXT_TIME] = now
        if state[forth + EXPECTED_ACK] < 0 or number == state[forth + EXPECTED_ACK]:
            state[forth + EXPECTED_ACK] = state[forth + NEXT]
    state[forth + WINDOW] = window
    state[forth + SCALED] = 0 if bits & SYN else 1
    state[forth + LAST_ACK] = ack if bits & ACK else -1
    state[forth + LAST_ACK_TIME] = now
    state[forth + LAST_VERDICT] = found
    if not bits & ACK:
        return -1
    rtt = acknowledge(state, back, ack, now, pool, control)
    if rtt >= 0:
        state[back + RTT_SUM] += rtt
        if not state[back + RTT_COUNT] or rtt < state[back + RTT_MIN]:
            state[back + RTT_MIN] = rtt
        state[back + RTT_MAX] = max(state[back + RTT_MAX], rtt)
        state[back + RTT_COUNT] += 1
    return rtt


def handshake(
    state: Numbers,
    at: int,
    forth: int,
    back: int,
    now: int,
    number: int,
    ack: int,
    bits: int,
    length: int,
    scale: int,
) -> None:
    """Take note of the parts of a connection that are seen, and of what its SYNs agree on."""
    seen = 0
    if bits & SYN:
        state[forth + SCALE] = scale
        if bits & ACK:
            seen = SAW_SYN_ACK
            if scale < 0 or state[back + SCALE] < 0:
                # Both have to ask for scaling (RFC 7323 section 2.2).
                state[forth + SCALE] = 0
                state[back + SCALE] = 0
        else:
            seen = SAW_SYN
            state[at + SYN_TIME] = now
    elif bits & ACK and state[at + SYN_TIME] >= 0 and state[at + HANDSHAKE_RTT] < 0:
        # A refusal by RST ends the round trip as well.
        state[at + HANDSHAKE_RTT] = now - state[at + SYN_TIME]
    if bits & (SYN | ACK | RST) == ACK and (
        (state[forth + BASE] + 1) & MASK == number and (state[back + BASE] + 1) & MASK == ack
    ):
        seen |= SAW_ACK
    if length:
        seen |= SAW_DATA
    if bits & FIN:
        seen |= SAW_FIN
        state[forth + SENT_FIN] = 1
        if state[back + SENT_FIN]:
            seen |= SAW_BOTH_FINS
    if bits & RST:
        seen |= SAW_RST
    state[at + SEEN] |= seen


def remember(
    state: Numbers, half: int, end: int, now: int, pool: Numbers, control: Numbers
) -> None:
    """Put a segment that ends before `end` into the list of what is not acknowledged."""
    node = control[FREE] + 0
    if node >= 0:
        control[FREE] = pool[node * NODE + FOLLOWER]
    elif control[NODES] < control[MOST_NODES]:
        node = control[NODES] + 0
        control[NODES] += 1
    else:
        return
    pool[node * NODE + END] = end
    pool[node * NODE + SENT] = now
    state[half + OUTSTANDING] += 1
    tail = state[half + TAIL] + 0
    if tail < 0:
        pool[node * NODE + FOLLOWER] = -1
        state[half + HEAD] = node
        state[half + TAIL] = node
    elif not before(end, pool[tail * NODE + END] + 0):
        pool[node * NODE + FOLLOWER] = -1
        pool[tail * NODE + FOLLOWER] = node
        state[half + TAIL] = node
    else:
        # Sent again: its place is near the front, behind those with the same end.
        previous = -1
        here = state[half + HEAD] + 0
        while not before(end, pool[here * NODE + END] + 0):
            previous = here
            here = pool[here * NODE + FOLLOWER] + 0
        pool[node * NODE + FOLLOWER] = here
        if previous < 0:
            state[half + HEAD] = node
        else:
            pool[previous * NODE + FOLLOWER] = node


def acknowledge(
    state: Numbers, half: int, ack: int, now: int, pool: Numbers, control: Numbers
) -> int:
    """Take what `ack` covers out of the list; return the age of the oldest that ends there."""
    rtt = -1
    node = state[half + HEAD] + 0
    while node >= 0 and not before(ack, pool[node * NODE + END] + 0):
        if rtt < 0 and pool[node * NODE + END] == ack and now >= pool[node * NODE + SENT]:
            rtt = now - pool[node * NODE + SENT]
        follower = pool[node * NODE + FOLLOWER] + 0
        pool[node * NODE + FOLLOWER] = control[FREE]
        control[FREE] = node
        state[half + OUTSTANDING] -= 1
        node = follower
    state[half + HEAD] = node
    if node < 0:
        state[half + TAIL] = -1
    return rtt

"""Reassembly: order, overlaps, gaps, wraps, ends, limits; and any order of segments at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockwright.machines import Data, End, Gap, Segment, StreamHalf, TcpStream, TcpStreams

_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16


def _half(seq: int = 99, **options: int) -> StreamHalf:
    """Return a direction whose first octet has the number `seq` + 1."""
    half = StreamHalf(**options)
    assert half.receive(Segment(seq, _SYN, b"", 0)) == []
    return half


def test_octets_in_order_come_out_at_once_with_their_time() -> None:
    half = _half()
    assert half.receive(Segment(100, _ACK, b"abc", 1)) == [Data(0, 1, 100, b"abc")]
    assert half.receive(Segment(103, _ACK, b"d", 2)) == [Data(0, 2, 103, b"d")]


def test_octets_behind_a_hole_wait_for_it_and_keep_their_own_time() -> None:
    half = _half()
    assert half.receive(Segment(103, _ACK, b"d", 1)) == []
    assert half.pending > 0
    events = half.receive(Segment(100, _ACK, b"abc", 2))
    assert events == [Data(0, 2, 100, b"abc"), Data(0, 1, 103, b"d")]
    assert half.pending == 0


def test_a_retransmission_is_delivered_once() -> None:
    half = _half()
    half.receive(Segment(100, _ACK, b"abc", 1))
    assert half.receive(Segment(100, _ACK, b"abc", 2)) == []
    assert half.receive(Segment(102, _ACK, b"cd", 3)) == [Data(0, 3, 103, b"d")]


def test_the_octets_that_came_first_win() -> None:
    half = _half()
    half.receive(Segment(102, _ACK, b"CD", 1))
    half.receive(Segment(106, _ACK, b"GH", 2))
    events = half.receive(Segment(100, _ACK, b"abcdefghi", 3))
    octets = b"".join(event.octets for event in events if isinstance(event, Data))
    assert octets == b"abCDefGHi"
    assert half.receive(Segment(100, _ACK, b"XXXXXXXXXj", 4)) == [Data(0, 4, 109, b"j")]


def test_numbers_wrap() -> None:
    half = _half(0xFFFF_FFFC)
    assert half.receive(Segment(2, _ACK, b"fg", 1)) == []
    events = half.receive(Segment(0xFFFF_FFFD, _ACK, b"abcde", 2))
    assert events == [Data(0, 2, 0xFFFF_FFFD, b"abcde"), Data(0, 1, 2, b"fg")]
    assert half.receive(Segment(4, _FIN | _ACK, b"", 3)) == [End(0, 3, 4)]


def test_many_turns_of_the_numbers() -> None:
    half = _half(0)
    seq = 1
    for _ in range(20):
        half.receive(Segment(seq, _ACK, b"x", 0, length=1 << 29))
        seq = (seq + (1 << 29)) & 0xFFFF_FFFF
    assert half.receive(Segment(seq, _ACK, b"end", 1)) == [Data(0, 1, seq, b"end")]


def test_data_in_the_syn_follow_its_number() -> None:
    half = StreamHalf(1)
    assert half.receive(Segment(7, _SYN, b"fast", 1)) == [Data(1, 1, 8, b"fast")]


def test_the_end_waits_for_what_is_before_it() -> None:
    half = _half()
    assert half.receive(Segment(103, _FIN | _ACK, b"d", 1)) == []
    events = half.receive(Segment(100, _ACK, b"abc", 2))
    assert events == [Data(0, 2, 100, b"abc"), Data(0, 1, 103, b"d"), End(0, 2, 104)]
    assert half.receive(Segment(103, _FIN | _ACK, b"d", 3)) == []
    assert half.receive(Segment(104, _ACK, b"behind", 4)) == []


def test_a_reset_delivers_what_is_held_back_and_ends() -> None:
    half = _half()
    half.receive(Segment(102, _ACK, b"c", 1))
    events = half.receive(Segment(103, _RST, b"diagnosis", 2))
    assert events == [Gap(0, 2, 100, 2), Data(0, 1, 102, b"c"), End(0, 2, 103, reset=True)]
    assert half.receive(Segment(103, _RST, b"", 3)) == []
    assert half.receive(Segment(103, _ACK, b"d", 4)) == [Data(0, 4, 103, b"d")]


def test_a_capture_may_begin_in_the_middle() -> None:
    half = StreamHalf()
    assert half.receive(Segment(499, _ACK, b"", 0)) == []  # a keep-alive is one short
    assert half.receive(Segment(500, _ACK, b"abc", 1)) == [Data(0, 1, 500, b"abc")]
    assert half.receive(Segment(400, _ACK, b"old", 2)) == []
    assert half.receive(Segment(499, _SYN, b"", 3)) == []  # the SYN, captured late
    assert half.receive(Segment(503, _ACK, b"d", 4)) == [Data(0, 4, 503, b"d")]


def test_ports_that_are_used_again_begin_a_new_connection() -> None:
    half = _half()
    half.receive(Segment(101, _ACK, b"b", 1))
    assert half.receive(Segment(5000, _SYN, b"", 2)) == [
        Gap(0, 2, 100, 1),
        Data(0, 1, 101, b"b"),
        End(0, 2, 102),
    ]
    assert half.receive(Segment(5001, _ACK, b"new", 3)) == [Data(0, 3, 5001, b"new")]


def test_what_the_capture_cut_is_a_gap() -> None:
    half = _half()
    events = half.receive(Segment(100, _ACK, b"ab", 1, length=10))
    assert events == [Data(0, 1, 100, b"ab"), Gap(0, 1, 102, 8)]
    assert half.receive(Segment(110, _ACK, b"k", 2)) == [Data(0, 2, 110, b"k")]


def test_an_acknowledged_hole_is_a_gap() -> None:
    stream = TcpStream()
    stream.receive(0, Segment(99, _SYN, b"", 0, 0))
    stream.receive(1, Segment(499, _SYN | _ACK, b"", 1, 100))
    assert stream.receive(0, Segment(103, _ACK, b"def", 2, 500)) == []
    assert stream.receive(1, Segment(500, _ACK, b"", 3, 103)) == []  # may still be on its way to us
    events = stream.receive(1, Segment(500, _ACK, b"", 4, 106))
    assert events == [Gap(0, 4, 100, 3), Data(0, 2, 103, b"def")]
    assert stream.receive(0, Segment(100, _ACK, b"abc", 5, 500)) == []  # too late
    assert stream.receive(0, Segment(110, _FIN | _ACK, b"", 6, 500)) == []
    assert stream.receive(1, Segment(500, _ACK, b"", 7, 111)) == [Gap(0, 7, 106, 4), End(0, 7, 110)]


def test_numbers_outside_every_window_are_ignored() -> None:
    half = _half()
    assert half.receive(Segment(100 + (1 << 30) + 1, _ACK, b"forged", 1)) == []
    assert half.pending == 0
    assert half.flush(2) == []


def test_flush_delivers_all_that_is_held_back() -> None:
    half = _half()
    half.receive(Segment(102, _ACK, b"c", 1))
    half.receive(Segment(105, _FIN | _ACK, b"f", 2))
    assert half.flush(3) == [
        Gap(0, 3, 100, 2),
        Data(0, 1, 102, b"c"),
        Gap(0, 3, 103, 2),
        Data(0, 2, 105, b"f"),
        End(0, 3, 106),
    ]
    assert half.flush(4) == []


def test_more_than_the_limit_is_not_held_back() -> None:
    half = _half(max_pending=10_000)
    events = []
    for index in range(100):
        events += half.receive(Segment(101 + 1000 * index, _ACK, bytes(999), index))
        assert half.pending <= 10_000
    gaps = [event for event in events if isinstance(event, Gap)]
    assert gaps[0] == Gap(0, 7, 100, 1)
    assert {gap.length for gap in gaps} == {1}


def test_tiny_segments_count_for_what_they_cost() -> None:
    half = _half(max_pending=100_000)
    for index in range(10_000):
        half.receive(Segment(101 + 2 * index, _ACK, b"x", index))
    assert len(half._pieces) < 400


def test_the_stream_that_waits_longest_gives_up_first_when_all_hold_too_much() -> None:
    streams = TcpStreams[str](max_pending_in_all=3000)
    for key in ("a", "b"):
        streams.receive(key, 0, Segment(99, _SYN, b"", 0))
        assert streams.receive(key, 0, Segment(101, _ACK, bytes(1000), 1)) == []
    events = streams.receive("b", 0, Segment(1102, _ACK, bytes(1000), 2))
    assert events == [("a", Gap(0, 2, 100, 1)), ("a", Data(0, 1, 101, bytes(1000)))]
    assert [key for key, _ in streams.flush(3)] == ["b"] * 4
    assert streams.pending == 0


def test_the_quietest_stream_is_forgotten_when_there_are_too_many() -> None:
    streams = TcpStreams[int](max_streams=2)
    for key in range(4):
        streams.receive(key, 0, Segment(99, _SYN, b"", 0))
        streams.receive(key, 0, Segment(101, _ACK, b"b", 1))
        assert len(streams) <= 2
    events = streams.receive(0, 0, Segment(500, _ACK, b"mid", 2))
    assert (0, Data(0, 2, 500, b"mid")) in events


_CONTENT = bytes(range(256)) * 2


@given(
    st.integers(0, 0xFFFF_FFFF),
    st.lists(st.tuples(st.integers(0, 511), st.integers(1, 90)), max_size=60),
)
def test_any_segments_in_any_order_give_each_octet_once_and_every_gap(
    first: int, cuts: list[tuple[int, int]]
) -> None:
    half = _half((first - 1) & 0xFFFF_FFFF)
    events = []
    seen = set[int]()
    for time_ns, (start, length) in enumerate(cuts):
        octets = _CONTENT[start : start + length]
        seen.update(range(start, start + len(octets)))
        events += half.receive(Segment((first + start) & 0xFFFF_FFFF, _ACK, octets, time_ns))
    events += half.flush(None)
    position = 0
    for event in events:
        assert event.seq == (first + position) & 0xFFFF_FFFF
        if isinstance(event, Data):
            assert event.octets == _CONTENT[position : position + len(event.octets)]
            position += len(event.octets)
        elif isinstance(event, Gap):
            assert not seen & set(range(position, position + event.length))
            position += event.length
    assert position == max(seen, default=-1) + 1
    assert half.pending == 0


@pytest.mark.parametrize("seed", range(3))
def test_hostile_segments_stay_within_the_limit(seed: int) -> None:
    from random import Random

    draw = Random(seed)
    streams = TcpStreams[int](max_pending=20_000, max_pending_in_all=50_000, max_streams=20)
    for _ in range(20_000):
        streams.receive(
            draw.randrange(40),
            draw.randrange(2),
            Segment(
                draw.choice([draw.randrange(1 << 32), draw.randrange(100_000)]),
                draw.choice([0, _ACK, _ACK, _ACK, _SYN, _FIN | _ACK, _RST, 63, _SYN | _FIN]),
                bytes(draw.randrange(1500)),
                None,
                draw.randrange(1 << 32),
                draw.choice([-1, -1, draw.randrange(1 << 16)]),
            ),
        )
        assert streams.pending <= 50_000
        assert len(streams) <= 20
    streams.flush(None)
    assert streams.pending == 0

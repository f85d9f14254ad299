"""pcapng: blocks of both byte orders, times of every resolution, and every way a file can lie."""

from __future__ import annotations

import io
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockwright.errors import DecodeError, SockwrightError, TruncatedError
from sockwright.records import (
    InterfaceStatistics,
    PcapWriter,
    Record,
    RecordReader,
    Secrets,
    Section,
    read_records,
)

if TYPE_CHECKING:
    from pathlib import Path

_ORDERS = pytest.mark.parametrize("order", ["<", ">"])


def _block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def _option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def _section(order: str) -> bytes:
    return _block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def _interface(order: str, link_type: int = 1, snaplen: int = 0, options: bytes = b"") -> bytes:
    body = struct.pack(order + "HHI", link_type, 0, snaplen) + options
    return _block(order, 1, body)


def _enhanced(
    order: str, octets: bytes, ticks: int = 0, interface: int = 0, options: bytes = b""
) -> bytes:
    head = struct.pack(
        order + "IIIII", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(octets), 1500
    )
    return _block(order, 6, head + octets + bytes(-len(octets) % 4) + options)


def _read(octets: bytes) -> list[Record]:
    return list(read_records(io.BytesIO(octets)))


def _read_until_error(octets: bytes) -> tuple[list[Record], SockwrightError | None]:
    found: list[Record] = []
    try:
        found.extend(read_records(io.BytesIO(octets)))
    except SockwrightError as error:
        return found, error
    return found, None


@_ORDERS
def test_enhanced_packets_with_name_and_comments(order: str) -> None:
    name = _option(order, 2, b"eth0") + _option(order, 0, b"")
    comments = _option(order, 1, b"seen") + _option(order, 1, "zweimal \u00fc".encode())
    octets = _section(order) + _interface(order, 113, options=name)
    octets += _enhanced(order, b"abcde", 1_700_000_000_000_001, options=comments)
    assert _read(octets) == [
        Record(1_700_000_000_000_001_000, b"abcde", 1500, 113, "eth0", "seen\nzweimal \u00fc")
    ]


@_ORDERS
@pytest.mark.parametrize(
    ("resolution", "ticks", "time_ns"),
    [
        (6, 1_000_001, 1_000_001_000),
        (9, 1_000_000_001, 1_000_000_001),
        (3, 1_001, 1_001_000_000),
        (0, 7, 7_000_000_000),
        (12, 1_500, 1),
        (0x80 | 10, 1536, 1_500_000_000),
        (0x80, 2, 2_000_000_000),
        (0x7F, 5, 0),
    ],
)
def test_resolutions_of_time(order: str, resolution: int, ticks: int, time_ns: int) -> None:
    options = _option(order, 9, bytes([resolution]))
    octets = _section(order) + _interface(order, options=options) + _enhanced(order, b"x", ticks)
    assert [record.time_ns for record in _read(octets)] == [time_ns]


@_ORDERS
@pytest.mark.parametrize("seconds", [3600, -3600])
def test_offset_of_time_counts_seconds_and_may_be_negative(order: str, seconds: int) -> None:
    options = _option(order, 14, struct.pack(order + "q", seconds))
    octets = _section(order) + _interface(order, options=options) + _enhanced(order, b"x", 5)
    assert [record.time_ns for record in _read(octets)] == [seconds * 10**9 + 5000]


@_ORDERS
def test_simple_packets_have_no_time_and_end_at_the_snapshot_length(order: str) -> None:
    octets = _section(order) + _interface(order, snaplen=5)
    octets += _block(order, 3, struct.pack(order + "I", 900) + b"abcde")
    octets += _block(order, 3, struct.pack(order + "I", 2) + b"ab")
    assert _read(octets) == [Record(None, b"abcde", 900), Record(None, b"ab", 2)]


@_ORDERS
def test_obsolete_packet_blocks(order: str) -> None:
    body = struct.pack(order + "HHIIII", 1, 9, 0, 3_000_000, 3, 4) + b"abc\0"
    octets = _section(order) + _interface(order) + _interface(order, 101) + _block(order, 2, body)
    record = Record(3_000_000_000, b"abc", 4, 101, interface_number=1, dropped=9)
    assert _read(octets) == [record]


def test_sections_have_byte_order_and_interfaces_of_their_own() -> None:
    octets = _section("<") + _interface("<", 1) + _interface("<", 113)
    octets += _enhanced("<", b"a", interface=1)
    octets += _section(">") + _interface(">", 101) + _enhanced(">", b"b")
    assert [record.link_type for record in _read(octets)] == [113, 101]
    found, error = _read_until_error(octets + _enhanced(">", b"c", interface=1))
    assert len(found) == 2
    assert "it is of interface 1, and 1 are described" in str(error)


@_ORDERS
def test_other_blocks_are_passed_over(order: str) -> None:
    strange = _block(order, 0xBAD, bytes(200_000)) + _block(order, 5, b"") + _block(order, 4, b"n")
    octets = _section(order) + strange + _interface(order) + strange + _enhanced(order, b"a")
    assert [record.octets for record in _read(octets + strange)] == [b"a"]


@_ORDERS
def test_options_with_a_lying_length_do_not_cost_the_packet(order: str) -> None:
    lie = struct.pack(order + "HH", 1, 60_000) + b"xxxx"
    octets = _section(order) + _interface(order, options=lie) + _enhanced(order, b"a", options=lie)
    assert [record.octets for record in _read(octets)] == [b"a"]


@_ORDERS
def test_cut_anywhere_delivers_whole_records_then_says_where(order: str) -> None:
    parts = [_section(order), _interface(order), _enhanced(order, b"abc"), _block(order, 77, b"?")]
    parts += [_enhanced(order, b"defgh"), _names(order, (1, b"1234name")), _block(order, 10, b"")]
    octets = b"".join(parts)
    ends = [sum(map(len, parts[:count])) for count in range(1, len(parts) + 1)]
    for size in range(len(octets)):
        found, error = _read_until_error(octets[:size])
        assert len(found) == (size >= ends[2]) + (size >= ends[4])
        if size in ends:
            assert error is None
        else:
            assert isinstance(error, TruncatedError)
            assert error.offset == max(end for end in [0, *ends] if end <= size)
            assert error.available == size - error.offset
            if size > ends[0]:
                assert f"after {len(found)} records" in str(error)


@_ORDERS
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda o: struct.pack(o + "II", 6, 8), "a block length of 8 octets"),
        (lambda o: struct.pack(o + "II", 6, 33) + bytes(25), "a block length of 33 octets"),
        (lambda o: struct.pack(o + "II", 6, 1 << 30), "over the limit of 16777216"),
        (lambda o: struct.pack(o + "II", 77, 1 << 30), "over the limit of 16777216"),
        (lambda o: struct.pack(o + "III", 77, 12, 16), "its length is 12 at its start and 16"),
        (lambda o: _block(o, 6, struct.pack(o + "IIIII", 0, 0, 0, 9, 9) + b"abcd"), "9 octets of"),
        (lambda o: _block(o, 6, struct.pack(o + "IIIII", 0, 0, 0, 1 << 31, 9)), "the limit of 262"),
        (lambda o: _block(o, 6, b"abcd"), "20 octets are needed, 4 are there"),
        (lambda o: _block(o, 3, struct.pack(o + "I", 9) + b"abcd"), "9 octets of packet, 4 are"),
        (lambda o: _block(o, 3, struct.pack(o + "I", 1 << 31)), "over the limit of 262144"),
        (lambda o: _block(o, 1, b"abcd"), "8 octets are needed"),
        (lambda o: struct.pack(o + "III", 0x0A0D0D0A, 28, 0x12345678), "the byte-order magic is"),
        (lambda o: struct.pack(o + "III", 0x0A0D0D0A, 24, 0x1A2B3C4D), "28 is the least"),
        (lambda o: struct.pack(o + "III", 0x0A0D0D0A, 2 << 20, 0x1A2B3C4D), "the limit of 1048576"),
        (
            lambda o: _block(o, 0x0A0D0D0A, struct.pack(o + "IHHq", 0x1A2B3C4D, 2, 0, -1)),
            "version 2.0",
        ),
    ],
)
def test_lies_end_the_reading_with_the_octet_and_the_record(
    order: str, bad: object, message: str
) -> None:
    assert callable(bad)
    start = _section(order) + _interface(order) + _enhanced(order, b"abc")
    found, error = _read_until_error(start + bad(order))
    assert [record.octets for record in found] == [b"abc"]
    assert isinstance(error, DecodeError)
    assert error.offset == len(start)
    assert f"pcapng at octet {len(start)}: the block after 1 records" in str(error)
    assert message in str(error)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=12))
def test_octets_changed_at_random_raise_nothing_else(place: int, octets: bytes) -> None:
    whole = _section("<") + _interface("<") + _enhanced("<", b"abc") + _enhanced("<", b"defgh")
    place %= len(whole)
    _read_until_error(whole[:place] + octets + whole[place + len(octets) :])


@pytest.mark.needs("editcap")
def test_reads_what_editcap_converted(tmp_path: Path) -> None:
    records = [Record(1_700_000_000_123_456_789 + n, bytes(20 + n), 1500) for n in range(9)]
    pcap, pcapng = tmp_path / "in.pcap", tmp_path / "out.pcapng"
    with pcap.open("wb") as file:
        writer = PcapWriter(file)
        for record in records:
            writer.write(record)
    command = ["editcap", "-F", "pcapng", "-a", "3:third", str(pcap), str(pcapng)]
    subprocess.run(command, capture_output=True, check=True)
    with pcapng.open("rb") as file:
        found = list(read_records(file))
    assert [(r.time_ns, r.octets, r.original_length) for r in found] == [
        (r.time_ns, r.octets, r.original_length) for r in records
    ]
    assert [r.comment for r in found] == [None, None, "third", *[None] * 6]


# What is not packets


def _names(order: str, *records: tuple[int, bytes]) -> bytes:
    return _block(order, 4, b"".join(_option(order, *one) for one in (*records, (0, b""))))


def _reader(octets: bytes) -> RecordReader:
    reader = read_records(io.BytesIO(octets))
    for _ in reader:
        pass
    return reader


@_ORDERS
def test_names_of_addresses_are_gathered(order: str) -> None:
    octets = _section(order) + _names(
        order,
        (1, bytes((10, 0, 0, 1)) + b"one\0uno\0"),
        (2, bytes(15) + b"\1local\0"),
        (1, b"abc"),
        (77, b"of a kind that is not known"),
    )
    octets += _names(order, (1, bytes((10, 0, 0, 1)) + b"uno\0eins"))
    assert _reader(octets).names == {"10.0.0.1": ("one", "uno", "eins"), "::1": ("local",)}


@_ORDERS
def test_statistics_of_interfaces_are_timed_by_their_resolution(order: str) -> None:
    options = _option(order, 9, b"\x03") + _option(order, 14, struct.pack(order + "q", 2))
    counted = struct.pack(order + "III", 1, 0, 5000)
    counted += _option(order, 1, b"why") + _option(order, 2, struct.pack(order + "II", 0, 7))
    counted += _option(order, 4, struct.pack(order + "Q", 1 << 40))
    counted += _option(order, 5, b"no number") + _option(order, 8, struct.pack(order + "Q", 3))
    octets = _section(order) + _interface(order) + _interface(order, options=options)
    octets += _block(order, 5, counted)
    octets += _block(order, 5, struct.pack(order + "III", 2, 0, 0)) + _block(order, 5, b"abcd")
    octets += _enhanced(order, b"still read")
    reader = _reader(octets)
    assert reader.statistics == (
        InterfaceStatistics(
            1, 7_000_000_000, 2_007_000_000, received=1 << 40, delivered=3, comment="why"
        ),
    )
    assert reader.comments == ("why",)
    assert reader.count == 1


@_ORDERS
def test_secrets_are_kept_as_they_are(order: str) -> None:
    body = struct.pack(order + "II", 0x544C534B, 5) + b"a key" + bytes(3)
    lying = struct.pack(order + "II", 1, 1 << 31) + b"what is there"
    octets = _section(order) + _block(order, 10, body) + _block(order, 10, lying)
    reader = _reader(octets + _block(order, 10, b"") + _interface(order))
    assert reader.secrets == (Secrets(0x544C534B, b"a key"), Secrets(1, b"what is there\0\0\0"))
    assert "key" not in repr(reader.secrets)


@_ORDERS
def test_sections_and_interfaces_tell_of_themselves(order: str) -> None:
    texts = b"".join(_option(order, code, f"text {code}".encode()) for code in (1, 2, 3, 4))
    head = struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)
    options = b"".join(_option(order, code, f"text {code}".encode()) for code in (1, 2, 3, 12, 15))
    options += _option(order, 4, bytes((10, 0, 0, 1, 255, 0, 0, 0)))
    options += _option(order, 5, bytes(15) + b"\1\x40") + _option(order, 6, bytes(6))
    options += _option(order, 8, struct.pack(order + "Q", 10**10))
    options += _option(order, 11, b"\1compiled") + _option(order, 11, b"\0tcp")
    reader = _reader(_block(order, 0x0A0D0D0A, head + texts) + _interface(order, 1, 96, options))
    name = "little" if order == "<" else "big"
    assert reader.sections == (Section(0, name, "text 2", "text 3", "text 4", "text 1"),)
    (interface,) = reader.interfaces
    assert interface.link_type == 1
    assert interface.snaplen == 96
    assert (interface.name, interface.description) == ("text 2", "text 3")
    assert (interface.os, interface.hardware) == ("text 12", "text 15")
    assert interface.addresses == ("10.0.0.1/255.0.0.0", "::1/64", "00:00:00:00:00:00")
    assert (interface.speed, interface.filter) == (10**10, "tcp")
    assert reader.comments == ("text 1", "text 1")


@_ORDERS
def test_packets_keep_direction_and_drops(order: str) -> None:
    options = _option(order, 2, struct.pack(order + "I", 0x0001_0002))
    options += _option(order, 4, struct.pack(order + "Q", 1 << 33))
    octets = _section(order) + _interface(order) + _enhanced(order, b"a", options=options)
    octets += _enhanced(order, b"b", options=_option(order, 2, b"xy")) + _enhanced(order, b"c")
    found = _read(octets)
    assert [(one.flags, one.direction, one.dropped) for one in found] == [
        (0x0001_0002, "out", 1 << 33),
        (None, "", None),
        (None, "", None),
    ]


def test_interfaces_are_numbered_through_all_sections() -> None:
    octets = _section("<") + _interface("<") + _interface("<", 113) + _enhanced("<", b"a", 0, 1)
    octets += _section(">") + _interface(">", 101) + _enhanced(">", b"b")
    reader = read_records(io.BytesIO(octets))
    assert (reader.link_types, len(reader.sections)) == ((), 1)
    assert next(reader).interface_number == 1
    assert reader.link_types == (1, 113)
    assert next(reader).interface_number == 2
    assert [(one.number, one.section) for one in reader.interfaces] == [(0, 0), (1, 0), (2, 1)]


@_ORDERS
def test_what_is_not_packets_takes_bounded_memory(order: str) -> None:
    # 64 MiB are the limit, and each block counts 512 octets more than it has.
    interface = _interface(order)
    octets = _section(order) + interface * ((64 << 20) // 520 - 1)
    octets += _enhanced(order, b"whole")
    assert _reader(octets).count == 1
    found, error = _read_until_error(octets + interface * 2)
    assert len(found) == 1
    assert "the block after 1 records: names, statistics and the like take more than" in str(error)


def test_many_names_and_options_take_bounded_memory_too() -> None:
    names = _names("<", *[(1, b"1234" + b"a\0" * 30_000)] * 4)
    _, error = _read_until_error(_section("<") + names * 2)
    assert "take more than" in str(error)
    octets = _section("<") + _interface("<")
    octets += _enhanced("<", b"a", options=_option("<", 1, b"x") * 100_000)
    (record,) = _read(octets)
    assert record.comment == "\n".join("x" * 1000)


@st.composite
def _any_block(draw: st.DrawFn) -> bytes:
    """A block of any type, of which lengths may lie."""
    order = draw(st.sampled_from("<>"))
    kind = draw(st.sampled_from([1, 2, 3, 4, 5, 6, 10, 0xBAD, 0x0A0D0D0A, 99]))
    body = draw(st.binary(max_size=60))
    if kind == 0x0A0D0D0A:
        body = struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + body
    for _ in range(draw(st.integers(0, 3))):
        body += bytes(-len(body) % 4)
        body += _option(order, draw(st.integers(0, 16)), draw(st.binary(max_size=20)))
    block = bytearray(_block(order, kind, body))
    if draw(st.booleans()) and draw(st.booleans()):
        place = draw(st.integers(0, len(block) // 4 - 1)) * 4
        value = draw(st.sampled_from([0, 1, 4, 12, 16, 0x7FFFFFFF, 0xFFFFFFFF]))
        block[place : place + 4] = struct.pack(order + "I", value)
    return bytes(block)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from("<>"), st.lists(_any_block(), max_size=6))
def test_any_blocks_end_in_records_or_a_clear_error(order: str, blocks: list[bytes]) -> None:
    start = _section(order) + _interface(order) + _enhanced(order, b"abc")
    octets = start + b"".join(blocks)
    found, error = _read_until_error(octets)
    assert found[0].octets == b"abc"
    if error is not None:
        assert isinstance(error, DecodeError)
        assert len(start) <= error.offset <= len(octets)
        assert f"after {len(found)} records" in str(error)

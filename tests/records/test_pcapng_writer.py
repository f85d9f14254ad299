"""Written pcapng: it comes back as it was, and tcpdump, tshark, capinfos and editcap agree."""

from __future__ import annotations

import io
import json
import re
import subprocess
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockwright.records import (
    Interface,
    InterfaceStatistics,
    PcapngWriter,
    Record,
    RecordReader,
    Secrets,
    Section,
    read_records,
)
from sockwright.wire import UDP, Ethernet, IPv4

if TYPE_CHECKING:
    from pathlib import Path

_ORDERS = pytest.mark.parametrize("byte_order", ["little", "big"])
_TIME = 1_700_000_000_123_456_789
_PACKET = bytes(
    Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2") / UDP(src_port=9, dst_port=53) / b"data"
)
_ETH0 = Interface(
    0,
    1,
    65_535,
    "eth0",
    "the first",
    1_000_000_000,
    0,
    "tcp port 80",
    "a card",
    "an OS",
    "zwölf",
    10**9,
    ("10.0.0.1/255.255.255.0", "2001:db8::1/64", "02:00:00:00:00:01"),
)
_TUN0 = Interface(1, 101, 0, "tun0", ticks_per_second=1_000_000_000)
_RECORDS = [
    Record(_TIME, _PACKET, 1500, 1, "eth0", "hello\nthere", 0, 1),
    Record(_TIME + 1, _PACKET[14:], 1500, 101, "tun0", None, 1, 2, 5),
    Record(_TIME + 2, _PACKET, len(_PACKET), 1, "eth0", None, 0, None, None),
    Record(_TIME - 1, b"", 0, 101, "tun0", "", 1),
]
_COUNTED = InterfaceStatistics(
    1, _TIME + 9, _TIME, _TIME + 8, 100, 3, 97, 2, 95, "counted to the end"
)
_NAMES = {"10.0.0.1": ("one", "uno"), "2001:db8::1": ("one.example",)}
_SECRETS = Secrets(0x544C534B, b"CLIENT_RANDOM 00 11\n")


def _full(byte_order: Literal["little", "big"] = "little") -> bytes:
    file = io.BytesIO()
    writer = PcapngWriter(
        file, hardware="PDP-11", os="V7", comment="all of it", byte_order=byte_order
    )
    assert writer.add_interface(_ETH0) == 0
    assert writer.add_interface(_TUN0) == 1
    writer.write_secrets(_SECRETS)
    writer.write_names(_NAMES)
    for record in _RECORDS:
        writer.write(record)
    writer.write_statistics(_COUNTED)
    return file.getvalue()


def _check_full(reader: RecordReader, byte_order: str) -> None:
    assert list(reader) == _RECORDS
    assert reader.sections == (Section(0, byte_order, "PDP-11", "V7", "Sockwright", "all of it"),)
    assert reader.interfaces == (_ETH0, _TUN0)
    assert reader.link_types == (1, 101)
    assert reader.comments == ("all of it", "zwölf", "counted to the end")
    assert reader.names == _NAMES
    assert reader.secrets == (_SECRETS,)
    assert reader.statistics == (_COUNTED,)


@_ORDERS
def test_all_that_is_written_comes_back(byte_order: Literal["little", "big"]) -> None:
    octets = _full(byte_order)
    reader = read_records(io.BytesIO(octets))
    assert reader.format == "pcapng"
    _check_full(reader, byte_order)
    assert reader.offset == len(octets)


def test_a_copy_carries_over_what_is_not_packets() -> None:
    reader = read_records(io.BytesIO(_full()))
    file = io.BytesIO()
    writer = PcapngWriter(file, hardware="PDP-11", os="V7", comment="all of it")
    for record in reader:
        writer.carry_over(reader.contents)
        writer.write(record)
    writer.carry_over(reader.contents)
    assert file.getvalue() == _full()
    _check_full(read_records(io.BytesIO(file.getvalue())), "little")


def test_a_copy_of_two_sections_keeps_their_interfaces_apart() -> None:
    reader = read_records(io.BytesIO(_full("big") + _full("little")))
    file = io.BytesIO()
    writer = PcapngWriter(file)
    for record in reader:
        writer.carry_over(reader.contents)
        writer.write(record)
    writer.carry_over(reader.contents)
    copy = read_records(io.BytesIO(file.getvalue()))
    assert [record.interface_number for record in copy] == [0, 1, 0, 1, 2, 3, 2, 3]
    assert [one.name for one in copy.interfaces] == ["eth0", "tun0"] * 2
    assert [one.interface_number for one in copy.statistics] == [1, 3]
    assert copy.secrets == (_SECRETS, _SECRETS)


def test_interfaces_are_described_when_their_first_record_comes() -> None:
    file = io.BytesIO()
    writer = PcapngWriter(file, snaplen=5)
    for record in (*_RECORDS, *_RECORDS):
        writer.write(record)
    reader = read_records(io.BytesIO(file.getvalue()))
    assert [(r.interface, r.link_type, r.octets) for r in reader] == [
        (r.interface, r.link_type, r.octets[:5]) for r in (*_RECORDS, *_RECORDS)
    ]
    assert [(one.name, one.snaplen) for one in reader.interfaces] == [("eth0", 5), ("tun0", 5)]
    assert len(writer.interfaces) == 2


def test_a_record_without_a_time_stays_without_where_the_format_can_say_so() -> None:
    records = [Record(None, b"abc", 3), Record(None, b"a", 9), Record(None, b"abc", 3, comment="")]
    file = io.BytesIO()
    writer = PcapngWriter(file)
    for record in records:
        writer.write(record)
    found = list(read_records(io.BytesIO(file.getvalue())))
    assert [record.time_ns for record in found] == [None, 0, 0]
    assert [record.octets for record in found] == [record.octets for record in records]


def test_microseconds_are_written_as_such() -> None:
    file = io.BytesIO()
    PcapngWriter(file, nanoseconds=False).write(_RECORDS[0])
    reader = read_records(io.BytesIO(file.getvalue()))
    assert [record.time_ns for record in reader] == [_TIME - 789]
    assert reader.interfaces[0].ticks_per_second == 1_000_000


def test_what_the_format_cannot_say_is_refused() -> None:
    file = io.BytesIO()
    writer = PcapngWriter(file)
    writer.add_interface(Interface())
    size = len(file.getvalue())
    with pytest.raises(ValueError, match="before 1970 or takes over 64 bits"):
        writer.write(Record(-1, b"", 0))
    with pytest.raises(ValueError, match="before 1970 or takes over 64 bits"):
        writer.write(Record(1 << 64, b"", 0))
    with pytest.raises(ValueError, match="original length -1 is outside 32 bits"):
        writer.write(Record(0, b"", -1))
    with pytest.raises(ValueError, match="link type 65536 is outside"):
        writer.add_interface(Interface(link_type=65_536))
    with pytest.raises(ValueError, match="interface 1 was not described"):
        writer.write_statistics(InterfaceStatistics(1))
    with pytest.raises(ValueError, match="nonsense"):
        writer.write_names({"nonsense": ["x"]})
    with pytest.raises(ValueError, match="snapshot length 262145"):
        PcapngWriter(file, snaplen=262_145)
    assert len(file.getvalue()) == size


def test_texts_are_cut_to_what_the_format_holds() -> None:
    file = io.BytesIO()
    writer = PcapngWriter(file)
    writer.write(Record(0, b"", 0, comment="x" + "ü" * 40_000))
    names = [str(number) * 1000 for number in range(100)]
    writer.write_names({"10.0.0.1": names, "::1": ["x" * 70_000]})
    writer.write_names(_many_addresses())
    reader = read_records(io.BytesIO(file.getvalue()))
    assert next(reader).comment == "x" + "ü" * 32_767
    assert list(reader) == []
    assert reader.names == {"10.0.0.1": tuple(names), "::1": ("x" * 65_518,)} | _many_addresses()


def _many_addresses() -> dict[str, tuple[str, ...]]:
    return {f"10.1.0.{number}": ("name",) for number in range(200)}


_TEXT = st.none() | st.text(max_size=9).filter(lambda text: not text.endswith("\0"))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.builds(
            Record,
            st.integers(0, (1 << 64) - 1),
            st.binary(max_size=40),
            st.integers(0, 0xFFFF_FFFF),
            st.sampled_from([1, 101, 113, 276]),
            st.sampled_from([None, "a", "ä"]),
            _TEXT,
            st.just(0),
            st.none() | st.integers(0, 0xFFFF_FFFF),
            st.none() | st.integers(0, (1 << 64) - 1),
        ),
        max_size=6,
    ),
    st.sampled_from(["little", "big"]),
)
def test_any_records_come_back(records: list[Record], byte_order: Literal["little", "big"]) -> None:
    file = io.BytesIO()
    writer = PcapngWriter(file, byte_order=byte_order)
    for record in records:
        writer.write(record)
    found = list(read_records(io.BytesIO(file.getvalue())))
    known: list[tuple[int, str | None]] = []
    for record in records:
        key = (record.link_type, record.interface)
        if key not in known:
            known.append(key)
        record.interface_number = known.index(key)
    assert found == records


def _tshark(path: Path, *fields: str) -> list[list[str]]:
    words = [word for field in fields for word in ("-e", field)]
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


@_ORDERS
@pytest.mark.needs("tshark", "capinfos", "tcpdump", "editcap")
def test_peers_read_what_was_written(tmp_path: Path, byte_order: Literal["little", "big"]) -> None:
    path, again, flat = tmp_path / "out", tmp_path / "again", tmp_path / "flat"
    path.write_bytes(_full(byte_order))
    rows = _tshark(
        path,
        "frame.time_epoch",
        "frame.len",
        "frame.cap_len",
        "frame.interface_name",
        "frame.interface_description",
        "frame.packet_flags_direction",
        "frame.drop_count",
        "udp.dstport",
    )
    size = str(len(_PACKET))
    assert rows == [
        ["1700000000.123456789", "1500", size, "eth0", "the first", "0x00000001", "", "53"],
        [
            "1700000000.123456790",
            "1500",
            str(len(_PACKET) - 14),
            "tun0",
            "",
            "0x00000002",
            "5",
            "53",
        ],
        ["1700000000.123456791", size, size, "eth0", "the first", "", "", "53"],
        ["1700000000.123456788", "0", "0", "tun0", "", "", "", ""],
    ]
    shown = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-T", "json", "-j", "frame pkt_comment", "-c", "1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "hello" in json.dumps(json.loads(shown.stdout))
    told = subprocess.run(
        ["capinfos", str(path)], capture_output=True, text=True, check=True
    ).stdout
    for text in (
        "PDP-11",
        "V7",
        "Sockwright",
        "all of it",
        "tun0",
        "tcp port 80",
        "an OS",
        "zwölf",
    ):
        assert text in told
    for pattern in (
        r"Number of packets: +4\n",
        r"Number of resolved IPv4 addresses in file: 2\n",
        r"Number of resolved IPv6 addresses in file: 1\n",
        r"Number of decryption secrets in file: 1\n",
        r"Number of stat entries = 1\n",
    ):
        assert re.search(pattern, told), pattern
    named = subprocess.run(
        ["tshark", "-N", "n", "-r", str(path), "-T", "fields", "-e", "ip.src_host", "-c", "1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert named.stdout.strip() in _NAMES["10.0.0.1"]
    # Two link types in one file are more than tcpdump takes.
    one = tmp_path / "one"
    with one.open("wb") as file:
        writer = PcapngWriter(file, byte_order=byte_order)
        for record in _RECORDS[::2]:
            writer.write(record)
    lines = subprocess.run(
        ["tcpdump", "-tt", "-nn", "--time-stamp-precision=nano", "-r", str(one)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "1700000000.123456789",
        "1700000000.123456791",
    ]
    # What editcap makes of it is the same again, but for its own name.
    subprocess.run(["editcap", str(path), str(again)], check=True, capture_output=True)
    with again.open("rb") as opened:
        reader = read_records(opened)
        found = list(reader)
    for record in (*found, *_RECORDS):
        record.comment = record.comment or None
    assert found == _RECORDS
    assert [(one.name, one.description) for one in reader.interfaces] == [
        ("eth0", "the first"),
        ("tun0", None),
    ]
    assert reader.secrets == (_SECRETS,)
    subprocess.run(["editcap", "-F", "nsecpcap", str(one), str(flat)], check=True)
    with flat.open("rb") as opened:
        assert [(r.time_ns, r.octets) for r in read_records(opened)] == [
            (r.time_ns, r.octets) for r in _RECORDS[::2]
        ]

"""Columns as Arrow: names, types, nulls, shared memory; and what is said without pyarrow."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from sockwright.columns import open_capture
from sockwright.columns.arrow import arrow_name, arrow_type, empty_table, table_of
from sockwright.columns.fields import fields
from sockwright.columns.filling import columns_of
from sockwright.columns.pieces import columns_by_pieces
from sockwright.columns.selecting import Selector
from sockwright.columns.sql import column_names
from sockwright.errors import TruncatedError
from sockwright.records import PcapWriter, Record
from sockwright.wire import ARP, TCP, UDP, VLAN, Ethernet, IPv4, IPv6

if TYPE_CHECKING:
    from pathlib import Path

_PACKETS = (
    Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    / IPv4(src="10.0.0.1", dst="192.0.2.1")
    / TCP(src_port=1000, dst_port=80, seq=4_000_000_000, flags="SA"),
    Ethernet() / VLAN(vid=7) / IPv6(src="fe80::1", dst="::2") / UDP(src_port=5, dst_port=53) / b"x",
    Ethernet() / ARP(),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A capture of three packets, of different layers."""
    path = tmp_path / "x.pcap"
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for number, packet in enumerate(_PACKETS):
            octets = bytes(packet)
            writer.write(Record(10**18 + number, octets, len(octets)))
    return path


def _table(path: Path, *names: str) -> Any:
    with open_capture(path) as capture:
        return table_of(columns_of(capture, names))


def test_each_type_of_field_has_its_values_and_nulls(path: Path) -> None:
    names: tuple[str, ...] = (
        "frame.number",
        "frame.time_ns",
        "ethernet.src",
        "vlan.vid",
        "ip.version",
        "ipv4.src",
    )
    names += ("ipv6.src", "tcp.seq", "tcp.flags", "udp.dst_port", "frame.protocols", "flow.id")
    table = _table(path, *names, "ipv4.checksum_ok", "frame.interface")
    assert table.column_names[:6] == [arrow_name(name) for name in names[:6]]
    rows = table.to_pylist()
    assert rows[0] == {
        "frame_number": 1,
        "frame_time_ns": 10**18,
        "ethernet_src": "02:00:00:00:00:01",
        "vlan_vid": None,
        "ip_version": 4,
        "ipv4_src": "10.0.0.1",
        "ipv6_src": None,
        "tcp_seq": 4_000_000_000,
        "tcp_flags": 0x12,
        "udp_dst_port": None,
        "frame_protocols": "ethernet:ipv4:tcp",
        "flow_id": 0,
        "ipv4_checksum_ok": True,
        "frame_interface": None,
    }
    assert (rows[1]["vlan_vid"], rows[1]["ipv6_src"]) == (7, "fe80::1")
    assert rows[2]["flow_id"] is None
    assert rows[2]["frame_protocols"] == "ethernet:arp"


def test_the_schema_is_known_without_a_packet(path: Path) -> None:
    names = list(column_names().values())
    with open_capture(path) as capture:
        full = table_of(columns_of(capture, names))
    empty = empty_table(names)
    assert empty.column_names == full.column_names
    for promised, given in zip(empty.schema, full.schema, strict=True):
        assert promised.type == given.type, promised.name


def test_every_field_has_a_name_of_its_own() -> None:
    names = [arrow_name(f"{inner}{info.name}") for info in fields() for inner in ("", "inner.")]
    assert len(names) == len(set(names))
    assert all(name.isidentifier() for name in names)


def test_every_type_has_one_in_arrow() -> None:
    for info in fields():
        assert arrow_type(info) is not None


def test_numbers_are_not_copied(path: Path) -> None:
    with open_capture(path) as capture:
        columns = columns_of(capture, ["tcp.seq", "tcp.dst_port"])
    table = table_of(columns)
    for name in ("tcp.seq", "tcp.dst_port"):
        (chunk,) = table.column(arrow_name(name)).chunks
        assert chunk.buffers()[1].address == columns[name].ctypes.data


def test_the_stream_of_the_interface_is_the_table(path: Path) -> None:
    with open_capture(path) as capture:
        columns = columns_of(capture, ["ipv4.src", "tcp.dst_port"])
    read = pa.RecordBatchReader.from_stream(columns).read_all()
    assert read.to_pylist() == table_of(columns).to_pylist()


def test_an_empty_capture_has_columns_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    with path.open("wb") as file:
        PcapWriter(file)
    assert _table(path, "tcp.dst_port", "ipv6.src", "ethernet.src").num_rows == 0


def test_captures_of_strangers_are_the_same_as_text(captures: Path) -> None:
    names = ("ethernet.src", "ipv4.src", "ipv6.dst", "tcp.dst_port", "frame.protocols", "vlan.vid")
    compared = 0
    for path in sorted(captures.rglob("*.pcap*"))[::25]:
        try:
            with open_capture(path) as capture:
                columns = columns_of(capture, names)
        except ValueError:
            continue
        table = table_of(columns)
        for name in names:
            ours = [
                "" if value is None else str(value) for value in table[arrow_name(name)].to_pylist()
            ]
            texts = columns.texts(name)
            if name == "ipv6.dst":
                texts = [str(IPv6Address(text)) if text else "" for text in texts]
            assert ours == texts, f"{path.name} {name}"
            compared += len(ours)
    assert compared > 1000


def test_pieces_are_the_whole_cut_up(path: Path, tmp_path: Path) -> None:
    names = ("frame.number", "flow.id", "flow.back", "tcp.dst_port", "frame.protocols")
    long = tmp_path / "long.pcap"
    with long.open("wb") as file:
        writer = PcapWriter(file)
        for number in range(300):
            octets = (
                bytes(_PACKETS[number % 3])
                if number % 2
                else bytes(
                    Ethernet() / IPv4(src="10.0.0.9", dst="10.0.0.8") / UDP(src_port=number % 70)
                )
            )
            writer.write(Record(0, octets, len(octets)))
    whole = _table(long, *names).to_pylist()

    class Small:
        def batches(self) -> Any:
            return capture.batches(most=7)

    with open_capture(long) as capture:
        small: Any = Small()
        pieces = [table_of(piece) for piece in columns_by_pieces(small, names, rows=20)]
    assert len(pieces) > 10
    assert [row for piece in pieces for row in piece.to_pylist()] == whole
    with open_capture(long) as capture:
        chosen = list(columns_by_pieces(small, names, Selector("vlan"), rows=20))
    assert [row for piece in chosen for row in table_of(piece).to_pylist()] == [
        row for row in whole if "ipv6" in row["frame_protocols"]
    ]


def test_a_cut_capture_gives_its_pieces_and_then_the_error(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    with open_capture(path) as capture:
        pieces = columns_by_pieces(capture, ["frame.number"])
        assert len(next(pieces)) == 2
        with pytest.raises(TruncatedError):
            next(pieces)


def test_without_pyarrow_the_way_to_get_it_is_told(path: Path) -> None:
    code = f"""
import sys
sys.modules["pyarrow"] = None
from sockwright.columns import open_capture
from sockwright.columns.filling import columns_of
from sockwright.errors import NotPossibleError
try:
    columns_of(open_capture({str(path)!r}), ["tcp.seq"]).__arrow_c_stream__()
except NotPossibleError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "the package pyarrow is missing; pip install 'sockwright[sql]' brings it\n"
    )

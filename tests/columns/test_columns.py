"""Columns hold what the scalar decode says, field by field, however they were filled."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.strategies import packets

from sockwright.columns import open_capture
from sockwright.columns.compiling import cores
from sockwright.columns.fields import Flows, field, fields, row
from sockwright.columns.filling import Filler, columns_of
from sockwright.columns.plan import STANDARD, Plan
from sockwright.errors import NotPossibleError, SockwrightError
from sockwright.wire import ICMP, TCP, UDP, VLAN, Ethernet, IPv4, IPv6, Packet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sockwright.columns.columns import Columns


def _columnar() -> list[str]:
    """Return every name that has a column, plain and inner."""
    found = []
    for info in fields():
        try:
            Plan([info.name])
        except ValueError:
            continue
        found.append(info.name)
        if info.layer not in ("frame", "payload", "flow"):
            found.append(f"inner.{info.name}")
    return found


_NAMES = _columnar()
_INFOS = [field(name) for name in _NAMES]


def _write(path: Path, octets: Iterable[bytes], link_type: int = 1) -> Path:
    parts = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, link_type)]
    for number, each in enumerate(octets):
        parts.append(struct.pack("<IIII", 1_700_000_000, number % 10**9, len(each), len(each)))
        parts.append(each)
    path.write_bytes(b"".join(parts))
    return path


def _differences(path: Path, *, compiled: bool) -> list[str]:
    """Return where the columns of a capture differ from the scalar decode, and in how many rows."""
    filler, flows, found = Filler(_NAMES), Flows(), []
    with open_capture(path) as capture:
        try:
            for batch in capture.batches(compiled=compiled):
                columns = filler.fill(batch)
                cells = [columns.texts(name) for name in _NAMES]
                for place in range(len(batch)):
                    packet = batch.packet(place)
                    expected = row(packet, _INFOS, occurrence="first", flows=flows)
                    for name, column, text in zip(_NAMES, cells, expected, strict=True):
                        if name == "frame.number":
                            continue
                        if column[place] != text:
                            where = f"{path.name} record {packet.number} {name}"
                            found.append(f"{where}: {column[place]!r}, not {text!r}")
        except SockwrightError:  # the file ends in the middle; its whole records came before
            pass
    return found


@pytest.mark.parametrize(("compiled", "every"), [(False, 7), (True, 1)], ids=["plain", "compiled"])
def test_captures_of_strangers_give_what_the_decode_gives(
    captures: Path, tmp_path: Path, compiled: bool, every: int
) -> None:
    # All packets of a link type in one file: most files hold a few, and names are many.
    octets: dict[int, list[bytes]] = {}
    for path in sorted(captures.rglob("*.pcap*")):
        try:
            with open_capture(path) as capture:
                for packet in capture:
                    octets.setdefault(packet.link_type, []).append(bytes(packet))
        except SockwrightError:  # the file ends in the middle; its whole records came before
            continue
    assert sum(map(len, octets.values())) > 10_000
    for link_type, those in octets.items():
        path = _write(tmp_path / f"{link_type}.pcap", those[::every], link_type)
        found = _differences(path, compiled=compiled)
        assert not found, found[:20]


@settings(deadline=None, max_examples=40)
@given(st.data())
@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_drawn_packets_give_what_the_decode_gives(
    tmp_path_factory: pytest.TempPathFactory, compiled: bool, data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(packets(Ethernet, max_layers=7), min_size=1, max_size=8))
    octets = [bytes(packet) for packet in drawn]
    octets += [each[: data.draw(st.integers(0, len(each)))] for each in octets]
    path = _write(tmp_path_factory.mktemp("drawn") / "drawn.pcap", octets)
    assert not _differences(path, compiled=compiled)


def _mixed(count: int) -> list[bytes]:
    """Return packets of several kinds, with some hundred flows and a tunnel."""
    found: list[Packet] = []
    for number in range(count):
        source, port = f"10.0.{number % 3}.{number % 200}", 1024 + number % 50
        kind = number % 5
        if kind == 0:
            found.append(Ethernet() / IPv4(src=source, dst="10.9.9.9") / TCP(src_port=port))
        elif kind == 1:
            found.append(Ethernet() / IPv4(src="10.9.9.9", dst=source) / UDP(dst_port=port) / b"x")
        elif kind == 2:
            found.append(Ethernet() / VLAN(vid=7) / IPv6(src=f"2001:db8::{port:x}") / UDP())
        elif kind == 3:
            inner = IPv4(src="192.0.2.1", dst="192.0.2.2") / ICMP()
            found.append(Ethernet() / IPv4(src=source) / inner)
        else:
            found.append(Packet(()) / bytes(number % 70))
    return [bytes(packet) for packet in found]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    return _write(tmp_path / "mixed.pcap", _mixed(200))


def _alike(one: Columns, other: Columns) -> None:
    assert one.names == other.names
    for name in one.names:
        assert one.texts(name) == other.texts(name), name


@pytest.mark.skipif(cores() < 2, reason="this kernel gives one core only")
def test_parts_of_a_large_file_make_the_same_columns_as_one(tmp_path: Path) -> None:
    some = _mixed(997)
    path = _write(
        tmp_path / "large.pcap", (some[at % 997] + bytes(at % 300) for at in range(90_000))
    )
    assert path.stat().st_size > 17 << 20
    names = ("flow.id", "flow.back", "frame.protocols", "ipv4.src", "tcp.src_port", "frame.number")
    with open_capture(path) as capture:
        whole = columns_of(capture, names)
        assert len(whole.pieces("ipv4.src")) > 1
        filler = Filler(names[:-1])
        done = 0
        for batch in capture.batches():
            part = filler.fill(batch)
            for name in names[:-1]:
                expected = part.texts(name)
                assert whole.texts(name)[done : done + len(part)] == expected, name
            done += len(part)
        assert done == len(whole) == whole["frame.number"][-1]


def test_a_column_is_a_view_of_narrow_memory(mixed: Path) -> None:
    with open_capture(mixed) as capture:
        columns = capture.columns(
            "tcp.dst_port", "ipv4.src", "ipv6.src", "ethernet.src", "frame.time_ns"
        )
    assert columns["tcp.dst_port"].dtype == np.uint16
    assert columns["ipv4.src"].dtype == np.uint32
    assert columns["ipv6.src"].shape == (200, 16)
    assert columns["ethernet.src"].dtype == np.uint64
    assert columns["frame.time_ns"].dtype == np.int64
    assert np.shares_memory(columns["ipv4.src"], columns["ipv4.src"])
    assert len(columns) == 200


def test_presence_tells_absence_from_zero(mixed: Path) -> None:
    with open_capture(mixed) as capture:
        columns = capture.columns("tcp.ack", "inner.ipv4.src", "icmp.identifier", "ip.version")
        layers = [[header.layer for header in packet] for packet in capture]
    assert columns.present("tcp").tolist() == ["tcp" in each for each in layers]
    assert columns.present("tcp.ack").tolist() == columns.present("tcp").tolist()
    twice = [each.count("ipv4") > 1 for each in layers]
    assert columns.present("inner.ipv4").tolist() == twice
    assert columns.present("ip").any()
    assert not columns["tcp.ack"].any()
    with pytest.raises(ValueError, match="there is no field 'udp_'"):
        columns.present("udp_")


def test_without_names_the_standard_columns_come(mixed: Path) -> None:
    with open_capture(mixed) as capture:
        columns = capture.columns()
    assert columns.names == STANDARD
    assert set(columns.to_dict()) == set(STANDARD)
    assert (
        np.ma.getmaskarray(columns.to_dict()["udp.dst_port"]).sum()
        == len(columns) - columns.present("udp").sum()
    )


def test_rows_are_chosen_by_mask_and_by_filter(mixed: Path) -> None:
    with open_capture(mixed) as capture:
        columns = capture.columns("frame.number", "udp.dst_port", "frame.protocols")
        udp = columns.present("udp")
        chosen = columns.select(udp)
        assert len(chosen) == udp.sum()
        assert chosen.present("udp").all()
        assert chosen["frame.number"].tolist() == (np.flatnonzero(udp) + 1).tolist()
        accepted = columns.mask("ip and tcp")
        assert set(columns.select(accepted).texts("frame.protocols")) == {"ethernet:ipv4:tcp"}
        assert chosen.mask("ip and tcp").sum() == 0
        assert (
            chosen.select(np.array([0, 2]))["frame.number"].tolist()
            == chosen["frame.number"][[0, 2]].tolist()
        )


def test_a_name_that_is_not_there_is_told_with_those_near(mixed: Path) -> None:
    with open_capture(mixed) as capture:
        with pytest.raises(ValueError, match=r"'tcp.dst_prt'; near are tcp.dst_port"):
            capture.columns("tcp.dst_prt")
        with pytest.raises(ValueError, match=r"'nope\.dst_port'; near are .*\.dst_port"):
            capture.columns("nope.dst_port")
        with pytest.raises(ValueError, match=r"fields\(\) of sockwright.columns.fields, lists all"):
            capture.columns("nope")
        with pytest.raises(
            TypeError, match=r"one by one: columns\(\*names\), not \['tcp.dst_port'\]"
        ):
            capture.columns(["tcp.dst_port"])  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="has no column"):
            capture.columns("tcp.options")
        columns = capture.columns("tcp.dst_port")
    with pytest.raises(ValueError, match="was not asked for"):
        columns["udp.dst_port"]
    with pytest.raises(TypeError, match="chosen by its name, not by 5"):
        columns[5]  # type: ignore[index]
    assert columns.info("tcp.dst_port").type == "uint16"
    assert "tcp.dst_port" in columns
    assert list(columns) == ["tcp.dst_port"]


def test_columns_print_as_a_short_table(mixed: Path) -> None:
    with open_capture(mixed) as capture:
        shown = repr(capture.columns("frame.number", "ipv4.src", "tcp.flags"))
    assert shown.splitlines() == [
        "200 packets",
        "frame.number  ipv4.src  tcp.flags",
        "1             10.0.0.0  0x0",
        "2             10.9.9.9",
        "3",
        "4             10.0.0.3",
        "5",
        "6             10.0.2.5  0x0",
        "7             10.9.9.9",
        "8",
    ]


def test_an_empty_capture_has_empty_columns(tmp_path: Path) -> None:
    with open_capture(_write(tmp_path / "empty.pcap", [])) as capture:
        columns = capture.columns()
    assert len(columns) == 0
    for name in columns.names:
        assert len(columns[name]) == 0
        assert len(columns.present(name)) == 0
        assert columns.texts(name) == []


def test_a_cut_capture_gives_its_whole_records_and_the_error(mixed: Path) -> None:
    mixed.write_bytes(mixed.read_bytes()[:-5])
    with open_capture(mixed) as capture:
        columns = capture.columns("frame.length")
        assert len(columns) == 199
        assert columns.error is not None
        assert columns.error is capture.error


def test_columns_of_a_slice_are_of_its_packets(mixed: Path) -> None:
    with open_capture(mixed) as capture:
        whole, part = capture.columns("ipv4.src"), capture[50:60].columns("ipv4.src")
        assert part["ipv4.src"].tolist() == whole["ipv4.src"][50:60].tolist()


def test_packets_of_a_slice_keep_their_numbers(mixed: Path) -> None:
    with open_capture(mixed) as capture:
        part = capture[50:60]
        columns = part.columns("frame.number", "ipv4.src")
        numbers = columns["frame.number"].tolist()
        assert numbers == [packet.number for packet in part] == list(range(51, 61))
        assert part[0].number == 51
        assert columns.texts("frame.number") == list(map(str, numbers))
        chosen = columns.select(np.array([3, 4])).select(np.array([1]))
        assert chosen["frame.number"].tolist() == [55]
        assert capture[20:20].columns("frame.number")["frame.number"].tolist() == []


def test_a_mask_needs_the_capture(mixed: Path) -> None:
    with open_capture(mixed) as capture:
        batch = next(capture.batches())
        columns = Filler(["ipv4.src"]).fill(batch)
    with pytest.raises(NotPossibleError):
        columns.mask("ip")


def test_hostile_stacks_of_layers_all_get_their_numbers(tmp_path: Path) -> None:
    # Each of these has another stack, more than the first table of them holds.
    stacks = [
        bytes(Packet([Ethernet(), *(IPv4() if bit == "1" else IPv6() for bit in f"{number:09b}")]))
        for number in range(300)
    ]
    path = _write(tmp_path / "stacks.pcap", stacks)
    with open_capture(path) as capture:
        columns = capture.columns("frame.protocols")
        expected = [":".join([header.layer for header in packet]) for packet in capture]
    assert len(set(expected)) == 300
    assert columns.texts("frame.protocols") == expected

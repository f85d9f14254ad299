"""Conversations and endpoints, beside tshark's."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.columns.ordinary import ordinary

from sockwright.columns import open_capture
from sockwright.columns.conversations import conversations, endpoints
from sockwright.columns.selecting import Selector
from sockwright.errors import TruncatedError
from sockwright.records import PcapngWriter, PcapWriter, Record
from sockwright.wire import UDP, Ethernet, IPv4, IPv6

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sockwright.columns import Batch, CaptureFile
    from sockwright.wire import Packet

_needs_lab = pytest.mark.needs("namespaces", "ethtool")
_CONVERSATION = re.compile(
    r"^(\S+):(\d+) +<-> (\S+):(\d+) +(\d+) (\d+) (\w+) +(\d+) (\d+) (\w+) +(\d+) ", re.MULTILINE
)


def _tshark(path: Path, *statistics: str) -> str:
    command = ["tshark", "-n", "-r", str(path), "-q", "-o", "ip.defragment:FALSE"]
    command += [word for name in statistics for word in ("-z", name)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _rounded(octets: int, unit: str) -> int:
    """Return octets as tshark shows them: in thousands from 10 000 on."""
    return octets // {"bytes": 1, "kB": 1000, "MB": 1_000_000}[unit]


_MOST = 20


def _compare(path: Path) -> None:
    with open_capture(path) as capture:
        rows = list(conversations(capture))
    text = _tshark(path, "conv,udp", "conv,tcp")
    for protocol in ("UDP", "TCP"):
        ours: Counter[frozenset[tuple[str, int]]] = Counter()
        for row in rows:
            if row.protocol == protocol:
                ends = frozenset([(row.src, row.src_port), (row.dst, row.dst_port)])
                ours[ends] += row.packets + row.packets_back
        part = text.partition(f"{protocol} Conversations")[2].partition("Conversations\n")[0]
        theirs: Counter[frozenset[tuple[str, int]]] = Counter()
        for found in _CONVERSATION.finditer(part):
            ends = frozenset([(found[1], int(found[2])), (found[3], int(found[4]))])
            theirs[ends] += int(found[11])
        # A flow without ports is that of later fragments, which are no conversation of TCP or UDP.
        # tshark counts conversations inside of what is octets here (NSH, OpenFlow) as well.
        for ends, packets in ours.items():
            if any(port for _, port in ends):
                assert theirs[ends] == packets, path.name


@pytest.mark.needs("tshark")
def test_conversations_in_captures_of_strangers_are_those_of_tshark(captures: Path) -> None:
    paths = [path for path in sorted(captures.rglob("*.pcap*")) if ordinary(path)]
    assert len(paths) > 2 * _MOST
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_compare, paths[:: len(paths) // _MOST]))


@_needs_lab
@pytest.mark.needs("tshark")
def test_a_conversation_is_that_of_tshark(lossy_captures: list[Path]) -> None:
    for path in lossy_captures:
        with open_capture(path) as capture:
            (row,) = conversations(capture)
        (found,) = _CONVERSATION.finditer(_tshark(path, "conv,tcp"))
        a, a_port, b, b_port = found.groups()[:4]
        assert (a, int(a_port), b, int(b_port)) == (row.src, row.src_port, row.dst, row.dst_port)
        assert [int(found[5]), int(found[8])] == [row.packets_back, row.packets]
        assert int(found[6]) == _rounded(row.octets_back, found[7])
        assert int(found[9]) == _rounded(row.octets, found[10])
        start, duration = found.string[found.end() :].split("\n")[0].split()[-2:]
        assert float(duration) == pytest.approx(row.duration_ns / 1e9, abs=1e-4)
        assert row.octets_per_s == pytest.approx(
            (row.octets + row.octets_back) / (row.duration_ns / 1e9)
        )
        assert float(start) >= 0


@_needs_lab
@pytest.mark.needs("tshark")
def test_endpoints_are_those_of_tshark(lossy_captures: list[Path]) -> None:
    path = lossy_captures[0]
    text = _tshark(path, "endpoints,ip")
    theirs = {}
    for line in text.splitlines():
        if line[:1].isdigit():
            address, *numbers = line.split()
            theirs[address] = [int(number) for number in numbers]
    with open_capture(path) as capture:
        rows = list(endpoints(capture))
    assert rows[0].octets >= rows[-1].octets
    assert theirs == {
        row.address: [
            row.packets,
            row.octets,
            row.packets_sent,
            row.octets_sent,
            row.packets_received,
            row.octets_received,
        ]
        for row in rows
    }


def _capture(path: Path, *packets: Packet | Ethernet, time_ns: int | None = 10**18) -> Path:
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for number, packet in enumerate(packets):
            octets = bytes(packet)
            writer.write(Record((time_ns or 0) + number * 1000, octets, len(octets)))
    return path


def _datagram(src: str, dst: str, port: int = 1000) -> Any:
    network = IPv4 if "." in src else IPv6
    return Ethernet() / network(src=src, dst=dst) / UDP(src_port=port, dst_port=53) / b"x"


def test_both_directions_are_one_conversation_of_who_spoke_first(tmp_path: Path) -> None:
    answer = Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.9") / UDP(src_port=53, dst_port=1000)
    path = _capture(tmp_path / "x.pcap", _datagram("10.0.0.9", "10.0.0.1"), answer)
    with open_capture(path) as capture:
        (row,) = conversations(capture)
    assert (row.src, row.src_port, row.dst, row.dst_port) == ("10.0.0.9", 1000, "10.0.0.1", 53)
    assert (row.packets, row.packets_back, row.octets, row.octets_back) == (1, 1, 43, 42)
    assert (row.protocol, row.duration_ns, row.octets_per_s) == ("UDP", 1000, 85e6)


def test_ipv6_addresses_are_told(tmp_path: Path) -> None:
    path = _capture(tmp_path / "x.pcap", _datagram("fe80::2", "fe80::1"), _datagram("::1", "::1"))
    with open_capture(path) as capture:
        assert [(row.src, row.dst) for row in conversations(capture)] == [
            ("fe80::2", "fe80::1"),
            ("::1", "::1"),
        ]
    with open_capture(path) as capture:
        rows = {row.address: row for row in endpoints(capture)}
    assert (rows["::1"].packets_sent, rows["::1"].packets_received) == (1, 0)


def test_packets_without_ip_have_no_conversation(tmp_path: Path) -> None:
    path = _capture(tmp_path / "x.pcap", Ethernet() / b"nothing")
    with open_capture(path) as capture:
        assert list(conversations(capture)) == []


def test_a_filter_keeps_the_numbers_of_flows(tmp_path: Path) -> None:
    packets = [_datagram("10.0.0.9", f"10.0.0.{number}") for number in range(1, 9)]
    path = _capture(tmp_path / "x.pcap", *packets)
    with open_capture(path) as capture:
        (row,) = conversations(capture, Selector("dst host 10.0.0.5"))
    assert (row.flow, row.dst) == (4, "10.0.0.5")


def test_flows_beyond_the_limit_are_left_out(tmp_path: Path) -> None:
    packets = [_datagram("10.0.0.9", "10.0.0.1", port) for port in range(1, 3000)]
    path = _capture(tmp_path / "x.pcap", *packets)
    with open_capture(path) as capture:
        assert len(list(conversations(capture))) == 2999
    with open_capture(path) as capture:
        assert len(list(conversations(capture, max_flows=1024))) == 1024


def test_packets_without_a_time_have_no_start(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    octets = bytes(_datagram("10.0.0.9", "10.0.0.1"))
    with path.open("wb") as file:
        PcapngWriter(file).write(Record(None, octets, len(octets)))
    with open_capture(path) as capture:
        (row,) = conversations(capture)
    assert (row.start_ns, row.duration_ns, row.octets_per_s) == (None, 0, None)


class _Forced:
    """A capture whose batches are compiled, or not."""

    def __init__(self, capture: CaptureFile, *, compiled: bool) -> None:
        self._capture = capture
        self._compiled = compiled

    def batches(self) -> Iterator[Batch]:
        return self._capture.batches(compiled=self._compiled, most=7)


def test_compiled_and_interpreted_kernels_agree(tmp_path: Path) -> None:
    packets = [
        _datagram(f"10.0.{number % 3}.9", "10.0.0.1" if number % 5 else "fe80::1", number % 11)
        if number % 5
        else _datagram("fe80::9", "fe80::1", number % 7)
        for number in range(200)
    ]
    path = _capture(tmp_path / "x.pcap", *packets)
    found: list[Any] = []
    for compiled in (False, True):
        with open_capture(path) as capture:
            forced = cast("CaptureFile", _Forced(capture, compiled=compiled))
            found.append(list(conversations(forced)))
    assert found[0] == found[1]
    assert len(found[0]) > 10


def test_a_cut_capture_gives_its_rows_and_then_the_error(tmp_path: Path) -> None:
    path = _capture(tmp_path / "x.pcap", *[_datagram("10.0.0.9", "10.0.0.1")] * 3)
    path.write_bytes(path.read_bytes()[:-5])
    functions: tuple[Any, ...] = (conversations, endpoints)
    for function in functions:
        with open_capture(path) as capture:
            rows = iter(function(capture))
            assert next(rows).packets == 2
            with pytest.raises(TruncatedError):
                list(rows)

"""Verdicts on segments, equal to tshark's but for what docs/analysis.md lists; connections."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.columns import transfers

from sockwright.columns import open_capture
from sockwright.columns.tcp_analysis import (
    VERDICTS,
    TcpAnalysis,
    TcpFlow,
    tcp_flows,
    tcp_verdicts,
    verdict_names,
)
from sockwright.errors import SockwrightError, TruncatedError
from sockwright.records import PcapWriter, Record
from sockwright.wire import TCP, Ethernet, IPv4

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_needs_lab = pytest.mark.needs("namespaces", "ethtool")


class _Segment(NamedTuple):
    """What was found about a segment: its connection, verdicts, round trip in seconds."""

    stream: int
    verdicts: frozenset[str]
    rtt: float | None


def _ours(path: Path) -> dict[int, _Segment]:
    found: dict[int, _Segment] = {}
    with open_capture(path) as capture:
        try:
            for judged in tcp_verdicts(capture):
                for row, stream in enumerate(judged.connection):
                    if stream >= 0:
                        rtt = int(judged.rtt_ns[row])
                        names = frozenset(verdict_names(int(judged.verdicts[row])))
                        seconds = rtt / 1e9 if rtt >= 0 else None
                        found[judged.number + row] = _Segment(int(stream), names, seconds)
        except SockwrightError:
            pass  # a capture that is cut; tshark stops there too
    return found


def _theirs(path: Path) -> dict[int, _Segment]:
    fields = ["frame.number", "icmp.type", "icmpv6.type", "tcp.stream", "tcp.analysis.ack_rtt"]
    fields += [f"tcp.analysis.{name}" for name in VERDICTS]
    command = ["tshark", "-n", "-r", str(path), "-Y", "tcp", "-T", "fields"]
    command += ["-o", "ip.defragment:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE"]
    command += ["-E", "occurrence=f", *[word for field in fields for word in ("-e", field)]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {}
    for line in done.stdout.splitlines():
        number, icmp, icmpv6, stream, rtt, *marks = line.split("\t")
        if icmp or icmpv6:
            continue  # the segment that an error quotes
        names = frozenset(name for name, mark in zip(VERDICTS, marks, strict=True) if mark)
        found[int(number)] = _Segment(int(stream), names, float(rtt) if rtt else None)
    return found


def _assert_same(path: Path) -> int:
    """Compare both; return how many verdicts there were."""
    ours, theirs = _ours(path), _theirs(path)
    assert ours.keys() == theirs.keys(), path
    for number, segment in ours.items():
        other = theirs[number]
        assert segment[:2] == other[:2], f"{path.name} packet {number}"
        assert (segment.rtt is None) == (other.rtt is None), f"{path.name} packet {number}"
        if segment.rtt is not None and other.rtt is not None:
            assert segment.rtt == pytest.approx(other.rtt, abs=2e-9)
    return sum(len(segment.verdicts) for segment in ours.values())


@_needs_lab
@pytest.mark.needs("tshark")
def test_verdicts_on_lossy_transfers_are_those_of_tshark(lossy_captures: list[Path]) -> None:
    assert sum(map(_assert_same, lossy_captures)) > 100
    names = {name for path in lossy_captures for one in _ours(path).values() for name in one[1]}
    assert {"retransmission", "fast_retransmission", "lost_segment", "duplicate_ack"} <= names


@_needs_lab
@pytest.mark.needs("tshark")
def test_verdicts_on_waiting_are_those_of_tshark(tmp_path: Path) -> None:
    path = tmp_path / "stalled.pcap"
    transfers.stalled(path)
    _assert_same(path)
    names = {name for segment in _ours(path).values() for name in segment.verdicts}
    assert {"zero_window", "window_full", "window_update"} <= names
    assert {"keep_alive", "keep_alive_ack"} <= names


# tshark gives a negative or a rounded round trip where the times are not those of any clock.
_ODD_TIMES = {"timestamp_invalid_micro.pcap", "timestamp_invalid_nano.pcap"}
_ODD_TIMES |= {"smb_data_print-segv.pcap"}
# One segment of a length that only a jumbo payload option tells, see docs/agreement.md.
_LONGER_THAN_IP_TELLS = {"bigtcp-ipv6.pcap"}


@pytest.mark.needs("tshark")
def test_verdicts_on_captures_of_strangers_are_those_of_tshark(captures: Path) -> None:
    names = _ODD_TIMES | _LONGER_THAN_IP_TELLS
    paths = [
        path for path in sorted(captures.rglob("*.pcap*")) if path.name not in names and _ours(path)
    ]
    assert len(paths) > 90
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_assert_same, paths))


def _talk(draw: Random, flow: int) -> list[bytes]:
    """Return the segments of an invented conversation, as they are captured.

    Segments are lost behind the place of the capture, sent again, acknowledged late and twice, and
    the window opens and closes.
    """
    first = [draw.randrange(1, 1 << 32), draw.randrange(1, 1 << 32)]
    ends = [f"10.1.{flow >> 8}.{flow & 255}", "10.2.0.1"]
    ports = [1000, 80]
    made: list[bytes] = []

    def say(side: int, seq: int, ack: int, flags: str, octets: int, *, window: int = 8000) -> None:
        header = TCP(
            src_port=ports[side],
            dst_port=ports[1 - side],
            seq=(first[side] + seq) & 0xFFFF_FFFF,
            ack=(first[1 - side] + ack) & 0xFFFF_FFFF if "A" in flags else 0,
            flags=flags,
            window=window,
        )
        network = IPv4(src=ends[side], dst=ends[1 - side])
        made.append(bytes(Ethernet() / network / header / bytes(octets)))

    for _ in range(draw.choice([1, 1, 2])):
        say(0, 0, 0, "S", 0)
    say(1, 0, 1, "SA", 0)
    say(0, 1, 1, "A", 0)
    following = acknowledged = 1
    window = 8000
    sent: list[tuple[int, int]] = []
    received: set[int] = set()
    for _ in range(draw.randrange(10, 60)):
        what = draw.random()
        if what < 0.55:
            length = draw.choice([2, 100, 100, 500])
            sent.append((following, length))
            say(0, following, 1, "A", length)
            if draw.random() < 0.8:
                received.update(range(following, following + length))
            following += length
        elif what < 0.7 and sent:
            start, length = draw.choice(sent)
            say(0, start, 1, "A", length)
            received.update(range(start, start + length))
        elif what < 0.72:
            say(0, following - 1, 1, "A", draw.choice([0, 1]))
        else:
            while acknowledged in received:
                acknowledged += 1
            if draw.random() < 0.1:
                window = draw.choice([0, 100, 4000, 8000])
            say(1, 1, acknowledged, "A", 0, window=window)
    say(0, following, 1, draw.choice(["FA", "RA"]), 0)
    return made


def _write(path: Path, packets: Iterable[bytes], steps_ns: Iterator[int]) -> None:
    time_ns = 10**18
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for octets in packets:
            time_ns += next(steps_ns)
            writer.write(Record(time_ns, octets, len(octets)))


def _steps(draw: Random) -> Iterator[int]:
    while True:
        yield draw.choice([1000, 10_000, 1_000_000, 5_000_000, 40_000_000])


@pytest.mark.needs("tshark")
@pytest.mark.parametrize("seed", range(3))
def test_verdicts_on_invented_conversations_are_those_of_tshark(tmp_path: Path, seed: int) -> None:
    draw = Random(seed)
    packets: list[bytes] = []
    for flow in range(60):
        talk = _talk(draw, flow)
        for place in range(4, len(talk) - 1):
            if draw.random() < 0.05:
                talk[place], talk[place + 1] = talk[place + 1], talk[place]
        packets += talk
    path = tmp_path / "talks.pcap"
    _write(path, packets, _steps(draw))
    assert _assert_same(path) > 300


def _exchange(path: Path, *segments: tuple[int, int, int, str, int, int]) -> Path:
    """Write segments 1 ms apart: side, seq, ack, flags, octets, window."""
    packets = []
    for side, seq, ack, flags, octets, window in segments:
        ends, ports = ["10.0.0.1", "10.0.0.2"], [1000, 80]
        if side:
            ends.reverse()
            ports.reverse()
        header = TCP(
            src_port=ports[0], dst_port=ports[1], seq=seq, ack=ack, flags=flags, window=window
        )
        network = IPv4(src=ends[0], dst=ends[1])
        packets.append(bytes(Ethernet() / network / header / bytes(octets)))
    _write(path, packets, iter([1_000_000] * len(packets)))
    return path


_OPENING = (
    (0, 100, 0, "S", 0, 1000),
    (1, 500, 101, "SA", 0, 1000),
    (0, 101, 501, "A", 0, 1000),
)


def _flow(path: Path) -> TcpFlow:
    with open_capture(path) as capture:
        (flow,) = tcp_flows(capture)
    return flow


@pytest.mark.parametrize(
    ("more", "state"),
    [
        (0, "syn"),
        (1, "syn-ack"),
        (2, "established"),
    ],
)
def test_the_state_tells_how_far_a_connection_opened(tmp_path: Path, more: int, state: str) -> None:
    flow = _flow(_exchange(tmp_path / "x.pcap", *_OPENING[: more + 1]))
    assert flow.state == state
    assert flow.handshake_rtt_ns == (2_000_000 if more == 2 else None)


@pytest.mark.parametrize(
    ("segments", "state"),
    [
        (((0, 101, 501, "FA", 0, 1000),), "closing"),
        (((0, 101, 501, "FA", 0, 1000), (1, 501, 102, "FA", 0, 1000)), "closed"),
        (((1, 501, 101, "RA", 0, 0),), "reset"),
    ],
)
def test_the_state_tells_how_a_connection_ended(
    tmp_path: Path, segments: tuple[tuple[int, int, int, str, int, int], ...], state: str
) -> None:
    assert _flow(_exchange(tmp_path / "x.pcap", *_OPENING, *segments)).state == state


def test_a_connection_without_its_opening_is_seen_in_the_middle(tmp_path: Path) -> None:
    flow = _flow(_exchange(tmp_path / "x.pcap", (1, 501, 101, "A", 10, 1000)))
    assert flow.state == "middle"
    assert (flow.src, flow.src_port, flow.octets, flow.packets_back) == ("10.0.0.2", 80, 10, 0)


def test_round_trips_and_verdicts_are_told_by_direction(tmp_path: Path) -> None:
    segments = (
        (0, 101, 501, "A", 10, 1000),
        (1, 501, 111, "A", 0, 1000),
        (0, 101, 501, "A", 10, 1000),
    )
    flow = _flow(_exchange(tmp_path / "x.pcap", *_OPENING, *segments))
    assert (flow.rtt_min_ns, flow.rtt_mean_ns, flow.rtt_max_ns) == (1_000_000,) * 3
    assert flow.rtt_back_min_ns == 1_000_000
    assert flow.verdicts == {"retransmission": 1, "spurious_retransmission": 1}
    assert flow.verdicts_back == {}
    assert flow.found == "retransmission 1, spurious_retransmission 1"
    assert (flow.octets, flow.octets_back) == (20, 0)


def test_ports_that_are_used_again_are_another_connection(tmp_path: Path) -> None:
    again = ((0, 9000, 0, "S", 0, 1000), (1, 7000, 9001, "SA", 0, 1000))
    path = _exchange(tmp_path / "x.pcap", *_OPENING, (0, 101, 501, "RA", 0, 0), *again)
    with open_capture(path) as capture:
        first, second = tcp_flows(capture)
    assert (first.connection, first.flow, first.state) == (0, 0, "reset")
    assert (second.connection, second.flow, second.state) == (1, 0, "syn-ack")
    assert second.verdicts == {"reused_ports": 1}


def test_the_octet_of_a_probe_that_was_taken_is_not_lost(tmp_path: Path) -> None:
    """Wireshark 4.0 takes it for a segment that was not captured."""
    path = _exchange(
        tmp_path / "x.pcap",
        *_OPENING,
        (1, 501, 101, "A", 0, 0),
        (0, 101, 501, "A", 1, 1000),
        (1, 501, 102, "A", 0, 1000),
        (0, 102, 501, "A", 100, 1000),
    )
    names = [set(segment.verdicts) for segment in _ours(path).values()]
    assert names[3:] == [{"zero_window"}, {"zero_window_probe"}, set(), set()]


def test_a_number_of_zero_is_a_number(tmp_path: Path) -> None:
    """Wireshark takes it for one that it does not know."""
    path = _exchange(
        tmp_path / "x.pcap",
        (0, 0xFFFF_FFFF, 0, "S", 0, 1000),
        (0, 10, 0, "A", 5, 1000),
    )
    assert [set(one.verdicts) for one in _ours(path).values()] == [set(), {"lost_segment"}]


def test_connections_beyond_the_limit_are_counted_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "many.pcap"
    packets = [
        bytes(Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2") / TCP(src_port=port, dst_port=80))
        for port in range(1000, 1100)
    ]
    _write(path, packets, iter([1000] * 100))
    analysis = TcpAnalysis(max_connections=30)
    with open_capture(path) as capture:
        for batch in capture.batches():
            judged = analysis.add(batch)
            assert list(judged.connection)[29:31] == [29, -1]
    assert len(list(analysis.connections())) == 30
    assert analysis.untracked == 70


def test_flows_beyond_the_limit_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "many.pcap"
    packets = [
        bytes(Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2") / TCP(src_port=port, dst_port=80))
        for port in range(1000, 5000)
    ]
    _write(path, packets, iter([1000] * 4000))
    for compiled in (False, True):
        analysis = TcpAnalysis(max_flows=1024)
        with open_capture(path) as capture:
            for batch in capture.batches(compiled=compiled):
                analysis.add(batch)
        assert len(list(analysis.connections())) == 1024


@_needs_lab
def test_compiled_and_interpreted_kernels_agree(lossy_captures: list[Path]) -> None:
    for path in lossy_captures:
        rows: list[Any] = []
        for compiled in (False, True):
            analysis = TcpAnalysis()
            judged = []
            with open_capture(path) as capture:
                for batch in capture.batches(most=100, compiled=compiled):
                    part = analysis.add(batch)
                    columns = (part.connection, part.verdicts, part.rtt_ns)
                    judged += list(zip(*map(list, columns), strict=True))
            rows.append((judged, list(analysis.connections())))
        assert rows[0] == rows[1]


@_needs_lab
def test_a_stream_may_turn_from_interpreted_to_compiled(lossy_captures: list[Path]) -> None:
    analysis = TcpAnalysis()
    with open_capture(lossy_captures[0]) as capture:
        whole = list(tcp_flows(capture))
    with open_capture(lossy_captures[0]) as capture, open_capture(lossy_captures[0]) as again:
        slow = list(capture.batches(most=50, compiled=False))
        fast = list(again.batches(most=50, compiled=True))
        for batch in slow[:2] + fast[2:]:
            analysis.add(batch)
    assert list(analysis.connections()) == whole


@_needs_lab
def test_only_what_is_accepted_is_judged(lossy_captures: list[Path]) -> None:
    from sockwright.columns.selecting import Selector

    for path in lossy_captures[:2]:
        with open_capture(path) as capture:
            (whole,) = tcp_flows(capture)
        with open_capture(path) as capture:
            (part,) = tcp_flows(capture, Selector("tcp src port 80"))
        assert part.packets == whole.packets_back
        assert part.packets_back == 0


@_needs_lab
def test_a_cut_capture_gives_its_rows_and_then_the_error(
    tmp_path: Path, lossy_captures: list[Path]
) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(lossy_captures[0].read_bytes()[:5000])
    rows = []
    with open_capture(path) as capture, pytest.raises(TruncatedError):  # noqa: PT012
        for row in tcp_flows(capture):
            rows.append(row)  # noqa: PERF402  # the rows before the error count
    assert len(rows) == 1

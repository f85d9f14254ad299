"""Lines of packets: the same however the kernel runs, and what tcpdump says too."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import sys
from datetime import date, timedelta
from ipaddress import IPv6Address
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockwright.columns import open_capture
from sockwright.columns.kernels import text as kernel
from sockwright.columns.line_plan import WordList, line_plan, make_line_plan
from sockwright.columns.lines import LineOptions, LinePrinter
from sockwright.errors import DecodeError
from sockwright.records import PcapngWriter, PcapWriter, Record, read_records
from sockwright.wire import ICMP, MSS, TCP, UDP, Ethernet, IPv4, IPv6, Packet, fragment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PLAIN = LineOptions(time_form=2, port_names=False)
_OURS = re.compile(
    r"(?P<time>\S+) (?:.* )?(?P<src>\S+) > (?P<dst>\S+) TCP \[(?P<flags>[^]]+)\] seq (?P<seq>\d+)"
    r"(?: ack (?P<ack>\d+))? win (?P<win>\d+)(?: urg (?P<urg>\d+))? len (?P<len>\d+)"
)
_TCPDUMPS = re.compile(
    r"(?P<time>\S+) (?:.*\b)?IP6? (?P<src>\S+) > (?P<dst>\S+): Flags \[(?P<flags>[^]]+)\]"
    r"(?:, seq (?P<seq>\d+)(?::\d+)?)?(?:, ack (?P<ack>\d+))?, win (?P<win>\d+)"
    r"(?:, urg (?P<urg>\d+))?.*, length (?P<len>\d+)"
)


def lines_of(
    path: Path, options: LineOptions = _PLAIN, *, compiled: bool | None = False
) -> list[str]:
    """Return the lines of a capture up to its end or to what is wrong with it."""
    printer = LinePrinter(options)
    text = b""
    with open_capture(path) as capture:
        batches = capture.batches(compiled=compiled)
        while True:
            try:
                batch = next(batches)
            except (DecodeError, StopIteration):
                break
            text += b"".join(printer.blocks(batch))
    return text.decode("ascii").splitlines()


def readable(captures: Path) -> Iterator[Path]:
    """Yield the captures that open."""
    for path in sorted((captures / "tcpdump").iterdir()):
        try:
            open_capture(path).close()
        except DecodeError:
            continue
        yield path


def tcpdump(*arguments: str | Path, zone: str = "UTC") -> list[str]:
    """Return what tcpdump prints."""
    done = subprocess.run(
        ["tcpdump", "-nn", *arguments],
        capture_output=True,
        check=False,
        env=os.environ | {"TZ": zone, "PATH": f"{os.environ['PATH']}:/usr/sbin"},
    )
    return done.stdout.decode("utf-8", "replace").splitlines()


def test_lines_are_the_same_interpreted_and_compiled(captures: Path) -> None:
    options = LineOptions(numbers=True, link_header=True)
    count = 0
    for path in readable(captures):
        lines = lines_of(path, options, compiled=False)
        assert lines == lines_of(path, options, compiled=True), path.name
        count += len(lines)
    assert count > 9000


def test_each_packet_has_one_line_of_printable_ascii(captures: Path) -> None:
    for path in readable(captures):
        lines = lines_of(path)
        packets = 0
        with open_capture(path) as capture:
            try:
                for packets, _ in enumerate(capture, 1):  # noqa: B007
                    pass
            except DecodeError:
                pass
        assert len(lines) == packets, path.name
        assert all(line.isprintable() and not line.endswith(" ") for line in lines)


def test_addresses_and_ports_are_those_of_the_decoded_packet(captures: Path) -> None:
    for path in readable(captures):
        try:
            with open_capture(path) as capture:
                packets = list(capture)
        except DecodeError:
            continue
        for packet, line in zip(packets, lines_of(path), strict=True):
            names = [type(header) for header in packet.layers]
            if names[-2:] == [IPv4, TCP] or names[-2:] == [IPv4, UDP]:
                ip, transport = packet.layers[-2:]
                pair = f" {ip.src}:{transport.src_port} > {ip.dst}:{transport.dst_port} "  # type: ignore[attr-defined]
                assert pair in line, path.name


@pytest.mark.needs("tcpdump")
def test_tcp_is_what_tcpdump_says(captures: Path) -> None:
    count = 0
    for path in readable(captures):
        ours = {}
        for line in lines_of(path):
            found = _OURS.match(line)
            if found and "[cut]" not in line and "bad" not in line:
                ack = found["ack"] if "." in found["flags"] else None
                ours[found["time"], found["seq"], ack, found["win"]] = found.groupdict()
        for line in tcpdump("-S", "-tt", "-r", path):
            theirs = _TCPDUMPS.match(line)
            if theirs is None or theirs["seq"] is None:
                continue
            known = ours.get((theirs["time"], theirs["seq"], theirs["ack"], theirs["win"]))
            if known is None:
                continue
            count += 1
            # Some tcpdumps do not know the bit AE, "e".
            flags = known["flags"]
            assert theirs["flags"] in (flags, flags.removesuffix("e") or "none"), path.name
            assert known["len"] == theirs["len"], path.name
    assert count > 500


@pytest.mark.needs("tcpdump")
def test_echoes_and_arp_are_what_tcpdump_says(captures: Path) -> None:
    echo = re.compile(r"echo (request|reply),? id (\d+),? seq (\d+)")
    asked = re.compile(r"who[- ]has (\S+?)(?: \(\S+\))? tell ([\d.]+)")
    count = 0
    for path in readable(captures):
        # What was made to break programs says different things to different readers.
        if re.search("oobr|asan|over|zero|cve|segv|heap|loop", path.name):
            continue
        ours, theirs = "\n".join(lines_of(path)), "\n".join(tcpdump("-tt", "-r", path))
        for pattern in (echo, asked):
            # tcpdump also shows what some tunnels carry that end a line here.
            missing = set(pattern.findall(ours)) - set(pattern.findall(theirs))
            assert not missing, path.name
            count += len(pattern.findall(ours))
    assert count > 20


@pytest.mark.needs("tcpdump")
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
def test_times_are_written_as_tcpdump_writes_them(zone: str, tmp_path: Path) -> None:
    path = tmp_path / "times.pcap"
    packet = bytes(Ethernet() / IPv4(src="10.0.0.1") / UDP(src_port=1, dst_port=2))
    summer_ends = 1_698_541_140  # 2023-10-29 00:59 UTC, a minute before
    with path.open("wb") as file:
        writer = PcapWriter(file, nanoseconds=False)
        for seconds in (0, 59, 60, 61, 7200, 86_400 * 200):
            time_ns = (summer_ends + seconds) * 10**9 + 123_456_000
            writer.write(Record(time_ns, packet, len(packet)))
    program = (
        "import sys\nfrom sockwright.cli import main\n"
        "sys.exit(main(['read', '-n', *sys.argv[2:], sys.argv[1]]))"
    )
    for form in ("", "-tt", "-ttt", "-tttt", "-ttttt"):
        options = [form] if form else []
        done = subprocess.run(
            [sys.executable, "-c", program, path, *options],
            capture_output=True,
            check=True,
            text=True,
            env=os.environ | {"TZ": zone},
        )
        theirs = [line.split(" IP ")[0] for line in tcpdump(*options, "-r", path, zone=zone)]
        ours = [line.split(" 10.0.0.1:")[0] for line in done.stdout.splitlines()]
        assert [clock.strip() for clock in theirs] == ours or form in ("-ttt", "-ttttt")
        if form in ("-ttt", "-ttttt"):
            # Beyond a day tcpdump counts days, here hours go on.
            assert [clock.strip() for clock in theirs][:5] == ours[:5]
    assert [line.partition(" ")[0] for line in lines_of(path, LineOptions(1))] == ["10.0.0.1:1"] * 6


@pytest.mark.needs("tcpdump")
@pytest.mark.parametrize("form", ["x", "xx", "X", "XX"])
def test_dumps_are_those_of_tcpdump(captures: Path, form: str) -> None:
    for name in ("mptcp-v1.pcap", "802.1ad_QinQ.pcap", "icmpv6-RFC2894-RR.pcap"):
        path = captures / "tcpdump" / name
        ours = [line for line in lines_of(path, LineOptions(2, dump=form)) if line[:1] == "\t"]
        theirs = [line for line in tcpdump(f"-{form}", "-r", path) if line[:1] == "\t"]
        assert [line.rstrip() for line in ours] == [line.rstrip() for line in theirs], name
        assert len(ours) > 3


def written(function: Callable[..., int], *arguments: object) -> str:
    """Return what a function of `kernels/text.py` writes."""
    out = bytearray(200)
    return out[: function(out, 0, *arguments)].decode("ascii")


@given(st.lists(st.sampled_from([0, 0, 0, 1, 255]), min_size=16, max_size=16).map(bytes))
def test_ipv6_addresses_are_written_as_rfc_5952_says(octets: bytes) -> None:
    if octets[:12] == bytes(12):  # the C library takes these for IPv4
        assert written(kernel.ipv6, octets, 0) == str(IPv6Address(octets))
    else:
        assert written(kernel.ipv6, octets, 0) == socket.inet_ntop(socket.AF_INET6, octets)


@given(st.integers(-700_000, 2_900_000))
def test_dates_are_those_of_the_calendar(day: int) -> None:
    assert written(kernel.date, day) == str(date(1970, 1, 1) + timedelta(day))


@given(st.integers(0, 2**63 - 1), st.integers(1, 9))
def test_numbers_and_times_are_written_in_full(number: int, digits: int) -> None:
    assert written(kernel.decimal, number) == str(number)
    seconds, nanoseconds = divmod(number, 10**9)
    fraction = f"{nanoseconds:09}"[:digits]
    assert written(kernel.seconds, number, digits) == f"{seconds}.{fraction}"
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction}"
    assert written(kernel.clock, number, digits) == clock
    assert written(kernel.clock, -number, digits) == ("-" if number else "") + clock


def line_of(packet: Packet | bytes, tmp_path: Path, **options: Any) -> str:
    """Return the line of one packet, without its time."""
    path = tmp_path / "one.pcap"
    with path.open("wb") as file:
        PcapWriter(file).write(
            Record(0, bytes(packet), options.pop("original", len(bytes(packet))))
        )
    plain = {"time_form": 1, "port_names": False} | options
    (line,) = lines_of(path, LineOptions(**plain))
    return line


_PAIR = Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2")


def test_lines_say_what_a_packet_is(tmp_path: Path) -> None:
    tcp = TCP(src_port=1, dst_port=2, seq=3, ack=4, flags="SA", window=5, options=[MSS(6)])
    assert line_of(_PAIR / tcp / b"xy", tmp_path) == (
        "10.0.0.1:1 > 10.0.0.2:2 TCP [S.] seq 3 ack 4 win 5 len 2 mss 6"
    )
    quoted = bytes(IPv4(src="10.0.0.2", dst="10.0.0.9") / UDP(src_port=7, dst_port=8))
    assert line_of(_PAIR / ICMP(type=3, code=3) / quoted, tmp_path) == (
        "10.0.0.1 > 10.0.0.2 ICMP port unreachable for 10.0.0.2:7 > 10.0.0.9:8 UDP"
    )
    inner = IPv6(src="fe80::1", dst="ff02::1") / UDP(src_port=546, dst_port=547) / b"1234"
    assert line_of(_PAIR / inner, tmp_path) == (
        "10.0.0.1 > 10.0.0.2 IPv6 [fe80::1]:546 > [ff02::1]:547 UDP len 4"
    )
    assert line_of(_PAIR / b"?", tmp_path) == "10.0.0.1 > 10.0.0.2 experiment 1 len 1"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("IGMP_V1.pcap", "IGMP membership report, version 1 group 224.0.0.252"),
        ("IGMP_V2.pcap", "IGMP leave group group 225.1.1.3"),
        ("igmpv3-queries.pcap", "IGMPv3 membership query group 0.0.0.0 sources 0"),
        ("dccp_partial_csum_v6_simple.pcap", "[3ffe::2]:5001 DCCP Request len 0"),
        ("hdlc_slarp.pcapng", "Cisco HDLC protocol 0x8035 len 20"),
        ("ppp-invalid-lengths.pcap", "PPP protocol 0x8021 len 58452"),
        ("ipv6_jumbogram_1.pcap", "ICMPv6 echo request id 4576 seq 51486 len 65528"),
    ],
)
def test_group_messages_and_echoes_are_told(captures: Path, name: str, told: str) -> None:
    assert any(line.endswith(told) for line in lines_of(captures / "tcpdump" / name))


def test_lines_say_what_is_missing(tmp_path: Path) -> None:
    octets = bytes(_PAIR / TCP(src_port=1, dst_port=2) / b"data")
    # Cut while it was captured, within the header of TCP.
    assert line_of(octets[:44], tmp_path, original=len(octets)) == "10.0.0.1 > 10.0.0.2 TCP [cut]"
    # Sent shorter than IP says.
    assert line_of(octets[:56], tmp_path).endswith("len 4 [missing 2]")


def test_fragments_say_where_they_belong(tmp_path: Path) -> None:
    whole = IPv4(src="10.0.0.1", dst="10.0.0.2", identification=7) / UDP(dst_port=5) / bytes(2000)
    lines = [line_of(Ethernet() / piece, tmp_path) for piece in fragment(whole, mtu=1500)]
    assert lines == [
        "10.0.0.1:0 > 10.0.0.2:5 UDP len 2000 fragment 7 offset 0 more",
        "10.0.0.1 > 10.0.0.2 UDP len 528 fragment 7 offset 1480",
    ]


@pytest.mark.parametrize("form", range(6))
def test_times_at_the_ends_of_64_bits_are_written(form: int, tmp_path: Path) -> None:
    path = tmp_path / "far.pcapng"
    octets = bytes(_PAIR / b"?")
    edge = 2**63
    with path.open("wb") as file:
        writer = PcapngWriter(file)
        for time_ns in (None, 0, edge - 1, edge - 2, edge - 10**12, 1, edge - 1):
            writer.write(Record(time_ns, octets, len(octets)))
    lines = lines_of(path, LineOptions(form))
    assert len(lines) == 7
    assert lines == lines_of(path, LineOptions(form), compiled=True)


def test_names_of_ports_are_those_of_the_system(tmp_path: Path) -> None:
    if not Path("/etc/services").exists():
        pytest.skip("this kernel comes without /etc/services")
    packet = _PAIR / TCP(src_port=50000, dst_port=80)
    assert " > 10.0.0.2:http TCP" in line_of(packet, tmp_path, port_names=True)


def test_details_name_every_field_and_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "wrong.pcap"
    packet = _PAIR / UDP(src_port=1, dst_port=2, checksum=0xBAD) / b"\x1b[2J"
    with path.open("wb") as file:
        PcapWriter(file).write(Record(0, bytes(packet), len(bytes(packet))))
    lines = lines_of(path, LineOptions(1, port_names=False, detail=True))
    assert any("UDP: src_port 1, dst_port 2" in line for line in lines)
    assert any("protocol 17 (UDP)" in line for line in lines)
    assert any("udp.checksum" in line for line in lines)
    assert all(line.isprintable() for line in lines)


def test_words_are_escaped_and_cut() -> None:
    words = WordList()
    place = words.add("\x1b]0;evil\x07 é" + "x" * 100)
    length = words.octets[place]
    text = words.octets[place + 1 : place + 1 + length].decode("ascii")
    assert text.startswith("\\x1b]0;evil\\x07 \\xe9x")
    assert length == 60


def test_a_broken_plan_in_the_cache_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sockwright.columns import compiling

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiling.cache_folder.cache_clear()
    try:
        made = make_line_plan()
        assert line_plan() == made
        (kept,) = tmp_path.rglob("*.plan")
        octets = bytearray(kept.read_bytes())
        octets[len(octets) // 2] ^= 1
        kept.write_bytes(octets)
        assert line_plan() == made
        assert kept.read_bytes() != octets
        kept.write_bytes(b"")
        assert line_plan() == made
    finally:
        compiling.cache_folder.cache_clear()


def test_hostile_packets_are_written_the_same_interpreted_and_compiled(
    captures: Path, tmp_path: Path
) -> None:
    draw = random.Random(5)
    path = tmp_path / "hostile.pcapng"
    with path.open("wb") as file:
        writer = PcapngWriter(file)
        for source in list(readable(captures))[::2]:
            with source.open("rb") as opened:
                try:
                    records = list(islice(read_records(opened), 12))
                except DecodeError:
                    continue
            for record in records:
                octets = bytearray(record.octets[: draw.choice((40, 60, 80, 200))])
                for _ in range(draw.randrange(4) if octets else 0):
                    octets[draw.randrange(len(octets))] = draw.choice((0, 1, 4, 6, 17, 69, 255))
                changed = bytes(octets[: draw.randrange(len(octets) + 1)])
                writer.write(Record(0, changed, draw.randrange(2000), record.link_type))
    options = LineOptions(numbers=True, link_header=True)
    lines = lines_of(path, options, compiled=False)
    assert lines == lines_of(path, options, compiled=True)
    assert len(lines) > 900
    assert all(line.isascii() and line.isprintable() for line in lines)

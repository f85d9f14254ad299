"""`sw read` as it is typed, beside tcpdump, over strangers' captures and over those made here."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard

from sockwright.records import Interface, PcapngWriter, PcapWriter, Record, read_records
from sockwright.wire import TCP, UDP, Ethernet, IPv4, IPv6

if TYPE_CHECKING:
    from collections.abc import Sequence

_SW = [sys.executable, "-W", "error", "-m", "sockwright"]
_ADDRESSES = Ethernet() / IPv4(src="10.0.0.1", dst="10.0.0.2")
_MANY = 20_000  # records: enough for compiled kernels


def sw(*words: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run ``sw read``."""
    return subprocess.run(
        [*_SW, "read", *words], capture_output=True, check=False, timeout=120, input=stdin
    )


def said(done: subprocess.CompletedProcess[bytes]) -> bytes:
    """Return what stands on standard error but for the word about the first compilation."""
    return re.sub(rb"^sockwright: compiling.*\n", b"", done.stderr, flags=re.MULTILINE)


def lines(*words: str | Path) -> list[str]:
    """Return what ``sw read`` prints; it has to succeed."""
    done = sw(*words)
    assert done.returncode == 0, done.stderr
    assert said(done) == b""
    return done.stdout.decode("ascii").splitlines()


def tcpdump(*words: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run tcpdump without looking up names."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    return subprocess.run(
        ["tcpdump", "-nn", *words],
        capture_output=True,
        check=False,
        env=os.environ | {"PATH": path},
    )


def packets() -> list[bytes]:
    """Return a few packets: a question, a connection."""
    made = [_ADDRESSES / UDP(src_port=9999, dst_port=53) / b"?"]
    for src, dst, seq, ack, flags, data in (
        (1, 2, 100, 0, "S", b""),
        (2, 1, 900, 101, "SA", b""),
        (1, 2, 101, 901, "PA", b"hello\n"),
        (2, 1, 901, 107, "PA", b"and \x1b[31mgood bye\n"),
    ):
        ends = ("10.0.0.1", "10.0.0.2") if src == 1 else ("10.0.0.2", "10.0.0.1")
        frame = Ethernet() / IPv4(src=ends[0], dst=ends[1])
        ports = {1: 40000, 2: 80}
        tcp = TCP(src_port=ports[src], dst_port=ports[dst], seq=seq, ack=ack, flags=flags)
        made.append(frame / tcp / data)
    return [bytes(packet) for packet in made]


def write(path: Path, octets: Sequence[bytes], times: int = 1) -> Path:
    """Write a pcap file."""
    with path.open("wb") as file:
        writer = PcapWriter(file, nanoseconds=False)
        for number in range(times * len(octets)):
            one = octets[number % len(octets)]
            writer.write(Record(1_700_000_000_000_000_000 + number * 1000, one, len(one)))
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write(tmp_path / "small.pcap", packets())


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("read") / "large.pcap", packets(), _MANY // 5)


# Lines


def test_options_may_stand_between_file_and_filter(small: Path) -> None:
    assert lines(small, "-n", "-t", "udp") == ["10.0.0.1:9999 > 10.0.0.2:53 UDP len 1"]
    assert lines("-n", "-t", small, "udp", "port", "53") == lines(small, "udp", "-t", "-n")
    assert len(lines(small, "-c", "2")) == 2
    assert lines(small, "-c", "0") == []
    assert [line.split()[0] for line in lines(small, "-#", "tcp")] == ["2", "3", "4", "5"]


@pytest.mark.needs("tcpdump")
def test_lines_of_a_large_capture_are_as_many_and_in_the_order_of_tcpdump(large: Path) -> None:
    ours = lines(large, "-n", "-tt")
    theirs = tcpdump("-tt", "-r", large).stdout.decode().splitlines()
    assert [line.split()[0] for line in ours] == [line.split()[0] for line in theirs]
    some = lines(large, "-n", "-tt", "tcp[tcpflags] & tcp-push != 0")
    assert some == [line for line in ours if "[P.]" in line]


@pytest.mark.needs("tcpdump")
def test_counts_equal_those_of_tcpdump_over_captures(captures: Path) -> None:
    program = (
        "import sys\n"
        "from sockwright.cli import main\n"
        "for path in sys.argv[1:]:\n"
        "    print(path, end=' ', flush=True)\n"
        "    if main(['read', '--count', path]) not in (0, 6): sys.exit(1)\n"
        "    print(flush=True)\n"
    )
    paths = [str(path) for path in sorted((captures / "tcpdump").iterdir())[::4]]
    done = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, check=True)
    ours = dict(re.findall(r"^(\S+) (\d+)$", done.stdout.decode(), re.MULTILINE))
    compared = 0
    for path in paths:
        told = tcpdump("--count", "-r", path).stdout.split()
        if told:
            compared += 1
            assert ours[path] == told[0].decode()
    assert compared > 150


def test_names_and_details_are_shown_when_asked_for(small: Path) -> None:
    (line, *details) = lines(small, "-v", "-c", "1")
    assert "UDP len 1" in line
    assert any(detail.startswith("    IPv4: version 4") for detail in details)
    assert any(":http" in line for line in lines(small)) or not Path("/etc/services").exists()
    (link, *dump) = lines(small, "-n", "-e", "-xx", "-c", "1")
    assert link.split()[1:4] == ["00:00:00:00:00:00", ">", "00:00:00:00:00:00"]
    assert dump[0].startswith("\t0x0000:  0000 0000 0000")
    assert any(line.endswith("?") for line in lines(small, "-A", "-c", "1"))


# Other outputs


def test_count_prints_the_number_alone(small: Path, large: Path) -> None:
    assert lines("--count", small) == ["5"]
    assert lines("--count", small, "tcp") == ["4"]
    assert lines("--count", large, "udp") == [str(_MANY // 5)]
    assert lines("--count", large, "-c", "7") == ["7"]
    assert [json.loads(line) for line in lines("--count", small, "--json")] == [{"packets": 5}]


def test_fields_are_separated_and_absent_ones_are_empty(small: Path, large: Path) -> None:
    names = "frame.number,tcp.flags,udp.dst_port,ipv4.src"
    for path in (small, large):
        found = lines(path, "--fields", names, "-c", "2", "--header")
        assert found == [
            "frame.number\ttcp.flags\tudp.dst_port\tipv4.src",
            "1\t\t53\t10.0.0.1",
            "2\t0x2\t\t10.0.0.1",
        ]
    assert lines(small, "--fields", "tcp.seq,tcp.ack", "--separator", ";", "-c", "1", "tcp") == [
        "100;0"
    ]


def test_occurrence_chooses_among_layers_that_repeat(tmp_path: Path) -> None:
    inner = IPv6(src="fe80::1", dst="fe80::2")
    tunnel = bytes(_ADDRESSES / IPv4(src="10.9.9.9", dst="10.8.8.8") / inner / b"x")
    plain = bytes(_ADDRESSES / b"x")
    for times in (1, _MANY):
        path = write(tmp_path / f"{times}.pcap", [tunnel, plain], times)
        for occurrence, wanted in (
            ("all", ["10.0.0.1,10.9.9.9", "10.0.0.1"]),
            ("first", ["10.0.0.1", "10.0.0.1"]),
            ("last", ["10.9.9.9", "10.0.0.1"]),
            ("2", ["10.9.9.9", ""]),
        ):
            found = lines(path, "--fields", "ipv4.src", "--occurrence", occurrence, "-c", "2")
            assert found == wanted, occurrence


def test_a_field_that_is_not_there_is_a_usage_error_with_near_names(small: Path) -> None:
    done = sw(small, "--fields", "tcp.dst_prot")
    assert done.returncode == 2
    assert b"tcp.dst_port" in done.stderr
    done = sw(small, "--fields", "tcp.dst_port", "--occurrence", "third")
    assert done.returncode == 2


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "1e300", "0", "-1"])
def test_an_interval_that_is_no_length_of_time_is_a_usage_error(small: Path, seconds: str) -> None:
    done = sw(small, "--stats", "io", f"--interval={seconds}")
    assert done.returncode == 2
    assert done.stderr.startswith(b"sw read: --interval is a number of seconds")


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["--header"], b"--fields"),
        (["--separator", ","], b"--fields"),
        (["--occurrence", "first"], b"--fields"),
        (["--header", "--fields", "ipv4.src", "--export", "out"], b"--fields"),
        (["--interval", "1"], b"--stats io"),
        (["--interval", "1", "--stats", "tcp"], b"--stats io"),
        (["--format", "pcap"], b"-w"),
    ],
)
def test_an_option_that_would_change_nothing_is_a_usage_error(
    small: Path, words: list[str], needed: bytes
) -> None:
    done = sw(small, *words)
    option = words[0].encode()
    assert done.returncode == 2
    assert done.stderr == b"sw read: " + option + b" goes with " + needed + b" alone\n"


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("tcp", b"TCP"),
        ("conversations", b"IP packet"),
        ("endpoints", b"IP packet"),
        ("protocols", b"packet"),
        ("io", b"packet"),
    ],
)
def test_statistics_of_nothing_say_so(small: Path, tmp_path: Path, table: str, what: bytes) -> None:
    empty = write(tmp_path / "empty.pcap", [])
    for form in ([], ["--json"]):
        done = sw(empty, "--stats", table, *form)
        told = b"sw read: there is no " + what + b" in this capture\n"
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", told)
        chosen = sw(small, "--stats", table, *form, "-c", "0")
        told = b"sw read: there is no " + what + b" among those chosen\n"
        assert (chosen.returncode, chosen.stdout, said(chosen)) == (0, b"", told)


@pytest.mark.parametrize("words", [[""], ["FILE", "-w", ""], ["FILE", "--export", ""]])
def test_an_empty_name_is_a_usage_error(small: Path, words: list[str]) -> None:
    done = sw(*[str(small) if word == "FILE" else word for word in words])
    assert done.returncode == 2
    assert b"takes the name of a file, not an empty text" in done.stderr


@pytest.mark.parametrize("option", ["-w", "--export"])
def test_a_full_disk_is_told_with_the_file(small: Path, option: str) -> None:
    done = sw(small, option, "/dev/full")
    assert done.returncode == 1
    assert said(done).startswith(b"sw read: /dev/full: No space left on device")


def test_json_holds_every_field_of_every_layer(small: Path) -> None:
    rows = [json.loads(line) for line in lines(small, "--json")]
    assert [row["frame"]["number"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0]["frame"]["time_ns"] == 1_700_000_000_000_000_000
    assert [layer["layer"] for layer in rows[1]["layers"]] == ["ethernet", "ipv4", "tcp"]
    assert rows[1]["layers"][2]["flags"] == 2
    assert rows[1]["layers"][1]["src"] == "10.0.0.1"
    assert bytes.fromhex(rows[3]["payload"]) == b"hello\n"


def test_tree_shows_layers_and_fields(small: Path) -> None:
    text = "\n".join(lines(small, "--tree", "-c", "1"))
    assert "UDP ---" in text
    assert re.search(r"dst_port +53", text)


def test_list_fields_names_them_with_types() -> None:
    text = "\n".join(lines("--list-fields"))
    for name in ("frame.time_ns", "ipv4.checksum_ok", "tcp.flags", "udp.length", "arp.operation"):
        assert re.search(rf"^{name} +\w+ +\S", text, re.MULTILINE), name


def test_statistics_are_tables(small: Path, large: Path) -> None:
    for path in (small, large):
        conversations = lines(path, "--stats", "conversations")
        assert len(conversations) == 3
        assert lines(path, "--stats", "conversations", "udp")[1].split()[1] == "UDP"
        assert any("10.0.0.2" in line for line in lines(path, "--stats", "endpoints"))
        assert any("tcp" in line for line in lines(path, "--stats", "protocols"))
        assert len(lines(path, "--stats", "tcp")) == 2
        assert len(lines(path, "--stats", "io", "--interval", "0.01")) >= 2


def test_follow_shows_both_sides_and_no_escapes(small: Path) -> None:
    assert lines(small, "--follow", "1") == ["> hello", "< and \\x1b[31mgood bye"]
    assert sw(small, "--follow", "9").returncode == 2
    rows = [json.loads(line) for line in lines(small, "--follow", "1", "--json")]
    assert bytes.fromhex(rows[0]["octets"]) == b"hello\n"


# Writing


def test_what_matched_is_written(small: Path, large: Path, tmp_path: Path) -> None:
    for source in (small, large):
        for name in ("out.pcap", "out.pcapng", "out"):
            out = tmp_path / name
            assert lines(source, "udp", "-w", out, "-c", "3") == []
            with out.open("rb") as file:
                reader = read_records(file)
                found = list(reader)
            assert reader.format == ("pcapng" if name == "out.pcapng" else "pcap")
            assert {record.octets for record in found} == {packets()[0]}
            assert len(found) == (1 if source == small else 3)
    with_format = tmp_path / "named.pcap"
    lines(small, "-w", with_format, "--format", "pcapng")
    assert with_format.read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"


def test_a_capture_written_whole_is_the_same_octets(small: Path, large: Path) -> None:
    for source in (small, large):
        assert sw(source, "-w", "-").stdout == source.read_bytes()


def test_pcapng_keeps_comments_and_interfaces(tmp_path: Path) -> None:
    source, out = tmp_path / "in.pcapng", tmp_path / "out.pcapng"
    with source.open("wb") as file:
        writer = PcapngWriter(file, comment="of the whole", hardware="a box")
        writer.add_interface(Interface(0, name="eth0", description="to the router"))
        writer.add_interface(Interface(1, name="eth1"))
        for number, octets in enumerate(packets()):
            record = Record(number, octets, 100, comment=f"note {number}")
            record.interface_number = number % 2
            record.interface = f"eth{number % 2}"
            writer.write(record)
    for name, stdin in ((str(source), b""), ("-", source.read_bytes())):
        done = sw(name, "tcp", "-w", out, stdin=stdin)
        assert done.returncode == 0, done.stderr
        with out.open("rb") as file:
            reader = read_records(file)
            found = list(reader)
        assert [record.comment for record in found] == [f"note {n}" for n in (1, 2, 3, 4)]
        assert [record.interface for record in found] == ["eth1", "eth0", "eth1", "eth0"]
        assert reader.sections[0].hardware == "a box"
        assert "of the whole" in reader.comments
        assert reader.interfaces[0].description == "to the router"
        out.unlink()
    # Names of interfaces are shown where there are several.
    assert " eth0 10.0.0.1:9999" in lines(source, "-n", "-c", "1")[0]


def test_a_capture_is_not_written_over_itself(small: Path) -> None:
    before = small.read_bytes()
    done = sw(small, "-w", small)
    assert done.returncode == 2
    assert small.read_bytes() == before


def test_pcap_refuses_two_link_types(tmp_path: Path) -> None:
    source = tmp_path / "mixed.pcapng"
    with source.open("wb") as file:
        writer = PcapngWriter(file)
        for link_type in (1, 113):
            writer.add_interface(Interface(link_type // 113, link_type))
            record = Record(1, bytes(60), 60, link_type)
            record.interface_number = link_type // 113
            writer.write(record)
    done = sw(source, "-w", tmp_path / "out.pcap")
    assert done.returncode == 5
    assert b"one link type" in done.stderr


# Files as they come


def test_compressed_files_and_standard_input_are_read(small: Path, tmp_path: Path) -> None:
    wanted = lines(small, "-n")
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(small.read_bytes()))
    assert lines(packed, "-n") == wanted
    for octets in (small.read_bytes(), zstandard.ZstdCompressor().compress(small.read_bytes())):
        done = sw("-", "-n", stdin=octets)
        assert done.stdout.decode().splitlines() == wanted


def test_a_cut_file_gives_its_whole_records_and_status_6(large: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(large.read_bytes()[:-10])
    whole = _MANY - 1
    out = tmp_path / "out.pcap"
    for words, count in (
        (["-n"], whole),
        (["--count"], 1),
        (["--fields", "frame.number"], whole),
        (["--stats", "conversations"], 3),
        (["-w", str(out)], 0),
    ):
        done = sw(cut, *words)
        assert done.returncode == 6, words
        assert len(done.stdout.splitlines()) == count, words
        assert f"record {_MANY}".encode() in done.stderr
        assert said(done).count(b"\n") == 1
    assert lines("--count", out) == [str(whole)]


def test_what_cannot_be_read_is_one_line(tmp_path: Path, small: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no capture at all")
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(b"")
    for words, status in (
        ([tmp_path], 1),
        ([tmp_path / "missing.pcap"], 1),
        ([text], 6),
        ([empty], 6),
        ([small, "tcp", "prot"], 2),
        ([small, "-tttttt"], 2),
        ([small, "--count", "--tree"], 2),
        ([small, "-c", "-1"], 2),
        ([], 2),
    ):
        done = sw(*words)
        assert done.returncode == status, (words, done.stderr)
        assert done.stdout == b""
        assert said(done).startswith(b"sw read: "), words
        assert b"Traceback" not in done.stderr


_AS_NOBODY = """
import os, sys
from sockwright.cli import main
from sockwright.columns.line_plan import make_line_plan
make_line_plan()
main(["read", "-n", sys.argv[1]])  # load all that is loaded late while it can be read
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.exit(main(["read", "-n", "-"]))
"""


@pytest.mark.needs("root")
def test_an_ordinary_user_needs_no_privilege(small: Path) -> None:
    with small.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, small], stdin=file, capture_output=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 10


def test_a_live_pipe_is_shown_as_it_comes_and_ends_by_an_interrupt(small: Path) -> None:
    command = [*_SW, "read", "-n", "-t", "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(small.read_bytes()[:-10])  # the last record is not whole yet
        process.stdin.flush()
        for _ in range(4):
            assert b" > " in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_a_reader_that_goes_away_ends_it(large: Path) -> None:
    with subprocess.Popen([*_SW, "read", "-n", large], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(100)
        process.stdout.close()
        assert process.wait(timeout=60) == 141


def on_a_terminal(*words: str | Path, columns: int = 40) -> str:
    """Return what ``sw read`` writes on a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([*_SW, "read", *words], stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        written = b""
        try:
            while chunk := os.read(ours, 65536):
                written += chunk
        except OSError:
            pass  # EIO: the last process on the terminal has left it
    os.close(ours)
    return written.decode().replace("\r\n", "\n")


def test_a_terminal_gets_the_same_lines_however_narrow(small: Path) -> None:
    assert on_a_terminal(small, "-n").splitlines() == lines(small, "-n")
    assert "\x1b[31m" not in on_a_terminal(small, "--follow", "1", "-n").replace("\x1b[36m", "")

"""sw os --passive and -i: rows, JSON, files that are cut, an interface of the lab."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.identify.passive.segments import linux, segment, windows

from sockwright import Lab
from sockwright.errors import UsageError
from sockwright.records import PcapWriter, Record
from sockwright.tools.os import quick_arguments, run
from sockwright.wire.tcp_options import MSS

if TYPE_CHECKING:
    from collections.abc import Iterator

_SW = str(Path(sys.executable).parent / "sw")
_SECONDS = 60


def _sw(*words: str, octets: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [_SW, "os", *words], capture_output=True, check=False, timeout=_SECONDS, input=octets
    )


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.pcap"
    with path.open("wb") as file:
        writer = PcapWriter(file, 1)
        for packet in (
            segment(linux()),
            segment(windows(), src="192.0.2.7", ttl=120),
            segment(flags="A", payload=b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"),
            segment(flags="A", payload=b"data"),
        ):
            octets = bytes(packet)
            writer.write(Record(0, octets, len(octets), 1))
    return path


def test_hosts_of_a_capture_are_named_with_what_they_told(trace: Path) -> None:
    done = _sw("--passive", str(trace))
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert "192.0.2.1  Debian 12 (Linux " in text
    assert "192.0.2.7  Windows 10-11 (" in text
    assert "8 hops" in text
    assert "4:64+0:0:1460:mss*max,7:mss,sok,ts,nop,ws:df,id+:0" in text
    assert "no uptime: " in text
    assert "2 hosts; 3 of 4 packets told something" in text


@pytest.mark.needs("root")
def test_a_capture_takes_no_privilege(trace: Path) -> None:
    nothing = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    command = [*nothing, _SW, "os", "--passive", str(trace)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=_SECONDS)
    assert done.returncode == 0, done.stderr
    assert b"2 hosts; 3 of 4" in done.stdout
    assert done.stderr == b""


def test_explaining_shows_the_tests_and_the_source(trace: Path) -> None:
    text = " ".join(_sw("--passive", str(trace), "--explain").stdout.decode().split())
    assert "agrees (+4.5): syn.options is mss,sok,ts,nop,ws (TCP options of the SYN, in" in text
    assert "published: " in text
    assert "mss*max is the largest multiple of the MSS below 65536" in text


def test_what_is_less_likely_than_not_is_listed_and_not_named(tmp_path: Path) -> None:
    path = tmp_path / "bare.pcap"
    with path.open("wb") as file:
        writer = PcapWriter(file, 1)
        offer = segment(linux(), src="192.0.2.2", dst="192.0.2.1", src_port=80, dst_port=40000)
        for packet in (offer, segment((MSS(1460),), flags="SA", ttl=127, ip_flags="")):
            octets = bytes(packet)
            writer.write(Record(0, octets, len(octets), 1))
    text = _sw("--passive", str(path)).stdout.decode()
    assert "192.0.2.1  unknown\n" in text
    (line,) = [line for line in text.splitlines() if line.startswith("  syn_ack ")]
    assert "unknown; perhaps Windows 10-11 0." in line
    assert line.endswith("  1 hop")


def test_several_captures_are_taken_together(trace: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pcap"
    other.write_bytes(trace.read_bytes())
    broken = tmp_path / "broken.pcap"
    broken.write_bytes(b"no capture at all")
    done = _sw("--passive", str(trace), str(broken), str(other))
    assert done.returncode == 6
    assert b"2 hosts; 6 of 8 packets told something" in done.stdout
    assert b"broken.pcap: " in done.stderr


def test_programs_get_candidates_evidence_and_a_summary(trace: Path) -> None:
    done = _sw("--json", "--passive", "-", octets=trace.read_bytes())
    *systems, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["kind"] for row in systems] == ["system", "system"]
    debian = next(row for row in systems if row["host"] == "192.0.2.1")
    assert [one["evidence"] for one in debian["evidence"]] == ["syn", "ssh"]
    assert debian["candidates"][0]["matched"]
    assert debian["uptime_ns"] is None
    assert summary == {
        "kind": "summary", "packets": 4, "telling": 3, "hosts": 2, "evicted": 0
    }  # fmt: skip


def test_a_cut_capture_is_told_after_what_is_whole(trace: Path) -> None:
    trace.write_bytes(trace.read_bytes()[:-3])
    done = _sw("--passive", str(trace))
    assert done.returncode == 6
    assert b"192.0.2.7" in done.stdout
    assert b"packet" in done.stderr or b"record" in done.stderr


def test_what_is_no_capture_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "no.pcap"
    path.write_bytes(b"no capture at all")
    done = _sw("--passive", str(path))
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_file_is_one_line() -> None:
    done = _sw("--passive", "not-there.pcap")
    assert done.returncode == 1
    assert b"not-there.pcap" in done.stderr


def test_a_p0f_file_of_the_user_is_used(trace: Path, tmp_path: Path) -> None:
    mine = tmp_path / "p0f.fp"
    mine.write_text("[tcp:request]\nlabel = s:unix:Madeup:1\nsig = 4:64:0:*:mss*44,7:mss:df:0\n")
    assert _sw("--passive", str(trace), "--p0f", str(mine)).returncode == 0
    mine.write_text("[tcp:request]\nlabel = s:unix:Madeup:1\nsig = 4:64\n")
    done = _sw("--passive", str(trace), "--p0f", str(mine))
    assert done.returncode == 6
    assert b"line 3" in done.stderr
    mine.write_text("; nothing but a comment\n")
    done = _sw("--passive", str(trace), "--p0f", str(mine))
    assert done.returncode == 1
    assert b"has no signature" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--passive", "a.pcap", "-i", "lo"),
        ("-i", "lo", "192.0.2.1"),
        ("--duration", "1", "--passive", "a.pcap"),
        ("-i", "lo", "--duration", "0"),
        ("-i", "lo", "--duration", "3x"),
        ("-i", "lo", "--most-hosts", "0"),
    ],
)
def test_words_that_do_not_fit_are_a_usage_error(words: tuple[str, ...]) -> None:
    args = quick_arguments(words)
    assert args is not None
    with pytest.raises(UsageError):
        list(run(args))


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


@pytest.mark.needs("namespaces")
def test_an_interface_is_listened_to_until_ctrl_c(lab: Lab) -> None:
    a, b = lab.hosts("a", "b")
    lab.link(a, b)
    with b.popen(
        [_SW, "os", "-i", "eth0", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as listening:
        assert listening.stderr is not None
        assert listening.stdout is not None
        assert b"listening at eth0 until Ctrl-C" in listening.stderr.readline()
        with b.socket() as server, a.socket() as client:
            server.bind((b.ipv4, 0))
            server.listen()
            client.settimeout(_SECONDS)
            client.connect(server.getsockname())
            heard = [json.loads(listening.stdout.readline()) for _ in range(2)]
        listening.send_signal(signal.SIGINT)
        rest = [json.loads(line) for line in listening.stdout.read().splitlines()]
        assert listening.wait(_SECONDS) == 0
    assert {row["evidence"] for row in heard} == {"syn", "syn_ack"}
    systems = [row for row in rest if row["kind"] == "system"]
    assert [row["family"] for row in systems] == ["Linux", "Linux"]
    assert rest[-1]["hosts"] == 2
    assert socket.inet_aton(systems[0]["host"])

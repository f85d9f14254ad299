"""`sw capture` as it is typed, on a host of a lab, beside tcpdump."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from tests.sockets.live import Net, hosts, marked

import sockwright
from sockwright.records import Record, read_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.lab.process import Process

pytestmark = pytest.mark.needs("namespaces")

_SW = [sys.executable, "-W", "error", "-m", "sockwright"]
_SOURCE = str(Path(sockwright.__file__).parent)
_MARKED = ["ether", "proto", "0x88b5"]


@pytest.fixture
def net() -> Iterator[Net]:
    with hosts() as found:
        yield found


class Capture:
    """`sw capture` on host b; ready when the block is entered."""

    def __init__(self, net: Net, *words: str, before: tuple[str, ...] = ()) -> None:
        self.process: Process = net.b.popen(
            [*before, *_SW, "capture", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.out = b""
        self.said = ""

    def __enter__(self) -> Self:
        self.until("capturing on")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.close_pipes()

    def until(self, text: str) -> None:
        """Read what it says until `text` is among it."""
        assert self.process.stderr is not None
        while text not in self.said:
            more = self.process.stderr.read(4096)
            assert more, self.said
            self.said += more.decode()

    def end(self, number: int = signal.SIGINT) -> int:
        """Let it end by a signal (0: by itself); give its exit status."""
        if number:
            self.process.send_signal(number)
        out, said = self.process.communicate(timeout=60)
        self.out += out or b""
        self.said += (said or b"").decode()
        return self.process.wait()


def records_of(path: Path) -> list[Record]:
    with path.open("rb") as file:
        return list(read_records(file))


def numbers(records: list[Record]) -> list[int]:
    return [int(record.octets[14:].partition(b".")[0]) for record in records]


def numbered(count: int, size: int = 60, begin: int = 0) -> list[bytes]:
    return [marked(b"%d." % number, size) for number in range(begin, begin + count)]


def test_interfaces_are_listed(net: Net) -> None:
    done = net.b.run([*_SW, "capture", "--list", "--json"], check=True)
    rows = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert set(rows) == {"lo", "eth0", "any"}
    assert rows["eth0"]["state"] == "up"
    assert rows["eth0"]["link"] == "Ethernet"
    assert rows["eth0"]["mtu"] == 1500
    assert rows["eth0"]["mac"] == net.b.mac
    assert f"{net.b.ipv4}/24" in rows["eth0"]["addresses"]
    assert rows["any"]["link_type"] == 276
    net.b.run(["ip", "link", "set", "eth0", "down"], check=True)
    text = net.b.run([*_SW, "capture", "-D"], check=True).stdout
    assert [line.split()[:2] for line in text.splitlines()][2] == ["eth0", "down"]


def test_packets_are_shown_as_they_come(net: Net) -> None:
    with Capture(net, "-i", "eth0", "-n", "-c", "2", "udp") as capture:
        with net.a.socket(type=socket.SOCK_DGRAM) as client:
            client.bind((net.a.ipv4, 4000))
            client.sendto(b"hello", (net.b.ipv4, 5000))
            assert capture.process.stdout is not None
            line = capture.process.stdout.readline()
            client.sendto(b"hello", (net.b.ipv4, 5000))
        assert capture.end(0) == 0
    assert f"{net.a.ipv4}:4000 > {net.b.ipv4}:5000" in line.decode()
    assert capture.out.count(b"\n") == 1
    assert "capturing on eth0 (Ethernet), only 'udp'" in capture.said
    assert "2 packets captured, 0 dropped by the kernel" in capture.said


def test_a_long_filter_is_said_in_short(net: Net) -> None:
    words = " or ".join(["udp port 53"] * 20)
    with Capture(net, "-i", "eth0", "--duration", "10ms", words) as capture:
        assert capture.end(0) == 0
    assert len(capture.said.splitlines()[0]) < 160
    assert "only 'udp port 53 or udp port 53 or" in capture.said


def test_packets_of_any_tell_their_interface(net: Net) -> None:
    with Capture(net, "-n", "-c", "2", "udp") as capture:
        with net.b.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(b"to myself", ("127.0.0.1", 9))
            client.sendto(b"to a", (net.a.ipv4, 9))
        assert capture.end(0) == 0
    first, second = capture.out.decode().splitlines()
    assert " lo " in first
    assert " eth0 " in second


def test_rows_for_programs_stand_alone_on_standard_output(net: Net) -> None:
    with Capture(net, "-i", "eth0", "--json", "-c", "1", *_MARKED) as capture:
        net.send(marked(b"row"))
        assert capture.end(0) == 0
    (row,) = map(json.loads, capture.out.decode().splitlines())
    assert row["frame"]["interface"] == "eth0"
    assert row["frame"]["number"] == 1
    assert "1 packets captured" in capture.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_at_once_with_a_whole_file(
    net: Net, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "all.pcap"
    with Capture(net, "-i", "eth0", "-w", str(path), *_MARKED) as capture:
        net.send(*numbered(1000))
        assert capture.end(number) == 0
    assert "1000 packets captured, 0 dropped by the kernel" in capture.said
    assert numbers(records_of(path)) == list(range(1000))


def test_it_goes_on_under_nohup(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "all.pcap"
    words = ["-i", "eth0", "-w", str(path), "-c", "1", *_MARKED]
    with Capture(net, *words, before=("nohup",)) as capture:
        capture.process.send_signal(signal.SIGHUP)
        net.send(*numbered(1))
        assert capture.end(0) == 0
    assert numbers(records_of(path)) == [0]


@pytest.mark.needs("tcpdump")
def test_many_packets_are_compiled_into_the_same_file(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "all.pcap"
    with Capture(net, "-i", "eth0", "-w", str(path), "--buffer", "64M", *_MARKED) as capture:
        net.send(*numbered(20_000))
        assert capture.end() == 0
    assert numbers(records_of(path)) == list(range(20_000))
    theirs = subprocess.run(
        ["tcpdump", "-nn", "--count", "-r", path], capture_output=True, text=True, check=True
    )
    assert theirs.stdout == "20000 packets\n"


@pytest.mark.needs("tshark")
def test_pcapng_tells_interface_filter_and_counts(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    with Capture(net, "-i", "eth0", "-w", str(path), "-c", "3", *_MARKED) as capture:
        capture.process.send_signal(signal.SIGSTOP)  # or it ends before the fourth is sent
        net.send(*numbered(5))
        capture.process.send_signal(signal.SIGCONT)
        assert capture.end(0) == 0
    with path.open("rb") as file:
        reader = read_records(file)
        assert numbers(list(reader)) == [0, 1, 2]
        (interface,) = reader.interfaces
        assert (interface.name, interface.filter) == ("eth0", "ether proto 0x88b5")
        (counted,) = reader.statistics
    assert (counted.accepted, counted.dropped_by_os, counted.delivered) == (5, 0, 3)
    theirs = subprocess.run(
        ["tshark", "-r", path, "-T", "fields", "-e", "frame.interface_name"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert theirs.stdout.split() == ["eth0"] * 3


@pytest.mark.needs("tcpdump")
def test_a_pipe_gets_each_packet_at_once(net: Net) -> None:
    with Capture(net, "-i", "eth0", "-w", "-", *_MARKED) as capture:
        theirs = subprocess.Popen(
            ["tcpdump", "-l", "-nn", "-t", "-r", "-"],
            stdin=capture.process.stdout, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert theirs.stdout is not None
        net.send(marked(b"one"))
        assert b"0x88b5" in theirs.stdout.readline()  # it comes before the capture ends
        assert capture.process.stdout is not None
        capture.process.stdout.close()
        capture.process.stdout = None
        theirs.kill()
        theirs.communicate()
        net.send(*numbered(10))
        assert capture.end(0) == 0  # a reader that goes away ends it
    assert "dropped by the kernel" in capture.said


def test_it_ends_after_a_duration(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "short.pcap"
    words = ["--duration", "300ms", *_MARKED]
    with Capture(net, "-i", "eth0", "-w", str(path), *words) as capture:
        assert capture.end(0) == 0
    assert "0 packets captured" in capture.said
    assert records_of(path) == []


@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
def test_files_rotate_by_size_and_none_exceeds_it(net: Net, tmp_path: Path, suffix: str) -> None:
    name = str(tmp_path / f"part.{suffix}")
    with Capture(net, "-i", "eth0", "-w", name, "--rotate-size", "10000", *_MARKED) as capture:
        net.send(*numbered(1000, 100))
        assert capture.end() == 0
    paths = sorted(tmp_path.iterdir())
    assert [path.name[:11] for path in paths[:2]] == ["part-00001-", "part-00002-"]
    sizes = [path.stat().st_size for path in paths]
    assert max(sizes) <= 10_000
    assert min(sizes[:-1]) > 10_000 - 260  # a record more, and the statistics, would not fit
    assert numbers([record for path in paths for record in records_of(path)]) == list(range(1000))


def test_a_packet_larger_than_a_file_is_to_be_has_one_for_itself(net: Net, tmp_path: Path) -> None:
    name = str(tmp_path / "part.pcap")
    with Capture(net, "-i", "eth0", "-w", name, "--rotate-size", "500", *_MARKED) as capture:
        net.send(marked(b"0."), marked(b"1.", 1000), marked(b"2."), marked(b"3."))
        assert capture.end() == 0
    found = [numbers(records_of(path)) for path in sorted(tmp_path.iterdir())]
    assert found == [[0], [1], [2, 3]]


def test_files_rotate_by_count_and_the_oldest_go(net: Net, tmp_path: Path) -> None:
    name = str(tmp_path / "part.pcap")
    words = ["--rotate-count", "30", "--keep", "3", *_MARKED]
    with Capture(net, "-i", "eth0", "-w", name, *words) as capture:
        net.send(*numbered(200))
        assert capture.end() == 0
    found = [numbers(records_of(path)) for path in sorted(tmp_path.iterdir())]
    assert found == [list(range(120, 150)), list(range(150, 180)), list(range(180, 200))]
    assert "200 packets captured" in capture.said


def test_files_rotate_at_whole_multiples_of_the_time(net: Net, tmp_path: Path) -> None:
    name = str(tmp_path / "part.pcap")
    with Capture(net, "-i", "eth0", "-w", name, "--rotate-time", "1s", *_MARKED) as capture:
        begin = time.time()
        sent = 0
        while time.time() < begin + 1.5:
            net.send(*numbered(20, begin=sent))
            sent += 20
            time.sleep(0.002)  # not more than the ring holds, should nobody read it for a while
        assert capture.end() == 0
    paths = sorted(tmp_path.iterdir())
    seconds: list[int] = []
    for path in paths:
        inside = {(record.time_ns or 0) // 1_000_000_000 for record in records_of(path)}
        assert len(inside) == 1
        seconds += inside
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds[-1]))
        assert path.stem.endswith(stamp)
    assert seconds == sorted(set(seconds))
    assert len(seconds) >= 2
    assert numbers([record for path in paths for record in records_of(path)]) == list(range(sent))


def test_a_writer_that_is_killed_leaves_a_readable_file(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "killed.pcap"
    with Capture(net, "-i", "eth0", "-w", str(path), *_MARKED) as capture:
        net.send(*numbered(3000, 1000))
        while path.stat().st_size < 2_900_000:  # all but 64 KiB gets there within a second
            os.sched_yield()
        capture.process.kill()
        capture.process.wait()
    found = numbers(records_of(path))
    assert found == list(range(len(found)))
    assert len(found) >= 2800


def test_what_waits_is_written_within_a_second_also_when_nothing_comes(
    net: Net, tmp_path: Path
) -> None:
    path = tmp_path / "quiet.pcap"
    with Capture(net, "-i", "eth0", "-w", str(path), *_MARKED):
        net.send(marked(b"0."))
        begin = time.monotonic()
        while path.stat().st_size <= 24:
            os.sched_yield()
        assert time.monotonic() - begin < 5
    assert numbers(records_of(path)) == [0]


@pytest.mark.needs("root")
def test_a_full_disk_ends_it_with_whole_records(net: Net) -> None:
    net.b.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", "/mnt"], check=True)
    with Capture(net, "-i", "eth0", "-w", "/mnt/full.pcap", *_MARKED) as capture:
        net.send(*numbered(1000, 1000))
        assert capture.end(0) == 1
    assert capture.said.count("ends behind its last whole record") == 1
    assert "packets captured" in capture.said
    octets = net.b.run(["cat", "/mnt/full.pcap"], text=False, check=True).stdout
    size = 16 + 1000
    assert (len(octets) - 24) % size == 0
    assert len(octets) > 200_000


def test_drops_are_told_and_show_in_the_status(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "some.pcap"
    words = ["-i", "eth0", "-w", str(path), "--buffer", "512k", *_MARKED]
    with Capture(net, *words) as capture:
        capture.process.send_signal(signal.SIGSTOP)
        net.send(*numbered(2000, 1000))
        capture.process.send_signal(signal.SIGCONT)
        assert capture.end() == 1
    written = len(records_of(path))
    assert f"{written} packets captured, {2000 - written} dropped by the kernel" in capture.said
    assert 0 < written < 2000
    assert "a larger --buffer" in capture.said


def test_what_the_interface_does_is_said(net: Net) -> None:
    with Capture(net, "-i", "eth0", *_MARKED) as capture:
        net.b.run(["ip", "link", "set", "eth0", "down"], check=True)
        capture.until("eth0 is down")
        net.b.run(["ip", "link", "set", "eth0", "up"], check=True)
        capture.until("eth0 is up again")
        net.b.run(["ip", "link", "delete", "eth0"], check=True)
        capture.until("eth0 is gone")
        assert capture.end(0) == 1
    assert "0 packets captured" in capture.said


def capabilities(pid: int) -> set[str]:
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            status = (task / "status").read_text()
        except OSError:  # a thread that has ended meanwhile
            continue
        for line in status.splitlines():
            if line.startswith(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")):
                found.add(line.split()[1])
            elif line.startswith("NoNewPrivs"):
                found.add(line)
    return found


def test_many_lines_are_written_by_compiled_code(net: Net) -> None:
    with Capture(net, "-i", "eth0", "-n", "-t", "--number", "-c", "20000", *_MARKED) as capture:
        net.send(*numbered(20_000))
        assert capture.end(0) == 0
    lines = capture.out.decode().splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(1, 20_001))
    assert len({line.split(None, 1)[1] for line in lines}) == 1


def test_the_state_is_shown_on_a_terminal(net: Net, tmp_path: Path) -> None:
    ours, its = pty.openpty()
    process = net.b.popen(
        [*_SW, "capture", "-i", "eth0", "-w", str(tmp_path / "a.pcap"), *_MARKED], stderr=its
    )
    os.close(its)
    said = b""
    while b"capturing on" not in said:
        said += os.read(ours, 4096)
    net.send(*numbered(7))
    while b"7 packets, " not in said:
        said += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    while b"dropped by the kernel\r\n" not in said:
        said += os.read(ours, 4096)
    assert process.wait(30) == 0
    os.close(ours)
    assert b" a second, 0 dropped" in said
    assert said.endswith(b"\r\x1b[Ksw capture: 7 packets captured, 0 dropped by the kernel\r\n")


def test_no_thread_has_a_privilege_once_it_captures(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "all.pcap"
    with Capture(net, "-i", "eth0", "-w", str(path), *_MARKED) as capture:
        assert capabilities(capture.process.pid) == {"0" * 16, "NoNewPrivs:\t1"}
        net.send(*numbered(20_000))  # enough for a thread that compiles
        while path.stat().st_size < 1_000_000:
            os.sched_yield()
        assert capabilities(capture.process.pid) == {"0" * 16, "NoNewPrivs:\t1"}
        assert capture.end() == 0


@pytest.mark.needs("root", "setpriv")
def test_it_runs_as_another_user_where_that_user_gets_at_all_it_needs(
    net: Net, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_mode & 0o005 != 0o005:
            parent.chmod(parent.stat().st_mode | 0o005)
    words = ["-i", "eth0", "-w", str(folder / "part.pcap"), "--rotate-count", "10", "-Z", "nobody"]
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    reads = [*as_nobody, "test", "-r", os.__file__, "-a", "-r", sys.prefix, "-a", "-r", _SOURCE]
    allowed = subprocess.run(reads, capture_output=True, check=False).returncode == 0
    if not allowed:  # this Python is in a folder of root's
        done = net.b.run([*_SW, "capture", *words], timeout=60)
        assert done.returncode == 5
        assert "the user nobody may not read it" in done.stderr
        assert "packets captured" not in done.stderr
        return
    with Capture(net, *words, *_MARKED) as capture:
        status = Path(f"/proc/{capture.process.pid}/status").read_text()
        assert "Uid:\t65534\t65534\t65534\t65534" in status
        net.send(*numbered(20))
        assert capture.end() == 0
    assert {path.stat().st_uid for path in folder.iterdir()} == {65534}
    assert len(list(folder.iterdir())) == 2


@pytest.mark.needs("root")
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("user", ["nobody", "nobody-at-all"])
def test_a_user_that_cannot_go_on_leaves_the_file_as_it_was(
    net: Net, tmp_path: Path, user: str, there: bool
) -> None:
    path = tmp_path / "precious.pcap"
    if there:
        path.write_bytes(b"precious")
    tmp_path.chmod(0o700)
    rotating = ["--rotate-count", "5"] if user == "nobody" else []
    words = ["-i", "eth0", "-w", str(path), "-Z", user, *rotating]
    done = net.b.run([*_SW, "capture", *words], timeout=60)
    assert done.returncode == (5 if user == "nobody" else 2), done.stderr
    assert done.stderr.count("\n") == 1
    assert path.exists() == there
    assert not there or path.read_bytes() == b"precious"


def test_what_was_written_is_a_row_for_programs(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "all.pcap"
    words = ["-i", "eth0", "-w", str(path), "--rotate-count", "2", "--keep", "1", "-c", "5"]
    with Capture(net, *words, "--json", *_MARKED) as capture:
        net.send(*numbered(5))
        assert capture.end(0) == 0
    (row,) = map(json.loads, capture.out.decode().splitlines())
    (last,) = map(str, tmp_path.iterdir())
    assert row == {
        "interface": "eth0", "packets": 5, "dropped": 0, "octets": 3 * 24 + 5 * 76, "files": [last],
    }  # fmt: skip


@pytest.mark.needs("root")
def test_root_still_writes_to_the_folder_of_another_user(net: Net, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    words = ["-w", str(folder / "part.pcap"), "--rotate-count", "10"]
    with Capture(net, "-i", "eth0", *words, *_MARKED) as capture:
        # CAP_DAC_OVERRIDE alone is kept for it.
        assert f"{1 << 1:016x}" in capabilities(capture.process.pid)
        net.send(*numbered(20))
        assert capture.end() == 0
    assert len(list(folder.iterdir())) == 2


def test_without_privilege_it_says_what_is_missing(net: Net) -> None:
    process = net.b.popen(
        [*_SW, "capture", "-i", "eth0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, privileged=False,
    )  # fmt: skip
    _, said = process.communicate(timeout=60)
    assert process.wait() == 5
    for part in (b"CAP_NET_RAW", b"sw lab shell", b"setpriv"):
        assert part in said


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["-i", "eth9"], 1, "no interface 'eth9' in this network namespace ('sw capture --list'"),
        (
            ["-i", "eth0", "-w", "/dev/full"],
            1,
            "/dev/full: No space left on device; it has 0",
        ),
        (["-i", "eth0", "tcp", "prot", "80"], 2, "prot"),
        (["--keep", "3"], 2, "--keep needs"),
        (["-w", "-", "--rotate-size", "1M"], 2, "rotate with -w FILE"),
        (["-w", "-", "--json"], 2, "both want standard output"),
        (["--format", "pcap"], 2, "the file of -w"),
        (["-c", "0"], 2, "from 1 on"),
        (["--buffer", "lots"], 2, "not a size"),
        (["--duration", "soon"], 2, "not a time"),
        (["-w", "/nowhere/at/all.pcap"], 1, "/nowhere/at/all.pcap"),
        (["-i", "eth0", "-Z", "nobody-at-all"], 2, "no user"),
        (["-i", "eth0", "-s", "300000"], 2, "up to 262144"),
        (["-i", "eth0", "--buffer", "1k"], 2, "not from 512k to 2G"),
    ],
)
def test_what_cannot_be_is_said(net: Net, words: list[str], status: int, message: str) -> None:
    done = net.b.run([*_SW, "capture", *words], timeout=60)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""

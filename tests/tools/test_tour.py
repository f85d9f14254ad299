"""`sw tour` as it is typed: text and JSON, the capture it keeps, how it ends."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sockwright.lab.tour import all_steps
from sockwright.records import read_records

pytestmark = pytest.mark.needs("namespaces")

_SW = [sys.executable, "-m", "sockwright", "tour"]
_PLAIN = {name: value for name, value in os.environ.items() if "COLOR" not in name}


def tour(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_SW, *words], capture_output=True, text=True, timeout=60, check=False, env=_PLAIN
    )


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def on_terminal(columns: int, *words: str) -> str:
    """Return what the tour writes on a terminal of that many columns."""
    pid, screen = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.environ.update({"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(columns)})
        os.execv(sys.executable, [*_SW, *words])
    shown = b""
    try:
        while octets := os.read(screen, 65536):
            shown += octets
    except OSError:
        pass  # EIO: the last process on the terminal has left it
    os.close(screen)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return shown.decode().replace("\r\n", "\n")


def test_json_gives_one_object_a_step_and_the_summary() -> None:
    done = tour("--json")
    assert (done.returncode, done.stderr) == (0, "")
    *steps, last = rows(done)
    assert [row["step"] for row in steps] == list(all_steps())
    for row in steps:
        assert row["ok"] is True
        assert row["error"] is None
        assert {"family", "type", "protocol", "privilege", "packets", "findings"} <= set(row)
        assert row["code"]
        for packet in row["packets"]:
            assert {packet["sender"], packet["receiver"]} == {"a", "b"}
            assert isinstance(packet["time_ns"], int)
            assert bytes.fromhex(packet["octets"])
    assert set(last) == {"summary"}
    summary = last["summary"]
    assert summary["steps"] == summary["ok"] == len(steps)
    assert summary["failed"] == summary["skipped"] == 0
    assert summary["packets"] == sum(len(row["packets"]) for row in steps)


@pytest.mark.needs("tshark")
def test_tshark_agrees_on_every_checksum(tmp_path: Path) -> None:
    done = tour("--json", "--pcap", str(tmp_path / "tour.pcap"))
    assert done.returncode == 0
    *steps, last = rows(done)
    assert last["summary"]["pcap"] == str(tmp_path / "tour.pcap")
    with (tmp_path / "tour.pcap").open("rb") as file:
        kept = [(one.time_ns, one.octets.hex()) for one in read_records(file)]
    packets = [(row["step"], packet) for row in steps for packet in row["packets"]]
    assert kept == [(packet["time_ns"], packet["octets"]) for _, packet in packets]
    fields = ("ip", "tcp", "udp", "icmp")
    asked = [word for name in fields for word in ("-e", f"{name}.checksum.status")]
    checked = [word for name in fields[:3] for word in ("-o", f"{name}.check_checksum:TRUE")]
    told = subprocess.run(
        ["tshark", "-r", str(tmp_path / "tour.pcap"), *checked, "-T", "fields", *asked],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    lines = told.stdout.splitlines()
    assert len(lines) == len(packets)
    # 0 is bad, 1 is good; a quoted datagram is not checked. A data offset of 0 leaves tshark
    # nothing to sum.
    bad = [packets[at][0] for at, line in enumerate(lines) if "0" in re.split(r"[\t,]", line)]
    assert bad == ["mistake-checksum"]
    assert sum("1" in line for line in lines) > 30


def test_step_may_be_repeated_and_keeps_the_order_of_the_tour() -> None:
    done = tour("--json", "--step", "udp-closed", "--step", "udp")
    *steps, last = rows(done)
    assert [row["step"] for row in steps] == ["udp", "udp-closed"]
    assert last["summary"]["steps"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--step", "tpc4"], "there is no step 'tpc4'; did you mean tcp4 or tcp6?"),
        (["--step", "?"], "there is no step '?'; sw tour --list shows them"),
        (
            ["--pcap", "-"],
            "standard output has the rows already; --pcap takes the name of a file",
        ),
    ],
)
def test_wrong_word_is_a_usage_error(words: list[str], message: str) -> None:
    done = tour(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"sw tour: {message}\n")


@pytest.mark.parametrize("name", ["/dev/stdout", "/proc/self/fd/1"])
def test_capture_is_not_written_among_the_rows(name: str) -> None:
    done = tour("--step", "udp", "--pcap", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "standard output has the rows already" in done.stderr


def test_capture_is_not_written_into_the_file_of_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "both"
    with path.open("w") as rows_too:
        done = subprocess.run(
            [*_SW, "--pcap", str(path)], stdout=rows_too, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, path.read_bytes()) == (2, b"")


def test_rows_and_capture_may_both_go_nowhere() -> None:
    done = subprocess.run(
        [*_SW, "--step", "udp", "--pcap", os.devnull], stdout=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0


def test_wrong_path_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "tour.pcap"
    done = tour("--pcap", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"sw tour: {path}: No such file or directory (ENOENT)\n"


def test_file_that_exists_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "tour.pcap"
    path.write_bytes(bytes(100_000))
    assert tour("--step", "udp", "--pcap", str(path)).returncode == 0
    with path.open("rb") as file:
        assert len(list(read_records(file))) == 2


def test_list_plays_nothing() -> None:
    done = tour("--list", "--json")
    assert [row["step"] for row in rows(done)] == list(all_steps())
    assert not any("ok" in row for row in rows(done))
    assert "CAP_NET_BIND_SERVICE" in tour("--list").stdout


def test_text_has_code_ladder_verdict_and_a_table_of_all() -> None:
    shown = tour("--step", "tcp4", "--step", "tcp6", "--step", "mistake-checksum").stdout
    assert "socket     AF_INET (2), SOCK_STREAM (1), IPPROTO_TCP (6)" in shown
    assert "        ready()  # the client may start" in shown
    assert re.search(r"0\.000 │── SYN seq 0 ─+>│ good\n", shown)
    assert re.search(r"│<─+ SYN ACK seq 0 ack 1 ──│ good\n", shown)
    assert "(the same code as in tcp4)" in shown
    assert shown.count("(ready() is the tour's own: it tells the other side") == 1
    assert re.search(r'SYN seq 0, 5 octets "hello" ─+>│ WRONG\n +verify\(\): tcp-checksum', shown)
    assert re.search(r"dropped a segment for its checksum +Tcp.InCsumErrors \+1", shown)
    assert "good: verify() named the mistake: tcp-checksum" in shown
    assert "3 of 3 steps went as they should" in shown


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    lines = on_terminal(columns).splitlines()
    assert [line for line in lines if len(line) > min(columns, 100)] == []


@pytest.mark.parametrize("columns", [40, 60])
def test_narrow_terminal_has_whole_lines_after_the_code(columns: int) -> None:
    shown = on_terminal(columns, "--step", "mistake-checksum", "--step", "raw-tcp")
    table = shown.rpartition("─" * columns)[2]
    assert "Mistake 2: sum without pseudo-header" in table
    assert "Raw TCP: a SYN with data, by hand" in table
    assert "the two hosts, to try things on" in table
    assert [line for line in table.splitlines() if len(line) > columns] == []
    headings = [line for line in shown.splitlines() if line.startswith("mistake-checksum  ")]
    assert [line for line in headings if len(line) > columns] == []


def test_narrow_terminal_has_its_words_above_the_arrows() -> None:
    shown = on_terminal(40, "--step", "udp")
    assert re.search(r"│ server\" +│\n +0\.000 │─+>│ good", shown)


def test_stream_without_lines_to_draw_gets_plain_ones() -> None:
    done = subprocess.run(
        [*_SW, "--step", "udp"],
        capture_output=True,
        check=True,
        env={**_PLAIN, "PYTHONIOENCODING": "ascii"},
    )
    assert re.search(rb"0\.000 \|-- UDP \d+ to 7000, .* -+>\| good\n", done.stdout)


_FAILING = """
import sys
from sockwright.cli import main
from sockwright.lab.tour import stream
from sockwright.lab.tour.step import Step

def fails(stage):
    stage.expect(False, "it rained")

stream.STEPS = (Step("sunshine", "A walk", "It shall be dry.", fails), stream.STEPS[0])
sys.exit(main(["tour", "--step", "sunshine", "--step", "tcp4", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("json_too", [False, True])
def test_failed_step_is_status_1_and_the_others_go_on(json_too: bool) -> None:
    words = ["--json"] if json_too else []
    done = subprocess.run(
        [sys.executable, "-c", _FAILING, *words],
        capture_output=True,
        text=True,
        check=False,
        env=_PLAIN,
    )
    assert (done.returncode, done.stderr) == (1, "")
    if json_too:
        first, second, last = rows(done)
        assert (first["ok"], first["error"], second["ok"]) == (False, "it rained", True)
        assert last["summary"]["failed"] == 1
    else:
        assert "failed: it rained" in done.stdout
        assert "1 of 2 steps went as they should, 1 failed" in done.stdout
        assert "sw tour --step sunshine" in done.stdout


def test_interrupt_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*_SW, "--json", "--pcap", str(tmp_path / "tour.pcap")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["step"] == "tcp4"
        family = _descendants(process.pid)
        # Held open, lest another namespace, of another test, gets the number of one that is gone.
        held = [one for pid in family if (one := _opened(f"/proc/{pid}/ns/net")) is not None]
        spaces = {os.fstat(one).st_ino for one in held} - {Path("/proc/self/ns/net").stat().st_ino}
        assert spaces
        watched = []
        for pid in family:
            with suppress(ProcessLookupError):  # it ended meanwhile, as some do
                watched.append(os.pidfd_open(pid))
        assert len(watched) >= 2  # the keeper and process 1 of the lab at least
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, b"")
    for descriptor in watched:
        assert select.select([descriptor], [], [], 10)[0], "a process is left"
        os.close(descriptor)
    assert not spaces & {_inode(f"/proc/{pid}/ns/net") for pid in _processes()}
    for descriptor in held:
        os.close(descriptor)
    with (tmp_path / "tour.pcap").open("rb") as file:
        assert len(list(read_records(file))) >= 10  # the steps that were done are whole


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _descendants(ancestor: int) -> list[int]:
    parents = {}
    for pid in _processes():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            continue
        parents[pid] = int(stat.rpartition(")")[2].split()[1])
    found = [ancestor]
    for one in found:
        found += [pid for pid, parent in parents.items() if parent == one]
    return found[1:]


def _opened(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _inode(path: str) -> int | None:
    try:
        return Path(path).stat().st_ino
    except OSError:
        return None

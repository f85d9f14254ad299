"""sw relay: two ends joined, one conversation or many, and what it tells of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SW = str(Path(sys.executable).with_name("sw"))
PATIENCE_S = 20


def run(*words: str, text: str = "", folder: Path | None = None) -> Done:
    return subprocess.run(
        [SW, *words], input=text, capture_output=True, text=True, check=False, cwd=folder,
        timeout=PATIENCE_S,
    )  # fmt: skip


if TYPE_CHECKING:
    Done = subprocess.CompletedProcess[str]
    Started = tuple[subprocess.Popen[str], str]


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Start a `sw` that listens; give it, and its port. It is ended with the test."""
    started: list[tuple[subprocess.Popen[str], threading.Timer]] = []

    def start(*words: str) -> Started:
        process = subprocess.Popen(
            [SW, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        )  # fmt: skip
        late = threading.Timer(PATIENCE_S, process.kill)
        late.start()
        started.append((process, late))
        stream = process.stdout if "--json" in words else process.stderr
        assert stream is not None
        line = next(line for line in stream if "listening" in line)
        if "--json" in words:
            line = json.loads(line)["local"]
        return process, line.rstrip().rpartition(":")[2]

    yield start
    for process, late in started:
        late.cancel()
        process.terminate()  # in good order: programs that it started end with it
        process.communicate(timeout=PATIENCE_S)


def test_standard_input_and_output_are_joined_to_a_program() -> None:
    done = run("relay", "-", "exec:tr a-z A-Z", text="hello\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "HELLO\n", "")
    turned = run("relay", "exec:tr a-z A-Z", "-", text="hello\n")
    assert (turned.returncode, turned.stdout) == (0, "HELLO\n")


def test_a_file_is_copied_into_a_new_one_and_never_over_another(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(1 << 20))
    done = run("relay", "file:a", "file:b", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    again = run("relay", "file:a", "file:b", folder=tmp_path)
    assert again.returncode == 1
    assert again.stderr == "sw relay: open file:b: it is there already; --force writes over it\n"
    (tmp_path / "a").write_bytes(b"less")
    assert run("relay", "--force", "file:a", "file:b", folder=tmp_path).returncode == 0
    assert (tmp_path / "b").read_bytes() == b"less"
    missing = run("relay", "file:nosuch", "discard:", folder=tmp_path)
    assert missing.returncode == 1
    assert missing.stderr == "sw relay: open file:nosuch: No such file or directory\n"


def test_a_full_disk_is_a_failure_that_counts_what_is_lost(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    done = run("relay", "--force", "file:a", "file:/dev/full", folder=tmp_path)
    assert done.returncode == 1
    assert "ENOSPC" in done.stderr
    assert "1000 octets were not delivered" in done.stderr


def test_many_clients_get_a_program_each(listening: Callable[..., Started]) -> None:
    _, port = listening("relay", "-k", "tcp://:0", "exec:cat")
    clients = [
        subprocess.Popen(
            [SW, "nc", "127.0.0.1", port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(5)
    ]
    for number, client in enumerate(clients):
        assert client.stdin is not None
        client.stdin.write(f"{number}\n")
        client.stdin.flush()
    for number, client in enumerate(clients):
        assert client.stdout is not None
        assert client.stdout.readline() == f"{number}\n"
    for client in clients:
        assert client.communicate(timeout=PATIENCE_S)[0] == ""
        assert client.returncode == 0


def test_connections_are_passed_on_between_kinds_of_sockets(
    listening: Callable[..., Started], tmp_path: Path
) -> None:
    listening("nc", "-lkU", "socket", "-e", "cat")
    _, port = listening("relay", "-k", "tcp://:0", "unix:socket")
    for text in ("one\n", "two\n"):
        done = run("nc", "127.0.0.1", port, text=text)
        assert (done.returncode, done.stdout, done.stderr) == (0, text, "")


@pytest.mark.parametrize("flag", ["-l", "-k"])
def test_a_client_is_told_when_the_other_end_is_not_there(
    listening: Callable[..., Started], flag: str
) -> None:
    relay, port = listening("relay", flag, "tcp://:0", "unix:nosuch")
    done = run("nc", "127.0.0.1", port, text="hello\n")
    assert done.returncode == 1
    assert "ECONNRESET" in done.stderr
    assert relay.stderr is not None
    assert "connect to unix:nosuch: No such file" in relay.stderr.readline()


def test_tls_is_taken_off_on_the_way(listening: Callable[..., Started]) -> None:
    _, plain = listening("nc", "-lk", "-e", "cat", "0")
    _, secret = listening("relay", "-k", "tls://:0", f"tcp://127.0.0.1:{plain}")
    done = run("nc", "--tls", "--insecure", "127.0.0.1", secret, text="hello\n")
    assert (done.returncode, done.stdout) == (0, "hello\n")


def test_what_clients_send_is_gathered_in_a_file(
    listening: Callable[..., Started], tmp_path: Path
) -> None:
    _, port = listening("relay", "-k", "tcp://:0", "file:log")
    for text in ("one\n", "two\n"):
        assert run("nc", "127.0.0.1", port, text=text).returncode == 0
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_many_clients_share_a_file_that_is_emptied_once_with_force(
    listening: Callable[..., Started], tmp_path: Path
) -> None:
    (tmp_path / "log").write_text("something old that is longer\n")
    _, port = listening("relay", "-k", "--force", "tcp://:0", "file:log")
    for text in ("one\n", "two\n"):
        assert run("nc", "127.0.0.1", port, text=text).returncode == 0
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


@pytest.mark.parametrize("flag", ["-k", "-l"])
def test_a_foreign_file_is_refused_before_anybody_is_listened_for(
    flag: str, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text("old\n")
    done = run("relay", flag, "tcp://127.0.0.1:0", "file:log", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "sw relay: open file:log: it is there already; --force writes over it\n"
    assert (tmp_path / "log").read_text() == "old\n"


def test_many_clients_come_to_a_reader_of_a_fifo(
    listening: Callable[..., Started], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "log")
    with (tmp_path / "log").open("r+b", buffering=0) as reader:
        _, port = listening("relay", "-k", "tcp://:0", "file:log")
        for text in ("one\n", "two\n"):
            assert run("nc", "127.0.0.1", port, text=text).returncode == 0
        assert reader.read(8) == b"one\ntwo\n"


def test_events_are_rows_for_programs(listening: Callable[..., Started]) -> None:
    relay, port = listening("relay", "--json", "-l", "tcp://:0", "exec:cat")
    assert run("nc", "127.0.0.1", port, text="hello\n").stdout == "hello\n"
    out, err = relay.communicate(timeout=PATIENCE_S)
    assert relay.returncode == 0
    assert err == ""
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["kind"] for row in rows] == ["connected", "ended"]
    assert (rows[-1]["sent"], rows[-1]["received"], rows[-1]["status"]) == (6, 6, 0)
    assert rows[-1]["time_ns"] > rows[0]["time_ns"] > 10**18


def test_rows_call_an_end_what_the_line_calls_it() -> None:
    done = run("relay", "--json", "exec:echo hi", "discard:")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [row["remote"] for row in rows if row["kind"] == "ended"] == ["discard:"]
    assert "/dev/null" not in done.stdout


def test_a_failure_is_a_row_and_the_status() -> None:
    done = run("relay", "--json", "exec:cat", "unix:/nosuch/socket")
    assert done.returncode == 1
    (row,) = map(json.loads, done.stdout.splitlines())
    assert (row["kind"], row["status"]) == ("failed", 1)
    assert "ENOENT" in row["text"]


def test_a_time_limit_is_status_3(listening: Callable[..., Started]) -> None:
    _, port = listening("nc", "-lk", "-e", "sleep 60", "0")
    done = run("relay", "--idle-timeout", "200ms", "exec:sleep 60", f"tcp://127.0.0.1:{port}")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1

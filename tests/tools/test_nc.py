"""sw nc as people run it: what it prints beside the octets, its rows, its statuses, its files."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from tests.nc.tls_ends import Authority
from tests.sockets.diag.own_network import own_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SW = str(Path(sys.executable).with_name("sw"))
PATIENCE_S = 20
Start = "Callable[..., Served]"


def run(
    *words: str,
    text: str = "",
    environment: dict[str, str] | None = None,
    before: tuple[str, ...] = (),
) -> Done:
    """Run `sw` with words, by the program `before`, `text` on its standard input."""
    return subprocess.run(
        [*before, SW, *words],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env=os.environ | (environment or {}),
    )


if TYPE_CHECKING:
    Done = subprocess.CompletedProcess[str]


class Served:
    """A `sw` that listens: where, and what came of it."""

    def __init__(
        self, words: tuple[str, ...], folder: Path, *, stdin: int | IO[str], before: tuple[str, ...]
    ) -> None:
        self.process = subprocess.Popen(
            [*before, SW, *words],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        assert self.process.stderr is not None
        self.told: list[str] = []
        self._late = threading.Timer(PATIENCE_S, self.process.kill)
        self._late.start()
        for line in self.process.stderr:
            self.told.append(line)
            if "listening on " in line:
                break
        else:
            raise AssertionError(f"it did not listen: {self.told}")
        self.url = line.partition("listening on ")[2].rstrip()
        self.port = self.url.rpartition(":")[2]

    def end(self) -> tuple[int, str, str]:
        """Wait for its end; give status, what it wrote, and what it said after its address."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err

    def close(self) -> None:
        self._late.cancel()
        if self.process.poll() is None:
            self.process.terminate()  # in good order: programs that it started end with it
        self.process.communicate(timeout=PATIENCE_S)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start `sw nc -l`, or another listener; it is ended with the test."""
    started: list[Served] = []

    def start(
        *words: str,
        verb: str = "nc",
        stdin: int | IO[str] = subprocess.DEVNULL,
        before: tuple[str, ...] = (),
    ) -> Served:
        served = Served((verb, *words), tmp_path, stdin=stdin, before=before)
        started.append(served)
        return served

    yield start
    for served in started:
        served.close()


@pytest.fixture
def inside() -> Iterator[tuple[str, ...]]:
    """What runs a program in a network of its own, where ports belong to nobody else."""
    with own_network() as pid:
        enter = ["nsenter", f"--target={pid}", "--net"]
        if os.geteuid() != 0:
            enter += ["--user", "--preserve-credentials"]
        yield (*enter, "--")


@pytest.fixture
def closed_port() -> Iterator[str]:
    """A port of loopback where nobody listens, and nobody else will meanwhile."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield str(kept.getsockname()[1])


# -- talking ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [["-l", "0"], ["-lp", "0"], ["-l", "-p", "0"], ["-l", "127.0.0.1", "0"], ["-lnvp0"]],
    ids=" ".join,
)
def test_a_listener_prints_the_address_that_it_has_got(
    serve: Callable[..., Served], words: list[str]
) -> None:
    server = serve(*words)
    assert re.fullmatch(r"tcp://127\.0\.0\.1:[1-9]\d*", server.url)
    done = run("nc", "127.0.0.1", server.port, text="hello\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    status, out, _ = server.end()
    assert (status, out) == (0, "hello\n")


def test_a_listener_is_on_loopback_unless_everybody_is_asked_in(
    serve: Callable[..., Served],
) -> None:
    assert serve("-l", "0").url.startswith("tcp://127.0.0.1:")
    assert serve("-l6", "0").url.startswith("tcp://[::1]:")
    public = serve("-l", "--public", "0")
    assert not public.url.startswith(("tcp://127.", "tcp://[::1]"))
    assert serve("-l4", "--public", "0").url.startswith("tcp://0.0.0.0:")


def test_quiet_says_nothing_but_failures(closed_port: str) -> None:
    quiet = run("nc", "--quiet", "echo:", text="x")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "x", "")
    failed = run("nc", "--quiet", "127.0.0.1", closed_port)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1


def test_a_refusal_is_one_line_with_what_it_means(closed_port: str) -> None:
    done = run("nc", "127.0.0.1", closed_port)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"sw nc: connect to tcp://127.0.0.1:{closed_port}: Connection refused (ECONNREFUSED): "
        "nobody listens there\n"
    )


def test_a_name_that_does_not_exist_is_one_line() -> None:
    done = run("nc", "nosuch.invalid", "80")
    assert done.returncode == 1
    assert done.stderr.startswith("sw nc: look up nosuch.invalid: ")
    assert done.stderr.count("\n") == 1


def test_a_mistake_in_the_line_is_one_line_and_status_2() -> None:
    done = run("nc", "localhost:80")
    assert done.returncode == 2
    assert done.stderr == (
        "sw nc: HOST and PORT are two words: sw nc localhost 80, or sw nc tcp://localhost:80\n"
    )
    assert run("relay", "-").returncode == 2
    assert run("nc", "--nosuch").stderr.startswith("sw nc: there is no flag --nosuch")


def test_what_is_not_built_is_status_5() -> None:
    for words in (["sctp://localhost:1"], ["--sctp", "localhost", "1"], ["rfcomm:00:11"]):
        done = run("nc", *words)
        assert done.returncode == 5
        assert "this build has no" in done.stderr


def test_vsock_to_this_machine_works_or_is_said_to_be_missing(
    serve: Callable[..., Served],
) -> None:
    done = run("nc", "-w", "5", "-l", "--vsock", "1023") if not _has_vsock_loopback() else None
    if done is not None:
        assert done.returncode == 5
        assert "vsock" in done.stderr
        return
    server = serve("-l", "--vsock", "0", "-e", "cat")
    assert run("nc", server.url, text="hello\n").stdout == "hello\n"


def _has_vsock_loopback() -> bool:
    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as probe:
            probe.bind((1, 0xFFFFFFFF))
    except OSError:
        return False
    return True


def test_a_silent_peer_is_a_time_limit_with_status_3() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        done = run("nc", "-w", "300ms", "127.0.0.1", port)
        assert done.returncode == 3
        assert done.stderr.count("\n") == 1
        waited = run("nc", "-q", "300ms", "127.0.0.1", port, text="x")
        assert waited.returncode == 3
        assert "(-q)" in waited.stderr


def test_send_only_ends_when_all_is_sent_and_shows_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        received: list[bytes] = []

        def keep() -> None:
            accepted, _ = server.accept()
            with accepted:
                accepted.sendall(b"a banner\n")
                # Until its end; ours comes only after that of sw.
                while octets := accepted.recv(100):
                    received.append(octets)
                done.wait(PATIENCE_S)

        done = threading.Event()
        thread = threading.Thread(target=keep)
        thread.start()
        port = str(server.getsockname()[1])
        sent = run("nc", "--send-only", "127.0.0.1", port, text="hello\n")
        done.set()
        thread.join()
    assert (sent.returncode, sent.stdout, sent.stderr) == (0, "", "")
    assert b"".join(received) == b"hello\n"


def test_many_clients_are_served_with_k(serve: Callable[..., Served]) -> None:
    server = serve("-lk", "-e", "cat", "0")
    for text in ("one\n", "two\n", "three\n"):
        done = run("nc", "127.0.0.1", server.port, text=text)
        assert (done.returncode, done.stdout) == (0, text)


def test_ctrl_c_ends_a_listener_with_130_and_a_signal_with_its_own(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
        server = serve("-lkU", "socket")
        assert (tmp_path / "socket").is_socket()
        server.process.send_signal(number)
        assert server.end() == (status, "", "")
        assert not (tmp_path / "socket").exists()


def test_datagrams_are_answered_over_udp_and_unix(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    server = serve("-lu", "-e", "cat", "0")
    done = run("nc", "-u", "127.0.0.1", server.port, text="hello\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
    serve("-luU", "socket", "-e", "cat")
    path = str(tmp_path / "socket")
    mine = str(tmp_path / "mine")
    named = run("nc", "-uU", path, "-s", mine, text="hello\n")
    assert (named.returncode, named.stdout) == (0, "hello\n")
    assert not Path(mine).exists()


def test_w_ends_after_so_many_datagrams(serve: Callable[..., Served]) -> None:
    server = serve("-lu", "-e", "cat", "0")
    client = subprocess.Popen(
        [SW, "nc", "-uW", "2", "127.0.0.1", server.port],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    for text in (b"one\n", b"two\n"):
        client.stdin.write(text)
        client.stdin.flush()
        assert client.stdout.readline() == text
    # Its input is still open.
    assert client.wait(timeout=PATIENCE_S) == 0
    client.stdin.close()
    client.stdout.close()


def test_options_of_sockets_reach_the_kernel(serve: Callable[..., Served]) -> None:
    from sockwright.sockets import dump

    server = serve("-lk", "-T", "ef", "0")
    words = [SW, "nc", "-T", "cs1", "-p", "0", "127.0.0.1", server.port]
    client = subprocess.Popen(words, stdin=subprocess.PIPE)
    try:
        assert client.stdin is not None
        client.stdin.write(b"x")
        client.stdin.flush()
        assert server.process.stdout is not None
        assert server.process.stdout.read(1) == "x"
        rows = dump("tcp", where=f"sport = :{server.port} or dport = :{server.port}", options=True)
        classes = {(row.state, row.tos) for row in rows if row.state != "LISTEN"}
        assert {tos for _, tos in classes} == {0xB8, 0x20}
    finally:
        client.kill()
        client.communicate()


def test_a_program_wants_a_listener_that_not_everybody_reaches() -> None:
    done = run("nc", "-l", "--public", "-e", "cat", "0")
    assert done.returncode in {2, 5}
    assert "--allow" in done.stderr


def test_closed_standard_output_is_a_failure_and_closed_input_an_empty_one() -> None:
    for line, status in (("echo x | $SW nc echo: >&-", 1), ("$SW nc echo: <&-", 0)):
        done = subprocess.run(
            ["bash", "-c", line], env=os.environ | {"SW": SW}, check=False, timeout=PATIENCE_S,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == status, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("nc", "-l", "-e", "nosuch", "0"),
        ("nc", "-lk", "-e", "nosuch", "0"),
        ("nc", "-l", "-e", "nosuch", "--pty", "0"),
        ("relay", "-k", "tcp://:0", "exec:nosuch"),
        ("nc", "exec:nosuch"),
    ],
    ids=" ".join,
)
def test_a_program_that_is_not_here_is_told_before_anybody_connects(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 5
    assert done.stderr == f"sw {words[0]}: there is no program 'nosuch' in PATH\n"


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--deny", "127.0.0.1"], "it is among those that are denied"),
        (["--allow", "192.0.2.1"], "it is not among those that are allowed"),
    ],
)
@pytest.mark.parametrize("what", [["-lk", "-e", "cat"], ["-lk", "--send", "/dev/null"], ["-lu"]])
def test_who_may_not_come_is_told_with_the_list_that_says_so(
    serve: Callable[..., Served], what: list[str], flags: list[str], why: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"octets")
    words = [word.replace("/dev/null", "file") for word in what]
    server = serve(*words, *flags, "0")
    kind = socket.SOCK_DGRAM if "-lu" in what else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as client:
        client.connect(("127.0.0.1", int(server.port)))
        with suppress(ConnectionError):  # refused already
            client.send(b"x")
        assert server.process.stderr is not None
        line = server.process.stderr.readline()
    assert line.startswith("sw nc: refused ")
    assert line.endswith(f": {why}\n")


def test_datagrams_of_a_second_sender_are_told_of_once(serve: Callable[..., Served]) -> None:
    server = serve("-lu", "0", stdin=subprocess.PIPE)
    pid = server.process.pid
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    with ExitStack() as stack:
        first, other = (
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)
        )
        for sender in (first, other, other):
            sender.connect(("127.0.0.1", int(server.port)))
            sender.send(b"hello\n")
        names = [f"udp://127.0.0.1:{one.getsockname()[1]}" for one in (first, other)]
        os.kill(pid, signal.SIGCONT)
        assert server.process.stdout is not None
        assert server.process.stderr is not None
        assert server.process.stdout.readline() == "hello\n"
        told = server.process.stderr.readline()
    assert told == (
        f"sw nc: datagrams of {names[1]} are dropped: {names[0]} came first (-k serves many)\n"
    )
    server.process.terminate()
    assert server.end() == (143, "", "")


def test_a_proxy_that_is_silent_is_named_with_what_it_may_speak() -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        place = f"127.0.0.1:{proxy.getsockname()[1]}"
        done = run("nc", "-w", "200ms", "-x", place, "192.0.2.1", "80")
        assert done.returncode == 3
        assert f"no answer of the proxy socks5://{place} within 0.2 s" in done.stderr
        assert "does it speak SOCKS5? (-X connect is HTTP)" in done.stderr
        done = run("nc", "-w", "200ms", "--proxy", place, "192.0.2.1", "80")
        assert "does it speak HTTP? (-X 5 is SOCKS5)" in done.stderr


# -- ports --------------------------------------------------------------------------------------


def test_z_has_a_row_for_each_port_and_its_status(
    serve: Callable[..., Served], closed_port: str
) -> None:
    server = serve("-lk", "0")
    both = run("nc", "-z", "--json", "127.0.0.1", f"{server.port},{closed_port}")
    assert both.returncode == 1
    rows = {row["port"]: row for row in map(json.loads, both.stdout.splitlines())}
    assert rows[int(server.port)]["state"] == "open"
    assert rows[int(closed_port)]["state"] == "closed"
    good = run("nc", "-zv", "127.0.0.1", server.port)
    assert good.returncode == 0
    assert re.search(rf"^127\.0\.0\.1 +{server.port} +tcp +open", good.stdout, re.MULTILINE)
    url = run("nc", "-z", "--quiet", f"tcp://127.0.0.1:{closed_port}")
    assert (url.returncode, url.stdout, url.stderr) == (1, "", "")


@pytest.mark.needs("namespaces", "unshare", "nsenter")
def test_z_shows_of_many_ports_those_that_are_open(
    serve: Callable[..., Served], inside: tuple[str, ...]
) -> None:
    # Elsewhere it would come to the listeners of other tests, too.
    server = serve("-lk", "0", before=inside)
    low = max(1, int(server.port) - 50)
    high = low + 99
    done = run("nc", "-zr", "127.0.0.1", f"{low}-{high}", before=inside)
    shown = done.stdout.splitlines()[1:]
    assert any(f" {server.port} " in line for line in shown)
    assert all(" open " in line for line in shown)
    assert done.stderr.startswith("sw nc: 100 ports of 127.0.0.1: ")
    everything = run("nc", "-zv", "127.0.0.1", f"{low}-{high}", before=inside)
    assert len(everything.stdout.splitlines()) == 101


def test_rows_of_udp_keep_to_their_columns() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone,
    ):
        ports = []
        for one in (gone, silent):
            one.bind(("127.0.0.1", 0))
            ports.append(str(one.getsockname()[1]))
        gone.connect(silent.getsockname())  # whoever else sends to it is told that it is closed
        done = run("nc", "-zu", "-w", "200ms", "127.0.0.1", *ports)
    head, first, second = done.stdout.splitlines()
    assert " closed " in first
    assert " open|filtered " in second
    column = head.index("service")
    assert first[column - 2 : column] == second[column - 2 : column] == "  "
    assert " " not in (first[column], second[column])


def test_z_asks_unix_sockets_too(serve: Callable[..., Served], tmp_path: Path) -> None:
    serve("-lkU", "socket")
    assert run("nc", "-zU", str(tmp_path / "socket")).returncode == 0
    assert run("nc", "-z", f"unix:{tmp_path / 'nobody'}").returncode == 1


# -- what looks on ------------------------------------------------------------------------------


def test_dumps_go_to_standard_error_and_to_files(tmp_path: Path) -> None:
    shown = run("nc", "--hexdump", "exec:cat", text="hello\n")
    assert shown.stdout == "hello\n"
    assert re.search(r"^> 0{8}  68 65 6c 6c 6f 0a", shown.stderr, re.MULTILINE)
    hexadecimal, raw = tmp_path / "hex", tmp_path / "raw"
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer, args=(server, b"hello\n", b"you too\n"))
        thread.start()
        port = str(server.getsockname()[1])
        words = ["--hexdump", "-o", str(hexadecimal), "--output", str(raw)]
        done = run("nc", *words, "127.0.0.1", port, text="hello\n")
        thread.join()
    assert (done.returncode, done.stdout) == (0, "you too\n")
    assert re.search(r"^> 0{8}  68 65 6c 6c 6f 0a ", done.stderr, re.MULTILINE)
    assert re.search(r"^< 0{8}  79 6f 75 ", done.stderr, re.MULTILINE)
    assert re.search(r"^> 0{8}  68 65 6c 6c 6f 0a ", hexadecimal.read_text(), re.MULTILINE)
    assert raw.read_bytes() == b"hello\nyou too\n"
    assert raw.stat().st_mode & 0o777 == 0o600
    again = run("nc", "--output", str(raw), "echo:")
    assert again.returncode == 1
    assert "--force writes over it" in again.stderr


def _answer(server: socket.socket, question: bytes, answer: bytes) -> None:
    accepted, _ = server.accept()
    with accepted:
        received = b""
        while len(received) < len(question):
            received += accepted.recv(100)
        assert received == question
        accepted.sendall(answer)


@pytest.mark.parametrize("flag", ["--output", "-o", "--record"])
def test_a_file_that_takes_no_more_is_status_1_after_all_has_arrived(
    flag: str, tmp_path: Path
) -> None:
    done = run("nc", flag, "/dev/full", "echo:", text="hello\n")
    assert (done.returncode, done.stdout) == (1, "hello\n")
    assert done.stderr.count("\n") == 1
    assert "the conversation goes on: /dev/full: No space left on device" in done.stderr
    relayed = run("relay", flag, "/dev/full", "-", "echo:", text="hello\n")
    assert (relayed.returncode, relayed.stdout) == (1, "hello\n")
    (tmp_path / "file").write_bytes(b"octets")
    sent = run("nc", flag, "/dev/full", "--send", str(tmp_path / "file"), "discard:")
    assert sent.returncode == 1
    assert "No space left on device" in sent.stderr


def test_a_record_is_a_capture_and_is_sent_again(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    record = str(tmp_path / "talk.pcapng")
    server = serve("-lk", "-e", "cat", "0")
    first = run("nc", "--record", record, "127.0.0.1", server.port, text="hello\n")
    assert (first.returncode, first.stdout) == (0, "hello\n")
    counted = run("read", "--json", record)
    assert counted.returncode == 0
    assert len(counted.stdout.splitlines()) >= 8
    again = run("nc", "--replay", record, "127.0.0.1", server.port)
    assert (again.returncode, again.stdout) == (0, "hello\n")
    wrong = run("nc", "--replay", record, "--replay-side", "both", "127.0.0.1", server.port)
    assert wrong.returncode == 2


# -- files --------------------------------------------------------------------------------------


def test_a_file_arrives_with_a_row_on_either_side(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    sent = tmp_path / "sent"
    sent.write_bytes(os.urandom(300_000))
    server = serve("-l", "--json", "--receive", "received", "0")
    done = run("nc", "--json", "--send", str(sent), "127.0.0.1", server.port)
    assert done.returncode == 0, done.stderr
    status, out, _ = server.end()
    assert status == 0
    here, there = json.loads(done.stdout), json.loads(out)
    assert (here["action"], here["octets"]) == ("sent", 300_000)
    assert (there["action"], there["octets"]) == ("received", 300_000)
    assert here["sha256"] == there["sha256"]
    assert (tmp_path / "received").read_bytes() == sent.read_bytes()
    missing = run("nc", "--send", str(tmp_path / "nosuch"), "127.0.0.1", "1")
    assert missing.returncode == 1
    assert "nosuch" in missing.stderr


# -- proxies and TLS, joined --------------------------------------------------------------------


def test_tls_is_verified_unless_that_is_not_wanted(serve: Callable[..., Served]) -> None:
    server = serve("-lk", "--tls", "-e", "cat", "0")
    made = next(line for line in server.told if "fingerprint" in line)
    fingerprint = made.split()[-1]
    distrusted = run("nc", "--tls", "127.0.0.1", server.port, text="x")
    assert distrusted.returncode == 4
    assert fingerprint in distrusted.stderr
    assert distrusted.stdout == ""
    trusted = run("nc", "--tls", "--insecure", "127.0.0.1", server.port, text="hello\n")
    assert (trusted.returncode, trusted.stdout) == (0, "hello\n")
    assert "not verified" in trusted.stderr
    assert fingerprint in trusted.stderr
    assert "--tls-fingerprint" in distrusted.stderr
    pinned = run("nc", "--tls-fingerprint", fingerprint, "127.0.0.1", server.port, text="hello\n")
    assert (pinned.returncode, pinned.stdout, pinned.stderr) == (0, "hello\n", "")
    other = fingerprint[:-2] + ("00" if fingerprint[-2:] != "00" else "01")
    refused = run("nc", "--tls-fingerprint", other, "127.0.0.1", server.port, text="hello\n")
    assert (refused.returncode, refused.stdout) == (4, "")
    wrong = run("nc", "--tls-fingerprint", "12:34", "127.0.0.1", server.port)
    assert wrong.returncode == 2
    assert "64 hex digits" in wrong.stderr


def test_a_file_of_tls_that_is_of_no_use_is_named_before_anybody_is_called(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    alone = authority.path  # a certificate without its key
    empty = tmp_path / "empty.pem"
    empty.touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        for flag in ("--tls-cert", "--tls-ca"):
            done = run("nc", "--tls", flag, "nope.pem", "127.0.0.1", port)
            assert done.returncode == 1
            assert done.stderr == "sw nc: nope.pem: No such file or directory (ENOENT)\n"
            done = run("nc", "--tls", flag, str(empty), "127.0.0.1", port)
            assert done.returncode == 2
            assert str(empty) in done.stderr
        keyless = run("nc", "--tls", "--tls-cert", alone, "127.0.0.1", port)
        assert keyless.returncode == 2
        assert "--tls-key FILE" in keyless.stderr
        sent = run("nc", "--send", alone, "--tls-ca", "nope.pem", "127.0.0.1", port)
        assert (sent.returncode, sent.stderr.partition(": N")[0]) == (1, "sw nc: nope.pem")
        relayed = run("relay", "--tls-ca", "nope.pem", "echo:", f"tls://127.0.0.1:{port}")
        assert relayed.stderr == "sw relay: nope.pem: No such file or directory (ENOENT)\n"
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()


# -- the start ----------------------------------------------------------------------------------

_HEAVY = {
    "argparse", "asyncio", "ctypes", "cryptography", "hashlib", "ipaddress", "json", "logging",
    "numpy", "pathlib", "prompt_toolkit", "rich", "shutil", "ssl", "subprocess", "tempfile",
}  # fmt: skip


def test_talking_loads_nothing_that_it_does_not_need() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer, args=(server, b"hello\n", b"you too\n"))
        thread.start()
        source = Path(__file__).parents[2] / "src"
        # A plain -I -S interpreter: what site loads is not ours to say.
        code = f"""
import sys
sys.path.insert(0, {str(source)!r})
from sockwright.cli import main
status = main(["nc", "127.0.0.1", "{server.getsockname()[1]}"])
print(*sys.modules, file=sys.stderr)
sys.exit(status)
"""
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code], input="hello\n", capture_output=True,
            text=True, check=True, timeout=PATIENCE_S,
        )  # fmt: skip
        thread.join()
    assert done.stdout == "you too\n"
    assert not _HEAVY & set(done.stderr.split())

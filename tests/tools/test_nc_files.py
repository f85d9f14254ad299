"""`sw nc --send` and `--receive`: against other netcats, cut off in the middle, to many at once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.nc.peers import PATIENCE_S, SW, Peers, Place, Running, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OCTETS = os.urandom(1 << 20) * 3 + b"the end"
DIGEST = hashlib.sha256(OCTETS).hexdigest()
LARGE = 200 << 20  # octets, of a file with holes, which costs no disk
RATE = "150M"


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Peers]:
    with Peers(tmp_path) as started:
        yield started


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(OCTETS)
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(b"begin")
    os.truncate(path, LARGE)
    with path.open("r+b") as file:
        file.seek(LARGE // 2)
        file.write(b"middle")
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _listening(peers: Peers, *words: str) -> tuple[Running, str]:
    """Start `sw nc -l`; return it and its port."""
    running = peers.run([SW, "nc", "-l", "0", *words])
    return running, _port(running)


def _port(running: Running, scheme: str = "tcp") -> str:
    # The end of the line comes after the line, so the digits may be less than they will be.
    line = re.compile(rf"listening on {scheme}://127\.0\.0\.1:(\d+)\n")
    until(lambda: line.search(running.errors), "it listens", running)
    found = line.search(running.errors)
    assert found is not None
    return found[1]


def _calling(peers: Peers, port: str, *words: str) -> Running:
    return peers.run([SW, "nc", "127.0.0.1", port, *words])


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SW, "nc", *words], capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _check(running: Running, status: int = 0) -> bytes:
    ended, output, complaints = running.finish()
    assert ended == status, running
    assert len(complaints) == (1 if status else 0), running
    return output


# -- through ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("listens", ["sender", "receiver"])
def test_either_side_may_listen_and_both_tell_the_same(
    peers: Peers, source: Path, target: Path, listens: str
) -> None:
    sending, receiving = ["--send", str(source)], ["--receive", str(target)]
    first, second = (sending, receiving) if listens == "sender" else (receiving, sending)
    listener, port = _listening(peers, *first, "--json")
    client = _calling(peers, port, *second, "--json")
    rows = [json.loads(_check(running)) for running in (listener, client)]
    for row in rows:
        assert row["sha256"] == DIGEST
        assert row["octets"] == row["size"] == len(OCTETS)
        assert row["octets_per_second"] > 0
        assert row["duration_ns"] > 0
    assert {row["action"] for row in rows} == {"sent", "received"}
    assert target.read_bytes() == OCTETS
    assert target.stat().st_mode & 0o777 == 0o600


def test_people_get_a_row(peers: Peers, source: Path, target: Path) -> None:
    receiver, port = _listening(peers, "--receive", str(target))
    sender = _calling(peers, port, "--send", str(source))
    for running, word in ((receiver, "received"), (sender, "sent")):
        heads, row = _check(running).decode().splitlines()
        assert heads.split()[:3] == ["action", "path", "octets"]
        assert row.split()[0] == word
        assert row.split()[-1] == DIGEST
    assert receiver.errors.count("\n") == 1  # where it listens
    assert not sender.errors


def test_a_digest_that_would_cost_time_is_taken_where_it_is_asked_for(
    peers: Peers, large: Path, target: Path
) -> None:
    receiver, port = _listening(peers, "--receive", str(target), "--json", "--sha256")
    sender = _calling(peers, port, "--send", str(large), "--json")
    status, row, said = sender.finish()
    with large.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert json.loads(_check(receiver))["sha256"] == digest
    assert status == 0
    # Below 100 MB/s, of a machine with much else to do, it costs no time.
    if json.loads(row)["sha256"] is None:
        assert ["--sha256 takes it" in line for line in said] == [True]
    else:
        assert (json.loads(row)["sha256"], said) == (digest, [])


_RECEIVERS = {
    "openbsd": ["nc.openbsd", "-l", "127.0.0.1", "0"],
    "traditional": ["nc.traditional", "-l", "-s", "127.0.0.1"],
    "ncat": ["ncat", "-l", "127.0.0.1", "0"],
    "socat": ["socat", "-u", "TCP4-LISTEN:0,bind=127.0.0.1", "-"],
}
_SENDERS = {
    "openbsd": ["nc.openbsd", "-N", "127.0.0.1"],
    "traditional": ["nc.traditional", "-q", "0", "127.0.0.1"],
    "ncat": ["ncat", "127.0.0.1"],
    "socat": ["socat", "-u", "-", "TCP4:127.0.0.1:"],
}


@pytest.mark.needs("nc.openbsd", "nc.traditional", "ncat", "socat")
@pytest.mark.parametrize("name", list(_RECEIVERS))
def test_any_netcat_receives_what_we_send(peers: Peers, source: Path, name: str) -> None:
    receiver = peers.run(_RECEIVERS[name], Place("tcp4", peers.folder), stdin=subprocess.DEVNULL)
    port = str(receiver.until_listening().port)
    row = json.loads(_check(_calling(peers, port, "--send", str(source), "--json")))
    assert row["sha256"] == DIGEST
    assert receiver.read_all() == OCTETS


@pytest.mark.needs("nc.openbsd", "nc.traditional", "ncat", "socat")
@pytest.mark.parametrize("name", list(_SENDERS))
def test_we_receive_what_any_netcat_sends(
    peers: Peers, source: Path, target: Path, name: str
) -> None:
    receiver, port = _listening(peers, "--receive", str(target), "--json")
    *words, last = _SENDERS[name]
    words += [last + port] if last.endswith(":") else [last, port]
    with source.open("rb") as file:
        peers.run(words, stdin=file)
        row = json.loads(_check(receiver))
    assert row["sha256"] == DIGEST
    assert target.read_bytes() == OCTETS


def test_bash_receives_what_we_send_and_sends_what_we_receive(
    peers: Peers, source: Path, target: Path
) -> None:
    sender, port = _listening(peers, "--send", str(source))
    bash = peers.run(["bash", "-c", f"cat < /dev/tcp/127.0.0.1/{port}"])
    assert bash.read_all() == OCTETS
    _check(sender)
    receiver, port = _listening(peers, "--receive", str(target))
    peers.run(["bash", "-c", f"cat {source} > /dev/tcp/127.0.0.1/{port}"])
    _check(receiver)
    assert target.read_bytes() == OCTETS


def test_a_program_is_a_peer_as_well(source: Path, target: Path) -> None:
    assert _run("--send", str(source), f"exec:dd of={target} status=none").returncode == 0
    assert target.read_bytes() == OCTETS
    target.unlink()
    assert _run("--receive", str(target), f"exec:cat {source}").returncode == 0
    assert target.read_bytes() == OCTETS


def test_what_a_program_that_failed_has_written_is_no_file(target: Path) -> None:
    done = _run("--receive", str(target), "exec:sh -c 'echo half; exit 3'")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ended with status 3" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not target.exists()
    assert target.with_name("target.part").read_text() == "half\n"


def test_a_program_that_failed_has_not_got_the_file(source: Path) -> None:
    done = _run("--send", str(source), "exec:sh -c 'cat >/dev/null; exit 4'")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ended with status 4" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_program_that_reads_a_part_only_is_said_to_be_gone_too_early(source: Path) -> None:
    done = _run("--send", str(source), "--rate", "50M", "exec:head -c 100")
    assert done.returncode == 1
    assert "the peer was gone before it had the whole file" in done.stderr
    assert "send_eof" not in done.stderr


def test_a_file_goes_through_tls_with_a_certificate_made_for_it(
    peers: Peers, source: Path, target: Path
) -> None:
    receiver = peers.run([SW, "nc", "-l", "--tls", "0", "--receive", str(target)])
    port = _port(receiver, "tls")
    assert "sha256:" in receiver.errors
    sender = _calling(peers, port, "--tls", "--insecure", "--send", str(source))
    assert sender.wait() == 0, sender
    assert receiver.wait() == 0, receiver
    assert target.read_bytes() == OCTETS


@pytest.mark.parametrize("name", ["a b", "-n", "%s", "ä\n", "\x1b]0;x\x07"])
def test_odd_names_are_names(peers: Peers, tmp_path: Path, source: Path, name: str) -> None:
    odd = source.rename(tmp_path / name)
    folder = tmp_path / "there"
    folder.mkdir()
    receiver, port = _listening(peers, f"--receive={folder / name}")
    output = _check(_calling(peers, port, f"--send={odd}"))
    _check(receiver)
    assert (folder / name).read_bytes() == OCTETS
    assert b"\x1b" not in output  # escaped for terminals


def test_a_record_of_a_transfer_holds_its_octets(
    peers: Peers, source: Path, target: Path, tmp_path: Path
) -> None:
    record = tmp_path / "record.pcapng"
    receiver, port = _listening(peers, "--receive", str(target), "--record", str(record))
    _check(_calling(peers, port, "--send", str(source)))
    _check(receiver)
    assert target.read_bytes() == OCTETS
    assert record.stat().st_size > len(OCTETS)


# -- cut off in the middle -------------------------------------------------------------------------


@pytest.mark.parametrize("resume", [False, True], ids=["plain", "resume"])
@pytest.mark.parametrize("victim", ["sender", "receiver"])
def test_who_is_killed_in_the_middle_is_noticed_and_the_rest_is_sent_later(
    peers: Peers, large: Path, target: Path, victim: str, resume: bool
) -> None:
    flags = ["--resume"] if resume else []
    receiver, port = _listening(peers, "--receive", str(target), *flags)
    sender = _calling(peers, port, "--send", str(large), "--rate", RATE, *flags)
    part = _part(target)
    until(lambda: part.exists() and part.stat().st_size > LARGE // 10, "octets come", receiver)
    killed, other = (sender, receiver) if victim == "sender" else (receiver, sender)
    killed.signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    # RST, where the kernel would have sent FIN: half a file is not taken for a file.
    _check(other, 1)
    assert "Connection reset" in other.errors or "the peer was gone" in other.errors
    assert not target.exists()
    kept = part.stat().st_size
    assert LARGE // 10 < kept < LARGE

    receiver, port = _listening(peers, "--receive", str(target), "--resume", "--json")
    sender = _calling(peers, port, "--send", str(large), "--resume", "--json")
    rows = [json.loads(_check(running)) for running in (sender, receiver)]
    assert [row["resumed_from"] for row in rows] == [kept, kept]
    assert [row["octets"] for row in rows] == [LARGE - kept, LARGE - kept]
    assert [row["verified"] for row in rows] == [True, True]
    with large.open("rb") as one, target.open("rb") as two:
        digests = [hashlib.file_digest(file, "sha256").hexdigest() for file in (one, two)]
    assert digests == [row["sha256"] for row in rows]
    assert not part.exists()


@pytest.mark.parametrize("stopped", ["sender", "receiver"])
def test_a_stopped_peer_is_given_up_in_time(
    peers: Peers, large: Path, target: Path, stopped: str
) -> None:
    limits = {stopped: [], "sender": ["-w", "1.5"], "receiver": ["-w", "1.5"]} | {stopped: []}
    receiver, port = _listening(peers, "--receive", str(target), *limits["receiver"])
    sender = _calling(peers, port, "--send", str(large), "--rate", RATE, *limits["sender"])
    until(lambda: _part(target).exists() and _part(target).stat().st_size > 0, "it runs", receiver)
    still, other = (sender, receiver) if stopped == "sender" else (receiver, sender)
    still.signal(signal.SIGSTOP)
    _check(other, 3)
    assert "for 1.5 s" in other.errors
    assert not target.exists()


def test_ctrl_c_says_what_is_kept(peers: Peers, large: Path, target: Path) -> None:
    receiver, port = _listening(peers, "--receive", str(target))
    sender = _calling(peers, port, "--send", str(large), "--rate", RATE)
    until(lambda: _part(target).exists() and _part(target).stat().st_size > 0, "it runs", receiver)
    receiver.signal(signal.SIGINT)
    assert receiver.wait() == 130
    kept = _part(target).stat().st_size
    assert f"keeps {kept} octets" in receiver.errors
    _check(sender, 1)


@pytest.mark.parametrize("flag", ["--send", "--receive"])
def test_ctrl_c_before_the_first_octet_is_no_end_of_a_file(
    peers: Peers, source: Path, target: Path, flag: str
) -> None:
    path = source if flag == "--send" else target
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(PATIENCE_S)
        port = proxy.getsockname()[1]
        words = [flag, str(path), "-x", f"127.0.0.1:{port}", "192.0.2.1", "9"]
        client = peers.run([SW, "nc", *words])
        with proxy.accept()[0] as connected:
            assert connected.recv(100)[:1] == b"\x05"  # it is connected, and not beyond the proxy
            client.signal(signal.SIGINT)
            with pytest.raises(ConnectionResetError):
                connected.recv(1)
    assert client.wait() == 130


@pytest.mark.parametrize("resume", [False, True], ids=["plain", "resume"])
def test_a_reset_keeps_what_came(peers: Peers, target: Path, resume: bool) -> None:
    receiver, port = _listening(peers, "--receive", str(target), *["--resume"] * resume)
    with socket.create_connection(("127.0.0.1", int(port))) as peer:
        if resume:
            peer.recv(1000)
            peer.sendall(b"sockwright-file/1 size 1000000 from 0\n")
        peer.sendall(OCTETS[:5000])
        part = _part(target)
        until(lambda: part.exists() and part.stat().st_size == 5000, "all came", receiver)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _check(receiver, 1)
    assert "ECONNRESET" in receiver.errors
    assert f"{part} keeps 5000 octets" in receiver.errors
    assert part.read_bytes() == OCTETS[:5000]


@pytest.mark.parametrize("resume", [False, True], ids=["plain", "resume"])
def test_a_file_that_may_not_grow_further_is_kept_and_told(
    peers: Peers, source: Path, target: Path, resume: bool
) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    flags = ["--resume"] if resume else []
    receiver = peers.run([SW, "nc", "-l", "0", "--receive", str(target), *flags], prepare=small)
    sender = _calling(peers, _port(receiver), "--send", str(source), *flags)
    _check(receiver, 1)
    assert "File too large (EFBIG)" in receiver.errors
    assert "target.part keeps 1000000 octets" in receiver.errors
    _check(sender, 1)
    assert not target.exists()
    assert _part(target).read_bytes() == OCTETS[:1_000_000]


@pytest.mark.needs("namespaces")
def test_a_full_disk_is_told_on_both_sides(peers: Peers, source: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        f"mount -t tmpfs -o size=1m none {disk} && {SW} nc -l 0 --receive {disk}/file;"
        f" echo $?; stat -c %s {disk}/file.part; ls {disk}"
    )
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    receiver = peers.run(unshare)
    sender = _calling(peers, _port(receiver), "--send", str(source))
    _check(sender, 1)
    assert "before it had the whole file" in sender.errors
    _, output, _ = receiver.finish()  # with all that it says on standard error
    status, kept, name = output.split()
    assert status == b"1"
    assert 0 < int(kept) <= 1 << 20
    assert name == b"file.part"
    assert "No space left on device (ENOSPC)" in receiver.errors
    assert f"keeps {int(kept)} octets" in receiver.errors


# -- refused ---------------------------------------------------------------------------------------


def test_a_file_that_is_there_is_refused_before_anybody_may_come(
    source: Path, target: Path
) -> None:
    target.write_bytes(b"old")
    done = _run("-l", "0", "--receive", str(target))
    assert done.returncode == 1
    assert done.stderr == f"sw nc: {target} exists already; --force replaces it\n"
    assert target.read_bytes() == b"old"


def test_force_replaces_it(peers: Peers, source: Path, target: Path) -> None:
    target.write_bytes(b"old")
    receiver, port = _listening(peers, "--receive", str(target), "--force")
    _check(_calling(peers, port, "--send", str(source)))
    _check(receiver)
    assert target.read_bytes() == OCTETS


def test_what_cannot_be_sent_is_told_before_anybody_is_called(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, said in (
        (tmp_path / "fifo", "is a FIFO, which has no size"),
        ("/dev/zero", "is a character device, which has no size"),
        (tmp_path, "is a directory"),
        (tmp_path / "none", "No such file or directory (ENOENT)"),
    ):
        done = _run("--send", str(path), "127.0.0.1", "1")
        assert done.returncode == 1, done
        assert done.stderr.count("\n") == 1
        assert said in done.stderr


@pytest.mark.needs("setpriv", "nobody")
@pytest.mark.parametrize("flag", ["--send", "--receive"])
def test_a_file_that_one_may_not_touch_is_told(tmp_path: Path, source: Path, flag: str) -> None:
    source.chmod(0o600)
    path = source if flag == "--send" else tmp_path / "new"
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", SW, "nc", flag]
    done = subprocess.run(
        [*words, str(path), "127.0.0.1", "1"], capture_output=True, text=True, check=False,
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 5
    assert "Permission denied (EACCES)" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--send", "-", "127.0.0.1", "1"], "--send wants the name of a file"),
        (["-lk", "0", "--receive", "x"], "one FILE is one transfer"),
        (["-u", "--send", "x", "127.0.0.1", "1"], "exclude each other"),
        (["-t", "--send", "x", "127.0.0.1", "1"], "a file as it is"),
        (["--resume", "127.0.0.1", "1"], "--resume goes with"),
        (["--send", "x", "--receive", "y", "127.0.0.1", "1"], "exclude each other"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(words: list[str], said: str) -> None:
    done = _run(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_refused_connection_leaves_no_part(target: Path) -> None:
    with socket.socket() as kept:  # bound, so that nobody listens there meanwhile
        kept.bind(("127.0.0.1", 0))
        done = _run("--receive", str(target), "127.0.0.1", str(kept.getsockname()[1]))
    assert done.returncode == 1
    assert "ECONNREFUSED" in done.stderr
    assert not _part(target).exists()


@pytest.mark.parametrize("we", ["send", "receive"])
def test_a_peer_without_resume_is_one_clear_line(
    peers: Peers, source: Path, target: Path, we: str
) -> None:
    flags = {"send": ["--send", str(source)], "receive": ["--receive", str(target)]}
    other = "receive" if we == "send" else "send"
    listener, port = _listening(peers, *flags[other])
    client = _calling(peers, port, *flags[we], "--resume")
    if we == "send":
        # It says nothing, as every plain receiver.
        client.until_state("ESTAB")
        client.signal(signal.SIGINT)
        client.wait()
        _check(listener, 1)
        assert not target.exists()
        return
    _check(client, 1)
    assert "does not speak the protocol of --resume, which both sides need" in client.errors
    assert not target.exists()


# -- to many ---------------------------------------------------------------------------------------


def test_a_file_is_served_to_many_at_once_whatever_others_do(
    peers: Peers, large: Path, tmp_path: Path
) -> None:
    os.truncate(large, size := 32 << 20)  # more than buffers hold
    server, port = _listening(peers, "-k", "--send", str(large), "--json")
    with socket.create_connection(("127.0.0.1", int(port))) as idle:  # takes nothing
        idle.recv(1)
        resetting = socket.create_connection(("127.0.0.1", int(port)))
        resetting.recv(1)
        resetting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        resetting.close()
        server.read_errors("before it had the whole file")
        targets = [tmp_path / f"target{number}" for number in range(4)]
        clients = [_calling(peers, port, "--receive", str(path)) for path in targets]
        for client in clients:
            _check(client)
        assert [path.stat().st_size for path in targets] == [size] * 4
        until(lambda: server.received.count(b"\n") == 4, "a row for each", server)
        before = len(server.sockets())
        assert before == 2  # the listener, and the one that takes nothing
    until(lambda: len(server.complaints) == 2, "both are told", server)
    server.signal(signal.SIGINT)
    assert server.wait() == 130
    rows = [json.loads(line) for line in server.received.splitlines()]
    assert {row["size"] for row in rows} == {size}
    assert len(server.complaints) == 2


def test_who_waits_for_a_stuck_server_that_is_ended_hears_of_it(
    peers: Peers, large: Path, target: Path
) -> None:
    server, port = _listening(peers, "-k", "--send", str(large), "--rate", "1M")
    client = _calling(peers, port, "--receive", str(target))
    until(lambda: _part(target).exists() and _part(target).stat().st_size > 0, "it runs", client)
    server.signal(signal.SIGINT)
    assert server.wait() == 130
    _check(client, 1)
    assert not target.exists()


def test_who_takes_next_to_nothing_does_not_keep_others_out(
    peers: Peers, large: Path, target: Path
) -> None:
    os.truncate(large, size := 32 << 20)
    server, port = _listening(peers, "-k", "-m", "3", "--send", str(large))
    address = "127.0.0.1", int(port)
    silent, dripping, steady = (socket.create_connection(address) for _ in range(3))
    ended = threading.Event()

    def take() -> None:
        while not ended.wait(0.1):
            with suppress(OSError):
                dripping.recv(1, socket.MSG_DONTWAIT)
                steady.recv(100_000, socket.MSG_DONTWAIT)

    with silent, dripping, steady, ThreadPoolExecutor(1) as pool:
        pool.submit(take)
        try:
            _check(_calling(peers, port, "--receive", str(target)))
        finally:
            ended.set()
        assert target.stat().st_size == size
        until(lambda: len(server.complaints) == 2, "both are told", server)
        # They are judged after 3 s, or when the listener looks at them next.
        told = r"let tcp://127.0.0.1:(\d+) go: it took \d+ octets in [3-6] s"
        gone = re.findall(told, server.errors)
        assert {int(number) for number in gone} == {
            silent.getsockname()[1], dripping.getsockname()[1],
        }  # fmt: skip
        with pytest.raises(ConnectionResetError), silent.makefile("rb") as half:
            half.read()  # which does not look like a whole one


def test_who_does_not_begin_with_tls_does_not_keep_others_out(
    peers: Peers, source: Path, target: Path
) -> None:
    server = peers.run([SW, "nc", "-lk", "-m", "1", "--tls", "0", "--send", str(source)])
    port = _port(server, "tls")
    with socket.create_connection(("127.0.0.1", int(port))):
        client = _calling(peers, port, "--tls", "--insecure", "--receive", str(target))
        assert client.wait() == 0, client
    assert target.read_bytes() == OCTETS


def test_when_descriptors_run_out_others_wait(peers: Peers, source: Path) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))

    server = peers.run([SW, "nc", "-lk", "0", "--send", str(source)], prepare=few)
    port = int(_port(server))
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    try:
        for sock in waiting:
            sock.settimeout(PATIENCE_S)
            with sock, sock.makefile("rb") as file:
                assert hashlib.file_digest(file, "sha256").hexdigest() == DIGEST
    finally:
        for sock in waiting:
            sock.close()
    until(lambda: server.received.count(b"sent") == 20, "a row for each", server)
    server.signal(signal.SIGINT)
    assert server.wait() == 130
    assert "descriptors for 1 client at once (ulimit -n); others wait" in server.errors


@pytest.mark.needs("ss")
def test_options_of_sockets_are_set(peers: Peers, large: Path) -> None:
    words = ["-M", "7", "-T", "lowdelay", "--send", str(large)]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = _calling(peers, str(listener.getsockname()[1]), *words)
        with listener.accept()[0]:
            ss = [
                "ss",
                "-tnH",
                "--tos",
                "state",
                "established",
                "dport",
                str(listener.getsockname()[1]),
            ]
            until(lambda: "tos:0x10" in _said(ss), "the option is seen", sender)


def _said(words: list[str]) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout


def test_those_who_are_not_allowed_get_nothing(peers: Peers, source: Path) -> None:
    server, port = _listening(peers, "-k", "--send", str(source), "--deny", "127.0.0.1")
    with socket.create_connection(("127.0.0.1", int(port))) as peer:
        peer.settimeout(PATIENCE_S)
        assert peer.recv(10) == b""
    server.read_errors("among those that are denied")

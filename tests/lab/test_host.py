"""What runs in a host: programs, functions, sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from tests.lab.conftest import Pair

pytestmark = pytest.mark.needs("namespaces")


def test_run_returns_what_a_program_wrote(pair: Pair) -> None:
    done = pair.a.run(["sh", "-c", "cat; echo err >&2; exit 3"], input="in")
    assert (done.stdout, done.stderr, done.returncode) == ("in", "err\n", 3)
    assert pair.a.run(["cat"], input=b"\xff\x00", text=False).stdout == b"\xff\x00"


def test_run_carries_a_megabyte_both_ways(pair: Pair) -> None:
    octets = os.urandom(1 << 20)
    assert pair.a.run(["cat"], input=octets, text=False).stdout == octets


def test_run_checks_the_status_when_asked(pair: Pair) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        pair.a.run(["sh", "-c", "echo why >&2; exit 3"], check=True)
    assert caught.value.returncode == 3
    assert caught.value.__notes__ == ["why"]


def test_run_ends_a_program_at_its_time_limit(pair: Pair) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        # Long enough for a shell to start on a busy machine.
        pair.a.run(["sh", "-c", "echo so far; exec sleep 60"], timeout=2)
    assert caught.value.output == b"so far\n"


def test_a_program_that_is_not_there_is_named(pair: Pair) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        pair.a.run(["no-such-program"])
    assert caught.value.filename == "no-such-program"
    with pytest.raises(PermissionError):
        pair.a.run(["/etc/passwd"])
    with pytest.raises(FileNotFoundError) as caught:
        pair.a.run(["true"], cwd="/no/such/folder")
    assert caught.value.filename == "/no/such/folder"
    with pytest.raises(TypeError, match="list"):
        pair.a.run("ls -l")


def test_a_program_gets_environment_and_folder(pair: Pair, tmp_path: Path) -> None:
    assert pair.a.run(["pwd"], cwd=tmp_path).stdout == f"{tmp_path}\n"
    assert pair.a.run(["/usr/bin/env"], env={"LANG": "C"}).stdout == "LANG=C\n"


def test_a_program_that_only_root_has_on_its_path_is_found(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    path = pair.a.run(["printenv", "PATH"], check=True).stdout
    assert path == "/usr/bin:/bin:/usr/sbin:/sbin\n"


def test_a_program_is_told_by_its_signal(pair: Pair) -> None:
    with pair.a.popen(["sleep", "60"]) as process:
        assert process.poll() is None
        process.terminate()
        assert process.wait(5) == -signal.SIGTERM
        assert process.poll() == -signal.SIGTERM
        process.kill()  # has ended: nothing happens


def test_a_program_ends_with_its_block(pair: Pair) -> None:
    with pair.a.popen(["sleep", "60"]) as process:
        assert Path(f"/proc/{process.pid}/cmdline").read_bytes() == b"sleep\x0060\x00"
    assert process.returncode == -signal.SIGKILL
    assert not Path(f"/proc/{process.pid}").exists()


def test_programs_inherit_only_what_is_passed(pair: Pair) -> None:
    reading, writing = os.pipe()
    script = f"echo hi >/dev/fd/{writing}; ls /proc/self/fd"
    with os.fdopen(reading, "rb") as ours:
        with (
            os.fdopen(writing, "wb"),
            pair.a.popen(
                ["sh", "-c", script], stdout=subprocess.PIPE, pass_fds=[writing]
            ) as process,
        ):
            out, _ = process.communicate()
        assert ours.read() == b"hi\n"
    listed = {int(word) for word in out.split()}
    assert listed == {0, 1, 2, 3, writing}  # 3 is how ls itself reads the folder


def test_standard_error_joins_standard_output(pair: Pair) -> None:
    words = ["sh", "-c", "echo out; echo err >&2"]
    with pair.a.popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.communicate() == (b"out\nerr\n", b"")


def test_call_runs_a_closure_and_returns_its_result(pair: Pair) -> None:
    here = {"of": "this test"}

    def inside(x: int, *, y: int) -> tuple[dict[str, str], int, str]:
        return here, x + y, socket.gethostname()

    result = pair.a.call(inside, 1, y=2)
    assert result == ({"of": "this test"}, 3, "a")


def test_call_returns_more_than_a_pipe_holds(pair: Pair) -> None:
    assert pair.a.call(lambda: b"x" * 5_000_000) == b"x" * 5_000_000


def test_call_raises_what_the_function_raised(pair: Pair) -> None:
    def fail() -> NoReturn:
        raise ValueError("of the function")

    with pytest.raises(ValueError, match="of the function") as caught:
        pair.a.call(fail)
    (note,) = caught.value.__notes__
    assert note.startswith("in host a:")
    assert "in fail" in note


def test_call_says_when_a_result_cannot_come_back(pair: Pair) -> None:
    with pytest.raises(TypeError, match="cannot come back"):
        pair.a.call(lambda: lambda: 1)


def test_call_says_when_there_is_no_result(pair: Pair) -> None:
    with pytest.raises(ChildProcessError, match="exit status 7"):
        pair.a.call(os._exit, 7)
    with pytest.raises(ChildProcessError, match="SIGKILL"):
        pair.a.call(lambda: os.kill(os.getpid(), signal.SIGKILL))


class TwoWordsError(Exception):
    """Pickles, and cannot be made again from what was pickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


def test_call_brings_an_exception_that_pickle_cannot_make_again(pair: Pair) -> None:
    def fail() -> NoReturn:
        raise TwoWordsError("both", "words")

    with pytest.raises(RuntimeError, match="TwoWordsError: both words"):
        pair.a.call(fail)


def test_call_works_beside_threads(pair: Pair) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert pair.b.call(socket.gethostname) == "b"
    finally:
        stop.set()
        thread.join()


def test_a_server_runs_in_one_host_while_a_client_runs_in_the_other(pair: Pair) -> None:
    listener = pair.b.open(socket.create_server, (pair.b.ipv4, 80))
    assert not listener.get_inheritable()

    def serve() -> bytes:
        connection, _ = listener.accept()
        with connection:
            asked = connection.recv(100)
            connection.sendall(asked.upper())
        return asked

    def ask() -> bytes:
        with socket.create_connection((pair.b.ipv4, 80), timeout=5) as connection:
            connection.sendall(b"hello")
            return connection.recv(100)

    with listener:
        server = pair.b.start(serve)
        assert pair.a.call(ask) == b"HELLO"
        assert server.result(5) == b"hello"
        assert server.done
        assert server.result() == b"hello"


def test_a_function_that_still_runs_can_be_asked_again_or_killed(pair: Pair) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as ours, os.fdopen(writing, "wb"):
        call = pair.a.start(ours.read, 1)
        with pytest.raises(TimeoutError, match="host a still runs"):
            call.result(0.01)
        assert not call.done
        os.write(writing, b"x")
        assert call.result(5) == b"x"
        other = pair.a.start(signal.pause)
        other.kill()
        with pytest.raises(ChildProcessError):
            other.result()


def test_sockets_of_both_hosts_are_driven_from_here(pair: Pair) -> None:
    with pair.b.socket() as listener, pair.a.socket() as client:
        listener.bind((pair.b.ipv4, 80))
        listener.listen()
        client.connect((pair.b.ipv4, 80))
        connection, sender = listener.accept()
        with connection:
            assert sender[0] == pair.a.ipv4
            client.sendall(b"hi")
            assert connection.recv(10) == b"hi"


def test_without_privilege_a_low_port_and_a_raw_socket_are_refused(pair: Pair) -> None:
    def listen() -> None:
        socket.create_server(("127.0.0.1", 80)).close()

    def raw() -> None:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, 16).close()

    for action in (listen, raw):
        pair.a.call(action)
        with pytest.raises(PermissionError):
            pair.a.call_unprivileged(action)
    capabilities = ["grep", "CapEff", "/proc/self/status"]
    assert int(pair.a.run(capabilities).stdout.split()[1], 16) != 0
    assert int(pair.a.run(capabilities, privileged=False).stdout.split()[1], 16) == 0


def test_descriptors_of_a_lab_are_all_closed_with_it() -> None:
    from sockwright.lab import Lab

    def open_now() -> list[str]:
        return sorted(path.name for path in Path("/proc/self/fd").iterdir())

    def once() -> None:
        with Lab() as lab:
            a, b = lab.hosts("a", "b")
            lab.link(a, b).delay(0.001)
            a.run(["true"])
            a.call(int)
            with a.capture():
                pass

    once()
    before = open_now()
    once()
    assert open_now() == before

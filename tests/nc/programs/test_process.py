"""Programs are started with nothing but what is theirs, and are ended and reaped."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sockwright.errors import NotPossibleError
from sockwright.nc.programs.process import (
    Process,
    connection_variables,
    describe_status,
    find_program,
    may_serve,
    start,
)
from sockwright.sockets import parse_endpoint

_PATIENCE_S = 10


def _until(process: Process, wanted: bytes | None = None) -> bytes:
    """Read what the program writes, to its end or to `wanted`."""
    got, buffer = b"", memoryview(bytearray(65536))
    while wanted is None or wanted not in got:
        assert select.select([process.stdout], [], [], _PATIENCE_S)[0], got
        count = process.read(buffer)
        if not count:
            break
        got += buffer[:count]
    return got


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _zombies() -> set[str]:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    return {
        pid
        for pid in children.read_text().split()
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    }


def test_words_reach_the_program_as_they_are() -> None:
    with start(["printf", "%s|", "a b", "$HOME", "*", "", "ü"]) as process:
        assert _until(process).decode() == "a b|$HOME|*||ü|"


def test_output_that_comes_after_the_end_of_the_input_arrives() -> None:
    with start(["sh", "-c", "cat; echo late"]) as process:
        process.write(b"early\n")
        process.send_eof()
        assert _until(process) == b"early\nlate\n"


def test_the_program_gets_three_descriptors_and_no_more() -> None:
    ours = os.open("/dev/null", os.O_RDONLY)
    inherited = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    try:
        with start(["sh", "-c", "ls /proc/$$/fd"]) as process:
            assert _until(process).split() == [b"0", b"1", b"2"]
        with start(["sh", "-c", "ls /proc/$$/fd"], pty=True) as process:
            assert set(_until(process).split()) <= {b"0", b"1", b"2", b"10"}  # 10: sh's own
    finally:
        os.close(ours)
        os.close(inherited)


def test_a_descriptor_above_the_limit_is_neither_in_the_way_nor_handed_on() -> None:
    # Who starts us may have lowered the limit after it had opened more.
    program = """
import fcntl, os, resource, sys
from sockwright.nc.programs.process import start
high = fcntl.fcntl(os.open("/dev/null", os.O_RDONLY), fcntl.F_DUPFD, 100)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
with start(["sh", "-c", f"test -e /proc/self/fd/{high}; echo $?"]) as process:
    sys.stdout.buffer.write(os.read(process.stdout, 100))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=20
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_the_terminal_of_a_program_takes_utf_8() -> None:
    with start(["stty", "-a"], pty=True) as process:
        assert b" iutf8" in _until(process)


def test_the_environment_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    variables = {"NCAT_REMOTE_ADDR": "127.0.0.1"}
    with start([sys.executable, "-c", "import os; print(*os.environ)"], variables=variables) as one:
        names = set(_until(one).decode().split())
    assert {"PATH", "LANG", "NCAT_REMOTE_ADDR"} <= names
    kept = {"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "NCAT_REMOTE_ADDR"}
    assert names <= kept


def test_the_connection_is_told_by_the_names_of_ncat() -> None:
    local, remote = parse_endpoint("tcp://127.0.0.1:80"), parse_endpoint("tcp://[::1]:5000")
    assert connection_variables(local, remote) == {
        "NCAT_PROTO": "TCP",
        "NCAT_LOCAL_ADDR": "127.0.0.1",
        "NCAT_LOCAL_PORT": "80",
        "NCAT_REMOTE_ADDR": "::1",
        "NCAT_REMOTE_PORT": "5000",
    }
    assert connection_variables(None, None) == {}


def test_the_path_that_a_peer_chose_is_not_told() -> None:
    local, remote = parse_endpoint("unix:/run/a.sock"), parse_endpoint("unix:/tmp/() { evil; }")
    assert connection_variables(local, remote) == {
        "NCAT_PROTO": "UNIX",
        "NCAT_LOCAL_ADDR": "/run/a.sock",
    }


def test_sigpipe_ends_the_program_as_in_a_shell() -> None:
    with start(["sh", "-c", "yes; echo $?>&2"]) as process:
        os.close(process.stdout)
        process.stdout = -1
        assert process.wait(_PATIENCE_S) == 0
    with start(["yes"]) as process:
        os.close(process.stdout)
        process.stdout = -1
        assert process.wait(_PATIENCE_S) == -signal.SIGPIPE


@pytest.mark.parametrize("pty", [False, True])
def test_a_program_hears_the_signals_that_a_script_lets_us_ignore(*, pty: bool) -> None:
    # As `sw nc -l --pty ... &` in a script, whose shell ignores both for what it starts so.
    program = f"""
import signal, sys
from sockwright.nc.programs.process import start
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
    signal.signal(number, signal.SIG_IGN)
with start(["sleep", "60"], pty={pty}) as process:
    sys.stdout.write(open(f"/proc/{{process.pid}}/status").read())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=20
    )
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("SigIgn:"))
    ignored = int(line.split()[1], 16)
    named = {signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGPIPE}
    assert not {number for number in named if ignored & 1 << number - 1}


def test_a_terminal_of_its_own() -> None:
    code = "test -t 0 && test -t 2 && tty && stty size && exec 3<>/dev/tty && echo yes >&3"
    with start(["sh", "-c", code], pty=True) as process:
        lines = _until(process).decode().split("\r\n")
    assert lines[0].startswith("/dev/pts/")
    assert len(lines[1].split()) == 2
    assert lines[2] == "yes"


def test_a_program_on_a_terminal_leads_its_session() -> None:
    with start(["sh", "-c", "echo $$; read x"], pty=True) as process:
        told = int(_until(process, b"\n"))
        assert told == process.pid
        assert os.getsid(told) == told


def test_the_input_of_a_program_on_a_terminal_ends_and_its_late_output_arrives() -> None:
    with start(["sh", "-c", "stty -echo; echo ready; cat; echo late"], pty=True) as process:
        _until(process, b"ready\r\n")
        process.write(b"line\n")
        process.send_eof()
        assert _until(process) == b"line\r\nlate\r\n"


def test_much_output_of_a_program_on_a_terminal_is_not_lost_at_its_end() -> None:
    code = "import sys; sys.stdout.write('x' * 300_000)"
    with start([sys.executable, "-c", code], pty=True) as process:
        assert len(_until(process)) == 300_000


def test_another_size_of_the_terminal_reaches_the_program() -> None:
    code = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.02; done"
    with start(["bash", "-c", code], pty=True) as process:
        _until(process, b"ready")
        process.resize(132, 43)
        assert b"43 132" in _until(process, b"43 132")


def test_a_program_that_heeds_its_signal_ends_at_once() -> None:
    with start(["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done"]) as one:
        _until(one, b"ready")
        assert one.end() == 7


def test_a_program_on_a_terminal_is_hung_up() -> None:
    # It reads nothing: who reads is told of the hang-up, too, and may end by itself before.
    with start(["sleep", "60"], pty=True) as process:
        assert process.end() == -signal.SIGHUP


def test_a_program_that_is_stopped_is_ended_too() -> None:
    with start(["sleep", "60"]) as process:
        process.send_signal(signal.SIGSTOP)
        assert process.end() == -signal.SIGTERM


def test_a_program_that_heeds_nothing_is_killed_after_a_second() -> None:
    with start(["sh", "-c", "trap '' TERM HUP; echo ready; while :; do sleep 1; done"]) as process:
        _until(process, b"ready")
        assert process.end() == -signal.SIGKILL


def test_a_program_that_closed_its_output_may_finish() -> None:
    code = "exec >&-; sleep 0.1; exit 3"
    with start(["sh", "-c", code]) as process:
        assert _until(process) == b""
        assert process.end() == 3


def test_what_the_program_has_started_ends_with_it() -> None:
    with start(["sh", "-c", "sleep 600 & echo $!; wait; true"], variables={"FOR": "a peer"}) as one:
        started = int(_until(one, b"\n"))
        ended = os.pidfd_open(started)
        try:
            assert one.leads
            one.end()
            assert select.select([ended], [], [], _PATIENCE_S)[0]
        finally:
            os.close(ended)


def test_a_person_at_a_terminal_shares_it_with_the_program_but_no_peer_does() -> None:
    code = """
import os
from sockwright.nc.programs.process import start
for variables in (None, {"NCAT_REMOTE_ADDR": "::1"}):
    with start(["cat"], variables=variables) as process:
        print("shared" if os.getpgid(process.pid) == os.getpgrp() else "its own")
"""
    with start([sys.executable, "-c", code], pty=True) as process:
        assert _until(process).split(b"\r\n") == [b"shared", b"its own", b""]


def test_an_ended_process_gets_no_signal() -> None:
    with start(["true"]) as process:
        assert process.wait(_PATIENCE_S) == 0
        process.send_signal(signal.SIGKILL)
        assert process.status == 0
        assert process.end() == 0


def test_many_starts_leave_neither_descriptors_nor_zombies() -> None:
    before, zombies = _descriptors(), _zombies()
    for number in range(100):
        with start(["true"], pty=number % 2 == 1) as process:
            assert _until(process) == b""
    assert _descriptors() == before
    assert _zombies() <= zombies


@pytest.mark.parametrize("limit", range(6))
def test_too_few_descriptors_are_an_error_and_leave_nothing(limit: int) -> None:
    code = f"""
import errno, os, resource
from sockwright.nc.programs.process import start
before = sorted(os.listdir("/proc/self/fd"))
highest = max(map(int, before))
resource.setrlimit(resource.RLIMIT_NOFILE, (highest + {limit}, 4096))
for pty in (False, True):
    try:
        with start(["true"], pty=pty) as process:
            pass
    except OSError as error:
        assert error.errno == errno.EMFILE, error
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
assert sorted(os.listdir("/proc/self/fd")) == before
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("well")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.stdout, done.stderr) == ("well\n", "")


def test_closed_standard_descriptors_are_no_trouble() -> None:
    code = """
import os
from sockwright.nc.programs.process import start
kept = os.dup(1)
for number in (0, 1, 2):
    os.close(number)
with start(["sh", "-c", "cat; ls /proc/$$/fd; echo >&2 lost"]) as process:
    process.write(b"through\\n")
    process.send_eof()
    buffer = memoryview(bytearray(100))
    while count := process.read(buffer):
        os.write(kept, buffer[:count])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=20, check=False
    )
    assert done.stdout.split() == [b"through", b"0", b"1", b"2"]


def test_somebody_else_may_reap() -> None:
    with start(["false"]) as process:
        os.waitpid(process.pid, 0)
        assert process.wait(_PATIENCE_S) == 0  # nobody can know any more


def test_a_missing_program_is_named() -> None:
    with pytest.raises(NotPossibleError, match="there is no program 'no-such-thing' in PATH"):
        start(["no-such-thing"])
    with pytest.raises(NotPossibleError, match="/no/such cannot be run: there is no such file"):
        start(["/no/such"])


def test_a_file_that_cannot_be_run_says_why(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo hello\n")
    with pytest.raises(NotPossibleError, match="may not run; chmod"):
        find_program(str(script))
    script.chmod(0o700)
    with pytest.raises(NotPossibleError, match="begins with #!"):
        start([str(script)])
    script.write_text("#!/no/such/interpreter\n")
    with pytest.raises(NotPossibleError, match="first line"):
        start([str(script)])
    with pytest.raises(NotPossibleError, match="folder"):
        start([str(tmp_path)])


def test_the_path_is_searched_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        program = tmp_path / name / "program"
        program.write_text(f"#!/bin/sh\necho {name}\n")
        program.chmod(0o700)
    (tmp_path / "first" / "program").chmod(0o600)
    monkeypatch.setenv("PATH", f"{tmp_path}/first:{tmp_path}/second")
    if os.geteuid():  # root finds what has any x
        assert find_program("program") == f"{tmp_path}/second/program"
    (tmp_path / "first" / "program").chmod(0o700)
    assert find_program("program") == f"{tmp_path}/first/program"


def test_how_a_program_ended_is_said_in_words() -> None:
    assert describe_status(0) == ""
    assert describe_status(3) == "ended with status 3"
    assert describe_status(-signal.SIGSEGV) == "was ended by SIGSEGV"
    assert describe_status(-40) == "was ended by signal 40"


@pytest.mark.parametrize(
    ("loopback", "allow_list", "client_certificates"),
    [(True, False, False), (False, True, False), (False, False, True)],
)
def test_a_program_is_served_to_those_who_are_known(
    loopback: bool, allow_list: bool, client_certificates: bool
) -> None:
    assert (
        may_serve(loopback=loopback, allow_list=allow_list, client_certificates=client_certificates)
        is None
    )


def test_a_program_is_not_served_to_anybody() -> None:
    refusal = may_serve(loopback=False, allow_list=False, client_certificates=False)
    assert refusal is not None
    assert "--allow" in refusal

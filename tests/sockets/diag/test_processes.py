"""Who holds which socket, as /proc tells: everything that processes do while they are looked at."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.sockets.diag.own_network import as_nobody

from sockwright.sockets.diag.processes import Process, find_processes

if TYPE_CHECKING:
    from tests.sockets.diag.population import Population


def inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_socket_is_found_with_process_name_and_descriptor() -> None:
    with socket.socket() as sock:
        (found,) = find_processes().by_inode[inode(sock)]
        assert (found.pid, found.descriptor) == (os.getpid(), sock.fileno())
        assert found.name == Path("/proc/self/comm").read_text().removesuffix("\n")
        assert found.as_dict() == {
            "pid": os.getpid(),
            "name": found.name,
            "descriptor": sock.fileno(),
        }
        assert repr(found) == f"<Process {os.getpid()} {found.name!r}, descriptor {sock.fileno()}>"


def test_each_descriptor_of_a_socket_is_told_in_order() -> None:
    with socket.socket() as sock, sock.dup() as second, sock.dup() as third:
        found = find_processes({inode(sock)}).by_inode[inode(sock)]
        assert [one.descriptor for one in found] == sorted(
            [sock.fileno(), second.fileno(), third.fileno()]
        )
        assert len(set(found)) == 3
        assert find_processes({inode(sock)}).by_inode[inode(sock)] == found


def test_only_what_is_wanted_is_told() -> None:
    with socket.socket() as sock, socket.socket() as other:
        assert set(find_processes({inode(sock)}).by_inode) == {inode(sock)}
        assert {inode(sock), inode(other)} <= set(find_processes().by_inode)
        assert find_processes(()).by_inode == {}


def test_a_single_number_is_not_taken_for_many() -> None:
    with pytest.raises(TypeError, match="by the inodes of sockets, not by 123"):
        find_processes(123)  # type: ignore[arg-type]


def test_files_and_pipes_are_no_sockets() -> None:
    reading, writing = os.pipe()
    try:
        assert not find_processes({os.fstat(reading).st_ino}).by_inode
    finally:
        os.close(reading)
        os.close(writing)


def test_a_file_that_is_named_as_a_socket_is_none(tmp_path: Path) -> None:
    with (tmp_path / "socket:[4242424242]").open("w"):
        assert 4242424242 not in find_processes().by_inode


@pytest.mark.needs("root", "namespaces")
def test_every_socket_of_the_machine_is_found_where_it_was_made(machine: Population) -> None:
    table = find_processes({made.inode for made in machine.sockets.values()})
    for name, made in machine.sockets.items():
        holders = {(one.pid, one.descriptor) for one in table.by_inode.get(made.inode, ())}
        if made.pid:
            assert (made.pid, made.descriptor) in holders, name
        else:
            assert not holders, name


def test_a_name_is_kept_as_the_process_wrote_it() -> None:
    # It ends as the fields of /proc/PID/stat begin, and has what terminals act on.
    said = run("""
import ctypes, os, socket
from sockwright.sockets.diag.processes import find_processes
name = b'a) R 1 \\x1b]"\\n\\xff'
ctypes.CDLL(None).prctl(15, name)  # PR_SET_NAME
with socket.socket() as sock:
    (found,) = find_processes({os.fstat(sock.fileno()).st_ino}).by_inode.popitem()[1]
print(os.fsencode(found.name) == name, found.uid == os.geteuid(), found.command[1:2])
""")
    assert said == "True True ['-W']\n"


def test_user_and_command_are_read_when_they_are_asked_for() -> None:
    with socket.socket() as sock:
        (found,) = find_processes({inode(sock)}).by_inode[inode(sock)]
    assert found.uid == os.geteuid()
    assert found.command == Path("/proc/self/cmdline").read_text().rstrip("\0").split("\0")


def test_an_empty_word_of_a_command_is_kept() -> None:
    ours, its = socket.socketpair()
    # It says when it runs: before that /proc may not have its words yet.
    code = "import os, sys; os.write(0, b'.'); sys.stdin.read()"
    words = [sys.executable, "-c", code, "", "two words", ""]
    with ours, its, subprocess.Popen(words, stdin=its.fileno()) as process:
        assert ours.recv(1)
        holders = find_processes({inode(its)}).by_inode[inode(its)]
        assert [one.command for one in holders if one.pid == process.pid] == [words]
        its.close()
        ours.close()


def test_nothing_is_told_of_a_process_that_has_ended() -> None:
    ours, its = socket.socketpair()
    with ours, its, subprocess.Popen(["cat"], stdin=its.fileno()) as cat:
        holders = find_processes({inode(its)}).by_inode[inode(its)]
        (found,) = [one for one in holders if one.pid == cat.pid]
        its.close()
        ours.close()
    assert found.uid is None
    assert found.command == []
    assert found.pid not in {
        one.pid for holders in find_processes().by_inode.values() for one in holders
    }


def test_nothing_is_told_of_another_process_with_the_number() -> None:
    another = Process(os.getpid(), "python", 3, started="1")
    assert another.uid is None
    assert another.command == []


_MANY = """
import errno, os, resource, socket
from sockwright.sockets.diag.processes import find_processes
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
made = [one for _ in range(1200) for one in socket.socketpair()]
"""


@pytest.fixture
def many_descriptors() -> None:
    """Skip where the limit of a process is too low for them."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit < 2500:
        pytest.skip(f"this kernel gives a process {limit} descriptors")


@pytest.mark.usefixtures("many_descriptors")
def test_many_descriptors_are_all_read() -> None:
    said = run(
        _MANY
        + """
by_inode = find_processes().by_inode
holders = [by_inode[os.fstat(one.fileno()).st_ino] for one in made]
print([[(one.pid, one.descriptor) for one in each] for each in holders] ==
      [[(os.getpid(), one.fileno())] for one in made])
"""
    )
    assert said == "True\n"


@pytest.mark.usefixtures("many_descriptors")
def test_one_free_descriptor_is_enough_and_none_is_said() -> None:
    said = run(
        _MANY
        + """
resource.setrlimit(resource.RLIMIT_NOFILE, (made[-1].fileno() + 2, ) * 2)
for _ in range(3):
    found = find_processes().by_inode
    assert all(os.fstat(one.fileno()).st_ino in found for one in made)
last = os.open("/", os.O_RDONLY)
try:
    find_processes()
except OSError as error:
    print(errno.errorcode[error.errno])
"""
    )
    assert said == "EMFILE\n"


@pytest.mark.needs("root")
@pytest.mark.usefixtures("many_descriptors")
def test_one_thread_reads_them_all_where_there_is_no_room_for_another() -> None:
    said = as_nobody("""
import resource
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
made = [one for _ in range(1200) for one in socket.socketpair()]
become_nobody()
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
found = find_processes().by_inode
print(all(os.fstat(one.fileno()).st_ino in found for one in made))
try:
    threading.Thread(target=print).start()
except RuntimeError as error:
    print(error)
for one in made:
    one.close()
""")
    assert said == "True\ncan't start new thread"


def test_processes_that_end_meanwhile_are_no_error() -> None:
    with socket.socket() as sock:
        for _ in range(3):
            begun = [subprocess.Popen(["true"], stdin=sock.fileno()) for _ in range(8)]
            found = find_processes({inode(sock)}).by_inode[inode(sock)]
            assert os.getpid() in {one.pid for one in found}
            for one in begun:
                one.wait()


def test_sockets_of_a_process_whose_first_thread_has_ended_are_found() -> None:
    code = """
import ctypes, os, socket, sys, threading
first = os.getpid()
def serve():
    with socket.socket() as sock:
        while open(f"/proc/self/task/{first}/stat").read().rpartition(") ")[2][0] != "Z":
            os.sched_yield()
        print(sock.fileno(), os.fstat(sock.fileno()).st_ino, flush=True)
        sys.stdin.read()
    os._exit(0)
threading.Thread(target=serve).start()
ctypes.CDLL(None).pthread_exit(None)  # of this thread alone
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        descriptor, number = map(int, process.stdout.readline().split())
        (found,) = find_processes({number}).by_inode[number]
        assert (found.pid, found.descriptor) == (process.pid, descriptor)
        process.communicate()


_IN_A_PID_NAMESPACE = ("unshare", "--pid", "--fork", "--mount", "--mount-proc")


@pytest.mark.needs("root")
def test_processes_of_other_users_are_counted_without_those_that_hold_nothing() -> None:
    # Process 1 there is the unshared Python; it has a child that has ended, and becomes nobody in
    # another one. A thread of the kernel would be unreadable as well, but is in no PID namespace.
    said = as_nobody(
        """
ended = os.fork()
if not ended:
    os._exit(0)
os.waitid(os.P_PID, ended, os.WEXITED | os.WNOWAIT)
sock = socket.socket()
if not os.fork():
    become_nobody()
    own = socket.socket()
    table = find_processes()
    mine = [one.pid for holders in table.by_inode.values() for one in holders]
    print(table.unreadable, table.hidden, set(mine) == {os.getpid()}, flush=True)
    os._exit(0)
os.wait()
os.wait()
""",
        wrapper=_IN_A_PID_NAMESPACE,
    )
    assert said == "1 False True"


@pytest.mark.needs("root")
def test_threads_of_the_kernel_are_not_counted() -> None:
    said = as_nobody("""
def with_memory():
    count = 0
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/status", "rb") as file:
                count += b"VmSize:" in file.read()
        except OSError:
            pass
    return count
def forked():
    with open("/proc/stat", "rb") as file:
        (line,) = (one for one in file if one.startswith(b"processes "))
    return int(line.split()[1])
become_nobody()
so_far = forked()
before = with_memory()
unreadable = find_processes().unreadable
# Others begin meanwhile, but not as many as there are threads of the kernel.
most = before + forked() - so_far
print(0 < unreadable <= most or (unreadable, before, most))
""")
    assert said == "True"


@pytest.mark.needs("root")
def test_processes_that_are_not_even_shown_are_said_to_be_hidden() -> None:
    said = as_nobody(
        """
subprocess.run(["mount", "-t", "proc", "-o", "hidepid=2", "proc", "/proc"], check=True)
sock = socket.socket()
print(find_processes().hidden)
become_nobody()
table = find_processes()
print(table.hidden, table.unreadable, os.fstat(sock.fileno()).st_ino in table.by_inode)
""",
        wrapper=("unshare", "--mount"),
    )
    assert said == "False\nTrue 0 True"

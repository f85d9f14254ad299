"""Other network namespaces: sockets and tables from there, and the thread is back afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.sockets.diag.own_network import as_nobody, own_network

from sockwright.errors import UsageError
from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.namespace import call_inside, open_socket, open_table
from sockwright.sockets.diag.netlink import SockDiag

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path("/proc/thread-self/ns/net")
STREAM = socket.SOCK_STREAM


@pytest.fixture
def net() -> Iterator[int]:
    """A process in a network of its own."""
    with own_network() as pid:
        home = HERE.readlink()
        yield pid
        assert HERE.readlink() == home


# Interrupts at 200 moments of a loop of listings, from its first system calls to its last.
_INTERRUPTS = """
import collections, gc, os, signal, time
def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
def listings():
    while True:
        dump("udp", namespace=pid)
dump("udp", namespace=pid)
place = os.stat("/proc/thread-self/ns/net").st_ino
before = descriptors()
signal.signal(signal.SIGALRM, signal.default_int_handler)
warnings.simplefilter("ignore", ResourceWarning)
left = 0
for number in range(200):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0004 + 0.00001 * number)
        listings()
    except KeyboardInterrupt:
        pass
    left += os.stat("/proc/thread-self/ns/net").st_ino != place
until = time.monotonic() + 10
while (leaked := descriptors() - before) > 0 and time.monotonic() < until:
    os.sched_yield()  # the last thread ends by itself
"""


def _interrupted(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "import warnings\nfrom sockwright.sockets import dump\n" + code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def devices(target: int | str) -> set[str]:
    with open_table(target, "dev") as table:
        return {line.split(b":")[0].strip().decode() for line in table.readlines()[2:]}


@pytest.mark.needs("namespaces", "unshare", "ip")
@pytest.mark.parametrize("form", ["number", "digits", "path"])
def test_a_socket_is_opened_in_the_namespace_of_a_process(net: int, form: str) -> None:
    forms: dict[str, int | str] = {
        "number": net,
        "digits": str(net),
        "path": f"/proc/{net}/ns/net",
    }
    target = forms[form]
    assert call_inside(target, HERE.readlink) == Path(f"/proc/{net}/ns/net").readlink()
    with open_socket(target, socket.AF_INET, STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        (row,) = dump("tcp", where=f"sport = :{port}", namespace=net)
        assert row.inode == os.fstat(listener.fileno()).st_ino
        assert row.inode not in {one.inode for one in dump("tcp")}


@pytest.mark.needs("root", "unshare", "ip")
def test_the_thread_that_asks_never_leaves_its_namespace(net: int) -> None:
    home = HERE.readlink()
    begun, go_on = threading.Event(), threading.Event()
    places: list[Path] = []

    def look() -> None:
        places.append(HERE.readlink())
        begun.set()
        go_on.wait(10)

    asking = threading.Thread(target=call_inside, args=(net, look))
    asking.start()
    assert begun.wait(10)
    there = {Path(f"/proc/self/task/{asking.native_id}/ns/net").readlink(), HERE.readlink()}
    go_on.set()
    asking.join()
    assert (there, places) == ({home}, [Path(f"/proc/{net}/ns/net").readlink()])


@pytest.mark.needs("namespaces", "unshare", "ip")
def test_many_interrupts_leave_no_thread_elsewhere_and_nothing_open(net: int) -> None:
    assert (
        _interrupted(f"""
pid = {net}
{_INTERRUPTS}
print(left, leaked)
""")
        == "0 0"
    )


@pytest.mark.needs("namespaces")
def test_many_interrupts_leave_no_copy_and_nothing_open_for_an_ordinary_user() -> None:
    said = as_nobody(
        _OWNER
        + f"""
pid = inside
{_INTERRUPTS}
children = open("/proc/thread-self/children").read().split()
print(left, leaked, children == [str(inside)])
"""
        + _ITS_END
    )
    assert said == "0 0 True\nTrue"


def test_none_is_where_one_is() -> None:
    home = HERE.readlink()
    assert call_inside(None, HERE.readlink) == home
    with open_socket(None, socket.AF_INET, STREAM) as sock:
        assert sock.type == STREAM
    with open_table(None, "dev") as table:
        mine = Path("/proc/thread-self/net/dev").read_bytes()
        assert _interfaces(table.read()) == _interfaces(mine)


def _interfaces(table: bytes) -> list[bytes]:
    """Return the names in /proc/net/dev; its counts change all the time."""
    return [line.split(b":")[0].strip() for line in table.splitlines()[2:]]


@pytest.mark.needs("namespaces", "unshare", "ip")
def test_a_socket_and_a_table_are_brought_from_there(net: int) -> None:
    with open_socket(net, socket.AF_INET, STREAM) as sock:
        assert (sock.family, sock.type) == (socket.AF_INET, STREAM)
        assert not sock.get_inheritable()
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        (row,) = dump("tcp", namespace=net)
        assert row.inode == os.fstat(sock.fileno()).st_ino
    assert devices(net) == {"lo"}
    with pytest.raises(FileNotFoundError):
        open_table(net, "no-such-table")
    with pytest.raises(OSError, match="family not supported"):
        open_socket(net, 99, STREAM)


@pytest.mark.needs("namespaces", "unshare", "ip")
def test_a_namespace_stays_while_a_socket_is_of_it() -> None:
    with own_network() as pid:
        diag = SockDiag(namespace=pid)
        listener = open_socket(pid, socket.AF_INET, STREAM)
    with diag, listener:
        listener.bind(("127.0.0.1", 0))
        with pytest.raises(UsageError, match=f"process {pid} is not there"):
            SockDiag(namespace=pid)


@pytest.mark.needs("root", "unshare", "ip")
def test_without_room_for_a_thread_that_is_said(net: int) -> None:
    # Another user: root is not limited.
    said = as_nobody(f"""
import resource
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
os.setgid(4242)
os.setuid(4242)
try:
    open_socket({net}, socket.AF_INET, socket.SOCK_STREAM)
except OSError as error:
    print(errno.errorcode[error.errno], error.strerror)
""")
    assert said.startswith("EAGAIN no room for another thread")


@pytest.mark.needs("namespaces", "unshare", "ip")
def test_a_program_that_ignores_its_children_is_served_as_well(net: int) -> None:
    script = f"""
import signal, socket
from sockwright.sockets.diag.namespace import open_socket
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
with open_socket({net}, socket.AF_INET, socket.SOCK_STREAM) as sock:
    print(sock.getsockname())
"""
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "('0.0.0.0', 0)\n"


# A lab of an ordinary user, without anything that he would have to start: a copy of this Python
# makes a user namespace and a network in it, and waits for its end.
_OWNER = """
become_nobody()
begin, end = os.pipe(), os.pipe()
inside = os.fork()
if not inside:
    uid, gid = os.getuid(), os.getgid()
    linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
    for name, text in (
        ("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    with socket.socket() as sock:
        request = struct.pack("16sH22x", b"lo", 1)
        fcntl.ioctl(sock, 0x8914, request)  # SIOCSIFFLAGS: up
    os.write(begin[1], b".")
    os.close(end[1])
    os.read(end[0], 1)
    os._exit(0)
os.close(begin[1])
assert os.read(begin[0], 1), "no user namespace for this user"
home = os.readlink("/proc/self/ns/net")
"""
_ITS_END = """
print(os.readlink("/proc/self/ns/net") == home)
os.close(end[1])
os.waitpid(inside, 0)
"""


@pytest.mark.needs("namespaces")
def test_an_ordinary_user_lists_and_closes_sockets_in_what_he_owns() -> None:
    said = as_nobody(
        _OWNER
        + """
listener = open_socket(inside, socket.AF_INET, socket.SOCK_STREAM)
listener.bind(("127.0.0.1", 80))  # he may, there
listener.listen()
(row,) = dump("tcp", processes=True, namespace=inside)
print(listener.get_inheritable())
print(row.local, {one.pid for one in row.processes} == {os.getpid()}, row.uid)
with SockDiag(namespace=inside) as diag:
    destroy(row, diag)
print([row.state for row in dump("tcp", states="listening", namespace=inside)])
print(device_names(inside))
with open_table(inside, "dev") as table:
    print(table.read().count(b":"))
try:
    open_socket(inside, 99, 1)
except OSError as error:
    print(errno.errorcode[error.errno])
"""
        + _ITS_END
    )
    assert said.splitlines() == [
        "False",
        "127.0.0.1:80 True 0",
        "[]",
        "{1: 'lo'}",
        "1",
        "EAFNOSUPPORT",
        "True",
    ]


@pytest.mark.needs("namespaces", "unshare", "ip")
def test_a_function_is_called_there(net: int) -> None:
    assert call_inside(net, socket.if_nameindex) == [(1, "lo")]
    assert call_inside(None, HERE.readlink) == HERE.readlink()
    with pytest.raises(ZeroDivisionError):
        call_inside(net, lambda: 1 // 0)


@pytest.mark.needs("namespaces")
def test_for_an_ordinary_user_a_copy_calls_it_and_tells_what_came_of_it() -> None:
    said = as_nobody(
        _OWNER
        + """
told = []
def work():
    told.append("only in the copy")
    return socket.if_nameindex(), os.getpid() == us, bytes(1 << 20)
us = os.getpid()
names, here, much = call_inside(inside, work)
print(names, here, len(much), told)
def fail(error):
    raise error
class Odd(Exception):
    def __reduce__(self):
        raise TypeError("not to be told")
for function in (
    lambda: fail(NotPossibleError("this", "take that")),
    lambda: fail(PermissionError(1, "its own")),
    lambda: fail(Odd("odd")),
    lambda: open,
    lambda: (lambda: 0),
    lambda: os._exit(3),
):
    try:
        print(call_inside(inside, function))
    except Exception as error:
        print(type(error).__name__, error)
"""
        + _ITS_END
    )
    lines = said.splitlines()
    assert lines[:5] == [
        "[(1, 'lo')] False 1048576 []",
        "NotPossibleError this; take that",
        "PermissionError [Errno 1] its own",
        "RuntimeError Odd: odd",
        "<built-in function open>",
    ]
    assert "Error Can't" in lines[5]  # pickle a function of a function
    assert lines[6:] == ["RuntimeError the copy of this process was ended", "True"]


@pytest.mark.needs("namespaces")
def test_an_ordinary_user_with_many_threads_is_served_as_well() -> None:
    said = as_nobody(
        _OWNER
        + """
stop = threading.Event()
threads = [threading.Thread(target=stop.wait, daemon=True) for _ in range(3)]
for one in threads:
    one.start()
print(len(list(dump("tcp", namespace=inside))))
stop.set()
for one in threads:
    one.join()
"""
        + _ITS_END
    )
    assert said == "0\nTrue"


@pytest.mark.needs("root", "unshare", "ip")
def test_the_namespace_of_another_user_is_closed_and_what_it_takes_is_said(net: int) -> None:
    said = as_nobody(f"""
become_nobody()
for open_it in (
    lambda: open_socket({net}, socket.AF_INET, socket.SOCK_STREAM),
    lambda: open_table("/proc/{net}/ns/net", "dev"),
    lambda: call_inside({net}, os.getpid),
):
    try:
        open_it()
    except NotPossibleError as error:
        print("process {net}" in str(error), "root" in str(error), error.exit_status)
""")
    assert said.splitlines() == ["True True 5"] * 3


@pytest.mark.needs("root", "unshare", "ip", "setpriv")
@pytest.mark.parametrize(
    ("wrapper", "takes"),
    [
        (
            ("unshare", "--user", "--map-root-user"),
            "it is closed to root as well, by its user namespace or a security module",
        ),
        (
            ("setpriv", "--bounding-set", "-sys_ptrace,-sys_admin"),
            "it takes CAP_SYS_PTRACE and CAP_SYS_ADMIN, which root has not got here",
        ),
    ],
    ids=["with every capability", "without"],
)
def test_root_is_not_told_to_be_root(net: int, wrapper: tuple[str, ...], takes: str) -> None:
    said = as_nobody(
        f"""
try:
    call_inside({net}, os.getpid)
except NotPossibleError as error:
    print(error)
""",
        wrapper=wrapper,
    )
    assert said.endswith(f"process {net} is closed to this user; {takes}")


@pytest.mark.needs("root", "unshare", "ip")
def test_a_descriptor_of_a_namespace_does_not_open_it_for_an_ordinary_user(net: int) -> None:
    said = as_nobody(f"""
there = os.open("/proc/{net}/ns/net", os.O_RDONLY)
become_nobody()
try:
    open_socket(f"/proc/self/fd/{{there}}", socket.AF_INET, socket.SOCK_STREAM)
except NotPossibleError as error:
    print(f"/proc/self/fd/{{there}}" in str(error), "root" in str(error))
""")
    assert said == "True True"


@pytest.mark.needs("root", "unshare", "ip")
def test_names_are_those_of_ip_netns() -> None:
    # In a mount namespace, so that nothing of it is left behind.
    said = as_nobody(
        """
def ip(*words):
    subprocess.run(["ip", "netns", *words], check=True)
subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
def name(target):
    try:
        open_socket(target, socket.AF_INET, socket.SOCK_STREAM)
    except UsageError as error:
        return str(error)
print(name("blue"))
ip("add", "green")
ip("add", str(os.getpid()))
print(name("blue"))
open("/run/netns/left", "w").close()
print(name("left"))
home = os.readlink("/proc/self/ns/net")
for target in ("green", str(os.getpid()), os.getpid()):
    print(call_inside(target, lambda: os.readlink("/proc/thread-self/ns/net")) == home,
          device_names(target))
print("green", device_names("green"))
""",
        wrapper=("unshare", "--mount"),
    )
    lines = said.splitlines()
    assert lines[0] == "the network namespace 'blue' is not there; 'ip netns list' shows none"
    assert lines[1].startswith("the network namespace 'blue' is not there; 'ip netns list' shows ")
    assert lines[1].endswith(", green")
    assert lines[2] == "/run/netns/left is no network namespace"
    assert lines[3:5] == ["False {1: 'lo'}"] * 2  # a name of digits is before a number
    assert lines[5].startswith("True")
    assert lines[6] == "green {1: 'lo'}"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (4_000_000_000, "the network namespace of process 4000000000 is not there"),
        ("4000000000", "the network namespace of process 4000000000 is not there"),
        (0, "the network namespace of process 0 is not there"),
        (-1, "the network namespace of process -1 is not there"),
        ("", "the network namespace '' is not there"),
        ("a\0b", "the network namespace 'a\\x00b' is not there"),
        ("٣", "the network namespace '٣' is not there"),
        ("..", "the network namespace '..' is not there"),
        ("/no/such/path", "the network namespace /no/such/path is not there"),
        ("/etc/passwd/net", "the network namespace /etc/passwd/net is not there"),
        ("/etc/passwd", "/etc/passwd is no network namespace"),
        ("/", "/ is a folder"),
        ("/dev/null", "/dev/null is no network namespace"),
        ("/proc/self/ns/uts", "/proc/self/ns/uts is no network namespace"),
        ("x" * 5000, "is not there"),
    ],
)
def test_what_is_no_namespace_is_refused_by_name(target: int | str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_socket(target, socket.AF_INET, STREAM)
    assert said in str(caught.value)


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is no network namespace"):
        open_socket(str(tmp_path / "pipe"), socket.AF_INET, STREAM)


@pytest.mark.parametrize("target", [True, 1.5, b"blue", ["blue"]])
def test_what_cannot_name_a_namespace_is_a_wrong_type(target: Any) -> None:
    with pytest.raises(TypeError, match="a network namespace is named by"):
        call_inside(target, os.getpid)
    with pytest.raises(TypeError, match="a network namespace is named by"):
        dump("tcp", namespace=target)

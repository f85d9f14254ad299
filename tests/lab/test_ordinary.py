"""A lab for a user who is not root, and what is said where that is refused."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from sockwright.lab.refusal import explain

if TYPE_CHECKING:
    from tests.lab.conftest import Script

pytestmark = pytest.mark.needs("namespaces", "unshare", "setpriv")

_EVERYTHING = """
import os, socket, threading, time
from pathlib import Path
from sockwright.lab import Lab

assert os.geteuid() != 0
with Lab() as lab:
    a, b = lab.hosts("a", "b")
    (c,) = lab.hosts("c", segment=1)
    lab.router("r")

    # Programs and functions are root inside, and nobody outside.
    assert a.run(["id", "-u"], check=True).stdout == "0\\n"
    assert a.call(os.geteuid) == 0
    assert os.geteuid() != 0
    assert a.call(Path("/proc/sys/net/ipv4/ip_forward").read_text) == "0\\n"
    assert set(a.run(["ls", "/sys/class/net"]).stdout.split()) == {"lo", "eth0"}
    assert a.call(socket.gethostbyname, "c") == c.ipv4

    # A low port, bound from out here; a raw socket; a packet over the router; a capture.
    with b.socket() as listener, a.capture() as capture:
        listener.bind((b.ipv4, 80))
        listener.listen()
        def serve():
            with listener.accept()[0] as connection:
                return connection.recv(10)
        def say():
            with socket.create_connection((b.ipv4, 80)) as connection:
                connection.sendall(b"hello")
        server = b.start(serve)
        a.call(say)
        assert server.result(5) == b"hello"
        capture.until(lambda frame: frame.octets.endswith(b"hello"))
    a.socket(socket.AF_INET, socket.SOCK_RAW, 16).close()
    with c.socket(socket.AF_INET6, socket.SOCK_DGRAM) as far:
        far.bind((c.ipv6, 7))
        far.settimeout(5)
        with a.socket(socket.AF_INET6, socket.SOCK_DGRAM) as near:
            near.sendto(b"x", (c.ipv6, 7))
        assert far.recv(1) == b"x"
        lab.link(c, lab["r"]).delay(0.05)
        start = time.perf_counter()
        with a.socket(socket.AF_INET6, socket.SOCK_DGRAM) as near:
            near.sendto(b"y", (c.ipv6, 7))
        assert far.recv(1) == b"y"
        assert time.perf_counter() - start >= 0.05

    # Beside another thread, too.
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    assert b.call(socket.gethostname) == "b"
    stop.set()
    thread.join()
    try:
        a.call_unprivileged(socket.create_server, ("", 80))
    except PermissionError:
        print("refused")
print("done")
"""

_REFUSED = """
from pathlib import Path
from sockwright.errors import NotPossibleError
from sockwright.lab import Lab, linux

# In a user namespace of our own, where the limit is ours to set; then without its privileges.
Path("/proc/sys/user/max_user_namespaces").write_text("0")
linux.drop_capabilities()
try:
    Lab().__enter__()
except NotPossibleError as error:
    print(error.exit_status, error.missing, error.remedy, sep="|")
"""


def test_an_ordinary_user_has_the_whole_lab(ordinary: Script) -> None:
    done = ordinary(_EVERYTHING)
    assert (done.stdout, done.stderr) == ("refused\ndone\n", "")


def test_a_refusal_names_the_setting_and_the_remedy(ordinary: Script) -> None:
    done = ordinary(_REFUSED, "unshare", "--user", "--map-root-user")
    assert done.stderr == ""
    status, missing, remedy = done.stdout.strip().split("|")
    assert status == "5"
    assert missing == "user namespace: user.max_user_namespaces is 0"
    assert remedy == "as root: sysctl user.max_user_namespaces=15000; or run as root"


@pytest.mark.parametrize(
    ("stage", "number", "words"),
    [
        ("mounts", errno.EPERM, "container"),
        ("network namespace", errno.ENOSPC, "user.max_net_namespaces"),
        ("user namespace", errno.EUSERS, "nested"),
        ("user namespace", errno.EINVAL, "CONFIG_USER_NS"),
        ("user mapping", errno.EPERM, "as root"),
    ],
)
def test_every_refusal_says_what_to_do(stage: str, number: int, words: str) -> None:
    error = explain(stage, number)
    assert words in str(error)
    assert error.remedy
    assert error.exit_status == 5

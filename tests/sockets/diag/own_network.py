"""A network for one test, and a user without privileges: what tests of other processes need."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SO_COOKIE", "as_nobody", "cookie", "own_network"]

SO_COOKIE = 57  # asm-generic/socket.h
_SECONDS = 30

# Everything that is imported late comes first: the other user may not read this Python's library.
_BECOME_NOBODY = """
import ctypes, errno, fcntl, os, pickle, socket, struct, subprocess, threading, warnings
import sockwright.sockets.explain, sockwright.sockets.diag.unix
from sockwright.errors import NotPossibleError, UsageError
from sockwright.lab import linux
from sockwright.sockets.diag.destroy import destroy
from sockwright.sockets.diag.devices import device_names
from sockwright.sockets.diag.inet import TCPSocket
from sockwright.sockets.diag.listing import dump
from sockwright.sockets.diag.namespace import call_inside, open_socket, open_table
from sockwright.sockets.diag.netlink import SockDiag
from sockwright.sockets.diag.processes import find_processes
from sockwright.sockets.privileges import Privileges

def become_nobody():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        linux.set_dumpable()  # or /proc/PID stays root's
"""


@contextlib.contextmanager
def own_network() -> Iterator[int]:
    """Make a network namespace whose loopback is up; yield the number of a process in it.

    Whoever runs this owns it: root, or an ordinary user by way of a user namespace.
    """
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = "ip link set lo up && echo up && exec cat"
    with subprocess.Popen(
        ["unshare", "--net", *user, "--", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()


def cookie(sock: socket.socket) -> int:
    """Return the number that the kernel gave to this socket."""
    return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8), sys.byteorder)


def as_nobody(code: str, *, wrapper: tuple[str, ...] = ()) -> str:
    """Run Python code that calls `become_nobody()` at some point; return what it printed."""
    done = subprocess.run(
        [*wrapper, sys.executable, "-W", "error", "-c", _BECOME_NOBODY + code],
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()

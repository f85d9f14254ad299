"""Work in a thread of its own, and what comes of it where descriptors or threads are used up."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from tests.sockets.diag.own_network import as_nobody

from sockwright.sockets.diag.errand import errand


def test_an_errand_is_run_beside_and_its_result_waited_for() -> None:
    go_on = threading.Event()
    result = errand(lambda: (go_on.wait(10), threading.get_ident()))
    go_on.set()
    went_on, where = result()
    assert went_on
    assert where != threading.get_ident()


def test_an_errand_that_fails_says_so_to_who_waits() -> None:
    with pytest.raises(ZeroDivisionError):
        errand(lambda: 1 // 0)()


_BOUND = """
import socket
with socket.socket() as bound, socket.create_server(("127.0.0.1", 0)) as listener:
    bound.bind(("127.0.0.1", 0))
    mine = {os.fstat(sock.fileno()).st_ino for sock in (bound, listener)}
    def listed():
        rows = dump("tcp", states="all")
        return sorted(row.state for row in rows if row.inode in mine)
    expected = listed()
    limit()
    print(listed() == expected, "LISTEN" in expected)
"""


def test_a_listing_of_all_states_needs_one_descriptor() -> None:
    code = f"""
import os, resource
from sockwright.sockets import dump
def limit():
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, free + 1))
{_BOUND}"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("True True\n", "")


@pytest.mark.needs("root")
def test_a_listing_of_all_states_needs_no_other_thread() -> None:
    said = as_nobody(f"""
import resource
def limit():
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    os.setuid(4242)  # root is not limited
    try:
        threading.Thread(target=print).start()
    except RuntimeError as error:
        print(error)
{_BOUND}""")
    assert said.splitlines() == ["can't start new thread", "True True"]


def test_a_service_without_a_descriptor_to_look_it_up_is_no_unknown_service() -> None:
    code = """
import os, resource
from sockwright.filters import FilterError
from sockwright.sockets.diag.filter import parse_filter
try:
    parse_filter("sport = :no-such-service")
except FilterError as error:
    print(error.reason)
free = os.dup(0)
os.close(free)
resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
try:
    parse_filter("sport = :ssh")
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "'no-such-service' is neither a port nor a service",
        "Too many open files",
    ]

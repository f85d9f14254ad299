"""How many clients descriptors are enough for; limits are set in processes of their own."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

_PROGRAM = """
import resource, sys
from sockwright.nc.serving.capacity import room_for
soft, hard, clients, each = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(*room_for(clients, each), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def room(soft: int, hard: int, clients: int, each: int) -> tuple[int, int, int]:
    """Return clients, pipes, and the soft limit afterwards."""
    words = [sys.executable, "-c", _PROGRAM, *map(str, (soft, hard, clients, each))]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
    most, pipes, raised = map(int, done.stdout.split())
    return most, pipes, raised


def test_what_there_is_room_for_is_granted_and_the_limit_stays() -> None:
    assert room(1000, 1000, 100, 2) == (100, 32, 1000)


def test_a_soft_limit_is_raised_as_far_as_it_takes_and_no_further() -> None:
    most, pipes, raised = room(64, 4000, 500, 2)
    assert (most, pipes) == (500, 32)
    assert 1000 < raised < 1200


@pytest.mark.parametrize("each", [1, 2, 5])
def test_under_a_hard_limit_all_that_fits_is_granted(each: int) -> None:
    most, pipes, raised = room(50, 200, 10_000, each)
    assert raised == 200
    assert most * each + 2 * pipes <= 200 - 4
    assert most * each > 100


def test_one_client_is_let_in_whatever_the_limit() -> None:
    assert room(10, 10, 100, 5)[0] == 1


def test_a_limit_is_never_lowered() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 16
    soft = min(soft, hard) if soft != resource.RLIM_INFINITY else hard
    assert room(soft, hard, 1, 1)[2] == soft

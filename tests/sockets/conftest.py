"""What the tests of sockets share."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.open_files import open_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DROP = """
import os, sys
import sockwright.sockets.aio, sockwright.sockets.packet_socket, sockwright.sockets.raw_socket
import sockwright.sockets.stream_socket, sockwright.sockets.datagram_socket
import sockwright.sockets.live_capture
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


@pytest.fixture
def unprivileged() -> Callable[[str], str]:
    """Run Python code as a user without privileges; what it prints is the result."""

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", _DROP + code],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(autouse=True)
def no_descriptor_is_left_open() -> Iterator[None]:
    """Every test closes what it opened."""
    before = _sockets()
    yield
    assert _sockets() <= before


def _sockets() -> set[tuple[str, str]]:
    return {(fd, name) for fd, name in open_descriptors() if name.startswith("socket:")}

"""What is no endpoint, no time limit or no count is refused in words, before anything is opened."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from sockwright.sockets import Stream, aio, connect, datagram, listen, packet, raw

if TYPE_CHECKING:
    from pathlib import Path

Opener = Callable[..., Any]


@pytest.mark.parametrize("module", ["blocking", "aio"])
@pytest.mark.parametrize(
    ("name", "wrong", "example"),
    [
        ("listen", 8080, "tcp://127.0.0.1:8080"),
        ("connect", ("h", 80), "tcp://127.0.0.1:8080"),
        ("datagram", b"udp://:0", "udp://[::1]:5353"),
        ("raw", None, "raw://127.0.0.1?protocol=16"),
        ("packet", 3, "packet://eth0?protocol=0x0800"),
    ],
)
def test_what_is_no_endpoint_is_a_type_error_that_shows_one(
    module: str, name: str, wrong: object, example: str
) -> None:
    with pytest.raises(TypeError, match=re.escape(f"{example!r} or an Endpoint, not {wrong!r}")):
        _open(module, name, wrong)


@pytest.mark.parametrize("module", ["blocking", "aio"])
@pytest.mark.parametrize(
    ("name", "endpoint"),
    [
        ("listen", "tcp://:0"),
        ("connect", "tcp://:9"),
        ("datagram", "udp://:0"),
        ("raw", "raw://127.0.0.1?protocol=253"),
        ("packet", "lo"),
    ],
)
def test_a_time_limit_is_a_number_of_seconds(module: str, name: str, endpoint: str) -> None:
    with pytest.raises(TypeError, match="timeout is a number of seconds or None, not '5'"):
        _open(module, name, endpoint, timeout="5")
    with pytest.raises(ValueError, match="timeout: -1 s is not 0 or more"):
        _open(module, name, endpoint, timeout=-1)


def test_the_time_limit_of_an_open_socket_is_checked_too() -> None:
    with datagram("udp://:0") as sock:
        with pytest.raises(TypeError, match="number of seconds"):
            sock.timeout = "soon"  # type: ignore[assignment]
        with pytest.raises(ValueError, match="timeout"):
            sock.timeout = float("nan")


def test_a_negative_count_is_refused_and_takes_nothing() -> None:
    ours, its = socket.socketpair()
    with Stream(ours) as stream, Stream(its) as peer:
        stream.timeout = 5
        peer.send_all(b"one\ntwo")
        with pytest.raises(ValueError, match="negative"):
            stream.receive(-1)
        assert stream.recv_until(b"\n") == b"one\n"
        assert stream.pending == 3
        calls: list[Callable[[], bytes]] = [
            lambda: stream.receive(-1),
            lambda: stream.recv_exactly(-1),
            lambda: stream.recv_until(b"o", limit=-1),
            lambda: stream.receive_all(limit=-1),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="-1 is less than 0"):
                call()
        assert stream.recv_exactly(3) == b"two"


def test_a_path_that_this_user_may_not_reach_is_said_once(
    tmp_path: Path, unprivileged: Callable[[str], str]
) -> None:
    path = tmp_path / "s"
    with listen(f"unix:{path}"):
        path.chmod(0)
        said = unprivileged(
            "from sockwright.sockets import connect, datagram\n"
            f"path = 'unix:{path}'\n"
            "try: connect(path)\n"
            "except PermissionError as e: print(e)\n"
            "with datagram(f'unix-abstract:sockwright-test-{os.getpid()}') as sock:\n"
            "    try: sock.send_to(b'x', path)\n"
            "    except PermissionError as e: print(e)\n"
        )
    lines = said.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.lower().count("permission denied") == 1
        assert "may not write to the socket" in line


def _open(module: str, name: str, *arguments: Any, **options: Any) -> None:
    if module == "aio":
        asyncio.run(getattr(aio, name)(*arguments, **options))
        return
    blocking: dict[str, Opener] = {
        "connect": connect, "datagram": datagram, "listen": listen, "packet": packet, "raw": raw,
    }  # fmt: skip
    blocking[name](*arguments, **options)

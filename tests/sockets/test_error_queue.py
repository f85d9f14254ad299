"""The error queue: which ICMP error, from whom, for what; and that looking at it is cheap."""

from __future__ import annotations

import select
import socket

import pytest

from sockwright.sockets.error_queue import has_errors, read_error, watch_errors

_BOTH = pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)


@_BOTH
def test_a_port_unreachable_is_told_with_type_code_sender_and_what_was_sent(
    family: int, address: str
) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as nobody:
        nobody.bind((address, 0))
        port = nobody.getsockname()[1]
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        watch_errors(sock)
        assert not has_errors(sock)
        assert read_error(sock) is None
        sock.sendto(b"hello", (address, port))
        poll = select.poll()
        poll.register(sock, select.POLLERR)
        assert poll.poll(5000)
        assert has_errors(sock)
        error = read_error(sock)
        assert error is not None
        assert error.icmp
        assert (error.kind, error.code) == ((3, 3) if family == socket.AF_INET else (1, 4))
        assert error.sender == address
        assert error.to[:2] == (address, port)
        assert error.octets == b"hello"
        assert not has_errors(sock)


@_BOTH
def test_a_reset_leaves_nothing_in_the_queue(family: int, address: str) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        watch_errors(sock)
        with socket.socket(family, socket.SOCK_STREAM) as nobody:
            nobody.bind((address, 0))
            assert sock.connect_ex(nobody.getsockname())
        sock.setblocking(False)
        assert not has_errors(sock)
        assert read_error(sock) is None

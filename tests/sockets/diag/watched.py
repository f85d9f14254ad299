"""TCP connections in a network of their own, and a watch to be asked until it tells something."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING

from sockwright.sockets.diag.namespace import open_socket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.sockets.diag.changes import Event
    from sockwright.sockets.diag.watching import Watch

__all__ = ["Net", "until"]

_PATIENCE_S = 20.0


class Net:
    """Sockets in the network namespace of a process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._opened: list[socket.socket] = []

    def open(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """Open a socket there; it is closed at the end."""
        made = open_socket(self.pid, family, kind)
        self._opened.append(made)
        return made

    def listener(self, family: int = socket.AF_INET) -> socket.socket:
        """Open a listener on a free port of loopback."""
        listener = self.open(family)
        listener.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        listener.listen()
        return listener

    def connect(self, listener: socket.socket) -> tuple[socket.socket, socket.socket]:
        """Return both ends of a new connection."""
        client = self.open(listener.family)
        client.connect(listener.getsockname()[:2])
        accepted, _ = listener.accept()
        self._opened.append(accepted)
        return client, accepted

    def close(self) -> None:
        """Close every socket."""
        for sock in self._opened:
            sock.close()

    @contextlib.contextmanager
    def many(self, count: int) -> Iterator[list[socket.socket]]:
        """Hold that many UDP sockets for the length of the block."""
        held = [self.open(kind=socket.SOCK_DGRAM) for _ in range(count)]
        for sock in held:
            sock.bind(("127.0.0.1", 0))
        yield held


def until(sockets: Watch, wanted: Callable[[list[Event]], object]) -> list[Event]:
    """Collect events until they are what is `wanted`."""
    events: list[Event] = []
    end = time.monotonic() + _PATIENCE_S
    while not wanted(events):
        left = end - time.monotonic()
        assert left > 0, f"there was only {events}"
        events += sockets.wait(left)
    return events

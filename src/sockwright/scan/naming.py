"""The names of addresses, many at once, within a bounded time."""

from __future__ import annotations

import queue
import socket
import threading
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["reverse_names"]

_AT_ONCE = 32
_LOOK = 0.1  # seconds until it is looked again whether anybody still wants to know
_LONGEST = 253  # RFC 1035 section 2.3.4, as text


def reverse_names(
    hosts: Sequence[str], *, seconds: float = 5.0, stopped: Callable[[], bool] = lambda: False
) -> dict[str, str]:
    """Return the names of hosts (addresses), as far as the resolver tells them in so many seconds.

    It ends a moment after `stopped` says so. The resolver cannot be told to stop: threads that
    still wait for it end by themselves later.
    """
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()
    told: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    for host in hosts:
        asked.put(host)

    def work() -> None:
        while True:
            try:
                host = asked.get_nowait()
            except queue.Empty:
                return
            try:
                # Not getnameinfo(3): before Python 3.11.4 all other threads wait for it.
                name = socket.gethostbyaddr(host)[0]
            except OSError:
                name = ""
            told.put((host, name))

    for _ in range(min(_AT_ONCE, len(hosts))):
        threading.Thread(target=work, name="names", daemon=True).start()
    names: dict[str, str] = {}
    end = monotonic() + seconds
    left = len(hosts)
    while left and not stopped():
        try:
            host, name = told.get(timeout=min(max(end - monotonic(), 0.001), _LOOK))
        except queue.Empty:
            if monotonic() >= end:
                break
            continue
        left -= 1
        if name and name.isprintable():
            names[host] = name[:_LONGEST]
    return names

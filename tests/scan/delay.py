"""A wire that holds every frame back, fast enough for a scan: hundreds of thousands a second.

The switch of a lab does the same a frame at a time, some 20 000 a second, which would be the limit
of a scan of all ports. Here recvmmsg(2) and sendmmsg(2) take what is there at once, into and out of
a ring of slots; the ring is full when more than `_SLOTS` frames are on their way, and what comes
then is lost.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import time

import numpy as np

__all__ = ["carry"]

_SLOTS = 1 << 15
_OCTETS = 2048  # of a slot: Ethernet's 1 514 and more
_AT_ONCE = 128
_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23
_SO_RCVBUFFORCE, _BUFFER = 33, 1 << 26

# struct mmsghdr and struct iovec of recvmmsg(2), as 64-bit kernels have them.
_MESSAGE = np.dtype(
    {
        "names": ["iov", "iov_count", "length"],
        "formats": ["u8", "u8", "u4"],
        "offsets": [16, 24, 56],
        "itemsize": 64,
    }
)
_VECTOR = np.dtype([("base", "u8"), ("length", "u8")])


class _Direction:
    """One way along the wire: the frames between `head` (next to come) and `tail` (next to go)."""

    def __init__(self, source: socket.socket, target: socket.socket, delay_ns: int) -> None:
        self.source, self.target = source, target
        self.delay_ns = delay_ns
        self.head = self.tail = 0
        self.octets = np.zeros((_SLOTS, _OCTETS), np.uint8)
        self.vectors = np.zeros(_SLOTS, _VECTOR)
        self.vectors["base"] = self.octets.ctypes.data + np.arange(_SLOTS) * _OCTETS
        self.messages = np.zeros(_SLOTS, _MESSAGE)
        self.messages["iov"] = self.vectors.ctypes.data + np.arange(_SLOTS) * _VECTOR.itemsize
        self.messages["iov_count"] = 1
        self.due = np.zeros(_SLOTS, np.int64)
        self.libc = ctypes.CDLL(None)

    def take(self) -> None:
        """Take frames that wait at the source; while the ring is full, its buffer holds them."""
        if self.head - self.tail < _SLOTS:
            at = self.head % _SLOTS
            room = min(_AT_ONCE, _SLOTS - at, _SLOTS - (self.head - self.tail))
            self.vectors["length"][at : at + room] = _OCTETS
            address = self.messages.ctypes.data + at * _MESSAGE.itemsize
            count = self.libc.recvmmsg(
                self.source.fileno(), ctypes.c_void_p(address), room, socket.MSG_DONTWAIT, None
            )
            if count <= 0:
                return
            self.vectors["length"][at : at + count] = self.messages["length"][at : at + count]
            self.due[at : at + count] = time.monotonic_ns() + self.delay_ns
            self.head += count

    def give(self) -> None:
        """Send frames that are due, some at a time: the other direction has its turn too."""
        if self.tail < self.head:
            at = self.tail % _SLOTS
            room = min(self.head - self.tail, _SLOTS - at, _AT_ONCE)
            due = self.due[at : at + room]
            ready = int(np.searchsorted(due, time.monotonic_ns(), side="right"))
            if not ready:
                return
            address = self.messages.ctypes.data + at * _MESSAGE.itemsize
            sent = self.libc.sendmmsg(self.target.fileno(), ctypes.c_void_p(address), ready, 0)
            self.tail += max(sent, 1)  # a frame that the other end refuses is lost

    def left(self) -> float | None:
        """Seconds until the next frame is due; None if there is none."""
        if self.tail == self.head:
            return None
        return float(max(0, int(self.due[self.tail % _SLOTS]) - time.monotonic_ns())) / 1e9


def carry(first: str, second: str, delay_s: float, ready: int) -> None:
    """Carry frames between two interfaces of this host, each `delay_s` late, for ever.

    An octet is written to the descriptor `ready` when frames are no longer lost.
    """
    sockets = []
    for name in (first, second):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        sock.bind((name, _ETH_P_ALL))
        sockets.append(sock)
    delay_ns = round(delay_s * 1e9)
    with contextlib.suppress(PermissionError):
        # A wire waits for nobody's processor; without privilege the delay is longer under load.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    a, b = sockets
    directions = [_Direction(a, b, delay_ns), _Direction(b, a, delay_ns)]
    os.write(ready, b"r")
    while True:
        waits = [left for one in directions if (left := one.left()) is not None]
        # select(2) rather than poll(2): its limit is in microseconds, not in milliseconds.
        select.select(sockets, [], [], min(waits, default=None))
        for one in directions:
            one.take()
            one.give()

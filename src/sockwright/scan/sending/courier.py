"""Writes TCP probes into a batch and hands it to the kernel, here or in a thread of its own.

Where probes may go as fast as they can, most of the time is the kernel's: it carries each packet
to the end of its way, through every namespace or to the card, before sendmmsg(2) returns. Python's
lock is free meanwhile, so two couriers in threads use two processors, while a third thread reads
the answers.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import select
import socket
import threading
from random import randrange
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Final, NamedTuple

from sockwright.scan.sending.cookies import PROOF, SHIFT
from sockwright.scan.sending.packet_batch import PacketBatch
from sockwright.scan.sending.segments import (
    MSS_1460,
    MSS_SUM,
    OFFSET,
    SEGMENT,
    WINDOW,
    reset_segment,
)
from sockwright.sockets.filter import NOTHING, attach_filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sockwright.scan.sending.cookies import Cookies, Groups
    from sockwright.scan.sending.probe_kind import ProbeKind
    from sockwright.scan.sending.raw_host import RawHost

__all__ = ["GROUP", "MOST", "Courier", "CourierThread", "Failure", "Load"]

MOST: Final = 512
"""New probes in one call."""
_SLOTS = MOST + 64  # with those that ask again
GROUP: Final = 64
"""Packets of one group: what tells round trips apart."""

_SIZE = SEGMENT.size
_CHECKSUM = 16  # where it is in the header
_IPPROTO_IPV6, _IPV6_CHECKSUM = 41, 7
_ADDRESS: Final[dict[int, int]] = {socket.AF_INET: 16, socket.AF_INET6: 28}
_BUSY = (errno.EAGAIN, errno.ENOBUFS)
_FULL_MS = 50


class Load(NamedTuple):
    """Probes to one host: indices into its ports, and the try.

    `again` are ports that have answered before; they are asked as try `again_attempt`, from a
    source port of their own.
    """

    host: RawHost
    items: list[int]
    attempt: int
    epoch: int
    again: list[int]
    again_attempt: int


class Failure(NamedTuple):
    """New probes of a load that did not go out, by the index of their port, and why.

    A firewall of this machine refuses single ones (`refused`, EPERM). Another errno belongs to all
    that were still to be sent then, `items`.
    """

    host: RawHost
    items: list[int]
    refused: list[int]
    errno: int


class Courier:
    """Sends TCP segments by raw sockets, one for each version of IP that is asked for.

    `first_port` is the source port of the first try, `interface` where packets leave. Each group is
    handed over by a call of its own, before which the clock is read; or with `whole` a load by one
    call: in a thread every return from the kernel may have to wait for Python's lock. `record` is
    told every segment that went out: to whom, its octets, and when, in nanoseconds since 1970 (not
    after it went, so that no answer is earlier).

    Raises:
        PermissionError: CAP_NET_RAW is missing.
    """

    def __init__(
        self,
        kind: ProbeKind,
        cookies: Cookies,
        groups: Groups,
        first_port: int,
        *,
        interface: str = "",
        whole: bool = False,
        record: Callable[[RawHost, bytes, int], None] | None = None,
    ) -> None:
        self._kind = kind
        self._cookies = cookies
        self._groups = groups
        self._first_port = first_port
        self._interface = interface
        self._at_once = _SLOTS if whole else GROUP
        self._record = record
        self._sockets: dict[int, socket.socket] = {}
        self._batches: dict[int, PacketBatch] = {}
        self._addressed: dict[int, bytes] = {}
        self._cost = 5e-6  # seconds for each packet, as measured

    def _ready(self, family: int) -> tuple[socket.socket, PacketBatch]:
        if family not in self._sockets:
            sock = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
            self._sockets[family] = sock
            attach_filter(sock, NOTHING)  # it sends only
            if self._interface:
                device = self._interface.encode()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            if family == socket.AF_INET6:
                sock.setsockopt(_IPPROTO_IPV6, _IPV6_CHECKSUM, _CHECKSUM)
            self._batches[family] = PacketBatch(_SLOTS, _SIZE, _ADDRESS[family])
        return self._sockets[family], self._batches[family]

    def carry(self, load: Load) -> Failure | None:
        """Send the probes of a load, at most `MOST`; say which could not be sent."""
        host, items = load.host, load.items
        sock, batch = self._ready(host.family)
        if self._addressed.get(host.family) != host.sockaddr:
            batch.address_all(host.sockaddr)
            self._addressed[host.family] = host.sockaddr
        groups, places = self._write(batch, load, monotonic())
        count = len(items) + len(load.again)
        gone = number = 0
        refused: list[int] = []
        for first in range(0, count, self._at_once):
            end = min(first + self._at_once, count)
            part = groups[first // GROUP : -(-end // GROUP)]
            began, began_ns = monotonic(), time_ns()
            self._groups.go(part, began, GROUP * self._cost)
            gone, number = self._send(sock, batch, first, end, refused)
            self._cost = (monotonic() - began) / (end - first)
            self._groups.go(part, began, GROUP * self._cost)
            if self._record is not None:
                for at in range(first, gone):
                    if at not in refused:
                        octets = bytes(batch.octets[at * _SIZE : (at + 1) * _SIZE])
                        self._record(host, octets, began_ns)
            if number:
                break
        if not number and not refused:
            return None
        slots: list[int | None] = [*items]
        for place in places:
            slots.append(None)
            slots[place], slots[-1] = slots[-1], slots[place]
        return Failure(
            host,
            [item for item in slots[gone:] if item is not None],
            [item for at in refused if (item := slots[at]) is not None],
            number or errno.EPERM,
        )

    def _write(self, batch: PacketBatch, load: Load, now: float) -> tuple[list[int], list[int]]:
        """Fill the batch; return the numbers of the groups, and the places of what asks again."""
        items, again = load.items, load.again
        written: list[int] = []
        places: list[int] = []
        for begin in range(0, len(items), GROUP):
            group = self._groups.begin(now, load.epoch)
            written.append(group)
            part = items[begin : begin + GROUP]
            self._fill(batch, range(begin, begin + len(part)), load, part, load.attempt, group)
        if again:
            group = self._groups.begin(now, load.epoch)
            places = self._room(batch.octets, len(items), len(again))
            self._fill(batch, places, load, again, load.again_attempt, group)
        return written, places

    def _fill(  # noqa: PLR0917  # all of it changes from group to group
        self,
        batch: PacketBatch,
        slots: Sequence[int],
        load: Load,
        items: list[int],
        attempt: int,
        group: int,
    ) -> None:
        """Write the probes of a group into slots."""
        host, octets = load.host, batch.octets
        numbers, of_port, key = host.table.numbers, self._cookies.of_port, host.key
        salt = self._cookies.of_group[group]
        pack, acknowledges = SEGMENT.pack_into, self._kind.acknowledges
        source = self._first_port + attempt - 1
        flags = OFFSET | self._kind.flags
        group <<= SHIFT
        # Without the numbers that differ: RFC 9293 section 3.1, over the pseudo-header too.
        constant = host.constant + _SIZE + source + flags + WINDOW + MSS_SUM
        window, option = WINDOW, MSS_1460
        for slot, item in zip(slots, items, strict=True):
            port = numbers[item]
            cookie = group | (of_port[port ^ salt] ^ key) & PROOF
            total = constant + port + (cookie >> 16) + (cookie & 0xFFFF)
            again = 0
            if acknowledges:
                again = cookie
                total += (cookie >> 16) + (cookie & 0xFFFF)
            # `folded`, without a call for each packet.
            total = (total & 0xFFFF) + (total >> 16)
            checksum = ((total & 0xFFFF) + (total >> 16)) ^ 0xFFFF
            at = slot * _SIZE
            pack(octets, at, source, port, cookie, again, flags, window, checksum, 0, option)

    @staticmethod
    def _room(octets: bytearray, count: int, more: int) -> list[int]:
        """Make room for `more` packets at places of chance among `count`; return the places.

        A limiter treats the beginning of a burst better than its end.
        """
        places = []
        for end in range(count, count + more):
            at = randrange(end + 1)  # noqa: S311  # fair is enough
            if at in places:
                at = end
            octets[end * _SIZE : (end + 1) * _SIZE] = octets[at * _SIZE : (at + 1) * _SIZE]
            places.append(at)
        return places

    @staticmethod
    def _send(
        sock: socket.socket, batch: PacketBatch, gone: int, end: int, refused: list[int]
    ) -> tuple[int, int]:
        """Send the slots of a batch from `gone` to `end`, waiting where the socket is full.

        Return how many slots are done, and the errno that ended it; those that a firewall refused
        are added to `refused`.
        """
        waited = 0
        while gone < end:
            sent, number = batch.send(sock.fileno(), gone, end - gone)
            gone += sent
            if number in _BUSY and waited < 20:
                waited += 1
                poll = select.poll()
                poll.register(sock, select.POLLOUT)
                poll.poll(_FULL_MS)
            elif number == errno.EPERM:
                refused.append(gone)
                gone += 1
            elif number:
                return gone, number
        return gone, 0

    def reset(self, host: RawHost, port: int, attempt: int, sequence: int) -> None:
        """Send RST for a connection that was half opened, so that the host may forget it."""
        sock, _ = self._ready(host.family)
        source = self._first_port + attempt - 1
        octets = reset_segment(source, port, sequence, host.constant - socket.IPPROTO_TCP)
        where = (
            (host.target.address, 0)
            if host.family == socket.AF_INET
            else (host.target.address, 0, 0, int.from_bytes(host.sockaddr[24:28], "little"))
        )
        began_ns = time_ns()
        with contextlib.suppress(OSError):  # the host repeats its SYN-ACK, and gets RST then
            sock.sendto(octets, where)
            if self._record is not None:
                self._record(host, octets, began_ns)

    def close(self) -> None:
        """Close the sockets; a second time does nothing."""
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()


class CourierThread:
    """A courier in a thread; `wake` is an eventfd that is written when it has room for more."""

    def __init__(self, courier: Courier, wake: int) -> None:
        self.queued = 0
        """How many loads were given to it that `taken` has not told of."""
        self._done: queue.SimpleQueue[tuple[Load, float, Failure | None]] = queue.SimpleQueue()
        self._courier = courier
        self._wake = wake
        self._loads: queue.SimpleQueue[Load | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="scan courier", daemon=True)
        self._thread.start()

    def carry(self, load: Load) -> None:
        """Send a load, later."""
        self.queued += 1
        self._loads.put(load)

    def taken(self) -> Iterator[tuple[Load, float, Failure | None]]:
        """Tell of the loads that it has finished: the load, when that was, what failed."""
        while not self._done.empty():
            self.queued -= 1
            yield self._done.get()

    def _work(self) -> None:
        while (load := self._loads.get()) is not None:
            try:
                failure = self._courier.carry(load)
            except OSError as error:
                failure = Failure(load.host, load.items, [], error.errno or errno.EIO)
            self._done.put((load, monotonic(), failure))
            with contextlib.suppress(BlockingIOError):
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Send what is queued, end the thread, close the sockets."""
        self._loads.put(None)
        self._thread.join()
        self._courier.close()

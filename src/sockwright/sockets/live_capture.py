"""Live capture: the packets of an interface as they come, `sockwright.capture`.

    with sockwright.capture("eth0", "tcp port 80") as live:
        for packet in live:
            print(packet.time_ns, packet)

Rules
    1. The filter is compiled and attached before the socket is bound. One that cannot be applied is
       an error, never ignored.
    2. A capture ends after `count` packets or `duration` seconds, by `stop`, or when its interface
       is deleted. What had passed the filter by then is still delivered.
    3. What waits (for a thread, for asyncio, for whoever takes whole blocks) only waits: what there
       is and how long to wait for more is told by `_next_block` and `_patience` alone.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self

from sockwright.records.captured_packet import captured
from sockwright.records.record import MAX_CAPTURED
from sockwright.records.ring import FOREVER, PCAP, interpreted
from sockwright.sockets.base import check_timeout
from sockwright.sockets.explain import explained
from sockwright.sockets.filter import keeping, only_outgoing, without_echo
from sockwright.sockets.interface import interface_index, interface_name
from sockwright.sockets.ring import (
    BLOCK_SIZE,
    DEFAULT_BUFFER,
    PacketRing,
    check_buffer,
    cooked,
    link_type,
    open_link,
)

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from sockwright.filters import Filter
    from sockwright.records.captured_packet import CapturedPacket
    from sockwright.sockets.filter import Instruction
    from sockwright.sockets.ring import Block, LinkState, RingStatistics

__all__ = ["CaptureDirection", "LinkEvent", "LiveCapture", "capture"]

CaptureDirection = Literal["in", "out", "both"]

_LOOPBACK = "lo"
_LINK_PATIENCE_S: Final = 0.1
"""How often to look whether an interface that is down is up again, or gone: nothing tells."""
_LAST_PATIENCE_S: Final = 0.02  # a block is handed over at 0.01 s
_LAST_ROUNDS = 50
_RECORD = struct.Struct("=IIII")


@dataclass(frozen=True, slots=True)
class LinkEvent:
    """The interface went "down", came "up" again, or is "gone"; `time_ns` since 1970."""

    time_ns: int
    interface: str
    state: LinkState


class LiveCapture:
    """Packets of one interface or of all, until it ends; made by `capture`.

    It is an iterator of `CapturedPacket`, for ``for`` and for ``async for``, and a context manager.
    `link_type` is the LINKTYPE_* number of what comes, `snaplen` the octets kept of each packet,
    `events` what the interface did so far, oldest first.
    """

    def __init__(
        self,
        ring: PacketRing,
        link_type: int,
        *,
        cooked: bool = False,
        snaplen: int = MAX_CAPTURED,
        count: int | None = None,
        duration: float | None = None,
        timeout: float | None = None,
    ) -> None:
        self.link_type = link_type
        self.cooked = cooked
        self.snaplen = snaplen
        self.events: list[LinkEvent] = []
        self.delivered = 0
        """How many packets the iterator has given."""
        self._ring = ring
        self._count = count
        self._ends_at = None if duration is None else time.monotonic() + duration
        self._timeout = timeout
        self._link: LinkState = "up"
        self._stopped = False
        self._rounds_left: int | None = None  # set once nothing more is let in
        self._waiting: deque[CapturedPacket] = deque()
        self._records = bytearray(BLOCK_SIZE)
        self._names: dict[int, str] = {}
        self._number = 0

    # -- the public face ------------------------------------------------------------------------

    @property
    def interface(self) -> str:
        """The name of the interface, or "any"."""
        return self._ring.interface or "any"

    @property
    def waiting(self) -> bool:
        """Whether a block of packets is there already."""
        return self._ring.ready

    @property
    def statistics(self) -> RingStatistics:
        """What the kernel counted: frames accepted by the filter, those dropped among them."""
        return self._ring.statistics()

    def stop(self) -> None:
        """End the capture at once, from any thread or from a signal handler.

        What has arrived by now is still delivered.
        """
        self._stopped = True
        self._ring.wake()

    def close(self) -> None:
        """Close the socket and give the ring back; what was not taken is lost."""
        self._ring.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> CapturedPacket:
        if not self._ready():
            waited_until = self._time_limit()
            while not self._fill():
                if self._ended():
                    raise StopIteration
                self._ring.wait(self._patience(waited_until))
        return self._deliver()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> CapturedPacket:
        if not self._ready():
            waited_until = self._time_limit()
            while not self._fill():
                if self._ended():
                    raise StopAsyncIteration
                await self._readable(self._patience(waited_until))
        return self._deliver()

    def blocks(self, every: float | None = None) -> Iterator[Block | None]:
        """Yield blocks of the ring, for whoever takes many packets at once; `count` is not heeded.

        A block may be read, and changed, until the next is asked for. With `every`, None comes when
        there was nothing for so many seconds.
        """
        while True:
            due = None if every is None else time.monotonic() + every
            while (block := self._next_block()) is None:
                if self._ended():
                    return
                if due is not None and time.monotonic() >= due:
                    break
                self._ring.wait(self._patience(due))
            try:
                yield block
            finally:
                if block is not None and not self._ring.closed:
                    self._ring.release()

    # -- what there is --------------------------------------------------------------------------

    @property
    def _complete(self) -> bool:
        return self._count is not None and self.delivered >= self._count

    def _ready(self) -> bool:
        return bool(self._waiting) and not self._complete

    def _fill(self) -> bool:
        """Take the packets of the next block; False is that there is none, or none is wanted."""
        if self._complete:
            return False
        if (block := self._next_block()) is None:
            return False
        records = memoryview(self._records)
        try:
            _, _, end = interpreted(
                *block, records, 0, BLOCK_SIZE, PCAP, self.cooked, self.snaplen, FOREVER
            )
        finally:  # after Ctrl-C too: a block that was changed must not be read again
            self._ring.release()
        at = 0
        while at < end:
            second, nanosecond, kept, length = _RECORD.unpack_from(records, at)
            at += 16
            self._number += 1
            packet = bytes(records[at : at + kept])
            at += kept
            self._waiting.append(
                captured(
                    packet,
                    self.link_type,
                    self._number,
                    second * 1_000_000_000 + nanosecond,
                    length,
                    self._interface_of(packet),
                )
            )
        return bool(self._waiting)

    def _interface_of(self, packet: bytes) -> str:
        if not self.cooked:
            return self._ring.interface
        return self.interface_name(int.from_bytes(packet[4:8], "big"))

    def interface_name(self, index: int) -> str:
        """Give the name of interface number `index`, as a cooked header tells it."""
        name = self._names.get(index)
        if name is None:
            name = self._names[index] = interface_name(self._ring.socket, index)
        return name

    def _deliver(self) -> CapturedPacket:
        self.delivered += 1
        return self._waiting.popleft()

    def _next_block(self) -> Block | None:
        """Take the next block; the end is looked for first, since more and more might come."""
        if self._ring.closed:
            return None
        if self._rounds_left is None:
            over = self._ends_at is not None and time.monotonic() >= self._ends_at
            if over or self._stopped:
                self._let_nothing_in()
        return self._ring.take()

    def _let_nothing_in(self) -> None:
        self._ring.refuse()
        # More rounds than any block takes; they are for the case that the kernel miscounts.
        self._rounds_left = _LAST_ROUNDS

    def _ended(self) -> bool:
        """Look whether the capture is over, now that no block is there."""
        if self._ring.closed or self._complete:
            return True
        if self._rounds_left is None:
            if self._ring.alarmed or self._link == "down":
                self._look_at_link()
            if self._link != "gone":
                return False
            self._let_nothing_in()
            return False
        self._rounds_left -= 1
        return not self._ring.ready and (self._ring.emptied or self._rounds_left < 0)

    def _look_at_link(self) -> None:
        alarmed, state = self._ring.alarmed, self._ring.link_state()
        if alarmed and state == "up" and self._link == "up":
            self._tell("down")  # and up again before anybody looked
        if state != self._link:
            self._tell(state)

    def _tell(self, state: LinkState) -> None:
        self._link = state
        self.events.append(LinkEvent(time.time_ns(), self.interface, state))

    # -- how long to wait -----------------------------------------------------------------------

    def _time_limit(self) -> float | None:
        return None if self._timeout is None else time.monotonic() + self._timeout

    def _patience(self, until: float | None) -> float | None:
        """Give how many seconds to wait at most before looking again.

        Raises: TimeoutError, the time limit has passed.
        """
        if self._rounds_left is not None:
            return _LAST_PATIENCE_S
        now = time.monotonic()
        if until is not None and until <= now and self._timeout is not None:
            # Whoever was held up since the last look looks once more.
            self._ring.wait(0)
            if self._ring.ready or self._ring.alarmed or self._stopped:
                return 0.0
            error = TimeoutError()
            hint = f"no packet within {self._timeout:g} seconds"
            raise explained(error, f"capture on {self.interface}", hint=hint)
        times = [at - now for at in (until, self._ends_at) if at is not None]
        if self._link == "down":
            times.append(_LINK_PATIENCE_S)
        return max(0.0, min(times)) if times else None

    async def _readable(self, patience: float | None) -> None:
        """Wait as `PacketRing.wait` does, in the running event loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        readable = loop.create_future()
        descriptor = self._ring.fileno()
        loop.add_reader(descriptor, _set, readable)
        try:
            async with asyncio.timeout(patience):
                await readable
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(descriptor)
        self._ring.wait(0)
        if not self._ring.ready and not self._stopped:
            await asyncio.sleep(0.001)  # rule 4 of the ring


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def capture(
    interface: str = "any",
    filter: str | Filter | Sequence[Instruction] = "",  # noqa: A002 - what every capture program calls it
    *,
    promiscuous: bool = True,
    snaplen: int = MAX_CAPTURED,
    buffer: int = DEFAULT_BUFFER,
    direction: CaptureDirection = "both",
    count: int | None = None,
    duration: float | None = None,
    timeout: float | None = None,
    sock: socket.socket | None = None,
) -> LiveCapture:
    """Capture the packets of `interface`, or of "any", that `filter` accepts.

    `filter` is text in the language of pcap-filter(7), a `Filter`, or a program of classic BPF. At
    most `snaplen` octets of each packet are kept; `buffer` is the ring's memory in octets;
    `direction` leaves out what this host sends ("in") or receives ("out"). It ends after `count`
    packets or `duration` seconds; waiting for a packet longer than `timeout` seconds is an error.

    Packets of "any" begin with a header of LINKTYPE_LINUX_SLL2, since their link layers differ; so
    do those of an interface whose link layer capture files do not know. Packets that the loopback
    interface sends to itself come once. `sock` is a packet socket of protocol 0 that was opened
    elsewhere, such as ``host.socket(AF_PACKET, SOCK_RAW, 0)`` of a lab, SOCK_DGRAM for "any".

    Raises:
        FilterError: the filter is not well formed, or cannot be applied here.
        PermissionError: CAP_NET_RAW is missing.
        ValueError: a number does not fit.
        OSError: ENODEV, there is no such interface; ENOMEM, no memory for the ring.
        TimeoutError: while iterating, see `timeout`.
    """
    check_timeout(timeout)
    check_timeout(duration)
    check_buffer(buffer)
    if not 1 <= snaplen <= MAX_CAPTURED:
        raise ValueError(f"snapshot length {snaplen} is not in 1..{MAX_CAPTURED}")
    if count is not None and count < 1:
        raise ValueError(f"count {count} is not 1 or more")
    if direction not in {"in", "out", "both"}:
        raise ValueError(f"direction {direction!r} is not 'in', 'out' or 'both'")
    name = "" if interface == "any" else interface
    with contextlib.ExitStack() as undo:
        if sock is None:
            sock = open_link(name)
        undo.callback(sock.close)
        kind = link_type(sock, name)
        program = _program(filter, kind, snaplen)
        outgoing = direction != "in"
        if direction == "out":
            program = only_outgoing(program)
        elif name == _LOOPBACK:
            outgoing = False
        elif not name:
            with contextlib.suppress(OSError):  # a namespace without a loopback interface
                program = without_echo(program, interface_index(sock, _LOOPBACK))
        ring = PacketRing(
            sock, name, program, promiscuous=promiscuous, outgoing=outgoing, buffer=buffer
        )
        undo.pop_all()
    return LiveCapture(
        ring,
        kind,
        cooked=cooked(sock),
        snaplen=snaplen,
        count=count,
        duration=duration,
        timeout=timeout,
    )


def _program(
    wanted: str | Filter | Sequence[Instruction], kind: int, snaplen: int
) -> list[Instruction]:
    """Give the program for the kernel; text and `Filter` are compiled for this live link.

    Raises: FilterError.
    """
    if isinstance(wanted, str) and not wanted.strip():
        return keeping((), snaplen)
    from sockwright.filters import Filter, compile_filter

    if isinstance(wanted, str | Filter):
        # A filter that was compiled may be for files, where offsets are others.
        text = wanted if isinstance(wanted, str) else wanted.text
        wanted = compile_filter(text, kind, live=True).instructions
    return keeping(wanted, snaplen)

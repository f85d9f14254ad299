"""What went over an interface of a host: a packet(7) socket with a ring, read when wanted.

No thread and no process reads along: the kernel writes each frame, with its time in nanoseconds,
into a ring of memory that both sides see (PACKET_RX_RING, TPACKET_V3), and it is taken from there
when somebody asks. So a capture has every frame that has passed the interface by the moment of
asking, up to the size of the ring, and `dropped` says how many did not fit. A plain socket would
not do: its buffer may hold a few hundred frames when the user is not root (net.core.rmem_max).

The kernel hands the frames over in blocks, a block when it is full or a few milliseconds old. How
many there must be is known from its own count (PACKET_STATISTICS), so nothing is waited for twice.
"""

from __future__ import annotations

import contextlib
import mmap
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Self

from sockwright.sockets.filter import attach_filter
from sockwright.sockets.packet_socket import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from sockwright.sockets.filter import Instruction
    from sockwright.sockets.packet_socket import Direction

__all__ = ["Capture"]

_SOL_PACKET = 263
_PACKET_RX_RING = 5
_PACKET_STATISTICS = 6
_PACKET_VERSION = 10
_TPACKET_V3 = 2
_ETH_P_ALL = 0x0003

_DIRECTIONS: tuple[Direction, ...] = ("host", "broadcast", "multicast", "other_host", "outgoing")

_BLOCK_SIZE = 1 << 18  # octets: room for the largest frame of the loopback interface
_BLOCKS = 32
_FRAME_SIZE = 1 << 11  # only a divisor to TPACKET_V3, whose frames have any length
_RETIRE_MS = 2  # a block that is not full is handed over at this age
_PATIENCE_S = 2.0  # far more than any block takes; reached only if the kernel breaks its word

_TP_STATUS_USER = 0x01
_TP_STATUS_CHECKSUM_NOT_READY = 0x08
_TP_STATUS_VLAN_VALID = 0x10
_STATUS = struct.Struct("=I")
_STATUS_AT = 8
_BLOCK = struct.Struct("=II")  # number of frames, offset of the first
_BLOCK_AT = 12
_FRAME = struct.Struct("=IIIIIIHHIIH")  # next, s, ns, captured, length, status, mac, net, hash, tag
_ADDRESS = struct.Struct("=2xHiHBB8s")  # sockaddr_ll: protocol, index, hardware, type, address
_ADDRESS_AT = 48  # behind the header
_STATISTICS = struct.Struct("=III")  # frames with the dropped ones, dropped, times frozen


class Capture:
    """Frames of one interface, from the making of this object until `close`.

    As a context manager it closes itself; `frames` stays readable after that.
    """

    __slots__ = ("_block", "_dropped", "_expected", "_frames", "_map", "_socket", "interface")

    def __init__(
        self, sock: socket.socket, interface: str, program: Sequence[Instruction] = ()
    ) -> None:
        self.interface = interface
        self._socket = sock
        self._frames: list[Frame] = []
        self._block = 0
        self._dropped = 0
        self._expected = 0
        sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        size = _BLOCK_SIZE * _BLOCKS
        request = struct.pack(
            "=7I", _BLOCK_SIZE, _BLOCKS, _FRAME_SIZE, size // _FRAME_SIZE, _RETIRE_MS, 0, 0
        )
        sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
        self._map = mmap.mmap(sock.fileno(), size)
        if program:
            attach_filter(sock, program)
        # Last: until it is bound the socket (of protocol 0) has received nothing.
        sock.bind((interface, _ETH_P_ALL))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame, those to come as well, until the capture is closed."""
        seen = 0
        while True:
            yield from self._frames[seen:]
            seen = len(self._frames)
            if self._socket.fileno() < 0:
                return
            self._take()
            if seen == len(self._frames):
                self._wait(None)

    @property
    def frames(self) -> list[Frame]:
        """Every frame that has passed the interface so far, oldest first."""
        if self._socket.fileno() >= 0:
            self._catch_up()
        return self._frames

    @property
    def dropped(self) -> int:
        """How many frames found the ring full."""
        if self._socket.fileno() >= 0:
            self._count()
        return self._dropped

    def until(self, wanted: Callable[[Frame], bool], timeout: float = 5.0) -> Frame:
        """Return the first frame that is `wanted`, waiting at most `timeout` seconds for it.

        The end of a conversation may still be on its way when the program that had it goes on: wait
        for the frame that is the last one.

        Raises: `TimeoutError`.
        """
        deadline = time.monotonic() + timeout
        seen = 0
        while True:
            for frame in self._frames[seen:]:
                if wanted(frame):
                    return frame
            seen = len(self._frames)
            self._take()
            if seen == len(self._frames):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(
                        f"no such frame on {self.interface} in {timeout} s, {seen} others"
                    )
                self._wait(left)

    def close(self) -> None:
        """Take what has come so far and stop."""
        if self._socket.fileno() >= 0:
            with contextlib.suppress(OSError):
                self._catch_up()
            self._map.close()
            self._socket.close()

    def _catch_up(self) -> None:
        self._count()
        deadline = time.monotonic() + _PATIENCE_S
        self._take()
        while len(self._frames) < self._expected and time.monotonic() < deadline:
            self._wait(_RETIRE_MS / 1000)
            self._take()

    def _count(self) -> None:
        # The kernel starts again from zero with each reading.
        octets = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        frames, dropped, _ = _STATISTICS.unpack(octets)
        self._dropped += dropped
        self._expected += frames - dropped

    def _wait(self, timeout: float | None) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.poll(None if timeout is None else max(1, timeout * 1000))

    def _take(self) -> None:
        """Take the frames of every block that the kernel has handed over."""
        ring = self._map
        while True:
            at = self._block * _BLOCK_SIZE
            (status,) = _STATUS.unpack_from(ring, at + _STATUS_AT)
            if not status & _TP_STATUS_USER:
                return
            count, offset = _BLOCK.unpack_from(ring, at + _BLOCK_AT)
            position = at + offset
            for _ in range(count):
                self._frames.append(self._frame(position))
                position += _FRAME.unpack_from(ring, position)[0]
            _STATUS.pack_into(ring, at + _STATUS_AT, 0)  # the kernel's again
            self._block = (self._block + 1) % _BLOCKS

    def _frame(self, at: int) -> Frame:
        ring = self._map
        _, second, nanosecond, captured, length, status, mac, _, _, tag, tpid = _FRAME.unpack_from(
            ring, at
        )
        protocol, _, hardware, kind, length_of_sender, sender = _ADDRESS.unpack_from(
            ring, at + _ADDRESS_AT
        )
        octets = ring[at + mac : at + mac + captured]
        tagged = bool(status & _TP_STATUS_VLAN_VALID)
        if tagged:
            # The kernel takes a VLAN tag out of a frame that it receives; it was on the wire.
            octets = octets[:12] + struct.pack("!HH", tpid or 0x8100, tag) + octets[12:]
            length += 4
        return Frame(
            octets=octets,
            time_ns=second * 1_000_000_000 + nanosecond,
            original_length=length,
            interface=self.interface,
            direction=_DIRECTIONS[kind] if kind < len(_DIRECTIONS) else "other_host",
            protocol=socket.ntohs(protocol),
            hardware_type=hardware,
            sender=sender[:length_of_sender],
            vlan=tagged,
            checksum_pending=bool(status & _TP_STATUS_CHECKSUM_NOT_READY),
        )

"""The packet ring: frames in memory that the kernel and this process share, packet(7) and mmap(2).

    ring = PacketRing(open_link("eth0"), "eth0", program)
    while True:
        block = ring.take()
        if block is None:
            ring.wait()
            continue
        for frame in frames(block, "eth0"):
            ...
        ring.release()

It is PACKET_RX_RING in its third form (TPACKET_V3): the kernel writes frames of any length one
behind the other into blocks, and hands a block over when it is full or some
milliseconds old. No call is made per frame, and none at all while blocks are waiting: this is what
takes a million frames a second.

Rules
    1. Protocol 0, version, ring, filter, membership, and only then bind: not one frame that the
       filter refuses is ever in the ring, and none that it accepts is missed.
    2. A block is the user's from `take` to `release`. What is needed of it is copied before that.
    3. Nobody waits while holding a block. The kernel tells poll(2) that the block it filled last
       is not its own again; a waiter who held that one would be woken at once, for ever.
    4. poll(2) may say "readable" and no block be there (the ring was full and the kernel has not
       looked again): then `wait` pauses for a millisecond instead of spinning.
    5. The process that made the ring reads it. After a fork both see the same memory, and two
       readers would hand each other's blocks back: `take` refuses in the other process.

An interface that goes down is told once, by ENETDOWN, and then there is silence, for ever when it
is deleted. `wait` keeps the error for `alarmed`; `link_state` asks the socket how things are, which
needs no other socket and so works in whatever network namespace the socket was opened.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import select
import socket
import struct
import threading
from dataclasses import dataclass
from fcntl import ioctl
from io import FileIO
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self

from sockwright.sockets.explain import explained, explaining
from sockwright.sockets.filter import attach_filter
from sockwright.sockets.interface import interface_index
from sockwright.sockets.packet_socket import DIRECTIONS, LINK_TYPES, Frame, bind_interface
from sockwright.sockets.privileges import Capability

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from sockwright.sockets.filter import Instruction

__all__ = [
    "BLOCK_SIZE",
    "DEFAULT_BUFFER",
    "MAXIMUM_BUFFER",
    "MINIMUM_BUFFER",
    "Block",
    "LinkState",
    "PacketRing",
    "RingStatistics",
    "check_buffer",
    "cooked",
    "frames",
    "link_type",
    "open_link",
    "retagged",
]

LinkState = Literal["up", "down", "gone"]

BLOCK_SIZE: Final = 1 << 18
"""Octets of a block. The kernel cuts a frame that is larger than a block, so this is more than the
largest snapshot length."""

DEFAULT_BUFFER: Final = 1 << 25
"""At a million packets a second this lasts for a fifth of a second. Loading compiled code stops
other threads for up to half of that, as measured on a busy machine."""
MINIMUM_BUFFER: Final = 2 * BLOCK_SIZE
MAXIMUM_BUFFER: Final = 1 << 31
RETIRE_MS: Final = 10
"""A block that is not full is handed over at this age: how much a lone packet is late."""

SLL2: Final = 276
"""LINKTYPE_LINUX_SLL2, where there is no link header or more than one kind of it."""

ETH_P_ALL: Final = 0x0003
_SOL_PACKET = 263
_ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION, _IGNORE_OUTGOING = 1, 5, 6, 10, 23
_TPACKET_V3 = 2
_MR_PROMISC = 1
_MEMBERSHIP = struct.Struct("=iHH8s")  # struct packet_mreq
_REQUEST = struct.Struct("=7I")  # struct tpacket_req3
_COUNTERS = struct.Struct("=III")  # struct tpacket_stats_v3: with the dropped ones, dropped, frozen
_FRAME_SIZE = 1 << 11  # only a divisor to TPACKET_V3, whose frames have any length

# struct tpacket_block_desc: the status word, the number of frames, where the first is.
_STATUS_AT = 8
_BLOCK = struct.Struct("=II")
_BLOCK_AT = 12
_STATUS_USER = 0x01

FRAME: Final = struct.Struct("=IIIIIIHHIIH")
"""tpacket3_hdr: next, seconds, nanoseconds, captured, length, status, mac, net, hash, tag, TPID."""
SENDER: Final = struct.Struct("=2xHiHBB8s")
"""sockaddr_ll: protocol (in network order), index, ARPHRD_*, packet type, address with length."""
SENDER_AT: Final = 48
CHECKSUM_NOT_READY: Final = 0x08
VLAN_VALID: Final = 0x10

_SIOCGIFFLAGS, _SIOCGIFHWADDR = 0x8913, 0x8927
_IFREQ_SHORT = struct.Struct("=16sH22x")
_IFF_UP = 0x1


class Block(NamedTuple):
    """A block of the ring: its octets, where in them the first frame is, how many there are."""

    octets: memoryview
    first: int
    frames: int


@dataclass(frozen=True, slots=True)
class RingStatistics:
    """What the kernel counted since the ring was made.

    `accepted` frames passed the filter, the `dropped` ones included, which found no room; `freezes`
    is how often the ring was full.
    """

    accepted: int
    dropped: int
    freezes: int


def check_buffer(octets: int) -> None:
    """Check the size of a buffer. Raises: ValueError, it is too small or too large."""
    if not MINIMUM_BUFFER <= octets <= MAXIMUM_BUFFER:
        raise ValueError(
            f"a buffer of {octets} octets is not in {MINIMUM_BUFFER}..{MAXIMUM_BUFFER}"
        )


def open_link(interface: str) -> socket.socket:
    """Open a packet socket that fits `interface`, and receives nothing yet; "" is all of them.

    It is SOCK_RAW where the interface has a link header that capture files know, else SOCK_DGRAM:
    then the kernel takes the header off and tells what was in it.

    Raises:
        PermissionError: CAP_NET_RAW is missing.
        OSError: ENODEV, there is no such interface.
    """
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            fits = bool(interface) and _hardware_type(sock, interface) in LINK_TYPES
            if fits:
                return sock
        except BaseException:
            sock.close()
            raise
        sock.close()
        return socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    except OSError as error:
        if error.errno == errno.ENODEV:
            text = (
                f"no interface {interface!r} in this network namespace "
                "('sw capture --list' shows them)"
            )
            raise OSError(errno.ENODEV, text) from error
        doing = f"capture on {interface or 'every interface'}"
        raise explained(error, doing, needs=Capability.CAP_NET_RAW) from error


def cooked(sock: socket.socket) -> bool:
    """Whether frames come without their link header."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_DGRAM


def link_type(sock: socket.socket, interface: str) -> int:
    """Give the LINKTYPE_* number of what a capture on `interface` by `sock` holds.

    Raises:
        OSError: ENODEV, there is no such interface.
    """
    if cooked(sock):
        return SLL2
    return LINK_TYPES.get(_hardware_type(sock, interface), 1)


def _hardware_type(sock: socket.socket, interface: str) -> int:
    request = _IFREQ_SHORT.pack(os.fsencode(interface), 0)
    return int(_IFREQ_SHORT.unpack(ioctl(sock.fileno(), _SIOCGIFHWADDR, request))[1])


class PacketRing:
    """A packet ring on the socket `sock`, which it then owns.

    `interface` is a name, or "" for all; `program` a classic BPF filter, whose accepting value is
    the octets that are kept of a frame; `buffer` the octets of memory (rounded to whole blocks),
    `retire_ms` the age at which a block that is not full is handed over, `block_size` its octets (a
    power of two of at least a page; larger frames are cut).
    With `promiscuous` the interface is asked for frames to other hosts; without `outgoing` what
    this host sends is left out. `sock` is as `open_link` makes it.

    Raises:
        ValueError: the buffer is too small or too large.
        OSError: EINVAL, the kernel refuses the filter; ENOMEM, there is no memory for the ring;
            ENODEV, there is no such interface.
    """

    __slots__ = (
        "_accepted",
        "_at",
        "_block_size",
        "_blocks",
        "_closing",
        "_dropped",
        "_epoll",
        "_freezes",
        "_map",
        "_memory",
        "_owner",
        "_pause",
        "_wake",
        "_words",
        "alarmed",
        "interface",
        "socket",
        "taken",
    )

    def __init__(
        self,
        sock: socket.socket,
        interface: str,
        program: Sequence[Instruction] = (),
        *,
        promiscuous: bool = False,
        outgoing: bool = True,
        buffer: int = DEFAULT_BUFFER,
        retire_ms: int = RETIRE_MS,
        block_size: int = BLOCK_SIZE,
    ) -> None:
        check_buffer(buffer)
        self.interface = interface
        self.socket = sock
        self.alarmed = False
        """Whether the kernel has told an error of the interface that nobody has looked at yet."""
        self.taken = 0
        """How many frames were in the blocks taken so far."""
        self._block_size = block_size
        self._blocks = -(-buffer // block_size)
        self._at = 0
        self._accepted = self._dropped = self._freezes = 0
        self._owner = os.getpid()
        self._wake: FileIO | None = None
        # Reentrant, since a signal handler may call `wake` while `close` runs.
        self._closing = threading.RLock()
        with contextlib.ExitStack() as undo:
            undo.callback(sock.close)
            self._make_ring(retire_ms)
            self._set_up(program, promiscuous=promiscuous, outgoing=outgoing)
            self._map = mmap.mmap(sock.fileno(), self._blocks * self._block_size)
            undo.callback(self._map.close)
            self._memory = memoryview(self._map)
            undo.callback(self._memory.release)
            self._words = self._memory.cast("I")
            undo.callback(self._words.release)
            # As a file it is closed, with a ResourceWarning, where nobody calls `close`.
            self._wake = wake = FileIO(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC), "r+")
            undo.callback(wake.close)
            # One descriptor for both, which asyncio can wait for too.
            self._epoll = select.epoll()
            undo.callback(self._epoll.close)
            self._epoll.register(sock.fileno(), select.EPOLLIN)
            self._epoll.register(wake, select.EPOLLIN)
            self._pause = select.poll()
            self._pause.register(wake, select.POLLIN)
            with explaining(f"bind to {interface or 'every interface'}"):
                bind_interface(sock, interface, ETH_P_ALL)
            undo.pop_all()

    def _make_ring(self, retire_ms: int) -> None:
        sock, size = self.socket, self._blocks * self._block_size
        with explaining("use a packet ring", hint="this kernel has no TPACKET_V3 (Linux 3.2)"):
            sock.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
        hint = f"the kernel has no {size >> 20} MiB for the ring: ask for a smaller buffer"
        with explaining("make the ring", hint=hint):
            request = _REQUEST.pack(
                self._block_size, self._blocks, _FRAME_SIZE, size // _FRAME_SIZE, retire_ms, 0, 0
            )
            sock.setsockopt(_SOL_PACKET, _RX_RING, request)

    def _set_up(self, program: Sequence[Instruction], *, promiscuous: bool, outgoing: bool) -> None:
        sock = self.socket
        if program:
            attach_filter(sock, program)
        if not outgoing:
            with explaining("leave out what is sent", hint="this needs Linux 4.20"):
                sock.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        if promiscuous and self.interface:
            with explaining(f"make {self.interface} promiscuous"):
                index = interface_index(sock, self.interface)
                membership = _MEMBERSHIP.pack(index, _MR_PROMISC, 0, b"")
                sock.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, membership)

    # -- blocks ---------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether `take` has a block."""
        return not self.closed and bool(
            self._words[(self._at * self._block_size + _STATUS_AT) >> 2] & _STATUS_USER
        )

    def take(self) -> Block | None:
        """Give the next block, or None while the kernel has none; `release` it before the next.

        Raises:
            RuntimeError: this is not the process that made the ring.
        """
        if os.getpid() != self._owner:
            raise RuntimeError(f"this ring is read by process {self._owner}, which made it")
        if not self.ready:
            return None
        start = self._at * self._block_size
        count, first = _BLOCK.unpack_from(self._memory, start + _BLOCK_AT)
        self.taken += count
        return Block(self._memory[start : start + self._block_size], first, count)

    def release(self) -> None:
        """Give the block that was taken back to the kernel."""
        self._words[(self._at * self._block_size + _STATUS_AT) >> 2] = 0
        self._at = (self._at + 1) % self._blocks

    # -- waiting --------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> None:
        """Wait for a block, for `wake` or for an error, at most `timeout` seconds.

        It may also return for nothing: whoever calls looks again.
        """
        if self.ready:
            return
        # The kernel counts milliseconds in 31 bits, epoll_wait(2); a day is early enough to look.
        for descriptor, events in self._epoll.poll(timeout and min(timeout, 86_400)):
            if self._wake is not None and descriptor == self._wake.fileno():
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(descriptor)
            elif events & select.EPOLLERR:
                # Asking for the error takes it away.
                self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                self.alarmed = True
            elif not self.ready and timeout != 0:
                self._pause.poll(1)

    def wake(self) -> None:
        """End a `wait`, or the next one; from any thread, and from a signal handler."""
        with self._closing:
            if self._wake is not None:
                os.eventfd_write(self._wake.fileno(), 1)

    def fileno(self) -> int:
        """Give a descriptor that is readable when there is something to look at, -1 when closed."""
        return -1 if self.closed else self._epoll.fileno()

    # -- what the kernel tells ------------------------------------------------------------------

    def statistics(self) -> RingStatistics:
        """Count frames and drops since the ring was made; after `close`, up to then."""
        if self.closed:
            return RingStatistics(self._accepted, self._dropped, self._freezes)
        octets = self.socket.getsockopt(_SOL_PACKET, _STATISTICS, _COUNTERS.size)
        accepted, dropped, freezes = _COUNTERS.unpack(octets)
        self._accepted += accepted  # reading has set the kernel's counters to zero
        self._dropped += dropped
        self._freezes += freezes
        return RingStatistics(self._accepted, self._dropped, self._freezes)

    def link_state(self) -> LinkState:
        """Ask how the interface is; all of them together are always up."""
        self.alarmed = False
        if not self.interface:
            return "up"
        name = self.socket.getsockname()[0]  # it may have been renamed
        if not name:
            return "gone"
        try:
            request = _IFREQ_SHORT.pack(os.fsencode(name), 0)
            answer = ioctl(self.socket.fileno(), _SIOCGIFFLAGS, request)
        except OSError:
            return "gone"
        return "up" if _IFREQ_SHORT.unpack(answer)[1] & _IFF_UP else "down"

    # -- the end --------------------------------------------------------------------------------

    def refuse(self) -> None:
        """Let no more frames in; what is in the ring stays there to be taken."""
        attach_filter(self.socket, [(0x06, 0, 0, 0)])

    @property
    def emptied(self) -> bool:
        """Whether every frame that was let in has been taken."""
        counted = self.statistics()
        return self.taken >= counted.accepted - counted.dropped

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._wake is None

    def close(self) -> None:
        """Give everything back; may be called twice."""
        with self._closing:
            if self._wake is None:
                return
            self.statistics()
            wake, self._wake = self._wake, None
            wake.close()
        self._epoll.close()
        # The mapping keeps the socket alive. Where somebody still looks into a block it goes with
        # the last look.
        try:
            self._words.release()
            self._memory.release()
            self._map.close()
        except BufferError:
            if os.getpid() == self._owner:
                self.refuse()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def retagged(octets: bytes, tag: int, tag_protocol: int) -> bytes:
    """Put a VLAN tag back to where it was, behind the two addresses."""
    return octets[:12] + struct.pack("!HH", tag_protocol or 0x8100, tag) + octets[12:]


def frames(block: Block, interface: str) -> Iterator[Frame]:
    """Yield the frames of a block of a SOCK_RAW socket, with all that the kernel says of each."""
    octets, at, count = block
    for _ in range(count):
        following, second, nanosecond, captured, length, status, mac, _, _, tag, tag_protocol = (
            FRAME.unpack_from(octets, at)
        )
        protocol, _, hardware_type, kind, sender_length, sender = SENDER.unpack_from(
            octets, at + SENDER_AT
        )
        content = bytes(octets[at + mac : at + mac + captured])
        tagged = bool(status & VLAN_VALID) and captured >= 12
        if tagged:
            content = retagged(content, tag, tag_protocol)
            length += 4
        yield Frame(
            octets=content,
            time_ns=second * 1_000_000_000 + nanosecond,
            original_length=length,
            interface=interface,
            direction=DIRECTIONS[kind] if kind < len(DIRECTIONS) else "other_host",
            protocol=socket.ntohs(protocol),
            hardware_type=hardware_type,
            sender=sender[:sender_length],
            vlan=tagged,
            checksum_pending=bool(status & CHECKSUM_NOT_READY),
        )
        at += following

"""Packet sockets, packet(7): whole frames as the driver sees them, captured and sent.

    with packet("eth0", promiscuous=True, timeout=5) as sock:
        frame = sock.receive()

A filter is attached before the socket is bound to a protocol, so that not one frame slips through
unfiltered. On a host that talks to itself (`lo`) every frame is seen twice: going out and coming
in; `outgoing=False` leaves the first out.

What the kernel does to frames on the way, and what this module makes of it:

- A VLAN tag is taken out of the frame by the driver. It is told beside the frame (PACKET_AUXDATA),
  and put back here, where it was on the wire.
- A frame that this host sends has often no checksum yet: the card would fill it in. Such a frame
  is marked `checksum_pending`: its TCP or UDP checksum is not wrong, it is not there yet.
- A frame that this host sends or receives may be larger than the MTU: the card cuts it into
  segments (TSO), or the kernel has joined them (GRO).
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from sockwright.sockets.addresses import to_endpoint
from sockwright.sockets.base import BaseSocket, BlockingSocket, check_timeout, not_waiting
from sockwright.sockets.endpoint import ETHER_PROTOCOLS, Endpoint
from sockwright.sockets.explain import explained, explaining
from sockwright.sockets.filter import Instruction, attach_filter
from sockwright.sockets.interface import interface_index
from sockwright.sockets.options import Flag
from sockwright.sockets.privileges import Capability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "DIRECTIONS",
    "LINK_TYPES",
    "Direction",
    "Frame",
    "PacketCore",
    "PacketSocket",
    "Statistics",
    "bind_interface",
    "packet",
]

Direction = Literal["host", "broadcast", "multicast", "other_host", "outgoing"]

# Where packet(7) counts the packet types from 0.
DIRECTIONS: tuple[Direction, ...] = ("host", "broadcast", "multicast", "other_host", "outgoing")
MAX_FRAME = 262144  # what tcpdump takes as "all of it"

_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_DROP_MEMBERSHIP = 2
_PACKET_STATISTICS = 6
_PACKET_AUXDATA = 8
_PACKET_IGNORE_OUTGOING = 23
_PACKET_MR_PROMISC = 1
_SO_TIMESTAMPNS = 35
_SCM_TIMESTAMPNS = 35

_AUXDATA = struct.Struct("=IIIHHHH")  # struct tpacket_auxdata
_TIMESPEC = struct.Struct("@ll")
_MEMBERSHIP = struct.Struct("=iHH8s")  # struct packet_mreq
_STATISTICS = struct.Struct("=II")  # struct tpacket_stats
_SOCKADDR_LL = struct.Struct("=HHiHBB8x")
_ANCILLARY_SPACE = socket.CMSG_SPACE(_AUXDATA.size) + socket.CMSG_SPACE(_TIMESPEC.size)

_STATUS_CHECKSUM_NOT_READY = 1 << 3
_STATUS_VLAN_VALID = 1 << 4
_STATUS_VLAN_TPID_VALID = 1 << 6

# ARPHRD_* of <linux/if_arp.h> to the link types of tcpdump.org. The loopback device pretends to be
# Ethernet; tunnels and TUN devices have no link header.
LINK_TYPES = {1: 1, 772: 1, 0xFFFE: 101, 768: 101, 769: 101, 776: 101, 778: 101}
_ETHERNET_LIKE = (1, 772)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it went over the interface.

    `time_ns` is the kernel's time of arrival in nanoseconds since 1970, `original_length` the
    octets on the wire (more than `octets` when it was cut off), `direction` for whom it is,
    `protocol` the EtherType in host order, `hardware_type` ARPHRD_* of the interface, `sender` the
    link address, `vlan` whether a tag was put back, `checksum_pending` see above.
    """

    octets: bytes
    time_ns: int
    original_length: int
    interface: str
    direction: Direction
    protocol: int
    hardware_type: int
    sender: bytes
    vlan: bool
    checksum_pending: bool

    @property
    def link_type(self) -> int | None:
        """The LINKTYPE_* number for a capture file (1 Ethernet, 101 raw IP); None is unknown."""
        return LINK_TYPES.get(self.hardware_type)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a packet socket has seen since it was opened.

    `accepted` counts the frames that passed the filter, those `dropped` for want of buffer space
    included.
    """

    accepted: int
    dropped: int


class PacketCore(BaseSocket):
    """What packet sockets of both APIs share: options, decoding, statistics."""

    ignore_outgoing = Flag(
        _SOL_PACKET,
        _PACKET_IGNORE_OUTGOING,
        "PACKET_IGNORE_OUTGOING: leave out what this host sends.",
    )

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._accepted = self._dropped = 0
        # Neither takes a privilege, and both may be on already in a socket that was handed over.
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)

    @property
    def interface(self) -> str:
        """The interface that the socket is bound to; empty means all of them."""
        return self.local_address.interface

    def attach_filter(self, program: Sequence[Instruction]) -> None:
        """Let only frames through that the classic BPF `program` accepts.

        What is in the queue already stays there: `packet(program=...)` has no such gap.

        Raises:
            ValueError, OSError: as `sockwright.sockets.filter.attach_filter`.
        """
        attach_filter(self.socket, program)

    def set_promiscuous(self, on: bool) -> None:
        """Ask the interface for frames to other hosts too; ends with the socket.

        Raises:
            OSError: the socket is bound to no interface, or the interface is gone.
        """
        name = self.interface
        with explaining(f"make {name or 'no interface'} promiscuous", needs=Capability.CAP_NET_RAW):
            index = interface_index(self.socket, name)
            action = _PACKET_ADD_MEMBERSHIP if on else _PACKET_DROP_MEMBERSHIP
            request = _MEMBERSHIP.pack(index, _PACKET_MR_PROMISC, 0, b"")
            self.socket.setsockopt(_SOL_PACKET, action, request)

    def statistics(self) -> Statistics:
        """Count frames and drops since the socket was opened."""
        with explaining("read the statistics"):
            octets = self.socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        accepted, dropped = _STATISTICS.unpack(octets)
        self._accepted += accepted  # reading has set the kernel's counters to zero
        self._dropped += dropped
        return Statistics(self._accepted, self._dropped)

    def receive_waiting(self, limit: int = MAX_FRAME) -> list[Frame]:
        """Take the frames that have arrived already; does not wait."""
        frames: list[Frame] = []
        with not_waiting(self.socket):
            try:
                while True:
                    frames.append(self._take(limit))
            except BlockingIOError:
                return frames
            except OSError as error:
                raise self._error("receive", error) from error

    def _take(self, limit: int) -> Frame:
        """Receive one frame of at most `limit` octets, VLAN tag not counted."""
        octets, ancillary, _, address = self.socket.recvmsg(limit, _ANCILLARY_SPACE)
        interface, protocol, kind, hardware_type, sender = address
        length, time_ns, status, tag, tag_protocol = len(octets), 0, 0, 0, 0
        for level, name, data in ancillary:
            if level == socket.SOL_SOCKET and name == _SCM_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(data)
                time_ns = seconds * 1_000_000_000 + nanoseconds
            elif level == _SOL_PACKET and name == _PACKET_AUXDATA:
                status, length, _, _, _, tag, tag_protocol = _AUXDATA.unpack(data)
        tagged = bool(status & _STATUS_VLAN_VALID) and hardware_type in _ETHERNET_LIKE
        if tagged and len(octets) >= 12:
            if not status & _STATUS_VLAN_TPID_VALID:
                tag_protocol = 0x8100
            octets = octets[:12] + struct.pack("!HH", tag_protocol, tag) + octets[12:]
            length += 4
        return Frame(
            octets=octets,
            time_ns=time_ns,
            original_length=length,
            interface=interface,
            direction=DIRECTIONS[kind] if kind < len(DIRECTIONS) else "other_host",
            protocol=protocol,
            hardware_type=hardware_type,
            sender=sender,
            vlan=tagged,
            checksum_pending=bool(status & _STATUS_CHECKSUM_NOT_READY),
        )


class PacketSocket(PacketCore, BlockingSocket):
    """A packet socket; made by `packet` or from a socket (whose time stamps are then turned on)."""

    def send(self, octets: bytes | bytearray | memoryview) -> None:
        """Send one whole frame, link header included, out of the interface.

        Raises:
            OSError: ENETDOWN, the interface is down; EMSGSIZE, larger than its MTU; ENXIO, the
                socket is bound to no interface.
        """
        try:
            self.socket.send(octets)
        except OSError as error:
            raise self._error("send", error) from error

    def receive(self, limit: int = MAX_FRAME) -> Frame:
        """Receive one frame, cut off after `limit` octets.

        Raises:
            TimeoutError: nothing came within `timeout` seconds.
            OSError: ENETDOWN, the interface went down; ENODEV, it is gone.
        """
        try:
            return self._take(limit)
        except OSError as error:
            raise self._error("receive", error) from error

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames as they arrive, for ever."""
        while True:
            yield self.receive()


P = TypeVar("P", bound=PacketCore)


def open_packet(
    wrap: Callable[[socket.socket], P],
    interface: Endpoint | str,
    *,
    program: Sequence[Instruction] | None,
    promiscuous: bool,
    outgoing: bool,
) -> P:
    """Open a packet socket; see `packet`. Nothing here waits."""
    if isinstance(interface, str) and ":" not in interface:
        interface = Endpoint("packet", interface=interface)
    endpoint = to_endpoint(interface, "packet")
    protocol = ETHER_PROTOCOLS["all"] if endpoint.protocol is None else endpoint.protocol
    try:
        # Protocol 0 receives nothing until bind() names another: first the filter, then frames.
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except OSError as error:
        raise explained(error, f"open {endpoint}", needs=Capability.CAP_NET_RAW) from error
    opened: P | None = None
    try:
        opened = wrap(sock)
        if program is not None:
            attach_filter(sock, program)
        if not outgoing:
            opened.ignore_outgoing = True
        with explaining(f"bind to {endpoint}"):
            bind_interface(sock, endpoint.interface, protocol)
        if promiscuous:
            opened.set_promiscuous(True)
    except BaseException:
        sock.close()
        raise
    return opened


def bind_interface(sock: socket.socket, interface: str, protocol: int) -> None:
    """Bind a packet socket to an interface, "" for all, and an EtherType in host order."""
    if interface:
        sock.bind((interface, protocol))
        return
    # Python's bind() wants the name of an interface; that of all of them is the number 0.
    address = _SOCKADDR_LL.pack(socket.AF_PACKET, socket.htons(protocol), 0, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(sock.fileno(), address, len(address)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def packet(
    interface: Endpoint | str = "",
    *,
    program: Sequence[Instruction] | None = None,
    promiscuous: bool = False,
    outgoing: bool = True,
    timeout: float | None = None,
) -> PacketSocket:
    """Open a packet socket on an interface: ``lo``, ``packet://lo?protocol=0x0800``, ``""`` all.

    `program` is a classic BPF filter as (code, jt, jf, k) instructions; `promiscuous` asks the
    interface for frames to other hosts; without `outgoing` what this host sends is left out.
    A protocol other than "all" sees incoming frames only, packet(7). `timeout` is in seconds.

    Raises:
        EndpointError: it is not the name of an interface.
        PermissionError: CAP_NET_RAW is missing.
        OSError: ENODEV, there is no such interface; EINVAL, the filter is refused.
    """
    check_timeout(timeout)
    opened = open_packet(
        PacketSocket, interface, program=program, promiscuous=promiscuous, outgoing=outgoing
    )
    opened.timeout = timeout
    return opened

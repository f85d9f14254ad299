"""Probes by raw sockets, in batches, and answers by the packet ring: needs CAP_NET_RAW."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from time import monotonic
from typing import TYPE_CHECKING, Final

from sockwright.scan.discovery import packets
from sockwright.scan.discovery.kinds import Kind
from sockwright.scan.engine.rounds import HIGHEST_ATTEMPT
from sockwright.scan.sending.answers import answer_ring
from sockwright.scan.sending.cookies import Cookies
from sockwright.scan.sending.packet_batch import PacketBatch
from sockwright.scan.sending.segments import reset_segment
from sockwright.scan.sending.source_ports import SourcePorts
from sockwright.sockets.filter import NOTHING, attach_filter
from sockwright.sockets.ring import FRAME, SENDER, SENDER_AT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.scan.discovery.kinds import Answer
    from sockwright.scan.discovery.recording import Recorder
    from sockwright.scan.discovery.ways import Hop
    from sockwright.scan.sending.evidence import Record

__all__ = ["RawWay"]

MOST: Final = 256
"""Packets in one call."""

_BUFFER = 1 << 22
_BLOCKS_A_STEP = 16
_IPPROTO_IPV6, _IPV6_CHECKSUM, _TCP_CHECKSUM_AT = 41, 7, 16
_LONG_WAY = 255  # RFC 4861 section 7.1.1: the hop limit of a solicitation
_SOCKADDR_IN = struct.Struct("=HHI8x")
_SOCKADDR_IN6 = struct.Struct("=HHI16sI")
_SOCKADDR_LL = struct.Struct("=HHiHBB8s")
_ARP_FOR_ALL: Final = (socket.htons(0x0806), b"\xff" * 6 + bytes(2))

_IPV6_OF_KIND: Final = {Kind.ECHO: 58, Kind.NEIGHBOUR: 58, Kind.SYN: 6, Kind.ACK: 6}
_IPV4_OF_KIND: Final = {Kind.ECHO: 1, Kind.TIMESTAMP: 1, Kind.SYN: 6, Kind.ACK: 6}


class RawWay:
    """Sends probes of every kind, out of `interface` if one is named, and receives what may answer.

    `record` is told every probe and every answer to one: what neighbours are asked and say as
    frames of their link, the rest from the IP header on.

    Raises:
        PermissionError: CAP_NET_RAW is missing.
    """

    privileged = True
    failure = ""
    kinds4: tuple[Kind, ...] = (Kind.ECHO, Kind.SYN, Kind.ACK, Kind.TIMESTAMP)
    kinds6: tuple[Kind, ...] = (Kind.ECHO, Kind.SYN, Kind.ACK)

    def __init__(self, record: Record | None = None, interface: str = "") -> None:
        self.why = "ARP, ND, ICMP and TCP probes: this process may open raw sockets"
        self.began = 0.0
        """When the first probe of the last `send` went out."""
        self._recorder: Recorder | None = None
        if record is not None:
            from sockwright.scan.discovery.recording import Recorder

            self._recorder = Recorder(record)
        self._interface = interface
        self._cookies = Cookies()
        self._sockets: dict[tuple[int, Kind], socket.socket] = {}
        self._batches: dict[tuple[int, Kind], PacketBatch] = {}
        self._resets: list[tuple[Hop, bytes, int, int]] = []
        self._ports = SourcePorts(HIGHEST_ATTEMPT)
        try:
            self._ring = answer_ring(
                self._ports.first,
                self._ports.first + HIGHEST_ATTEMPT - 1,
                buffer=_BUFFER,
                whole=record is not None,
                hosts=True,
            )
        except BaseException:
            self._ports.close()
            raise

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What becomes readable when there are answers."""
        return (self._ring.fileno(),)

    @property
    def ready(self) -> bool:
        """Whether answers wait to be read."""
        return self._ring.ready

    def next_time(self) -> float | None:
        """Return when there is something to do, whatever comes in: never."""
        return None

    # -- sending --------------------------------------------------------------------------------

    def room(self, timeout: float) -> int:
        """Return how many probes may be given to `send` now, whatever the time-out."""
        del timeout
        return MOST

    def send(self, kind: Kind, asked: Sequence[tuple[bytes, Hop]], attempt: int) -> tuple[int, int]:
        """Send a probe to each address; return how many went, and the errno of the one behind."""
        family = socket.AF_INET if len(asked[0][0]) == 4 else socket.AF_INET6
        sock, batch = self._ready(family, kind)
        size = batch.size
        source_port = self._ports.first + attempt - 1
        for slot, (packed, hop) in enumerate(asked):
            at = slot * size
            self._address(batch, slot, kind, packed, hop)
            if kind == Kind.NEIGHBOUR:
                if family == socket.AF_INET:
                    packets.write_arp(batch.octets, at, hop.mac, hop.source, packed)
                else:
                    packets.write_neighbour(batch.octets, at, hop.mac, packed)
                continue
            cookie = self._cookies.of_host(packed)
            if kind == Kind.ECHO:
                version = 4 if family == socket.AF_INET else 6
                packets.write_echo(batch.octets, at, cookie, attempt, version=version)
            elif kind == Kind.TIMESTAMP:
                packets.write_timestamp(batch.octets, at, cookie, attempt)
            else:
                write = packets.write_syn if kind == Kind.SYN else packets.write_ack
                addresses = hop.sum + packets.address_sum(packed)
                write(batch.octets, at, cookie, source_port, addresses)
        self.began = monotonic()
        now_ns = time.time_ns()  # before the answers
        gone, number = batch.send(sock.fileno(), 0, len(asked))
        if number and not gone:
            return 0, number
        if self._recorder is not None:
            for slot, (packed, hop) in enumerate(asked[:gone]):
                octets = bytes(batch.octets[slot * size : (slot + 1) * size])
                self._recorder.sent(kind, octets, packed, hop, attempt, time_ns=now_ns)
        return gone, 0

    def _ready(self, family: int, kind: Kind) -> tuple[socket.socket, PacketBatch]:
        found = self._batches.get((family, kind))
        if found is not None:
            return self._sockets[family, kind], found
        link = kind == Kind.NEIGHBOUR and family == socket.AF_INET
        if link:
            # Protocol 0: it sends, and receives nothing.
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        else:
            protocols = _IPV4_OF_KIND if family == socket.AF_INET else _IPV6_OF_KIND
            sock = socket.socket(family, socket.SOCK_RAW, protocols[kind])
        self._sockets[family, kind] = sock
        if not link:
            attach_filter(sock, NOTHING)
            if self._interface:
                device = self._interface.encode()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sock.setblocking(False)
        if family == socket.AF_INET6 and kind in {Kind.SYN, Kind.ACK}:
            sock.setsockopt(_IPPROTO_IPV6, _IPV6_CHECKSUM, _TCP_CHECKSUM_AT)
        if family == socket.AF_INET6 and kind == Kind.NEIGHBOUR:
            sock.setsockopt(_IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _LONG_WAY)
        if kind == Kind.NEIGHBOUR:
            size = packets.ARP_SIZE if link else packets.NEIGHBOUR_SIZE
        else:
            size = packets.SIZES[kind]
        address_size = _SOCKADDR_LL.size if link else 16 if family == socket.AF_INET else 28
        batch = PacketBatch(MOST, size, address_size)
        self._batches[family, kind] = batch
        return sock, batch

    @staticmethod
    def _address(batch: PacketBatch, slot: int, kind: Kind, packed: bytes, hop: Hop) -> None:
        """Write the sockaddr of a slot."""
        at = slot * batch.address_size
        if len(packed) == 4:
            if kind == Kind.NEIGHBOUR:
                protocol, everybody = _ARP_FOR_ALL
                _SOCKADDR_LL.pack_into(
                    batch.addresses, at, socket.AF_PACKET, protocol, hop.interface, 0, 0, 6,
                    everybody,
                )  # fmt: skip
                return
            number = int.from_bytes(packed, "little")
            _SOCKADDR_IN.pack_into(batch.addresses, at, socket.AF_INET, 0, number)
            return
        where = packets.solicited_node(packed) if kind == Kind.NEIGHBOUR else packed
        scope = hop.interface if kind == Kind.NEIGHBOUR or packed[:1] == b"\xfe" else 0
        _SOCKADDR_IN6.pack_into(batch.addresses, at, socket.AF_INET6, 0, 0, where, scope)

    def wait_for_room(self, kind: Kind, family: int) -> None:
        """Wait some milliseconds until a full socket has room again."""
        sock = self._sockets.get((family, kind))
        if sock is not None:
            poll = select.poll()
            poll.register(sock, select.POLLOUT)
            poll.poll(20)

    # -- receiving ------------------------------------------------------------------------------

    def receive(self) -> Iterator[tuple[Answer, float]]:
        """Yield what may be answers, with the time when they came in, on the clock of probes."""
        first = self._ports.first
        last = first + HIGHEST_ATTEMPT - 1
        for _ in range(_BLOCKS_A_STEP):
            block = self._ring.take()
            if block is None:
                return
            try:
                found = []
                memory, at = block.octets, block.first
                offset = time.time() - monotonic()
                for _ in range(block.frames):
                    following, seconds, nanoseconds, kept, _, _, _, network, *_ = FRAME.unpack_from(
                        memory, at
                    )
                    packet = memory[at + network : at + network + kept]
                    answer = packets.decode(packet, first, last)
                    if answer is not None:
                        _, interface, _, _, length, source = SENDER.unpack_from(
                            memory, at + SENDER_AT
                        )
                        answer = answer._replace(interface=interface)
                        arrived = seconds + nanoseconds * 1e-9 - offset
                        octets = b"" if self._recorder is None else bytes(packet)
                        time_ns = seconds * 10**9 + nanoseconds
                        found.append((answer, arrived, octets, source[:length], time_ns))
                    at += following
            finally:
                self._ring.release()
            for answer, arrived, octets, source, time_ns in found:
                yield answer, arrived
                if self._recorder is not None and self.believes(answer):
                    self._recorder.answered(answer, octets, source, time_ns=time_ns)

    def believes(self, answer: Answer) -> bool:
        """Whether an answer gives back what was sent to the address that it is about."""
        if answer.attempt > HIGHEST_ATTEMPT:
            return False
        return answer.proof is None or packets.believed(answer, self._cookies.of_host(answer.about))

    def settle(self, answer: Answer, hop: Hop, scope: int) -> None:
        """Take note of an answer that counts: end a connection that it says is half open."""
        if self._recorder is not None and answer.kind == Kind.NEIGHBOUR:
            self._recorder.expect(answer.about, hop)
        if answer.acknowledges is None:
            return
        source = self._ports.first + answer.attempt - 1
        addresses = hop.sum + packets.address_sum(answer.about)
        octets = reset_segment(source, packets.SYN_PORT, answer.acknowledges, addresses)
        family = socket.AF_INET if len(answer.about) == 4 else socket.AF_INET6
        sock, _ = self._ready(family, Kind.SYN)
        host = socket.inet_ntop(family, answer.about)
        where = (host, 0) if family == socket.AF_INET else (host, 0, 0, scope)
        with contextlib.suppress(OSError):  # the host repeats its SYN-ACK, and gives up later
            sock.sendto(octets, where)
            if self._recorder is not None:
                self._recorder.reset(octets, answer, hop, time_ns=time.time_ns())

    @property
    def lost(self) -> int:
        """How many packets found no room in the ring."""
        return self._ring.statistics().dropped

    # -- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """Close everything; a second time does nothing."""
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()
        self._ring.close()
        self._ports.close()

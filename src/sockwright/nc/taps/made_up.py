"""Packets made up around octets that a process read and wrote: IPv4, IPv6, TCP (RFC 9293), UDP.

`sockwright.wire` can say the same, at forty times the time for each packet. The tests decode these
with it, and let it look for mistakes.

What has no IP address gets one out of 127.0.0.0/8, of the kind of end:

    127.1.0.1   unix, unix-abstract
    127.2.0.1   vsock
    127.3.0.1   what is on this machine and no socket: exec, pty, file, -, echo, discard
    127.4.0.1   a host that only its name is known of (behind a proxy)

and ports that no other conversation of the recording has: the side that connects has 1024 and up.
IPv4 within IPv6 (::ffff:192.0.2.7) is IPv4, as it was on the wire. Where one end is IPv6 and the
other is not, the other is written as IPv4 within IPv6.

Packets are Ethernet frames without addresses, as those of the loopback interface are: libpcap reads
a file of several interfaces only if their link type has the same number in files and in memory,
which LINKTYPE_RAW has not.
"""

from __future__ import annotations

import socket
import struct

from sockwright.errors import EndpointError
from sockwright.sockets.endpoint import parse_endpoint
from sockwright.wire.core.checksum import complement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

__all__ = ["ACK", "FIN", "PSH", "RST", "SYN", "Place", "Way", "place_of"]

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
_TCP, _UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP
_ETHER_IPV4, _ETHER_IPV6 = 0x0800, 0x86DD
_IPV4_HEADER = 20
_HOPS = 64
_DONT_FRAGMENT = 0x4000
_WINDOW = 0xFFFF
_WINDOW_SCALE = 7  # 8 MiB may be on the way: more than is ever left without an ACK
# Maximum segment size, padding, window scale (RFC 9293 section 3.2, RFC 7323 section 2.2).
_SYN_OPTIONS = struct.pack(">BBHBBBB", 2, 4, 65495, 1, 3, 3, _WINDOW_SCALE)

_IPV4 = struct.Struct(">12xHHHHHBBH4s4s")
_IPV6 = struct.Struct(">12xHIHBB16s16s")
_SEGMENT = struct.Struct(">HHIIHHHH")
_DATAGRAM = struct.Struct(">HHHH")

_MAPPED = bytes(10) + b"\xff\xff"
_KINDS = {"unix": 1, "unix-abstract": 1, "vsock": 2}
_OTHER, _NAMED = 3, 4
_FIRST_PORT = 1024
_PORTS = 65536 - _FIRST_PORT

_from_bytes = int.from_bytes
_PIECE = 4096  # octets that are summed as one number
_FOLDS = tuple((bits, (1 << bits) - 1) for bits in (16384, 8192, 4096, 2048))


class Place:
    """An address and a port for one end of a conversation; `real` is whether both are its own."""

    __slots__ = ("address", "port", "real")

    def __init__(self, address: bytes, port: int, *, real: bool) -> None:
        self.address = address
        self.port = port
        self.real = real

    def widened(self) -> Place:
        """Return the same place as an IPv6 address."""
        if len(self.address) == 16:
            return self
        return Place(_MAPPED + self.address, self.port, real=self.real)


def place_of(end: str, number: int, role: Literal["client", "server"]) -> Place:
    """Return where `end`, as `nc.ends` writes it, is to be in conversation `number`."""
    scheme, _, rest = end.partition(":")
    port = _FIRST_PORT + number % _PORTS if role == "client" else 1 + number // _PORTS
    if scheme not in {"tcp", "tls", "udp"}:
        kind = _KINDS.get(scheme, _OTHER)
        return Place(bytes((127, kind, 0, 1)), port, real=False)
    try:
        endpoint = parse_endpoint(f"tcp:{rest}")
        host = {"": "127.0.0.1", "*": "0.0.0.0"}.get(endpoint.host, endpoint.host)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        address = socket.inet_pton(family, host)
    except (EndpointError, OSError):
        return Place(bytes((127, _NAMED, 0, 1)), port, real=False)
    return Place(address.removeprefix(_MAPPED), endpoint.port, real=True)


class Way:
    """One direction of a conversation: its packets, and how far its sequence numbers have come."""

    __slots__ = (
        "_dst", "_ports", "_ports_sum", "_src", "ended", "flags", "seq", "unacknowledged",
    )  # fmt: skip

    def __init__(self, src: Place, dst: Place, seq: int, flags: int) -> None:
        self.seq = seq
        """The number of the next octet."""
        self.unacknowledged = 0
        """Octets since the other side last sent an ACK."""
        self.ended = False
        """Whether FIN was sent."""
        self.flags = flags
        """What pcapng is to say of its packets (epb_flags): 1 inbound, 2 outbound."""
        if len(src.address) != len(dst.address):
            src, dst = src.widened(), dst.widened()
        self._src, self._dst = src.address, dst.address
        self._ports = src.port, dst.port
        # What every checksum of this direction has in it, RFC 9293 section 3.1. Sums are modulo
        # 65535, so a number of any width adds what its halves of 16 bits would.
        addresses = _from_bytes(self._src, "big") + _from_bytes(self._dst, "big")
        self._ports_sum = (addresses + src.port + dst.port) % 65535

    def segment(self, flags: int, ack: int, data: bytes | memoryview = b"") -> bytes:
        """Return a frame with the next TCP segment, and count what it takes."""
        seq, options = self.seq, b""
        window, offset = _WINDOW, 5
        if flags & SYN:
            options, offset = _SYN_OPTIONS, 7
        if not flags & ACK:
            ack = 0
        length = 4 * offset + len(data)
        word = offset << 12 | flags
        total = self._ports_sum + _TCP + length + seq + ack + word + window
        checksum = complement(total + _from_bytes(options, "big") + _word_sum(data))
        head = _SEGMENT.pack(*self._ports, seq, ack, word, window, checksum, 0)
        size = len(data) + (1 if flags & (SYN | FIN) else 0)
        self.seq = (seq + size) & 0xFFFF_FFFF
        self.unacknowledged += size
        return b"".join((self._network(_TCP, length), head, options, data))

    def datagram(self, data: bytes | memoryview) -> bytes:
        """Return a frame with a UDP datagram."""
        length = _DATAGRAM.size + len(data)
        # RFC 768: a checksum of 0 is sent as all ones, since 0 means that there is none.
        checksum = complement(self._ports_sum + _UDP + 2 * length + _word_sum(data)) or 0xFFFF
        head = _DATAGRAM.pack(*self._ports, length, checksum)
        return b"".join((self._network(_UDP, length), head, data))

    def _network(self, protocol: int, length: int) -> bytes:
        """Return Ethernet and IPv4 (RFC 791) or IPv6 (RFC 8200) in front of `length` octets."""
        src, dst = self._src, self._dst
        if len(src) == 16:
            return _IPV6.pack(_ETHER_IPV6, 6 << 28, length, protocol, _HOPS, src, dst)
        total = _IPV4_HEADER + length
        addresses = _from_bytes(src, "big") + _from_bytes(dst, "big")
        checksum = complement(addresses + 0x4500 + total + _DONT_FRAGMENT + (_HOPS << 8 | protocol))
        return _IPV4.pack(
            _ETHER_IPV4, 0x4500, total, 0, _DONT_FRAGMENT, _HOPS, protocol, checksum, src, dst
        )


def _word_sum(data: bytes | memoryview) -> int:
    """Return a number congruent to the sum of the 16-bit words of `data`, modulo 65535.

    As `wire.core.checksum.value_of`, and twice as fast where there is much: a remainder takes three
    times as long as an addition, so long numbers are added up and folded first.
    """
    size = len(data)
    whole = size - size % _PIECE
    total = _from_bytes(data[whole:], "big")
    if size & 1:
        total <<= 8
    if whole:
        pieces = [_from_bytes(data[at : at + _PIECE], "big") for at in range(0, whole, _PIECE)]
        total += sum(pieces)
        for bits, mask in _FOLDS:
            total = (total >> bits) + (total & mask)
    return total

"""The packets of discovery: what is written into a buffer, what is read out of an answer.

Nothing is remembered about a probe but when it went. Each bears a cookie, a number that only this
scan can know for that address: in the identifier and the sequence number of ICMP (27 bits, and the
try in the other 5), in the sequence number of TCP (the try is in the source port). ICMP errors
quote both (RFC 792; RFC 4443 section 3.1), so whatever answers can be held to it. ARP and neighbour
discovery have no room for one: there it has to be our address that is answered, on that link.

Buffers are written from offset `at` on; numbers are in network byte order.
"""

from __future__ import annotations

import struct
from typing import Final

from sockwright.scan.discovery.kinds import Answer, Kind
from sockwright.scan.reasons import REASONS, unreachable
from sockwright.scan.sending.segments import MSS_1460, MSS_SUM, OFFSET, SEGMENT, WINDOW, folded

__all__ = [
    "ACK_PORT",
    "ARP_SIZE",
    "NEIGHBOUR_SIZE",
    "SIZES",
    "SYN_PORT",
    "address_sum",
    "believed",
    "decode",
    "solicited_node",
    "write_ack",
    "write_arp",
    "write_echo",
    "write_neighbour",
    "write_syn",
    "write_timestamp",
]

SYN_PORT: Final = 443
ACK_PORT: Final = 80
"""The ports that nmap asks, too: most firewalls let one or the other through."""

SIZES: Final = {
    Kind.ECHO: 16,
    Kind.TIMESTAMP: 20,
    Kind.SYN: 24,
    Kind.ACK: 24,
}
ARP_SIZE: Final = 28
NEIGHBOUR_SIZE: Final = 32

_ATTEMPT: Final = 0x1F
_ECHO = struct.Struct("!BBHI8s")
_TIMESTAMP = struct.Struct("!BBHIIII")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_NEIGHBOUR = struct.Struct("!BBHI16sBB6s")  # RFC 4861 section 4.3, with option 1 (section 4.6.1)
_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_TCP = 6
_ECHO_DATA = b"sockwrig"


_DATA_SUM: Final = sum(struct.unpack("!4H", _ECHO_DATA))


def write_echo(octets: bytearray, at: int, cookie: int, attempt: int, *, version: int) -> None:
    """Write an echo request, RFC 792 or RFC 4443 section 4.1; the kernel sums up that of IPv6."""
    mark = cookie & ~_ATTEMPT | attempt
    if version == 6:
        _ECHO.pack_into(octets, at, 128, 0, 0, mark, _ECHO_DATA)
        return
    checksum = folded(0x0800 + (mark >> 16) + (mark & 0xFFFF) + _DATA_SUM)
    _ECHO.pack_into(octets, at, 8, 0, checksum, mark, _ECHO_DATA)


def write_timestamp(octets: bytearray, at: int, cookie: int, attempt: int) -> None:
    """Write a timestamp request, RFC 792; the time is left out, which its rules allow."""
    mark = cookie & ~_ATTEMPT | attempt
    checksum = folded(0x0D00 + (mark >> 16) + (mark & 0xFFFF))
    _TIMESTAMP.pack_into(octets, at, 13, 0, checksum, mark, 0, 0, 0)


def write_syn(octets: bytearray, at: int, cookie: int, source_port: int, addresses: int) -> None:
    """Write a SYN to `SYN_PORT`, RFC 9293 section 3.1; `addresses` is the sum of both addresses."""
    _segment(octets, at, (source_port, SYN_PORT, cookie, 0, _SYN), addresses)


def write_ack(octets: bytearray, at: int, cookie: int, source_port: int, addresses: int) -> None:
    """Write an ACK to `ACK_PORT` that belongs to no connection: the answer is RST."""
    _segment(octets, at, (source_port, ACK_PORT, cookie, cookie, _ACK), addresses)


def _segment(
    octets: bytearray, at: int, fields: tuple[int, int, int, int, int], addresses: int
) -> None:
    source, destination, sequence, number, flags = fields
    total = addresses + _TCP + 24 + source + destination + (sequence >> 16) + (sequence & 0xFFFF)
    total += (number >> 16) + (number & 0xFFFF) + (OFFSET | flags) + WINDOW + MSS_SUM
    SEGMENT.pack_into(
        octets, at, source, destination, sequence, number, OFFSET | flags, WINDOW,
        folded(total), 0, MSS_1460,
    )  # fmt: skip


def write_arp(octets: bytearray, at: int, mac: bytes, source: bytes, target: bytes) -> None:
    """Write an ARP request for `target`, RFC 826."""
    _ARP.pack_into(octets, at, 1, 0x0800, 6, 4, 1, mac, source, bytes(6), target)


def write_neighbour(octets: bytearray, at: int, mac: bytes, target: bytes) -> None:
    """Write a neighbour solicitation, RFC 4861 section 4.3; the kernel sums it up."""
    _NEIGHBOUR.pack_into(octets, at, 135, 0, 0, 0, target, 1, 1, mac)


def decode(packet: memoryview, first_port: int, last_port: int) -> Answer | None:
    """Return what a packet, from its network header on, says about a host; None: nothing.

    `first_port` is the source port of the first try. Octets from the network come in here: whatever
    they are, no error leaves.
    """
    try:
        version = packet[0] >> 4
        if version == 4:
            return _ipv4(packet, first_port, last_port)
        if version == 6:
            return _ipv6(packet, first_port, last_port)
        return _arp(packet)
    except (IndexError, struct.error):  # shorter than what it claims to be
        return None


def _arp(packet: memoryview) -> Answer | None:
    kind, protocol, hardware_size, size, operation, mac, sender, _, _ = _ARP.unpack_from(packet)
    if (kind, protocol, hardware_size, size, operation) != (1, 0x0800, 6, 4, 2):
        return None
    return Answer(Kind.NEIGHBOUR, sender, "arp-response", mac=mac.hex(":"))


def _ipv4(packet: memoryview, first_port: int, last_port: int) -> Answer | None:
    start = (packet[0] & 15) * 4
    source, ttl = bytes(packet[12:16]), packet[8]
    if int.from_bytes(packet[6:8], "big") & 0x1FFF:
        return None  # a later fragment
    if packet[9] == _TCP:
        return _tcp(packet[start:], source, ttl, first_port, last_port)
    if packet[9] != 1:
        return None
    kind, code, _, mark = struct.unpack_from("!BBHI", packet, start)
    if kind in {0, 14}:
        what = Kind.ECHO if kind == 0 else Kind.TIMESTAMP
        word = "echo-reply" if kind == 0 else "timestamp-reply"
        return Answer(what, source, word, mark, mark & _ATTEMPT, ttl)
    quoted = packet[start + 8 :]
    number = unreachable(4, kind, code, udp=False)
    if number is None or quoted[0] >> 4 != 4:
        return None
    inner = quoted[(quoted[0] & 15) * 4 :]
    about = bytes(quoted[16:20])
    gone = kind == 3 and code == 1
    return _error(inner, quoted[9], about, source, ttl, number, gone, first_port)


def _ipv6(packet: memoryview, first_port: int, last_port: int) -> Answer | None:
    source, ttl = bytes(packet[8:24]), packet[7]
    if packet[6] == _TCP:
        return _tcp(packet[40:], source, ttl, first_port, last_port)
    if packet[6] != 58:
        return None
    kind, code, _, mark = struct.unpack_from("!BBHI", packet, 40)
    if kind == 129:
        return Answer(Kind.ECHO, source, "echo-reply", mark, mark & _ATTEMPT, ttl)
    if kind == 136:
        # RFC 4861 section 7.1.2: from this link, or it is not believed.
        if ttl != 255 or code or not packet[44] & 0x40:
            return None
        option = bytes(packet[64:72])
        mac = option[2:].hex(":") if option[:2] == b"\2\1" else ""
        return Answer(Kind.NEIGHBOUR, bytes(packet[48:64]), "nd-response", mac=mac)
    number = unreachable(6, kind, code, udp=False)
    if number is None:
        return None
    quoted = packet[48:]
    if quoted[0] >> 4 != 6:
        return None
    about = bytes(quoted[24:40])
    gone = kind == 1 and code == 3
    return _error(quoted[40:], quoted[6], about, source, ttl, number, gone, first_port)


def _tcp(
    segment: memoryview, source: bytes, ttl: int, first_port: int, last_port: int
) -> Answer | None:
    port, local, sequence, number, flags = struct.unpack_from("!HHIIxB", segment)
    if not first_port <= local <= last_port:
        return None
    attempt = local - first_port + 1
    if port == SYN_PORT and flags & _ACK:
        proof = number - 1 & 0xFFFFFFFF
        if flags & _RST:
            return Answer(Kind.SYN, source, "reset", proof, attempt, ttl)
        if flags & _SYN:
            return Answer(Kind.SYN, source, "syn-ack", proof, attempt, ttl, acknowledges=number)
    elif port == ACK_PORT and flags & _RST:
        return Answer(Kind.ACK, source, "reset", sequence, attempt, ttl)
    return None


def _error(  # noqa: PLR0917  # one call site for each version of IP
    inner: memoryview,
    protocol: int,
    about: bytes,
    source: bytes,
    ttl: int,
    number: int,
    gone: bool,
    first_port: int,
) -> Answer | None:
    """Return what an ICMP error about one of our probes says."""
    if protocol == _TCP:
        local, port, proof = struct.unpack_from("!HHI", inner)
        if port not in {SYN_PORT, ACK_PORT}:
            return None
        kind, attempt = Kind.SYN if port == SYN_PORT else Kind.ACK, local - first_port + 1
    elif protocol in {1, 58}:
        asked, _, _, proof = struct.unpack_from("!BBHI", inner)
        if asked not in {8, 13, 128}:
            return None
        kind, attempt = Kind.TIMESTAMP if asked == 13 else Kind.ECHO, proof & _ATTEMPT
    else:
        return None
    sender = b"" if source == about else source
    return Answer(kind, about, REASONS[number].word, proof, attempt, ttl, sender=sender, gone=gone)


def solicited_node(address: bytes) -> bytes:
    """Return the multicast address that the owner of an address listens to, RFC 4291 2.7.1."""
    return b"\xff\x02" + bytes(9) + b"\x01\xff" + address[13:]


def believed(answer: Answer, cookie: int) -> bool:
    """Whether an answer gives back the cookie of the address that it is about."""
    if answer.proof is None:
        return True
    if answer.kind in {Kind.ECHO, Kind.TIMESTAMP}:
        return not (answer.proof ^ cookie) & ~_ATTEMPT & 0xFFFFFFFF
    return answer.proof == cookie


def address_sum(*addresses: bytes) -> int:
    """Return the sum of the words of addresses, for the checksum of TCP."""
    return sum(sum(struct.unpack(f"!{len(address) // 2}H", address)) for address in addresses)

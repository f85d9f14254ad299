"""What the kernel put around a probe, made again for a capture file."""

from __future__ import annotations

import struct
from typing import Final, Protocol

from sockwright.wire.core.checksum import internet_checksum

__all__ = ["ETHERTYPE_ARP", "ETHERTYPE_IPV6", "Record", "ethernet_frame", "with_ip_header"]

ETHERTYPE_ARP: Final = 0x0806
ETHERTYPE_IPV6: Final = 0x86DD

_FOR_ALL: Final = b"\xff" * 6
_GROUP = 0xFF  # the first octet of a multicast address, RFC 4291 section 2.7
_TCP, _ICMPV6 = 6, 58
_CHECKSUM_AT: Final = {_TCP: 16, _ICMPV6: 2}


class Record(Protocol):
    """Is told a packet, its time in nanoseconds since 1970, and what it is.

    It begins with its IP header; where `link` names an interface, with its Ethernet header.
    """

    def __call__(
        self,
        octets: bytes,
        time_ns: int,
        comment: str = "",
        *,
        outgoing: bool | None = None,
        link: str = "",
    ) -> None:
        """Note the packet."""


def ethernet_frame(packet: bytes, source: bytes, own: bytes = _FOR_ALL) -> bytes:
    """Return an ARP or IPv6 packet behind its Ethernet header, which the kernel takes off.

    It went to `own`, a link address; where IPv6 sends to a group, that is the one which stands for
    the group on the link (RFC 2464 section 7).
    """
    ethertype = ETHERTYPE_ARP
    if packet[0] >> 4 == 6:
        ethertype = ETHERTYPE_IPV6
        if packet[24] == _GROUP:
            own = b"\x33\x33" + packet[36:40]
    return own + source + ethertype.to_bytes(2, "big") + packet


def with_ip_header(
    source: bytes, destination: bytes, payload: bytes, protocol: int = 6, hop_limit: int = 64
) -> bytes:
    """Return `payload` behind an IPv4 or IPv6 header as Linux writes it, RFC 791 and RFC 8200.

    What the kernel alone knows (the identification) is 0. The checksum that it puts into TCP and
    ICMP over IPv6 (RFC 8200 section 8.1) is made again.
    """
    if len(source) == 16:
        if protocol in _CHECKSUM_AT:
            payload = _summed(source + destination, payload, protocol)
        return (
            struct.pack("!IHBB", 6 << 28, len(payload), protocol, hop_limit)
            + source
            + destination
            + payload
        )
    header = struct.pack(
        "!BBHHHBBH4s4s",
        0x45,
        0,
        20 + len(payload),
        0,
        0x4000,
        hop_limit,
        protocol,
        0,
        source,
        destination,
    )
    checksum = internet_checksum(header).to_bytes(2, "big")
    return header[:10] + checksum + header[12:] + payload


def _summed(addresses: bytes, payload: bytes, protocol: int) -> bytes:
    """Return an IPv6 payload with its checksum, whatever stood in its place."""
    at = _CHECKSUM_AT[protocol]
    octets = payload[:at] + bytes(2) + payload[at + 2 :]
    pseudo = addresses + struct.pack("!II", len(payload), protocol)
    return payload[:at] + struct.pack("!H", internet_checksum(pseudo + octets)) + payload[at + 2 :]

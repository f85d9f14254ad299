"""The datagram that an ICMP error quotes (RFC 792, RFC 4443 section 2.4) and what stands behind it.

A quotation is payload: it is kept as it came, whatever is edited around it. Most are cut short on
purpose, so the errors of a quoted packet are its own and not those of the packet that quotes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.checksum import internet_checksum
from sockwright.wire.core.registry import tables

if TYPE_CHECKING:
    from sockwright.wire.core.header import Header
    from sockwright.wire.core.packet import Packet

__all__ = ["body_of", "quoted_packet", "split_extensions"]

_SHORTEST_QUOTE = 128  # RFC 4884 section 3: before extensions the quote is padded to this


def body_of(header: Header) -> bytes:
    """Return the octets that `header` carries in its packet, trailers excluded."""
    packet = header.packet
    if packet is None:
        return b""
    octets = bytes(packet)
    ends = packet._extents(len(octets))
    start = packet.offset_of(header) + header.size
    return octets[start : ends[packet.layers.index(header)]]


def quoted_packet(octets: bytes, version: int) -> Packet | None:
    """Return the packet in `octets`, which start with an IP header; None without octets.

    An IP version other than 4 and 6 is read as `version`.
    """
    if not octets:
        return None
    forms = tables()["raw_ip"]
    form = forms.get(octets[0] >> 4) or forms.get(version)
    return form[3].decode(octets) if form is not None else None


def split_extensions(body: bytes, length: int) -> tuple[bytes, bytes]:
    """Return the quote in the body of an ICMP error, and the extensions behind it (RFC 4884).

    `length` is that of the quote in octets, 0 where the message does not say it. Then the octets
    from 128 on are taken for extensions only when they start like some (section 5.5).
    """
    if length:
        return body[:length], body[length:]
    rest = body[_SHORTEST_QUOTE:]
    if len(rest) >= 8 and rest[0] >> 4 == 2 and internet_checksum(rest) == 0:
        return body[:_SHORTEST_QUOTE], rest
    return body, b""

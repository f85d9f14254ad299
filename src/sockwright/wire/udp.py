"""User Datagram Protocol, RFC 768."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.checksum import value_of
from sockwright.wire.core.field import Derived, UInt, derived, uint
from sockwright.wire.core.header import Header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["UDP"]

_PROTOCOL = 17


class UDP(Header, layer="udp", carried_by={"ip_protocol": _PROTOCOL}):
    """A UDP header, 8 octets."""

    __slots__ = ()

    src_port: UInt = uint(16, "port of the sender")
    dst_port: UInt = uint(16, "port of the receiver")
    length: Derived = derived(16, "octets of header and data")
    checksum: Derived = derived(16, "over pseudo-header, header and data; 0 for none")

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write length and checksum; a sum that comes out 0 is sent as 0xFFFF."""
        src_port, dst_port, length, checksum = self._values
        auto = self._auto
        size = 8 + len(body)
        if auto & _LENGTH:
            # Data too long for the field: as a jumbogram has it, RFC 2675 section 4.
            length = size if size <= 0xFFFF else 0
        if auto & _CHECKSUM:
            checksum = 0
            addresses = headers[index - 1].pseudo_sum(headers, index - 1) if index else None
            if addresses is not None:
                total = addresses + _PROTOCOL + size + src_port + dst_port + length
                checksum = -(total + value_of(body)) % 65535 or 0xFFFF
        return _pack(src_port, dst_port, length, checksum) + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Stop where the length says; surplus octets (RFC 9868) are a trailer."""
        length = self._values[2]
        stop = offset + length
        if stop == end or length < 8:
            return offset + 8, end, None
        if stop > end:
            packet.note("udp", offset, length, end - offset, "the length")
            stop = end
        return offset + 8, stop, None


_pack = UDP._layout.pack
_LENGTH, _CHECKSUM = UDP.length.mask, UDP.checksum.mask

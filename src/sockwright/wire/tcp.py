"""Transmission Control Protocol, RFC 9293 section 3.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.checksum import value_of
from sockwright.wire.core.field import Derived, Field, UInt, derived, flags, uint, variable
from sockwright.wire.core.flags import FlagSet
from sockwright.wire.core.header import Header
from sockwright.wire.core.option import Option, OptionCodec
from sockwright.wire.tcp_options import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["TCP", "TCPFlags"]

_PROTOCOL = 6


class TCPFlags(
    FlagSet,
    names=("F", "S", "R", "P", "A", "U", "E", "C", "N"),
    words=("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"),
):
    """The control bits: FIN SYN RST PSH ACK URG ECE CWR, and AE (the old NS, RFC 9768)."""

    __slots__ = ()


class TCP(Header, layer="tcp", carried_by={"ip_protocol": _PROTOCOL}):
    """A TCP header, 20 octets and its options.

    `data_offset` counts 32-bit words. `flags` takes a number or letters: ``SA`` is SYN and ACK.
    """

    __slots__ = ()

    src_port: UInt = uint(16, "port of the sender", default=20)
    dst_port: UInt = uint(16, "port of the receiver", default=80)
    seq: UInt = uint(32, "number of the first octet of data, or of the SYN")
    ack: UInt = uint(32, "number of the octet expected next")
    data_offset: Derived = derived(4, "header length in 32-bit words", default=5)
    reserved: UInt = uint(3, "0")
    flags: Field[TCPFlags, int | str] = flags(TCPFlags, "control bits")
    window: UInt = uint(16, "octets the sender will take, before scaling", default=65535)
    checksum: Derived = derived(16, "over pseudo-header, header and data")
    urgent_pointer: UInt = uint(16, "end of the urgent data, from seq on")
    options: Field[tuple[Option, ...], Iterable[Option]] = variable(
        OptionCodec(KINDS), "options, RFC 9293 section 3.2"
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write data offset and checksum. Without an IP header around, the checksum stays 0."""
        src_port, dst_port, seq, ack, control, window, checksum, urgent = self._values
        auto = self._auto
        tail = self._tail
        size = 20 + len(tail)
        if auto & _DATA_OFFSET:
            control = control & 0x0FFF | size << 10
        if auto & _CHECKSUM:
            checksum = 0
            addresses = headers[index - 1].pseudo_sum(headers, index - 1) if index else None
            if addresses is not None:
                total = addresses + _PROTOCOL + size + len(body) + value_of(tail + body)
                total += src_port + dst_port + seq + ack + control + window + urgent
                checksum = -total % 65535
        return (
            _pack(src_port, dst_port, seq, ack, control, window, checksum, urgent) + tail + body
        )

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the options; what follows is the payload."""
        size = self._values[4] >> 10 & 0x3C
        if size > 20:
            return self.take_tail(octets, offset, size, end, packet), end, None
        return offset + 20, end, None


_pack = TCP._layout.pack
_DATA_OFFSET, _CHECKSUM = TCP.data_offset.mask, TCP.checksum.mask

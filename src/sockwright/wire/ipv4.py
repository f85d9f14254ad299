"""Internet Protocol version 4, RFC 791 section 3.1; DSCP and ECN by RFC 2474 and RFC 3168."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sockwright.wire.core.checksum import value_of
from sockwright.wire.core.field import (
    Derived,
    Field,
    IPv4Value,
    UInt,
    derived,
    flags,
    following,
    ipv4,
    uint,
    variable,
)
from sockwright.wire.core.flags import FlagSet
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import IP_PROTOCOLS
from sockwright.wire.core.option import Option, OptionCodec
from sockwright.wire.ipv4_options import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["IPv4", "IPv4Flags"]

EXPERIMENT = 253  # RFC 3692: for experimentation and testing


class IPv4Flags(FlagSet, names=("MF", "DF", "RF")):
    """More fragments, don't fragment, and the bit that stays 0."""

    __slots__ = ()


class IPv4(
    Header,
    layer="ipv4",
    carried_by={
        "ether_type": 0x0800,
        "ip_protocol": 4,
        "link_type": 228,
        "raw_ip": 4,
        "bsd_family": 2,
        "llc_sap": 6,
    },
):
    """An IPv4 header, 20 octets and its options.

    `ihl` counts 32-bit words, `total_length` octets, `fragment_offset` units of 8 octets.
    """

    __slots__ = ()
    is_network: ClassVar[bool] = True

    version: UInt = uint(4, "4", default=4)
    ihl: Derived = derived(4, "header length in 32-bit words", default=5)
    dscp: UInt = uint(6, "differentiated services code point")
    ecn: UInt = uint(
        2,
        "explicit congestion notification",
        values={0: "not ECT", 1: "ECT(1)", 2: "ECT(0)", 3: "CE"},
    )
    total_length: Derived = derived(16, "octets of header and data")
    identification: UInt = uint(16, "common to the fragments of a datagram")
    flags: Field[IPv4Flags, int | str] = flags(IPv4Flags, "fragmentation control")
    fragment_offset: UInt = uint(13, "place of this fragment, in units of 8 octets")
    ttl: UInt = uint(8, "hops this datagram may still take", default=64)
    protocol: Derived = following(
        8, "ip_protocol", "what follows", default=EXPERIMENT, values=IP_PROTOCOLS
    )
    checksum: Derived = derived(16, "over the header")
    src: IPv4Value = ipv4("address of the sender")
    dst: IPv4Value = ipv4("address of the receiver")
    options: Field[tuple[Option, ...], Iterable[Option]] = variable(
        OptionCodec(KINDS), "options, RFC 791 section 3.1"
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write header length, total length, protocol and checksum."""
        first, total_length, identification, fragment, hop, checksum, src, dst = self._values
        auto = self._auto
        tail = self._tail
        size = 20 + len(tail)
        if auto & _IHL:
            first = first & 0xF0FF | size << 6
        if auto & _TOTAL_LENGTH:
            total_length = size + len(body)
            if total_length > 0xFFFF:
                raise ValueError(f"ipv4.total_length: {total_length} octets do not fit 16 bits")
        if upper is not None and auto & _PROTOCOL:
            numbers = upper.carried_by.get("ip_protocol")
            if numbers is not None and hop & 0xFF not in numbers:
                hop = hop & 0xFF00 | numbers[0]
        if auto & _CHECKSUM:
            total = first + total_length + identification + fragment + hop + src + dst
            checksum = -(total + value_of(tail) if tail else total) % 65535
        return (
            _pack(first, total_length, identification, fragment, hop, checksum, src, dst)
            + tail
            + body
        )

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the options, stop at the total length, go on by protocol unless a later fragment."""
        values = self._values
        start = offset + 20
        ihl = values[0] >> 6 & 0x3C
        if ihl > 20:
            start = self.take_tail(octets, offset, ihl, end, packet)
        total_length = values[1]
        stop = offset + total_length
        if stop > end:
            packet.note("ipv4", offset, total_length, end - offset, "the total length")
            stop = end
        elif total_length < ihl:
            # 0 is what a sender leaves to its card (TSO); anything else below the header is a lie.
            stop = end
        if values[3] & 0x3FFF:
            packet.begin_piece()
            if values[3] & 0x1FFF:
                return start, stop, None
        return start, stop, tables["ip_protocol"].get(values[4] & 0xFF)

    @property
    def carries_fragment(self) -> bool:
        """Whether this is a fragment: an offset, or more fragments to come."""
        return bool(self._values[3] & 0x3FFF)

    def pseudo_sum(self, headers: Sequence[Header], index: int) -> int:
        """Return the word sum of both addresses."""
        values = self._values
        return values[6] + values[7]  # type: ignore[no-any-return]


_pack = IPv4._layout.pack
_IHL, _TOTAL_LENGTH = IPv4.ihl.mask, IPv4.total_length.mask
_PROTOCOL, _CHECKSUM = IPv4.protocol.mask, IPv4.checksum.mask

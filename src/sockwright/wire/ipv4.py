"""Internet Protocol version 4, RFC 791 section 3.1; DSCP and ECN by RFC 2474 and RFC 3168."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sockwright.wire.core.announced import protocol_findings
from sockwright.wire.core.checksum import complement, value_of
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
from sockwright.wire.core.martian import ipv4_martians
from sockwright.wire.core.names import IP_PROTOCOLS
from sockwright.wire.core.option import MalformedOption, Option, OptionCodec
from sockwright.wire.core.walk import Walk
from sockwright.wire.ipv4_options import (
    KINDS,
    LooseSourceRoute,
    StrictSourceRoute,
    final_destination,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sockwright.wire.core.finding import Finding, Place, Severity
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["IPv4", "IPv4Flags"]

EXPERIMENT = 253  # RFC 3692: for experimentation and testing
TCP_NUMBER = 6
MORE_FRAGMENTS, DONT_FRAGMENT, RESERVED = 1, 2, 4


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
        "ppp_protocol": 0x0021,
        "chdlc_protocol": 0x0800,
    },
):
    """An IPv4 header, 20 octets and its options.

    `ihl` counts 32-bit words, `total_length` octets, `fragment_offset` units of 8 octets.
    """

    __slots__ = ()
    is_network: ClassVar[bool] = True
    walk = Walk(
        size=("ihl",),
        unit=4,
        end="total_length",
        offset="fragment_offset",
        more_fragments=("flags", MORE_FRAGMENTS),
    )

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
        size = 20
        if tail:
            size += len(tail)
            body = tail + body
        if auto & _IHL:
            first = first & 0xF0FF | size << 6
        if auto & _TOTAL_LENGTH:
            total_length = 20 + len(body)
            if total_length > 0xFFFF:
                raise ValueError(f"ipv4.total_length: {total_length} octets do not fit 16 bits")
        if upper is not None and auto & _PROTOCOL:
            numbers = upper.carried_by.get("ip_protocol")
            if numbers is not None and hop & 0xFF not in numbers:
                hop = hop & 0xFF00 | numbers[0]
        if auto & _CHECKSUM:
            total = first + total_length + identification + fragment + hop + src + dst
            checksum = -(total + value_of(tail) if tail else total) % 65535
        return _pack(first, total_length, identification, fragment, hop, checksum, src, dst) + body

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
            if start < offset + ihl:
                self._auto &= ~_IHL  # of options cut off nobody knows the length but the sender
        total_length = values[1]
        stop = offset + total_length
        if stop != end:
            if stop > end:
                packet.note("ipv4", offset, total_length, end - offset, "the total length")
                stop = end
            elif total_length < ihl:
                # 0 is what a sender leaves to its card (TSO), with more octets perhaps than the
                # field could say; anything else below the header is a lie.
                stop = end
                if not total_length:
                    self._auto &= ~_TOTAL_LENGTH
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
        """Return the word sum of both addresses.

        On a source route that of the source and of where the route ends (RFC 1122 section 3.2.1.8),
        as Linux, scapy and Wireshark have it.
        """
        values = self._values
        if self._tail:
            last = final_destination(self.options)
            if last is not None:
                return int(last) + values[6]  # type: ignore[no-any-return]
        return values[6] + values[7]  # type: ignore[no-any-return]

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on every field that can be wrong."""
        if self.version != 4:
            yield self.finding(
                "version",
                "error",
                "version",
                self.version,
                4,
                "RFC 791 section 3.1",
                "this is no IPv4 header"
                + (", but an IPv6 header behind the number of IPv4" if self.version == 6 else ""),
            )
            return
        yield from self._length_findings(place)
        yield from self._fragment_findings(place)
        if not self.ttl:
            yield self.finding(
                "ttl",
                "error",
                "ttl",
                0,
                "1 to 255",
                "RFC 1122 section 3.2.1.7",
                "the time to live is 0: nobody may send this, and every router drops it",
            )
        yield from self._checksum_findings(place)
        yield from self._option_findings()
        yield from ipv4_martians(self, place, self.src, self.dst)
        if not self.fragment_offset:
            yield from protocol_findings(self, place, "protocol", self.protocol)

    def _length_findings(self, place: Place) -> Iterator[Finding]:
        size = self.size
        ihl, total_length = self.ihl, self.total_length
        if 4 * ihl != size and not place.truncated:
            yield self.finding(
                "ihl",
                "error",
                "ihl",
                ihl,
                size // 4,
                "RFC 791 section 3.1",
                "the header length is below 5 words, the least there is"
                if ihl < 5
                else f"the header length claims {4 * ihl} octets, the header has {size}",
            )
        there = place.end - place.start
        if total_length == there or place.fragment:
            return
        swapped = (total_length & 0xFF) << 8 | total_length >> 8
        severity: Severity = "error"
        if not total_length:
            severity = "warning"
            message = "the length is 0, as a sender leaves it whose card cuts segments (TSO)"
        elif swapped == there:
            message = "the two octets of the total length are swapped: it goes in network order"
        elif total_length < 4 * ihl:
            message = "the total length is below that of the header, which it includes"
        elif total_length > there:
            if place.truncated:
                return
            message = "the total length goes beyond the octets that are there"
        else:
            message = "the total length leaves out octets that belong to the datagram"
        yield self.finding(
            "total-length",
            severity,
            "total_length",
            total_length,
            there,
            "RFC 791 section 3.1",
            message,
        )

    def _fragment_findings(self, place: Place) -> Iterator[Finding]:
        flags, offset = self.flags, self.fragment_offset
        size = place.end - place.body_start
        if flags & RESERVED:
            yield self.finding(
                "reserved-flag",
                "error",
                "flags",
                flags,
                "a reserved bit of 0",
                "RFC 791 section 3.1",
                "the reserved bit in front of DF is set",
            )
        if flags & DONT_FRAGMENT and self.carries_fragment:
            yield self.finding(
                "df-fragment",
                "warning",
                "flags",
                flags,
                "no DF in a fragment",
                "RFC 791 section 2.3",
                "this is a fragment of a datagram that may not be fragmented",
            )
        if flags & MORE_FRAGMENTS and size % 8 and not place.truncated:
            yield self.finding(
                "fragment-length",
                "error",
                "flags",
                f"{size} octets",
                "a multiple of 8 octets",
                "RFC 791 section 3.2",
                "a fragment that is not the last carries a multiple of 8 octets",
            )
        if offset and self.size + 8 * offset + size > 0xFFFF:
            yield self.finding(
                "fragment-offset",
                "error",
                "fragment_offset",
                offset,
                f"up to {(0xFFFF - self.size - size) // 8}",
                "RFC 791 section 3.2",
                "the datagram would be longer than 65535 octets (ping of death)",
            )
        hides = offset == 1 or (flags & MORE_FRAGMENTS and not offset and size < 16)
        if self.protocol == TCP_NUMBER and hides and not place.truncated:
            yield self.finding(
                "tiny-fragment",
                "warning",
                "fragment_offset",
                f"{size} octets at {8 * offset}",
                "a whole TCP header in the first fragment",
                "RFC 1858 section 3",
                "a fragment this small hides the TCP flags from filters",
            )

    def _checksum_findings(self, place: Place) -> Iterator[Finding]:
        header = place.octets[place.start : place.body_start]
        found = self.checksum
        rest = value_of(header[:10] + b"\0\0" + header[12:])
        if (rest + found) % 65535 == 0:
            return
        expected = complement(rest)
        words = (
            sum([int.from_bytes(header[at : at + 2], "big") for at in range(0, len(header), 2)])
            - found
        )
        severity: Severity = "error"
        if not found:
            severity = "warning"
            message = (
                "the checksum is 0: left to the network card (offload), or summed again over a "
                "header that already held it, without setting the field to 0 first"
            )
        elif found == (expected & 0xFF) << 8 | expected >> 8:
            message = "the checksum is right, but its two octets are swapped"
        elif (found - rest) % 65535 == 0:
            message = "this is the sum itself; the checksum is its complement"
        elif found == ~words & 0xFFFF:
            message = "the carries were cut off instead of being added to the sum"
        elif (found + rest + 0x100) % 65535 == 0:
            message = "the checksum fits a TTL one higher: the TTL was changed, the checksum not"
        elif (found + rest + value_of(place.body)) % 65535 == 0:
            message = "the checksum covers the data too; it is for the header alone"
        else:
            message = "the checksum does not fit the header"
        yield self.finding(
            "checksum",
            severity,
            "checksum",
            f"{found:#06x}",
            f"{expected:#06x}",
            "RFC 791 section 3.1",
            message,
        )

    def _option_findings(self) -> Iterator[Finding]:
        for option in self.options:
            if isinstance(option, MalformedOption):
                yield self.finding(
                    "option-length",
                    "error",
                    "options",
                    option.octets.hex(),
                    "a length of 2 or more, inside the header",
                    "RFC 791 section 3.1",
                    "the length of an option is below 2 or goes beyond the header",
                )
            elif isinstance(option, (LooseSourceRoute, StrictSourceRoute)):
                yield self.finding(
                    "source-route",
                    "warning",
                    "options",
                    type(option).__name__,
                    "no source route",
                    "RFC 7126 section 4.3",
                    "a source route: most routers and hosts drop such packets",
                )


_pack = IPv4._layout.pack
_IHL, _TOTAL_LENGTH = IPv4.ihl.mask, IPv4.total_length.mask
_PROTOCOL, _CHECKSUM = IPv4.protocol.mask, IPv4.checksum.mask

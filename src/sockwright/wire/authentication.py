"""IP authentication header, RFC 4302 section 2; for IPv4 and IPv6."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.announced import protocol_findings
from sockwright.wire.core.field import Derived, Octets, UInt, derived, following, raw, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import IP_PROTOCOLS
from sockwright.wire.core.walk import Walk
from sockwright.wire.hop_by_hop import EXPERIMENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["Authentication"]


class Authentication(Header, layer="authentication", carried_by={"ip_protocol": 51}):
    """An authentication header, 12 octets and the integrity check value.

    `payload_len` is the length of this header in 32-bit words, less 2. The value `icv` is not
    computed here: it needs the key of the security association.
    """

    __slots__ = ()
    walk = Walk(size=("payload_len",), unit=4, more=8)

    next_header: Derived = following(
        8, "ip_protocol", "what follows", default=EXPERIMENT, values=IP_PROTOCOLS
    )
    payload_len: Derived = derived(8, "length of this header in 32-bit words, less 2", default=1)
    reserved: UInt = uint(16, "0")
    spi: UInt = uint(32, "security parameters index: names the association", default=256)
    seq: UInt = uint(32, "number of this packet, from 1 on", default=1)
    icv: Octets = raw("integrity check value, padded")

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write next header and length."""
        values = list(self._values)
        if upper is not None:
            self.derive_following(values, upper)
        if self._auto & Authentication.payload_len.mask:
            words = (12 + len(self._tail) + 3) // 4 - 2
            if words > 255:
                raise ValueError(f"authentication.payload_len: {words} is outside 0 to 255")
            values[0] = values[0] & 0xFF00 | words
        return self._layout.pack(*values) + self._tail + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the integrity check value, go on by next header."""
        first = self._values[0]
        stop = self.take_tail(octets, offset, 4 * ((first & 0xFF) + 2), end, packet)
        return stop, end, tables["ip_protocol"].get(first >> 8)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on length, reserved bits, index and next header."""
        claimed = 4 * (self.payload_len + 2)
        multiple = 8 if place.network is not None and place.network.layer == "ipv6" else 4
        if claimed != self.size and not place.truncated and not place.fragment:
            yield self.finding(
                "payload-len",
                "error",
                "payload_len",
                self.payload_len,
                (self.size + 3) // 4 - 2,
                "RFC 4302 section 2.2",
                f"the length claims {claimed} octets, the header has {self.size}",
            )
        elif self.size % multiple:
            yield self.finding(
                "payload-len",
                "error",
                "payload_len",
                f"{self.size} octets",
                f"a multiple of {multiple} octets",
                "RFC 4302 section 3.3.3.2.1",
                "the integrity check value lacks padding",
            )
        if self.reserved:
            yield self.finding(
                "reserved",
                "warning",
                "reserved",
                self.reserved,
                0,
                "RFC 4302 section 2.3",
                "the reserved bits are not zero",
            )
        if not self.spi:
            yield self.finding(
                "spi",
                "error",
                "spi",
                0,
                "256 or more",
                "RFC 4302 section 2.4",
                "index 0 is for use inside a host and may not be sent",
            )
        yield from protocol_findings(self, place, "next_header", self.next_header)

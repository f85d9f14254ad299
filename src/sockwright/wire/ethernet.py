"""Ethernet II and IEEE 802.3 frames, RFC 894 and RFC 1042; IEEE 802.3 section 3.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.announced import ether_type_findings
from sockwright.wire.core.field import Derived, MACValue, following, mac
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import ETHER_TYPES
from sockwright.wire.core.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["Ethernet"]

LONGEST_LENGTH = 1500  # IEEE 802.3 section 3.2.6: up to here the field is a length
LOWEST_TYPE = 1536
LOCAL_EXPERIMENTAL = 0x88B5


class Ethernet(
    Header, layer="ethernet", carried_by={"link_type": 1, "ether_type": 0x6558, "ip_protocol": 143}
):
    """An Ethernet header, 14 octets.

    `ether_type` up to 1500 is the length of an 802.3 frame, whose data start with an LLC header;
    octets behind that length are the packet's trailer.
    """

    __slots__ = ()
    walk = Walk(step="length_or_type")

    dst: MACValue = mac("address of the receiver")
    src: MACValue = mac("address of the sender")
    ether_type: Derived = following(
        16,
        "ether_type",
        "what follows, or the length of an 802.3 frame",
        default=LOCAL_EXPERIMENTAL,
        values=ETHER_TYPES,
    )

    @property
    def length(self) -> int | None:
        """Octets of data when this is an 802.3 frame, None for Ethernet II."""
        value = self.ether_type
        return value if value <= LONGEST_LENGTH else None

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the type of what follows, or the length when that is LLC."""
        dst, src, ether_type = self._values
        if self._auto and upper is not None:
            numbers = upper.carried_by.get("ether_type")
            if numbers is None:
                if upper.layer == "llc":
                    ether_type = min(len(body), LONGEST_LENGTH)
            elif ether_type not in numbers:
                ether_type = numbers[0]
        return _pack(dst, src, ether_type) + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Go on by type, or with LLC inside the length."""
        number = self._values[2]
        offset += 14
        if number > LONGEST_LENGTH:
            return offset, end, tables["ether_type"].get(number)
        if offset + number > end:
            packet.note("ethernet", offset, number, end - offset, "the 802.3 length")
        return offset, min(end, offset + number), tables["ieee802"].get(0)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on addresses and length."""
        if self.src.is_multicast:
            yield self.finding(
                "source-multicast",
                "error",
                "src",
                self.src,
                "a unicast address",
                "IEEE 802.3 section 3.2.3",
                "the sender's address has the group bit set",
            )
        number = self.ether_type
        there = place.end - place.body_start
        if LONGEST_LENGTH < number < LOWEST_TYPE:
            yield self.finding(
                "ether-type",
                "error",
                "ether_type",
                number,
                f"a length up to {LONGEST_LENGTH}, or a type from {LOWEST_TYPE} on",
                "IEEE 802.3 section 3.2.6",
                "the number is neither a length nor a type",
            )
        elif number <= LONGEST_LENGTH and number != there and not place.truncated:
            yield self.finding(
                "length",
                "error",
                "ether_type",
                number,
                there,
                "IEEE 802.3 section 3.2.6",
                "the length of the 802.3 frame is not that of its data",
            )
        yield from ether_type_findings(self, place, "ether_type", number)


_pack = Ethernet._layout.pack

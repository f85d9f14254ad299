"""VLAN tags, IEEE 802.1Q section 9.6; stacked tags (QinQ) as in IEEE 802.1ad."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.announced import ether_type_findings
from sockwright.wire.core.field import Derived, UInt, following, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import ETHER_TYPES
from sockwright.wire.core.walk import Walk
from sockwright.wire.ethernet import LOCAL_EXPERIMENTAL, LONGEST_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["VLAN"]


class VLAN(Header, layer="vlan", carried_by={"ether_type": (0x8100, 0x88A8, 0x9100)}):
    """A VLAN tag behind its EtherType, 4 octets.

    A provider's outer tag is announced by 0x88A8 (old equipment: 0x9100), a customer's by 0x8100,
    which is what is written unless the header before was given another of the three. As in an
    Ethernet header, `ether_type` up to 1500 is a length, and LLC follows.
    """

    __slots__ = ()
    walk = Walk(step="length_or_type")

    pcp: UInt = uint(3, "priority code point")
    dei: UInt = uint(1, "drop eligible indicator")
    vid: UInt = uint(12, "VLAN identifier; 0 for a priority tag, 4095 is reserved")
    ether_type: Derived = following(
        16,
        "ether_type",
        "what follows, or the length of an 802.3 frame",
        default=LOCAL_EXPERIMENTAL,
        values=ETHER_TYPES,
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the type of what follows, or the length when that is LLC."""
        values = self._values
        if self._auto and upper is not None:
            values = list(values)
            if "ieee802" in upper.carried_by:
                values[1] = min(len(body), LONGEST_LENGTH)
            else:
                self.derive_following(values, upper)
        return self._layout.pack(*values) + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Go on by type, or with LLC inside the length."""
        number = self._values[1]
        offset += 4
        if number > LONGEST_LENGTH:
            return offset, end, tables["ether_type"].get(number)
        if offset + number > end:
            packet.note("vlan", offset, number, end - offset, "the 802.3 length")
        return offset, min(end, offset + number), tables["ieee802"].get(0)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on the identifier and on what follows."""
        if self.vid == 0xFFF:
            yield self.finding(
                "vid",
                "error",
                "vid",
                4095,
                "0 to 4094",
                "IEEE 802.1Q section 9.6",
                "VLAN 4095 is reserved and may not be used in a frame",
            )
        yield from ether_type_findings(self, place, "ether_type", self.ether_type)

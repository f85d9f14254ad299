"""Cisco's HDLC: LINKTYPE_C_HDLC; there is no RFC, the form is that of RFC 1547 section 4.3.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.announced import ether_type_findings
from sockwright.wire.core.field import Derived, UInt, following, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import ETHER_TYPES
from sockwright.wire.ethernet import LOCAL_EXPERIMENTAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["CiscoHDLC"]

UNICAST, BROADCAST = 0x0F, 0x8F
SLARP = 0x8035  # serial line ARP, which is not the RARP that Ethernet has under this number
PROTOCOLS: Mapping[int, str] = {**ETHER_TYPES, 0x2000: "CDP", SLARP: "SLARP", 0xFEFE: "OSI"}


class CiscoHDLC(Header, layer="cisco_hdlc", carried_by={"link_type": 104}):
    """Address, control and an EtherType, 4 octets."""

    __slots__ = ()

    address: UInt = uint(
        8, "to one or to all", default=UNICAST, values={UNICAST: "unicast", BROADCAST: "broadcast"}
    )
    control: UInt = uint(8, "0")
    protocol_type: Derived = following(
        16, "ether_type", "what follows", default=LOCAL_EXPERIMENTAL, values=PROTOCOLS
    )

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Go on by type."""
        number = self._values[-1]
        return offset + 4, end, None if number == SLARP else tables["ether_type"].get(number)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on address, control and what follows."""
        if self.address not in (UNICAST, BROADCAST):
            yield self.finding(
                "address",
                "warning",
                "address",
                f"{self.address:#04x}",
                "0x0f or 0x8f",
                "LINKTYPE_C_HDLC",
                "the address is neither that of one nor that of all",
            )
        if self.control:
            yield self.finding(
                "control",
                "warning",
                "control",
                f"{self.control:#04x}",
                "0x00",
                "LINKTYPE_C_HDLC",
                "the control octet is 0",
            )
        yield from ether_type_findings(self, place, "protocol_type", self.protocol_type)

"""Cisco's HDLC: LINKTYPE_C_HDLC; there is no RFC, the form is that of RFC 1547 section 4.3.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.field import Derived, UInt, following, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import ETHER_TYPES
from sockwright.wire.ethernet import LOCAL_EXPERIMENTAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sockwright.wire.core.finding import Finding, Place

__all__ = ["CiscoHDLC"]

UNICAST, BROADCAST = 0x0F, 0x8F
# Mostly EtherTypes, but 0x8035 is not the RARP of Ethernet.
PROTOCOLS: Mapping[int, str] = {**ETHER_TYPES, 0x2000: "CDP", 0x8035: "SLARP", 0xFEFE: "OSI"}


class CiscoHDLC(Header, layer="cisco_hdlc", carried_by={"link_type": 104}):
    """Address, control and an EtherType, 4 octets."""

    __slots__ = ()

    address: UInt = uint(
        8, "to one or to all", default=UNICAST, values={UNICAST: "unicast", BROADCAST: "broadcast"}
    )
    control: UInt = uint(8, "0")
    protocol_type: Derived = following(
        16, "chdlc_protocol", "what follows", default=LOCAL_EXPERIMENTAL, values=PROTOCOLS
    )

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
        upper, number = place.upper, self.protocol_type
        numbers = upper.carried_by.get("chdlc_protocol", ()) if upper is not None else ()
        if upper is not None and number not in numbers:
            yield self.finding(
                "protocol-type",
                "error",
                "protocol_type",
                f"{number:#06x}",
                f"{numbers[0]:#06x}" if numbers else "another header",
                "LINKTYPE_C_HDLC",
                f"the type does not announce {type(upper).__name__}, which follows",
            )

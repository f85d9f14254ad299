"""Virtual eXtensible Local Area Network, RFC 7348 section 5: Ethernet frames in UDP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.field import UInt, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["VXLAN"]

PORT = 4789
VNI_IS_VALID = 0x08
ETHERNET = 0x6558


class VXLAN(Header, layer="vxlan", carried_by={"udp_port": PORT}):
    """A VXLAN header, 8 octets, with an Ethernet frame behind it.

    ``UDP(src_port=50000, dst_port=4789) / VXLAN(vni=7) / Ethernet() / IPv4()``.
    """

    __slots__ = ()
    walk = Walk(always=("ether_type", ETHERNET))

    flags: UInt = uint(8, "0x08 (I): the VNI is valid", default=VNI_IS_VALID)
    reserved: UInt = uint(24, "0; extensions put a group policy there")
    vni: UInt = uint(24, "network identifier: which of the networks the frame is in")
    reserved2: UInt = uint(8, "0")

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Go on with Ethernet."""
        return offset + 8, end, tables["ether_type"].get(ETHERNET)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on flags, reserved bits and what follows."""
        if not self.flags & VNI_IS_VALID:
            yield self.finding(
                "flags",
                "error",
                "flags",
                f"{self.flags:#04x}",
                "0x08",
                "RFC 7348 section 5",
                "the I flag is not set, so there is no valid network identifier",
            )
        if self.flags & ~VNI_IS_VALID or self.reserved or self.reserved2:
            yield self.finding(
                "reserved",
                "note",
                "reserved" if self.reserved or not self.reserved2 else "reserved2",
                f"{self.flags & ~VNI_IS_VALID:#04x}, {self.reserved:#08x}, {self.reserved2:#04x}",
                "0",
                "RFC 7348 section 5",
                "reserved bits are set: an extension, such as group policy, or a mistake",
            )
        upper = place.upper
        if upper is not None and ETHERNET not in upper.carried_by.get("ether_type", ()):
            yield self.finding(
                "carries",
                "error",
                "",
                type(upper).__name__,
                "Ethernet",
                "RFC 7348 section 5",
                f"only Ethernet can follow, and {type(upper).__name__} does",
            )

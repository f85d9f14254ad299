"""Linux cooked capture, version 2: LINKTYPE_LINUX_SLL2, which tells the interface as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.field import Derived, Octets, UInt, following, octets, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import ETHER_TYPES
from sockwright.wire.core.walk import Walk
from sockwright.wire.ethernet import LOCAL_EXPERIMENTAL
from sockwright.wire.linux_cooked import (
    ARPHRD,
    PACKET_TYPES,
    cooked_findings,
    emit_cooked,
    next_form,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["LinuxCooked2"]


class LinuxCooked2(Header, layer="linux_cooked2", carried_by={"link_type": 276}):
    """What stands in for the link-layer header in captures from all interfaces, 20 octets."""

    __slots__ = ()
    walk = Walk(step="cooked", asks="arphrd_type")

    protocol: Derived = following(
        16, "ether_type", "what follows", default=LOCAL_EXPERIMENTAL, values=ETHER_TYPES
    )
    reserved: UInt = uint(16, "0")
    interface_index: UInt = uint(32, "number of the interface on the capturing host")
    arphrd_type: UInt = uint(16, "kind of interface", default=1, values=ARPHRD)
    packet_type: UInt = uint(8, "direction", values=PACKET_TYPES)
    address_length: UInt = uint(8, "octets of the sender's address", default=6)
    address: Octets = octets(8, "link-layer address of the sender, padded")

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the type of what follows."""
        return emit_cooked(self, body, upper, 0)

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Go on by EtherType, or with LLC."""
        return offset + 20, end, next_form(self._values[0], self._values[3], tables)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on reserved octets, the length of the address and what follows."""
        if self.reserved:
            yield self.finding(
                "reserved",
                "warning",
                "reserved",
                self.reserved,
                0,
                "LINKTYPE_LINUX_SLL2",
                "the reserved octets are not zero",
            )
        yield from cooked_findings(
            self, place, self.address_length, self.arphrd_type, self.protocol
        )

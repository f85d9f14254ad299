"""Linux cooked capture, version 1: LINKTYPE_LINUX_SLL, as `tcpdump -i any` writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.announced import ether_type_findings
from sockwright.wire.core.field import Derived, Octets, UInt, following, octets, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import ETHER_TYPES
from sockwright.wire.core.walk import Walk
from sockwright.wire.ethernet import LOCAL_EXPERIMENTAL, LONGEST_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["ARPHRD", "PACKET_TYPES", "LinuxCooked", "cooked_findings", "emit_cooked", "next_form"]

LLC_FRAME = 4  # ETH_P_802_2
NOT_ETHER_TYPES = (824, 803)  # netlink and radiotap have numbers of their own
PACKET_TYPES: Mapping[int, str] = {
    0: "to us",
    1: "broadcast",
    2: "multicast",
    3: "to another host",
    4: "sent by us",
}
ARPHRD: Mapping[int, str] = {
    1: "Ethernet",
    512: "PPP",
    768: "IPIP tunnel",
    772: "loopback",
    776: "SIT tunnel",
    778: "GRE",
    801: "IEEE 802.11",
    803: "radiotap",
    824: "netlink",
    65534: "no link layer",
}


def emit_cooked(header: Header, body: bytes, upper: Header | None, protocol: int) -> bytes:
    """Return a cooked header and `body`; the number of `upper` goes into word `protocol`."""
    values = list(header._values)
    if upper is not None:
        if header._auto and "ieee802" in upper.carried_by:
            values[protocol] = LLC_FRAME
        else:
            header.derive_following(values, upper)
    return header._layout.pack(*values) + body


def next_form(number: int, arphrd: int, tables: Tables) -> Form | None:
    """Return the form of what follows a cooked header with this protocol and hardware type."""
    if arphrd in NOT_ETHER_TYPES:
        return None
    if number == LLC_FRAME:
        return tables["ieee802"].get(0)
    return tables["ether_type"].get(number)


def cooked_findings(
    header: Header, place: Place, length: int, arphrd: int, protocol: int
) -> Iterator[Finding]:
    """Judge what both versions have: the length of the address, and the protocol."""
    if length > 8:
        # The address is cut to eight octets; its length is not.
        yield header.finding(
            "address-length",
            "note",
            "address_length",
            length,
            "0 to 8",
            "LINKTYPE_LINUX_SLL",
            "the address is longer than the 8 octets that are kept of it",
        )
    if arphrd not in NOT_ETHER_TYPES and protocol > LONGEST_LENGTH:
        yield from ether_type_findings(header, place, "protocol", protocol)


class LinuxCooked(Header, layer="linux_cooked", carried_by={"link_type": 113}):
    """What stands in for the link-layer header in captures from all interfaces, 16 octets."""

    __slots__ = ()
    walk = Walk(step="cooked", asks="arphrd_type")

    packet_type: UInt = uint(16, "direction", values=PACKET_TYPES)
    arphrd_type: UInt = uint(16, "kind of interface", default=1, values=ARPHRD)
    address_length: UInt = uint(16, "octets of the sender's address", default=6)
    address: Octets = octets(8, "link-layer address of the sender, padded")
    protocol: Derived = following(
        16, "ether_type", "what follows", default=LOCAL_EXPERIMENTAL, values=ETHER_TYPES
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the type of what follows."""
        return emit_cooked(self, body, upper, 4)

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Go on by EtherType, or with LLC."""
        values = self._values
        return offset + 16, end, next_form(values[-1], values[1], tables)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on the length of the address and on what follows."""
        yield from cooked_findings(
            self, place, self.address_length, self.arphrd_type, self.protocol
        )

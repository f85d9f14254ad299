"""Multiprotocol label switching: one entry of the label stack, RFC 3032 section 2.1.

What lies under the stack is nowhere said. Where its first four bits are 4 or 6 it is taken for IP
(RFC 4928 section 2 asks what is no IP to avoid them); a pseudowire stays payload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.field import Derived, UInt, derived, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["LABELS", "MPLS"]

UNICAST = 0x8847
BOTTOM = 0x100
ROUTER_ALERT, IPV6_NULL, IMPLICIT_NULL = 1, 2, 3
FIRST_ORDINARY = 16
LABELS: Mapping[int, str] = {
    0: "IPv4 explicit null",
    ROUTER_ALERT: "router alert",
    IPV6_NULL: "IPv6 explicit null",
    IMPLICIT_NULL: "implicit null",
    7: "entropy label indicator",
    13: "generic associated channel",
    14: "OAM alert",
    15: "extension",
}
"""Special-purpose labels by the IANA registry (RFC 7274)."""
_NOT_UNDER = {0: "ipv6", IPV6_NULL: "ipv4"}


class MPLS(
    Header,
    layer="mpls",
    carried_by={
        "ether_type": (UNICAST, 0x8848),
        "ppp_protocol": (0x0281, 0x0283),
        "chdlc_protocol": (UNICAST, 0x8848),
        "ip_protocol": 137,
        "udp_port": 6635,
        "link_type": 219,
    },
):
    """An entry of the label stack, 4 octets. A stack is several of them: ``MPLS() / MPLS()``.

    `bottom` is set in the last entry, and computed from what follows.
    """

    __slots__ = ()
    walk = Walk(always=("ether_type", UNICAST), step="mpls", asks="bottom")

    label: UInt = uint(20, "label", default=FIRST_ORDINARY, values=LABELS)
    traffic_class: UInt = uint(3, "traffic class (RFC 5462), once called EXP")
    bottom: Derived = derived(1, "1 in the last entry of the stack", default=1)
    ttl: UInt = uint(8, "hops the packet may still take", default=64)

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write whether this is the bottom of the stack."""
        entry = self._values[0]
        if self._auto:
            entry = entry & ~BOTTOM if isinstance(upper, MPLS) else entry | BOTTOM
        return self._pack(entry) + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Go on with the next entry, or under the bottom with IP, by its version."""
        offset += 4
        if not self._values[0] & BOTTOM:
            return offset, end, tables["ether_type"].get(UNICAST)
        return offset, end, tables["raw_ip"].get(octets[offset] >> 4) if offset < end else None

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on label, bottom of stack and TTL."""
        label, bottom, upper = self.label, self.bottom, place.upper
        if label == IMPLICIT_NULL:
            yield self.finding(
                "label",
                "error",
                "label",
                label,
                "no entry at all",
                "RFC 3032 section 2.1",
                "implicit null is for signalling; it never stands in a packet",
            )
        elif label == ROUTER_ALERT and bottom:
            yield self.finding(
                "label",
                "error",
                "label",
                label,
                "a label below it",
                "RFC 3032 section 2.1",
                "router alert may not be at the bottom of the stack",
            )
        elif bottom and upper is not None and upper.layer == _NOT_UNDER.get(label):
            yield self.finding(
                "label",
                "error",
                "label",
                label,
                IPV6_NULL - label,
                "RFC 3032 section 2.1",
                f"{LABELS[label]} does not announce {type(upper).__name__}, which follows",
            )
        if upper is not None and bottom == isinstance(upper, MPLS):
            yield self.finding(
                "bottom",
                "error",
                "bottom",
                bottom,
                1 - bottom,
                "RFC 3032 section 2.1",
                f"{type(upper).__name__} follows, so this entry is "
                f"{'not ' * bottom}the bottom of the stack",
            )
        if not self.ttl:
            yield self.finding(
                "ttl",
                "warning",
                "ttl",
                0,
                "1 or more",
                "RFC 3032 section 2.4.2",
                "a packet with this TTL is not forwarded",
            )

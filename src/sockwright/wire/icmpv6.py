"""Internet Control Message Protocol version 6, RFC 4443: the header that all its messages share.

What follows is a header of its own for each type, found in the registry ``icmpv6_type``:
``ICMPv6() / NeighborSolicitation(target="fe80::1")`` fills in the type and the checksum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.checksum import value_of
from sockwright.wire.core.field import Derived, UInt, derived, following, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.transport_checksum import transport_checksum_findings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sockwright.wire.core.finding import Finding, Place

__all__ = ["CODES", "TYPES", "ICMPv6"]

_PROTOCOL = 58
_EXPERIMENT = 200  # RFC 4443 section 2.1: for private experimentation

TYPES: Mapping[int, str] = {
    1: "destination unreachable",
    2: "packet too big",
    3: "time exceeded",
    4: "parameter problem",
    100: "private experiment 1",
    101: "private experiment 2",
    128: "echo request",
    129: "echo reply",
    130: "multicast listener query",
    131: "multicast listener report",
    132: "multicast listener done",
    133: "router solicitation",
    134: "router advertisement",
    135: "neighbor solicitation",
    136: "neighbor advertisement",
    137: "redirect",
    138: "router renumbering",
    139: "node information query",
    140: "node information response",
    141: "inverse neighbor solicitation",
    142: "inverse neighbor advertisement",
    143: "multicast listener report, version 2",
    144: "home agent discovery request",
    145: "home agent discovery reply",
    146: "mobile prefix solicitation",
    147: "mobile prefix advertisement",
    148: "certification path solicitation",
    149: "certification path advertisement",
    151: "multicast router advertisement",
    152: "multicast router solicitation",
    153: "multicast router termination",
    154: "FMIPv6",
    155: "RPL control",
    157: "duplicate address request",
    158: "duplicate address confirmation",
    160: "extended echo request",
    161: "extended echo reply",
    200: "private experiment 3",
    201: "private experiment 4",
}
"""Message types by the IANA registry "ICMPv6 'type' Numbers"."""

CODES: Mapping[int, Mapping[int, str]] = {
    1: {
        0: "no route to destination",
        1: "administratively prohibited",
        2: "beyond scope of source address",
        3: "address unreachable",
        4: "port unreachable",
        5: "source address failed policy",
        6: "reject route to destination",
        7: "error in source routing header",
        8: "headers too long",
    },
    3: {0: "hop limit exceeded in transit", 1: "fragment reassembly time exceeded"},
    4: {
        0: "erroneous header field",
        1: "unknown next header",
        2: "unknown IPv6 option",
        3: "first fragment has incomplete headers",
        4: "upper-layer header too long for hardware",
        5: "unknown next header at intermediate node",
        6: "extension header too big",
        7: "extension header chain too long",
        8: "too many extension headers",
        9: "too many options in extension header",
        10: "option too big",
    },
}
"""Code names by type, RFC 4443, RFC 7112, RFC 8883. Types 2 and 128 to 137 have code 0 alone."""

_CODE_ZERO = (2, *range(128, 138), 143)


class ICMPv6(Header, layer="icmpv6", carried_by={"ip_protocol": _PROTOCOL}):
    """Type, code and checksum: 4 octets. The message behind them is the next layer."""

    __slots__ = ()

    type: Derived = following(
        8, "icmpv6_type", "kind of message", default=_EXPERIMENT, values=TYPES
    )
    code: UInt = uint(8, "kind within the type")
    checksum: Derived = derived(16, "over pseudo-header and message")

    @property
    def code_name(self) -> str:
        """The name of the code, or nothing where there is none."""
        return CODES.get(self.type, {}).get(self.code, "")

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write type and checksum. Without an IP header around, the checksum stays 0."""
        values = self._values
        if self._auto:
            values = list(values)
            if upper is not None:
                self.derive_following(values, upper)
            if self._auto & _CHECKSUM:
                values[1] = 0
                addresses = headers[index - 1].pseudo_sum(headers, index - 1) if index else None
                if addresses is not None:
                    total = addresses + _PROTOCOL + 4 + len(body) + values[0] + value_of(body)
                    values[1] = -total % 65535
        return self._pack(*values) + body

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on type, code, checksum and the message that follows."""
        if place.network is not None and place.network.layer == "ipv4":
            yield self.finding(
                "over-ipv4",
                "error",
                "",
                "ICMPv6",
                "ICMP",
                "RFC 792",
                "IPv4 has a protocol of its own for this: ICMP, protocol 1",
            )
        kind, code = self.type, self.code
        numbers = place.upper.carried_by.get("icmpv6_type") if place.upper is not None else None
        if numbers and kind not in numbers:
            yield self.finding(
                "type",
                "error",
                "type",
                kind,
                numbers[0],
                "RFC 4443 section 2.1",
                f"the type says {TYPES.get(kind, kind)}, but {type(place.upper).__name__} follows",
            )
        elif kind not in TYPES:
            yield self.finding(
                "type",
                "note",
                "type",
                kind,
                "a type that is assigned",
                "RFC 4443 section 2.1",
                f"unknown {'error' if kind < 128 else 'informational'} message",
            )
        elif code not in CODES.get(kind, (0,) if kind in _CODE_ZERO else range(256)):
            yield self.finding(
                "code",
                "warning",
                "code",
                code,
                ", ".join(map(str, CODES.get(kind, (0,)))),
                "RFC 4443 section 3" if kind < 128 else "RFC 4443 section 4",
                f"{TYPES[kind]} has no code {code}",
            )
        yield from transport_checksum_findings(place, _PROTOCOL, 2, "RFC 4443 section 2.3")


_CHECKSUM = ICMPv6.checksum.mask

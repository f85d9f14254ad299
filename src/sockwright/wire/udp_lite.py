"""UDP-Lite, RFC 3828: a datagram whose checksum covers only its first octets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.checksum import value_of
from sockwright.wire.core.field import Derived, UInt, derived, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.transport_checksum import transport_checksum_findings
from sockwright.wire.udp import port_findings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.wire.core.finding import Finding, Place

__all__ = ["UDPLite"]

_PROTOCOL = 136


class UDPLite(Header, layer="udp_lite", carried_by={"ip_protocol": _PROTOCOL}):
    """A UDP-Lite header, 8 octets.

    `coverage` counts the octets from the start of the header that the checksum protects: 8 for the
    header alone, 0 for everything. The length of the datagram is that of the IP header.
    """

    __slots__ = ()

    src_port: UInt = uint(16, "port of the sender")
    dst_port: UInt = uint(16, "port of the receiver")
    coverage: UInt = uint(16, "octets the checksum covers; 0 for all")
    checksum: Derived = derived(16, "over pseudo-header and the octets covered")

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the checksum; a sum that comes out 0 is sent as 0xFFFF."""
        values = self._values
        if self._auto:
            values = [*values[:3], 0]
            addresses = headers[index - 1].pseudo_sum(headers, index - 1) if index else None
            if addresses is not None:
                # A coverage that is not possible is written as asked for; the sum is then over all.
                covered = body[: values[2] - 8] if values[2] >= 8 else body
                total = addresses + _PROTOCOL + 8 + len(body) + sum(values) + value_of(covered)
                values[3] = -total % 65535 or 0xFFFF
        return self._pack(*values) + body

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on ports, coverage and checksum."""
        yield from port_findings(self, self.src_port, self.dst_port, "RFC 3828 section 3.1")
        whole, coverage = place.whole, self.coverage
        if 0 < coverage < 8 or (coverage > len(whole) and not place.truncated):
            yield self.finding(
                "coverage",
                "error",
                "coverage",
                f"{coverage}",
                f"0, or 8 to {len(whole)}",
                "RFC 3828 section 3.1",
                "the coverage must hold the header and end inside the datagram",
            )
        elif self.checksum == 0:
            yield self.finding(
                "checksum",
                "error",
                "checksum",
                "0x0000",
                "a checksum",
                "RFC 3828 section 3.1",
                "a checksum of 0 is not allowed: the header at least is always covered",
            )
        else:
            covered = whole[:coverage] if coverage else whole
            reference = "RFC 3828 section 3.1"
            yield from transport_checksum_findings(place, _PROTOCOL, 6, reference, covered)

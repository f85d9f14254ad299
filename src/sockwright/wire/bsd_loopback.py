"""BSD loopback encapsulation: LINKTYPE_NULL and LINKTYPE_LOOP.

Four octets hold the address family of the capturing system: in network order for LINKTYPE_LOOP, in
the order of that machine for LINKTYPE_NULL. Families fit 16 bits, so the octets tell the order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.field import Derived, Field, following
from sockwright.wire.core.header import Header
from sockwright.wire.core.walk import Choice, Walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["BSDLoopback", "BSDNull"]

FAMILIES: Mapping[int, str] = {
    2: "IPv4",
    7: "OSI",
    10: "IPv6 (Linux)",
    23: "IPX",
    24: "IPv6 (NetBSD, OpenBSD)",
    28: "IPv6 (FreeBSD)",
    30: "IPv6 (macOS)",
}


def _swap(value: int) -> int:
    """Turn the octets of a 32-bit number round. Raises: ValueError where it has more bits."""
    if not 0 <= value <= 0xFFFFFFFF:
        raise ValueError(f"{value} is outside 0 to 4294967295")
    return int.from_bytes(value.to_bytes(4, "big"), "little")


def _family_findings(header: Header, place: Place, family: int) -> Iterator[Finding]:
    upper = place.upper
    if upper is not None and family not in upper.carried_by.get("bsd_family", ()):
        yield header.finding(
            "family",
            "error",
            "family",
            f"{family} ({FAMILIES.get(family, 'unknown')})",
            ", ".join(map(str, upper.carried_by.get("bsd_family", ()))) or "another header",
            "LINKTYPE_NULL",
            f"family {family} does not announce {type(upper).__name__}, which follows",
        )


class BSDLoopback(Header, layer="bsd_loopback", carried_by={"link_type": 108}):
    """The family in network order, 4 octets."""

    __slots__ = ()

    family: Derived = following(32, "bsd_family", "what follows", default=2, values=FAMILIES)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield a finding when the family does not announce what follows."""
        yield from _family_findings(self, place, self.family)


def _choose(octets: bytes, offset: int, end: int) -> type[Header]:
    """Choose the order in which the family is below 65536."""
    first = octets[offset : min(end, offset + 4)]
    return BSDLoopback if first[:2] == b"\0\0" and any(first) else BSDNull


class BSDNull(Header, layer="bsd_loopback", carried_by={"link_type": 0}):
    """The family in the order of a little-endian machine, 4 octets; big-endian ones are chosen."""

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = Walk(
        following=("family", "bsd_family"),
        step="swapped",
        forms=Choice(
            at=0,
            width=4,
            needs=4,
            short="BSDNull",
            cases=((0xFFFFFFFF, 0, "BSDNull"), (0xFFFF0000, 0, "BSDLoopback")),
            otherwise="BSDNull",
        ),
    )

    family: Derived = Field(
        "uint",
        32,
        "what follows",
        default=0x02000000,
        values=FAMILIES,
        is_derived=True,
        to_raw=_swap,
        from_raw=_swap,
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the family of what follows."""
        values = list(self._values)
        if upper is not None and self._auto:
            numbers = upper.carried_by.get("bsd_family")
            if numbers is not None and _swap(values[0]) not in numbers:
                values[0] = _swap(numbers[0])
        return self._layout.pack(*values) + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Go on by family."""
        return offset + 4, end, tables["bsd_family"].get(_swap(self._values[0]))

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield a finding when the family does not announce what follows."""
        yield from _family_findings(self, place, self.family)

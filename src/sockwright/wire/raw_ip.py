"""Raw IP: LINKTYPE_RAW, a capture without link layer, whose first four bits are the IP version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.header import Header
from sockwright.wire.core.registry import tables
from sockwright.wire.core.walk import Choice, Walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.wire.core.finding import Finding, Place

__all__ = ["RawIP"]


def _choose(octets: bytes, offset: int, end: int) -> type[Header]:
    """Choose IPv4 or IPv6 by the version; anything else stays raw octets."""
    form = tables()["raw_ip"].get(octets[offset] >> 4) if offset < end else None
    return RawIP if form is None else form[-1]


class RawIP(Header, layer="raw_ip", carried_by={"link_type": (101, 12, 14)}):
    """No header at all. ``RawIP.decode`` gives a packet that starts with IPv4 or IPv6.

    Only where the version is neither 4 nor 6 it stands in the packet itself, without any octets.
    """

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = Walk(
        forms=Choice(
            at=0,
            width=1,
            needs=1,
            short="RawIP",
            cases=((0xF0, 0x40, "IPv4"), (0xF0, 0x60, "IPv6")),
            otherwise="RawIP",
        )
    )

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Say that the octets are neither IPv4 nor IPv6."""
        if place.upper is None:
            octets = place.octets[place.start :]
            yield self.finding(
                "version",
                "error",
                "",
                octets[0] >> 4 if octets else "nothing",
                "4 or 6",
                "LINKTYPE_RAW",
                "a raw IP packet starts with the version, 4 or 6",
            )

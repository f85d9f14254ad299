"""IP encapsulating security payload, RFC 4303 section 2; for IPv4 and IPv6."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.field import UInt, uint
from sockwright.wire.core.header import Header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.wire.core.finding import Finding, Place

__all__ = ["ESP"]

LAST_RESERVED = 255


class ESP(Header, layer="esp", carried_by={"ip_protocol": 50}):
    """The part of ESP that is not encrypted, 8 octets; all else is payload.

    What the payload is, and where padding and integrity check value begin in it, only those know
    who have the keys of the association.
    """

    __slots__ = ()

    spi: UInt = uint(32, "security parameters index: names the association", default=256)
    seq: UInt = uint(32, "number of this packet, from 1 on", default=1)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on index, number and length."""
        if self.spi <= LAST_RESERVED:
            yield self.finding(
                "spi",
                "error" if not self.spi else "warning",
                "spi",
                self.spi,
                "256 or more",
                "RFC 4303 section 2.1",
                "index 0 is for use inside a host and may not be sent"
                if not self.spi
                else "the indices 1 to 255 are reserved",
            )
        if not self.seq:
            yield self.finding(
                "seq",
                "warning",
                "seq",
                0,
                "1 or more",
                "RFC 4303 section 3.3.3",
                "the first packet of an association has the number 1",
            )
        if place.upper is None and not place.truncated and not place.fragment:
            there = len(place.body)
            if there % 4 or not there:
                yield self.finding(
                    "length",
                    "error",
                    "",
                    f"{there} octets",
                    "a multiple of 4 octets",
                    "RFC 4303 section 2.4",
                    "padding makes what is encrypted end on a word, with two octets at least",
                )

"""Subnetwork access protocol, IEEE 802 section 9.3; for IP: RFC 1042."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.announced import ether_type_findings
from sockwright.wire.core.field import Derived, Octets, following, octets
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import ETHER_TYPES
from sockwright.wire.core.walk import Walk
from sockwright.wire.ethernet import LOCAL_EXPERIMENTAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["SNAP"]

ENCAPSULATED_ETHERNET = (b"\0\0\0", b"\0\0\xf8")  # IEEE 802.1H: the second one for bridges


class SNAP(Header, layer="snap", carried_by={"llc_sap": (0xAA, 0xAB)}):
    """A SNAP header, 5 octets. Where `oui` is 0, `pid` is an EtherType."""

    __slots__ = ()
    walk = Walk(step="snap", asks="oui")

    oui: Octets = octets(3, "organisation that defines pid")
    pid: Derived = following(
        16, "ether_type", "what follows", default=LOCAL_EXPERIMENTAL, values=ETHER_TYPES
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the EtherType of what follows unless another organisation defines `pid`."""
        values = list(self._values)
        if upper is not None and values[0] in ENCAPSULATED_ETHERNET:
            self.derive_following(values, upper)
        return self._layout.pack(*values) + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Go on by EtherType."""
        oui, pid = self._values
        known = oui in ENCAPSULATED_ETHERNET
        return offset + 5, end, tables["ether_type"].get(pid) if known else None

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on the type of what follows."""
        if self.oui in ENCAPSULATED_ETHERNET:
            yield from ether_type_findings(self, place, "pid", self.pid)

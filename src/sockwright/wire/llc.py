"""Logical link control, IEEE 802.2 section 3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.field import Derived, UInt, derived, following, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.walk import Choice, Walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["LLC", "LLCNumbered"]

SAPS: Mapping[int, str] = {
    0x00: "null",
    0x02: "LLC management",
    0x04: "SNA path control",
    0x06: "IP",
    0x42: "spanning tree",
    0xAA: "SNAP",
    0xE0: "IPX",
    0xF0: "NetBIOS",
    0xFE: "ISO network layer",
    0xFF: "global",
}
UNNUMBERED = 3


def _choose(octets: bytes, offset: int, end: int) -> type[Header]:
    """Choose by the lowest two bits of the control field: 3 for one octet, else two."""
    if end - offset > 2 and octets[offset + 2] & 3 != UNNUMBERED:
        return LLCNumbered
    return LLC


_FORMS = Choice(
    at=2, width=1, needs=3, short="LLC", cases=((3, UNNUMBERED, "LLC"),), otherwise="LLCNumbered"
)


class _ServiceAccess(Header, layer="llc"):
    """What both forms share: the number in `dsap` leads on, and `ssap` goes with it."""

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = Walk(forms=_FORMS)

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the service access points of what follows."""
        values = list(self._values)
        if upper is not None:
            self.derive_following(values, upper)
            if self._auto & LLC.ssap.mask and "llc_sap" in upper.carried_by:
                values[0] = values[0] & 0xFF00 | values[0] >> 8
        return self._layout.pack(*values) + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Go on by `dsap`; an `ssap` that differs (a response has its lowest bit set) stays."""
        pair = self._values[0]
        if pair >> 8 != pair & 0xFF:
            self._auto &= ~LLC.ssap.mask
        return offset + self.fixed_size, end, tables["llc_sap"].get(pair >> 8)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield a finding when another header follows than `dsap` announces."""
        upper = place.upper
        dsap = self._values[0] >> 8
        if upper is not None and dsap not in upper.carried_by.get("llc_sap", ()):
            yield self.finding(
                "dsap",
                "error",
                "dsap",
                f"{dsap:#04x}",
                f"{upper.carried_by.get('llc_sap', ('another header',))[0]}",
                "IEEE 802.2 section 3.3.1",
                f"dsap {dsap:#04x} does not announce {type(upper).__name__}, which follows",
            )


class LLC(_ServiceAccess, layer="llc", carried_by={"ieee802": 0}):
    """An LLC header with an unnumbered control field, 3 octets: of nearly every frame there is.

    A new header is an unnumbered information frame (UI). `dsap` and `ssap` follow what is carried.
    """

    __slots__ = ()

    dsap: Derived = following(8, "llc_sap", "receiver's service access point", default=0xAA)
    ssap: Derived = derived(8, "sender's service access point", default=0xAA, values=SAPS)
    control: UInt = uint(
        8,
        "kind of frame, and the poll or final bit",
        default=UNNUMBERED,
        values={0x03: "UI", 0x7F: "SABME", 0x43: "DISC", 0x73: "UA", 0xAF: "XID", 0xE3: "TEST"},
    )


class LLCNumbered(_ServiceAccess, layer="llc", carried_by={"ieee802": 0}):
    """An LLC header with numbered information or supervision, 4 octets (IEEE 802.2 section 5.3)."""

    __slots__ = ()

    dsap: Derived = following(8, "llc_sap", "receiver's service access point", default=0xFE)
    ssap: Derived = derived(8, "sender's service access point", default=0xFE, values=SAPS)
    control: UInt = uint(16, "kind of frame and sequence numbers, as on the wire")

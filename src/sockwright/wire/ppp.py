"""The Point-to-Point Protocol: RFC 1661 section 2, in HDLC-like framing RFC 1662 section 3.

Address and control (0xFF 0x03) may be left out, and so may the first octet of a protocol below 256
(RFC 1661 section 6.5 and 6.6). The octets tell: no protocol starts with 0xFF, and the last octet
of a protocol alone is odd. LINKTYPE_PPP and LINKTYPE_PPP_HDLC captures may hold Cisco's HDLC too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.cisco_hdlc import BROADCAST, UNICAST, CiscoHDLC
from sockwright.wire.core.field import Derived, UInt, following, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.walk import Choice, Walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["PPP", "PROTOCOLS", "PPPCompressed", "PPPFraming"]

ALL_STATIONS, UNNUMBERED_INFORMATION = 0xFF, 0x03
IPV4, LCP = 0x0021, 0xC021
PROTOCOLS: Mapping[int, str] = {
    0x0001: "padding",
    IPV4: "IPv4",
    0x0029: "AppleTalk",
    0x002B: "IPX",
    0x002D: "Van Jacobson compressed TCP/IP",
    0x002F: "Van Jacobson uncompressed TCP/IP",
    0x0031: "bridging",
    0x003D: "multilink",
    0x0057: "IPv6",
    0x00FD: "compressed datagram",
    0x0281: "MPLS",
    0x0283: "MPLS multicast",
    0x8021: "IPCP",
    0x8031: "bridging control",
    0x8053: "encryption control",
    0x8057: "IPV6CP",
    0x80FD: "compression control",
    0x8281: "MPLS control",
    LCP: "LCP",
    0xC023: "PAP",
    0xC025: "link quality report",
    0xC223: "CHAP",
    0xC227: "EAP",
}
"""Protocols by the IANA registry "PPP DLL Protocol Numbers"."""


def _choose(octets: bytes, offset: int, end: int) -> type[Header]:
    """Choose by the first octet: odd for a protocol of one octet."""
    return PPPCompressed if offset < end and octets[offset] & 1 else PPP


def _choose_framing(octets: bytes, offset: int, end: int) -> type[Header]:
    """Choose by address and control, which may be left out, and Cisco's addresses."""
    address = octets[offset] if offset < end else 0
    if address == ALL_STATIONS:
        return PPPFraming
    if address in (UNICAST, BROADCAST):
        return CiscoHDLC
    return _choose(octets, offset, end)


_FORMS = Choice(
    at=0, width=1, needs=1, short="PPP", cases=((1, 1, "PPPCompressed"),), otherwise="PPP"
)


class PPP(
    Header,
    layer="ppp",
    carried_by={"ppp": 0, "link_type": (9, 50), "ether_type": 0x880B},
):
    """The protocol number of PPP, 2 octets."""

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = Walk(forms=_FORMS)

    protocol: Derived = following(16, "ppp_protocol", "what follows", default=LCP, values=PROTOCOLS)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on the protocol."""
        protocol = self.protocol
        if protocol & 0x0101 != 1:
            yield self.finding(
                "protocol",
                "error",
                "protocol",
                f"{protocol:#06x}",
                "an even octet, then an odd one",
                "RFC 1661 section 2",
                "no protocol has such a number: the first octet is even, the second odd",
            )
        yield from _announced(self, place, protocol)


class PPPCompressed(
    Header,
    layer="ppp",
    carried_by={"ppp": 0, "link_type": (9, 50), "ether_type": 0x880B},
):
    """A protocol number below 256 in one octet, RFC 1661 section 6.5."""

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = Walk(forms=_FORMS)

    protocol: Derived = following(8, "ppp_protocol", "what follows", default=IPV4, values=PROTOCOLS)

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the protocol of what follows where one octet can hold it."""
        values = list(self._values)
        if upper is not None and upper.carried_by.get("ppp_protocol", (256,))[0] < 256:
            self.derive_following(values, upper)
        return self._pack(*values) + body

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on the protocol."""
        protocol = self.protocol
        if not protocol & 1:
            yield self.finding(
                "protocol",
                "error",
                "protocol",
                f"{protocol:#04x}",
                "an odd number",
                "RFC 1661 section 6.5",
                "an even octet is the first of two, so this is not read as it was meant",
            )
        yield from _announced(self, place, protocol)


class PPPFraming(
    Header,
    layer="ppp_framing",
    carried_by={"link_type": (9, 50), "ether_type": 0x880B},
):
    """Address and control in front of PPP, RFC 1662 section 3.1: 2 octets.

    Flags, escapes and the frame check sequence are not in captures; where a sequence is, it is in
    the trailer.
    """

    __slots__ = ()
    _choose = staticmethod(_choose_framing)
    walk = Walk(
        always=("ppp", 0),
        forms=Choice(
            at=0,
            width=1,
            needs=1,
            short="PPP",
            cases=(
                (0xFF, ALL_STATIONS, "PPPFraming"),
                (0xFF, UNICAST, "CiscoHDLC"),
                (0xFF, BROADCAST, "CiscoHDLC"),
            ),
            otherwise="PPP",
        ),
    )

    address: UInt = uint(8, "0xFF: all stations", default=ALL_STATIONS)
    control: UInt = uint(8, "0x03: unnumbered information", default=UNNUMBERED_INFORMATION)

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Go on with PPP."""
        return offset + 2, end, tables["ppp"].get(0)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield a finding where this is no start of a PPP frame."""
        if (self.address, self.control) != (ALL_STATIONS, UNNUMBERED_INFORMATION):
            yield self.finding(
                "address",
                "error",
                "address" if self.address != ALL_STATIONS else "control",
                f"{self.address:#04x} {self.control:#04x}",
                "0xff 0x03",
                "RFC 1662 section 3.1",
                "a receiver drops frames with another address or control",
            )


def _announced(header: Header, place: Place, protocol: int) -> Iterator[Finding]:
    """Yield a finding where another header follows than the protocol announces."""
    upper = place.upper
    if upper is None:
        return
    numbers = upper.carried_by.get("ppp_protocol", ())
    if protocol not in numbers:
        yield header.finding(
            "protocol",
            "error",
            "protocol",
            f"{protocol:#06x} ({PROTOCOLS.get(protocol, 'unknown')})",
            f"{numbers[0]:#06x}" if numbers else "another header",
            "RFC 1661 section 2",
            f"the protocol does not announce {type(upper).__name__}, which follows",
        )

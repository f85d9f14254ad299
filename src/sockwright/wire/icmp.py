"""Internet Control Message Protocol, RFC 792, and the RFCs named at each part."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from sockwright.wire.core.checksum import complement, value_of
from sockwright.wire.core.field import Derived, IPv4Value, UInt, derived, ipv4, overlay, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.quotation import body_of, quoted_packet, split_extensions
from sockwright.wire.core.transport_checksum import plain_checksum_finding
from sockwright.wire.icmp_extensions import decode_extensions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.packet import Packet
    from sockwright.wire.icmp_extensions import ExtensionObject, MPLSLabelStack

__all__ = ["CODES", "ICMP", "TYPES"]

TYPES: Mapping[int, str] = {
    0: "echo reply",
    3: "destination unreachable",
    4: "source quench",
    5: "redirect",
    8: "echo request",
    9: "router advertisement",
    10: "router solicitation",
    11: "time exceeded",
    12: "parameter problem",
    13: "timestamp request",
    14: "timestamp reply",
    15: "information request",
    16: "information reply",
    17: "address mask request",
    18: "address mask reply",
    40: "Photuris",
    42: "extended echo request",
    43: "extended echo reply",
    253: "experiment 1",
    254: "experiment 2",
}
"""Message types by the IANA registry "ICMP Type Numbers"."""

CODES: Mapping[int, Mapping[int, str]] = {
    3: {
        0: "network unreachable",
        1: "host unreachable",
        2: "protocol unreachable",
        3: "port unreachable",
        4: "fragmentation needed and DF set",
        5: "source route failed",
        6: "destination network unknown",
        7: "destination host unknown",
        8: "source host isolated",
        9: "network administratively prohibited",
        10: "host administratively prohibited",
        11: "network unreachable for this service",
        12: "host unreachable for this service",
        13: "communication administratively prohibited",
        14: "host precedence violation",
        15: "precedence cutoff in effect",
    },
    5: {
        0: "for the network",
        1: "for the host",
        2: "for service and network",
        3: "for service and host",
    },
    9: {0: "normal", 16: "does not route common traffic"},
    11: {0: "TTL exceeded in transit", 1: "fragment reassembly time exceeded"},
    12: {0: "pointer says where", 1: "a required option is missing", 2: "bad length"},
    40: dict(enumerate(("bad SPI", "authentication failed", "decompression failed"))),
    43: {
        0: "no error",
        1: "malformed query",
        2: "no such interface",
        3: "no such table entry",
        4: "several interfaces fit",
    },
}
"""Code names by type. A known type that is not here has the code 0 alone."""

_QUOTING = (3, 4, 5, 11, 12)
_EXTENSIBLE = (3, 11, 12)  # RFC 4884 section 4
_WITH_IDENTIFIER = (0, 8, 13, 14, 15, 16, 17, 18)
_EXTENDED_ECHO = (42, 43)
_EXPERIMENTS = (253, 254)
_SHORTEST_IPV4, _QUOTED_DATA = 20, 8


class ICMP(Header, layer="icmp", carried_by={"ip_protocol": 1}):
    """The first 8 octets of an ICMP message; what follows is the payload.

    `rest` is octets 4 to 7. What they mean depends on `type`, so they have more names: `identifier`
    and `sequence` of an echo, `gateway` of a redirect, `mtu` of the next hop (RFC 1191 section 4),
    `pointer` to the octet that was wrong, `length` of the quoted datagram in 32-bit words
    (RFC 4884 section 4).
    """

    __slots__ = ()

    type: UInt = uint(8, "kind of message", default=8, values=TYPES)
    code: UInt = uint(8, "kind within the type")
    checksum: Derived = derived(16, "over the whole message")
    rest: UInt = uint(32, "what the type makes of it")
    identifier: UInt = overlay(
        32, uint(16, "tells conversations apart"), when="type", among=_WITH_IDENTIFIER
    )
    sequence: UInt = overlay(
        48, uint(16, "number within the conversation"), when="type", among=_WITH_IDENTIFIER
    )
    gateway: IPv4Value = overlay(32, ipv4("the better router"), when="type", among=(5,))
    pointer: UInt = overlay(32, uint(8, "octet that was wrong"), when="type", among=(12,))
    length: UInt = overlay(
        40, uint(8, "32-bit words of the quote, if extended"), when="type", among=_EXTENSIBLE
    )
    mtu: UInt = overlay(48, uint(16, "octets the next hop can take"), when="type", among=(3,))
    address_count: UInt = overlay(
        32, uint(8, "addresses, RFC 1256 section 3"), when="type", among=(9,)
    )
    entry_size: UInt = overlay(40, uint(8, "32-bit words an address"), when="type", among=(9,))
    lifetime: UInt = overlay(48, uint(16, "seconds"), when="type", among=(9,))
    probe_identifier: UInt = overlay(
        32, uint(16, "identifier, RFC 8335 section 2"), when="type", among=_EXTENDED_ECHO
    )
    probe_sequence: UInt = overlay(48, uint(8, "sequence"), when="type", among=_EXTENDED_ECHO)

    @property
    def code_name(self) -> str:
        """The name of the code, or nothing where there is none."""
        return CODES.get(self.type, {}).get(self.code, "")

    @property
    def quoted(self) -> Packet | None:
        """The datagram that an error is about, decoded; None in other messages.

        Mostly it is cut short: its `errors` say so. Editing it changes nothing here.
        """
        if self.type not in _QUOTING:
            return None
        return quoted_packet(self._split(body_of(self))[0], 4)

    @property
    def extension_octets(self) -> bytes:
        """The extension structure behind the quoted datagram, RFC 4884 section 7; or nothing."""
        return self._split(body_of(self))[1]

    @property
    def extensions(self) -> tuple[ExtensionObject | MPLSLabelStack, ...]:
        """The objects in the extension structure; MPLS label stacks are typed (RFC 4950)."""
        return decode_extensions(self.extension_octets)

    @property
    def timestamps(self) -> tuple[int, int, int] | None:
        """Originate, receive and transmit timestamp, in milliseconds since midnight UT.

        None in other messages, and where the 12 octets are not there. A value with the highest bit
        set is not by that clock (RFC 792, page 16).
        """
        body = body_of(self)
        if self.type not in (13, 14) or len(body) < 12:
            return None
        originate, receive, transmit = struct.unpack_from("!III", body)
        return originate, receive, transmit

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the checksum."""
        values = self._values
        if self._auto:
            values = [values[0], 0, values[2]]
            values[1] = complement(values[0] + values[2] + value_of(body))
        return self._pack(*values) + body

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on type, code, checksum and the quoted datagram."""
        if place.network is not None and place.network.layer == "ipv6":
            yield self.finding(
                "over-ipv6",
                "error",
                "",
                "ICMP",
                "ICMPv6",
                "RFC 4443 section 1",
                "IPv6 has a protocol of its own for this: ICMPv6, next header 58",
            )
        kind, code = self.type, self.code
        if kind not in TYPES:
            yield self.finding(
                "type", "note", "type", kind, "a type that is assigned", "RFC 792", "unknown type"
            )
        elif code not in CODES.get(kind, (0,)) and kind not in _EXPERIMENTS:
            yield self.finding(
                "code",
                "warning",
                "code",
                code,
                ", ".join(map(str, CODES.get(kind, (0,)))),
                "RFC 792",
                f"{TYPES[kind]} has no code {code}",
            )
        if kind in _QUOTING and not place.truncated:
            yield from self._judge_quote(self._split(place.body)[0])
        if kind in (13, 14) and len(place.body) != 12 and not place.truncated:
            yield self.finding(
                "timestamps",
                "error",
                "",
                f"{len(place.body)} octets",
                "12 octets",
                "RFC 792",
                "a timestamp message has three timestamps of 4 octets",
            )
        yield from plain_checksum_finding(place, self.checksum, "RFC 792")

    def _split(self, body: bytes) -> tuple[bytes, bytes]:
        kind = self.type
        if kind in _EXTENSIBLE:
            return split_extensions(body, 4 * self.length)
        return (body, b"") if kind in _QUOTING else (b"", b"")

    def _judge_quote(self, quote: bytes) -> Iterator[Finding]:
        size = 4 * (quote[0] & 15) if quote else 0
        needed = max(size, _SHORTEST_IPV4) + _QUOTED_DATA
        # A datagram that is shorter itself is quoted as a whole.
        whole = int.from_bytes(quote[2:4], "big") if len(quote) >= _SHORTEST_IPV4 else needed
        if len(quote) < min(needed, max(whole, _SHORTEST_IPV4)):
            yield self.finding(
                "quote-short",
                "warning",
                "",
                f"{len(quote)} octets",
                f"{needed} octets",
                "RFC 1122 section 3.2.2",
                "an error quotes the IP header and 8 octets at least, or the sender cannot tell "
                "what it is about",
            )
        elif quote[0] >> 4 != 4:
            yield self.finding(
                "quote",
                "warning",
                "",
                f"version {quote[0] >> 4}",
                "version 4",
                "RFC 792",
                "what is quoted does not start with an IPv4 header",
            )
        elif quote[9] == 1 and len(quote) > size and quote[size] in _QUOTING:
            yield self.finding(
                "about-error",
                "warning",
                "",
                f"an error about an ICMP {TYPES[quote[size]]}",
                "silence",
                "RFC 1122 section 3.2.2",
                "no ICMP error is sent about an ICMP error",
            )
        elif 0xE0 <= quote[16] <= 0xEF or quote[16:20] == b"\xff\xff\xff\xff":
            yield self.finding(
                "about-group",
                "warning",
                "",
                "an error about a group or broadcast",
                "silence",
                "RFC 1122 section 3.2.2",
                "no ICMP error is sent about what went to many hosts",
            )

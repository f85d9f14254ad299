"""The messages of RFC 4443: four errors, which quote a packet, and the echo. They follow `ICMPv6`.

The octets that an error quotes are the payload, and `quoted` decodes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.field import UInt, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.quotation import body_of, quoted_packet, split_extensions
from sockwright.wire.icmp_extensions import decode_extensions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.packet import Packet
    from sockwright.wire.icmp_extensions import ExtensionObject, MPLSLabelStack

__all__ = [
    "DestinationUnreachable",
    "EchoReply",
    "EchoRequest",
    "PacketTooBig",
    "ParameterProblem",
    "TimeExceeded",
]

_SMALLEST_MTU = 1280  # RFC 8200 section 5
_HEADER, _QUOTED_DATA = 40, 8
_ICMPV6 = 58
_LARGEST_ERROR = 1280


def _judge_quote(header: Header, place: Place, quote: bytes) -> Iterator[Finding]:
    if place.truncated:
        return
    # A packet that is shorter itself is quoted as a whole.
    whole = _HEADER + int.from_bytes(quote[4:6], "big") if len(quote) >= _HEADER else _HEADER
    if len(quote) < min(_HEADER + _QUOTED_DATA, whole):
        yield header.finding(
            "quote-short",
            "warning",
            "",
            f"{len(quote)} octets",
            "as much as fits 1280 octets",
            "RFC 4443 section 2.4",
            "an error quotes as much of the packet as fits, or the sender cannot tell what it is "
            "about",
        )
    elif quote[0] >> 4 != 6:
        yield header.finding(
            "quote",
            "warning",
            "",
            f"version {quote[0] >> 4}",
            "version 6",
            "RFC 4443 section 2.4",
            "what is quoted does not start with an IPv6 header",
        )
    elif quote[6] == _ICMPV6 and len(quote) > _HEADER and quote[_HEADER] < 128:
        yield header.finding(
            "about-error",
            "warning",
            "",
            "an error about an ICMPv6 error",
            "silence",
            "RFC 4443 section 2.4",
            "no ICMPv6 error is sent about an ICMPv6 error",
        )
    network = place.network
    if network is not None:
        size = place.end - place.packet.offset_of(network)
        if size > _LARGEST_ERROR:
            yield header.finding(
                "too-long",
                "warning",
                "",
                f"{size} octets",
                f"at most {_LARGEST_ERROR}",
                "RFC 4443 section 2.4",
                "an ICMPv6 error must fit every path: 1280 octets with its IPv6 header",
            )


class DestinationUnreachable(
    Header, layer="icmpv6_destination_unreachable", carried_by={"icmpv6_type": 1}
):
    """Type 1, RFC 4443 section 3.1; the code of `ICMPv6` says why.

    `length` counts the 8-octet units of the quote where extensions follow it (RFC 4884 section 4).
    """

    __slots__ = ()

    length: UInt = uint(8, "8-octet units of the quote, if extended")
    unused: UInt = uint(24, "0")

    @property
    def quoted(self) -> Packet | None:
        """The packet that the error is about, decoded; mostly cut short, as its `errors` say."""
        return quoted_packet(split_extensions(body_of(self), 8 * self.length)[0], 6)

    @property
    def extensions(self) -> tuple[ExtensionObject | MPLSLabelStack, ...]:
        """The objects behind the quoted packet, RFC 4884 section 7."""
        return decode_extensions(split_extensions(body_of(self), 8 * self.length)[1])

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on the quoted packet."""
        yield from _judge_quote(self, place, split_extensions(place.body, 8 * self.length)[0])


class PacketTooBig(Header, layer="icmpv6_packet_too_big", carried_by={"icmpv6_type": 2}):
    """Type 2, RFC 4443 section 3.2: the packet did not fit the next link."""

    __slots__ = ()

    mtu: UInt = uint(32, "octets the next hop can take", default=_SMALLEST_MTU)

    @property
    def quoted(self) -> Packet | None:
        """The packet that the error is about, decoded; mostly cut short, as its `errors` say."""
        return quoted_packet(body_of(self), 6)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on the MTU and the quoted packet."""
        if self.mtu < _SMALLEST_MTU:
            yield self.finding(
                "mtu",
                "warning",
                "mtu",
                self.mtu,
                f"{_SMALLEST_MTU} or more",
                "RFC 8200 section 5",
                f"every IPv6 link takes {_SMALLEST_MTU} octets; less is ignored (RFC 8201)",
            )
        yield from _judge_quote(self, place, place.body)


class TimeExceeded(Header, layer="icmpv6_time_exceeded", carried_by={"icmpv6_type": 3}):
    """Type 3, RFC 4443 section 3.3; `length` as in `DestinationUnreachable`."""

    __slots__ = ()

    length: UInt = uint(8, "8-octet units of the quote, if extended")
    unused: UInt = uint(24, "0")

    @property
    def quoted(self) -> Packet | None:
        """The packet that the error is about, decoded; mostly cut short, as its `errors` say."""
        return quoted_packet(split_extensions(body_of(self), 8 * self.length)[0], 6)

    @property
    def extensions(self) -> tuple[ExtensionObject | MPLSLabelStack, ...]:
        """The objects behind the quoted packet, RFC 4884 section 7."""
        return decode_extensions(split_extensions(body_of(self), 8 * self.length)[1])

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on the quoted packet."""
        yield from _judge_quote(self, place, split_extensions(place.body, 8 * self.length)[0])


class ParameterProblem(Header, layer="icmpv6_parameter_problem", carried_by={"icmpv6_type": 4}):
    """Type 4, RFC 4443 section 3.4: the octet at `pointer` of the quoted packet was wrong."""

    __slots__ = ()

    pointer: UInt = uint(32, "octet of the quoted packet that was wrong")

    @property
    def quoted(self) -> Packet | None:
        """The packet that the error is about, decoded; mostly cut short, as its `errors` say."""
        return quoted_packet(body_of(self), 6)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on the quoted packet."""
        yield from _judge_quote(self, place, place.body)


class EchoRequest(Header, layer="icmpv6_echo_request", carried_by={"icmpv6_type": 128}):
    """Type 128, RFC 4443 section 4.1; the data are the payload."""

    __slots__ = ()

    identifier: UInt = uint(16, "tells conversations apart")
    sequence: UInt = uint(16, "number within the conversation")


class EchoReply(Header, layer="icmpv6_echo_reply", carried_by={"icmpv6_type": 129}):
    """Type 129, RFC 4443 section 4.2: what the request had, sent back."""

    __slots__ = ()

    identifier: UInt = uint(16, "tells conversations apart")
    sequence: UInt = uint(16, "number within the conversation")

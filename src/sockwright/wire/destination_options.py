"""IPv6 destination options, RFC 8200 section 4.6."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.announced import protocol_findings
from sockwright.wire.core.field import Derived, Field, derived, following, variable
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import IP_PROTOCOLS
from sockwright.wire.core.walk import Walk
from sockwright.wire.hop_by_hop import EXPERIMENT, emit_extension, option_findings
from sockwright.wire.ipv6_options import HomeAddress, IPv6OptionCodec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.option import Option
    from sockwright.wire.core.packet import Packet

__all__ = ["DestinationOptions"]


class DestinationOptions(Header, layer="destination_options", carried_by={"ip_protocol": 60}):
    """Options for the destination, or before a routing header for each node named in that.

    At least 8 octets; `hdr_ext_len` counts units of 8 octets behind the first 8.
    """

    __slots__ = ()
    walk = Walk(size=("hdr_ext_len",), unit=8, more=8)

    next_header: Derived = following(
        8, "ip_protocol", "what follows", default=EXPERIMENT, values=IP_PROTOCOLS
    )
    hdr_ext_len: Derived = derived(8, "length in units of 8 octets behind the first")
    options: Field[tuple[Option, ...], Iterable[Option]] = variable(
        IPv6OptionCodec(), "options, padded to a multiple of 8 octets"
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write next header and length."""
        return emit_extension(self, body, upper, _NEXT_HEADER, _HDR_EXT_LEN)

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the options, go on by next header."""
        first = self._values[0]
        stop = self.take_tail(octets, offset, 8 + 8 * (first & 0xFF), end, packet)
        return stop, end, tables["ip_protocol"].get(first >> 8)

    def pseudo_sum(self, headers: Sequence[Header], index: int) -> int | None:
        """Return the word sum of the addresses, with the home address as source (RFC 6275)."""
        total = headers[index - 1].pseudo_sum(headers, index - 1) if index else None
        homes = [int(option.address) for option in self.options if isinstance(option, HomeAddress)]
        if total is None or not homes:
            return total
        for header in reversed(headers[:index]):
            if header.layer == "ipv6":
                return total - int.from_bytes(header._values[3], "big") + homes[-1]
            if header.is_network:
                break
        return total

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on length, options and next header."""
        yield from option_findings(self, place, self.options, self.hdr_ext_len)
        yield from protocol_findings(self, place, "next_header", self.next_header)


_NEXT_HEADER = DestinationOptions.next_header.mask
_HDR_EXT_LEN = DestinationOptions.hdr_ext_len.mask

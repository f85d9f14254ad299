"""IPv6 hop-by-hop options, RFC 8200 section 4.3; how nodes process them: RFC 9673."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from sockwright.wire.core.announced import protocol_findings
from sockwright.wire.core.field import Derived, Field, derived, following, variable
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import IP_PROTOCOLS
from sockwright.wire.core.option import MalformedOption, Option
from sockwright.wire.core.walk import Walk
from sockwright.wire.ipv6_options import (
    ALIGNMENTS,
    IPv6OptionCodec,
    JumboPayload,
    Pad1,
    PadN,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["HopByHop", "emit_extension", "option_findings"]

EXPERIMENT = 253


def emit_extension(
    header: Header, body: bytes, upper: Header | None, following_mask: int, length_mask: int
) -> bytes:
    """Return an extension header and `body`; next header and length fill its first word.

    The length counts units of 8 octets behind the first.
    """
    values = list(header._values)
    auto = header._auto
    tail = header._tail
    if upper is not None and auto & following_mask:
        numbers = upper.carried_by.get("ip_protocol")
        if numbers is not None and values[0] >> 8 not in numbers:
            values[0] = values[0] & 0xFF | numbers[0] << 8
    if auto & length_mask:
        units = (header.fixed_size + len(tail) + 7) // 8 - 1
        if not 0 <= units <= 255:
            raise ValueError(f"{header.layer}.hdr_ext_len: {units} is outside 0 to 255")
        values[0] = values[0] & 0xFF00 | units
    return header._layout.pack(*values) + tail + body


def option_findings(
    header: Header, place: Place, options: tuple[Option, ...], claimed: int
) -> Iterator[Finding]:
    """Judge length, alignment and padding of a header of options (RFC 8200 section 4.2)."""
    needed = 8 * (1 + claimed)
    if needed != header.size and not place.truncated and not place.fragment:
        yield header.finding(
            "hdr-ext-len",
            "error",
            "hdr_ext_len",
            claimed,
            (header.size + 7) // 8 - 1,
            "RFC 8200 section 4.3",
            f"the length claims {needed} octets, the header has {header.size}",
        )
    at = 2
    for option in options:
        size = len(option.encode())
        if isinstance(option, MalformedOption):
            yield header.finding(
                "option-length",
                "error",
                "options",
                option.octets.hex(),
                "a length inside the header",
                "RFC 8200 section 4.2",
                f"the option at octet {at} ends behind its header",
            )
        multiple, rest = ALIGNMENTS.get(option.kind, (1, 0))
        if at % multiple != rest:
            yield header.finding(
                "option-alignment",
                "warning",
                "options",
                f"octet {at}",
                f"{multiple}n+{rest}",
                "RFC 8200 section 4.2",
                f"{type(option).__name__} does not start where its alignment wants it",
            )
        if isinstance(option, PadN) and any(option.data):
            yield header.finding(
                "padding",
                "warning",
                "options",
                option.data.hex(),
                "zeros",
                "RFC 4942 section 2.1.9.5",
                "padding that is not zero may carry hidden data",
            )
        at += size
    pads = [isinstance(option, (Pad1, PadN)) for option in options]
    if any(first and second for first, second in pairwise(pads)):
        yield header.finding(
            "padding",
            "note",
            "options",
            "padding in a row",
            "one PadN",
            "RFC 4942 section 2.1.9.5",
            "one PadN would do for these pads",
        )


class HopByHop(Header, layer="hop_by_hop", carried_by={"ip_protocol": 0}):
    """Options for every node on the way, at least 8 octets; directly behind the IPv6 header.

    `hdr_ext_len` counts units of 8 octets behind the first 8.
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

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on place, length, options and next header."""
        options = self.options
        yield from option_findings(self, place, options, self.hdr_ext_len)
        before = place.packet.layers[place.index - 1].layer if place.index else "ipv6"
        if before != "ipv6":
            yield self.finding(
                "order",
                "error",
                "",
                f"behind {before}",
                "behind ipv6",
                "RFC 8200 section 4.1",
                "hop-by-hop options stand directly behind the IPv6 header",
            )
        for option in options:
            if isinstance(option, JumboPayload) and option.length <= 0xFFFF:
                yield self.finding(
                    "jumbo",
                    "error",
                    "options",
                    option.length,
                    "more than 65535",
                    "RFC 2675 section 3",
                    "a jumbo payload this short goes into the payload length",
                )
        yield from protocol_findings(self, place, "next_header", self.next_header)


_NEXT_HEADER, _HDR_EXT_LEN = HopByHop.next_header.mask, HopByHop.hdr_ext_len.mask

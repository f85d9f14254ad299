"""PPP over Ethernet, RFC 2516: discovery (0x8863) and session (0x8864); LINKTYPE_PPP_ETHER."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockwright.wire.core.field import Derived, Field, UInt, derived, uint, variable
from sockwright.wire.core.header import Header
from sockwright.wire.core.option import check_uint
from sockwright.wire.core.walk import Choice, Walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["CODES", "TAGS", "MalformedTag", "PPPoE", "PPPoEDiscovery", "PPPoETag"]

SESSION = 0
PADI, PADO, PADR, PADS, PADT = 0x09, 0x07, 0x19, 0x65, 0xA7
CODES: Mapping[int, str] = {
    SESSION: "session",
    PADO: "PADO: offer",
    PADI: "PADI: initiation",
    0x0A: "PADG: grant",
    0x0B: "PADC: credit response",
    0x0C: "PADQ: quality",
    PADR: "PADR: request",
    PADS: "PADS: confirmation",
    PADT: "PADT: terminate",
}
"""Codes by RFC 2516 and RFC 5578."""
TAGS: Mapping[int, str] = {
    0x0000: "End-Of-List",
    0x0101: "Service-Name",
    0x0102: "AC-Name",
    0x0103: "Host-Uniq",
    0x0104: "AC-Cookie",
    0x0105: "Vendor-Specific",
    0x0110: "Relay-Session-Id",
    0x0120: "PPP-Max-Payload",
    0x0201: "Service-Name-Error",
    0x0202: "AC-System-Error",
    0x0203: "Generic-Error",
}
"""Kinds of tags, RFC 2516 appendix A."""
_TAG = struct.Struct("!HH")
SERVICE_NAME = 0x0101


@dataclass(frozen=True, slots=True)
class PPPoETag:
    """One thing that is offered or asked for, RFC 2516 appendix A."""

    kind: int
    value: bytes = b""

    def __post_init__(self) -> None:
        check_uint("PPPoETag.kind", self.kind, 16)
        check_uint("PPPoETag.value: octets", len(self.value), 16)

    def encode(self) -> bytes:
        """Return kind, length and value."""
        return _TAG.pack(self.kind, len(self.value)) + self.value


@dataclass(frozen=True, slots=True)
class MalformedTag:
    """Octets from here to the end of the tags that are no whole tag."""

    octets: bytes

    def encode(self) -> bytes:
        """Return the octets as they came."""
        return self.octets


Tag = PPPoETag | MalformedTag


class _TagCodec:
    """Reads and writes the tags of a discovery packet."""

    __slots__ = ()

    def decode(self, octets: bytes) -> tuple[Tag, ...]:
        """Return the tags in `octets`; never raises."""
        found: list[Tag] = []
        offset = 0
        while offset < len(octets):
            start = offset + 4
            kind, length = _TAG.unpack_from(octets, offset) if start <= len(octets) else (0, 0)
            if start + length > len(octets):
                found.append(MalformedTag(octets[offset:]))
                break
            found.append(PPPoETag(kind, octets[start : start + length]))
            offset = start + length
        return tuple(found)

    def encode(self, items: tuple[Tag, ...]) -> bytes:
        """Return the octets of `items`."""
        return b"".join([item.encode() for item in items])


def _choose(octets: bytes, offset: int, end: int) -> type[Header]:
    """Choose by the code: 0 for a session."""
    return PPPoEDiscovery if offset + 1 < end and octets[offset + 1] != SESSION else PPPoE


_FORMS = Choice(
    at=1,
    width=1,
    needs=2,
    short="PPPoE",
    cases=((0xFF, SESSION, "PPPoE"),),
    otherwise="PPPoEDiscovery",
)


class PPPoEDiscovery(
    Header, layer="pppoe_discovery", carried_by={"ether_type": 0x8863, "link_type": 51}
):
    """A discovery packet, RFC 2516 section 5: 6 octets and its tags."""

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = Walk(size=("length",), more=6, closes=True, forms=_FORMS)

    version: UInt = uint(4, "1", default=1)
    type: UInt = uint(4, "1", default=1)
    code: UInt = uint(8, "kind of packet", default=PADI, values=CODES)
    session_id: UInt = uint(16, "names the session; 0 before there is one")
    length: Derived = derived(16, "octets of tags")
    tags: Field[tuple[Tag, ...], Iterable[Tag]] = variable(_TagCodec(), "tags, appendix A")

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the length."""
        values = list(self._values)
        if self._auto:
            values[-1] = _fitting("pppoe_discovery", len(self._tail) + len(body))
        return self._pack(*values) + self._tail + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the tags and stop: what lies behind is the padding of the frame."""
        size = 6 + self._values[-1]
        stop = self.take_tail(octets, offset, size, end, packet)
        return stop, stop, None

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on version, code, session, length and tags."""
        yield from _judge(self, place, self.version, self.type, self.length)
        code = self.code
        if code not in CODES or code == SESSION:
            yield self.finding(
                "code",
                "warning",
                "code",
                f"{code:#04x}",
                ", ".join(f"{known:#04x}" for known in CODES if known),
                "RFC 2516 section 5",
                "this is no code of the discovery",
            )
        if code in (PADI, PADO, PADR) and self.session_id:
            yield self.finding(
                "session-id",
                "error",
                "session_id",
                f"{self.session_id:#06x}",
                "0x0000",
                "RFC 2516 section 5",
                "there is no session yet, so its number is 0",
            )
        kinds = [tag.kind for tag in self.tags if isinstance(tag, PPPoETag)]
        if len(kinds) != len(self.tags) and not place.truncated:
            yield self.finding(
                "tags",
                "error",
                "tags",
                f"{len(self.tags[-1].encode())} octets",
                "whole tags",
                "RFC 2516 section 4",
                "the last tag is longer than the length of the packet allows",
            )
        if code in (PADI, PADR) and SERVICE_NAME not in kinds and not place.truncated:
            yield self.finding(
                "service-name",
                "error",
                "tags",
                "no Service-Name",
                "one Service-Name, which may be empty",
                "RFC 2516 section 5.1" if code == PADI else "RFC 2516 section 5.3",
                "who asks says for which service",
            )


class PPPoE(Header, layer="pppoe", carried_by={"ether_type": 0x8864, "link_type": 51}):
    """The header of a session, RFC 2516 section 6: 6 octets, then PPP without address or control.

    ``PPPoE(session_id=1) / PPP() / IPv4()``.
    """

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = Walk(end="length", behind=True, always=("ppp", 0), forms=_FORMS)

    version: UInt = uint(4, "1", default=1)
    type: UInt = uint(4, "1", default=1)
    code: UInt = uint(8, "0", values=CODES)
    session_id: UInt = uint(16, "names the session")
    length: Derived = derived(16, "octets of what follows")

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the length."""
        values = list(self._values)
        if self._auto:
            values[-1] = _fitting("pppoe", len(body))
        return self._pack(*values) + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Stop where the length says, go on with PPP."""
        start = offset + 6
        stop = start + self._values[-1]
        if stop > end:
            packet.note("pppoe", offset, 6 + self._values[-1], end - offset, "the length")
            stop = end
        return start, stop, tables["ppp"].get(0)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on version, code, session and length."""
        yield from _judge(self, place, self.version, self.type, self.length)
        if self.code != SESSION:
            yield self.finding(
                "code",
                "error",
                "code",
                f"{self.code:#04x}",
                "0x00",
                "RFC 2516 section 6",
                "in a session the code is 0",
            )
        if self.session_id in (0, 0xFFFF):
            yield self.finding(
                "session-id",
                "warning",
                "session_id",
                f"{self.session_id:#06x}",
                "0x0001 to 0xfffe",
                "RFC 2516 section 4",
                "no session has this number: 0 is that of discovery, 0xffff is reserved",
            )


def _fitting(layer: str, length: int) -> int:
    """Return `length`. Raises: ValueError where it does not fit its field."""
    if length > 0xFFFF:
        raise ValueError(f"{layer}.length: {length} octets do not fit 16 bits")
    return length


def _judge(header: Header, place: Place, version: int, kind: int, length: int) -> Iterator[Finding]:
    """Yield findings on what both headers have."""
    if (version, kind) != (1, 1):
        yield header.finding(
            "version",
            "error",
            "version" if version != 1 else "type",
            f"{version} and {kind}",
            "1 and 1",
            "RFC 2516 section 4",
            "version and type are 1",
        )
    there = place.end - place.start - 6
    if length != there and not place.truncated:
        yield header.finding(
            "length",
            "error",
            "length",
            length,
            there,
            "RFC 2516 section 4",
            f"the length says {length} octets, {there} follow",
        )

"""Generic routing encapsulation: RFC 2784, key and sequence number by RFC 2890.

Version 1, which PPTP uses, is that of RFC 2637 section 4.1; the routing field is that of RFC 1701.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from sockwright.wire.core.announced import ether_type_findings
from sockwright.wire.core.checksum import complement, value_of
from sockwright.wire.core.field import Derived, Field, UInt, derived, following, uint, variable
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import ETHER_TYPES
from sockwright.wire.core.option import check_uint
from sockwright.wire.core.walk import Walk
from sockwright.wire.ethernet import LOCAL_EXPERIMENTAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = [
    "GRE",
    "GREAcknowledgment",
    "GREChecksum",
    "GREKey",
    "GREOctets",
    "GRESequence",
]

CHECKSUM, ROUTING, KEY, SEQUENCE, ACKNOWLEDGMENT = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
_RESERVED = 0x0F78  # of version 0: strict source route, recursion, and what was never used
_VERSION = 7
PPTP, PPP = 1, 0x880B


@dataclass(frozen=True, slots=True)
class GREChecksum:
    """Checksum over header and payload, RFC 2784 section 2.5, and what was the routing offset.

    A `checksum` of None is computed when the packet is encoded.
    """

    checksum: int | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        check_uint("GREChecksum.checksum", self.checksum or 0, 16)
        check_uint("GREChecksum.offset", self.offset, 16)

    @classmethod
    def from_word(cls, word: int) -> Self:
        """Read a 32-bit word."""
        return cls(word >> 16, word & 0xFFFF)

    def encode(self) -> bytes:
        """Return 4 octets."""
        return ((self.checksum or 0) << 16 | self.offset).to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class _Number:
    """A field of 32 bits."""

    number: int

    def __post_init__(self) -> None:
        check_uint(f"{type(self).__name__}.number", self.number, 32)

    @classmethod
    def from_word(cls, word: int) -> Self:
        """Read a 32-bit word."""
        return cls(word)

    def encode(self) -> bytes:
        """Return 4 octets."""
        return self.number.to_bytes(4, "big")


class GREKey(_Number):
    """Names a flow within the tunnel, RFC 2890 section 2.1.

    In version 1 its halves are the payload length and the call (RFC 2637 section 4.1).
    """

    __slots__ = ()


class GRESequence(_Number):
    """Number of this packet within the tunnel or flow, RFC 2890 section 2.2."""

    __slots__ = ()


class GREAcknowledgment(_Number):
    """The highest number received, RFC 2637 section 4.1; of version 1 alone."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class GREOctets:
    """Octets that are none of the fields: of a header that was cut, or that has a source route.

    Nothing tells which flags they need, so these stay as they are.
    """

    octets: bytes

    def encode(self) -> bytes:
        """Return the octets as they came."""
        return self.octets


OptionalField = GREChecksum | _Number | GREOctets
# In the order in which they stand, with the flag that announces each.
_WORDS: Final[tuple[tuple[type[GREChecksum | _Number], int], ...]] = (
    (GREChecksum, CHECKSUM),
    (GREKey, KEY),
    (GRESequence, SEQUENCE),
    (GREAcknowledgment, ACKNOWLEDGMENT),
)


class _Encoded(bytes):
    """Octets of optional fields, and what no octet of them tells.

    `present` are the flags that announce them, `computed` says that the checksum is to be filled
    in. Octets of a decoded header are plain `bytes`: its flags are in its fixed part.
    """

    present: int
    computed: bool


class _OptionalCodec:
    """Writes the optional fields; reading them takes the flags, so that is `_split`."""

    __slots__ = ()

    def decode(self, octets: bytes) -> tuple[OptionalField, ...]:
        """Return the octets as one item: without the flags nothing tells them apart."""
        return (GREOctets(octets),) if octets else ()

    def encode(self, items: tuple[OptionalField, ...]) -> bytes:
        """Return the octets of `items`. Raises: ValueError when they are not in their order."""
        kinds = [type(item) for item in items]
        order = [cls for cls, _ in _WORDS] + [GREOctets]
        for item in items:
            if type(item) not in order:
                raise TypeError(f"{item!r} is not an optional field of GRE")
        if kinds != [cls for cls in order if cls in kinds]:
            names = ", ".join([cls.__name__ for cls in order])
            raise ValueError(f"the optional fields of GRE stand in the order {names}, each once")
        octets = b"".join([item.encode() for item in items])
        if items and isinstance(items[-1], GREOctets):
            return octets
        encoded = _Encoded(octets)
        encoded.present = sum([flag for cls, flag in _WORDS if cls in kinds])
        first = items[0] if items else None
        encoded.computed = isinstance(first, GREChecksum) and first.checksum is None
        return encoded


def _split(header: Header) -> tuple[OptionalField, ...]:
    """Return the optional fields that the flags announce; what is cut is kept as octets."""
    tail = header._tail
    flags = header._values[0]
    if isinstance(tail, _Encoded):
        flags = tail.present | PPTP
    if flags & ROUTING:
        return (GREOctets(tail),) if tail else ()
    if flags & CHECKSUM and len(tail) >= 4:
        tail = bytes(header)[4:]  # with the checksum as it is computed
    if not flags & PPTP:
        flags &= ~ACKNOWLEDGMENT
    words = list(struct.unpack_from(f"!{len(tail) // 4}I", tail))
    found: list[OptionalField] = []
    for cls, flag in _WORDS:
        if flags & flag and words:
            found.append(cls.from_word(words.pop(0)))
    offset = 4 * len(found)
    if offset < len(tail):
        found.append(GREOctets(tail[offset:]))
    return tuple(found)


class GRE(Header, layer="gre", carried_by={"ip_protocol": 47, "udp_port": 4754}):
    """A GRE header, 4 octets and the optional fields that its flags announce.

    ``GRE(optional=(GREChecksum(), GREKey(7), GRESequence(1)))`` sets the flags and computes the
    checksum. `checksum`, `key` and `sequence` read the values, None where a field is not there.
    """

    __slots__ = ()
    walk = Walk(step="gre")

    checksum_present: Derived = derived(1, "C: the checksum is there")
    routing_present: UInt = uint(1, "R: a source route is there (RFC 1701)")
    key_present: Derived = derived(1, "K: the key is there")
    sequence_present: Derived = derived(1, "S: the sequence number is there")
    strict_route: UInt = uint(1, "s: the source route is strict (RFC 1701)")
    recursion: UInt = uint(3, "further encapsulations allowed (RFC 1701)")
    ack_present: Derived = derived(1, "A: an acknowledgment is there (version 1)")
    reserved: UInt = uint(4, "0")
    version: UInt = uint(3, "0, or 1 for PPTP", values={0: "GRE", 1: "enhanced GRE of PPTP"})
    protocol_type: Derived = following(
        16, "ether_type", "what follows", default=LOCAL_EXPERIMENTAL, values=ETHER_TYPES
    )
    optional: Field[tuple[OptionalField, ...], Iterable[OptionalField]] = variable(
        _OptionalCodec(), "checksum, key and sequence number", split=_split
    )

    @property
    def checksum(self) -> int | None:
        """The checksum over header and payload, or None."""
        for item in self.optional:
            if isinstance(item, GREChecksum):
                return item.checksum
        return None

    @property
    def key(self) -> int | None:
        """The key, or None."""
        return self._number(GREKey)

    @property
    def sequence(self) -> int | None:
        """The sequence number, or None."""
        return self._number(GRESequence)

    @property
    def acknowledgment(self) -> int | None:
        """The acknowledgment number of version 1, or None."""
        return self._number(GREAcknowledgment)

    @property
    def call_id(self) -> int | None:
        """The peer's call in version 1: the lower half of the key."""
        key = self.key
        return None if key is None or self.version != PPTP else key & 0xFFFF

    def _number(self, cls: type[_Number]) -> int | None:
        for item in self.optional:
            if isinstance(item, cls):
                return item.number
        return None

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write flags, type of what follows and checksum."""
        values = list(self._values)
        tail = self._tail
        auto = self._auto
        computed = True
        if upper is not None:
            self.derive_following(values, upper)
        if isinstance(tail, _Encoded):
            computed = tail.computed
            for flag, mask in _FLAGS:
                if auto & mask:
                    values[0] = values[0] & ~flag | tail.present & flag
        if computed and auto & _CHECKSUM_PRESENT and values[0] & CHECKSUM and len(tail) >= 4:
            rest = b"\0\0" + tail[2:]
            checksum = complement(values[0] + values[1] + value_of(rest + body))
            tail = checksum.to_bytes(2, "big") + rest[2:]
        return self._pack(*values) + tail + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the optional fields, go on by type; of a version that is not known, stop."""
        flags, protocol_type = self._values
        if flags & _VERSION > PPTP:
            return offset + 4, end, None
        size = optional_size(octets, offset, end, flags)
        stop = offset + 4 if size == 4 else self.take_tail(octets, offset, size, end, packet)
        return stop, end, tables["ether_type"].get(protocol_type)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on version, flags, checksum and what follows."""
        flags = self._values[0]
        version = flags & _VERSION
        if version > PPTP:
            yield self.finding(
                "version",
                "error",
                "version",
                version,
                "0, or 1 for PPTP",
                "RFC 2784 section 2.3.1",
                "a receiver drops what has another version",
            )
            return
        if flags & ROUTING:
            yield self.finding(
                "routing",
                "warning",
                "routing_present",
                1,
                0,
                "RFC 2784 section 2.3",
                "source routes in GRE are gone since RFC 2784; a receiver of today drops this",
            )
        if version == PPTP:
            yield from self._judge_pptp(flags, place)
        elif flags & (_RESERVED | ACKNOWLEDGMENT):
            yield self.finding(
                "reserved",
                "warning",
                "reserved",
                f"{flags & (_RESERVED | ACKNOWLEDGMENT):#06x}",
                "0",
                "RFC 2784 section 2.3",
                "reserved bits are set; a receiver drops the packet for those up to bit 5",
            )
        checksum = self.checksum
        if checksum is not None and not (place.fragment or place.truncated):
            rest = value_of(place.whole[:4] + b"\0\0" + place.whole[6:])
            if (rest + checksum) % 65535:
                yield self.finding(
                    "checksum",
                    "error",
                    "optional",
                    f"{checksum:#06x}",
                    f"{complement(rest):#06x}",
                    "RFC 2784 section 2.5",
                    "the checksum does not fit the header and what it carries",
                )
        yield from ether_type_findings(self, place, "protocol_type", self.protocol_type)

    def _judge_pptp(self, flags: int, place: Place) -> Iterator[Finding]:
        key = self.key
        if not flags & KEY or self._values[1] != PPP:
            yield self.finding(
                "pptp",
                "error",
                "key_present" if not flags & KEY else "protocol_type",
                f"K {flags >> 13 & 1}, {self._values[1]:#06x}",
                f"K 1, {PPP:#06x}",
                "RFC 2637 section 4.1",
                "version 1 carries PPP, with a key that holds its length and the call",
            )
        elif key is not None and key >> 16 != len(place.body) and not place.truncated:
            yield self.finding(
                "pptp-length",
                "error",
                "optional",
                key >> 16,
                len(place.body),
                "RFC 2637 section 4.1",
                "the payload length in the key is not that of the payload",
            )


def optional_size(octets: bytes, offset: int, end: int, flags: int) -> int:
    """Return the octets of the header at `offset`, the optional fields in `flags` included.

    A source route (RFC 1701) is as long as its entries say: to the first one of length 0.
    """
    size = 4
    if flags & (CHECKSUM | ROUTING):
        size += 4
    if flags & KEY:
        size += 4
    if flags & SEQUENCE:
        size += 4
    if flags & ACKNOWLEDGMENT and flags & _VERSION == PPTP:
        size += 4
    if flags & ROUTING:
        while offset + size + 4 <= end:
            length = octets[offset + size + 3]
            size += 4 + length
            if not length:
                return size
        size += 4  # the entry that is missing
    return size


_CHECKSUM_PRESENT = GRE.checksum_present.mask
_FLAGS = (
    (CHECKSUM, _CHECKSUM_PRESENT),
    (KEY, GRE.key_present.mask),
    (SEQUENCE, GRE.sequence_present.mask),
    (ACKNOWLEDGMENT, GRE.ack_present.mask),
)

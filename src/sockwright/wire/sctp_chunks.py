"""Chunks of SCTP, RFC 9260 section 3.2: typed values, and a codec that keeps what it cannot read.

DATA, INIT, INIT ACK and SACK have classes of their own; any other is an `SCTPChunk`. All have
`flags`, and `padding`: None for the zeros that fill the last word, else what was there instead.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Self

from sockwright.wire.core.option import check_uint

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CHUNKS",
    "ChunkCodec",
    "MalformedChunk",
    "SCTPChunk",
    "SCTPData",
    "SCTPInit",
    "SCTPInitAck",
    "SCTPSack",
]

_HEAD = struct.Struct("!BBH")
_DATA = struct.Struct("!IHHI")
_INIT = struct.Struct("!IIHHI")
_SACK = struct.Struct("!IIHH")
_GAP = struct.Struct("!HH")

CHUNKS: Mapping[int, str] = {
    0: "DATA",
    1: "INIT",
    2: "INIT ACK",
    3: "SACK",
    4: "HEARTBEAT",
    5: "HEARTBEAT ACK",
    6: "ABORT",
    7: "SHUTDOWN",
    8: "SHUTDOWN ACK",
    9: "ERROR",
    10: "COOKIE ECHO",
    11: "COOKIE ACK",
    12: "ECNE",
    13: "CWR",
    14: "SHUTDOWN COMPLETE",
    15: "AUTH",
    64: "I-DATA",
    128: "ASCONF-ACK",
    130: "RE-CONFIG",
    132: "PAD",
    192: "FORWARD TSN",
    193: "ASCONF",
    194: "I-FORWARD-TSN",
}
"""Types of chunks by the IANA registry "SCTP Chunk Types"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """What all chunks have."""

    flags: int = 0
    padding: bytes | None = None

    @property
    def number(self) -> int:
        """The type of the chunk."""
        raise NotImplementedError

    def body(self) -> bytes:
        """Return what stands behind type, flags and length."""
        raise NotImplementedError

    def encode(self) -> bytes:
        """Return head, body and padding. Raises: ValueError when the length does not fit."""
        check_uint(f"{type(self).__name__}.flags", self.flags, 8)
        body = self.body()
        length = 4 + len(body)
        check_uint(f"{type(self).__name__}: octets", length, 16)
        padding = bytes(-length % 4) if self.padding is None else self.padding
        return _HEAD.pack(self.number, self.flags, length) + body + padding


@dataclass(frozen=True, slots=True)
class SCTPChunk(_Chunk):
    """A chunk of any type; `value` is what stands behind its length."""

    kind: int
    value: bytes = b""

    def __post_init__(self) -> None:
        check_uint("SCTPChunk.kind", self.kind, 8)

    @property
    def number(self) -> int:
        """The type of the chunk."""
        return self.kind

    def body(self) -> bytes:
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class SCTPData(_Chunk):
    """DATA, RFC 9260 section 3.3.1. Flags: 1 for the end of a message, 2 for its beginning."""

    tsn: int
    stream: int = 0
    stream_sequence: int = 0
    payload_protocol: int = 0
    data: bytes = b""
    flags: int = field(default=3, kw_only=True)

    def __post_init__(self) -> None:
        check_uint("SCTPData.tsn", self.tsn, 32)
        check_uint("SCTPData.stream", self.stream, 16)
        check_uint("SCTPData.stream_sequence", self.stream_sequence, 16)
        check_uint("SCTPData.payload_protocol", self.payload_protocol, 32)

    @property
    def number(self) -> int:
        """The type of the chunk, 0."""
        return 0

    def body(self) -> bytes:
        """Return TSN, stream, sequence, protocol and data."""
        head = _DATA.pack(self.tsn, self.stream, self.stream_sequence, self.payload_protocol)
        return head + self.data

    @classmethod
    def from_body(cls, body: bytes, flags: int, padding: bytes | None) -> Self:
        """Read a body. Raises: struct.error where it is too short."""
        tsn, stream, sequence, protocol = _DATA.unpack_from(body)
        data = body[_DATA.size :]
        return cls(tsn, stream, sequence, protocol, data, flags=flags, padding=padding)


@dataclass(frozen=True, slots=True)
class SCTPInit(_Chunk):
    """INIT, RFC 9260 section 3.3.2; `parameters` as on the wire."""

    _number: ClassVar[int] = 1
    initiate_tag: int
    a_rwnd: int = 65536
    outbound_streams: int = 1
    inbound_streams: int = 1
    initial_tsn: int = 0
    parameters: bytes = b""

    def __post_init__(self) -> None:
        name = type(self).__name__
        for part in ("initiate_tag", "a_rwnd", "initial_tsn"):
            check_uint(f"{name}.{part}", getattr(self, part), 32)
        for part in ("outbound_streams", "inbound_streams"):
            check_uint(f"{name}.{part}", getattr(self, part), 16)

    @property
    def number(self) -> int:
        """The type of the chunk."""
        return self._number

    def body(self) -> bytes:
        """Return tag, window, streams, TSN and parameters."""
        head = _INIT.pack(
            self.initiate_tag,
            self.a_rwnd,
            self.outbound_streams,
            self.inbound_streams,
            self.initial_tsn,
        )
        return head + self.parameters

    @classmethod
    def from_body(cls, body: bytes, flags: int, padding: bytes | None) -> Self:
        """Read a body. Raises: struct.error where it is too short."""
        tag, window, outbound, inbound, tsn = _INIT.unpack_from(body)
        rest = body[_INIT.size :]
        return cls(tag, window, outbound, inbound, tsn, rest, flags=flags, padding=padding)


class SCTPInitAck(SCTPInit):
    """INIT ACK, RFC 9260 section 3.3.3: as INIT, with a state cookie among its parameters."""

    __slots__ = ()
    _number: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class SCTPSack(_Chunk):
    """SACK, RFC 9260 section 3.3.4: what arrived; `gaps` count from `cumulative_tsn`."""

    cumulative_tsn: int
    a_rwnd: int = 65536
    gaps: tuple[tuple[int, int], ...] = ()
    duplicates: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_uint("SCTPSack.cumulative_tsn", self.cumulative_tsn, 32)
        check_uint("SCTPSack.a_rwnd", self.a_rwnd, 32)
        for edge in [edge for gap in self.gaps for edge in gap]:
            check_uint("SCTPSack.gaps", edge, 16)
        for tsn in self.duplicates:
            check_uint("SCTPSack.duplicates", tsn, 32)

    @property
    def number(self) -> int:
        """The type of the chunk, 3."""
        return 3

    def body(self) -> bytes:
        """Return TSN, window, both counts, gaps and duplicates."""
        head = _SACK.pack(self.cumulative_tsn, self.a_rwnd, len(self.gaps), len(self.duplicates))
        gaps = b"".join([_GAP.pack(*gap) for gap in self.gaps])
        return head + gaps + b"".join([tsn.to_bytes(4, "big") for tsn in self.duplicates])

    @classmethod
    def from_body(cls, body: bytes, flags: int, padding: bytes | None) -> Self:
        """Read a body. Raises: struct.error or ValueError where it does not fit its counts."""
        tsn, window, gaps, duplicates = _SACK.unpack_from(body)
        behind = _SACK.size + 4 * gaps
        if len(body) != behind + 4 * duplicates:
            raise ValueError("the counts of SACK do not fit its length")
        return cls(
            tsn,
            window,
            tuple(_GAP.iter_unpack(body[_SACK.size : behind])),
            struct.unpack_from(f"!{duplicates}I", body, behind),
            flags=flags,
            padding=padding,
        )


@dataclass(frozen=True, slots=True)
class MalformedChunk:
    """Octets from here to the end that are no whole chunk."""

    octets: bytes

    def encode(self) -> bytes:
        """Return the octets as they came."""
        return self.octets


Chunk = SCTPChunk | SCTPData | SCTPInit | SCTPSack | MalformedChunk
_TYPED: Final[Mapping[int, type[SCTPData | SCTPInit | SCTPSack]]] = {
    0: SCTPData,
    1: SCTPInit,
    2: SCTPInitAck,
    3: SCTPSack,
}


class ChunkCodec:
    """Reads and writes the chunks of a packet."""

    __slots__ = ()

    def decode(self, octets: bytes) -> tuple[Chunk, ...]:
        """Return the chunks in `octets`; never raises."""
        found: list[Chunk] = []
        offset = 0
        while offset < len(octets):
            whole = offset + 4 <= len(octets)
            kind, flags, length = _HEAD.unpack_from(octets, offset) if whole else (0, 0, 0)
            stop = offset + length
            if length < 4 or stop > len(octets):
                found.append(MalformedChunk(octets[offset:]))
                break
            body = octets[offset + 4 : stop]
            offset = stop + -length % 4
            padding: bytes | None = octets[stop:offset]
            if padding == bytes(-length % 4):
                padding = None
            found.append(_typed(kind, body, flags, padding))
        return tuple(found)

    def encode(self, items: tuple[Chunk, ...]) -> bytes:
        """Return the octets of `items`."""
        return b"".join([item.encode() for item in items])


def _typed(kind: int, body: bytes, flags: int, padding: bytes | None) -> Chunk:
    """Return the chunk of its class, or of the general one where it does not fit."""
    cls = _TYPED.get(kind)
    if cls is not None:
        try:
            return cls.from_body(body, flags, padding)
        except (struct.error, ValueError):
            pass
    return SCTPChunk(kind, body, flags=flags, padding=padding)

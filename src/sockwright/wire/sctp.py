"""Stream Control Transmission Protocol, RFC 9260 section 3; over UDP: RFC 6951."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from sockwright.wire.core.crc32c import crc32c
from sockwright.wire.core.field import Derived, Field, UInt, derived, uint, variable
from sockwright.wire.core.header import Header
from sockwright.wire.core.walk import Walk
from sockwright.wire.sctp_chunks import (
    CHUNKS,
    Chunk,
    ChunkCodec,
    MalformedChunk,
    SCTPChunk,
    SCTPData,
    SCTPInit,
    SCTPInitAck,
    SCTPSack,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sockwright.wire.core.finding import Finding, Place, Severity
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["CHUNKS", "SCTP", "SCTPChunk", "SCTPData", "SCTPInit", "SCTPInitAck", "SCTPSack"]

INIT, INIT_ACK, ABORT, SHUTDOWN_COMPLETE = 1, 2, 6, 14


class SCTP(
    Header, layer="sctp", carried_by={"ip_protocol": 132, "udp_port": 9899, "link_type": 248}
):
    """The common header, 12 octets, and the chunks behind it, to the end of the packet.

    `checksum` is the CRC32c as the four octets are read, highest first; RFC 9260 sends the lowest
    octet of the sum first.
    """

    __slots__ = ()
    walk = Walk(takes_rest=True)

    src_port: UInt = uint(16, "port of the sender")
    dst_port: UInt = uint(16, "port of the receiver")
    verification_tag: UInt = uint(32, "what the receiver chose for the association")
    checksum: Derived = derived(32, "CRC32c over header and chunks")
    chunks: Field[tuple[Chunk, ...], Iterable[Chunk]] = variable(
        ChunkCodec(), "chunks, RFC 9260 section 3.2"
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the checksum."""
        values = self._values
        behind = self._tail + body
        if self._auto:
            head = self._pack(*values[:-1], 0)
            return head[:8] + _checksum(head + behind).to_bytes(4, "big") + behind
        return self._pack(*values) + behind

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the chunks: all there is."""
        self._tail = octets[offset + 12 : end]
        return end, end, None

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on ports, tag, checksum and chunks."""
        for name, port in (("src_port", self.src_port), ("dst_port", self.dst_port)):
            if not port:
                yield self.finding(
                    name.replace("_", "-"),
                    "error",
                    name,
                    0,
                    "1 to 65535",
                    "RFC 9260 section 3.1",
                    "port 0 may not be used",
                )
        if not place.truncated and not place.fragment:
            yield from self._judge_checksum(place.whole)
            yield from self._judge_chunks()

    def _judge_checksum(self, whole: bytes) -> Iterator[Finding]:
        found = self.checksum
        expected = _checksum(whole)
        if found == expected:
            return
        severity: Severity = "error"
        cleared = whole[:8] + bytes(4) + whole[12:]
        if not found:
            severity = "warning"
            message = (
                "the checksum is 0: left to the network card (offload), or agreed upon where a "
                "stronger sum is around (RFC 9653)"
            )
        elif found == int.from_bytes(expected.to_bytes(4, "big"), "little"):
            message = "the checksum is right, but its highest octet comes first"
        elif found == zlib.adler32(cleared):
            message = "this is the Adler-32 sum of RFC 2960, which RFC 3309 replaced by CRC32c"
        else:
            message = "the checksum does not fit the header and the chunks"
        yield self.finding(
            "checksum",
            severity,
            "checksum",
            f"{found:#010x}",
            f"{expected:#010x}",
            "RFC 9260 section 6.8",
            message,
        )

    def _judge_chunks(self) -> Iterator[Finding]:
        chunks = self.chunks
        if any(isinstance(chunk, MalformedChunk) for chunk in chunks):
            yield self.finding(
                "chunk-length",
                "error",
                "chunks",
                chunks[-1].encode()[:8].hex(),
                "a length of 4 or more, inside the packet",
                "RFC 9260 section 3.2",
                "the length of a chunk is below 4 or goes beyond the packet",
            )
        kinds = [chunk.number for chunk in chunks if not isinstance(chunk, MalformedChunk)]
        alone = {INIT, INIT_ACK, SHUTDOWN_COMPLETE}.intersection(kinds)
        if alone and len(chunks) > 1:
            name = CHUNKS[min(alone)]
            yield self.finding(
                "bundled",
                "error",
                "chunks",
                f"{len(chunks)} chunks",
                f"{name} alone",
                "RFC 9260 section 6.10",
                f"{name} is not sent together with other chunks",
            )
        if kinds and (INIT in kinds) == bool(self.verification_tag) and ABORT not in kinds:
            yield self.finding(
                "verification-tag",
                "error",
                "verification_tag",
                f"{self.verification_tag:#010x}",
                "0" if INIT in kinds else "what the receiver chose",
                "RFC 9260 section 8.5.1",
                "the tag is 0 in a packet with INIT, and in no other",
            )
        for chunk in chunks:
            if isinstance(chunk, SCTPData) and not chunk.data:
                yield self.finding(
                    "data-empty",
                    "error",
                    "chunks",
                    "no data",
                    "one octet or more",
                    "RFC 9260 section 6.2",
                    "a DATA chunk without data ends the association",
                )


def _checksum(whole: bytes) -> int:
    """Return the field for a packet, whatever is in it; as the four octets are read."""
    octets = crc32c(whole[:8] + bytes(4) + whole[12:]).to_bytes(4, "little")
    return int.from_bytes(octets, "big")

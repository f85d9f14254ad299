"""Datagram Congestion Control Protocol, RFC 4340 section 5: the generic header, long and short."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.checksum import value_of
from sockwright.wire.core.field import Derived, Octets, UInt, derived, raw, uint
from sockwright.wire.core.header import Header
from sockwright.wire.core.transport_checksum import transport_checksum_findings
from sockwright.wire.core.walk import Choice, Walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["DCCP", "TYPES", "DCCPShort"]

_PROTOCOL = 33
_EXTENDED_AT = 8  # the octet that ends in the X bit
REQUEST, RESPONSE, DATA, ACK, DATA_ACK = range(5)
TYPES: Mapping[int, str] = {
    REQUEST: "Request",
    RESPONSE: "Response",
    DATA: "Data",
    ACK: "Ack",
    DATA_ACK: "DataAck",
    5: "CloseReq",
    6: "Close",
    7: "Reset",
    8: "Sync",
    9: "SyncAck",
}
"""Types of packets, RFC 4340 section 5.1."""
_ONLY_MAY_BE_SHORT = (DATA, ACK, DATA_ACK)
_FORMS = Choice(
    at=_EXTENDED_AT, width=1, needs=9, short="DCCP", cases=((1, 1, "DCCP"),), otherwise="DCCPShort"
)


def _choose(octets: bytes, offset: int, end: int) -> type[Header]:
    """Choose by the X bit: sequence numbers of 48 or of 24 bits."""
    if end - offset > _EXTENDED_AT and not octets[offset + _EXTENDED_AT] & 1:
        return DCCPShort
    return DCCP


class _Generic(Header, layer="dccp"):
    """What both forms share. The words are: ports, offset and coverage, checksum, and the rest."""

    __slots__ = ()
    _choose = staticmethod(_choose)

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write data offset and checksum."""
        values = list(self._values)
        tail = self._tail
        size = self.fixed_size + len(tail)
        if self._auto & DCCP.data_offset.mask:
            words = (size + 3) // 4
            if words > 0xFF:
                raise ValueError(f"dccp.data_offset: {words} words do not fit 8 bits")
            values[2] = values[2] & 0xFF | words << 8
        if self._auto & DCCP.checksum.mask:
            values[3] = 0
            addresses = headers[index - 1].pseudo_sum(headers, index - 1) if index else None
            if addresses is not None:
                covered = self._pack(*values) + tail + body[: _coverage(values[2] & 15, body)]
                total = addresses + _PROTOCOL + size + len(body) + value_of(covered)
                values[3] = -total % 65535
        return self._pack(*values) + tail + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take what the type adds, and the options."""
        return self.take_tail(octets, offset, 4 * (self._values[2] >> 8), end, packet), end, None

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on ports, type, offset, coverage and checksum."""
        for name, port in zip(("src_port", "dst_port"), self._values, strict=False):
            if not port:
                yield self.finding(
                    name.replace("_", "-"),
                    "error",
                    name,
                    0,
                    "1 to 65535",
                    "RFC 6335 section 6",
                    "port 0 is reserved",
                )
        kind = place.octets[place.start + _EXTENDED_AT] >> 1 & 15
        if kind not in TYPES:
            yield self.finding(
                "type",
                "error",
                "type",
                kind,
                "0 to 9",
                "RFC 4340 section 5.1",
                "packets of a reserved type are ignored",
            )
        elif isinstance(self, DCCPShort) and kind not in _ONLY_MAY_BE_SHORT:
            yield self.finding(
                "extended",
                "error",
                "extended",
                0,
                1,
                "RFC 4340 section 5.1",
                f"{TYPES[kind]} has sequence numbers of 48 bits",
            )
        if place.truncated or place.fragment:
            return
        offset, coverage = self._values[2] >> 8, self._values[2] & 15
        if 4 * offset != self.size:
            yield self.finding(
                "data-offset",
                "error",
                "data_offset",
                offset,
                (self.size + 3) // 4,
                "RFC 4340 section 5.1",
                f"the offset claims {4 * offset} octets, the header has {self.size}",
            )
        if coverage > 1 and 4 * (coverage - 1) > len(place.body):
            yield self.finding(
                "coverage",
                "error",
                "coverage",
                coverage,
                f"up to {(len(place.body) + 3) // 4 + 1}",
                "RFC 4340 section 9.2",
                "the checksum covers more than there is: the packet is ignored",
            )
            return
        covered = place.whole[: self.size + _coverage(coverage, place.body)]
        reference = "RFC 4340 section 9.1"
        yield from transport_checksum_findings(place, _PROTOCOL, 6, reference, covered)


class DCCP(_Generic, layer="dccp", carried_by={"ip_protocol": _PROTOCOL}):
    """The generic header with X = 1, 16 octets, and what the type of the packet adds to it.

    `seq` has 48 bits, in two parts on the wire. `rest` is the acknowledgment, the service or reset
    code, and the options. `coverage` is 0 for all data, else 1 more than the 32-bit words covered.
    """

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = Walk(size=("data_offset",), unit=4, forms=_FORMS)

    src_port: UInt = uint(16, "port of the sender")
    dst_port: UInt = uint(16, "port of the receiver")
    data_offset: Derived = derived(8, "header length in 32-bit words", default=4)
    ccval: UInt = uint(4, "for the congestion control of the sender")
    coverage: UInt = uint(4, "0 for all data, else words that the checksum covers, plus 1")
    checksum: Derived = derived(16, "over pseudo-header, header and covered data")
    reserved: UInt = uint(3, "0")
    type: UInt = uint(4, "kind of packet", default=DATA, values=TYPES)
    extended: UInt = uint(1, "X: sequence numbers have 48 bits", default=1)
    reserved2: UInt = uint(8, "0")
    seq_high: UInt = uint(16, "upper 16 bits of the sequence number")
    seq_low: UInt = uint(32, "lower 32 bits of the sequence number")
    rest: Octets = raw("what the type adds, and options")

    @property
    def seq(self) -> int:
        """The sequence number, 48 bits."""
        return self.seq_high << 32 | self.seq_low


class DCCPShort(_Generic, layer="dccp", carried_by={"ip_protocol": _PROTOCOL}):
    """The generic header with X = 0, 12 octets; of Data, Ack and DataAck alone."""

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = Walk(size=("data_offset",), unit=4, forms=_FORMS)

    src_port: UInt = uint(16, "port of the sender")
    dst_port: UInt = uint(16, "port of the receiver")
    data_offset: Derived = derived(8, "header length in 32-bit words", default=3)
    ccval: UInt = uint(4, "for the congestion control of the sender")
    coverage: UInt = uint(4, "0 for all data, else words that the checksum covers, plus 1")
    checksum: Derived = derived(16, "over pseudo-header, header and covered data")
    reserved: UInt = uint(3, "0")
    type: UInt = uint(4, "kind of packet", default=DATA, values=TYPES)
    extended: UInt = uint(1, "X: sequence numbers have 48 bits")
    seq: UInt = uint(24, "lower 24 bits of the sequence number")
    rest: Octets = raw("what the type adds, and options")


def _coverage(coverage: int, body: bytes) -> int:
    """Return how many octets of `body` the checksum covers, RFC 4340 section 9.2."""
    return len(body) if not coverage else 4 * (coverage - 1)

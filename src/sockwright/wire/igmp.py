"""Internet Group Management Protocol: version 3 by RFC 9776, 2 by RFC 2236, 1 by RFC 1112.

A query is one of version 3 when it has 12 octets or more (RFC 9776 section 7.1), so the octets
decide which class it is. All have the layer name ``igmp``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from sockwright.wire.core.checksum import complement, value_of
from sockwright.wire.core.field import (
    Derived,
    Field,
    IPv4Value,
    UInt,
    derived,
    ipv4,
    uint,
    variable,
)
from sockwright.wire.core.group_records import kind_findings, number_findings, records_stop
from sockwright.wire.core.header import Header
from sockwright.wire.core.option import check_uint
from sockwright.wire.core.transport_checksum import plain_checksum_finding
from sockwright.wire.core.walk import Choice, Walk
from sockwright.wire.ipv4_options import RouterAlert
from sockwright.wire.mld import RECORD_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["IGMP", "TYPES", "GroupRecord", "IGMPv3Query", "IGMPv3Report", "MalformedGroupRecord"]

QUERY, REPORT_V1, REPORT_V2, LEAVE, REPORT_V3 = 0x11, 0x12, 0x16, 0x17, 0x22
TYPES: Mapping[int, str] = {
    QUERY: "membership query",
    REPORT_V1: "membership report, version 1",
    0x13: "DVMRP",
    0x14: "PIM, version 1",
    0x15: "Cisco trace",
    REPORT_V2: "membership report, version 2",
    LEAVE: "leave group",
    0x1E: "multicast traceroute response",
    0x1F: "multicast traceroute",
    REPORT_V3: "membership report, version 3",
    0x30: "multicast router advertisement",
    0x31: "multicast router solicitation",
    0x32: "multicast router termination",
}
"""Message types by the IANA registry "IGMP Type Numbers"."""
_SHORTEST_V3 = 12
_RECORD = struct.Struct("!BBH4s")
_NUMBER = {"ip_protocol": 2}


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """What a host wants of one group, RFC 9776 section 4.2; kinds as in `mld.RECORD_KINDS`."""

    kind: int
    group: IPv4Address
    sources: tuple[IPv4Address, ...] = ()
    auxiliary: bytes = b""

    def __post_init__(self) -> None:
        check_uint("GroupRecord.kind", self.kind, 8)
        size = len(self.auxiliary)
        if size % 4 or size > 4 * 255:
            raise ValueError(f"GroupRecord.auxiliary: {size} octets are not 0 to 1020 in fours")

    def encode(self) -> bytes:
        """Return 8 octets, 4 a source, and the auxiliary data."""
        words = len(self.auxiliary) // 4
        head = _RECORD.pack(self.kind, words, len(self.sources), self.group.packed)
        return head + b"".join([source.packed for source in self.sources]) + self.auxiliary


@dataclass(frozen=True, slots=True)
class MalformedGroupRecord:
    """Octets from here to the end of the records that are no whole record."""

    octets: bytes

    def encode(self) -> bytes:
        """Return the octets as they came."""
        return self.octets


Record = GroupRecord | MalformedGroupRecord


def _record_size(octets: bytes, offset: int) -> int:
    """Return the octets that the record at `offset` claims; its first 8 are there."""
    _, words, sources, _ = _RECORD.unpack_from(octets, offset)
    return _RECORD.size + 4 * (sources + words)  # type: ignore[no-any-return]


class _RecordCodec:
    """Reads and writes the records of a report."""

    __slots__ = ()

    def decode(self, octets: bytes) -> tuple[Record, ...]:
        """Return the records in `octets`; never raises."""
        found: list[Record] = []
        offset = 0
        while offset < len(octets):
            start = offset + _RECORD.size
            if start > len(octets) or offset + _record_size(octets, offset) > len(octets):
                found.append(MalformedGroupRecord(octets[offset:]))
                break
            kind, words, count, group = _RECORD.unpack_from(octets, offset)
            behind = start + 4 * count
            offset = behind + 4 * words
            sources = _addresses(octets[start:behind])
            auxiliary = octets[behind:offset]
            found.append(GroupRecord(kind, IPv4Address(group), sources, auxiliary))
        return tuple(found)

    def encode(self, items: tuple[Record, ...]) -> bytes:
        """Return the octets of `items`."""
        return b"".join([item.encode() for item in items])


class _AddressCodec:
    """Reads and writes IPv4 addresses in a row; a part of one at the end is left out."""

    __slots__ = ()

    def decode(self, octets: bytes) -> tuple[IPv4Address, ...]:
        """Return the addresses in `octets`; never raises."""
        return _addresses(octets)

    def encode(self, items: tuple[IPv4Address, ...]) -> bytes:
        """Return 4 octets an address."""
        return b"".join([item.packed for item in items])


def _addresses(octets: bytes) -> tuple[IPv4Address, ...]:
    whole = len(octets) // 4
    return tuple([IPv4Address(number) for number in struct.unpack_from(f"!{whole}I", octets)])


def _choose(octets: bytes, offset: int, end: int) -> type[Header]:
    """Choose by the type, and a query by its length."""
    kind = octets[offset] if offset < end else 0
    if kind == REPORT_V3:
        return IGMPv3Report
    return IGMPv3Query if kind == QUERY and end - offset >= _SHORTEST_V3 else IGMP


_FORMS = Choice(
    at=0,
    width=1,
    needs=1,
    short="IGMP",
    cases=((0xFF, REPORT_V3, "IGMPv3Report"), (0xFF, QUERY, "IGMPv3Query")),
    otherwise="IGMP",
)
_QUERIES = Choice(
    at=0, width=1, needs=_SHORTEST_V3, short="IGMP", cases=(), otherwise="IGMPv3Query"
)


def code_value(code: int) -> int:
    """Return what a code of 8 bits stands for: above 127 floating point, RFC 9776 section 4.1."""
    return code if code < 128 else (code & 15 | 16) << (code >> 4 & 7) + 3


class IGMPv3Query(Header, layer="igmp", carried_by=_NUMBER):
    """A query of version 3, RFC 9776 section 4.1: 12 octets and its sources.

    `suppress` is the S flag: other routers leave their timers. `robustness` is QRV, `interval_code`
    QQIC; both codes are numbers below 128 and floating point above, so read `max_response_time`
    (tenths of a second) and `query_interval` (seconds).
    """

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = Walk(size=("number_of_sources",), unit=4, more=12, forms=_QUERIES)

    type: UInt = uint(8, "kind of message", default=QUERY, values=TYPES)
    max_response_code: UInt = uint(8, "code of tenths of a second", default=100)
    checksum: Derived = derived(16, "over the whole message")
    group: IPv4Value = ipv4("group that is asked for, 0.0.0.0 for any")
    reserved: UInt = uint(4, "0")
    suppress: UInt = uint(1, "suppress router-side processing")
    robustness: UInt = uint(3, "querier's robustness variable", default=2)
    interval_code: UInt = uint(8, "code of seconds", default=125)
    number_of_sources: Derived = derived(16, "sources that follow")
    sources: Field[tuple[IPv4Address, ...], Iterable[IPv4Address]] = variable(
        _AddressCodec(), "sources that are asked for"
    )

    @property
    def max_response_time(self) -> int:
        """Tenths of a second in which hosts answer."""
        return code_value(self.max_response_code)

    @property
    def query_interval(self) -> int:
        """Seconds between the querier's queries."""
        return code_value(self.interval_code)

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write number of sources and checksum."""
        values = list(self._values)
        if self._auto & IGMPv3Query.number_of_sources.mask:
            values[-1] = len(self._tail) // 4
        return _emit(self, values, body)

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the sources."""
        size = 12 + 4 * self._values[-1]
        return self.take_tail(octets, offset, size, end, packet), end, None

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on group, number of sources, checksum and the datagram around."""
        yield from _judge_group(self, self.group, may_be_any=True)
        there = len(self._tail) // 4
        if self.number_of_sources != there and not place.truncated:
            yield self.finding(
                "number-of-sources",
                "error",
                "number_of_sources",
                self.number_of_sources,
                there,
                "RFC 9776 section 4.1",
                f"the number says {self.number_of_sources} sources, {there} follow",
            )
        yield from _judge(self, place, self.checksum, alert=True)


class IGMPv3Report(Header, layer="igmp", carried_by=_NUMBER):
    """A report of version 3, RFC 9776 section 4.2: 8 octets and its records."""

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = Walk(step="records", asks="number_of_records", unit=4)

    type: UInt = uint(8, "kind of message", default=REPORT_V3, values=TYPES)
    reserved: UInt = uint(8, "0")
    checksum: Derived = derived(16, "over the whole message")
    reserved2: UInt = uint(16, "0")
    number_of_records: Derived = derived(16, "records that follow")
    records: Field[tuple[Record, ...], Iterable[Record]] = variable(
        _RecordCodec(), "records, RFC 9776 section 4.2"
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write number of records and checksum."""
        values = list(self._values)
        if self._auto & IGMPv3Report.number_of_records.mask:
            values[-1] = len(_RecordCodec().decode(self._tail))
        return _emit(self, values, body)

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take as many records as the number says."""
        start, number = offset + self.fixed_size, self._values[-1]
        stop = records_stop(octets, start, end, number, least=_RECORD.size, size_at=_record_size)
        return self.take_tail(octets, offset, stop - offset, end, packet), end, None

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on records, checksum and the datagram around."""
        records = self.records
        said, follow = self.number_of_records, len(records)
        yield from number_findings(self, place, said, follow, "RFC 9776 section 4.2")
        for record in records:
            if not isinstance(record, GroupRecord):
                continue
            yield from kind_findings(self, record.kind, RECORD_KINDS, "RFC 9776 section 4.2")
            yield from _judge_group(self, record.group, field="records")
        yield from _judge(self, place, self.checksum, alert=True)


class IGMP(Header, layer="igmp", carried_by=_NUMBER):
    """A message of version 1 or 2, 8 octets, RFC 2236 section 2. So starts any other type, too."""

    __slots__ = ()
    _choose = staticmethod(_choose)
    walk = Walk(forms=_FORMS)

    type: UInt = uint(8, "kind of message", default=QUERY, values=TYPES)
    max_response_time: UInt = uint(8, "tenths of a second; 0 in version 1")
    checksum: Derived = derived(16, "over the whole message")
    group: IPv4Value = ipv4("group it is about, 0.0.0.0 in a general query")

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the checksum."""
        return _emit(self, list(self._values), body)

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on type, group, checksum and the datagram around."""
        kind, group = self.type, self.group
        if kind not in TYPES:
            yield self.finding(
                "type",
                "note",
                "type",
                f"{kind:#04x}",
                "a type that is assigned",
                "RFC 9776 section 4",
                "a message of a type that is not known is ignored",
            )
        if kind in (REPORT_V1, REPORT_V2, LEAVE, QUERY):
            yield from _judge_group(self, group, may_be_any=kind == QUERY)
        yield from _judge(self, place, self.checksum, alert=kind in (REPORT_V2, LEAVE))


def _emit(header: Header, values: list[int], body: bytes) -> bytes:
    """Write the checksum, which is the second word of all messages and the first derived field."""
    tail = header._tail + body
    if header._auto & IGMP.checksum.mask:
        values[1] = 0
        values[1] = complement(value_of(header._pack(*values) + tail))
    return header._pack(*values) + tail


def _judge_group(
    header: Header, group: IPv4Address, *, may_be_any: bool = False, field: str = "group"
) -> Iterator[Finding]:
    if group.is_multicast or (may_be_any and not int(group)):
        return
    yield header.finding(
        "group",
        "error",
        field,
        group,
        "a multicast address" + (", or 0.0.0.0" if may_be_any else ""),
        "RFC 9776 section 4",
        "the message is about a multicast group",
    )


def _judge(header: Header, place: Place, checksum: int, *, alert: bool) -> Iterator[Finding]:
    """Yield findings on the checksum, and on what RFC 9776 section 4 asks of the datagram."""
    yield from plain_checksum_finding(place, checksum, "RFC 9776 section 4")
    network = place.network
    if network is None or network.layer != "ipv4":
        return
    ttl, options = getattr(network, "ttl", 1), getattr(network, "options", ())
    if ttl != 1:
        yield header.finding(
            "ttl",
            "warning",
            "",
            ttl,
            1,
            "RFC 9776 section 4",
            "the message is for this link alone: its TTL is 1",
        )
    if alert and not any(isinstance(option, RouterAlert) for option in options):
        yield header.finding(
            "router-alert",
            "note",
            "",
            "no such option",
            "a router alert option",
            "RFC 9776 section 4",
            "without a router alert option routers may not look at the message",
        )

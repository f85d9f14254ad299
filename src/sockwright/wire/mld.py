"""Multicast listener discovery: MLDv1 by RFC 2710, MLDv2 by RFC 9777. They follow `ICMPv6`.

A query is one of version 2 when it has 24 octets or more behind the header of ICMPv6 (RFC 9777
section 8.1), so both classes have the type 130 and the octets decide.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from sockwright.wire.core.field import (
    Derived,
    Field,
    IPv6Value,
    UInt,
    derived,
    ipv6,
    uint,
    variable,
)
from sockwright.wire.core.group_records import kind_findings, number_findings, records_stop
from sockwright.wire.core.header import Header
from sockwright.wire.core.option import check_uint
from sockwright.wire.core.walk import Choice, Walk
from sockwright.wire.hop_by_hop import HopByHop
from sockwright.wire.ipv6_options import RouterAlertV6

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = [
    "RECORD_KINDS",
    "MLDDone",
    "MLDQuery",
    "MLDReport",
    "MLDv2Query",
    "MLDv2Report",
    "MalformedRecord",
    "MulticastRecord",
]

_SHORTEST_V2_QUERY = 24
_RECORD = struct.Struct("!BBH16s")

RECORD_KINDS: Mapping[int, str] = {
    1: "MODE_IS_INCLUDE",
    2: "MODE_IS_EXCLUDE",
    3: "CHANGE_TO_INCLUDE_MODE",
    4: "CHANGE_TO_EXCLUDE_MODE",
    5: "ALLOW_NEW_SOURCES",
    6: "BLOCK_OLD_SOURCES",
}
"""Kinds of records, RFC 9777 section 5.2.12."""


@dataclass(frozen=True, slots=True)
class MulticastRecord:
    """What a host listens to, RFC 9777 section 5.2: one group, and the sources it is about."""

    kind: int
    group: IPv6Address
    sources: tuple[IPv6Address, ...] = ()
    auxiliary: bytes = b""

    def __post_init__(self) -> None:
        check_uint("MulticastRecord.kind", self.kind, 8)
        if len(self.auxiliary) % 4 or len(self.auxiliary) > 4 * 255:
            size = len(self.auxiliary)
            raise ValueError(f"MulticastRecord.auxiliary: {size} octets are not 0 to 1020 in fours")

    def encode(self) -> bytes:
        """Return 20 octets, 16 a source, and the auxiliary data."""
        head = _RECORD.pack(
            self.kind, len(self.auxiliary) // 4, len(self.sources), self.group.packed
        )
        return head + b"".join([source.packed for source in self.sources]) + self.auxiliary


@dataclass(frozen=True, slots=True)
class MalformedRecord:
    """Octets from here to the end of the records that are no whole record."""

    octets: bytes

    def encode(self) -> bytes:
        """Return the octets as they came."""
        return self.octets


Record = MulticastRecord | MalformedRecord


def _record_size(octets: bytes, offset: int) -> int:
    """Return the octets that the record at `offset` claims; its first 20 are there."""
    _, words, sources, _ = _RECORD.unpack_from(octets, offset)
    return _RECORD.size + 16 * sources + 4 * words  # type: ignore[no-any-return]


class RecordCodec:
    """Reads and writes the records of a report."""

    __slots__ = ()

    def decode(self, octets: bytes) -> tuple[Record, ...]:
        """Return the records in `octets`; never raises."""
        found: list[Record] = []
        offset = 0
        while offset < len(octets):
            start = offset + _RECORD.size
            if start > len(octets) or offset + _record_size(octets, offset) > len(octets):
                found.append(MalformedRecord(octets[offset:]))
                break
            kind, words, count, group = _RECORD.unpack_from(octets, offset)
            offset = start + 16 * count
            sources = [IPv6Address(octets[at : at + 16]) for at in range(start, offset, 16)]
            auxiliary = octets[offset : offset + 4 * words]
            found.append(MulticastRecord(kind, IPv6Address(group), tuple(sources), auxiliary))
            offset += 4 * words
        return tuple(found)

    def encode(self, items: tuple[Record, ...]) -> bytes:
        """Return the octets of `items`."""
        return b"".join([item.encode() for item in items])


class AddressCodec:
    """Reads and writes IPv6 addresses in a row; a part of one at the end is left out."""

    __slots__ = ()

    def decode(self, octets: bytes) -> tuple[IPv6Address, ...]:
        """Return the addresses in `octets`; never raises."""
        return tuple(
            IPv6Address(octets[at : at + 16]) for at in range(0, len(octets) - len(octets) % 16, 16)
        )

    def encode(self, items: tuple[IPv6Address, ...]) -> bytes:
        """Return 16 octets an address."""
        return b"".join([item.packed for item in items])


def _choose_query(octets: bytes, offset: int, end: int) -> type[Header]:  # noqa: ARG001
    return MLDv2Query if end - offset >= _SHORTEST_V2_QUERY else MLDQuery


_QUERIES = Choice(
    at=0,
    width=1,
    needs=_SHORTEST_V2_QUERY,
    short="MLDQuery",
    cases=(),
    otherwise="MLDv2Query",
)


class MLDQuery(Header, layer="mld_query", carried_by={"icmpv6_type": 130}):
    """Type 130, a router asks who listens to `group` (:: for any), RFC 2710 section 3."""

    __slots__ = ()
    _choose = staticmethod(_choose_query)
    walk = Walk(forms=_QUERIES)

    max_response_delay: UInt = uint(16, "milliseconds", default=10000)
    reserved: UInt = uint(16, "0")
    group: IPv6Value = ipv6("group that is asked for, or ::")

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on hop limit, source and group."""
        yield from _judge(self, place)
        yield from _judge_group(self, self.group, may_be_any=True)


class MLDReport(Header, layer="mld_report", carried_by={"icmpv6_type": 131}):
    """Type 131, a host listens to `group`, RFC 2710 section 3."""

    __slots__ = ()

    max_response_delay: UInt = uint(16, "0")
    reserved: UInt = uint(16, "0")
    group: IPv6Value = ipv6("group that is listened to")

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on hop limit, source and group."""
        yield from _judge(self, place)
        yield from _judge_group(self, self.group)


class MLDDone(Header, layer="mld_done", carried_by={"icmpv6_type": 132}):
    """Type 132, a host listens to `group` no more, RFC 2710 section 3."""

    __slots__ = ()

    max_response_delay: UInt = uint(16, "0")
    reserved: UInt = uint(16, "0")
    group: IPv6Value = ipv6("group that is left")

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on hop limit, source and group."""
        yield from _judge(self, place)
        yield from _judge_group(self, self.group)


class MLDv2Query(Header, layer="mldv2_query", carried_by={"icmpv6_type": 130}):
    """Type 130 with 24 octets or more, RFC 9777 section 5.1.

    `suppress` is the S flag: other routers leave their timers. `robustness` is QRV, `interval_code`
    QQIC; the codes are numbers up to some size and floating point above it, so read
    `max_response_delay` (milliseconds) and `query_interval` (seconds).
    """

    __slots__ = ()
    _choose = staticmethod(_choose_query)
    walk = Walk(size=("number_of_sources",), unit=16, more=24, forms=_QUERIES)

    max_response_code: UInt = uint(16, "code of milliseconds", default=10000)
    reserved: UInt = uint(16, "0")
    group: IPv6Value = ipv6("group that is asked for, or ::")
    reserved_bits: UInt = uint(4, "0")
    suppress: UInt = uint(1, "suppress router-side processing")
    robustness: UInt = uint(3, "querier's robustness variable", default=2)
    interval_code: UInt = uint(8, "code of seconds", default=125)
    number_of_sources: Derived = derived(16, "sources that follow")
    sources: Field[tuple[IPv6Address, ...], Iterable[IPv6Address]] = variable(
        AddressCodec(), "sources that are asked for"
    )

    @property
    def max_response_delay(self) -> int:
        """Milliseconds in which listeners answer, RFC 9777 section 5.1.3."""
        code = self.max_response_code
        return code if code < 0x8000 else (code & 0xFFF | 0x1000) << (code >> 12 & 7) + 3

    @property
    def query_interval(self) -> int:
        """Seconds between the querier's queries, RFC 9777 section 5.1.9."""
        code = self.interval_code
        return code if code < 128 else (code & 15 | 16) << (code >> 4 & 7) + 3

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the number of sources."""
        values = self._values
        if self._auto:
            values = [*values[:-1], len(self._tail) // 16]
        return self._pack(*values) + self._tail + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the sources."""
        size = self.fixed_size + 16 * self._values[-1]
        return self.take_tail(octets, offset, size, end, packet), end, None

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on hop limit, source, group and number of sources."""
        yield from _judge(self, place)
        yield from _judge_group(self, self.group, may_be_any=True)
        there = len(self._tail) // 16
        if self.number_of_sources != there and not place.truncated:
            yield self.finding(
                "number-of-sources",
                "error",
                "number_of_sources",
                self.number_of_sources,
                there,
                "RFC 9777 section 5.1.10",
                f"the number says {self.number_of_sources} sources, {there} follow",
            )


class MLDv2Report(Header, layer="mldv2_report", carried_by={"icmpv6_type": 143}):
    """Type 143, what a host listens to, RFC 9777 section 5.2."""

    __slots__ = ()
    walk = Walk(step="records", asks="number_of_records", unit=16)

    reserved: UInt = uint(16, "0")
    number_of_records: Derived = derived(16, "records that follow")
    records: Field[tuple[Record, ...], Iterable[Record]] = variable(
        RecordCodec(), "records, RFC 9777 section 5.2"
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write the number of records."""
        values = self._values
        if self._auto:
            values = [values[0], len(RecordCodec().decode(self._tail))]
        return self._pack(*values) + self._tail + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take as many records as the number says."""
        start, number = offset + self.fixed_size, self._values[1]
        stop = records_stop(octets, start, end, number, least=_RECORD.size, size_at=_record_size)
        return self.take_tail(octets, offset, stop - offset, end, packet), end, None

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on hop limit, source and records."""
        yield from _judge(self, place)
        records = self.records
        said, follow = self.number_of_records, len(records)
        yield from number_findings(self, place, said, follow, "RFC 9777 section 5.2.3")
        for record in records:
            if not isinstance(record, MulticastRecord):
                continue
            yield from kind_findings(self, record.kind, RECORD_KINDS, "RFC 9777 section 5.2.12")
            if not record.group.is_multicast:
                yield self.finding(
                    "group",
                    "error",
                    "records",
                    record.group,
                    "a multicast address",
                    "RFC 9777 section 5.2.8",
                    "a record is about a multicast group",
                )


def _judge(header: Header, place: Place) -> Iterator[Finding]:
    """Yield findings on what RFC 2710 section 3 asks of every message."""
    network = place.network
    if network is None or network.layer != "ipv6":
        return
    hop_limit, src = getattr(network, "hop_limit", 1), getattr(network, "src", None)
    if hop_limit != 1:
        yield header.finding(
            "hop-limit",
            "error",
            "",
            hop_limit,
            1,
            "RFC 2710 section 3",
            "the message is for this link alone: its hop limit is 1",
        )
    may_be_unspecified = header.layer in ("mldv2_report", "mld_report", "mld_done")
    if src is not None and not (src.is_link_local or (may_be_unspecified and src.is_unspecified)):
        yield header.finding(
            "source",
            "error",
            "",
            src,
            "an address in fe80::/10",
            "RFC 3590 section 4" if may_be_unspecified else "RFC 2710 section 3",
            "the message is sent from a link-local address, or it is dropped",
        )
    before = place.packet.layers[: place.index]
    if not any(
        isinstance(option, RouterAlertV6)
        for layer in before
        if isinstance(layer, HopByHop)
        for option in layer.options
    ):
        yield header.finding(
            "router-alert",
            "warning",
            "",
            "no such option",
            "a hop-by-hop header with a router alert",
            "RFC 2710 section 3",
            "without a router alert option routers may not look at the message",
        )


def _judge_group(
    header: Header, group: IPv6Address, *, may_be_any: bool = False
) -> Iterator[Finding]:
    if group.is_multicast or (may_be_any and group.is_unspecified):
        return
    yield header.finding(
        "group",
        "error",
        "group",
        group,
        "a multicast address" + (", or ::" if may_be_any else ""),
        "RFC 2710 section 3.6",
        "the message is about a multicast group",
    )

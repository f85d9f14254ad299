"""Generic Network Virtualization Encapsulation, RFC 8926 section 3: a tunnel with options."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockwright.wire.core.announced import ether_type_findings
from sockwright.wire.core.field import Derived, Field, UInt, derived, following, uint, variable
from sockwright.wire.core.header import Header
from sockwright.wire.core.names import ETHER_TYPES
from sockwright.wire.core.option import check_uint
from sockwright.wire.core.walk import Walk
from sockwright.wire.ethernet import LOCAL_EXPERIMENTAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sockwright.wire.core.finding import Finding, Place
    from sockwright.wire.core.header import Form, Tables
    from sockwright.wire.core.packet import Packet

__all__ = ["CLASSES", "Geneve", "GeneveOption", "MalformedGeneveOption"]

PORT = 6081
CRITICAL = 0x80
MOST_OPTIONS = 252  # octets: 63 words
_OPTION = struct.Struct("!HBB")

CLASSES: Mapping[int, str] = {
    0x0100: "Linux",
    0x0101: "Open vSwitch",
    0x0102: "Open Virtual Networking",
    0x0103: "in-band telemetry",
    0x0104: "VMware",
    0x0108: "Amazon",
    0x0109: "Cisco",
}
"""Some option classes by the IANA registry "Geneve Option Class"."""


@dataclass(frozen=True, slots=True)
class GeneveOption:
    """An option, RFC 8926 section 3.5.

    `kind` from 0x80 on is critical: a tunnel endpoint that does not know it drops the packet.
    """

    option_class: int
    kind: int
    data: bytes = b""
    reserved: int = 0

    def __post_init__(self) -> None:
        check_uint("GeneveOption.option_class", self.option_class, 16)
        check_uint("GeneveOption.kind", self.kind, 8)
        check_uint("GeneveOption.reserved", self.reserved, 3)
        if len(self.data) % 4 or len(self.data) > 4 * 31:
            raise ValueError(
                f"GeneveOption.data: {len(self.data)} octets are not 0 to 124 in fours"
            )

    @property
    def is_critical(self) -> bool:
        """Whether who does not know this option has to drop the packet."""
        return bool(self.kind & CRITICAL)

    def encode(self) -> bytes:
        """Return 4 octets and the data."""
        length = self.reserved << 5 | len(self.data) // 4
        return _OPTION.pack(self.option_class, self.kind, length) + self.data


@dataclass(frozen=True, slots=True)
class MalformedGeneveOption:
    """Octets from here to the end of the options that are no whole option."""

    octets: bytes

    def encode(self) -> bytes:
        """Return the octets as they came."""
        return self.octets


AnyOption = GeneveOption | MalformedGeneveOption


class _OptionCodec:
    """Reads and writes the options of a header."""

    __slots__ = ()

    def decode(self, octets: bytes) -> tuple[AnyOption, ...]:
        """Return the options in `octets`; never raises."""
        found: list[AnyOption] = []
        offset = 0
        while offset < len(octets):
            start = offset + 4
            stop = start + 4 * (octets[start - 1] & 31) if start <= len(octets) else start
            if stop > len(octets):
                found.append(MalformedGeneveOption(octets[offset:]))
                break
            option_class, kind, length = _OPTION.unpack_from(octets, offset)
            found.append(GeneveOption(option_class, kind, octets[start:stop], length >> 5))
            offset = stop
        return tuple(found)

    def encode(self, items: tuple[AnyOption, ...]) -> bytes:
        """Return the octets of `items`, padded to words. Raises: ValueError over 252 octets."""
        octets = b"".join([item.encode() for item in items])
        octets += bytes(-len(octets) % 4)
        if len(octets) > MOST_OPTIONS:
            raise ValueError(f"the options take {len(octets)} octets; {MOST_OPTIONS} fit")
        return octets


class Geneve(Header, layer="geneve", carried_by={"udp_port": PORT}):
    """A Geneve header, 8 octets and its options.

    ``UDP(src_port=50000, dst_port=6081) / Geneve(vni=7) / Ethernet() / IPv4()``. `opt_len` counts
    32-bit words, `critical` is set where one of the options is critical.
    """

    __slots__ = ()
    walk = Walk(size=("opt_len",), unit=4, more=8)

    version: UInt = uint(2, "0")
    opt_len: Derived = derived(6, "options, in 32-bit words")
    control: UInt = uint(1, "O: a control packet")
    critical: Derived = derived(1, "C: critical options are there")
    reserved: UInt = uint(6, "0")
    protocol_type: Derived = following(
        16, "ether_type", "what follows", default=LOCAL_EXPERIMENTAL, values=ETHER_TYPES
    )
    vni: UInt = uint(24, "virtual network identifier")
    reserved2: UInt = uint(8, "0")
    options: Field[tuple[AnyOption, ...], Iterable[AnyOption]] = variable(
        _OptionCodec(), "options, RFC 8926 section 3.5"
    )

    def emit(
        self, body: bytes, upper: Header | None, headers: Sequence[Header], index: int
    ) -> bytes:
        """Write length of options, critical bit and type of what follows."""
        values = list(self._values)
        auto = self._auto
        if upper is not None:
            self.derive_following(values, upper)
        word = values[0]
        if auto & _OPT_LEN:
            word = word & ~(63 << 8) | (len(self._tail) + 3) // 4 << 8
        if auto & _CRITICAL:
            word = word & ~_CRITICAL_BIT | _CRITICAL_BIT * _any_critical(self._tail)
        values[0] = word
        return self._pack(*values) + self._tail + body

    def advance(
        self,
        octets: bytes,
        offset: int,
        end: int,
        tables: Tables,
        packet: Packet,
    ) -> tuple[int, int, Form | None]:
        """Take the options, go on by type."""
        size = 8 + 4 * (self._values[0] >> 8 & 63)
        stop = self.take_tail(octets, offset, size, end, packet)
        return stop, end, tables["ether_type"].get(self._values[1])

    def inspect(self, place: Place) -> Iterator[Finding]:
        """Yield findings on version, reserved bits, options and what follows."""
        if self.version:
            yield self.finding(
                "version",
                "error",
                "version",
                self.version,
                0,
                "RFC 8926 section 3.4",
                "a tunnel endpoint drops what has another version",
            )
        if self.reserved or self.reserved2:
            yield self.finding(
                "reserved",
                "warning",
                "reserved" if self.reserved else "reserved2",
                self.reserved or self.reserved2,
                0,
                "RFC 8926 section 3.4",
                "reserved bits are 0 when sent",
            )
        if not place.truncated:
            yield from self._judge_options()
        yield from ether_type_findings(self, place, "protocol_type", self.protocol_type)

    def _judge_options(self) -> Iterator[Finding]:
        if any(isinstance(option, MalformedGeneveOption) for option in self.options):
            yield self.finding(
                "option-length",
                "error",
                "options",
                self._tail.hex(),
                "options that end with the header",
                "RFC 8926 section 3.5",
                "an option is longer than what is left of the header",
            )
        if self.critical != _any_critical(self._tail):
            yield self.finding(
                "critical",
                "error",
                "critical",
                self.critical,
                1 - self.critical,
                "RFC 8926 section 3.4",
                "the bit says whether critical options are there, and is wrong",
            )
        if 4 * self.opt_len != len(self._tail):
            yield self.finding(
                "opt-len",
                "error",
                "opt_len",
                self.opt_len,
                len(self._tail) // 4,
                "RFC 8926 section 3.4",
                "the length is not that of the options",
            )


def _any_critical(octets: bytes) -> bool:
    """Whether one of the options in `octets` is critical."""
    offset = 0
    while offset + 4 <= len(octets):
        if octets[offset + 2] & CRITICAL:
            return True
        offset += 4 + 4 * (octets[offset + 3] & 31)
    return False


_CRITICAL_BIT = 1 << 6
_OPT_LEN, _CRITICAL = Geneve.opt_len.mask, Geneve.critical.mask

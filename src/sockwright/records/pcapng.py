"""The pcapng format, draft-ietf-opsawg-pcapng.

A file is one section after another, each with a byte order and interfaces of its own. A section is
a list of blocks: type, length, body, the length once more. Lengths count octets and are multiples
of 4. Only what tells of packets is read; blocks of other types are passed over.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sockwright.errors import DecodeError, TruncatedError
from sockwright.records.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.records.source import Source

__all__ = ["MAGICS", "read"]

# The type of a section header reads the same in both byte orders.
MAGICS = (b"\x0a\x0d\x0d\x0a",)

MAX_BLOCK = 16 << 20
MAX_SECTION_HEADER = 1 << 20

_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
_READ = frozenset({_INTERFACE, _OLD_PACKET, _SIMPLE, _ENHANCED})
_ORDERS: dict[bytes, Literal["<", ">"]] = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}

_END_OF_OPTIONS, _COMMENT, _NAME, _RESOLUTION, _OFFSET = 0, 1, 2, 9, 14
_MICROSECONDS = 6


@dataclass(frozen=True, slots=True)
class _Interface:
    """What an Interface Description Block says (section 4.2).

    A packet's time in nanoseconds is ``ticks * 10**9 // divisor + offset_ns``.
    """

    link_type: int
    snaplen: int
    name: str | None
    divisor: int
    offset_ns: int

    def time_ns(self, high: int, low: int) -> int:
        """Return nanoseconds since 1970."""
        return (high << 32 | low) * 1_000_000_000 // self.divisor + self.offset_ns


def read(source: Source, magic: bytes, max_captured: int) -> Iterator[Record]:
    """Yield the records of the sections of which the first starts with `magic`.

    See `read_records` for what it raises.
    """
    return _Reader(source, max_captured).records(magic)


class _Reader:
    """Where reading stands: the section's byte order and interfaces, the records delivered.

    Rules
        1. A section header forgets byte order and interfaces of the section before.
        2. No block is allocated before its length was found to be within the limit.
        3. A block counts only when it is whole and both its lengths agree.
    """

    def __init__(self, source: Source, max_captured: int) -> None:
        source.layer = "pcapng"
        self._source = source
        self._max_captured = max_captured
        self._order: Literal["<", ">"] = "<"
        self._interfaces: list[_Interface] = []
        self._delivered = 0
        self._start = 0  # of the block at hand
        self._what = ""

    def records(self, magic: bytes) -> Iterator[Record]:
        """Yield the records; `magic` was already taken from the source."""
        first = magic + self._source.need(4, "the section header", len(magic))
        self._what = "the section header"
        self._section(first)
        while head := self._source.take(8):
            self._start = self._source.offset - len(head)
            self._what = f"the block after {self._delivered} records"
            if len(head) < 8:
                raise TruncatedError("pcapng", self._start, 8, len(head), self._what)
            if head.startswith(MAGICS):
                self._section(head)
                continue
            kind, length = struct.unpack(self._order + "II", head)
            if kind not in _READ:
                self._pass_over(length)
                continue
            body = self._body(length, MAX_BLOCK)
            if kind == _INTERFACE:
                self._interfaces.append(self._interface(body))
                continue
            record = self._record(kind, body)
            self._delivered += 1
            yield record

    # Blocks

    def _section(self, head: bytes) -> None:
        """Start a section (section 4.1); its byte order decides how its own length reads."""
        mark = self._source.need(4, self._what, 8)
        order = _ORDERS.get(mark)
        if order is None:
            raise self._lie(f"the byte-order magic is {mark.hex(' ')}")
        self._order = order
        (length,) = struct.unpack_from(order + "I", head, 4)
        if length < 28:
            raise self._lie(f"a section header of {length} octets, 28 is the least")
        body = self._body(length, MAX_SECTION_HEADER, taken=12)
        major, minor = struct.unpack_from(order + "HH", body)
        if major != 1:
            raise self._lie(f"version {major}.{minor} is not known; 1.0 is")
        self._interfaces = []

    def _body(self, length: int, limit: int, taken: int = 8) -> bytes:
        """Return what stands between what was taken of the block and its second length."""
        self._check(length, limit)
        octets = self._source.need(length - taken, self._what, taken)
        self._agree(length, octets[-4:])
        return octets[:-4]

    def _pass_over(self, length: int) -> None:
        self._check(length, MAX_BLOCK)
        self._source.skip(length - 12, self._what, 8)
        self._agree(length, self._source.need(4, self._what, length - 4))

    def _check(self, length: int, limit: int) -> None:
        if length < 12 or length & 3:
            raise self._lie(f"a block length of {length} octets; at least 12, a multiple of 4")
        if length > limit:
            raise self._lie(f"it claims {length} octets, over the limit of {limit}")

    def _agree(self, length: int, tail: bytes) -> None:
        (again,) = struct.unpack(self._order + "I", tail)
        if again != length:
            raise self._lie(f"its length is {length} at its start and {again} at its end")

    def _lie(self, message: str) -> DecodeError:
        return DecodeError("pcapng", self._start, f"{self._what}: {message}")

    # What blocks hold

    def _interface(self, body: bytes) -> _Interface:
        """Read an Interface Description Block (section 4.2)."""
        link_type, _, snaplen = self._fixed("HHI", body)
        options = self._options(body, 8)
        name = options.get(_NAME, [None])[0]
        resolution = options.get(_RESOLUTION, [b""])[0][:1] or bytes((_MICROSECONDS,))
        power = resolution[0] & 0x7F
        divisor = 1 << power if resolution[0] & 0x80 else 10**power
        offset = options.get(_OFFSET, [b""])[0]
        (seconds,) = struct.unpack(self._order + "q", offset) if len(offset) == 8 else (0,)
        return _Interface(
            link_type,
            snaplen,
            None if name is None else _text(name),
            divisor,
            seconds * 1_000_000_000,
        )

    def _record(self, kind: int, body: bytes) -> Record:
        """Read one of the three blocks that hold a packet."""
        if kind == _SIMPLE:
            return self._simple(body)
        if kind == _ENHANCED:
            number, high, low, captured, original = self._fixed("IIIII", body)
        else:
            number, _, high, low, captured, original = self._fixed("HHIIII", body)
        interface = self._interface_of(number)
        if captured > self._max_captured:
            raise self._lie(f"it claims {captured} octets, over the limit of {self._max_captured}")
        if captured > len(body) - 20:
            raise self._lie(f"it claims {captured} octets of packet, {len(body) - 20} are there")
        comments = self._options(body, 20 + captured + (-captured & 3)).get(_COMMENT)
        return Record(
            interface.time_ns(high, low),
            body[20 : 20 + captured],
            original,
            interface.link_type,
            interface.name,
            "\n".join(map(_text, comments)) if comments else None,
        )

    def _simple(self, body: bytes) -> Record:
        """Read a Simple Packet Block (section 4.4): no time, the first interface."""
        (original,) = self._fixed("I", body)
        interface = self._interface_of(0)
        captured = min(original, interface.snaplen or original)
        if captured > self._max_captured:
            raise self._lie(f"it claims {captured} octets, over the limit of {self._max_captured}")
        if captured > len(body) - 4:
            raise self._lie(f"it claims {captured} octets of packet, {len(body) - 4} are there")
        octets = body[4 : 4 + captured]
        return Record(None, octets, original, interface.link_type, interface.name)

    def _interface_of(self, number: int) -> _Interface:
        if number >= len(self._interfaces):
            described = len(self._interfaces)
            raise self._lie(f"it is of interface {number}, and {described} are described")
        return self._interfaces[number]

    def _fixed(self, form: str, body: bytes) -> tuple[int, ...]:
        layout = struct.Struct(self._order + form)
        if len(body) < layout.size:
            raise self._lie(f"{layout.size} octets are needed, {len(body)} are there")
        return layout.unpack_from(body)

    def _options(self, body: bytes, offset: int) -> dict[int, list[bytes]]:
        """Return the options from `offset` on (section 3.5), up to a length that lies."""
        found: dict[int, list[bytes]] = {}
        while offset + 4 <= len(body):
            code, length = struct.unpack_from(self._order + "HH", body, offset)
            offset += 4
            if code == _END_OF_OPTIONS or offset + length > len(body):
                break
            found.setdefault(code, []).append(body[offset : offset + length])
            offset += length + (-length & 3)
        return found


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")

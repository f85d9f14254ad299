"""Read the pcapng format, draft-ietf-opsawg-pcapng.

A file is one section after another, each with a byte order and interfaces of its own. A section is
a list of blocks: type, length, body, the length once more. Lengths count octets and are multiples
of 4. Blocks of types that are not known here are passed over.
"""

from __future__ import annotations

import struct
from itertools import islice
from typing import TYPE_CHECKING, Literal

from sockwright.errors import DecodeError, TruncatedError
from sockwright.records.contents import Interface, InterfaceStatistics, Secrets, Section
from sockwright.records.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.records.contents import Contents
    from sockwright.records.source import Source

__all__ = ["FORMAT", "MAGICS", "read"]

FORMAT = "pcapng"
# The type of a section header reads the same in both byte orders.
MAGICS = (b"\x0a\x0d\x0d\x0a",)

MAX_BLOCK = 16 << 20
MAX_SECTION_HEADER = 1 << 20
MAX_KEPT = 64 << 20
"""What all that is not packets may take of memory, `_OVERHEAD` octets counted to each block."""

MAX_OPTIONS = 1000
"""Options of one block that are looked at."""

_OVERHEAD = 512

_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE = 0x0A0D0D0A, 1, 2, 3
_NAMES, _STATISTICS, _ENHANCED, _SECRETS = 4, 5, 6, 0x0A
_KEPT = frozenset({_INTERFACE, _NAMES, _STATISTICS, _SECRETS})
_ORDERS: dict[bytes, Literal["<", ">"]] = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}

_END_OF_OPTIONS, _COMMENT = 0, 1  # the same in all blocks
_MICROSECONDS = 6


def read(source: Source, magic: bytes, max_captured: int, contents: Contents) -> Iterator[Record]:
    """Read the first section header and return the records; see `read_records`."""
    reader = _Reader(source, max_captured, contents)
    reader.section(magic + source.need(4, "the section header", len(magic)))
    return reader.records()


class _Reader:
    """Where reading stands: the section's byte order and interfaces, the records delivered.

    Rules
        1. A section header forgets byte order and interfaces of the section before.
        2. No block is allocated before its length was found to be within the limit.
        3. A block counts only when it is whole and both its lengths agree.
        4. What is kept beside packets is bounded by `MAX_KEPT`. Such a block may lie about what it
           holds: it is kept as far as it makes sense, as the packets around it are still good.
    """

    def __init__(self, source: Source, max_captured: int, contents: Contents) -> None:
        source.layer = FORMAT
        self._source = source
        self._max_captured = max_captured
        self._contents = contents
        self._order: Literal["<", ">"] = "<"
        self._head = struct.Struct("<II")
        self._packet = struct.Struct("<IIIII")
        self._interfaces: list[Interface] = []  # of the section at hand
        self._start = 0  # of the block at hand
        self._room = MAX_KEPT

    def records(self) -> Iterator[Record]:
        """Yield the records behind the first section header."""
        source = self._source
        read = source.read  # calls of source.take would cost a fifth of the time of a packet
        while head := read(8):
            self._start = start = source.offset
            if len(head) < 8:
                head = source.rest(head, 8)
                if len(head) < 8:
                    raise TruncatedError(FORMAT, start, 8, len(head), self._what())
            source.offset = start + 8
            kind, length = self._head.unpack(head)
            if kind == _ENHANCED and 32 <= length <= MAX_BLOCK and not length & 3:
                body = read(length - 8) or b""
                source.offset = start + 8 + len(body)
                if len(body) != length - 8:
                    body = source.rest(body, length - 8) if body else body
                    self._whole(body, length, 8)
                if body[-4:] != head[4:]:
                    self._agree(length, body)
                record = self._enhanced(body)
                source.records += 1
                yield record
            elif kind == _SECTION:
                self.section(head)
            elif kind in {_SIMPLE, _OLD_PACKET, _ENHANCED}:
                # An enhanced one is here only with a length that is too short, or lies.
                body = self._body(length, MAX_BLOCK)
                record = self._simple(body) if kind == _SIMPLE else self._old(body)
                source.records += 1
                yield record
            elif kind in _KEPT:
                self._keep(kind, self._body(length, MAX_BLOCK))
            else:
                self._pass_over(length)

    # Blocks

    def _what(self) -> str:
        """Name the block at hand."""
        if not self._contents.sections:
            return "the section header"
        return f"the block after {self._source.records} records"

    def section(self, head: bytes) -> None:
        """Start a section (section 4.1); its byte order decides how its own length reads."""
        mark = self._source.need(4, self._what(), 8)
        order = _ORDERS.get(mark)
        if order is None:
            raise self._lie(f"the byte-order magic is {mark.hex(' ')}")
        self._order = order
        self._head = struct.Struct(order + "II")
        self._packet = struct.Struct(order + "IIIII")
        (length,) = struct.unpack_from(order + "I", head, 4)
        if length < 28:
            raise self._lie(f"a section header of {length} octets, 28 is the least")
        body = self._body(length, MAX_SECTION_HEADER, taken=12)
        major, minor = struct.unpack_from(order + "HH", body)
        if major != 1:
            raise self._lie(f"version {major}.{minor} is not known; 1.0 is")
        self._charge(len(body))
        self._interfaces = []
        options = self._options(body, 12)
        self._contents.sections.append(
            Section(
                len(self._contents.sections),
                "little" if order == "<" else "big",
                _text_of(options, 2),
                _text_of(options, 3),
                _text_of(options, 4),
                _text_of(options, _COMMENT),
            )
        )

    def _body(self, length: int, limit: int, taken: int = 8) -> bytes:
        """Return what stands between what was taken of the block and its second length."""
        self._check(length, limit)
        source = self._source
        missing = length - taken
        octets = source.take(missing)
        self._whole(octets, length, taken)
        self._agree(length, octets)
        return octets[:-4]

    def _whole(self, octets: bytes, length: int, taken: int) -> None:
        """Raise TruncatedError if `octets` and the `taken` before are less than the whole block."""
        there = taken + len(octets)
        if there < length:
            raise TruncatedError(FORMAT, self._start, length, there, self._what())

    def _pass_over(self, length: int) -> None:
        self._check(length, MAX_BLOCK)
        what = self._what()
        self._source.skip(length - 12, what, 8)
        self._agree(length, self._source.need(4, what, length - 4))

    def _check(self, length: int, limit: int) -> None:
        if length < 12 or length & 3:
            raise self._lie(f"a block length of {length} octets; at least 12, a multiple of 4")
        if length > limit:
            raise self._lie(f"it claims {length} octets, over the limit of {limit}")

    def _agree(self, length: int, octets: bytes) -> None:
        """Raise DecodeError if the length at the end of `octets` is another."""
        (again,) = struct.unpack(self._order + "I", octets[-4:])
        if again != length:
            raise self._lie(f"its length is {length} at its start and {again} at its end")

    def _charge(self, octets: int) -> None:
        """Take memory for what is kept off the limit."""
        self._room -= octets + _OVERHEAD
        if self._room < 0:
            raise self._lie(f"names, statistics and the like take more than {MAX_KEPT} octets")

    def _lie(self, message: str) -> DecodeError:
        return DecodeError(FORMAT, self._start, f"{self._what()}: {message}")

    # Packets

    def _enhanced(self, body: bytes) -> Record:
        """Read an Enhanced Packet Block (section 4.3); `body` has the length behind it, still."""
        number, high, low, captured, original = self._packet.unpack_from(body)
        try:
            interface = self._interfaces[number]
        except IndexError:
            raise self._no_interface(number) from None
        end = 20 + captured
        if captured > self._max_captured or end > len(body) - 4:
            raise self._too_long(captured, len(body) - 24)
        record = Record(
            (high << 32 | low) * 1_000_000_000 // interface.ticks_per_second + interface.offset_ns,
            body[20:end],
            original,
            interface.link_type,
            interface.name,
            None,
            interface.number,
        )
        if len(body) - end > 8:  # more than padding and the length
            self._packet_options(record, body[:-4], end + (-captured & 3))
        return record

    def _old(self, body: bytes) -> Record:
        """Read the obsolete Packet Block; only the header differs from the enhanced one."""
        number, dropped, *_ = self._fixed("HHIIII", body)
        tail = bytes(4)  # stands for the length
        record = self._enhanced(struct.pack(self._order + "I", number) + body[4:] + tail)
        if record.dropped is None and dropped != 0xFFFF:
            record.dropped = dropped
        return record

    def _packet_options(self, record: Record, body: bytes, offset: int) -> None:
        options = self._options(body, offset)
        record.comment = _text_of(options, _COMMENT)
        record.flags = self._number(options, 2, "I")
        record.dropped = self._number(options, 4, "Q")

    def _simple(self, body: bytes) -> Record:
        """Read a Simple Packet Block (section 4.4): no time, the first interface."""
        (original,) = self._fixed("I", body)
        if not self._interfaces:
            raise self._no_interface(0)
        interface = self._interfaces[0]
        captured = min(original, interface.snaplen or original)
        if captured > self._max_captured or captured > len(body) - 4:
            raise self._too_long(captured, len(body) - 4)
        return Record(
            None,
            body[4 : 4 + captured],
            original,
            interface.link_type,
            interface.name,
            None,
            interface.number,
        )

    def _no_interface(self, number: int) -> DecodeError:
        described = len(self._interfaces)
        return self._lie(f"it is of interface {number}, and {described} are described")

    def _too_long(self, captured: int, there: int) -> DecodeError:
        if captured > self._max_captured:
            limit = self._max_captured
            return self._lie(f"it claims {captured} octets, over the limit of {limit}")
        return self._lie(f"it claims {captured} octets of packet, {there} are there")

    # What is kept beside packets

    def _keep(self, kind: int, body: bytes) -> None:
        self._charge(len(body))
        contents = self._contents
        if kind == _INTERFACE:
            interface = self._interface(body)
            self._interfaces.append(interface)
            contents.interfaces.append(interface)
        elif kind == _NAMES:
            self._names(body)
        elif kind == _STATISTICS:
            self._statistics(body)
        else:
            self._secrets(body)

    def _secrets(self, body: bytes) -> None:
        """Read a Decryption Secrets Block (section 4.7)."""
        if len(body) >= 8:
            kind, length = struct.unpack_from(self._order + "II", body)
            self._contents.secrets.append(Secrets(kind, body[8 : 8 + length]))

    def _interface(self, body: bytes) -> Interface:
        """Read an Interface Description Block (section 4.2)."""
        link_type, _, snaplen = self._fixed("HHI", body)
        options = self._options(body, 8)
        resolution = options.get(9, [b""])[0][:1] or bytes((_MICROSECONDS,))
        power = resolution[0] & 0x7F
        offset = self._number(options, 14, "q") or 0
        # The first octet of a filter tells its kind; 0 is text.
        filters = [value[1:] for value in options.get(11, ()) if value[:1] == b"\0"]
        return Interface(
            len(self._contents.interfaces),
            link_type,
            snaplen,
            _text_of(options, 2),
            _text_of(options, 3),
            1 << power if resolution[0] & 0x80 else 10**power,
            offset * 1_000_000_000,
            _text(filters[0]) if filters else None,
            _text_of(options, 15),
            _text_of(options, 12),
            _text_of(options, _COMMENT),
            self._number(options, 8, "Q"),
            _addresses(options),
            len(self._contents.sections) - 1,
        )

    def _names(self, body: bytes) -> None:
        """Read a Name Resolution Block (section 4.5): addresses, each with names ended by 0."""
        names = self._contents.names
        for kind, value in self._items(body, 0):
            size = {1: 4, 2: 16}.get(kind)
            if size is None or len(value) <= size:
                continue
            address = _ip(value[:size])
            for name in value[size:].split(b"\0"):
                if name:
                    self._charge(len(name))
                    names.append((address, _text(name)))

    def _statistics(self, body: bytes) -> None:
        """Read an Interface Statistics Block (section 4.6), unless of no known interface."""
        if len(body) < 12:
            return
        number, high, low = self._fixed("III", body)
        if number >= len(self._interfaces):
            return
        interface = self._interfaces[number]
        options = self._options(body, 12)

        def time_ns(high: int, low: int) -> int:
            ticks = high << 32 | low
            return ticks * 1_000_000_000 // interface.ticks_per_second + interface.offset_ns

        def time_of(code: int) -> int | None:
            value = options.get(code, [b""])[0]
            if len(value) != 8:
                return None
            return time_ns(*struct.unpack(self._order + "II", value))

        counted = InterfaceStatistics(
            interface.number,
            time_ns(high, low),
            time_of(2),
            time_of(3),
            self._number(options, 4, "Q"),
            self._number(options, 5, "Q"),
            self._number(options, 6, "Q"),
            self._number(options, 7, "Q"),
            self._number(options, 8, "Q"),
            _text_of(options, _COMMENT),
        )
        self._contents.statistics.append(counted)

    # Parts of blocks

    def _fixed(self, form: str, body: bytes) -> tuple[int, ...]:
        layout = struct.Struct(self._order + form)
        if len(body) < layout.size:
            raise self._lie(f"{layout.size} octets are needed, {len(body)} are there")
        return layout.unpack_from(body)

    def _number(self, options: dict[int, list[bytes]], code: int, form: str) -> int | None:
        """Return the number in an option, None where it is missing or of another size."""
        layout = struct.Struct(self._order + form)
        value = options.get(code, [b""])[0]
        return int(layout.unpack(value)[0]) if len(value) == layout.size else None

    def _options(self, body: bytes, offset: int) -> dict[int, list[bytes]]:
        """Return the options from `offset` on (section 3.5) by their codes."""
        found: dict[int, list[bytes]] = {}
        for code, value in islice(self._items(body, offset), MAX_OPTIONS):
            found.setdefault(code, []).append(value)
        return found

    def _items(self, body: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
        """Yield code and value of each item from `offset` on, up to a length that lies."""
        layout = struct.Struct(self._order + "HH")
        while offset + 4 <= len(body):
            code, length = layout.unpack_from(body, offset)
            offset += 4
            if code == _END_OF_OPTIONS or offset + length > len(body):
                return
            yield code, body[offset : offset + length]
            offset += length + (-length & 3)


def _text(octets: bytes) -> str:
    # Some writers end texts as C does.
    return octets.rstrip(b"\0").decode("utf-8", "replace")


def _text_of(options: dict[int, list[bytes]], code: int) -> str | None:
    """Return an option's texts as lines, None where there is none."""
    found = options.get(code)
    return None if found is None else "\n".join(map(_text, found))


def _ip(octets: bytes) -> str:
    from ipaddress import ip_address

    return str(ip_address(octets))


def _addresses(options: dict[int, list[bytes]]) -> tuple[str, ...]:
    """Return the addresses of an interface: IPv4 and IPv6 (with masks), MAC."""
    ipv4 = [octets for octets in options.get(4, ()) if len(octets) == 8]
    ipv6 = [octets for octets in options.get(5, ()) if len(octets) == 17]
    mac = [octets for octets in options.get(6, ()) if len(octets) == 6]
    return (
        *[f"{_ip(octets[:4])}/{_ip(octets[4:])}" for octets in ipv4],
        *[f"{_ip(octets[:16])}/{octets[16]}" for octets in ipv6],
        *[octets.hex(":") for octets in mac],
    )

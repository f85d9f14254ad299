"""Write the pcapng format, draft-ietf-opsawg-pcapng: one section, interfaces as they come."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from sockwright.records.contents import Contents, Interface
from sockwright.records.record import MAX_CAPTURED
from sockwright.records.record_file import RecordFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sockwright.records.contents import InterfaceStatistics, Secrets
    from sockwright.records.pcap import Writable
    from sockwright.records.record import Record
    from sockwright.records.record_file import Octets

__all__ = ["PcapngWriter"]

_SECTION, _INTERFACE, _SIMPLE, _NAMES = 0x0A0D0D0A, 1, 3, 4
_STATISTICS, _ENHANCED, _SECRETS = 5, 6, 0x0A
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_UNKNOWN_LENGTH = -1
_NANOSECONDS, _MICROSECONDS = 9, 6
_TICKS_END = 1 << 64
_MAX_OPTION = 0xFFFF
_ITEMS = 128  # of names in one block: 8 MiB at most, which every reader takes


class PcapngWriter:
    """Writes records of any link types, with what is known of their interfaces, to a file.

    `file` is open for writing octets, and neither flushed nor closed here; a `RecordFile` will do,
    and keeps the file whole when the disk is full. The section header is written at once, with
    `hardware`, `os`, `application` and `comment` as texts.

    An interface is described before its first record: as given to `add_interface`, else by what the
    record says. Records belong to the interface of the same number, link type and name, so those of
    a capture that is read find the `Interface` of its reader. Times are kept in nanoseconds; texts
    are cut to the 65535 octets that the format has for one.
    """

    def __init__(
        self,
        file: Writable | RecordFile,
        *,
        hardware: str | None = None,
        os: str | None = None,
        application: str | None = "Sockwright",
        comment: str | None = None,
        snaplen: int = MAX_CAPTURED,
        nanoseconds: bool = True,
        byte_order: Literal["little", "big"] = "little",
    ) -> None:
        if not 0 <= snaplen <= MAX_CAPTURED:
            raise ValueError(f"snapshot length {snaplen} is outside 0 to {MAX_CAPTURED}")
        self.snaplen = snaplen
        self._resolution = _NANOSECONDS if nanoseconds else _MICROSECONDS
        self._unit_ns = 1 if nanoseconds else 1000
        self._order = ">" if byte_order == "big" else "<"
        self._block_head = struct.Struct(self._order + "II")
        self._enhanced = struct.Struct(self._order + "IIIIIII").pack
        self._interfaces: list[Interface] = []
        self._numbers: dict[tuple[int, int, str | None], int] = {}
        self._carried = Contents()
        texts = ((1, comment), (2, hardware), (3, os), (4, application))
        fixed = self._pack("IHHq", _BYTE_ORDER_MAGIC, 1, 0, _UNKNOWN_LENGTH)
        header = self._block(_SECTION, fixed + self._texts(texts))
        self._file = file
        if isinstance(file, RecordFile):
            file.begin(header, self._measure)
        else:
            file.write(header)

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The interfaces described so far, in the order of the file."""
        return tuple(self._interfaces)

    def add_interface(self, interface: Interface) -> int:
        """Describe an interface and return its number in this file.

        Times are written in the writer's own resolution, whatever the interface says. Raises:
        ValueError for what the format cannot hold; OSError as the file does.
        """
        number, block = self._describe(interface)
        self._put(block, 0)
        return number

    def encode(self, record: Record) -> bytes:
        """Return the octets of one record, behind the description of its interface if that is new.

        They have to be written in the order in which they were made.

        Raises: ValueError for a time before 1970 or after 2554.
        """
        head = b""
        key = (record.interface_number, record.link_type, record.interface)
        number = self._numbers.get(key)
        if number is None:
            number, head = self._describe(
                Interface(key[0], record.link_type, self.snaplen, record.interface)
            )
        octets = record.octets
        if 0 < self.snaplen < len(octets):
            octets = octets[: self.snaplen]
        if not 0 <= record.original_length <= 0xFFFF_FFFF:
            raise ValueError(f"original length {record.original_length} is outside 32 bits")
        options = b""
        if record.comment is not None or record.flags is not None or record.dropped is not None:
            options = self._packet_options(record)
        if record.time_ns is None and not number and not options and self._tells(record, octets):
            return head + self._block(_SIMPLE, self._pack("I", record.original_length) + octets)
        ticks = (record.time_ns or 0) // self._unit_ns
        if not 0 <= ticks < _TICKS_END:
            raise ValueError(f"time_ns {record.time_ns} is before 1970 or takes over 64 bits")
        size = len(octets)
        padding = -size & 3
        length = 32 + size + padding + len(options)
        packet = self._enhanced(
            _ENHANCED,
            length,
            number,
            ticks >> 32,
            ticks & 0xFFFF_FFFF,
            size,
            record.original_length,
        )
        tail = self._pack("I", length)
        return b"".join((head, packet, octets, bytes(padding), options, tail))

    def write(self, record: Record) -> None:
        """Write one record, in one call of the file.

        Raises: ValueError as `encode` does; OSError as the file does.
        """
        self._put(self.encode(record), 1)

    def write_names(self, names: Mapping[str, Iterable[str]]) -> None:
        """Write the names of addresses (section 4.5).

        Raises: ValueError for a key that is no IPv4 or IPv6 address; OSError as the file does.
        """
        from ipaddress import ip_address

        items = []
        for text, told in names.items():
            address = ip_address(text).packed
            kind = 1 if len(address) == 4 else 2
            value = address
            for name in told:
                ended = _cut(name, _MAX_OPTION - len(address) - 1) + b"\0"
                if len(value) + len(ended) > _MAX_OPTION:
                    items.append(self._item(kind, value))
                    value = address
                value += ended
            items.append(self._item(kind, value))
        for first in range(0, len(items), _ITEMS):
            body = b"".join(items[first : first + _ITEMS])
            self._put(self._block(_NAMES, body + self._item(0, b"")), 0)

    def write_secrets(self, secrets: Secrets) -> None:
        """Write keys for decryption (section 4.7), before the packets they are for."""
        size = len(secrets.octets)
        body = self._pack("II", secrets.kind, size) + secrets.octets
        self._put(self._block(_SECRETS, body), 0)

    def write_statistics(self, counted: InterfaceStatistics) -> None:
        """Write what an interface of this file counted (section 4.6), usually at the end.

        Raises: ValueError for an interface that was not described; OSError as the file does.
        """
        if not 0 <= counted.interface_number < len(self._interfaces):
            raise ValueError(f"interface {counted.interface_number} was not described here")
        body = self._pack("I", counted.interface_number) + self._time(counted.time_ns)
        body += self._text(1, counted.comment)
        for code, time_ns in ((2, counted.start_ns), (3, counted.end_ns)):
            if time_ns is not None:
                body += self._item(code, self._time(time_ns))
        numbers = (
            (4, counted.received),
            (5, counted.dropped),
            (6, counted.accepted),
            (7, counted.dropped_by_os),
            (8, counted.delivered),
        )
        for code, number in numbers:
            if number is not None:
                body += self._item(code, self._pack("Q", number))
        self._put(self._block(_STATISTICS, body + self._item(0, b"")), 0)

    def carry_over(self, contents: Contents) -> None:
        """Write what a reader met beside packets since this was last called with its `contents`.

        To be called before each record of a capture that is copied, and once at its end. The texts
        of a section are for the caller to give when the writer is made.

        Raises: OSError as the file does.
        """
        carried = self._carried
        if len(contents.interfaces) > len(carried.interfaces):
            for interface in contents.interfaces[len(carried.interfaces) :]:
                self.add_interface(interface)
                carried.interfaces.append(interface)
        for secrets in contents.secrets[len(carried.secrets) :]:
            self.write_secrets(secrets)
            carried.secrets.append(secrets)
        if len(contents.names) > len(carried.names):
            names: dict[str, list[str]] = {}
            for address, name in contents.names[len(carried.names) :]:
                names.setdefault(address, []).append(name)
                carried.names.append((address, name))
            self.write_names(names)
        for counted in contents.statistics[len(carried.statistics) :]:
            interface = contents.interfaces[counted.interface_number]
            number = self._numbers[interface.number, interface.link_type, interface.name]
            self.write_statistics(replace(counted, interface_number=number))
            carried.statistics.append(counted)

    # Blocks and their parts

    def _put(self, octets: bytes, records: int) -> None:
        if isinstance(self._file, RecordFile):
            self._file.write_records(octets, records)
        else:
            self._file.write(octets)

    def _measure(self, octets: Octets, offset: int) -> tuple[int, int]:
        """Return the length of the block at `offset`, and whether it is a record."""
        kind, length = self._block_head.unpack_from(octets, offset)
        return length, int(kind in {_ENHANCED, _SIMPLE})

    def _describe(self, interface: Interface) -> tuple[int, bytes]:
        """Return the number of a new interface in this file and its block (section 4.2)."""
        if not 0 <= interface.link_type <= 0xFFFF:
            raise ValueError(f"link type {interface.link_type} is outside 0 to 65535")
        texts = (
            (1, interface.comment),
            (2, interface.name),
            (3, interface.description),
            (12, interface.os),
            (15, interface.hardware),
        )
        options = self._item(9, bytes((self._resolution,)))
        if interface.filter is not None:
            options += self._item(11, b"\0" + _cut(interface.filter, _MAX_OPTION - 1))
        if interface.speed is not None:
            options += self._item(8, self._pack("Q", interface.speed))
        # Rather than an option for each, addresses go where the reader shows them first.
        options += b"".join([self._address(address) for address in interface.addresses])
        fixed = self._pack("HHI", interface.link_type, 0, interface.snaplen)
        block = self._block(_INTERFACE, fixed + options + self._texts(texts))
        number = len(self._interfaces)
        self._interfaces.append(interface)
        self._numbers[interface.number, interface.link_type, interface.name] = number
        return number, block

    def _address(self, text: str) -> bytes:
        from ipaddress import IPv4Interface, ip_interface

        if text.count(":") == 5 and "/" not in text:
            return self._item(6, bytes.fromhex(text.replace(":", "")))
        address = ip_interface(text)
        if isinstance(address, IPv4Interface):
            return self._item(4, address.packed + address.netmask.packed)
        return self._item(5, address.packed + bytes((address.network.prefixlen,)))

    def _packet_options(self, record: Record) -> bytes:
        options = self._text(1, record.comment)
        if record.flags is not None:
            options += self._item(2, self._pack("I", record.flags))
        if record.dropped is not None:
            options += self._item(4, self._pack("Q", record.dropped))
        return options + self._item(0, b"")

    def _tells(self, record: Record, octets: bytes) -> bool:
        """Tell whether a Simple Packet Block would say how much was captured: it has no field."""
        limit = self._interfaces[0].snaplen or record.original_length
        return len(octets) == min(record.original_length, limit)

    def _time(self, time_ns: int) -> bytes:
        ticks = time_ns // self._unit_ns
        return self._pack("II", ticks >> 32, ticks & 0xFFFF_FFFF)

    def _pack(self, form: str, *values: int) -> bytes:
        return struct.pack(self._order + form, *values)

    def _texts(self, texts: Iterable[tuple[int, str | None]]) -> bytes:
        options = b"".join([self._text(code, text) for code, text in texts])
        return options + self._item(0, b"")

    def _text(self, code: int, text: str | None) -> bytes:
        return b"" if text is None else self._item(code, _cut(text))

    def _item(self, code: int, value: bytes) -> bytes:
        return self._pack("HH", code, len(value)) + value + bytes(-len(value) & 3)

    def _block(self, kind: int, body: bytes) -> bytes:
        padding = -len(body) & 3
        length = 12 + len(body) + padding
        return b"".join(
            (
                self._block_head.pack(kind, length),
                body,
                bytes(padding),
                self._pack("I", length),
            )
        )


def _cut(text: str, most: int = _MAX_OPTION) -> bytes:
    """Return the text as UTF-8, of `most` octets at most and without half a character."""
    octets = text.encode()
    return octets if len(octets) <= most else octets[:most].decode(errors="ignore").encode()

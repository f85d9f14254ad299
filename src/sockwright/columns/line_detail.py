"""What stands below the line of a packet: its headers in detail, and dumps of its octets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.wire.core.flags import FlagSet
from sockwright.wire.views.values import is_hexadecimal, item_text, meant, read, shown, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.records import CapturedPacket
    from sockwright.wire import Header, Packet

__all__ = ["detail_lines", "dump_lines", "tree_lines"]

_INDENT = "    "
_ROW = 16
# Layers that are left out of a dump from the network on.
_LINK_LAYERS = (
    "ethernet",
    "vlan",
    "llc",
    "snap",
    "bsd_loopback",
    "linux_cooked",
    "linux_cooked2",
    "cisco_hdlc",
    "ppp_framing",
    "ppp",
)


def detail_lines(packet: CapturedPacket) -> bytes:
    """Return a line for each header with all its fields, and one for each finding and error."""
    lines = [_INDENT + _header(header) for header in packet.layers]
    quotes: list[Packet | None] = [getattr(header, "quoted", None) for header in packet.layers]
    for quoted in quotes:
        if quoted is not None:
            lines += [f"{_INDENT}quoted: {_header(header)}" for header in quoted.layers]
    lines += [f"{_INDENT}cut short: {error}" for error in packet.errors]
    lines += [f"{_INDENT}{finding}" for finding in packet.verify()]
    if packet.comment:
        lines += [f"{_INDENT}comment: {line}" for line in packet.comment.splitlines()]
    return _ascii(lines)


def tree_lines(packet: CapturedPacket) -> bytes:
    """Return the packet as a tree of layers and fields, and an empty line."""
    return _ascii([*packet.show().split("\n"), ""])


def dump_lines(packet: CapturedPacket, form: str) -> bytes:
    """Return the octets of a packet: `form` is one of ``x xx X XX A AA``, as tcpdump has them."""
    octets = bytes(packet)
    if len(form) == 1:
        octets = octets[_network_offset(packet) :]
    if form[0] == "A":
        return _ascii_dump(octets) + b"\n\n"
    return "".join(_rows(octets, with_ascii=form[0] == "X")).encode()


def _header(header: Header) -> str:
    parts = []
    for field in meant(header):
        value = read(header, field)
        if field.codec is not None and not isinstance(value, bytes):
            items = ", ".join(map(item_text, value))
            if items:
                parts.append(f"{field.name} [{items}]")
        else:
            # Numbers with their names, as in the tree; flags as letters, without commas.
            flags = isinstance(value, FlagSet)
            told = text(field, value) if flags else shown(field, value)
            if is_hexadecimal(field) or told:
                parts.append(f"{field.name} {told}")
    return f"{type(header).__name__}: {', '.join(parts)}" if parts else type(header).__name__


def _ascii(lines: list[str]) -> bytes:
    safe = ("".join(c if " " <= c <= "~" else ascii(c)[1:-1] for c in line) for line in lines)
    return "".join(f"{line}\n" for line in safe).encode("ascii")


def _network_offset(packet: Packet) -> int:
    offset = 0
    for header in packet.layers:
        if header.layer not in _LINK_LAYERS:
            break
        offset += header.size
    return offset


def _rows(octets: bytes, *, with_ascii: bool) -> Iterator[str]:
    for start in range(0, len(octets), _ROW):
        row = octets[start : start + _ROW]
        groups = " ".join(row[at : at + 2].hex() for at in range(0, len(row), 2))
        if with_ascii:
            seen = "".join(chr(octet) if 32 < octet < 127 else "." for octet in row)
            yield f"\t0x{start:04x}:  {groups:<39}  {seen}\n"
        else:
            yield f"\t0x{start:04x}:  {groups}\n"


def _ascii_dump(octets: bytes) -> bytes:
    shown = bytearray(octets)
    for at, octet in enumerate(shown):
        if not (32 <= octet < 127 or octet in b"\n\t"):
            shown[at] = 46
    return bytes(shown)

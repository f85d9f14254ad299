"""The octets of a packet in hexadecimal, each line tied to the fields it holds."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from sockwright.wire.views.values import encoded, item_pieces, meant, read, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.wire.core.field import Field
    from sockwright.wire.core.header import Header
    from sockwright.wire.core.packet import Packet

__all__ = ["hexdump"]

_WIDE, _NARROW = 16, 8
_WORDS = 39  # columns for the fields of a line, of 80


def hexdump(packet: Packet) -> str:
    """Return offset, octets, characters and field names, one field or the few of an octet a line.

    Fields have up to 8 octets a line, payload and trailer 16. A packet that cannot be encoded
    gives the one line that says why.
    """
    octets = encoded(packet)
    if isinstance(octets, ValueError):
        return f"cannot be encoded: {octets}"
    lines: list[str] = []
    start = 0
    for header in packet.layers:
        for count, described in _groups(header):
            lines += _lines(octets, start, count, _NARROW, described)
            start += count
    for name, part in (("payload", packet.payload), ("trailer", packet.trailer)):
        if part:
            lines.append(f"{name}, {len(part)} octet{'s' * (len(part) > 1)}")
            lines += _lines(octets, start, len(part), _WIDE, "")
            start += len(part)
    return "\n".join(lines)


def _groups(header: Header) -> Iterator[tuple[int, str]]:
    """Yield runs of octets and the text of the fields that they hold, no field in two runs."""
    bits = 8 * header.fixed_size
    position = 0
    together: list[Field[object, object]] = []
    end = 0
    variable = None
    for field in meant(header):
        if field.codec is not None:
            variable = field
            continue
        if together and field.bit_offset >= end and end % 8 == 0:
            yield (end - position) // 8, _described(header, together)
            position, together = end, []
        together.append(field)
        end = max(end, field.bit_offset + field.width)
    if position < bits:
        yield (bits - position) // 8, _described(header, together)
    if variable is not None:
        for piece, described in item_pieces(header, variable):
            yield len(piece), f"{variable.path} {described}"


def _described(header: Header, fields: list[Field[object, object]]) -> str:
    texts = [f"{field.name} {shown(field, read(header, field))}" for field in fields]
    return f"{header.layer}." + ", ".join(texts)


def _lines(octets: bytes, start: int, count: int, width: int, described: str) -> Iterator[str]:
    digits = max(4, (len(octets).bit_length() + 3) // 4)
    beside = iter(wrap(described, _WORDS, subsequent_indent="  ", break_on_hyphens=False))
    for at in range(start, start + count, width):
        part = octets[at : min(at + width, start + count)]
        characters = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in part)
        line = f"{at:0{digits}x}  {part.hex(' '):<{3 * width - 1}}  {characters:<{width}}"
        yield f"{line}  {next(beside, '')}".rstrip()
    for more in beside:
        yield " " * (digits + 4 * width + 5) + more

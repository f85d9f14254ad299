"""A packet as the RFCs draw it: boxes under a ruler of 32 bits, here with the values in them.

How a header becomes lines
    Every field (and every option) is a `_Box`: a run of bits. Bits are cut into rows of 32. Between
    two rows a border is drawn at each bit where the box above is not the box below, so a box that
    fills several rows stays open inside, as addresses do in RFC 8200. Each box then writes its name
    and value on the lines it owns; what does not fit is told in full below the header.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from sockwright.wire.views.values import (
    encoded,
    item_pieces,
    meant,
    preview,
    raw_bits,
    read,
    shown,
    text,
)

if TYPE_CHECKING:
    from sockwright.wire.core.header import Header
    from sockwright.wire.core.packet import Packet

__all__ = ["diagram"]

_BITS = 32
_WIDTH = 2 * _BITS + 1
_RULER = [
    " 0                   1                   2                   3",
    " 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1",
]
_LARGEST_TAIL = 64  # octets of a variable part that are drawn to scale


@dataclass(frozen=True, slots=True)
class _Box:
    """A run of bits from `start` to before `end`; `values` are ways to write it, longest first."""

    start: int
    end: int
    name: str
    values: tuple[str, ...]


def diagram(packet: Packet) -> str:
    """Return each header under the 32-bit ruler of the RFCs, with names and values in the boxes.

    What does not fit its box is abbreviated there and told in full below the header. A variable
    part of more than 64 octets, the payload and the trailer are one box each, not to scale.
    """
    parts = [
        "\n".join([type(header).__name__, *_RULER, *_header(header)]) for header in packet.layers
    ]
    for name, octets in (("payload", packet.payload), ("trailer", packet.trailer)):
        if octets:
            parts.append("\n".join([_border(), *_summary(name, octets), _border()]))
    octets_or_error = encoded(packet)
    if isinstance(octets_or_error, ValueError):
        parts.append(f"cannot be encoded: {octets_or_error}")
    parts += ["\n".join(wrap(f"cut short: {error}", 80)) for error in packet.errors]
    return "\n\n".join(parts) or "an empty packet"


def _border() -> str:
    return "+-" * _BITS + "+"


def _summary(name: str, octets: bytes) -> list[str]:
    lines = [
        f"{name}, {len(octets)} octet{'s' * (len(octets) != 1)}",
        preview(octets, _WIDTH - 4),
    ]
    return [f"~{line:^{_WIDTH - 2}}~" for line in lines]


def _header(header: Header) -> list[str]:
    boxes = _fixed_boxes(header)
    more: list[str] = []
    for field in header.fields:
        if field.codec is None or not header._tail:
            continue
        if len(header._tail) > _LARGEST_TAIL:
            more = [*_summary(field.name, header._tail), _border()]
            continue
        position = 8 * header.fixed_size
        for octets, described in item_pieces(header, field):
            name, _, rest = described.partition(" ")
            if name.isdigit():
                name, rest = field.name, preview(octets, _WIDTH - 4)
            end = position + 8 * len(octets)
            boxes.append(_Box(position, end, name, (rest,)))
            position = end
    legend: list[str] = []
    lines = _draw(boxes, legend) + more
    for told in legend:
        lines += wrap(told, 80, initial_indent="  ", subsequent_indent="    ")
    return lines


def _fixed_boxes(header: Header) -> list[_Box]:
    """Return boxes for all bits of the fixed part, overlays before what they lie upon."""
    boxes: list[_Box] = []
    bits = raw_bits(header)
    total = 8 * header.fixed_size
    chosen = [field for field in meant(header) if field.codec is None]
    starts: dict[int, Any] = {}
    owner: list[Any] = [None] * total
    for field in sorted(chosen, key=lambda field: field.overlay):
        for bit in range(field.bit_offset, field.bit_offset + field.width):
            owner[bit] = field
        starts[field.bit_offset] = field
    start = 0
    while start < total:
        field = owner[start]
        end = start
        while end < total and owner[end] is field:
            end += 1
        if field is not None and end - start == field.width:
            value = read(header, field)
            values: tuple[str, ...] = (shown(field, value), text(field, value))
        else:  # what an overlay leaves of the field below it
            rest = bits >> total - end & (1 << end - start) - 1
            values = (f"{rest:#x}",)
        boxes.append(_Box(start, end, field.name if field is not None else "", values))
        start = end
    return boxes


def _draw(boxes: list[_Box], legend: list[str]) -> list[str]:
    """Return borders and rows; what does not fit is added to `legend`."""
    if not boxes:
        return []
    end = boxes[-1].end
    cells: list[list[tuple[_Box, int, int]]] = [[] for _ in range((end + _BITS - 1) // _BITS)]
    for box in boxes:
        for number in range(box.start // _BITS, (box.end + _BITS - 1) // _BITS):
            first = max(box.start - number * _BITS, 0)
            last = min(box.end - number * _BITS, _BITS)
            if first < last:
                cells[number].append((box, first, last))
    lines: list[list[str]] = []
    # The lines that each box owns: number of the line, first bit, bit behind the last.
    owned: dict[int, list[tuple[int, int, int]]] = {id(box): [] for box in boxes}
    above: list[tuple[_Box, int, int]] = []
    for row in [*cells, []]:
        for box, first, last in row:
            for over, start, stop in above:
                if over is box and max(first, start) < min(last, stop):
                    owned[id(box)].append((len(lines), max(first, start), min(last, stop)))
        lines.append(_between(above, row))
        # A box that is in this row alone needs lines for its name and one for its value.
        heights = [1 + len(_name_lines(box)) for box, _, _ in row if _rows(box) == 1]
        for _ in range(max(heights, default=1) if row else 0):
            for box, first, last in row:
                owned[id(box)].append((len(lines), first, last))
            lines.append(_walls(row))
        above = row
    taken: set[str] = set()
    for box in boxes:
        _write(box, owned[id(box)], lines, legend, taken)
    return ["".join(line).rstrip() for line in lines]


def _rows(box: _Box) -> int:
    return (box.end - 1) // _BITS - box.start // _BITS + 1


def _between(above: list[tuple[_Box, int, int]], below: list[tuple[_Box, int, int]]) -> list[str]:
    """Return the border between two rows: a line where the boxes are not the same."""
    upper: list[_Box | None] = [None] * _BITS
    lower: list[_Box | None] = [None] * _BITS
    for row, boxes in ((upper, above), (lower, below)):
        for box, first, last in boxes:
            row[first:last] = [box] * (last - first)
    line = [" "] * _WIDTH
    for bit, (over, under) in enumerate(zip(upper, lower, strict=True)):
        if over is not under:
            line[2 * bit : 2 * bit + 3] = "+-+"
    for cell in (*above, *below):
        if cell[1] == 0:
            line[0] = "+"
        if cell[2] == _BITS and above and below:
            line[-1] = "+"
    return line


def _walls(row: list[tuple[_Box, int, int]]) -> list[str]:
    line = [" "] * _WIDTH
    for _, first, last in row:
        line[2 * first] = line[2 * last] = "|"
    return line


def _write(
    box: _Box,
    owned: list[tuple[int, int, int]],
    lines: list[list[str]],
    legend: list[str],
    taken: set[str],
) -> None:
    """Write name and value of `box` on the widest of its lines."""
    if not owned:
        return
    widest = max(last - first for _, first, last in owned)
    usable = [each for each in owned if each[2] - each[1] == widest]
    room = 2 * widest - 1
    pairs = [f"{box.name} {value}".strip() for value in box.values]
    fitting = [pair for pair in pairs if len(pair) <= room]
    if len(usable) < 3 and _rows(box) > 1 and fitting:
        _place(lines, usable[(len(usable) - 1) // 2], fitting[0])
        return
    names = _name_lines(box) if _rows(box) == 1 else [box.name]
    value = next((value for value in box.values if len(value) <= room), None)
    if max(map(len, names)) > room:
        names = [_abbreviated(box.name, room, taken)]
    if "_".join(names) != box.name:
        legend.append(f"{names[0]} = {box.name}: {box.values[0]}")
    elif value is None:
        legend.append(f"{box.name}: {box.values[0]}")
    if value is None:
        value = box.values[-1][: room - 3] + "..." if room > 6 else "*"
    words = [*names, value] if len(usable) > 1 else names
    first = (len(usable) - len(words)) // 2
    for where, word in zip(usable[first:], words, strict=False):
        _place(lines, where, word)


def _name_lines(box: _Box) -> list[str]:
    """Return the name of a box, cut at its underscores where that makes it fit one row."""
    room = 2 * (box.end - box.start) - 1
    words = box.name.split("_")
    if len(box.name) <= room or max(map(len, words)) > room:
        return [box.name]
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= room:
            lines[-1] += f"_{word}"
        else:
            lines.append(word)
    return lines


def _abbreviated(name: str, room: int, taken: set[str]) -> str:
    """Return a short form of `name` that no other box of the header has."""
    consonants = name[0] + "".join(letter for letter in name[1:] if letter not in "aeiou_")
    short = consonants[:room]
    for letter in name + "0123456789":
        if short not in taken:
            break
        short = consonants[: room - 1] + letter
    taken.add(short)
    return short


def _place(lines: list[list[str]], where: tuple[int, int, int], words: str) -> None:
    number, first, last = where
    room = 2 * (last - first) - 1
    if words:
        lines[number][2 * first + 1 : 2 * last] = f"{words:^{room}}"

"""Values of fields as text, and the fields of a header that have a meaning in it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from sockwright.wire.core.flags import FlagSet

if TYPE_CHECKING:
    from sockwright.wire.core.field import Field
    from sockwright.wire.core.header import Header

__all__ = [
    "encoded",
    "item_pieces",
    "item_text",
    "meant",
    "preview",
    "raw_bits",
    "read",
    "shown",
    "text",
]

# Numbers that the RFCs and every other tool write in hexadecimal, by field name and by namespace.
_HEXADECIMAL = ("checksum", "identification", "identifier", "crc", "spi", "flow_label", "oui")
_HEXADECIMAL_NAMESPACES = ("ether_type", "llc_sap", "snap")


def encoded(packet: Any) -> bytes | ValueError:
    """Return the octets of a packet, or the error where its fields do not fit each other."""
    try:
        return bytes(packet)
    except ValueError as error:  # data too long for a length field
        return error


def read(header: Header, field: Field[Any, Any]) -> Any:
    """Return the value of a field; None for a derived one of a packet that cannot be encoded."""
    try:
        return getattr(header, field.name)
    except ValueError:
        return None


def meant(header: Header) -> list[Field[Any, Any]]:
    """Return the fields that have a meaning in this header, in wire order.

    A field whose bits all have a second name in this header (an overlay that applies) is left out.
    """
    overlays = [field for field in header.fields if field.overlay and field.applies(header)]
    bits = [bit for field in overlays for bit in _bits(field)]
    hidden = set(bits)
    chosen = [
        field
        for field in header.fields
        if not field.overlay and (field.codec is not None or not hidden.issuperset(_bits(field)))
    ]
    chosen += overlays
    return sorted(chosen, key=lambda field: (field.codec is not None, field.bit_offset))


def _bits(field: Field[Any, Any]) -> range:
    return range(field.bit_offset, field.bit_offset + field.width)


def raw_bits(header: Header) -> int:
    """Return the fixed part of a header as one number, first bit highest."""
    packet = header.packet
    if packet is not None and not isinstance(encoded(packet), ValueError):
        return int.from_bytes(bytes(header)[: header.fixed_size], "big")
    number = 0
    for field in header.fields:
        if not field.overlay and field.codec is None:
            value = read(header, field)
            raw = field.convert(value if value is not None else 0)
            raw = int.from_bytes(raw, "big") if isinstance(raw, bytes) else raw
            number |= raw << 8 * header.fixed_size - field.bit_offset - field.width
    return number


def is_hexadecimal(field: Field[Any, Any]) -> bool:
    """Whether people write the numbers of this field in hexadecimal."""
    return field.kind == "uint" and (
        field.namespace in _HEXADECIMAL_NAMESPACES
        or field.name.endswith(_HEXADECIMAL)
        or (field.name == "ether_type")
    )


def text(field: Field[Any, Any], value: Any) -> str:
    """Return a value in its short form: ``6``, ``0x0800``, ``SA``, ``10.0.0.1``, ``48 69``."""
    if value is None:
        return "computed"
    if field.codec is not None:
        return octets_text(value) if isinstance(value, bytes) else ", ".join(map(item_text, value))
    if isinstance(value, FlagSet):
        return str(value) or "0"
    if isinstance(value, int):
        digits = (field.width + 3) // 4
        return f"{value:#0{digits + 2}x}" if is_hexadecimal(field) else str(int(value))
    if field.kind == "octets":
        return octets_text(value)
    return str(value)


def shown(field: Field[Any, Any], value: Any) -> str:
    """Return a value with its name: ``6 (TCP)``, ``0x0800 (IPv4)``, ``0x012 SA: SYN, ACK``."""
    if isinstance(value, FlagSet):
        number = int(value)
        letters = str(value)
        parts = [f"{number:#0{(field.width + 3) // 4 + 2}x}"]
        if letters:
            parts.append(letters)
        words = [word for bit, word in enumerate(value.words) if number >> bit & 1]
        return " ".join(parts) + (": " + ", ".join(words) if words else "")
    short = text(field, value)
    if isinstance(value, int) and value in field.values:
        return f"{short} ({field.values[value]})"
    return short


def octets_text(octets: bytes, limit: int = 16) -> str:
    """Return octets in hexadecimal, the first `limit` of them."""
    if len(octets) <= limit:
        return octets.hex(" ")
    return f"{octets[:limit].hex(' ')} ... ({len(octets)} octets)"


def preview(octets: bytes, width: int) -> str:
    """Return octets as an escaped literal of at most `width` columns, cut with ``...``."""
    literal = repr(octets[: max(width, 1)])
    if len(literal) <= width and len(octets) <= width:
        return literal
    count = max(width, 1)
    while count and len(repr(octets[:count])) + 3 > width:
        count -= 1
    return repr(octets[:count]) + "..."


def item_text(item: Any) -> str:
    """Return an option or another item of a variable part: ``MSS size=1460``."""
    if is_dataclass(item) and not isinstance(item, type):
        given = [(part.name, getattr(item, part.name)) for part in fields(item)]
        values = [f"{name}={_plain(value)}" for name, value in given if value not in (None, b"")]
        return " ".join([type(item).__name__, *values])
    return _plain(item)


def _plain(value: Any) -> str:
    if isinstance(value, FlagSet):
        return str(value) or "0"
    if isinstance(value, bytes) and type(value) is bytes:
        return octets_text(value) or "-"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_plain, value)) + ")"
    if is_dataclass(value):
        return "(" + item_text(value) + ")"
    # Text out of a packet must not act on a terminal.
    return ascii(value) if isinstance(value, str) else ascii(str(value))[1:-1]


def item_pieces(header: Header, field: Field[Any, Any]) -> list[tuple[bytes, str]]:
    """Return the variable part of a header cut into its items: the octets of each, and its text.

    Where the items cannot be told apart in the octets, they are one piece.
    """
    tail = header._tail
    if not tail:
        return []
    items = read(header, field)
    if isinstance(items, bytes) or not items:
        return [(tail, f"{len(tail)} octets")]
    pieces: list[tuple[bytes, str]] = []
    rest = tail
    for item in items:
        own = _octets_of(item, field)
        if not rest.startswith(own):
            return [(tail, text(field, items))]
        pieces.append((own, item_text(item)))
        rest = rest[len(own) :]
    if rest:
        pieces.append((rest, "padding" if not any(rest) else "octets behind the last item"))
    return pieces


def _octets_of(item: Any, field: Field[Any, Any]) -> bytes:
    encode = getattr(item, "encode", None)
    try:
        if encode is not None and not isinstance(item, str):
            return bytes(encode())
        assert field.codec is not None
        return field.codec.encode((item,))
    except (TypeError, ValueError):
        return b"\xff" * 256  # fits nowhere

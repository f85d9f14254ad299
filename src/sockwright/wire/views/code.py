"""Source that builds the same packet.

How it finds the derived fields that have to be written
    The packet is first rebuilt without any of them. Those that come out other than they are get
    pinned, the outcome is compared, and once the octets are the same each pin is taken away again
    to see whether it was only a consequence of another: a wrong protocol number also changes the
    checksum. So what is written is what was set by hand, or lies.

Where even this does not give the same octets (they end within a header) the source decodes them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from sockwright.wire.core.address import MACAddress
from sockwright.wire.core.flags import FlagSet
from sockwright.wire.core.packet import Packet
from sockwright.wire.views.values import encoded, is_hexadecimal, meant

if TYPE_CHECKING:
    from sockwright.wire.core.field import Field
    from sockwright.wire.core.header import Header

__all__ = ["code"]

WIDTH = 88
_INDENT = "    "


def code(packet: Packet) -> str:
    """Return Python source that sets ``packet`` to a packet with the same octets and layers.

    It imports what it uses. Derived fields are in it only where their value is not what would be
    computed. Ends with a newline.
    """
    source = _Source()
    wanted = encoded(packet)
    arguments = [_arguments(header) for header in packet.layers]
    if isinstance(wanted, ValueError):
        # Nothing to compare with: write what was set by hand.
        for header, own in zip(packet.layers, arguments, strict=True):
            for field in header.fields:
                if field.derived and not field.overlay and header.is_pinned(field.name):
                    own[field.name] = getattr(header, field.name)
    elif not _pin(packet, arguments, wanted):
        return _decoding(packet, wanted)
    return source.building(packet, arguments)


def _arguments(header: Header) -> dict[str, Any]:
    """Return the fields of `header` that are neither derived nor what a new header has anyway."""
    new = type(header)()
    found = {}
    for field in meant(header):
        if field.derived:
            continue
        value = getattr(header, field.name)
        if field.codec is not None and isinstance(value, tuple) and value:
            with suppress(TypeError, ValueError):
                if field.codec.encode(value[:-1]) == header._tail:
                    value = value[:-1]  # padding that encoding adds by itself
        if value != getattr(new, field.name):
            found[field.name] = value
    return found


def _pin(packet: Packet, arguments: list[dict[str, Any]], wanted: bytes) -> bool:
    """Add to `arguments` what must be pinned for the octets `wanted`; return whether that helps."""
    pins: list[tuple[int, str]] = []
    order = [list(header.fields) for header in packet.layers]
    while (built := _build(packet, arguments)) is None or bytes(built) != wanted:
        before = len(pins)
        for index, header in enumerate(packet.layers):
            for field in order[index]:
                if field.overlay or field.name in arguments[index] or field.codec is not None:
                    continue
                value = getattr(header, field.name)
                # Not only derived fields: an overlay may stand for a part of a field only.
                wrong = (
                    field.derived
                    if built is None
                    else value != getattr(built.layers[index], field.name)
                )
                if wrong:
                    arguments[index][field.name] = value
                    pins.append((index, field.name))
        if len(pins) == before:
            return False
    for index, name in reversed(pins):
        value = arguments[index].pop(name)
        again = _build(packet, arguments)
        if again is None or bytes(again) != wanted:
            arguments[index][name] = value
    for index, own in enumerate(arguments):  # in wire order, as a person would write it
        place = {field.name: n for n, field in enumerate(type(packet.layers[index]).fields)}
        arguments[index] = dict(sorted(own.items(), key=lambda item: place[item[0]]))
    return [type(header) for header in packet.layers] == [
        type(header) for header in (_build(packet, arguments) or Packet()).layers
    ]


def _build(packet: Packet, arguments: list[dict[str, Any]]) -> Packet | None:
    """Do what the source will do; None where the outcome cannot be encoded."""
    try:
        headers = [
            type(header)(**own) for header, own in zip(packet.layers, arguments, strict=True)
        ]
        new = Packet(headers, packet.payload)
        if packet.trailer:
            new.trailer = packet.trailer
        bytes(new)
    except ValueError:
        return None
    return new


def _decoding(packet: Packet, octets: bytes) -> str:
    source = _Source()
    layers = packet.layers
    limit = f", max_layers={len(layers)}" if len(layers) > 32 else ""
    first = source.name(type(layers[0]))
    literal = _octets(octets, _INDENT * 2)
    return source.text(
        f"# The octets end within a header, so they are decoded as they are.\n"
        f"packet = {first}.decode(\n{_INDENT}{literal}{limit}{',' * (not limit)}\n)\n"
    )


class _Source:
    """Source under construction; knows which names it has to import."""

    def __init__(self) -> None:
        self._imports: dict[str, set[str]] = {}

    def name(self, cls: type) -> str:
        """Return the name of a class and import it from the shortest place that has it."""
        home = cls.__module__
        for public in ("sockwright.wire", "sockwright"):
            if home.startswith(public + ".") and (
                getattr(import_module(public), cls.__name__, None) is cls
            ):
                home = public
                break
        self._imports.setdefault(home, set()).add(cls.__name__)
        return cls.__name__

    def text(self, body: str) -> str:
        """Return the imports, an empty line and `body`."""
        lines: list[str] = []
        for home in sorted(self._imports, key=lambda home: (home.startswith("sockwright"), home)):
            if lines and home.startswith("sockwright") and lines[-1].startswith("from ipaddress"):
                lines.append("")
            # Capitals first, as import sorters have it.
            names = sorted(self._imports[home], key=lambda name: (not name.isupper(), name))
            line = f"from {home} import {', '.join(names)}"
            if len(line) > WIDTH:
                line = f"from {home} import (\n" + "".join(f"    {n},\n" for n in names) + ")"
            lines.append(line)
        return "\n".join([*lines, "", body])

    def building(self, packet: Packet, arguments: list[dict[str, Any]]) -> str:
        """Return the source that builds `packet` with these arguments for its headers."""
        calls = [
            self._call(self.name(type(header)), self._written(header, own), _INDENT)
            for header, own in zip(packet.layers, arguments, strict=True)
        ]
        if packet.payload:
            calls.append(_octets(packet.payload, _INDENT))
        if len(packet.layers) == 0:
            new = self.name(Packet)
            body = f"packet = {new}(payload={calls[0]})" if calls else f"packet = {new}()"
        elif len(calls) == 1:
            body = f"packet = {self.name(Packet)}(({calls[0]},))"
            if len(body) > WIDTH or "\n" in body:
                body = f"packet = {self.name(Packet)}(\n{_INDENT}({calls[0]},)\n)"
        else:
            body = "packet = " + " / ".join(calls)
            if len(body) > WIDTH or "\n" in body:
                body = f"packet = (\n{_INDENT}" + f"\n{_INDENT}/ ".join(calls) + "\n)"
        if packet.trailer and packet.layers:
            body += f"\npacket.trailer = {_octets(packet.trailer, '')}"
        return self.text(body + "\n")

    def _written(self, header: Header, arguments: dict[str, Any]) -> list[str]:
        return [
            f"{name}={self._field(header._by_name[name], value)}"
            for name, value in arguments.items()
        ]

    def _field(self, field: Field[Any, Any], value: Any) -> str:
        if isinstance(value, FlagSet):
            letters = str(value)
            return (
                _quoted(letters) if letters and field.convert(letters) == value else str(int(value))
            )
        if isinstance(value, (IPv4Address, IPv6Address, MACAddress)):
            return _quoted(str(value))
        if is_hexadecimal(field):
            return f"0x{value:0{(field.width + 3) // 4}X}"
        return self._value(value, _INDENT * 2)

    def _value(self, value: Any, indent: str) -> str:
        if isinstance(value, FlagSet):
            return str(int(value))
        if isinstance(value, (IPv4Address, IPv6Address, MACAddress)):
            return f"{self.name(type(value))}({_quoted(str(value))})"
        if isinstance(value, bytes):
            return _octets(value, indent)
        if isinstance(value, tuple):
            parts = [self._value(item, indent + _INDENT) for item in value]
            line = f"({', '.join(parts)}{',' * (len(parts) == 1)})"
            if len(line) + len(indent) + 12 <= WIDTH and "\n" not in line:
                return line
            inner = "".join(f"{indent}{_INDENT}{part},\n" for part in parts)
            return f"(\n{inner}{indent})"
        if is_dataclass(value) and not isinstance(value, type):
            return self._call(self.name(type(value)), self._parts(value, indent), indent)
        return _quoted(value) if isinstance(value, str) else repr(value)

    def _parts(self, item: Any, indent: str) -> list[str]:
        """Return the arguments of a dataclass: one alone by position, more of them by name."""
        made = [part for part in fields(item) if part.init]
        left_out = [
            part
            for part in made
            if part.default is not MISSING and getattr(item, part.name) == part.default
        ]
        values = [part for part in made if part not in left_out]
        if len(values) == 1 and values[0] is made[0] and not values[0].kw_only:
            return [self._value(getattr(item, values[0].name), indent + _INDENT)]
        return [
            f"{part.name}={self._value(getattr(item, part.name), indent + _INDENT)}"
            for part in values
        ]

    def _call(self, name: str, arguments: list[str], indent: str) -> str:
        """Return a call in one line, or with one argument a line where that is too long."""
        line = f"{name}({', '.join(arguments)})"
        if len(line) + len(indent) + 2 <= WIDTH and "\n" not in line:
            return line
        if not arguments:
            return line
        inner = "".join(f"{indent}{_INDENT}{argument},\n" for argument in arguments)
        return f"{name}(\n{inner}{indent})"


def _quoted(value: str) -> str:
    return '"' + ascii(value)[1:-1].replace('"', '\\"').replace("\\'", "'") + '"'


def _octets(octets: bytes, indent: str) -> str:
    """Return the shortest source of `octets` that fits the line, or several lines of it."""
    size = len(octets)
    if size > 8 and octets.count(octets[:1]) == size:
        return f"bytes({size})" if octets[0] == 0 else f"({_literal(octets[:1])} * {size})"
    readable = sum(octet in b"\r\n\t" or 32 <= octet < 127 for octet in octets) * 10 >= size * 8
    literal = _literal(octets) if readable or size < 4 else f'bytes.fromhex("{octets.hex(" ")}")'
    if len(literal) + len(indent) + 20 <= WIDTH:
        return literal
    inner = indent + _INDENT
    if readable:
        parts = _text_lines(octets, WIDTH - len(inner))
        opening, closing = "(", ")"
    else:
        count = min(24, (WIDTH - len(inner)) // 12 * 4)
        parts = [f'"{octets[at : at + count].hex(" ")}"' for at in range(0, size, count)]
        opening, closing = "bytes.fromhex(", ")"
    return f"{opening}\n" + "".join(f"{inner}{part}\n" for part in parts) + f"{indent}{closing}"


def _literal(octets: bytes) -> str:
    # repr prefers single quotes, this project and its formatter the others.
    literal = repr(octets)
    if literal.startswith("b'") and '"' not in literal:
        return f'b"{literal[2:-1]}"'
    return literal


def _text_lines(octets: bytes, width: int) -> list[str]:
    """Return literals of the octets, cut behind each newline and where a line gets too long."""
    lines = []
    for line in octets.splitlines(keepends=True):
        rest = line
        while rest:
            count = width - 3
            while len(_literal(rest[:count])) > width:
                count -= 1
            lines.append(_literal(rest[:count]))
            rest = rest[count:]
    return lines

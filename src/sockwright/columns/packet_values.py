"""A packet as values that JSON has words for."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from sockwright.columns.fields import values
from sockwright.wire.core.address import MACAddress
from sockwright.wire.core.option import UnknownOption
from sockwright.wire.views.values import meant, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.columns.fields import FieldInfo
    from sockwright.records import CapturedPacket
    from sockwright.wire import Header

__all__ = ["field_values", "frame_values", "layer_values"]


def frame_values(packet: CapturedPacket) -> dict[str, Any]:
    """Return what the capture says of a packet: number, time, lengths, interface, comment."""
    return {
        "number": packet.number,
        "time_ns": packet.time_ns,
        "length": packet.original_length,
        "captured_length": len(bytes(packet)),
        "link_type": packet.link_type,
        "interface": packet.interface,
        "comment": packet.comment,
        "protocols": [header.layer for header in packet.layers],
    }


def layer_values(header: Header) -> dict[str, Any]:
    """Return the name of the layer and every field that has a meaning in this header."""
    values = {"layer": header.layer}
    for field in meant(header):
        values[field.name] = _value(read(header, field))
    return values


def field_values(packet: CapturedPacket, infos: Sequence[FieldInfo]) -> dict[str, Any]:
    """Return the fields by their names: None where absent, a list where layers repeat."""
    found: dict[str, Any] = {}
    for info in infos:
        there = [_value(value) for value in values(packet, info) if value is not None]
        found[info.name] = there if len(there) > 1 else there[0] if there else None
    return found


def _value(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, MACAddress):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, tuple | list):
        return [_value(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        kind = {"name": type(value).__name__}
        number = getattr(value, "kind", None)
        if isinstance(number, int) and not isinstance(value, UnknownOption):
            kind["kind"] = number  # type: ignore[assignment]
        return kind | {part.name: _value(getattr(value, part.name)) for part in fields(value)}
    return str(value)

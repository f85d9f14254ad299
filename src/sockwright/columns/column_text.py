"""Columns as text, a whole column at a time: what `fields.text` writes of each value."""

from __future__ import annotations

from socket import AF_INET6, inet_ntop
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.columns.columns import Columns

__all__ = ["texts"]


def texts(columns: Columns, name: str) -> list[str]:
    """Return the texts of a column, empty where a packet lacks the field.

    Each value is written once, however many packets hold it.
    """
    import numpy as np

    info = columns.info(name)
    values, there = columns[name], columns.present(name)
    if name == "frame.protocols":
        known = columns.stacks
        return [known[number] for number in values.tolist()]
    if name == "frame.interface":
        names = [interface.name or "" for interface in columns.interfaces]
        return [names[number] for number in values.tolist()]
    write = _WRITERS.get(info.type, str)
    if info.type in ("uint8", "uint16", "bool", "flags"):
        width = 1 << 8 * values.itemsize
        table = [""] * width
        for value in np.flatnonzero(np.bincount(values, minlength=width)).tolist():
            table[value] = write(value)
        found = [table[value] for value in values.tolist()]
    elif info.type in ("ipv4", "mac", "ipv6"):
        found = _repeated(values, write)
    elif values.ndim > 1:
        found = [row.tobytes().hex() for row in values]
    else:
        found = list(map(write, values.tolist()))
    if not there.all():
        return [text if here else "" for text, here in zip(found, there.tolist(), strict=True)]
    return found


def _repeated(values: Any, write: Callable[[Any], str]) -> list[str]:
    """Write values of which most come again."""
    if values.ndim > 1:
        octets = values.tobytes()
        keys: list[Any] = [octets[at : at + 16] for at in range(0, len(octets), 16)]
    else:
        keys = values.tolist()
    table = {key: write(key) for key in set(keys)}
    return [table[key] for key in keys]


def _ipv4(value: int) -> str:
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


def _mac(value: int) -> str:
    return value.to_bytes(6, "big").hex(":")


def _ipv6(octets: bytes) -> str:
    text = inet_ntop(AF_INET6, octets)
    if "." not in text:
        return text
    # The C library writes IPv4 into some; `ipaddress`, and so `wire`, does not.
    from ipaddress import IPv6Address

    return str(IPv6Address(octets))


_WRITERS: dict[str, Callable[[Any], str]] = {
    "flags": hex,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "mac": _mac,
}

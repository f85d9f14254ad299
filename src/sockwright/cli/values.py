"""Values of rows: as JSON for programs, as short text for people."""

from __future__ import annotations

from enum import Enum, Flag

from sockwright.cli.clean import readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["as_json", "as_line", "as_text", "column_names"]

_PLAIN = frozenset({int, bool, float, type(None)})  # what JSON has as it is
_SMALLEST = 1e-9  # numbers below this are shown with an exponent


def as_json(value: Any) -> Any:
    r"""Return `value` in terms that JSON has.

    Dataclasses, and what has a method ``as_dict()``, become objects, octets hexadecimal digits,
    enumerations their names, times stay integers in nanoseconds; what JSON has no word for
    (addresses, paths) becomes its `str`. An octet of a name that is not UTF-8 becomes ``\xff``, as
    a terminal shows it: JSON has no word for a lone surrogate either.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is str:
        return value if value.isascii() else readable(value)
    if kind is dict:
        return {
            key if type(key) is str and key.isascii() else str(as_json(key)): (
                item if type(item) in _PLAIN else as_json(item)
            )
            for key, item in value.items()
        }
    if isinstance(value, Enum):
        return _name(value)
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if hasattr(kind, "as_dict"):
        return as_json(value.as_dict())
    if isinstance(value, dict):
        return as_json(dict(value))
    if isinstance(value, set | frozenset):
        return sorted((as_json(item) for item in value), key=str)
    if hasattr(kind, "__dataclass_fields__"):
        return {name: as_json(getattr(value, name)) for name in _field_names(value)}
    return readable(str(value))


def as_line(row: object) -> str:
    """Return `row` as one JSON object on one line, without the line end."""
    # ASCII only: a line of JSON can then go to a terminal without acting on it.
    import json

    plain = as_json(row)
    line = json.dumps(plain)
    # Where these words are names, nothing is lost by looking again.
    if "NaN" in line or "Infinity" in line:
        line = json.dumps(_finite(plain))
    return line


def _finite(plain: Any) -> Any:
    """Return `plain` with null for the numbers that JSON has no word for: NaN and infinity."""
    from math import isfinite

    if isinstance(plain, float):
        return plain if isfinite(plain) else None
    if isinstance(plain, dict):
        return {key: _finite(item) for key, item in plain.items()}
    return [_finite(item) for item in plain] if isinstance(plain, list) else plain


def as_text(value: object) -> str:
    """Return `value` as text for one cell of a table."""
    if value is None or value == "":
        return "-"
    if value is True:
        return "yes"
    if value is False:
        return "no"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(as_text(item) for item in value) or "-"
    plain = as_json(value)
    if isinstance(plain, dict):
        return ", ".join(f"{key} {as_text(item)}" for key, item in plain.items()) or "-"
    if isinstance(plain, float) and _SMALLEST < abs(plain) < 1:
        from decimal import Decimal

        return f"{Decimal(repr(plain)):f}"  # 0.0000853 rather than 8.53e-05
    return str(plain)


def column_names(row: Any) -> tuple[str, ...]:
    """Return the fields of `row` that text shows: its `columns`, or else all."""
    columns: tuple[str, ...] | None = getattr(type(row), "columns", None)
    if columns is not None:
        return tuple(columns)
    return _field_names(row)


def _field_names(row: Any) -> tuple[str, ...]:
    """Return the public fields of a dataclass."""
    # Loaded already where there is a dataclass; verbs without one are spared 10 ms.
    from dataclasses import fields

    return tuple(field.name for field in fields(row) if not field.name.startswith("_"))


def _name(value: Enum) -> object:
    # Bits that no flag stands for have no name.
    return value.value if isinstance(value, Flag) and value.name is None else value.name

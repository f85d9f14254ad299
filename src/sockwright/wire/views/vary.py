"""A packet in all combinations of some values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sockwright.wire.core.field import AUTO, Field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sockwright.wire.core.packet import Packet

__all__ = ["vary"]


def vary(
    packet: Packet,
    choices: Mapping[Field[Any, Any], Iterable[Any]] | None = None,
    **names: Iterable[Any],
) -> Iterator[Packet]:
    """Yield a packet for each combination of field values; the first field varies slowest.

    ``vary(packet, dst_port=range(1, 1025), ttl=(1, 2))`` names fields (or ``payload``); each means
    the innermost layer that has such a field. ``{IPv4.ttl: (1, 2), TCP.dst_port: (80,)}`` names
    field and layer. Packets are made one by one as they are asked for, each is independent of the
    others, and `packet` stays as it is.

    Raises: TypeError at once for a field that the packet does not have. ValueError for a value out
    of range names field, value and range: at once where values come in a list, tuple or range (of
    a range only both ends are looked at), else when its packet's turn comes.
    """
    places: list[tuple[int, str]] = []
    values: list[Iterable[Any]] = []
    for field, wanted in (choices or {}).items():
        places.append(_place_of_field(packet, field))
        values.append(_checked(field, wanted))
    for name, wanted in names.items():
        index, found = _place_of_name(packet, name)
        places.append((index, name))
        values.append(_checked(found, wanted))
    # All but the first are gone through many times.
    values[1:] = [each if isinstance(each, Sequence) else tuple(each) for each in values[1:]]
    return _packets(packet.copy(), places, values)


def _packets(
    base: Packet, places: list[tuple[int, str]], values: list[Iterable[Any]]
) -> Iterator[Packet]:
    for chosen in _product(values):
        new = base.copy()
        layers = new.layers
        for (index, name), value in zip(places, chosen, strict=True):
            setattr(layers[index] if index >= 0 else new, name, value)
        yield new


def _product(values: list[Iterable[Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield the cartesian product; `itertools.product` would first read all of every iterable."""
    if not values:
        yield ()
        return
    for value in values[0]:
        for rest in _product(values[1:]):
            yield (value, *rest)


def _place_of_field(packet: Packet, field: object) -> tuple[int, str]:
    if not isinstance(field, Field):
        raise TypeError(f"the choices are by field, as in IPv4.ttl, not by {field!r}")
    layers = packet.layers
    for index in range(len(layers) - 1, -1, -1):
        if layers[index].__class__ is field.owner:
            return index, field.name
    there = " / ".join(type(header).__name__ for header in layers) or "no headers"
    raise TypeError(f"no {field.owner.__name__} in this packet for {field.path}: it has {there}")


def _place_of_name(packet: Packet, name: str) -> tuple[int, Field[Any, Any] | None]:
    if name == "payload":
        return -1, None
    layers = packet.layers
    for index in range(len(layers) - 1, -1, -1):
        for field in layers[index].fields:
            if field.name == name:
                return index, field
    known = [f"{header.layer}: {', '.join(f.name for f in header.fields)}" for header in layers]
    raise TypeError(f"no field {name!r} in this packet; it has {'; '.join([*known, 'payload'])}")


def _checked(field: Field[Any, Any] | None, values: Iterable[Any]) -> Iterable[Any]:
    """Return `values` after a look at those that are there already."""
    if field is None or not isinstance(values, (list, tuple, range)) or not values:
        return values
    for value in (values[0], values[-1]) if isinstance(values, range) else values:
        if field.codec is not None:
            field.codec.encode(tuple(value))
        elif value is not AUTO or not field.derived:
            field.convert(value)
    return values

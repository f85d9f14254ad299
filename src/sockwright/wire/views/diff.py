"""In what two packets differ."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from sockwright.wire.views.values import item_text, meant, preview, read, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.wire.core.field import Field
    from sockwright.wire.core.header import Header
    from sockwright.wire.core.packet import Packet

__all__ = ["Difference", "diff"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same in two packets.

    `index` is the position of the layer in the left packet (in the right one for a layer only
    there; -1 for payload and trailer) and `layer` its name. `field` is a field name, one option as
    in ``options[1]``, or empty where a whole layer is only on one side. `left` and `right` are the
    values, None for what is not there. For payload and trailer `offset` is the first octet that
    differs.
    """

    index: int
    layer: str
    field: str
    left: Any
    right: Any
    offset: int | None = None
    spelled: tuple[str, str] = dataclasses.field(default=("", ""), repr=False, compare=False)

    def __str__(self) -> str:
        place = f"{self.layer}.{self.field}" if self.layer and self.field else self.field
        if not self.field:
            gone = self.right is None
            value = self.left if gone else self.right
            return f"layer {self.index}: {'only left' if gone else 'only right'}: {value!r}"
        if self.offset is not None:
            return (
                f"{place}: differs from octet {self.offset} on: "
                f"{_around(self.left, self.offset)} -> {_around(self.right, self.offset)}"
            )
        return f"{place}: {self.spelled[0]} -> {self.spelled[1]}"


def _around(octets: bytes, offset: int) -> str:
    rest = octets[offset:]
    return f"{preview(rest, 24) if rest else 'nothing'} ({len(octets)} octets)"


def diff(left: Packet, right: Packet) -> tuple[Difference, ...]:
    """Return what differs between two packets, outermost layer first; empty for equal ones.

    Layers of the same class are compared field by field, options one by one; a layer that only one
    packet has is one difference.
    """
    found: list[Difference] = []
    ours, theirs = left.layers, right.layers
    for mine, other in _aligned([type(header) for header in ours], [type(h) for h in theirs]):
        if mine is not None and other is not None:
            found += _fields(mine, ours[mine], theirs[other])
        elif mine is not None:
            found.append(Difference(mine, ours[mine].layer, "", ours[mine], None))
        elif other is not None:
            found.append(Difference(other, theirs[other].layer, "", None, theirs[other]))
    for name in ("payload", "trailer"):
        one, two = getattr(left, name), getattr(right, name)
        if one != two:
            found.append(Difference(-1, "", name, one, two, offset=_first(one, two)))
    return tuple(found)


def _aligned(
    left: Sequence[object], right: Sequence[object]
) -> Iterator[tuple[int | None, int | None]]:
    """Yield pairs of positions that belong together, None on the side where there is nothing."""
    for what, i1, i2, j1, j2 in SequenceMatcher(None, left, right, False).get_opcodes():
        if what == "equal":
            yield from zip(range(i1, i2), range(j1, j2), strict=True)
        else:
            yield from ((position, None) for position in range(i1, i2))
            yield from ((None, position) for position in range(j1, j2))


def _fields(index: int, left: Header, right: Header) -> Iterator[Difference]:
    # Overlays apply by the value of a field. Where that differs too, base fields are compared.
    described = meant(left)
    if described != meant(right):
        described = [field for field in left.fields if not field.overlay]
    for each in described:
        one, two = read(left, each), read(right, each)
        if one == two:
            continue
        if each.codec is None or isinstance(one, bytes) or isinstance(two, bytes):
            yield Difference(
                index, left.layer, each.name, one, two, spelled=(_text(each, one), _text(each, two))
            )
        else:
            yield from _items(index, each, one or (), two or ())


def _items(
    index: int, described: Field[Any, Any], left: tuple[Any, ...], right: tuple[Any, ...]
) -> Iterator[Difference]:
    """Compare options of the same type with each other, in order."""
    kinds = [_kind(item) for item in left], [_kind(item) for item in right]
    for mine, other in _aligned(*kinds):
        one = left[mine] if mine is not None else None
        two = right[other] if other is not None else None
        if one != two:
            name = f"{described.name}[{mine if mine is not None else other}]"
            yield Difference(
                index,
                described.owner.layer,
                name,
                one,
                two,
                spelled=(_text(described, one), _text(described, two)),
            )


def _text(described: Field[Any, Any], value: Any) -> str:
    if value is None:
        return "nothing"
    if described.codec is None:
        return text(described, value)
    return preview(value, 40) if isinstance(value, bytes) else item_text(value)


def _kind(item: Any) -> object:
    return type(item), getattr(item, "number", None)


def _first(left: bytes, right: bytes) -> int:
    """Return the first offset at which two octet strings differ."""
    for offset, (one, two) in enumerate(zip_longest(left, right)):
        if one != two:
            return offset
    return len(left)

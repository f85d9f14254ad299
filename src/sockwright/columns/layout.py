"""The descriptions of the headers in `wire`, as tables of integers for the kernels.

Nothing here knows a protocol: fields say where they are, `carried_by` says by which numbers headers
announce each other, and `Walk` says where the next one starts. What the numbers in the table mean
is said in `kernels/dissect.py`.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sockwright.columns.kernels import dissect
from sockwright.columns.kernels.checksum import (
    EXTENSION,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    PORTS,
    REROUTES,
    TCP,
    UDP,
)
from sockwright.wire.core.registry import header_classes
from sockwright.wire.core.registry import tables as registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sockwright.wire.core.field import Field
    from sockwright.wire.core.header import Header
    from sockwright.wire.core.walk import Choice, Walk

__all__ = ["KINDS", "Layout", "layout", "reader"]

# What a step is in the table. "stops" is that of a class without a walk.
STEPS = {
    "": 0,
    "cooked": dissect.COOKED,
    "gre": dissect.GRE,
    "ipv6": dissect.IPV6,
    "length_or_type": dissect.LENGTH_OR_TYPE,
    "mpls": dissect.MPLS,
    "records": dissect.RECORDS,
    "snap": dissect.SNAP,
    "stops": dissect.STOPS,
    "swapped": dissect.SWAPPED,
}
# What layers are to flows and checksums.
KINDS = {
    "ipv4": IPV4,
    "tcp": TCP,
    "udp": UDP,
    "icmp": ICMP,
    "icmpv6": ICMPV6,
    "ipv6": IPV6,
    "routing": REROUTES,
    "destination_options": REROUTES,
    "authentication": EXTENSION,
    "hop_by_hop": EXTENSION,
    "ipv6_fragment": EXTENSION,
    "udp_lite": PORTS,
    "sctp": PORTS,
}

_NOTHING = (0, 0, 0, 0)
_NAMESPACES = {
    dissect.LINK_TYPES: "link_type",
    dissect.RAW_IP: "raw_ip",
    dissect.ETHER_TYPES: "ether_type",
    dissect.IP_PROTOCOLS: "ip_protocol",
    dissect.UDP_PORTS: "udp_port",
}
_CLASSES = {  # by what announces them
    dissect.ETHERNET: ("link_type", 1),
    dissect.LLC: ("ieee802", 0),
    dissect.VLAN: ("ether_type", 0x8100),
    dissect.IPV4_HEADER: ("ether_type", 0x0800),
    dissect.IPV6_HEADER: ("ether_type", 0x86DD),
    dissect.TCP: ("ip_protocol", 6),
    dissect.UDP: ("ip_protocol", 17),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """All header classes, each known by its index here, and the table that tells their way.

    `layers` are the names of the layers, each once; `layer_of` gives the index of the layer for
    each class (classes that are forms of one header share it). `tables` holds 64-bit integers.
    """

    classes: tuple[type[Header], ...]
    index: Mapping[type[Header], int]
    layers: tuple[str, ...]
    layer_of: tuple[int, ...]
    tables: array[int]

    def classes_of(self, layer: str) -> tuple[type[Header], ...]:
        """Return the forms of the header called `layer`."""
        return tuple(cls for cls in self.classes if cls.layer == layer)


@cache
def layout() -> Layout:
    """Return the layout of all headers in `wire`."""
    classes = header_classes()
    index = {cls: number for number, cls in enumerate(classes)}
    layers = tuple(dict.fromkeys(cls.layer for cls in classes))
    layer_of = tuple(layers.index(cls.layer) for cls in classes)
    tables = array("q", bytes(8 * (dissect.ROWS + dissect.ROW * len(classes))))
    namespaces = {}
    for name, announced in registry().items():
        namespaces[name] = len(tables)
        tables.extend(_hashed({number: index[form[-1]] for number, form in announced.items()}))
    for place, name in _NAMESPACES.items():
        tables[place] = namespaces[name]
    for place, (name, number) in _CLASSES.items():
        tables[place] = index[registry()[name][number][-1]]
    choices: dict[Choice, int] = {}
    for number, cls in enumerate(classes):
        start = dissect.ROWS + dissect.ROW * number
        row = _row(cls, namespaces, index)
        row[dissect.LAYER] = layer_of[number]
        row[dissect.KIND] = KINDS.get(cls.layer, 0)
        forms = cls.walk.forms if cls.walk is not None else None
        if forms is not None:
            if forms not in choices:
                choices[forms] = len(tables)
                tables.extend(_choice(forms, classes))
            row[dissect.FORMS] = choices[forms]
        tables[start : start + dissect.ROW] = array("q", row)
    return Layout(classes, index, layers, layer_of, tables)


def reader(field: Field[Any, Any], mask: int | None = None) -> tuple[int, int, int, int]:
    """Return where `field` is: first octet, octets it touches, shift, and mask of its value.

    `mask` chooses some of its bits.
    """
    first = field.bit_offset // 8
    last = (field.bit_offset + field.width - 1) // 8
    shift = 8 * (last + 1) - field.bit_offset - field.width
    return first, last + 1 - first, shift, (1 << field.width) - 1 if mask is None else mask


def _row(
    cls: type[Header], namespaces: Mapping[str, int], index: Mapping[type[Header], int]
) -> list[int]:
    fields = {field.name: field for field in cls.fields}
    row = [0] * dissect.ROW
    row[dissect.FIXED] = cls.fixed_size
    row[dissect.ALWAYS] = -1
    walk = cls.walk
    if walk is None:
        row[dissect.RULES] = dissect.HAS_STEP
        row[dissect.STEP] = STEPS["stops"]
        return row

    def put(place: int, name: str, mask: int | None = None) -> None:
        row[place : place + 4] = reader(fields[name], mask) if name else _NOTHING

    row[dissect.RULES] = _rules(walk)
    for place, name in zip((dissect.SIZE, dissect.SIZE2), walk.size, strict=False):
        put(place, name)
    row[dissect.UNIT], row[dissect.MORE] = walk.unit, walk.more
    put(dissect.END, walk.end)
    row[dissect.BEHIND] = cls.fixed_size if walk.behind else 0
    row[dissect.LEAST] = (-1 if walk.size else 0) if walk.least is None else walk.least
    put(dissect.OFFSET, walk.offset)
    put(dissect.MORE_FRAGMENTS, *walk.more_fragments)
    put(dissect.ASKED, walk.asks)
    name, namespace = walk.following
    if not name:
        announcing = [field for field in cls.fields if field.namespace]
        if announcing:
            name, namespace = announcing[-1].name, announcing[-1].namespace
    put(dissect.FOLLOWING, name)
    row[dissect.NAMESPACE] = namespaces[namespace] if name else 0
    if walk.always[0]:
        row[dissect.ALWAYS] = index[registry()[walk.always[0]][walk.always[1]][-1]]
    row[dissect.STEP] = STEPS[walk.step]
    return row


def _rules(walk: Walk) -> int:
    return (
        bool(walk.size) * dissect.HAS_SIZE
        | bool(walk.end) * dissect.HAS_END
        | bool(walk.offset) * dissect.HAS_OFFSET
        | walk.closes * dissect.CLOSES
        | walk.takes_rest * dissect.TAKES_REST
        | bool(walk.step) * dissect.HAS_STEP
    )


def _choice(choice: Choice, classes: tuple[type[Header], ...]) -> list[int]:
    numbers = {cls.__name__: number for number, cls in enumerate(classes)}
    found = [choice.needs, numbers[choice.short], numbers[choice.otherwise]]
    found += [choice.at, choice.width, len(choice.cases)]
    for mask, value, name in choice.cases:
        found += [mask, value, numbers[name]]
    return found


def _hashed(classes: Mapping[int, int]) -> list[int]:
    """Return mask, shift, and pairs of number and class so that each number has a place alone.

    The place is ``(number ^ number >> shift) & mask``; -1 is nobody's number.
    """
    bits = 0
    while True:
        mask = (1 << bits) - 1
        for shift in range(1, 24):
            places = {(number ^ number >> shift) & mask: number for number in classes}
            if len(places) == len(classes):
                found = [mask, shift]
                for place in range(mask + 1):
                    number = places.get(place, -1)
                    found += [number, classes.get(number, -1)]
                return found
        bits += 1

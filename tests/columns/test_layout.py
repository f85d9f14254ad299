"""The tables of the kernels say what the descriptions of the headers say."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockwright.columns.kernels.dissect import ROW, ROWS, announced, read
from sockwright.columns.layout import layout, reader
from sockwright.wire.core.registry import header_classes, tables

if TYPE_CHECKING:
    from sockwright.wire import Header


def test_every_header_says_as_data_where_the_next_one_starts() -> None:
    without = [cls.__name__ for cls in header_classes() if cls.walk is None]
    assert not without, f"these have an advance of their own, and no walk: {without}"


def test_every_class_and_layer_has_its_place() -> None:
    known = layout()
    assert known.classes == header_classes()
    assert {known.layers[layer] for layer in known.layer_of} == {
        cls.layer for cls in header_classes()
    }
    assert ROWS + ROW * len(known.classes) < len(known.tables)
    assert {cls.__name__ for cls in known.classes_of("arp")} == {"ARP", "GenericARP"}


@pytest.mark.parametrize("namespace", sorted(tables()))
def test_every_number_leads_to_its_header_and_no_other_number_does(namespace: str) -> None:
    from sockwright.columns.layout import _hashed

    numbers = {number: at for at, number in enumerate(sorted(tables()[namespace]))}
    table = array("q", _hashed(numbers))
    for number, index in numbers.items():
        assert announced(table, 0, number) == index
    for number in (*range(70_000), 0x08000000, 0xFFFFFFFF):
        assert announced(table, 0, number) == numbers.get(number, -1)


def _fixed_fields() -> list[Any]:
    return [
        field
        for cls in header_classes()
        for field in cls.fields
        if field.codec is None and field.kind in ("uint", "flags", "ipv4")
    ]


@pytest.mark.parametrize("field", _fixed_fields(), ids=lambda field: str(field.path))
@given(data=st.data())
def test_a_reader_finds_what_the_field_holds(field: Any, data: st.DataObject) -> None:
    cls: type[Header] = field.owner
    octets = data.draw(st.binary(min_size=cls.fixed_size, max_size=cls.fixed_size))
    header = object.__new__(cls)
    header._values = cls._layout.unpack_from(octets)
    header._auto = 0
    value = read(array("q", reader(field)), 0, b"\xff" + octets, 1)
    raw = field.convert(getattr(header, field.name))
    assert value == raw


def test_a_reader_can_choose_bits_of_a_field() -> None:
    from sockwright.wire import IPv4

    first, count, shift, mask = reader(IPv4.flags, 1)
    assert (first, count, shift, mask) == (6, 1, 5, 1)

"""The public names of `sockwright.wire`."""

from __future__ import annotations

import pytest

from sockwright import wire
from sockwright.wire.core.registry import header_classes


def test_every_public_name_loads() -> None:
    for name in wire.__all__:
        assert getattr(wire, name) is not None
    assert dir(wire) == sorted(wire.__all__)
    homed = {name for names in wire._HOME.values() for name in names.split()}
    assert homed == set(wire.__all__)


def test_every_header_is_public() -> None:
    missing = {header.__name__ for header in header_classes()} - set(wire.__all__) - {"RawIP"}
    assert not missing


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'TPC'"):
        wire.TPC  # type: ignore[attr-defined]  # noqa: B018

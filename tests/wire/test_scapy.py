"""Packets drawn at random have the octets that scapy gives them, and mean the same when decoded."""

from __future__ import annotations

from functools import reduce
from operator import truediv
from typing import Any

from hypothesis import given, settings
from scapy.layers import inet, inet6, l2
from scapy.packet import Raw
from tests.wire.drawn import Drawn, Words, ours, packets

_CLASSES: dict[str, Any] = {**vars(l2), **vars(inet6), **vars(inet), "Raw": Raw}


def _said(value: Any) -> Any:
    """Return what the words mean to scapy."""
    if isinstance(value, Words):
        arguments = {name: _said(argument) for name, argument in value.arguments.items()}
        return _CLASSES[value.name](**arguments)
    return [_said(item) for item in value] if isinstance(value, list) else value


def _theirs(layers: list[Drawn]) -> Any:
    """Return scapy's packet of the layers."""
    return reduce(truediv, [_said(words) for layer in layers for words in layer.theirs])


@settings(max_examples=400, deadline=None)
@given(packets())
def test_octets_are_those_of_scapy(layers: list[Drawn]) -> None:
    assert bytes(ours(layers)).hex() == bytes(_theirs(layers)).hex()


@settings(max_examples=200, deadline=None)
@given(packets())
def test_scapy_octets_decode_to_the_layers_drawn(layers: list[Drawn]) -> None:
    octets = bytes(_theirs(layers))
    packet = ours(layers)
    decoded = type(packet[0]).decode(octets)
    assert decoded == packet
    assert not decoded.errors

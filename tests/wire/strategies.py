"""Packets out of every header there is, drawn from the field descriptions alone.

A new header joins without an edit here: the registry finds it, its fields say what values they
take, and its `carried_by` says behind which headers it stands.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from sockwright.wire import Header, Packet
from sockwright.wire.core.option import MalformedOption, NoOperation, Option, UnknownOption
from sockwright.wire.core.registry import header_classes
from sockwright.wire.udp import UDP

if TYPE_CHECKING:
    from sockwright.wire.core.field import Field

__all__ = ["headers", "packets", "public_headers"]

# 802.3 frames announce LLC by a length where Ethernet II has its type.
_ALSO = {"ether_type": ("ether_type", "ieee802")}


@cache
def public_headers() -> tuple[type[Header], ...]:
    """Return every header class but the bases that others are made from."""
    return tuple(cls for cls in header_classes() if not cls.__name__.startswith("_"))


@cache
def _followers() -> dict[type[Header], tuple[type[Header], ...]]:
    """Return for each header those that can stand behind it."""
    found = {}
    for cls in public_headers():
        announced = [field.namespace for field in cls.fields if field.namespace]
        if cls is UDP:
            announced.append("udp_port")
        names = [name for each in announced for name in _ALSO.get(each, (each,))]
        found[cls] = tuple(
            other for other in public_headers() if any(name in other.carried_by for name in names)
        )
    return found


def _values(field: Field[Any, Any]) -> st.SearchStrategy[Any]:
    if field.codec is not None:
        return _items(field)
    length = field.width // 8
    if field.kind == "octets":
        return st.binary(min_size=length, max_size=length)
    if field.kind in ("mac", "ipv6"):
        return st.binary(min_size=length, max_size=length)
    numbers = st.integers(0, (1 << field.width) - 1)
    return st.sampled_from(sorted(field.values)) | numbers if field.values else numbers


def _items(field: Field[Any, Any]) -> st.SearchStrategy[Any]:
    """Draw what a variable part can hold: options one by one, else what any octets mean to it."""
    codec = field.codec
    assert codec is not None
    kinds = getattr(codec, "kinds", None)
    if kinds:
        return st.lists(_options(tuple(kinds.values())), max_size=6).map(
            lambda options: _as_many_as_fit(codec, options)
        )
    words = st.lists(st.binary(min_size=8, max_size=8), max_size=4).map(b"".join)
    return words.map(codec.decode)


@cache
def _options(classes: tuple[type[Option], ...]) -> st.SearchStrategy[Option]:
    typed = [_option(cls, lengths) for cls in classes if (lengths := _lengths(cls))]
    unknown = st.builds(UnknownOption, st.integers(200, 250), st.binary(max_size=8))
    return st.one_of(*typed, unknown, st.just(NoOperation()))


def _lengths(cls: type[Option]) -> list[int]:
    """Return how many octets a body of this option may have."""
    found = []
    for length in range(37):
        try:
            cls.from_body(bytes(length))
        except ValueError:
            continue
        found.append(length)
    return found


def _option(cls: type[Option], lengths: list[int]) -> st.SearchStrategy[Option]:
    def made(body: bytes) -> Option:
        try:
            return cls.from_body(body)
        except ValueError:
            return cls.from_body(bytes(len(body)))

    return st.sampled_from(lengths).flatmap(lambda n: st.binary(min_size=n, max_size=n)).map(made)


def _as_many_as_fit(codec: Any, options: list[Option]) -> tuple[Option, ...]:
    chosen: tuple[Option, ...] = ()
    for option in options:
        try:
            codec.encode((*chosen, option))
        except ValueError:
            continue
        if not isinstance(option, MalformedOption):
            chosen = (*chosen, option)
    return chosen


@cache
def _headers() -> dict[type[Header], st.SearchStrategy[Header]]:
    found = {}
    for cls in public_headers():
        given = {
            field.name: _values(field)
            for field in cls.fields
            if not field.overlay and not field.derived
        }
        found[cls] = st.builds(partial(_made, cls), st.fixed_dictionaries({}, optional=given))
    return found


def _made(cls: type[Header], values: dict[str, Any]) -> Header:
    return cls(**values)


def headers(cls: type[Header]) -> st.SearchStrategy[Header]:
    """Draw a header of `cls`: fields set to anything, derived ones left to themselves."""
    return _headers()[cls]


@st.composite
def packets(draw: st.DrawFn, first: type[Header] | None = None, max_layers: int = 4) -> Packet:
    """Draw a packet as it is built: layers, payload, perhaps a trailer."""
    cls = first or draw(st.sampled_from(public_headers()))
    layers = [draw(headers(cls))]
    while len(layers) < max_layers and _followers()[cls] and draw(st.booleans()):
        cls = draw(st.sampled_from(_followers()[cls]))
        if isinstance(layers[-1], UDP):
            layers[-1].dst_port = cls.carried_by["udp_port"][0]  # nothing derives it
        layers.append(draw(headers(cls)))
    packet = Packet(layers, draw(st.binary(max_size=24)))
    if len(layers) > 1 and draw(st.integers(0, 4)) == 0:
        packet.trailer = draw(st.binary(min_size=1, max_size=8))
    return packet

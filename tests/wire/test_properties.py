"""What holds for every header and every packet, whatever the protocol."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.strategies import packets, public_headers

from sockwright.wire import Header, Packet
from sockwright.wire.core.registry import tables
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.tcp import TCP

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_HEADER = pytest.mark.parametrize("cls", public_headers(), ids=lambda cls: cls.__name__)
quickly = settings(max_examples=25, deadline=None)


def shape(packet: Packet) -> object:
    """Return where everything lies.

    A packet drawn may be read as another one: a value asks for another class, options reach to the
    end and so take the payload, a trailer lies behind headers that claim no length.
    """
    return [(type(header), header.size) for header in packet], packet.payload, packet.trailer


def look_at_everything(packet: Packet) -> None:
    """Call all that reads a packet."""
    packet.verify()
    packet.show()
    packet.diagram()
    packet.hexdump()
    packet.diff(Packet())
    repr(packet)
    for header in packet:
        for field in header.fields:
            getattr(header, field.name)


def touch(packet: Packet) -> bool:
    """Edit a packet without changing it; return whether it has a field for that."""
    for header in packet:
        for field in header.fields:
            if not field.derived and not field.overlay and field.codec is None:
                setattr(header, field.name, getattr(header, field.name))
                return True
    return False


@EVERY_HEADER
@quickly
@given(st.data())
def test_built_packets_decode_to_the_same_values(cls: type[Header], data: st.DataObject) -> None:
    packet = data.draw(packets(first=cls))
    octets = bytes(packet)
    decoded = cls.decode(octets)
    assert bytes(decoded) == octets
    if shape(decoded) == shape(packet) and not decoded.errors:
        assert decoded == packet
        for ours, theirs in zip(packet, decoded, strict=True):
            assert bytes(ours) == bytes(theirs)


@EVERY_HEADER
@quickly
@given(st.data())
def test_derived_fields_that_were_right_stay_as_they_were(
    cls: type[Header], data: st.DataObject
) -> None:
    packet = data.draw(packets(first=cls))
    octets = bytes(packet)
    decoded = cls.decode(octets)
    if shape(decoded) == shape(packet) and not decoded.errors and touch(decoded):
        assert bytes(decoded).hex() == octets.hex()


@EVERY_HEADER
@quickly
@given(octets=st.binary(max_size=120))
def test_any_octets_decode_and_come_back(cls: type[Header], octets: bytes) -> None:
    packet = cls.decode(octets)
    assert bytes(packet) == octets
    look_at_everything(packet)
    assert bytes(packet) == octets


@pytest.mark.parametrize("link_type", [*sorted(tables()["link_type"]), 147])
@quickly
@given(octets=st.binary(max_size=120))
def test_any_octets_of_any_link_type_decode_and_come_back(link_type: int, octets: bytes) -> None:
    packet = Packet.decode(octets, link_type=link_type)
    look_at_everything(packet)
    assert bytes(packet) == octets


@EVERY_HEADER
@settings(max_examples=4, deadline=None)
@given(st.data())
def test_every_truncation_decodes_and_comes_back(cls: type[Header], data: st.DataObject) -> None:
    octets = bytes(data.draw(packets(first=cls)))
    for length in range(len(octets)):
        packet = cls.decode(octets[:length])
        assert bytes(packet) == octets[:length]
        assert packet.errors or length >= cls.fixed_size or packet.layers
        look_at_everything(packet)


@EVERY_HEADER
@quickly
@given(st.data())
def test_edited_nonsense_can_be_encoded(cls: type[Header], data: st.DataObject) -> None:
    packet = cls.decode(data.draw(st.binary(max_size=80)))
    if touch(packet):
        again = bytes(packet)
        assert bytes(cls.decode(again)) == again


@given(packets())
@settings(max_examples=100, deadline=None)
def test_a_copy_is_equal_and_apart(packet: Packet) -> None:
    before = bytes(packet)
    other = packet.copy()
    assert other == packet
    other.payload = packet.payload + b"!"
    assert bytes(packet) == before


def nested(count: int) -> bytes:
    """Return `count` IPv4 headers in each other."""
    octets = b""
    for _ in range(count):
        octets = IPv4(protocol=4, total_length=0).__bytes__() + octets
    return octets


def options(count: int) -> bytes:
    """Return `count` times the longest TCP header, all its options one octet long."""
    header = Ethernet() / IPv4() / TCP(data_offset=15)
    return bytes(header) + b"\1" * 40 * count


def seconds(work: Callable[[], object]) -> float:
    """Return the shortest of five runs: the time of this thread, whatever others do meanwhile."""
    times = []
    for _ in range(5):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return min(times)


@pytest.mark.parametrize("make", [nested, options])
def test_twice_the_input_takes_about_twice_the_time(make: Callable[[int], bytes]) -> None:
    first = IPv4 if make is nested else Ethernet

    def decode(octets: bytes) -> object:
        return first.decode(octets, max_layers=1 << 16).layers

    small, large = make(500), make(2000)
    # Four times the input; sixteen times the time would be quadratic.
    assert seconds(lambda: decode(large)) < 10 * seconds(lambda: decode(small)) + 0.005


def test_three_thousand_nested_headers_end_at_the_limit() -> None:
    packet = IPv4.decode(nested(3000))
    assert len(packet.layers) == 32
    assert "more than 32 layers" in str(packet.errors[0])
    assert len(IPv4.decode(nested(3000), max_layers=5000).layers) == 3000

from __future__ import annotations

from itertools import count, islice

import pytest
from tests.wire.views.examples import syn

from sockwright.wire.ipv4 import IPv4
from sockwright.wire.tcp import TCP
from sockwright.wire.tcp_options import MSS


def test_the_first_named_varies_slowest() -> None:
    made = [(p[IPv4].ttl, p[TCP].dst_port) for p in syn().vary(ttl=(1, 2), dst_port=range(80, 83))]
    assert made == [(1, 80), (1, 81), (1, 82), (2, 80), (2, 81), (2, 82)]


def test_fields_name_their_layer() -> None:
    made = list(syn().vary({TCP.checksum: (1, 2), IPv4.checksum: (3,)}))
    assert [(p[TCP].checksum, p[IPv4].checksum) for p in made] == [(1, 3), (2, 3)]


def test_a_name_means_the_innermost_layer_that_has_it() -> None:
    tunnel = IPv4(ttl=9) / IPv4(ttl=9) / b"x"
    (made,) = tunnel.vary(ttl=[1])
    assert [header.ttl for header in made.layers if isinstance(header, IPv4)] == [9, 1]


def test_options_and_payload_vary_too() -> None:
    made = list(syn().vary(options=[(), (MSS(1),)], payload=[b"a", b"b"]))
    assert [(len(p[TCP].options), p.payload) for p in made] == [
        (0, b"a"),
        (0, b"b"),
        (1, b"a"),
        (1, b"b"),
    ]


def test_packets_are_made_when_asked_for() -> None:
    ports = (number % 65536 for number in count())
    made = list(islice(syn().vary(dst_port=ports, ttl=(1, 2)), 4))
    assert [p[TCP].dst_port for p in made] == [0, 0, 1, 1]


def test_packets_are_independent_and_the_base_stays() -> None:
    base = syn()
    before = bytes(base)
    one, two = base.vary(ttl=(1, 2))
    one[TCP].seq = 5
    base[TCP].seq = 6
    assert (two[TCP].seq, two[IPv4].ttl) == (0, 2)
    base[TCP].seq = 0
    assert bytes(base) == before


def test_derived_fields_follow() -> None:
    assert all(not packet.verify() for packet in syn().vary(dst_port=range(1, 9), ttl=(1, 64)))


def test_without_choices_there_is_one_packet() -> None:
    assert list(syn().vary()) == [syn()]
    assert list(syn().vary(ttl=())) == []


def test_a_wrong_name_says_at_once_what_there_is() -> None:
    with pytest.raises(TypeError, match=r"no field 'dst_prot' .* tcp: src_port, dst_port"):
        syn().vary(dst_prot=[1])
    with pytest.raises(TypeError, match=r"no TCP in this packet for tcp\.dst_port: it has IPv4"):
        (IPv4() / b"x").vary({TCP.dst_port: [1]})


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ipv4\.ttl: 256 is outside 0 to 255"):
        syn().vary(ttl=(1, 256))
    with pytest.raises(ValueError, match=r"tcp\.dst_port: 65536 is outside"):
        syn().vary(dst_port=range(65537))
    lazy = syn().vary(ttl=iter((1, 256)))
    assert next(lazy)[IPv4].ttl == 1
    with pytest.raises(ValueError, match=r"ipv4\.ttl: 256 is outside 0 to 255"):
        next(lazy)

"""The quick look at a packet, and the filter of the kernel, let the same pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.identify.passive.segments import linux, segment

from sockwright.filters import compile_filter
from sockwright.identify.passive.sieve import CAPTURE_FILTER, may_tell
from sockwright.wire import ARP, ICMP, UDP, VLAN, VXLAN, Ethernet, IPv4, IPv6, Packet

_A, _B = "2001:db8::1", "2001:db8::2"
_HEADS = [b"GET / HTTP/1.1\r\n", b"POST /", b"HTTP/1.1 200", b"SSH-2.0-x\r\n"]
_TELLING = [
    segment(linux()),
    segment(linux(), flags="SA"),
    segment(linux(), src=_A, dst=_B),
    *(segment(flags="A", payload=head) for head in _HEADS),
    *(segment(linux(), flags="A", payload=head, src=_A, dst=_B) for head in _HEADS),
    Ethernet() / IPv4() / UDP(src_port=68, dst_port=67) / bytes(300),
]
_SILENT = [
    segment(flags="A", payload=b"\x16\x03\x01 GET "),
    segment(linux(), flags="A", payload=b"data"),
    segment(flags="R", src=_A, dst=_B),
    Ethernet() / IPv4() / UDP(src_port=443, dst_port=50000) / b"GET ",
    Ethernet() / IPv4() / ICMP(),
    Ethernet() / ARP(),
]


@pytest.mark.parametrize("packet", _TELLING, ids=str)
def test_what_tells_passes_both(packet: Packet) -> None:
    octets = bytes(packet)
    assert may_tell(octets, 1)
    assert compile_filter(CAPTURE_FILTER).matches(octets)


@pytest.mark.parametrize("packet", _SILENT, ids=str)
def test_what_is_silent_passes_neither(packet: Packet) -> None:
    octets = bytes(packet)
    assert not may_tell(octets, 1)
    assert not compile_filter(CAPTURE_FILTER).matches(octets)


def test_what_is_in_a_tunnel_is_looked_at() -> None:
    inner = segment(linux())
    for packet in (
        Ethernet() / VLAN(vid=5) / IPv4(),
        Ethernet() / IPv4() / UDP(dst_port=4789) / VXLAN() / inner,
        Ethernet() / IPv4() / IPv4(),
        Ethernet() / IPv6() / IPv4(),
    ):
        assert may_tell(bytes(packet), 1)


@pytest.mark.parametrize("link_type", [12, 101, 113, 276])
def test_other_link_layers_are_looked_through(link_type: int) -> None:
    head = {113: bytes(14) + b"\x08\0", 276: b"\x08\0" + bytes(18)}.get(link_type, b"")
    assert may_tell(head + bytes(segment(linux()))[14:], link_type)
    assert not may_tell(head + bytes(segment(flags="A", payload=b"data"))[14:], link_type)


@given(st.binary(max_size=100), st.sampled_from([1, 12, 101, 113, 276, 147]))
def test_no_octets_make_it_fail(octets: bytes, link_type: int) -> None:
    may_tell(octets, link_type)
    may_tell(bytes(12) + b"\x08\0\x45" + octets, link_type)


def test_the_filter_fits_the_kernel_with_room() -> None:
    # sk_attach_filter takes 4096 instructions, and memory for options was 20 KiB until Linux 6.7.
    for link_type in (1, 276):
        program = compile_filter(CAPTURE_FILTER, link_type, live=True).instructions
        assert len(program) < 1000

"""Linux cooked captures, versions 1 and 2: agreement with scapy, LLC, netlink."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import CookedLinux, CookedLinuxV2
from tests.wire.holding import (
    codes,
    decode_never_raises,
    every_truncation_is_told,
    survives_an_edit,
)

from sockwright.wire import Packet
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.linux_cooked import LinuxCooked
from sockwright.wire.linux_cooked2 import LinuxCooked2
from sockwright.wire.llc import LLC

IPS: dict[str, Any] = {"src": "127.0.0.1", "dst": "127.0.0.1"}
ADDRESS = b"\2\0\0\0\0\1\0\0"


def test_octets_are_those_of_scapy() -> None:
    ours = LinuxCooked(packet_type=4, address=ADDRESS) / IPv4(**IPS, protocol=16) / b"x"
    theirs = CookedLinux(pkttype=4, lladdrtype=1, lladdrlen=6, src=ADDRESS)
    assert bytes(ours) == bytes(theirs / IP(**IPS, id=0, proto=16) / b"x")
    ours = LinuxCooked2(interface_index=3, packet_type=4, address=ADDRESS) / IPv4(**IPS) / b"x"
    theirs = CookedLinuxV2(ifindex=3, pkttype=4, lladdrtype=1, lladdrlen=6, src=ADDRESS)
    assert bytes(ours) == bytes(theirs / IP(**IPS, id=0, proto=253) / b"x")


@pytest.mark.parametrize(("header", "link_type"), [(LinuxCooked, 113), (LinuxCooked2, 276)])
def test_they_hold(header: type[LinuxCooked | LinuxCooked2], link_type: int) -> None:
    for packet in (header() / IPv4(**IPS) / b"abc", header() / LLC(dsap=0x42, ssap=0x42) / b"x"):
        assert not codes(packet)
        decoded = survives_an_edit(bytes(packet), header)
        assert decoded == Packet.decode(bytes(packet), link_type=link_type)
        assert [type(layer) for layer in decoded] == [type(layer) for layer in packet]
    every_truncation_is_told(bytes(header() / b""), header, header.fixed_size)
    decode_never_raises(header, bytes(header() / IPv4()))


@pytest.mark.parametrize("header", [LinuxCooked, LinuxCooked2])
def test_a_netlink_family_is_no_ether_type(header: type[LinuxCooked | LinuxCooked2]) -> None:
    octets = bytes(header(arphrd_type=824, protocol=0x0800) / bytes(30))
    packet = header.decode(octets)
    assert len(packet.layers) == 1
    assert packet.payload == bytes(30)


@pytest.mark.parametrize("header", [LinuxCooked, LinuxCooked2])
def test_verify_names_the_mistake(header: type[LinuxCooked | LinuxCooked2]) -> None:
    layer = header.layer.replace("_", "-")
    assert f"{layer}-protocol" in codes(header(protocol=0x86DD) / IPv4(**IPS) / b"")
    assert f"{layer}-address-length" in codes(header(address_length=20) / IPv4(**IPS) / b"")
    if header is LinuxCooked2:
        assert f"{layer}-reserved" in codes(LinuxCooked2(reserved=1) / IPv4(**IPS) / b"")

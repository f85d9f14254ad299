"""Which captures of strangers hold ordinary packets, about which tshark says what we say."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sockwright.columns import open_capture
from sockwright.errors import SockwrightError

if TYPE_CHECKING:
    from pathlib import Path

# In tunnels tshark counts what is inside, here the outermost IP header counts.
_LAYERS = {"ethernet", "vlan", "ipv4", "ipv6", "tcp", "udp", "arp", "icmp", "icmpv6"}
_LONGEST = 65550
_NETWORKS = {"ipv4", "ipv6"}


@cache
def ordinary(path: Path) -> bool:
    """Whether it holds Ethernet with at most one IP header each, and no length is wrong."""
    try:
        with open_capture(path) as capture:
            packets = list(capture)
    except SockwrightError:
        return False
    stacks = [[header.layer for header in packet.layers] for packet in packets]
    plain = all(
        stack[:1] == ["ethernet"]
        and set(stack) <= _LAYERS
        and sum(layer in _NETWORKS for layer in stack) < 2
        for stack in stacks
    )
    if not plain or not any(_NETWORKS & set(stack) for stack in stacks):
        return False
    return not any(
        packet.errors
        or packet.original_length > _LONGEST  # BIG TCP, of which tshark 4.0 does not know
        or any(one.severity == "error" for one in packet.verify())
        for packet in packets
    )

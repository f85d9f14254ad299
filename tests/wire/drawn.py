"""Packets that Hypothesis draws, each as ours and as the same words for scapy.

A new header joins here: a strategy of `Drawn` layers, and a place in `packets`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from ipaddress import IPv4Address
from operator import truediv
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from sockwright.wire import Packet
from sockwright.wire.arp import ARP
from sockwright.wire.core.option import NoOperation
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.tcp import TCP
from sockwright.wire.tcp_options import (
    MSS,
    SACK,
    SACKPermitted,
    Timestamps,
    WindowScale,
)
from sockwright.wire.udp import UDP
from sockwright.wire.vlan import VLAN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.wire import Header

__all__ = ["Drawn", "packets"]


@dataclass(frozen=True)
class Drawn:
    """One layer: our header, and the name and the arguments of scapy's class."""

    ours: Header | bytes
    scapy: str
    arguments: dict[str, Any]


def ours(layers: Sequence[Drawn]) -> Packet:
    """Return our packet of the layers."""
    return reduce(truediv, [layer.ours for layer in layers], Packet())


def _bits(width: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << width) - 1)


_u8, _u16, _u32 = _bits(8), _bits(16), _bits(32)
_ports = st.integers(1, 0xFFFF)
_addresses = st.integers(0x01000001, 0xDFFFFFFE).map(lambda number: str(IPv4Address(number)))
_macs = st.binary(min_size=6, max_size=6).map(
    lambda octets: (bytes([octets[0] & 0xFE]) + octets[1:]).hex(":")
)


@st.composite
def _ethernet(draw: st.DrawFn) -> Drawn:
    dst, src = draw(_macs), draw(_macs)
    return Drawn(Ethernet(dst=dst, src=src), "Ether", {"dst": dst, "src": src})


@st.composite
def _vlan(draw: st.DrawFn) -> Drawn:
    pcp, dei, vid = draw(_bits(3)), draw(_bits(1)), draw(st.integers(0, 4094))
    return Drawn(VLAN(pcp=pcp, dei=dei, vid=vid), "Dot1Q", {"prio": pcp, "dei": dei, "vlan": vid})


@st.composite
def _arp(draw: st.DrawFn) -> Drawn:
    operation = draw(st.integers(1, 2))
    sender_mac, target_mac = draw(_macs), draw(_macs)
    sender_ip, target_ip = draw(_addresses), draw(_addresses)
    return Drawn(
        ARP(
            operation=operation,
            sender_mac=sender_mac,
            sender_ip=sender_ip,
            target_mac=target_mac,
            target_ip=target_ip,
        ),
        "ARP",
        {
            "op": operation,
            "hwsrc": sender_mac,
            "psrc": sender_ip,
            "hwdst": target_mac,
            "pdst": target_ip,
        },
    )


@st.composite
def _ipv4(draw: st.DrawFn) -> Drawn:
    src, dst = draw(_addresses), draw(_addresses)
    dscp, ecn, ttl = draw(_bits(6)), draw(_bits(2)), draw(st.integers(1, 255))
    identification, flags = draw(_u16), draw(st.sampled_from(["", "DF"]))
    header = IPv4(
        src=src,
        dst=dst,
        dscp=dscp,
        ecn=ecn,
        ttl=ttl,
        identification=identification,
        flags=flags,
    )
    arguments = {
        "src": src,
        "dst": dst,
        "tos": dscp << 2 | ecn,
        "ttl": ttl,
        "id": identification,
        "flags": flags or 0,
    }
    return Drawn(header, "IP", arguments)


@st.composite
def _tcp_option(draw: st.DrawFn) -> tuple[Any, tuple[str, Any]]:
    """Draw one option, as ours and as scapy's pair."""
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return NoOperation(), ("NOP", None)
    if kind == 1:
        size = draw(_u16)
        return MSS(size), ("MSS", size)
    if kind == 2:
        shift = draw(st.integers(0, 14))
        return WindowScale(shift), ("WScale", shift)
    if kind == 3:
        return SACKPermitted(), ("SAckOK", b"")
    if kind == 4:
        value, echo = draw(_u32), draw(_u32)
        return Timestamps(value, echo), ("Timestamp", (value, echo))
    blocks = draw(st.lists(st.tuples(_u32, _u32), min_size=1, max_size=2))
    return SACK(tuple(blocks)), ("SAck", tuple(edge for block in blocks for edge in block))


@st.composite
def _tcp(draw: st.DrawFn) -> Drawn:
    src_port, dst_port, seq, ack = draw(_ports), draw(_ports), draw(_u32), draw(_u32)
    flags, window, urgent = draw(_bits(9)), draw(_u16), draw(_u16)
    options: list[Any] = []
    theirs: list[tuple[str, Any]] = []
    for option, pair in draw(st.lists(_tcp_option(), max_size=4)):
        if sum(len(other.encode()) for other in [*options, option]) <= 40:
            options.append(option)
            theirs.append(pair)
    return Drawn(
        TCP(
            src_port=src_port,
            dst_port=dst_port,
            seq=seq,
            ack=ack,
            flags=flags,
            window=window,
            urgent_pointer=urgent,
            options=options,
        ),
        "TCP",
        {
            "sport": src_port,
            "dport": dst_port,
            "seq": seq,
            "ack": ack,
            "flags": flags,
            "window": window,
            "urgptr": urgent,
            "options": theirs,
        },
    )


@st.composite
def _udp(draw: st.DrawFn) -> Drawn:
    src_port, dst_port = draw(_ports), draw(_ports)
    return Drawn(
        UDP(src_port=src_port, dst_port=dst_port), "UDP", {"sport": src_port, "dport": dst_port}
    )


_payloads = st.binary(max_size=64).map(lambda octets: Drawn(octets, "Raw", {"load": octets}))


@st.composite
def packets(draw: st.DrawFn) -> list[Drawn]:
    """Draw a frame: Ethernet, perhaps VLAN tags, then ARP or IP and what IP carries."""
    layers = [draw(_ethernet()), *draw(st.lists(_vlan(), max_size=2))]
    if draw(st.integers(0, 9)) == 0:
        return [*layers, draw(_arp())]
    transport = draw(st.one_of(_tcp(), _udp()))
    return [*layers, draw(_ipv4()), transport, draw(_payloads)]

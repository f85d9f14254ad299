"""Packets that Hypothesis draws, each as ours and as the same words for scapy.

A new header joins here: a strategy of `Drawn` layers, and a place in `packets`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from ipaddress import IPv4Address, IPv6Address
from operator import truediv
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from sockwright.wire import MACAddress, Packet
from sockwright.wire.arp import ARP
from sockwright.wire.core.option import NoOperation, Option
from sockwright.wire.destination_options import DestinationOptions
from sockwright.wire.ethernet import Ethernet
from sockwright.wire.hop_by_hop import HopByHop
from sockwright.wire.icmp import ICMP
from sockwright.wire.icmpv6 import ICMPv6
from sockwright.wire.icmpv6_messages import EchoReply, EchoRequest
from sockwright.wire.ipv4 import IPv4
from sockwright.wire.ipv4_options import LooseSourceRoute, RecordRoute, RouterAlert, StreamID
from sockwright.wire.ipv6 import IPv6
from sockwright.wire.ipv6_fragment import IPv6Fragment
from sockwright.wire.ipv6_options import RouterAlertV6, UnknownIPv6Option
from sockwright.wire.ndp import NeighborAdvertisement, NeighborSolicitation, RouterAdvertisement
from sockwright.wire.ndp_options import (
    MTU,
    PrefixInformation,
    SourceLinkLayerAddress,
    TargetLinkLayerAddress,
)
from sockwright.wire.routing import SegmentRouting, SourceRouting
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

__all__ = ["Drawn", "Words", "ours", "packets"]


@dataclass(frozen=True)
class Words:
    """What is said to scapy: the name of a class, and its arguments, words again among them."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Drawn:
    """One layer: ours, and what it is in scapy's words."""

    ours: Header | Packet | bytes
    theirs: tuple[Words, ...]


def ours(layers: Sequence[Drawn]) -> Packet:
    """Return our packet of the layers."""
    return reduce(truediv, [layer.ours for layer in layers], Packet())


def _one(header: Header | Packet | bytes, name: str, **arguments: Any) -> Drawn:
    return Drawn(header, (Words(name, arguments),))


def _bits(width: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << width) - 1)


_u8, _u16, _u32 = _bits(8), _bits(16), _bits(32)
_u20 = _bits(20)
_ports = st.integers(1, 0xFFFF)
_addresses = st.integers(0x01000001, 0xDFFFFFFE).map(lambda number: str(IPv4Address(number)))
# Global and unique local addresses.
_addresses6 = st.tuples(
    st.sampled_from([b"\x20\x01\x0d\xb8", b"\xfd\0\0\1"]), st.binary(min_size=12, max_size=12)
).map(lambda parts: str(IPv6Address(b"".join(parts))))
_macs = st.binary(min_size=6, max_size=6).map(
    lambda octets: (bytes([octets[0] & 0xFE]) + octets[1:]).hex(":")
)


@st.composite
def _ethernet(draw: st.DrawFn) -> Drawn:
    dst, src = draw(_macs), draw(_macs)
    return _one(Ethernet(dst=dst, src=src), "Ether", dst=dst, src=src)


@st.composite
def _vlan(draw: st.DrawFn) -> Drawn:
    pcp, dei, vid = draw(_bits(3)), draw(_bits(1)), draw(st.integers(0, 4094))
    return _one(VLAN(pcp=pcp, dei=dei, vid=vid), "Dot1Q", prio=pcp, dei=dei, vlan=vid)


@st.composite
def _arp(draw: st.DrawFn) -> Drawn:
    operation = draw(st.integers(1, 2))
    sender_mac, target_mac = draw(_macs), draw(_macs)
    sender_ip, target_ip = draw(_addresses), draw(_addresses)
    header = ARP(
        operation=operation,
        sender_mac=sender_mac,
        sender_ip=sender_ip,
        target_mac=target_mac,
        target_ip=target_ip,
    )
    return _one(
        header,
        "ARP",
        op=operation,
        hwsrc=sender_mac,
        psrc=sender_ip,
        hwdst=target_mac,
        pdst=target_ip,
    )


# IPv4


@st.composite
def _ipv4_option(draw: st.DrawFn) -> tuple[Option, Words]:
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return NoOperation(), Words("IPOption_NOP", {})
    if kind == 1:
        value = draw(_u16)
        return RouterAlert(value), Words("IPOption_Router_Alert", {"alert": value})
    if kind == 2:
        value = draw(_u16)
        return StreamID(value), Words("IPOption_Stream_Id", {"security": value})
    addresses = draw(st.lists(_addresses, min_size=1, max_size=3))
    words = {"routers": addresses}
    if kind == 3:
        return RecordRoute(tuple(map(IPv4Address, addresses))), Words("IPOption_RR", words)
    return LooseSourceRoute(tuple(map(IPv4Address, addresses))), Words("IPOption_LSRR", words)


@st.composite
def _ipv4(draw: st.DrawFn) -> Drawn:
    src, dst = draw(_addresses), draw(_addresses)
    dscp, ecn, ttl = draw(_bits(6)), draw(_bits(2)), draw(st.integers(1, 255))
    identification, flags = draw(_u16), draw(st.sampled_from(["", "DF"]))
    # At most one source route (RFC 1122 section 3.2.1.8), so each kind but once.
    kinds = st.lists(_ipv4_option(), max_size=2, unique_by=lambda pair: pair[0].kind)
    options, words = _fitting(draw(kinds))
    header = IPv4(
        src=src,
        dst=dst,
        dscp=dscp,
        ecn=ecn,
        ttl=ttl,
        identification=identification,
        flags=flags,
        options=options,
    )
    return _one(
        header,
        "IP",
        src=src,
        dst=dst,
        tos=dscp << 2 | ecn,
        ttl=ttl,
        id=identification,
        flags=flags or 0,
        options=words,
    )


def _fitting(drawn: list[tuple[Option, Any]]) -> tuple[list[Option], list[Any]]:
    """Return as many options as fit 40 octets, and the words for them."""
    options: list[Option] = []
    words: list[Any] = []
    for option, word in drawn:
        if sum(len(other.encode()) for other in [*options, option]) <= 40:
            options.append(option)
            words.append(word)
    return options, words


# IPv6


@st.composite
def _ipv6(draw: st.DrawFn) -> list[Drawn]:
    """Draw the header and extension headers."""
    src, dst = draw(_addresses6), draw(_addresses6)
    extensions = draw(_extensions(dst))
    traffic_class, label, hops = draw(_u8), draw(_u20), draw(st.integers(1, 255))
    header = IPv6(src=src, dst=dst, traffic_class=traffic_class, flow_label=label, hop_limit=hops)
    first = _one(header, "IPv6", src=src, dst=dst, tc=traffic_class, fl=label, hlim=hops)
    return [first, *extensions]


@st.composite
def _extensions(draw: st.DrawFn, dst: str) -> list[Drawn]:
    """Draw extension headers of a packet to `dst`, in the order of RFC 8200 section 4.1."""
    found = []
    if draw(st.booleans()):
        value = draw(_u16)
        words = [Words("RouterAlert", {"value": value})]
        header: Header = HopByHop(options=[RouterAlertV6(value)])
        found.append(_one(header, "IPv6ExtHdrHopByHop", options=words))
    route = draw(st.integers(0, 3))
    addresses = draw(st.lists(_addresses6, min_size=1, max_size=3))
    if route == 1:
        header = SourceRouting(addresses=addresses)
        found.append(_one(header, "IPv6ExtHdrRouting", addresses=addresses))
    if route == 2:
        tag = draw(_u16)
        addresses.append(dst)  # the segment under way is where the packet goes next
        header = SegmentRouting(segments=addresses, tag=tag)
        found.append(_one(header, "IPv6ExtHdrSegmentRouting", addresses=addresses, tag=tag))
    if draw(st.booleans()):
        identification = draw(_u32)
        header = IPv6Fragment(identification=identification)
        found.append(_one(header, "IPv6ExtHdrFragment", id=identification))
    if draw(st.booleans()):
        data = draw(st.binary(max_size=20))
        option = UnknownIPv6Option(0x1E, data)  # RFC 4727: for experiments
        words = [Words("HBHOptUnknown", {"otype": 0x1E, "optdata": data})]
        header = DestinationOptions(options=[option])
        found.append(_one(header, "IPv6ExtHdrDestOpt", options=words))
    return found


# Transports and messages


@st.composite
def _tcp_option(draw: st.DrawFn) -> tuple[Option, tuple[str, Any]]:
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
    options, words = _fitting(draw(st.lists(_tcp_option(), max_size=4)))
    header = TCP(
        src_port=src_port,
        dst_port=dst_port,
        seq=seq,
        ack=ack,
        flags=flags,
        window=window,
        urgent_pointer=urgent,
        options=options,
    )
    return _one(
        header,
        "TCP",
        sport=src_port,
        dport=dst_port,
        seq=seq,
        ack=ack,
        flags=flags,
        window=window,
        urgptr=urgent,
        options=words,
    )


@st.composite
def _udp(draw: st.DrawFn) -> Drawn:
    src_port, dst_port = draw(_ports), draw(_ports)
    return _one(UDP(src_port=src_port, dst_port=dst_port), "UDP", sport=src_port, dport=dst_port)


@st.composite
def _icmp(draw: st.DrawFn) -> Drawn:
    kind = draw(st.sampled_from([0, 8, 3, 5, 11]))
    if kind in (0, 8):
        identifier, sequence = draw(_u16), draw(_u16)
        header = ICMP(type=kind, identifier=identifier, sequence=sequence)
        return _one(header, "ICMP", type=kind, id=identifier, seq=sequence)
    if kind == 3:
        mtu = draw(_u16)
        return _one(ICMP(type=3, code=4, mtu=mtu), "ICMP", type=3, code=4, nexthopmtu=mtu)
    if kind == 5:
        gateway = draw(_addresses)
        return _one(ICMP(type=5, code=1, gateway=gateway), "ICMP", type=5, code=1, gw=gateway)
    return _one(ICMP(type=11), "ICMP", type=11)


@st.composite
def _icmpv6(draw: st.DrawFn) -> Drawn:
    kind = draw(st.integers(0, 4))
    if kind < 2:
        identifier, sequence = draw(_u16), draw(_u16)
        cls, name = [(EchoRequest, "ICMPv6EchoRequest"), (EchoReply, "ICMPv6EchoReply")][kind]
        message = cls(identifier=identifier, sequence=sequence)
        return _one(ICMPv6() / message, name, id=identifier, seq=sequence)
    target, address = draw(_addresses6), draw(_macs)
    if kind == 2:
        solicitation = NeighborSolicitation(
            target=target, options=[SourceLinkLayerAddress(MACAddress(address))]
        )
        return Drawn(
            ICMPv6() / solicitation,
            (
                Words("ICMPv6ND_NS", {"tgt": target}),
                Words("ICMPv6NDOptSrcLLAddr", {"lladdr": address}),
            ),
        )
    if kind == 3:
        advertisement = NeighborAdvertisement(
            flags="SO", target=target, options=[TargetLinkLayerAddress(MACAddress(address))]
        )
        return Drawn(
            ICMPv6() / advertisement,
            (
                Words("ICMPv6ND_NA", {"R": 0, "S": 1, "O": 1, "tgt": target}),
                Words("ICMPv6NDOptDstLLAddr", {"lladdr": address}),
            ),
        )
    hops, lifetime, mtu, valid = draw(_u8), draw(_u16), draw(_u32), draw(_u32)
    router = RouterAdvertisement(
        cur_hop_limit=hops,
        flags="O",
        router_lifetime=lifetime,
        options=[
            MTU(mtu),
            PrefixInformation(IPv6Address(target), valid_lifetime=valid, preferred_lifetime=0),
        ],
    )
    prefix = {"prefix": target, "validlifetime": valid, "preferredlifetime": 0}
    words = {"chlim": hops, "O": 1, "prf": 0, "routerlifetime": lifetime}
    return Drawn(
        ICMPv6() / router,
        (
            Words("ICMPv6ND_RA", words),
            Words("ICMPv6NDOptMTU", {"mtu": mtu}),
            Words("ICMPv6NDOptPrefixInfo", prefix),
        ),
    )


_payloads = st.binary(max_size=64).map(lambda octets: _one(octets, "Raw", load=octets))


CARRIED = ("arp", "tcp", "udp", "icmp", "icmpv6")


@st.composite
def packets(draw: st.DrawFn, carried: str | None = None) -> list[Drawn]:
    """Draw a frame: Ethernet, perhaps VLAN tags, then ARP or IP and what IP carries.

    `carried` is one of `CARRIED`; without it any of them is drawn.
    """
    layers = [draw(_ethernet()), *draw(st.lists(_vlan(), max_size=2))]
    carried = carried or draw(st.sampled_from(CARRIED))
    if carried == "arp":
        return [*layers, draw(_arp())]
    if carried == "icmp" or (carried != "icmpv6" and draw(st.booleans())):
        layers.append(draw(_ipv4()))
    else:
        layers += draw(_ipv6())
    message = draw({"tcp": _tcp, "udp": _udp, "icmp": _icmp, "icmpv6": _icmpv6}[carried]())
    layers.append(message)
    if len(message.theirs) > 1:
        return layers  # neighbour discovery has options, no data
    return [*layers, draw(_payloads)]

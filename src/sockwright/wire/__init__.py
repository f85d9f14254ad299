"""Headers as typed values: octets to fields and back. Pure: no I/O, no clock.

The names below are loaded when first asked for. Less common ones stay in their module: IPv4 options
in `ipv4_options`, those of IPv6 in `ipv6_options`, of neighbour discovery in `ndp_options`, of
Multipath TCP in `mptcp`, of Geneve in `geneve`, the optional fields of GRE in `gre`, the tags of
PPPoE in `pppoe`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sockwright.wire.arp import ARP, GenericARP
    from sockwright.wire.authentication import Authentication
    from sockwright.wire.bsd_loopback import BSDLoopback, BSDNull
    from sockwright.wire.cisco_hdlc import CiscoHDLC
    from sockwright.wire.core.address import MACAddress
    from sockwright.wire.core.field import AUTO
    from sockwright.wire.core.finding import Finding
    from sockwright.wire.core.header import Header
    from sockwright.wire.core.option import (
        EndOfOptions,
        MalformedOption,
        NoOperation,
        Option,
        UnknownOption,
    )
    from sockwright.wire.core.packet import Packet
    from sockwright.wire.dccp import DCCP, DCCPShort
    from sockwright.wire.destination_options import DestinationOptions
    from sockwright.wire.esp import ESP
    from sockwright.wire.ethernet import Ethernet
    from sockwright.wire.fragments import Datagram, fragment, reassemble
    from sockwright.wire.geneve import Geneve
    from sockwright.wire.gre import GRE
    from sockwright.wire.hop_by_hop import HopByHop
    from sockwright.wire.icmp import ICMP
    from sockwright.wire.icmpv6 import ICMPv6
    from sockwright.wire.icmpv6_messages import (
        DestinationUnreachable,
        EchoReply,
        EchoRequest,
        PacketTooBig,
        ParameterProblem,
        TimeExceeded,
    )
    from sockwright.wire.igmp import IGMP, GroupRecord, IGMPv3Query, IGMPv3Report
    from sockwright.wire.ipv4 import IPv4, IPv4Flags
    from sockwright.wire.ipv6 import IPv6
    from sockwright.wire.ipv6_fragment import IPv6Fragment
    from sockwright.wire.linux_cooked import LinuxCooked
    from sockwright.wire.linux_cooked2 import LinuxCooked2
    from sockwright.wire.llc import LLC, LLCNumbered
    from sockwright.wire.mld import MLDDone, MLDQuery, MLDReport, MLDv2Query, MLDv2Report
    from sockwright.wire.mpls import MPLS
    from sockwright.wire.ndp import (
        NeighborAdvertisement,
        NeighborSolicitation,
        Redirect,
        RouterAdvertisement,
        RouterSolicitation,
    )
    from sockwright.wire.ppp import PPP, PPPCompressed, PPPFraming
    from sockwright.wire.pppoe import PPPoE, PPPoEDiscovery
    from sockwright.wire.routing import Routing, SegmentRouting, SourceRouting
    from sockwright.wire.sctp import SCTP, SCTPChunk, SCTPData, SCTPInit, SCTPInitAck, SCTPSack
    from sockwright.wire.snap import SNAP
    from sockwright.wire.tcp import TCP, TCPFlags
    from sockwright.wire.tcp_options import (
        AO,
        MD5,
        MSS,
        SACK,
        FastOpen,
        SACKPermitted,
        Timestamps,
        UserTimeout,
        WindowScale,
    )
    from sockwright.wire.udp import UDP
    from sockwright.wire.udp_lite import UDPLite
    from sockwright.wire.views.diff import Difference
    from sockwright.wire.views.vary import vary
    from sockwright.wire.vlan import VLAN
    from sockwright.wire.vxlan import VXLAN

__all__ = [
    "AO",
    "ARP",
    "AUTO",
    "DCCP",
    "ESP",
    "GRE",
    "ICMP",
    "IGMP",
    "LLC",
    "MD5",
    "MPLS",
    "MSS",
    "PPP",
    "SACK",
    "SCTP",
    "SNAP",
    "TCP",
    "UDP",
    "VLAN",
    "VXLAN",
    "Authentication",
    "BSDLoopback",
    "BSDNull",
    "CiscoHDLC",
    "DCCPShort",
    "Datagram",
    "DestinationOptions",
    "DestinationUnreachable",
    "Difference",
    "EchoReply",
    "EchoRequest",
    "EndOfOptions",
    "Ethernet",
    "FastOpen",
    "Finding",
    "GenericARP",
    "Geneve",
    "GroupRecord",
    "Header",
    "HopByHop",
    "ICMPv6",
    "IGMPv3Query",
    "IGMPv3Report",
    "IPv4",
    "IPv4Flags",
    "IPv6",
    "IPv6Fragment",
    "LLCNumbered",
    "LinuxCooked",
    "LinuxCooked2",
    "MACAddress",
    "MLDDone",
    "MLDQuery",
    "MLDReport",
    "MLDv2Query",
    "MLDv2Report",
    "MalformedOption",
    "NeighborAdvertisement",
    "NeighborSolicitation",
    "NoOperation",
    "Option",
    "PPPCompressed",
    "PPPFraming",
    "PPPoE",
    "PPPoEDiscovery",
    "Packet",
    "PacketTooBig",
    "ParameterProblem",
    "Redirect",
    "RouterAdvertisement",
    "RouterSolicitation",
    "Routing",
    "SACKPermitted",
    "SCTPChunk",
    "SCTPData",
    "SCTPInit",
    "SCTPInitAck",
    "SCTPSack",
    "SegmentRouting",
    "SourceRouting",
    "TCPFlags",
    "TimeExceeded",
    "Timestamps",
    "UDPLite",
    "UnknownOption",
    "UserTimeout",
    "WindowScale",
    "fragment",
    "reassemble",
    "vary",
]

_HOME = {
    "arp": "ARP GenericARP",
    "authentication": "Authentication",
    "bsd_loopback": "BSDLoopback BSDNull",
    "cisco_hdlc": "CiscoHDLC",
    "core.address": "MACAddress",
    "core.field": "AUTO",
    "core.finding": "Finding",
    "core.header": "Header",
    "core.option": "EndOfOptions MalformedOption NoOperation Option UnknownOption",
    "core.packet": "Packet",
    "dccp": "DCCP DCCPShort",
    "destination_options": "DestinationOptions",
    "esp": "ESP",
    "ethernet": "Ethernet",
    "fragments": "Datagram fragment reassemble",
    "geneve": "Geneve",
    "gre": "GRE",
    "hop_by_hop": "HopByHop",
    "icmp": "ICMP",
    "icmpv6": "ICMPv6",
    "icmpv6_messages": (
        "DestinationUnreachable EchoReply EchoRequest PacketTooBig ParameterProblem TimeExceeded"
    ),
    "igmp": "IGMP GroupRecord IGMPv3Query IGMPv3Report",
    "ipv4": "IPv4 IPv4Flags",
    "ipv6": "IPv6",
    "ipv6_fragment": "IPv6Fragment",
    "linux_cooked": "LinuxCooked",
    "linux_cooked2": "LinuxCooked2",
    "llc": "LLC LLCNumbered",
    "mld": "MLDDone MLDQuery MLDReport MLDv2Query MLDv2Report",
    "mpls": "MPLS",
    "ndp": (
        "NeighborAdvertisement NeighborSolicitation Redirect RouterAdvertisement RouterSolicitation"
    ),
    "ppp": "PPP PPPCompressed PPPFraming",
    "pppoe": "PPPoE PPPoEDiscovery",
    "routing": "Routing SegmentRouting SourceRouting",
    "sctp": "SCTP SCTPChunk SCTPData SCTPInit SCTPInitAck SCTPSack",
    "snap": "SNAP",
    "tcp": "TCP TCPFlags",
    "tcp_options": "AO FastOpen MD5 MSS SACK SACKPermitted Timestamps UserTimeout WindowScale",
    "udp": "UDP",
    "udp_lite": "UDPLite",
    "views.diff": "Difference",
    "views.vary": "vary",
    "vlan": "VLAN",
    "vxlan": "VXLAN",
}


if not TYPE_CHECKING:  # seen by a type checker, it would make every misspelt name an object

    def __getattr__(name: str) -> object:
        """Load the public name `name` from its module and keep it here."""
        for module, homed in _HOME.items():
            if name in homed.split():
                value: object = getattr(import_module(f"{__name__}.{module}"), name)
                globals()[name] = value
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted(__all__)

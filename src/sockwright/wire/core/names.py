"""Names of numbers that several headers share, by the IANA registries."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ETHER_TYPES", "IP_PROTOCOLS"]

ETHER_TYPES: Mapping[int, str] = {
    0x0800: "IPv4",
    0x0806: "ARP",
    0x6558: "Ethernet",
    0x8035: "RARP",
    0x8100: "VLAN",
    0x86DD: "IPv6",
    0x8808: "Ethernet flow control",
    0x8809: "slow protocols",
    0x880B: "PPP",
    0x8847: "MPLS",
    0x8848: "MPLS multicast",
    0x8863: "PPPoE discovery",
    0x8864: "PPPoE session",
    0x888E: "EAPOL",
    0x88A8: "QinQ",
    0x88B5: "local experimental 1",
    0x88B6: "local experimental 2",
    0x88CC: "LLDP",
    0x88E5: "MACsec",
    0x88F7: "PTP",
    0x9000: "loopback test",
    0x9100: "QinQ (old)",
}

IP_PROTOCOLS: Mapping[int, str] = {
    0: "hop-by-hop options",
    1: "ICMP",
    2: "IGMP",
    4: "IPv4",
    6: "TCP",
    8: "EGP",
    16: "CHAOS",
    17: "UDP",
    33: "DCCP",
    41: "IPv6",
    43: "routing header",
    44: "fragment header",
    46: "RSVP",
    47: "GRE",
    50: "ESP",
    51: "authentication header",
    58: "ICMPv6",
    59: "no next header",
    60: "destination options",
    88: "EIGRP",
    89: "OSPF",
    103: "PIM",
    108: "IPComp",
    112: "VRRP",
    115: "L2TP",
    132: "SCTP",
    135: "mobility header",
    136: "UDP-Lite",
    137: "MPLS in IP",
    139: "HIP",
    140: "Shim6",
    143: "Ethernet",
    253: "experiment 1",
    254: "experiment 2",
    255: "reserved",
}

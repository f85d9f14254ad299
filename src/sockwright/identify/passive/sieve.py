"""Which packets tell something: the filter for a socket, and a quick look for files.

What matters is a thousandth of most captures: SYNs, the first segment of a request, response or
banner, and DHCP. On a socket the kernel drops the rest by `CAPTURE_FILTER`. In a file a look at a
few octets tells that a packet is plainly none of these; one in a tunnel, or of a link layer that
is not known here, is decoded to see.
"""

from __future__ import annotations

from typing import Final

from sockwright.identify.passive.dhcp import PORTS
from sockwright.identify.passive.http import STARTS as _HTTP
from sockwright.identify.passive.ssh import START as _SSH

__all__ = ["CAPTURE_FILTER", "may_tell"]

_STARTS: Final = _HTTP | {_SSH}


# Fewer of them for a socket: a kernel has little room for the program of a filter.
_USUAL_STARTS: Final = (b"GET ", b"POST", b"HTTP", _SSH)


def _any_start(first: str) -> str:
    return " or ".join([f"{first} = 0x{start.hex()}" for start in _USUAL_STARTS])


# By what lies behind the TCP header, whose length is in the upper half of octet 12. Of IPv6, TCP
# right behind the fixed header: more the language cannot say.
_SEGMENT_V4: Final = "tcp[((tcp[12] & 0xf0) >> 2):4]"
_SEGMENT_V6: Final = "ip6[(40 + ((ip6[52] & 0xf0) >> 2)):4]"
CAPTURE_FILTER: Final = (
    "(tcp[13] & 2 != 0)"
    f" or (tcp and ({_any_start(_SEGMENT_V4)}))"
    " or (udp and (port 67 or port 68))"
    " or (ip6 and ip6[6] = 6 and (ip6[53] & 2 != 0"
    f" or {_any_start(_SEGMENT_V6)}))"
)
"""In the language of pcap-filter(7); also what to give to tcpdump on another machine."""

_ETHERNET, _LINUX_SLL, _LINUX_SLL2 = 1, 113, 276
_RAW: Final = frozenset((12, 14, 101))
_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"
_TCP, _UDP, _SYN = 6, 17, 2
# Datagrams to these carry packets: the wire package decodes what is in them.
_TUNNELS: Final = frozenset((4789, 4790, 6081, 8472, 2152, 6635, 4754))


def may_tell(octets: bytes, link_type: int) -> bool:
    """Tell whether a packet may be evidence; False only where it plainly is none. Never raises.

    A fragment that is not the first tells nothing; nor does a packet cut within its TCP header.
    """
    if link_type == _ETHERNET:
        at, kind = 14, octets[12:14]
    elif link_type == _LINUX_SLL2:
        at, kind = 20, octets[0:2]
    elif link_type == _LINUX_SLL:
        at, kind = 16, octets[14:16]
    elif link_type in _RAW and octets:
        at, kind = 0, _IPV6 if octets[0] >> 4 == 6 else _IPV4
    else:
        return True
    if kind == _IPV4:
        if len(octets) < at + 24:
            return False
        protocol = octets[at + 9]
        up = at + 4 * (octets[at] & 15)
        if octets[at + 6] & 0x1F or octets[at + 7]:
            return False
    elif kind == _IPV6:
        if len(octets) < at + 44:
            return False
        protocol = octets[at + 6]
        up = at + 40
    else:
        return kind not in _QUIET
    if protocol == _TCP:
        if len(octets) < up + 20:
            return False
        if octets[up + 13] & _SYN:
            return True
        start = up + (octets[up + 12] >> 4) * 4
        return octets[start : start + 4] in _STARTS
    if protocol == _UDP:
        if len(octets) < up + 8:
            return False
        ports = (
            octets[up] << 8 | octets[up + 1],
            octets[up + 2] << 8 | octets[up + 3],
        )
        return ports[0] in PORTS or ports[1] in PORTS or ports[1] in _TUNNELS
    return protocol not in _SILENT


_QUIET: Final = frozenset((b"\x08\x06", b"\x88\xcc", b"\x88\x8e", b"\x88\x09"))
"""EtherTypes that carry no IP: ARP, LLDP, EAPOL, slow protocols."""
_SILENT: Final = frozenset((1, 2, 58, 89, 103, 112))
"""IP protocols that carry neither TCP nor UDP: ICMP, IGMP, ICMPv6, OSPF, PIM, VRRP."""

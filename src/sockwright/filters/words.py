"""The words of the language, by what they are (pcap-filter(7)). Capitals make a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CONSTANTS", "KEYWORDS", "PROTOCOLS", "near"]

# Words that name a protocol. Several name the link layer: the parser sees no difference.
PROTOCOLS: Mapping[str, str] = {
    **dict.fromkeys(("link", "ether", "ppp", "slip", "fddi", "tr", "wlan"), "link"),
    **{
        name: name
        for name in (
            "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "igrp",
            "pim", "vrrp", "carp", "ah", "esp", "atalk", "aarp", "decnet", "lat", "sca", "moprc",
            "mopdl", "iso", "esis", "isis", "clnp", "l1", "l2", "iih", "lsp", "snp", "csnp",
            "psnp", "stp", "ipx", "netbeui", "radio",
        )
    },
    "es-is": "esis",
    "is-is": "isis",
}  # fmt: skip

# Words that other link types know. They are part of the language, and are refused with the reason.
ATM = frozenset((
    "lane", "metac", "bcc", "oam", "oamf4", "oamf4ec", "oamf4sc", "sc", "ilmic", "connectmsg",
    "metaconnect", "vpi", "vci",
))  # fmt: skip
SS7 = frozenset((
    "fisu", "lssu", "lsu", "msu", "hfisu", "hlssu", "hmsu", "sio", "opc", "dpc", "sls", "hsio",
    "hopc", "hdpc", "hsls",
))  # fmt: skip
FIREWALL = frozenset((
    "on", "ifname", "rset", "ruleset", "rnr", "rulenum", "srnr", "subrulenum", "reason", "action",
))  # fmt: skip
WIRELESS = frozenset(("type", "subtype", "dir", "direction"))
WIRELESS_ADDRESSES: Mapping[str, str] = {
    **{f"{word}{n}": f"addr{n}" for word in ("addr", "address") for n in range(1, 5)},
    "ra": "ra",
    "ta": "ta",
}

_OPERATIONS: Mapping[str, str] = {"and": "and", "or": "or", "not": "not", "length": "len"}
_OTHERS = (
    "src", "dst", "host", "net", "mask", "port", "portrange", "proto", "protochain", "gateway",
    "less", "greater", "byte", "broadcast", "multicast", "len", "inbound", "outbound", "ifindex",
    "vlan", "mpls", "pppoed", "pppoes", "geneve", "llc",
)  # fmt: skip

# Every reserved word, and the one that it stands for.
KEYWORDS: Mapping[str, str] = {
    **{word: word for word in (*_OTHERS, *ATM, *SS7, *FIREWALL, *WIRELESS)},
    **WIRELESS_ADDRESSES,
    **_OPERATIONS,
    **dict.fromkeys(PROTOCOLS, "protocol"),
}

_ICMP_TYPES = (
    ("echoreply", 0), ("unreach", 3), ("sourcequench", 4), ("redirect", 5), ("echo", 8),
    ("routeradvert", 9), ("routersolicit", 10), ("timxceed", 11), ("paramprob", 12),
    ("tstamp", 13), ("tstampreply", 14), ("ireq", 15), ("ireqreply", 16), ("maskreq", 17),
    ("maskreply", 18),
)  # fmt: skip
_ICMPV6_TYPES = (
    ("destinationunreach", 1), ("packettoobig", 2), ("timeexceeded", 3), ("parameterproblem", 4),
    ("echo", 128), ("echoreply", 129), ("multicastlistenerquery", 130),
    ("multicastlistenerreportv1", 131), ("multicastlistenerdone", 132), ("routersolicit", 133),
    ("routeradvert", 134), ("neighborsolicit", 135), ("neighboradvert", 136), ("redirect", 137),
    ("routerrenum", 138), ("nodeinformationquery", 139), ("nodeinformationresponse", 140),
    ("ineighbordiscoverysolicit", 141), ("ineighbordiscoveryadvert", 142),
    ("multicastlistenerreportv2", 143), ("homeagentdiscoveryrequest", 144),
    ("homeagentdiscoveryreply", 145), ("mobileprefixsolicit", 146), ("mobileprefixadvert", 147),
    ("certpathsolicit", 148), ("certpathadvert", 149), ("multicastrouteradvert", 151),
    ("multicastroutersolicit", 152), ("multicastrouterterm", 153),
)  # fmt: skip
_TCP_FLAGS = ("fin", "syn", "rst", "push", "ack", "urg", "ece", "cwr")

# Words that are numbers: offsets of fields, types of messages, flags.
CONSTANTS: Mapping[str, int] = {
    "icmptype": 0, "icmpcode": 1, "icmp6type": 0, "icmp6code": 1, "tcpflags": 13,
    **{f"icmp-{name}": number for name, number in _ICMP_TYPES},
    **{f"icmp6-{name}": number for name, number in _ICMPV6_TYPES},
    **{f"tcp-{name}": 1 << bit for bit, name in enumerate(_TCP_FLAGS)},
}  # fmt: skip


def near(word: str, words: Iterable[str]) -> str:
    """Return the one of `words` that `word` is likely a slip of, or nothing."""
    from difflib import get_close_matches

    known = list(words)
    letters = sorted(word.lower())
    swapped = [one for one in known if sorted(one) == letters]  # difflib finds "tpc" too far off
    found = swapped or get_close_matches(word.lower(), known, n=1, cutoff=0.7)
    return found[0] if found else ""

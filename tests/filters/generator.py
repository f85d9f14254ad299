"""Random expressions of the filter language, from a seed: all its constructs, nested a little.

Some are wrong on purpose or by chance (a port of ICMP, a VLAN tag on PPP): what refuses one has to
refuse the other.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["Pools", "expressions"]


@dataclass(frozen=True, slots=True)
class Pools:
    """Values to fill in, best of real packets, so that filters match some and not all."""

    ipv4: tuple[str, ...] = (
        "10.0.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "224.0.0.251",
        "255.255.255.255",
    )
    ipv6: tuple[str, ...] = ("fe80::1", "2001:db8::1", "ff02::1", "::1")
    mac: tuple[str, ...] = ("ff:ff:ff:ff:ff:ff", "01:80:c2:00:00:00", "00:0c:29:01:02:03")
    ports: tuple[str, ...] = ("53", "80", "443", "22", "179", "67", "1985", "520", "http", "domain")


_SIMPLE = (
    *[
        "ip",
        "ip6",
        "arp",
        "rarp",
        "tcp",
        "udp",
        "sctp",
        "icmp",
        "icmp6",
        "igmp",
        "igrp",
        "pim",
        "vrrp",
        "carp",
        "ah",
        "esp",
    ],
    *[
        "atalk",
        "aarp",
        "decnet",
        "lat",
        "sca",
        "moprc",
        "mopdl",
        "iso",
        "esis",
        "isis",
        "clnp",
        "l1",
        "l2",
        "iih",
        "lsp",
        "snp",
        "csnp",
        "psnp",
    ],
    *["stp", "ipx", "netbeui", "broadcast", "multicast"],
    *("ether broadcast", "ether multicast", "ip broadcast", "ip multicast", "ip6 multicast"),
    *("llc", "llc i", "llc s", "llc u", "llc rr", "llc rnr", "llc rej", "llc ui", "llc ua"),
    *("llc disc", "llc sabme", "llc test", "llc xid", "llc frmr", "pppoed", "igrp", "es-is"),
)
_COMMON = [
    "ip",
    "ip6",
    "arp",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "stp",
    "iso",
    "llc",
    "multicast",
    "pim",
    "igmp",
    "sctp",
]
_INDEXED = [
    "ether",
    "link",
    "ip",
    "ip6",
    "arp",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "sctp",
    "igmp",
    "pim",
    "vrrp",
    "rarp",
    "decnet",
    "atalk",
]
_CONSTANTS = (
    *[
        "tcp-syn",
        "tcp-ack",
        "tcp-fin",
        "tcp-rst",
        "tcp-push",
        "tcp-urg",
        "tcp-ece",
        "tcp-cwr",
        "icmp-echo",
    ],
    *["icmp-echoreply", "icmp-unreach", "icmp-timxceed", "icmp6-echo", "icmp6-neighborsolicit"],
)
_OFFSETS = (*["icmptype", "icmpcode", "tcpflags", "icmp6type", "icmp6code"], *map(str, range(24)))
_PROTOCOLS = ("6", "17", "1", "58", "89", "2", "44", "51", "0", r"\tcp", r"\udp", r"\icmp", "ospf")
_ETHER = (
    "0x800", "0x806", "0x86dd", "0x8100", "0x88cc", "0x8847", "0x42", "0xfe", "0xe0", "0xf0", "6",
    r"\ip", r"\arp", r"\ip6", r"\stp", r"\iso", r"\ipx", r"\atalk", r"\loopback", "1500", "1501",
)  # fmt: skip
_DIRECTIONS = ("", "", "src ", "dst ", "src or dst ", "src and dst ", "dst or src ")


def expressions(seed: int, count: int, pools: Pools) -> list[str]:
    """Return `count` expressions, always the same ones of a seed."""
    made = _Maker(random.Random(seed), pools)
    return [made.expression(3) for _ in range(count)]


class _Maker:
    def __init__(self, chance: random.Random, pools: Pools) -> None:
        self.chance = chance
        self.pools = pools

    def expression(self, depth: int) -> str:
        parts = [self.term(depth)]
        while self.chance.random() < 0.45 and len(parts) < 9:
            parts += [self.chance.choice(("and", "or", "and", "or", "&&", "||"))]
            bare = self.chance.random() < 0.12
            parts += [self.value() if bare else self.term(depth)]
        return " ".join(parts)

    def term(self, depth: int) -> str:
        kind = self.chance.random()
        if depth and kind < 0.13:
            return f"({self.expression(depth - 1)})"
        if kind < 0.23:
            return self.chance.choice(("not ", "! ")) + self.term(max(0, depth - 1))
        makers = (
            (self.simple, 5), (self.host, 6), (self.port, 6), (self.protocol, 3), (self.ether, 2),
            (self.relation, 6), (self.encapsulation, 2), (self.length, 1), (self.odd, 1),
        )  # fmt: skip
        make = self.chance.choices([m for m, _ in makers], [w for _, w in makers])[0]
        return make()

    def simple(self) -> str:
        return self.chance.choice(_COMMON if self.chance.random() < 0.6 else _SIMPLE)

    def host(self) -> str:
        chance = self.chance
        direction = chance.choice(_DIRECTIONS)
        if chance.random() < 0.3:
            kind = (
                chance.choice(("host ", "", "net "))
                if direction
                else chance.choice(("host ", "net "))
            )
            address = chance.choice(self.pools.ipv6)
            if kind == "net " and chance.random() < 0.6:
                address = chance.choice(
                    ("fe80::/10", "2000::/3", "ff00::/8", "::/0", "2001:db8::/33")
                )
            return f"{chance.choice(('', '', 'ip6 '))}{direction}{kind}{address}"
        protocol = chance.choice(("", "", "", "ip ", "arp ", "rarp ", "tcp ", "ip6 "))
        if chance.random() < 0.35:
            first, second, third, _ = chance.choice(self.pools.ipv4).split(".")
            network = chance.choice((
                f"{first}", f"{first}.{second}", f"{first}.{second}.{third}", f"{first}.0.0.0/8",
                f"{first}.{second}/16", f"{first}.{second}.{third}.0/24", "0.0.0.0/0",
                "10.0.0.0/33",
                f"{first}.{second}.0.0 mask 255.255.0.0", f"{first}.{second}.{third}.1/24",
            ))  # fmt: skip
            return f"{protocol}{direction}net {network}"
        kind = chance.choice(("host ", "")) if direction else "host "
        address = chance.choice(self.pools.ipv4)
        if chance.random() < 0.15:
            address = f"({address} or {chance.choice(self.pools.ipv4)})"
        return f"{protocol}{direction}{kind}{address}"

    def port(self) -> str:
        chance = self.chance
        protocol = chance.choice(("", "", "tcp ", "udp ", "sctp ", "icmp "))
        direction = chance.choice(_DIRECTIONS)
        if chance.random() < 0.3:
            low, high = (chance.choice(("0", "1", "53", "1023", "1024", "5000", "65535", "http"))
                         for _ in range(2))  # fmt: skip
            return f"{protocol}{direction}portrange {low}-{high}"
        ports = chance.choice(self.pools.ports)
        if chance.random() < 0.2:
            ports = f"({ports} {chance.choice(('or', 'and'))} {chance.choice(self.pools.ports)})"
        return f"{protocol}{direction}port {ports}"

    def protocol(self) -> str:
        chance = self.chance
        kind = "protochain" if chance.random() < 0.2 else "proto"
        if chance.random() < 0.25:
            return f"ether proto {chance.choice(_ETHER)}"
        if chance.random() < 0.1:
            return chance.choice((r"iso proto \isis", "iso proto 0x82", "isis proto 15"))
        return f"{chance.choice(('', 'ip ', 'ip6 '))}{kind} {chance.choice(_PROTOCOLS)}"

    def ether(self) -> str:
        chance = self.chance
        address = chance.choice(self.pools.mac)
        if chance.random() < 0.2:
            address = chance.choice(("-", ".")).join(address.split(":"))
        direction = chance.choice(_DIRECTIONS)
        kind = chance.choice(("host ", "")) if direction else "host "
        return f"ether {direction}{kind}{address}"

    def encapsulation(self) -> str:
        chance = self.chance
        return chance.choice((
            "vlan", f"vlan {chance.choice((1, 5, 10, 100, 123, 4095, 4096))}", "mpls",
            f"mpls {chance.choice((0, 16, 18, 29, 1000, 1048576))}", "pppoes",
            f"pppoes {chance.choice((1, 0x11, 0x1234))}", "geneve",
            f"geneve {chance.choice((0, 10, 11))}",
        ))  # fmt: skip

    def length(self) -> str:
        chance = self.chance
        number = chance.choice((0, 42, 60, 64, 100, 576, 1500, 0x600))
        return f"{chance.choice(('less', 'greater'))} {number}"

    def odd(self) -> str:
        chance = self.chance
        return chance.choice((
            f"byte {chance.randrange(40)} {chance.choice('<>=')} {chance.randrange(256)}",
            f"decnet {chance.choice(('src ', 'dst ', 'host '))}1.{chance.randrange(5)}",
            "port foo-bar", "gateway x", "type mgt", "len = 08", "radio", "ether", "ip proto tcp",
        ))  # fmt: skip

    def value(self) -> str:
        pools = self.pools
        return self.chance.choice((*pools.ipv4[:5], *pools.ports[:8]))

    def relation(self) -> str:
        relation = self.chance.choice(("=", "==", "!=", "<", ">", "<=", ">="))
        return f"{self.arithmetic(2)} {relation} {self.arithmetic(1)}"

    def arithmetic(self, depth: int) -> str:
        chance = self.chance
        kind = chance.random()
        if depth and kind < 0.4:
            operator = chance.choice(("+", "-", "*", "/", "%", "&", "&", "|", "^", "<<", ">>"))
            text = f"{self.arithmetic(depth - 1)} {operator} {self.arithmetic(depth - 1)}"
            return f"({text})" if chance.random() < 0.5 else text
        if depth and kind < 0.43:
            return (
                f"(-{self.arithmetic(0)})" if chance.random() < 0.8 else f"- {self.arithmetic(0)}"
            )
        if kind < 0.8:
            index = chance.choice(_OFFSETS)
            if depth and chance.random() < 0.15:
                index = self.arithmetic(depth - 1)
            size = chance.choice(
                ("", "", ":1", ":2", ":2", ":4", ":3" if chance.random() < 0.1 else "")
            )
            return f"{chance.choice(_INDEXED)}[{index}{size}]"
        if kind < 0.87:
            return "len"
        numbers = map(str, (0, 1, 2, 4, 5, 8, 15, 31, 32, 64, 255, 0xFFFF))
        return chance.choice((*_CONSTANTS, *numbers, "0xf0", "0x0f", "017", "0xffffffff"))

"""A target with ports of every kind, the same over IPv4 and IPv6, TCP and UDP.

`KINDS` names the ports of each kind. What the kernel cannot do is done by nftables in the target's
input chain, so every answer comes from the target itself.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.scan.topology import Network

__all__ = ["HOSTS", "KINDS", "REASON", "REJECTED", "REJECTED6", "UDP_KINDS", "inhabit", "populate"]

#: nft's words for the ICMP errors of a firewall, each with the ports it is sent for.
REJECTED: Final = {
    "net-unreachable": (1301, 1302),
    "host-unreachable": (1303, 1304),
    "prot-unreachable": (1305, 1306),
    "port-unreachable": (1307, 1308),
    "net-prohibited": (1309, 1310),
    "host-prohibited": (1311, 1312),
    "admin-prohibited": (1313, 1314),
}
REJECTED6: Final = {
    "no-route": (1301, 1302),
    "admin-prohibited": (1303, 1304),
    "addr-unreachable": (1305, 1306),
    "port-unreachable": (1307, 1308),
}
#: The reason of a TCP port, by nft's word.
REASON: Final = {
    "net-unreachable": "net-unreach",
    "host-unreachable": "host-unreach",
    "prot-unreachable": "proto-unreach",
    "port-unreachable": "port-unreach",
    "net-prohibited": "net-prohibited",
    "host-prohibited": "host-prohibited",
    "admin-prohibited": "admin-prohibited",
    "no-route": "no-route",
    "addr-unreachable": "addr-unreach",
}
_REJECTED_PORTS = tuple(range(1301, 1315))
#: Kind of a TCP port: its ports.
KINDS: Final = {
    "open": tuple(range(1001, 1011)),
    "closed": tuple(range(1101, 1121)),
    "dropped": tuple(range(1201, 1205)),
    "rejected": _REJECTED_PORTS,
    "reset by the firewall": (1401, 1402, 1403),
    "rate-limited": tuple(range(1501, 1506)),
    "never answers": (1601, 1602),
    "zero window": (1603, 1604),
    "drips": (1605, 1606),
    "redirected": tuple(range(2001, 2021)),
    "SYN proxy": tuple(range(2101, 2111)),
}
#: Kind of a UDP port: its ports.
UDP_KINDS: Final = {
    "echo": (1001, 1002, 1003),
    "dns": (53,),
    "silent": (1601, 1602),
    "closed": tuple(range(1101, 1121)),
    "dropped": tuple(range(1201, 1205)),
    "rejected": _REJECTED_PORTS,
}
#: Hosts of the target's network by what they answer to; the last octet of their addresses.
HOSTS: Final = {
    "everything": 10,
    "echo": 11,
    "timestamp": 12,
    "SYN to 443": 13,
    "ACK to 80": 14,
    "prohibited": 15,
    "nothing": 16,
    "nobody": 17,
}
_DRIP_S = 0.3


def populate(network: Network) -> None:
    """Make the target's ports what `KINDS` and `UDP_KINDS` say."""
    target = network.target
    # Without it a SYN proxy takes the last ACK of a handshake for a connection it has seen.
    target.set("net.netfilter.nf_conntrack_tcp_loose", 0)
    network.rules(target, "firewall", _firewall())
    network.start(target, serve)


def inhabit(network: Network) -> None:
    """Give the target more addresses, that answer to what `HOSTS` says and to nothing else."""
    target = network.target
    index = target.links.index("net")
    for kind, last in HOSTS.items():
        if kind != "nobody":
            target.links.add_address(index, f"10.62.0.{last}/24")
            target.links.add_address(index, f"fd62::{last}/64")
    answered = {
        "echo": ("icmp type echo-request", "icmpv6 type echo-request"),
        "timestamp": ("icmp type timestamp-request", "icmpv6 type 255"),
        "SYN to 443": ("tcp flags syn tcp dport 443", "tcp flags syn tcp dport 443"),
        "ACK to 80": ("tcp flags ack tcp dport 80", "tcp flags ack tcp dport 80"),
    }
    rules = ["icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"]
    for kind, matches in answered.items():
        for version, prefix, match in zip(
            ("ip", "ip6"), ("10.62.0.", "fd62::"), matches, strict=True
        ):
            to = f"{version} daddr {prefix}{HOSTS[kind]}"
            rules += [f"{to} {match} accept", f"{to} drop"]
    for kind, verdict in (
        ("prohibited", "reject with {} type admin-prohibited"),
        ("nothing", "drop"),
    ):
        rules += [
            f"ip daddr 10.62.0.{HOSTS[kind]} {verdict.format('icmp')}",
            f"ip6 daddr fd62::{HOSTS[kind]} {verdict.format('icmpv6')}",
        ]
    body = "\n".join(["chain input { type filter hook input priority filter;", *rules, "}"])
    network.rules(target, "hosts", body)


def _firewall() -> str:
    """Return the rules, as nft(8) reads them."""
    proxied = _range("SYN proxy")
    limit = "limit rate over 20/second burst 2 packets"
    rules = [
        f"tcp dport {proxied} ct state invalid,untracked synproxy mss 1460 timestamp sack-perm",
        f"tcp dport {proxied} ct state invalid drop",
        f"meta l4proto {{ tcp, udp }} th dport {_range('dropped')} drop",
        f"tcp dport {_range('reset by the firewall')} reject with tcp reset",
        f"tcp flags syn tcp dport {_range('rate-limited')} {limit} drop",
    ]
    for version, kind, words in (("ipv4", "icmp", REJECTED), ("ipv6", "icmpv6", REJECTED6)):
        for word, ports in words.items():
            rules.append(
                f"meta nfproto {version} meta l4proto {{ tcp, udp }} th dport"
                f" {ports[0]}-{ports[-1]} reject with {kind} type {word}"
            )
    redirected = KINDS["open"][0]
    return "\n".join(
        [
            "chain raw { type filter hook prerouting priority raw;",
            f"tcp flags syn tcp dport {proxied} notrack",
            "}",
            "chain nat { type nat hook prerouting priority dstnat;",
            f"tcp dport {_range('redirected')} redirect to :{redirected}",
            "}",
            "chain input { type filter hook input priority filter;",
            *rules,
            "}",
        ]
    )


def _range(kind: str) -> str:
    return f"{KINDS[kind][0]}-{KINDS[kind][-1]}"


def serve(ready: int) -> None:
    """Be everything that listens on the target, for ever."""
    kept: list[socket.socket] = []  # connections that are never closed
    dripping: list[socket.socket] = []
    do: dict[int, Callable[[], None]] = {}
    poll = select.epoll()

    def add(sock: socket.socket, act: Callable[[], None]) -> None:
        sock.setblocking(False)
        do[sock.fileno()] = act
        poll.register(sock, select.EPOLLIN)

    def taker(listener: socket.socket, keep: list[socket.socket] | None) -> Callable[[], None]:
        def act() -> None:
            sock = listener.accept()[0]
            if keep is None:
                sock.close()
            else:
                keep.append(sock)

        return act

    def answerer(sock: socket.socket, answer: Callable[[bytes], bytes]) -> Callable[[], None]:
        def act() -> None:
            octets, peer = sock.recvfrom(2048)
            sock.sendto(answer(octets), peer)

        return act

    for kind, keep in (("open", None), ("never answers", kept), ("rate-limited", None)):
        for port in KINDS[kind]:
            listener = _listener(port)
            add(listener, taker(listener, keep))
    for port in KINDS["zero window"]:
        listener = _listener(port)
        # Inherited by what is accepted, and never read: the window closes after some octets.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        add(listener, taker(listener, kept))
    for port in KINDS["drips"]:
        listener = _listener(port)
        add(listener, taker(listener, dripping))
    for kind, answer in (("echo", bytes), ("dns", _dns), ("silent", None)):
        for port in UDP_KINDS[kind]:
            sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            sock.bind(("::", port))
            if answer is None:
                kept.append(sock)
            else:
                add(sock, answerer(sock, answer))
    os.write(ready, b"r")
    while True:
        for number, _ in poll.poll(_DRIP_S if dripping else None):
            try:
                do[number]()
            except OSError:  # who asked is gone
                continue
        for sock in list(dripping):
            try:
                sock.send(b".")
            except OSError:
                dripping.remove(sock)
                sock.close()


def _listener(port: int) -> socket.socket:
    return socket.create_server(
        ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024
    )


def _dns(query: bytes) -> bytes:
    """Answer any query by REFUSED, RFC 1035 section 4.1.1; what is no query by itself."""
    if len(query) < 12:
        return query
    identifier, flags = struct.unpack_from("!HH", query)
    return struct.pack("!HH", identifier, flags & 0x7900 | 0x8005) + query[4:]

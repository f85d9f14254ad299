"""Why a port has its state: nmap's words, each with the state that it stands for and a sentence.

A table of a scan keeps one octet for each port, the number of its reason here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sockwright.scan.results import PortState

__all__ = ["REASONS", "UNKNOWN", "Reason", "number_of", "unreachable"]


class Reason(NamedTuple):
    """A reason: nmap's word, the state, and what it means, for `explain`."""

    word: str
    state: PortState
    meaning: str


# The state of a reason is that of the usual case. What silence means depends on the method, so
# each meaning of it stands here under a number of its own, with the same word.
REASONS: Final = (
    Reason("no-response", "filtered", "no try was answered"),
    Reason("syn-ack", "open", "the host answered SYN by SYN and ACK: it accepts connections"),
    Reason("reset", "closed", "the host answered by RST: nobody listens there"),
    Reason("conn-accept", "open", "connect(2) succeeded"),
    Reason("conn-refused", "closed", "connect(2) was refused: the host answered by RST"),
    Reason("udp-response", "open", "the service answered the datagram"),
    Reason("port-unreach", "closed", "the host answered by ICMP port unreachable"),
    Reason("net-unreach", "filtered", "ICMP network unreachable"),
    Reason("host-unreach", "filtered", "ICMP host unreachable"),
    Reason("proto-unreach", "filtered", "ICMP protocol unreachable"),
    Reason("port-unreach", "filtered", "ICMP port unreachable, which a firewall sends for TCP"),
    Reason("net-prohibited", "filtered", "ICMP network administratively prohibited"),
    Reason("host-prohibited", "filtered", "ICMP host administratively prohibited"),
    Reason("admin-prohibited", "filtered", "ICMP communication administratively prohibited"),
    Reason("dest-unreach", "filtered", "an ICMP destination unreachable of another code"),
    Reason("time-exceeded", "filtered", "ICMP time exceeded: the packet went in a circle"),
    Reason("no-response", "open|filtered", "no try was answered: a service may be silent"),
    Reason("reset", "unfiltered", "the host answered ACK by RST: nothing filters the port"),
    Reason("no-route", "filtered", "this machine has no route to the host"),
    Reason("addr-unreach", "filtered", "ICMPv6 address unreachable"),
    Reason("beyond-scope", "filtered", "ICMPv6 beyond scope of the source address"),
    Reason("reject-route", "filtered", "ICMPv6 reject route to the destination"),
    Reason("policy-fail", "filtered", "ICMPv6 source address failed the ingress or egress policy"),
    Reason("param-problem", "filtered", "ICMP parameter problem"),
    Reason("not-asked", "filtered", "the scan ended before this port was asked"),
    Reason("unproven", "open|filtered", "the host limits its ICMP errors, and time was up"),
    Reason("syn", "open", "the host answered by SYN without ACK: a simultaneous open, or a proxy"),
    Reason("localhost-response", "closed", "a port of this machine that the scan itself holds"),
    Reason("localhost-response", "unfiltered", "a port of this machine that the scan itself holds"),
)
UNKNOWN: Final = 255
"""What stands in a table for a port about which nothing is known yet."""


def number_of(word: str, state: PortState) -> int:
    """Return the number of a reason. Raises: `KeyError`."""
    for number, reason in enumerate(REASONS):
        if reason.word == word and reason.state == state:
            return number
    raise KeyError((word, state))


def unreachable(version: int, kind: int, code: int, *, udp: bool) -> int | None:
    """Return the reason for an ICMP error of this type and code; None if it is no such error.

    RFC 792, RFC 1812 section 5.2.7.1, RFC 4443 section 3.1. Port unreachable is the word of the
    host itself for UDP (closed), and of a firewall for TCP (filtered).
    """
    if version == 4:
        if kind == 11:
            return number_of("time-exceeded", "filtered")
        if kind == 12:
            return number_of("param-problem", "filtered")
        if kind != 3:
            return None
        if code == 3:
            return number_of("port-unreach", "closed" if udp else "filtered")
        words = {
            0: "net-unreach",
            1: "host-unreach",
            2: "proto-unreach",
            5: "net-unreach",
            6: "net-unreach",
            7: "host-unreach",
            9: "net-prohibited",
            10: "host-prohibited",
            11: "net-unreach",
            12: "host-unreach",
            13: "admin-prohibited",
        }
    else:
        if kind == 3:
            return number_of("time-exceeded", "filtered")
        if kind == 4:
            return number_of("param-problem", "filtered")
        if kind != 1:
            return None
        if code == 4:
            return number_of("port-unreach", "closed" if udp else "filtered")
        words = {
            0: "no-route",
            1: "admin-prohibited",
            2: "beyond-scope",
            3: "addr-unreach",
            5: "policy-fail",
            6: "reject-route",
        }
    return number_of(words.get(code, "dest-unreach"), "filtered")

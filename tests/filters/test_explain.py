"""What `explain` says: what passes, how it was read, and the traps."""

from __future__ import annotations

import pytest
from tests.filters.expressions import EXPRESSIONS

from sockwright.filters import compile_filter

_CASES = [
    # expression, words of the explanation
    ("arp or ip and tcp", "(arp or ip) and tcp", "bind equally"),
    ("ip and (tcp or udp)", "ip and (tcp or udp)", "it is TCP (protocol 6)"),
    ("not host 1.2.3.4 and 5.6.7.8", "not host 1.2.3.4 and host 5.6.7.8", "a not before that one"),
    ("tcp dst port ftp or domain", "tcp dst port ftp or tcp dst port domain", "takes the head"),
    ("port 80", "TCP, UDP or SCTP is 80", "fragments of IPv4 but the first have no ports"),
    ("tcp", "IPv4 or IPv6", "one fragment header"),
    ("ip6 proto 6", "IPv6 carries protocol 6", "extension headers of IPv6 are not walked"),
    ("ip6 protochain 6", "in the chain of headers of IPv6", ""),
    ("host 1.2.3.4", "IPv4, ARP or RARP source or destination is 1.2.3.4", "ip host does not"),
    ("net fe80::/10", "IPv6 source or destination is in the network fe80::/10", ""),
    (
        "tcp[tcpflags] & tcp-syn != 0",
        "octet tcpflags (13) of TCP & tcp-syn (2)",
        "reads IPv4 alone",
    ),
    ("icmp6[0] = 128", "octet 0 of ICMPv6 is 128", "directly behind the fixed header"),
    ("ip[2:2] + tcp[0] = 3", "the 16 bits at 2 of IPv4", "left operand alone"),
    ("vlan 5 and ip", "VLAN identifier 5", "vlan moves the offsets of everything behind it"),
    ("vlan", "it has a VLAN tag", "takes VLAN tags off"),
    ("(mpls 3 and ip) or tcp", "an MPLS label, label 3", "outside its parentheses"),
    ("not icmp", "it is not so that it is ICMP", "too short"),
    ("not (arp or ip)", "it is not so that\n    it is ARP\n    or it is IPv4", "too short"),
    ("ip broadcast", "the IPv4 destination is a broadcast address", "255.255.255.255"),
    ("less 100", "at most 100 octets on the wire", ""),
    ("ether src 2:2:2:2:2:2", "the Ethernet source is 2:2:2:2:2:2", ""),
    ("net 10.0.0.0 mask 255.0.0.0", "10.0.0.0 with the mask 255.0.0.0", ""),
    ("llc ui", "an LLC header of type ui", ""),
    ("", "Every packet passes (Ethernet, in a file).", ""),
]


@pytest.mark.parametrize(("expression", "passes", "trap"), _CASES)
def test_the_explanation_says_what_passes_and_warns(
    expression: str, passes: str, trap: str
) -> None:
    text = "\n".join(compile_filter(expression).explain().lines())
    assert passes in text
    assert trap in text


def test_traps_are_told_once_and_only_where_they_are() -> None:
    traps = compile_filter("port 80 or port 90 or port 100").explain().traps
    assert len(traps) == 1
    assert not compile_filter("ip src host 1.2.3.4").explain().traps
    assert "live socket" in compile_filter("vlan", live=True).explain().where


def test_what_it_was_read_as_is_the_same_filter() -> None:
    for expression in EXPRESSIONS:
        try:
            compiled = compile_filter(expression)
        except ValueError:
            continue
        meaning = compiled.explain()
        assert meaning.lines()
        if meaning.read_as is not None:
            assert compile_filter(meaning.read_as).instructions == compiled.instructions, expression

"""What can be observed of a system's network stack: every test there is, and what it weighs.

A test is written ``group.name``. Its weight is in bits: how surprising it is that a system which is
not the one of the signature agrees by chance. An initial TTL of 64 is that of most systems and
weighs little; the order of the options in a SYN weighs much. Tests that go together in every system
(the TTL of one answer and that of the next) weigh little each, so that one fact is not counted ten
times. The figures are judgements, made with the stacks at hand in mind and held to them by the
tests: with the true system taken out of the data, no other may be claimed.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["GROUPS", "OBSERVABLES", "Observable", "weight_of"]


class Observable(NamedTuple):
    """One test: what agreement weighs, in bits, and what it looks at."""

    weight: float
    meaning: str


def _segment(what: str, *, scale: float) -> dict[str, Observable]:
    """Return the tests of a SYN or SYN-ACK."""
    return {
        "ttl": Observable(1.5, f"initial TTL or hop limit of the {what}: 32, 64, 128 or 255"),
        "df": Observable(0.5, f"Don't Fragment bit of the {what}"),
        "window": Observable(3.0, f"window field of the {what}, unscaled"),
        "scale": Observable(scale, f"window scale in the {what}: the shift; none: no such option"),
        "mss": Observable(0.5, f"MSS option of the {what}; none: no such option"),
        "options": Observable(4.5, f"TCP options of the {what}, in order"),
        "quirks": Observable(1.5, f"unusual header fields of the {what}; none: all as usual"),
        "ip_options": Observable(0.3, f"octets of IPv4 options or IPv6 extensions in the {what}"),
        "payload": Observable(0.2, f"data in the {what}"),
        "tos": Observable(0.3, f"TOS or traffic class of the {what}"),
    }


def _answer(what: str, weight: float) -> dict[str, Observable]:
    """Return the tests of the answer to one probe of TCP."""
    to = f"of the answer to {what}"
    return {
        "flags": Observable(weight, f"TCP flags {to}; none: no answer"),
        "ttl": Observable(0.3, f"initial TTL {to}"),
        "df": Observable(0.4, f"Don't Fragment bit {to}"),
        "window": Observable(0.6, f"window field {to}"),
        "seq": Observable(0.5, f"sequence number {to}: 0, the acknowledgement asked with (A), A+1"),
        "ack": Observable(0.5, f"acknowledgement {to}: 0, the sequence number asked with (S), S+1"),
        "options": Observable(0.4, f"TCP options {to}, in order"),
        "data": Observable(0.6, f"octets of data in the RST to {what}"),
        "quirks": Observable(0.4, f"reserved bits {to}, or an urgent pointer without URG"),
    }


GROUPS: Final[dict[str, dict[str, Observable]]] = {
    "syn": _segment("SYN", scale=1.5),
    "syn_ack": _segment("SYN-ACK", scale=1.5),
    "seq": {
        "gcd": Observable(0.7, "initial sequence numbers: greatest common divisor of their steps"),
        "rate": Observable(0.7, "initial sequence numbers: log2 of how many go by in a second"),
        "spread": Observable(1.5, "initial sequence numbers: log2 of the steps' spread; 0: even"),
        "clock": Observable(1.5, "TCP timestamps: none, zero, random, or ticks a second"),
        "ack": Observable(0.3, "acknowledgement of the SYN-ACK: 0, that of the SYN (S), S+1"),
        **{
            f"options{n}": Observable(0.8, f"TCP options of the answer to SYN {n}, in order")
            for n in range(2, 7)
        },
        **{
            f"window{n}": Observable(0.6, f"window field of the answer to SYN {n}; as to SYN 1?")
            for n in range(2, 7)
        },
    },
    "id": {
        "open": Observable(1.5, "IP identification of SYN-ACKs: zero, constant, incremental, …"),
        "closed": Observable(1.5, "IP identification of RSTs from a closed port"),
        "icmp": Observable(1.5, "IP identification of echo replies; echoed: that of the request"),
        "shared": Observable(1.0, "IP identification: one counter for TCP and ICMP"),
    },
    "ecn": {
        **_answer("the SYN that asks for ECN", 1.5),
        "options": Observable(1.0, "TCP options of the answer to that SYN, in order"),
    },
    "t2": _answer("T2 (no flags, open port)", 1.0),
    "t3": _answer("T3 (SYN FIN URG PSH, open port)", 1.5),
    "t4": _answer("T4 (ACK, open port)", 0.7),
    "t5": _answer("T5 (SYN, closed port)", 0.7),
    "t6": _answer("T6 (ACK, closed port)", 0.7),
    "t7": _answer("T7 (FIN PSH URG, closed port)", 1.0),
    "u1": {
        "answer": Observable(0.7, "port unreachable from a closed UDP port"),
        "ttl": Observable(0.3, "initial TTL of the ICMP error"),
        "df": Observable(0.7, "Don't Fragment bit of the ICMP error"),
        "tos": Observable(1.0, "TOS of the ICMP error"),
        "length": Observable(1.5, "octets of the IP packet with the ICMP error"),
        "unused": Observable(0.5, "the 32 unused bits of the ICMP error"),
        "quoted_length": Observable(0.5, "quoted IP header: its total length; same: as sent"),
        "quoted_id": Observable(0.5, "quoted IP header: its identification; same: as sent"),
        "quoted_checksum": Observable(0.5, "quoted IP header: its checksum: good, bad, zero"),
        "quoted_udp_checksum": Observable(0.5, "quoted UDP header: its checksum; same: as sent"),
        "quoted_data": Observable(0.3, "quoted data as sent"),
    },
    "ie": {
        "answer": Observable(0.5, "which echo requests are answered: both, first, second, none"),
        "df": Observable(1.0, "Don't Fragment bit of the echo replies: same (as asked), no, yes"),
        "ttl": Observable(0.3, "initial TTL of the echo replies"),
        "code": Observable(1.2, "ICMP code of the echo replies: same (as asked), zero, other"),
        "tos": Observable(0.7, "TOS of the echo replies: same (as asked), zero, other"),
    },
    "ipv6": {
        "echo_code": Observable(1.0, "code of the reply to an echo request of code 9, or none"),
        "echo_tos": Observable(0.5, "traffic class of that reply: zero, same (as asked), other"),
        "echo_flow": Observable(0.7, "flow label of that reply: zero, same (as asked), other"),
        "bad_option": Observable(1.0, "ICMPv6 type/code for an option that nobody knows, or none"),
        "bad_header": Observable(1.0, "ICMPv6 type/code for an unknown next header, or none"),
        "node_info": Observable(1.5, "answer to a node information query (RFC 4620), or none"),
        "neighbour": Observable(0.5, "flags of the neighbour advertisement, or none"),
        "syn_flow": Observable(1.0, "flow label of SYN-ACKs: zero, constant, varying"),
        "rst_flow": Observable(0.7, "flow label of RSTs: zero, constant, varying"),
    },
    "http": {
        "server": Observable(12.0, "the Server header: a system that it names is seldom another"),
        "agent": Observable(11.5, "the User-Agent header, which some programs borrow"),
        "headers": Observable(3.0, "names of the headers, in order"),
    },
    "ssh": {"banner": Observable(13.0, "the identification line, RFC 4253 section 4.2")},
    "dhcp": {
        "requested": Observable(11.0, "option 55, the parameters requested, in order"),
        "options": Observable(2.5, "options of the DHCP message, in order"),
        "vendor": Observable(12.0, "option 60, the vendor class"),
        "ttl": Observable(0.5, "initial TTL of the DHCP message"),
        "max_size": Observable(1.0, "option 57, the largest message taken"),
    },
}

OBSERVABLES: Final[dict[str, Observable]] = {
    f"{group}.{name}": observable
    for group, tests in GROUPS.items()
    for name, observable in tests.items()
}
"""Every test by its full name."""


def weight_of(test: str) -> float:
    """Return the weight of a test in bits; 0 for what is only told beside it (``syn.peer_mss``)."""
    observable = OBSERVABLES.get(test)
    return observable.weight if observable else 0.0

"""The filter in the kernel of what a scan receives: answers to its ports, and ICMP errors.

Discovery asks for more: answers of hosts to ICMP, ARP and neighbour solicitations.

It sees packets from their network header on (a packet socket of the kind SOCK_DGRAM). Everything
else, however much there is of it, never leaves the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sockwright.sockets.filter import Instruction

__all__ = ["KEPT", "answers_to_ports"]

KEPT: Final = 192
"""Octets kept of a packet: an ICMPv6 error with the headers that it quotes, and a little more."""

_Line = tuple[int, str | int, str | int, int]

_LOAD_BYTE, _LOAD_HALF, _LOAD_WORD = 0x30, 0x28, 0x20
_LOAD_HALF_AT_X, _LOAD_BYTE_AT_X = 0x48, 0x50
_LENGTH_TO_X = 0xB1  # BPF_LDX | BPF_B | BPF_MSH: 4 * (octet & 15)
_AND, _RETURN = 0x54, 0x06
_EQUAL, _GREATER, _AT_LEAST, _ANY_BIT = 0x15, 0x25, 0x35, 0x45
_ARP_IPV4_BY_ETHERNET: Final = 0x00010800


def answers_to_ports(
    first: int, last: int, *, kept: int = KEPT, hosts: bool = False
) -> list[Instruction]:
    """Accept TCP to the ports from `first` to `last`, and ICMP and ICMPv6 errors.

    With `hosts` also what hosts answer that are asked whether they are there: replies to ICMP and
    ICMPv6 echo and ICMP timestamp, neighbour advertisements, ARP replies. IPv6 with extension
    headers in front of TCP is left out, and so are fragments.
    """
    accept, reject = "accept", "reject"
    replies: list[_Line | str] = []
    replies6: list[_Line | str] = []
    arp: list[_Line | str] = [(_RETURN, 0, 0, 0)]
    if hosts:
        replies = [
            (_EQUAL, accept, 0, 0),  # echo reply
            (_EQUAL, accept, 0, 14),  # timestamp reply
        ]
        replies6 = [
            (_EQUAL, accept, 0, 129),  # echo reply
            (_EQUAL, accept, 0, 136),  # neighbour advertisement
        ]
        arp = [
            (_LOAD_WORD, 0, 0, 0),
            (_EQUAL, 0, reject, _ARP_IPV4_BY_ETHERNET),
            (_LOAD_HALF, 0, 0, 6),
            (_EQUAL, accept, reject, 2),  # a reply
        ]
    program: list[_Line | str] = [
        (_LOAD_BYTE, 0, 0, 0),
        (_AND, 0, 0, 0xF0),
        (_EQUAL, 0, "not 4", 0x40),
        (_LENGTH_TO_X, 0, 0, 0),
        (_LOAD_BYTE, 0, 0, 9),
        (_EQUAL, 0, "not TCP", 6),
        (_LOAD_HALF, 0, 0, 6),
        (_ANY_BIT, reject, 0, 0x1FFF),  # a later fragment
        (_LOAD_HALF_AT_X, 0, 0, 2),
        (_AT_LEAST, 0, reject, first),
        (_GREATER, reject, accept, last),
        "not TCP",
        (_EQUAL, 0, reject, 1),
        (_LOAD_BYTE_AT_X, 0, 0, 0),
        *replies,
        (_EQUAL, accept, 0, 3),  # destination unreachable
        (_EQUAL, accept, 0, 11),  # time exceeded
        (_EQUAL, accept, reject, 12),  # parameter problem
        "not 4",
        (_EQUAL, 0, "not 6", 0x60),
        (_LOAD_BYTE, 0, 0, 6),
        (_EQUAL, 0, "not TCP over 6", 6),
        (_LOAD_HALF, 0, 0, 42),
        (_AT_LEAST, 0, reject, first),
        (_GREATER, reject, accept, last),
        "not TCP over 6",
        (_EQUAL, 0, reject, 58),
        (_LOAD_BYTE, 0, 0, 40),
        *replies6,
        (_AT_LEAST, 0, reject, 1),
        (_GREATER, reject, accept, 4),
        "not 6",
        *arp,
        accept,
        (_RETURN, 0, 0, kept),
        reject,
        (_RETURN, 0, 0, 0),
    ]
    return _assembled(program)


def _assembled(program: list[_Line | str]) -> list[Instruction]:
    """Put the distances of jumps where their names stand."""
    places: dict[str, int] = {}
    lines: list[_Line] = []
    for line in program:
        if isinstance(line, str):
            places[line] = len(lines)
        else:
            lines.append(line)
    return [
        (
            code,
            places[yes] - at - 1 if isinstance(yes, str) else yes,
            places[no] - at - 1 if isinstance(no, str) else no,
            k,
        )
        for at, (code, yes, no, k) in enumerate(lines)
    ]

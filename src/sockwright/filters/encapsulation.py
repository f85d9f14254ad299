"""Terms that look inside: vlan, mpls, pppoed, pppoes and geneve.

They move the offsets in `Layers` for every term behind them, in parentheses or not, after `and` or
`or` alike. That is how the language is; the explanation of a filter says it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.filters.carriers import (
    MPLS,
    PPP_MPLS,
    PPPOE_DISCOVERY,
    PPPOE_SESSION,
    VLAN_TYPES,
    carries,
)  # fmt: skip
from sockwright.filters.condition import Condition, Either, Test, every, some
from sockwright.filters.failure import Refusal
from sockwright.filters.instruction import (
    AD_VLAN_TAG,
    AD_VLAN_TAG_PRESENT,
    ADD,
    AND,
    BYTE,
    HALF,
    IND,
    JA,
    JEQ,
    LD_B_ABS,
    LD_IMM,
    LD_MEM,
    LDX_MEM,
    MUL,
    SKF_AD_OFF,
    ST,
    STX,
    TAX,
    TXA,
    WORD,
    Instruction,
    X,
)  # fmt: skip
from sockwright.filters.layers import Offset, equal, plain
from sockwright.filters.link_types import ETHERNET, PPP
from sockwright.filters.ports import udp_to

if TYPE_CHECKING:
    from sockwright.filters import tree
    from sockwright.filters.condition import Statements
    from sockwright.filters.layers import Layers

__all__ = ["encapsulation_term"]

# The largest number of each, and what it is called.
_LIMITS = {
    "vlan": (0xFFF, "VLAN identifier"),
    "mpls": (0xF_FFFF, "MPLS label"),
    "pppoes": (0xFFFF, "PPPoE session"),
    "geneve": (0xFF_FFFF, "Geneve network identifier"),
}
_TAG, _LABEL, _PPPOE, _UDP = 4, 4, 6, 8
_GENEVE_PORT, _ETHERNET_IN_GENEVE = 6081, 0x6558


def encapsulation_term(term: tree.Encapsulation, layers: Layers) -> Condition:
    """Compile the term, and move `layers` inside. Raises: Refusal where the link type has none."""
    number = term.number
    if number is not None:
        largest, what = _LIMITS[term.what]
        if number > largest:
            raise Refusal(f"{number} is no {what}", f"the largest is {largest}")
    match term.what:
        case "vlan":
            return _vlan(number, layers)
        case "mpls":
            return _mpls(number, layers)
        case "pppoed":
            return carries(layers, PPPOE_DISCOVERY)
        case "pppoes":
            return _pppoes(number, layers)
        case _:
            return _geneve(number, layers)


def _vlan(number: int | None, layers: Layers) -> Condition:
    if layers.labels:
        raise Refusal("a VLAN tag inside MPLS cannot be told", "put vlan before mpls")
    if layers.link is not ETHERNET:
        raise Refusal(f"VLAN tags are not told on {layers.link.description}")
    if layers.live and layers.vlans == 0 and layers.outermost:
        condition = _stripped_vlan(number, layers)
    else:
        condition = _tagged(layers)
        if number is not None:
            condition = every(condition, equal(layers.from_payload(0, HALF), number, 0xFFF))
        if layers.type is not None and layers.payload is not None:
            layers.type = layers.type.plus(_TAG)
            layers.payload = layers.payload.plus(_TAG)
    layers.vlans += 1
    return condition


def _tagged(layers: Layers) -> Condition:
    return some(*(carries(layers, ether_type) for ether_type in VLAN_TYPES))


def _stripped_vlan(number: int | None, layers: Layers) -> Condition:
    """Compile the first ``vlan`` for a live socket, where the kernel may have taken the tag away.

    It keeps the tag beside the packet then, and the packet's offsets do not move. Whether they do
    is known only when the program runs, so two words of memory hold 0 or 4: for the payload, for
    the type.
    """
    if layers.type is None or layers.payload is None:
        raise Refusal(f"VLAN tags are not told on {layers.link.description}")
    payload = layers.registers.take()
    ether_type = layers.registers.take()
    shift = tuple(
        instruction
        for register in (payload, ether_type)
        for instruction in (plain(LD_MEM, register), plain(ADD, _TAG), plain(ST, register))
    )
    load = layers.from_type()
    first, *others = VLAN_TYPES
    in_packet = some(equal((*shift, *load), first), *(equal(load, other) for other in others))
    present = plain(LD_B_ABS, SKF_AD_OFF + AD_VLAN_TAG_PRESENT)
    condition: Condition = Either(equal((present,), 1), in_packet)
    if number is not None:
        tag = layers.from_payload(0, HALF)
        beside = plain(LD_B_ABS, SKF_AD_OFF + AD_VLAN_TAG)
        either = (present, Instruction(JEQ, 0, 2, 1), beside, plain(JA, len(tag)), *tag)
        condition = every(condition, equal(either, number, 0xFFF))
    layers.zeroed += [payload, ether_type]
    layers.type = Offset(layers.type.constant, ether_type)
    layers.payload = Offset(layers.payload.constant, payload)
    return condition


def _mpls(number: int | None, layers: Layers) -> Condition:
    if layers.labels:
        # Inside a stack: the label before must not be the last.
        condition: Condition = equal(layers.from_network(-2, BYTE), 0, 0x01)
    elif layers.link is ETHERNET:
        condition = carries(layers, MPLS)
    elif layers.link is PPP:
        condition = carries(layers, PPP_MPLS)
    else:
        raise Refusal(f"MPLS is not told on {layers.link.description}")
    if number is not None:
        label = equal(layers.from_network(0, WORD), number << 12, 0xFFFF_F000)
        condition = every(condition, label)
    layers.network += _LABEL
    layers.network_without_snap += _LABEL
    layers.labels += 1
    return condition


def _pppoes(number: int | None, layers: Layers) -> Condition:
    condition = carries(layers, PPPOE_SESSION)
    if number is not None:
        session = equal(layers.from_network(0, WORD), number, 0x0000_FFFF)
        condition = every(condition, session)
    layers.header = layers.known_payload().plus(layers.network + _PPPOE)
    layers.link = PPP
    layers.type = layers.header
    layers.payload = layers.header.plus(2)
    layers.network = layers.network_without_snap = 0
    layers.in_geneve = layers.outermost = False
    return condition


def _geneve(number: int | None, layers: Layers) -> Condition:
    four = _geneve_over(4, number, layers)
    six = _geneve_over(6, number, layers)
    return every(Either(four, six), Test(_geneve_offsets(layers), JEQ, 0))


def _geneve_over(version: int, number: int | None, layers: Layers) -> Condition:
    """Tell Geneve over one version of IP; it ends with A the length of the IP header."""
    load = layers.from_transport4 if version == 4 else layers.from_transport6
    tests: list[Condition] = [
        udp_to(layers, _GENEVE_PORT, version),
        equal(load(_UDP, BYTE), 0, 0xC0),  # the version of Geneve
    ]
    if number is not None:
        tests.append(equal(load(_UDP + 4, WORD), number << 8, 0xFFFF_FF00))
    if version == 4:
        length: Statements = (*layers.ipv4_header_length(), plain(TXA))
    else:
        register = layers.known_payload().register
        length = (plain(LD_IMM, 40), plain(TAX))
        if register is not None:
            length = (plain(LDX_MEM, register), plain(LD_IMM, 40), plain(ADD | X), plain(TAX))
    # A and X are the same: the comparison holds always, what counts is A.
    return every(*tests, Test(length, JEQ | X))


def _geneve_offsets(layers: Layers) -> Statements:
    """Return what makes the offsets inside of A, the length of the IP header; move `layers`."""
    start = layers.transport_base() + _UDP
    take = layers.registers.take
    ether_type, header, payload = take(), take(), take()
    is_ethernet = (
        plain(TXA), plain(ADD, 12), plain(ST, ether_type), plain(ADD, 2), plain(TAX),
    )  # fmt: skip
    statements = (
        plain(ADD, start), plain(TAX), plain(ADD, 2), plain(ST, ether_type),
        # The options: so many words of 4 octets.
        plain(BYTE + IND, 0), plain(AND, 0x3F), plain(MUL, 4), plain(ADD, 8), plain(ADD | X),
        plain(ST, header),
        # An Ethernet frame has its type behind two addresses, else the type is Geneve's own.
        plain(HALF + IND, 2), plain(LDX_MEM, header),
        Instruction(JEQ, 0, len(is_ethernet), _ETHERNET_IN_GENEVE), *is_ethernet,
        plain(STX, payload), plain(LD_IMM, 0),
    )  # fmt: skip
    layers.link = ETHERNET
    layers.type = Offset(0, ether_type)
    layers.header = Offset(0, header)
    layers.payload = Offset(0, payload)
    layers.network = 0
    layers.in_geneve = True
    layers.outermost = False
    return statements

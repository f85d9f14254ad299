"""Comparisons of arithmetic: ``tcp[tcpflags] & tcp-syn != 0``, ``len > 100``.

Each part leaves its value in a word of scratch memory. A part that reads a packet has a guard, the
condition that the packet holds that protocol. As in libpcap, an operator keeps the guard of its
left operand alone, and a comparison has those of both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockwright.filters import tree
from sockwright.filters.carriers import ETHER_TYPES, IP, IP6, carries
from sockwright.filters.condition import Condition, Not, Statements, Test, every
from sockwright.filters.failure import Refusal
from sockwright.filters.instruction import (
    ADD,
    AND,
    BYTE,
    DIV,
    HALF,
    IND,
    JEQ,
    JGE,
    JGT,
    LD_IMM,
    LD_LEN,
    LD_MEM,
    LDX_MEM,
    LSH,
    MOD,
    MUL,
    NEG,
    OR,
    RSH,
    ST,
    SUB,
    TAX,
    WORD,
    XOR,
    X,
)  # fmt: skip
from sockwright.filters.layers import equal, plain
from sockwright.filters.ports import first_fragment
from sockwright.filters.protocols import protocol_alone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sockwright.filters.layers import Layers, Offset

__all__ = ["byte_term", "relation_term"]

_OPERATORS: Mapping[str, int] = {
    "+": ADD, "-": SUB, "*": MUL, "/": DIV, "%": MOD, "&": AND, "|": OR, "^": XOR, "<<": LSH,
    ">>": RSH,
}  # fmt: skip
_RELATIONS: Mapping[str, tuple[int, bool]] = {
    ">": (JGT, False), ">=": (JGE, False), "=": (JEQ, False),
    "<=": (JGT, True), "<": (JGE, True), "!=": (JEQ, True),
}  # fmt: skip
_SIZES = {1: BYTE, 2: HALF, 4: WORD}
_NETWORK = frozenset(ETHER_TYPES) - {"aarp", "loopback"}
_TRANSPORT = frozenset((
    "tcp", "udp", "sctp", "icmp", "igmp", "igrp", "pim", "vrrp", "carp",
))  # fmt: skip
_ICMPV6 = 58


@dataclass(slots=True)
class _Value:
    """A part of arithmetic: statements that leave it in `register`, under the condition `guard`."""

    statements: Statements
    register: int
    guard: Condition | None = None


def relation_term(term: tree.Relation, layers: Layers) -> Condition:
    """Compile a comparison. Raises: Refusal where a part cannot be read, or divides by 0."""
    left = _value(term.left, layers)
    right = _value(term.right, layers)
    code, opposite = _RELATIONS[term.operator]
    statements: Statements = (
        *left.statements, *right.statements,
        plain(LDX_MEM, right.register), plain(LD_MEM, left.register),
    )  # fmt: skip
    if code == JEQ:
        test: Condition = Test((*statements, plain(SUB | X)), JEQ, 0)
    else:
        test = Test(statements, code | X)
    layers.registers.free(left.register)
    layers.registers.free(right.register)
    guards = [guard for guard in (left.guard, right.guard) if guard is not None]
    return every(*guards, Not(test) if opposite else test)


def byte_term(term: tree.ByteTest, layers: Layers) -> Condition:
    """Compile ``byte offset op value``. Raises: Refusal for & and |, which libpcap miscompiles."""
    load = layers.from_header(term.offset, BYTE)
    if term.operator == "=":
        return equal(load, term.value)
    if term.operator == ">":
        return Test(load, JGT, term.value)
    if term.operator == "<":
        return Not(Test(load, JGE, term.value))
    raise Refusal(
        f"byte … {term.operator} … has no clear meaning: libpcap forgets to load the byte",
        f"write link[{term.offset}] {term.operator} {term.value} != 0",
    )


def _value(part: tree.Arithmetic, layers: Layers) -> _Value:
    registers = layers.registers
    match part:
        case tree.Number(number):
            register = registers.take()
            return _Value((plain(LD_IMM, number), plain(ST, register)), register)
        case tree.PacketLength():
            register = registers.take()
            return _Value((plain(LD_LEN), plain(ST, register)), register)
        case tree.Negative(operand):
            value = _value(operand, layers)
            negated = (plain(LD_MEM, value.register), plain(NEG), plain(ST, value.register))
            value.statements += negated
            return value
        case tree.Binary(operator, left, right):
            return _binary(operator, _value(left, layers), right, layers)
        case tree.Load():
            return _load(part, layers)


def _binary(operator: str, left: _Value, operand: tree.Arithmetic, layers: Layers) -> _Value:
    right = _value(operand, layers)
    if isinstance(operand, tree.Number):
        if operand.value == 0 and operator in {"/", "%"}:
            raise Refusal(f"{operator} 0 divides by zero")
        if operand.value > 31 and operator in {"<<", ">>"}:
            raise Refusal("a shift by more than 31 bits", "numbers have 32 bits")
    layers.registers.free(left.register)
    layers.registers.free(right.register)
    result = layers.registers.take()
    statements = (
        *left.statements, *right.statements, plain(LDX_MEM, right.register),
        plain(LD_MEM, left.register), plain(_OPERATORS[operator] | X), plain(ST, result),
    )  # fmt: skip
    return _Value(statements, result, left.guard)


def _load(part: tree.Load, layers: Layers) -> _Value:
    """Read `part.size` octets at an offset from the start of a header."""
    index = _value(part.index, layers)
    register = layers.registers.take()
    layers.registers.free(index.register)
    size = _SIZES[part.size] + IND
    name = part.protocol
    guards: tuple[Condition, ...]
    if name == "link":
        read = _behind(layers.header, 0, index.register, size)
        guards = ()
    elif name in _NETWORK:
        read = _behind(layers.known_payload(), layers.network, index.register, size)
        guards = (carries(layers, ETHER_TYPES[name]),)
    elif name in _TRANSPORT:
        read = (
            *layers.ipv4_header_length(), plain(LD_MEM, index.register), plain(ADD | X),
            plain(TAX), plain(size, layers.transport_base()),
        )  # fmt: skip
        guards = (carries(layers, IP), protocol_alone(name, layers), first_fragment(layers))
    elif name == "icmp6":
        read = _behind(layers.known_payload(), layers.network + 40, index.register, size)
        announced = equal(layers.from_payload(layers.network + 6, BYTE), _ICMPV6)
        guards = (carries(layers, IP6), announced)
    else:
        raise Refusal(
            f"octets of {name} cannot be read",
            "ether, ip, ip6, arp, tcp, udp, sctp, icmp, icmp6 and other headers can",
        )
    guard = every(*guards) if guards else None
    if index.guard is not None:
        guard = _with_index(name, guards, index.guard)
    statements = (*index.statements, *read, plain(ST, register))
    return _Value(statements, register, guard)


def _with_index(name: str, guards: tuple[Condition, ...], index: Condition) -> Condition:
    """Put the guard of the index where libpcap has it: first, but behind the test for IPv4."""
    if name in _TRANSPORT:
        return every(guards[0], index, *guards[1:])
    return every(index, *guards)


def _behind(offset: Offset, more: int, index: int, size: int) -> Statements:
    """Read at `offset`, plus `more`, plus what the word `index` holds."""
    k = offset.constant + more
    if offset.register is None:
        return (plain(LDX_MEM, index), plain(size, k))
    return (
        plain(LDX_MEM, offset.register),
        plain(LD_MEM, index),
        plain(ADD | X),
        plain(TAX),
        plain(size, k),
    )

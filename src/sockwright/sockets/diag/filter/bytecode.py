"""Conditions to the bytecode of inet_diag (linux/inet_diag.h), which the kernel runs per socket.

An operation is ``{u8 code, u8 yes, u16 no}`` and what it compares with. Where it holds the kernel
goes on `yes` octets further, else `no` octets. To end exactly behind the program is to accept the
socket, to go four octets beyond is to reject it.

Rules, which inet_diag_bc_audit() in net/ipv4/inet_diag.c keeps a program to: jumps lead forward, by
multiples of four, to where a chain of `yes` from the start passes, or to one of the two ends. So
`yes` is always the length of the operation here, and each program is walked by it from end to end.
As `no` has 16 bits, a program has 65 528 octets at most.
"""

from __future__ import annotations

import struct

from sockwright.sockets.diag.filter.conditions import (
    All,
    Autobound,
    Cgroup,
    Condition,
    Device,
    Either,
    Mark,
    Not,
    Port,
)
from sockwright.sockets.diag.filter.hosts import AnyHost, InetHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_PROGRAM", "REJECT_ALL", "compile_condition"]

MAX_PROGRAM = 0xFFF8
"""Octets of a program at most."""

_JMP, _S_GE, _S_LE, _D_GE, _D_LE, _AUTO, _S_COND, _D_COND, _DEV_COND, _MARK_COND = range(1, 11)
_CGROUP_COND = 13

_OPERATION = struct.Struct("=BBH")  # inet_diag_bc_op
_HOST = struct.Struct("=BBxxi")  # inet_diag_hostcond: family, prefix, port; then the address
_FAMILIES = {"inet": 2, "inet6": 10}
_ANY_FAMILY, _ANY_PORT = 0, -1
_MOST_PORT = 0xFFFF

REJECT_ALL = _OPERATION.pack(_JMP, 4, 8)
"""The program that no socket passes."""


class _Test:
    """One operation: it compares with `operand`. Its negation is another way to jump."""

    __slots__ = ("code", "operand")

    def __init__(self, code: int, operand: bytes = b"") -> None:
        self.code = code
        self.operand = operand


class _Join:
    """All of `parts` ("all") or one of them."""

    __slots__ = ("all", "parts")

    def __init__(self, parts: list[_Part], *, all_of: bool) -> None:
        self.parts = parts
        self.all = all_of


class _Negation:
    """Not `part`."""

    __slots__ = ("part",)

    def __init__(self, part: _Part) -> None:
        self.part = part


if TYPE_CHECKING:
    _Part = _Test | _Join | _Negation


def compile_condition(condition: Condition, family: str) -> bytes | None:
    """Return the program for sockets of `family` ("inet", "inet6"); empty where all of them pass.

    None where it would be longer than the kernel takes. The condition has to be resolved.
    """
    plan = _plan(condition, family)
    if isinstance(plan, bool):
        return b"" if plan else REJECT_ALL
    return _Assembler().assemble(plan)


# Plans: what is left of a condition once everything that is the same for all sockets of the family
# is known.


def _plan(condition: Condition, family: str) -> _Part | bool:
    if isinstance(condition, All):
        return _join((_plan(one, family) for one in condition.conditions), all_of=True)
    if isinstance(condition, Either):
        return _join((_plan(one, family) for one in condition.conditions), all_of=False)
    if isinstance(condition, Not):
        return _negation(_plan(condition.condition, family))
    if isinstance(condition, Port):
        if condition.family not in {None, family}:
            return False
        return _port(condition.side, condition.operator, condition.number)
    if isinstance(condition, AnyHost):
        return condition.family in {None, family}
    if isinstance(condition, InetHost):
        if condition.family not in {None, family}:
            return False
        if condition.version == "inet6" and family == "inet":
            return False
        port = _ANY_PORT if condition.port is None else condition.port
        host = _HOST.pack(_FAMILIES[condition.version], condition.prefix, port) + condition.octets
        return _Test(_S_COND if condition.side == "src" else _D_COND, host)
    if isinstance(condition, Autobound) and condition.ports is not None:
        first, last = condition.ports
        chosen: tuple[_Part | bool, ...] = (
            _Test(_AUTO), _port("src", ">=", first), _port("src", "<=", last),
        )  # fmt: skip
        return _join(chosen, all_of=True)
    if isinstance(condition, Device) and isinstance(condition.device, int):
        return _Test(_DEV_COND, struct.pack("=I", condition.device))
    if isinstance(condition, Mark):
        return _Test(_MARK_COND, struct.pack("=II", condition.value, condition.mask))
    if isinstance(condition, Cgroup) and condition.number is not None:
        return _Test(_CGROUP_COND, struct.pack("=Q", condition.number))
    return False  # hosts of other families


def _join(parts: Iterable[_Part | bool], *, all_of: bool) -> _Part | bool:
    kept: list[_Part] = []
    for part in parts:
        if not isinstance(part, bool):
            kept.append(part)
        elif part is not all_of:
            return part
    if not kept:
        return all_of
    return kept[0] if len(kept) == 1 else _Join(kept, all_of=all_of)


def _negation(part: _Part | bool) -> _Part | bool:
    return not part if isinstance(part, bool) else _Negation(part)


def _port(side: str, operator: str, number: int) -> _Part | bool:
    own = side == "src"
    if operator in {"=", "!="}:
        # S_EQ and D_EQ would be shorter; kernels have them since 4.16, this one always.
        host = _HOST.pack(_ANY_FAMILY, 0, _ANY_PORT if number < 0 else number)
        equal = _Test(_S_COND if own else _D_COND, host)
        return equal if operator == "=" else _Negation(equal)
    if operator in {">", ">="}:
        least = number + (operator == ">")
        if least > _MOST_PORT:
            return False
        return least == 0 or _Test(_S_GE if own else _D_GE, _compared_with(least))
    most = number - (operator == "<")
    if most < 0:
        return False
    return most == _MOST_PORT or _Test(_S_LE if own else _D_LE, _compared_with(most))


def _compared_with(port: int) -> bytes:
    """Return the operation that holds the port of a comparison, in its `no`."""
    return _OPERATION.pack(0, 0, port)


class _Label:
    """A place in the program, or one of its ends; known when the program is laid out."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = -1


class _Assembler:
    """Lays operations out one behind the other, then fills in where they jump to."""

    def __init__(self) -> None:
        self._operations: list[tuple[int, bytes, _Label]] = []  # code, operand, where no leads
        self._length = 0

    def assemble(self, part: _Part) -> bytes | None:
        accept, reject = _Label(), _Label()
        self._lay(part, accept, reject, falls_into=accept)
        accept.at = self._length
        reject.at = self._length + 4
        if self._length > MAX_PROGRAM:
            return None
        octets = bytearray()
        for code, operand, label in self._operations:
            size = _OPERATION.size + len(operand)
            octets += _OPERATION.pack(code, size, label.at - len(octets)) + operand
        return bytes(octets)

    def _lay(self, part: _Part, yes: _Label, no: _Label, falls_into: _Label) -> None:
        """Lay out `part`, which leads to `yes` or `no`; one of them is what follows it."""
        if isinstance(part, _Negation):
            self._lay(part.part, no, yes, falls_into)
        elif isinstance(part, _Join):
            *others, last = part.parts
            for one in others:
                behind = _Label()
                if part.all:
                    self._lay(one, behind, no, behind)
                else:
                    self._lay(one, yes, behind, behind)
                behind.at = self._length
            self._lay(last, yes, no, falls_into)
        elif falls_into is yes:
            self._add(part.code, part.operand, no)
        else:
            over = _Label()
            self._add(part.code, part.operand, over)
            self._add(_JMP, b"", yes)
            over.at = self._length

    def _add(self, code: int, operand: bytes, no: _Label) -> None:
        self._operations.append((code, operand, no))
        self._length += _OPERATION.size + len(operand)

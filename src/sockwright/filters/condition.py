"""Conditions on a packet, and how they become a program.

A condition is a tree of tests under `All`, `Either` and `Not`. A test is a few statements without a
branch, then one comparison that ends it. To link a condition is to tell each test where to go when
it holds and when it does not; what is shared is linked once, so the result is a graph. To lay it
out is to write the graph as a list in which every jump leads forward.

The order is that of libpcap without its optimiser, so that programs can be compared word by word.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from sockwright.filters.instruction import JA, JEQ, LD_IMM, RET_K, Instruction

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "All", "Chain", "Condition", "Either", "Not", "Statements", "Test", "always", "assemble",
    "every", "never", "some",
]  # fmt: skip

# Statements of one test. Their jumps, if any, stay among them or lead to the comparison behind.
Statements: TypeAlias = tuple[Instruction, ...]

_FAR = 255  # instructions that a conditional jump can skip


@dataclass(frozen=True, slots=True)
class Test:
    """Run `statements`, then compare A as `code` says, with `k` or with X."""

    statements: Statements
    code: int
    k: int = 0


@dataclass(frozen=True, slots=True)
class All:
    """Both conditions, the first one first."""

    first: Condition
    second: Condition


@dataclass(frozen=True, slots=True)
class Either:
    """One of two conditions; the second is tried where the first does not hold."""

    first: Condition
    second: Condition


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Chain:
    """Conditions joined from left to right: ``((first and second) or third) and …``.

    `rest` are pairs: whether it is joined by *and*, and the condition. A chain of thousands is one
    flat tuple, so that no function here has to descend thousands of levels.
    """

    first: Condition
    rest: tuple[tuple[bool, Condition], ...]


Condition: TypeAlias = Test | All | Either | Not | Chain


def every(*conditions: Condition) -> Condition:
    """Return the condition that all of `conditions` (one at least) hold, tested in their order."""
    result = conditions[-1]
    for condition in reversed(conditions[:-1]):
        result = All(condition, result)
    return result


def some(*conditions: Condition) -> Condition:
    """Return the condition that one of `conditions` (one at least) holds, tested in their order."""
    result = conditions[-1]
    for condition in reversed(conditions[:-1]):
        result = Either(condition, result)
    return result


def never() -> Test:
    """Return the condition that no packet meets."""
    return Test((Instruction(LD_IMM, 0, 0, 1),), JEQ, 0)


def always() -> Test:
    """Return the condition that every packet meets."""
    return Test((Instruction(LD_IMM, 0, 0, 0),), JEQ, 0)


@dataclass(slots=True, eq=False)
class _Block:
    """A linked test, or a return where `yes` is None. Compared by identity."""

    statements: Statements
    code: int
    k: int
    yes: _Block | None = None
    no: _Block | None = None
    start: int = 0  # instructions from here to the end of the program
    far: list[bool] = field(default_factory=lambda: [False, False])

    def size(self) -> int:
        return len(self.statements) + 1 + sum(self.far)


def assemble(
    condition: Condition | None, snaplen: int, first: Statements = ()
) -> tuple[Instruction, ...]:
    """Return the program that accepts `snaplen` octets of a packet that meets `condition`.

    No condition accepts every packet. `first` are statements that run before all others.
    """
    accept = _Block((), RET_K, snaplen)
    if condition is None:
        return (Instruction(RET_K, 0, 0, snaplen),)
    root = _link(condition, accept, _Block((), RET_K, 0))
    root.statements = first + root.statements
    order = _order(root)
    while _widen(order):
        pass
    return tuple(instruction for block in order for instruction in _emit(block))


def _link(condition: Condition, yes: _Block, no: _Block) -> _Block:
    """Return the block that starts `condition` and leads on to `yes` or `no`."""
    match condition:
        case Test(statements, code, k):
            return _Block(statements, code, k, yes, no)
        case Not(inner):
            return _link(inner, no, yes)
        case All(first, second):
            return _link(first, _link(second, yes, no), no)
        case Either(first, second):
            return _link(first, yes, _link(second, yes, no))
        case Chain(first, rest):
            for both, part in reversed(rest):
                entry = _link(part, yes, no)
                yes, no = (entry, no) if both else (yes, entry)
            return _link(first, yes, no)


def _order(root: _Block) -> list[_Block]:
    """Return the blocks in an order in which all jumps lead forward.

    It is the reverse of the order in which a walk that goes first where a test fails leaves them.
    """
    left: list[_Block] = []
    seen = {root}
    path = [(root, iter((root.no, root.yes)))]
    while path:
        block, ways = path[-1]
        for way in ways:
            if way is not None and way not in seen:
                seen.add(way)
                path.append((way, iter((way.no, way.yes))))
                break
        else:
            left.append(block)
            path.pop()
    left.reverse()
    return left


def _widen(order: Sequence[_Block]) -> bool:
    """Place the blocks; give those whose jumps are too far an instruction to jump from there."""
    at = 0
    for block in order:
        block.start = at
        at += block.size()
    changed = False
    for block in order:
        for way, target in enumerate((block.yes, block.no)):
            behind = block.start + len(block.statements) + 1
            if target is not None and not block.far[way] and target.start - behind > _FAR:
                block.far[way] = changed = True
    return changed


def _emit(block: _Block) -> Statements:
    if block.yes is None or block.no is None:
        return (Instruction(block.code, 0, 0, block.k),)
    behind = block.start + len(block.statements) + 1
    jumps: list[Instruction] = []
    skips: list[int] = []
    for target, far in zip((block.yes, block.no), block.far, strict=True):
        if far:
            skips.append(len(jumps))
            distance = target.start - behind - len(jumps) - 1
            jumps.append(Instruction(JA, 0, 0, distance))
        else:
            skips.append(target.start - behind)
    return (*block.statements, Instruction(block.code, skips[0], skips[1], block.k), *jumps)

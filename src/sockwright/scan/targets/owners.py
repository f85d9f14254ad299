"""Ranges of numbers that overlap, made into ranges that do not.

Targets are written down in any order and more than once, and some are excluded. All of it is one
question, who owns a number: the excluded ranges own what they cover, then whoever was named first.
It is answered by one walk over the sorted ranges, so a list of a million addresses takes seconds
and a network takes no longer than an address.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Owned", "apart"]


class Owned(NamedTuple):
    """A range of numbers, both ends included; the lowest `owner` has it."""

    owner: int
    first: int
    last: int


def apart(ranges: Iterable[Owned]) -> list[Owned]:
    """Return ranges apart from each other, each with the lowest owner there; sorted."""
    waiting = sorted(ranges, key=lambda one: one.first)
    result: list[Owned] = []
    active: list[Owned] = []  # a heap: the lowest owner is the first
    next_one, at = 0, 0
    while next_one < len(waiting) or active:
        if not active:
            at = waiting[next_one].first
        while next_one < len(waiting) and waiting[next_one].first <= at:
            heappush(active, waiting[next_one])
            next_one += 1
        while active and active[0].last < at:
            heappop(active)
        if not active:
            continue
        owner, _, last = active[0]
        # The owner keeps its range until that ends or a lower owner's begins.
        end = last
        ahead = next_one
        while ahead < len(waiting) and waiting[ahead].first <= end:
            if waiting[ahead].owner < owner:
                end = waiting[ahead].first - 1
                break
            heappush(active, waiting[ahead])
            ahead += 1
        next_one = ahead
        result.append(Owned(owner, at, end))
        at = end + 1
    result.sort()
    return result

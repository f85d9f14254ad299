"""Which protocols a capture holds, as a tree: Ethernet, IPv4 below it, TCP below that.

A packet counts at every layer of its stack, so the numbers at the top are those of all packets, and
what a layer has more than the layers below it ended there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sockwright.columns.gathering import Batches, Gathering, kernel
from sockwright.columns.kernels.groups import (
    CHILD,
    CLASS,
    NODE,
    OCTETS,
    PACKETS,
    SIBLING,
    add_stacks,
)
from sockwright.columns.layout import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.columns.capture_file import CaptureFile
    from sockwright.columns.gathering import Accept

__all__ = ["ProtocolTotals", "protocols"]


@dataclass(frozen=True, slots=True)
class ProtocolTotals:
    """A layer below others: packets that have it there, and their octets on the wire.

    `protocols` names the layers from outside in, with colons between, as ``frame.protocols``; it is
    "frame" for packets of which no layer is known.
    """

    columns: ClassVar[tuple[str, ...]] = ("protocol", "packets", "octets")

    protocols: str
    depth: int
    packets: int
    octets: int

    @property
    def protocol(self) -> str:
        """The layer alone, indented by its depth, for people."""
        return "  " * self.depth + self.protocols.rpartition(":")[2]


def protocols(capture: CaptureFile, accept: Accept | None = None) -> Iterator[ProtocolTotals]:
    """Yield the layers of a capture, each before those that it carries, the most frequent first.

    Raises: TruncatedError or DecodeError behind the last row, where the capture ends in the middle.
    """
    gathering = Gathering(stacks=True, accept=accept)
    batches = Batches(capture)
    for batch in batches:
        found = gathering.add(batch)
        kernel(add_stacks, compiled=gathering.compiled)(
            0, len(batch), found.nodes, batch.original, found.accepted, gathering.tree
        )
    yield from _below(gathering.tree, 0, "", 0)
    batches.finish()


def _below(tree: list[int], node: int, path: str, depth: int) -> Iterator[ProtocolTotals]:
    """Yield the rows below `node`, forms of one header together."""
    sums: dict[str, tuple[int, int, list[int]]] = {}
    if node == 0 and tree[1 + PACKETS]:
        sums["frame"] = (int(tree[1 + PACKETS]), int(tree[1 + OCTETS]), [])
    child = tree[1 + NODE * node + CHILD]
    while child:
        at = 1 + NODE * child
        packets, octets = _sum(tree, child)
        name = layout().classes[tree[at + CLASS]].layer
        before = sums.get(name, (0, 0, []))
        sums[name] = (before[0] + packets, before[1] + octets, [*before[2], int(child)])
        child = tree[at + SIBLING]
    for name, (packets, octets, nodes) in sorted(sums.items(), key=lambda item: -item[1][0]):
        if packets:
            whole = f"{path}:{name}" if path else name
            yield ProtocolTotals(whole, depth, packets, octets)
            for below in nodes:
                yield from _below(tree, below, whole, depth + 1)


def _sum(tree: list[int], node: int) -> tuple[int, int]:
    """Return the packets and octets of a node and all below it."""
    at = 1 + NODE * node
    packets, octets = int(tree[at + PACKETS]), int(tree[at + OCTETS])
    child = tree[at + CHILD]
    while child:
        more = _sum(tree, child)
        packets += more[0]
        octets += more[1]
        child = tree[1 + NODE * child + SIBLING]
    return packets, octets

"""Go through the batches of a capture and find out, for each packet, which group it belongs to.

Statistics are sums over groups that are carried from batch to batch: their memory is that of the
groups (flows, stacks of layers), not of the packets. All are made in the same way: `Gathering`
takes each batch, and a kernel of `kernels/groups.py` or `kernels/tcp.py` adds it up.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from sockwright.columns.kernels.dissect import SLOTS
from sockwright.columns.kernels.flow import KEY, flow_ids, place_flows
from sockwright.columns.kernels.groups import FLOWS, NODE, SEGMENT, SEGMENTS, STACKS, gather
from sockwright.columns.kernels.segments import FOUND
from sockwright.columns.layout import layout
from sockwright.errors import DecodeError
from sockwright.wire.core.names import IP_PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sockwright.columns.batch import Batch
    from sockwright.columns.capture_file import CaptureFile

__all__ = [
    "Accept",
    "Batches",
    "Flow",
    "Gathered",
    "Gathering",
    "for_compiled",
    "grown",
    "kernel",
    "marked",
    "numbers",
]

P = ParamSpec("P")
R = TypeVar("R")


class Accept(Protocol):
    """Says which packets of a batch count: a `selecting.Selector`."""

    def rows(self, batch: Batch) -> Sequence[int]:
        """Return the rows that do, in order."""


MAX_FLOWS = 1 << 20
_FIRST_FLOWS = 1 << 10
_FIRST_NODES = 1 << 10
_HASH_LOAD = 4  # places of the hash table for each flow that there is room for


class Batches:
    """The batches of a capture; `error` is what ended them early, to be raised behind the rows."""

    def __init__(self, capture: CaptureFile) -> None:
        self._capture = capture
        self.error: DecodeError | None = None

    def __iter__(self) -> Iterator[Batch]:
        try:
            yield from self._capture.batches()
        except DecodeError as error:
            self.error = error

    def finish(self) -> None:
        """Raise what ended the capture early, if anything did."""
        if self.error is not None:
            raise self.error


@dataclass(frozen=True, slots=True)
class Flow:
    """The ends of a flow: `src` sent its first packet. Ports are 0 where the protocol has none."""

    number: int
    protocol: str
    src: str
    src_port: int
    dst: str
    dst_port: int


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found about the packets of one batch, as arrays with a place for each.

    `ids` numbers the flow where `present` is 1, `back` is 1 where the packet goes against the first
    one of its flow. `segments` and `nodes` are as `kernels.groups.gather` says.
    """

    ids: Any
    present: Any
    back: Any
    segments: Any
    nodes: Any
    accepted: Any


class Gathering:
    """Finds flows, segments and stacks of layers of one batch after the other.

    Batches may turn from interpreted to compiled, as streams do when they turn out not to be small;
    what is known then moves into numpy arrays.
    """

    def __init__(
        self,
        *,
        flows: bool = False,
        segments: bool = False,
        stacks: bool = False,
        accept: Accept | None = None,
        max_flows: int = MAX_FLOWS,
    ) -> None:
        self._wants = (flows or segments) * FLOWS | segments * SEGMENTS | stacks * STACKS
        self._accept = accept
        self._max_flows = max_flows
        self.compiled = False
        self.flows = 0
        """How many flows there are."""
        self.unnumbered = 0
        """Packets of flows for which there was no room."""
        self._tables: Any = layout().tables
        self._work = [numbers(SLOTS) for _ in range(3)] + [numbers(FOUND)]
        self._known = numbers(KEY * _FIRST_FLOWS)
        self._slots = numbers(_HASH_LOAD * _FIRST_FLOWS)
        self.tree = numbers(1 + NODE * _FIRST_NODES)
        """The stacks of layers with their sums: see `kernels.groups`."""
        self.tree[0] = 1

    def add(self, batch: Batch) -> Gathered:
        """Find out about the packets of `batch`. The arrays are of numpy if it is compiled."""
        if batch.compiled and not self.compiled:
            self._compile()
        size = len(batch)
        fast = self.compiled
        flows = bool(self._wants & FLOWS)
        keys = numbers(KEY * size * flows, compiled=fast)
        segments = numbers(SEGMENT * size * flows, compiled=fast)
        nodes = numbers(size * bool(self._wants & STACKS), compiled=fast)
        run: Any = kernel(gather, compiled=fast)  # mypy cannot count through *self._work
        begin = 0
        while True:
            begin = run(
                self._wants,
                begin,
                self._tables,
                batch.octets,
                batch.start,
                batch.captured,
                batch.original,
                batch.interface,
                batch.link_types,
                *self._work,
                keys,
                segments,
                self.tree,
                nodes,
            )
            if begin == size:
                break
            self.tree = grown(self.tree, 2 * len(self.tree))
        ids, present, back = (numbers(size * flows, compiled=fast) for _ in range(3))
        if flows:
            self._number(keys, size, ids, present, back)
        accepted = numbers(0, compiled=fast)
        if self._accept is not None:
            accepted = marked(self._accept, batch)
        return Gathered(ids, present, back, segments, nodes, accepted)

    def flow(self, number: int) -> Flow:
        """Return the ends of flow `number`."""
        first, *addresses, swapped = (int(n) for n in self._known[KEY * number : KEY * number + 6])
        ports = [first >> 12 & 0xFFFF, first >> 28 & 0xFFFF]
        if first & 15 == 4:
            ends = [
                str(IPv4Address(addresses[0] >> 32 & _MASK)),
                str(IPv4Address(addresses[0] & _MASK)),
            ]
        else:
            ends = [_ipv6(*addresses[:2]), _ipv6(*addresses[2:])]
        if swapped:
            ends.reverse()
            ports.reverse()
        protocol = first >> 4 & 0xFF
        name = IP_PROTOCOLS.get(protocol, str(protocol))
        return Flow(number, name, ends[0], ports[0], ends[1], ports[1])

    def _number(self, keys: Any, size: int, ids: Any, present: Any, back: Any) -> None:
        run = kernel(flow_ids, compiled=self.compiled)
        begin = 0
        while True:
            begin, self.flows = run(
                keys, 0, begin, size, ids, present, back, 0, self._slots, self._known, self.flows
            )
            if begin == size:
                return
            room = len(self._known) // KEY
            if room >= self._max_flows:
                self.unnumbered += 1
                begin += 1
                continue
            room = min(4 * room, self._max_flows)
            self._known = grown(self._known, KEY * room)
            places = 1 << (_HASH_LOAD * room - 1).bit_length()
            self._slots = numbers(places, compiled=self.compiled)
            kernel(place_flows, compiled=self.compiled)(self._known, self.flows, self._slots)

    def _compile(self) -> None:
        self.compiled = True
        self._tables, self._known, self._slots, self.tree = map(
            for_compiled, (self._tables, self._known, self._slots, self.tree)
        )
        self._work = [for_compiled(old) for old in self._work]


_MASK = 0xFFFF_FFFF


def _ipv6(upper: int, lower: int) -> str:
    return str(IPv6Address((upper & (1 << 64) - 1) << 64 | lower & (1 << 64) - 1))


def kernel(function: Callable[P, R], *, compiled: bool) -> Callable[P, R]:
    """Return `function`, compiled if asked."""
    if not compiled:
        return function
    from sockwright.columns.compiling import compiled as compile_

    return compile_(function)


def marked(accept: Accept, batch: Batch) -> Any:
    """Return 1 for each packet of `batch` that counts, 0 for the others."""
    found = numbers(len(batch), compiled=batch.compiled)
    rows = accept.rows(batch)
    if batch.compiled:
        found[rows] = 1
    else:
        for row in rows:
            found[row] = 1
    return found


def numbers(size: int, *, compiled: bool = False) -> Any:
    """Return as many zeros, of 64 bits each: a numpy array for compiled kernels, else an array."""
    if not compiled:
        return array("q", bytes(8 * size))
    import numpy as np

    return np.zeros(size, np.int64)


def grown(old: Any, size: int, *, compiled: bool | None = None) -> Any:
    """Return an array with what is in `old` and zeros, `size` in all, by default of its kind."""
    new = numbers(size, compiled=not isinstance(old, array) if compiled is None else compiled)
    new[: len(old)] = old
    return new


def for_compiled(old: array[int]) -> Any:
    """Return the numbers of `old` in a numpy array."""
    import numpy as np

    return np.array(old, np.int64)

"""Where the headers of a packet start, while an expression is compiled from left to right.

At first that is told by the link type. The terms `vlan`, `mpls`, `pppoes` and `geneve` move it, for
all terms behind them. An offset is a constant, or a constant plus what a word of scratch memory
holds when the program runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sockwright.filters.condition import Condition, Statements, Test, every
from sockwright.filters.failure import Refusal
from sockwright.filters.instruction import (
    ADD,
    AND,
    BYTE,
    HALF,
    IND,
    JEQ,
    JGE,
    JGT,
    JSET,
    LDX_MEM,
    LDX_MSH,
    LSH,
    TAX,
    WORD,
    Instruction,
    X,
)  # fmt: skip
from sockwright.filters.interpreter import MEMORY_WORDS

if TYPE_CHECKING:
    from sockwright.filters.link_types import LinkType

__all__ = ["Layers", "Offset", "above", "at_least", "bit_set", "equal", "octets_equal", "plain"]


def plain(code: int, k: int = 0) -> Instruction:
    """Return an instruction that does not jump."""
    return Instruction(code, 0, 0, k & 0xFFFF_FFFF)


def equal(statements: Statements, value: int, mask: int = 0xFFFF_FFFF) -> Test:
    """Return the test that A, after `statements` and under `mask`, is `value`."""
    if mask != 0xFFFF_FFFF:
        statements = (*statements, plain(AND, mask))
    return Test(statements, JEQ, value & 0xFFFF_FFFF)


def at_least(statements: Statements, value: int) -> Test:
    """Return the test that A, after `statements`, is `value` or more."""
    return Test(statements, JGE, value)


def above(statements: Statements, value: int) -> Test:
    """Return the test that A, after `statements`, is more than `value`."""
    return Test(statements, JGT, value)


def bit_set(statements: Statements, bits: int) -> Test:
    """Return the test that A, after `statements`, has one of `bits`."""
    return Test(statements, JSET, bits)


@dataclass(frozen=True, slots=True)
class Offset:
    """An offset from the start of the packet: `constant`, plus the scratch word `register`."""

    constant: int
    register: int | None = None

    def plus(self, octets: int) -> Offset:
        """Return the offset `octets` further on."""
        return Offset(self.constant + octets, self.register)

    def load(self, at: int, size: int) -> Statements:
        """Return what loads `size` (BYTE, HALF, WORD) from `at` octets behind here into A."""
        k = self.constant + at
        if self.register is None:
            return (plain(size, k),)
        return (plain(LDX_MEM, self.register), plain(size + IND, k))


@dataclass(slots=True)
class Registers:
    """The words of scratch memory in use; the next free one is searched from the last one taken."""

    _used: list[bool] = field(default_factory=lambda: [False] * MEMORY_WORDS)
    _next: int = 0

    def take(self) -> int:
        """Return a free word. Raises: Refusal when none is left."""
        for _ in range(MEMORY_WORDS):
            if not self._used[self._next]:
                self._used[self._next] = True
                return self._next
            self._next = (self._next + 1) % MEMORY_WORDS
        raise Refusal(
            f"more than the {MEMORY_WORDS} words of memory that a filter has are needed at once",
            "write the comparison so that fewer parts wait for others",
        )

    def free(self, register: int) -> None:
        """Give a word back."""
        self._used[register] = False


class Layers:
    """What is known of the layout of the packet at this point of the expression.

    `link` is the link type of the innermost link header, `header` where that header starts, `type`
    where it tells the protocol that follows (None: nowhere), `payload` where what it carries
    starts; `network` how many octets of the payload stand before the network header (labels of
    MPLS), and `network_without_snap` the same behind an LLC header. `vlans` and `labels` count the
    tags and labels passed, `in_geneve` says that a link header is there only for some packets.
    """

    def __init__(self, link_type: LinkType, *, live: bool) -> None:
        self.link = link_type
        self.live = live
        self.header = Offset(0)
        self.type = None if link_type.type_offset is None else Offset(link_type.type_offset)
        self.payload = None if link_type.size is None else Offset(link_type.size)
        self.network = 0
        self.network_without_snap = link_type.llc
        self.vlans = 0
        self.labels = 0
        self.in_geneve = False
        self.outermost = True
        self.registers = Registers()
        # Scratch words that hold 0 until a term sets them; see `vlan` on a live socket.
        self.zeroed: list[int] = []

    def from_header(self, at: int, size: int) -> Statements:
        """Load from `at` octets behind the start of the link header."""
        return self.header.load(at, size)

    def from_type(self, at: int = 0, size: int = HALF) -> Statements:
        """Load the protocol that the link header tells, 16 bits, or what stands behind it."""
        if self.type is None:
            raise Refusal(f"{self.link.description} has no field that tells what follows")
        return self.type.load(at, size)

    def from_payload(self, at: int, size: int) -> Statements:
        """Load from `at` octets behind the start of what the link header carries."""
        return self._payload().load(at, size)

    def from_network(self, at: int, size: int) -> Statements:
        """Load from `at` octets behind the start of the network header."""
        return self._payload().load(self.network + at, size)

    def from_transport4(self, at: int, size: int) -> Statements:
        """Load from `at` octets behind the IPv4 header."""
        k = self._payload().constant + self.network + at
        return (*self.ipv4_header_length(), plain(size + IND, k))

    def from_transport6(self, at: int, size: int) -> Statements:
        """Load from `at` octets behind the fixed IPv6 header, whatever follows it."""
        return self.from_network(40 + at, size)

    def ipv4_header_length(self) -> Statements:
        """Load into X the length of the IPv4 header plus the variable part of the offset."""
        payload = self._payload()
        k = payload.constant + self.network
        if payload.register is None:
            return (plain(LDX_MSH, k),)
        return (
            plain(LDX_MEM, payload.register),
            plain(BYTE + IND, k),
            plain(AND, 0xF),
            plain(LSH, 2),
            plain(ADD | X),
            plain(TAX),
        )

    def transport_base(self) -> int:
        """Return the constant that, with the X of `ipv4_header_length`, is where the data start."""
        return self._payload().constant + self.network

    def _payload(self) -> Offset:
        if self.payload is None:
            raise Refusal(
                f"where the network header starts is not known for {self.link.description}",
                "len, less, greater and link[offset] work for every link type",
            )
        return self.payload

    def known_payload(self) -> Offset:
        """Return where the payload starts. Raises: Refusal where that is not known."""
        return self._payload()


def octets_equal(layers: Layers, at: int, octets: bytes) -> Condition:
    """Return the condition that `octets` stand at `at` behind the start of the link header.

    The last of them are compared first, four, two or one at a time.
    """
    tests: list[Condition] = []
    end = len(octets)
    for width, size in ((4, WORD), (2, HALF), (1, BYTE)):
        while end >= width:
            end -= width
            value = int.from_bytes(octets[end : end + width], "big")
            tests.append(equal(layers.from_header(at + end, size), value))
    return every(*tests)

"""A compiled filter, and the function that makes one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sockwright.filters.compiler import compile_tree
from sockwright.filters.instruction import Instruction, as_c, as_numbers, as_text
from sockwright.filters.interpreter import MEMORY_WORDS, run
from sockwright.filters.link_types import find
from sockwright.filters.parser import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.filters import tree
    from sockwright.filters.explain import Explanation

__all__ = ["Filter", "compile_filter"]

_MAX_SNAPLEN = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter compiled for one link type.

    `text` is the expression, `link_type` a `LINKTYPE_` value, `live` whether it is for a socket
    rather than for a file, `instructions` the program (``sock_filter`` tuples: code, jt, jf, k),
    `tree` what was read, None for the empty expression, which accepts every packet.
    """

    text: str
    link_type: int
    live: bool
    instructions: tuple[Instruction, ...]
    tree: tree.Expression | None = field(repr=False)
    _columns: tuple[tuple[int, ...], ...] = field(repr=False, compare=False)

    def matches(self, octets: Sequence[int], original_length: int | None = None) -> bool:
        """Tell whether a packet passes: `octets` captured of `original_length` on the wire.

        Without a length the packet is taken to be whole. A packet too short for what a term looks
        at does not pass, as with libpcap, not even where ``not`` stands before that term. Of a live
        filter, loads that ask the kernel reject.
        """
        captured = len(octets)
        original = captured if original_length is None else original_length
        code, jt, jf, k = self._columns
        memory = [0] * MEMORY_WORDS
        return run(code, jt, jf, k, octets, 0, captured, original, memory) != 0

    def explain(self) -> Explanation:
        """Return in English what passes, how it was read, and which traps it runs into."""
        from sockwright.filters.explain import explain

        return explain(self)

    def disassemble(self, form: Literal["d", "dd", "ddd"] = "d") -> list[str]:
        """Return the program as lines, as ``tcpdump -d``, ``-dd`` or ``-ddd`` writes it."""
        return {"d": as_text, "dd": as_c, "ddd": as_numbers}[form](self.instructions)


def compile_filter(
    text: str, link_type: int = 1, *, live: bool = False, snaplen: int = 262_144
) -> Filter:
    """Compile an expression of pcap-filter(7) to classic BPF, for packets of `link_type`.

    The meaning is that of libpcap without its optimiser. `live` compiles for a Linux packet socket:
    VLAN tags that the kernel has taken off, directions and interfaces are asked of the kernel, and
    with the cooked link types (113, 276: the interface "any") offsets are those of a socket that
    hands packets out from their network header on. `snaplen` is what the program returns for a
    packet that passes. Names of hosts are resolved here and now.

    Raises:
        FilterError: the expression is wrong, or cannot hold for this link type; it says where.
        ValueError: `snaplen` is not in 1..4294967295.
        TypeError: the expression is no text.
    """
    if not isinstance(text, str):
        raise TypeError(f"the expression of a filter is text, not {text!r}")
    if not 0 < snaplen <= _MAX_SNAPLEN:
        raise ValueError(f"a snapshot length of {snaplen} octets is not in 1..{_MAX_SNAPLEN}")
    parsed = parse(text)
    link = find(link_type)
    program = compile_tree(text, parsed, link, live=live, snaplen=snaplen)
    columns = tuple(zip(*program, strict=True))
    return Filter(text, link.number, live, program, parsed, columns)

"""Compile a capture filter, show its program, or say in English what it accepts.

Group: learn
Stands in for: tcpdump -d
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sockwright.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

EXAMPLES = (
    ("sw filter tcp port 80", "the program that a file is read through"),
    ("sw filter --explain 'arp or ip and tcp'", "what passes, and what may surprise"),
    ("sw filter --live 'vlan 5 and icmp'", "the program for a socket, which differs for VLAN tags"),
    ("sw filter --any --format ddd udp", "for a socket on all interfaces, as numbers"),
)

_ETHERNET, _COOKED = "EN10MB", "LINUX_SLL2"


@dataclass(slots=True)
class Instruction:
    """One instruction of the program: `struct sock_filter`, and how tcpdump -d writes it."""

    columns: ClassVar[tuple[str, ...]] = ("text",)

    number: int
    code: int
    jt: int
    jf: int
    k: int
    text: str
    _format: str


@dataclass(slots=True)
class Meaning:
    """What a filter accepts, line by line; how it is read; its traps."""

    expression: str
    link_type: str
    live: bool
    passes: tuple[str, ...]
    read_as: str | None
    traps: tuple[str, ...]
    _lines: tuple[str, ...]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the expression and what it is compiled for."""
    parser.add_argument(
        "expression", nargs="*", metavar="WORD", help="the expression, as in tcpdump; none: all"
    )
    parser.add_argument(
        "--link-type", metavar="NAME", help="link type of the packets (EN10MB), by name or number"
    )
    parser.add_argument("--live", action="store_true", help="compile for a Linux packet socket")
    parser.add_argument(
        "--any", action="store_true", help="compile for a socket on all interfaces (implies --live)"
    )
    parser.add_argument(
        "--format", choices=("d", "dd", "ddd"), default="d",
        help="as tcpdump -d (text), -dd (C) or -ddd (numbers)",
    )  # fmt: skip
    parser.add_argument("--explain", action="store_true", help="say in English what passes")


def run(args: argparse.Namespace) -> Iterator[Instruction | Meaning]:
    """Yield the instructions, or what they mean.

    Raises:
        FilterError: the expression is wrong; shown with a mark under the word.
        UsageError: the link type is not known.
    """
    from sockwright.filters import LINK_TYPES, compile_filter, named

    name = args.link_type or (_COOKED if args.any else _ETHERNET)
    link_type = named(name)
    if link_type is None:
        known = ", ".join(link.name for link in LINK_TYPES)
        raise UsageError(f"the link type {name!r} is not known; names are {known}")
    live = args.live or args.any
    compiled = compile_filter(" ".join(args.expression), link_type.number, live=live)
    if args.explain:
        meaning = compiled.explain()
        yield Meaning(
            compiled.text, link_type.name, live, meaning.passes, meaning.read_as, meaning.traps,
            tuple(meaning.lines()),
        )  # fmt: skip
        return
    lines = compiled.disassemble()
    for number, (instruction, line) in enumerate(zip(compiled.instructions, lines, strict=True)):
        yield Instruction(number, *instruction, line, args.format)

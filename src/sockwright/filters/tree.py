"""The tree of an expression: what was written, each part with where it stands.

Nothing here knows link types or offsets. A `Chain` is flat, because `and` and `or` bind equally and
to the left: it reads ``((first op term) op term) …``. A chain inside a chain was in parentheses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "Arithmetic", "Binary", "ByteTest", "Chain", "Direction", "Encapsulation", "Everywhere",
    "Expression", "Head", "IPv4Text", "IPv6Text", "InterfaceIndex", "Length", "LinkText",
    "Llc", "Load", "Match", "Name", "Negative", "Not", "Number", "PacketLength", "Place",
    "Protocol", "Relation", "Value",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where words stand in the expression."""

    position: int
    length: int

    def to(self, other: Place) -> Place:
        """Return the place from the start of this to the end of `other`."""
        return Place(self.position, max(other.position + other.length - self.position, 0))


# What stands behind a head


@dataclass(frozen=True, slots=True)
class Name:
    """A name of a host, network, port or protocol; ``80-90`` is one. `escaped` by a backslash."""

    text: str
    place: Place
    escaped: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    """A number of 32 bits, in the words of `text`."""

    value: int
    place: Place
    text: str = ""


@dataclass(frozen=True, slots=True)
class IPv4Text:
    """Two to four numbers with dots (three fit a DECnet address too), a prefix length or a mask."""

    text: str
    place: Place
    prefix: int | None = None
    mask: str | None = None


@dataclass(frozen=True, slots=True)
class IPv6Text:
    """An IPv6 address with its prefix length, if one was given."""

    text: str
    place: Place
    prefix: int | None = None


@dataclass(frozen=True, slots=True)
class LinkText:
    """An Ethernet address."""

    text: str
    place: Place


Value: TypeAlias = Name | Number | IPv4Text | IPv6Text | LinkText


@dataclass(frozen=True, slots=True)
class Head:
    """What comes before an identifier: ``tcp src port``. What was not said is None.

    `direction` is "src", "dst", "either" or "both"; `kind` is "host", "net", "port",
    "portrange", "proto", "protochain" or "gateway".
    """

    protocol: str | None
    direction: str | None
    kind: str | None
    place: Place


# Terms


@dataclass(frozen=True, slots=True)
class Match:
    """An identifier with its head. `inherited`: the head is that of a term before."""

    head: Head
    value: Value
    place: Place
    inherited: bool = False


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol by its name alone; `word` is how it was written."""

    name: str
    word: str
    place: Place


@dataclass(frozen=True, slots=True)
class Everywhere:
    """``broadcast`` or ``multicast``, with the protocol before it."""

    what: str
    protocol: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Length:
    """``less N`` (at most N octets) or ``greater N`` (at least N)."""

    greater: bool
    octets: int
    place: Place


@dataclass(frozen=True, slots=True)
class ByteTest:
    """``byte OFFSET op VALUE``, an old and undocumented form."""

    offset: int
    operator: str
    value: int
    place: Place


@dataclass(frozen=True, slots=True)
class Direction:
    """``inbound`` or ``outbound``."""

    outbound: bool
    place: Place


@dataclass(frozen=True, slots=True)
class InterfaceIndex:
    """``ifindex N``."""

    index: int
    place: Place


@dataclass(frozen=True, slots=True)
class Encapsulation:
    """``vlan``, ``mpls``, ``pppoed``, ``pppoes`` or ``geneve``, with its number if one was given.

    All but pppoed move the offsets of everything that comes after, wherever that stands.
    """

    what: str
    number: int | None
    place: Place


@dataclass(frozen=True, slots=True)
class Llc:
    """``llc``, with the type behind it."""

    type: str | None
    place: Place


# Arithmetic


@dataclass(frozen=True, slots=True)
class Load:
    """``protocol[index:size]``."""

    protocol: str
    index: Arithmetic
    size: int
    place: Place


@dataclass(frozen=True, slots=True)
class PacketLength:
    """``len``: the octets that the packet had on the wire."""

    place: Place


@dataclass(frozen=True, slots=True)
class Negative:
    """Minus something, modulo 2**32."""

    operand: Arithmetic
    place: Place


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands and one of ``+ - * / % & | ^ << >>``."""

    operator: str
    left: Arithmetic
    right: Arithmetic
    place: Place


Arithmetic: TypeAlias = Number | Load | PacketLength | Negative | Binary


@dataclass(frozen=True, slots=True)
class Relation:
    """Two values and one of ``> >= = <= < !=``, compared as unsigned numbers of 32 bits."""

    operator: str
    left: Arithmetic
    right: Arithmetic
    place: Place


# What combines terms


@dataclass(frozen=True, slots=True)
class Not:
    """The term does not hold."""

    term: Expression
    place: Place


@dataclass(frozen=True, slots=True)
class Chain:
    """Terms joined by ``and`` and ``or``, from left to right."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]
    place: Place


Expression: TypeAlias = (
    Match | Protocol | Everywhere | Length | ByteTest | Direction | InterfaceIndex | Encapsulation
    | Llc | Relation | Not | Chain
)  # fmt: skip

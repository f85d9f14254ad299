"""The tree to a program, for one link type, from left to right."""

from __future__ import annotations

from sockwright.filters import tree
from sockwright.filters.addresses import address_term, broadcast_or_multicast
from sockwright.filters.arithmetic import byte_term, relation_term
from sockwright.filters.condition import Chain, Condition, Not, Test, assemble
from sockwright.filters.encapsulation import encapsulation_term
from sockwright.filters.failure import FilterError, Refusal
from sockwright.filters.instruction import (
    AD_HATYPE,
    AD_IFINDEX,
    AD_PKTTYPE,
    AD_PROTOCOL,
    BYTE,
    HALF,
    IND,
    JGE,
    JGT,
    LD_H_ABS,
    LD_IMM,
    LD_LEN,
    LD_W_ABS,
    LDX_MSH,
    SKF_AD_OFF,
    ST,
    WORD,
    Instruction,
)  # fmt: skip
from sockwright.filters.layers import Layers, equal, plain
from sockwright.filters.link_types import LINUX_SLL, LINUX_SLL2, LinkType
from sockwright.filters.ports import port_term
from sockwright.filters.protocols import llc_term, protocol_alone, protocol_term

__all__ = ["compile_tree"]

_OUTGOING = 4  # PACKET_OUTGOING, in a cooked header and of the kernel
_MOST_INSTRUCTIONS = 4096  # BPF_MAXINSNS

# What the kernel can be asked instead of loading it from the cooked header, which a socket does not
# deliver: offset and size there, offset to ask.
_COOKED = {
    LINUX_SLL.number: {(0, HALF): AD_PKTTYPE, (14, HALF): AD_PROTOCOL},
    LINUX_SLL2.number: {
        (0, HALF): AD_PROTOCOL, (4, WORD): AD_IFINDEX, (8, HALF): AD_HATYPE, (10, BYTE): AD_PKTTYPE,
    },
}  # fmt: skip


def compile_tree(
    expression: str,
    parsed: tree.Expression | None,
    link_type: LinkType,
    *,
    live: bool,
    snaplen: int,
) -> tuple[Instruction, ...]:
    """Return the program that accepts `snaplen` octets of the packets that `parsed` describes.

    Raises: FilterError where a term does not fit the link type, or the kernel could not run it.
    """
    layers = Layers(link_type, live=live)
    condition = None if parsed is None else _Compiler(expression, layers).condition(parsed)
    first: tuple[Instruction, ...] = ()
    if layers.zeroed:
        first = (plain(LD_IMM, 0), *(plain(ST, register) for register in layers.zeroed))
    program = assemble(condition, snaplen, first)
    if not live:
        return program
    if len(program) > _MOST_INSTRUCTIONS:
        raise FilterError(
            expression, 0, len(expression),
            f"the program has {len(program)} instructions, the kernel takes {_MOST_INSTRUCTIONS}",
            "filter a file by it, or say it shorter: net and portrange for lists",
        )  # fmt: skip
    if link_type.number in _COOKED:
        return tuple(_uncook(expression, instruction, link_type) for instruction in program)
    return program


def _uncook(expression: str, instruction: Instruction, link_type: LinkType) -> Instruction:
    """Make a load from a cooked packet one from what the socket of "any" delivers.

    Such a socket hands the packet out from its network header on; libpcap makes the cooked header
    in front of it later.
    """
    code, _, _, k = instruction
    size = code & 0x18
    indirect = code in {BYTE + IND, HALF + IND, WORD + IND}
    if not indirect and code not in {BYTE, HALF, WORD, LDX_MSH}:
        return instruction
    header = link_type.size or 0
    if k >= SKF_AD_OFF:
        return instruction
    if k >= header:
        return instruction._replace(k=k - header)
    asked = _COOKED[link_type.number].get((k, WORD | size))
    if asked is None or indirect or code == LDX_MSH:
        raise FilterError(
            expression, 0, len(expression),
            f"the kernel has no octet {k} of the header of {link_type.description}",
            "live on the interface any, only its protocol, direction and index can be asked for",
        )  # fmt: skip
    return instruction._replace(k=SKF_AD_OFF + asked)


class _Compiler:
    """Turns terms into conditions; what they refuse becomes an error with their place."""

    def __init__(self, expression: str, layers: Layers) -> None:
        self._expression = expression
        self._layers = layers

    def condition(self, node: tree.Expression) -> Condition:
        match node:
            case tree.Chain(first, rest):
                start = self.condition(first)
                return Chain(
                    start,
                    tuple((operator == "and", self.condition(term)) for operator, term in rest),
                )
            case tree.Not(term):
                return Not(self.condition(term))
        try:
            return self._term(node)
        except Refusal as refusal:
            place = node.value.place if isinstance(node, tree.Match) else node.place
            raise FilterError(
                self._expression, place.position, place.length, refusal.reason, refusal.hint
            ) from None

    def _term(self, node: tree.Expression) -> Condition:
        layers = self._layers
        match node:
            case tree.Match():
                return self._match(node)
            case tree.Protocol(name):
                return protocol_alone(name, layers)
            case tree.Relation():
                return relation_term(node, layers)
            case tree.Everywhere():
                return broadcast_or_multicast(node, layers)
            case tree.Length(greater, octets):
                test = Test((plain(LD_LEN),), JGE if greater else JGT, octets)
                return test if greater else Not(test)
            case tree.Encapsulation():
                return encapsulation_term(node, layers)
            case tree.Llc():
                return llc_term(node, layers)
            case tree.Direction(outbound):
                test = self._outgoing("outbound" if outbound else "inbound")
                return test if outbound else Not(test)
            case tree.InterfaceIndex(index):
                return self._interface(index)
            case tree.ByteTest():
                return byte_term(node, layers)
        raise AssertionError(node)  # pragma: no cover  # combinations are handled above

    def _match(self, node: tree.Match) -> Condition:
        match node.head.kind:
            case None | "host" | "net":
                return address_term(node, self._layers)
            case "port" | "portrange":
                return port_term(node, self._layers)
            case "gateway":
                raise Refusal(
                    "gateway is not supported, neither here nor by libpcap with IPv6",
                    "write ether host ADDRESS and not host ADDRESS",
                )
        return protocol_term(node, self._layers)

    def _outgoing(self, word: str) -> Test:
        layers = self._layers
        if layers.link is LINUX_SLL:
            return equal(layers.from_header(0, HALF), _OUTGOING)
        if layers.link is LINUX_SLL2:
            return equal(layers.from_header(10, BYTE), _OUTGOING)
        if layers.live:
            return equal((plain(LD_H_ABS, SKF_AD_OFF + AD_PKTTYPE),), _OUTGOING)
        raise Refusal(
            f"a capture file of {layers.link.description} does not tell directions",
            f"{word} works live, and in files of the interface any",
        )

    def _interface(self, index: int) -> Test:
        layers = self._layers
        if layers.link is LINUX_SLL2:
            return equal(layers.from_header(4, WORD), index)
        if layers.live:
            return equal((plain(LD_W_ABS, SKF_AD_OFF + AD_IFINDEX),), index)
        raise Refusal(
            f"a capture file of {layers.link.description} does not tell interfaces",
            "ifindex works live, and in files of the interface any (LINUX_SLL2)",
        )

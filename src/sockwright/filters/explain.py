"""What a filter accepts, in English, and which traps of the language it runs into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockwright.filters import tree
from sockwright.filters.link_types import ETHERNET, find
from sockwright.filters.protocols import IP_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sockwright.filters.filter import Filter

__all__ = ["Explanation", "explain"]

_SIDES = {
    None: "source or destination", "either": "source or destination", "src": "source",
    "dst": "destination", "both": "source and destination",
}  # fmt: skip
_ANY_OF = {None: "TCP, UDP or SCTP", "tcp": "TCP", "udp": "UDP", "sctp": "SCTP"}
_TITLES: Mapping[str, str] = {
    "ip": "IPv4", "ip6": "IPv6", "arp": "ARP", "rarp": "RARP", "link": "the link header",
    "icmp6": "ICMPv6", "decnet": "DECnet", "atalk": "AppleTalk", "aarp": "AppleTalk ARP",
    "stp": "spanning tree", "iso": "OSI (CLNS)", "isis": "IS-IS", "esis": "ES-IS",
    "netbeui": "NetBEUI", "l1": "IS-IS level 1", "l2": "IS-IS level 2", "iih": "IS-IS hello",
    "mopdl": "MOP dump/load", "moprc": "MOP remote console",
}  # fmt: skip
_COMPARED = {
    "=": "is", "!=": "is not", "<": "is less than", "<=": "is at most", ">": "is more than",
    ">=": "is at least",
}  # fmt: skip
_NESTED = {
    "vlan": ("a VLAN tag", "VLAN identifier"), "mpls": ("an MPLS label", "label"),
    "pppoed": ("PPPoE discovery", ""), "pppoes": ("a PPPoE session", "session"),
    "geneve": ("Geneve (UDP port 6081)", "network identifier"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a filter means: `where` it holds, lines of `passes`, `read_as`, and `traps`.

    `read_as` is the expression with every head and parenthesis written out, None where that tells
    nothing new.
    """

    where: str
    passes: tuple[str, ...]
    read_as: str | None
    traps: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return it as text."""
        if not self.passes:
            return [f"Every packet passes ({self.where})."]
        lines = [f"A packet passes ({self.where}) when", *self.passes]
        if self.read_as is not None:
            lines += ["", "Read as", f"  {self.read_as}"]
        if self.traps:
            lines += ["", "Beware", *(f"  - {trap}" for trap in self.traps)]
        return lines


def explain(compiled: Filter) -> Explanation:
    """Return what passes, how the expression was read where that may surprise, and its traps."""
    link = find(compiled.link_type)
    where = f"{link.description}, {'on a live socket' if compiled.live else 'in a file'}"
    node = compiled.tree
    if node is None:
        return Explanation(where, (), None, ())
    read_as = _grouped(node) if isinstance(node, tree.Chain) or _inherits(node) else None
    traps = tuple(dict.fromkeys(_traps(node, compiled)))
    return Explanation(where, tuple(_tree(node, 1)), read_as, traps)


# What passes


def _tree(node: tree.Expression, level: int) -> list[str]:
    """Return the condition as lines: one for each term, indented below what joins them."""
    indent = "  " * level
    if isinstance(node, tree.Not) and isinstance(node.term, tree.Chain):
        return [f"{indent}it is not so that", *_tree(node.term, level + 1)]
    if not isinstance(node, tree.Chain):
        return [indent + _phrase(node)]
    lines = _tree(node.first, level)
    for place, (operator, term) in enumerate(node.rest):
        before = node.rest[place - 1][0] if place else operator
        # Where the operator changes, all that came before is one side of it.
        word = operator if operator == before else f"{operator}, with all of the above on one side,"
        if isinstance(term, tree.Chain):
            lines += [f"{indent}{word}", *_tree(term, level + 1)]
        else:
            lines.append(f"{indent}{word} {_phrase(term)}")
    return lines


def _phrase(node: tree.Expression) -> str:
    match node:
        case tree.Not(term):
            return f"it is not so that {_phrase(term)}"
        case tree.Chain():
            return f"({_grouped(node)})"
        case tree.Match():
            return _match(node)
        case tree.Protocol(name):
            return _protocol(name)
        case tree.Everywhere(what, protocol):
            kind = {"ip": "IPv4 destination", "ip6": "IPv6 destination"}.get(protocol or "")
            return f"the {kind or 'link-layer destination'} is a {what} address"
        case tree.Length(greater, octets):
            most = "at least" if greater else "at most"
            return f"it had {most} {octets} octets on the wire"
        case tree.ByteTest(offset, operator, value):
            return f"octet {offset} of the link header {_COMPARED.get(operator, operator)} {value}"
        case tree.Direction(outbound):
            return "this machine sent it" if outbound else "this machine did not send it"
        case tree.InterfaceIndex(index):
            return f"it passed the interface of index {index}"
        case tree.Encapsulation(what, number):
            title, name = _NESTED[what]
            return f"it has {title}" + (f", {name} {number}" if number is not None else "")
        case tree.Llc(kind):
            return "it has an LLC header" + (f" of type {kind}" if kind else "")
        case tree.Relation(operator, left, right):
            return f"{_arithmetic(left)} {_COMPARED[operator]} {_arithmetic(right)}"


def _match(node: tree.Match) -> str:
    head, value = node.head, _value(node.value)
    side = _SIDES[head.direction]
    if head.kind == "port":
        return f"the {side} port of {_ANY_OF[head.protocol]} is {value}"
    if head.kind == "portrange":
        return f"the {side} port of {_ANY_OF[head.protocol]} is in the range {value}"
    if head.kind in {"proto", "protochain"}:
        carrier = "IPv4 or IPv6" if head.protocol is None else _title(head.protocol)
        if head.kind == "protochain":
            return f"a header of protocol {value} is in the chain of headers of {carrier}"
        return f"{carrier} carries protocol {value}"
    net = "is in the network" if head.kind == "net" else "is"
    if head.protocol == "link":
        return f"the Ethernet {side} {net} {value}"
    if head.protocol is None:
        six = isinstance(node.value, tree.IPv6Text)
        family = "IPv6" if six else "IPv4, ARP or RARP"
        if isinstance(node.value, tree.Name):
            family = "IPv4, IPv6, ARP or RARP"
        return f"the {family} {side} {net} {value}"
    return f"the {_title(head.protocol)} {side} {net} {value}"


def _protocol(name: str) -> str:
    if name in IP_NUMBERS:
        number, versions = IP_NUMBERS[name]
        over = " or ".join(_title(version) for version in versions)
        return f"it is {_title(name)} (protocol {number}) over {over}"
    return f"it is {_title(name)}"


def _title(name: str) -> str:
    return _TITLES.get(name, name.upper())


def _value(value: tree.Value) -> str:
    match value:
        case tree.Number(number, _, text):
            return f"{text} ({number})" if text and text != str(number) else str(number)
        case tree.IPv4Text(text, _, prefix, mask):
            if mask is not None:
                return f"{text} with the mask {mask}"
            return text if prefix is None else f"{text}/{prefix}"
        case tree.IPv6Text(text, _, prefix):
            return text if prefix is None else f"{text}/{prefix}"
    return value.text


def _arithmetic(part: tree.Arithmetic) -> str:
    match part:
        case tree.Number(number, _, text):
            return f"{text} ({number})" if text and text != str(number) else str(number)
        case tree.PacketLength():
            return "the length on the wire"
        case tree.Negative(operand):
            return f"-{_arithmetic(operand)}"
        case tree.Binary(operator, left, right):
            return f"({_arithmetic(left)} {operator} {_arithmetic(right)})"
        case tree.Load(protocol, index, size):
            what = {1: "octet", 2: "the 16 bits at", 4: "the 32 bits at"}[size]
            return f"{what} {_arithmetic(index)} of {_title(protocol)}"


# How it was read


def _grouped(node: tree.Expression) -> str:
    """Return the expression with every head and every parenthesis written out."""
    match node:
        case tree.Chain(first, rest):
            text = _grouped(first)
            for place, (operator, term) in enumerate(rest):
                if place and rest[place - 1][0] != operator:
                    text = f"({text})"
                side = f"({_grouped(term)})" if isinstance(term, tree.Chain) else _grouped(term)
                text = f"{text} {operator} {side}"
            return text
        case tree.Not(term):
            inner = _grouped(term)
            return f"not ({inner})" if isinstance(term, tree.Chain) else f"not {inner}"
        case tree.Match(head, value):
            words = [
                {"link": "ether"}.get(head.protocol or "", head.protocol),
                {"either": "src or dst", "both": "src and dst"}.get(
                    head.direction or "", head.direction
                ),
                head.kind or "host",
                ("\\" if isinstance(value, tree.Name) and value.escaped else "") + _written(value),
            ]
            return " ".join(word for word in words if word)
        case tree.Relation(operator, left, right):
            return f"{_formula(left)} {operator} {_formula(right)}"
        case tree.Everywhere(what, protocol):
            name = {"link": "ether"}.get(protocol or "", protocol)
            return f"{name} {what}" if name else what
        case tree.Length(greater, octets):
            return f"{'greater' if greater else 'less'} {octets}"
        case tree.ByteTest(offset, operator, number):
            return f"byte {offset} {operator} {number}"
        case tree.Direction(outbound):
            return "outbound" if outbound else "inbound"
        case tree.InterfaceIndex(index):
            return f"ifindex {index}"
        case tree.Encapsulation(what, label):
            return what if label is None else f"{what} {label}"
        case tree.Llc(kind):
            return f"llc {kind}" if kind else "llc"
        case tree.Protocol():
            return node.word


def _written(value: tree.Value) -> str:
    if isinstance(value, tree.IPv4Text) and value.mask is not None:
        return f"{value.text} mask {value.mask}"
    if isinstance(value, tree.IPv4Text | tree.IPv6Text) and value.prefix is not None:
        return f"{value.text}/{value.prefix}"
    return value.text or str(getattr(value, "value", ""))


def _formula(part: tree.Arithmetic) -> str:
    match part:
        case tree.Number(number, _, text):
            return text or str(number)
        case tree.PacketLength():
            return "len"
        case tree.Negative(operand):
            return f"(-{_formula(operand)})"
        case tree.Binary(operator, left, right):
            return f"({_formula(left)} {operator} {_formula(right)})"
        case tree.Load(protocol, index, size):
            name = {"link": "ether"}.get(protocol, protocol)
            return f"{name}[{_formula(index)}{f':{size}' if size > 1 else ''}]"


# Traps


def _mixed(node: tree.Expression) -> bool:
    return isinstance(node, tree.Chain) and len({operator for operator, _ in node.rest}) > 1


def _inherits(node: tree.Expression) -> bool:
    return any(isinstance(one, tree.Match) and one.inherited for one in _nodes(node))


def _nodes(node: tree.Expression) -> Iterator[tree.Expression]:
    """Yield `node` and all in it, in the order in which they are written."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, tree.Chain):
            waiting += [term for _, term in reversed(one.rest)]
            waiting.append(one.first)
        elif isinstance(one, tree.Not):
            waiting.append(one.term)


def _loads(part: tree.Arithmetic) -> Iterator[tree.Load]:
    match part:
        case tree.Load(_, index, _):
            yield part
            yield from _loads(index)
        case tree.Negative(operand):
            yield from _loads(operand)
        case tree.Binary(_, left, right):
            yield from _loads(left)
            yield from _loads(right)


def _traps(node: tree.Expression, compiled: Filter) -> Iterator[str]:
    """Yield what may surprise, in the order of the expression."""
    nodes = list(_nodes(node))
    for place, one in enumerate(nodes):
        if _mixed(one):
            yield (
                "and, or bind equally, from the left: parentheses say what belongs together, as"
                " under 'Read as'"
            )
        match one:
            case tree.Match():
                yield from _match_traps(one)
            case tree.Protocol(name) if name in IP_NUMBERS and "ip6" in IP_NUMBERS[name][1]:
                yield (
                    f"over IPv6 {_title(name)} is found directly behind the fixed header or one"
                    " fragment header, not behind other extension headers (protochain walks them)"
                )
            case tree.Relation():
                yield from _relation_traps(one)
            case tree.Encapsulation(what) if what != "pppoed":
                if place + 1 < len(nodes):
                    yield (
                        f"{what} moves the offsets of everything behind it, also behind or and"
                        f" outside its parentheses: later terms look inside {_NESTED[what][0]}"
                    )
                if what == "vlan" and not compiled.live and compiled.link_type == ETHERNET.number:
                    yield (
                        "Linux takes VLAN tags off before sockets see them: the program for a"
                        " socket differs (--live)"
                    )
            case tree.Everywhere("broadcast", "ip"):
                yield (
                    "ip broadcast is 0.0.0.0 and 255.255.255.255 here: no interface, so no network"
                    " mask is known"
                )
            case tree.Not():
                yield (
                    "a packet that is too short for what a term looks at does not pass, not even"
                    " under not"
                )


def _match_traps(one: tree.Match) -> Iterator[str]:
    head = one.head
    if one.inherited:
        word = " ".join(word for word in (head.protocol, head.direction, head.kind) if word)
        yield (
            f"{_value(one.value)} stands alone and takes the head {word!r} of the term before it;"
            " a not before that one does not reach it"
        )
    if head.kind in {"port", "portrange"}:
        yield (
            "fragments of IPv4 but the first have no ports, so no port matches them; nor does one"
            " behind extension headers of IPv6"
        )
    addresses = head.kind in {None, "host", "net"} and not isinstance(one.value, tree.IPv6Text)
    if addresses and head.protocol is None:
        kind = head.kind or "host"
        yield f"{kind} looks into ARP and RARP too; ip {kind} does not"
    if head.kind == "proto" and head.protocol in {None, "ip6"}:
        yield (
            "extension headers of IPv6 are not walked, but for one fragment header; protochain"
            " walks them"
        )


def _relation_traps(one: tree.Relation) -> Iterator[str]:
    loads = [*_loads(one.left), *_loads(one.right)]
    for load in loads:
        if load.protocol in IP_NUMBERS and load.protocol != "icmp6":
            yield (
                f"{load.protocol}[…] reads IPv4 alone, and of fragments the first;"
                " over IPv6 it never holds"
            )
        elif load.protocol == "icmp6":
            yield "icmp6[…] needs ICMPv6 directly behind the fixed header of IPv6"
    if (
        any(isinstance(side, tree.Binary) for side in (one.left, one.right))
        and len({load.protocol for load in loads}) > 1
    ):
        yield (
            "an operator checks the protocol of its left operand alone: the right one is read"
            " from whatever stands there"
        )

"""Terms on ports: port and portrange, of TCP, UDP and SCTP.

Of IPv4 only the first fragment has ports, and later ones are left out; of IPv6 ports are looked for
right behind the fixed header, so extension headers hide them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.filters import names, tree
from sockwright.filters.carriers import IP, IP6, carries
from sockwright.filters.condition import Condition, Not, every, some
from sockwright.filters.failure import Refusal
from sockwright.filters.instruction import BYTE, HALF
from sockwright.filters.layers import above, at_least, bit_set, equal

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.filters.condition import Statements
    from sockwright.filters.layers import Layers

    # The condition on the port at an offset (0 source, 2 destination).
    Atom = Callable[[int], Condition]
    # What loads so many octets at an offset of the transport header.
    Load = Callable[[int, int], Statements]

__all__ = ["first_fragment", "port_term", "udp_to"]

_PROTOCOLS = {"tcp": names.TCP, "udp": names.UDP, "sctp": names.SCTP}
_NAMES = {number: name for name, number in _PROTOCOLS.items()}
_FRAGMENT_OFFSET = 0x1FFF
_LARGEST_PORT = 0xFFFF


def port_term(match: tree.Match, layers: Layers) -> Condition:
    """Compile ``[tcp|udp|sctp] [dir] port|portrange id``.

    Raises: Refusal where there is no such port, or the protocol has none.
    """
    head, value = match.head, match.value
    kind = head.kind or ""
    if head.protocol is not None and head.protocol not in _PROTOCOLS:
        raise Refusal(f"{head.protocol} has no ports", "tcp, udp or sctp fits, or none of them")
    wanted = None if head.protocol is None else _PROTOCOLS[head.protocol]
    low, high, protocol = _numbers(value, kind)
    if wanted is not None and protocol not in {None, wanted}:
        raise Refusal(f"the port is one of {_NAMES[protocol or 0]}, not of {head.protocol}")
    protocol = protocol if wanted is None else wanted
    low, high = min(low, high), max(low, high)

    def atom4(at: int) -> Condition:
        return _between(layers.from_transport4, at, low, high, one=kind == "port")

    def atom6(at: int) -> Condition:
        return _between(layers.from_transport6, at, low, high, one=kind == "port")

    return some(
        _version6(protocol, head.direction, atom6, layers),
        _version4(protocol, head.direction, atom4, layers),
    )


def first_fragment(layers: Layers) -> Condition:
    """Return the condition that an IPv4 packet is no fragment, or the first one."""
    return Not(bit_set(layers.from_network(6, HALF), _FRAGMENT_OFFSET))


def udp_to(layers: Layers, port: int, version: int) -> Condition:
    """Return the condition of UDP over IPv4 or IPv6 to `port`."""
    if version == 4:
        return _version4(
            names.UDP, "dst", lambda at: equal(layers.from_transport4(at, HALF), port), layers
        )
    return _version6(
        names.UDP, "dst", lambda at: equal(layers.from_transport6(at, HALF), port), layers
    )


def _numbers(value: tree.Value, kind: str) -> tuple[int, int, int | None]:
    match value:
        case tree.Number(number):
            if number > _LARGEST_PORT:
                raise Refusal(f"{number} is no port", "a port is at most 65535")
            return number, number, None
        case tree.Name(text) if kind == "portrange":
            return names.port_range(text)
        case tree.Name(text):
            try:
                port, protocol = names.port_number(text)
            except Refusal as refusal:
                if "-" in text and text.replace("-", "").isdecimal():
                    raise Refusal(f"{text} is no port", f"write portrange {text}") from None
                raise refusal from None
            return port, port, protocol
        case tree.LinkText(text):
            raise Refusal(f"{text} is an Ethernet address, no port")
        case tree.IPv4Text(text) | tree.IPv6Text(text):
            raise Refusal(f"{text} is an address, no port", f"write host {text}")


def _version4(protocol: int | None, direction: str | None, atom: Atom, layers: Layers) -> Condition:
    def of(number: int) -> Condition:
        announced = equal(layers.from_network(9, BYTE), number)
        return every(announced, first_fragment(layers), _sides(direction, atom))

    return every(carries(layers, IP), _any_protocol(protocol, of))


def _version6(protocol: int | None, direction: str | None, atom: Atom, layers: Layers) -> Condition:
    def of(number: int) -> Condition:
        return every(equal(layers.from_network(6, BYTE), number), _sides(direction, atom))

    return every(carries(layers, IP6), _any_protocol(protocol, of))


def _any_protocol(protocol: int | None, of: Callable[[int], Condition]) -> Condition:
    if protocol is not None:
        return of(protocol)
    return some(of(names.SCTP), of(names.TCP), of(names.UDP))


def _between(load: Load, at: int, low: int, high: int, *, one: bool) -> Condition:
    if one:
        return equal(load(at, HALF), low)
    return every(
        at_least(load(at, HALF), low),
        Not(above(load(at, HALF), high)),
    )


def _sides(direction: str | None, atom: Atom) -> Condition:
    if direction == "src":
        return atom(0)
    if direction == "dst":
        return atom(2)
    if direction == "both":
        return every(atom(0), atom(2))
    return some(atom(0), atom(2))

"""Which ports to ask: ``-p`` and ``--top``.

    ports = part *("," part)
    part  = ["T:" / "U:"] (number / [number] "-" [number] / name)

``T:`` and ``U:`` hold until the next of them; before any, a port is meant for TCP and UDP alike.
The ends of a range are 1 and 65535 where they are left out, so ``-`` is every port; port 0 has to
be written. Names are those of our list and of services(5), and may have ``*`` and ``?``.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from sockwright.errors import TargetError
from sockwright.scan.targets.syntax import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sockwright.scan.results import Protocol

__all__ = ["PortSet", "frequent_ports", "parse_port_set", "top_ports"]

_PREFIXES: Final[dict[str, Protocol]] = {"T": "tcp", "U": "udp"}
_EXAMPLES: Final = "22,80,8000-8100,U:53,T:1-100,http*,-"


class PortSet(NamedTuple):
    """Ports of TCP and of UDP, each sorted; `named` has the protocols that a prefix named."""

    tcp: tuple[int, ...]
    udp: tuple[int, ...]
    named: frozenset[Protocol] = frozenset()


def parse_port_set(
    ports: str | int | Iterable[int | str], protocols: tuple[Protocol, ...] = ("tcp", "udp")
) -> PortSet:
    """Read what was written for ``-p``, or numbers and such texts in any mixture.

    `protocols` are those that a port without ``T:`` or ``U:`` is meant for; of several texts each
    begins anew with them.

    Raises:
        TargetError: it is not well formed, nothing has such a name, or no port is named.
        TypeError: it is neither text nor a whole number, nor several of them.
    """
    chosen: dict[Protocol, set[int]] = {"tcp": set(), "udp": set()}
    named: set[Protocol] = set()
    for one in _each(ports):
        if isinstance(one, str):
            _read(one, protocols, chosen, named)
        else:
            for protocol in protocols:
                chosen[protocol].add(one)
    if not (chosen["tcp"] or chosen["udp"]):
        raise TargetError(f"no port is named; what fits: {_EXAMPLES}")
    return PortSet(tuple(sorted(chosen["tcp"])), tuple(sorted(chosen["udp"])), frozenset(named))


def _each(ports: str | int | Iterable[int | str]) -> Iterator[int | str]:
    """Yield each text and number of them. Raises: TargetError, TypeError."""
    several = [ports] if isinstance(ports, str | int) else ports
    # Octets are numbers, too, but hardly those of ports.
    if isinstance(several, bytes | bytearray) or not hasattr(several, "__iter__"):
        raise TypeError(f"ports takes text, numbers, or several of them, not {ports!r}")
    for one in several:
        if isinstance(one, bool) or not isinstance(one, str | int):
            raise TypeError(f"a port is a whole number or text, not {one!r}")
        if isinstance(one, int) and not 0 <= one <= 65535:
            raise TargetError(f"a port is a number from 0 to 65535, not {one}")
        yield one


def _read(
    text: str,
    meant: tuple[Protocol, ...],
    chosen: dict[Protocol, set[int]],
    named: set[Protocol],
) -> None:
    """Add the ports that one text stands for. Raises: TargetError."""
    for part in text.replace(" ", "").split(","):
        prefix, colon, rest = part.rpartition(":")
        if colon:
            protocol = _PREFIXES.get(prefix.upper())
            if protocol is None:
                raise TargetError(
                    f"{quoted(part)}: T: is for TCP and U: for UDP; what fits: {_EXAMPLES}"
                )
            meant = (protocol,)
            named.add(protocol)
        if not rest:
            raise TargetError(f"{quoted(text)}: a port is missing; what fits: {_EXAMPLES}")
        numbers = _range(rest)
        found = False
        for protocol in meant:
            ports = _named(rest, protocol) if numbers is None else numbers
            chosen[protocol].update(ports)
            found = found or bool(ports)
        if not found:
            raise TargetError(
                f"{quoted(rest)} is neither a port nor the name of a service; {_hint(rest, meant)}"
            )


def _hint(name: str, protocols: tuple[Protocol, ...]) -> str:
    """Return the name that is likely meant, or what would fit."""
    from sockwright.filters.words import near

    known = {
        known_name: None
        for protocol in protocols
        for names in (frequent_ports(protocol), _services(protocol))
        for _, known_name in names
    }
    guess = near(name, known)
    return f"did you mean {guess}?" if guess else f"what fits: {_EXAMPLES}"


def _range(text: str) -> range | None:
    """Return the ports that a number or a range stands for; None for a name."""
    low, dash, high = text.partition("-")
    if not all(end.isascii() and end.isdecimal() for end in (low, high) if end):
        return None
    first = int(low) if low else 1
    last = int(high) if high else 65535 if dash else first
    if first > 65535 or last > 65535:
        raise TargetError(f"{quoted(text)}: a port is a number from 0 to 65535")
    if first > last:
        raise TargetError(f"{quoted(text)}: the range ends before it begins")
    return range(first, last + 1)


def _named(pattern: str, protocol: Protocol) -> set[int]:
    """Return the ports of a protocol whose service has a name that fits."""
    pattern = pattern.lower()
    if "*" not in pattern and "?" not in pattern:
        ours = {port for port, name in frequent_ports(protocol) if name == pattern}
        if ours:
            return ours
        try:
            return {socket.getservbyname(pattern, protocol)}
        except OSError:
            return set()
    from fnmatch import fnmatchcase

    return {
        port
        for names in (frequent_ports(protocol), _services(protocol))
        for port, name in names
        if fnmatchcase(name, pattern)
    }


def _services(protocol: Protocol) -> Iterator[tuple[int, str]]:
    """Yield what /etc/services says, in the form of services(5); nothing where there is none."""
    try:
        with open("/etc/services", encoding="utf-8", errors="replace") as lines:  # noqa: PTH123  # pathlib costs 5 ms
            for line in lines:
                words = line.partition("#")[0].split()
                port, _, kind = words[1].partition("/") if len(words) > 1 else ("", "", "")
                if kind == protocol and port.isdecimal():
                    yield from ((int(port), name.lower()) for name in (words[0], *words[2:]))
    except OSError:
        return


def top_ports(count: int, protocol: Protocol) -> tuple[int, ...]:
    """Return the first ports of our list of frequently used ones, sorted.

    Raises:
        TargetError: there are fewer.
    """
    listed = [port for port, _ in frequent_ports(protocol)]
    if not 1 <= count <= len(listed):
        raise TargetError(
            f"the list of {protocol.upper()} ports has {len(listed)}: 1 to {len(listed)} of them,"
            " or -p- for all 65535"
        )
    return tuple(sorted(listed[:count]))


def frequent_ports(protocol: Protocol) -> Iterator[tuple[int, str]]:
    """Yield the ports that are worth asking first, and what uses them, subject by subject.

    They stand in ``frequent_tcp.txt`` and ``frequent_udp.txt`` beside this file, with the sources
    and what the order rests on. `top_ports` takes them in that order.
    """
    path = os.path.join(os.path.dirname(__file__), f"frequent_{protocol}.txt")  # noqa: PTH118, PTH120  # pathlib costs a start 5 ms
    with open(path, encoding="ascii") as lines:  # noqa: PTH123  # as above
        for line in lines:
            for word in line.partition("#")[0].split():
                port, _, name = word.partition("/")
                yield int(port), name

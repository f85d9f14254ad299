"""HOST SYNTAX of ss(8): ``[FAMILY:]ADDRESS[:PORT]`` to conditions."""

from __future__ import annotations

import re
import socket

from sockwright.sockets.diag.filter import names
from sockwright.sockets.diag.filter.conditions import Condition, Either, Port
from sockwright.sockets.diag.filter.hosts import AnyHost, InetHost
from sockwright.sockets.diag.filter.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["FAMILIES", "Reading", "parse_host", "parse_port"]

FAMILIES = ("inet", "inet6", "unix", "link", "netlink", "vsock")
"""The families that a host can be of."""

_INET = (None, "inet", "inet6")
_ANY = frozenset(("", "*", "any", "all", "default"))
_MOST_PORT = 0xFFFF
_IPV4 = re.compile(r"[0-9a-fA-FxX]+(?:\.[0-9a-fA-FxX]+){0,3}")


class Reading:
    """How words are read.

    `family` is that of hosts that name none, `protocols` those whose services name ports.
    """

    __slots__ = ("family", "protocols")

    def __init__(
        self, family: str | None = None, protocols: Collection[str] = ("tcp", "udp")
    ) -> None:
        self.family = family
        self.protocols = protocols


def parse_host(side: str, text: str, reading: Reading) -> Condition:
    """Return the condition that `side` ("src", "dst") is the host `text`. Raises: Refusal."""
    named, body, offset = _family(text)
    family = named or reading.family
    try:
        if family not in _INET:
            from sockwright.sockets.diag.filter import other_host_syntax

            return other_host_syntax.parse_host(side, family, body)
        return _inet(side, body, family, reading)
    except Refusal as error:
        raise error.behind(offset, len(body)) from None


def parse_port(side: str, operator: str, text: str, reading: Reading) -> Condition:
    """Return the condition that the port of `side` compares so with ``[FAMILY:][:]PORT``.

    Raises: Refusal.
    """
    named, body, offset = _family(text)
    family = named or reading.family
    if family == "unix":
        word = "src" if side == "src" else "dst"
        raise Refusal("Unix sockets have no ports", f"{word} takes a pattern of their names")
    if body.startswith(":"):
        body = body[1:]
        offset += 1
    if body in {"", "*"}:
        return _any_port(side, operator, body, family)
    try:
        return _one_port(side, operator, body, family, reading)
    except Refusal as error:
        raise error.behind(offset, len(body)) from None


def _one_port(
    side: str, operator: str, body: str, family: str | None, reading: Reading
) -> Condition:
    if family not in _INET:
        from sockwright.sockets.diag.filter import other_host_syntax

        return other_host_syntax.parse_port(side, operator, family, body)
    if ":" in body or "." in body:
        hint = f"for addresses there is {side}: {side} 10.0.0.1:22"
        raise Refusal(f"{body!r} is no port", hint)
    return Port(side, operator, _port(body, reading), family)


def _any_port(side: str, operator: str, body: str, family: str | None) -> Condition:
    if not body:
        raise Refusal("a port is missing", "a number, the name of a service, or *")
    if operator != "=":
        raise Refusal(f"* stands for every port: {operator} leaves none", "write a number")
    return AnyHost(side, family)


def _family(text: str) -> tuple[str | None, str, int]:
    """Return the family that `text` names, the rest, and where that starts."""
    head, colon, rest = text.partition(":")
    if colon and head in FAMILIES:
        return head, rest, len(head) + 1
    return None, text, 0


def _inet(side: str, text: str, family: str | None, reading: Reading) -> Condition:
    address, prefix, port_text = _divide(text)
    at = len(text) - len(port_text)
    port = None
    if port_text not in {"", "*"}:
        try:
            port = _port(port_text, reading)
        except Refusal as error:
            raise error.behind(at, len(port_text)) from None
    if address in _ANY:
        if prefix:
            raise Refusal(f"{address!r} has no prefix", "0.0.0.0/0 and [::]/0 have")
        return AnyHost(side, family) if port is None else Port(side, "=", port, family)
    if ":" in address or _IPV4.fullmatch(address):
        found = _address(address, family)
        if found is not None:
            bits = _prefix(prefix, found, text) if prefix else None
            return InetHost(side, found, bits, port, family)
    if prefix:
        raise Refusal(f"{address!r} is no address, so it has no prefix",
                      "10.0.0.0/8 and [2001:db8::/32] fit")  # fmt: skip
    found_all = names.host_addresses(address, family)
    hosts = [InetHost(side, one, None, port, family) for one in found_all]
    return hosts[0] if len(hosts) == 1 else Either(hosts)


def _divide(text: str) -> tuple[str, str, str]:
    """Divide ``ADDRESS[/PREFIX][:PORT]`` or ``[ADDRESS[/PREFIX]][/PREFIX][:PORT]``."""
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise Refusal("the bracket is not closed", "an IPv6 address stands in [ ]: [::1]:80")
        address, _, prefix = inside.partition("/")
        if rest.startswith("/") and not prefix:
            prefix, _, port = rest[1:].partition(":")
            return address, prefix or "?", port
        if rest and not rest.startswith(":"):
            raise Refusal(f"{rest!r} follows the address", ": and a port fit", len(inside) + 2,
                          len(rest))  # fmt: skip
        return address, prefix, rest[1:]
    address, slash, behind = text.partition("/")
    if slash:
        prefix, _, port = behind.partition(":")
        return address, prefix or "?", port
    address, _, port = text.rpartition(":") if ":" in text else (text, "", "")
    # ss takes the last colon for that of a port, so ::1:22 has one. Where that leaves no address,
    # brackets are missing.
    halved = address.endswith(":") and not address.endswith("::")
    if halved or (_is_ipv6(text) and not (_is_ipv6(address) and port.isalnum())):
        raise Refusal(f"which of these colons is that of a port: {text}",
                      f"an IPv6 address stands in brackets: [{text}]")  # fmt: skip
    return address, "", port


def _is_ipv6(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return False
    return True


def _address(text: str, family: str | None) -> str | None:
    """Return the address as inet_ntop(3) writes it; None where it is none."""
    if ":" in text:
        if not _is_ipv6(text):
            raise Refusal(f"{text!r} is no IPv6 address", "", 0, None)
        if family == "inet":
            raise Refusal(f"{text} is an IPv6 address, not one of the family inet", "inet6 fits")
        return text
    parts = [names.number(part) for part in text.split(".")]
    octets = [part for part in parts if part is not None and part <= 0xFF]
    if len(octets) < len(parts):
        if text.replace(".", "").isdecimal():
            raise Refusal(f"{text!r} is no IPv4 address", "four numbers of at most 255")
        return None
    if family == "inet6":
        raise Refusal(f"{text} is an IPv4 address, not one of the family inet6",
                      f"[::ffff:{text}] is how IPv6 writes it")  # fmt: skip
    # As ss has it, what is left out are zeros at the end: 10.1 is 10.1.0.0.
    return ".".join(map(str, [*octets, 0, 0, 0][:4]))


def _prefix(text: str, address: str, whole: str) -> int:
    bits = 128 if ":" in address else 32
    start = whole.find("/") + 1
    number = names.number(text)
    if number is not None and number <= bits:
        return number
    if "." in text and bits == 32 and (mask := _mask(text)) is not None:
        return mask
    raise Refusal(f"{text!r} is no length of a prefix" if text != "?" else "a length is missing",
                  f"0 to {bits} fit", start, 0 if text == "?" else len(text))  # fmt: skip


def _mask(text: str) -> int | None:
    """Return how many bits a mask such as 255.255.0.0 has; None where it is none."""
    try:
        mask = int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
    except OSError:
        return None
    bits = mask.bit_count()
    return bits if mask == (0xFFFF_FFFF << (32 - bits)) & 0xFFFF_FFFF else None


def _port(text: str, reading: Reading) -> int:
    number = names.number(text)
    if number is None:
        return names.service_port(text, reading.protocols)
    if number > _MOST_PORT:
        raise Refusal(f"{text} is no port: the largest is {_MOST_PORT}")
    return number

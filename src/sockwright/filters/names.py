"""Names to numbers: hosts, networks, ports, protocols, Ethernet addresses.

What the machine knows is asked when an expression is compiled: getaddrinfo (which may ask the
network) for hosts that are not written as numbers, and the files /etc/services, /etc/protocols,
/etc/networks and /etc/ethers for the rest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sockwright.filters.carriers import ETHER_TYPES, LLC_SAPS
from sockwright.filters.failure import Refusal
from sockwright.filters.words import near

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "SCTP",
    "TCP",
    "UDP",
    "decnet_address",
    "ether_number",
    "ether_octets",
    "host_addresses",
    "ip_protocol",
    "ipv4_number",
    "ipv6_number",
    "network_number",
    "port_number",
    "port_range",
]  # fmt: skip

TCP, UDP, SCTP = 6, 17, 132
_LARGEST_PORT = 0xFFFF
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]+|[0-9]+")


def ipv4_number(text: str) -> tuple[int, int]:
    """Return the number that the one to four parts of `text` make, and how many bits they are.

    Raises: Refusal for a part above 255.
    """
    number = 0
    parts = text.split(".")
    for part in parts:
        # Parts are decimal, as in all addresses; libpcap takes no other either.
        if not (part.isascii() and part.isdecimal() and len(part) < 8 and int(part) < 256):
            raise Refusal(f"{text} is no IPv4 address", "its parts are decimal numbers up to 255")
        number = number << 8 | int(part)
    return number, 8 * len(parts)


def ipv6_number(text: str) -> int:
    """Return the 128 bits of an IPv6 address. Raises: Refusal where it is none."""
    import socket

    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
    except (OSError, ValueError):
        raise Refusal(f"{text} is no IPv6 address") from None


def host_addresses(name: str) -> list[tuple[int, int]]:
    """Return (IP version, address as a number) for each address of the host `name`, in their order.

    Raises: Refusal where it is not known.
    """
    import socket

    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Refusal(f"the host {name!r} is not known ({reason})") from None
    versions = {socket.AF_INET: 4, socket.AF_INET6: 6}
    return [
        (versions[family], int.from_bytes(socket.inet_pton(family, str(address[0])), "big"))
        for family, _, _, _, address in found
        if family in versions and "%" not in str(address[0])
    ]


def network_number(name: str) -> int:
    """Return the number of a network of /etc/networks, 32 bits.

    Raises: Refusal where it has none, or that of all networks.
    """
    for words in _lines("/etc/networks"):
        if len(words) > 1 and name in (words[0], *words[2:]):
            number, bits = ipv4_number(words[1])
            # A short number is the end of an address there, as inet_network(3) reads it.
            if number:
                return number if bits == 32 else number & 0xFFFF_FFFF
    raise Refusal(
        f"the network {name!r} is not known", "/etc/networks has names; 10.0.0.0/8 fits too"
    )


def port_number(name: str) -> tuple[int, int | None]:
    """Return the port `name` and its IP protocol, None where it is of several.

    Raises: Refusal where it is not known.
    """
    import socket

    if name.isascii() and name.isdecimal():
        return _port(int(name) if len(name) < 8 else _LARGEST_PORT + 1), None
    ports: dict[int, int] = {}
    for protocol, service in ((TCP, "tcp"), (UDP, "udp")):
        try:
            ports[protocol] = socket.getservbyname(name, service)
        except (OSError, ValueError):
            continue
    if TCP in ports:
        return ports[TCP], None if ports.get(UDP) == ports[TCP] else TCP
    if UDP in ports:
        return ports[UDP], UDP
    guess = near(name, (words[0] for words in _lines("/etc/services") if words))
    hint = f"did you mean {guess}?" if guess else "/etc/services has the names; a number fits too"
    raise Refusal(f"the port {name!r} is not known", hint)


def port_range(text: str) -> tuple[int, int, int | None]:
    """Return the two ends of ``first-last`` and their protocol, None where they differ in it.

    Raises: Refusal where an end is not known.
    """
    first, hyphen, last = text.partition("-")
    if not hyphen:
        port, protocol = port_number(text)
        return port, port, protocol
    # A name of a service may hold hyphens itself: the first hyphen that makes two names divides.
    low, low_protocol = port_number(first)
    high, high_protocol = port_number(last)
    return low, high, low_protocol if low_protocol == high_protocol else None


def _port(number: int) -> int:
    if number > _LARGEST_PORT:
        raise Refusal("a port is at most 65535")
    return number


def ip_protocol(name: str) -> int:
    """Return the number of the IP protocol `name`. Raises: Refusal where it is not known."""
    import socket

    try:
        return socket.getprotobyname(name)
    except (OSError, ValueError):
        guess = near(name, (words[0] for words in _lines("/etc/protocols") if words))
        hint = (
            f"did you mean \\{guess}?" if guess else "/etc/protocols has the names; a number fits"
        )
        raise Refusal(f"the IP protocol {name!r} is not known", hint) from None


def ether_number(name: str) -> int:
    """Return the Ethernet type or access point `name`. Raises: Refusal where it is not known."""
    known = {**ETHER_TYPES, **LLC_SAPS}
    if name not in known:
        guess = near(name, known)
        hint = f"did you mean \\{guess}?" if guess else f"known are {', '.join(sorted(known))}"
        raise Refusal(f"the Ethernet protocol {name!r} is not known", hint)
    return known[name]


def ether_octets(text: str) -> bytes | None:
    """Return the six octets of an Ethernet address in any of its forms, None where it is none."""
    parts = re.split(r"[:.-]", text)
    if len(parts) == 6:
        return bytes(int(part, 16) for part in parts)
    digits = "".join(parts)
    return bytes.fromhex(digits) if len(digits) == 12 else None


def ether_host(name: str) -> bytes:
    """Return the address that /etc/ethers has for `name`. Raises: Refusal where it has none."""
    for words in _lines("/etc/ethers"):
        if len(words) == 2 and words[1] == name and (octets := ether_octets(words[0])):
            return octets
    raise Refusal(
        f"the Ethernet host {name!r} is not known",
        "/etc/ethers has the names; an address such as 02:00:00:00:00:01 fits too",
    )


def decnet_address(text: str) -> int:
    """Return the 16 bits of a DECnet address ``area.node``. Raises: Refusal where it is none."""
    area, _, node = text.partition(".")
    if not (_NUMBER.fullmatch(area) and area.isdecimal() and node.isdecimal()):
        raise Refusal(f"{text} is no DECnet address", "area and node, such as 10.123, fit")
    return (int(area[:6]) << 10 | int(node[:6]) & 0x3FF) & 0xFFFF


def _lines(path: str) -> Iterator[list[str]]:
    """Yield the words of each line of a file of names, without comments, if it is there."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123  # one stat less
            for line in file:
                yield line.partition("#")[0].split()
    except OSError:
        return

"""Addresses that are never scanned, since no single host has them.

The limits are those of the protocols, not of politeness: private ranges and loopback are allowed.
Broadcast addresses of networks that this machine is on are known to its kernel, which is asked.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Reserved", "own_broadcasts", "reserved"]


class Reserved(NamedTuple):
    """A range of addresses, as numbers, how it is written, and why it is refused."""

    first: int
    last: int
    text: str
    why: str


_IPV4: Final = (
    Reserved(0, (1 << 24) - 1, "0.0.0.0/8", "means this host itself (RFC 1122 section 3.2.1.3)"),
    Reserved(0xE0 << 24, (0xF0 << 24) - 1, "224.0.0.0/4", "is multicast (RFC 5771)"),
    Reserved(0xFFFFFFFF, 0xFFFFFFFF, "255.255.255.255", "is broadcast (RFC 919)"),
    Reserved(0xF0 << 24, 0xFFFFFFFE, "240.0.0.0/4", "is reserved (RFC 1112 section 4)"),
)
_IPV6: Final = (
    Reserved(0, 0, "::", "is no address of a host (RFC 4291 section 2.5.2)"),
    Reserved(0xFF << 120, (1 << 128) - 1, "ff00::/8", "is multicast (RFC 4291 section 2.7)"),
)


def reserved(family: int) -> Sequence[Reserved]:
    """Return what is refused of a family everywhere, whatever the interfaces."""
    return _IPV4 if family == socket.AF_INET else _IPV6


def own_broadcasts() -> list[Reserved]:
    """Return the broadcast addresses of IPv4 of this network namespace's own interfaces."""
    from sockwright.scan.targets.routes import broadcasts

    return [
        Reserved(
            number,
            number,
            socket.inet_ntoa(number.to_bytes(4, "big")),
            f"is the broadcast address of the network on {name}",
        )
        for number, name in broadcasts()
    ]

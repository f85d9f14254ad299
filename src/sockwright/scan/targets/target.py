"""One address to scan."""

from __future__ import annotations

from socket import inet_pton
from typing import NamedTuple

__all__ = ["Target"]


class Target(NamedTuple):
    """An address of IPv4 or IPv6, as text without its zone; `family` is AF_INET or AF_INET6.

    `zone` is the interface that a link-local address belongs to (RFC 4007 section 11), `name` the
    name that it was found by, as its user wrote it; both are mostly empty.
    """

    address: str
    family: int
    zone: str = ""
    name: str = ""

    @property
    def host(self) -> str:
        """The address with its zone, as the resolver and every tool take it."""
        return f"{self.address}%{self.zone}" if self.zone else self.address

    @property
    def packed(self) -> bytes:
        """The octets of the address: 4 or 16."""
        return inet_pton(self.family, self.address)

    def __str__(self) -> str:
        return self.host

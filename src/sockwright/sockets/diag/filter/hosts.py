"""Conditions about the address of one side of a socket, for IPv4 and IPv6.

An IPv4 address stands also for the IPv6 address that it is mapped to (::ffff:10.0.0.1, RFC 4291
section 2.5.5.2), as in the kernel. Those of other families are in `other_hosts`.
"""

from __future__ import annotations

import socket

from sockwright.sockets.diag.filter import sides
from sockwright.sockets.diag.filter.conditions import Condition, escape
from sockwright.sockets.diag.inet import InetSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["AnyHost", "Host", "InetHost"]

_MAPPED = bytes(10) + b"\xff\xff"


class Host(Condition):
    """What conditions about hosts have in common: a `side`, and how they are written."""

    __slots__ = ()
    side: str

    def _text(self) -> str:
        raise NotImplementedError

    def __str__(self) -> str:
        return f"{self.side} {escape(self._text())}"

    def __repr__(self) -> str:
        return f"{self.side}({self._text()!r})"


class AnyHost(Host):
    """Any address, of `family` or of any family."""

    __slots__ = _fields = ("side", "family")
    side: str
    family: str | None

    def __init__(self, side: str, family: str | None = None) -> None:
        super().__init__(side, family)

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the row is of the family."""
        return not self.family or row.family == self.family

    def _text(self) -> str:
        return f"{self.family}:*" if self.family else "*"


class InetHost(Host):
    """An address whose first `prefix` bits are those of `address`, with `port` where it is given.

    `address` is text as inet_ntop(3) writes it; its other bits are zero. `family` is "inet" or
    "inet6" where only sockets of that family can pass: not the mapped ones, for "inet".

    Raises: ValueError where one of them is out of range.
    """

    __slots__ = _fields = ("side", "address", "prefix", "port", "family")
    side: str
    address: str
    prefix: int
    port: int | None
    family: str | None

    def __init__(
        self,
        side: str,
        address: str,
        prefix: int | None = None,
        port: int | None = None,
        family: str | None = None,
    ) -> None:
        version = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            octets = socket.inet_pton(version, address)
        except OSError:
            raise ValueError(f"{address!r} is no address") from None
        bits = 8 * len(octets)
        prefix = bits if prefix is None else prefix
        if not 0 <= prefix <= bits:
            raise ValueError(f"a prefix of {address} has at most {bits} bits")
        if port is not None and not 0 <= port <= 0xFFFF:
            raise ValueError("a port is at most 65535")
        address = socket.inet_ntop(version, _masked(octets, prefix))
        super().__init__(side, address, prefix, port, family)

    @property
    def version(self) -> str:
        """What kind of address it is: "inet" or "inet6"."""
        return "inet6" if ":" in self.address else "inet"

    @property
    def octets(self) -> bytes:
        """The address in network order."""
        version = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        return socket.inet_pton(version, self.address)

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the side of the row has such an address, and the port."""
        if not isinstance(row, InetSocket) or (self.family and row.family != self.family):
            return False
        if self.port is not None and sides.port(row, self.side) != self.port:
            return False
        text = row.local_address if self.side == "src" else row.peer_address
        version = socket.AF_INET6 if ":" in text else socket.AF_INET
        octets = socket.inet_pton(version, text)
        if self.version == "inet" and octets.startswith(_MAPPED) and len(octets) == 16:
            octets = octets[12:]
        own = self.octets
        return len(octets) == len(own) and _masked(octets, self.prefix) == own

    def _text(self) -> str:
        family = f"{self.family}:" if self.family else ""
        prefix = "" if self.prefix == 8 * len(self.octets) else f"/{self.prefix}"
        address = f"{self.address}{prefix}"
        if ":" in self.address:
            address = f"[{address}]"
        port = "" if self.port is None else f":{self.port}"
        return f"{family}{address}{port}"


def _masked(octets: bytes, prefix: int) -> bytes:
    """Return `octets` with everything behind the first `prefix` bits set to zero."""
    bits = 8 * len(octets)
    kept = int.from_bytes(octets, "big") >> (bits - prefix) << (bits - prefix)
    return kept.to_bytes(len(octets), "big")

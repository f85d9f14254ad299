"""Conditions about the address of one side of a socket, family by family.

Each passes sockets of its own family only. An IPv4 address stands also for the IPv6 addresses that
it is mapped to (::ffff:10.0.0.1, RFC 4291 section 2.5.5.2), as in the kernel.
"""

from __future__ import annotations

import socket

from sockwright.sockets.diag.filter import names, sides
from sockwright.sockets.diag.filter.conditions import Condition, escape, index_of
from sockwright.sockets.diag.inet import InetSocket
from sockwright.sockets.diag.netlink_table import NETLINK_PROTOCOLS, NetlinkSocket
from sockwright.sockets.diag.packet import PacketSocketRow
from sockwright.sockets.diag.unix import UnixSocket
from sockwright.sockets.diag.vsock import VSockSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from sockwright.sockets.diag.row import SocketRow

__all__ = ["AnyHost", "InetHost", "LinkHost", "NetlinkHost", "UnixHost", "VSockHost"]

_MAPPED = bytes(10) + b"\xff\xff"


class _Host(Condition):
    """What conditions about hosts have in common: a `side`, and how they are written."""

    __slots__ = ()
    side: str

    def _text(self) -> str:
        raise NotImplementedError

    def __str__(self) -> str:
        return f"{self.side} {escape(self._text())}"

    def __repr__(self) -> str:
        return f"{self.side}({self._text()!r})"


class AnyHost(_Host):
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


class InetHost(_Host):
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
            address = f"[{address}]" if prefix == "" else f"[{self.address}]{prefix}"
        port = "" if self.port is None else f":{self.port}"
        return f"{family}{address}{port}"


class UnixHost(_Host):
    """The name of a Unix socket fits `pattern`, as fnmatch(3) reads it without regard to case."""

    __slots__ = ("_expression", "pattern", "side")
    _fields = ("side", "pattern")
    family = "unix"
    side: str
    pattern: str
    _expression: re.Pattern[bytes]

    def __init__(self, side: str, pattern: str) -> None:
        from sockwright.sockets.diag.filter.glob import compile_glob

        super().__init__(side, pattern)
        object.__setattr__(self, "_expression", compile_glob(pattern))

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the name of the row's side fits."""
        if not isinstance(row, UnixSocket):
            return False
        return self._expression.fullmatch(sides.unix_name(row, self.side)) is not None

    def _text(self) -> str:
        return f"unix:{self.pattern}"


class LinkHost(_Host):
    """A packet socket of an Ethernet protocol, bound to a device: its index or its name.

    None stands for any. The peer's side has neither.
    """

    __slots__ = _fields = ("side", "protocol", "device")
    family = "link"
    side: str
    protocol: int | None
    device: int | str | None

    def __init__(
        self, side: str, protocol: int | None = None, device: int | str | None = None
    ) -> None:
        super().__init__(side, protocol, device)

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the row has this protocol and device."""
        if not isinstance(row, PacketSocketRow):
            return False
        protocol = row.ethernet_protocol if self.side == "src" else 0
        if self.protocol is not None and protocol != self.protocol:
            return False
        return self.device is None or sides.port(row, self.side) == index_of(self, self.device)

    def resolved(self, devices: Mapping[str, int] | None = None) -> LinkHost:
        """Return the same with the index that the device has."""
        if self.device is None:
            return self
        return LinkHost(self.side, self.protocol, index_of(self, self.device, devices))

    def _text(self) -> str:
        protocol = "*" if self.protocol is None else _link_name(self.protocol)
        return f"link:{protocol}" + ("" if self.device is None else f":{self.device}")


class NetlinkHost(_Host):
    """A socket of a netlink protocol, with a port id; None stands for any of them.

    The kernel tells of the own side only.
    """

    __slots__ = _fields = ("side", "protocol", "port")
    family = "netlink"
    side: str
    protocol: int | None
    port: int | None

    def __init__(self, side: str, protocol: int | None = None, port: int | None = None) -> None:
        super().__init__(side, protocol, None if port is None else sides.signed(port))

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the row has this protocol and port id."""
        if not isinstance(row, NetlinkSocket):
            return False
        protocol = row.netlink_protocol if self.side == "src" else None
        if self.protocol is not None and protocol != self.protocol:
            return False
        return self.port is None or sides.port(row, self.side) == self.port

    def _text(self) -> str:
        number = self.protocol
        protocol = "*" if number is None else NETLINK_PROTOCOLS.get(number) or str(number)
        return f"netlink:{protocol}" + ("" if self.port is None else f":{self.port}")


class VSockHost(_Host):
    """A context id and a port of vsock(7); None stands for any of them."""

    __slots__ = _fields = ("side", "cid", "port")
    family = "vsock"
    side: str
    cid: int | None
    port: int | None

    def __init__(self, side: str, cid: int | None = None, port: int | None = None) -> None:
        super().__init__(side, cid, port)

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the side of the row has this address."""
        if not isinstance(row, VSockSocket):
            return False
        cid = row.local_cid if self.side == "src" else row.peer_cid
        if self.cid is not None and cid != self.cid:
            return False
        return self.port is None or sides.port(row, self.side) == self.port

    def _text(self) -> str:
        cid = "*" if self.cid is None else str(self.cid)
        return f"vsock:{cid}" + ("" if self.port is None else f":{self.port}")


def _masked(octets: bytes, prefix: int) -> bytes:
    """Return `octets` with everything behind the first `prefix` bits set to zero."""
    bits = 8 * len(octets)
    kept = int.from_bytes(octets, "big") >> (bits - prefix) << (bits - prefix)
    return kept.to_bytes(len(octets), "big")


def _link_name(protocol: int) -> str:
    for name, number in names.LINK_PROTOCOLS.items():
        if number == protocol:
            return name
    return f"{protocol:#x}"

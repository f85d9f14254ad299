"""Conditions about the address of one side of a socket, for families other than IPv4 and IPv6.

Each passes sockets of its own family only.
"""

from __future__ import annotations

from sockwright.sockets.diag.filter import names, other_sides, sides
from sockwright.sockets.diag.filter.conditions import index_of
from sockwright.sockets.diag.filter.glob import compile_glob
from sockwright.sockets.diag.filter.hosts import Host
from sockwright.sockets.diag.netlink_table import NETLINK_PROTOCOLS, NetlinkSocket
from sockwright.sockets.diag.packet import PacketSocketRow
from sockwright.sockets.diag.unix import UnixSocket
from sockwright.sockets.diag.vsock import VSockSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

    from sockwright.sockets.diag.filter.conditions import Word
    from sockwright.sockets.diag.filter.names import Network
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["LinkHost", "NetlinkHost", "UnixHost", "VSockHost"]


class UnixHost(Host):
    """The name of a Unix socket fits `pattern`, as fnmatch(3) reads it without regard to case."""

    __slots__ = ("_expression", "pattern", "side")
    _fields = ("side", "pattern")
    family = "unix"
    side: str
    pattern: str
    _expression: re.Pattern[bytes]

    def __init__(self, side: str, pattern: str) -> None:
        super().__init__(side, pattern)
        object.__setattr__(self, "_expression", compile_glob(pattern))

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the name of the row's side fits."""
        if not isinstance(row, UnixSocket):
            return False
        return self._expression.fullmatch(other_sides.unix_name(row, self.side).lower()) is not None

    def _text(self) -> str:
        return f"unix:{self.pattern}"


class LinkHost(Host):
    """A packet socket of an Ethernet protocol, bound to a device: its index or its name.

    None stands for any. The peer's side has neither. `word` as for `Device`.
    """

    __slots__ = ("device", "protocol", "side", "word")
    _fields = ("side", "protocol", "device")
    family = "link"
    side: str
    protocol: int | None
    device: int | str | None
    word: Word | None

    def __init__(
        self,
        side: str,
        protocol: int | None = None,
        device: int | str | None = None,
        word: Word | None = None,
    ) -> None:
        super().__init__(side, protocol, device)
        object.__setattr__(self, "word", word)

    def matches(self, row: SocketRow) -> bool:
        """Tell whether the row has this protocol and device."""
        if not isinstance(row, PacketSocketRow):
            return False
        protocol = row.ethernet_protocol if self.side == "src" else 0
        if self.protocol is not None and protocol != self.protocol:
            return False
        return self.device is None or other_sides.port(row, self.side) == index_of(
            self, self.device
        )

    def resolved(self, network: Network | None = None) -> LinkHost:
        """Return the same with the index that the device has."""
        if self.device is None:
            return self
        return LinkHost(self.side, self.protocol, index_of(self, self.device, network))

    def _text(self) -> str:
        protocol = "*" if self.protocol is None else _link_name(self.protocol)
        return f"link:{protocol}" + ("" if self.device is None else f":{self.device}")


class NetlinkHost(Host):
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
        return self.port is None or other_sides.port(row, self.side) == self.port

    def _text(self) -> str:
        number = self.protocol
        protocol = "*" if number is None else NETLINK_PROTOCOLS.get(number) or str(number)
        return f"netlink:{protocol}" + ("" if self.port is None else f":{self.port}")


class VSockHost(Host):
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
        return self.port is None or other_sides.port(row, self.side) == self.port

    def _text(self) -> str:
        cid = "*" if self.cid is None else str(self.cid)
        return f"vsock:{cid}" + ("" if self.port is None else f":{self.port}")


def _link_name(protocol: int) -> str:
    for name, number in names.LINK_PROTOCOLS.items():
        if number == protocol:
            return name
    return f"{protocol:#x}"

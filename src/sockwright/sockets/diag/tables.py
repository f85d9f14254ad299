"""The tables of sockets that the kernel keeps, and how each is asked for.

Rows of IPv4 and IPv6 are loaded at once, since nearly every listing has them; others when they are
asked for.
"""

# ruff: noqa: ARG002  # requests share a signature; few tables have families, extensions or programs

from __future__ import annotations

from sockwright.errors import UsageError
from sockwright.sockets.diag.inet import (
    FAMILIES,
    MEMORY,
    MPTCPSocket,
    RawSocketRow,
    SCTPSocket,
    TCPSocket,
    UDPLiteSocket,
    UDPSocket,
    inet_request,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from typing_extensions import TypeVar

    from sockwright.sockets.diag.row import SocketRow

    Row_co = TypeVar("Row_co", bound=SocketRow, covariant=True, default=SocketRow)
    """The rows of the tables that were asked for."""

    InetTableName = Literal["tcp", "mptcp", "udp", "udplite", "raw", "sctp"]
    """Tables whose rows are all of IPv4 and IPv6."""

__all__ = [
    "TABLES",
    "InetTable",
    "NetlinkTable",
    "PacketTable",
    "Table",
    "UnixTable",
    "VSockTable",
    "table",
]


class Table:
    """The sockets of one protocol.

    `families` are those that it is asked for, one request each. `kernel_filters` says whether the
    kernel takes a filter program for it, `kernel_selects_states` whether it keeps to `states`;
    where it does not, the caller looks at the rows.
    """

    __slots__ = ("families", "name")

    kernel_filters = False
    kernel_selects_states = True

    def __init__(self, name: str, families: tuple[str, ...]) -> None:
        self.name = name
        self.families = families

    @property
    def row(self) -> type[SocketRow]:
        """The class of its rows, which takes the messages that answer a request."""
        raise NotImplementedError

    def request(self, family: str, states: int, extensions: int = 0, program: bytes = b"") -> bytes:
        """Return the request for its sockets of `family` that are in one of `states`, a mask.

        `extensions` is a sum of `INFO`, `MEMORY` and `OPTIONS` of `sockwright.sockets.diag.inet`;
        `program` a filter in the bytecode of inet_diag, where `kernel_filters` is true.
        """
        raise NotImplementedError


class InetTable(Table):
    """The sockets of a protocol over IPv4 and IPv6; `protocol` is its number."""

    __slots__ = ("_row", "protocol")

    kernel_filters = True

    def __init__(self, name: str, row: type[SocketRow], protocol: int) -> None:
        super().__init__(name, tuple(FAMILIES))
        self._row = row
        self.protocol = protocol

    @property
    def row(self) -> type[SocketRow]:
        """The class of its rows."""
        return self._row

    def request(self, family: str, states: int, extensions: int = 0, program: bytes = b"") -> bytes:
        """Return the request for its sockets of `family`, "inet" or "inet6"."""
        return inet_request(FAMILIES[family], self.protocol, states, extensions, program)


class RawTable(InetTable):
    """The raw sockets: the kernel tells of all of them, whatever states it is asked for."""

    __slots__ = ()

    kernel_selects_states = False


class SCTPTable(InetTable):
    """The endpoints and associations of SCTP: the kernel takes a program and does not run it."""

    __slots__ = ()

    kernel_filters = False


class UnixTable(Table):
    """The sockets of the Unix domain."""

    __slots__ = ()

    @property
    def row(self) -> type[SocketRow]:
        """The class of its rows."""
        from sockwright.sockets.diag.unix import UnixSocket

        return UnixSocket

    def request(self, family: str, states: int, extensions: int = 0, program: bytes = b"") -> bytes:
        """Return the request for them."""
        from sockwright.sockets.diag.unix import unix_request

        return unix_request(states, memory=bool(extensions & MEMORY))


class PacketTable(Table):
    """The packet sockets."""

    __slots__ = ()

    kernel_selects_states = False

    @property
    def row(self) -> type[SocketRow]:
        """The class of its rows."""
        from sockwright.sockets.diag.packet import PacketSocketRow

        return PacketSocketRow

    def request(self, family: str, states: int, extensions: int = 0, program: bytes = b"") -> bytes:
        """Return the request for them."""
        from sockwright.sockets.diag.packet import packet_request

        return packet_request()


class NetlinkTable(Table):
    """The netlink sockets."""

    __slots__ = ()

    kernel_selects_states = False

    @property
    def row(self) -> type[SocketRow]:
        """The class of its rows."""
        from sockwright.sockets.diag.netlink_table import NetlinkSocket

        return NetlinkSocket

    def request(self, family: str, states: int, extensions: int = 0, program: bytes = b"") -> bytes:
        """Return the request for them."""
        from sockwright.sockets.diag.netlink_table import netlink_request

        return netlink_request()


class VSockTable(Table):
    """The sockets between virtual machines and their hosts."""

    __slots__ = ()

    @property
    def row(self) -> type[SocketRow]:
        """The class of its rows."""
        from sockwright.sockets.diag.vsock import VSockSocket

        return VSockSocket

    def request(self, family: str, states: int, extensions: int = 0, program: bytes = b"") -> bytes:
        """Return the request for them."""
        from sockwright.sockets.diag.vsock import vsock_request

        return vsock_request(states)


TABLES: dict[str, Table] = {
    "tcp": InetTable("tcp", TCPSocket, 6),
    "mptcp": InetTable("mptcp", MPTCPSocket, 262),
    "udp": InetTable("udp", UDPSocket, 17),
    "udplite": InetTable("udplite", UDPLiteSocket, 136),
    "raw": RawTable("raw", RawSocketRow, 255),
    "sctp": SCTPTable("sctp", SCTPSocket, 132),
    "unix": UnixTable("unix", ("unix",)),
    "packet": PacketTable("packet", ("link",)),
    "netlink": NetlinkTable("netlink", ("netlink",)),
    "vsock": VSockTable("vsock", ("vsock",)),
}
"""Every table by its name, in the order in which they are listed."""


def table(name: str) -> Table:
    """Return the table of this name. Raises: UsageError, TypeError."""
    if not isinstance(name, str):
        raise TypeError(f"a table of sockets is named by a word such as 'tcp', not by {name!r}")
    found = TABLES.get(name)
    if found is None:
        raise UsageError(f"there is no table of sockets {name!r}; there are {', '.join(TABLES)}")
    return found

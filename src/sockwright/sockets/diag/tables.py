"""The tables of sockets that the kernel keeps, and how each is asked for."""

from __future__ import annotations

from sockwright.errors import UsageError
from sockwright.sockets.diag.inet import (
    FAMILIES,
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
    from collections.abc import Collection

    from sockwright.sockets.diag.row import SocketRow

__all__ = ["TABLES", "Table", "table"]


class Table:
    """The sockets of one protocol.

    `families` are those that it is asked for, one request each. `kernel_filters` says whether the
    kernel takes a filter program for it.
    """

    __slots__ = ("families", "name", "protocol", "row")

    def __init__(
        self, name: str, row: type[SocketRow], families: Collection[str], protocol: int
    ) -> None:
        self.name = name
        self.row = row
        self.families = families
        self.protocol = protocol

    kernel_filters = True

    def request(self, family: str, states: int, extensions: int, program: bytes) -> bytes:
        """Return the request for its sockets of `family`."""
        return inet_request(FAMILIES[family], self.protocol, states, extensions, program)


TABLES = {
    name: Table(name, row, tuple(FAMILIES), protocol)
    for name, row, protocol in (
        ("tcp", TCPSocket, 6),
        ("mptcp", MPTCPSocket, 262),
        ("udp", UDPSocket, 17),
        ("udplite", UDPLiteSocket, 136),
        ("raw", RawSocketRow, 255),
        ("sctp", SCTPSocket, 132),
    )
}
"""Every table by its name, in the order in which they are listed."""


def table(name: str) -> Table:
    """Return the table of this name. Raises: UsageError."""
    found = TABLES.get(name)
    if found is None:
        raise UsageError(f"there is no table of sockets {name!r}; there are {', '.join(TABLES)}")
    return found

"""One socket as the kernel described it: what rows of every protocol have in common.

A row keeps the octets of its message and reads a field when it is asked for: of 20 000 sockets a
caller rarely wants every number, and a row that decodes nothing is made in 150 ns.
"""

from __future__ import annotations

import sys

from sockwright.sockets.diag.netlink import HEADER, attributes
from sockwright.sockets.diag.states import state_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar

    from sockwright.sockets.diag.processes import Process

__all__ = ["SHUTDOWNS", "SocketRow", "plain"]

SHUTDOWNS = ("", "receive", "send", "both")
"""Which directions are shut down, by the number that the kernel gives them (RCV_SHUTDOWN ...)."""


def plain(value: object) -> object:
    """Return a field in terms that JSON has: what has `as_dict` as that, tuples as lists."""
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    as_dict: Callable[[], object] | None = getattr(value, "as_dict", None)
    return value if as_dict is None else as_dict()


class SocketRow:
    """One socket. Rows are equal when they are about the same socket (protocol and cookie).

    `octets` holds its message of sock_diag(7) from `at` on, with the nlmsghdr. Every class of rows
    has the fields below; the rest is its own.
    """

    __slots__ = ("_at", "_attributes", "_octets", "_processes")

    protocol: ClassVar[str]
    """ "tcp", "udp", "unix", "packet" ...: the table that it was listed in."""
    _fixed: ClassVar[int]
    """Octets of the message before its attributes."""
    _inode_at: ClassVar[int]
    _cookie_at: ClassVar[int]
    """Where in the message, counted with its nlmsghdr, the numbers stand that name the socket."""

    def __init__(self, octets: bytes, at: int = 0) -> None:
        self._octets = octets
        self._at = at

    @property
    def netid(self) -> str:
        """What the first column of ss(8) says: "tcp", "u_str", "p_raw" ..."""
        return self.protocol

    @property
    def family(self) -> str:
        """The address family: "inet", "inet6", "unix", "link", "netlink" or "vsock"."""
        raise NotImplementedError

    @property
    def state(self) -> str:
        """The state by the name that ss(8) gives it, such as "ESTAB", "LISTEN" or "UNCONN"."""
        return state_name(self.state_number)

    @property
    def state_number(self) -> int:
        """The state as the kernel numbers it, see `sockwright.sockets.diag.states`."""
        raise NotImplementedError

    @property
    def receive_queue(self) -> int:
        """Octets received and not yet read; of a listener, connections not yet accepted."""
        raise NotImplementedError

    @property
    def send_queue(self) -> int:
        """Octets sent and not yet acknowledged; of a listener, how many may wait in its queue."""
        raise NotImplementedError

    @property
    def local(self) -> str:
        """The own address as text, with its port, as ``ss -n`` writes it."""
        raise NotImplementedError

    @property
    def peer(self) -> str:
        """The peer's address as text, with its port; wildcards where there is none."""
        raise NotImplementedError

    @property
    def uid(self) -> int | None:
        """The user who made the socket; None where the kernel does not say."""
        raise NotImplementedError

    @property
    def inode(self) -> int:
        """The number of the socket in sockfs; 0 where no descriptor refers to it any more."""
        raise NotImplementedError

    @property
    def cookie(self) -> int:
        """The number that the kernel gives to this socket and no other, until it starts anew."""
        raise NotImplementedError

    @property
    def processes(self) -> tuple[Process, ...] | None:
        """The processes that hold it, one entry a descriptor; None where they were not asked for.

        Empty where no process holds it, or none that this user may look into.
        """
        try:
            return self._processes
        except AttributeError:
            return None

    @processes.setter
    def processes(self, found: tuple[Process, ...]) -> None:
        self._processes: tuple[Process, ...] = found

    @property
    def message(self) -> bytes:
        """Its message of sock_diag(7) as it came, without the nlmsghdr."""
        return self._octets[self._at + HEADER.size : self._end]

    @property
    def attributes(self) -> dict[int, bytes]:
        """The attributes of the message as they came, by their numbers."""
        try:
            return self._attributes
        except AttributeError:
            found = attributes(self._octets, self._at + self._fixed, self._end)
            self._attributes: dict[int, bytes] = found
            return found

    @property
    def _end(self) -> int:
        return self._at + int.from_bytes(self._octets[self._at : self._at + 4], sys.byteorder)

    def as_dict(self) -> dict[str, object]:
        """Return every field that has a value, by its name, in terms of JSON.

        What ``--json`` prints: objects are dictionaries themselves, tuples lists.
        """
        found = {
            name: getattr(self, name)
            for name in ("protocol", "family", "state", "receive_queue", "send_queue", "local",
                         "peer", "uid", "inode", "cookie")
        }  # fmt: skip
        if self.processes is not None:
            found["processes"] = [process.as_dict() for process in self.processes]
        return found

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the one message, not the 32 KiB of messages that it came among."""
        return type(self), (self._octets[self._at : self._end],), self.processes

    def __setstate__(self, processes: tuple[Process, ...]) -> None:
        """Take what `__reduce__` gave: the processes, where they were asked for."""
        self._processes = processes

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SocketRow):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[object, ...]:
        """Return what no other socket has: the cookie, or where /proc tells none, what else."""
        cookie = self.cookie
        if cookie:
            return self.protocol, cookie
        return self.protocol, self.inode, self.local, self.peer

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state} {self.local} {self.peer}>"

"""Which processes hold which sockets, after proc(5): the links of /proc/PID/fd."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["Process", "ProcessTable", "find_processes"]

_SOCKET = "socket:["


class Process:
    """A process that holds a socket by one of its descriptors.

    `pid` is its number in the PID namespace of /proc; `name` what it calls itself, 15 octets at
    most, any octets (surrogateescape): clean it before it reaches a terminal; `descriptor` the
    number of the descriptor.
    """

    __slots__ = ("descriptor", "name", "pid")

    def __init__(self, pid: int, name: str, descriptor: int) -> None:
        self.pid = pid
        self.name = name
        self.descriptor = descriptor

    @property
    def uid(self) -> int | None:
        """The user that it runs as now; None when it has ended."""
        try:
            return os.stat(f"/proc/{self.pid}").st_uid
        except OSError:
            return None

    @property
    def command(self) -> list[str] | None:
        """The words it was started with, as it shows them; None when it has ended."""
        try:
            with open(f"/proc/{self.pid}/cmdline", "rb") as file:
                words = file.read()
        except OSError:
            return None
        return os.fsdecode(words.removesuffix(b"\0")).split("\0")

    def as_dict(self) -> dict[str, object]:
        """Return pid, name and descriptor; what ``--json`` prints."""
        return {"pid": self.pid, "name": self.name, "descriptor": self.descriptor}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Process):
            return NotImplemented
        return (self.pid, self.name, self.descriptor) == (other.pid, other.name, other.descriptor)

    def __hash__(self) -> int:
        return hash((self.pid, self.descriptor))

    def __repr__(self) -> str:
        return f"<Process {self.pid} {self.name!r} descriptor {self.descriptor}>"


class ProcessTable:
    """What `find_processes` found.

    `by_inode` has the processes of each socket by the socket's inode; `unreadable` is how many
    processes this user may not look into.
    """

    __slots__ = ("by_inode", "unreadable")

    def __init__(self) -> None:
        self.by_inode: dict[int, tuple[Process, ...]] = {}
        self.unreadable = 0


def find_processes(wanted: Container[int] | None = None) -> ProcessTable:
    """Find the processes that hold sockets; of these inodes only, where `wanted` names some.

    Raises:
        NotPossibleError: there is no /proc.
    """
    table = ProcessTable()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        folder = f"/proc/{pid}/fd"
        try:
            descriptors = os.listdir(folder)
        except PermissionError:
            table.unreadable += 1
            continue
        except OSError:
            continue
        name = ""
        for descriptor in descriptors:
            try:
                link = os.readlink(f"{folder}/{descriptor}")
            except OSError:
                continue
            if not link.startswith(_SOCKET):
                continue
            inode = int(link[len(_SOCKET) : -1])
            if wanted is not None and inode not in wanted:
                continue
            name = name or _name(pid)
            one = (Process(int(pid), name, int(descriptor)),)
            table.by_inode[inode] = table.by_inode.get(inode, ()) + one
    return table


def _name(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return os.fsdecode(file.read().removesuffix(b"\n"))
    except OSError:
        return ""

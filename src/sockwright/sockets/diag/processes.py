"""Which processes hold which sockets, after proc(5): the links of /proc/PID/fd.

The kernel keeps no list of the holders of a socket, so every descriptor of every process is looked
at, by one readlink(2) each: nearly all of the time is spent in that. Measured with 40 000 sockets
in six processes and a hundred other processes, as a part of the time by full paths:

- 0.87 by paths relative to a descriptor of the folder;
- 0.62 by two threads at that: readlink(2) is done without the lock of the interpreter. More threads
  gain nothing, and where there is one processor the second loses nothing;
- 0.15 to list the folders, by os.listdir or os.scandir. os.stat takes as long as os.readlink.

What holds a socket but is no descriptor stays unseen, as in ss(8): one that is under way to another
process (SCM_RIGHTS), or that the kernel itself opened.
"""

from __future__ import annotations

import errno
import os

from sockwright.errors import NotPossibleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["Process", "ProcessTable", "find_processes"]

_BEGIN = "socket:["  # of the link of a descriptor that is a socket: "socket:[INODE]"
_SIZE = len(_BEGIN)
_PIECE = 512  # descriptors that a thread takes on at a time
_WORTH = 2000  # descriptors that are worth a second thread: it takes 0.1 ms to start
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD of linux/sched.h, in the flags of /proc/PID/stat


class Process:
    """A process, and the descriptor by which it holds a socket.

    `pid` is its number in the PID namespace of /proc; `descriptor` the number of the descriptor.
    `name` is what the process calls itself, 15 octets at most and any octets but zero, those that
    are not UTF-8 as surrogates (PEP 383): clean it before it reaches a terminal.
    """

    __slots__ = ("_started", "descriptor", "name", "pid")

    def __init__(self, pid: int, name: str, descriptor: int, started: str = "") -> None:
        """Make one; `started` is field 22 of its /proc/PID/stat, to know it again."""
        self.pid = pid
        self.name = name
        self.descriptor = descriptor
        self._started = started

    @property
    def uid(self) -> int | None:
        """The user that it acts as (the effective one), read now; None when it has ended."""
        for line in self._read("status").splitlines():
            if line.startswith("Uid:"):
                return int(line.split()[2])
        return None

    @property
    def command(self) -> list[str]:
        """The words that it was started with, or what it wrote there since; read now.

        Empty when it has ended. Octets that are not UTF-8 are surrogates, as in `name`.
        """
        text = self._read("cmdline")
        return text.removesuffix("\0").split("\0") if text else []

    def as_dict(self) -> dict[str, object]:
        """Return what ``--json`` prints: pid, name and descriptor."""
        return {"pid": self.pid, "name": self.name, "descriptor": self.descriptor}

    def _read(self, name: str) -> str:
        """Return a file of its folder in /proc, empty when it or its number is another's now."""
        try:
            with open(f"/proc/{self.pid}/{name}", "rb") as file:
                octets = file.read()
            # Looked at behind the reading: a number is given again once its process has ended.
            again = _Facts(str(self.pid)).started
        except OSError:
            return ""
        return os.fsdecode(octets) if again == self._started else ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Process):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[int, str, str, int]:
        return (self.pid, self._started, self.name, self.descriptor)

    def __repr__(self) -> str:
        return f"<Process {self.pid} {self.name!r}, descriptor {self.descriptor}>"


class ProcessTable:
    """What `find_processes` found.

    `by_inode` has the processes of each socket by the inode of the socket, an entry for each
    descriptor, ordered by their numbers. `unreadable` is how many processes this user may not look
    into: to see those of other users takes CAP_SYS_PTRACE, as root has. `hidden` says that there
    are others that this user cannot even count (the option hidepid of /proc).
    """

    __slots__ = ("by_inode", "hidden", "unreadable")

    def __init__(self) -> None:
        self.by_inode: dict[int, tuple[Process, ...]] = {}
        self.unreadable = 0
        self.hidden = False


class _Facts:
    """What /proc/PID/stat says of a process. Raises: OSError."""

    __slots__ = ("flags", "name", "started", "state")

    def __init__(self, pid: str) -> None:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # "PID (NAME) STATE ...": only the last parenthesis is surely none of the name.
            head, _, rest = file.read().rpartition(b") ")
        fields = rest.decode("ascii").split()
        self.name = os.fsdecode(head.partition(b" (")[2])
        self.state = fields[0]
        self.flags = int(fields[6])
        self.started = fields[19]


class _Piece:
    """Some descriptors of one table of them, and those that turned out to be sockets.

    `closed` says that the kernel lists them, but does not tell this user what they are.
    """

    __slots__ = ("closed", "descriptors", "folder", "links", "pid")

    def __init__(self, pid: str, folder: str, descriptors: list[str]) -> None:
        self.pid = pid
        self.folder = folder
        self.descriptors = descriptors
        self.links: list[tuple[str, str]] = []
        self.closed = False


def find_processes(wanted: Container[int] | None = None) -> ProcessTable:
    """Find the processes that hold sockets; of these inodes only, where `wanted` is given.

    Processes that end meanwhile are left out. It shows the processes of /proc with the numbers that
    they have there, also where a caller looks at the sockets of another network namespace: not only
    those that are in that namespace, for a socket may be held from outside. A process in a PID
    namespace beside or above that of /proc is not among them.

    Threads share the descriptors of their process, unless they asked for a table of their own
    (CLONE_FILES of unshare(2)). That is looked at only where the first thread has ended.

    Raises:
        TypeError: `wanted` holds nothing.
        NotPossibleError: there is no /proc.
        OSError: EMFILE or ENFILE, there is no descriptor left to list /proc by.
    """
    if wanted is not None and not hasattr(wanted, "__contains__"):
        raise TypeError(f"processes are found by the inodes of sockets, not by {wanted!r}")
    table = ProcessTable()
    pieces = _pieces(table)
    _read(pieces)
    table.unreadable += len({piece.pid for piece in pieces if piece.closed})
    known: dict[str, _Facts | None] = {}
    for piece in pieces:
        found = [(int(link[_SIZE:-1]), descriptor) for link, descriptor in piece.links]
        if wanted is not None:
            found = [one for one in found if one[0] in wanted]
        if not found:
            continue
        if piece.pid not in known:
            known[piece.pid] = _facts(piece.pid)
        facts = known[piece.pid]
        if facts is not None:
            _add(table.by_inode, piece.pid, facts, found)
    return table


def _add(
    by_inode: dict[int, tuple[Process, ...]], pid: str, facts: _Facts, found: list[tuple[int, str]]
) -> None:
    number, name, started = int(pid), facts.name, facts.started
    for inode, descriptor in found:
        one = (Process(number, name, int(descriptor), started),)
        by_inode[inode] = by_inode[inode] + one if inode in by_inode else one


def _pieces(table: ProcessTable) -> list[_Piece]:
    """List the descriptors of all processes; note in `table` which could not be.

    Raises: NotPossibleError, OSError.
    """
    try:
        pids = sorted(filter(str.isdecimal, os.listdir("/proc")), key=int)
    except FileNotFoundError:
        pids = []
    if not pids:
        raise NotPossibleError("/proc is not there", "mount -t proc proc /proc")
    # Every PID namespace has a process 1. Who does not see it sees none of the others' processes.
    table.hidden = pids[0] != "1"
    pieces: list[_Piece] = []
    for pid in pids:
        folder = f"/proc/{pid}/fd"
        try:
            descriptors = os.listdir(folder)
            if not descriptors:  # of a thread of the kernel, or the first thread has ended
                folder, descriptors = _of_other_threads(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
        except OSError:
            folder, descriptors = _of_unreadable(pid, table)
        pieces += [
            _Piece(pid, folder, descriptors[at : at + _PIECE])
            for at in range(0, len(descriptors), _PIECE)
        ]
    return pieces


def _of_other_threads(pid: str) -> tuple[str, list[str]]:
    """Return the table of descriptors of a thread that has one, and its folder. Raises: OSError."""
    threads = os.listdir(f"/proc/{pid}/task")
    for thread in threads if len(threads) > 1 else ():
        folder = f"/proc/{pid}/task/{thread}/fd"
        try:
            descriptors = os.listdir(folder)
        except PermissionError:  # it is root's, of a thread that has ended
            continue
        if descriptors:
            return folder, descriptors
    return "", []


def _of_unreadable(pid: str, table: ProcessTable) -> tuple[str, list[str]]:
    """As `_of_other_threads`; note in `table` a process that may hold sockets nobody sees."""
    try:
        facts = _Facts(pid)
        # Threads of the kernel have no descriptors.
        if facts.flags & _KERNEL_THREAD:
            return "", []
        # What has ended has none any more, but it may be the first thread alone that has.
        if facts.state in {"Z", "X"}:
            return _of_other_threads(pid)
    except (FileNotFoundError, ProcessLookupError):
        return "", []
    except OSError:
        pass
    table.unreadable += 1
    return "", []


def _facts(pid: str) -> _Facts | None:
    try:
        return _Facts(pid)
    except OSError:
        return None


def _read(pieces: list[_Piece]) -> None:
    """Read the links of all pieces, in two threads where there are many."""
    waiting = pieces[::-1]
    if sum(len(piece.descriptors) for piece in pieces) < _WORTH:
        _read_some(waiting)
        return
    import threading

    helper = threading.Thread(target=_read_some, args=(waiting,), name="sockwright-descriptors")
    try:
        helper.start()
    except RuntimeError:  # no room for another thread
        _read_some(waiting)
        return
    try:
        _read_some(waiting)
    finally:
        waiting.clear()  # also where a Ctrl-C ends this
        helper.join()


def _read_some(waiting: list[_Piece]) -> None:
    """Read the links of pieces that no other thread has taken."""
    while True:
        try:
            piece = waiting.pop()
        except IndexError:
            return
        _read_links(piece)


def _read_links(piece: _Piece) -> None:
    readlink = os.readlink
    found = piece.links
    folder, before = None, ""
    try:
        folder = os.open(piece.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in {errno.EMFILE, errno.ENFILE}:
            piece.closed = isinstance(error, PermissionError)
            return  # else it has ended meanwhile
        before = piece.folder + "/"  # a full path takes no descriptor
    try:
        for descriptor in piece.descriptors:
            try:
                link = readlink(before + descriptor, dir_fd=folder)
            except PermissionError:
                piece.closed = True
                return
            except OSError:
                continue  # closed meanwhile
            if link[:_SIZE] == _BEGIN:
                found.append((link, descriptor))
    finally:
        if folder is not None:
            os.close(folder)

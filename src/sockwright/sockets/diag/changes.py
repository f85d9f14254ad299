"""What has happened to sockets, found by comparing listings and by word of those that ended.

Nothing is asked or waited for here: listings, rows of sockets that ended, and the time are given.
The rules are those of `sockwright.sockets.diag.watching`.
"""

from __future__ import annotations

from collections import deque

from sockwright.sockets.diag.events import with_owner
from sockwright.sockets.diag.inet import InetSocket, TCPSocket, UDPSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
    from typing import Any, Generic, Literal

    from sockwright.sockets.diag.row import SocketRow
    from sockwright.sockets.diag.tables import Row_co

    Key = Hashable
    Seen = dict[Key, tuple[SocketRow, bytes]]  # rows, and what differs when they have changed
    EventKind = Literal["opened", "changed", "closed"]
else:
    Row_co = None

    class Generic:
        """Stands for that of `typing`, which takes 5 ms to load."""

        __slots__ = ()

        def __class_getitem__(cls, _: object) -> type:
            return cls


__all__ = ["Changes", "Event", "key_of", "seen"]

_SYN_RECV, _NEW_SYN_RECV = 3, 12
_TIMER_OF_RECORDS = 3  # idiag_timer of what the kernel keeps after the socket: TIME-WAIT
# The kernel tells of an end a moment after the socket has left its tables.
_PATIENCE_S = 0.25
# Places in a message of inet_diag.
_STATE, _COOKIE, _QUEUES = slice(1, 4), slice(44, 52), slice(56, 72)
_NO_COOKIE = bytes(8)
# What `Event.as_dict` tells of the time before.
_TOLD = ("state", "receive_queue", "send_queue", "timer", "uid", "inode")


class Event(Generic[Row_co]):
    """Something that happened to a socket.

    `kind` is "opened", "changed" or "closed"; `row` the socket as it is now, or was at its end;
    `before` the row as it was last listed, None where it never was; `listed` whether it is still
    one of those that are watched; `time_ns` when this was noticed, in nanoseconds since 1970.

    The row of a TCP or UDP socket whose end the kernel told says UNCONN, what was left in its
    queues, and, for TCP, the last `info`. Uid, inode and processes are those of `before`; without
    it nobody knows them, and the row says 0.
    """

    __slots__ = ("before", "kind", "listed", "row", "time_ns")

    def __init__(
        self,
        kind: EventKind,
        row: Row_co,
        before: Row_co | None,
        time_ns: int,
        *,
        listed: bool,
    ) -> None:
        self.kind = kind
        self.listed = listed
        self.row = row
        self.before = before
        self.time_ns = time_ns

    def as_dict(self) -> dict[str, object]:
        """Return the kind as ``event``, the time, the fields of the row, and those that changed."""
        fields = self.row.as_dict()
        found: dict[str, object] = {"event": self.kind, "time_ns": self.time_ns, **fields}
        if self.kind == "changed" and not self.listed:
            found["listed"] = False
        if self.before is not None:
            was = self.before.as_dict()
            names = [name for name in _TOLD if was.get(name) != fields.get(name)]
            found["before"] = {name: was.get(name) for name in names}
        elif self.kind == "closed":
            del found["uid"], found["inode"]
        return found

    def __repr__(self) -> str:
        return f"<Event {self.kind} {self.row!r}>"


class Changes:
    """What there is, and what has happened to it: `events`, oldest first, for the caller to take.

    `told` are the tables whose ends the kernel tells. Times `now` are seconds of a monotonic clock,
    times `now_ns` nanoseconds since 1970.
    """

    def __init__(self, told: Collection[str]) -> None:
        self.events: deque[Event[Any]] = deque()  # rows of the tables that are compared
        self._told = told
        self._known: Seen = {}
        # No longer listed; until when the kernel may still tell of their end.
        self._missing: dict[Key, tuple[SocketRow, float]] = {}
        self._closed: dict[Key, SocketRow] = {}  # since the last comparison

    @property
    def rows(self) -> list[SocketRow]:
        """The sockets that are there, as they were last listed."""
        return [row for row, _ in self._known.values()]

    @property
    def due(self) -> float | None:
        """When `give_up` has something to do."""
        return min((limit for _, limit in self._missing.values()), default=None)

    def known(self, key: Key) -> SocketRow | None:
        """Return the socket as it was last listed."""
        found = self._known.get(key)
        return None if found is None else found[0]

    def lost(self, rows: Seen) -> set[Key]:
        """Return which of the sockets that are known are not among `rows`; records do not count."""
        gone = self._known.keys() - rows.keys()
        return {key for key in gone if not _is_record(self._known[key][0])}

    def begin(self, rows: Seen) -> None:
        """Take the first listing, which is no event."""
        self._known = rows

    def compare(self, rows: Seen, left: Mapping[Key, SocketRow], now_ns: int, now: float) -> None:
        """Take the next listing; `left` are sockets that are there, but not wanted any more."""
        gone, self._known = self._known, rows
        closed, self._closed = self._closed, {}
        early = []  # records, whose connections are still to be told as closed
        for key, (row, signature) in rows.items():
            found = gone.pop(key, None)
            if found is not None and found[1] == signature:
                continue
            if found is None and key not in self._missing:
                self._tell("opened", row, closed.get(key), now_ns)
            elif found is None or _remains_of(row, found[0]):
                early.append((key, found))
            else:
                self._tell("changed", row, found[0], now_ns)
        for key, found in early:
            del rows[key]
            if found is not None:
                gone[key] = found
        for key, (before, _) in gone.items():
            still = left.get(key)
            if still is not None and not _remains_of(still, before):
                self._tell("changed", still, before, now_ns, listed=False)
            elif before.protocol in self._told and _is_whole(before):
                self._missing[key] = before, now + _PATIENCE_S
            else:
                self._close(key, before, before, now_ns)

    def end(self, row: InetSocket, wanted: Callable[[InetSocket], bool], now_ns: int) -> None:
        """Take the row of a socket that the kernel says has ended.

        If it was never listed, `wanted` tells whether it is one of those that are watched.
        """
        key = key_of(row)
        if key in self._closed:
            return  # it was told by comparing already, the kernel was slow
        found = self._missing.pop(key, None) or self._known.get(key)
        if found is None:
            if wanted(row):
                self._close(key, row, None, now_ns)
            return
        before = found[0]
        if not _is_record(before):
            self._known.pop(key, None)
            row = with_owner(row, before)
            if before.processes is not None:
                row.processes = before.processes
            self._close(key, row, before, now_ns)

    def give_up(self, now_ns: int, now: float) -> None:
        """Tell sockets as closed that are no longer listed, and of which the kernel is silent."""
        late = [key for key, (_, limit) in self._missing.items() if limit <= now]
        for key in late:
            before, _ = self._missing.pop(key)
            self._close(key, before, before, now_ns)

    def _close(self, key: Key, row: SocketRow, before: SocketRow | None, now_ns: int) -> None:
        self._closed[key] = before or row
        self._tell("closed", row, before, now_ns, listed=False)

    def _tell(
        self,
        kind: EventKind,
        row: SocketRow,
        before: SocketRow | None,
        now_ns: int,
        *,
        listed: bool = True,
    ) -> None:
        self.events.append(Event(kind, row, before, now_ns, listed=listed))


def seen(rows: Iterable[SocketRow]) -> Seen:
    """Return rows by what tells each socket from all others, with what differs if it changes."""
    found: Seen = {}
    for row in rows:
        message = row.message
        key: Key = row
        if isinstance(row, InetSocket):
            # Rows know whether they are about the same socket; of many the octets tell it faster.
            if isinstance(row, TCPSocket | UDPSocket) and message[_COOKIE] != _NO_COOKIE:
                key = row.protocol, message[_COOKIE]
            # State, timer, retransmissions; the two queues, uid, inode. Not when the timer ends.
            message = message[_STATE] + message[_QUEUES]
        found[key] = row, message
    return found


def key_of(row: SocketRow) -> Key:
    """Return the key of a row in what `seen` returns."""
    (key,) = seen((row,))
    return key


def _is_record(row: SocketRow) -> bool:
    """Tell whether this is what is left of a connection: TIME-WAIT, or FIN-WAIT-2 before it."""
    return isinstance(row, InetSocket) and row.message[2] == _TIMER_OF_RECORDS


def _is_whole(row: SocketRow) -> bool:
    """Tell whether this is a socket, whose end the kernel tells, and no record."""
    return row.state_number not in {_SYN_RECV, _NEW_SYN_RECV} and not _is_record(row)


def _remains_of(row: SocketRow, before: SocketRow) -> bool:
    """Tell whether `row` is the record that is left of the connection `before`."""
    return _is_record(row) and not _is_record(before)

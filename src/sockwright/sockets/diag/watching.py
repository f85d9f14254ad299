"""`watch`: what happens to the sockets of this machine, as it happens.

    with watch("tcp", where="dport = :443") as sockets:
        for event in sockets:               # in a coroutine: async with, async for
            print(event.kind, event.row)

Rules

1. New and changed sockets are found by listing again every `interval` seconds and comparing. A
   socket has changed when its state, its queues, the kind of its timer, its count of
   retransmissions, its user or its inode has (0: no program holds it any more); one of another kind
   than inet, when anything in the kernel's message has. Measured values such as TCP_INFO change all
   the time and do not count.
2. TCP and UDP sockets that end are told at once, by the kernel's destroy events (`events.py`), with
   their last TCP_INFO. That takes no privilege on kernels of today; where one wants CAP_NET_ADMIN,
   `Watch.sees_ends` is False, and their end is found by comparing, as that of all other kinds.
3. A socket that opens and closes between two listings is told as closed, without `before`.
4. TIME-WAIT is a record of the kernel's own, which stays when the socket has ended: the connection
   is told as closed, then its TIME-WAIT, where that state is asked for, as opened, with `before`.
5. An inet socket that lives on, but no longer matches `where` or `states`, is told as changed a
   last time.
6. Where events were lost (ENOBUFS), the sockets are listed at once. `Watch.overruns` counts it.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque

from sockwright.sockets.diag.events import DestroyEvents, with_owner
from sockwright.sockets.diag.inet import InetSocket
from sockwright.sockets.diag.listing import Remark, dump, lookup
from sockwright.sockets.diag.states import ALL, LISTENING, STATE_WORDS
from sockwright.sockets.diag.tables import TABLES, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Any, Literal, Self

    from sockwright.sockets.diag.filter import Condition, SocketFilter
    from sockwright.sockets.diag.row import SocketRow

    Key = tuple[str, object]
    EventKind = Literal["opened", "changed", "closed"]

__all__ = ["Event", "Watch", "watch"]

_SYN_RECV, _TIME_WAIT, _NEW_SYN_RECV = 3, 6, 12
_NO_SOCKETS = {_SYN_RECV, _TIME_WAIT, _NEW_SYN_RECV}  # states of records that end without an event
_ESTABLISHED, _SYN_SENT = 1 << 1, 1 << 2
_BUFFER = 4 << 20
# The kernel tells of an end a moment after the socket has left its tables.
_PATIENCE_S = 0.25
# What `Event.as_dict` tells of the time before.
_TOLD = ("state", "receive_queue", "send_queue", "timer", "uid", "inode")


class Event:
    """Something that happened to a socket.

    `kind` is "opened", "changed" or "closed"; `row` the socket as it is now, or was at its end;
    `before` the row as it was last listed, None where it never was; `time_ns` when this was
    noticed, in nanoseconds since 1970.

    The row of a TCP or UDP socket whose end the kernel told says UNCONN, what was left in its
    queues, and, for TCP, the last `info`. Uid, inode and processes are those of `before`; without
    it nobody knows them, and the row says 0.
    """

    __slots__ = ("before", "kind", "row", "time_ns")

    def __init__(
        self, kind: EventKind, row: SocketRow, before: SocketRow | None, time_ns: int
    ) -> None:
        self.kind = kind
        self.row = row
        self.before = before
        self.time_ns = time_ns

    def as_dict(self) -> dict[str, object]:
        """Return the kind as ``event``, the time, the fields of the row, and those that changed."""
        fields = self.row.as_dict()
        found: dict[str, object] = {"event": self.kind, "time_ns": self.time_ns, **fields}
        if self.before is not None:
            was = self.before.as_dict()
            names = [name for name in _TOLD if was.get(name) != fields.get(name)]
            found["before"] = {name: was.get(name) for name in names}
        elif self.kind == "closed":
            del found["uid"], found["inode"]
        return found

    def __repr__(self) -> str:
        return f"<Event {self.kind} {self.row!r}>"


class Watch:
    """The sockets of some tables over time; made by `watch`.

    It is an iterator of `Event`, for ``for`` and for ``async for``, and a context manager for
    ``with`` and ``async with``. It begins, with a first listing that is no event, when the block is
    entered, or with the first event that is asked for. While asyncio is used, sockets are listed in
    another thread. A cancelled ``async for`` loses nothing; let one task iterate at a time.

    `remarks` is what listings had to say, each once, and of kind "overrun", that events were lost.
    """

    def __init__(
        self, tables: tuple[str, ...], selection: dict[str, Any], interval: float, buffer: int
    ) -> None:
        self.remarks: list[Remark] = []
        self._processes = selection.pop("processes")
        self._tables = tables
        self._selection = selection
        self._interval = interval
        self._states, self._shape = _shape(selection)
        self._known: dict[Key, tuple[SocketRow, bytes]] = {}
        self._missing: dict[Key, tuple[SocketRow, float]] = {}  # until when an event may still come
        self._closed: dict[Key, SocketRow] = {}  # since the last comparison
        self._waiting: deque[Event] = deque()
        self._begun = False
        self._due = 0.0
        self._overruns = 0
        self._stopped = False
        family = selection["family"]
        self._ends = DestroyEvents(
            tables or TABLES,
            ("inet", "inet6") if family is None else (family,),
            namespace=selection["namespace"],
            buffer=buffer,
        )
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    # -- the public face ---------------------------------------------------------------------------

    @property
    def rows(self) -> list[SocketRow]:
        """The sockets that are there, as they were last listed."""
        return [row for row, _ in self._known.values()]

    @property
    def sees_ends(self) -> bool:
        """Whether the kernel tells of sockets that end; else comparing does, later."""
        return self._ends.allowed

    @property
    def overruns(self) -> int:
        """How often the kernel had more events than there was room for."""
        return self._ends.overruns

    def refresh(self) -> None:
        """List the sockets again with the next event that is asked for, without waiting."""
        self._due = 0.0

    def stop(self) -> None:
        """End the iteration, from any thread or from a signal handler."""
        self._stopped = True
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Give the descriptors back, by whoever iterates. Idempotent."""
        self._stopped = True
        self._ends.close()
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1

    def wait(self, timeout: float | None = None) -> list[Event]:
        """Return what has happened; wait until something does, `timeout` seconds at most.

        Empty when nothing did, and when the watch was stopped.

        Raises: OSError, as the kernel says; what `dump` raises.
        """
        until = None if timeout is None else time.monotonic() + timeout
        self._begin()
        while not self._gather():
            if self._is_due():
                self._compare(self._list())
                continue
            patience = self._patience(until)
            if self._stopped or patience <= 0:
                break
            poll = select.poll()
            for descriptor in (self._ends.fileno(), self._wake):
                poll.register(descriptor, select.POLLIN)
            poll.poll(patience * 1000)
        events = list(self._waiting)
        self._waiting.clear()
        return events

    def __enter__(self) -> Self:
        """Begin."""
        try:
            self._begin()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    async def __aenter__(self) -> Self:
        """Begin."""
        try:
            await self._begin_async()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        # `for event in watch(): break` leaves nobody else to close it.
        if hasattr(self, "_wake"):
            self.close()

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> Event:
        """Wait for the next event."""
        if not self._waiting:
            self._waiting.extend(self.wait())
        if not self._waiting:
            raise StopIteration
        return self._waiting.popleft()

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> Event:
        """Wait for the next event, while the event loop runs."""
        import asyncio

        await self._begin_async()
        while not self._waiting and not self._gather():
            if self._stopped:
                raise StopAsyncIteration
            if self._is_due():
                self._compare(await asyncio.to_thread(self._list))
            else:
                await self._readable(self._patience(None))
        return self._waiting.popleft()

    async def _begin_async(self) -> None:
        import asyncio

        if not self._begun:
            self._first(await asyncio.to_thread(self._list))

    async def _readable(self, patience: float) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        ready = loop.create_future()

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        descriptors = (self._ends.fileno(), self._wake)
        timer = loop.call_later(patience, wake)
        try:
            for descriptor in descriptors:
                loop.add_reader(descriptor, wake)
            await ready
        finally:
            timer.cancel()
            for descriptor in descriptors:
                loop.remove_reader(descriptor)

    # -- when to do what ---------------------------------------------------------------------------

    def _begin(self) -> None:
        if not self._begun:
            self._first(self._list())

    def _first(self, rows: list[SocketRow]) -> None:
        self._known = {_key(row): (row, _signature(row)) for row in rows}
        self._begun = True
        self._due = time.monotonic() + self._interval

    def _is_due(self) -> bool:
        return not self._stopped and time.monotonic() >= self._due

    def _patience(self, until: float | None) -> float:
        """Return how many seconds nothing is to be done but to look at the descriptors."""
        times = [self._due, *(limit for _, limit in self._missing.values())]
        if until is not None:
            times.append(until)
        return max(0.0, min(times) - time.monotonic())

    # -- what happened -----------------------------------------------------------------------------

    def _list(self) -> list[SocketRow]:
        """List the sockets; changes nothing here but `remarks`."""
        # All processes are looked through once; afterwards only for sockets not seen before.
        found = dump(
            *self._tables, **self._selection, processes=self._processes and not self._begun
        )
        rows = list(found)
        if self._processes and self._begun:
            self._find_processes(rows)
        told = {(remark.kind, remark.table) for remark in self.remarks}
        self.remarks += [one for one in found.remarks if (one.kind, one.table) not in told]
        return rows

    def _find_processes(self, rows: list[SocketRow]) -> None:
        from sockwright.sockets.diag.processes import find_processes

        unknown = []
        for row in rows:
            before = self._known.get(_key(row))
            if before is not None and before[0].inode == row.inode:
                row.processes = before[0].processes or ()
            else:
                unknown.append(row)
        wanted = {row.inode for row in unknown} - {0}
        by_inode = find_processes(wanted).by_inode if wanted else {}
        for row in unknown:
            row.processes = by_inode.get(row.inode, ())

    def _compare(self, rows: list[SocketRow]) -> None:
        """Find out what has changed since the last listing."""
        now = time.time_ns()
        gone, self._known = self._known, {}
        closed, self._closed = self._closed, {}
        for row in rows:
            key, signature = _key(row), _signature(row)
            if key in self._missing:
                continue  # a TIME-WAIT, whose connection is still to be told as closed
            before, old = gone.get(key, (None, b""))
            if before is not None and _outlives(row, before):
                continue
            gone.pop(key, None)
            self._known[key] = row, signature
            if before is None:
                self._tell("opened", row, closed.get(key), now)
            elif signature != old:
                self._tell("changed", row, before, now)
        for key, (before, _) in gone.items():
            self._lose(key, before, now)
        self._due = max(self._due + self._interval, time.monotonic())

    def _lose(self, key: Key, before: SocketRow, now: int) -> None:
        """Tell what became of a socket that is listed no longer, or leave that to the kernel."""
        if self._shape is not None and (still := self._alive(before)) is not None:
            self._tell("changed", still, before, now)
        elif before.protocol in self._ends.tables and before.state_number not in _NO_SOCKETS:
            self._missing[key] = before, time.monotonic() + _PATIENCE_S
        else:
            self._close(key, before, before, now)

    def _alive(self, before: SocketRow) -> SocketRow | None:
        if not isinstance(before, InetSocket):
            return None
        still = lookup(before, info=self._selection["info"])
        return None if still is None or _outlives(still, before) else still

    def _gather(self) -> bool:
        """Take what the kernel tells by now; return whether there is any event."""
        now = time.time_ns()
        for row in self._ends.receive():
            self._end(row, now)
        if self._ends.overruns != self._overruns:
            self._overruns = self._ends.overruns
            self.refresh()
            self._remark_overrun()
        if self._missing:
            passed = time.monotonic()
            late = [key for key, (_, limit) in self._missing.items() if limit <= passed]
            for key in late:
                before, _ = self._missing.pop(key)
                self._close(key, before, before, now)
        return bool(self._waiting)

    def _end(self, row: InetSocket, now: int) -> None:
        """Tell of a socket that the kernel says has ended."""
        key = _key(row)
        if key in self._closed:
            return  # it was told by comparing already, the kernel was slow
        found = self._missing.pop(key, None) or self._known.get(key)
        if found is None:
            if self._wanted(row):
                self._close(key, row, None, now)
            return
        before = found[0]
        if before.state_number != _TIME_WAIT:
            self._known.pop(key, None)
            row = with_owner(row, before)
            if before.processes is not None:
                row.processes = before.processes
            self._close(key, row, before, now)

    def _wanted(self, row: InetSocket) -> bool:
        """Tell whether a socket that was never listed is one of those that are watched."""
        # Its state is gone; a peer tells that it was connected, or about to be.
        possible = _ESTABLISHED | _SYN_SENT if row.peer_port else LISTENING
        if not self._states & possible:
            return False
        from sockwright.errors import NotPossibleError

        try:
            return self._shape is None or self._shape.matches(row)
        except NotPossibleError:
            return False

    def _close(self, key: Key, row: SocketRow, before: SocketRow | None, now: int) -> None:
        self._closed[key] = before or row
        self._tell("closed", row, before, now)

    def _tell(self, kind: EventKind, row: SocketRow, before: SocketRow | None, now: int) -> None:
        self._waiting.append(Event(kind, row, before, now))

    def _remark_overrun(self) -> None:
        text = (
            f"events of sockets that ended were lost, {self._overruns} times; all were listed again"
        )
        self.remarks = [one for one in self.remarks if one.kind != "overrun"]
        self.remarks.append(Remark("overrun", "", text))


def watch(
    *tables: str,
    where: str | Condition | SocketFilter = "",
    states: str | Iterable[str] | None = None,
    family: str | None = None,
    info: bool = False,
    memory: bool = False,
    options: bool = False,
    processes: bool = False,
    namespace: int | str | None = None,
    interval: float = 1.0,
    buffer: int = _BUFFER,
) -> Watch:
    """Tell of sockets that open, change and close; the arguments are those of `dump`.

    Sockets are listed every `interval` seconds; `buffer` is how many octets of events may wait to
    be read, about 1000 for a socket. With `processes` those of a socket are looked for once, when
    it opens.

    Raises:
        UsageError: there is no such table.
        FilterError: `where` is wrong.
        ValueError: the interval is not above 0.
        NotPossibleError: the namespace cannot be entered.
        OSError: the kernel has no sock_diag.
    """
    if interval <= 0:
        raise ValueError(f"an interval of {interval} seconds: it has to be above 0")
    for name in tables:
        table(name)
    if isinstance(where, str) and where:
        from sockwright.sockets.diag.filter import parse_filter

        where = parse_filter(where, family=family)
    selection = {
        "where": where,
        "states": states,
        "family": family,
        "info": info,
        "memory": memory,
        "options": options,
        "processes": processes,
        "namespace": namespace,
    }
    return Watch(tables, selection, interval, buffer)


def _key(row: SocketRow) -> Key:
    """Return what tells this socket from all others; those of /proc have no cookie."""
    return row.protocol, row.cookie or (row.local, row.peer, row.inode)


def _signature(row: SocketRow) -> bytes:
    """Return what differs when a socket has changed."""
    message = row.message
    if not isinstance(row, InetSocket):
        return message
    # State, timer, retransmissions; the two queues, uid, inode. Not when the timer goes off.
    return message[1:4] + message[56:72]


def _outlives(row: SocketRow, before: SocketRow) -> bool:
    """Tell whether `row` is the TIME-WAIT that is left of the connection `before`."""
    return row.state_number == _TIME_WAIT != before.state_number


def _shape(selection: dict[str, Any]) -> tuple[int, SocketFilter | None]:
    """Return the mask of states that are watched, and the rest of the filter; None for all."""
    where, words = selection["where"], selection["states"]
    mask = where.states if hasattr(where, "states") else None
    if words is not None:
        mask = 0
        for word in (words,) if isinstance(words, str) else words:
            mask |= STATE_WORDS[word]
    if not where and mask is None:
        return ALL, None
    from sockwright.sockets.diag.filter import SocketFilter

    condition = where.condition if hasattr(where, "condition") else where or None
    return ALL if mask is None else mask, SocketFilter(condition)

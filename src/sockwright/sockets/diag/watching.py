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
3. A socket that opens and closes between two listings is told as closed, without `before`. One
   whose program aborts it (SO_LINGER of 0 seconds) has forgotten its peer's port by then.
4. TIME-WAIT is a record of the kernel's own, which stays when the socket has ended, and so may be
   FIN-WAIT-2: the connection is told as closed, then its record, where that state is asked for, as
   opened, with `before`.
5. A socket that lives on, but no longer matches `where` or `states`, is told as changed a last
   time, and not `listed` any more.
6. Where events were lost (ENOBUFS), the sockets are listed at once. `Watch.overruns` counts it.
7. Netlink sockets of sock_diag are left out: listing opens some each time.
8. As in a listing, TCP sockets that have a port and nothing else are left out unless `states` or
   `where` asks for them. Of one that no listing saw the kernel does not tell at its end whether it
   listened: it is told as closed. A socket without a port is in no listing, and in no event.
"""

from __future__ import annotations

import os
import select
import time
from _collections_abc import Iterator  # collections.abc, without the rest of collections

from sockwright.errors import UsageError
from sockwright.sockets.diag.changes import Changes, seen
from sockwright.sockets.diag.events import EVENT_BUFFER, DestroyEvents
from sockwright.sockets.diag.listing import Remark, as_filter, dump
from sockwright.sockets.diag.netlink import NETLINK_SOCK_DIAG
from sockwright.sockets.diag.states import ALL, BOUND_INACTIVE, LISTENING, state_mask
from sockwright.sockets.diag.tables import TABLES, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Any, Literal, Self, Unpack, overload

    from sockwright.sockets.diag.changes import Event, Key, Seen
    from sockwright.sockets.diag.filter import Condition, SocketFilter
    from sockwright.sockets.diag.inet import (
        InetSocket,
        MPTCPSocket,
        RawSocketRow,
        SCTPSocket,
        TCPSocket,
        UDPLiteSocket,
        UDPSocket,
    )
    from sockwright.sockets.diag.listing import Selection
    from sockwright.sockets.diag.netlink_table import NetlinkSocket
    from sockwright.sockets.diag.packet import PacketSocketRow
    from sockwright.sockets.diag.row import SocketRow
    from sockwright.sockets.diag.tables import InetTableName, Row_co
    from sockwright.sockets.diag.unix import UnixSocket
    from sockwright.sockets.diag.vsock import VSockSocket

    class Watching(Selection, total=False):
        """The keywords of `watch`, for type checkers."""

        interval: float
        buffer: int


__all__ = ["Watch", "watch"]

_ESTABLISHED, _SYN_SENT = 1 << 1, 1 << 2
_LEAST_S = 0.01  # between two listings: one of few sockets takes a millisecond or two
_LONGEST_S = 3600.0  # of one poll(2), which counts milliseconds in an int


class Watch(Iterator["Event[Row_co]"]):
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
        self._states, self._filter = _shape(selection)
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
        self._changes = Changes(self._ends.tables)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    # -- the public face ---------------------------------------------------------------------------

    @property
    def rows(self) -> list[Row_co]:
        """The sockets that are there, as they were last listed."""
        return self._changes.rows  # type: ignore[return-value]  # of the tables that it lists

    @property
    def stopped(self) -> bool:
        """Whether `stop` or `close` was called."""
        return self._stopped

    @property
    def sees_ends(self) -> bool:
        """Whether the kernel tells of some of these sockets when they end; else comparing does."""
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

    def wait(self, timeout: float | None = None) -> list[Event[Row_co]]:
        """Return what has happened; wait until something does, `timeout` seconds at most.

        Empty when nothing did, and when the watch was stopped.

        Raises: OSError, as the kernel says; what `dump` raises.
        """
        until = None if timeout is None else time.monotonic() + timeout
        self._begin()
        listed = False
        while not self._gather():
            # Once in any case; where listing takes longer than the interval, it is always due.
            over = until is not None and time.monotonic() >= until
            if self._is_due() and not (listed and over):
                self._compare(*self._list())
                listed = True
                continue
            patience = self._patience(until)
            if self._stopped or patience <= 0:
                break
            poll = select.poll()
            for descriptor in (self._ends.fileno(), self._wake):
                poll.register(descriptor, select.POLLIN)
            poll.poll(min(patience, _LONGEST_S) * 1000)
        events = list(self._changes.events)
        self._changes.events.clear()
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

    def __next__(self) -> Event[Row_co]:
        """Wait for the next event."""
        waiting = self._changes.events
        if not waiting:
            waiting.extend(self.wait())
        if not waiting:
            raise StopIteration
        return waiting.popleft()

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> Event[Row_co]:
        """Wait for the next event, while the event loop runs."""
        import asyncio

        await self._begin_async()
        waiting = self._changes.events
        while not waiting and not self._gather():
            if self._stopped:
                raise StopAsyncIteration
            if self._is_due():
                self._compare(*await asyncio.to_thread(self._list))
            else:
                await self._readable(self._patience(None))
        return waiting.popleft()

    async def _begin_async(self) -> None:
        import asyncio

        if not self._begun:
            self._first((await asyncio.to_thread(self._list))[0])

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
            self._first(self._list()[0])

    def _first(self, rows: Seen) -> None:
        self._changes.begin(rows)
        self._begun = True
        self._due = time.monotonic() + self._interval

    def _is_due(self) -> bool:
        return not self._stopped and time.monotonic() >= self._due

    def _patience(self, until: float | None) -> float:
        """Return how many seconds nothing is to be done but to look at the descriptors."""
        times = (self._due, self._changes.due, until)
        return max(0.0, min(at for at in times if at is not None) - time.monotonic())

    # -- what happened -----------------------------------------------------------------------------

    def _list(self) -> tuple[Seen, dict[Key, SocketRow]]:
        """List the sockets, and those that live on but are not wanted any more.

        Changes nothing here but `remarks`, so that it may be given up.
        """
        # All processes are looked through once; afterwards only for sockets not seen before.
        all_processes = self._processes and not self._begun
        found = dump(*self._tables, **self._selection, processes=all_processes)
        rows = seen(row for row in found if not _lists_sockets(row))
        left = self._left(rows) if self._begun else {}
        if self._processes and self._begun:
            self._find_processes(rows)
        told = {(remark.kind, remark.table) for remark in self.remarks}
        self.remarks += [one for one in found.remarks if (one.kind, one.table) not in told]
        return rows, left

    def _left(self, rows: Seen) -> dict[Key, SocketRow]:
        """Return the sockets that live on but do not match any more; add to `rows` those that do.

        A dump is no snapshot: when sockets end while the kernel writes it, it may leave out others.
        """
        lost = self._changes.lost(rows)
        left: dict[Key, SocketRow] = {}
        if lost:
            everything = self._selection | {"where": "", "states": "all"}
            others = seen(dump(*self._tables, **everything))
            for key in lost & others.keys():
                row, _ = others[key]
                if self._matches(row):
                    rows[key] = others[key]
                else:
                    left[key] = row
        return left

    def _matches(self, row: SocketRow) -> bool:
        return bool(self._states >> row.state_number & 1) and self._passes(row)

    def _find_processes(self, rows: Seen) -> None:
        from sockwright.sockets.diag.processes import find_processes

        unknown = []
        for key, (row, _) in rows.items():
            before = self._changes.known(key)
            if before is not None and before.inode == row.inode:
                row.processes = before.processes or ()
            else:
                unknown.append(row)
        wanted = {row.inode for row in unknown} - {0}
        by_inode = find_processes(wanted).by_inode if wanted else {}
        for row in unknown:
            row.processes = by_inode.get(row.inode, ())

    def _compare(self, rows: Seen, left: dict[Key, SocketRow]) -> None:
        now = time.monotonic()
        self._changes.compare(rows, left, time.time_ns(), now)
        # In step, unless listing takes longer than the interval: then with a pause.
        due = self._due + self._interval
        self._due = due if due > now else now + self._interval

    def _gather(self) -> bool:
        """Take what the kernel tells by now; return whether there is any event."""
        if self._wake < 0:  # closed
            return bool(self._changes.events)
        now = time.time_ns()
        for row in self._ends.receive():
            self._changes.end(row, self._wanted, now)
        if self._ends.overruns != self._overruns:
            self._overruns = self._ends.overruns
            self._remark_overrun()
            self.refresh()
        self._changes.give_up(now, time.monotonic())
        return bool(self._changes.events)

    def _wanted(self, row: InetSocket) -> bool:
        """Tell whether a socket that was never listed is one of those that are watched."""
        if not row.local_port:  # it never was in a table that is listed
            return False
        # Its state is gone; a peer tells that it was connected, or about to be. One that was
        # aborted has forgotten the port.
        connected = row.peer_port or row.peer_address not in {"0.0.0.0", "::"}
        possible = _ESTABLISHED | _SYN_SENT if connected else LISTENING
        return bool(self._states & possible) and self._passes(row)

    def _passes(self, row: SocketRow) -> bool:
        """Tell whether the filter lets a row through, leaving its state aside."""
        if self._filter is None:
            return True
        from sockwright.errors import NotPossibleError

        try:
            return self._filter.matches(row)
        except NotPossibleError:  # the row does not tell what is asked for
            return False

    def _remark_overrun(self) -> None:
        times = "once" if self._overruns == 1 else f"{self._overruns} times"
        text = f"events of sockets that ended were lost {times}; all were listed again"
        self.remarks = [one for one in self.remarks if one.kind != "overrun"]
        self.remarks.append(Remark("overrun", "", text))


if TYPE_CHECKING:  # which rows come from which tables, as for `dump`

    @overload
    def watch(table: Literal["tcp"], /, **asked: Unpack[Watching]) -> Watch[TCPSocket]: ...
    @overload
    def watch(table: Literal["mptcp"], /, **asked: Unpack[Watching]) -> Watch[MPTCPSocket]: ...
    @overload
    def watch(table: Literal["udp"], /, **asked: Unpack[Watching]) -> Watch[UDPSocket]: ...
    @overload
    def watch(table: Literal["udplite"], /, **asked: Unpack[Watching]) -> Watch[UDPLiteSocket]: ...
    @overload
    def watch(table: Literal["raw"], /, **asked: Unpack[Watching]) -> Watch[RawSocketRow]: ...
    @overload
    def watch(table: Literal["sctp"], /, **asked: Unpack[Watching]) -> Watch[SCTPSocket]: ...
    @overload
    def watch(table: Literal["unix"], /, **asked: Unpack[Watching]) -> Watch[UnixSocket]: ...
    @overload
    def watch(table: Literal["packet"], /, **asked: Unpack[Watching]) -> Watch[PacketSocketRow]: ...
    @overload
    def watch(table: Literal["netlink"], /, **asked: Unpack[Watching]) -> Watch[NetlinkSocket]: ...
    @overload
    def watch(table: Literal["vsock"], /, **asked: Unpack[Watching]) -> Watch[VSockSocket]: ...
    @overload
    def watch(
        table: InetTableName, /, *tables: InetTableName, **asked: Unpack[Watching]
    ) -> Watch[InetSocket]: ...
    @overload
    def watch(*tables: str, **asked: Unpack[Watching]) -> Watch[SocketRow]: ...


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
    buffer: int = EVENT_BUFFER,
) -> Watch[SocketRow]:
    """Tell of sockets that open, change and close; the arguments are those of `dump`.

    Sockets are listed every `interval` seconds, which is 0.01 or more; `buffer` is how many octets
    of events may wait to be read, about 1000 for a socket. With `processes` those of a socket are
    looked for once, when it opens.

    Raises:
        UsageError: there is no such table or state, or the interval is below 0.01.
        FilterError: `where` is wrong.
        TypeError: an argument is of another type than `dump` takes.
        NotPossibleError: the namespace cannot be entered.
        OSError: the kernel has no sock_diag.
    """
    if not interval >= _LEAST_S:  # nor is NaN
        raise UsageError(f"the interval is {_LEAST_S} seconds or more, not {interval:g}")
    for name in tables:
        table(name)
    selection = {
        "where": as_filter(where, family, namespace) or "",
        "states": states,
        "family": family,
        "info": info,
        "memory": memory,
        "options": options,
        "processes": processes,
        "namespace": namespace,
    }
    return Watch(tables, selection, interval, buffer)


def _lists_sockets(row: SocketRow) -> bool:
    """Tell whether this is a socket by which some program, such as this one, lists sockets."""
    if row.protocol != "netlink":
        return False
    from sockwright.sockets.diag.netlink_table import NetlinkSocket

    return isinstance(row, NetlinkSocket) and row.netlink_protocol == NETLINK_SOCK_DIAG


def _shape(selection: dict[str, Any]) -> tuple[int, SocketFilter | None]:
    """Return the states that are watched, and the filter without them."""
    where, words = selection["where"], selection["states"]
    if words is None:
        # What `dump` lists when it is told nothing else.
        states = ALL if where and where.states is not None else ALL & ~BOUND_INACTIVE
    else:
        states = state_mask(words)
    if where == "":
        return states, None
    from sockwright.sockets.diag.filter import SocketFilter

    states &= ALL if where.states is None else where.states
    return states, SocketFilter(where.condition)

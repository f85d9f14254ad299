"""`sw ss --graph FILTER`: one TCP connection over time, for `sockwright.tools.ss`.

`run()` of the verb calls, with the arguments that it would give to `dump`::

    selection = {"where": …, "states": …, "family": …, "processes": …, "namespace": …}
    return (yield from graphing(selection, interval=0.1))

`graphing` first yields the `Connection` that is followed, then a `Sample` each `interval` seconds,
and `Ended` when the connection does; --json prints the last two as they are. The verb's page hands
the rows that follow to the page of this when it meets the first::

    if isinstance(row, Connection):
        from sockwright.cli.pages._ss_graph import show_graph
        show_graph(row, rows, screen)

which draws on a terminal, and writes a line a sample into a pipe.
"""

from __future__ import annotations

import os
import select
import time

from sockwright.errors import SockwrightError
from sockwright.tools._stopping import stopping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from typing import Any, Self

    from sockwright.sockets.diag.inet import TCPSocket
    from sockwright.sockets.diag.structures.tcp_info import TCPInfo

__all__ = ["Connection", "Ended", "Sample", "graphing"]

_CHOOSING_S = 0.25  # how long connections are compared to find the busiest
_LAST_WORD_S = 0.25  # how long to wait for the kernel's word that a connection has ended
_NAMED = 3  # how many of the others are named
_MEASURED = (
    "rtt", "rttvar", "min_rtt", "snd_cwnd", "snd_ssthresh", "snd_mss", "delivery_rate",
    "pacing_rate", "unacked", "lost", "total_retrans", "bytes_acked", "bytes_received",
)  # fmt: skip
_MICROSECONDS = {"rtt", "rttvar", "min_rtt"}


class Connection:
    """The connection that is followed, and how it was chosen; said on standard error.

    `row` is how it was at first, `others` are those that the filter let through as well, the
    busiest first.
    """

    aside = True
    __slots__ = ("interval", "others", "row")

    def __init__(self, row: TCPSocket, others: Sequence[TCPSocket], interval: float) -> None:
        self.row = row
        self.others = others
        self.interval = interval

    def __str__(self) -> str:
        text = f"following {self.row.local} to {self.row.peer}"
        if not self.others:
            return text
        named = ", ".join(f"{row.local} to {row.peer}" for row in self.others[:_NAMED])
        more = len(self.others) - _NAMED
        rest = f" and {more} more" if more > 0 else ""
        return f"{text}, the busiest of {len(self.others) + 1}; the others: {named}{rest}"


class Sample:
    """A connection at one moment: `time_ns` since 1970, its row, and the row's `info`."""

    __slots__ = ("info", "row", "time_ns")

    def __init__(self, time_ns: int, row: TCPSocket, info: TCPInfo) -> None:
        self.time_ns = time_ns
        self.row = row
        self.info = info

    def as_dict(self) -> dict[str, object]:
        """Return the addresses, the state, and what changes over time; no unit means octets."""
        row = self.row
        found: dict[str, object] = {
            "event": "sample",
            "time_ns": self.time_ns,
            "local": row.local,
            "peer": row.peer,
            "state": row.state,
            "receive_queue": row.receive_queue,
            "send_queue": row.send_queue,
        }
        for name in _MEASURED:
            value = getattr(self.info, name)
            if value is not None:
                found[f"{name}_us" if name in _MICROSECONDS else name] = value
        return found


class Ended:
    """The connection has ended: how it was at last. `row.info` is its last TCP_INFO.

    `told` is whether the kernel told so; else `row` is the last sample.
    """

    __slots__ = ("row", "time_ns", "told")

    def __init__(self, time_ns: int, row: TCPSocket, *, told: bool) -> None:
        self.time_ns = time_ns
        self.row = row
        self.told = told

    def as_dict(self) -> dict[str, object]:
        """Return every field of the row."""
        return {"event": "closed", "time_ns": self.time_ns, **self.row.as_dict()}


def graphing(
    selection: Mapping[str, Any],
    *,
    interval: float = 0.1,
    count: int | None = None,
    duration: float | None = None,
) -> Generator[object, None, int]:
    """Yield one TCP connection over time, until it ends or Ctrl-C; return the exit status.

    Of several connections that `selection` lets through the busiest is followed. Ends after `count`
    samples or `duration` seconds too.

    Raises:
        SockwrightError: there is no such connection.
        Whatever `dump` raises.
    """
    with _Follower(selection, interval) as follower, stopping(follower.stop):
        yield follower.choose()
        yield from follower.follow(count, duration)
    return 0


class _Follower:
    """Finds a connection and looks at it again and again."""

    def __init__(self, selection: Mapping[str, Any], interval: float) -> None:
        from sockwright.sockets.diag.events import DestroyEvents
        from sockwright.sockets.diag.netlink import SockDiag

        self._selection = selection
        self._interval = interval
        self._row: TCPSocket | None = None
        self._stopped = False
        namespace = selection.get("namespace")
        # Both first: whatever ends from now on is noticed.
        self._diag = SockDiag(namespace)
        try:
            self._ends = DestroyEvents(["tcp"], namespace=namespace)
        except BaseException:
            self._diag.close()
            raise
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._diag.close()
        self._ends.close()
        os.close(self._wake)

    def stop(self) -> None:
        self._stopped = True
        os.eventfd_write(self._wake, 1)

    # -- which one ---------------------------------------------------------------------------------

    def choose(self) -> Connection:
        """Return the connection to follow: the one that carries most. Raises: SockwrightError."""
        found = self._connections()
        if len(found) > 1:
            before = {row.cookie: _carried(row) for row in found}
            _sleep(_CHOOSING_S, self._wake)
            found = self._connections() or found
            # What carries nothing now is told apart by what it carried before.
            found.sort(
                key=lambda row: (_carried(row) - before.get(row.cookie, 0), _carried(row)),
                reverse=True,
            )
        if not found:
            raise SockwrightError(
                "no TCP connection is there that the filter lets through; "
                "'sw ss -t' lists connections"
            )
        self._row = found[0]
        if self._selection.get("processes"):
            from sockwright.sockets.diag.processes import find_processes

            inode = found[0].inode
            found[0].processes = find_processes({inode}).by_inode.get(inode, ())
        return Connection(found[0], found[1:], self._interval)

    def _connections(self) -> list[TCPSocket]:
        from sockwright.sockets.diag.inet import TCPSocket
        from sockwright.sockets.diag.listing import dump

        return [
            row
            for row in dump("tcp", **{**self._selection, "info": True, "processes": False})
            if isinstance(row, TCPSocket) and row.peer_port and row.info is not None
        ]

    # -- over time ---------------------------------------------------------------------------------

    def follow(self, count: int | None, duration: float | None) -> Iterator[Sample | Ended]:
        begun = due = time.monotonic()
        until = None if duration is None else begun + duration
        taken = 0
        while not self._stopped and taken != count:
            sample = self._sample()
            if sample is None:
                yield self._ended() or self._wait_for_end(_LAST_WORD_S) or self._vanished()
                return
            yield sample
            taken += 1
            # A slow reader gets fewer samples, not late ones.
            due = max(due + self._interval, time.monotonic())
            if until is not None and due >= until:
                _sleep(until - time.monotonic(), self._wake)
                return
            ended = self._wait_for_end(due - time.monotonic())
            if ended is not None:
                yield ended
                return

    def _sample(self) -> Sample | None:
        """Look at the connection; None is that it has ended."""
        from sockwright.sockets.diag.inet import TCPSocket
        from sockwright.sockets.diag.lookup import lookup

        before = self._row
        assert before is not None  # it was chosen
        row = lookup(before, info=True, diag=self._diag)
        if not isinstance(row, TCPSocket) or row.info is None:  # gone, or TIME-WAIT is left of it
            return None
        self._row = row
        return Sample(time.time_ns(), row, row.info)

    def _wait_for_end(self, seconds: float) -> Ended | None:
        """Wait so long, or until the kernel tells that the connection has ended."""
        until = time.monotonic() + seconds
        while not self._stopped and (left := until - time.monotonic()) > 0:
            _sleep(left, self._wake, self._ends.fileno())
            if (ended := self._ended()) is not None:
                return ended
        return None

    def _ended(self) -> Ended | None:
        from sockwright.sockets.diag.events import with_owner
        from sockwright.sockets.diag.inet import TCPSocket

        before = self._row
        assert before is not None  # it was chosen
        for row in self._ends.receive():
            if isinstance(row, TCPSocket) and row == before:
                return Ended(time.time_ns(), with_owner(row, before), told=True)
        return None

    def _vanished(self) -> Ended:
        assert self._row is not None  # it was chosen
        return Ended(time.time_ns(), self._row, told=False)


def _carried(row: TCPSocket) -> int:
    """Return the octets that a connection has carried, both ways."""
    info = row.info
    return 0 if info is None else (info.bytes_acked or 0) + (info.bytes_received or 0)


def _sleep(seconds: float, *descriptors: int) -> None:
    """Wait so long, or until one of the descriptors is readable."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    poll.poll(max(0.0, seconds) * 1000)

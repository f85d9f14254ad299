"""`sw ss --watch`: what happens to sockets, for `sockwright.tools.ss`.

`run()` of the verb calls, with the arguments that it would give to `dump`::

    selection = {"where": …, "states": …, "family": …, "processes": …, "namespace": …}
    return (yield from watching(tables, selection, interval=1.0, unwanted=…, title=…,
                                frames=wants_frames(json=args.json)))

`watching` first yields `Begun`. With `frames` a `Frame` follows whenever the picture on a terminal
is to be drawn anew, else each `Event` of the library by itself, which --json prints as it is. The
verb's page hands the rows that follow to the page of this when it meets the first::

    if isinstance(row, Begun):
        from sockwright.cli.pages._ss_watch import show_watch
        show_watch(row, rows, screen, names, devices, netid=…)
"""

from __future__ import annotations

import os
import sys
import time

from sockwright.tools._rows import Remark
from sockwright.tools._stopping import stopping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
    from typing import Any

    from sockwright.sockets.diag.changes import Event
    from sockwright.sockets.diag.remarks import Remark as DumpRemark
    from sockwright.sockets.diag.row import SocketRow
    from sockwright.sockets.diag.watching import Watch

__all__ = ["Begun", "Frame", "wants_frames", "watching"]

_LEAST_S = 0.1  # between two pictures


class Begun(Remark):
    """From now on nothing is missed.

    `rows` are the sockets that are there, `title` says what is watched; `sees_ends` tells whether
    the kernel tells of sockets that close.
    """

    __slots__ = ("frames", "processes", "rows", "sees_ends", "title")

    def __init__(
        self,
        rows: Sequence[SocketRow],
        title: str,
        *,
        frames: bool,
        processes: bool,
        sees_ends: bool,
    ) -> None:
        what = f" ({title})" if title else ""
        how = "" if sees_ends else "; closed ones are found by comparing listings"
        sockets = f"{len(rows)} socket{'' if len(rows) == 1 else 's'}"
        super().__init__(f"watching {sockets}{what}{how}; Ctrl-C ends it")
        self.rows = rows
        self.title = title
        self.frames = frames
        self.processes = processes
        self.sees_ends = sees_ends


class Frame:
    """What has happened since the frame before: it is time to draw."""

    aside = True
    __slots__ = ("events",)

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events

    def __str__(self) -> str:
        return ""


def wants_frames(*, json: bool) -> bool:
    """Tell whether standard output is a terminal that can be drawn on."""
    return not json and sys.stdout.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}


def watching(
    tables: Sequence[str],
    selection: Mapping[str, Any],
    *,
    interval: float = 1.0,
    count: int | None = None,
    duration: float | None = None,
    unwanted: Collection[str] = (),
    kinds: Collection[str] = ("opened", "changed", "closed"),
    frames: bool = False,
    title: str = "",
    says: Callable[[DumpRemark], bool] = bool,
) -> Generator[object, None, int]:
    """Yield what happens to sockets until Ctrl-C; return the exit status.

    Ends after `count` events or `duration` seconds too. Events of other `kinds` are left out, and
    rows whose Netid is `unwanted`; `title` says what is watched, `says` which remarks are told.

    Raises: what `watch` raises.
    """
    from sockwright.sockets.diag.tables import TABLES
    from sockwright.sockets.diag.watching import watch

    # Who names no table is not told which of them this kernel has by other ways, or not at all.
    tables = () if set(tables) >= TABLES.keys() else tables
    with watch(*tables, **selection, interval=interval) as sockets, stopping(sockets.stop):
        yield Begun(
            [row for row in sockets.rows if row.netid not in unwanted],
            title,
            frames=frames,
            processes=bool(selection.get("processes")),
            sees_ends=sockets.sees_ends,
        )
        told: list[str] = []

        def is_wanted(event: Event) -> bool:
            return event.kind in kinds and event.row.netid not in unwanted

        least = _LEAST_S if frames else 0.0
        rounds = _rounds(sockets, interval, is_wanted, count=count, duration=duration, least=least)
        for events in rounds:
            for remark in sockets.remarks:
                if remark.text not in told and says(remark):
                    told.append(remark.text)
                    yield Remark(remark.text)
            if frames:
                yield Frame(events)
            else:
                yield from events
    return 0


def _rounds(
    sockets: Watch,
    interval: float,
    is_wanted: Callable[[Event], bool],
    *,
    count: int | None,
    duration: float | None,
    least: float,
) -> Iterator[list[Event]]:
    """Yield events as they come, none where a while was quiet; not more often than `least`."""
    until = None if duration is None else time.monotonic() + duration
    left = count
    last = time.monotonic()
    while True:
        now = time.monotonic()
        rest = interval if until is None else min(interval, until - now)
        events = sockets.wait(max(0.0, rest))
        while not sockets.stopped and (early := last + least - time.monotonic()) > 0:
            events += sockets.wait(early)
        last = time.monotonic()
        events = list(filter(is_wanted, events))
        if left is not None:
            events = events[:left]
            left -= len(events)
        yield events
        if sockets.stopped or left == 0 or (until is not None and last >= until):
            return

"""A scan while it runs: discovery, then ports, then what is asked of open ones; host by host.

Addresses are taken in pieces of 65 536. Those of a piece that are up are scanned so many at once,
by one part for TCP and one for UDP, which go on side by side. Where more is asked of hosts than
their ports, that is done for many together, while no ports are asked; then they come out.
"""

from __future__ import annotations

import contextlib
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from sockwright.scan.results import HostResult
from sockwright.scan.running.asking import Asking
from sockwright.scan.running.methods import TOO_MANY_OPEN, open_parts
from sockwright.scan.running.more import asks_more, finish, named
from sockwright.scan.running.run import Host, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.scan.scan import Course, Event
    from sockwright.scan.targets import Target

__all__ = ["Running"]

_PIECE: Final = 1 << 16
_TOO_FEW: Final = (
    "a scan takes more open files than this process may have (EMFILE): `ulimit -n 256` is enough "
    "for -sT -Pn, and 1024 for every method"
)


class Running:
    """One run of a scan; `wake` is an eventfd that becomes readable when `scan.stop` is called."""

    def __init__(self, scan: Course, wake: int) -> None:
        self._run = Run(scan, wake)

    def events(self) -> Iterator[Event]:
        """Scan; give events, the summary last."""
        run, scan = self._run, self._run.scan
        with contextlib.closing(run):
            try:
                open_parts(run)
                targets = iter(scan.targets)
                while piece := list(islice(targets, _PIECE)):
                    # Stopped before it began, it tells of these at least that they were not asked.
                    yield from self._piece(piece)
                    for witness in run.witnesses:
                        witness.forget()
                    if run.stopped:
                        break
            except BaseException as error:
                run.close_evidence(failed=True)
                if isinstance(error, OSError) and error.errno in TOO_MANY_OPEN:
                    raise OSError(error.errno, _TOO_FEW) from error
                raise
            run.close_evidence()  # before the last row, which has to tell if it failed
            yield run.books.summary(
                methods=scan.methods,
                why_methods=scan.why_methods,
                interrupted=run.stopped,
                seed=run.seed,
                targets=len(scan.targets),
                remarks=[
                    *run.remarks,
                    *(one for p in run.parts.values() for one in p.remarks),
                    *filter(None, [scan.failure]),
                ],
            )

    def _piece(self, piece: list[Target]) -> Iterator[Event]:
        run = self._run
        discovery = run.settings.discovery
        if discovery == "list":
            yield from named(
                run,
                [
                    HostResult(one.host, "unknown", "not-scanned", (one.name,) if one.name else ())
                    for one in piece
                ],
            )
            return
        known = run.scan.known
        if known is not None:
            left = []
            for target in piece:
                finished = known.finished(target.host)
                if finished is None:
                    left.append(target)
                else:
                    yield run.out(finished)
            piece = left
        found: deque[Host] = deque()
        if discovery == "none":
            found.extend(Host(one, HostResult(one.host, "up", "user-set")) for one in piece)
        else:
            from sockwright.scan.running.finding import find_hosts

            yield from find_hosts(run, piece, found)
        if discovery == "only" or not run.parts:
            yield from finish(run, found)
        else:
            yield from self._ask(found)

    def _ask(self, found: deque[Host]) -> Iterator[Event]:
        """Ask the ports of hosts, and what else is wanted of them."""
        run = self._run
        asking = Asking(run, found)
        pauses = asks_more(run.settings)
        for events in asking.steps():
            yield from events
            if asking.ready and not (pauses and asking.busy):
                ready, asking.ready = asking.ready, []
                yield from finish(run, ready)
        yield from finish(run, asking.ready)

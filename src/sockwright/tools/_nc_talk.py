"""`sw nc`, and `sw relay`: one job for the engine, with whatever looks on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sockwright.nc.engine import run
from sockwright.tools._nc_taps import Taps
from sockwright.tools._rows import Remark

if TYPE_CHECKING:
    from collections.abc import Generator

    from sockwright.nc.settings import Job
    from sockwright.tools._nc_flags import Arguments

__all__ = ["do"]


def do(job: Job, args: Arguments) -> Generator[object, None, int]:
    """Do the job; yield what happens beside the octets, and return the exit status.

    Raises: as `Taps`, and as `nc.engine.run`.
    """
    with Taps(args) as taps:
        if taps.conversation is not None:
            job = replace(job, taps=taps.conversation)
        events = run(job)
        try:
            while True:
                try:
                    event = next(events)
                except StopIteration as end:
                    status: int = end.value
                    return status
                yield from _reports(taps)
                yield event
        finally:
            events.close()
            yield from _reports(taps)


def _reports(taps: Taps) -> Generator[Remark, None, None]:
    while taps.reports:
        yield Remark(taps.reports.pop(0))

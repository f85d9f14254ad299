"""`sw nc`, and `sw relay`: one job for the engine, with whatever looks on."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from sockwright.nc.ends import ExecEnd, PtyEnd, StandardEnd
from sockwright.nc.engine.run import run
from sockwright.tools._nc_lines import Lines
from sockwright.tools._nc_taps import Taps
from sockwright.tools._rows import Remark

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import NoReturn

    from sockwright.nc.engine.settings import Job
    from sockwright.tools._flags import Arguments

__all__ = ["do"]


def do(job: Job, args: Arguments) -> Generator[object, None, int]:
    """Do the job; yield what happens beside the octets, and return the exit status.

    Raises: as `Taps`, as `_check_ends`, and as `nc.engine.run.run`.
    """
    _check_standard(job)
    _check_ends(job)
    with _ending_in_order(), Taps(args) as taps, _own_path(job):
        if taps.conversation is not None:
            job = replace(job, taps=taps.conversation)
        events = run(job)
        lines = Lines()
        try:
            while True:
                try:
                    event = next(events)
                except StopIteration as end:
                    yield from _reports(taps)
                    status: int = end.value
                    return status or int(taps.failed)
                yield from _reports(taps)
                if args.json:  # it is a row, for standard output
                    yield event
                else:
                    yield from lines.given(event)
        finally:
            events.close()
            yield from _reports(taps)


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let SIGTERM and SIGHUP undo what there is to undo: paths of sockets, programs, terminals."""
    import signal
    import threading

    def end(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)  # what a shell makes of a program that a signal ended

    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles signals in its main thread only
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)
    # nohup(1) wants it to go on.
    wanted = [one for one in numbers if signal.getsignal(one) is signal.SIG_DFL]
    for number in wanted:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in wanted:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _own_path(job: Job) -> Iterator[None]:
    """Delete the path of the UNIX socket that is connected from (-s), if it was made here."""
    local = job.far.local
    if local is None or local.scheme != "unix" or os.access(local.path, os.F_OK):
        yield
        return
    from pathlib import Path

    try:
        yield
    finally:
        Path(local.path).unlink(missing_ok=True)


def _check_standard(job: Job) -> None:
    """See to it that the numbers of standard input and output belong to nothing else.

    Raises: OSError: EBADF, standard output is closed, and something is to be written there.
    """
    if StandardEnd() not in {job.near.end, job.far.end}:
        return
    if sys.__stdout__ is None and job.receives:  # ``>&-``; the command has filled its place
        raise OSError(errno.EBADF, "it is closed", "standard output")
    if sys.__stdin__ is None:  # ``<&-``, which is an input without octets
        os.open(os.devnull, os.O_RDONLY)


def _check_ends(job: Job) -> None:
    """Look for all that an end needs, before anybody is called or waited for.

    Raises: NotPossibleError: a program is not here. TLSSettingError, OSError: as `check_settings`.
    """
    for side in (job.near, job.far):
        if isinstance(side.end, ExecEnd | PtyEnd):
            from sockwright.nc.programs.process import find_program

            find_program(side.end.words[0])
        if side.tls is not None:
            from sockwright.nc.tls.options import check_settings

            check_settings(side.tls)


def _reports(taps: Taps) -> Generator[Remark, None, None]:
    while taps.reports:
        yield Remark(taps.reports.pop(0))

"""Letting parts go on by steps, waiting in between, and telling how far they are."""

from __future__ import annotations

import select
from time import monotonic
from typing import TYPE_CHECKING, Final

from sockwright.scan.results import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.scan.part import Part
    from sockwright.scan.running.run import Run

__all__ = ["Estimate", "Stepping"]

_PROGRESS: Final = 0.2  # seconds


class Estimate:
    """What a line of progress adds up of the parts."""

    __slots__ = ("left", "loss", "open", "sent")

    def __init__(self, sent: int = 0, loss: float | None = None, left: int = 0) -> None:
        self.sent = sent
        self.loss = loss
        self.left = left
        self.open = 0


class Stepping:
    """Waits for what parts wait for, and remembers what was told of their progress."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._told = monotonic()
        self._before = (self._told, 0)
        self._part = ("", 0)  # what of a phase was told

    def through(self, parts: Sequence[Part]) -> Iterator[float]:
        """Let parts go on until all are done or the scan is stopped; give the time after each."""
        run = self._run
        poll = select.poll()
        poll.register(run.wake, select.POLLIN)
        for part in parts:
            for descriptor in part.descriptors:
                poll.register(descriptor, select.POLLIN)
        while True:
            now = monotonic()
            if run.stopped:
                for part in parts:
                    part.stop()
                yield now
                return
            for part in parts:
                part.step(now)
            yield now
            if all(part.done for part in parts):
                return
            now = monotonic()
            times = [part.next_time(now) for part in parts if not part.done]
            due = min((one for one in times if one is not None), default=now + _PROGRESS)
            # Rounded up to the millisecond: a little late is better than once more for nothing.
            poll.poll(max(0.0, (min(due, self._told + _PROGRESS) - now) * 1000 + 0.5))

    def is_due(self, now: float) -> bool:
        """Whether it is time to tell of progress again."""
        return now - self._told >= _PROGRESS

    def ended(self, phase: str, done: int, total: int) -> Iterator[Progress]:
        """Tell how many of what is asked beside ports are done: at once, if it is a hundredth more.

        For a while nothing may come after it. What is sent there is not counted.
        """
        part, now = (phase, 100 * done // total), monotonic()
        for witness in self._run.witnesses:
            witness.step(now)
        if part != self._part or self.is_due(now):
            self._part = part
            yield self._row(phase, now, done, total, Estimate())

    def progress(
        self, phase: str, now: float, done: int, total: int, more: Estimate
    ) -> Iterator[Progress]:
        """Tell how far it is, if that is due."""
        if self.is_due(now):
            yield self._row(phase, now, done, total, more)

    def _row(self, phase: str, now: float, done: int, total: int, more: Estimate) -> Progress:
        run = self._run
        if run.evidence is not None:
            run.evidence.flush()
        self._told = now
        before, sent_before = self._before
        sent = run.books.probes + run.kept_probes + more.sent
        # A moment is too short to tell a rate.
        rate = (sent - sent_before) / (now - before) if now - before >= _PROGRESS else 0.0
        self._before = (now, sent)
        left = more.left / rate if rate > 0 and more.left else None
        opened = run.books.open_ports + run.kept_opens + more.open
        return Progress(phase, done, total, sent, rate, more.loss, left, opened)

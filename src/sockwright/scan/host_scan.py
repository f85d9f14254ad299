"""Scan the ports of many hosts by steps: what all methods have in common.

A step takes in what came, begins what is due (rounds, deadlines), lets hosts send, and takes those
that are done out of the way. A method says how to receive and how to ask; see `HostScan`.

Rules
    1. All hosts share one pace. What it allows is divided evenly among those that can send now;
       what one leaves of its part falls to those behind it. Where it does not reach all, the next
       step begins with the first that got nothing: so no host waits for another to be done.
    2. Where answers wait to be read nobody is asked: silence would be taken for loss.
    3. A host that is done stays for `grace` if something of it is silent, since late answers count.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from binascii import crc32
from collections import deque
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from sockwright.scan.asked_host import AskedHost, Assignment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.scan.engine.pace import Pace
    from sockwright.scan.settings import Settings
    from sockwright.scan.targets.target import Target

__all__ = ["HostScan"]

_ASSUMED_LOSS = 0.1
_FEW = 8  # answers that the assumption weighs as much as
_MOST_WEIGHT = 100  # answers of one host that count for the next

_H = TypeVar("_H", bound=AskedHost)


class HostScan(ABC, Generic[_H]):
    """A part of a scan that asks hosts about their ports; `PortScan` says how it is driven.

    `shared` is the pace that all parts of a scan have in common. A method gives `_new_host`,
    `_receive` and `_ask`, and closes what it opened in `close`; where it has reasons of its own to
    wait or to wake up it gives `_ready_at` and `_has_more`, and `_forget` if it keeps track of
    hosts. Times are seconds of `time.monotonic`.
    """

    grace: ClassVar[float] = 0.1
    """Seconds that the last probe of a host is given at least."""

    def __init__(
        self, ports: Sequence[int], settings: Settings, *, shared: Pace, seed: int
    ) -> None:
        self._ports = ports
        self._settings = settings
        self._shared = shared
        self._seed = seed
        # What hosts so far have lost, and of how many answers, each host for no more than its part.
        self._lost = _ASSUMED_LOSS * _FEW
        self._weight = _FEW
        self._first = 0  # the host that a step begins with
        self.active: list[_H] = []
        """The hosts that are being scanned."""
        self.finished: deque[AskedHost] = deque()
        """The hosts that are done; to be taken out."""
        self.opened: deque[tuple[AskedHost, int]] = deque()
        """Open ports as they are found: the host and the index of the port; to be taken out."""
        self.remarks: list[str] = []
        """What is to be said about the scan as a whole, in sentences."""
        self.failure = ""
        """Why nothing more can be asked of anybody, if that is so."""

    # -- what a method gives --------------------------------------------------------------------

    @abstractmethod
    def _new_host(self, given: Assignment) -> _H:
        """Return a host to be scanned, see `add`."""

    @abstractmethod
    def _receive(self, now: float) -> bool:
        """Take in what has come, without waiting; return whether that was all."""

    @abstractmethod
    def _ask(self, host: _H, most: int, now: float) -> None:
        """Send at most so many probes to a host; all that were sent are noted with both paces."""

    @property
    def _ready_at(self) -> float:
        """When this machine can send, as far as it knows; infinite: a descriptor says so."""
        return 0.0

    @property
    def _has_more(self) -> bool:
        """Whether there is something to receive that no descriptor tells of."""
        return False

    def _forget(self, host: _H) -> None:
        """Take no more answers of a host, which is done."""

    @property
    @abstractmethod
    def descriptors(self) -> tuple[int, ...]:
        """What becomes readable when `step` has something to do."""

    # -- the driver's side ----------------------------------------------------------------------

    def add(self, target: Target, rate: float | None, skip: Sequence[int] = ()) -> _H:
        """Begin to scan a host, at most `rate` packets a second; `skip` are ports known already.

        Raises:
            OSError: there is no route to it, or no such zone.
        """
        seed = self._seed ^ crc32(target.host.encode())
        host = self._new_host(
            Assignment(
                target,
                self._ports,
                self._settings,
                seed=seed,
                now=monotonic(),
                rate=rate,
                skip=skip,
            )
        )
        host.rounds.assumed_loss = self._lost / self._weight
        self.active.append(host)
        return host

    def expect(self, loss: float, answers: int) -> None:
        """Let hosts to come be asked as loss that was seen elsewhere suggests, with its weight."""
        self._lost += loss * min(answers, _MOST_WEIGHT)
        self._weight += min(answers, _MOST_WEIGHT)

    @property
    def done(self) -> bool:
        """Whether there is nothing to do."""
        return not self.active

    def next_time(self, now: float) -> float | None:
        """Return when `step` has something to do, whatever comes in; None: never."""
        if self._has_more:
            return now
        first = inf
        can_send = max(self._shared.next_time(now), self._ready_at)
        for host in self.active:
            if host.rounds.done:
                due = host.last_sent + self.grace
            elif (later := host.next_time(now)) is not None:
                due = later
            else:
                way = max(host.paused_until, host.warm_at, host.pace.next_time(now))
                due = max(way, can_send)
            if host.deadline is not None and not host.rounds.done:
                due = min(due, host.deadline)
            first = min(first, due)
        return None if first == inf else first

    def step(self, now: float) -> None:
        """Take in what came, send what may go, begin rounds, end hosts."""
        if self._receive(now):
            self._serve(now)
        if any(host.rounds.done for host in self.active):
            self._end(now)

    def stop(self) -> None:
        """End every host with what is known."""
        for host in self.active:
            host.stop()
            self._finish(host)
        self.active = []

    def close(self) -> None:
        """Close everything; a second time does nothing."""
        self.active = []

    # -- a step ---------------------------------------------------------------------------------

    def _serve(self, now: float) -> None:
        """Begin what is due, and let hosts send, each its part of what may go."""
        active = self.active
        if not active:
            return
        self._first = (self._first + 1) % len(active)
        waiting: list[tuple[_H, int]] = []
        for host in active[self._first :] + active[: self._first]:
            host.check_deadline(now)
            if not host.rounds.done:
                host.turn(now)
            if (most := host.allowance(now)) > 0:
                waiting.append((host, most))
        if not waiting or now < self._ready_at:
            return
        shared, left = self._shared, len(waiting)
        for host, most in waiting:
            if (allowed := shared.allowance(now)) <= 0:
                self._first = active.index(host) - 1
                return
            self._ask(host, min(most, -(-allowed // left)), now)
            left -= 1

    def _end(self, now: float) -> None:
        """Take the hosts that are done out of the way."""
        still = []
        for host in self.active:
            late = host.rounds.pending and not host.given_up and now < host.last_sent + self.grace
            if not host.rounds.done or late:
                still.append(host)
            else:
                self._finish(host)
        self.active = still

    def _finish(self, host: _H) -> None:
        self._forget(host)
        host.finish()
        if host.loss is not None:
            self.expect(host.loss, host.answers)
        self.finished.append(host)

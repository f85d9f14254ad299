"""Runs steps that may have to wait in the thread that calls; see `sockwright.nc.talking.carrier`.

Rules:

- one poll(2) waits for both directions of a descriptor at once: whoever joins two conversations
  waits for the same socket to give and to take;
- no wait is longer than a day: poll(2) takes milliseconds as a C int, 24.8 days of them. A longer
  time limit is waited for in parts;
- closing a descriptor wakes nobody who polls it, close(2), so whoever waits listens to a `Bell`
  too.
"""

from __future__ import annotations

import errno
import os
import select
from contextlib import ExitStack, contextmanager
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from sockwright.nc.talking.conversing import late
from sockwright.sockets.explain import explained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.nc.talking.carrier import Pause, Steps

__all__ = ["Bell", "run"]

T = TypeVar("T")
_EVENTS = {"read": select.POLLIN, "write": select.POLLOUT}
_LONGEST_S = 86_400.0


class Bell:
    """Wakes whoever waits in any thread, when what they wait with is closed: `ring`, once.

    `listeners` is how many wait. It is an eventfd(2), there from the first wait until `ring`.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._descriptor = -1
        self.listeners = 0
        self.rung = False

    def __del__(self) -> None:
        """Let the descriptor go; nobody waits any more."""
        self._put_away()

    def ring(self) -> None:
        """Wake all; whoever waits afterwards need not. Descriptors are closed after this."""
        with self._lock:
            self.rung = True
            if self._descriptor >= 0 and self.listeners:
                os.eventfd_write(self._descriptor, 1)  # nobody reads it, so it goes on ringing
            else:
                self._put_away()

    @contextmanager
    def heard(self) -> Iterator[int]:
        """Give the descriptor to poll within the block, -1 where there is no descriptor left."""
        with self._lock:
            if self._descriptor < 0 and not self.rung:
                try:
                    self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
                except OSError as error:  # what is waited for may still come
                    if error.errno not in {errno.EMFILE, errno.ENFILE}:
                        raise
            self.listeners += 1
            descriptor = self._descriptor
        try:
            yield descriptor
        finally:
            with self._lock:
                self.listeners -= 1
                if self.rung and not self.listeners:
                    self._put_away()

    def _put_away(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def run(
    steps: Steps[T],
    seconds: float | None,
    *doing: str,
    began: float | None = None,
    bells: tuple[Bell, ...] = (),
) -> T:
    """Go through `steps`, waiting where they wait, `seconds` at most, counted from `began`.

    Raises:
        TimeoutError: it took longer; the words of `doing` say what.
        OSError: EBADF, one of `bells` rings.
    """
    try:
        pause = next(steps)
        begin = monotonic() if began is None else began
        deadline = None if seconds is None else begin + seconds
        while True:
            came = _wait(pause, deadline, bells)
            if any(bell.rung for bell in bells):
                closed = OSError(errno.EBADF, os.strerror(errno.EBADF))
                raise explained(closed, " ".join(doing), hint="it was closed meanwhile")
            if came is None:
                raise late(seconds, *doing)
            pause = steps.send(came)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        steps.close()


def _wait(pause: Pause, deadline: float | None, bells: tuple[Bell, ...]) -> bool | None:
    """Wait for `pause`: True, it came; False, its own time has passed; None, the deadline has."""
    now = monotonic()
    if not pause.waits and pause.seconds is None:  # letting others run is the kernel's business
        return None if deadline is not None and deadline <= now else True
    own = None if pause.seconds is None else now + pause.seconds
    first = min((limit for limit in (own, deadline) if limit is not None), default=None)
    masks: dict[int, int] = {}
    for descriptor, side in pause.waits:
        masks[descriptor] = masks.get(descriptor, 0) | _EVENTS[side]
    with ExitStack() as stack:
        poll = select.poll()
        for bell in bells:
            if (descriptor := stack.enter_context(bell.heard())) >= 0:
                masks[descriptor] = select.POLLIN
            if bell.rung:  # just now; there may be no descriptor that would tell
                return True
        for descriptor, mask in masks.items():
            poll.register(descriptor, mask)
        while not poll.poll(_milliseconds(first)):
            if first is not None and monotonic() >= first:
                return None if first == deadline else False
    return True


def _milliseconds(until: float | None) -> float | None:
    if until is None:
        return None
    return min(max(0.0, until - monotonic()), _LONGEST_S) * 1000

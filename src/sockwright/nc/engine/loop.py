"""The event loop of the engine: one epoll(7), timers, and calls from other threads.

asyncio takes 50 ms to import and three times as long for a short connection, and its streams copy
what the kernel could move by itself. This is all that the engine needs of it.

Descriptors are watched edge-triggered, both directions at once: one epoll_ctl(2) for the life of a
connection, and whoever is told goes on until the kernel has nothing more, or asks to be called
`soon`, after the others had their turn.
"""

from __future__ import annotations

import errno
import heapq
import select
from collections import deque
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Self, TypeVar

    T = TypeVar("T")

__all__ = ["BOTH", "Loop", "Timer"]

BOTH = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_MOST_EVENTS = 512
_BUFFER = 256 << 10
_LEAST = 4096
_MOST_KEPT = 64 << 20
_FEW_TIMERS = 1024
_LONGEST = 86400.0  # seconds; epoll_wait(2) counts milliseconds in an int, which ends at 24.8 days


class Timer:
    """A call at a later time; `cancel` takes it back."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Let it not be called; may be called twice, or after its time."""
        self.call = None

    def __lt__(self, other: Timer) -> bool:
        return self.when < other.when


class Loop:
    """Calls functions when descriptors are ready, when time has come, or soon.

    `buffer` is one piece of memory for all that is read: whoever reads into it passes the octets
    on, or copies what is left over, before it returns, and calls nobody else meanwhile who would
    read, too. `kept` counts the octets that are left over everywhere, and `share` is how many may
    be read at once, since all of them may have to be kept. `pipes` counts the flows that have
    a wide pipe, their own or that of an end, `most_pipes` is as many as there may be.
    """

    most_pipes = 32

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[int], None]] = {}
        self._forgotten: set[int] = set()  # in this round
        self._soon: deque[Callable[[], None]] = deque()
        self._timers: list[Timer] = []
        self._most_timers = _FEW_TIMERS
        self._bell: int | None = None
        self._ringing: AbstractContextManager[object] | None = None
        self._rung: deque[Callable[[], None]] = deque()
        self.buffer = memoryview(bytearray(_BUFFER))
        self.kept = 0
        self.pipes = 0

    @property
    def share(self) -> int:
        """How many octets may be read at once.

        All sessions together keep 64 MiB, and 4 KiB each where that is more.
        """
        return max(_LEAST, min(_BUFFER, (_MOST_KEPT - self.kept) // 16))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what the loop itself opened; descriptors that it watched stay open."""
        self._epoll.close()
        if self._ringing is not None:
            import os

            with self._ringing:  # or a thread would write to whatever has its number next
                bell, self._bell = self._bell, None
                if bell is not None:
                    os.close(bell)

    def watch(self, descriptor: int, call: Callable[[int], None], events: int = BOTH) -> bool:
        """Call `call(events)` for events of a descriptor; False: it is always ready (a file).

        Raises:
            OSError: EEXIST, it is watched already.
        """
        try:
            self._epoll.register(descriptor, events)
        except PermissionError:  # EPERM: epoll_ctl(2) takes no regular files
            return False
        self._calls[descriptor] = call
        return True

    def unwatch(self, descriptor: int) -> None:
        """Forget a descriptor, which is still open; does not fail."""
        if self._calls.pop(descriptor, None) is not None:
            self._forgotten.add(descriptor)
            try:
                self._epoll.unregister(descriptor)
            except (OSError, ValueError):  # closed already, or the loop is
                return

    def soon(self, call: Callable[[], None]) -> None:
        """Call `call` once, after the events at hand."""
        self._soon.append(call)

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call `call` once, `seconds` from now."""
        timer = Timer(monotonic() + seconds, call)
        if len(self._timers) >= self._most_timers:
            # Most are those of clients that left long before their time limit.
            self._timers[:] = [one for one in self._timers if one.call is not None]
            heapq.heapify(self._timers)
            self._most_timers = max(_FEW_TIMERS, 2 * len(self._timers))
        heapq.heappush(self._timers, timer)
        return timer

    def in_thread(self, function: Callable[[], T], then: Callable[[T | Exception], None]) -> None:
        """Call `function` in a thread, and then `then`, here, with its result or its error.

        The thread is not waited for at the end: what it does must be harmless, such as a lookup.
        """
        import threading

        ring = self.bell()

        def work() -> None:
            try:
                result: T | Exception = function()
            except Exception as error:  # handed on
                result = error
            ring(lambda: then(result))

        try:
            threading.Thread(target=work, daemon=True).start()
        except RuntimeError as error:  # this user has too many of them
            failure = OSError(errno.EAGAIN, f"no thread can be started: {error}")
            self.soon(lambda: then(failure))

    def bell(self) -> Callable[[Callable[[], None]], None]:
        """Give a function that other threads may call: it has its argument called in the loop."""
        import os
        import threading

        # One that a signal may interrupt, whose handler rings, too.
        lock = self._ringing = self._ringing or threading.RLock()
        if self._bell is None:
            self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self.watch(self._bell, self._answer, select.EPOLLIN)

        def ring(call: Callable[[], None]) -> None:
            self._rung.append(call)
            with lock:
                if self._bell is not None:  # else nobody waits for this any more
                    os.eventfd_write(self._bell, 1)

        return ring

    def _answer(self, _events: int) -> None:
        import os

        if self._bell is not None:
            try:
                os.eventfd_read(self._bell)
            except BlockingIOError:  # an event for what had its number before
                return
        while self._rung:
            self._rung.popleft()()

    def step(self) -> None:
        """Wait until there is something to do, and do it once.

        Raises:
            KeyboardInterrupt: Ctrl-C, while it waits.
        """
        events_at_hand = self._epoll.poll(self._patience(), _MOST_EVENTS)
        forgotten, calls = self._forgotten, self._calls
        forgotten.clear()
        for descriptor, events in events_at_hand:
            # An earlier call of this round may have closed it, and another opened something that
            # has the same number now: the event is not about that.
            if descriptor not in forgotten and descriptor in calls:
                calls[descriptor](events)
        for _ in range(len(self._soon)):
            self._soon.popleft()()
        timers = self._timers
        if timers:
            now = monotonic()
            while timers and timers[0].when <= now:
                timer = heapq.heappop(timers)
                due, timer.call = timer.call, None
                if due is not None:
                    due()

    def _patience(self) -> float:
        """Return for how many seconds there is nothing to do but to wait; -1: for ever."""
        if self._soon:
            return 0
        timers = self._timers
        while timers and timers[0].call is None:
            heapq.heappop(timers)
        return min(max(0.0, timers[0].when - monotonic()), _LONGEST) if timers else -1

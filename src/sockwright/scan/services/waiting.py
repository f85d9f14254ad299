"""Many conversations in one thread: each is a generator that yields what it waits for.

    def steps():                      # Steps[bytes]
        ready = yield Wait(sock.fileno(), EPOLLIN, monotonic() + 2)
        return sock.recv(4096) if ready else b""

Why not asyncio? `identify_services` is a plain generator that may be used inside an event loop, in
a thread, or in neither, and that leaves nothing behind when its user walks away: closing it closes
the conversations, and their `finally` the sockets. That takes the hundred lines below.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, epoll
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["READABLE", "WRITABLE", "Conversations", "Steps", "Wait", "pause"]

T = TypeVar("T")
K = TypeVar("K", bound="Hashable")

READABLE: Final = EPOLLIN | EPOLLERR | EPOLLHUP
WRITABLE: Final = EPOLLOUT | EPOLLERR | EPOLLHUP


class Wait(NamedTuple):
    """What a conversation waits for: `events` on a descriptor (-1: none), at most until `until`.

    `until` is a time of `time.monotonic`, in seconds. The answer to it is whether something
    happened in time.
    """

    fileno: int
    events: int
    until: float


Steps: TypeAlias = Generator[Wait, bool, T]
"""A conversation whose result is a T."""


def pause(seconds: float) -> Steps[None]:
    """Wait for nothing but time."""
    yield Wait(-1, 0, monotonic() + seconds)


class _Conversation(Generic[K, T]):
    __slots__ = ("key", "steps", "wait")

    def __init__(self, key: K, steps: Steps[T]) -> None:
        self.key = key
        self.steps = steps
        self.wait: Wait | None = None


class Conversations(Generic[K, T]):
    """Conversations under way; a context manager that closes those that are left.

    `wake` is a descriptor: when it becomes readable, `woken` is set and `step` waits no more.
    """

    def __init__(self, wake: int | None = None) -> None:
        self.woken = False
        self._wake = wake
        self._poll = epoll()
        if wake is not None:
            self._poll.register(wake, EPOLLIN)
        self._by_fileno: dict[int, _Conversation[K, T]] = {}
        self._running: set[_Conversation[K, T]] = set()
        self._timers: list[tuple[float, int, _Conversation[K, T], Wait]] = []
        self._count = count()

    def __enter__(self) -> Conversations[K, T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Count those under way."""
        return len(self._running)

    def start(self, key: K, steps: Steps[T]) -> list[tuple[K, T]]:
        """Begin one; the list has its key and result where it ended at once."""
        conversation = _Conversation[K, T](key, steps)
        self._running.add(conversation)
        return self._resume(conversation, None)

    def step(self) -> list[tuple[K, T]]:
        """Wait until something happens, and return the key and result of each that ended."""
        ended: list[tuple[K, T]] = []
        while not ended and self._running and not self.woken:
            while self._timers and self._timers[0][2].wait is not self._timers[0][3]:
                heappop(self._timers)  # it was answered in time
            timeout = max(0.0, self._timers[0][0] - monotonic()) if self._timers else None
            for fileno, _ in self._poll.poll(timeout):
                if fileno == self._wake:
                    self.woken = True
                conversation = self._by_fileno.get(fileno)
                if conversation is not None:
                    ended += self._resume(conversation, answer=True)
            now = monotonic()
            while self._timers and self._timers[0][0] <= now:
                _, _, conversation, wait = heappop(self._timers)
                if conversation.wait is wait:
                    ended += self._resume(conversation, answer=False)
        return ended

    def close(self) -> None:
        """End those under way; their `finally` parts run."""
        for conversation in self._running:
            conversation.steps.close()
        self._running.clear()
        self._by_fileno.clear()
        self._timers.clear()
        self._poll.close()

    def _resume(self, conversation: _Conversation[K, T], answer: Any) -> list[tuple[K, T]]:
        if conversation.wait is not None and conversation.wait.fileno >= 0:
            del self._by_fileno[conversation.wait.fileno]
            with suppress(OSError):
                self._poll.unregister(conversation.wait.fileno)
        try:
            wait = conversation.steps.send(answer)
        except StopIteration as stop:
            conversation.wait = None
            self._running.discard(conversation)
            return [(conversation.key, stop.value)]
        conversation.wait = wait
        if wait.fileno >= 0:
            self._by_fileno[wait.fileno] = conversation
            self._poll.register(wait.fileno, wait.events)
        heappush(self._timers, (wait.until, next(self._count), conversation, wait))
        return []

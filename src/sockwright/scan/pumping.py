"""Events of a blocking generator, for asyncio: a thread runs it, and the loop takes them."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections import deque
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["Pump"]

T = TypeVar("T")

_AHEAD: Final = 256  # events that may wait to be taken


class Pump(Generic[T]):
    """An asynchronous iterator over what `events` gives, which runs in a thread.

    The thread is never more than a few hundred events ahead of who takes them. Errors come through.
    Who leaves it before its end calls `aclose`, or `close` where there is no loop any more: either
    calls `stop`, which is to make `events` end soon, and waits for the thread, which closes them.
    The thread knows nothing of this object. So when nobody has it any more that shows, and the
    thread is ended, with a ResourceWarning; `events` and `stop` must not lead back here.
    """

    def __init__(self, events: Generator[T, None, None], stop: Callable[[], None]) -> None:
        self._shared = _Shared(events, stop)

    def __aiter__(self) -> Pump[T]:
        return self

    async def __anext__(self) -> T:
        """Return the next event. Raises: as `events`."""
        return await self._shared.next()

    async def aclose(self) -> None:
        """End the thread, if it goes on, and wait for that, even when cancelled meanwhile."""
        await self._shared.aclose()

    def close(self) -> None:
        """End the thread, if it goes on, and wait for that here."""
        self._shared.close()

    def __del__(self) -> None:
        if self._shared.abandon():
            why = "a scan was left without being closed: `async with` closes it, or close()"
            warnings.warn(why, ResourceWarning, source=self, stacklevel=2)


class _Shared(Generic[T]):
    """What the thread, the loop and the pump have in common."""

    def __init__(self, events: Generator[T, None, None], stop: Callable[[], None]) -> None:
        self._events = events
        self._stop = stop
        self._room = threading.Semaphore(_AHEAD)
        self._left = False
        self._queue: deque[T] = deque()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()  # something is in the queue, or the thread is over
        self._over = False

    async def next(self) -> T:
        if self._thread is None and not self._left:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, name="scan", daemon=True)
            self._thread.start()
        while not self._queue:
            if self._over or self._left:
                error, self._error = self._error, None
                raise error or StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        self._room.release()
        return self._queue.popleft()

    async def aclose(self) -> None:
        if self._thread is None:
            self._left = True
            return
        self._leave()
        cancelled: asyncio.CancelledError | None = None
        while not self._over:
            self._news.clear()
            try:
                await self._news.wait()
            except asyncio.CancelledError as error:
                cancelled = error
        self._thread.join()
        if cancelled is not None:
            raise cancelled

    def close(self) -> None:
        self._leave()
        if self._thread is not None:
            self._thread.join()
            self._over = True

    def abandon(self) -> bool:
        """Let the thread end by itself, whoever calls this; return whether it was going on."""
        if self._thread is None or self._left or self._over:
            return False
        self._left = True
        self._stop()
        self._room.release()
        return True

    def _leave(self) -> None:
        if not self._left and self._thread is not None and not self._over:
            self._stop()
        self._left = True
        self._queue.clear()
        self._news.set()
        self._room.release()

    # -- in the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            with closing(self._events) as events:
                for event in events:
                    self._room.acquire()
                    if self._left:
                        break
                    self._tell(self._took, event)
        except BaseException as why:  # it is raised again, over there
            error = why
        self._tell(self._ended, error)

    def _tell(self, function: Callable[..., None], *args: object) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop is closed: nobody wants to know
            self._loop.call_soon_threadsafe(function, *args)

    # -- in the loop ----------------------------------------------------------------------------

    def _took(self, event: T) -> None:
        if not self._left:  # it may have been under way when this was left
            self._queue.append(event)
            self._news.set()

    def _ended(self, error: BaseException | None) -> None:
        self._error = error
        self._over = True
        self._news.set()

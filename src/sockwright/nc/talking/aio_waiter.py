"""Runs steps that may have to wait in the event loop of asyncio; see `nc.talking.carrier`."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from sockwright.nc.talking.conversing import late

if TYPE_CHECKING:
    from sockwright.nc.talking.carrier import Pause, Steps

__all__ = ["BOTH", "RECEIVE", "SEND", "Busy", "Waiter"]

T = TypeVar("T")
Busy: TypeAlias = "frozenset[Literal['send', 'receive']]"
SEND: Busy = frozenset(("send",))
RECEIVE: Busy = frozenset(("receive",))
BOTH: Busy = SEND | RECEIVE
_NOTHING: Busy = frozenset()
# So many calls that need not wait are done before other tasks have a turn.
_IN_A_ROW = 64


class Waiter:
    """Runs the steps of one conversation or listener in an event loop."""

    def __init__(self) -> None:
        self._busy = _NOTHING
        self._in_a_row = 0  # calls that did not wait, one after the other
        # Two calls may wait for the same: under TLS a call that sends may have to receive.
        self._futures: dict[tuple[int, str], set[asyncio.Future[None]]] = {}

    async def run(
        self,
        steps: Steps[T],
        seconds: float | None,
        *doing: str,
        busy: Busy = _NOTHING,
        spent: float = 0.0,
    ) -> T:
        """Go through `steps`, waiting where they wait, `seconds` less `spent` at most.

        Raises:
            RuntimeError: another task does what `busy` says already.
            TimeoutError: it took longer; the words of `doing` say what.
        """
        self.take(busy)
        try:
            self._in_a_row += 1
            if self._in_a_row >= _IN_A_ROW:
                self._in_a_row = 0
                await asyncio.sleep(0)
            pause = next(steps)
        except StopIteration as done:
            first: T = done.value
            return first
        else:
            return await self._run(steps, pause, seconds, doing, spent)
        finally:
            self.give_back(busy)
            steps.close()

    def may_go_on(self, busy: Busy) -> bool:
        """Whether a call may be done at once: nobody is at it, and others have had their turn."""
        self._in_a_row += 1
        return self._in_a_row < _IN_A_ROW and not self._busy & busy

    def take(self, busy: Busy) -> None:
        """Keep other tasks from sending or receiving, whichever `busy` says, until `give_back`.

        Raises:
            RuntimeError: another task is at it.
        """
        if again := self._busy & busy:
            raise RuntimeError(f"another task is about to {' and '.join(again)} already")
        self._busy |= busy

    def give_back(self, busy: Busy) -> None:
        """Let other tasks at it again."""
        self._busy -= busy

    async def _run(
        self,
        steps: Steps[T],
        pause: Pause,
        seconds: float | None,
        doing: tuple[str, ...],
        spent: float,
    ) -> T:
        try:
            async with asyncio.timeout(None if seconds is None else max(0.0, seconds - spent)):
                while True:
                    came = await self._wait(pause)
                    try:
                        pause = steps.send(came)
                    except StopIteration as done:
                        result: T = done.value
                        return result
        except TimeoutError as error:
            if error.errno is None:
                raise late(seconds, *doing) from error
            raise

    async def _wait(self, pause: Pause) -> bool:
        if not pause.waits:
            await asyncio.sleep(pause.seconds or 0)
            return pause.seconds is None
        if pause.seconds is None:
            await self._any(pause)
            return True
        try:
            async with asyncio.timeout(pause.seconds) as limit:
                await self._any(pause)
        except TimeoutError:
            if limit.expired():
                return False
            raise
        return True

    async def _any(self, pause: Pause) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        try:
            for wait in pause.waits:
                futures = self._futures.setdefault(wait, set())
                if not futures:
                    add = loop.add_reader if wait[1] == "read" else loop.add_writer
                    add(wait[0], _wake, futures)
                futures.add(future)
            await future
        finally:
            for wait in pause.waits:
                if (waiting := self._futures.get(wait)) is not None:
                    waiting.discard(future)
                    if not waiting:
                        self._forget(loop, wait)

    def _forget(self, loop: asyncio.AbstractEventLoop, wait: tuple[int, str]) -> None:
        self._futures.pop(wait, None)
        if not loop.is_closed():
            (loop.remove_reader if wait[1] == "read" else loop.remove_writer)(wait[0])

    def stop(self) -> None:
        """Wake whoever waits with EBADF; descriptors are closed after this, not before."""
        for wait, futures in list(self._futures.items()):
            self._forget(next(iter(futures)).get_loop(), wait)
            for future in futures:
                if not future.done():
                    future.set_exception(OSError(errno.EBADF, os.strerror(errno.EBADF)))


def _wake(futures: set[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)

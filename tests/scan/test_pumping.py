"""A generator in a thread for asyncio, left in every way, many times."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from sockwright.scan.pumping import Pump

if TYPE_CHECKING:
    from collections.abc import Generator


class Numbers:
    """Numbers for ever, one as soon as the one before was taken, or until `stop`."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.closed = False
        self.events = self._numbers()

    def _numbers(self) -> Generator[int, None, None]:
        try:
            number = 0
            while not self.stopped.wait(0.0001):
                yield number
                number += 1
        finally:
            self.closed = True


async def left(how: str) -> None:
    numbers = Numbers()
    pump = Pump(numbers.events, numbers.stopped.set)
    assert [await anext(pump) for _ in range(3)] == [0, 1, 2]
    if how == "aclose":
        await pump.aclose()
    elif how == "close":
        pump.close()
    elif how == "cancelled while it waits":
        numbers.stopped.set()
        waiting = asyncio.ensure_future(pump.aclose())
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await pump.aclose()
    elif how == "cancelled in the middle":

        async def take() -> None:
            async for _ in pump:
                pass

        taking = asyncio.create_task(take())
        await asyncio.sleep(0)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        await pump.aclose()
    await pump.aclose()  # a second time does nothing
    numbers.events.close()  # ValueError if the thread were still in it
    assert numbers.closed
    with pytest.raises(StopAsyncIteration):
        await anext(pump)


@pytest.mark.parametrize(
    "how", ["aclose", "close", "cancelled while it waits", "cancelled in the middle"]
)
def test_however_it_is_left_the_thread_has_ended(how: str) -> None:
    before = set(threading.enumerate())
    for _ in range(50):
        asyncio.run(left(how))
        assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("how", ["aclose", "close"])
def test_nothing_comes_out_when_it_was_left_with_an_event_on_its_way(how: str) -> None:
    more, told = threading.Event(), threading.Event()

    def numbers() -> Generator[int, None, None]:
        yield 0
        assert more.wait(10)
        yield 1
        told.set()

    async def left_then() -> None:
        pump = Pump(numbers(), more.set)
        assert await anext(pump) == 0
        more.set()
        assert told.wait(10)  # here, so the loop has not taken it
        if how == "aclose":
            await pump.aclose()
        else:
            pump.close()
            await asyncio.sleep(0)
        with pytest.raises(StopAsyncIteration):
            await anext(pump)

    asyncio.run(left_then())


def test_it_gives_everything_and_an_error_once() -> None:
    def failing() -> Generator[int, None, None]:
        yield from range(1000)
        raise ZeroDivisionError("over there")

    async def taken() -> list[int]:
        pump = Pump(failing(), lambda: None)
        found = [await anext(pump) for _ in range(1000)]
        with pytest.raises(ZeroDivisionError, match="over there"):
            await anext(pump)
        with pytest.raises(StopAsyncIteration):
            await anext(pump)
        await pump.aclose()
        return found

    assert asyncio.run(taken()) == list(range(1000))


def test_it_does_not_run_far_ahead() -> None:
    taken = 0

    def counting() -> Generator[int, None, None]:
        nonlocal taken
        for number in range(5000):
            taken = number
            yield number

    async def slow() -> int:
        before = set(threading.enumerate())
        pump = Pump(counting(), lambda: None)
        for _ in range(10):
            await anext(pump)
        (thread,) = set(threading.enumerate()) - before
        end = time.monotonic() + 10
        while taken < 10 + 256 or not waits(thread):
            assert time.monotonic() < end
        far = taken
        await pump.aclose()
        return far

    assert asyncio.run(slow()) == 10 + 256


def waits(thread: threading.Thread) -> bool:
    """Whether a thread is blocked by a semaphore, or over."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is None or frame.f_code is threading.Condition.wait.__code__


def test_a_pump_that_nobody_has_any_more_ends_its_thread_with_a_warning() -> None:
    async def forgotten() -> tuple[Numbers, threading.Thread]:
        numbers = Numbers()
        before = set(threading.enumerate())
        async for number in Pump(numbers.events, numbers.stopped.set):
            if number:
                break
            # Behind the loop nobody has the pump any more, and the thread may be over already.
            (thread,) = set(threading.enumerate()) - before
        return numbers, thread

    with pytest.warns(ResourceWarning, match="a scan was left without being closed"):
        numbers, thread = asyncio.run(forgotten())
    thread.join(10)
    assert numbers.closed


def test_a_pump_that_came_to_its_end_needs_no_close() -> None:
    async def taken() -> list[int]:
        return [number async for number in Pump((one for one in (1, 2)), lambda: None)]

    assert asyncio.run(taken()) == [1, 2]  # warnings are errors here


def test_a_pump_that_never_began_ends_at_once() -> None:
    async def never() -> bool:
        numbers = Numbers()
        pump = Pump(numbers.events, numbers.stopped.set)
        await pump.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(pump)
        return numbers.stopped.is_set()

    assert not asyncio.run(never())

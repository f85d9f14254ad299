"""The event loop: nobody is called too often, too late, or after they have left."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import PATIENCE_S, nothing_left_open

from sockwright.nc.engine import loop as loop_module
from sockwright.nc.engine.loop import BOTH, Loop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Open a loop that has nothing of its own at the end."""
    with nothing_left_open(), Loop() as one:
        yield one


@pytest.fixture
def pipes() -> Iterator[list[tuple[int, int]]]:
    """Open three pipes."""
    opened = [os.pipe() for _ in range(3)]
    yield opened
    for pipe in opened:
        for descriptor in pipe:
            os.close(descriptor)


def test_who_waits_is_told_once_of_each_change(loop: Loop, pipes: list[tuple[int, int]]) -> None:
    reading, writing = pipes[0]
    told: list[int] = []
    loop.watch(reading, told.append)
    for _ in range(2):
        os.write(writing, b"x")
        for _ in range(3):
            loop.soon(lambda: None)  # so that it does not wait
            loop.step()
    assert len(told) == 2


def test_who_was_forgotten_is_not_told_of_an_event_of_the_same_round(
    loop: Loop, pipes: list[tuple[int, int]]
) -> None:
    told: list[int] = []

    def only_one(number: int) -> None:
        told.append(number)
        for reading, _ in pipes:
            loop.unwatch(reading)

    for reading, writing in pipes:
        loop.watch(reading, lambda _, number=reading: only_one(number))  # type: ignore[misc]
        os.write(writing, b"x")
    loop.step()
    assert len(told) == 1


def test_an_event_of_a_descriptor_is_not_told_to_who_has_its_number_next(
    loop: Loop, pipes: list[tuple[int, int]]
) -> None:
    told: list[str] = []
    readers = [reading for reading, _ in pipes]

    def close_all(first: int) -> None:
        for number in readers:
            loop.unwatch(number)
            if number != first:
                os.dup2(quiet, number)  # closes what had the number
                loop.watch(number, lambda _: told.append("another's event"))

    quiet, into = os.pipe()
    for reading, writing in pipes:
        loop.watch(reading, lambda _, first=reading: close_all(first))  # type: ignore[misc]
        os.write(writing, b"x")
    loop.step()
    assert not told
    os.write(into, b"x")  # its own event
    loop.step()
    assert told
    for descriptor in (quiet, into):
        os.close(descriptor)


def test_a_file_cannot_be_watched_and_is_said_to_be_ready(loop: Loop, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        assert loop.watch(file.fileno(), lambda _: None) is False
    reading, writing = os.pipe()
    assert loop.watch(reading, lambda _: None, BOTH) is True
    loop.unwatch(reading)
    loop.unwatch(reading)
    os.close(reading)
    os.close(writing)


def test_to_unwatch_does_not_fail_when_the_loop_is_closed(pipes: list[tuple[int, int]]) -> None:
    loop = Loop()
    loop.watch(pipes[0][0], lambda _: None)
    loop.close()
    loop.unwatch(pipes[0][0])


def test_what_is_to_be_done_soon_is_done_once_and_leaves_the_others_their_turn(
    loop: Loop, pipes: list[tuple[int, int]]
) -> None:
    order: list[str] = []

    def greedy() -> None:
        order.append("greedy")
        loop.soon(greedy)

    loop.watch(pipes[0][0], lambda _: order.append("event"))
    loop.soon(greedy)
    loop.step()
    os.write(pipes[0][1], b"x")
    loop.step()
    assert order == ["greedy", "event", "greedy"]


def test_timers_are_called_in_order_and_only_when_their_time_has_come(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[int] = []
    now = time.monotonic()
    with monkeypatch.context() as meanwhile:
        # All count from the same moment, however long this takes.
        meanwhile.setattr(loop_module, "monotonic", lambda: now)
        for number in (3, 1, 2):
            loop.later(number / 100, lambda number=number: order.append(number))  # type: ignore[misc]
        taken_back = loop.later(0.015, lambda: order.append(0))
    taken_back.cancel()
    taken_back.cancel()
    while len(order) < 3:
        loop.step()
    assert order == [1, 2, 3]


def test_a_timer_that_was_called_holds_nothing_any_more(loop: Loop) -> None:
    called: list[bool] = []
    timer = loop.later(0, lambda: called.append(True))
    while not called:
        loop.step()
    assert timer.call is None


def test_timers_that_were_taken_back_do_not_pile_up(loop: Loop) -> None:
    kept = [loop.later(1000, lambda: None) for _ in range(10)]
    for _ in range(100_000):
        loop.later(1000, lambda: None).cancel()
    assert len(loop._timers) < 5000
    assert all(timer in loop._timers for timer in kept)


def test_a_loop_waits_as_long_as_its_first_timer(loop: Loop) -> None:
    loop.later(1000, lambda: None).cancel()
    assert loop._patience() == -1
    loop.later(2, lambda: None)
    assert 1 < loop._patience() <= 2


@pytest.mark.parametrize("seconds", [3e6, 1e300, float("inf")])
def test_a_time_may_be_further_away_than_the_kernel_can_count(loop: Loop, seconds: float) -> None:
    loop.later(seconds, lambda: None)
    reading, writing = os.pipe()
    told: list[int] = []
    loop.watch(reading, told.append)
    os.write(writing, b"x")
    loop.step()
    assert told
    for descriptor in (reading, writing):
        os.close(descriptor)


def test_threads_have_things_done_in_the_loop(loop: Loop) -> None:
    ring = loop.bell()
    where: list[int] = []

    def work() -> None:
        for _ in range(1000):
            ring(lambda: where.append(threading.get_ident()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(where) < 4000:
        loop.step()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert set(where) == {threading.get_ident()}


def test_who_rings_at_a_closed_loop_writes_to_nobody_else() -> None:
    loop = Loop()
    ring = loop.bell()
    number = loop._bell
    loop.close()
    reading, writing = os.pipe2(os.O_NONBLOCK)
    # Whatever has the number of the bell now.
    assert number is not None
    os.dup2(writing, number)
    ring(lambda: None)
    with pytest.raises(BlockingIOError):
        os.read(reading, 8)
    for descriptor in {reading, writing, number}:
        os.close(descriptor)


def test_an_event_of_what_had_the_number_before_rings_no_bell(loop: Loop) -> None:
    loop.bell()
    loop._answer(0)


def test_a_thread_hands_on_its_result_or_its_error(loop: Loop) -> None:
    results: list[object] = []
    loop.in_thread(lambda: 42, results.append)
    loop.in_thread(lambda: int("x"), results.append)
    while len(results) < 2:
        loop.step()
    assert 42 in results
    assert any(isinstance(result, ValueError) for result in results)


def test_the_more_is_kept_the_less_is_read_at_once(loop: Loop) -> None:
    assert loop.share == len(loop.buffer)
    shares = []
    while loop.kept < 63 << 20:
        loop.kept += loop.share
        shares.append(loop.share)
    assert shares == sorted(shares, reverse=True)
    loop.kept = 1 << 30
    assert loop.share == 4096

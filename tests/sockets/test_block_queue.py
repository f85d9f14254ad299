"""Blocks that wait while something faster is loaded: their order, and what goes wrong."""

from __future__ import annotations

import threading

import pytest

from sockwright.sockets.block_queue import BlockQueue
from sockwright.sockets.ring import Block


def block(number: int, frames: int) -> Block:
    return Block(memoryview(bytearray([number])), 0, frames)


def test_few_packets_are_worked_on_at_once_and_nothing_is_loaded() -> None:
    seen: list[int] = []
    queue = BlockQueue(lambda octets, _at, _frames: seen.append(octets[0]), seen.clear)
    for number in range(5):
        queue.take(block(number, 10))
    assert seen == [0, 1, 2, 3, 4]


def test_many_packets_wait_in_order_until_it_is_loaded() -> None:
    seen: list[tuple[int, bool]] = []
    go, loaded = threading.Event(), threading.Event()

    def load() -> None:
        go.wait()
        loaded.set()

    queue = BlockQueue(lambda octets, _at, _frames: seen.append((octets[0], loaded.is_set())), load)
    queue.take(block(0, 10))
    octets = bytearray([1])
    queue.take(Block(memoryview(octets), 0, 10_000))
    octets[0] = 99  # the ring's again: the block was copied
    queue.take(block(2, 10))
    assert seen == [(0, False)]
    go.set()
    for thread in threading.enumerate():
        if thread.name == "load":
            thread.join()
    queue.take(block(3, 10_000))
    assert seen == [(0, False), (1, True), (2, True), (3, True)]


def test_what_waits_is_worked_on_when_asked() -> None:
    seen: list[int] = []
    go = threading.Event()

    def load() -> None:
        go.wait()

    queue = BlockQueue(lambda octets, _at, _frames: seen.append(octets[0]), load)
    queue.take(block(1, 10_000))
    queue.empty()
    assert seen == [1]
    go.set()


def test_an_error_of_loading_is_raised_where_blocks_are_taken() -> None:
    go = threading.Event()

    def load() -> None:
        go.wait()
        raise ImportError("nothing to load")

    queue = BlockQueue(lambda *_: None, load)
    queue.take(block(1, 10_000))
    go.set()
    for thread in threading.enumerate():
        if thread.name == "load":
            thread.join()
    with pytest.raises(ImportError, match="nothing to load"):
        queue.take(block(2, 10))

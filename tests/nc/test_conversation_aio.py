"""What only conversations of asyncio have: cancelling, tasks at once, closing while one waits."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from sockwright import nc
from sockwright.nc import aio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine


def run(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Make a test of a coroutine function."""

    def wrapped() -> None:
        asyncio.run(asyncio.wait_for(test(), 30))

    return wrapped


@asynccontextmanager
async def pair(place: str = "tcp://:0") -> AsyncIterator[tuple[aio.Conversation, aio.Conversation]]:
    async with (
        await aio.listen(place) as listener,
        await aio.connect(listener.local_address) as client,
        await listener.accept() as server,
    ):
        yield client, server


async def _waits(task: asyncio.Task[object]) -> None:
    """Let `task` run until it waits for its socket."""
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()


@run
async def test_a_cancelled_call_has_taken_nothing() -> None:
    async with pair() as (client, server):
        await client.send(b"one\ntwo")
        for call in (
            server.recv_lines(2),
            server.recv_until(b"END"),
            server.recv_regex(b"END"),
            server.receive_all(),
            server.send_line_after(b"END", b"never"),
        ):
            task = asyncio.create_task(call)
            await _waits(task)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await client.send(b"\n")
        assert await server.recv_lines(2) == [b"one", b"two"]


@run
async def test_the_time_limits_of_asyncio_work() -> None:
    async with pair() as (client, server):
        await client.send(b"half")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await server.recv_line()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.recv_line(), 0.05)
        await client.send_line()
        assert await server.recv_line() == b"half"


@run
async def test_one_task_sends_while_another_receives() -> None:
    async with pair() as (client, server):
        receiving = asyncio.create_task(client.recv_line())
        await _waits(receiving)
        await client.send_line(b"question")
        await server.send_line(await server.recv_line() + b"?")
        assert await receiving == b"question?"


@run
async def test_a_second_task_that_receives_is_refused() -> None:
    async with pair() as (client, server):
        receiving = asyncio.create_task(client.recv_line())
        await _waits(receiving)
        with pytest.raises(RuntimeError, match="another task is about to receive"):
            await client.receive()
        with pytest.raises(RuntimeError, match="another task"):
            await aio.relay(server, client)
        await server.send_line(b"still there")
        assert await receiving == b"still there"


@run
async def test_closing_wakes_who_waits() -> None:
    async with pair() as (client, _):
        receiving = asyncio.create_task(client.recv_line())
        await _waits(receiving)
        await client.aclose()
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            await receiving
        assert caught.value.errno == errno.EBADF
    async with await aio.listen("tcp://:0") as listener:
        accepting = asyncio.create_task(listener.accept())
        await _waits(accepting)
        listener.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            await accepting


@run
async def test_a_cancelled_accept_loses_nobody() -> None:
    async with await aio.listen("udp://127.0.0.1:0") as listener:
        accepting = asyncio.create_task(listener.accept())
        await _waits(accepting)
        accepting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await accepting
        async with await aio.connect(listener.local_address) as client:
            await client.send(b"here")
            async with await listener.accept() as server:
                assert await server.receive() == b"here"


@run
async def test_a_fast_peer_does_not_keep_other_tasks_from_running() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with await aio.spawn(["head", "-c", "20000000", "/dev/zero"]) as source:
        counting = asyncio.create_task(count())
        assert len(await source.receive_all()) == 20_000_000
    assert turns > 50
    turns = 0
    async with await aio.connect("echo:") as mirror:
        for _ in range(100):
            await mirror.send_line(b"\n" * 99)
            await mirror.recv_lines(100)
        assert turns > 2
        turns = 0
        await mirror.send(b"\n" * 1000)
        for _ in range(1000):
            await mirror.recv_line()
    assert turns > 10
    counting.cancel()


@run
async def test_many_clients_at_once_are_each_answered() -> None:
    async def serve(talk: aio.Conversation) -> None:
        async with talk:
            async for line in talk:
                await talk.send_line(line.upper())

    async def ask(listener: aio.Listener, number: int) -> bytes:
        async with await aio.connect(listener.local_address) as client:
            await client.send_line(b"client %d" % number)
            return await client.recv_line()

    async with await aio.listen("tcp://:0") as listener, asyncio.TaskGroup() as group:
        asking = [group.create_task(ask(listener, number)) for number in range(200)]
        for _ in asking:
            group.create_task(serve(await listener.accept()))
    assert [task.result() for task in asking] == [b"CLIENT %d" % n for n in range(200)]


@run
async def test_tls_is_held_by_two_tasks_at_once() -> None:
    octets = bytes(3_000_000)
    async with await aio.listen("tls://127.0.0.1:0") as listener:

        async def echo() -> None:
            async with await listener.accept() as server:
                while piece := await server.receive():
                    await server.send(piece)
                await server.send_eof()

        async with asyncio.TaskGroup() as group:
            group.create_task(echo())
            insecure = nc.TLSOptions(verify=False)
            async with await aio.connect(listener.name, tls=insecure) as client:
                receiving = group.create_task(client.receive_all())
                await client.send(octets)
                await client.send_eof()
                assert await receiving == octets


@run
async def test_a_cancelled_send_under_tls_leaves_the_connection_whole() -> None:
    async with await aio.listen("tls://127.0.0.1:0") as listener:
        connecting = asyncio.create_task(
            aio.connect(listener.name, tls=nc.TLSOptions(verify=False))
        )
        async with await listener.accept() as server:
            first = asyncio.create_task(server.recv_exactly(1))
            async with await connecting as client:
                sending = asyncio.create_task(client.send(b"a" * 20_000_000))
                assert await first == b"a"
                await _waits(sending)
                sending.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await sending
                draining = asyncio.create_task(server.recv_until(b"z", limit=30_000_000))
                await client.send(b"z")
                rest = await draining
                assert set(rest[:-1]) == {ord("a")}


def test_a_conversation_can_be_made_of_a_socket() -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        async with aio.Conversation.over(ours) as talk:
            theirs.sendall(b"hello\n")
            assert await talk.recv_line() == b"hello"
        assert theirs.recv(1) == b""
        theirs.close()

    asyncio.run(main())

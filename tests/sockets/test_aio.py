"""The asyncio sockets: the same calls, and what only asyncio has: cancelling, fairness, closing."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.sockets.frames_of import NOT_OF_SERVICES, only

from sockwright.errors import EndOfStreamError, EndpointError, LimitError
from sockwright.sockets import aio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[aio.Stream, aio.Stream]]:
    async with (
        await aio.listen("tcp://:0", timeout=5) as listener,
        await aio.connect(listener.local_address, timeout=5) as client,
        await listener.accept() as server,
    ):
        server.timeout = 5
        yield client, server


def run(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Make a test of a coroutine function."""

    def wrapped() -> None:
        asyncio.run(test())

    wrapped.__doc__ = test.__doc__
    return wrapped


@run
async def test_a_stream_carries_octets_both_ways() -> None:
    async with connected() as (client, server):
        assert client.remote_address == server.local_address
        await client.send_all(b"question\nmore")
        assert await server.recv_until(b"\n") == b"question\n"
        assert await server.recv_exactly(2) == b"mo"
        assert server.pending == 2
        assert await server.receive() == b"re"
        client.send_eof()
        assert await server.receive() == b""
        assert await server.send(b"answer") == 6
        server.send_eof()
        assert await client.receive_all(limit=100) == b"answer"
        client.nodelay = True
        assert client.nodelay


@run
async def test_waiting_tasks_are_woken_by_what_arrives() -> None:
    async with connected() as (client, server):
        waiting = asyncio.create_task(server.recv_exactly(6))
        for piece in (b"ab", b"cd", b"ef"):
            await asyncio.sleep(0)
            await client.send_all(piece)
        assert await waiting == b"abcdef"


@run
async def test_a_large_transfer_arrives_whole() -> None:
    octets = os.urandom(5_000_000)
    async with connected() as (client, server):
        sending = asyncio.create_task(client.send_all(octets))
        assert await server.recv_exactly(len(octets)) == octets
        await sending


@run
async def test_a_cancelled_call_takes_nothing() -> None:
    async with connected() as (client, server):
        waiting = asyncio.create_task(server.recv_exactly(6))
        await client.send_all(b"abc")
        while not server.pending:  # noqa: ASYNC110 - a few turns of the loop, no event tells
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await client.send_all(b"def")
        assert await server.recv_exactly(6) == b"abcdef"


@run
async def test_a_cancelled_accept_leaves_the_connection_for_the_next() -> None:
    async with await aio.listen("tcp://:0") as listener:
        waiting = asyncio.create_task(listener.accept())
        await asyncio.sleep(0)
        waiting.cancel()
        async with await aio.connect(listener.local_address):
            with pytest.raises(asyncio.CancelledError):
                await waiting
            (await listener.accept()).close()


@run
async def test_a_cancelled_connect_closes_its_socket() -> None:
    # The fixture counts descriptors; the listener's queue is full, so connect() has to wait.
    async with (
        await aio.listen("tcp://:0", backlog=0) as listener,
        await aio.connect(listener.local_address),
    ):
        waiting = asyncio.create_task(aio.connect(listener.local_address))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


@run
async def test_silent_peers_meet_the_time_limit() -> None:
    async with connected() as (_, server):
        server.timeout = 0.05
        with pytest.raises(TimeoutError, match=r"receive on .*: the time limit has passed"):
            await server.recv_exactly(1)
    async with await aio.listen("tcp://:0", timeout=0.05, backlog=0) as listener:
        with pytest.raises(TimeoutError, match="accept"):
            await listener.accept()
        async with await aio.connect(listener.local_address):
            with pytest.raises(TimeoutError, match=r"no answer within 0\.05 seconds") as caught:
                await aio.connect(listener.local_address, timeout=0.05)
            assert caught.value.errno == errno.ETIMEDOUT


@run
async def test_errors_are_those_of_the_blocking_sockets() -> None:
    async with connected() as (client, server):
        await client.send_all(b"abc")
        client.linger = 0
        with pytest.raises(LimitError):
            await server.recv_until(b"x", limit=2)
        client.send_eof()
        with pytest.raises(EndOfStreamError, match="3 of 5"):
            await server.recv_exactly(5)
        address = server.local_address
    with pytest.raises(ConnectionRefusedError, match="nobody listens there"):
        await aio.connect(address)
    with pytest.raises(EndpointError, match="does not fit here"):
        await aio.connect("udp://:1")
    with pytest.raises(socket.gaierror, match="look up"):
        await aio.connect("tcp://name.invalid:1")


@run
async def test_two_readers_at_once_are_refused() -> None:
    async with connected() as (client, server):
        first = asyncio.create_task(server.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task waits to read"):
            await server.receive()
        await client.send_all(b"for the first")
        assert await first == b"for the first"


@run
async def test_closing_wakes_whoever_waits() -> None:
    async with connected() as (_, server):
        waiting = asyncio.create_task(server.receive())
        await asyncio.sleep(0)
        server.close()
        with pytest.raises(OSError, match="EBADF"):
            await waiting


@run
async def test_names_are_looked_up_beside_the_loop() -> None:
    async with await aio.listen("tcp://localhost:0") as listener:
        port = listener.local_address.port
        async with await aio.connect(
            f"tcp://localhost:{port}", local="tcp://localhost:0"
        ) as client:
            assert client.remote_address.port == port


@run
async def test_a_socket_is_prepared_before_it_is_connected() -> None:
    prepared: list[socket.socket] = []
    async with (
        await aio.listen("tcp://:0") as listener,
        await aio.connect(listener.local_address, prepare=prepared.append) as client,
    ):
        assert prepared == [client.socket]


@run
async def test_iteration_serves_one_connection_after_another() -> None:
    async with await aio.listen("tcp://[::1]:0") as listener:

        async def serve() -> list[bytes]:
            heard = []
            async for stream in listener:
                async with stream:
                    heard.append(b"".join([octets async for octets in stream]))
                if len(heard) == 2:
                    break
            return heard

        serving = asyncio.create_task(serve())
        for octets in (b"one", b"two"):
            async with await aio.connect(listener.local_address) as client:
                await client.send_all(octets)
        assert await serving == [b"one", b"two"]


def test_unix_sockets_of_every_type(tmp_path: Path) -> None:
    async def streams(endpoint: str) -> None:
        async with (
            await aio.listen(endpoint) as listener,
            await aio.connect(endpoint) as client,
            await listener.accept() as server,
        ):
            await client.send_all(b"x")
            assert await server.receive() == b"x"

    async def messages(endpoint: str) -> None:
        async with (
            await aio.listen(endpoint, aio.Seqpacket) as listener,
            await aio.connect(endpoint, aio.Seqpacket) as client,
            await listener.accept() as server,
        ):
            await client.send(b"ab")
            await client.send(b"c")
            assert [await server.receive(), await server.receive()] == [b"ab", b"c"]
            with pytest.raises(ValueError, match="empty message"):
                await client.send(b"")

    async def datagrams(endpoint: str) -> None:
        async with (
            await aio.datagram(endpoint) as server,
            await aio.datagram(f"{endpoint}-client", remote=endpoint) as client,
        ):
            await client.send(b"q")
            octets, sender = await server.receive_from()
            await server.send_to(octets, sender)
            assert await client.receive() == b"q"

    async def everything() -> None:
        for endpoint in (f"unix:{tmp_path}/s", f"unix-abstract:aio-{tmp_path}"):
            await streams(endpoint)
            await messages(endpoint)
            await datagrams(endpoint)

    asyncio.run(everything())
    assert list(tmp_path.iterdir()) == []


@run
async def test_a_full_unix_backlog_meets_the_time_limit() -> None:
    endpoint = f"unix-abstract:full-{os.getpid()}"
    async with await aio.listen(endpoint, backlog=0), await aio.connect(endpoint):
        with pytest.raises(TimeoutError):
            await aio.connect(endpoint, timeout=0.05)


@run
async def test_icmp_errors_reach_datagrams() -> None:
    async with await aio.datagram("udp://localhost:0", timeout=5) as sock:
        target = sock.local_address
    async with await aio.datagram(remote=target, timeout=5) as sock:
        await sock.send(b"x")
        with pytest.raises(ConnectionRefusedError, match="port unreachable"):
            await sock.receive()
        assert len(sock.take_errors()) == 1
    async with await aio.datagram("udp://:0") as sock:
        with pytest.raises(PermissionError, match=r"set \.broadcast"):
            await sock.send_to(b"x", "udp://255.255.255.255:9")


@run
async def test_datagrams_to_names() -> None:
    async with (
        await aio.datagram("udp://127.0.0.1:0", timeout=5) as server,
        await aio.datagram("udp://127.0.0.1:0", timeout=5) as client,
    ):
        await client.send_to(b"x", f"udp://localhost:{server.local_address.port}")
        assert await server.receive_from() == (b"x", client.local_address)


@pytest.mark.needs("root")
@run
async def test_raw_and_packet_sockets_for_asyncio() -> None:
    async with (
        await aio.packet("lo", program=only(NOT_OF_SERVICES), outgoing=False, timeout=5) as capture,
        await aio.raw("raw://127.0.0.1?protocol=252", bind=True, timeout=5) as receiver,
        await aio.raw("raw://127.0.0.1?protocol=252", timeout=5) as sender,
    ):
        await sender.send(b"raw and awaited")
        assert (await receiver.receive()).endswith(b"raw and awaited")
        async for frame in capture:
            if frame.octets.endswith(b"raw and awaited"):
                break
        assert capture.receive_waiting() == [] or capture.statistics().accepted > 1
        await capture.send(bytes(12) + b"\x88\xb5" + b"frame by hand")
        async for frame in capture:
            if frame.octets.endswith(b"frame by hand"):
                assert frame.protocol == 0x88B5
                break


@run
async def test_existing_sockets_keep_their_time_limit() -> None:
    one, two = socket.socketpair()
    one.settimeout(3)
    async with aio.Stream(one) as left, aio.Stream(two) as right:
        assert (left.timeout, right.timeout) == (3, None)
        await left.send_all(b"x")
        assert await right.receive() == b"x"


def test_the_blocking_sockets_do_not_load_asyncio() -> None:
    code = (
        "import sys; from sockwright.sockets import connect, datagram, raw, packet, quiet_port;"
        "print([m for m in ('asyncio', 'numpy', 'rich', 'pyroute2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"

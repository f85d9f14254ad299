"""What may be asked of conversations: TLS seen and pinned, peers kept out, files, dropping."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.nc.test_conversation import PATIENCE_S, Kind, case, do, no_descriptor_is_left_open

from sockwright import nc
from sockwright.errors import EndpointError, TLSError, TLSSettingError, TransferError
from sockwright.nc import aio
from sockwright.nc.talking.carrier import Carrier
from sockwright.nc.tls.options import client_context

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["do", "no_descriptor_is_left_open"]


def run(test: Any) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


async def _both(first: Any, second: Any) -> list[Any]:
    return list(await asyncio.gather(first, second))


@case
async def test_unix_without_a_path_is_no_place_to_connect_to(do: Kind) -> None:
    for place in ("unix:", "unix:?type=datagram"):
        with pytest.raises(EndpointError, match="a path is missing"):
            await do(do.api.connect, place)


# -- TLS ------------------------------------------------------------------------------------------


@case
async def test_what_tls_agreed_on_is_seen_and_a_fingerprint_is_trust_enough(do: Kind) -> None:
    async with do.listening("tls://127.0.0.1:0", tls=nc.TLSOptions(alpn=("echo/1",))) as listener:
        assert listener.fingerprint is not None
        plain = listener.fingerprint.removeprefix("sha256:").replace(":", "").lower()
        for pin in (listener.fingerprint, plain):
            options = nc.TLSOptions(fingerprint=pin, alpn=("echo/1",))

            async def serve() -> None:
                async with do.accepted(listener) as server:
                    before = server.tls
                    assert before is None  # nobody has shaken hands yet
                    assert await do(server.recv_line) == b"hello"
                    assert server.tls.certificate is None

            async def call() -> None:
                async with do.opened(listener.name, tls=options) as client:  # noqa: B023  # now
                    assert client.tls.version == "TLSv1.3"
                    assert client.tls.cipher.startswith("TLS_")
                    assert client.tls.alpn == "echo/1"
                    assert client.tls.fingerprint == listener.fingerprint
                    await do(client.send_line, b"hello")

            await _both(serve(), call())
    async with do.opened("echo:") as mirror:
        assert mirror.tls is None


@case
async def test_another_certificate_than_the_pinned_is_refused_before_anything_is_sent(
    do: Kind,
) -> None:
    other = "sha256:" + ":".join(["00"] * 32)
    async with do.listening("tls://127.0.0.1:0") as listener:

        async def serve() -> None:
            async with do.accepted(listener) as server:
                with pytest.raises((TLSError, ConnectionError)):
                    await do(server.receive)

        async def call() -> None:
            with pytest.raises(TLSError, match="another server") as caught:
                await do(
                    do.api.connect,
                    listener.name,
                    tls=nc.TLSOptions(fingerprint=other),
                    timeout=PATIENCE_S,
                )
            assert listener.fingerprint in str(caught.value)
            assert other in str(caught.value)

        await _both(serve(), call())
    with pytest.raises(TLSSettingError, match="no fingerprint"):
        client_context(nc.TLSOptions(fingerprint="sha256:AB"))
    with pytest.raises(TLSSettingError, match="client"):
        await do(do.api.listen, "tls://:0", tls=nc.TLSOptions(fingerprint=other))


@case
async def test_tls_begins_in_the_middle_as_a_server(do: Kind) -> None:
    async with do.pair() as (client, server):

        async def serve() -> None:
            assert await do(server.recv_line) == b"STARTTLS"
            await do(server.send_line, b"go ahead")
            made = await do(server.start_tls, server_side=True)
            await do(server.send_line, made.encode())

        async def call() -> None:
            await do(client.send_line, b"STARTTLS")
            assert await do(client.recv_line) == b"go ahead"
            assert await do(client.start_tls, nc.TLSOptions(verify=False)) is None
            assert await do(client.recv_line) == client.tls.fingerprint.encode()

        await _both(serve(), call())


# -- listeners ------------------------------------------------------------------------------------


@case
async def test_a_listener_keeps_peers_out(do: Kind) -> None:
    access = nc.Access(allow=["127.0.0.2"])
    async with do.listening("tcp://127.0.0.1:0", access=access) as listener:
        async with do.opened(listener.local_address) as stranger:
            with pytest.raises(TimeoutError):
                await do(listener.accept, timeout=0.05)
            assert await do(stranger.receive) == b""
        assert listener.refused == 1
        async with (
            do.opened(listener.local_address, local="tcp://127.0.0.2:0") as friend,
            do.accepted(listener) as server,
        ):
            await do(friend.send_line, b"let me in")
            assert await do(server.recv_line) == b"let me in"
    async with (
        do.listening("udp://127.0.0.1:0", access=access) as listener,
        do.opened(listener.local_address) as stranger,
        do.opened(listener.local_address, local="udp://127.0.0.2:0") as friend,
    ):
        await do(stranger.send, b"refused")
        await do(friend.send, b"taken")
        async with do.accepted(listener) as server:
            assert await do(server.receive) == b"taken"
        assert listener.refused == 1


@case
async def test_peers_without_addresses_are_not_kept_out_in_vain(do: Kind, tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="no IP addresses"):
        await do(do.api.listen, f"unix:{tmp_path}/s", access=nc.Access(deny=["127.0.0.1"]))
    async with do.listening(f"unix:{tmp_path}/s", access=nc.Access()) as listener:
        assert listener.refused == 0


@case
async def test_an_accepted_conversation_has_the_time_limit_of_its_listener(do: Kind) -> None:
    async with (
        do.listening("tcp://:0", timeout=0.1) as listener,
        do.opened(listener.local_address),
    ):
        server = await do(listener.accept, timeout=PATIENCE_S)
        assert server.timeout == 0.1
        with pytest.raises(TimeoutError):
            await do(server.receive)
        server.close()
    # A client that never shakes hands keeps nobody for ever.
    async with (
        do.listening("tls://127.0.0.1:0", timeout=0.1) as listener,
        do.opened("tcp" + listener.name.removeprefix("tls")),
    ):
        server = await do(listener.accept, timeout=PATIENCE_S)
        with pytest.raises(TimeoutError):
            await do(server.send, b"anybody?")
        server.close()


# -- files and programs ---------------------------------------------------------------------------


@case
async def test_a_file_is_not_emptied_unless_that_is_asked_for(do: Kind, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious\n")
    with pytest.raises(FileExistsError, match="force=True"):
        await do(do.api.relay, "exec:echo x", f"file:{precious}")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="link"):
        await do(do.api.relay, "exec:echo x", f"file:{tmp_path}/link")
    assert not (tmp_path / "elsewhere").exists()
    assert precious.read_text() == "precious\n"
    await do(do.api.relay, "exec:echo more", f"file:{precious}", append=True)
    assert precious.read_text() == "precious\nmore\n"
    await do(do.api.relay, "exec:echo new", f"file:{precious}", force=True)
    assert precious.read_text() == "new\n"
    with pytest.raises(EndpointError, match="no file"):
        await do(do.api.relay, "exec:echo new", "discard:", force=True)


@case
async def test_a_file_is_read_or_written_as_is_said(do: Kind, tmp_path: Path) -> None:
    path = tmp_path / "file"
    async with do.opened(f"file:{path}", append=True) as file:
        await do(file.send_line, b"one")
    async with do.opened(f"file:{path}", append=True) as file:
        await do(file.send_line, b"two")
    async with do.opened(f"file:{path}") as file:
        assert await do(file.receive_all) == b"one\ntwo\n"
        with pytest.raises(OSError, match="append=True or force=True"):
            await do(file.send, b"three")
    async with do.opened(f"file:{path}", force=True) as file:
        await do(file.send_line, b"three")
    assert path.read_text() == "three\n"


@case
async def test_a_program_is_a_list_of_words(do: Kind) -> None:
    for words, error, what in (
        ("ls -l", TypeError, "list of words"),
        ([], ValueError, "no program"),
        ([b"ls"], TypeError, "is text"),
    ):
        for pty in (False, True):
            with pytest.raises(error, match=what):
                await do(do.api.spawn, words, pty=pty)


@case
async def test_text_is_refused_where_octets_are_wanted(do: Kind) -> None:
    async with do.opened("echo:") as mirror:
        for call in (
            lambda: mirror.send("x"),
            lambda: mirror.send_line("x"),
            lambda: mirror.recv_until("x"),
            lambda: mirror.recv_until([b"x", "y"]),
            lambda: mirror.send_after("x", b""),
            lambda: mirror.recv_regex("x"),
            lambda: mirror.unrecv("x"),
        ):
            with pytest.raises(TypeError, match="is bytes, not str"):
                await do(call)


class Dripping(Carrier):
    """Gives one octet at a time: so many that do not match, and one that does."""

    def __init__(self, count: int) -> None:
        super().__init__("dripping")
        self._left = count

    def fileno(self) -> int:
        return -1

    def receive(self, limit: int) -> bytes:
        assert limit
        self._left -= 1
        return b"a" if self._left >= 0 else b"Z"


def test_a_pattern_costs_little_though_it_comes_octet_by_octet() -> None:
    def cost(count: int) -> float:
        begin = time.process_time()
        found = nc.Conversation(Dripping(count)).recv_regex(rb"[YZ]")
        assert len(found.string) == count + 1
        return time.process_time() - begin

    # From where more is here than is looked through without a thought, twice as much may take
    # twice as long; looked through for each octet it would be four times.
    both = [(cost(15_000), cost(60_000)) for _ in range(3)]
    few, many = (min(times) for times in zip(*both, strict=True))
    assert many / few < 8


# -- what nobody closes ---------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["echo:", "exec:sleep 1000", "pty:sleep 1000"])
def test_what_is_dropped_is_closed_with_a_warning(place: str) -> None:
    dropped: Any = nc.connect(place)
    process = getattr(dropped, "process", None)
    with pytest.raises(TimeoutError):
        dropped.receive(timeout=0.01)
    with pytest.warns(ResourceWarning, match="unclosed <"):
        del dropped
    assert process is None or process.status is not None


@pytest.mark.parametrize("place", ["echo:", "exec:sleep 1000", "tcp"])
def test_what_asyncio_drops_is_closed_with_a_warning(place: str) -> None:
    async def drop() -> None:
        async with await aio.listen("tcp://:0") as listener:
            dropped: Any = await aio.connect(listener.name if place == "tcp" else place)
            with pytest.warns(ResourceWarning, match="unclosed <"):
                del dropped

    run(drop())


# -- asyncio --------------------------------------------------------------------------------------


async def _pair(place: str) -> tuple[aio.Conversation, aio.Conversation]:
    async with await aio.listen(place, timeout=PATIENCE_S) as listener:
        options = nc.TLSOptions(fingerprint=listener.fingerprint) if listener.fingerprint else None
        connecting = asyncio.create_task(
            aio.connect(listener.name, tls=options, timeout=PATIENCE_S)
        )
        server = await listener.accept()
        if options is not None:
            await server.send_line(b"welcome")
        client = await connecting
        if options is not None:
            assert await client.recv_line() == b"welcome"
        return client, server


@pytest.mark.parametrize("place", ["tcp://:0", "tls://127.0.0.1:0", "unix"])
def test_asyncio_moves_a_file_whole(place: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(bytes(range(256)) * 8192)

    async def move() -> None:
        client, server = await _pair(f"unix:{tmp_path}/s" if place == "unix" else place)
        async with client, server:
            sent, received = await _both(
                aio.send_file(client, tmp_path / "in", sha256=True),
                aio.receive_file(server, tmp_path / "out"),
            )
            assert sent.octets == received.octets == 256 * 8192
            assert sent.sha256 == received.sha256

    run(move())
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()


def test_asyncio_takes_no_file_from_a_program_that_failed(tmp_path: Path) -> None:
    async def move() -> None:
        async with await aio.spawn(["sh", "-c", "echo half; exit 3"]) as program:
            with pytest.raises(TransferError, match="ended with status 3"):
                await aio.receive_file(program, tmp_path / "out")

    run(asyncio.wait_for(move(), PATIENCE_S))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["tcp://:0", "tls://127.0.0.1:0"])
def test_a_cancelled_transfer_is_no_whole_file(place: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(bytes(4 << 20))

    async def move() -> None:
        client, server = await _pair(place)
        async with server:
            sending = asyncio.create_task(aio.send_file(client, tmp_path / "in", rate=1e6))
            assert await server.recv_exactly(1) == b"\0"
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            with pytest.raises(ConnectionResetError):
                await server.receive_all()
        assert client.closed

    run(move())


def test_a_receiver_that_waits_can_be_cancelled(tmp_path: Path) -> None:
    async def move() -> None:
        client, server = await _pair("tcp://:0")
        async with client:
            server.timeout = None
            receiving = asyncio.create_task(aio.receive_file(server, tmp_path / "out", resume=True))
            assert await client.recv_line()  # what it offers; now it waits for the answer
            receiving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await receiving

    run(move())


def test_asyncio_checks_ports() -> None:
    async def check() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            rows = [row async for row in aio.check_ports("127.0.0.1", [port])]
            assert [(row.port, row.state) for row in rows] == [(port, "open")]
        with pytest.raises(ValueError, match="not in 1"):
            async for _ in aio.check_ports("127.0.0.1", [0]):
                pass

    run(check())

"""Conversations, blocking and for asyncio: each case runs as both, over real sockets and programs.

A case is a coroutine that calls everything through the fixture `do`, which awaits the call of the
asyncio kind and runs the blocking one in a thread.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import resource
import signal
import socket
import time
from contextlib import asynccontextmanager, suppress
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest
from tests.nc.moving import descriptors, nothing_left_open
from tests.nc.peers import closed_port

from sockwright import nc
from sockwright.errors import (
    EndOfStreamError,
    EndpointError,
    LimitError,
    NotPossibleError,
    ProxyError,
    TLSError,
)
from sockwright.nc import aio, conversation
from sockwright.sockets import Endpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from pathlib import Path

    from tests.nc.peers import Peers

    from sockwright.nc.taps.tap import Direction, Octets

PATIENCE_S = 20.0


class Kind:
    """One of the two kinds: `api` is its module; calling it calls, and gives what comes of it."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.blocking = api is conversation

    async def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.blocking:
            return await asyncio.to_thread(function, *args, **kwargs)
        result = function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    @asynccontextmanager
    async def opened(self, place: Any, **how: Any) -> AsyncIterator[Any]:
        """A conversation with `place`, closed in the end."""
        made = await self(self.api.connect, place, **{"timeout": PATIENCE_S, **how})
        try:
            yield made
        finally:
            await self(made.close if self.blocking else made.aclose)

    @asynccontextmanager
    async def listening(self, place: Any, **how: Any) -> AsyncIterator[Any]:
        """A listener, closed in the end."""
        made = await self(self.api.listen, place, **{"timeout": PATIENCE_S, **how})
        try:
            yield made
        finally:
            await self(made.close)

    @asynccontextmanager
    async def accepted(self, listener: Any) -> AsyncIterator[Any]:
        """The conversation with the next peer, closed in the end."""
        made = await self(listener.accept)
        made.timeout = PATIENCE_S
        try:
            yield made
        finally:
            await self(made.close if self.blocking else made.aclose)

    @asynccontextmanager
    async def spawned(self, words: list[str], **how: Any) -> AsyncIterator[Any]:
        """A conversation with a program, ended in the end."""
        made = await self(self.api.spawn, words, **{"timeout": PATIENCE_S, **how})
        try:
            yield made
        finally:
            await self(made.close if self.blocking else made.aclose)

    @asynccontextmanager
    async def pair(self, place: str = "tcp://:0", **how: Any) -> AsyncIterator[tuple[Any, Any]]:
        """A client and the server's side of it."""
        async with (
            self.listening(place) as listener,
            self.opened(listener.local_address, **how) as client,
            self.accepted(listener) as server,
        ):
            yield client, server

    @asynccontextmanager
    async def pair_udp(self) -> AsyncIterator[tuple[Any, Any]]:
        """A client of UDP, and the server's side of it."""
        async with (
            self.listening("udp://127.0.0.1:0") as listener,
            self.opened(listener.local_address) as client,
        ):
            await self(client.send, b"first")
            async with self.accepted(listener) as server:
                assert await self(server.receive) == b"first"
                yield client, server

    async def lines(self, talk: Any) -> list[bytes]:
        """What going through `talk` gives."""
        if self.blocking:
            return await asyncio.to_thread(list, talk)
        return [line async for line in talk]


@pytest.fixture(params=[conversation, aio], ids=["blocking", "asyncio"])
def do(request: pytest.FixtureRequest) -> Kind:
    return Kind(request.param)


@pytest.fixture(autouse=True)
def no_descriptor_is_left_open() -> Iterator[None]:
    """Every case closes what it opened."""
    # A thread pool and an event loop keep none once asyncio.run() is over.
    with nothing_left_open():
        yield


def case(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """Make a test of a coroutine function, whatever fixtures it wants."""

    @wraps(test)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 60))

    return wrapped


# -- lines, delimiters, counts ----------------------------------------------------------------


@case
async def test_lines_come_without_their_ends(do: Kind) -> None:
    async with do.pair() as (client, server):
        await do(client.send_line, b"one")
        await do(client.send, b"two\r\n\nfour\n")
        assert await do(server.recv_line) == b"one"
        assert await do(server.recv_line) == b"two"
        assert await do(server.recv_line) == b""
        assert await do(server.recv_line, keep_end=True) == b"four\n"


@case
async def test_newline_is_what_stands_behind_a_line_that_is_sent(do: Kind) -> None:
    async with do.pair(newline=b"\r\n") as (client, server):
        await do(client.send_line, b"EHLO me")
        await do(client.send_line)
        assert await do(server.recv_exactly, 11) == b"EHLO me\r\n\r\n"


@case
async def test_several_lines_come_all_or_none(do: Kind) -> None:
    async with do.pair() as (client, server):
        await do(client.send, b"a\nb\nc")
        assert await do(server.recv_lines, 2, keep_end=True) == [b"a\n", b"b\n"]
        await do(client.send, b"\nd")
        await do(client.send_eof)
        with pytest.raises(EndOfStreamError, match="after 1 of 2 lines") as caught:
            await do(server.recv_lines, 2)
        assert caught.value.partial == b"c\nd"
        assert await do(server.recv_lines, 1) == [b"c"]
        assert await do(server.receive) == b"d"


@case
async def test_going_through_it_gives_the_lines_and_what_stands_at_the_end(do: Kind) -> None:
    async with do.pair() as (client, server):
        await do(client.send, b"a\r\n\nlast")
        await do(client.send_eof)
        assert await do.lines(server) == [b"a", b"", b"last"]


@case
async def test_of_several_delimiters_the_first_to_come_counts(do: Kind) -> None:
    async with do.pair() as (client, server):
        await do(client.send, b"name: pass> ?")
        assert await do(server.recv_until, (b"> ", b": ")) == b"name: "
        assert await do(server.recv_until, (b"s> ", b"> "), drop=True) == b"pas"
        assert await do(server.recv_until, b"?", drop=True) == b""
        with pytest.raises(ValueError, match="no delimiter"):
            await do(server.recv_until, ())


@case
async def test_delimiters_that_come_in_pieces_are_found(do: Kind) -> None:
    async with do.pair() as (client, server):
        waiting = asyncio.create_task(do(server.recv_until, [b"END.", b"STOP"]))
        for octet in b"xEND STOEND.rest":
            await do(client.send, bytes([octet]))
        assert await waiting == b"xEND STOEND."
        assert await do(server.recv_exactly, 4) == b"rest"


@case
async def test_a_pattern_takes_up_to_the_end_of_its_match(do: Kind) -> None:
    async with do.pair() as (client, server):
        waiting = asyncio.create_task(do(server.recv_regex, rb"balance: (\d+)\n"))
        for piece in (b"hello\nbal", b"ance: 1", b"2\nmore"):
            await do(client.send, piece)
        match = await waiting
        assert match[1] == b"12"
        assert match.string == b"hello\nbalance: 12\n"
        await do(client.send_eof)
        with pytest.raises(EndOfStreamError, match="nothing matches") as caught:
            await do(server.recv_regex, re.compile(b"x"))
        assert caught.value.partial == b"more"
        assert await do(server.receive_all) == b"more"


@case
async def test_a_limit_stops_a_peer_that_sends_without_end(do: Kind) -> None:
    async with do.pair() as (client, server):
        await do(client.send, b"x" * 1000)
        await do(client.send_eof)
        for call, argument in (
            (server.recv_line, None),
            (server.recv_until, b"\n"),
            (server.recv_until, (b"\n", b"\0")),
            (server.recv_regex, b"y"),
        ):
            with pytest.raises(LimitError, match="within 100 octets"):
                await do(call, *([argument] if argument else []), limit=100)
        with pytest.raises(LimitError, match="more than 999"):
            await do(server.receive_all, limit=999)
        assert await do(server.receive_all, limit=1000) == b"x" * 1000


@case
async def test_what_was_received_can_be_put_back(do: Kind) -> None:
    async with do.pair() as (client, server):
        await do(client.send, b"world\n")
        octets = await do(server.receive)
        server.unrecv(octets)
        server.unrecv(b"hello ")
        assert server.pending == 12
        assert await do(server.recv_line) == b"hello world"


@case
async def test_clean_takes_what_comes_until_it_is_quiet(do: Kind) -> None:
    async with do.pair() as (client, server):
        await do(client.send, b"banner\nprompt> ")
        assert await do(server.recv_line) == b"banner"
        assert await do(server.clean) == b"prompt> "
        assert await do(server.clean, 0) == b""
        await do(client.send, b"y" * 100)
        assert await do(server.clean, 20, limit=10) == b"y" * 10  # not quiet
        await do(client.send_eof)
        assert len(await do(server.clean, 20)) == 90  # the end is quiet enough


@case
async def test_a_dialogue_answers_prompts(do: Kind) -> None:
    async with do.pair() as (client, server):
        await do(server.send, b"login: ")
        assert await do(client.send_line_after, b": ", b"me") == b"login: "
        assert await do(server.recv_line) == b"me"
        await do(server.send, b"password: ")
        assert await do(client.send_after, b": ", b"secret\n") == b"password: "
        assert await do(server.recv_line) == b"secret"


# -- the end, time limits, faults -------------------------------------------------------------


@case
async def test_the_answer_that_comes_after_our_end_arrives(do: Kind) -> None:
    octets = os.urandom(3_000_000)
    async with do.pair() as (client, server):
        sending = asyncio.create_task(do(client.send, octets))
        assert await do(server.recv_exactly, len(octets)) == octets
        await sending
        await do(client.send_eof)
        assert await do(server.receive) == b""
        assert await do(server.receive) == b""
        await do(server.send, b"late")
        await do(server.send_eof)
        assert await do(client.receive_all) == b"late"
        with pytest.raises(BrokenPipeError):
            await do(client.send, b"x")


@case
async def test_a_call_that_is_too_late_has_taken_nothing(do: Kind) -> None:
    async with do.pair() as (client, server):
        await do(client.send, b"begin")
        for call, arguments in (
            (server.recv_line, ()),
            (server.recv_exactly, (6,)),
            (server.recv_lines, (2,)),
            (server.recv_regex, (b"z",)),
        ):
            with pytest.raises(TimeoutError, match=r"receive from tcp://.*not within 0\.05 s"):
                await do(call, *arguments, timeout=0.05)
        server.timeout = 0.05
        with pytest.raises(TimeoutError):
            await do(server.receive_all)
        await do(client.send, b"\n")
        assert await do(server.recv_line, timeout=None) == b"begin"
        with pytest.raises(ValueError, match="timeout"):
            await do(server.receive, timeout=-1)
        with pytest.raises(ValueError, match="limit"):
            await do(server.receive, 0)


@case
async def test_sending_to_a_peer_that_takes_nothing_is_late(do: Kind) -> None:
    async with do.pair() as (client, _):
        with pytest.raises(TimeoutError, match="send to tcp://"):
            await do(client.send, bytes(50_000_000), timeout=0.1)


@case
async def test_a_peer_that_sends_octet_by_octet_does_not_start_the_time_anew(do: Kind) -> None:
    async with do.spawned(["sh", "-c", "while printf x; do sleep 0.02; done"]) as slow:
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            await do(slow.recv_line, timeout=0.2)
        assert 0.2 <= time.monotonic() - begin < 5


@case
async def test_a_reset_in_the_middle_is_an_error_and_keeps_what_came(do: Kind) -> None:
    async with do.pair() as (client, server):
        await do(client.send, b"half a li")
        assert await do(server.recv_exactly, 4) == b"half"
        assert client.socket is not None
        linger = (1).to_bytes(4, "little") + bytes(4)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        client.close()
        with pytest.raises(ConnectionResetError, match="RST"):
            await do(server.recv_line)
        assert await do(server.receive) == b" a li"


@case
async def test_nobody_there_is_said(do: Kind, tmp_path: Path) -> None:
    with closed_port() as port:
        gone = f"tcp://127.0.0.1:{port}"
        with pytest.raises(ConnectionRefusedError, match=f"connect to {gone}.*nobody listens"):
            await do(do.api.connect, gone)
    with pytest.raises(FileNotFoundError):
        await do(do.api.connect, f"unix:{tmp_path}/none")
    with pytest.raises(NotPossibleError, match="no program"):
        await do(do.api.connect, "exec:no-such-program-here")


@case
async def test_a_listener_without_descriptors_says_so_and_goes_on(do: Kind) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with do.listening("tcp://:0") as listener, do.opened(listener.local_address) as client:
        spare: list[int] = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 50, hard))
            with suppress(OSError):
                while True:
                    spare.append(os.dup(0))
            with pytest.raises(OSError, match="too many open descriptors"):
                await do(listener.accept)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in spare:
                os.close(descriptor)
        await do(client.send_line, b"still here")
        async with do.accepted(listener) as server:
            assert await do(server.recv_line) == b"still here"


@case
async def test_what_does_not_fit_is_refused(do: Kind, tmp_path: Path) -> None:
    for place, how, what in (
        ("tcp:/x", {}, "two slashes"),
        ("exec:cat", {"tls": True}, "no TLS over exec"),
        ("udp://:1", {"tls": True}, "no TLS over udp"),
        ("tls://h:1", {"tls": False}, "tls=False"),
        ("echo:", {"proxy": "socks5://127.0.0.1"}, "not reached through a proxy"),
        ("udp://127.0.0.2:1", {"proxy": "socks5://127.0.0.1:1"}, "tcp: endpoints"),
    ):
        with pytest.raises(EndpointError, match=what):
            await do(do.api.connect, place, **how)
    with pytest.raises(TypeError, match="an endpoint is text"):
        await do(do.api.connect, 5)
    for place in ("exec:cat", "-", f"unix:{tmp_path}/x?type=datagram"):
        with pytest.raises(EndpointError):
            await do(do.api.listen, place)


# -- ends that are no TCP ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", ["unix:{}/s", "unix-abstract:conversation-{}", "tcp://[::1]:0", "tcp://localhost:0"]
)
@case
async def test_streams_of_every_family_carry_octets(do: Kind, place: str, tmp_path: Path) -> None:
    async with do.pair(place.format(tmp_path)) as (client, server):
        await do(client.send_line, b"hello")
        assert await do(server.recv_line) == b"hello"
        assert server.local_address == client.remote_address


@pytest.mark.parametrize("query", ["", "?type=seqpacket"])
@case
async def test_vsock_carries_octets_and_messages(do: Kind, query: str) -> None:
    try:
        with nc.listen(f"vsock://1:0{query}"):
            pass
    except (OSError, NotPossibleError) as error:
        pytest.skip(f"this kernel has no vsock to itself: {error}")
    async with do.pair(f"vsock://1:0{query}") as (client, server):
        await do(client.send_line, b"hello")
        assert await do(server.receive) == b"hello\n"
        assert server.local_address == client.remote_address


@case
async def test_seqpacket_keeps_messages(do: Kind, tmp_path: Path) -> None:
    async with do.pair(f"unix:{tmp_path}/s?type=seqpacket") as (client, server):
        assert client.keeps_boundaries
        for message in (b"one", b"two\nlines", b"three"):
            await do(client.send, message)
        assert await do(server.receive) == b"one"
        assert await do(server.receive, 2) == b"two\nlines"
        await do(client.send_eof)
        assert await do.lines(server) == [b"three"]


@case
async def test_each_sender_to_a_udp_port_is_a_conversation(do: Kind) -> None:
    async with (
        do.listening("udp://127.0.0.1:0") as listener,
        do.opened(listener.local_address) as ann,
        do.opened(listener.local_address) as bob,
    ):
        for octets, sender in ((b"a1", ann), (b"b1", bob), (b"a2", ann), (b"", ann), (b"b2", bob)):
            await do(sender.send, octets)
        async with do.accepted(listener) as with_ann, do.accepted(listener) as with_bob:
            assert with_ann.remote_address == ann.local_address
            assert [await do(with_ann.receive) for _ in range(3)] == [b"a1", b"a2", b""]
            assert [await do(with_bob.receive) for _ in range(2)] == [b"b1", b"b2"]
            await do(with_bob.send, b"for bob")
            await do(with_ann.send, b"for ann")
            assert await do(ann.receive) == b"for ann"
            assert await do(bob.receive) == b"for bob"
            await do(ann.send, b"more")
            assert await do(with_ann.receive) == b"more"
            with pytest.raises(TimeoutError):
                await do(listener.accept, timeout=0.02)


@pytest.mark.parametrize("place", ["udp://*:0", "udp://[::1]:0"])
@case
async def test_a_udp_port_of_every_address_answers_both_families(do: Kind, place: str) -> None:
    async with do.listening(place) as listener:
        port = listener.local_address.port
        hosts = ["127.0.0.1", "[::1]"] if "*" in place else ["[::1]"]
        for host in hosts:
            async with do.opened(f"udp://{host}:{port}") as client:
                await do(client.send, b"question")
                async with do.accepted(listener) as server:
                    await do(server.send, await do(server.receive) + b"?")
                assert await do(client.receive) == b"question?"


@case
async def test_a_udp_port_has_one_listener(do: Kind) -> None:
    async with do.listening("udp://127.0.0.1:0") as listener:
        with pytest.raises(OSError, match="EADDRINUSE"):
            await do(do.api.listen, listener.local_address)


@case
async def test_a_datagram_that_comes_back_is_an_error(do: Kind) -> None:
    with closed_port("udp4") as port:
        async with do.opened(f"udp://127.0.0.1:{port}") as talk:
            await do(talk.send, b"anybody?")
            with pytest.raises(ConnectionRefusedError, match="port unreachable"):
                await do(talk.receive)


@case
async def test_a_unix_datagram_can_be_answered(do: Kind, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        async with do.opened(f"unix:{path}?type=datagram") as client:
            await do(client.send, b"question")
            octets, sender = server.recvfrom(100)
            server.sendto(octets.upper(), sender)
            assert await do(client.receive) == b"QUESTION"


@case
async def test_a_program_is_talked_to_and_its_status_known(do: Kind) -> None:
    async with do.spawned(["sh", "-c", "read x; echo got $x; cat; exit 3"]) as program:
        await do(program.send_line, b"this")
        assert await do(program.recv_line) == b"got this"
        await do(program.send, b"rest")
        await do(program.send_eof)
        assert await do(program.receive_all) == b"rest"
        assert await do(program.wait) == 3
        with pytest.raises(OSError, match="no socket"):
            _ = program.local_address
        assert program.socket is None


@case
async def test_a_program_on_a_terminal_is_talked_to(do: Kind) -> None:
    async with do.spawned(["sh", "-c", "stty -echo; tty; read x; stty size; cat"], pty=True) as it:
        assert re.match(rb"/dev/pts/\d+$", await do(it.recv_line))
        await do(it.send_line)
        assert re.match(rb"\d+ \d+$", await do(it.recv_line))
        await do(it.send_line, b"through cat")
        assert await do(it.recv_line) == b"through cat"
        await do(it.send_eof)
        assert await do(it.receive_all) == b""
        assert await do(it.wait) == 0


@case
async def test_closing_ends_a_program_that_does_not_end_by_itself(do: Kind) -> None:
    async with do.spawned(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 9; done"]) as it:
        assert await do(it.recv_line) == b"up"
        pid = it.process.pid
    assert it.process.status == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert it.closed


@case
async def test_files_echo_and_discard_are_ends(do: Kind, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"first\nsecond\n")
    async with do.opened(f"file:{path}") as file:
        assert await do.lines(file) == [b"first", b"second"]
        with pytest.raises(OSError, match="send to file"):
            await do(file.send, b"x")
    async with do.opened("echo:") as echo:
        await do(echo.send_line, b"hello")
        assert await do(echo.recv_line) == b"hello"
        await do(echo.send_eof)
        assert await do(echo.receive) == b""
    async with do.opened("discard:") as nothing:
        await do(nothing.send, b"x" * 100_000)
        assert await do(nothing.receive) == b""


# -- TLS and proxies --------------------------------------------------------------------------


@case
async def test_tls_between_ourselves_with_a_late_answer(do: Kind) -> None:
    octets = os.urandom(2_000_000)
    seen = Watcher()
    async with do.listening("tls://127.0.0.1:0", taps=[seen]) as listener:
        assert listener.name.startswith("tls://127.0.0.1:")
        options = nc.TLSOptions(verify=False)
        connecting = asyncio.create_task(
            do(do.api.connect, listener.name, tls=options, timeout=PATIENCE_S)
        )
        async with do.accepted(listener) as server:
            receiving = asyncio.create_task(do(server.recv_exactly, len(octets)))
            client = await connecting
            try:
                fingerprint = nc_fingerprint(client)
                assert fingerprint == listener.fingerprint
                await do(client.send, octets)
                await do(client.send_eof)
                assert await receiving == octets
                assert await do(server.receive) == b""
                await do(server.send, b"late")
                await do(server.send_eof)
                assert await do(client.receive_all) == b"late"
            finally:
                await do(client.close)
    assert b"".join(seen.octets_of("received")) == octets  # plain text
    assert seen.octets_of("sent") == [b"late"]


def nc_fingerprint(talk: Any) -> str:
    from sockwright.nc.tls.options import fingerprint

    return fingerprint(talk.carrier.session.connection.getpeercert(binary_form=True))


@case
async def test_a_certificate_that_nobody_vouches_for_is_refused(do: Kind) -> None:
    async with do.listening("tls://127.0.0.1:0") as listener:

        async def serve() -> None:
            async with do.accepted(listener) as server:
                with pytest.raises(TLSError):
                    await do(server.receive)

        serving = asyncio.create_task(serve())
        with pytest.raises(TLSError, match=re.escape(listener.fingerprint)):
            await do(do.api.connect, listener.name, timeout=PATIENCE_S)
        await serving


@case
async def test_a_connection_cut_off_under_tls_is_no_end(do: Kind) -> None:
    async with do.listening("tls://127.0.0.1:0") as listener:
        options = nc.TLSOptions(verify=False)
        connecting = asyncio.create_task(do(do.api.connect, listener.name, tls=options))
        async with do.accepted(listener) as server:
            sending = asyncio.create_task(do(server.send, b"half"))
            client = await connecting
            await sending
            assert server.socket is not None
            server.socket.shutdown(socket.SHUT_WR)  # below TLS, as somebody on the way could
            with pytest.raises(EndOfStreamError, match="close_notify") as caught:
                await do(client.recv_line)
            assert caught.value.partial == b"half"
            await do(client.close)


@pytest.mark.needs("openssl")
@case
async def test_openssl_as_a_server_is_verified_and_talked_to(do: Kind, peers: Peers) -> None:
    server = peers.server("openssl", "tls")
    options = nc.TLSOptions(ca_file=f"{peers.folder}/cert.pem", server_name="localhost")
    async with do.opened(server.place.url, tls=options) as client:
        await do(client.send_line, b"to openssl")
        assert server.read(11) == b"to openssl\n"
        server.feed(b"from openssl\n")
        assert await do(client.recv_line) == b"from openssl"


@pytest.mark.needs("ncat")
@case
async def test_ncat_as_a_client_under_tls(do: Kind, peers: Peers) -> None:
    place = peers.place("tls")
    options = nc.TLSOptions(certificate=f"{place.folder}/cert.pem", key=f"{place.folder}/key.pem")
    async with do.listening("tcp://127.0.0.1:0", tls=options) as listener:
        assert listener.fingerprint is None
        port = str(listener.local_address.port)
        client = peers.run(["ncat", "--ssl", "127.0.0.1", port])
        client.feed(b"hello\n")
        client.end_input()
        async with do.accepted(listener) as server:
            assert await do(server.recv_line) == b"hello"
            await do(server.send_line, b"goodbye")
        assert client.read(8) == b"goodbye\n"


@case
async def test_octets_before_tls_are_refused(do: Kind) -> None:
    async with do.pair("tcp://127.0.0.1:0") as (client, server):
        await do(server.send, b"220 ready for TLS\r\ninjected")
        assert await do(client.recv_line) == b"220 ready for TLS"
        with pytest.raises(TLSError, match="8 octets before TLS began"):
            await do(client.start_tls, nc.TLSOptions(verify=False))


@pytest.mark.needs("openssl")
@case
async def test_tls_begins_in_the_middle_with_openssl(do: Kind, peers: Peers) -> None:
    server = peers.server("openssl", "tls")
    options = nc.TLSOptions(ca_file=f"{peers.folder}/cert.pem")
    async with do.opened(f"tcp://127.0.0.1:{server.place.port}") as client:
        await do(client.start_tls, options)
        assert client.name == server.place.url
        await do(client.send_line, b"now encrypted")
        assert server.read(14) == b"now encrypted\n"


@pytest.mark.needs("ncat")
@case
async def test_a_proxy_is_gone_through_with_tls_behind_it(do: Kind, peers: Peers) -> None:
    # As a proxy ncat listens on every address, whatever it is told.
    words = ["ncat", "-4", "-n", "-l", "-k", "--allow", "127.0.0.1", "--proxy-type", "http", "0"]
    port = peers.run(words).until_listening().port
    async with do.listening("tls://127.0.0.1:0") as listener:
        options = nc.TLSOptions(verify=False)
        connecting = asyncio.create_task(
            do(
                do.api.connect,
                listener.name,
                tls=options,
                proxy=f"http://127.0.0.1:{port}",
                timeout=PATIENCE_S,
            )
        )
        async with do.accepted(listener) as server:
            answering = asyncio.create_task(do(server.recv_line))
            client = await connecting
            await do(client.send_line, b"through the proxy")
            assert await answering == b"through the proxy"
            assert client.remote_address.port == port
            await do(client.close)
    with closed_port() as gone, pytest.raises(ProxyError):
        await do(
            do.api.connect,
            f"tcp://127.0.0.1:{gone}",
            proxy=f"http://127.0.0.1:{port}",
            timeout=PATIENCE_S,
        )


@case
async def test_octets_behind_the_answer_of_a_proxy_are_the_peers(do: Kind) -> None:
    async with do.listening("tcp://127.0.0.1:0") as proxy:
        connecting = asyncio.create_task(
            do(
                do.api.connect,
                "tcp://192.0.2.1:80",
                proxy=f"http://{proxy.local_address.host}:{proxy.local_address.port}",
                timeout=PATIENCE_S,
            )
        )
        async with do.accepted(proxy) as server:
            await do(server.recv_until, b"\r\n\r\n")
            await do(server.send, b"HTTP/1.1 200 OK\r\n\r\n220 hello\r\nmore")
            client = await connecting
            assert await do(client.recv_line) == b"220 hello"
            assert await do(client.recv_exactly, 4) == b"more"
            await do(client.close)


# -- other programs ---------------------------------------------------------------------------


@pytest.mark.needs("socat", "ncat")
@pytest.mark.parametrize("name", ["openbsd", "traditional", "ncat", "socat", "bash"])
@case
async def test_other_programs_as_clients(do: Kind, name: str, peers: Peers) -> None:
    async with do.listening("tcp://127.0.0.1:0") as listener:
        place = peers.place("tcp4")
        place = type(place)("tcp4", peers.folder, port=listener.local_address.port)
        client = peers.client(name, place)
        client.feed(b"question\n")
        async with do.accepted(listener) as server:
            assert await do(server.recv_line) == b"question"
            await do(server.send_line, b"answer")
            assert client.read(7) == b"answer\n"


@pytest.mark.needs("socat", "ncat")
@pytest.mark.parametrize("name", ["openbsd", "ncat", "socat"])
@pytest.mark.parametrize("kind", ["tcp4", "tcp6", "unix", "udp4", "unix-datagram"])
@case
async def test_other_programs_as_servers(do: Kind, name: str, kind: str, peers: Peers) -> None:
    server = peers.server(name, kind)
    async with do.opened(server.place.url) as client:
        await do(client.send_line, b"question")
        assert server.read(9) == b"question\n"
        if kind != "unix-datagram":  # whose servers answer nobody
            server.feed(b"answer\n")
            assert await do(client.recv_line) == b"answer"


# -- relay and taps ---------------------------------------------------------------------------


@case
async def test_a_relay_joins_two_conversations_until_both_have_ended(do: Kind) -> None:
    there, back = os.urandom(2_000_000), os.urandom(1_500_000)
    async with do.pair() as (a_far, a_near), do.pair() as (b_near, b_far):
        joined = asyncio.create_task(do(do.api.relay, a_near, b_near))
        sending = asyncio.create_task(do(a_far.send, there))
        answering = asyncio.create_task(do(b_far.send, back))
        assert await do(b_far.recv_exactly, len(there)) == there
        await sending
        await do(a_far.send_eof)
        assert await do(b_far.receive) == b""
        assert await do(a_far.recv_exactly, len(back)) == back
        await answering
        await do(b_far.send, b"late")
        await do(b_far.send_eof)
        assert await do(a_far.receive_all) == b"late"
        result = await joined
        assert result == nc.Relayed(len(there), len(back) + 4, ended=True)
        assert not a_near.closed


@case
async def test_a_relay_opens_and_closes_what_is_named(do: Kind, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"some octets")
    result = await do(do.api.relay, f"file:{tmp_path}/in", "exec:tr a-z A-Z")
    assert (result.a_to_b, result.b_to_a, result.ended) == (11, 11, True)
    result = await do(do.api.relay, "exec:echo hello", f"file:{tmp_path}/out")
    assert (tmp_path / "out").read_bytes() == b"hello\n"
    assert result == nc.Relayed(6, 0, ended=True)


@case
async def test_a_relay_joins_tls_and_a_program(do: Kind) -> None:
    async with do.listening("tls://127.0.0.1:0") as listener:

        async def serve() -> Any:
            async with do.accepted(listener) as server, do.spawned(["rev"]) as program:
                return await do(do.api.relay, server, program)

        serving = asyncio.create_task(serve())
        async with do.opened(listener.name, tls=nc.TLSOptions(verify=False)) as client:
            await do(client.send, b"abc\ndef\n")
            await do(client.send_eof)
            assert await do(client.receive_all) == b"cba\nfed\n"
        assert await serving == nc.Relayed(8, 8, ended=True)


@case
async def test_a_relay_says_which_end_failed(do: Kind) -> None:
    async with do.pair() as (far, near), do.spawned(["sh", "-c", "exec <&-; echo; cat"]) as deaf:
        assert await do(deaf.recv_line) == b""
        await do(far.send, b"x" * 1000)
        with pytest.raises(BrokenPipeError, match="send to exec:sh"):
            await do(do.api.relay, near, deaf)


@case
async def test_a_relay_of_datagrams_keeps_them_and_ends_when_idle(do: Kind) -> None:
    async with do.pair_udp() as (a_far, a_near), do.pair_udp() as (b_far, b_near):
        # All is there already: what came later could come when it has been idle for too long.
        await do(a_far.send, b"one")
        await do(a_far.send, b"two")
        await do(b_far.send, b"three")
        result = await do(do.api.relay, a_near, b_near, idle=0.3)
        assert result == nc.Relayed(6, 5, ended=False)
        assert [await do(b_far.receive) for _ in range(2)] == [b"one", b"two"]
        assert await do(a_far.receive) == b"three"


class Watcher(nc.Tap):
    """A tap, and what makes it: remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def conversation(self) -> nc.Tap:
        return self

    def opened(self, local: str, remote: str, time_ns: int, *, accepted: bool = False) -> None:
        self.told.append(("opened", local, remote, accepted))

    def octets(self, direction: Direction, data: Octets, time_ns: int) -> None:
        self.told.append((direction, bytes(data)))

    def ended(self, direction: Direction, time_ns: int) -> None:
        self.told.append(("ended", direction))

    def closed(self, time_ns: int, *, reset: Direction | None = None) -> None:
        self.told.append(("closed",))

    def octets_of(self, direction: Direction) -> list[bytes]:
        return [event[1] for event in self.told if event[0] == direction]


@case
async def test_a_tap_sees_everything_in_order_and_once(do: Kind) -> None:
    watcher = Watcher()
    async with do.pair(taps=[watcher]) as (client, server):
        here, there = str(client.local_address), str(client.remote_address)
        await do(client.send_line, b"question")
        await do(client.send_eof)
        await do(server.recv_line)
        await do(server.send_line, b"answer")
        await do(server.send_eof)
        await do(client.recv_line)
        assert await do(client.receive) == b""
        assert await do(client.receive) == b""
    assert watcher.told == [
        ("opened", here, there, False),
        ("sent", b"question\n"),
        ("ended", "sent"),
        ("received", b"answer\n"),
        ("ended", "received"),
        ("closed",),
    ]


# -- as objects -------------------------------------------------------------------------------


@case
async def test_closing_may_be_done_twice_and_shows(do: Kind) -> None:
    async with do.pair() as (client, server):
        assert f"with {client.remote_address}" in repr(client)
        assert client.fileno() >= 0
        await do(client.close)
        await do(client.close)
        assert client.closed
        assert "closed" in repr(client)
        with pytest.raises(OSError, match="EBADF"):
            await do(client.receive)
        assert await do(server.receive) == b""


@case
async def test_connecting_from_an_address(do: Kind) -> None:
    async with do.pair("tcp://127.0.0.1:0", local="tcp://127.0.0.2:0") as (client, server):
        assert client.local_address.host == "127.0.0.2"
        assert server.name == str(client.local_address)


@case
async def test_lines_take_linear_time(do: Kind) -> None:
    async def seconds(count: int) -> float:
        async with do.spawned(["sh", "-c", f"yes 0123456789 | head -n {count}"]) as source:
            begin = time.process_time()
            assert len(await do.lines(source)) == count
            return time.process_time() - begin

    # The least time of the processor, since noise only adds; quadratic would be 64 times as long.
    both = [(await seconds(12_500), await seconds(100_000)) for _ in range(3)]
    few, many = (min(times) for times in zip(*both, strict=True))
    assert many / few < 24


def test_an_endpoint_may_be_a_value() -> None:
    with nc.listen(Endpoint("tcp")) as listener, nc.connect(nc.parse_end("discard:")) as nothing:
        assert listener.local_address.port > 0
        assert nothing.receive() == b""

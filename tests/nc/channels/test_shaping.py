"""What is done to octets on their way: line ends, telnet, rate, delay, frames, counts and taps."""

from __future__ import annotations

import random
import socket
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import Bench, Clock, noise, nothing_left_open

from sockwright.errors import TLSError
from sockwright.machines.telnet import Telnet
from sockwright.nc.channels import shaping
from sockwright.nc.channels.channel import SocketChannel
from sockwright.nc.channels.datagrams import MessageChannel
from sockwright.nc.channels.rate import Rate
from sockwright.nc.channels.shaping import Counted, Framed, Shaped, Tapped, frames
from sockwright.nc.engine.flow import Flow
from sockwright.nc.taps.tap import Tap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.nc.channels.channel import Channel
    from sockwright.nc.engine.settings import Framing


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Open a loop; see that nothing is left of what was opened."""
    with nothing_left_open(), Bench() as one:
        yield one


class Quiet:
    """Does not care how flows end."""

    def flow_ended(self, flow: Flow) -> None:
        flow.sink.send_eof()

    def flow_failed(self, flow: Flow, channel: Channel, error: Exception) -> None:
        raise error


def through(bench: Bench, sink: Channel) -> socket.socket:
    """Let a flow move into `sink` what is sent to the socket that this gives."""
    source, feeding = bench.channel()
    flow = Flow(bench.loop, source, sink, Quiet())
    bench.callback(flow.stop)
    bench.callback(source.close)
    bench.callback(sink.close)
    source.attach(bench.loop, flow.pump, lambda: None)
    sink.attach(bench.loop, lambda: None, flow.pump)
    return feeding


def sent_by(channel: Channel, taking: socket.socket, pieces: list[bytes]) -> bytes:
    """Send pieces through a channel; return what arrived."""
    for piece in pieces:
        assert channel.send(memoryview(piece)) == len(piece)
    channel.send_eof()
    taking.settimeout(5)
    got = b""
    while piece := taking.recv(65536):
        got += piece
    return got


def cut(octets: bytes, rng: random.Random) -> list[bytes]:
    """Cut octets into pieces."""
    pieces = []
    while octets:
        size = rng.randrange(1, 4)
        pieces.append(octets[:size])
        octets = octets[size:]
    return pieces


# -- line ends and telnet --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_line_feeds_become_crlf_however_they_are_cut(bench: Bench, seed: int) -> None:
    rng = random.Random(seed)
    text = b"".join(rng.choice([b"\n", b"\r", b"\r\n", b"a", b"\n\n"]) for _ in range(200))
    far, taking = bench.channel()
    channel = Shaped(far, crlf=True)
    bench.callback(channel.close)
    got = sent_by(channel, taking, cut(text, rng))
    assert got == text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def test_octets_255_are_doubled_for_telnet_and_negotiations_refused(bench: Bench) -> None:
    far, peer = bench.channel()
    channel = Shaped(far, telnet=Telnet())
    bench.callback(channel.close)
    assert channel.send(memoryview(b"a\xffb")) == 3
    assert peer.recv(100) == b"a\xff\xffb"
    peer.sendall(b"hel\xff\xfd\x01lo\xff\xff")  # IAC DO ECHO
    buffer = bytearray(100)
    count = channel.receive_into(memoryview(buffer))
    assert count is not None
    assert buffer[:count] == b"hello\xff"
    assert peer.recv(100) == b"\xff\xfc\x01"  # IAC WONT ECHO


def test_a_piece_of_nothing_but_commands_is_no_end(bench: Bench) -> None:
    far, peer = bench.channel()
    channel = Shaped(far, telnet=Telnet())
    bench.callback(channel.close)
    peer.sendall(b"\xff\xfb\x03")
    assert channel.receive_into(memoryview(bytearray(100))) is None
    assert peer.recv(100) == b"\xff\xfe\x03"  # IAC DONT
    peer.close()
    assert channel.receive_into(memoryview(bytearray(100))) == 0


def test_a_refusal_that_cannot_be_sent_costs_no_text(bench: Bench) -> None:
    """Neither after our own end, nor when the connection takes nothing any more."""
    far, peer = bench.channel()
    channel = Shaped(far, telnet=Telnet())
    bench.callback(channel.close)
    buffer = bytearray(100)
    channel.send_eof()
    assert peer.recv(100) == b""
    peer.sendall(b"late\xff\xfd\x18 answer")
    assert channel.receive_into(memoryview(buffer)) == 11
    assert buffer[:11] == b"late answer"
    other, ends = bench.channel()
    channel = Shaped(other, telnet=Telnet())
    bench.callback(channel.close)
    ends.sendall(b"late\xff\xfd\x18 answer")
    ends.shutdown(socket.SHUT_RD)  # EPIPE
    assert channel.receive_into(memoryview(buffer)) == 11
    assert not channel.doubt
    with pytest.raises(BrokenPipeError):
        channel.send(memoryview(b"x"))


def test_what_fails_while_nobody_sends_is_told_to_who_sends_next(bench: Bench) -> None:
    far, peer = bench.channel(tcp=True)
    channel = Shaped(far, telnet=Telnet())
    bench.callback(channel.close)
    channel.attach(bench.loop, lambda: None, lambda: None)
    while not channel.unsent:
        channel.send(memoryview(bytes(1 << 20)))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    bench.until(lambda: channel.doubt)
    with suppress(OSError):
        channel.receive_into(memoryview(bytearray(100)))
    assert "Connection reset by peer" in channel.doubt
    assert "octets were not delivered" in channel.doubt
    with pytest.raises(ConnectionResetError):
        channel.send(memoryview(b"x"))


class Refused(SocketChannel):
    """Fails as TLS does."""

    def send(self, octets: memoryview) -> int:
        raise TLSError("the peer has ended TLS")


def test_an_error_of_tls_stays_in_the_session(bench: Bench) -> None:
    ours, peer = bench.pair()
    channel = Shaped(Refused(ours, "peer"), telnet=Telnet())
    bench.callback(channel.close)
    told: list[bool] = []
    channel.attach(bench.loop, lambda: None, lambda: told.append(True))
    channel._waiting.append(b"x")
    bench.until(lambda: told)
    assert "the peer has ended TLS" in channel.doubt
    peer.sendall(b"\xff\xfd\x18text")
    assert channel.receive_into(memoryview(bytearray(100))) == 4


class Commands(SocketChannel):
    """Gives commands without end, as a peer may that sends faster than we read."""

    given = 0

    def receive_into(self, buffer: memoryview) -> int | None:
        self.given += 1
        assert self.given < 50
        buffer[:] = (b"\xff\xf1" * len(buffer))[: len(buffer)]  # IAC NOP
        return len(buffer)


def test_nobody_gets_the_loop_for_itself_by_commands(bench: Bench) -> None:
    ours, _ = bench.pair()
    commands = Commands(ours, "peer")
    channel = Shaped(commands, telnet=Telnet())
    bench.callback(channel.close)
    buffer = memoryview(bytearray(1 << 18))
    got: list[int | None] = []
    channel.attach(bench.loop, lambda: got.append(channel.receive_into(buffer)), lambda: None)
    for turn in range(1, 20):
        bench.loop.step()
        assert turn - 1 <= commands.given <= turn + 1  # others have their turn, it has its own


def test_what_comes_behind_commands_is_heard(bench: Bench) -> None:
    far, peer = bench.channel()
    channel = Shaped(far, telnet=Telnet())
    bench.callback(channel.close)
    buffer = memoryview(bytearray(1 << 18))
    got: list[int | None] = []
    peer.sendall(b"\xff\xf1" * 40_000 + b"text")
    channel.attach(bench.loop, lambda: got.append(channel.receive_into(buffer)), lambda: None)
    bench.until(lambda: 4 in got)
    assert not any(got[:-1])


def test_who_takes_no_refusals_is_not_heard_until_it_does(bench: Bench) -> None:
    far, peer = bench.channel()
    channel = Shaped(far, telnet=Telnet())
    bench.callback(channel.close)
    buffer = memoryview(bytearray(1 << 18))
    text = bytearray()

    def receive() -> None:
        while count := channel.receive_into(buffer):
            text.extend(buffer[:count])

    channel.attach(bench.loop, receive, lambda: None)
    peer.setblocking(False)
    said = refused = 0
    quiet = 0
    piece = b"\xff\xfd\xc8" * 10_000  # IAC DO
    while quiet < 20:
        try:
            said += peer.send(piece[said % 3 :])
            quiet = 0
        except BlockingIOError:
            quiet += 1
        assert channel.unsent < 200_000
        bench.loop.soon(lambda: None)
        bench.loop.step()
    assert said > 200_000
    tail = piece[3 - -said % 3 : 3] + b"the end"

    def take() -> bool:
        nonlocal refused, tail
        try:
            refused += len(peer.recv(1 << 20))
        except BlockingIOError:
            tail = tail[peer.send(tail) :] if tail else b""
        bench.loop.soon(lambda: None)
        return bytes(text) == b"the end"

    bench.until(take)
    assert refused == (said + 2) // 3 * 3


def test_an_octet_255_that_was_no_command_has_its_place(bench: Bench) -> None:
    far, peer = bench.channel()
    channel = Shaped(far, telnet=Telnet())
    bench.callback(channel.close)
    buffer = memoryview(bytearray(100))
    peer.sendall(b"\xff")
    assert channel.receive_into(buffer) is None
    peer.sendall(b"x" * 200)
    assert channel.receive_into(buffer) == 100
    assert bytes(buffer) == b"\xff" + b"x" * 99


# -- rate and delay --------------------------------------------------------------------------------


def test_a_rate_is_kept_within_five_percent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without a processor for a while it would be slower, rightly.
    clock = Clock(bench, monkeypatch)
    monkeypatch.setattr(shaping, "monotonic", lambda: clock.now)
    far, taking = bench.channel()
    feeding = through(bench, Shaped(far, rate=Rate(200_000)))
    feeding.setblocking(False)
    taking.setblocking(False)
    feeding.send(noise(150_000))
    began = clock.now
    got = bytearray()
    rates: list[float] = []

    def more() -> bool:
        try:
            got.extend(taking.recv(1 << 20))
        except BlockingIOError:
            return False
        rates.append(len(got) / (clock.now - began))
        return len(got) >= 100_000

    bench.until(more)
    assert rates[len(rates) // 2 :] == pytest.approx(
        [200_000] * (len(rates) - len(rates) // 2), rel=0.05
    )
    assert got == noise(150_000)[: len(got)]


def test_lines_keep_their_distance(bench: Bench) -> None:
    far, taking = bench.channel()
    feeding = through(bench, Shaped(far, delay=0.1))
    taking.setblocking(False)
    began = time.monotonic()
    feeding.sendall(b"one\ntwo\nthree\nrest")
    arrived: list[tuple[float, bytes]] = []

    def more() -> bool:
        try:
            arrived.append((time.monotonic(), taking.recv(100)))
        except BlockingIOError:
            return False
        return b"rest" in arrived[-1][1]

    bench.until(more)
    assert [octets for _, octets in arrived] == [b"one\n", b"two\n", b"three\n", b"rest"]
    # A line that came late on a busy machine is nearer to the next one.
    assert all(at - began >= 0.1 * lines for lines, (at, _) in enumerate(arrived))
    assert arrived[-1][0] - began < 8


def test_one_timer_is_enough_however_often_it_is_asked(bench: Bench) -> None:
    far, _ = bench.channel()
    channel = Shaped(far, delay=60)
    bench.callback(channel.close)
    channel.attach(bench.loop, lambda: None, lambda: None)
    assert channel.send(memoryview(b"line\n")) == 5
    for _ in range(1000):
        assert channel.send(memoryview(b"line\n")) == 0
    assert len(bench.loop._timers) == 1
    channel.close()
    assert bench.loop._timers[0].call is None


# -- frames ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("framing", "octets", "whole", "rest"),
    [
        ("chunk", b"a\nb", [b"a\nb"], b""),
        ("line", b"a\n\nb\nc", [b"a\n", b"\n", b"b\n"], b"c"),
        (2, b"abcde", [b"ab", b"cd"], b"e"),
        ("line", b"x" * 70_000 + b"\n", [b"x" * 65_507, b"x" * 4493 + b"\n"], b""),
        ("line", b"x" * 70_000, [b"x" * 65_507], b"x" * 4493),
        ("chunk", b"x" * 70_000, [b"x" * 65_507, b"x" * 4493], b""),
    ],
)
def test_octets_are_cut_into_messages(
    framing: Framing, octets: bytes, whole: list[bytes], rest: bytes
) -> None:
    assert frames(memoryview(octets), framing) == (whole, rest)


@pytest.mark.parametrize("framing", ["line", 3])
def test_messages_are_the_same_however_their_octets_come(bench: Bench, framing: Framing) -> None:
    rng = random.Random(7)
    text = b"first\nsecond\n\nthird"
    ours, theirs = bench.pair(socket.SOCK_DGRAM)
    channel = Framed(MessageChannel(ours, "peer"), framing)
    for piece in cut(text, rng):
        assert channel.send(memoryview(piece)) == len(piece)
    channel.send_eof()
    whole, rest = frames(memoryview(text), framing)
    wanted = [*whole, rest] if rest else whole
    assert [theirs.recv(100) for _ in wanted] == wanted
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(100)


def test_messages_wait_for_a_peer_whose_queue_is_full(bench: Bench) -> None:
    ours, theirs = bench.pair(socket.SOCK_DGRAM)
    theirs.setblocking(False)
    channel = Framed(MessageChannel(ours, "peer"), "line")
    feeding = through(bench, channel)
    lines = [b"%d\n" % number for number in range(3000)]
    feeding.sendall(b"".join(lines))
    feeding.close()
    bench.spend(0.02)
    assert channel.unsent
    got: list[bytes] = []

    def more() -> bool:
        try:
            while True:
                got.append(theirs.recv(100))
        except BlockingIOError:
            bench.loop.later(0.001, lambda: None)
            return len(got) == len(lines)

    bench.until(more)
    assert got == lines
    assert not channel.unsent


def test_a_message_that_is_too_long_for_its_way_is_an_error(bench: Bench) -> None:
    ours, _ = bench.pair(socket.SOCK_DGRAM)
    channel = Framed(MessageChannel(ours, "peer"), "chunk")
    with pytest.raises(OSError, match="Message too long"):
        channel.send(memoryview(bytes(1 << 20)))


# -- counts and taps -------------------------------------------------------------------------------


def test_so_many_pieces_are_followed_by_the_end(bench: Bench) -> None:
    ours, theirs = bench.pair(socket.SOCK_DGRAM)
    channel = Counted(MessageChannel(ours, "peer"), 2)
    buffer = memoryview(bytearray(100))
    assert channel.receive_into(buffer) is None
    for _ in range(3):
        theirs.send(b"x")
    assert [channel.receive_into(buffer) for _ in range(3)] == [1, 1, 0]


class Told(Tap):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def octets(self, direction: str, data: bytes | bytearray | memoryview, time_ns: int) -> None:
        self.lines.append(f"{direction} {bytes(data).decode()}")

    def ended(self, direction: str, time_ns: int) -> None:
        self.lines.append(f"{direction} ended")

    def closed(self, time_ns: int, *, reset: str | None = None) -> None:
        self.lines.append(f"closed {reset}")


def test_taps_are_told_of_what_was_taken_and_of_one_close(bench: Bench) -> None:
    far, peer = bench.channel()
    tap = Told()
    channel = Tapped(far, (tap,))
    channel.send(memoryview(b"hello"))
    peer.sendall(b"hi")
    buffer = memoryview(bytearray(100))
    channel.receive_into(buffer)
    channel.receive_into(buffer)
    channel.send_eof()
    peer.close()
    with pytest.raises(ConnectionResetError):  # it had not read what we said
        channel.receive_into(buffer)
    channel.close()
    channel.close()
    assert tap.lines == ["sent hello", "received hi", "sent ended", "closed received"]


def test_no_octet_passes_by_what_looks_on_or_changes_it(bench: Bench) -> None:
    ours, _ = bench.pair()
    inner = SocketChannel(ours, "peer")
    for channel in (Tapped(inner, ()), Shaped(inner), Counted(inner, 1)):
        assert (channel.source, channel.sink) == (-1, -1)

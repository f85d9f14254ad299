"""One end for many: every octet once and in order to each, and nobody holds up the others long."""

from __future__ import annotations

import os
import random
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import Bench, noise, nothing_left_open

from sockwright.nc.channels.channel import SocketChannel
from sockwright.nc.channels.descriptors import DescriptorChannel
from sockwright.nc.engine.outcome import Outcome
from sockwright.nc.engine.session import Session
from sockwright.nc.engine.settings import Limits
from sockwright.nc.serving import hub as hub_module
from sockwright.nc.serving.hub import Hub, Member

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Open a loop; see that nothing is left of what was opened."""
    with nothing_left_open(), Bench() as one:
        yield one
        loop = one.loop
    assert loop.kept == 0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody go for taking too little in a time: a busy machine takes its own."""
    monkeypatch.setattr(hub_module, "_STALLED", 3600.0)
    monkeypatch.setattr(hub_module, "_STALLED_INPUT", 3600.0)


class Client:
    """A client of a hub, as the test sees it."""

    def __init__(self, bench: Bench, hub: Hub, *, buffer: int = 0) -> None:
        ours, self.sock = bench.pair()
        for sock in (ours, self.sock) if buffer else ():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        self.sock.setblocking(False)
        self.got = bytearray()
        self.over = False
        self.member: Member = hub.member()
        self.session = Session(
            bench.loop, self.member, SocketChannel(ours, "client"), Limits(), self._ended, shy=True
        )
        self.outcome: Outcome | None = None
        self.member.progress = lambda: self.session.outward.moved
        self.member.on_stalled = lambda: self.session.finish(Outcome(1, "stalled"))
        bench.callback(lambda: self.session.finish(Outcome()))
        self.session.start()

    def _ended(self, _: Session, outcome: Outcome) -> None:
        self.outcome = outcome

    def say(self, octets: bytes) -> int:
        """Send what is taken; return how much that was."""
        with suppress(BlockingIOError):
            return self.sock.send(octets)
        return 0

    def listen(self, most: int = 1 << 30) -> bytes:
        """Receive what is there; return all that ever was."""
        with suppress(BlockingIOError, ConnectionResetError):
            while most and not self.over:
                piece = self.sock.recv(min(most, 1 << 18))
                self.over = not piece
                most -= len(piece)
                self.got += piece
        return bytes(self.got)


def turn(bench: Bench, times: int = 4) -> None:
    """Let the loop do what there is to do."""
    for _ in range(times):
        bench.loop.soon(lambda: None)
        bench.loop.step()


def standard(bench: Bench) -> tuple[DescriptorChannel, int, int]:
    """Return standard input and output, what writes to the one, and what reads the other."""
    reading, into = os.pipe()
    out_of, writing = os.pipe()
    os.set_blocking(into, False)
    os.set_blocking(out_of, False)
    bench.callback(os.close, out_of)
    channel = DescriptorChannel(reading, writing, "standard input and output", owns=True)
    bench.callback(channel.close)
    return channel, into, out_of


# -- broker ----------------------------------------------------------------------------------------


def test_what_one_says_goes_to_all_others(bench: Bench) -> None:
    hub = Hub(bench.loop, None)
    clients = [Client(bench, hub) for _ in range(3)]
    clients[1].say(b"hello")
    turn(bench)
    assert [client.listen() for client in clients] == [b"hello", b"", b"hello"]


@pytest.mark.usefixtures("patient")
def test_every_octet_comes_in_order_whatever_the_receivers_do(bench: Bench) -> None:
    """Two senders at once, receivers that take now and then: nothing overtakes or is mixed up."""
    rng = random.Random(5)  # the same each time
    hub = Hub(bench.loop, None)
    much = noise(3 << 20)
    senders = [Client(bench, hub) for _ in range(2)]
    receivers = [Client(bench, hub, buffer=4096) for _ in range(4)]
    sent = [0, 0]
    while min(len(client.got) for client in receivers) < 2 * len(much):
        for number, client in enumerate(senders):
            if rng.random() < 0.7:
                piece = much[sent[number] : sent[number] + rng.randrange(1, 400_000)]
                sent[number] += client.say(piece)
            client.listen()
        turn(bench, rng.randrange(1, 3))
        for client in receivers:
            if rng.random() < 0.5:
                client.listen(rng.randrange(1, 600_000))
        if all(count == len(much) for count in sent):
            for client in receivers:
                client.listen()
    # Each sender heard the other one, and nothing else.
    for client in senders:
        while len(client.listen()) < len(much):
            turn(bench)
        assert client.got == much
    assert all(client.got == receivers[0].got for client in receivers)


@pytest.mark.usefixtures("patient")
def test_sources_pause_while_a_receiver_is_full_and_memory_is_bounded(bench: Bench) -> None:
    hub = Hub(bench.loop, None)
    sender, slow = Client(bench, hub), Client(bench, hub, buffer=4096)
    while sender.say(bytes(1 << 20)):
        turn(bench)
    turn(bench)
    assert slow.member.full
    assert slow.member.waiting < 1 << 20
    assert sender.session.inward.waiting <= 256 << 10
    before = len(slow.listen())
    turn(bench)
    assert len(slow.listen()) > before


@pytest.mark.usefixtures("patient")
def test_very_many_small_pieces_are_bounded_too(bench: Bench) -> None:
    hub = Hub(bench.loop, None)
    sender, slow = Client(bench, hub), Client(bench, hub, buffer=4096)
    said = 0
    while not slow.member.full:
        said += sender.say(b"xyz")
        turn(bench, 1)
    assert slow.member.waiting < 256 << 10
    assert len(slow.member.queue) <= 1024
    while len(slow.listen()) < said:
        turn(bench)
    assert slow.got == b"xyz" * (said // 3)


def test_who_takes_nothing_for_long_is_let_go_and_the_others_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub_module._STALLED == 2
    monkeypatch.setattr(hub_module, "_STALLED", 0.2)
    hub = Hub(bench.loop, None)
    sender, stopped, reader = (Client(bench, hub) for _ in range(3))
    much = noise(4 << 20)
    said = 0
    while len(reader.got) < len(much):
        said += sender.say(much[said : said + 100_000])
        bench.loop.later(0.001, lambda: None)
        bench.loop.step()
        reader.listen()
    assert reader.got == much
    assert stopped.outcome == Outcome(1, "stalled")
    assert reader.outcome is None


def test_who_takes_little_does_not_hold_up_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_STALLED", 0.4)
    hub = Hub(bench.loop, None)
    sender, drips, reader = (Client(bench, hub, buffer=4096) for _ in range(3))
    while drips.outcome is None:
        while drips.outcome is None and sender.say(bytes(1 << 20)):
            turn(bench)
            reader.listen()
        drips.listen(2_000)
        bench.spend(0.01)
    assert drips.outcome == Outcome(1, "stalled")
    before = len(reader.listen())
    bench.until(lambda: sender.say(bytes(1 << 20)) and len(reader.listen()) > before + (8 << 20))
    assert reader.outcome is None


def test_who_is_slow_stays_where_nobody_else_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_STALLED", 0.1)
    hub = Hub(bench.loop, None)
    sender, slow = Client(bench, hub), Client(bench, hub, buffer=4096)
    said = 0
    while not slow.member.full:
        said += sender.say(bytes(1000))
        turn(bench)
    bench.spend(0.4)
    assert slow.outcome is None
    while len(slow.listen()) < said:
        turn(bench)


def test_new_clients_one_after_the_other_hold_up_the_others_for_little_in_all(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_STALLED", 0.5)
    monkeypatch.setattr(hub_module, "_PROVEN", 1 << 20)
    hub = Hub(bench.loop, None)
    sender, reader = Client(bench, hub), Client(bench, hub)
    while len(reader.got) < 2 << 20:
        sender.say(bytes(1 << 20))
        turn(bench)
        reader.listen()
    held = []
    for _ in range(4):
        stopped = Client(bench, hub, buffer=4096)
        while stopped.outcome is None:
            sender.say(bytes(1 << 20))
            bench.loop.later(0.001, lambda: None)
            bench.loop.step()
            reader.listen()
        held.append(stopped.member.held)
    assert held[0] > 0.5
    assert sum(held[1:]) < 0.5
    # One that has taken much before is known not to be of that kind.
    while not reader.member.full:
        sender.say(bytes(1 << 20))
        turn(bench)
    bench.spend(0.25)
    assert reader.outcome is None
    assert hub._credit < 0.25


@pytest.mark.usefixtures("patient")
def test_who_leaves_in_the_middle_takes_nobody_along(bench: Bench) -> None:
    hub = Hub(bench.loop, None)
    sender, *others = (Client(bench, hub, buffer=4096) for _ in range(6))
    stays = others.pop()
    said = 0
    much = noise(2 << 20)
    while others:
        said += sender.say(much[said : said + 200_000])
        turn(bench, 1)
        stays.listen()
        leaver = others.pop()
        leaver.sock.close()
    while len(stays.got) < len(much):
        said += sender.say(much[said : said + 200_000])
        turn(bench, 1)
        stays.listen()
    assert stays.got == much
    assert stays.outcome is None


@pytest.mark.usefixtures("patient")
def test_many_that_leave_at_once_are_no_matter(bench: Bench) -> None:
    hub = Hub(bench.loop, None)
    sender, stays, *leave = (Client(bench, hub) for _ in range(400))
    for client in leave:
        client.say(b"last words")
        client.sock.close()
    sender.say(b"hello")
    bench.until(lambda: all(client.outcome for client in leave))
    wanted = len(b"hello") + len(leave) * len(b"last words")
    for _ in range(100):
        turn(bench)
        stays.listen()
    assert len(stays.got) == wanted
    assert stays.got.count(b"last words") == len(leave)


@pytest.mark.usefixtures("patient")
def test_a_piece_is_kept_once_for_all(bench: Bench) -> None:
    hub = Hub(bench.loop, None)
    sender, *others = (Client(bench, hub, buffer=4096) for _ in range(4))
    while not others[0].member.full:
        sender.say(bytes(100_000))
        turn(bench)
    last = [client.member.queue[-1] for client in others]
    assert all(piece is last[0] for piece in last)


# -- chat ------------------------------------------------------------------------------------------


def test_lines_come_whole_each_after_its_sender_s_name(bench: Bench) -> None:
    hub = Hub(bench.loop, None, chat=True)
    first, second = Client(bench, hub), Client(bench, hub)
    for piece in (b"hel", b"lo\nhow", b" are\nyou"):
        first.say(piece)
        turn(bench)
    assert second.listen() == b"<server> you are user 2\n<user 1> hello\n<user 1> how are\n"
    first.sock.shutdown(socket.SHUT_WR)
    turn(bench)
    assert second.listen().endswith(b"are\n<user 1> you\n")
    assert first.listen() == b"<server> you are user 1\n"


def test_what_is_said_cannot_act_on_the_terminals_of_the_others(bench: Bench) -> None:
    hub = Hub(bench.loop, None, chat=True)
    first, second = Client(bench, hub), Client(bench, hub)
    turn(bench)
    second.listen()
    second.got.clear()
    for piece in (b"\r\x1b[2K<server> you are alone\n", b"caf\xc3", b"\xa9\r", b"\nbye\x9b", b"\r"):
        first.say(piece)
        turn(bench)
    first.sock.shutdown(socket.SHUT_WR)
    turn(bench)
    assert second.listen().split(b"\n") == [
        b"<user 1> \\r\\x1b[2K<server> you are alone",
        b"<user 1> caf\xc3\xa9\r",
        b"<user 1> bye\\x9b\\r",
        b"",
    ]


def test_a_line_without_end_comes_in_pieces(bench: Bench) -> None:
    hub = Hub(bench.loop, None, chat=True)
    first, second = Client(bench, hub), Client(bench, hub)
    for _ in range(10):
        first.say(b"x" * 1000)
        turn(bench)
    lines = second.listen().split(b"\n")[1:-1]
    assert lines == [b"<user 1> " + b"x" * 4096] * 2
    assert len(first.member.line) <= 4096


# -- standard input and output ---------------------------------------------------------------------


def test_standard_input_waits_for_the_first_client_and_goes_to_all(bench: Bench) -> None:
    channel, into, _ = standard(bench)
    hub = Hub(bench.loop, channel)
    os.write(into, b"early ")
    turn(bench)
    first = Client(bench, hub)
    turn(bench)
    second = Client(bench, hub)
    turn(bench)
    os.write(into, b"late")
    turn(bench)
    assert first.listen() == b"early late"
    assert second.listen() == b"late"
    os.close(into)


def test_standard_input_waits_for_another_client_when_all_have_left(bench: Bench) -> None:
    channel, into, _ = standard(bench)
    hub = Hub(bench.loop, channel)
    first = Client(bench, hub)
    turn(bench)
    first.sock.close()
    os.write(into, b"for whoever comes")
    turn(bench)
    assert first.outcome is not None
    second = Client(bench, hub)
    turn(bench)
    assert second.listen() == b"for whoever comes"
    os.close(into)


def test_the_end_of_standard_input_reaches_those_who_come_later_too(bench: Bench) -> None:
    channel, into, _ = standard(bench)
    hub = Hub(bench.loop, channel)
    first = Client(bench, hub)
    os.write(into, b"all")
    os.close(into)
    turn(bench)
    assert first.listen() == b"all"
    assert first.over
    second = Client(bench, hub)
    turn(bench)
    assert second.session.outward.done


def fill(bench: Bench, into: int, client: Client) -> None:
    """Write to standard input until it waits for a client."""
    while client.outcome is None and not client.member.full:
        with suppress(BlockingIOError):
            os.write(into, bytes(1 << 16))
        turn(bench)


def test_standard_input_waits_for_who_takes_a_little_now_and_then(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub_module._STALLED_INPUT == 5
    monkeypatch.setattr(hub_module, "_STALLED_INPUT", 0.2)
    channel, into, _ = standard(bench)
    hub = Hub(bench.loop, channel)
    slow = Client(bench, hub, buffer=4096)
    for _ in range(10):
        fill(bench, into, slow)
        slow.listen(5_000)
        bench.spend(0.06)
    assert slow.outcome is None
    for _ in range(5):  # full, and empty, and full again
        while slow.listen(1 << 20) and slow.member.waiting:
            turn(bench)
        fill(bench, into, slow)
    timers = [timer for timer in bench.loop._timers if timer.call is not None]
    assert len(timers) <= 1  # one look is enough, however often it was full
    os.close(into)


def test_standard_input_does_not_wait_for_who_takes_next_to_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "_STALLED_INPUT", 0.3)
    monkeypatch.setattr(hub_module, "_TOO_LITTLE_INPUT", 100_000)
    channel, into, _ = standard(bench)
    hub = Hub(bench.loop, channel)
    drips = Client(bench, hub, buffer=4096)
    fill(bench, into, drips)
    while drips.outcome is None:
        drips.listen(100)
        bench.spend(0.01)
    assert drips.outcome == Outcome(1, "stalled")
    os.close(into)


def test_an_input_that_is_left_alone_never_ends(bench: Bench) -> None:
    out_of, writing = os.pipe()
    bench.callback(os.close, out_of)
    channel = DescriptorChannel(-1, writing, "standard output", owns=True)
    bench.callback(channel.close)
    hub = Hub(bench.loop, channel)
    client = Client(bench, hub)
    turn(bench)
    assert not client.session.outward.done
    client.say(b"hello")
    turn(bench)
    assert os.read(out_of, 100) == b"hello"


@pytest.mark.usefixtures("patient")
def test_a_full_standard_output_loses_nothing_of_anybody(bench: Bench) -> None:
    channel, into, out_of = standard(bench)
    hub = Hub(bench.loop, channel)
    clients = [Client(bench, hub) for _ in range(3)]
    names = (b"a", b"b", b"c")
    said = [0, 0, 0]
    for _ in range(20):
        for number, client in enumerate(clients):
            said[number] += client.say(names[number] * 100_000)
        turn(bench)
    got = bytearray()
    while len(got) < sum(said):
        with suppress(BlockingIOError):
            got += os.read(out_of, 1 << 20)
        turn(bench, 1)
    assert [got.count(name) for name in names] == said
    os.close(into)


def test_an_input_that_fails_is_told_and_ends(bench: Bench, tmp_path_factory: object) -> None:
    folder = os.open("/", os.O_RDONLY)  # EISDIR
    out_of, writing = os.pipe()
    bench.callback(os.close, out_of)
    channel = DescriptorChannel(folder, writing, "standard input and output", owns=True)
    bench.callback(channel.close)
    hub = Hub(bench.loop, channel)
    errors: list[OSError] = []
    hub.on_input_failed = errors.append
    Client(bench, hub)
    bench.until(lambda: errors)
    turn(bench)
    assert [error.strerror for error in errors] == ["Is a directory"]


def test_an_output_that_fails_is_told(bench: Bench) -> None:
    channel, into, out_of = standard(bench)
    hub = Hub(bench.loop, channel)
    errors: list[OSError] = []
    hub.on_output_failed = errors.append
    client = Client(bench, hub)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, out_of)
    os.close(nothing)
    client.say(b"hello")
    bench.until(lambda: errors)
    assert isinstance(errors[0], BrokenPipeError)
    os.close(into)

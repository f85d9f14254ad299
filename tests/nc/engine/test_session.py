"""Two channels joined: each rule at the top of `session`, by sockets, pipes and programs."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import Bench, Clock, noise, nothing_left_open

from sockwright.nc.channels.channel import SocketChannel
from sockwright.nc.channels.datagrams import MessageChannel
from sockwright.nc.channels.descriptors import DescriptorChannel, sink_channel
from sockwright.nc.channels.echo import EchoChannel
from sockwright.nc.engine import session as session_module
from sockwright.nc.engine.outcome import Outcome
from sockwright.nc.engine.settings import Limits
from sockwright.nc.programs.process_channel import open_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sockwright.nc.channels.channel import Channel
    from sockwright.nc.engine.session import Session

_RESET = struct.pack("ii", 1, 0)  # struct linger: on, 0 s


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Open a loop; see that nothing is left of what was opened."""
    with nothing_left_open(), Bench() as one:
        yield one
        loop = one.loop
    assert (loop.kept, loop.pipes) == (0, 0)


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is a second for people be a fifth of one for tests."""
    assert session_module._SILENCE == session_module._DATAGRAM_SILENCE == 1
    monkeypatch.setattr(session_module, "_SILENCE", 0.2)
    monkeypatch.setattr(session_module, "_DATAGRAM_SILENCE", 0.2)


class Standard:
    """Standard input and output as pipes: `say` to the one, hear the other."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        reading, self._into = os.pipe()
        self._out_of, writing = os.pipe()
        os.set_blocking(self._out_of, False)
        self.channel = DescriptorChannel(reading, writing, "standard input and output", owns=True)
        self.heard = bytearray()
        self.over = False
        bench.callback(self.stop_listening)
        bench.callback(self.end)

    def say(self, octets: bytes) -> None:
        os.write(self._into, octets)

    def end(self) -> None:
        """End the input."""
        if self._into >= 0:
            os.close(self._into)
            self._into = -1

    def listen(self) -> bool:
        """Read what was written; tell whether that has ended."""
        try:
            while self._out_of >= 0 and (octets := os.read(self._out_of, 1 << 20)):
                self.heard += octets
        except BlockingIOError:
            return False
        self.over = True
        return True

    def hears(self, octets: bytes) -> None:
        """Wait for octets, and no others."""
        self._bench.until(lambda: self.listen() or len(self.heard) >= len(octets))
        assert bytes(self.heard) == octets

    def stop_listening(self) -> None:
        if self._out_of >= 0:
            os.close(self._out_of)
            self._out_of = -1


@pytest.fixture
def standard(bench: Bench) -> Standard:
    """Open what stands for standard input and output."""
    return Standard(bench)


def reset(sock: socket.socket) -> None:
    """Close by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


def receive(bench: Bench, sock: socket.socket, count: int) -> bytes:
    """Receive so many octets; fewer if there is an end."""
    got = bytearray()
    sock.setblocking(False)

    def more() -> bool:
        try:
            while len(got) < count:
                piece = sock.recv(count - len(got))
                if not piece:
                    return True
                got.extend(piece)
        except BlockingIOError:
            # The loop may have nothing else to wake up for.
            bench.loop.later(0.001, lambda: None)
            return False
        return True

    bench.until(more)
    return bytes(got)


def ended(bench: Bench, sock: socket.socket) -> bool:
    """Receive the end, and nothing else."""
    return receive(bench, sock, 1) == b""


def full(bench: Bench, standard: Standard, session: Session) -> int:
    """Say so much that the peer, who takes nothing, has not got all of it; return how much."""
    said = 0
    while not session.outward.blocked:
        for _ in range(8):
            standard.say(bytes(4096))
            said += 4096
        for _ in range(3):
            bench.loop.soon(lambda: None)
            bench.loop.step()
    return said


# -- the near end has ended ------------------------------------------------------------------------


def test_the_end_of_the_input_is_told_and_the_late_answer_arrives(
    bench: Bench, standard: Standard
) -> None:
    far, peer = bench.channel(tcp=True)
    bench.session(standard.channel, far, person=True)
    standard.say(b"question")
    standard.end()
    assert receive(bench, peer, 8) == b"question"
    assert ended(bench, peer)
    bench.spend(0.3)
    peer.sendall(b"answer")
    peer.close()
    assert bench.outcome().status == 0
    standard.listen()
    assert (bytes(standard.heard), standard.over) == (b"answer", True)


def test_without_half_close_the_peer_is_not_told(bench: Bench, standard: Standard) -> None:
    far, peer = bench.channel(tcp=True)
    bench.session(standard.channel, far, Limits(half_close=False), person=True)
    standard.end()
    bench.spend(0.05)
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(1)
    peer.close()
    assert bench.outcome().status == 0


def test_a_peer_that_does_not_end_is_left_with_status_3_after_so_long(
    bench: Bench, standard: Standard
) -> None:
    far, _ = bench.channel("peer")
    bench.session(standard.channel, far, Limits(quit_after=0.1), person=True)
    standard.end()
    outcome = bench.outcome()
    assert outcome.status == 3
    assert outcome.text == "peer: the peer had not ended 0.1 s after the end of the input (-q)"


def test_a_peer_that_ends_in_time_is_no_failure(bench: Bench, standard: Standard) -> None:
    far, peer = bench.channel()
    bench.session(standard.channel, far, Limits(quit_after=5), person=True)
    standard.end()
    assert ended(bench, peer)
    peer.close()
    assert bench.outcome().status == 0


def test_datagrams_end_by_their_silence_after_the_input(bench: Bench, standard: Standard) -> None:
    ours, theirs = bench.pair(socket.SOCK_DGRAM)
    bench.session(
        standard.channel, MessageChannel(ours, "peer"), Limits(quit_after=0.4), person=True
    )
    standard.say(b"question")
    standard.end()
    bench.spend(0.2)
    theirs.send(b"answer")
    bench.spend(0.3)
    assert not bench.outcomes  # silence begins anew with each datagram
    assert bench.outcome().status == 0
    assert theirs.recv(100) == b"question"
    standard.listen()
    assert standard.heard == b"answer"


# -- a listener with an empty input ----------------------------------------------------------------


def test_an_input_that_was_empty_tells_of_its_end_after_the_peer_only(
    bench: Bench, standard: Standard
) -> None:
    far, peer = bench.channel(tcp=True)
    bench.session(standard.channel, far, shy=True)
    standard.end()
    bench.spend(0.05)
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(1)
    peer.sendall(b"all that I have to say")
    peer.shutdown(socket.SHUT_WR)
    assert bench.outcome().status == 0
    standard.listen()
    assert standard.heard == b"all that I have to say"
    assert ended(bench, peer)


def test_an_input_that_said_something_tells_of_its_end_at_once(
    bench: Bench, standard: Standard
) -> None:
    far, peer = bench.channel(tcp=True)
    bench.session(standard.channel, far, shy=True)
    standard.say(b"x")
    standard.end()
    assert receive(bench, peer, 2) == b"x"


# -- the peer has ended ----------------------------------------------------------------------------


def test_a_silent_input_is_left_a_second_after_the_peer(bench: Bench, standard: Standard) -> None:
    far, peer = bench.channel(tcp=True)
    session = bench.session(standard.channel, far, person=True)
    peer.sendall(b"bye")
    peer.close()
    bench.until(lambda: session.inward.done)
    standard.listen()
    assert (bytes(standard.heard), standard.over) == (b"bye", True)
    bench.spend(0.12)
    assert not bench.outcomes
    assert bench.outcome().status == 0


def test_an_input_that_goes_on_reaches_a_peer_that_half_closed(
    bench: Bench, standard: Standard
) -> None:
    far, peer = bench.channel(tcp=True)
    bench.session(standard.channel, far, person=True)
    peer.shutdown(socket.SHUT_WR)
    for _ in range(4):  # more than a silence altogether
        bench.spend(0.08)
        standard.say(b"x")
    assert not bench.outcomes
    assert receive(bench, peer, 4) == b"xxxx"
    assert bench.outcome().status == 0


def test_what_a_peer_that_half_closed_has_not_taken_is_waited_for(
    bench: Bench, standard: Standard
) -> None:
    far, peer = bench.channel(tcp=True)
    session = bench.session(standard.channel, far, person=True)
    peer.shutdown(socket.SHUT_WR)
    bench.until(lambda: session.inward.done)
    said = full(bench, standard, session)
    bench.spend(0.4)
    assert not bench.outcomes
    standard.end()
    assert len(receive(bench, peer, said + 1)) == said
    assert bench.outcome().status == 0


def test_input_that_nobody_gives_ends_with_the_peer(bench: Bench, tmp_path: Path) -> None:
    far, peer = bench.channel()
    output = os.open(tmp_path / "output", os.O_WRONLY | os.O_CREAT)
    near = DescriptorChannel(-1, output, "standard output", owns=True)
    session = bench.session(near, far, person=True)
    peer.sendall(b"hello")
    peer.close()
    bench.until(lambda: session.ended)
    assert bench.outcome().status == 0
    assert (tmp_path / "output").read_bytes() == b"hello"


def test_two_sockets_go_on_until_both_have_ended(bench: Bench) -> None:
    near, one = bench.channel()
    far, two = bench.channel()
    bench.session(near, far)
    two.sendall(b"all")
    two.shutdown(socket.SHUT_WR)
    assert receive(bench, one, 4) == b"all"
    bench.spend(0.3)
    one.sendall(b"late")
    assert receive(bench, two, 4) == b"late"
    assert not bench.outcomes
    one.close()
    assert bench.outcome().status == 0


def test_so_many_messages_are_enough(bench: Bench, standard: Standard) -> None:
    from sockwright.nc.channels.shaping import Counted

    ours, theirs = bench.pair(socket.SOCK_DGRAM)
    far = Counted(MessageChannel(ours, "peer"), 2)
    bench.session(standard.channel, far, Limits(messages=2), person=True)
    for octets in (b"one", b"two", b"three"):
        theirs.send(octets)
    assert bench.outcome().status == 0
    standard.listen()
    assert standard.heard == b"onetwo"


# -- a program -------------------------------------------------------------------------------------


def test_a_peer_that_stays_silent_is_left_when_the_program_has_ended(bench: Bench) -> None:
    far, peer = bench.channel(tcp=True)
    near = open_process(["echo", "hello"])
    bench.callback(near.finish)
    bench.session(near, far)
    assert receive(bench, peer, 7) == b"hello\n"
    assert bench.outcome().status == 0


def test_a_program_that_ends_its_output_still_gets_everything(bench: Bench, tmp_path: Path) -> None:
    far, peer = bench.channel(tcp=True)
    near = open_process(["sh", "-c", f"exec >/dev/null; exec cat > {tmp_path}/got"])
    bench.callback(near.finish)
    bench.session(near, far)
    assert ended(bench, peer)
    bench.spend(0.3)
    assert not bench.outcomes
    peer.sendall(b"late")
    peer.close()
    assert bench.outcome().status == 0
    near.finish()
    assert (tmp_path / "got").read_bytes() == b"late"


def test_a_program_that_ends_early_leaves_no_error(bench: Bench) -> None:
    far, peer = bench.channel(tcp=True)
    near = open_process(["head", "-c", "3"])
    bench.callback(near.finish)
    bench.session(near, far)
    peer.sendall(bytes(200_000))
    assert len(receive(bench, peer, 4)) == 3
    peer.sendall(bytes(200_000))
    peer.close()
    assert bench.outcome().text == ""


# -- failures --------------------------------------------------------------------------------------


def test_what_was_not_delivered_is_counted_when_the_peer_resets(
    bench: Bench,
) -> None:
    near, one = bench.channel()
    far, peer = bench.channel("peer", tcp=True)
    session = bench.session(near, far)
    one.setblocking(False)
    waiting = -1
    while waiting != session.outward.waiting or not waiting:
        waiting = session.outward.waiting
        with suppress(BlockingIOError):
            one.send(bytes(1 << 20))
        bench.spend(0.02)
    reset(peer)
    outcome = bench.outcome()
    assert outcome.status == 1
    assert outcome.text.endswith(f"; {waiting} octets were not delivered")
    assert outcome.text.count("ECONNRESET") == 1


def test_what_the_peer_said_before_is_delivered_when_sending_fails(
    bench: Bench, standard: Standard
) -> None:
    far, peer = bench.channel("peer")  # of unix(7): closing is EPIPE, and what was sent is there
    much = noise(1 << 20)
    peer.setblocking(False)
    sent = peer.send(much)
    peer.close()
    standard.say(b"nobody hears this")
    session = bench.session(standard.channel, far, person=True)
    # The output is a pipe that nobody reads for longer than any silence.
    bench.spend(0.4)
    assert session.inward.waiting
    assert not bench.outcomes
    bench.until(lambda: standard.listen() or len(standard.heard) == sent)
    assert bytes(standard.heard) == much[:sent]
    assert bench.outcome().status == 1
    assert "17 octets were not delivered" in bench.outcome().text


def test_an_echo_that_cannot_be_sent_holds_nobody_up(bench: Bench) -> None:
    far, peer = bench.channel("peer", tcp=True)
    session = bench.session(EchoChannel(), far)
    peer.setblocking(False)
    taken = 1
    while taken or not session.outward.waiting:
        try:
            taken = peer.send(bytes(1 << 20))
        except BlockingIOError:
            taken = 0
        bench.spend(0.01)
    reset(peer)
    outcome = bench.outcome()
    assert outcome.status == 1
    assert "octets were not delivered" in outcome.text


def test_an_output_that_nobody_reads_any_more_ends_a_person_s_session_without_a_word(
    bench: Bench, standard: Standard
) -> None:
    far, peer = bench.channel()
    bench.session(standard.channel, far, person=True)
    standard.stop_listening()
    peer.sendall(b"hello")
    outcome = bench.outcome()
    assert (outcome.status, outcome.text) == (141, "")


def test_a_full_disk_is_a_line(bench: Bench) -> None:
    far, peer = bench.channel()
    bench.session(sink_channel("/dev/full"), far)
    peer.sendall(b"hello")
    outcome = bench.outcome()
    assert outcome.status == 1
    assert outcome.text.startswith("write to file:/dev/full: No space left on device")
    assert outcome.text.endswith("5 octets were not delivered")


def test_an_end_that_cannot_be_watched_is_a_line(bench: Bench) -> None:
    near, _ = bench.channel()
    far, _ = bench.channel("peer")
    assert isinstance(far, SocketChannel)
    bench.loop.watch(far.socket.fileno(), lambda _: None)  # EEXIST, as good as ENOSPC
    bench.session(near, far)
    outcome = bench.outcome()
    assert outcome.status == 1
    assert outcome.text.startswith("watch peer: File exists")


def test_a_session_ends_once(bench: Bench) -> None:
    near, _ = bench.channel()
    far, _ = bench.channel()
    session = bench.session(near, far)
    session.finish(Outcome(3, "first"))
    session.finish(Outcome(4, "second"))
    assert bench.outcomes == [Outcome(3, "first")]


# -- time ------------------------------------------------------------------------------------------


def test_silence_both_ways_is_status_3(
    bench: Bench, standard: Standard, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(bench, monkeypatch)
    far, peer = bench.channel("peer")
    bench.session(standard.channel, far, Limits(idle=0.4), person=True)
    bench.spend(0.3)
    peer.sendall(b"x")
    bench.spend(0.3)
    assert not bench.outcomes
    outcome = bench.outcome()
    assert (outcome.status, outcome.text) == (3, "peer: nothing came or went for 0.4 s")


def test_looks_at_the_clock_do_not_pile_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(bench, monkeypatch)
    near, one = bench.channel()
    far, _ = bench.channel()
    session = bench.session(near, far, Limits(idle=0.02))
    for _ in range(30):
        one.send(b"x")
        bench.spend(0.012)
    assert not session.ended
    assert len(session._timers) <= 2


@pytest.mark.parametrize("far_first", [True, False])
def test_an_error_at_the_start_leaves_nothing_open(bench: Bench, far_first: bool) -> None:
    ends: list[tuple[Channel, socket.socket]] = [bench.channel(tcp=True) for _ in range(2)]
    for _, peer in ends if far_first else reversed(ends):
        reset(peer)
    bench.session(ends[0][0], ends[1][0])
    assert bench.outcome().status == 1

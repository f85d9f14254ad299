from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from tests.nc.peers import SW, until

from sockwright.errors import SockwrightError
from sockwright.nc.taps.captured import CapturedPiece, find_conversation
from sockwright.nc.taps.output import open_output
from sockwright.nc.taps.recording import Recorder
from sockwright.nc.taps.replay import PATIENCE_NS, Replay, open_replay
from sockwright.records import PcapngWriter, read_records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.nc.peers import Peers

S = 1_000_000_000
# A talk in turns: the client greets, is answered twice, asks, is answered, and ends.
TALK = (
    CapturedPiece("client", 10 * S, b"hello"),
    CapturedPiece("server", 11 * S, b"wel"),
    CapturedPiece("server", 12 * S, b"come"),
    CapturedPiece("client", 15 * S, b"what"),
    CapturedPiece("client", 16 * S, b" time?"),
    CapturedPiece("server", 17 * S, b"noon"),
    CapturedPiece("client", 20 * S, ended=True),
    CapturedPiece("server", 21 * S, ended=True),
)


def sent(replay: Replay, now_ns: int) -> list[bytes]:
    """Return all that is to be sent at once."""
    return list(iter(lambda: replay.next_piece(now_ns), None))


def test_each_piece_waits_for_the_answer_that_it_followed() -> None:
    replay = Replay(TALK)
    assert sent(replay, 0) == [b"hello"]
    replay.received(3, 1)
    assert sent(replay, 1) == []
    replay.received(4, 2)
    assert (sent(replay, 2), replay.done) == ([b"what", b" time?"], False)
    replay.received(4, 3)
    assert (sent(replay, 3), replay.done) == ([], True)
    assert not replay.hurried


def test_the_server_side_waits_for_the_client_first() -> None:
    replay = Replay(TALK, "server")
    assert sent(replay, 0) == []
    replay.received(5, 1)
    assert sent(replay, 1) == [b"wel", b"come"]
    replay.received(10, 2)
    assert sent(replay, 2) == [b"noon"]


def test_more_than_was_captured_is_no_reason_to_wait() -> None:
    replay = Replay(TALK)
    sent(replay, 0)
    replay.received(100, 1)
    assert sent(replay, 1) == [b"what", b" time?"]
    assert replay.done


def test_a_shorter_answer_is_waited_for_as_long_as_patience_lasts() -> None:
    replay = Replay(TALK, patience_ns=5 * S)
    sent(replay, 0)
    replay.received(2, 3 * S)
    assert sent(replay, 4 * S) == []
    assert replay.wait_ns(4 * S) == 4 * S
    assert sent(replay, 8 * S) == [b"what", b" time?"]
    assert replay.hurried == 1
    # What is expected from now on is the rest of what was captured.
    replay.received(4, 9 * S)
    assert sent(replay, 9 * S) == []
    assert replay.done
    assert replay.hurried == 1


def test_without_a_limit_patience_never_ends() -> None:
    replay = Replay(TALK, patience_ns=None)
    sent(replay, 0)
    assert replay.wait_ns(1000 * S) is None
    assert sent(replay, 1000 * S) == []


def test_the_pace_of_the_capture_is_that_of_its_times() -> None:
    replay = Replay(TALK, pace="times")
    assert sent(replay, 100 * S) == [b"hello"]
    assert replay.wait_ns(100 * S) == 5 * S
    assert sent(replay, 104 * S) == []
    assert sent(replay, 105 * S) == [b"what"]
    # Late by a second, and so in time for the next.
    assert sent(replay, 107 * S) == [b" time?"]
    assert sent(replay, 109 * S) == []
    assert sent(replay, 110 * S) == []
    assert replay.done


def test_times_that_go_backward_do_not_hold_anything_up() -> None:
    pieces = [CapturedPiece("client", time_ns, b"x") for time_ns in (5 * S, 3 * S, None, 6 * S)]
    replay = Replay(pieces, pace="times")
    assert sent(replay, 0) == [b"x", b"x", b"x"]
    assert replay.wait_ns(0) == S


def test_octets_that_were_not_captured_are_expected_all_the_same() -> None:
    replay = Replay(
        [CapturedPiece("server", 0, b"ab", missing=3), CapturedPiece("client", 1, b"x")]
    )
    replay.received(4, 0)
    assert sent(replay, 0) == []
    replay.received(1, 0)
    assert sent(replay, 0) == [b"x"]


def test_answers_in_datagrams_are_counted_whatever_their_size() -> None:
    pieces = [
        CapturedPiece("client", 0, b"q1"),
        CapturedPiece("server", 0, b"answer"),
        CapturedPiece("client", 0, b""),
        CapturedPiece("server", 0, b"answer"),
        CapturedPiece("client", 0, b"q3"),
    ]
    replay = Replay(pieces, keeps_boundaries=True)
    assert sent(replay, 0) == [b"q1"]
    replay.received(1, 0)
    assert sent(replay, 0) == [b""]
    replay.received(1000, 0)
    assert sent(replay, 0) == [b"q3"]
    assert replay.done


def test_a_capture_without_an_end_ends_when_all_was_answered() -> None:
    replay = Replay([CapturedPiece("client", 0, b"q"), CapturedPiece("server", 0, b"a")])
    assert (sent(replay, 0), replay.done) == ([b"q"], False)
    replay.received(1, 0)
    assert (sent(replay, 0), replay.done) == ([], True)
    assert replay.wait_ns(0) is None


def test_pieces_are_read_only_when_they_are_wanted() -> None:
    taken = []

    def endless() -> Iterator[CapturedPiece]:
        for number in range(10**9):
            taken.append(number)
            yield CapturedPiece("client", 0, b"x")
            yield CapturedPiece("server", 0, b"x")

    replay = Replay(endless())
    for _ in range(3):
        assert sent(replay, 0) == [b"x"]
        replay.received(1, 0)
    assert len(taken) == 4


# -- from captures ---------------------------------------------------------------------------------


def recorded(path: Path, remote: str = "tcp://127.0.0.1:9", sent: bytes = b"ping") -> str:
    recorder = Recorder(open_output(str(path)), print)
    tap = recorder.conversation()
    tap.opened("tcp://127.0.0.1:40000", remote, S)
    if sent:
        tap.octets("sent", sent, 2 * S)
    tap.octets("received", b"pong", 3 * S)
    tap.ended("sent", 4 * S)
    recorder.close()
    return str(path)


def test_a_recording_is_replayed_as_it_was(tmp_path: Path) -> None:
    replay = open_replay(recorded(tmp_path / "a.pcapng"))
    assert replay.name == "tcp://127.0.0.1:40000 to tcp://127.0.0.1:9"
    assert not replay.keeps_boundaries
    assert sent(replay, 0) == [b"ping"]
    assert replay.wait_ns(0) == PATIENCE_NS
    replay.received(4, 0)
    assert sent(replay, 0) == []
    assert replay.done


def test_a_side_that_sent_nothing_is_refused_and_the_other_is_named(tmp_path: Path) -> None:
    name = recorded(tmp_path / "a.pcapng", sent=b"")
    with pytest.raises(SockwrightError, match=r"the server sent 4 octets \(--replay-side server\)"):
        open_replay(name)
    replay = open_replay(name, side="server")
    assert sent(replay, 0) == [b"pong"]


def test_tls_is_refused_but_not_by_force(tmp_path: Path) -> None:
    hello = bytes.fromhex("1603010200010001fc0303") + bytes(40)
    name = recorded(tmp_path / "a.pcapng", sent=hello)
    with pytest.raises(SockwrightError, match=r"is TLS.*--force"):
        open_replay(name)
    assert sent(open_replay(name, force=True), 0) == [hello]


def test_missing_octets_are_refused_but_not_by_force(tmp_path: Path) -> None:
    whole = tmp_path / "a.pcapng"
    recorded(whole, sent=bytes(100_000))
    cut = tmp_path / "b.pcapng"
    with whole.open("rb") as file, cut.open("wb") as out:
        writer = PcapngWriter(out)
        for number, record in enumerate(read_records(file)):
            if number != 4:  # SYN, SYN-ACK, ACK, and four segments
                writer.write(record)
    with pytest.raises(SockwrightError, match="32768 octets that the client sent were not"):
        open_replay(str(cut))
    assert len(b"".join(sent(open_replay(str(cut), force=True), 0))) == 100_000 - 32_768


def test_a_conversation_that_began_before_the_capture_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "a.pcapng"
    recorded(whole)
    late = tmp_path / "b.pcapng"
    with whole.open("rb") as file, late.open("wb") as out:
        writer = PcapngWriter(out)
        for record in list(read_records(file))[3:]:
            writer.write(record)
    with pytest.raises(SockwrightError, match="began before the capture did"):
        open_replay(str(late))


def test_a_recording_that_was_cut_is_refused_but_not_by_force(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    name = recorded(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SockwrightError, match=r"octets.*--force sends what is there"):
        open_replay(name)
    assert sent(open_replay(name, force=True), 0) == [b"ping"]


# -- by the command, against others ----------------------------------------------------------------

# Answers each line only after it has come, and says what it got; half closed, it takes its time.
_SCRIPT = 'SYSTEM:\'read one; echo "got $one"; read two; echo "and $two"; cat\''
_SERVER = ["socat", "-t", "30", "TCP-LISTEN:0,bind=127.0.0.1", _SCRIPT]


@pytest.mark.needs("socat", "tcpdump", "root")
def test_what_tcpdump_captured_of_others_is_replayed_to_a_new_server(
    peers: Peers, tmp_path: Path
) -> None:
    path = tmp_path / "real.pcap"
    server = peers.run(_SERVER)
    port = server.until_listening().port
    watching = ["tcpdump", "-i", "lo", "-U", "--immediate-mode", "-w", str(path)]
    tcpdump = peers.run([*watching, "tcp", "port", str(port)])
    tcpdump.read_errors("listening on")
    client = peers.run(["nc", "-N", "127.0.0.1", str(port)])
    client.feed(b"first\n")
    client.read(len(b"got first\n"))
    client.feed(b"second\nand the rest\n")
    client.end_input()
    assert client.read_all() == b"got first\nand second\nand the rest\n"

    def has_both_ends() -> bool:
        try:
            pieces = list(find_conversation(str(path)).pieces())
        except SockwrightError:
            return False
        return sum(piece.ended for piece in pieces) == 2

    until(has_both_ends, "the capture has both ends", tcpdump)
    tcpdump.signal(signal.SIGINT)
    tcpdump.wait()
    again = peers.run(_SERVER)
    port = again.until_listening().port
    ours = peers.run([SW, "nc", "--replay", str(path), "127.0.0.1", str(port)])
    assert ours.read_all() == b"got first\nand second\nand the rest\n"
    assert ours.wait() == 0


@pytest.mark.needs("ncat")
def test_the_command_records_and_replays_a_long_exchange(peers: Peers, tmp_path: Path) -> None:
    octets = os.urandom(3_000_000)
    path = tmp_path / "recorded.pcapng"
    first = peers.server("ncat", "tcp4")
    ours = peers.client("sw", first.place, "--record", str(path))
    ours.feed(octets)
    first.feed(octets[::-1])
    # ncat would leave at the end of our input, whatever it had yet to send.
    assert ours.read(len(octets)) == octets[::-1]
    assert first.read(len(octets)) == octets
    ours.end_input()
    first.end_input()
    assert ours.wait() == 0
    second = peers.server("ncat", "tcp4")
    replaying = peers.client("sw", second.place, "--replay", str(path))
    second.feed(octets[::-1])
    second.end_input()
    assert second.read_all() == octets
    assert replaying.read_all() == octets[::-1]
    assert replaying.wait() == 0


def test_datagrams_are_replayed_one_by_one(peers: Peers, tmp_path: Path) -> None:
    path = tmp_path / "datagrams.pcapng"
    recorder = Recorder(open_output(str(path)), print)
    tap = recorder.conversation()
    tap.opened("udp://127.0.0.1:40000", "udp://127.0.0.1:9", S)
    said = [b"one", bytes(16_000), b"three"]
    for number, octets in enumerate(said):
        tap.octets("sent", octets, S + 2 * number)
        tap.octets("received", octets, S + 2 * number + 1)
    recorder.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        port = server.getsockname()[1]
        ours = peers.run([SW, "nc", "-u", "--replay", str(path), "127.0.0.1", str(port)])
        for octets in said:
            got, client = server.recvfrom(65536)
            assert got == octets
            # Nothing more comes before this is answered.
            server.setblocking(False)
            with pytest.raises(BlockingIOError):
                server.recv(1)
            server.settimeout(20)
            server.sendto(b"answer", client)
        assert ours.read_all() == b"answer" * 3
        assert ours.wait() == 0

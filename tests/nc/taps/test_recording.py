from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from io import BytesIO, FileIO
from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.nc.wireshark import fields, follow

from sockwright.nc.taps.captured import find_conversation
from sockwright.nc.taps.output import open_output
from sockwright.nc.taps.recording import Recorder
from sockwright.records import RecordReader, read_records
from sockwright.wire import TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sockwright.nc.taps.tap import Direction, Tap

START_NS = 1_790_000_000_000_000_000
# Sizes around those at which something changes: segments, pieces of a checksum, acknowledgements.
SIZES = (1, 2, 3, 100, 1460, 4095, 4096, 4097, 32767, 32768, 32769, 65535, 65536, 262_145)
# Both ends, and whether the peer came to us.
STREAMS = (
    ("tcp://127.0.0.1:40000", "tcp://127.0.0.1:9999", False),
    ("tcp://192.0.2.1:8080", "tcp://198.51.100.7:51000", True),
    ("tcp://[2001:db8::1]:40001", "tcp://[2001:db8::2]:80", False),
    ("tls://[::1]:8443", "tls://[::1]:40002", True),
    ("unix:", "unix:/run/app.sock", False),
    ("-", "exec:cat -n", False),
    ("vsock://1:1024", "vsock://2:5000", False),
    ("tcp://127.0.0.1:40003", "tcp://example.org:80", False),
)


class Talk:
    """Feeds a tap, and keeps what it was fed."""

    def __init__(self, tap: Tap, seed: int = 0) -> None:
        self.tap = tap
        self.said: dict[Direction, list[bytes]] = {"sent": [], "received": []}
        self._random = Random(seed)
        self._now = START_NS

    def now(self) -> int:
        self._now += 1_000
        return self._now

    def open(self, local: str, remote: str, *, accepted: bool = False) -> None:
        self.ends = (local, remote)
        self.tap.opened(local, remote, self.now(), accepted=accepted)

    def say(self, direction: Direction, size: int) -> None:
        octets = self._random.randbytes(size)
        self.said[direction].append(octets)
        # As it comes from the hot path: memory that is used again.
        memory = bytearray(octets)
        self.tap.octets(direction, memoryview(memory), self.now())
        memory[:] = bytes(size)

    def end(self) -> None:
        for direction in ("sent", "received"):
            self.tap.ended(direction, self.now())
        self.tap.closed(self.now())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recorded.pcapng"


def recorder(path: Path, said: list[str] | None = None) -> Recorder:
    reports = said if said is not None else []
    return Recorder(open_output(str(path)), reports.append, name=str(path))


def record(path: Path, *scripts: Callable[[Talk], None]) -> list[Talk]:
    recording = recorder(path)
    talks = [Talk(recording.conversation(), seed) for seed in range(len(scripts))]
    for talk, script in zip(talks, scripts, strict=True):
        script(talk)
    recording.close()
    return talks


def read(path: Path) -> RecordReader:
    return read_records(BytesIO(path.read_bytes()))


def exchange(local: str, remote: str, accepted: bool) -> Callable[[Talk], None]:
    def script(talk: Talk) -> None:
        talk.open(local, remote, accepted=accepted)
        for size in SIZES:
            talk.say("sent", size)
            talk.say("received", size)
        for _ in range(3):
            talk.say("received", 262_144)
        talk.tap.ended("sent", talk.now())
        talk.say("received", 70_000)
        talk.end()

    return script


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Talk]]:
    path = tmp_path_factory.mktemp("recorded") / "streams.pcapng"
    return path, record(path, *(exchange(*stream) for stream in STREAMS))


@pytest.mark.needs("tshark")
def test_tshark_follows_each_stream_to_exactly_the_octets(
    recorded: tuple[Path, list[Talk]],
) -> None:
    path, talks = recorded
    followed = follow(path, "tcp", *range(len(STREAMS)))
    for stream, talk, (_, _, accepted) in zip(followed, talks, STREAMS, strict=True):
        sent, received = (b"".join(talk.said[way]) for way in ("sent", "received"))
        assert stream.octets == ([received, sent] if accepted else [sent, received])


@pytest.mark.needs("tshark")
def test_tshark_finds_nothing_to_complain_of(recorded: tuple[Path, list[Talk]]) -> None:
    path, _ = recorded
    columns = fields(path, "tcp.checksum.status", "ip.checksum.status", "tcp.analysis.flags")
    assert {(tcp, flags) for tcp, _, flags in columns} == {("1", "")}
    assert {ip for _, ip, _ in columns} == {"1", ""}  # IPv6 has none
    # What dissectors of other protocols make of random octets is not our affair.
    wrong = "ip.bogus_ip_length || ipv6.plen_exceeds_framing || tcp.short_segment"
    assert not fields(path, "frame.number", display_filter=f"{wrong} || tcp.analysis.flags")


@pytest.mark.needs("tcpdump")
def test_tcpdump_finds_every_checksum_right(recorded: tuple[Path, list[Talk]]) -> None:
    path, _ = recorded
    command = ["tcpdump", "-nvv", "-r", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    packets = sum(1 for _ in read(path))
    assert done.stdout.count("(correct)") == packets
    assert not [line for line in done.stdout.splitlines() if "incorrect" in line or "bad" in line]


def test_our_reassembly_gives_back_exactly_the_octets(recorded: tuple[Path, list[Talk]]) -> None:
    path, talks = recorded
    for number, (talk, (_, _, accepted)) in enumerate(zip(talks, STREAMS, strict=True)):
        found = find_conversation(str(path), number=number)
        sent, received = (b"".join(talk.said[way]) for way in ("sent", "received"))
        said = (received, sent) if accepted else (sent, received)
        pieces = list(found.pieces())
        assert not [piece for piece in pieces if piece.missing]
        assert [piece.sender for piece in pieces if piece.ended].count("client") == 1
        for side, octets in zip(("client", "server"), said, strict=True):
            assert b"".join(piece.octets for piece in pieces if piece.sender == side) == octets


def test_our_decoder_finds_nothing_wrong_in_any_packet(recorded: tuple[Path, list[Talk]]) -> None:
    path, _ = recorded
    findings = {
        finding.code
        for packet in read(path).packets()
        for finding in packet.verify()
        if finding.severity == "error"
    }
    assert not findings


def test_a_stream_begins_and_ends_as_tcp_does(path: Path) -> None:
    def script(talk: Talk) -> None:
        talk.open("tcp://127.0.0.1:40000", "tcp://127.0.0.1:9999")
        talk.say("sent", 5)
        talk.end()

    record(path, script)
    flags = [str(packet[TCP].flags) for packet in read(path).packets()]
    seen = [(record.direction, flag) for record, flag in zip(read(path), flags, strict=True)]
    assert seen == [
        ("out", "S"), ("in", "SA"), ("out", "A"), ("out", "PA"),
        ("out", "FA"), ("in", "A"), ("in", "FA"), ("out", "A"),
    ]  # fmt: skip


def test_the_peer_that_came_to_us_sends_the_first_syn(path: Path) -> None:
    record(path, lambda talk: talk.open("tcp://[::1]:80", "tcp://[::1]:5000", accepted=True))
    first = next(read(path))
    assert first.direction == "in"
    assert first.decode()[TCP].src_port == 5000


@pytest.mark.parametrize(("reset", "port"), [("received", 9999), ("sent", 40000)])
def test_a_reset_is_sent_by_whom_it_came_from(path: Path, reset: Direction, port: int) -> None:
    def script(talk: Talk) -> None:
        talk.open("tcp://127.0.0.1:40000", "tcp://127.0.0.1:9999")
        talk.say("sent", 5)
        talk.tap.closed(talk.now(), reset=reset)
        talk.tap.closed(talk.now())

    record(path, script)
    last = list(read(path).packets())[-1][TCP]
    assert str(last.flags) == "RA"
    assert last.src_port == port


def test_what_was_never_opened_leaves_no_packet(path: Path) -> None:
    record(path, lambda talk: talk.tap.closed(talk.now()))
    assert list(read(path)) == []


@pytest.mark.needs("tshark")
def test_datagrams_stay_whole_and_their_checksums_are_right(path: Path) -> None:
    def script(local: str, remote: str) -> Callable[[Talk], None]:
        def talk_datagrams(talk: Talk) -> None:
            talk.open(local, remote)
            for size in (0, 1, 2, 1472, 4097, 65_507):
                talk.say("sent", size)
                talk.say("received", size)
            talk.end()

        return talk_datagrams

    talks = record(
        path,
        script("udp://127.0.0.1:40000", "udp://127.0.0.1:40001"),
        script("udp://[::1]:40000", "udp://[::1]:40001"),
        script("unix:?type=datagram", "unix:/run/log?type=datagram"),
    )
    assert {tuple(row) for row in fields(path, "udp.checksum.status")} == {("1",)}
    said = [
        octets
        for talk in talks
        for pair in zip(*talk.said.values(), strict=True)
        for octets in pair
    ]
    found = [packet.original_length for packet in read(path).packets()]
    assert [packet[UDP].length - 8 for packet in read(path).packets()] == list(map(len, said))
    assert len(found) == len(said)
    streams = [index for index, talk in enumerate(talks)]
    for stream, talk in zip(follow(path, "udp", *streams), talks, strict=True):
        assert stream.octets == [b"".join(octets) for octets in talk.said.values()]


def test_a_datagram_that_no_udp_could_carry_is_cut_and_says_so(path: Path) -> None:
    def script(talk: Talk) -> None:
        talk.open("unix:?type=datagram", "unix:/run/log?type=datagram")
        talk.say("sent", 100_000)

    (talk,) = record(path, script)
    records = list(read(path))
    assert [record.comment for record in records] == [
        f"{talk.ends[0]} to {talk.ends[1]}\noctets 0 to 65507 of a datagram of 100000",
        "octets 65507 to 100000 of a datagram of 100000",
    ]
    assert b"".join(record.octets[42:] for record in records) == talk.said["sent"][0]


def test_what_is_made_up_is_said(recorded: tuple[Path, list[Talk]]) -> None:
    path, _ = recorded
    reader = read(path)
    comments = [record.comment for record in reader if record.comment]
    assert comments == [
        "tls://[::1]:40002 to tls://[::1]:8443, recorded in clear text",
        "unix: to unix:/run/app.sock",
        "- to exec:cat -n",
        "vsock://1:1024 to vsock://2:5000",
        "tcp://127.0.0.1:40003 to tcp://example.org:80",
    ]
    told = {interface.name: interface.comment for interface in reader.interfaces}
    assert list(told) == ["sockwright", "sockwright-tls", "sockwright-made-up"]
    assert "clear text" in str(told["sockwright-tls"])
    assert "127.1.0.1 is unix" in str(told["sockwright-made-up"])


def test_each_kind_of_end_has_an_address_of_its_own(recorded: tuple[Path, list[Talk]]) -> None:
    path, _ = recorded
    ends = [find_conversation(str(path), number=number) for number in range(len(STREAMS))]
    hosts = [(end.client.rpartition(":")[0], end.server.rpartition(":")[0]) for end in ends]
    assert hosts[4:] == [
        ("tcp://127.1.0.1", "tcp://127.1.0.1"),
        ("tcp://127.3.0.1", "tcp://127.3.0.1"),
        ("tcp://127.2.0.1", "tcp://127.2.0.1"),
        ("tcp://127.0.0.1", "tcp://127.4.0.1"),
    ]


def test_ipv4_within_ipv6_is_written_as_the_ipv4_that_it_was(path: Path) -> None:
    mapped = "tcp://[::ffff:127.0.0.1]:80", "tcp://[::ffff:127.0.0.1]:5000"
    mixed = "tcp://[2001:db8::1]:80", "tcp://192.0.2.1:5000"
    record(path, *(lambda talk, ends=ends: talk.open(*ends) for ends in (mapped, mixed)))
    ends = [find_conversation(str(path), number=number) for number in (0, 1)]
    assert [end.client for end in ends] == ["tcp://127.0.0.1:80", "tcp://[2001:db8::1]:80"]
    assert [end.server for end in ends] == ["tcp://127.0.0.1:5000", "tcp://[::ffff:192.0.2.1]:5000"]


@pytest.mark.needs("tshark")
def test_many_connections_share_a_file(path: Path) -> None:
    recording = recorder(path)
    talks = [Talk(recording.conversation(), seed) for seed in range(40)]
    for number, talk in enumerate(talks):
        if number % 2:
            talk.open("unix:", "unix:/run/app.sock", accepted=True)
        else:
            talk.open("tcp://127.0.0.1:80", f"tcp://127.0.0.1:{5000 + number}", accepted=True)
    for size in (10, 1000):
        for talk in talks:
            talk.say("received", size)
            talk.say("sent", size)
    for talk in talks:
        talk.end()
    recording.close()
    for stream, talk in zip(follow(path, "tcp", *range(len(talks))), talks, strict=True):
        assert stream.octets == [b"".join(talk.said["received"]), b"".join(talk.said["sent"])]
    assert not fields(path, "frame.number", display_filter="tcp.analysis.flags")


def test_conversations_in_threads_share_a_file(path: Path) -> None:
    recording = recorder(path)
    talks = [Talk(recording.conversation(), seed) for seed in range(4)]

    def talk_long(talk: Talk, number: int) -> None:
        talk.open(f"tcp://127.0.0.1:{5000 + number}", "tcp://127.0.0.1:80")
        for _ in range(200):
            talk.say("sent", 300)
        talk.end()

    threads = [
        threading.Thread(target=talk_long, args=(talk, number)) for number, talk in enumerate(talks)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    recording.close()
    found = [find_conversation(str(path), number=number) for number in range(4)]
    said = {
        one.client: b"".join(piece.octets for piece in one.pieces() if piece.sender == "client")
        for one in found
    }
    for talk in talks:
        assert said[talk.ends[0]] == b"".join(talk.said["sent"])


_TALKER = """
import sys, time
from sockwright.nc.taps.output import open_output
from sockwright.nc.taps.recording import Recorder
tap = Recorder(open_output(sys.argv[1]), print).conversation()
tap.opened("tcp://127.0.0.1:40000", "tcp://127.0.0.1:9999", time.time_ns())
for number in range(10**9):
    tap.octets("sent", b"%d\\n" % number, time.time_ns())
    print(number, flush=True)
"""


def test_what_was_recorded_survives_sigkill(path: Path) -> None:
    command = [sys.executable, "-c", _TALKER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as talker:
        assert talker.stdout is not None
        try:
            last = [talker.stdout.readline() for _ in range(200)][-1]
        finally:
            talker.send_signal(signal.SIGKILL)
    found = find_conversation(str(path))
    octets = b"".join(piece.octets for piece in found.pieces())
    lines = octets.splitlines()
    assert lines[: int(last) + 1] == [b"%d" % number for number in range(int(last) + 1)]


def test_a_full_disk_is_one_line_and_not_the_end(path: Path) -> None:
    said: list[str] = []
    recording = Recorder(open_output("/dev/full"), said.append, name="/dev/full")
    talk = Talk(recording.conversation())
    talk.open("tcp://127.0.0.1:1", "tcp://127.0.0.1:2")
    talk.say("sent", 100)
    talk.end()
    recording.close()
    assert len(said) == 1
    assert "/dev/full" in said[0]
    assert "No space left on device" in said[0]
    assert "the conversation goes on" in said[0]


_LIMITED = """
import resource, sys, time
from sockwright.nc.taps.output import open_output
from sockwright.nc.taps.recording import Recorder
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
tap = Recorder(open_output(sys.argv[1]), print, name="it").conversation()
tap.opened("tcp://127.0.0.1:40000", "tcp://127.0.0.1:9999", time.time_ns())
for number in range(100):
    tap.octets("sent", bytes(5000), time.time_ns())
"""


def test_a_file_that_can_grow_no_more_ends_behind_a_whole_block(path: Path) -> None:
    command = [sys.executable, "-c", _LIMITED, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert len(done.stdout.splitlines()) == 1
    assert "File too large; it ends behind its last whole record" in done.stdout
    records = list(read(path))
    assert len(records) == 3 + 19
    assert 95_000 < path.stat().st_size <= 100_000


def test_a_reader_that_went_away_is_one_line() -> None:
    reading, writing = os.pipe()
    said: list[str] = []
    recording = Recorder(FileIO(writing, "wb"), said.append)
    os.close(reading)
    talk = Talk(recording.conversation())
    talk.open("tcp://127.0.0.1:1", "tcp://127.0.0.1:2")
    talk.end()
    recording.close()
    assert len(said) == 1
    assert "Broken pipe" in said[0]


_LONG = """
import resource
from sockwright.nc.taps.output import open_output
from sockwright.nc.taps.recording import Recorder
tap = Recorder(open_output("/dev/null"), print).conversation()
tap.opened("tcp://127.0.0.1:40000", "tcp://127.0.0.1:9999", 0)
piece = bytes(1 << 20)
tap.octets("sent", piece, 0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(256):
    tap.octets("sent", piece, 0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_what_is_recorded() -> None:
    command = [sys.executable, "-c", _LONG]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) < 1024  # KiB


def test_sequence_numbers_wrap(path: Path) -> None:
    def script(talk: Talk) -> None:
        # The clock that the first number is taken from is 100 octets before its end.
        talk.tap.opened("tcp://127.0.0.1:1", "tcp://127.0.0.1:2", ((1 << 32) - 100) * 4000)
        for _ in range(5):
            talk.say("sent", 70_000)
            talk.say("received", 50)
        talk.end()

    (talk,) = record(path, script)
    found = find_conversation(str(path))
    assert found.octets == {"client": 350_000, "server": 250}
    assert not any(found.missing.values())
    sent = b"".join(piece.octets for piece in found.pieces() if piece.sender == "client")
    assert sent == b"".join(talk.said["sent"])


def test_the_recording_is_its_owners_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        recorder(path).close()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError, match="--force"):
        recorder(path)

"""Files over connections within this process: every way through, and every way to fail."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import socket
import ssl
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from tests.nc.tls_ends import Authority

from sockwright import nc
from sockwright.errors import EndOfStreamError, FileRefusedError, TransferError
from sockwright.nc.files import wire as file_wire
from sockwright.nc.files.transfer import Transfer, TransferProgress, receive_file, send_file
from sockwright.nc.taps.hexdump import HexDump
from sockwright.nc.tls.options import TLSOptions
from sockwright.sockets.stream_socket import Stream, connect, listen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

T = TypeVar("T")
# The same each time: by chance a line could end at once in them, or go on as a wrong part does.
OCTETS = random.Random(4).randbytes(1 << 20) * 5 + b"the end"
DIGEST = hashlib.sha256(OCTETS).hexdigest()
PATIENCE_S = 10.0


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


class Room:
    """A TCP connection between `ours` and `theirs`, a file, a place for it, and other threads."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self.folder, self.source, self.target = folder, folder / "source", folder / "target"
        self.source.write_bytes(OCTETS)
        self._pool = pool
        self.ours, self.theirs = _connection()

    def aside(self, function: Callable[..., T], *words: Any, **named: Any) -> Future[T]:
        """Run a function in a thread, where its result waits."""
        return self._pool.submit(function, *words, **named)


def _connection() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    ours.settimeout(PATIENCE_S)
    theirs.settimeout(PATIENCE_S)
    return ours, theirs


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with ThreadPoolExecutor(4) as pool:
        room = Room(tmp_path, pool)
        with room.ours, room.theirs:
            yield room


def _check(sent: Transfer, received: Transfer, target: Path, octets: bytes = OCTETS) -> None:
    digest = hashlib.sha256(octets).hexdigest()
    assert target.read_bytes() == octets
    assert not _part(target).exists()
    assert target.stat().st_mode & 0o777 == 0o600
    assert (sent.size, received.size) == (len(octets), len(octets))
    assert sent.sha256 == received.sha256 == digest
    assert sent.peer_ended


# -- through ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("resume", [False, True], ids=["plain", "resume"])
@pytest.mark.parametrize("size", [0, 1, 4096, 65537, len(OCTETS)])
def test_a_file_arrives_whole(room: Room, size: int, resume: bool) -> None:
    (room.source).write_bytes(OCTETS[:size])
    sending = room.aside(send_file, room.ours, room.source, resume=resume)
    received = receive_file(room.theirs, room.target, resume=resume)
    sent = sending.result()
    _check(sent, received, room.target, OCTETS[:size])
    assert (sent.octets, sent.resumed_from, sent.verified) == (size, 0, resume)
    assert sent.action == "sent"
    assert received.action == "received"
    assert sent.peer.startswith("tcp://127.0.0.1:")
    assert sent.octets_per_second == sent.octets * 10**9 // max(sent.duration_ns, 1)


@pytest.mark.parametrize("resume", [False, True], ids=["plain", "resume"])
@pytest.mark.parametrize(
    "scheme", ["tcp://", "unix:", "unix-abstract:", "tcp conversations", "tls", "taps"]
)
def test_a_file_goes_through_every_kind_of_stream(room: Room, resume: bool, scheme: str) -> None:
    place = {
        "unix:": f"unix:{room.folder}/socket",
        "unix-abstract:": f"unix-abstract:{os.getpid()}-{room.folder.name}",
    }.get(scheme, "tcp://127.0.0.1:0")
    shown = bytearray()
    with _listener(scheme, place, room.folder, shown) as listener:
        accepting = room.aside(listener.accept)
        stream: Any
        if scheme == "tls":
            options = TLSOptions(ca_file=str(room.folder / "authority.pem"))
            where = str(listener.local_address).replace("tcp:", "tls:")
            receiving = room.aside(
                lambda: receive_file(accepting.result(), room.target, resume=resume)
            )
            stream = nc.connect(where, timeout=PATIENCE_S, tls=options)
            with stream:
                sent = send_file(stream, room.source, resume=resume)
            received = receiving.result()
        else:
            known = scheme in {"tcp conversations", "taps"}
            opened = nc.connect if known else connect
            with opened(listener.local_address, timeout=PATIENCE_S) as stream:
                receiving = room.aside(receive_file, accepting.result(), room.target, resume=resume)
                sent = send_file(stream, room.source, resume=resume)
                received = receiving.result()
        accepting.result().close()
    _check(sent, received, room.target)
    assert bool(shown) == (scheme == "taps")  # who looks on sees every octet


def _listener(scheme: str, place: str, folder: Path, shown: bytearray) -> Any:
    if scheme == "tls":
        shown_one = Authority(folder).sign("127.0.0.1")
        return nc.listen("tls://127.0.0.1:0", tls=TLSOptions(certificate=shown_one.path))
    if scheme == "taps":
        return nc.listen(place, taps=[HexDump(shown.extend)])
    return nc.listen(place) if scheme == "tcp conversations" else listen(place)


def test_a_kernel_that_cannot_do_it_alone_changes_nothing(room: Room) -> None:
    wires = [file_wire.open_wire(end, "file") for end in (room.ours, room.theirs)]
    for wire in wires:
        assert isinstance(wire, file_wire.KernelWire)
        wire._in_kernel = False
    sending = room.aside(_send_all, wires[0], room.source)
    with room.target.open("wb") as file:
        while wires[1].receive_to(file.fileno(), 1 << 30):
            pass
    sending.result()
    assert room.target.read_bytes() == OCTETS


def _send_all(wire: file_wire.Wire, source: Path) -> None:
    offset = 0
    with source.open("rb") as file:
        while count := wire.send_from(file.fileno(), offset, len(OCTETS) - offset):
            offset += count
    wire.send_eof()


def test_splicing_into_a_file_that_is_appended_to_falls_back(room: Room) -> None:
    wire = file_wire.open_wire(room.theirs, "file")
    room.ours.sendall(b"abc")
    with room.target.open("ab") as file:  # splice(2): EINVAL
        assert wire.receive_to(file.fileno(), 100) == 3
        room.ours.sendall(b"def")
        assert wire.receive_to(file.fileno(), 100) == 3
    wire.abort()
    assert room.target.read_bytes() == b"abcdef"


def test_octets_that_were_read_before_are_part_of_the_file(room: Room) -> None:
    stream = Stream(room.theirs)
    room.ours.sendall(b"header\n" + b"the file")
    room.ours.shutdown(socket.SHUT_WR)
    assert stream.recv_until(b"\n") == b"header\n"
    assert receive_file(stream, room.target).octets == 8
    assert room.target.read_bytes() == b"the file"


def test_the_connection_is_the_callers_again_afterwards(room: Room) -> None:
    before = [_state(end) for end in (room.ours, room.theirs)]
    sending = room.aside(send_file, room.ours, room.source)
    receive_file(room.theirs, room.target)
    sending.result()
    assert [_state(end) for end in (room.ours, room.theirs)] == before


def _state(sock: socket.socket) -> tuple[float | None, bytes]:
    return sock.gettimeout(), sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)


def test_nothing_is_left_behind(room: Room) -> None:
    def once() -> None:
        ours, theirs = _connection()
        with ours, theirs:
            sending = room.aside(send_file, ours, room.source, resume=True)
            receive_file(theirs, room.target, force=True, resume=True)
            sending.result()

    once()  # what is opened once and stays
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        once()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert not [thread for thread in threading.enumerate() if thread.name == "SHA-256"]


def test_datagrams_are_refused(room: Room) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, pytest.raises(ValueError, match="keeps boundaries"):
        send_file(ours, room.source)


# -- resumed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("have", [1, 4096, 3_000_001, len(OCTETS) - 1, len(OCTETS)])
def test_only_what_is_missing_is_sent(room: Room, have: int) -> None:
    _part(room.target).write_bytes(OCTETS[:have])
    sending = room.aside(send_file, room.ours, room.source, resume=True)
    received = receive_file(room.theirs, room.target, resume=True)
    sent = sending.result()
    _part(room.target).unlink(missing_ok=True)
    assert sent.resumed_from == received.resumed_from == have
    assert sent.octets == received.octets == len(OCTETS) - have
    assert room.target.read_bytes() == OCTETS
    assert sent.sha256 == received.sha256 == DIGEST


@pytest.mark.parametrize(
    "part",
    [b"something else", OCTETS[:1000] + b"!", OCTETS + b"and more", bytes(len(OCTETS))],
    ids=["other", "one octet off", "longer", "zeros"],
)
def test_a_part_of_another_file_is_begun_anew(room: Room, part: bytes) -> None:
    _part(room.target).write_bytes(part)
    _part(room.target).chmod(0o600)
    sending = room.aside(send_file, room.ours, room.source, resume=True)
    received = receive_file(room.theirs, room.target, resume=True)
    sent = sending.result()
    assert sent.resumed_from == 0
    _check(sent, received, room.target)


def test_a_digest_that_differs_is_told_on_both_sides(room: Room) -> None:
    def damage() -> None:
        """Be the sender, of octets that are not those of the digest."""
        end = room.ours.makefile("rwb")
        end.readline()
        end.write(b"sockwright-file/1 size 4 from 0\noops" + f"sha256 {DIGEST}\n".encode())
        end.flush()
        assert end.readline() == b"differs\n"
        room.ours.shutdown(socket.SHUT_WR)

    sending = room.aside(damage)
    with pytest.raises(TransferError, match=rf"SHA-256 [0-9a-f]+, the sender's file {DIGEST}; .*"):
        receive_file(room.theirs, room.target, resume=True)
    sending.result()
    assert not room.target.exists()
    assert _part(room.target).read_bytes() == b"oops"


def test_a_sender_that_is_gone_does_not_hide_that_the_digest_differs(room: Room) -> None:
    class Gone(_Limited):
        def send_eof(self) -> None:
            raise OSError(errno.ENOTCONN, "the peer has reset the connection")

    room.ours.sendall(b"sockwright-file/1 size 4 from 0\noops" + f"sha256 {DIGEST}\n".encode())
    with pytest.raises(TransferError, match="the sender's file"):
        receive_file(Gone(room.theirs), room.target, resume=True)


def test_the_sender_hears_that_the_digest_differs(room: Room) -> None:
    def complain() -> None:
        end = room.theirs.makefile("rwb")
        empty = hashlib.sha256().hexdigest()
        end.write(f"sockwright-file/1 have 0 sha256 {empty}\n".encode())
        end.flush()
        end.readline()
        end.read(len(OCTETS))
        assert end.readline() == f"sha256 {DIGEST}\n".encode()
        end.write(b"differs\n")
        end.flush()

    receiving = room.aside(complain)
    with pytest.raises(TransferError, match="got octets with another SHA-256"):
        send_file(room.ours, room.source, resume=True)
    receiving.result()


def _resume(room: Room, we: str, idle: float | None = None) -> None:
    if we == "send":
        send_file(room.ours, room.source, resume=True, idle=idle)
    else:
        receive_file(room.ours, room.target, resume=True, idle=idle)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "does not speak the protocol of --resume"),
        (OCTETS[:3000], "does not speak the protocol"),
        (b"", "does not speak|says nothing|without a word"),
        (b"sockwright-file/7 hello\n", "version '7'"),
    ],
    ids=["another protocol", "a plain file", "nothing", "another version"],
)
@pytest.mark.parametrize("we", ["send", "receive"])
def test_a_peer_that_speaks_something_else_is_one_clear_line(
    room: Room, words: bytes, said: str, we: str
) -> None:
    room.theirs.sendall(words)
    room.theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(TransferError, match=said) as caught:
        _resume(room, we)
    assert "\n" not in str(caught.value)
    assert not room.target.exists()
    assert not _part(room.target).exists()


@pytest.mark.parametrize("we", ["send", "receive"])
def test_a_peer_that_says_nothing_is_given_up(room: Room, we: str) -> None:
    with pytest.raises(TimeoutError, match=r"said nothing for 0.1 s; --resume is needed on both"):
        _resume(room, we, idle=0.1)
    if we == "send":  # and a plain receiver does not take that for the end of a file
        with pytest.raises(ConnectionResetError):
            receive_file(room.theirs, room.target)
        assert not room.target.exists()


@pytest.mark.parametrize("whole", [False, True], ids=["tcp", "through an object"])
def test_a_receiver_does_not_choose_how_long_its_digest_is_waited_for(
    room: Room, whole: bool
) -> None:
    room.theirs.sendall(b"sockwright-file/1 have 9999999999999999999 sha256 ")
    stream = _Limited(room.ours) if whole else room.ours
    with pytest.raises(TimeoutError):
        send_file(stream, room.source, resume=True, idle=0.2)


class _Limited:
    """A stream that is no socket, and whose time limit may be set."""

    def __init__(self, sock: socket.socket) -> None:
        self._stream = Stream(sock)
        self.send_all, self.receive = self._stream.send_all, self._stream.receive
        self.close = self._stream.close

    def send_eof(self) -> None:
        self._stream.send_eof()

    @property
    def timeout(self) -> float | None:
        return self._stream.timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._stream.timeout = seconds


@pytest.mark.parametrize("whole", [False, True], ids=["tcp", "through an object"])
@pytest.mark.parametrize(
    "begin", [b"", b"sockwright-file/1 have 0 sha256 "], ids=["name", "digest"]
)
def test_a_line_that_drips_has_a_limit_as_a_whole(room: Room, whole: bool, begin: bytes) -> None:
    over = threading.Event()

    def drip() -> None:
        room.theirs.sendall(begin)
        for octet in b"sockwright-file/1 have ".ljust(60, b"1") if not begin else b"a" * 60:
            if over.wait(0.1):
                return
            try:
                room.theirs.sendall(bytes([octet]))
            except OSError:  # as it should be
                return

    dripping = room.aside(drip)
    began = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            send_file(
                _Limited(room.ours) if whole else room.ours, room.source, resume=True, idle=0.3
            )
    finally:
        over.set()
    assert time.monotonic() - began < 5  # 60 drops take 6 s
    dripping.result()


# -- failures --------------------------------------------------------------------------------------


def test_a_sender_that_gives_up_does_not_look_like_the_end_of_the_file(room: Room) -> None:
    room.source.write_bytes(OCTETS[:100])
    receiving = room.aside(receive_file, room.theirs, room.target)
    progress = _Acting(lambda: os.truncate(room.source, 50))
    with pytest.raises(TransferError, match=r"ended after 50 octets, it had 100 at the start"):
        send_file(room.ours, room.source, progress=progress)
    with pytest.raises(ConnectionResetError, match=r"target.part keeps \d+ octets|reset"):
        receiving.result()
    assert not room.target.exists()


class _Acting(TransferProgress):
    """Does something when the octets begin to move."""

    def __init__(self, action: Callable[[], object]) -> None:
        super().__init__()
        self._action = action

    def start(self, begin: int, total: int | None) -> None:
        super().start(begin, total)
        self._action()


@pytest.mark.parametrize("resume", [False, True], ids=["plain", "resume"])
def test_a_file_that_grows_is_sent_as_it_was(room: Room, resume: bool) -> None:
    def grow() -> None:
        with room.source.open("ab") as file:
            file.write(b"more")

    receiving = room.aside(receive_file, room.theirs, room.target, resume=resume)
    sent = send_file(room.ours, room.source, resume=resume, progress=_Acting(grow))
    _check(sent, receiving.result(), room.target)
    assert sent.remarks == (
        f"{room.source} goes on after the {len(OCTETS)} octets it had at the start",
    )


def test_a_file_of_proc_says_that_it_has_more(room: Room) -> None:
    receiving = room.aside(receive_file, room.theirs, room.target)
    sent = send_file(room.ours, "/proc/self/status")
    receiving.result()
    assert "goes on after the 0 octets" in sent.remarks[0]


@pytest.mark.parametrize("path", ["/dev/zero", "/tmp", "/nowhere/at/all"])
def test_what_cannot_be_sent_resets_the_connection(room: Room, path: str) -> None:
    with pytest.raises((FileRefusedError, FileNotFoundError)):
        send_file(room.ours, path)
    with pytest.raises(ConnectionResetError):
        receive_file(room.theirs, room.target)
    assert not room.target.exists()
    assert not _part(room.target).exists()  # there was nothing to keep


def test_what_cannot_be_received_resets_the_connection(room: Room) -> None:
    room.target.write_bytes(b"old")
    with pytest.raises(FileRefusedError):
        receive_file(room.theirs, room.target)
    with pytest.raises((ConnectionResetError, BrokenPipeError), match="before it had the whole"):
        send_file(room.ours, room.source)
    assert room.target.read_bytes() == b"old"


def test_octets_that_came_before_a_reset_are_kept(room: Room) -> None:
    progress = TransferProgress()
    receiving = room.aside(receive_file, room.theirs, room.target, progress=progress)
    room.ours.sendall(OCTETS[:100_000])
    _until(lambda: progress.done == 100_000)
    room.ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    room.ours.close()
    with pytest.raises(ConnectionResetError, match=r"part keeps 100000 octets, --resume on both"):
        receiving.result()
    assert _part(room.target).read_bytes() == OCTETS[:100_000]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def test_a_peer_that_takes_nothing_is_given_up(room: Room) -> None:
    os.truncate(room.source, 64 << 20)  # more than two socket buffers hold
    with pytest.raises(TimeoutError, match=r"tcp://127.0.0.1:\d+: it took no octet for 0.2 s"):
        send_file(room.ours, room.source, idle=0.2)


def test_a_peer_that_sends_nothing_is_given_up_and_what_came_is_kept(room: Room) -> None:
    room.ours.sendall(b"half")
    with pytest.raises(
        TimeoutError, match=r"no octet came for 0.2 s; .*target.part keeps 4 octets"
    ):
        receive_file(room.theirs, room.target, idle=0.2)
    assert _part(room.target).read_bytes() == b"half"


def test_a_peer_that_does_not_end_is_given_up_where_there_is_a_limit(room: Room) -> None:
    # As little as the kernel takes at once, or a taker that is late is the one that is told of.
    room.source.write_bytes(OCTETS[:1000])
    room.aside(_take_all, room.theirs)
    with pytest.raises(TimeoutError, match=r"all was sent, but it did not end its side for 0.2 s"):
        send_file(room.ours, room.source, idle=0.2)


def _take_all(sock: socket.socket) -> None:
    while sock.recv(1 << 16):
        pass


def test_a_peer_that_acknowledged_all_and_does_not_end_is_said(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_wire, "_PATIENCE_S", 0.1)
    room.ours.settimeout(None)
    room.aside(_take_all, room.theirs)
    sent = send_file(room.ours, room.source)
    assert not sent.peer_ended
    assert "acknowledged every octet but does not end its side" in sent.remarks[0]


def test_a_slow_peer_is_not_a_silent_one(room: Room) -> None:
    # All of it takes longer than the limit, each octet does not.
    sending = room.aside(send_file, room.ours, room.source, idle=1)
    received = receive_file(room.theirs, room.target, rate=2_500_000)
    _check(sending.result(), received, room.target)
    assert received.duration_ns > 1.9e9


def test_a_device_that_is_full_is_told(room: Room) -> None:
    wire = file_wire.open_wire(room.theirs, "/dev/full")
    room.ours.sendall(b"octets")
    with Path("/dev/full").open("wb", buffering=0) as full:
        with pytest.raises(OSError, match=r"write /dev/full: No space left") as caught:
            wire.receive_to(full.fileno(), 100)
        assert caught.value.errno == errno.ENOSPC
    wire.abort()


def test_a_stream_of_tls_that_is_cut_off_is_no_file(room: Room) -> None:
    shown = Authority(room.folder).sign("127.0.0.1")
    with nc.listen("tls://127.0.0.1:0", tls=TLSOptions(certificate=shown.path)) as listener:
        context = ssl.create_default_context(cafile=room.folder / "authority.pem")

        def cut_off() -> None:
            address = ("127.0.0.1", listener.local_address.port)
            with socket.create_connection(address) as plain:
                secure = context.wrap_socket(plain, server_hostname="127.0.0.1")
                secure.sendall(b"half")
                secure.shutdown(socket.SHUT_WR)  # FIN without close_notify
                secure.close()

        cutting = room.aside(cut_off)
        with listener.accept() as conversation:
            conversation.timeout = PATIENCE_S
            with pytest.raises(
                (EndOfStreamError, ConnectionResetError), match=r"target.part keeps 4 octets"
            ):
                receive_file(conversation, room.target)
        cutting.result()
    assert not room.target.exists()


def test_a_failing_sender_over_tls_does_not_say_a_polite_goodbye(room: Room) -> None:
    shown = Authority(room.folder).sign("127.0.0.1")
    with nc.listen("tls://127.0.0.1:0", tls=TLSOptions(certificate=shown.path)) as listener:

        def give_up() -> None:
            where = str(listener.local_address).replace("tcp:", "tls:")
            options = TLSOptions(ca_file=str(room.folder / "authority.pem"))
            with nc.connect(where, tls=options, timeout=PATIENCE_S) as ours:
                cut = _Acting(lambda: os.truncate(room.source, 50))
                with pytest.raises(TransferError):
                    send_file(ours, room.source, progress=cut)

        giving_up = room.aside(give_up)
        with listener.accept() as conversation:
            conversation.timeout = PATIENCE_S
            with pytest.raises((EndOfStreamError, ConnectionResetError)):
                receive_file(conversation, room.target)
        giving_up.result()
    assert not room.target.exists()


# -- rate and progress -----------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["send", "receive"])
def test_the_rate_is_kept(room: Room, side: str) -> None:
    os.truncate(room.source, 1_000_000)
    rates = {"send": (500_000, None), "receive": (None, 500_000)}[side]
    sending = room.aside(send_file, room.ours, room.source, rate=rates[0])
    received = receive_file(room.theirs, room.target, rate=rates[1])
    sending.result()
    assert received.duration_ns >= 1.9e9
    assert received.duration_ns <= 6e9  # a loaded machine is slower, never faster


def test_progress_tells_octets_rate_and_what_is_left(room: Room) -> None:
    progress = TransferProgress()
    assert (progress.part, progress.seconds_left, progress.octets_per_second) == (None, None, 0)
    progress.start(1000, 3000)
    assert progress.part == pytest.approx(1 / 3)
    progress.done = 2000
    assert progress.part == pytest.approx(2 / 3)
    assert progress.octets_per_second > 0
    left = progress.seconds_left
    assert left is not None
    assert left > 0
    progress.start(0, 0)
    assert progress.part == 1


def test_who_moves_octets_is_followed_from_another_thread(room: Room) -> None:
    progress = TransferProgress()
    sending = room.aside(send_file, room.ours, room.source, rate=8_000_000, progress=progress)
    receiving = room.aside(receive_file, room.theirs, room.target)
    seen = set()
    while not sending.done():
        seen.add(progress.done)
        os.sched_yield()
    receiving.result()
    assert len(seen) > 5
    assert progress.done == progress.total == len(OCTETS)

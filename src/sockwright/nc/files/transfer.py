r"""A file to the other end of a connection, or from it, whole or told that it is not.

    with connect("tcp://127.0.0.1:9000") as stream:
        print(send_file(stream, "disk.img").sha256)

Plain form: the connection carries the octets of the file and nothing else, so any program may be at
the other end. With ``resume=True`` on both sides they agree on where to go on, and the receiver
proves by SHA-256 that it has the file (`file_protocol`).

Rules
    1. The sender sends as many octets as the file had at the start, ends its side (FIN) and waits
       for the peer's end: only then did all arrive.
    2. The receiver gives the file its name when the sender has ended, and ends its own side only
       when that is done.
    3. Whatever goes wrong on either side resets the connection (RST), and closes it: a file that
       is cut off must not look like one that has ended. What has arrived stays in FILE.part.
    4. A program at the other end must end well, too, in the plain form: its output ends as that of
       one that failed does. With `resume` the digest says more than a status.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from sockwright.errors import SockwrightError, TransferError
from sockwright.nc.channels.rate import Rate
from sockwright.nc.files.digest import FileHash
from sockwright.nc.files.part_file import PartFile
from sockwright.nc.files.protocol import (
    DIFFERS,
    LINE_LIMIT,
    STORED,
    answer_line,
    begin_of_offer,
    digest_line,
    read_answer,
    read_begin_of_offer,
    read_digest,
    read_offer,
    rest_of_offer,
)
from sockwright.nc.files.source_file import SourceFile
from sockwright.nc.files.wire import OctetStream, Wire, open_wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator

__all__ = ["Transfer", "TransferProgress", "receive_file", "send_file"]

_AT_ONCE = 1 << 30
_HELLO_S = 10.0  # for the first words of a peer that is to speak the protocol, without a limit
_BOTH = "--resume is needed on both sides"
_NO_DIGEST = "no SHA-256: taking it would have taken longer than the transfer; --sha256 takes it"
_SLOWEST_HASH = 20e6  # octets a second; how long a peer may take for the digest of what it has


@dataclass(frozen=True, slots=True)
class Transfer:
    """A file that got through.

    `octets` went over the connection in `duration_ns`; `size` is that of the whole file, which a
    resumed transfer continued at `resumed_from`. `sha256` is of the whole file, None where that
    would have taken longer than the transfer (`file_hash` says when). `verified` tells that the
    receiver compared it. `peer_ended` is False where the peer had acknowledged every octet but kept
    its side open.
    """

    action: Literal["sent", "received"]
    path: str
    peer: str
    octets: int
    size: int
    resumed_from: int
    duration_ns: int
    octets_per_second: int
    sha256: str | None
    verified: bool
    peer_ended: bool
    remarks: tuple[str, ...]

    live: ClassVar[bool] = True  # one after the other, where many come for a file
    columns: ClassVar[tuple[str, ...]] = (
        "action", "path", "octets", "resumed_from", "seconds", "megabytes_per_second", "sha256",
    )  # fmt: skip
    least_widths: ClassVar[dict[str, int]] = {"octets": 12, "seconds": 8}

    @property
    def seconds(self) -> float:
        """How long it took."""
        return round(self.duration_ns / 1e9, 3 if self.duration_ns > 1e8 else 6)

    @property
    def megabytes_per_second(self) -> float:
        """How fast it went, in 1 000 000 octets a second."""
        return round(self.octets_per_second / 1e6, 1)


class TransferProgress:
    """How far a transfer is; written by the thread that moves octets, to be read by any other.

    `done` and `total` are octets of the whole file, `total` None where the size is not known, and
    `begin` is where this transfer began.
    """

    __slots__ = ("_began_ns", "begin", "done", "total")

    def __init__(self) -> None:
        self.begin = self.done = 0
        self.total: int | None = None
        self._began_ns: int | None = None

    def start(self, begin: int, total: int | None) -> None:
        """Say that octets are moved from now on."""
        self.begin = self.done = begin
        self.total = total
        self._began_ns = time.monotonic_ns()

    @property
    def octets_per_second(self) -> float:
        """The average rate so far."""
        if self._began_ns is None:
            return 0.0
        return (self.done - self.begin) * 1e9 / max(time.monotonic_ns() - self._began_ns, 1)

    @property
    def seconds_left(self) -> float | None:
        """How long it takes to the end at this rate, None where that is not known."""
        rate = self.octets_per_second
        return None if self.total is None or not rate else (self.total - self.done) / rate

    @property
    def part(self) -> float | None:
        """How much is done, 0 to 1, None where that is not known."""
        if self.total is None:
            return None
        return self.done / self.total if self.total else 1.0


def send_file(
    stream: OctetStream | socket.socket,
    file: str | os.PathLike[str] | SourceFile,
    *,
    resume: bool = False,
    sha256: bool = False,
    idle: float | None = None,
    rate: float | None = None,
    progress: TransferProgress | None = None,
) -> Transfer:
    """Send a file over a connection, and wait until the peer has ended its side.

    `resume` goes on where the peer, which has to say so too, stopped. `sha256` takes the digest
    even where it slows the transfer down (see `file_hash`). `idle` is the time limit without an
    octet, in seconds; None is the one of `stream`. `rate` limits the octets a second.

    The connection is half-closed afterwards; when anything is raised it is closed.

    Raises:
        FileRefusedError: it is no regular file (or block device).
        TransferError: the file got shorter, the peer did not get what it expected, or is a program
            that failed.
        TimeoutError: nothing moved for `idle` seconds.
        OSError: the file cannot be read; EPIPE, ECONNRESET, the peer is gone.
    """
    name = file.path if isinstance(file, SourceFile) else os.fspath(file)
    wire = open_wire(stream, name, idle)
    with (
        _resetting(wire),
        _opened(file) as source,
        FileHash(source.descriptor, must=resume or sha256, here=wire.here) as digest,
    ):
        begin = _answer_offer(wire, source, digest) if resume else 0
        known = None if resume else source.digest  # another transfer has taken it
        move = _Move(begin, source.size, rate, progress, None if known else digest)
        while not move.complete:
            count = wire.send_from(source.descriptor, move.done, move.allowed())
            if not count:
                raise TransferError(
                    f"{name} ended after {move.done} octets, it had {source.size} at the start"
                )
            move.took(count)
        if resume:
            wire.send(digest_line(_digest(digest, source.size, name) or ""))
        wire.send_eof()
        move.end()
        if resume:
            _read_verdict(wire, name)
        ended = wire.drain()
        if not resume:
            wire.check_program()
        if ended:
            move.end()
        known = known or _digest(digest, source.size, name)
        if known is not None:
            source.digest = known
        remarks = []
        if source.goes_on():
            remarks.append(f"{name} goes on after the {source.size} octets it had at the start")
        if not ended:
            remarks.append(
                f"{wire.peer} acknowledged every octet but does not end its side; whether the "
                "program there took them is not known"
            )
        wire.finish()
    return move.transfer(
        "sent", name, wire.peer, known, verified=resume, ended=ended, remarks=remarks
    )


def receive_file(
    stream: OctetStream | socket.socket,
    file: str | os.PathLike[str] | PartFile,
    *,
    resume: bool = False,
    force: bool = False,
    sha256: bool = False,
    idle: float | None = None,
    rate: float | None = None,
    progress: TransferProgress | None = None,
) -> Transfer:
    """Receive a file over a connection, until the peer ends its side.

    It is ``FILE.part`` (mode 0600) until it is whole, and stays that when it is not; `resume` goes
    on with that. An existing file is refused unless `force` replaces it. The rest is as for
    `send_file`. A `PartFile` was opened with `resume` and `force` of its own.

    Raises:
        FileRefusedError: the file, or its ``.part``, is there already.
        TransferError: the octets have another digest than the sender's, or do not come, or the
            program that they come from failed.
        TimeoutError: nothing moved for `idle` seconds.
        OSError: ENOSPC and the like, the file cannot be written; ECONNRESET, the peer gave up.
    """
    name = file.path if isinstance(file, PartFile) else os.fspath(file)
    wire = open_wire(stream, f"{name}.part", idle)
    with (
        _resetting(wire),
        _opened_part(file, resume=resume, force=force) as part,
        _keeping(part),
        FileHash(part.descriptor, must=resume or sha256, here=wire.here) as digest,
    ):
        begin, size = _make_offer(wire, part, digest) if resume else (0, None)
        os.lseek(part.descriptor, begin, os.SEEK_SET)
        move = _Move(begin, size, rate, progress, digest)
        while not move.complete:
            count = wire.receive_to(part.descriptor, move.allowed())
            if not count:
                break
            move.took(count)
        move.end()
        if size is not None:
            if not move.complete:
                raise TransferError(f"{wire.peer} ended after {move.done} of {size} octets")
            _compare(wire, digest, size)
        else:
            wire.check_program()
        known = _digest(digest, move.done, part.part)
        part.finish()
        if resume:
            wire.send(STORED + b"\n")
        wire.send_eof()
        wire.finish()
    return move.transfer("received", name, wire.peer, known, verified=resume)


class _Move:
    """Octets on their way: how many, how fast, and who is told; times in nanoseconds."""

    def __init__(
        self,
        begin: int,
        size: int | None,
        rate: float | None,
        progress: TransferProgress | None,
        digest: FileHash | None,
    ) -> None:
        self.done = begin
        self._begin, self._size = begin, size
        self._rate = None if rate is None else Rate(rate)
        self._digest = digest
        self._progress = progress or TransferProgress()
        self._progress.start(begin, size)
        self._began = self._ended = time.monotonic_ns()

    @property
    def complete(self) -> bool:
        """Whether there are as many octets as the file has."""
        return self.done == self._size

    def allowed(self) -> int:
        """Return how many octets may move now; waits until there are some."""
        rest = _AT_ONCE if self._size is None else self._size - self.done
        if self._rate is None:
            return rest
        while not (allowed := self._rate.allowed(time.monotonic())):
            time.sleep(self._rate.wait(time.monotonic()))
        return min(allowed, rest)

    def took(self, count: int) -> None:
        """Say that `count` octets have moved."""
        self.done += count
        self._progress.done = self.done
        if self._rate is not None:
            self._rate.took(count, time.monotonic())
        if self._digest is not None:
            self._digest.reach(self.done)

    def end(self) -> None:
        """Stop the clock here; it may be stopped again, later."""
        self._ended = time.monotonic_ns()

    def transfer(
        self,
        action: Literal["sent", "received"],
        path: str,
        peer: str,
        sha256: str | None,
        *,
        verified: bool,
        ended: bool = True,
        remarks: Iterable[str] = (),
    ) -> Transfer:
        """Return what has become of it."""
        octets, duration = self.done - self._begin, self._ended - self._began
        return Transfer(
            action=action,
            path=path,
            peer=peer,
            octets=octets,
            size=self.done,
            resumed_from=self._begin,
            duration_ns=duration,
            octets_per_second=octets * 1_000_000_000 // max(duration, 1),
            sha256=sha256,
            verified=verified,
            peer_ended=ended,
            remarks=tuple(remarks) if sha256 else (*remarks, _NO_DIGEST),
        )


def _answer_offer(wire: Wire, source: SourceFile, digest: FileHash) -> int:
    """Agree with the receiver on where to begin."""
    patience = wire.idle or _HELLO_S
    words = b""
    with _hello(wire, patience), wire.by(patience):
        while (have := read_begin_of_offer(words, wire.peer)) is None:
            octets = wire.receive(LINE_LIMIT)
            words += octets or b"\n"  # what there is is no offer
    wire.unread(words)
    # The peer computes its digest, so do we; the thread goes on from there afterwards.
    mine = _digest(digest, have, source.path) if have <= source.size else None
    # What it says that it has is not what decides how long we wait for it.
    patience += min(have, source.size) // _SLOWEST_HASH
    offer = read_offer(wire.receive_line(LINE_LIMIT, patience), wire.peer)
    begin = have if offer.sha256 == mine else 0
    wire.send(answer_line(source.size, begin))
    return begin


def _make_offer(wire: Wire, part: PartFile, digest: FileHash) -> tuple[int, int]:
    """Agree with the sender on where to begin; return that, and the size of the file."""
    patience = wire.idle or _HELLO_S
    have = part.octets
    wire.send(begin_of_offer(have))
    wire.send(rest_of_offer(_digest(digest, have, part.part) or ""))
    with _hello(wire, patience + have // _SLOWEST_HASH):
        line = wire.receive_line(LINE_LIMIT, wire.idle)
    answer = read_answer(line, have, wire.peer)
    if answer.begin < have:
        part.clear()
        digest.restart()
    return answer.begin, answer.size


def _compare(wire: Wire, digest: FileHash, size: int) -> None:
    """Compare the digests of both sides; tell the sender where they differ."""
    theirs = read_digest(wire.receive_line(LINE_LIMIT, wire.idle), wire.peer)
    ours = _digest(digest, size, wire.file)
    if ours == theirs:
        return
    with suppress(OSError, SockwrightError):  # that the file is not whole says more than this
        wire.send(DIFFERS + b"\n")
        wire.send_eof()
        wire.drain()  # a reset now could overtake the word
    raise TransferError(f"what came has the SHA-256 {ours}, the sender's file {theirs}")


def _read_verdict(wire: Wire, name: str) -> None:
    verdict = wire.receive_line(LINE_LIMIT, wire.idle)
    if verdict == DIFFERS:
        raise TransferError(
            f"{wire.peer} got octets with another SHA-256 than {name}: it was changed while it "
            "was sent, or the connection damaged it"
        )
    if verdict != STORED:
        raise TransferError(f"{wire.peer} does not say that it stored the file")


def _digest(digest: FileHash, octets: int, name: str) -> str | None:
    try:
        return digest.digest(octets)
    except EOFError as error:
        raise TransferError(f"{name} got shorter while it was moved: {error}") from error


@contextmanager
def _hello(wire: Wire, seconds: float) -> Iterator[None]:
    """Wait `seconds` for the first words of the protocol, and say what is missing without them."""
    idle, wire.idle = wire.idle, seconds
    try:
        yield
    except TimeoutError as error:
        raise TimeoutError(
            errno.ETIMEDOUT, f"{wire.peer} said nothing for {seconds:g} s; {_BOTH}"
        ) from error
    finally:
        wire.idle = idle


@contextmanager
def _resetting(wire: Wire) -> Iterator[None]:
    """Reset the connection when anything goes wrong."""
    try:
        yield
    except BaseException:
        wire.abort()
        raise


@contextmanager
def _keeping(part: PartFile) -> Iterator[None]:
    """Let errors tell what is kept."""
    try:
        yield
    except (OSError, SockwrightError) as error:
        kept = part.octets
        if not kept or not os.path.lexists(part.part):
            raise
        note = f"{part.part} keeps {kept} octets, --resume on both sides goes on with them"
        if isinstance(error, OSError):
            raise OSError(error.errno, f"{error.strerror or error}; {note}") from error
        error.args = (f"{error}; {note}",)
        raise


@contextmanager
def _opened(file: str | os.PathLike[str] | SourceFile) -> Iterator[SourceFile]:
    """Open the file for this transfer, unless it is open for several."""
    if isinstance(file, SourceFile):
        yield file
        return
    with SourceFile(os.fspath(file)) as source:
        yield source


def _opened_part(file: str | os.PathLike[str] | PartFile, *, resume: bool, force: bool) -> PartFile:
    return (
        file
        if isinstance(file, PartFile)
        else PartFile(os.fspath(file), resume=resume, force=force)
    )

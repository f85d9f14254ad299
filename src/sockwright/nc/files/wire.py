"""Moves octets between an open file and a connection.

`KernelWire` has the kernel do it, over a connected TCP, UNIX or vsock socket: sendfile(2) from the
file, splice(2) into it, so that no octet comes into this process. `StreamWire` does the same
through the methods of an object: TLS, and whatever else there is.

Rules
    1. A transfer that fails resets the connection: whoever dies in the middle, even by SIGKILL,
       must not look to the peer as if the file had ended. So SO_LINGER is (1, 0) from the start,
       which makes the kernel send RST instead of FIN, until `send_eof`. UNIX sockets know no RST.
    2. `idle` is the time without an octet. What the peer acknowledges counts, not what the kernel
       takes: with large buffers a slow peer is not heard of by poll(2) for minutes.
    3. What `receive_line` has read too much comes first in the next call.
    4. A line of the protocol has a time limit as a whole (`by`), or a peer could send it octet by
       octet for as long as it likes.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Protocol, cast

from sockwright.errors import TransferError
from sockwright.sockets.explain import explained

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KernelWire", "OctetStream", "StreamWire", "Wire", "open_wire", "unacknowledged"]

_PIPE = 1 << 20
_BUFFER = 256 << 10
_AT_ONCE = 1 << 30  # sendfile(2) moves 2 GiB at most, and a socket takes its buffer's worth
_LOOK_S = 0.5  # how often the peer's progress is looked at
_PATIENCE_S = 10.0  # for the end of a peer that has acknowledged everything
_LINGER = struct.Struct("@ii")  # struct linger, <sys/socket.h>
_RESET = _LINGER.pack(1, 0)
_INT = struct.Struct("@i")
# What the kernel says where splice(2) or sendfile(2) does not go between these two.
_NOT_IN_KERNEL = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
_FILE_ERRORS = {errno.EIO, errno.ESTALE, errno.EISDIR}


class OctetStream(Protocol):
    """A connection as an object: `Stream`, a conversation, or anyone's own."""

    def send_all(self, octets: bytes, /) -> object:
        """Send every octet."""

    def receive(self, limit: int, /) -> bytes:
        """Receive up to `limit` octets; none at all is the end."""

    def send_eof(self) -> object:
        """Say that nothing more will be sent."""

    def close(self) -> object:
        """Close it."""


class _ProgramStream(OctetStream, Protocol):
    """A conversation with a program, which also has a `process`."""

    def wait(self) -> int:
        """Wait until the program has ended; give its status."""


class Wire:
    """What the two ways have in common.

    `peer` and `file` are what errors call the ends; `idle` is in seconds, None is for ever.
    """

    def __init__(self, peer: str, file: str, idle: float | None) -> None:
        self.peer = peer
        self.file = file
        self.idle = idle
        self._over = b""
        self._deadline: float | None = None  # of all that is done, on the monotonic clock

    @property
    def here(self) -> bool:
        """Whether the peer is known to be on this machine."""
        return False

    def send_from(self, descriptor: int, offset: int, count: int) -> int:
        """Send up to `count` octets of the file from `offset` on; give how many, 0 at its end."""
        raise NotImplementedError

    def receive_to(self, descriptor: int, limit: int) -> int:
        """Receive 1 to `limit` octets and write them to the file; 0 is the end of the stream."""
        raise NotImplementedError

    def send(self, octets: bytes) -> None:
        """Send every octet."""
        raise NotImplementedError

    def receive(self, limit: int) -> bytes:
        """Receive 1 to `limit` octets; none at all is the end of the stream."""
        raise NotImplementedError

    def send_eof(self) -> None:
        """Say that nothing more will be sent; from now on closing is no reset."""
        raise NotImplementedError

    def drain(self) -> bool:
        """Wait for the peer's end; False where it keeps open but has acknowledged everything."""
        raise NotImplementedError

    def check_program(self) -> None:
        """Let the input of a program end, where the peer is one, and wait until it has ended.

        Raises:
            TransferError: it says by its status that it failed.
        """

    def finish(self) -> None:
        """Leave the connection as it was; it is the caller's again."""
        raise NotImplementedError

    def abort(self) -> None:
        """Reset the connection and close it; does not fail."""
        raise NotImplementedError

    @contextmanager
    def by(self, seconds: float | None) -> Iterator[None]:
        """Raise TimeoutError unless all that is done meanwhile is done in `seconds`."""
        idle, before = self.idle, self._deadline
        if seconds is not None:
            self.idle, self._deadline = seconds, monotonic() + seconds
        try:
            yield
        finally:
            self.idle, self._deadline = idle, before

    def _left(self) -> float | None:
        """Return how many seconds the next octet may take, None is for ever."""
        if self._deadline is None:
            return self.idle
        left = self._deadline - monotonic()
        if left <= 0:
            raise self._late("its line did not end")
        return left if self.idle is None else min(left, self.idle)

    def receive_line(self, limit: int, seconds: float | None) -> bytes:
        """Receive up to and without a line feed.

        The first octet takes `seconds` at most, in the place of `idle`, and the others together as
        many again. It is what came so far where that is longer than `limit`, or the stream ended.

        Raises:
            TransferError: the stream ended before the first octet.
            TimeoutError: nothing came in time.
        """
        idle, self.idle = self.idle, seconds
        try:
            line = self.receive(_BUFFER)
        finally:
            self.idle = idle
        if not line:
            raise TransferError(
                f"{self.peer} ended the connection without a word of the protocol that --resume "
                "needs on both sides"
            )
        with self.by(seconds):
            while (end := line.find(b"\n")) < 0 and len(line) <= limit:
                octets = self.receive(_BUFFER)
                if not octets:
                    break
                line += octets
        if end < 0:
            return line
        self.unread(line[end + 1 :])
        return line[:end]

    def unread(self, octets: bytes) -> None:
        """Put `octets` back in front of what is received next."""
        self._over = octets + self._over

    def _write(self, descriptor: int, octets: bytes) -> None:
        rest = memoryview(octets)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            raise explained(error, f"write {self.file}") from error

    def _taken(self, limit: int) -> bytes:
        octets, self._over = self._over[:limit], self._over[limit:]
        return octets

    def _error(self, doing: str, error: OSError, hint: str = "") -> OSError:
        return explained(error, f"{doing} {self.peer}", hint=hint)

    def _late(self, what: str) -> TimeoutError:
        return TimeoutError(errno.ETIMEDOUT, f"{self.peer}: {what} for {self.idle:g} s")


class KernelWire(Wire):
    """A connected stream socket, which does not wait while it is here."""

    def __init__(
        self, sock: socket.socket, peer: str, file: str, idle: float | None, early: bytes
    ) -> None:
        super().__init__(peer, file, idle)
        self._over = early
        self._socket = sock
        self._timeout = sock.gettimeout()
        self._linger = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.size)
        self._in_kernel = hasattr(os, "splice")
        self._pipe: tuple[int, int] | None = None
        self._poll = select.poll()
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    @property
    def here(self) -> bool:
        """Whether both ends have one address, or none that another machine could have."""
        if self._socket.family == socket.AF_UNIX:
            return True
        try:
            ours, theirs = self._socket.getsockname(), self._socket.getpeername()
        except OSError:  # gone already
            return False
        return bool(ours[0] == theirs[0])

    def send_from(self, descriptor: int, offset: int, count: int) -> int:
        """Send; see `Wire`."""
        while True:
            try:
                if self._in_kernel:
                    return os.sendfile(
                        self._socket.fileno(), descriptor, offset, min(count, _AT_ONCE)
                    )
                octets = os.pread(descriptor, min(count, _BUFFER), offset)
                return self._socket.send(octets) if octets else 0
            except BlockingIOError:
                self._wait(select.POLLOUT, "it took no octet")
            except OSError as error:
                if self._in_kernel and error.errno in _NOT_IN_KERNEL:
                    self._in_kernel = False
                elif error.errno in _FILE_ERRORS:
                    raise explained(error, f"read {self.file}") from error
                else:
                    raise self._error("send to", error, _lost(error)) from error

    def receive_to(self, descriptor: int, limit: int) -> int:
        """Receive; see `Wire`."""
        if not self._in_kernel or self._over:
            octets = self.receive(min(limit, _BUFFER))
            self._write(descriptor, octets)
            return len(octets)
        reading, writing = self._pipe or self._open_pipe()
        while True:
            try:
                count = os.splice(self._socket.fileno(), writing, min(limit, _PIPE))
                break
            except BlockingIOError:
                self._wait(select.POLLIN, "no octet came")
            except OSError as error:
                if error.errno in _NOT_IN_KERNEL:
                    self._in_kernel = False
                    return self.receive_to(descriptor, limit)
                raise self._error("receive from", error) from error
        rest = count
        try:
            while rest:
                rest -= os.splice(reading, descriptor, rest)
        except OSError as error:
            if error.errno not in _NOT_IN_KERNEL:
                raise explained(error, f"write {self.file}") from error
            self._in_kernel = False  # a file system that does not splice
            while rest:
                octets = os.read(reading, rest)
                self._write(descriptor, octets)
                rest -= len(octets)
        return count

    def send(self, octets: bytes) -> None:
        """Send; see `Wire`."""
        rest = memoryview(octets)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, "it took no octet")
            except OSError as error:
                raise self._error("send to", error, _lost(error)) from error

    def receive(self, limit: int) -> bytes:
        """Receive; see `Wire`."""
        while not self._over:
            try:
                return self._socket.recv(limit)
            except BlockingIOError:
                self._wait(select.POLLIN, "no octet came")
            except OSError as error:
                raise self._error("receive from", error) from error
        return self._taken(limit)

    def send_eof(self) -> None:
        """Send FIN; see `Wire`."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._error("half-close", error, _lost(error)) from error
        self._restore_linger()

    def drain(self) -> bool:
        """Wait for the peer's end; see `Wire`."""
        buffer = bytearray(_BUFFER)
        patience = monotonic() + _PATIENCE_S
        self._over = b""
        while True:
            try:
                if not self._socket.recv_into(buffer):
                    return True
            except BlockingIOError:
                if self.idle is not None:
                    self._wait(select.POLLIN, "all was sent, but it did not end its side")
                    continue
                if self._unacknowledged():
                    patience = monotonic() + _PATIENCE_S
                elif monotonic() > patience:
                    return False
                self._poll_for(select.POLLIN, _LOOK_S)
            except OSError as error:
                raise self._error("wait for the end of", error, _lost(error)) from error

    def finish(self) -> None:
        """Leave the socket as it was; see `Wire`."""
        self._restore_linger()
        self._socket.settimeout(self._timeout)
        self._close_pipe()

    def abort(self) -> None:
        """Reset and close; see `Wire`."""
        self._close_pipe()
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.close()

    def _restore_linger(self) -> None:
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, self._linger)

    def _open_pipe(self) -> tuple[int, int]:
        import fcntl

        self._pipe = os.pipe2(os.O_CLOEXEC)
        with suppress(OSError):  # past fs.pipe-user-pages-soft: a small one will do
            fcntl.fcntl(self._pipe[1], fcntl.F_SETPIPE_SZ, _PIPE)
        return self._pipe

    def _close_pipe(self) -> None:
        for descriptor in self._pipe or ():
            os.close(descriptor)
        self._pipe = None

    def _poll_for(self, event: int, seconds: float | None) -> bool:
        self._poll.register(self._socket.fileno(), event)
        return bool(self._poll.poll(None if seconds is None else seconds * 1000))

    def _wait(self, event: int, what: str) -> None:
        """Wait for `event`; TimeoutError where the peer makes no progress for `idle` seconds."""
        patience = self._left()
        if patience is None:
            self._poll_for(event, None)
            return
        before, deadline = self._unacknowledged(), monotonic() + patience
        while not self._poll_for(event, max(min(deadline - monotonic(), _LOOK_S), 0)):
            now = self._unacknowledged()
            if now < before and self._deadline is None:
                before, deadline = now, monotonic() + patience
            elif monotonic() >= deadline:
                raise self._late(what)

    def _unacknowledged(self) -> int:
        return unacknowledged(self._socket)


class StreamWire(Wire):
    """An object with `send_all` and `receive`, which wait by themselves."""

    def __init__(self, stream: OctetStream, peer: str, file: str, idle: float | None) -> None:
        super().__init__(peer, file, idle)
        self._stream = stream
        self._timeout = getattr(stream, "timeout", None)
        self._set_timeout()

    def send_from(self, descriptor: int, offset: int, count: int) -> int:
        """Send; see `Wire`."""
        octets = os.pread(descriptor, min(count, _BUFFER), offset)
        if octets:
            self.send(octets)
        return len(octets)

    def receive_to(self, descriptor: int, limit: int) -> int:
        """Receive; see `Wire`."""
        octets = self.receive(min(limit, _BUFFER))
        self._write(descriptor, octets)
        return len(octets)

    def send(self, octets: bytes) -> None:
        """Send; see `Wire`."""
        self._set_timeout()
        try:
            self._stream.send_all(octets)
        except OSError as error:
            if not (lost := _lost(error)):
                raise
            raise self._error("send to", error, lost) from error

    def receive(self, limit: int) -> bytes:
        """Receive; see `Wire`."""
        if self._over:
            return self._taken(limit)
        self._set_timeout()
        return self._stream.receive(limit)

    def send_eof(self) -> None:
        """Half-close; see `Wire`."""
        self._stream.send_eof()

    def drain(self) -> bool:
        """Wait for the peer's end; see `Wire`."""
        self._over = b""
        while self.receive(_BUFFER):
            pass
        return True

    def check_program(self) -> None:
        """Wait for the status of a program; see `Wire`."""
        from sockwright.nc.programs.process import Process, describe_status

        if not isinstance(getattr(self._stream, "process", None), Process):
            return
        program = cast("_ProgramStream", self._stream)
        self._set_timeout()
        program.send_eof()
        if how := describe_status(program.wait()):
            raise TransferError(f"{self.peer} {how}")

    def finish(self) -> None:
        """Leave the object as it was; see `Wire`."""
        if hasattr(self._stream, "timeout"):
            self._stream.timeout = self._timeout

    def abort(self) -> None:
        """Reset the socket inside, if there is one, before anything polite is sent; close."""
        inside = getattr(self._stream, "socket", None)
        if isinstance(inside, socket.socket):
            with suppress(OSError):
                inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            inside.close()
        self._stream.close()

    def _set_timeout(self) -> None:
        if hasattr(self._stream, "timeout"):
            left = self._left()
            self._stream.timeout = self._timeout if left is None else left


def unacknowledged(sock: socket.socket) -> int:
    """Return the octets sent that the peer has not acknowledged (SIOCOUTQ), 0 if unknown."""
    import fcntl
    import termios

    answer = bytearray(_INT.size)
    with suppress(OSError, ValueError):  # it is closed
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, answer)
    octets: int = _INT.unpack(answer)[0]
    return octets


def open_wire(stream: OctetStream | socket.socket, file: str, idle: float | None = None) -> Wire:
    """Return the fastest way to move a file over `stream`; `idle` None is what `stream` says.

    `file` is what errors call the file.

    Raises:
        ValueError: it keeps boundaries, where a file would be cut into messages.
    """
    peer = _peer_of(stream)
    inside = stream if isinstance(stream, socket.socket) else getattr(stream, "socket", None)
    keeps_boundaries = isinstance(inside, socket.socket) and inside.type != socket.SOCK_STREAM
    if keeps_boundaries or getattr(stream, "keeps_boundaries", False):
        raise ValueError(f"{peer} keeps boundaries; a file needs a stream of octets")
    if isinstance(stream, socket.socket):
        from sockwright.sockets.stream_socket import Stream

        return _socket_wire(Stream(stream), stream, peer, file, idle)
    if not _is_plain(stream):
        inside = None  # it is not for us: TLS, or somebody looks on
    return _socket_wire(stream, inside, peer, file, idle)


def _socket_wire(
    stream: OctetStream, sock: socket.socket | None, peer: str, file: str, idle: float | None
) -> Wire:
    if idle is None:
        idle = getattr(stream, "timeout", None)
    if type(sock) is not socket.socket:  # `ssl.SSLSocket` is another
        return StreamWire(stream, peer, file, idle)
    pending = getattr(stream, "pending", 0)
    return KernelWire(sock, peer, file, idle, stream.receive(pending) if pending else b"")


def _is_plain(stream: object) -> bool:
    """Whether the octets of the socket inside are those of the stream, and nobody looks on."""
    from sockwright.sockets.stream_socket import Stream

    if isinstance(stream, Stream):
        return True
    from sockwright.nc.talking.carrier import SocketCarrier
    from sockwright.nc.talking.conversing import ConversationCore

    if not isinstance(stream, ConversationCore):
        return False
    return type(stream.carrier) is SocketCarrier and not stream._taps  # noqa: SLF001  # a sibling


def _peer_of(stream: object) -> str:
    name = getattr(stream, "name", None)
    if isinstance(name, str) and name:
        return name
    if isinstance(stream, socket.socket):
        from sockwright.sockets.addresses import endpoint_of

        with suppress(OSError):
            return str(endpoint_of(stream, stream.getpeername()))
    with suppress(OSError):
        if address := getattr(stream, "remote_address", None):
            return str(address)
    return "the peer"


def _lost(error: OSError) -> str:
    if error.errno in {errno.EPIPE, errno.ECONNRESET}:
        return "the peer was gone before it had the whole file"
    return ""

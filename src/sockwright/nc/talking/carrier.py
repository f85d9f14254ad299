"""What carries the octets of a conversation: a socket, a file, a process.

A carrier never waits. Where nothing can be done now its methods give a `Pause`, which says what to
wait for; the blocking and the asyncio conversation wait for it in their own ways. Steps that may
have to wait are generators: they yield each pause, and are told whether what they wait for came
(True) or the pause's own time has passed (False).

Rules:

- errors are `OSError` with the text of `sockwright.sockets.explain`, or a `SockwrightError`;
- `send` of a carrier that keeps boundaries takes one message, whole;
- an empty `receive` is the end, except where `endless` says that there is none;
- close() may be called twice, does not wait and does not fail.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections import deque
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from sockwright.sockets.explain import explained

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from sockwright.nc.channels.channel import Channel
    from sockwright.nc.programs.process import Process
    from sockwright.nc.tls.options import TLSView
    from sockwright.sockets.base import BaseSocket
    from sockwright.sockets.endpoint import Endpoint

__all__ = [
    "GO_ON",
    "Carrier",
    "ChannelCarrier",
    "MessageCarrier",
    "Pause",
    "ProcessCarrier",
    "SocketCarrier",
    "Steps",
]

Side: TypeAlias = Literal["read", "write"]
T = TypeVar("T")
_BUFFER = 65536
# Seconds until the next look where no event tells.
_ASK_AGAIN = 0.01
_LARGEST_MESSAGE = 65535


class Pause:
    """Until one of `waits` (descriptor, side) is ready, or `seconds` have passed; None is for ever.

    Without waits and seconds it lets others run, and goes on.
    """

    __slots__ = ("seconds", "waits")

    def __init__(
        self, waits: tuple[tuple[int, Side], ...] = (), seconds: float | None = None
    ) -> None:
        self.waits: tuple[tuple[int, Side], ...] = waits
        self.seconds: float | None = seconds


Steps: TypeAlias = "Generator[Pause, bool, T]"
GO_ON = Pause()


class Carrier:
    """The two directions of a conversation; see the rules above.

    `name` is how messages call the other end. `socket` is the socket inside, or None.
    """

    keeps_boundaries = False
    endless = False

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def socket(self) -> socket.socket | None:
        """The socket inside, or None."""
        return None

    @property
    def tls(self) -> TLSView | None:
        """What TLS has agreed on with the peer; None where there is none, or not yet."""
        return None

    @property
    def local_address(self) -> Endpoint:
        """The endpoint here. Raises: OSError: ENOTSOCK, it is none."""
        raise OSError(errno.ENOTSOCK, f"{self.name} has no address: it is no socket")

    @property
    def remote_address(self) -> Endpoint:
        """The endpoint of the peer. Raises: OSError: ENOTSOCK, it is none."""
        raise OSError(errno.ENOTSOCK, f"{self.name} has no address: it is no socket")

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self.fileno() < 0

    def fileno(self) -> int:
        """Give the descriptor that is read, -1 when closed."""
        raise NotImplementedError

    def receive(self, limit: int) -> bytes | Pause:
        """Receive 1 to `limit` octets, or one message; no octets are the end."""
        raise NotImplementedError

    def send(self, octets: memoryview) -> int | Pause:
        """Take some of `octets`, and give how many; `flush` sees to it that they leave."""
        raise NotImplementedError

    def flush(self) -> Pause | None:
        """Send on what was taken and is still here; None when nothing is."""
        return None

    def send_eof(self) -> Pause | None:
        """Say that nothing more will be sent; None when that is done."""
        raise NotImplementedError

    def ending(self) -> Steps[None]:
        """Close politely, which may take a moment where a program is to end."""
        self.close()
        yield from ()

    def close(self) -> None:
        """Let go of everything at once."""
        raise NotImplementedError


class SocketCarrier(Carrier):
    """A connected stream socket."""

    def __init__(self, base: BaseSocket, name: str) -> None:
        super().__init__(name)
        base.socket.setblocking(False)
        self.base = base
        self._until_readable = Pause(((base.fileno(), "read"),))
        self._until_writable = Pause(((base.fileno(), "write"),))

    @property
    def socket(self) -> socket.socket | None:
        """The socket inside."""
        return self.base.socket

    @property
    def local_address(self) -> Endpoint:
        """The endpoint here."""
        return self.base.local_address

    @property
    def remote_address(self) -> Endpoint:
        """The endpoint of the peer."""
        return self.base.remote_address

    def fileno(self) -> int:
        """Give the descriptor."""
        return self.base.fileno()

    def receive(self, limit: int) -> bytes | Pause:
        """Receive; see `Carrier`."""
        try:
            return self.base.socket.recv(limit)
        except BlockingIOError:
            return self._until_readable
        except OSError as error:
            raise self._said("receive", error) from error

    def send(self, octets: memoryview) -> int | Pause:
        """Send; see `Carrier`."""
        try:
            return self.base.socket.send(octets)
        except BlockingIOError:
            return self._until_writable
        except OSError as error:
            raise self._said("send", error) from error

    def send_eof(self) -> Pause | None:
        """Send FIN."""
        try:
            self.base.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._said("half-close", error) from error
        return None

    def close(self) -> None:
        """Close the socket."""
        self.base.close()

    def _said(self, doing: str, error: OSError) -> OSError:
        # The socket knows most: addresses, and the ICMP message that a datagram came back with.
        return self.base._error(doing, error)  # noqa: SLF001 - what sockets tells its own package


class MessageCarrier(SocketCarrier):
    """A socket that keeps boundaries: udp and unix datagrams, which are `endless`, or seqpacket."""

    keeps_boundaries = True

    def __init__(self, base: BaseSocket, name: str, early: Iterable[bytes] = ()) -> None:
        super().__init__(base, name)
        self.endless: bool = base.socket.type == socket.SOCK_DGRAM
        self._early = deque(early)

    def receive(self, limit: int) -> bytes | Pause:
        """Receive one message, whole, whatever `limit` is."""
        if self._early:
            return self._early.popleft()
        return super().receive(max(limit, _LARGEST_MESSAGE))

    def send_eof(self) -> Pause | None:
        """End a seqpacket connection; datagrams have no end, nothing happens."""
        return None if self.endless else super().send_eof()


class ChannelCarrier(Carrier):
    """A channel of the event loop, without its loop: standard input and output, a file, a process.

    `reading` and `writing` are the descriptors to wait for, -1 where only asking again helps. With
    `sends` False it is not written to, with `receives` False there is nothing to read.
    """

    def __init__(
        self,
        channel: Channel,
        reading: int,
        writing: int,
        *,
        sends: bool = True,
        receives: bool = True,
        drops: bool = False,
        ends: bool = True,
    ) -> None:
        super().__init__(channel.name)
        self._channel = channel
        self._sends, self._receives, self._drops, self._ends = sends, receives, drops, ends
        self._reading, self._writing = reading, writing
        self._until_readable = _until(reading, "read")
        self._until_writable = _until(writing, "write")
        self._buffer = memoryview(bytearray(_BUFFER))
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    def fileno(self) -> int:
        """Give the descriptor that is read, else the one that is written; -1 if there is none."""
        return -1 if self._closed else max(self._reading, self._writing, key=lambda fd: fd >= 0)

    def receive(self, limit: int) -> bytes | Pause:
        """Read; see `Carrier`."""
        if self._closed:
            raise self._said("receive from", OSError(errno.EBADF, os.strerror(errno.EBADF)))
        if not self._receives:
            return b""
        try:
            count = self._channel.receive_into(self._buffer[:limit])
        except OSError as error:
            raise self._said("receive from", error) from error
        return self._until_readable if count is None else bytes(self._buffer[:count])

    def send(self, octets: memoryview) -> int | Pause:
        """Write; see `Carrier`."""
        if self._drops:
            return len(octets)
        if self._closed or not self._sends:
            closed = OSError(errno.EBADF, os.strerror(errno.EBADF))
            hint = "" if self._closed else "it is read; append=True or force=True writes to it"
            raise explained(closed, f"send to {self.name}", hint=hint)
        try:
            return self._channel.send(octets) or self._until_writable
        except OSError as error:
            raise self._said("send to", error) from error

    def send_eof(self) -> Pause | None:
        """End what is written, where there is a way to say so."""
        if self._sends and self._ends:
            try:
                self._channel.send_eof()
            except OSError as error:
                raise self._said("half-close", error) from error
        return None

    def close(self) -> None:
        """Close the channel."""
        if not self._closed:
            self._closed = True
            self._channel.close()

    def _said(self, doing: str, error: OSError) -> OSError:
        return explained(error, f"{doing} {self.name}")


def _until(descriptor: int, side: Side) -> Pause:
    return Pause(((descriptor, side),)) if descriptor >= 0 else Pause(seconds=_ASK_AGAIN)


class ProcessCarrier(Carrier):
    """A program by its standard input and output, or by its terminal; it ends with the carrier."""

    def __init__(self, process: Process, name: str) -> None:
        super().__init__(name)
        self.process = process
        for descriptor in {process.stdin, process.stdout}:
            os.set_blocking(descriptor, False)
        self._buffer = memoryview(bytearray(_BUFFER))

    def fileno(self) -> int:
        """Give the descriptor that is read."""
        return self.process.stdout

    def receive(self, limit: int) -> bytes | Pause:
        """Read what the program wrote; see `Carrier`."""
        try:
            return bytes(self._buffer[: self.process.read(self._buffer[:limit])])
        except BlockingIOError:
            return _until(self.process.stdout, "read")
        except OSError as error:
            raise explained(error, f"receive from {self.name}") from error

    def send(self, octets: memoryview) -> int | Pause:
        """Write to the program; see `Carrier`."""
        try:
            return self.process.write(octets)
        except BlockingIOError:
            return _until(self.process.stdin, "write")
        except OSError as error:
            raise explained(error, f"send to {self.name}") from error

    def send_eof(self) -> Pause | None:
        """Let the input of the program end, on a terminal by Ctrl-D."""
        try:
            self.process.send_eof()
        except BlockingIOError:
            return _until(self.process.stdin, "write")
        except OSError as error:
            raise explained(error, f"send to {self.name}") from error
        return None

    def waiting(self) -> Steps[int]:
        """Wait until the program has ended; give its status as `Process.status` has it."""
        while (status := self.process.poll()) is None:
            yield _until(self.process.pidfd, "read")
        return status

    def ending(self) -> Steps[None]:
        """Close, and end the program politely, within two seconds."""
        self.process.close_descriptors()
        for patience in self.process.last_steps():
            while self.process.poll() is None:
                if not (yield Pause(((self.process.pidfd, "read"),), patience)):
                    break
            if self.process.poll() is not None:
                return

    def close(self) -> None:
        """End the program at once."""
        self.process.close_descriptors()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

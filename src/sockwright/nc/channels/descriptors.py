"""Descriptors that are not ours alone: standard input and output, files, devices, FIFOs.

Others share standard input with us (the shell does), and O_NONBLOCK belongs to all of them. So a
pipe or a terminal is opened again through ``/proc/self/fd``, which gives a description of our own.
Where that is refused (another user made it, or there is no /proc), poll(2) is asked before each
read and write, and a write is never longer than PIPE_BUF, for which poll(2) promises room.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
from contextlib import suppress

from sockwright.nc.channels.channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.engine.loop import Loop

__all__ = [
    "DescriptorChannel",
    "SinkChannel",
    "file_channel",
    "sink_channel",
    "standard_channel",
]

_READ = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP
_WRITE = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
_NONE = -1


def poll_now(descriptor: int, event: int) -> bool:
    """Tell whether poll(2) has something to say of a descriptor: the event, or that it hung up."""
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(0))


class _Half:
    """One descriptor and how to use it without waiting."""

    __slots__ = ("awaits_writer", "descriptor", "file", "moves", "opened", "socket", "waits")

    def __init__(self, descriptor: int, flags: int, *, ours: bool) -> None:
        mode = os.fstat(descriptor).st_mode
        self.file = stat.S_ISREG(mode) or stat.S_ISBLK(mode)
        self.descriptor = descriptor
        self.opened = False  # by us
        self.socket: socket.socket | None = None
        self.waits = False
        self.moves = True  # whether the kernel may move octets here without waiting
        self.awaits_writer = False  # whether no octets are no end yet
        if stat.S_ISSOCK(mode):
            self.socket = socket.socket(fileno=os.dup(descriptor))
            # splice(2) and sendfile(2) wait for a socket, whatever their own flags say.
            self.moves = not os.get_blocking(descriptor)
        elif ours and not os.get_blocking(descriptor):
            # A FIFO that was opened without waiting for a writer; read(2) and splice(2) take that
            # for the end, but poll(2) knows.
            self.awaits_writer = flags == os.O_RDONLY and stat.S_ISFIFO(mode)
            self.moves = not self.awaits_writer
        elif not self.file:
            try:
                self.descriptor = os.open(
                    f"/proc/self/fd/{descriptor}",
                    flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC,
                )
                self.opened = True
            except OSError:
                self.waits = True
                self.moves = False

    def ready(self, event: int) -> bool:
        """Tell whether a call would not wait."""
        if not self.waits:
            return True
        return poll_now(self.descriptor, event)

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        elif self.opened:
            os.close(self.descriptor)


class DescriptorChannel(Channel):
    """A channel over one descriptor to read and one to write, each of any kind; -1 is none.

    Where there is none to read, nothing comes, not even an end.

    With `owns` they are closed with the channel. Otherwise they stay open, except that the end of
    the output is told by closing it where it is a pipe: its place is taken by /dev/null.
    """

    def __init__(self, reading: int, writing: int, name: str, *, owns: bool = False) -> None:
        super().__init__(name)
        self._reading, self._writing = reading, writing
        self._owns = owns
        self._in = None if reading == _NONE else _Half(reading, os.O_RDONLY, ours=owns)
        try:
            self._out = None if writing == _NONE else _Half(writing, os.O_WRONLY, ours=owns)
        except OSError:
            if self._in is not None:
                self._in.close()
            raise
        self._loop: Loop | None = None
        self._watched: list[int] = []
        self.gives = self._in is not None
        self.terminal = reading != _NONE and os.isatty(reading)
        if self._in is not None and self._in.moves:
            self.source = self._in.descriptor
        if self._out is not None and self._out.moves and not os.isatty(writing):
            self.sink = self._out.descriptor

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Watch what can be watched; files are always ready."""
        self._loop = loop

        def readable(events: int) -> None:
            if events & _READ:
                on_readable()

        def writable(events: int) -> None:
            if events & _WRITE:
                on_writable()

        if self._in is not None:
            self._watch(loop, self._in, readable, select.EPOLLIN)
        if self._out is not None:
            self._watch(loop, self._out, writable, select.EPOLLOUT)

    def _watch(self, loop: Loop, half: _Half, call: Callable[[int], None], event: int) -> None:
        descriptor = half.descriptor if half.socket is None else half.socket.fileno()
        if loop.watch(descriptor, call, event | select.EPOLLRDHUP | select.EPOLLET):
            self._watched.append(descriptor)

    def receive_into(self, buffer: memoryview) -> int | None:
        """Read; see `Channel`."""
        half = self._in
        if half is None:
            return None
        try:
            if half.socket is not None:
                return half.socket.recv_into(buffer, 0, socket.MSG_DONTWAIT)
            if not half.ready(select.POLLIN):
                return None
            count = os.readv(half.descriptor, [buffer])
            if count == 0 and half.awaits_writer and not poll_now(half.descriptor, select.POLLIN):
                return None
            return count  # noqa: TRY300 - as above
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.EIO and self.terminal:  # it hung up
                return 0
            raise

    def send(self, octets: memoryview) -> int:
        """Write; see `Channel`. Where nothing is to be written, everything is taken."""
        half = self._out
        if half is None:
            return len(octets)
        try:
            if half.socket is not None:
                return half.socket.send(octets, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            if not half.ready(select.POLLOUT):
                return 0
            return os.write(half.descriptor, octets[: select.PIPE_BUF] if half.waits else octets)
        except BlockingIOError:
            return 0

    def send_eof(self) -> None:
        """Close the output if its reader would wait for that: a pipe, or a socket."""
        half = self._out
        if half is None or half.file or self.terminal or os.isatty(self._writing):
            return
        self._forget(half)
        if half.socket is not None:
            with suppress(OSError):  # its peer is gone
                half.socket.shutdown(socket.SHUT_WR)
        half.close()
        self._out, self.sink = None, -1
        if not self._owns:
            nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nothing, self._writing)
            os.close(nothing)
        elif self._writing != self._reading:
            os.close(self._writing)
            self._writing = _NONE

    def _forget(self, half: _Half) -> None:
        descriptor = half.descriptor if half.socket is None else half.socket.fileno()
        if self._loop is not None and descriptor in self._watched:
            self._watched.remove(descriptor)
            self._loop.unwatch(descriptor)

    def close(self) -> None:
        """Close what was opened, and what is owned."""
        for half in (self._in, self._out):
            if half is not None:
                self._forget(half)
                half.close()
        self._in = self._out = None
        self.source = self.sink = -1
        if self._owns:
            for descriptor in {self._reading, self._writing} - {_NONE}:
                with suppress(OSError):  # octets that a file could not take were told of before
                    os.close(descriptor)
            self._reading = self._writing = _NONE


class SinkChannel(DescriptorChannel):
    """A channel that is only written to, and owns its descriptor.

    Nothing comes from it but its end, once it was told that nothing more will be written.
    """

    def __init__(self, writing: int, name: str) -> None:
        super().__init__(_NONE, writing, name, owns=True)
        self._on_readable: Callable[[], None] | None = None
        self._ended = False

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Watch the descriptor, unless it is that of a file."""
        super().attach(loop, on_readable, on_writable)
        self._on_readable = on_readable

    def receive_into(self, buffer: memoryview) -> int | None:  # noqa: ARG002  # nothing comes
        """Give the end, once there is one; see `Channel`."""
        return 0 if self._ended else None

    def send_eof(self) -> None:
        """End."""
        super().send_eof()
        self._ended = True
        if self._loop is not None and self._on_readable is not None:
            self._loop.soon(self._on_readable)


def standard_channel(*, reads: bool = True, writes: bool = True) -> DescriptorChannel:
    """Give standard input and standard output of this process.

    With `reads` false the input is left alone and never ends; with `writes` false what would be
    written is dropped.

    Raises:
        OSError: EBADF, one of them is closed.
    """
    channel = DescriptorChannel(
        0 if reads else _NONE, 1 if writes else _NONE, "standard input and output"
    )
    if not writes:
        channel.gone = True  # no answer is waited for that nobody takes (--send-only)
    return channel


def file_channel(path: str, *, reads: bool, writes: bool, waits: bool = True) -> DescriptorChannel:
    """Open a file, FIFO or device to read from, to write to (it is made, or emptied), or both.

    Where `waits` is false nothing comes from a FIFO until somebody writes to it; else opening it
    waits for that.

    Raises:
        OSError: it cannot be opened so.
    """
    if reads and writes:
        flags = os.O_RDWR
    else:
        flags = os.O_RDONLY if reads else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    if not waits:
        flags |= os.O_NONBLOCK
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOCTTY, 0o600)
    return DescriptorChannel(
        descriptor if reads else _NONE, descriptor if writes else _NONE, f"file:{path}", owns=True
    )


def sink_channel(
    path: str,
    *,
    force: bool = False,
    append: bool = False,
    name: str = "",
    waits: bool = True,
) -> SinkChannel:
    """Open a file, FIFO or device to write to it.

    A file is made, and one that is there is refused, unless `force` empties it or `append` goes on
    at its end. Messages call it `name`, or else by its path. Opening a FIFO that nobody reads
    `waits` for that, or is an error.

    Raises:
        OSError: EEXIST, it is there; ENXIO, nobody reads the FIFO; or what else the kernel says.
    """
    from sockwright.nc.taps.output import open_output

    with open_output(path, force=force, append=append, waits=waits) as file:
        return SinkChannel(os.dup(file.fileno()), name or f"file:{path}")

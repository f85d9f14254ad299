"""One direction of a session: octets from one channel to another, none lost, memory bounded.

A flow begins with copying, through the buffer of the loop: that is quickest for what is short. What
the sink does not take at once is kept, and nothing more is read until that is gone. After the first
MiB it takes the way that was measured to be the quickest between these two kinds:

    file -> socket            sendfile(2)
    pipe -> socket            copying, 256 KiB at a time, out of a pipe that is widened to 1 MiB
    socket -> pipe            splice(2)
    socket -> anything else   splice(2), through a pipe of our own

On loopback between two sockets, splice(2) with a pipe of 1 MiB moves 2.8 GB/s at 0.18 s of
processor time a GB; copying with a buffer of 256 KiB 2.1 GB/s at 0.3 s; a pipe of the usual 64 KiB
is slower than copying. A pipe holds pages of 4 KiB, and a socket that gets them one by one makes
work for everybody behind it: copied into the socket's own large pages they cost the sender 0.20 s a
GB and the receiver 0.09, spliced 0.30 and 0.18.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
from typing import TYPE_CHECKING, Protocol

from sockwright.errors import SockwrightError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.nc.channels.channel import Channel
    from sockwright.nc.engine.loop import Loop

__all__ = ["Flow", "Owner"]

_ROUNDS = 8  # reads before others have their turn
_BULK = 1 << 20  # octets after which the kernel is asked to do it
_PIPE = 1 << 20
_PIECE = 256 << 10
_NOT_WAITING = 2  # SPLICE_F_NONBLOCK
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.EBADF, errno.EOPNOTSUPP}


class Owner(Protocol):
    """Whom a flow tells of its end: a session, mostly."""

    def flow_ended(self, flow: Flow) -> None:
        """Hear that the source has ended, and that the sink took all of it."""

    def flow_failed(self, flow: Flow, channel: Channel, error: Exception) -> None:
        """Hear of an error of the source or the sink, which `channel` is.

        It is an `OSError`, or a `SockwrightError` that says all there is to say.
        """


class Flow:
    """Moves octets from `source` to `sink` whenever `pump` is called.

    `moved` counts what the sink took, `waiting` what it has not taken yet. Once it is `done`, which
    its owner is told, the flow does nothing any more.
    """

    __slots__ = (
        "_bulk",
        "_in_pipe",
        "_loop",
        "_move",
        "_named",
        "_own",
        "_owner",
        "_pending",
        "_pipe",
        "_rest",
        "_soon",
        "_wide",
        "done",
        "moved",
        "sink",
        "source",
    )

    def __init__(self, loop: Loop, source: Channel, sink: Channel, owner: Owner) -> None:
        self.source, self.sink = source, sink
        self.moved = 0
        self.done = False
        self._soon = False
        self._loop = loop
        self._owner = owner
        self._pending: memoryview | None = None
        self._pipe: tuple[int, int] | None = None
        self._in_pipe = 0
        self._move: Callable[[], bool] = self._copy
        self._named = source
        self._own: memoryview | None = None
        self._rest: memoryview | None = None
        self._wide = False  # counted in `Loop.pipes`
        self._bulk = _BULK if source.source >= 0 else -1

    @property
    def waiting(self) -> int:
        """How many octets were taken from the source that the sink has not taken yet."""
        kept = sum(len(rest) for rest in (self._pending, self._rest) if rest is not None)
        return kept + self._in_pipe

    @property
    def blocked(self) -> bool:
        """Whether there are octets that the sink does not take, here or still at the source."""
        if self.waiting:
            return True
        if self.done or self._move not in {self._send_file, self._splice_directly}:
            return False
        poll = select.poll()
        poll.register(self.source.source, select.POLLIN)
        return bool(poll.poll(0))

    def pump(self) -> None:
        """Move what can be moved now."""
        if not self.done and not self._soon and self._move():
            self._soon = True
            self._loop.soon(self._go_on)

    def _go_on(self) -> None:
        self._soon = False
        self.pump()

    def stop(self) -> None:
        """Move nothing any more, and let go of what waits; may be called twice."""
        self.done = True
        self._drop()
        self._own = self._rest = None
        self._narrow()

    def _narrow(self) -> None:
        """Have no pipe any more, and no share in those that there may be."""
        if self._pipe is not None:
            for descriptor in self._pipe:
                os.close(descriptor)
            self._pipe = None
            self._in_pipe = 0
        if self._wide:
            self._wide = False
            self._loop.pipes -= 1

    def _keep(self, rest: bytes) -> None:
        """Keep what the sink did not take; the loop knows how much all of them keep."""
        self._loop.kept += len(rest)
        self._pending = memoryview(rest)

    def _drop(self) -> None:
        """Keep nothing any more."""
        if self._pending is not None:
            self._loop.kept -= memoryview(
                self._pending.obj
            ).nbytes  # a view of a part holds all of it
            self._pending = None

    def _fail(self, channel: Channel, error: Exception) -> bool:
        self.done = True
        self._owner.flow_failed(self, channel, error)
        return False

    def _finish(self) -> bool:
        self.stop()
        self._owner.flow_ended(self)
        return False

    # -- each returns whether there is more to do at once ------------------------------------------

    def _copy(self) -> bool:
        source, sink = self.source, self.sink
        buffer = self._loop.buffer
        if not source.keeps_boundaries:  # whose messages would be cut off
            buffer = buffer[: min(self._loop.share, sink.room)]
        for _ in range(_ROUNDS):
            if self._pending is None:
                try:
                    count = source.receive_into(buffer)
                except (OSError, SockwrightError) as error:
                    return self._fail(source, error)
                if count is None or self.done:
                    return False
                if count == 0:
                    return self._finish()
                octets = buffer[:count]
            else:
                octets = self._pending
                count = len(octets)
            try:
                taken = sink.send(octets)
            except (OSError, SockwrightError) as error:
                if self._pending is None:
                    self._keep(bytes(octets))
                return self._fail(sink, error)
            if self.done:
                return False
            if taken:
                self.moved += taken
            if taken < count:
                if self._pending is None:
                    self._keep(bytes(octets[taken:]))
                else:
                    self._pending = octets[taken:]
                if not taken:
                    return False
            else:
                self._drop()
                if self.moved > self._bulk >= 0:
                    self._bulk = -1
                    self._choose()
                    return True
        return True

    def _choose(self) -> None:
        """Let the kernel move the octets, where it knows how.

        Each way but sendfile(2) takes a MiB and more, so only so many flows may go it at a time.
        """
        if self._loop.pipes >= self._loop.most_pipes:
            return
        source, sink = self.source.source, self.sink.sink
        from_mode = os.fstat(source).st_mode
        to_mode = os.fstat(sink).st_mode if sink >= 0 else 0
        if stat.S_ISREG(from_mode):
            if stat.S_ISSOCK(to_mode):
                self._move = self._send_file
            elif stat.S_ISFIFO(to_mode):
                self._go_directly(sink, self.source)
        elif stat.S_ISFIFO(from_mode):
            if sink < 0:  # TLS, say: larger pieces are all that helps
                self._take_part(_widen(source))
            elif not stat.S_ISSOCK(to_mode):
                self._go_directly(source, self.sink)
            elif self._take_part(_widen(source)):
                self._own = memoryview(bytearray(_PIECE))
                self._move = self._copy_wide
        elif stat.S_ISFIFO(to_mode):
            self._go_directly(sink, self.source)
        elif stat.S_ISSOCK(from_mode) and sink >= 0:
            try:
                self._pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:  # no descriptor is free: then copied it is
                return
            if self._take_part(_widen(self._pipe[1])):
                self._move = self._splice
            else:
                self._copy_again()

    def _take_part(self, wide: bool) -> bool:
        """Count this flow among the wide ones, if its pipe could be made so; return that."""
        if wide:
            self._wide = True
            self._loop.pipes += 1
        return wide

    def _go_directly(self, pipe: int, other: Channel) -> None:
        """Splice between `pipe` and the other end, which errors are of: a pipe has only one."""
        self._take_part(_widen(pipe))
        self._named = other
        self._move = self._splice_directly

    def _copy_again(self) -> None:
        """Go back to copying, with what stands in the pipe."""
        self._move = self._copy
        if self._pipe is not None and self._in_pipe:
            self._keep(os.read(self._pipe[0], self._in_pipe))
        self._narrow()

    def _send_file(self) -> bool:
        for _ in range(_ROUNDS):
            try:
                count = os.sendfile(self.sink.sink, self.source.source, None, _PIPE)
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno in _CANNOT:
                    self._copy_again()
                    return True
                return self._fail(self.sink, error)
            if count == 0:
                return self._finish()
            self.moved += count
        return True

    def _copy_wide(self) -> bool:
        if self._own is None:
            return False
        for _ in range(_ROUNDS):
            if self._rest is None:
                try:
                    count = os.readv(self.source.source, [self._own])
                except BlockingIOError:
                    return False
                except OSError as error:
                    return self._fail(self.source, error)
                if count == 0:
                    return self._finish()
                self._rest = self._own[:count]
            try:
                taken = self.sink.send(self._rest)
            except (OSError, SockwrightError) as error:
                return self._fail(self.sink, error)
            if self.done or not taken:
                return False
            self.moved += taken
            self._rest = self._rest[taken:] if taken < len(self._rest) else None
        return True

    def _splice_directly(self) -> bool:
        for _ in range(_ROUNDS):
            try:
                count = os.splice(self.source.source, self.sink.sink, _PIPE, flags=_NOT_WAITING)
            except BlockingIOError:  # nothing to take, or no room for it: either end will tell
                return False
            except OSError as error:
                if error.errno in _CANNOT:
                    self._copy_again()
                    return True
                named = self.sink if error.errno == errno.EPIPE else self._named
                return self._fail(named, error)
            if count == 0:
                return self._finish()
            self.moved += count
        return True

    def _splice(self) -> bool:
        if self._pipe is None:
            return False
        out, into = self._pipe
        for _ in range(_ROUNDS):
            if not self._in_pipe:
                try:
                    self._in_pipe = os.splice(self.source.source, into, _PIPE, flags=_NOT_WAITING)
                except BlockingIOError:
                    return False
                except OSError as error:
                    if error.errno in _CANNOT:
                        self._copy_again()
                        return True
                    return self._fail(self.source, error)
                if self._in_pipe == 0:
                    return self._finish()
            try:
                count = os.splice(out, self.sink.sink, self._in_pipe, flags=_NOT_WAITING)
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno in _CANNOT:
                    self._copy_again()
                    return True
                return self._fail(self.sink, error)
            self._in_pipe -= count
            self.moved += count
        return True


def _widen(pipe: int) -> bool:
    """Make a pipe wide enough to be worth it; an ordinary user has only so many wide ones."""
    try:
        if fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) < _PIPE:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
    except OSError:
        return False
    return True

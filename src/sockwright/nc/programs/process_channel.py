"""``exec:`` and ``pty:`` in the event loop: a started program as one end of a session."""

from __future__ import annotations

import atexit
import os
import select
import threading
from contextlib import suppress
from time import monotonic

from sockwright.nc.channels.channel import Channel
from sockwright.nc.programs.process import Process, start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sockwright.nc.engine.loop import Loop, Timer

__all__ = ["ProcessChannel", "open_process"]

_READ = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR
_WRITE = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
_TRY_AGAIN_S = 0.05


class ProcessChannel(Channel):
    """A program as one end of a session; closing the channel ends the program.

    `status` is None until the program has been reaped, then as `Process.status`; `on_exit(status)`,
    where it is set, is called at that moment: in a thread, where the channel was closed before it
    was attached. A program may stop reading before the peer stops sending, as ``head -1`` does, and
    that is no failure: what comes then is dropped, and `unread` counts it.
    """

    def __init__(self, process: Process, name: str) -> None:
        super().__init__(name)
        self.process = process
        self.on_exit: Callable[[int], None] | None = None
        self.unread: int = 0
        self._loop: Loop | None = None
        self._steps: Iterator[float | None] | None = None
        self._timer: Timer | None = None
        self._deadline = 0.0  # of the last step, on the monotonic clock
        self._pidfd = process.pidfd
        self._cleared = False
        self._thread: threading.Thread | None = None  # that ends what was never attached
        for descriptor in {process.stdin, process.stdout}:
            os.set_blocking(descriptor, False)
        # The kernel may take octets from a pipe by itself, but cannot tell of a terminal's end, nor
        # does it drop what a program does not read.
        if not process.terminal:
            self.source = process.stdout

    @property
    def status(self) -> int | None:
        """How the program ended; None: it runs, or has not been reaped."""
        return self.process.status

    @property
    def gone(self) -> bool:  # type: ignore[override]  # a plain value in other channels
        """Whether the program has ended."""
        return self.process.status is not None

    def attach(
        self, loop: Loop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Watch both directions, and the end of the program, which may come before theirs."""
        self._loop = loop
        self._on_readable, self._on_writable = on_readable, on_writable
        loop.watch(self._pidfd, self._on_ended, select.EPOLLIN)
        if self.process.terminal:
            loop.watch(self.process.stdout, self._on_events)
        else:
            loop.watch(self.process.stdout, self._on_output, select.EPOLLIN | select.EPOLLET)
            loop.watch(self.process.stdin, self._on_input, select.EPOLLOUT | select.EPOLLET)

    def _on_events(self, events: int) -> None:
        if events & _READ:
            self._on_readable()
        if events & _WRITE and self.process.stdin >= 0:
            self._on_writable()

    def _on_output(self, _events: int) -> None:
        self._on_readable()

    def _on_input(self, _events: int) -> None:
        self._on_writable()

    def receive_into(self, buffer: memoryview) -> int | None:
        """Receive; see `Channel`."""
        try:
            return self.process.read(buffer)
        except BlockingIOError:
            return None

    def send(self, octets: memoryview) -> int:
        """Send; see `Channel`."""
        try:
            return self.process.write(octets)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            self.unread += len(octets)
            return len(octets)

    def send_eof(self) -> None:
        """Let the program's input end."""
        if self._loop is not None and not self.process.terminal:
            self._loop.unwatch(self.process.stdin)
        try:
            self.process.send_eof()
            self.unsent = 0
        except BlockingIOError:  # the terminal is full of what was sent before
            self.unsent = 1
            if self._loop is not None:
                self._loop.later(_TRY_AGAIN_S, self._send_eof_again)

    def _send_eof_again(self) -> None:
        if self.process.stdin >= 0:
            self.send_eof()
            if not self.unsent:
                self._on_writable()

    def close(self) -> None:
        """Let go of the program, and see to it that it ends.

        The loop does that by and by. Where it stops before, the end of the interpreter does the
        rest, all at the same time: two seconds at most. A channel that was never attached has no
        loop, but may have been opened in one, which must not wait: a thread does it.
        """
        if self._steps is not None:
            return
        self.source = -1
        if self._loop is not None:
            for descriptor in {self.process.stdin, self.process.stdout}:
                self._loop.unwatch(descriptor)
        self.process.close_descriptors()
        self._steps = self.process.last_steps()
        if self._reaped():
            return
        if self._loop is not None:
            atexit.register(self.finish)
            self._take_step()
            return
        self._take_step()  # here: the signal is not to depend on a thread
        try:
            self._thread = threading.Thread(target=self._end, name=f"end of {self.name}")
            self._thread.start()
        except RuntimeError:  # there are too many
            self._thread = None
            self._end()

    def finish(self) -> None:
        """Wait until the program has ended, two seconds at most; only after `close`."""
        if self._thread is not None:
            self._thread.join()
        else:
            self._end()

    def _end(self) -> None:
        while not self._reaped():
            left = self._deadline - monotonic()
            if self.process.wait(max(0.0, left)) is None:
                self._take_step()

    def _take_step(self) -> None:
        """Do the next thing that ends the program, and come back when that had its time."""
        if self._steps is None or self._reaped():
            return
        patience = next(self._steps, None)
        self._deadline = float("inf") if patience is None else monotonic() + patience
        if not self._reaped() and self._loop is not None and patience is not None:
            self._timer = self._loop.later(patience, self._take_step)

    def _on_ended(self, _events: int) -> None:
        self._reaped()

    def _reaped(self) -> bool:
        """Tell whether the program has ended; the first time that it has, clear up after it."""
        status = self.process.poll()
        if status is None:
            return False
        if not self._cleared:
            self._cleared = True
            if self._timer is not None:
                self._timer.cancel()
            if self._loop is not None:
                with suppress(ValueError):  # the loop is closed
                    self._loop.unwatch(self._pidfd)
            atexit.unregister(self.finish)
            if self.on_exit is not None:
                self.on_exit(status)
        return True


def open_process(
    words: Sequence[str],
    *,
    pty: bool = False,
    environment: Mapping[str, str] | None = None,
) -> ProcessChannel:
    """Start a program as one end of a session; see `sockwright.nc.programs.process.start`.

    `environment` is added to the small one that it gets (see `process.connection_variables`).

    Raises:
        NotPossibleError, OSError: as `start`.
    """
    process = start(words, pty=pty, variables=environment)
    return ProcessChannel(process, f"{'pty' if pty else 'exec'}:{process.name}")

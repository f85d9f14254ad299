"""A program that runs in a host of a lab, with the surface of `subprocess.Popen`.

The keeper of the lab starts it, not this process: so nothing forks here, whatever threads there
are, and the program belongs to the lab's PID namespace and ends with it. Its end shows on a pidfd,
its exit status comes over a pipe of its own.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import time
from pathlib import Path
from subprocess import TimeoutExpired
from typing import IO, TYPE_CHECKING, Self

from sockwright.lab.keeper import STATUS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

__all__ = ["Process"]

_CHUNK = 65536


class Process:
    """A running program: `args`, the pipes that were asked for, and `returncode` once it ended."""

    __slots__ = (
        "_pidfd",
        "_status",
        "args",
        "pid",
        "pid_inside",
        "returncode",
        "stderr",
        "stdin",
        "stdout",
    )

    def __init__(
        self,
        args: Sequence[str],
        *,
        pidfd: int,
        status: int,
        stdin: IO[bytes] | None,
        stdout: IO[bytes] | None,
        stderr: IO[bytes] | None,
    ) -> None:
        self.args = args
        #: The numbers of the process outside the lab and inside it.
        self.pid, self.pid_inside = _numbers_of(pidfd)
        self.returncode: int | None = None
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._pidfd = pidfd
        self._status = status

    def __repr__(self) -> str:
        state = "running" if self.returncode is None else f"returncode {self.returncode}"
        return f"<Process {self.pid} {self.args!r}, {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the program if it still runs, and close the pipes."""
        self.kill()
        self.wait()
        self.close_pipes()

    def __del__(self) -> None:
        for descriptor in (self._pidfd, self._status):
            if descriptor >= 0:
                os.close(descriptor)

    def close_pipes(self) -> None:
        """Close what is open of the three pipes."""
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def poll(self) -> int | None:
        """Return the exit status, minus the signal that ended it, or None while it runs."""
        with contextlib.suppress(TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait at most `timeout` seconds for the end, return the exit status.

        Raises: `subprocess.TimeoutExpired`; the program then still runs.
        """
        if self.returncode is None:
            if not _readable(self._status, timeout):
                raise TimeoutExpired(list(self.args), timeout or 0)
            octets = os.read(self._status, STATUS.size)
            # No status: the keeper ended, and the program with it.
            self.returncode = STATUS.unpack(octets)[0] if octets else -signal.SIGKILL
            os.close(self._pidfd)
            os.close(self._status)
            self._pidfd = self._status = -1
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the program has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(
        self,
        input: bytes | None = None,  # noqa: A002 - the name that subprocess has
        timeout: float | None = None,
    ) -> tuple[bytes, bytes]:
        """Write `input`, read both outputs to their end, wait: the outputs, empty if not piped.

        Raises: `subprocess.TimeoutExpired` with what came so far; the program then still runs.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        unsent = memoryview(input or b"")
        came = {pipe: bytearray() for pipe in (self.stdout, self.stderr) if pipe is not None}
        with selectors.DefaultSelector() as selector:
            for pipe in came:
                selector.register(pipe, selectors.EVENT_READ)
            if self.stdin is not None:
                if unsent:
                    os.set_blocking(self.stdin.fileno(), False)
                    selector.register(self.stdin, selectors.EVENT_WRITE)
                else:
                    self.stdin.close()
            while selector.get_map():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise self._expired(timeout or 0, came)
                for key, _ in selector.select(left):
                    if key.fileobj is self.stdin:
                        try:
                            unsent = unsent[os.write(key.fd, unsent[:_CHUNK]) :]
                        except BrokenPipeError:
                            unsent = unsent[:0]
                        if not unsent:
                            selector.unregister(self.stdin)
                            self.stdin.close()
                    else:
                        octets = os.read(key.fd, _CHUNK)
                        came[key.fileobj] += octets  # type: ignore[index]
                        if not octets:
                            selector.unregister(key.fileobj)
        try:
            self.wait(None if deadline is None else max(0, deadline - time.monotonic()))
        except TimeoutExpired:
            raise self._expired(timeout or 0, came) from None
        self.close_pipes()
        return self._outputs(came)

    def _outputs(self, came: dict[IO[bytes], bytearray]) -> tuple[bytes, bytes]:
        out = came.get(self.stdout, b"") if self.stdout else b""
        err = came.get(self.stderr, b"") if self.stderr else b""
        return bytes(out), bytes(err)

    def _expired(self, timeout: float, came: dict[IO[bytes], bytearray]) -> TimeoutExpired:
        return TimeoutExpired(list(self.args), timeout, *self._outputs(came))


def _readable(descriptor: int, timeout: float | None) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))


def _numbers_of(pidfd: int) -> tuple[int, int]:
    """Return the numbers of a process here and in its own PID namespace; -1 if it is gone."""
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        name, _, values = line.partition(":")
        if name == "NSpid" and values.split() not in ([], ["-1"]):
            numbers = [int(value) for value in values.split()]
            return numbers[0], numbers[-1]
    return -1, -1

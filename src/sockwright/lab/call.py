"""Run a Python function in a host of a lab.

The function runs in a copy of this process, made by fork(2), so it may be any callable: a closure,
a lambda, a bound method, with all the objects it can reach. What it does to them stays in the copy;
only its result, or its exception, comes back, by pickle over a pipe. (Pickle is safe there: what
arrives was pickled by this same program a moment ago.)

There are two forks. The first copy joins the namespaces; a process joins a PID namespace only with
its children, so the second copy is the one that runs the function, as a member of the lab that ends
with it. The first waits for it and passes its end on. Nobody else may have to: an orphan goes to
process 1 of the machine, not to that of the lab, and in a container that one may never wait, while
the lab cannot end before somebody did. So `Call.kill` asks the first copy to kill the second.

As with every fork, the copy has the thread that called and no other: a lock which another thread
held at that moment stays locked in it. Python 3.12 warns of that whenever a second thread exists;
here the copy runs the caller's own function and nothing behind its back, so the warning is
silenced and this paragraph stands in its place. `Host.run`, `Host.popen` and `Host.socket` do
not fork.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import socket
import struct
import sys
import time
import traceback
import warnings
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

from sockwright.lab import linux

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Call", "start"]

T = TypeVar("T")
_LENGTH = struct.Struct("=Q")
_KILL = signal.SIGUSR1  # to the first copy: kill the second
_GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Call(Generic[T]):
    """A function that runs in a host: wait for it with `result`."""

    __slots__ = ("_name", "_octets", "_pid", "_pipe", "_status")

    def __init__(self, name: str, pid: int, pipe: socket.socket) -> None:
        self._name = name
        self._pid = pid
        self._pipe = pipe
        self._octets = bytearray()
        self._status: int | None = None

    def result(self, timeout: float | None = None) -> T:
        """Wait at most `timeout` seconds and return what the function returned.

        Raises: what the function raised, with a note that tells where; `TimeoutError`, and the
        function still runs; `TypeError` if its result cannot be pickled; `ChildProcessError` if
        it ended without a result (`os._exit`, a signal, the end of the lab).
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._status is None:
            if self._is_whole():
                self._finish()
                break
            left = None if deadline is None else max(0, deadline - time.monotonic())
            if not select.select([self._pipe], [], [], left)[0]:
                raise TimeoutError(f"{self._name} still runs after {timeout} seconds")
            octets = self._pipe.recv(1 << 20)
            self._octets += octets
            if not octets:
                self._finish()
        if not self._is_whole():
            raise ChildProcessError(f"{self._name} ended without a result ({self._ending()})")
        good, value = pickle.loads(self._octets[_LENGTH.size :])  # noqa: S301 - see the module
        if not good:
            raise value
        answer: T = value
        return answer

    @property
    def done(self) -> bool:
        """Whether the function has ended; `result` then does not wait."""
        with contextlib.suppress(Exception):
            self.result(0)
        return self._status is not None

    def kill(self) -> None:
        """End the function at once (SIGKILL), if it still runs."""
        if self._status is None:
            os.kill(self._pid, _KILL)
            self._finish()

    def _is_whole(self) -> bool:
        # Not only the end of the pipe tells: what the function started may hold that open.
        return (
            len(self._octets) >= _LENGTH.size
            and len(self._octets) == _LENGTH.size + _LENGTH.unpack_from(self._octets)[0]
        )

    def _finish(self) -> None:
        self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        self._pipe.close()

    def _ending(self) -> str:
        if self._status is not None and (self._status > 128 or self._status < 0):
            return signal.Signals(abs(self._status) % 128).name
        return f"exit status {self._status}"


def start(
    name: str,
    namespaces: tuple[int, ...],
    function: Callable[[], T],
    *,
    passing: socket.socket | None = None,
    privileged: bool = True,
) -> Call[T]:
    """Start `function` in `namespaces` (descriptors, joined in that order).

    With `passing`, the result is a socket and is sent over that as a descriptor.
    """
    ours, its = socket.socketpair()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()  # or the copy would write it a second time
    # Held back until the first copy can do what it asks for.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {_KILL})
    try:
        pid = _fork()
        if pid == 0:
            ours.close()
            _join(namespaces, its, name, function, passing, privileged=privileged, mask=mask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    its.close()
    return Call(name, pid, ours)


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads: see the module
        return os.fork()


def _join(
    namespaces: tuple[int, ...],
    pipe: socket.socket,
    name: str,
    function: Callable[[], object],
    passing: socket.socket | None,
    *,
    privileged: bool,
    mask: set[int | signal.Signals],
) -> NoReturn:
    """Be the first copy: join, fork the second, pass its end on."""
    try:
        directory = os.getcwd()  # noqa: PTH109 - a string is wanted
        for descriptor in namespaces:
            linux.setns(descriptor)
        with contextlib.suppress(OSError):
            os.chdir(directory)
        linux.set_dumpable()
        if not privileged:
            linux.drop_capabilities()
        first = os.pidfd_open(os.getpid())
        child = _fork()
    except BaseException as error:
        _send(pipe, name, good=False, value=error)
        os._exit(1)
    if child == 0:
        linux.die_with_parent()
        if select.select([first], [], [], 0)[0]:  # it has died before we could say so
            os._exit(1)
        os.close(first)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _work(pipe, name, function, passing)
    for number in _GROUP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(_KILL, lambda *_: _kill(child))
    signal.pthread_sigmask(signal.SIG_SETMASK, mask - {_KILL})
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if code >= 0 else 128 - code)


def _kill(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def _work(
    pipe: socket.socket,
    name: str,
    function: Callable[[], object],
    passing: socket.socket | None,
) -> NoReturn:
    """Be the second copy: run the function, send what came of it."""
    status = 0
    try:
        value = function()
        if passing is not None:
            socket.send_fds(passing, [b"s"], [value.fileno()])  # type: ignore[attr-defined]
            value.close()  # type: ignore[attr-defined]
            value = None
        _send(pipe, name, good=True, value=value)
    except BaseException as error:
        _send(pipe, name, good=False, value=error)
        status = 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(status)


def _send(pipe: socket.socket, name: str, *, good: bool, value: object) -> None:
    try:
        if isinstance(value, BaseException):
            value.add_note("".join([f"in {name}:\n", *traceback.format_exception(value)]).rstrip())
            octets = pickle.dumps((good, value))
            pickle.loads(octets)  # noqa: S301 - some exceptions pickle well and cannot be read
        else:
            octets = pickle.dumps((good, value))
    except Exception as error:
        if good:
            reason: Exception = TypeError(
                f"what {name} returned cannot come back, {type(value).__name__}: {error}; "
                "return plain data, or use open() for a socket"
            )
        else:
            reason = RuntimeError(f"{name} raised {type(value).__name__}: {value}")
            reason.__notes__ = list(getattr(value, "__notes__", ()))
        octets = pickle.dumps((False, reason))
    with contextlib.suppress(BrokenPipeError):
        pipe.sendall(_LENGTH.pack(len(octets)) + octets)

"""Files and checks of ports for asyncio: the blocking functions, in a thread of their own.

Rules:

- a transfer waits in the event loop as everything else does: its thread asks the conversation of
  asyncio for each piece. So taps, TLS and programs work, and cancelling ends the thread at once;
- one that is cancelled or fails closes the conversation, by RST where there is a TCP connection, so
  that the peer does not take a part for the whole. The kernel does the same where this process is
  killed: SO_LINGER is (1, 0), socket(7), until the end of the file is told;
- at most one piece is on its way between thread and loop, so memory is bounded.
"""

# ruff: noqa: ASYNC109 - `timeout` is the word of the blocking function too

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sockwright.nc.checking import check_ports as checking
from sockwright.nc.files import transfer as files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from sockwright.nc.aio import Conversation, ProcessConversation
    from sockwright.nc.checking.port_check import PortCheck
    from sockwright.nc.files.part_file import PartFile
    from sockwright.nc.files.source_file import SourceFile
    from sockwright.nc.files.transfer import Transfer, TransferProgress
    from sockwright.nc.programs.process import Process

__all__ = ["check_ports", "receive_file", "send_file"]

T = TypeVar("T")
_LINGER = struct.Struct("@ii")  # struct linger, <sys/socket.h>
_RESET = _LINGER.pack(1, 0)


async def send_file(
    conversation: Conversation,
    file: str | os.PathLike[str] | SourceFile,
    *,
    resume: bool = False,
    sha256: bool = False,
    idle: float | None = None,
    rate: float | None = None,
    progress: TransferProgress | None = None,
) -> Transfer:
    """Send a file as `sockwright.nc.send_file` does; when cancelled, the conversation is closed.

    Raises:
        FileRefusedError, TransferError, TimeoutError, OSError: as there.
    """
    how: dict[str, Any] = {
        "resume": resume,
        "sha256": sha256,
        "idle": idle,
        "rate": rate,
        "progress": progress,
    }
    return await _moved(conversation, partial(files.send_file, file=file, **how))


async def receive_file(
    conversation: Conversation,
    file: str | os.PathLike[str] | PartFile,
    *,
    resume: bool = False,
    force: bool = False,
    sha256: bool = False,
    idle: float | None = None,
    rate: float | None = None,
    progress: TransferProgress | None = None,
) -> Transfer:
    """Receive a file as `sockwright.nc.receive_file` does; when cancelled, ``FILE.part`` stays.

    Raises:
        FileRefusedError, TransferError, TimeoutError, OSError: as there.
    """
    how: dict[str, Any] = {
        "resume": resume,
        "sha256": sha256,
        "idle": idle,
        "rate": rate,
        "progress": progress,
    }
    return await _moved(conversation, partial(files.receive_file, file=file, force=force, **how))


async def check_ports(
    host: str,
    ports: Sequence[int],
    *,
    udp: bool = False,
    timeout: float = 3.0,
    at_once: int = 4000,
    family: int = 0,
    local: str = "",
    rate: float | None = checking.DEFAULT_RATE,
) -> AsyncIterator[PortCheck]:
    """Check ports as `sockwright.nc.check_ports` does, and yield each row as soon as it is known.

    Raises:
        ValueError, EndpointError, OSError: as there, with the first row.
    """
    loop = asyncio.get_running_loop()
    # One thread for all: what is asked of the generator last is to close itself.
    thread = ThreadPoolExecutor(1, "check_ports")
    check = partial(
        checking.check_ports,
        host,
        ports,
        udp=udp,
        timeout=timeout,
        at_once=at_once,
        family=family,
        local=local,
        rate=rate,
    )
    try:
        rows = await loop.run_in_executor(thread, check)
        try:
            while (row := await loop.run_in_executor(thread, next, rows, None)) is not None:
                yield row
        finally:
            thread.submit(rows.close)
    finally:
        thread.shutdown(wait=False)


async def _moved(conversation: Conversation, move: Callable[[_Stream], Transfer]) -> Transfer:
    stream = _Stream(conversation)
    # Not one of those that asyncio shares: whoever sends may wait for who receives.
    thread = ThreadPoolExecutor(1, "transfer")
    moving = asyncio.get_running_loop().run_in_executor(thread, move, stream)
    try:
        return await asyncio.shield(moving)
    except asyncio.CancelledError:
        stream.cancel()
        while not moving.done():  # its thread holds the file; it has nothing to wait for any more
            with suppress(asyncio.CancelledError):
                await asyncio.wait([moving])
        with suppress(Exception):
            moving.result()
        raise
    finally:
        thread.shutdown(wait=False)


class _Stream:
    """A conversation of asyncio as a thread sees it; `sockwright.nc.files.wire.OctetStream`."""

    def __init__(self, conversation: Conversation) -> None:
        self.name = conversation.name
        self.keeps_boundaries = conversation.keeps_boundaries
        self.timeout = conversation.timeout
        self.process: Process | None = getattr(conversation, "process", None)
        self._conversation = conversation
        self._loop = asyncio.get_running_loop()
        self._call: asyncio.Task[Any] | None = None
        self._cancelled = False
        self._linger = self._set_linger(_RESET)

    def send_all(self, octets: bytes) -> None:
        """Send every octet."""
        self._in_loop(self._conversation.send(octets, timeout=self.timeout))

    def receive(self, limit: int) -> bytes:
        """Receive up to `limit` octets; none at all is the end."""
        return self._in_loop(self._conversation.receive(limit, timeout=self.timeout))

    def send_eof(self) -> None:
        """Say that nothing more will be sent; from now on closing is no reset."""
        self._set_linger(self._linger)
        self._in_loop(self._conversation.send_eof(timeout=self.timeout))

    def wait(self) -> int:
        """Wait until the program has ended, where the peer is one (`process`); give its status."""
        program = cast("ProcessConversation", self._conversation)
        return self._in_loop(program.wait(timeout=self.timeout))

    def close(self) -> None:
        """Reset the connection, and close the conversation."""
        with suppress(OSError):
            self._in_loop(self._reset(), always=True)

    def cancel(self) -> None:
        """End what the thread waits for, and all that it may ask for later; called in the loop."""
        self._cancelled = True
        if self._call is not None:
            self._call.cancel()

    async def _reset(self) -> None:
        inside = self._conversation.socket
        if inside is not None and inside.fileno() >= 0:
            self._set_linger(_RESET)
            self._conversation.waiter.stop()
            inside.close()  # before anything polite is sent, as close_notify is
        self._conversation.close()

    def _in_loop(self, call: Coroutine[Any, Any, T], *, always: bool = False) -> T:
        """Let the loop do `call`, and wait for it in the thread."""

        async def called() -> T:
            if self._cancelled and not always:
                call.close()
                raise asyncio.CancelledError
            self._call = asyncio.current_task()
            return await call

        try:
            return asyncio.run_coroutine_threadsafe(called(), self._loop).result()
        except CancelledError:
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED)) from None

    def _set_linger(self, linger: bytes) -> bytes:
        """Set SO_LINGER where it means anything; give what it was."""
        inside = self._conversation.socket
        if inside is None or inside.family == socket.AF_UNIX:
            return linger
        before = inside.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.size)
        inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return before

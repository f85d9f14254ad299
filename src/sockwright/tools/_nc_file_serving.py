"""`sw nc -lk --send FILE`: the file to each who comes, a thread for each.

Rules
    1. At most `MOST` are served at once, or -m if that is less; the others wait in the backlog.
    2. A client that fails is one line; the others go on, and so does the listener.
    3. Descriptors are reckoned beforehand, and where they are few one line says so: out of them, a
       module that is yet to be read would be the end of all. Where the machine has none, nobody is
       accepted until a client has left.
    4. A client that takes nothing for `IDLE` seconds, or -w, is let go. So is one that takes less
       than `LEAST` octets a second while others wait because as many are served as can be: 64
       clients that say nothing, or drip, do not keep everybody out.
    5. The threads end with the process, and the kernel resets their connections then. To shut these
       down would send FIN, and half a file would look like a whole one.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
from collections import deque
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from sockwright.errors import SockwrightError
from sockwright.nc.files.source_file import SourceFile
from sockwright.nc.files.transfer import TransferProgress
from sockwright.nc.files.wire import unacknowledged
from sockwright.nc.serving.capacity import room_for
from sockwright.tools._nc_files import may_come, taps_reports, turned_away
from sockwright.tools._rows import Remark

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from sockwright.nc.access import Access
    from sockwright.nc.conversation import Conversation, Listener
    from sockwright.nc.engine.settings import Serving
    from sockwright.tools._nc_files import FileJob
    from sockwright.tools._nc_taps import Taps

__all__ = ["IDLE", "LEAST", "MOST", "serve_many"]

MOST = 64
"""Threads at once."""

IDLE = 60.0
"""Seconds."""

LEAST = 4096
"""Octets a second that a client takes at least while others wait."""

_SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE_MS = 500
_PATIENCE_S = 3.0  # seconds over which it is judged how much a client takes
_DIGEST_RATE = 2e8  # octets a second; --resume begins with the digest of what the client has


def serve_many(
    job: FileJob, listener: Listener, served: Serving, access: Access | None, taps: Taps
) -> Generator[object, None, None]:
    """Yield a row for each client that got the file, a remark for each that did not; for ever.

    Raises: OSError: nobody can be accepted any more.
    """
    if job.idle is None:
        job = replace(job, idle=IDLE)
    most = min(MOST, served.max_connections)
    room, _ = room_for(most, 1)
    if room < most:
        yield Remark(
            f"this process has descriptors for {room} client{'' if room == 1 else 's'} at once "
            "(ulimit -n); others wait"
        )
    clients = _Clients(job, room)
    poll = select.poll()
    poll.register(clients.news, select.POLLIN)
    others = select.poll()
    others.register(listener.fileno(), select.POLLIN)
    short = False
    while True:
        if clients.full or short:
            with suppress(KeyError):
                poll.unregister(listener.fileno())
        else:
            poll.register(listener.fileno(), select.POLLIN)
        pause = _PAUSE_MS if short or clients.full else None
        ready = {descriptor for descriptor, _ in poll.poll(pause)}
        short = False
        if clients.news in ready:
            yield from clients.told()
            yield from taps_reports(taps)
        if clients.full and others.poll(0):
            clients.let_go()
        if listener.fileno() in ready:
            try:
                conversation = listener.accept(timeout=0)
            except TimeoutError:  # it went before we came
                continue
            except OSError as error:
                if error.errno not in _SHORT_OF:
                    raise
                short = True
                yield Remark(f"{error.strerror}; nobody is accepted until one has left")
                continue
            if may_come(conversation, access):
                clients.serve(conversation)
            else:
                yield turned_away(conversation, access)


class _Client:
    """A client that is served, looked at from another thread than its own."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.progress = TransferProgress()
        self.let_go_for = ""
        self._socket = conversation.socket
        self._since: float | None = None  # others have been waiting, and what it had taken then
        self._taken = 0

    def judge(self, least: float, patience: float) -> None:
        """Let it go if it took less than `least` octets a second for `patience` seconds."""
        now = monotonic()
        seconds = 0.0 if self._since is None else now - self._since
        if 0 < seconds < patience or self._socket is None or self.let_go_for:
            return
        # What the kernel took for it counts only when the client has it.
        waiting = unacknowledged(self._socket)
        progress = self.progress
        taken = progress.done - waiting
        if not seconds:
            self._since, self._taken = now, taken
            return
        rate = (taken - self._taken) / seconds
        if not waiting and progress.begin < progress.done < (progress.total or 0):
            rate = least  # it waits for us; and a FIN now would be the end of half a file
        if rate < least:
            self.let_go_for = (
                f"let {self.conversation.name} go: it took {max(taken - self._taken, 0)} octets "
                f"in {seconds:.0f} s while others waited"
            )
            with suppress(OSError):  # it went by itself
                # This wakes its thread, which resets the connection. The FIN stands behind octets
                # that the client does not take, and does not come before the reset.
                self._socket.shutdown(socket.SHUT_RDWR)
        self._since, self._taken = now, taken


class _Clients:
    """The clients that are served now; `news` is readable when one has been."""

    def __init__(self, job: FileJob, most: int) -> None:
        self.news, self._ring = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._job = job
        self._most = most
        self._told: deque[object] = deque()
        self._threads: dict[threading.Thread, _Client] = {}
        least = float(LEAST) if job.rate is None else min(LEAST, job.rate / 2)
        digest = job.file.size if job.resume and isinstance(job.file, SourceFile) else 0
        self._judgement = least, _PATIENCE_S + digest / _DIGEST_RATE

    @property
    def full(self) -> bool:
        """Whether no more can be served now."""
        return len(self._threads) >= self._most

    def serve(self, conversation: Conversation) -> None:
        """Begin to serve a client."""
        client = _Client(conversation)
        thread = threading.Thread(target=self._serve, args=(client,), name=conversation.name)
        thread.daemon = True
        self._threads[thread] = client
        thread.start()

    def let_go(self) -> None:
        """Let those go that take next to nothing: others wait."""
        for client in self._threads.values():
            client.judge(*self._judgement)

    def told(self) -> Iterator[object]:
        """Yield the rows of those that have been served since."""
        with suppress(BlockingIOError):
            os.read(self.news, 65536)
        while self._told:
            row = self._told.popleft()
            if isinstance(row, threading.Thread):
                row.join()
                del self._threads[row]
            else:
                yield row

    def _serve(self, client: _Client) -> None:
        try:
            with client.conversation as conversation:
                self._job.begin(conversation)
                transfer = self._job.move(conversation, client.progress)
            self._told.extend(Remark(text) for text in transfer.remarks)
            self._told.append(transfer)
        except (OSError, SockwrightError) as error:
            text = error.strerror if isinstance(error, OSError) else None
            self._told.append(Remark(client.let_go_for or str(text or error)))
        finally:
            self._told.append(threading.current_thread())
            with suppress(BlockingIOError):  # full: it is readable anyway
                os.write(self._ring, b"\0")

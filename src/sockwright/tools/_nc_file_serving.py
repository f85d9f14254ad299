"""`sw nc -lk --send FILE`: the file to each who comes, a thread for each.

Rules
    1. At most `MOST` are served at once, or -m if that is less; the others wait in the backlog.
    2. A client that fails is one line; the others go on, and so does the listener.
    3. When no descriptor is free, nobody is accepted until a client has left, and one line says so.
    4. A client that takes nothing for `IDLE` seconds, or -w, is let go, or others could not come.
    5. The threads end with the process, and the kernel resets their connections then. To shut these
       down would send FIN, and half a file would look like a whole one.
"""

from __future__ import annotations

import errno
import os
import select
import threading
from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from sockwright.errors import SockwrightError
from sockwright.tools._nc_files import may_come, taps_reports, turned_away
from sockwright.tools._rows import Remark

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from sockwright.nc.access import Access
    from sockwright.nc.conversation import Conversation, Listener
    from sockwright.nc.settings import Serving
    from sockwright.tools._nc_files import FileJob
    from sockwright.tools._nc_taps import Taps

__all__ = ["IDLE", "MOST", "serve_many"]

MOST = 64
"""Threads at once."""

IDLE = 60.0
"""Seconds."""

_SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE_MS = 500


def serve_many(
    job: FileJob, listener: Listener, served: Serving, access: Access | None, taps: Taps
) -> Generator[object, None, None]:
    """Yield a row for each client that got the file, a remark for each that did not; for ever.

    Raises: OSError: nobody can be accepted any more.
    """
    if job.idle is None:
        job = replace(job, idle=IDLE)
    clients = _Clients(job, min(MOST, served.max_connections))
    poll = select.poll()
    poll.register(clients.news, select.POLLIN)
    short = False
    while True:
        if clients.full or short:
            with suppress(KeyError):
                poll.unregister(listener.fileno())
        else:
            poll.register(listener.fileno(), select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(_PAUSE_MS if short else None)}
        short = False
        if clients.news in ready:
            yield from clients.told()
            yield from taps_reports(taps)
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


class _Clients:
    """The clients that are served now; `news` is readable when one has been."""

    def __init__(self, job: FileJob, most: int) -> None:
        self.news, self._ring = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._job = job
        self._most = most
        self._told: deque[object] = deque()
        self._threads: dict[threading.Thread, Conversation] = {}

    @property
    def full(self) -> bool:
        """Whether no more can be served now."""
        return len(self._threads) >= self._most

    def serve(self, conversation: Conversation) -> None:
        """Begin to serve a client."""
        thread = threading.Thread(target=self._serve, args=(conversation,), name=conversation.name)
        thread.daemon = True
        self._threads[thread] = conversation
        thread.start()

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

    def _serve(self, conversation: Conversation) -> None:
        try:
            with conversation:
                self._job.begin(conversation)
                transfer = self._job.move(conversation, None)
            self._told.extend(Remark(text) for text in transfer.remarks)
            self._told.append(transfer)
        except (OSError, SockwrightError) as error:
            text = error.strerror if isinstance(error, OSError) else None
            self._told.append(Remark(str(text or error)))
        finally:
            self._told.append(threading.current_thread())
            with suppress(BlockingIOError):  # full: it is readable anyway
                os.write(self._ring, b"\0")

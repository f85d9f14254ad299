"""SHA-256 (FIPS 180-4) of a file from its start, taken by a thread while the file is moved.

hashlib and pread(2) free the GIL, so the thread has a processor of its own where there is one; it
reads what was just sent or written, out of the page cache. With the processor's SHA instructions it
does 1.7 GB/s, a third of what a file takes to get through loopback. So there are two ways:

- `must`: the digest is wanted, and the transfer waits whenever it is `LAG` octets ahead;
- else the digest is wanted if it costs no time: of what fits into `LAG`, and of what moves slower
  than `FAST`, which is every network up to 10 Gbit/s. `digest` gives None for anything else.
  Where both ends are on this machine, processors are what the transfer waits for, and a digest on
  either side costs more of them than the octets; there `FAST_HERE` is the limit, which tunnels and
  proxies on loopback stay below.

The file is read by pread(2): a mapping of a file that shrinks kills the process (SIGBUS).
"""

from __future__ import annotations

import os
import threading
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["FAST", "FAST_HERE", "LAG", "FileHash"]

LAG = 64 << 20
"""Octets that the transfer may be ahead of the digest."""

FAST = 1e9
"""Octets a second from which on a transfer is not held up by its digest."""

FAST_HERE = 1e8
"""The same where the peer is on this machine."""

_UNDECIDED_S = 0.05  # how long a transfer runs before its speed is known
_PIECE = 256 << 10  # stays in the processor's cache


class FileHash:
    """Follows a transfer through the file open as `descriptor`; `close` ends its thread.

    `here` says that the peer is on this machine.
    """

    def __init__(self, descriptor: int, *, must: bool = True, here: bool = False) -> None:
        self._descriptor = descriptor
        self._must = must
        self._fast = FAST_HERE if here else FAST
        self._began = monotonic()
        self._moved = threading.Condition()  # guards all below
        self._wanted = 0  # octets from the start that may be read
        self._done = 0
        self._failure: Exception | None = None
        self._closed = False
        self._given_up = False
        self._sha256 = sha256()
        self._thread: threading.Thread | None = None

    def reach(self, octets: int) -> None:
        """Say that the first `octets` of the file have been moved; may wait for the digest.

        Raises:
            OSError: the file cannot be read.
        """
        if self._given_up:
            return
        with self._moved:
            self._wanted = max(octets, self._wanted)
            self._moved.notify_all()
            if self._must:
                self._start()
                self._moved.wait_for(lambda: self._failure or self._wanted - self._done <= LAG)
                self._raise()
                return
            seconds = monotonic() - self._began
            if octets <= self._fast * seconds:
                if seconds > _UNDECIDED_S:
                    self._start()
            elif self._thread is not None and octets - self._done > LAG:
                self._given_up = self._closed = True

    def digest(self, octets: int) -> str | None:
        """Return the digest of the first `octets`, in hexadecimal digits; waits for it.

        None where it was not wanted at the price. It may be asked again with more octets.

        Raises:
            OSError: the file cannot be read.
            EOFError: the file has fewer octets.
        """
        with self._moved:
            if not self._must and self._thread is None and octets > LAG:
                self._given_up = True
            if self._given_up:
                return None
            self._wanted = octets
            self._start()
            self._moved.notify_all()
            self._moved.wait_for(lambda: self._failure or self._done >= octets)
            self._raise()
            return self._sha256.hexdigest()

    def restart(self) -> None:
        """Begin anew, with a file that was emptied; what was wanted before must be done."""
        with self._moved:
            self._wanted = self._done = 0
            self._sha256 = sha256()

    def close(self) -> None:
        """End the thread; it reads no more afterwards, so the file may be closed."""
        with self._moved:
            self._closed = True
            self._moved.notify_all()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="SHA-256", daemon=True)
            self._thread.start()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _follow(self) -> None:
        buffer = memoryview(bytearray(_PIECE))
        count = 0
        try:
            while span := self._next(count):
                done, size = span
                count = os.preadv(self._descriptor, [buffer[:size]], done)
                if not count:
                    raise EOFError(f"the file ends after {done} octets")  # noqa: TRY301  # told below
                self._sha256.update(buffer[:count])
        except (OSError, EOFError) as error:
            with self._moved:
                self._failure = error
                self._moved.notify_all()

    def _next(self, count: int) -> tuple[int, int] | None:
        """Count what is done; wait for more, return where it is and its size, None to end."""
        with self._moved:
            self._done += count
            self._moved.notify_all()
            self._moved.wait_for(lambda: self._closed or self._wanted > self._done)
            return None if self._closed else (self._done, min(self._wanted - self._done, _PIECE))

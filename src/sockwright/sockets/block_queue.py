"""Blocks of the ring that wait while something faster is made ready.

What is done with packets is done by Python as it runs, at first: that is enough for tens of
thousands a second, and it starts at once. Compiled functions are many times as fast and take a
third of a second to load. When a block shows many packets, `load` is called in a thread of its own,
and blocks are copied and set aside until it is ready: the ring has room for the next packets all
the while. A quiet network never pays for the loading.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from sockwright.sockets.ring import BLOCK_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.sockets.ring import Block

    # What is done with the octets of a block, the offset of its first frame, how many there are.
    Work = Callable[[memoryview | bytearray, int, int], None]

__all__ = ["BlockQueue"]

_BUSY: Final = 500
"""Frames in one block. A block is a hundredth of a second old at most, so this is 50 000 a second
and more."""
_MOST: Final = (1 << 29) // BLOCK_SIZE
"""Blocks that are set aside at most. After that they are worked on by Python all the same."""


class BlockQueue:
    """Has `work` done on blocks in order, and `load` called once when there are many packets.

    `load` makes `work` faster from its next call on. An error that it raises is raised by the next
    `take` or `empty`.
    """

    def __init__(self, work: Work, load: Callable[[], None] | None = None) -> None:
        self._work = work
        self._load = load
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._aside: deque[tuple[bytearray, int, int]] = deque()

    def take(self, block: Block) -> None:
        """Work on a block, or set it aside; it may be released after that."""
        if self._thread is None and self._load is not None and block.frames > _BUSY:
            self._thread = threading.Thread(target=self._run, name="load", daemon=True)
            self._thread.start()
        if self._thread is not None and self._thread.is_alive() and len(self._aside) < _MOST:
            self._aside.append((bytearray(block.octets), block.first, block.frames))
            return
        self.empty()
        self._work(*block)

    def empty(self) -> None:
        """Work on what was set aside."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        while self._aside:
            self._work(*self._aside.popleft())

    def _run(self) -> None:
        assert self._load is not None
        try:
            self._load()
        except Exception as error:  # told in the thread that asks
            self._error = error

"""What went over an interface of a host: a packet ring, read when wanted.

No thread and no process reads along: the kernel writes each frame into the ring
(`sockwright.sockets.ring`), and it is taken from there when somebody asks. So a capture has every
frame that has passed the interface by the moment of asking, up to the size of the ring: 32 MiB in
256 blocks, each of which holds what came within a few milliseconds. `dropped` says how many did not
fit. A plain socket would not do: its buffer may hold a few hundred frames when the user is not root
(net.core.rmem_max).

How many frames there must be is known from the kernel's own count (PACKET_STATISTICS), so nothing
is waited for twice.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Self

from sockwright.sockets.ring import PacketRing, frames

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from sockwright.sockets.filter import Instruction
    from sockwright.sockets.packet_socket import Frame

__all__ = ["Capture"]

_BLOCK_SIZE = 1 << 17  # octets: room for the largest frame of the loopback interface
_BLOCKS = 256
_RETIRE_MS = 5
_PATIENCE_S = 2.0  # far more than any block takes; reached only if the kernel breaks its word


class Capture:
    """Frames of one interface, from the making of this object until `close`.

    As a context manager it closes itself; `frames` stays readable after that.
    """

    __slots__ = ("_dropped", "_frames", "_ring", "interface")

    def __init__(
        self, sock: socket.socket, interface: str, program: Sequence[Instruction] = ()
    ) -> None:
        self.interface = interface
        self._frames: list[Frame] = []
        self._dropped = 0
        self._ring = PacketRing(
            sock, interface, program,
            buffer=_BLOCKS * _BLOCK_SIZE, retire_ms=_RETIRE_MS, block_size=_BLOCK_SIZE,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame, those to come as well, until the capture is closed."""
        seen = 0
        while True:
            yield from self._frames[seen:]
            seen = len(self._frames)
            if self._ring.closed:
                return
            self._take()
            if seen == len(self._frames):
                self._ring.wait(None)

    @property
    def frames(self) -> list[Frame]:
        """Every frame that has passed the interface so far, oldest first."""
        if not self._ring.closed:
            self._catch_up()
        return self._frames

    @property
    def dropped(self) -> int:
        """How many frames found the ring full."""
        if not self._ring.closed:
            self._dropped = self._ring.statistics().dropped
        return self._dropped

    def until(self, wanted: Callable[[Frame], bool], timeout: float = 5.0) -> Frame:
        """Return the first frame that is `wanted`, waiting at most `timeout` seconds for it.

        The end of a conversation may still be on its way when the program that had it goes on: wait
        for the frame that is the last one.

        Raises: `TimeoutError`.
        """
        deadline = time.monotonic() + timeout
        seen = 0
        while True:
            for frame in self._frames[seen:]:
                if wanted(frame):
                    return frame
            seen = len(self._frames)
            self._take()
            if seen == len(self._frames):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(
                        f"no such frame on {self.interface} in {timeout} s, {seen} others"
                    )
                self._ring.wait(left)

    def close(self) -> None:
        """Take what has come so far and stop."""
        if not self._ring.closed:
            with contextlib.suppress(OSError):
                self._catch_up()
            self._ring.close()

    def _catch_up(self) -> None:
        statistics = self._ring.statistics()
        self._dropped = statistics.dropped
        expected = statistics.accepted - statistics.dropped
        deadline = time.monotonic() + _PATIENCE_S
        self._take()
        while self._ring.taken < expected and time.monotonic() < deadline:
            self._ring.wait(_PATIENCE_S)
            self._take()

    def _take(self) -> None:
        """Take the frames of every block that the kernel has handed over."""
        while (block := self._ring.take()) is not None:
            self._frames.extend(frames(block, self.interface))
            self._ring.release()

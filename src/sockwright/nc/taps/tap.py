"""Taps: what looks on while octets go by, and never holds them up.

A recorder or a dump is made once, for a whole run; its `conversation()` gives a tap for each
connection. Whoever moves octets calls the tap, and where nobody asked for one there is nothing to
call: a conversation without taps pays nothing.

Rules
    1. A tap is done with the octets when its method returns: the memory may be used again.
    2. A tap raises nothing. What cannot be written any more (the disk is full) is told once, in one
       line, to the `report` of its maker, and the conversation goes on without it.
    3. When a method returns, what it was told has reached the kernel. A process that is killed
       loses nothing of it, and nobody has to call a tap while nothing happens.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Direction = Literal["sent", "received"]
    Octets = bytes | bytearray | memoryview

__all__ = ["Tap"]


class Tap:
    """Looks on at one conversation; this one does nothing, and all others are made from it.

    "sent" is what this side gave to the peer, "received" what the peer gave. Times are nanoseconds
    since 1970 (UTC).
    """

    __slots__ = ()

    def opened(self, local: str, remote: str, time_ns: int, *, accepted: bool = False) -> None:
        """Take note of the two ends, as `nc.ends` writes them: the text tells which kind they are.

        `accepted` is whether the peer came to us, which decides who sends the first SYN in a
        recording. An address should be the numeric one of the socket, where there is one.
        """

    def octets(self, direction: Direction, data: Octets, time_ns: int) -> None:
        """Take what went by in one piece; of datagrams, exactly one."""

    def ended(self, direction: Direction, time_ns: int) -> None:
        """Take note that nothing more will come in this direction: FIN; may be told twice."""

    def closed(self, time_ns: int, *, reset: Direction | None = None) -> None:
        """Take note that all is over; may be called twice.

        `reset` is the direction in which an RST went: "received" where the peer sent it.
        """

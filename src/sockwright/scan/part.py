"""What the parts of a scan have in common, for the driver (`sockwright.scan.running`).

A part never waits. `step` does what can be done now; whoever drives it waits until one of
`descriptors` is readable or `next_time` has come, and calls it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

    from sockwright.scan.asked_host import AskedHost
    from sockwright.scan.targets import Target

__all__ = ["Part", "PortScan"]


class Part(Protocol):
    """Something that goes on by steps. Times are seconds of `time.monotonic`."""

    @property
    def remarks(self) -> Sequence[str]:
        """What is to be said about the whole, as sentences."""

    @property
    def done(self) -> bool:
        """Whether there is nothing to do."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What becomes readable when `step` has something to do."""

    def next_time(self, now: float) -> float | None:
        """Return when `step` has something to do, whatever comes in; None: never."""

    def step(self, now: float) -> None:
        """Take in what came, send what may go."""

    def stop(self) -> None:
        """End with what is known."""

    def close(self) -> None:
        """Close everything; a second time does nothing."""


class PortScan(Part, Protocol):
    """A part that scans the ports of hosts, by one method."""

    @property
    def active(self) -> Sequence[AskedHost]:
        """The hosts that are being scanned."""

    @property
    def failure(self) -> str:
        """Why nothing more can be asked of anybody, if that is so: then the scan has to stop."""

    @property
    def finished(self) -> deque[AskedHost]:
        """The hosts that are done; to be taken out."""

    @property
    def opened(self) -> deque[tuple[AskedHost, int]]:
        """Open ports as they were found, the host and the index of the port; to be taken out."""

    def add(self, target: Target, rate: float | None, skip: Sequence[int] = ()) -> AskedHost:
        """Begin to scan a host, at most `rate` packets a second; `skip` are ports known already.

        Raises:
            OSError: there is no route to it, or no such zone.
        """

    def expect(self, loss: float, answers: int) -> None:
        """Let hosts to come be asked as loss that was seen elsewhere suggests, with its weight."""

"""One host of a TCP scan: ports that have answered are asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.scan.asked_host import AskedHost
from sockwright.scan.canaries import Canaries

if TYPE_CHECKING:
    from sockwright.scan.asked_host import Assignment

__all__ = ["TcpHost"]


class TcpHost(AskedHost):
    """A host and its TCP ports, see `AskedHost`; the method asks what `canaries` wants again."""

    __slots__ = ("canaries",)

    def __init__(self, given: Assignment, *, silent: int = 0) -> None:
        super().__init__(given, "tcp", silent=silent, asks_again=True)
        self.canaries = Canaries(self.pace, self.rounds)

    def finish(self) -> None:
        """Close the books; a limiter of RST is told from one of all packets."""
        if self.pace.limited and self.canaries.limit_resets:
            self.pace.limited = "reset"
        super().finish()

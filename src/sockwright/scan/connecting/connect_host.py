"""One host of a connect scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.scan.tcp_host import TcpHost

if TYPE_CHECKING:
    from sockwright.scan.asked_host import Assignment

__all__ = ["ConnectHost"]


class ConnectHost(TcpHost):
    """A host that is asked by connections; `flights` are the descriptors of those under way."""

    __slots__ = ("flights",)

    def __init__(self, given: Assignment) -> None:
        super().__init__(given)
        self.flights: set[int] = set()

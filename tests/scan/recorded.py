"""What a part of a scan that writes evidence has told of its packets."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Recorded", "Recorder"]


class Recorded(NamedTuple):
    """A packet as `sockwright.scan.sending.evidence.Record` is told it."""

    octets: bytes
    time_ns: int
    comment: str
    outgoing: bool | None
    link: str


class Recorder:
    """A `Record` that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Recorded] = []

    def __call__(
        self,
        octets: bytes,
        time_ns: int,
        comment: str = "",
        *,
        outgoing: bool | None = None,
        link: str = "",
    ) -> None:
        self.told.append(Recorded(octets, time_ns, comment, outgoing, link))

"""One packet of a capture, whatever format it came from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.records.captured_packet import CapturedPacket

__all__ = ["MAX_CAPTURED", "Record"]

MAX_CAPTURED = 262_144
"""Octets of one record that are read at most: the largest snapshot length of libpcap."""


@dataclass(slots=True)
class Record:
    """What was captured of one packet.

    `time_ns` is nanoseconds since 1970 (UTC), None where the format has no time for this packet;
    `original_length` the octets it had on the wire, of which `octets` may be only the first;
    `link_type` a `LINKTYPE_` value (1: Ethernet). `interface` and `comment` are a stranger's text:
    they may hold terminal escapes. Comments, where there are several, are lines.

    `interface_number` counts the interfaces of the file from 0, through all sections of a pcapng
    file. `flags` are those of pcapng (epb_flags), the direction among them; `dropped` is how many
    packets were lost between the one before on this interface and this one. Both are None where the
    file does not tell.
    """

    time_ns: int | None
    octets: bytes
    original_length: int
    link_type: int = 1
    interface: str | None = None
    comment: str | None = None
    interface_number: int = 0
    flags: int | None = None
    dropped: int | None = None

    @property
    def direction(self) -> str:
        """Which way the packet went: "in", "out", or "" where the file does not tell."""
        return ("", "in", "out", "")[(self.flags or 0) & 3]

    def decode(self, number: int = 0) -> CapturedPacket:
        """Return the packet, `number` its place in the capture; content never raises."""
        return _captured()(
            self.octets,
            self.link_type,
            number,
            self.time_ns,
            self.original_length,
            self.interface,
            self.comment,
        )


@cache
def _captured() -> Callable[..., CapturedPacket]:
    """Return what makes packets; an import statement in `decode` takes longer than all the rest."""
    from sockwright.records.captured_packet import captured

    return captured

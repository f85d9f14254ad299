"""One packet of a capture, whatever format it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sockwright.wire import Packet

__all__ = ["MAX_CAPTURED", "Record"]

MAX_CAPTURED = 262_144
"""Octets of one record that are read at most: the largest snapshot length of libpcap."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was captured of one packet.

    `time_ns` is nanoseconds since 1970 (UTC), None where the format has no time for this packet;
    `original_length` the octets it had on the wire, of which `octets` may be only the first;
    `link_type` a LINKTYPE_ value (1 is Ethernet). `interface` and `comment` are a stranger's text:
    they may hold terminal escapes.
    """

    time_ns: int | None
    octets: bytes
    original_length: int
    link_type: int = 1
    interface: str | None = None
    comment: str | None = None

    def decode(self) -> Packet:
        """Return the packet; content never raises, see `Packet.decode`."""
        from sockwright.wire import Packet

        return Packet.decode(self.octets, link_type=self.link_type)

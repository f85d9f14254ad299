"""What `Packet.verify()` has to say about a packet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sockwright.wire.core.header import Header
    from sockwright.wire.core.packet import Packet

__all__ = ["Finding", "Place", "Severity"]

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or odd, in a packet.

    `code` is stable and made for programs (``tcp-checksum``); `severity` is ``error`` (a receiver
    drops or misreads the packet), ``warning`` (legal nowhere on the public net, or a sign of a
    mistake) or ``note``; `layer` and `field` name the place (``tcp``, ``checksum``); `found` and
    `expected` are shown values; `reference` cites the rule; `message` is one sentence for people.
    """

    code: str
    severity: Severity
    layer: str
    field: str
    found: str
    expected: str
    reference: str
    message: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.layer}.{self.field}: {self.message} ({self.reference})"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a header stands in its packet, for the rules that need more than the header.

    `index` counts layers from 0; `octets` is the whole packet, in which the header starts at
    `start`, its body (everything it carries, to the end it claims) at `body_start` and that body
    ends at `end`. `upper` is the header that follows, `network` the nearest IP header around.
    `fragment` says that the body is a piece of a datagram, `truncated` that the capture cut it, so
    that checksums over the body cannot be judged.
    """

    packet: Packet
    index: int
    octets: bytes
    start: int
    body_start: int
    end: int
    upper: Header | None
    network: Header | None
    fragment: bool
    truncated: bool

    @property
    def body(self) -> bytes:
        """What the header carries, trailers excluded."""
        return self.octets[self.body_start : self.end]

    @property
    def whole(self) -> bytes:
        """The header and what it carries."""
        return self.octets[self.start : self.end]

"""The TCP probes: which flags they carry, and what the answers mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sockwright.scan.reasons import number_of

if TYPE_CHECKING:
    from sockwright.scan.settings import Method

__all__ = ["ACK", "KINDS", "RST", "SYN", "ProbeKind"]

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20


@dataclass(frozen=True, slots=True)
class ProbeKind:
    """One method of asking TCP ports.

    `flags` are those of the probe. Its cookie is the sequence number, and the acknowledgement
    number where ACK is set. The answer acknowledges `consumed` more than the sequence number (SYN
    and FIN take a place of their own, RFC 9293 section 3.4); to a probe with ACK it repeats the
    acknowledgement number as its sequence number (section 3.10.7.1).

    `silence` and `reset` are the reasons (`sockwright.scan.reasons`) of no answer and of RST.
    """

    method: Method
    flags: int
    consumed: int
    silence: int
    reset: int

    @property
    def acknowledges(self) -> bool:
        """Whether the probe carries ACK."""
        return bool(self.flags & ACK)


KINDS: Final = {
    "syn": ProbeKind(
        "syn", SYN, 1, number_of("no-response", "filtered"), number_of("reset", "closed")
    ),
    "ack": ProbeKind(
        "ack", ACK, 0, number_of("no-response", "filtered"), number_of("reset", "unfiltered")
    ),
    "fin": ProbeKind(
        "fin", FIN, 1, number_of("no-response", "open|filtered"), number_of("reset", "closed")
    ),
    "null": ProbeKind(
        "null", 0, 0, number_of("no-response", "open|filtered"), number_of("reset", "closed")
    ),
    "xmas": ProbeKind(
        "xmas",
        FIN | PSH | URG,
        1,
        number_of("no-response", "open|filtered"),
        number_of("reset", "closed"),
    ),
}

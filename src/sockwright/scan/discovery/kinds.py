"""The ways to ask a host whether it is there, and the words for what proves that it is."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sockwright.scan.targets.target import Target

__all__ = ["Answer", "Found", "Kind"]


class Kind(IntEnum):
    """A kind of probe; `SYN` and `ACK` are connect(2) where raw sockets are not allowed."""

    ECHO = 0
    SYN = 1
    ACK = 2
    TIMESTAMP = 3
    NEIGHBOUR = 4


class Answer(NamedTuple):
    """A packet that may answer a probe.

    `about` is the address that was asked, as octets, and `interface` the number of the one that
    the packet came in by. `proof` is what the packet gives back of the probe's cookie, None for
    kinds that have none. `attempt` is the try that it answers, 0 where it does not say. `sender`
    is who sent it, where that is not the host itself; `gone` whether it says that the host is not
    there. `acknowledges` is the number that a RST has to bear, for a SYN-ACK.
    """

    kind: Kind
    about: bytes
    reason: str
    proof: int | None = None
    attempt: int = 0
    ttl: int | None = None
    mac: str = ""
    interface: int = 0
    sender: bytes = b""
    gone: bool = False
    acknowledges: int | None = None


class Found(NamedTuple):
    """A host that is there, and what proves it.

    `reason` is nmap's word: ``arp-response``, ``nd-response``, ``echo-reply``, ``timestamp-reply``,
    ``syn-ack``, ``reset``, ``conn-accept``, ``conn-refused``, ``localhost-response``, ``user-set``,
    or that of an ICMP error which the host itself sent. `attempt` is the try that was answered.
    """

    target: Target
    reason: str
    rtt_ns: int | None = None
    ttl: int | None = None
    mac: str = ""
    attempt: int = 0

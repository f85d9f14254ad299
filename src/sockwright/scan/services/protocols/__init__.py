"""The protocols: what they are asked, and how their answers are read.

A file has a family of them. A reader takes octets and makes a `Finding`, or None: it does no I/O,
believes nothing, and takes linear time. To add a protocol, add its reader to a file and that file's
tuple; programs that speak it are entries of ``../data``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sockwright.scan.services.probe import read_safely
from sockwright.scan.services.protocols import (
    databases,
    datagram,
    mail,
    messaging,
    names,
    remote,
    small,
    tunnels,
    windows,
)
from sockwright.scan.services.protocols.http import HTTP, HTTP2
from sockwright.scan.services.protocols.ssh import SSH
from sockwright.scan.services.protocols.tls import TLS

if TYPE_CHECKING:
    from sockwright.scan.services.finding import Finding
    from sockwright.scan.services.probe import DatagramProbe, Greeting, Probe

__all__ = ["DATAGRAM_PROBES", "GREETINGS", "PROBES", "recognise", "recognise_datagram"]

GREETINGS: Final[tuple[Greeting, ...]] = (
    SSH,
    *mail.GREETINGS,
    *databases.GREETINGS,
    *messaging.GREETINGS,
    *remote.GREETINGS,
    *small.GREETINGS,
)
PROBES: Final[tuple[Probe, ...]] = (
    HTTP,
    TLS,
    HTTP2,
    *databases.PROBES,
    *windows.PROBES,
    *messaging.PROBES,
    *remote.PROBES,
    *small.PROBES,
    *names.PROBES,
    *datagram.STREAM_PROBES,
)
DATAGRAM_PROBES: Final[tuple[DatagramProbe, ...]] = (
    *names.DATAGRAM_PROBES,
    *datagram.PROBES,
    *tunnels.PROBES,
    *windows.DATAGRAM_PROBES,
    *remote.DATAGRAM_PROBES,
    *small.DATAGRAM_PROBES,
)


def recognise(octets: bytes) -> Finding | None:
    """Find the protocol of octets that came over TCP, whatever was asked."""
    readers = [*(one.read for one in GREETINGS), *(one.read for one in PROBES)]
    return next(
        (found for read in readers if (found := read_safely(read, octets)) is not None), None
    )


def recognise_datagram(octets: bytes) -> Finding | None:
    """Find the protocol of a datagram."""
    readers = [one.read for one in DATAGRAM_PROBES]
    return next(
        (found for read in readers if (found := read_safely(read, octets)) is not None), None
    )

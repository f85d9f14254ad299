"""What is done with one UDP port: the probes of its number, then those that fit anywhere.

Those that fit anywhere go out together, from one socket: each is a datagram, and whichever is
answered tells by its answer what it was. Everything is sent twice, since datagrams get lost.
"""

from __future__ import annotations

import socket
from time import monotonic
from typing import TYPE_CHECKING, Final

from sockwright.scan.services.finding import Finding
from sockwright.scan.services.iana import table_name
from sockwright.scan.services.probe import read_safely
from sockwright.scan.services.stream import NotReached
from sockwright.scan.services.waiting import READABLE, Wait, pause

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sockwright.scan.services.probe import DatagramProbe, Visit
    from sockwright.scan.services.waiting import Steps

__all__ = ["examine_datagrams"]

_TIMES: Final = 2
_ANSWER: Final = 1.5  # seconds; how far away the host is nobody knows yet
_APART: Final = 0.02  # seconds between datagrams that go together
_LARGEST: Final = 65535


def examine_datagrams(visit: Visit) -> Steps[Finding | None]:
    """Find out what answers; None where nobody said anything.

    Raises:
        NotReached: the host says that nobody is there.
    """
    from sockwright.scan.services.protocols import DATAGRAM_PROBES

    port = visit.place.port
    own = [probe for probe in DATAGRAM_PROBES if port in probe.ports]
    others = sorted(
        (probe for probe in DATAGRAM_PROBES if probe.everywhere and probe not in own),
        key=lambda probe: probe.everywhere,
    )
    unknown = b""
    for together in [*([probe] for probe in own), others[: 2 * visit.intensity]]:
        if visit.budget.spent or not together:
            break
        found = yield from _ask(visit, together)
        if isinstance(found, Finding):
            return found
        unknown = unknown or found
    if not unknown:
        return None
    name = table_name(port, "udp") or "unknown"
    finding = Finding(name, confidence=0.4, banner=unknown, read=False)
    finding.extra = "it answers, but not as any protocol that is known here"
    return finding


def _ask(visit: Visit, probes: Sequence[DatagramProbe]) -> Steps[Finding | bytes]:
    """Return what answers, or the octets that nobody could read, or none."""
    requests = {probe.octets(visit.place): probe for probe in probes}
    unknown = b""
    any_port = any(probe.any_port for probe in probes)
    with socket.socket(visit.place.family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        if not any_port:
            sock.connect(visit.place.address)
        for _ in range(_TIMES):
            for request in requests:
                yield from visit.turn(1)
                _send(sock, request, visit if any_port else None)
                if len(requests) > 1:
                    yield from pause(_APART)
            until = min(visit.budget.until, monotonic() + _ANSWER)
            while not visit.budget.spent and (yield Wait(sock.fileno(), READABLE, until)):
                for octets in _received(sock, visit):
                    if octets in requests:
                        return Finding("echo", confidence=0.85)
                    finding = _read(probes, octets)
                    if finding is not None:
                        finding.banner = finding.banner or octets
                        return finding
                    unknown = unknown or octets
            if unknown:
                break
    return unknown


def _send(sock: socket.socket, request: bytes, visit: Visit | None) -> None:
    try:
        if visit is not None:
            sock.sendto(request, visit.place.address)
        else:
            sock.send(request)
    except ConnectionRefusedError:
        raise NotReached("ICMP port unreachable") from None
    except BlockingIOError:
        pass  # it is lost, as datagrams are


def _received(sock: socket.socket, visit: Visit) -> Iterator[bytes]:
    """Give what is there, of the host that was asked, within the budget."""
    while visit.budget.octets > 0:
        try:
            octets, sender = sock.recvfrom(_LARGEST)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            raise NotReached("ICMP port unreachable") from None
        visit.budget.octets -= max(1, len(octets))
        if sender[0] == visit.place.address[0] and octets:
            yield octets


def _read(probes: Sequence[DatagramProbe], octets: bytes) -> Finding | None:
    from sockwright.scan.services.protocols import recognise_datagram

    for probe in probes:
        if (finding := read_safely(probe.read, octets)) is not None:
            return finding
    return recognise_datagram(octets)

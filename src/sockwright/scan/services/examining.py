"""What is done with one TCP port.

1. It is listened to: many servers speak first. How long depends on who lives on such ports; where
   a server is expected that waits, not at all.
2. Then it is asked, on the same connection if that lives, by the probes of its port, and then by
   those that fit anywhere, the likely ones first. A server that closes at once tells that it speaks
   something else, and costs no time; only silence does, so only so much of it is worth while.
3. Whatever comes is read by all readers: it does not matter what was asked. `protocols` has them.
4. Where it is TLS, the same is done inside.

On the ports of printers (9100 to 9107) nothing is sent: it would be printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sockwright.scan.services.finding import PROTOCOL_LIKELY, Finding
from sockwright.scan.services.iana import table_name
from sockwright.scan.services.probe import follow_up, read_safely
from sockwright.scan.services.stream import NotReached

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.scan.services.probe import Probe, Visit
    from sockwright.scan.services.stream import Stream
    from sockwright.scan.services.waiting import Steps

__all__ = ["NEVER_ASKED", "examine"]

NEVER_ASKED: Final = range(9100, 9108)
_GREETING_EXPECTED: Final = 4.0
_GREETING_POSSIBLE: Final = 0.5  # one that comes later is still read, by whatever was asked
_SLOW_GREETERS: Final = frozenset({25, 465, 587})  # some wait for clients that cannot: 6 s and more
_GREETING_SLOW: Final = 8.0
_MOST_FAILURES: Final = 2
_LIKELY: Final = range(1, 3)  # of `Probe.everywhere`: HTTP and TLS


def examine(visit: Visit) -> Steps[Finding | None]:
    """Find out what answers; None where nobody said anything."""
    examination = _Examination(visit)
    try:
        return (yield from examination.run())
    finally:
        examination.drop()


class _Examination:
    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.port = visit.place.port
        self.stream: Stream | None = None
        self.unknown = b""  # what nobody could read
        self.closed = self.silent = 0  # connections that ended so: without a word, or not at all

    def drop(self) -> None:
        if self.stream is not None:
            self.stream.close()
            self.stream = None

    def run(self) -> Steps[Finding | None]:
        own, others = self._probes()
        finding = yield from self._listen(asked=bool(own))
        if finding is None and self.port not in NEVER_ASKED:
            finding = yield from self._ask(own, others)
        if finding is not None:
            return finding
        if self.unknown:
            name = table_name(self.port, "tcp") or "unknown"
            finding = Finding(name, confidence=0.4, banner=self.unknown, read=False)
            finding.extra = "it speaks, but no protocol that is known here"
            return finding
        # A FIN that is lost, or a machine that is busy, looks like silence now and then.
        if self.closed >= self.silent and (yield from self._closes_unasked()):
            finding = Finding("tcpwrapped", confidence=PROTOCOL_LIKELY)
            finding.extra = "accepts connections and closes them without a word"
            return finding
        return None

    def _probes(self) -> tuple[list[Probe], list[Probe]]:
        """Return the probes of this port, and the others in their order."""
        from sockwright.scan.services.protocols import PROBES

        inside = self.visit.context is not None
        own = [one for one in PROBES if self.port in (one.tls_ports if inside else one.ports)]
        others = sorted(
            (
                one
                for one in PROBES
                if one.everywhere and one not in own and not (inside and one.name == "tls")
            ),
            key=lambda probe: probe.everywhere,
        )
        return own, others

    def _listen(self, *, asked: bool) -> Steps[Finding | None]:
        from sockwright.scan.services.protocols import GREETINGS, recognise

        inside = self.visit.context is not None
        greeters = {port for one in GREETINGS for port in (one.tls_ports if inside else one.ports)}
        stream = self.stream = yield from self.visit.dial()
        if self.port in _SLOW_GREETERS:
            wait = _GREETING_SLOW
        elif self.port in greeters or self.port in NEVER_ASKED:
            wait = _GREETING_EXPECTED
        else:
            wait = 0.0 if asked else _GREETING_POSSIBLE + 3 * self.visit.rtt
        octets = (yield from stream.receive_settled(wait)) if wait else b""
        if not octets:
            if wait:
                self._count(stream)
            return None
        return (yield from self._heard(recognise(octets), octets))

    def _ask(self, own: Sequence[Probe], others: Sequence[Probe]) -> Steps[Finding | None]:
        from sockwright.scan.services.protocols import recognise

        failures = 0
        # A port that closes costs nothing, so only silence counts.
        silences = 0
        for probe in [*own, *others]:
            expected = probe in own
            worth = expected or silences < 2 * self.visit.intensity - 2
            if self.visit.budget.spent or not worth:
                break
            if self.stream is None or not self.stream.open:
                self.drop()
                try:
                    self.stream = yield from self.visit.dial()
                except NotReached:
                    failures += 1
                    if failures >= _MOST_FAILURES:
                        break
                    continue
            # Packets get lost and programs are slow: what is likely gets the time for that.
            likely = expected or probe.everywhere in _LIKELY
            request = probe.octets(self.visit.place)
            octets = yield from self.stream.ask(request, self.visit.patience * (2 if likely else 1))
            if not octets:
                silences += self._count(self.stream) and not expected
            else:
                finding = (
                    read_safely(probe.read, octets) or _echoed(request, octets) or recognise(octets)
                )
                found = yield from self._heard(finding, octets)
                if found is not None:
                    return found
            self.drop()
        return None

    def _count(self, stream: Stream) -> bool:
        """Count a connection on which nothing was said; return whether it is silent, not closed."""
        self.silent += stream.open
        self.closed += not stream.open
        return stream.open

    def _closes_unasked(self) -> Steps[bool]:
        """Whether the port closes connections on which nothing was sent."""
        for _ in range(_MOST_FAILURES):
            self.drop()
            try:
                stream = self.stream = yield from self.visit.dial()
            except NotReached:
                continue
            octets = yield from stream.receive_settled(2 * self.visit.patience)
            return not octets and not stream.open
        return False

    def _heard(self, finding: Finding | None, octets: bytes) -> Steps[Finding | None]:
        if finding is None:
            self.unknown = self.unknown or octets
            return None
        finding.banner = finding.banner or octets
        if self.stream is not None:
            yield from follow_up(finding, self.visit, self.stream)
        return finding


def _echoed(request: bytes, octets: bytes) -> Finding | None:
    # RFC 862. A prefix will do: it may come back in pieces.
    if len(octets) >= 4 and request.startswith(octets):
        return Finding("echo", confidence=0.85)
    return None

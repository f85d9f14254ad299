"""What can be asked of a port, and who asks."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sockwright.scan.services.stream import connect

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from sockwright.scan.services.finding import Finding
    from sockwright.scan.services.stream import Budget, Place, Stream
    from sockwright.scan.services.waiting import Steps

__all__ = ["DatagramProbe", "Greeting", "Probe", "Visit", "follow_up", "read_safely"]

_PACKETS_PER_CONNECTION = 4  # of ours: SYN, ACK, request, FIN
# What a reader stumbles over where a length, an offset or a number is a lie.
_LIES = (IndexError, KeyError, ValueError, struct.error)


@dataclass(frozen=True, slots=True)
class Greeting:
    """A protocol whose server speaks first.

    `read` makes a `Finding` of the octets, or None where they are of another protocol. On `ports`
    (and on `tls_ports` inside TLS) the greeting is waited for longer.
    """

    name: str
    read: Callable[[bytes], Finding | None]
    ports: tuple[int, ...] = ()
    tls_ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """A protocol whose client speaks first, with `request`.

    It is asked first on its `ports` (`tls_ports` inside TLS), and on ports that tell nothing in
    the order of `everywhere`, beginning with 1; 0 keeps it to its own.
    """

    name: str
    request: bytes | Callable[[Place], bytes]
    read: Callable[[bytes], Finding | None]
    ports: tuple[int, ...] = ()
    tls_ports: tuple[int, ...] = ()
    everywhere: int = 0

    def octets(self, place: Place) -> bytes:
        """Return what is sent."""
        return self.request if isinstance(self.request, bytes) else self.request(place)


@dataclass(frozen=True, slots=True)
class DatagramProbe:
    """A protocol of datagrams; `any_port` takes answers from another port (TFTP, RFC 1350)."""

    name: str
    request: bytes | Callable[[Place], bytes]
    read: Callable[[bytes], Finding | None]
    ports: tuple[int, ...] = ()
    everywhere: int = 0
    any_port: bool = False

    def octets(self, place: Place) -> bytes:
        """Return what is sent."""
        return self.request if isinstance(self.request, bytes) else self.request(place)


class Visit:
    """One port while it is looked at: how to get there, and how long to wait.

    `intensity`, 0 to 9, is how many probes a port that tells nothing is worth. `turn` waits until
    so many more packets may be sent. `context` is set where what is looked at is inside TLS.
    """

    def __init__(
        self,
        place: Place,
        budget: Budget,
        *,
        intensity: int = 7,
        turn: Callable[[int], Steps[None]] | None = None,
    ) -> None:
        self.place = place
        self.budget = budget
        self.intensity = intensity
        self.context: ssl.SSLContext | None = None
        self.rtt = 0.5
        self._turn = turn

    @property
    def patience(self) -> float:
        """Seconds that a program is given to answer: it may be far away, and it may be slow."""
        return min(3.0, 0.75 + 4 * self.rtt)

    def turn(self, packets: int) -> Steps[None]:
        """Wait until so many more may be sent."""
        if self._turn is not None:
            yield from self._turn(packets)

    def dial(self) -> Steps[Stream]:
        """Connect, and shake hands where this is inside TLS.

        Raises:
            NotReached: the connection was not made.
        """
        stream = yield from self.dial_plain()
        if self.context is not None:
            import ssl

            from sockwright.scan.services.stream import NotReached

            try:
                yield from stream.start_tls(self.context, self.place.name)
            except ssl.SSLError as error:
                stream.close()
                raise NotReached(error.reason or "TLS failed") from None
            except BaseException:
                stream.close()
                raise
        return stream

    def dial_plain(self) -> Steps[Stream]:
        """Connect, without TLS. Raises: `NotReached`."""
        yield from self.turn(_PACKETS_PER_CONNECTION)
        # The kernel repeats its SYN after 1 and 3 seconds: two of them may be lost.
        stream = yield from connect(self.place, self.budget, 3.0 + 4 * self.rtt)
        self.rtt = min(self.rtt, stream.rtt)
        return stream

    def inside(self, context: ssl.SSLContext) -> Visit:
        """Return a visit to what is inside TLS at the same place, from the same budget."""
        visit = Visit(self.place, self.budget, intensity=self.intensity, turn=self._turn)
        visit.context, visit.rtt = context, self.rtt
        return visit

    def ask_again(self, octets: bytes, settle: float = 0.0) -> Steps[bytes]:
        """Ask one question over a connection of its own; nothing where there is no answer."""
        from sockwright.scan.services.stream import NotReached

        try:
            stream = yield from self.dial()
        except NotReached:
            return b""
        try:
            return (yield from stream.ask(octets, self.patience, settle))
        finally:
            stream.close()


def read_safely(read: Callable[[bytes], Finding | None], octets: bytes) -> Finding | None:
    """Read octets of strangers; a structure whose parts contradict each other is nothing known."""
    try:
        return read(octets)
    except _LIES:
        return None


def follow_up(finding: Finding, visit: Visit, stream: Stream) -> Steps[None]:
    """Ask what can be asked once the protocol is known; nothing that fails then matters."""
    import ssl

    from sockwright.scan.services.stream import NotReached

    while finding.follow is not None:
        follow: Any = finding.follow
        finding.follow = None
        try:
            yield from follow(visit, stream, finding)
        except (NotReached, ssl.SSLError, *_LIES):
            return  # what is known is known

"""What is compared of a scan: hosts, the states of their ports, and how sure those are.

A `KeptHost` comes from a `HostResult` at hand, from rows of JSON, or from nmap's XML. It holds
ports one by one as far as they were shown so, and the others as ranges with one state.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.scan.results import HostResult, HostState, PortState, Protocol, Service

__all__ = [
    "Equals",
    "KeptGroup",
    "KeptHost",
    "KeptPort",
    "KeptService",
    "KeptSummary",
    "KeptSystem",
    "Ranges",
    "kept_host",
]

T = TypeVar("T")

_SILENCE = frozenset({"no-response", "unproven"})


class Ranges:
    """Port numbers, as ascending ranges."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, text: str) -> None:
        """Read ``22,80,8000-8100``. Raises: ValueError."""
        self._firsts = array("H")
        self._lasts = array("H")
        last = -1
        for part in text.split(",") if text else ():
            begin, dash, end = part.partition("-")
            first, final = int(begin), int(end if dash else begin)
            if not last < first <= final <= 65535:
                raise ValueError(f"{part!r} is no range of ports in ascending order")
            self._firsts.append(first)
            self._lasts.append(final)
            last = final

    def __contains__(self, port: int) -> bool:
        at = bisect_right(self._firsts, port) - 1
        return at >= 0 and port <= self._lasts[at]

    def __len__(self) -> int:
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def __iter__(self) -> Iterator[int]:
        for span in self.spans():
            yield from span

    def spans(self) -> Iterator[range]:
        """Give the ranges."""
        for first, last in zip(self._firsts, self._lasts, strict=True):
            yield range(first, last + 1)


class Equals:
    """Keeps equal things once: hosts of a network are much alike."""

    __slots__ = ("_known", "_ranges")

    _MOST = 1 << 16

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}
        self._ranges: dict[str, Ranges] = {}

    def __call__(self, value: T) -> T:
        """Return what was first equal to `value`, which cannot be changed."""
        if len(self._known) >= self._MOST:
            self._known.clear()
        found: T = self._known.setdefault(value, value)
        return found

    def ranges(self, text: str) -> Ranges:
        """Return the ranges of a text. Raises: ValueError."""
        found = self._ranges.get(text)
        if found is None:
            found = Ranges(text)
            if len(self._ranges) >= self._MOST:
                self._ranges.clear()
            self._ranges[text] = found
        return found


class KeptService(NamedTuple):
    """What a probe said of a service, as far as two scans can be compared."""

    name: str
    product: str
    version: str
    tunnel: str
    confidence: float

    def __str__(self) -> str:
        tls = "TLS, " if self.tunnel else ""
        told = " ".join(filter(None, (self.product, self.version)))
        return tls + (f"{self.name} ({told})" if told else self.name)


class KeptSystem(NamedTuple):
    """What system a host was said to run, and how sure that was, from 0 to 1."""

    name: str
    family: str
    confidence: float


class KeptPort(NamedTuple):
    """The state of a port and what it rests on; `tries` is 0 where the file does not tell."""

    state: PortState
    reason: str
    tries: int = 0
    limited: str = ""
    service: KeptService | None = None

    @property
    def silent(self) -> bool:
        """Whether the state rests on silence."""
        return self.reason in _SILENCE

    @property
    def asked(self) -> bool:
        """Whether the port was asked at all."""
        return self.reason != "not-asked"


class KeptGroup(NamedTuple):
    """Ports of one protocol with one state and reason."""

    protocol: Protocol
    port: KeptPort
    numbers: Ranges


class KeptHost:
    """A host of a scan.

    `loss` and `expected_misses` are None where the file does not tell; `complete` is whether the
    scan of the host came to its end. `system` is None where nobody asked, or nothing fitted.
    `program` is who scanned it, as nmap's XML says.
    """

    __slots__ = (
        "complete",
        "expected_misses",
        "groups",
        "host",
        "loss",
        "ports",
        "program",
        "reason",
        "state",
        "system",
    )

    def __init__(self, host: str, state: HostState, reason: str = "") -> None:
        self.host = host
        self.state: HostState = state
        self.reason = reason
        self.ports: dict[tuple[Protocol, int], KeptPort] = {}
        self.groups: list[KeptGroup] = []
        self.loss: float | None = None
        self.expected_misses: float | None = None
        self.complete = True
        self.system: KeptSystem | None = None
        self.program = "sockwright"

    def port(self, protocol: Protocol, number: int) -> KeptPort | None:
        """Return what is known of a port, None if it was not asked."""
        found = self.ports.get((protocol, number))
        if found is None:
            for group in self.groups:
                if group.protocol == protocol and number in group.numbers:
                    found = group.port
                    break
        return found if found is not None and found.asked else None

    def asked(self, protocol: Protocol) -> set[int]:
        """Return the numbers of the ports that were asked."""
        found = {
            number for (one, number), port in self.ports.items() if one == protocol and port.asked
        }
        for group in self.groups:
            if group.protocol == protocol and group.port.asked:
                found.update(*group.numbers.spans())
        return found

    def answered(self) -> int:
        """Count the ports whose state rests on an answer."""
        alone = sum(port.asked and not port.silent for port in self.ports.values())
        return alone + sum(
            len(group.numbers)
            for group in self.groups
            if group.port.asked and not group.port.silent
        )


class KeptSummary(NamedTuple):
    """How a scan ended: `complete` only if it reached all and missed no more than it was to.

    `lists_all` is whether who was asked is listed, down or up: who is not listed was not asked.
    """

    complete: bool = True
    why_not: str = ""
    lists_all: bool = True


def kept_service(service: Service | None) -> KeptService | None:
    """Return what is compared of a service; None for one that only the port's number names."""
    if service is None or service.method != "probed":
        return None
    return KeptService(
        service.name, service.product, service.version, service.tunnel, service.confidence
    )


def kept_host(result: HostResult) -> KeptHost:
    """Return what is compared of a host at hand."""
    from sockwright.scan.rows import hidden_ports, ranges, shown_ports

    host = KeptHost(result.host, result.state, result.reason)
    host.loss = result.loss
    host.expected_misses = result.expected_misses
    host.complete = result.complete is not False
    if result.os is not None and result.os.best != "unknown":
        host.system = KeptSystem(result.os.best, result.os.family, result.os.confidence)
    for port in shown_ports(result):
        host.ports[port.protocol, port.port] = KeptPort(
            port.state, port.reason, port.tries, port.limited, kept_service(port.service)
        )
    for part in hidden_ports(result):
        tries = part.table.tries if part.silent else 0
        limited = part.table.limited if part.silent else ""
        kept = KeptPort(part.state, part.reason, tries, limited)
        host.groups.append(KeptGroup(part.protocol, kept, Ranges(ranges(part.ports))))
    return host

"""What a scan says: a row for each port and host, with the packet that proves it, and a summary.

The words are nmap's where nmap has one, so that its users and its readers of XML feel at home.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sockwright.scan.port_table import PortTable

__all__ = [
    "Hop",
    "HostResult",
    "HostState",
    "PortResult",
    "PortState",
    "Progress",
    "Protocol",
    "Service",
    "Summary",
]

Protocol = Literal["tcp", "udp"]
PortState = Literal["open", "closed", "filtered", "unfiltered", "open|filtered"]
HostState = Literal["up", "down", "unknown"]


@dataclass(frozen=True, slots=True)
class Service:
    """What answers on a port, as far as it said; everything in it is text cleaned for terminals.

    `confidence` is from 0 to 1; `method` is ``table`` (only the port's number) or ``probed``.
    `details` are further facts: ``tls.subject``, ``http.title``, ``ssh.kex`` and so on.
    """

    name: str
    confidence: float
    method: Literal["table", "probed"] = "table"
    product: str = ""
    version: str = ""
    extra: str = ""
    hostname: str = ""
    os: str = ""
    device: str = ""
    tunnel: Literal["", "tls"] = ""
    cpe: tuple[str, ...] = ()
    banner: str = ""
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PortResult:
    """One port of one host.

    `reason` is the packet in nmap's word (``syn-ack``, ``reset``, ``no-response``), `sender` who
    sent it where it was not the host itself, `tries` how often the port was asked until the answer
    (controls are not counted), `attempt` the try that was answered (0: none was), `rtt_ns` the time
    between that and the answer, `ttl` of the answer. `limited` says what held answers back:
    ``icmp``, ``reset``, ``policer`` or nothing.
    """

    host: str
    port: int
    protocol: Protocol
    state: PortState
    reason: str
    tries: int
    attempt: int = 0
    rtt_ns: int | None = None
    ttl: int | None = None
    sender: str = ""
    limited: str = ""
    service: Service | None = None

    def explain(self) -> str:
        """Say in a few sentences why the port is called what it is called."""
        from sockwright.scan.explain import explain_port

        return explain_port(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        from sockwright.scan.rows import port_row

        return port_row(self)


@dataclass(frozen=True, slots=True)
class Hop:
    """One router on the way: `ttl` hops away; `host` is empty where nobody answered."""

    ttl: int
    host: str
    name: str = ""
    rtt_ns: int | None = None


@dataclass(slots=True)
class HostResult:
    """One host, when everything about it is known, or when its time was up.

    `ports` has all that were asked, a `PortTable` for each protocol: rows are made when looked at.
    `loss` is the estimated part of probes without an answer, from 0 to 1, `expected_misses` the
    open ports that this loss may have hidden; `complete` is whether that is below what was asked
    for, None where nothing answered: then nothing is known of loss.
    `remarks` are sentences: limiters, SYN proxies, tarpits, time limits. `ended_early` is whether
    ports are left to ask though nobody stopped the scan: its time was up, it fell silent, or there
    was no way to it any more.
    """

    host: str
    state: HostState
    reason: str
    names: tuple[str, ...] = ()
    ttl: int | None = None
    rtt_ns: int | None = None
    mac: str = ""
    ports: tuple[PortTable, ...] = ()
    loss: float | None = None
    expected_misses: float = 0.0
    complete: bool | None = True
    remarks: tuple[str, ...] = ()
    probes: int = 0
    answers: int = 0
    started_ns: int = 0
    ended_ns: int = 0
    services: dict[tuple[Protocol, int], Service] = field(default_factory=dict)
    hops: tuple[Hop, ...] = ()
    ended_early: bool = False
    os: Any = None  # sockwright.identify.Identification, where it was asked for

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        from sockwright.scan.rows import host_row

        return host_row(self)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scan is: for a line on the terminal, several times a second."""

    phase: str
    done: int
    total: int
    sent: int
    rate: float
    loss: float | None
    remaining_s: float | None
    open_ports: int = 0
    host: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """The last row of a scan; `complete` is None where nobody answered, as for a host."""

    hosts: int
    up: int
    open_ports: int
    methods: tuple[str, ...]
    why_methods: str
    probes: int
    answers: int
    loss: float | None
    expected_misses: float
    complete: bool | None
    interrupted: bool
    seed: int
    started_ns: int
    ended_ns: int
    remarks: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        from sockwright.scan.rows import summary_row

        return summary_row(self)

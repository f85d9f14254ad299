"""Rows of a scan as JSON has them: snake_case keys, times in nanoseconds, nothing that is unknown.

Rules
    1. Every row has `kind` (``port``, ``host``, ``summary``). Keys are those of `PortResult`,
       `HostResult` and `Summary`; a key is left out where nothing is known, or where there is
       nothing to say (no name, no remark, no service).
    2. A host's ports come first, each as a row, then the host, and `summary` last of all.
    3. Ports that are not shown are told in the host's `not_shown`: for each protocol and reason the
       state, the count and the ports as ranges. So the rows of a scan hold all that was asked.
    4. Texts from the network stand in rows as they are: whoever shows one cleans it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from sockwright.scan.reasons import REASONS, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sockwright.scan.port_table import PortTable
    from sockwright.scan.results import (
        Hop,
        HostResult,
        PortResult,
        PortState,
        Protocol,
        Service,
        Summary,
    )

    Show = Literal["few", "open", "all"]

__all__ = [
    "FEW",
    "HiddenPorts",
    "hidden_ports",
    "hidden_states",
    "host_row",
    "port_row",
    "ranges",
    "service_row",
    "shown_ports",
    "summary_row",
]

_NOT_ASKED = number_of("not-asked", "filtered")

FEW = 25
"""Ports of one state that are shown one by one; where a host has more, they are counted (nmap)."""


def ranges(numbers: Iterable[int]) -> str:
    """Return ascending port numbers as text: ``22,80,8000-8100``."""
    parts: list[str] = []
    first = last = -1
    for number in numbers:
        if number == last + 1 and first >= 0:
            last = number
            continue
        if first >= 0:
            parts.append(f"{first}" if first == last else f"{first}-{last}")
        first = last = number
    if first >= 0:
        parts.append(f"{first}" if first == last else f"{first}-{last}")
    return ",".join(parts)


# Which ports are shown, and which only counted


def hidden_states(host: HostResult, show: Show = "few") -> frozenset[PortState]:
    """Return the states whose ports are not shown one by one.

    ``few``: those that more than `FEW` ports of the host are in, of all protocols together, but
    never ``open``. ``open``: all but open. ``all``: none. Ports that were not asked are in none:
    they are shown with ``all`` only.
    """
    if show == "all":
        return frozenset()
    counts: dict[PortState, int] = {}
    for table in host.ports:
        for number, count in table.counts().items():
            if number == _NOT_ASKED:
                continue
            state = REASONS[number].state
            counts[state] = counts.get(state, 0) + count
    return frozenset(
        state
        for state, count in counts.items()
        if state != "open" and (show == "open" or count > FEW)
    )


def _is_hidden(reason: int, states: frozenset[PortState], show: Show) -> bool:
    """Whether ports with this reason are not shown one by one; `states` are the hidden ones."""
    if reason == _NOT_ASKED:
        return show != "all"
    return REASONS[reason].state in states


def shown_ports(host: HostResult, show: Show = "few") -> Iterator[PortResult]:
    """Give the rows that are shown, by protocol and number, each with its service if known."""
    hidden = hidden_states(host, show)
    for table in host.ports:
        shown = [
            at
            for number in range(len(REASONS))
            if not _is_hidden(number, hidden, show)
            for at in table.at_reason(number)
        ]
        shown.sort(key=table.numbers.__getitem__)
        for at in shown:
            port = table.row(at)
            service = host.services.get((port.protocol, port.port))
            if service is not None and port.service is None:
                from dataclasses import replace

                port = replace(port, service=service)
            yield port


class HiddenPorts:
    """Ports of one protocol and reason that are not shown one by one."""

    __slots__ = ("ports", "protocol", "reason", "state", "table")

    def __init__(self, table: PortTable, reason: int, ports: list[int]) -> None:
        self.table = table
        self.protocol: Protocol = table.protocol
        self.state: PortState = REASONS[reason].state
        self.reason = REASONS[reason].word
        self.ports = ports  # numbers, ascending

    def as_dict(self) -> dict[str, Any]:
        """Return the entry of a host's `not_shown`."""
        found: dict[str, Any] = {
            "protocol": self.protocol,
            "state": self.state,
            "reason": self.reason,
            "count": len(self.ports),
            "ports": ranges(self.ports),
        }
        if self.silent:
            if self.table.tries:
                found["tries"] = self.table.tries
            if self.table.limited:
                found["limited"] = self.table.limited
        return found

    @property
    def silent(self) -> bool:
        """Whether no try was answered."""
        return self.reason in {"no-response", "unproven"}


def hidden_ports(host: HostResult, show: Show = "few") -> Iterator[HiddenPorts]:
    """Give what `shown_ports` leaves out, by protocol and reason."""
    hidden = hidden_states(host, show)
    for table in host.ports:
        for number in table.counts():
            if _is_hidden(number, hidden, show):
                at = table.numbers.__getitem__
                yield HiddenPorts(table, number, sorted(map(at, table.at_reason(number))))


# The rows


def port_row(port: PortResult) -> dict[str, Any]:
    """Return a port's row."""
    row: dict[str, Any] = {
        "kind": "port",
        "host": port.host,
        "port": port.port,
        "protocol": port.protocol,
        "state": port.state,
        "reason": port.reason,
    }
    if port.tries:
        row["tries"] = port.tries
    if port.attempt:
        row["attempt"] = port.attempt
    if port.rtt_ns is not None:
        row["rtt_ns"] = port.rtt_ns
    if port.ttl is not None:
        row["ttl"] = port.ttl
    if port.sender:
        row["sender"] = port.sender
    if port.limited:
        row["limited"] = port.limited
    if port.service is not None:
        row["service"] = service_row(port.service)
    return row


def service_row(service: Service) -> dict[str, Any]:
    """Return what a port's row says of its service."""
    row: dict[str, Any] = {
        "name": service.name,
        "confidence": service.confidence,
        "method": service.method,
    }
    for key in ("product", "version", "extra", "hostname", "os", "device", "tunnel", "banner"):
        if text := getattr(service, key):
            row[key] = text
    if service.cpe:
        row["cpe"] = list(service.cpe)
    if service.details:
        row["details"] = dict(service.details)
    return row


def host_row(host: HostResult, show: Show = "few") -> dict[str, Any]:
    """Return a host's row; its ports have rows of their own, or are in `not_shown`."""
    row: dict[str, Any] = {
        "kind": "host",
        "host": host.host,
        "state": host.state,
        "reason": host.reason,
    }
    if host.names:
        row["names"] = list(host.names)
    if host.ttl is not None:
        row["ttl"] = host.ttl
    if host.rtt_ns is not None:
        row["rtt_ns"] = host.rtt_ns
    if host.mac:
        row["mac"] = host.mac
    if host.ports:
        row["open_ports"] = sum(len(table.indices("open")) for table in host.ports)
        row["asked"] = {table.protocol: len(table) for table in host.ports}
    if hidden := [part.as_dict() for part in hidden_ports(host, show)]:
        row["not_shown"] = hidden
    if host.loss is not None:
        row["loss"] = host.loss
    row["expected_misses"] = host.expected_misses
    row["complete"] = host.complete
    row["probes"] = host.probes
    row["answers"] = host.answers
    if host.remarks:
        row["remarks"] = list(host.remarks)
    if host.hops:
        row["hops"] = [hop_row(hop) for hop in host.hops]
    if host.os is not None:
        row["os"] = _plain(host.os)
    if host.started_ns:
        row["started_ns"] = host.started_ns
    if host.ended_ns:
        row["ended_ns"] = host.ended_ns
    return row


def hop_row(hop: Hop) -> dict[str, Any]:
    """Return one entry of a host's `hops`."""
    row: dict[str, Any] = {"ttl": hop.ttl}
    if hop.host:
        row["host"] = hop.host
    if hop.name:
        row["name"] = hop.name
    if hop.rtt_ns is not None:
        row["rtt_ns"] = hop.rtt_ns
    return row


def summary_row(summary: Summary) -> dict[str, Any]:
    """Return the last row."""
    row: dict[str, Any] = {
        "kind": "summary",
        "hosts": summary.hosts,
        "up": summary.up,
        "open_ports": summary.open_ports,
        "methods": list(summary.methods),
        "why_methods": summary.why_methods,
        "probes": summary.probes,
        "answers": summary.answers,
    }
    if summary.loss is not None:
        row["loss"] = summary.loss
    row["expected_misses"] = summary.expected_misses
    row["complete"] = summary.complete
    row["interrupted"] = summary.interrupted
    row["seed"] = summary.seed
    row["started_ns"] = summary.started_ns
    row["ended_ns"] = summary.ended_ns
    if summary.remarks:
        row["remarks"] = list(summary.remarks)
    return row


def _plain(found: Any) -> Any:
    """Return what is known of the system in terms that JSON has."""
    if hasattr(found, "as_dict"):
        return found.as_dict()
    if hasattr(type(found), "__dataclass_fields__"):
        from dataclasses import asdict

        return asdict(found)
    return found

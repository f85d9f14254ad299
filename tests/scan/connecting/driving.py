"""Drive a part of a scan to its end, as `sockwright.scan.running` does, and say what it found."""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.open_files import open_descriptors

from sockwright.scan.engine.pace import Pace
from sockwright.scan.settings import Settings
from sockwright.scan.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sockwright.scan.connecting.connect_scan import ConnectScan
    from sockwright.scan.datagrams.datagram_scan import DatagramScan
    from sockwright.scan.results import PortResult

__all__ = ["Found", "drive", "scan", "target"]

PATIENCE_S = 240.0  # a policer that is misjudged on a busy machine takes most of a minute


@dataclass
class Found:
    """What is known of a host; `leaked` counts descriptors that were left open."""

    rows: dict[int, PortResult]
    remarks: list[str]
    complete: bool
    loss: float | None
    probes: int
    seconds: float
    leaked: int = 0

    def ports(self, state: str) -> list[int]:
        """Return the ports in a state."""
        return sorted(port for port, row in self.rows.items() if row.state == state)

    def reasons(self, ports: Sequence[int]) -> set[str]:
        """Return the reasons of some ports."""
        return {self.rows[port].reason for port in ports}


def scan(
    kind: type[ConnectScan | DatagramScan],
    address: str,
    ports: Sequence[int],
    settings: Settings | None = None,
    *,
    rate: float | None = None,
    after: Callable[[], object] | None = None,
) -> Found:
    """Scan one host; `after` is called when the scan has been made."""
    settings = settings or Settings()
    open_before = open_descriptors()
    began = time.monotonic()
    part = kind(ports, settings, shared=Pace(rate, now=began, adapts=False), seed=1)
    kept = after() if after is not None else None
    host = part.add(target(address), rate)
    drive(part)
    assert list(part.finished) == [host]
    remarks = [*host.remarks, *part.remarks]
    part.close()
    part.close()
    del kept
    seconds = time.monotonic() - began
    leaked = len(open_descriptors() - open_before)
    rows = {row.port: row for row in host.table}
    return Found(rows, remarks, host.complete, host.loss, host.probes, seconds, leaked)


def target(address: str) -> Target:
    """Make a target of an address, with a zone or without."""
    name, _, zone = address.partition("%")
    return Target(name, socket.AF_INET6 if ":" in address else socket.AF_INET, zone)


def drive(part: ConnectScan | DatagramScan) -> None:
    """Let a part go on until all its hosts are done."""
    began = time.monotonic()
    poll = select.poll()
    for descriptor in part.descriptors:
        poll.register(descriptor, select.POLLIN)
    while True:
        now = time.monotonic()
        part.step(now)
        if part.done:
            return
        if now > began + PATIENCE_S:
            raise TimeoutError(f"{[host.rounds.pending for host in part.active]} ports are left")
        now = time.monotonic()
        due = part.next_time(now)
        poll.poll(None if due is None else max(due - now, 0) * 1000)

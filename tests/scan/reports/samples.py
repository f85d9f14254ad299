"""Results of scans, made by hand where a test needs what no host here would answer."""

from __future__ import annotations

from sockwright.scan.port_table import PortTable
from sockwright.scan.reasons import number_of
from sockwright.scan.results import Hop, HostResult, Service, Summary
from sockwright.scan.settings import Settings

SYN_ACK = number_of("syn-ack", "open")
RESET = number_of("reset", "closed")
SILENT = number_of("no-response", "filtered")
HOSTILE = "\x1b[2J<&>\"'\x00\x9b\ud800-\udcff\ufffe\u202e\r\n/"
"""What acts on terminals, on XML 1.0 and on lines."""


def settings(ports: tuple[int, ...] = (22, 80, 443)) -> Settings:
    return Settings(methods=("syn",), tcp_ports=ports, seed=7)


def host(
    address: str = "192.0.2.1",
    open_ports: tuple[int, ...] = (22, 80),
    closed: tuple[int, ...] = (443,),
    silent: tuple[int, ...] = (),
    *,
    loss: float | None = 0.0,
    tries: int = 2,
    misses: float = 0.0,
    complete: bool = True,
) -> HostResult:
    """Return a host that was scanned by SYN, three routers away."""
    ports = tuple(sorted((*open_ports, *closed, *silent)))
    table = PortTable(address, "tcp", ports, SILENT)
    table.tries = tries
    at = {port: place for place, port in enumerate(ports)}
    for port in open_ports:
        table.set(at[port], SYN_ACK, 1, 1500, 61)
    for port in closed:
        table.set(at[port], RESET, 1, 1400, 61)
    return HostResult(
        address,
        "up",
        "echo-reply",
        ttl=61,
        rtt_ns=1_500_000,
        ports=(table,),
        loss=loss,
        expected_misses=misses,
        complete=complete,
        probes=len(ports),
        answers=len(ports) - len(silent),
        started_ns=1_700_000_000_000_000_000,
        ended_ns=1_700_000_001_000_000_000,
    )


def hostile_host() -> HostResult:
    """Return a host whose every text comes from somebody who means harm."""
    found = host("2001:db8::1")
    found.names = (f"evil{HOSTILE}.example",)
    found.remarks = (f"remark {HOSTILE}",)
    found.mac = "02:00:00:00:00:01"
    found.hops = (Hop(1, "2001:db8::fe", f"hop{HOSTILE}", 100_000), Hop(2, ""))
    found.services["tcp", 80] = Service(
        f"http{HOSTILE}",
        0.9,
        "probed",
        product=f"srv{HOSTILE}",
        version=HOSTILE,
        extra=HOSTILE,
        hostname=HOSTILE,
        tunnel="tls",
        cpe=(f"cpe:/a:{HOSTILE}",),
        banner=f"hello {HOSTILE}",
        details={"tls.subject": f"CN={HOSTILE}", "http.title": "<title>"},
    )
    return found


def summary(*, hosts: int = 1, up: int = 1, interrupted: bool = False) -> Summary:
    return Summary(
        hosts=hosts,
        up=up,
        open_ports=2,
        methods=("syn",),
        why_methods="this process may open raw sockets",
        probes=4,
        answers=3,
        loss=0.0,
        expected_misses=0.0,
        complete=not interrupted,
        interrupted=interrupted,
        seed=7,
        started_ns=1_700_000_000_000_000_000,
        ended_ns=1_700_000_002_500_000_000,
    )

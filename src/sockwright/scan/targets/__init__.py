"""Whom to scan, and which ports: text to addresses and numbers.

    targets = parse_targets(["10.0.0.0/24", "router.example"], exclude=["10.0.0.1"])
    ports = parse_port_set("22,80,8000-8100,U:53")

`sockwright.scan.targets.targets` has the grammar of the one, `ports` that of the other.
"""

from sockwright.scan.targets.ports import PortSet, parse_port_set, top_ports
from sockwright.scan.targets.target import Target
from sockwright.scan.targets.targets import ASK_ABOVE, Targets, parse_targets

__all__ = [
    "ASK_ABOVE",
    "PortSet",
    "Target",
    "Targets",
    "parse_port_set",
    "parse_targets",
    "top_ports",
]

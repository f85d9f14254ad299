"""Scan hosts: which of their ports answer, what answers there, and the packet that proves it.

    with Scan("10.0.0.0/24", ports="22,80,443") as scan:
        for event in scan:
            if isinstance(event, PortResult):
                print(event.explain())

`Scan` is the way in, blocking and for asyncio. The parts, in the order in which a scan comes by
them: `targets` (texts to addresses and ports), `discovery` (who is there), `engine` (what to ask
next and how fast, without input or output), `sending` (raw probes), `connecting` (connect scan),
`datagrams` (UDP), `services` (what answers on open ports), `tracing` (the routers on the way),
`reports` (files). `running` joins them.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.scan.port_table import PortTable
    from sockwright.scan.results import Hop, HostResult, PortResult, Progress, Service, Summary
    from sockwright.scan.scan import Scan
    from sockwright.scan.settings import PRESETS, Settings
    from sockwright.scan.targets import Targets, parse_port_set, parse_targets, top_ports

__all__ = [
    "PRESETS",
    "Hop",
    "HostResult",
    "PortResult",
    "PortTable",
    "Progress",
    "Scan",
    "Service",
    "Settings",
    "Summary",
    "Targets",
    "parse_port_set",
    "parse_targets",
    "top_ports",
]

_MODULES = {
    "port_table": ("PortTable",),
    "results": ("Hop", "HostResult", "PortResult", "Progress", "Service", "Summary"),
    "scan": ("Scan",),
    "settings": ("PRESETS", "Settings"),
    "targets": ("Targets", "parse_port_set", "parse_targets", "top_ports"),
}

if not TYPE_CHECKING:  # seen by a type checker, it would make every misspelt name an object

    def __getattr__(name: str) -> object:
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(f"sockwright.scan.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

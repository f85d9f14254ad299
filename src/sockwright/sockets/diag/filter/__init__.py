"""The filter language of ss(8): text or Python expressions -> conditions -> bytecode of inet_diag.

    parse_filter("state established dport = :443 and not dst 10.0.0.0/8")
    SocketFilter((dport == 443) & ~dst("10.0.0.0/8"))

The kernel runs the bytecode while it lists sockets of IPv4 and IPv6; `SocketFilter.matches` is the
same in Python, for every kind of socket. Nothing is loaded before it is used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.sockets.diag.filter.conditions import Condition
    from sockwright.sockets.diag.filter.expressions import (
        all_of,
        any_of,
        autobound,
        cgroup,
        dev,
        dport,
        dst,
        fwmark,
        sport,
        src,
    )
    from sockwright.sockets.diag.filter.socket_filter import SocketFilter, parse_filter

__all__ = [
    "Condition",
    "SocketFilter",
    "all_of",
    "any_of",
    "autobound",
    "cgroup",
    "dev",
    "dport",
    "dst",
    "fwmark",
    "parse_filter",
    "sport",
    "src",
]

_MODULES = {
    "conditions": ("Condition",),
    "expressions": (
        "all_of",
        "any_of",
        "autobound",
        "cgroup",
        "dev",
        "dport",
        "dst",
        "fwmark",
        "sport",
        "src",
    ),
    "socket_filter": ("SocketFilter", "parse_filter"),
}


if not TYPE_CHECKING:  # seen by a type checker, it would make every misspelt name an object

    def __getattr__(name: str) -> object:
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(f"{__name__}.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

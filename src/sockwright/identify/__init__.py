"""Identify the operating system of a host, from answers to probes or from what is overheard.

    from sockwright.identify import find_ports, probe

    ports = find_ports("10.0.0.2")
    found = probe("10.0.0.2", open_port=ports.open, closed_port=ports.closed,
                  closed_udp_port=ports.closed_udp)
    print(found.best, found.confidence)
    print(found.explain())

The files in the order to read them: `observables` has every test there is and what it weighs,
`signature` what is known of a system, `matching` holds the one against the other. `active` is the
probes, without sockets; `probing` joins them to sockets, and `many` takes several hosts at once.
`passive` is what is only overheard. The signatures are TOML files in `data`, and in the user's own
folder (`database`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sockwright.identify.database import load_signatures, user_folder
    from sockwright.identify.finding import Ports, find_ports
    from sockwright.identify.identification import Candidate, Identification, Verdict
    from sockwright.identify.learning import expect, save
    from sockwright.identify.many import Probed, probe_hosts
    from sockwright.identify.matching import match
    from sockwright.identify.probing import ask, probe
    from sockwright.identify.signature import (
        Expectation,
        Provenance,
        Signature,
        SignatureError,
        to_signatures,
        to_toml,
    )

__all__ = [
    "Candidate",
    "Expectation",
    "Identification",
    "Ports",
    "Probed",
    "Provenance",
    "Signature",
    "SignatureError",
    "Verdict",
    "ask",
    "expect",
    "find_ports",
    "load_signatures",
    "match",
    "probe",
    "probe_hosts",
    "save",
    "to_signatures",
    "to_toml",
    "user_folder",
]

_MODULE_OF = {
    "Candidate": "identification",
    "Expectation": "signature",
    "Identification": "identification",
    "Ports": "finding",
    "Probed": "many",
    "Provenance": "signature",
    "Signature": "signature",
    "SignatureError": "signature",
    "Verdict": "identification",
    "ask": "probing",
    "expect": "learning",
    "find_ports": "finding",
    "load_signatures": "database",
    "match": "matching",
    "probe": "probing",
    "probe_hosts": "many",
    "save": "learning",
    "to_signatures": "signature",
    "to_toml": "signature",
    "user_folder": "database",
}


if not TYPE_CHECKING:  # seen by a type checker, it would make every misspelt name an object

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted(__all__)
